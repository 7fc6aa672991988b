"""Our encoding of whole texts gives the ids of `tokenizers`."""

from dataclasses import replace
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from operators import text_tokens
from operators.base import RecipeError
from operators.pretokenizers import PATTERNS
from operators.text_tokens import KernelEncoder, LibraryEncoder, Tokens, text_encoder
from operators.tokenizer_files import from_tokenizer_json, to_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.vocabulary import AddedToken, Vocabulary, from_merges
from tests.operators.harness import corpus, run
from tests.operators.kernels.test_bpe import library_sources
from tests.operators.vocabularies import ONE_PIECE, REPETITIVE, merge_lists, sources

ADDED = ("<|a|>", "<|a|>b", "ab", "<|end|>")
WORDS = ("abc", " cab", "<|a|>", "<|a|>b", "b", "\u00e9", "e\u0301", "\n\n", " 12 345", "\U0001f600", "<|end|>", "<|")


def lists_of(tokens: Tokens) -> list[list[int]]:
    return [tokens.ids[low:high].tolist() for low, high in zip(tokens.starts[:-1], tokens.starts[1:], strict=True)]


def library(content: bytes, texts: list[str]) -> list[list[int]]:
    tokenizer = Tokenizer.from_str(content.decode())
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def encoded(content: bytes, texts: list[str]) -> list[list[int]]:
    return lists_of(text_encoder(content, "it")(pa.array(texts, pa.large_string())))


@settings(max_examples=100)
@given(
    merge_lists(), st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map("".join), max_size=5),
    st.sampled_from([ONE_PIECE, PATTERNS["gpt2"], PATTERNS["cl100k"]]), st.booleans(),
    st.sampled_from(["", "NFC", "NFKD"]), st.integers(0, 4), st.integers(1, 40),
)  # fmt: skip
def test_ids_are_those_of_the_library(
    merges: list[tuple[bytes, bytes]], texts: list[str], patterns: tuple[str, ...], whole_first: bool, normalizer: str,
    num_added: int, slice_bytes: int,
) -> None:  # fmt: skip
    vocabulary = replace(from_merges(merges, patterns, whole_first=whole_first), normalizer=normalizer)
    names = [name for name in ADDED if name.encode() not in vocabulary.ids][:num_added]
    added = tuple(AddedToken(name, vocabulary.next_id + place) for place, name in enumerate(names))
    content = to_tokenizer_json(replace(vocabulary, added=added))
    assert isinstance(text_encoder(content, "it"), KernelEncoder)
    with mock.patch.object(text_tokens, "SLICE_BYTES", slice_bytes):
        assert encoded(content, texts) == library(content, texts)


@pytest.fixture(scope="module")
def trained() -> Vocabulary:
    step = TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(2000,), special_tokens=("<|end|>",))
    return from_tokenizer_json(run(step, [corpus(library_sources(120_000))]).artifacts["train"].read("tokenizer.json"))


def test_real_text_and_repetitive_text(trained: Vocabulary) -> None:
    texts = [*library_sources(200_000)[::3], *REPETITIVE, *sources(), "", "x<|end|>", "<|end|><|end|>y"]
    content = to_tokenizer_json(trained)
    assert encoded(content, texts) == library(content, texts)


@pytest.mark.parametrize("flag", ["single_word", "lstrip", "rstrip", "normalized"])
def test_what_the_kernels_do_not_know_of_added_tokens_is_left_to_the_library(trained: Vocabulary, flag: str) -> None:
    other = AddedToken("<x>", trained.next_id, special=False, **{flag: True})
    content = to_tokenizer_json(replace(trained, added=(*trained.added, other)))
    assert isinstance(text_encoder(content, "it"), LibraryEncoder)
    texts = ["a <x> b", "a<x>b", "<|end|> <x>"]
    assert encoded(content, texts) == library(content, texts)


@pytest.mark.parametrize("algorithm", ["unigram", "wordpiece"])
def test_other_models_are_encoded_by_the_library(algorithm: str) -> None:
    texts = library_sources(50_000)[:40]
    step = TrainTokenizer.model_validate({"algorithm": algorithm, "pretokenizer": "cl100k", "vocab_sizes": [700]})
    content = run(step, [corpus(texts)]).artifacts["train"].read("tokenizer.json")
    assert isinstance(text_encoder(content, "it"), LibraryEncoder)
    assert encoded(content, texts) == library(content, texts)


def test_nothing_is_truncated_padded_or_put_around(trained: Vocabulary) -> None:
    tokenizer = Tokenizer.from_str(to_tokenizer_json(trained).decode())
    plain = tokenizer.encode("one two three").ids
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    content = tokenizer.to_str().encode()
    assert encoded(content, ["one two three", ""]) == [plain, []]
    assert lists_of(LibraryEncoder(content, "it")(pa.array(["one two three"], pa.large_string()))) == [plain]


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(RecipeError, match="tokenizer 'it' cannot be read"):
        text_encoder(b'{"model": {}}', "it")
    with pytest.raises(RecipeError, match="tokenizer 'it'"):
        text_encoder(b"no ranks", "it")
