import json
import sysconfig
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from operators.byte_alphabet import byte_characters, bytes_in_id_order
from operators.kernels import bpe, bpe_reference
from operators.kernels.pretokenize import count
from operators.pretokenizers import PATTERNS, Pretokenizer

UNLIMITED = 2**31 - 1
Words = list[tuple[bytes, int]]

WORDS = st.one_of(
    *(
        st.dictionaries(st.text(alphabet, min_size=1, max_size=30).map(str.encode), st.integers(1, 9), max_size=12)
        for alphabet in ("ab", "aab", "abc ", "a\u00e9\u4e2d")
    )
).map(lambda words: list(words.items()))


def learn(
    words: Words, num_tokens: int, min_frequency: int = 0, max_token_length: int = UNLIMITED
) -> list[tuple[int, int]]:
    array = pa.array([word for word, _ in words], pa.large_binary())
    counts = np.array([count for _, count in words], np.int64)
    return [(a, b) for a, b in bpe.train(array, counts, num_tokens, min_frequency, max_token_length).merges.tolist()]


def learn_by_tokenizers(
    texts: list[str],
    patterns: tuple[str, ...],
    num_tokens: int,
    min_frequency: int = 0,
    max_token_length: int = UNLIMITED,
) -> list[tuple[int, int]]:
    limit: dict[str, Any] = {} if max_token_length == UNLIMITED else {"max_token_length": max_token_length + 1}
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=num_tokens,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **limit,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][a], model["vocab"][b]) for a, b in model["merges"]]


def library_sources(num_bytes: int) -> list[str]:
    """The standard library's own sources, in order of name, until there are enough."""
    texts: list[str] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" not in path.parts and sum(map(len, texts)) < num_bytes:
            texts.append(path.read_text(encoding="utf-8", errors="ignore"))
    return texts


def joined(merges: list[tuple[int, int]]) -> list[bytes]:
    tokens = [bytes([byte]) for byte in bytes_in_id_order()]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


@given(WORDS, st.sampled_from([256, 257, 260, 300, 900]), st.integers(0, 4), st.sampled_from([UNLIMITED, 2, 3, 4, 7]))
def test_it_equals_the_reference_and_tokenizers_merge_by_merge(
    words: Words, num_tokens: int, min_frequency: int, max_token_length: int
) -> None:
    expected = bpe_reference.train(words, num_tokens, min_frequency, max_token_length)
    assert learn(words, num_tokens, min_frequency, max_token_length) == expected
    texts = [word.decode() for word, count in words for _ in range(count)]
    assert learn_by_tokenizers(texts, (r"[\s\S]+",), num_tokens, min_frequency, max_token_length) == expected


@given(st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=4))
def test_it_equals_the_reference_on_any_bytes(noise: bytes, motif: bytes) -> None:
    words = [(noise, 2), (motif * 9, 1), (noise + motif * 3, 3)]
    assert learn(words, 1000) == bpe_reference.train(words, 1000)


@given(WORDS)
def test_every_merge_makes_a_new_string(words: Words) -> None:
    tokens = joined(learn(words, 2000))
    assert len(set(tokens)) == len(tokens)


@given(WORDS, st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter_nor_whether_counts_are_split(words: Words, random: Random) -> None:
    dealt = [(word, 1) for word, count in words for _ in range(count)]
    random.shuffle(dealt)
    assert learn(dealt, 400) == learn(words, 400)


@given(WORDS, st.integers(256, 300))
def test_fewer_tokens_are_a_prefix(words: Words, num_tokens: int) -> None:
    assert learn(words, num_tokens) == learn(words, 300)[: num_tokens - 256]


def real_text_equals_tokenizers(num_bytes: int, num_tokens: int, pretokenizer: Pretokenizer) -> None:
    texts = library_sources(num_bytes)
    words, counts = count(pa.array(texts, pa.large_string()), np.ones(len(texts), np.int64), pretokenizer)
    merges = bpe.train(words, counts, num_tokens).merges
    assert len(merges) == num_tokens - 256
    assert [(a, b) for a, b in merges.tolist()] == learn_by_tokenizers(
        texts,
        PATTERNS[pretokenizer],
        num_tokens,
    )


def test_real_text_gives_the_merges_of_tokenizers() -> None:
    real_text_equals_tokenizers(600_000, 3000, "cl100k")


@pytest.mark.slow
@pytest.mark.parametrize("pretokenizer", ["gpt2", "cl100k"])
def test_ten_megabytes_give_the_merges_of_tokenizers(pretokenizer: Pretokenizer) -> None:
    real_text_equals_tokenizers(10_000_000, 32_000, pretokenizer)


def test_pairs_beyond_32_bits_are_counted() -> None:
    words = [(b"aaaa", 2**31), (b"ab", 2**32), (b"bc", 10)]
    assert learn(words, 259) == bpe_reference.train(words, 259)
    assert joined(learn(words, 259))[256:] == [b"aa", b"ab", b"aaaa"]


def test_ties_go_to_the_smaller_left_id_then_right_id_which_is_not_the_order_of_bytes() -> None:
    # The space has id 220, after every letter.
    assert joined(learn([(b" a", 1), (b"a ", 1), (b"ab", 1)], 259))[256:] == [b"ab", b"a ", b" a"]


def test_a_pair_below_the_least_frequency_is_not_merged() -> None:
    assert joined(learn([(b"ab", 3), (b"cd", 2)], 300, min_frequency=3))[256:] == [b"ab"]


def test_the_longest_token_is_inclusive() -> None:
    assert max(map(len, joined(learn([(b"abcdefgh", 5)], 300, max_token_length=4)))) == 4


@pytest.mark.parametrize("words", [[], [(b"", 3)], [(b"a", 5)], [(b"ab", 0)]])
def test_a_corpus_without_a_pair_gives_no_merge(words: Words) -> None:
    assert learn(words, 1000) == []


def test_one_repeated_character_doubles() -> None:
    assert [len(token) for token in joined(learn([(b"a" * 64, 1)], 1000))[256:]] == [2, 4, 8, 16, 32, 64]


@pytest.mark.slow
def test_a_very_long_word_equals_tokenizers() -> None:
    letters = np.random.default_rng(5).choice(list("abcd"), 100_000, p=[0.7, 0.1, 0.1, 0.1])
    text = "".join(letters)
    assert learn([(text.encode(), 1)], 400) == learn_by_tokenizers([text], (r"[\s\S]+",), 400)


@pytest.mark.slow
def test_tables_grow_and_the_pool_is_compacted() -> None:
    rng = np.random.default_rng(1)
    words = Counter(rng.integers(0, 256, rng.integers(2, 12), np.uint8).tobytes() for _ in range(60_000))
    merges = learn(list(words.items()), 60_000)
    assert len(merges) > 50_000
    assert merges[:8] == bpe_reference.train(list(words.items()), 264)
    tokens = joined(merges)
    assert len(set(tokens)) == len(tokens)


def test_the_order_of_the_byte_alphabet_is_that_of_tokenizers() -> None:
    assert sorted(pre_tokenizers.ByteLevel.alphabet()) == [byte_characters()[byte] for byte in bytes_in_id_order()]


@pytest.mark.parametrize(
    ("words", "counts", "num_tokens", "complaint"),
    [
        ([b"a"], [1, 2], 300, "1 words, 0 null, 2 counts"),
        ([None], [1], 300, "1 null"),
        ([b"ab"], [-1], 300, "smallest is -1"),
        ([b"ab"], [1], 255, "not 255"),
    ],
)
def test_wrong_arguments_are_named(words: list[bytes], counts: list[int], num_tokens: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        bpe.train(pa.array(words, pa.large_binary()), np.array(counts), num_tokens)


def test_a_slice_of_words_is_the_words_in_it() -> None:
    words = pa.array([b"zz", b"aab", b"ab", b"zz"], pa.large_binary()).slice(1, 2)
    assert bpe.train(words, np.array([1, 5]), 258).merges.tolist() == [[64, 65], [64, 256]]


@given(words=st.dictionaries(st.text("abc", max_size=8).map(str.encode), st.integers(0, 9), max_size=8))
def test_a_byte_outside_the_alphabet_ends_a_word(words: dict[bytes, int]) -> None:
    table, counts = pa.array(list(words), pa.large_binary()), np.array(list(words.values()), np.int64)
    parts = [(part, count) for word, count in words.items() for part in word.split(b"c")]
    assert bpe.train(table, counts, 300, alphabet=b"ab").merges.tolist() == [
        list(pair) for pair in bpe_reference.train(parts, 300)
    ]


def test_the_count_of_a_merge_is_its_pairs_when_it_was_merged() -> None:
    words = pa.array([b"aab", b"ab"], pa.large_binary())
    assert bpe.train(words, np.array([1, 5]), 258).counts.tolist() == [6, 1]
