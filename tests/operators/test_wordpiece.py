import json
import random
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordPieceTrainer

from operators.base import RecipeError
from operators.byte_alphabet import bytes_in_id_order, to_bytes, to_characters
from operators.kernels.bpe import train_sequences
from operators.pretokenizers import PATTERNS
from operators.wordpiece import LONGEST_WORD, NUM_SYMBOLS, PREFIX, train_wordpiece

SPECIAL = ("[UNK]", "<|end|>")
TEXT = (
    "the cat sat on the mat, the dog sat on the log; the cats and the dogs were sitting on the mats and the logs. "
    "what a cat thinks of a dog is what a dog thinks of a cat, and nobody knows what the others are thinking of it. "
)
COUNTS = Counter(word.encode() for word in re.findall(r" ?\w+|[^\w\s]", TEXT))


def train(
    counts: Counter[bytes],
    *sizes: int,
    special: tuple[str, ...] = SPECIAL,
    min_frequency: int = 0,
    longest: int = 100,
) -> dict[str, bytes]:
    words = pa.array(list(counts), pa.large_binary())
    numbers = np.array(list(counts.values()), np.int64)
    return train_wordpiece(words, numbers, sizes, PATTERNS["gpt2"], special, min_frequency, longest)


def learned(content: bytes) -> set[str]:
    """The tokens that are no symbols."""
    return {token for token, number in json.loads(content)["model"]["vocab"].items() if number >= NUM_SYMBOLS}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return train(COUNTS, 530, 560)


@pytest.fixture(scope="module")
def tokenizer(files: dict[str, bytes]) -> Tokenizer:
    return Tokenizer.from_str(files["tokenizer.json"].decode())


def test_a_size_counts_symbols_merges_and_special_tokens(files: dict[str, bytes]) -> None:
    assert sorted(files) == ["tokenizer-530.json", "tokenizer-560.json", "tokenizer.json", "tokenizer_config.json"]
    for size in (530, 560):
        tokenizer = Tokenizer.from_str(files[f"tokenizer-{size}.json"].decode())
        assert tokenizer.get_vocab_size() == size
        assert [tokenizer.token_to_id(token) for token in SPECIAL] == [size - 2, size - 1]
    assert files["tokenizer.json"] == files["tokenizer-560.json"]


def test_a_smaller_size_is_a_prefix_of_a_larger_one(files: dict[str, bytes]) -> None:
    small, large = (json.loads(files[f"tokenizer-{size}.json"])["model"]["vocab"] for size in (530, 560))
    assert list(small.items()) == list(large.items())[: len(small)]


def test_bytes_have_the_ids_of_the_byte_alphabet_at_the_start_and_256_more_inside(tokenizer: Tokenizer) -> None:
    tokens = [tokenizer.id_to_token(number) or "" for number in range(512)]
    assert [to_bytes(token) for token in tokens[:256]] == [bytes([value]) for value in bytes_in_id_order()]
    assert tokens[256:] == [PREFIX + token for token in tokens[:256]]


def test_the_longest_token_is_taken(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(" the catting").tokens == ["\u0120the", "\u0120cat", PREFIX + "ting"]


def tokens_in_order(counts: Counter[str], order: int) -> list[str]:
    """What merges make, with symbols numbered from the front (1) or the back (-1), so that ties go the other way."""
    names = sorted({PREFIX * (place > 0) + letter for word in counts for place, letter in enumerate(word)})[::order]
    ids = [names.index(PREFIX * (place > 0) + letter) for word in counts for place, letter in enumerate(word)]
    offsets = np.cumsum([0, *map(len, counts)])
    codes = [bytes([symbol]) for symbol in range(len(names))]
    learned = train_sequences(np.array(ids, np.int32), offsets, np.array(list(counts.values())), codes, 99)
    for left, right in learned.merges.tolist():
        names.append(names[left] + names[right].removeprefix(PREFIX))
    return names[-99:]


@pytest.mark.parametrize("seed", range(5))
def test_up_to_the_first_tie_the_vocabulary_is_that_of_tokenizers(seed: int) -> None:
    rng = random.Random(seed)
    counts = Counter({"".join(rng.choices("abcd", k=rng.randint(1, 6))): rng.randint(1, 500) for _ in range(60)})
    both = [tokens_in_order(counts, order) for order in (1, -1)]
    symbols = {PREFIX * (place > 0) + letter for word in counts for place, letter in enumerate(word)}
    made = [[name for name in names if len(name.removeprefix(PREFIX)) > 1] for names in both]
    num_merges = next(place for place, (one, other) in enumerate(zip(*made, strict=False)) if one != other)
    assert num_merges >= 10
    theirs = Tokenizer(WordPiece({}, unk_token="[UNK]", continuing_subword_prefix=PREFIX))
    theirs.pre_tokenizer = WhitespaceSplit()
    size = len(symbols | set("abcd")) + num_merges
    trainer = WordPieceTrainer(vocab_size=size, continuing_subword_prefix=PREFIX, show_progress=False)
    theirs.train_from_iterator([" ".join(counts.elements())], trainer)
    ours = train(Counter({word.encode(): count for word, count in counts.items()}), 512 + num_merges, special=())
    assert learned(ours["tokenizer.json"]) == set(theirs.get_vocab()) - symbols - set("abcd")


def recounted(counts: dict[bytes, int], num_merges: int) -> list[str]:
    """The rule, word for word: count all pairs anew for every merge."""
    starts = [to_characters(bytes([byte])) for byte in bytes_in_id_order()]
    names = [*starts, *(PREFIX + letter for letter in starts)]
    words = [
        ([names.index(PREFIX * (place > 0) + letter) for place, letter in enumerate(to_characters(word))], count)
        for word, count in counts.items()
    ]
    for new in range(512, 512 + num_merges):
        totals: Counter[tuple[int, int]] = Counter()
        for word, count in words:
            for pair in pairwise(word):
                totals[pair] += count
        if not totals:
            break
        best = min(totals, key=lambda pair: (-totals[pair], pair))
        names.append(names[best[0]] + names[best[1]].removeprefix(PREFIX))
        for word, _ in words:
            place = 0
            while place + 1 < len(word):
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = [new]
                place += 1
    return names


@given(st.dictionaries(st.text("ab\0", min_size=1, max_size=9).map(str.encode), st.integers(1, 4), max_size=8))
def test_with_ties_the_vocabulary_is_that_of_the_rule(counts: dict[bytes, int]) -> None:
    files = train(Counter(counts), 532, special=())
    assert list(json.loads(files["tokenizer.json"])["model"]["vocab"]) == recounted(counts, 20)


def test_a_pair_beyond_32_bits_is_merged_first() -> None:
    files = train(Counter({b"ab": 2**40, b"cd": 2**31 - 1}), 513, special=())
    assert learned(files["tokenizer.json"]) == {"ab"}


def test_rare_pairs_are_not_merged() -> None:
    counts = Counter({b"ab": 5, b"cd": 4})
    assert learned(train(counts, 600, min_frequency=5)["tokenizer.json"]) == {"ab"}


def test_no_token_is_longer_than_asked() -> None:
    tokens = learned(train(COUNTS, 560, longest=3)["tokenizer.json"])
    assert max(len(token.removeprefix(PREFIX)) for token in tokens) == 3


def test_rows_in_another_order_and_spread_counts_give_the_same_bytes(files: dict[str, bytes]) -> None:
    rows = [(word, count - 1) for word, count in reversed(COUNTS.items())] + [(word, 1) for word in sorted(COUNTS)]
    words = pa.array([word for word, _ in rows], pa.large_binary())
    numbers = np.array([count for _, count in rows])
    assert train_wordpiece(words, numbers, (560, 530), PATTERNS["gpt2"], SPECIAL) == files


@given(st.text() | st.text("#\uff03\u2581a \n", max_size=20))
def test_every_text_comes_back_and_nothing_is_unknown(tokenizer: Tokenizer, text: str) -> None:
    encoded = tokenizer.encode(text)
    assert "[UNK]" not in encoded.tokens
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text


@given(st.binary(max_size=LONGEST_WORD))
def test_all_bytes_come_back(tokenizer: Tokenizer, data: bytes) -> None:
    tokens = [token.value for token in tokenizer.model.tokenize(to_characters(data))] if data else []
    assert b"".join(to_bytes(token.removeprefix(PREFIX)) or b"" for token in tokens) == data


def test_words_without_an_end_come_back(tokenizer: Tokenizer) -> None:
    text = "a" * 12_345 + "\u4e00" * 999 + " " * 777
    encoded = tokenizer.encode(text)
    assert tokenizer.decode(encoded.ids) == text
    assert tokenizer.token_to_id("[UNK]") not in encoded.ids


def test_long_words_are_trained_on_as_they_are_cut() -> None:
    word = b"a" * LONGEST_WORD + b"xy"
    assert "xy" in learned(train(Counter({word: 3, b"zz": 1}), 600)["tokenizer.json"])


def test_no_text_gives_the_symbols() -> None:
    tokenizer = Tokenizer.from_str(train(Counter(), 5000)["tokenizer.json"].decode())
    assert tokenizer.get_vocab_size() == 514
    assert tokenizer.decode(tokenizer.encode("\u00fc?").ids) == "\u00fc?"


def test_sizes_without_room_for_symbols_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 514"):
        train(COUNTS, 513)


@pytest.mark.parametrize("token", ["cat", f"<{PREFIX}>"])
def test_a_special_token_that_would_be_read_as_text_is_refused(token: str) -> None:
    with pytest.raises(RecipeError, match="special token"):
        train(Counter({b"cat": 9}), 600, special=(token,))
