import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fasttext
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RULE, WARNINGS, Context, Operator, RecipeError
from operators.classify import STEPS, Classify, ClassScores, KeptEnds
from operators.exact_dedup import ExactDedup
from operators.train_classifier import TrainClassifier
from tests.operators.fasttext_files import Shape, fasttext_file
from tests.operators.harness import Stored, corpus, deal, run

WORDS = ("good", "fine", "bad", "poor", "the")
TEXTS = [" ".join(WORDS[(number * step) % 5] for step in range(1 + number % 9)) for number in range(60)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny.bin"
    shape = Shape(words=("</s>", *WORDS), labels=("cc", "hq"), most_words=2, dim=7)
    path.write_bytes(fasttext_file(shape))
    return str(path)


def rules(found: Any) -> dict[str, str]:  # noqa: ANN401
    return {row["id"]: row[RULE] for row in found.dropped.to_pylist()} if found.dropped_parts else {}


def scores(operator: Classify) -> ClassScores:
    """The first stage."""
    stage = operator.stages()[0]
    assert isinstance(stage, ClassScores)
    return stage


def test_the_score_is_the_library_s_probability_of_the_label(model: str) -> None:
    table = corpus([*TEXTS, "good\nfine", "\x00 good", "</s> good"])
    oracle = fasttext.load_model(model)
    for label in ("hq", "cc"):
        found = run(Classify(model=model, score_label=label), [table]).kept["score"].to_pylist()
        for text, score in zip(table["text"].to_pylist(), found, strict=True):
            expected = dict(zip(*oracle.predict(text.replace("\n", " "), k=2), strict=True))
            assert score == pytest.approx(min(expected[f"__label__{label}"], 1), abs=1e-5)


def test_a_text_of_which_nothing_is_known_has_no_score_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(fasttext_file(Shape(words=("good",), labels=("hq", "cc"), buckets=0)))
    found = run(Classify(model=str(path), min_score=1, keep_share=0.1), [corpus(["", "what", "good"])])
    assert found.kept["score"].to_pylist()[:2] == [None, None]
    assert set(rules(found)) <= {"d0002"}
    score = scores(Classify(model=str(path))).bind(Context(0, {}))
    assert score(pa.table({"text": pa.array([None], pa.large_string())}))["score"].to_pylist() == [None]
    assert score(pa.table({"text": pa.array([], pa.large_string())})).num_rows == 0


def test_a_score_at_the_bound_is_kept(model: str) -> None:
    table = corpus(TEXTS)
    given = run(Classify(model=model), [table]).kept["score"].to_pylist()
    bound = sorted(given)[len(given) // 2]
    found = run(Classify(model=model, min_score=bound), [table])
    assert set(found.kept["score"].to_pylist()) == {score for score in given if score >= bound}
    assert set(rules(found).values()) == {"score_too_low"}


def kept_by_hand(rows: list[dict[str, Any]], share: float) -> set[str]:
    """The best documents, group by group, until they have that share of the bytes; with all of equal score."""
    kept: set[str] = set()
    for group in {row["source"] for row in rows}:
        mine = sorted((row for row in rows if row["source"] == group), key=lambda row: -row["score"])
        wanted, held, last = share * sum(len(row["text"].encode()) for row in mine), 0, None
        for row in mine:
            if held >= wanted and row["score"] != last:
                break
            held, last = held + len(row["text"].encode()), row["score"]
            kept.add(row["id"])
    return kept


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize("by", ["", "source"])
def test_the_best_share_of_bytes_is_kept(model: str, share: float, by: str) -> None:
    table = corpus(TEXTS)
    sources = pa.array([("a" if number % 3 and by else "b") for number in range(len(TEXTS))])
    table = table.set_column(2, "source", sources)
    scored = run(Classify(model=model), [table]).kept
    expected = kept_by_hand(scored.to_pylist(), share)
    found = run(Classify(model=model, keep_share=share, by=by), [table])
    assert found.kept_ids == expected
    assert set(rules(found).values()) == ({"below_kept_share"} if share < 1 else set())
    for row in found.dropped.to_pylist() if found.dropped_parts else []:
        assert row["value"] < row["threshold"]
    described = json.loads(found.artifacts["percentiles"].read("percentiles.json"))
    held = sum(group["buckets"]["head"]["documents"] for group in described["groups"])
    assert held == len(expected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(texts=st.lists(st.text() | st.sampled_from(TEXTS), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_shards_batches_and_merges_do_not_matter(model: str, texts: list[str], seed: int) -> None:
    table, operator = corpus(texts), Classify(model=model, keep_share=0.4, min_score=0.2)
    one = run(operator, [table])
    other = run(operator, deal(table, 3, seed), shuffle=seed, batch_rows=2)
    assert one.kept_ids == other.kept_ids
    assert one.artifacts["percentiles"].read("percentiles.json") == other.artifacts["percentiles"].read(
        "percentiles.json"
    )
    for score in one.kept["score"].to_pylist():
        assert score is None or (0 <= score <= 1 and score * STEPS == round(score * STEPS))


def test_the_step_s_own_positive_label_is_the_default(model: str) -> None:
    files = {
        "model.bin": Path(model).read_bytes(),
        "metrics.json": json.dumps({"classes": {"positive": {"label": "cc"}, "negative": {"label": "hq"}}}).encode(),
    }
    table = corpus(TEXTS)
    scored = run(Classify(model="quality"), [table], artifacts={"quality": Stored(files)}).kept["score"]
    assert scored == run(Classify(model=model, score_label="cc"), [table]).kept["score"]
    assert scores(Classify(model="quality")).uses() == ("quality",)


def test_a_wrong_model_or_label_is_refused_before_data_is_read(model: str, tmp_path: Path) -> None:
    Classify(model=model).check()
    with pytest.raises(RecipeError, match=r"knows no label 'x'; expected one of: cc hq"):
        Classify(model=model, score_label="x").check()
    other = tmp_path / "other.bin"
    other.write_bytes(fasttext_file(Shape(labels=("ham", "spam"))))
    with pytest.raises(RecipeError, match=r"has no label 'hq', so which is wanted must be said; .* ham spam"):
        Classify(model=str(other)).check()
    other.write_bytes(fasttext_file(Shape())[:-8])
    with pytest.raises(RecipeError, match="is damaged"):
        Classify(model=str(other)).check()
    other.write_bytes(fasttext_file(Shape())[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(RecipeError, match="not finite"):
        Classify(model=str(other)).check()
    with pytest.raises(RecipeError, match="cannot be read: No such file or directory; check the path"):
        Classify(model="no/such.bin").models()
    earlier: Mapping[str, Operator] = {
        "quality": TrainClassifier(positive="good", labels=("yes", "no")),
        "unique": ExactDedup(),
    }
    Classify(model="quality").check_against(earlier)
    with pytest.raises(RecipeError, match="knows no label 'hq'; expected one of: no yes"):
        Classify(model="quality", score_label="hq").check_against(earlier)
    with pytest.raises(RecipeError, match="'unique' is of kind exact_dedup, which leaves no classifier"):
        Classify(model="unique").check_against(earlier)


def test_the_model_s_content_and_not_its_place_is_its_identity(model: str, tmp_path: Path) -> None:
    moved = tmp_path / "other.bin"
    moved.write_bytes(Path(model).read_bytes())
    one, two = (scores(Classify(model=str(path))).identity() for path in (model, moved))
    assert one == two
    assert scores(Classify(model=model, score_label="cc")).identity() != one


@pytest.mark.parametrize("given", [{"keep_share": 0}, {"min_score": 1.1}, {"by": "lang"}, {"model": ""}])
def test_wrong_parameters_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Classify.model_validate({"model": "m.bin", **given})


@pytest.mark.parametrize(("share", "said"), [(0.1, ["keep_share 0.1 keeps 100.0% of the bytes"]), (0.95, [])])
def test_a_share_that_equal_scores_overshoot_is_warned_of(share: float, said: list[str]) -> None:
    fold = KeptEnds(name="percentiles", head=share, middle=0, share_of="bytes", by="", steps=STEPS, sign=-1)
    state = {"group": ["", ""], "score": [-9, -8], "documents": [9, 1], "bytes": [1000, 1]}
    found = fold.finish(pa.table(state), Context(0, {}))
    lines = json.loads(found.get(WARNINGS, b"[]"))
    assert [line.partition(":")[0].replace("99.9%", "100.0%") for line in lines] == said
