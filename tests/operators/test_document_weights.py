"""How often a document counts: any integer type, once where nothing is said, and nothing below 0."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from operators.base import DataError, RecipeError
from operators.corpus_stats import CorpusStats
from operators.document_weights import MOST, refuse_weights, weights_of
from operators.pretoken_counts import PretokenCounts
from operators.token_sequences import Sequences
from operators.training_corpus import TrainingCorpus
from pipeline.plan import make_plan
from tests.operators.harness import corpus, run
from tests.pipeline.engine import Json, Mill

INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
SEQUENCES = Sequences(step="tok", min_length=1, max_length=2, next_token=False, end_token="")
REMEDY = re.escape("rename an input's column of that name (inputs: columns: rename: {repeat: other_repeat})")


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_any_integer_type_is_read_and_a_null_counts_once(kind: pa.DataType) -> None:
    rows = corpus(["a", "b", "c"], repeat=pa.array([3, None, 0], kind))
    assert weights_of(rows).tolist() == [3, 1, 0]
    refuse_weights({"repeat": kind})


def test_a_column_of_nothing_but_nulls_says_nothing() -> None:
    assert weights_of(corpus(["a", "b"], repeat=pa.nulls(2))).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("kind", "value"),
    [(pa.int8(), -1), (pa.int64(), -5), (pa.int64(), MOST + 1), (pa.uint64(), 2**64 - 1)],
    ids=str,
)
def test_what_is_no_number_of_times_names_the_document(kind: pa.DataType, value: int) -> None:
    with pytest.raises(DataError, match=f"document 'd0001' has {value} in the column 'repeat'.*{REMEDY}"):
        weights_of(corpus(["a", "b"], repeat=pa.array([1, value], kind)))
    assert weights_of(corpus(["a"], repeat=pa.array([MOST]))).tolist() == [MOST]


@pytest.mark.parametrize("kind", [pa.string(), pa.float64(), pa.bool_(), pa.list_(pa.int32())], ids=str)
def test_what_is_no_whole_number_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(RecipeError, match=f"the column 'repeat' is .*{REMEDY}"):
        refuse_weights({"repeat": kind})
    with pytest.raises(RecipeError, match=r"the column 'n' is .*rename: \{n: other_n\}"):
        CorpusStats(repeat="n").refuse({"n": kind})
    for stage in (PretokenCounts(pretokenizer="gpt2"), TrainingCorpus(), SEQUENCES):
        with pytest.raises(RecipeError, match="the column 'repeat' is"):
            stage.refuse({"repeat": kind})


def test_counts_of_a_corpus_heed_other_types_and_nulls() -> None:
    rows = corpus(["a", "bb"], n=pa.array([2, None], pa.int64()))
    stats = json.loads(run(CorpusStats(repeat="n"), [rows]).artifacts["corpus_stats"].read("stats.json"))
    assert (stats["documents"], stats["bytes"]) == (3, 4)


TRAINING = {"kind": "train_tokenizer", "name": "tok", "pretokenizer": "gpt2", "vocab_sizes": [260]}


def test_a_column_of_the_corpus_s_own_is_heeded(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"text": "ab ab", "repeat": 3}, {"text": "cd", "repeat": None}, {"text": "ef"}])
    ran = mill.run([TRAINING])
    corpus = json.loads((ran.version / "artifacts/tok/training.json").read_text(encoding="utf-8"))["corpus"]
    assert (corpus["documents"], corpus["bytes"]) == (5, 3 * 5 + 2 + 2)


def test_a_column_that_means_something_else_is_refused_with_the_remedy(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("a", [{"id": "x", "text": "ab", "repeat": -1}])
    with pytest.raises(DataError, match=f"'tok'.*document 'x' has -1 in the column 'repeat'.*{REMEDY}"):
        mill.run([TRAINING])
    mill.jsonl("a", [{"id": "x", "text": "ab", "repeat": "never"}])
    with pytest.raises(RecipeError, match=f"step 'tok': the column 'repeat' is string.*{REMEDY}"):
        mill.run([TRAINING], out="other")
    inputs = [{**mill.inputs[0], "columns": {"rename": {"repeat": "other_repeat"}}}]
    assert mill.run([TRAINING], out="renamed", inputs=inputs).manifest["steps"]


CHOOSING = (
    {"kind": "importance_resample", "target": {"column": "lang", "in": ["de"]}, "select": {"docs": 1}},
    {"kind": "facility_location", "select": {"docs": 1}},
    {"kind": "k_center", "select": {"docs": 1}},
    {"kind": "mix", "by": "lang", "temperature": 2},
)


@pytest.mark.parametrize("step", CHOOSING, ids=lambda step: step["kind"])
def test_a_step_that_would_not_heed_the_counts_of_a_mixture_is_refused(step: Json, tmp_path: Path) -> None:
    mix: Json = {"kind": "mix", "name": "mixed", "by": "lang", "temperature": 1, "max_epochs": 2}
    columns = {"lang": pa.string()}
    with pytest.raises(RecipeError, match=f"step {step['kind']!r}: .*column 'repeat'.*: mix last, and once"):
        make_plan(Mill(tmp_path).recipe([mix, step]), columns)
    make_plan(Mill(tmp_path).recipe([step, mix]), columns)
    make_plan(Mill(tmp_path).recipe([mix, {"kind": "sample", "docs": 1}]), columns)
