from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from operators.base import BatchFn, Columns, Composite, Context, Fold, Map, Outputs, Repeat
from tests.operators.harness import corpus, run


class Lengths(Fold):
    """The lengths of all texts."""

    def bind(self, context: Context) -> BatchFn:
        return lambda rows: pa.table({"left": pc.utf8_length(rows["text"])})

    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"left": state}


class Halve(Fold):
    """Halves what the last round left, and leaves what is not zero."""

    def source(self) -> str:
        return "stage:halved/left"

    def needs(self) -> Columns:
        return {}

    def bind(self, context: Context) -> BatchFn:
        return lambda left: pa.table({"left": pc.divide(left["left"], 2)})

    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"left": state.filter(pc.greater(state["left"], 0))}


class Halving(Composite):
    rounds: int

    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return Lengths(name="halved"), Repeat((Halve(name="halved"),), "halved/left", self.rounds)


class Greedy(Map):
    """Adds a column that it does not declare."""

    declared: ClassVar[Columns] = {}

    def adds(self) -> Columns:
        return self.declared

    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select(["text"]).rename_columns(["more"])


class Exact(Greedy):
    """Declares it with its type."""

    declared: ClassVar[Columns] = {"more": pa.large_string()}


def test_rounds_end_when_nothing_is_left_and_too_many_fail() -> None:
    shards = [corpus(["12345678"]), corpus(["1", ""])]
    assert run(Halving(rounds=4), shards).artifacts["halved"].table("left").num_rows == 0
    with pytest.raises(AssertionError, match="after 3 rounds"):
        run(Halving(rounds=3), shards)


def test_a_column_must_be_declared() -> None:
    assert run(Exact(), [corpus(["a"])], batch_rows=1).kept["more"].to_pylist() == ["a"]
    with pytest.raises(AssertionError, match="more"):
        run(Greedy(), [corpus(["a"])])


def test_an_operator_takes_a_column_only_where_it_is() -> None:
    class Modest(Exact):
        def takes(self) -> Columns:
            return {"lang": pa.string()}

        def bind(self, context: Context) -> BatchFn:
            return lambda rows: pa.table(
                {"more": pa.array([str("lang" in rows.column_names)] * len(rows), pa.large_string())}
            )

    assert run(Modest(), [corpus(["a"])]).kept["more"].to_pylist() == ["False"]
    assert run(Modest(), [corpus(["a"], lang=["en"])]).kept["more"].to_pylist() == ["True"]


def test_an_operator_sees_only_what_it_needs() -> None:
    class Curious(Exact):
        def needs(self) -> Columns:
            return {"source": pa.string()}

    with pytest.raises(KeyError, match="text"):
        run(Curious(), [corpus(["a"])])
