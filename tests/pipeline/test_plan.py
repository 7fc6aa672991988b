"""Recipes into stages: what runs together, what waits, whose names are known, and what an identity is made of."""

from typing import Any

import pyarrow as pa
import pytest

from operators.base import BatchFn, Columns, Context, Fold, Judge, Map, Operator, RecipeError
from pipeline.columns import fits
from pipeline.plan import Plan, RepeatStage, ShardStage, TableStage, make_plan
from pipeline.recipe import Input, Output, Recipe
from tests.pipeline.engine import Json, Mill

pytestmark = pytest.mark.usefixtures("toys")


def plan_of(mill: Mill, steps: list[Json], columns: dict[str, pa.DataType] | None = None, **more: Any) -> Plan:  # noqa: ANN401
    """The plan of a recipe over inputs with some further columns."""
    return make_plan(mill.recipe(steps, **more), columns or {})


def shape(plan: Plan) -> list[str]:
    """Stages in one line each."""
    found = []
    for stage in plan.stages:
        match stage:
            case ShardStage():
                found.append(f"{stage.source or 'rows'}: {' + '.join(node.name for node in stage.nodes)}")
            case TableStage():
                found.append(f"{stage.source}/{stage.table}: {stage.node.name}")
            case RepeatStage():
                inner = ", ".join(f"{s.source}/{s.table}: {s.node.name}" for s in stage.stages)
                found.append(f"until {stage.source}/{stage.table} is empty, {stage.max_rounds} times: {inner}")
    return found


def test_maps_and_folds_run_together_until_one_needs_a_result(mill: Mill) -> None:
    steps: list[Json] = [
        {"kind": "toys:Length", "name": "a"},
        {"kind": "toys:Words", "name": "b"},
        {"kind": "toys:Shout", "name": "c"},
        {"kind": "toys:Known", "name": "d", "vocabulary": "b"},
        {"kind": "exact_dedup", "name": "e"},
        {"kind": "toys:Length", "name": "f"},
    ]
    assert shape(plan_of(mill, steps)) == [
        "rows: a + b + c",
        "rows: d + e/groups",
        "e/groups/_clusters: e/chosen",
        "rows: e/shown",
        "e/shown/_shown: e/duplicates",
        "rows: e/verdict + f",
    ]


def test_folds_over_tables_and_references_are_stages_of_their_own(mill: Mill) -> None:
    inputs = [*mill.inputs, {"name": "ref", "path": "{home}/ref/*.jsonl", "role": "reference"}]
    steps: list[Json] = [
        {"kind": "toys:Unknown", "name": "u", "reference": "ref"},
        {"kind": "toys:LengthsOfWords", "name": "l"},
        {"kind": "toys:Labels", "name": "r", "max_rounds": 9},
    ]
    columns = {"node": pa.int64(), "next": pa.int64()}
    assert shape(plan_of(mill, steps, columns, inputs=inputs)) == [
        "ref: u/words",
        "rows: u/familiar + l/counts",
        "l/counts/words: l/lengths",
        "rows: r/labels",
        "until r/labels/_changed is empty, 9 times: r/labels/_state: r/labels (repeated)",
        "r/labels/_state: r/settled",
        "rows: r/group",
    ]


def test_the_engine_s_own_steps_come_first(mill: Mill) -> None:
    blocked = mill.home / "block.txt"
    blocked.write_text("x\n", encoding="utf-8")
    inputs = [{**mill.inputs[0], "columns": {"id": "id"}}]
    plan = plan_of(mill, [{"kind": "toys:Length", "name": "a"}], inputs=inputs, exclude_ids=str(blocked))
    assert shape(plan) == ["rows: ingest/ids", "rows: ingest/verdict + exclude_ids + a"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"kind": "toys:Known", "vocabulary": "later"}, {"kind": "toys:Words", "name": "later"}], "uses 'later'"),
        ([{"kind": "toys:Known", "vocabulary": "a"}, {"kind": "toys:Length", "name": "a"}], "uses 'a'"),
        ([{"kind": "toys:WordsOf", "reference": "ref"}], "no input 'ref' with `role: reference`"),
        ([{"kind": "toys:WordsOf", "reference": "docs"}], "no input 'docs' with `role: reference`"),
        ([{"kind": "broken_toys:BadTable", "how": "stage"}], "reads a table of its stage 'nothing'"),
        ([{"kind": "toys:Labels"}], "reads the column 'node', which neither the inputs nor an earlier step have"),
        ([{"kind": "exact_dedup", "column": "nothing"}], "reads the column 'nothing'"),
    ],
    ids=range(7),
)
def test_a_step_that_does_not_fit_is_refused_before_anything_runs(steps: list[Json], message: str, mill: Mill) -> None:
    with pytest.raises(RecipeError, match=message):
        plan_of(mill, steps)


def test_a_column_of_the_wrong_type_is_refused(mill: Mill) -> None:
    with pytest.raises(RecipeError, match=r"reads the column 'node' as int64, but it is string"):
        plan_of(mill, [{"kind": "toys:Labels"}], {"node": pa.string(), "next": pa.int64()})


def test_private_columns_of_two_steps_do_not_meet(mill: Mill) -> None:
    plan = plan_of(mill, [{"kind": "toys:Secret", "name": "a"}, {"kind": "toys:Secret", "name": "b"}])
    assert plan.added() == {
        "_a_sum": (pa.int64(), False),
        "a_odd": (pa.bool_(), True),
        "_b_sum": (pa.int64(), False),
        "b_odd": (pa.bool_(), True),
    }


def identity(mill: Mill, step: Json, **more: Any) -> tuple[str, str]:  # noqa: ANN401
    """Work and verdict of a step."""
    (node,) = plan_of(mill, [step], **more).nodes.values()
    return node.work, node.verdict


def test_names_and_gates_are_no_part_of_an_identity(mill: Mill) -> None:
    plain = identity(mill, {"kind": "toys:Length", "min_chars": 5})
    assert identity(mill, {"kind": "toys:Length", "min_chars": 5, "name": "x", "max_drop_ratio": 0.5}) == plain
    assert identity(mill, {"kind": "toys:Length", "min_chars": 5}, seed=8) == plain


def test_a_threshold_is_part_of_the_verdict_alone(mill: Mill) -> None:
    plain = identity(mill, {"kind": "toys:Length", "min_chars": 5})
    moved = identity(mill, {"kind": "toys:Length", "min_chars": 6})
    scored = identity(mill, {"kind": "toys:Length", "min_chars": 5, "unit": 2})
    assert (moved[0] == plain[0], moved[1] == plain[1]) == (True, False)
    assert (scored[0] == plain[0], scored[1] == plain[1]) == (False, False)


def test_the_seed_is_part_of_what_draws(mill: Mill) -> None:
    assert identity(mill, {"kind": "toys:Dice"}) != identity(mill, {"kind": "toys:Dice"}, seed=8)


def test_a_step_s_fingerprint_holds_what_runs_before_it(mill: Mill) -> None:
    def last(steps: list[Json]) -> str:
        return plan_of(mill, steps).fingerprint("z")

    tail: Json = {"kind": "toys:Words", "name": "z"}
    alone = last([tail])
    after = last([{"kind": "toys:Length", "min_chars": 5}, tail])
    assert alone != after != last([{"kind": "toys:Length", "min_chars": 6}, tail])
    assert after == last([{"kind": "toys:Length", "min_chars": 5, "name": "other"}, tail])


@pytest.mark.parametrize(
    ("have", "want", "fitting"),
    [
        (pa.string(), pa.large_string(), True),
        (pa.int32(), pa.int64(), True),
        (pa.int64(), pa.int32(), False),
        (pa.int64(), pa.float64(), True),
        (pa.float64(), pa.int64(), False),
        (pa.list_(pa.int8()), pa.null(), True),
        (pa.null(), pa.string(), True),
        (pa.binary(), pa.string(), False),
        (pa.bool_(), pa.int64(), False),
    ],
)
def test_types_fit_where_nothing_is_lost(have: pa.DataType, want: pa.DataType, fitting: bool) -> None:
    assert fits(have, want) == fitting


def _unfinished() -> list[tuple[Operator, str]]:
    class NoBind(Map):
        def adds(self) -> Columns:
            return {"x": pa.int64()}

    class NothingAdded(Map):
        def bind(self, context: Context) -> BatchFn:
            return lambda rows: rows.select([])

    class NoRules(Judge):
        pass

    class NoFinish(Fold):
        def bind(self, context: Context) -> BatchFn:
            return lambda rows: rows

    return [(NoBind(), "bind"), (NothingAdded(), "adds"), (NoRules(), "rules or judge"), (NoFinish(), "finish")]


@pytest.mark.parametrize(("step", "lacks"), _unfinished(), ids=lambda value: str(value)[:20])
def test_an_operator_that_lacks_its_function_is_refused_before_any_data(step: Operator, lacks: str) -> None:
    recipe = Recipe(name="r", inputs=(Input(name="i", path="x.jsonl"),), steps=(step,), outputs=Output(path="out"))
    with pytest.raises(RecipeError, match=f"defines no {lacks}"):
        make_plan(recipe)


def test_of_two_steps_that_name_the_language_the_second_is_refused_with_what_can_be_done(mill: Mill) -> None:
    steps: list[Json] = [{"kind": "language_id"}, {"kind": "language_id", "name": "again"}]
    with pytest.raises(RecipeError, match="'lang', which is already there and takes no step's name: a recipe has one"):
        plan_of(mill, steps)
