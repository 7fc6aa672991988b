import json
from dataclasses import replace
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken import Encoding
from tokenizers import Tokenizer

from operators.base import DataError, RecipeError
from operators.encode import Merge, apply_merges
from operators.pretokenizers import PATTERNS, Pretokenizer
from operators.rank_files import objection, read_ranks, tiktoken_pattern
from operators.tokenizer_files import (
    artifact_files,
    from_tokenizer_json,
    merges_by_id,
    to_tokenizer_json,
    tokenizer_json,
)
from operators.vocabulary import BYTES, AddedToken, Vocabulary, encode_pieces, from_merges, trim
from tests.operators.vocabularies import (
    ONE_PIECE,
    REPETITIVE,
    SPECIAL,
    assigned,
    cut,
    merge_lists,
    sources,
    trained,
)

SINGLE = {byte: number for number, byte in enumerate(BYTES)}
CUT_ONCE: tuple[Pretokenizer, ...] = tuple(name for name, patterns in PATTERNS.items() if len(patterns) == 1)
PLANES = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE2000)]))
"""Every code point of the planes that hold any assigned character."""


class Readers:
    """One vocabulary as its three readers see it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        files = artifact_files(vocabulary)
        ranks = read_ranks(_bytes(files["ranks.tiktoken"]))
        self.vocabulary = vocabulary
        self.tokenizer = load(_bytes(files["tokenizer.json"]))
        self.special = {token.content: token.id for token in vocabulary.added}
        pattern = tiktoken_pattern(vocabulary)
        self.encoding = Encoding("test", pat_str=pattern, mergeable_ranks=ranks, special_tokens=self.special)

    def ours(self, text: str) -> list[int]:
        pieces = pa.array(cut(text, self.vocabulary.patterns), pa.large_binary())
        return [number for ids in encode_pieces(self.vocabulary, pieces).to_pylist() for number in ids]

    def assert_alike(self, text: str) -> None:
        expected = self.encoding.encode(text, allowed_special="all")
        assert self.tokenizer.encode(text).ids == expected
        if not any(token in text for token in self.special):
            assert self.ours(text) == expected


def _bytes(content: bytes | pa.Table) -> bytes:
    assert isinstance(content, bytes)
    return content


def load(content: bytes) -> Tokenizer:
    return Tokenizer.from_str(content.decode())


@cache
def readers(pretokenizer: Pretokenizer = "cl100k") -> Readers:
    return Readers(trained(pretokenizer))


def in_contexts(characters: str) -> str:
    """Each character after and before a letter, a digit, a space, an apostrophe, itself and the end of a line."""
    return " ".join(f"x{char}1 {char}{char}'{char}\n{char} {char}x" for char in characters)


def test_every_assigned_code_point_is_encoded_alike_in_all_formats() -> None:
    readers().assert_alike(assigned())
    readers().assert_alike(in_contexts(assigned()[::37]))


@pytest.mark.slow
@pytest.mark.parametrize("pretokenizer", CUT_ONCE)
def test_every_code_point_is_encoded_alike_with_every_pattern(pretokenizer: Pretokenizer) -> None:
    both = readers(pretokenizer)
    for text in (PLANES, in_contexts(assigned()), *sources(), *REPETITIVE):
        both.assert_alike(text)


@pytest.mark.parametrize("pretokenizer", ["cl100k", "superbpe_stage2"])
def test_repetitions_are_encoded_alike_in_all_formats(pretokenizer: Pretokenizer) -> None:
    both = Readers(replace(trained(), patterns=PATTERNS[pretokenizer]))
    for text in REPETITIVE:
        both.assert_alike(text[:2000])


@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab \n'sS19\u0e01\u0301#"))
def test_any_text_is_encoded_alike_in_all_formats_and_survives(text: str) -> None:
    readers().assert_alike(text)
    assert readers().tokenizer.decode(readers().ours(text)) == text


@given(data=st.lists(st.binary() | st.sampled_from([b"\xff", b"\xe0\xb8", b"ing", b"  "]), max_size=6).map(b"".join))
def test_any_bytes_are_encoded_alike_by_ranks_and_merges(data: bytes) -> None:
    vocabulary = trained()
    parts = apply_merges(data, {merge: place for place, merge in enumerate(vocabulary.merges)})
    expected = [vocabulary.ids[part] for part in parts]
    assert encode_pieces(vocabulary, pa.array([data], pa.large_binary())).to_pylist() == [expected]
    if data:
        assert readers().encoding._core_bpe.encode_single_piece(data) == expected


@given(texts=st.lists(st.sampled_from(["ab", " the", *SPECIAL, "<|end|", "\n"]), max_size=8))
def test_special_tokens_are_found_alike(texts: list[str]) -> None:
    readers().assert_alike("".join(texts))


def test_a_trimmed_vocabulary_is_encoded_alike_in_all_formats_too() -> None:
    text = sources()[3][:20_000]
    smaller, numbers = trim(trained(), readers().ours(text))
    assert len(smaller.ids) < len(trained().ids)
    assert Readers(smaller).ours(text) == [numbers[number] for number in readers().ours(text)]
    Readers(smaller).assert_alike(sources()[0] + assigned()[:5000])


@given(merges=merge_lists(), whole_first=st.booleans())
def test_a_tokenizer_json_is_read_as_it_was_written(merges: list[Merge], whole_first: bool) -> None:
    vocabulary = replace(from_merges(merges, ("a", "b+"), SPECIAL, whole_first=whole_first), normalizer="NFC")
    content = to_tokenizer_json(vocabulary)
    again = from_tokenizer_json(content)
    assert (again, list(again.ids)) == (vocabulary, list(vocabulary.ids))
    assert to_tokenizer_json(again) == content
    assert load(content).get_vocab_size() == len(vocabulary.ids) + 2


def test_tokenizers_saves_what_it_loaded_and_it_is_read_alike() -> None:
    saved = load(to_tokenizer_json(trained())).to_str()
    assert from_tokenizer_json(saved) == trained()


@pytest.mark.parametrize("numbers", [(256, 257), (300, 299), (999, 1000), (0, 1)])
def test_added_tokens_have_their_ids_wherever_these_lie(numbers: tuple[int, int]) -> None:
    shift = 2 if numbers == (0, 1) else 0
    ids = {byte: number + shift for byte, number in SINGLE.items()}
    added = (AddedToken("<a>", numbers[0]), AddedToken("<b>", numbers[1], special=False, lstrip=True))
    content = to_tokenizer_json(Vocabulary(ids, [], ONE_PIECE, added))
    assert [load(content).token_to_id(token) for token in ("<a>", "<b>")] == list(numbers)
    assert load(content).encode("x<a> <b>").ids == [ids[b"x"], *numbers]
    assert set(from_tokenizer_json(content).added) == set(added)


def test_merges_written_as_strings_and_a_missing_type_are_read() -> None:
    content = json.loads(to_tokenizer_json(trained()))
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    del content["model"]["type"], content["model"]["ignore_merges"]
    assert from_tokenizer_json(json.dumps(content)) == trained()


def test_byte_level_alone_means_the_pattern_of_gpt2() -> None:
    vocabulary = replace(trained(), patterns=PATTERNS["gpt2"])
    content = json.loads(to_tokenizer_json(vocabulary))
    content["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    assert from_tokenizer_json(json.dumps(content)) == vocabulary
    text = "".join(sources())[-20_000:] + assigned()[:3000]
    assert load(json.dumps(content).encode()).encode(text).ids == load(to_tokenizer_json(vocabulary)).encode(text).ids


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("model", "type"), "Unigram", "model.type is 'Unigram', expected byte-level BPE"),
        (("model", "type"), "WordPiece", "model.type is 'WordPiece'"),
        (("model", "byte_fallback"), True, "model.byte_fallback is 'True'"),
        (("model", "end_of_word_suffix"), "</w>", "model.end_of_word_suffix is '</w>'"),
        (("model", "continuing_subword_prefix"), "##", "model.continuing_subword_prefix is '##'"),
        (("model", "dropout"), 0.1, "model.dropout is '0.1'"),
        (("model", "merges"), ["a b c"], "merge 'a b c': expected two tokens"),
        (("model", "merges"), [["\u2581", "a"]], "merge .* expected two tokens"),
        (("model", "merges"), [["q", "z"]], "merge 0 of b'q' and b'z': b'qz' is not in the vocabulary"),
        (("model", "vocab"), [["a", -1.5]], "expected an object with a whole number for every token"),
        (("model", "vocab"), {"\u2581the": 0}, "is neither written in the characters that stand for bytes"),
        (("model", "vocab"), {"a": 0}, "no token for byte 00 and 254 others"),
        (("normalizer",), {"type": "Lowercase"}, "normalizer is .*, expected none or one of NFC"),
        (("pre_tokenizer",), {"type": "Metaspace"}, "pre_tokenizer is .* is this a SentencePiece model"),
        (("pre_tokenizer",), None, "pre_tokenizer is 'None'"),
        (("pre_tokenizer", "pretokenizers", 0, "behavior"), "Removed", "with behavior Isolated"),
        (("pre_tokenizer", "pretokenizers", 1, "add_prefix_space"), True, "without add_prefix_space"),
        (("added_tokens",), [{"id": "x"}], "added_tokens is .* expected a content and an id"),
        (("added_tokens",), ["<e>"], "added_tokens is '<e>', expected a content and an id"),
        (("normalizer",), "NFC", "normalizers is 'NFC', expected objects"),
        (("model",), None, "the file is"),
    ],
)
def test_what_is_no_byte_level_bpe_is_refused(path: tuple[Any, ...], value: object, complaint: str) -> None:
    content = json.loads(to_tokenizer_json(from_merges([(b"t", b"h")], ("[a-z]+",))))
    *parents, last = path
    place = content
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises(RecipeError, match=complaint):
        from_tokenizer_json(json.dumps(content))


def test_a_file_that_is_no_json_is_refused() -> None:
    with pytest.raises(DataError, match="expected JSON, found"):
        from_tokenizer_json(b"\x08\x01 sentencepiece")


def test_an_artifact_has_all_files_and_ranks_only_where_they_are_exact() -> None:
    files = artifact_files(trained(), range(len(trained().merges)))
    assert sorted(files) == ["merges", "ranks.tiktoken", "tokenizer.json", "tokenizer_config.json"]
    table = files["merges"]
    assert isinstance(table, pa.Table)
    assert table.column("count").to_pylist() == list(range(len(trained().merges)))
    several = replace(trained(), patterns=PATTERNS["deepseek_v3"])
    assert objection(several)
    assert "ranks.tiktoken" not in artifact_files(several)


def test_merges_by_id_and_by_token_give_one_file() -> None:
    pairs = [(64, 65), (64, 256)]
    assert merges_by_id(pairs) == [(b"a", b"b"), (b"a", b"ab")]
    by_token = to_tokenizer_json(from_merges(merges_by_id(pairs), ("[a-z]+",), SPECIAL))
    assert tokenizer_json(pairs, "[a-z]+", SPECIAL) == by_token
