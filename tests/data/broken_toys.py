"""Operators that break their contracts, their workers, or our patience: used by `kind: "broken_toys:Name"`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from operators.base import RULE, BatchFn, Columns, Composite, Context, Fold, Judge, Map, Outputs, Repeat
from tests.data.toys import Lengths, Words, WordsApart


class Broken(Map):
    """Breaks its contract in the way that `how` says, at documents that contain `at`."""

    how: str = Field(default="raise")
    at: str = "poison"

    @override
    def adds(self) -> Columns:
        return {"score": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        if self.how == "bind":
            msg = "no such thing as a weight"
            raise LookupError(msg)

        def apply(rows: pa.Table) -> pa.Table:
            scores = pa.array(np.arange(rows.num_rows), pa.int64())
            if any(self.at in text for text in rows["text"].to_pylist()):
                match self.how:
                    case "raise":
                        msg = f"cannot digest {self.at}"
                        raise ValueError(msg)
                    case "exit":
                        raise SystemExit(0)
                    case "nothing":
                        return None
                    case "rows":
                        return pa.table({"score": scores.slice(1)})
                    case "columns":
                        return pa.table({"score": scores, "extra": scores})
                    case "type":
                        return pa.table({"score": rows["text"]})
            return pa.table({"score": scores})

        return apply


class NoText(Map):
    """Rewrites a document to nothing at all, which is refused."""

    rewrites: ClassVar[tuple[str, ...]] = ("text",)

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: pa.table({"text": pa.nulls(rows.num_rows, pa.large_string())})


class BadVerdict(Judge):
    """Gives no rule, or too few verdicts."""

    how: str

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select([])

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        if self.how == "no_rule":
            return pa.table({"value": pa.nulls(rows.num_rows, pa.float64())})
        return pa.table({RULE: pa.nulls(rows.num_rows - 1, pa.string())})


class NullKey(Words):
    """A keyed state with a null key, or without its key."""

    key: ClassVar[str] = "word"
    drop: bool = False

    @override
    def bind(self, context: Context) -> BatchFn:
        state = pa.table({"word": pa.array([None, "a"], pa.string()), "count": pa.array([1, 2], pa.int64())})
        return lambda rows: state.drop_columns(["word"]) if self.drop else state


class BadMerge(Words):
    """Fails where states are merged."""

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return state

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        msg = "no sum"
        raise ArithmeticError(msg)


class BadTable(Composite):
    """Fails where a table of an earlier stage is read, or reads one that is not there."""

    how: str = "raise"

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return WordsApart(name="counts"), Misreads(name="misreads", how=self.how)


class Misreads(Lengths):
    """The second fold of `BadTable`."""

    how: str

    @override
    def source(self) -> str:
        return {"stage": "stage:nothing/words", "table": "stage:counts/nothing"}.get(self.how, "stage:counts/words")

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(words: pa.Table) -> pa.Table:
            msg = "no lengths today"
            raise ValueError(msg)

        return apply


class Dies(Map):
    """Kills the worker that runs it: at every document, or only until the file `spared` exists."""

    spared: str = ""

    @override
    def adds(self) -> Columns:
        return {"survived": pa.bool_()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            if not self.spared or not Path(self.spared).exists():
                if self.spared:
                    Path(self.spared).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return pa.table({"survived": pa.array([True] * rows.num_rows)})

        return apply


class Waits(Map):
    """Works until the file `until` exists."""

    until: str

    @override
    def adds(self) -> Columns:
        return {"waited": pa.bool_()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            while not Path(self.until).exists():
                time.sleep(0.02)
            return pa.table({"waited": pa.array([True] * rows.num_rows)})

        return apply
