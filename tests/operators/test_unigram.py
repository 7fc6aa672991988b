import json
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from operators.base import RecipeError
from operators.byte_alphabet import bytes_in_id_order, to_bytes, to_characters
from operators.counted_words import counted_words
from operators.pretokenizers import PATTERNS
from operators.substrings import frequent_substrings
from operators.unigram import LONGEST_WORD, train_unigram

SPECIAL = ("<|end|>", "<|pad|>")
TEXT = (
    "the cat sat on the mat, the dog sat on the log; the cats and the dogs were sitting on the mats and the logs. "
    "what a cat thinks of a dog is what a dog thinks of a cat, and nobody knows what the others are thinking of it. "
)
COUNTS = Counter(word.encode() for word in re.findall(r" ?\w+|[^\w\s]", TEXT * 3))


def train(
    counts: Counter[bytes], *sizes: int, longest: int = 24, special: tuple[str, ...] = SPECIAL
) -> dict[str, bytes]:
    words = pa.array(list(counts), pa.large_binary())
    return train_unigram(words, np.array(list(counts.values())), sizes, PATTERNS["gpt2"], special, longest)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return train(COUNTS, 270, 280)


@pytest.fixture(scope="module")
def tokenizer(files: dict[str, bytes]) -> Tokenizer:
    return Tokenizer.from_str(files["tokenizer.json"].decode())


def test_a_size_counts_bytes_pieces_and_special_tokens(files: dict[str, bytes]) -> None:
    assert sorted(files) == ["tokenizer-270.json", "tokenizer-280.json", "tokenizer.json", "tokenizer_config.json"]
    for size in (270, 280):
        tokenizer = Tokenizer.from_str(files[f"tokenizer-{size}.json"].decode())
        assert tokenizer.get_vocab_size() == size
        assert [tokenizer.token_to_id(token) for token in SPECIAL] == [size - 2, size - 1]
    assert files["tokenizer.json"] == files["tokenizer-280.json"]


def test_bytes_have_the_ids_of_the_byte_alphabet(tokenizer: Tokenizer) -> None:
    tokens = [to_bytes(tokenizer.id_to_token(number) or "") for number in range(256)]
    assert tokens == [bytes([value]) for value in bytes_in_id_order()]


def test_frequent_words_are_one_token(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(" the cat").tokens == ["\u0120the", "\u0120cat"]


def test_short_words_with_huge_counts_are_one_token() -> None:
    counts = Counter({b"i": 144_250_667, b"am": 5_376_197, b"on": 79_402_723, b"park": 1_233_890})
    rare = Counter(
        {f"{letter}{end}".encode(): 7 for letter in "bcdfgh" for end in ("amble", "onder", "iron", "parked")}
    )
    tokenizer = Tokenizer.from_str(train(counts + rare, 290)["tokenizer.json"].decode())
    for word in ("am", "on", "park"):
        assert tokenizer.encode(word).tokens == [word]


def test_frequent_words_with_one_first_letter_are_one_token_each() -> None:
    """With candidates of its own, `sentencepiece` 0.2.3 has no `monday` here, but a token for `lo`."""
    tokenizer = Tokenizer.from_str(
        train(Counter({b"monday": 500, b"mellow": 400, b"mxylo": 300}), 290)["tokenizer.json"].decode()
    )
    for word in ("monday", "mellow", "mxylo"):
        assert tokenizer.encode(word).tokens == [word]


def test_rows_in_another_order_and_spread_counts_give_the_same_bytes(files: dict[str, bytes]) -> None:
    rows = [(word, count - 1) for word, count in reversed(COUNTS.items())] + [(word, 1) for word in sorted(COUNTS)]
    words = pa.array([word for word, _ in rows], pa.large_binary())
    numbers = np.array([count for _, count in rows])
    assert train_unigram(words, numbers, (270, 280), PATTERNS["gpt2"], SPECIAL) == files


@given(st.text())
def test_every_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    encoded = tokenizer.encode(text)
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text


@given(st.binary())
def test_all_bytes_come_back(tokenizer: Tokenizer, data: bytes) -> None:
    tokens = tokenizer.model.tokenize(to_characters(data)) if data else []
    assert b"".join(to_bytes(token.value) or b"" for token in tokens) == data


def test_no_token_is_longer_than_asked() -> None:
    pieces = json.loads(train(COUNTS, 280, longest=3)["tokenizer.json"])["model"]["vocab"]
    assert max(len(piece) for piece, _ in pieces) == 3


def test_a_name_that_sentencepiece_reserves_is_learned_as_text() -> None:
    counts = Counter({b"<unk>": 50, b"<s>": 40, b"</s>": 30, b"<pad>": 20, b"\xe2\x96\x81\xe2\x96\x85": 10})
    tokenizer = Tokenizer.from_str(train(counts, 300)["tokenizer.json"].decode())
    assert tokenizer.model.tokenize("<unk>")[0].value == "<unk>"


def test_too_little_text_gives_a_smaller_vocabulary() -> None:
    tokenizer = Tokenizer.from_str(train(Counter({b"aaab": 4}), 5000)["tokenizer.json"].decode())
    assert 258 <= tokenizer.get_vocab_size() < 270
    assert tokenizer.token_to_id("<|pad|>") == tokenizer.get_vocab_size() - 1


def test_no_text_gives_the_bytes() -> None:
    tokenizer = Tokenizer.from_str(train(Counter(), 5000)["tokenizer.json"].decode())
    assert tokenizer.get_vocab_size() == 258
    assert tokenizer.decode(tokenizer.encode("\u00fc?").ids) == "\u00fc?"


def test_sizes_without_room_for_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 258"):
        train(COUNTS, 257)


def test_a_special_token_that_text_has_learned_is_refused() -> None:
    with pytest.raises(RecipeError, match="'cat'"):
        train(Counter({b"cat": 100, b"dog": 90}), 280, special=("cat",))


def test_long_words_are_cut_and_none_of_their_bytes_is_lost() -> None:
    word = bytes(range(256)) * 40
    counted = counted_words(pa.array([word, b"", b"x"], pa.large_binary()), np.array([2, 5, 0]), LONGEST_WORD)
    total = sum(len(part) * count for part, count in zip(counted.words.to_pylist(), counted.counts, strict=True))
    assert total == 2 * len(word)
    assert max(map(len, counted.words.to_pylist())) == LONGEST_WORD


def test_more_text_than_64_bits_count_is_refused() -> None:
    with pytest.raises(ValueError, match="divide the counts"):
        train(Counter({b"abcd": 2**62}), 300)


@given(st.dictionaries(st.text("ab\0", min_size=1, max_size=12).map(str.encode), st.integers(1, 2**40), max_size=8))
def test_substrings_are_counted_as_in_the_repeated_text(counts: dict[bytes, int]) -> None:
    occurring: Counter[bytes] = Counter()
    followers: dict[bytes, set[bytes]] = {}
    for word, count in counts.items():
        for start in range(len(word)):
            for end in range(start + 2, min(start + 5, len(word)) + 1):
                occurring[word[start:end]] += count
                followers.setdefault(word[start:end], set()).add(word[end : end + 1])
    branching = {part for part, next_bytes in followers.items() if b"" in next_bytes or len(next_bytes) > 1}
    expected = {(part, count) for part, count in occurring.items() if count > 1 and part in branching}
    rows = sorted(counts.items())
    words = pa.array([word for word, _ in rows], pa.large_binary())
    found = frequent_substrings(words, np.array([count for _, count in rows], np.int64), 5, 10**6)
    assert set(found) == expected
    assert [len(part) * count for part, count in found] == sorted((len(p) * c for p, c in expected), reverse=True)
