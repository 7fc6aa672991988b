import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import ngram_model
from operators.base import DataError, RecipeError
from operators.kernels.ngrams_reference import END, SlowModel
from operators.ngram_model import SPELLING_ORDER, from_buffer, texts_of, to_bytes, train_model
from operators.ngram_perplexity import NgramPerplexity
from operators.train_ngram_model import TrainNgramModel
from operators.words import split_words
from tests.operators.harness import Engine, corpus, deal, run
from tests.pipeline.engine import FRENCH, GERMAN

TINY = Path(__file__).parents[1] / "data" / "sentences.ngram"
"""`train_model(texts_of(GERMAN), "word", 2, 1)`."""
WORDS = ["ab", "b", "c", "abc", "cab", "\u6f22", "x"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), min_size=1, max_size=8)
ODD = [
    *(
        "",
        " \n\t",
        "\x00\x01",
        "a",
        "word " * 300,
        "x" * 50_000,
        "\U0001f600",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    ),
    *(
        "e\u0301\u0301\u0301",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u202eabc",
        "\ufffd",
        "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22",
    ),
]


def column(texts: Sequence[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def slow_words(documents: Sequence[str], order: int, min_count: int) -> SlowModel:
    """The model of words as its page defines it: below the words their spelling, and below that equal bytes."""
    words = [split_words(document) for document in documents if split_words(document)]
    spelling = SlowModel(
        sorted({tuple(word.encode()) for some in words for word in some}), SPELLING_ORDER, lambda _: 1 / 257
    )

    def base(word: object) -> float:
        return float(2.0 ** -sum(spelling.bits(() if word == END else tuple(str(word).encode()))))

    return SlowModel(words, order, base, min_count)


def engine(step: NgramPerplexity | TrainNgramModel, texts: Sequence[str], **how: Any) -> Engine:  # noqa: ANN401
    return run(step, [corpus(texts)], **how)


def references(**texts: Sequence[str]) -> dict[str, list[pa.Table]]:
    return {name: [corpus(some)] for name, some in texts.items()}


@given(TEXTS, TEXTS, st.integers(1, 4), st.integers(1, 2))
def test_words_known_and_unknown_cost_what_the_reference_says(
    documents: list[str], texts: list[str], order: int, min_count: int
) -> None:
    slow = slow_words(documents, order, min_count)
    expected = [bits for text in texts for bits in slow.bits(split_words(text))]
    model = train_model(texts_of(column(documents), "word"), "word", order, min_count)
    assert model.bits(texts_of(column(texts), "word")) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_all_words_that_there_could_be_add_up_to_one() -> None:
    model = train_model(texts_of(column(["a b a c", "b a", "a b c"]), "word"), "word", 3, 1)
    assert model.names is not None
    assert model.spelling is not None
    known = ["a", "b", "c"]
    spelled = ngram_model.spelled(model.spelling, model.names.data, model.names.starts)
    end = ngram_model.spelled(model.spelling, np.empty(0, np.uint8), np.zeros(2, np.int64))
    for history in ("", "a", "b a", "a b", "zz", "c zz"):
        texts = texts_of(column([f"{history} {word}" for word in (*known, "y")]), "word")
        bits = model.bits(texts)
        places = [texts.starts[number + 1] - 1 + number for number in range(4)]
        of_end = model.bits(texts_of(column([history]), "word"))[-1]
        # What all strange words share after a history is what one of them has, without its own spelling.
        spelling = ngram_model.spelled(model.spelling, np.frombuffer(b"y", np.uint8), np.array([0, 1]))[0]
        strange = 2 ** (spelling - bits[places[3]]) * (1 - (2.0**-spelled).sum() - 2.0 ** -end[0])
        assert sum(2.0 ** -bits[place] for place in places[:3]) + 2.0**-of_end + strange == pytest.approx(1, abs=1e-5)


def test_all_bytes_that_there_could_be_add_up_to_one() -> None:
    model = train_model(texts_of(column(["abba", "\u6f22 abc"]), "byte"), "byte", 4, 1)
    for history in (b"", b"a", b"ab", b"\xff", "\u6f22".encode()[:2]):
        tokens = np.frombuffer(b"".join(history + bytes([byte]) for byte in range(256)), np.uint8).astype(np.int32)
        texts = ngram_model.Texts(
            tokens, np.arange(257) * (len(history) + 1), np.empty(0, np.uint8), np.zeros(1, np.int64)
        )
        costs = model.bits(texts).reshape(256, -1)[:, len(history)]
        end = model.bits(ngram_model.Texts(tokens[: len(history)], np.array([0, len(history)]), *texts[2:]))[-1]
        assert (2.0**-costs).sum() + 2.0**-end == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("unit", ["word", "byte"])
def test_a_file_gives_the_model_back_and_a_damaged_one_is_refused(unit: ngram_model.Unit) -> None:
    model = train_model(texts_of(column(GERMAN), unit), unit, 3, 1)
    content = to_bytes(model)
    texts = texts_of(column([*GERMAN, *FRENCH]), unit)
    assert from_buffer(content, "copy").bits(texts).tolist() == model.bits(texts).tolist()
    for broken in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), content[:200], content[:20]):
        with pytest.raises(RecipeError, match="'copy' is damaged"):
            from_buffer(broken, "copy")
    with pytest.raises(RecipeError, match="'copy' is no n-gram model"):
        from_buffer(b"PAR1" + content, "copy")
    with pytest.raises(RecipeError, match="has file version 7"):
        from_buffer(content.replace(b'"version": 1', b'"version": 7'), "copy")


def test_a_file_of_the_first_version_still_gives_the_same_bits() -> None:
    texts = texts_of(column([*GERMAN, *FRENCH]), "word")
    made = train_model(texts_of(column(GERMAN), "word"), "word", 2, 1)
    assert from_buffer(TINY.read_bytes(), "tiny").bits(texts) == pytest.approx(made.bits(texts).tolist(), rel=1e-6)


def test_documents_are_drawn_and_ordered_whatever_the_shards() -> None:
    texts = [f"word{number % 7} and word{number % 5} " * 20 for number in range(60)]
    step = TrainNgramModel(reference="good", order=3, max_mb=0.008)
    found = []
    for shards, shuffle in ((1, 0), (3, 1), (7, 2)):
        dealt = deal(corpus(texts), shards, shuffle)
        found.append(engine(step, ["x"], references={"good": dealt}, shuffle=shuffle).artifacts[step.label])
    files = [{name: artifact.read(name) for name in ("model.ngram", "model.json")} for artifact in found]
    assert files[0] == files[1] == files[2]
    about = json.loads(files[0]["model.json"])
    assert 8000 <= about["bytes"] < 8000 + max(map(len, texts))


def test_a_reference_without_words_cannot_be_learned() -> None:
    with pytest.raises(DataError, match="nothing to learn: input 'good' has 2 documents"):
        engine(TrainNgramModel(reference="good"), ["x"], references=references(good=["", " \n"]))


def test_bits_of_two_models_are_compared_and_mixed() -> None:
    """Moore-Lewis, and CoLoR's mixture: what each costs, token by token, by the definition."""
    pool = ["ab b c", "x c c c", "abc abc b"]
    given = references(good=["ab b c ab b", "b c"], prior=["c c x c", "x x ab"])
    models = {name: train_model(texts_of(tables[0]["text"], "word"), "word", 5, 2) for name, tables in given.items()}
    texts = texts_of(column(pool), "word")
    good, prior = (models[name].bits(texts) for name in ("good", "prior"))
    for share in (1.0, 0.3):
        step = NgramPerplexity(reference="good", against="prior", interpolate=share, per="word")
        kept = engine(step, pool, references=given).kept
        mixed = [-math.log2(share * 2**-one + (1 - share) * 2**-other) for one, other in zip(good, prior, strict=True)]
        ends = np.cumsum(np.diff(texts.starts) + 1)
        starts = np.append(0, ends[:-1])
        wanted = [
            (prior[one:other].sum() - sum(mixed[one:other])) / (other - one)
            for one, other in zip(starts, ends, strict=True)
        ]
        assert kept["difference"].to_pylist() == pytest.approx(wanted, abs=1e-4)


def test_scores_are_per_byte_of_words_and_do_not_grow_with_length() -> None:
    text = "Die Stadt liegt an einem Fluss, und im Sommer sitzen die Leute am Ufer. "
    given = references(good=GERMAN)
    step = NgramPerplexity(reference="good", order=2)
    kept = engine(step, [text, text * 10, text * 100, text.replace(" ", " \n\n  ")], references=given).kept
    bits = kept["bits_per_byte"].to_pylist()
    assert bits[0] == bits[3]
    assert bits[1] == pytest.approx(bits[2], rel=0.02)
    model = train_model(texts_of(column(GERMAN), "word"), "word", 2, 2)
    words = split_words(text)
    cost = model.bits(texts_of(column([text]), "word")).sum()
    assert bits[0] == pytest.approx(cost / (sum(map(len, words)) + len(words)), abs=1e-4)
    assert kept["perplexity"][0].as_py() == pytest.approx(2 ** (cost / (len(words) + 1)))


@pytest.mark.parametrize("unit", ["word", "byte"])
def test_every_text_has_a_finite_score_or_none_at_all(unit: str) -> None:
    step = NgramPerplexity.model_validate({"reference": "good", "against": "prior", "unit": unit})
    rows = corpus(ODD).append_column("number", pa.array(range(len(ODD))))
    found = run(step, [rows], references=references(good=GERMAN, prior=FRENCH)).kept.to_pylist()
    for row in found:
        scores = [row[name] for name in ("bits_per_byte", "perplexity", "difference")]
        has_tokens = bool(split_words(row["text"])) if unit == "word" else bool(row["text"])
        assert [score is not None for score in scores] == [has_tokens] * 3
        assert all(math.isfinite(score) for score in scores if score is not None)


@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["de", "fr", None])), min_size=1, max_size=40),
    st.sampled_from([0.01, 0.3, 0.5, 0.9]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from(["documents", "bytes"]),
    st.sampled_from(["", "lang"]),
    st.integers(1, 4),
)
def test_buckets_are_those_of_sorting_the_corpus(
    rows: list[tuple[str, str | None]], head: float, middle: float, share_of: str, by: str, shards: int
) -> None:
    shape = {"head": head, "middle": middle, "share_of": share_of, "by": by}
    step = NgramPerplexity.model_validate({"model": str(TINY), **shape})
    table = corpus([f"{text} die Stadt" * (1 + number % 3) for number, (text, _) in enumerate(rows)])
    table = table.append_column("lang", pa.array([lang for _, lang in rows], pa.string()))
    found = run(step, deal(table, shards)).kept.to_pylist()
    for group in {row["lang"] if by else "" for row in found}:
        mine = sorted((row for row in found if not by or row["lang"] == group), key=lambda row: row["bits_per_byte"])
        sizes = [len(row["text"].encode()) if share_of == "bytes" else 1 for row in mine]
        until = np.cumsum(sizes)
        ends = [
            mine[int(np.searchsorted(until, share * until[-1]))]["bits_per_byte"] for share in (head, head + middle)
        ]
        for row in mine:
            score = row["bits_per_byte"]
            assert row["bucket"] == ("head" if score <= ends[0] else "middle" if score <= ends[1] else "tail")


def test_buckets_that_are_not_kept_and_bad_scores_are_dropped() -> None:
    texts = [*GERMAN, *FRENCH, ""]
    step = NgramPerplexity(model=str(TINY), head=0.5, keep=("head",), max_bits_per_byte=2.5)
    found = run(step, [corpus(texts)])
    rules = dict(zip(found.dropped["id"].to_pylist(), found.dropped["rule"].to_pylist(), strict=True))
    scores = run(NgramPerplexity(model=str(TINY)), [corpus(texts)]).kept["bits_per_byte"].to_pylist()
    assert scores[-1] is None
    assert rules == {f"d{n:04}": "too_many_bits_per_byte" for n, score in enumerate(scores) if score and score > 2.5}
    summary = json.loads(found.artifacts["percentiles"].read("percentiles.json"))
    assert summary["groups"][0]["buckets"]["head"]["documents"] == 3
    tail = run(NgramPerplexity(model=str(TINY), head=0.2, keep=("tail",)), [corpus(texts)])
    assert set(tail.dropped["rule"].to_pylist()) == {"unwanted_bucket"}
    best = sorted(score for score in scores if score is not None)[:1]
    assert tail.dropped["value"].to_pylist() == best
    assert tail.kept["bucket"].to_pylist() == ["tail"] * 4 + [None]


def test_a_corpus_without_a_score_has_no_buckets() -> None:
    found = run(NgramPerplexity(model=str(TINY), head=0.5, keep=("head",)), [corpus(["", " "])])
    assert found.kept["bucket"].to_pylist() == [None, None]
    assert json.loads(found.artifacts["percentiles"].read("percentiles.json"))["groups"] == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "give reference"),
        ({"reference": "a", "model": "b"}, "give one of them"),
        ({"reference": "a", "min_difference": 0}, "give against"),
        ({"reference": "a", "against": "a"}, "reference and against are both 'a'"),
        ({"reference": "a", "keep": ["head"]}, "give head"),
        ({"reference": "a", "head": 0.6, "middle": 0.6}, "more than the whole"),
    ],
)
def test_what_does_not_fit_together_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NgramPerplexity.model_validate(wrong)


def test_models_of_two_units_are_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "bytes.ngram"
    path.write_bytes(to_bytes(train_model(texts_of(column(GERMAN), "byte"), "byte", 2, 1)))
    with pytest.raises(RecipeError, match="different units"):
        run(NgramPerplexity(model=str(TINY), against_model=str(path)), [corpus(["a"])])
    with pytest.raises(RecipeError, match="cannot be read"):
        NgramPerplexity(model=str(tmp_path / "none.ngram")).models()


@pytest.mark.parametrize("name", ["model", "against_model"])
def test_a_broken_file_is_refused_before_data_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.bin"
    whole = TINY.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    for content, said in (
        (b"junk", "no n-gram model"),
        (whole[:20], "damaged"),
        (whole[:-9], "damaged"),
        (flipped, "damaged"),
    ):
        path.write_bytes(content)
        given = {"model": str(path)} if name == "model" else {"model": str(TINY), name: str(path)}
        with pytest.raises(RecipeError, match=said):
            NgramPerplexity.model_validate(given).check()
    path.write_bytes(whole)
    NgramPerplexity(model=str(path)).check()
