import random
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators import gopher_repetition, scans
from operators.base import RULE, Context
from operators.conditions import Condition
from operators.gopher_quality import GopherQuality
from operators.gopher_repetition import GopherRepetition
from operators.kernels.repetition import REPEATED, TOP
from operators.kernels.repetition_reference import repeated_ngram_chars, repetition_scores
from operators.kernels.words_reference import slow_scan
from operators.words import split_words
from tests.operators.harness import corpus, run

ODD = [
    "",
    " ",
    "\n\n\n",
    "one",
    "...",
    "\U0001f600 \U0001f600",
    "\x00",
    "\u0645\u0631 \u0628",
    "\u0301",
    "\u4f60\u597d",
]
# Few letters: n-grams repeat, different words have the same concatenation, and some of these are longer than 16 bytes.
WORD = st.text(st.sampled_from("ab\u0416"), min_size=1, max_size=3) | st.sampled_from(["a" * 7, "a" * 8, "aab" * 7])
SPACES = st.sampled_from([" ", "\n", "\n\n", " \n\n\n", "\u2028", "\xa0\n"])
REPETITIVE = st.lists(st.tuples(WORD, SPACES), max_size=60).map(lambda parts: "".join(w + s for w, s in parts))
TEXTS = st.lists(REPETITIVE | st.text(st.sampled_from("ab .\n")) | st.text(), max_size=5)
BOUNDS = {name for name in GopherRepetition.model_fields if name.startswith("max_")} - {"max_drop_ratio"}


def rule(text: str, **bounds: float) -> str | None:
    """The verdict on one text, with only the named rules switched on."""
    operator = GopherRepetition.model_validate(dict.fromkeys(BOUNDS, 1e9) | bounds)
    verdict: str | None = operator.judge(operator.bind(Context(0, {}))(corpus([text])))[RULE][0].as_py()
    return verdict


def scored(texts: list[str]) -> list[tuple[float, ...]]:
    return [tuple(row.values()) for row in GopherRepetition().bind(Context(0, {}))(corpus(texts)).to_pylist()]


@given(TEXTS)
def test_the_kernel_has_the_scores_that_the_slow_functions_define(texts: list[str]) -> None:
    assert scored(list(texts)) == [repetition_scores(text, split_words(text)) for text in texts]


@given(TEXTS, st.sampled_from([[0, 0, 0, 0], [0, 1, 0, 1], [7, 9, 11, 13]]))
def test_no_hash_decides(texts: list[str], seeds: list[int]) -> None:
    """With these seeds most hashes are 0, or the exclusive or of what is hashed."""
    column = pa.chunked_array([texts], pa.large_string())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gopher_repetition, "hash_seeds", lambda: np.array(seeds, np.uint64))
        found = gopher_repetition.repetition_scores(column, slow_scan(texts, str.split))
    assert found.tolist() == [list(repetition_scores(text, text.split())) for text in texts]


def test_other_words_that_make_the_same_string_are_the_same_repeated_n_gram_but_not_the_same_top_one() -> None:
    one, other = ["ab", "c", "d", "e", "f"], ["a", "bc", "d", "e", "f"]
    text = " ".join([*one, "x", *other])
    scores = dict(zip(GopherRepetition().adds(), scored([text])[0], strict=True))
    assert scores["dup_5_gram_ratio"] == 6 / len(text) == repeated_ngram_chars(text.split(), 5) / len(text)
    assert scores["dup_6_gram_ratio"] == 0
    assert scores["top_2_gram_ratio"] == 2 * 3 / len(text), "d e and e f; the first"
    assert scored([text]) == [repetition_scores(text, text.split())]


@pytest.mark.parametrize(("words", "vocabulary"), [(3_000, 40), (20_000, 10**6), (150_000, 10**6), (150_000, 3)])
def test_long_texts_outgrow_every_table(words: int, vocabulary: int) -> None:
    draw = random.Random(words)
    drawn = [f"{draw.randrange(vocabulary)}" for _ in range(words // 2)]
    text = " ".join(drawn) + "\n" + "\n".join(drawn)
    assert scored(["x", text, "a b a b", text[:999]]) == [
        repetition_scores(one, split_words(one)) for one in ("x", text, "a b a b", text[:999])
    ]


@given(st.text() | st.text(st.sampled_from("ab .\n")))
def test_every_text_has_finite_scores_of_at_least_zero(text: str) -> None:
    scores = repetition_scores(text, split_words(text))
    assert len(scores) == len(GopherRepetition().adds())
    assert all(0 <= score < float("inf") for score in scores)
    assert all(score <= 1 for score in scores[1:5]), "shares of parts, and of characters without overlap"


@pytest.mark.parametrize(
    ("passes", "fails", "name", "bounds"),
    [
        ("x", "", "empty_text", {}),
        ("a\n\nb\n\n\na\n\nc", "a\n\nb\n\na", "duplicate_paragraphs", {"max_dup_paragraph_ratio": 0.25}),
        ("aa\n\naa\n\nbb", "aa\n\naa\n\nb", "duplicate_paragraph_characters", {"max_dup_paragraph_char_ratio": 0.2}),
        ("a\nb\n\na\nc", "a\nb\na", "duplicate_lines", {"max_dup_line_ratio": 0.25}),
        ("aa\naa\nbbbb", "aa\naa\nbbb", "duplicate_line_characters", {"max_dup_line_char_ratio": 0.2}),
        ("a b a b " + "c" * 16, "a b a b " + "c" * 15, "frequent_2_gram", {"max_top_2_gram_ratio": 0.25}),
    ],
)
def test_each_rule_speaks_just_beyond_its_bound(passes: str, fails: str, name: str, bounds: dict[str, float]) -> None:
    assert rule(passes, **bounds) is None
    assert rule(fails, **bounds) == name


@pytest.mark.parametrize("n", TOP)
def test_the_first_n_gram_is_the_top_one_where_none_repeats(n: int) -> None:
    start, bound = " ".join("abcd"[:n]) + " ", {f"max_top_{n}_gram_ratio": 0.25}
    assert rule(start + "e" * (6 * n - 4), **bound) is None
    assert rule(start + "e" * (6 * n - 5), **bound) == f"frequent_{n}_gram"


@pytest.mark.parametrize("n", REPEATED)
def test_repeated_n_grams_speak_just_beyond_their_bound(n: int) -> None:
    twice, bound = (" ".join("abcdefghij"[:n]) + " ") * 2, {f"max_dup_{n}_gram_ratio": 0.2}
    assert rule(twice + "x" * n, **bound) is None
    assert rule(twice + "x" * (n - 1), **bound) == f"repeated_{n}_grams"


def test_paragraphs_are_stripped_and_lines_are_not() -> None:
    scores = dict(zip(GopherRepetition().adds(), repetition_scores("\na\nb\n", ["a", "b"]), strict=True))
    assert scores["dup_paragraph_ratio"] == 0
    assert scores["dup_line_ratio"] == 0.25, "the empty text before the first line feed and after the last"


def test_the_first_broken_rule_names_the_verdict() -> None:
    texts = {"prose": "one two three four five six seven eight nine ten", "twice": "a\n\na", "empty": ""}
    engine = run(
        GopherRepetition(max_top_2_gram_ratio=0.5, max_top_3_gram_ratio=0.5, max_top_4_gram_ratio=0.5), [corpus(texts)]
    )
    assert engine.kept_ids == {"prose"}
    assert engine.dropped[RULE].to_pylist() == ["duplicate_paragraphs", "empty_text"]
    assert engine.dropped["value"].to_pylist() == [0.5, 0]


@given(st.lists(st.text() | st.sampled_from(ODD), max_size=8), st.integers(1, 3))
def test_batch_split_does_not_matter(texts: list[str], size: int) -> None:
    table = corpus([*ODD, *texts])
    whole, split = (run(GopherRepetition(audit=True), [table], batch_rows=rows) for rows in (100, size))
    assert whole.kept.combine_chunks() == split.kept.combine_chunks()
    assert all(whole.kept[name].null_count == 0 for name in GopherRepetition().adds())


def test_no_rows_and_null_texts_are_no_error() -> None:
    score = GopherRepetition().bind(Context(0, {}))
    assert score(corpus([])).num_rows == 0
    assert score(pa.table({"id": ["a"], "text": pa.array([None], pa.large_string())}))["num_chars"].to_pylist() == [0]


def test_rows_outside_the_condition_pass_with_null_scores() -> None:
    operator = GopherRepetition(only=Condition(column="lang", values=("en",)))
    engine = run(operator, [corpus(["a\n\na", "b\n\nb"], lang=["en", "de"])])
    assert engine.kept["lang"].to_pylist() == ["de"]
    assert all(engine.kept[name].to_pylist() == [None] for name in operator.adds())


def test_every_bound_is_moved_without_scoring_and_none_may_be_off() -> None:
    assert GopherRepetition.verdict_only == BOUNDS
    assert len(BOUNDS) == 13
    operator = GopherRepetition(max_dup_7_gram_ratio=0.5)
    assert GopherRepetition.model_validate(operator.model_dump(mode="json")) == operator
    for wrong in (None, -0.1):
        with pytest.raises(ValidationError):
            GopherRepetition.model_validate({"max_dup_line_ratio": wrong})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one word", "different words", "line feeds", "one chunk", "many documents"])
def test_time_grows_with_the_text_and_not_faster(kind: str) -> None:
    """Four times the text takes less than eight times as long, in CPU time of this thread and at its best of three."""

    def texts(size: int) -> list[str]:
        match kind:
            case "one word":
                return ["word " * size]
            case "different words":
                return [" ".join(f"w{number}" for number in range(size))]
            case "line feeds":
                return ["\n" * size + "a\n" * size]
            case "one chunk":
                return ["ab-" * size]
            case _:
                return ["word"] * size

    def seconds(size: int) -> float:
        taken = []
        table = corpus(texts(size))
        for _ in range(3):
            scans._remembered = ()
            begin = time.thread_time()
            GopherRepetition().bind(Context(0, {}))(table)
            GopherQuality().bind(Context(0, {}))(table)
            taken.append(time.thread_time() - begin)
        return min(taken)

    seconds(10)
    small, large = seconds(100_000), seconds(400_000)
    assert large < 8 * small, f"{small:.3f} s and {large:.3f} s"
