"""What the page says of the steps that made a tokenizer."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from operators.length_buckets import LengthBuckets
from operators.mix import Mix
from operators.tokenizer_files import tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.trim_tokenizer import TrimTokenizer
from operators.wordpiece import PREFIX, train_wordpiece
from pipeline.report.page import render
from tests.operators.harness import corpus, run
from tests.pipeline.report.manifests import Files, Manifest, manifest, reader, step

GPT2 = {"pretokenizer": "gpt2", "vocab_sizes": (600,)}


def page_of(kind: str, given: Manifest, files: Files) -> str:
    """The section of a run of one step `tok`, as text; what stands in tags is gone."""
    names = [f"artifacts/tok/{name}" for name in files]
    content = manifest([step("tok", 9, kind=kind, artifacts=names)], 9)
    content["recipe"]["steps"] = [given]
    page = render(content, reader(dict(zip(names, files.values(), strict=True))))
    section = page[page.index('<section id="trained"') :].partition("</section>")[0]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", section.replace("<wbr>", ""))))


def trained(**given: object) -> str:
    """The page of a training with these settings; the tokenizer itself is of no interest."""
    operator = TrainTokenizer.model_validate({"name": "tok", **GPT2, **given})
    return page_of(
        "train_tokenizer",
        operator.model_dump(mode="json"),
        {"tokenizer.json": tokenizer_json([], ("x",), ()), "training.json": summary()},
    )


def summary(**more: object) -> bytes:
    """`training.json` of a training without any size."""
    settings = {"algorithm": "bpe", "patterns": ["x"], "max_token_length": 65536}
    return json.dumps({"corpus": {"bytes": 5}, "settings": settings, "tokenizers": [], **more}).encode()


def chain(length: int) -> list[tuple[int, int]]:
    """Merges of which each makes the last token an "a" longer."""
    letter = 64  # "a" in the byte alphabet
    return [(left, letter) for left in [letter, *range(256, 255 + length)]]


def test_tokens_inside_a_word_are_readable_and_no_single_byte_counts_as_learned() -> None:
    words = pa.array(["\u00e4\u00df\u00e4\u00df" * 2, "abab"], pa.large_binary())
    files = train_wordpiece(words, np.array([9, 5]), (530,), ("x",), ("[UNK]",))
    del files["tokenizer-530.json"]
    vocabulary = json.loads(files["tokenizer.json"])["model"]["vocab"]
    entries = [{"file": "tokenizer.json", "asked": 530, "reached": len(vocabulary) + 1}]
    given = {"kind": "train_tokenizer", "name": "tok", "algorithm": "wordpiece"}
    said = page_of("train_tokenizer", given, {**files, "training.json": summary(tokenizers=entries)})
    learned = said.partition("Learned tokens, in order")[2].partition("All artifacts")[0].split()
    assert len(learned) == len(vocabulary) - 512 > 0
    assert f"{PREFIX}\u00e4\u00df" in learned
    assert not any("\u00c3" in token for token in learned)  # how the byte alphabet writes the first byte


def test_a_column_of_merges_is_only_there_where_there_are_merges() -> None:
    entry = {"file": "tokenizer.json", "asked": 530, "reached": 520}
    for more, is_there in (({}, False), ({"merges": 7}, True)):
        files = {"tokenizer.json": tokenizer_json([], ("x",), ()), "training.json": summary(tokenizers=[entry | more])}
        said = page_of("train_tokenizer", {"kind": "train_tokenizer", "name": "tok"}, files)
        assert ("tokens asked for merges" in said) == is_there


def test_a_tokenizer_that_went_on_from_another_shows_what_is_new() -> None:
    extended = {"sha256": "0123456789abcdef", "tokens": 301, "added": 2, "ids": 303}
    content = json.loads(tokenizer_json(chain(147), ("x",), ()))
    files = {
        "tokenizer.json": json.dumps(content).encode(),
        "training.json": summary(training={"extended": extended}, tokenizers=[{"file": "f", "merges": 147}]),
    }
    given = {"kind": "train_tokenizer", "name": "tok", "extend": "old/tokenizer.json"}
    said = page_of("train_tokenizer", given, files)
    assert "Went on from old/tokenizer.json with 303 tokens, 2 of them added" in said
    assert "merges, the old ones too" in said
    new = [token for token, identity in content["model"]["vocab"].items() if identity >= 303]
    assert len(new) == 100
    assert f"The first 48 new {short_of(new[0])}" in said
    assert "The last 48 of 100" in said
    assert "learned" not in said


def short_of(token: str) -> str:
    """As `chip` writes a run of one letter."""
    return f"{token[0] * 4}\u2026\u00d7{len(token)}" if len(token) > 40 else token


def test_a_trimmed_tokenizer_says_what_stayed_what_went_and_what_the_corpus_is_in_it() -> None:
    about = {
        "tokenizer_sha256": "ab" * 32,
        "min_count": 3,
        "corpus": {"pretokens": 68_064, "distinct_pretokens": 13_410},
        "ids": {"before": 32_000, "after": 13_005},
        "kept": {"used": 10_786, "bytes": 84, "parts_of_used": 2_133, "added": 2},
        "cut": {"unused": 18_900, "rare": 95, "uses_of_rare": 120},
        "encoded_tokens": {"before": 87_807, "after": 87_999},
    }
    given = TrimTokenizer(name="tok", step="big", size=32_000, min_count=3).model_dump(mode="json")
    files = {"tokenizer.json": tokenizer_json(chain(2), ("x",), ()), "trim.json": json.dumps(about).encode()}
    said = page_of("trim_tokenizer", given, files)
    for part in (
        "1 tokenizer; 2 files",
        "Cut from step big , 32,000 tokens",
        "Ids 32,000 \u2192 13,005",
        "Tokens of the corpus 87,807 \u2192 87,999",
        "the corpus uses at least 3 times 10,786",
        "are single bytes, which always stay 84",
        "kept tokens are merged from 2,133",
        "the corpus does not use 18,900",
        "the corpus uses less often, 120 times together 95",
        "Kept tokens, in order",
    ):
        assert part in said
    assert "earned" not in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"min_count": 3}, "Min count 3"),
        ({"digits": "single"}, "Digits single"),
        ({"group_by": "label"}, "Group by label"),
        ({"required_tokens": [" myocardial"]}, "Required tokens \u2423myocardial"),
        ({"special_tokens": [f"<{n}>" for n in range(20)]}, "and 8 more"),
        ({"pretokenizer": "custom", "pattern": r"\p{L}+"}, r"Pattern \p{L}+"),
        ({"algorithm": "parity_bpe", "group_by": "l", "parity": {"mode": "window"}}, "Parity mode window"),
        ({"algorithm": "superbpe", "pretokenizer": "superbpe", "transition": 300}, "Transition 300"),
        ({"algorithm": "unigram"}, "Max token length 24"),
        ({"algorithm": "unigram", "max_token_length": 9}, "Max token length 9"),
        ({"algorithm": "wordpiece"}, "Max token length 100"),
        ({"max_token_length": 9}, "Max token length 9"),
    ],
)
def test_every_setting_that_is_not_the_default_is_shown(given: Manifest, expected: str) -> None:
    assert expected in trained(**given)


def test_a_default_is_not_shown() -> None:
    said = trained()
    assert "Algorithm bpe Pretokenizer gpt2 " in said
    hidden: Sequence[str] = ("Min ", "Max ", "Digits", "Parity", "Group by", "Patterns", "Vocab sizes")
    assert not [name for name in hidden if name in said]


def test_the_text_is_not_blamed_for_a_vocabulary_that_fell_short() -> None:
    entry = {"file": "tokenizer.json", "asked": 530, "reached": 520}
    files = {"tokenizer.json": tokenizer_json([], ("x",), ()), "training.json": summary(tokenizers=[entry])}
    said = page_of("train_tokenizer", {"kind": "train_tokenizer", "name": "tok"}, files)
    assert "Not every vocabulary reached the size asked for." in said
    assert "too small" not in said


def test_what_it_was_trained_on_is_told_by_every_column_that_was_counted_by() -> None:
    rows = [
        {"source": "d", "lang": None, "label": label, "documents": 1, "bytes": size}
        for label, size in (("de", 3), ("el", 7))
    ]
    files = {
        "tokenizer.json": tokenizer_json([], ("x",), ()),
        "training.json": summary(corpus={"bytes": 10, "by": rows}),
    }
    said = page_of("train_tokenizer", {"kind": "train_tokenizer", "name": "tok"}, files)
    assert "What it was trained on, by source, language and label" in said
    assert "d el 1 7 B 70.0 % d de 1 3 B 30.0 %" in said


def test_a_mixture_says_what_was_asked_there_and_drawn_and_what_could_not_be_met() -> None:
    rows = corpus(["x" * 100] * 30, lang=["de"] * 20 + ["fr"] * 8 + ["<b>"] * 2)
    mixing = Mix(by="lang", weights={"de": 1, "fr": 1, "<b>": 2}, unit="docs", budget=24, max_epochs=3)
    content = run(mixing, [rows]).artifacts["ranking"].read("mixture.json")
    said = page_of("mix", {"kind": "mix", "name": "tok"}, {"mixture.json": content})
    assert "tok mix Groups by" in said
    for part in (
        "Groups by lang Budget 24 docs Drawn 18 docs 75.0 %",
        "Most epochs of a group 3 of 3 allowed",
        "de 33.3 % 6 docs 20 docs 6 docs 25.0 % 0.3",
        "fr 33.3 % 6 docs 8 docs 6 docs 25.0 % 0.75",
        "<b> 33.3 % 12 docs 2 docs 6 docs 50.0 % 3",
        "lang '<b>': asked for 12 docs, drew 6: there are 2, which may count 3 times at most",
    ):
        assert part in said


def test_of_many_groups_of_a_mixture_those_with_most_bytes_are_named() -> None:
    languages = [f"l{number:02}" for number in range(60) for _ in range(number + 1)]
    rows = corpus(["x" * 100] * len(languages), lang=languages)
    mixing = Mix(by="lang", weights=dict.fromkeys(languages, 1), unit="docs", budget=60 * 30)
    content = run(mixing, [rows]).artifacts["ranking"].read("mixture.json")
    said = page_of("mix", {"kind": "mix", "name": "tok"}, {"mixture.json": content})
    assert "20 other groups" in said
    table = said.partition("lang 'l")[0]
    assert "l59 " in table
    assert "l19 " not in table
    assert "21 more groups with less than was asked" in said


def test_token_sequences_are_shown_by_length(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(tokenizer_json([], (r"[\s\S]+",), ()))
    step = LengthBuckets(tokenizer=str(path), min_length=4, max_length=8)
    rows = corpus(["x" * 13, "x" * 3, "x" * 8], repeat=pa.array([1, 1, 5], pa.int32()))
    content = run(step, [rows]).artifacts["buckets"].read("buckets.json")
    said = page_of("length_buckets", {"kind": "length_buckets", "name": "tok"}, {"buckets.json": content})
    for part in (
        "Documents encoded 3 Tokens 24 Tokens with repeats 56 In no sequence 4 16.7 % Documents without any 1",
        "Type of an id uint16",
        "256 ids",
        "4 16.7 % 1 4 8 66.7 % 2 16",
    ):
        assert part in said
