"""Draw documents: so many, so many bytes, or a fraction; from the whole corpus or from each group of it.

Every document has a place on [0, 2**64) that is a hash of the recipe's seed and its id; a draw keeps what lies first.
So the draw does not depend on shards or order, a smaller draw is a part of a larger one, and a document that stays in
the corpus keeps its place when others come or go. Two `sample` steps of one recipe share the places unless their
`stream` differs: without that, half of a half would be the same half.

`fraction` needs one pass and is exact only on average. `docs` and `bytes` are exact and take two small passes more: a
histogram of the places' first 16 bits per group finds the one bucket in which the budget ends, and only that bucket's
documents are ranked. A state holds at most 65,536 counters a group, and a 65,536th of the corpus.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import RULE, TEXT, BatchFn, Columns, Composite, Context, Fold, Judge, Map, Outputs, Repeat
from operators.hashing import Words, as_labels, refuse_formless, row_hashes

BUCKETS: Final = 1 << 16
LOW_BITS: Final = np.uint64(48)
LAST: Final = (1 << 64) - 1

Unit = Literal["docs", "bytes"]


class Sample(Composite):
    """Keep exactly `docs` documents, or as many as fit into `bytes`, or about `fraction` of all; drop `not_sampled`.

    With `by`, `docs` and `bytes` hold for each value of that column (null is a value too); a group that has less is
    kept whole. `bytes` counts UTF-8 text and keeps the longest run of documents, in the order of their places, that
    fits: it stops at the first document that does not fit, so the result is below the budget by less than one document.
    """

    kind: Literal["sample"] = "sample"
    docs: int | None = Field(default=None, gt=0, description="documents to keep (of each group)")
    bytes: int | None = Field(default=None, gt=0, description="bytes of text to keep at most (of each group)")
    fraction: float | None = Field(default=None, gt=0, le=1, description="probability with which a document is kept")
    by: str = Field(
        default="", description="column whose values are drawn from one by one; a fraction is the same for all"
    )
    stream: int = Field(default=0, ge=0, description="another number draws independently under the same seed")
    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(default=1.0, gt=0, le=1, description="the run fails if a larger share is dropped")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        sizes = {name: getattr(self, name) for name in ("docs", "bytes", "fraction")}
        given = [f"{name}={value!r}" for name, value in sizes.items() if value is not None]
        if len(given) != 1:
            msg = f"give exactly one of docs, bytes, fraction; got {', '.join(given) or 'none of them'}"
            raise ValueError(msg)
        return self

    @override
    def needs(self) -> Columns:
        return {} if self.fraction is not None else _needs(self.by)

    def refuse(self, columns: Columns) -> None:
        """RecipeError where the values of `by` have no text to group by."""
        refuse_formless(columns, [self.by] if self.by and self.fraction is None else [])

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        judged = {"audit": self.audit, "max_drop_ratio": self.max_drop_ratio}
        if self.fraction is not None:
            return (DrawFraction(name="draw", fraction=self.fraction, stream=self.stream, **judged),)
        unit: Unit = "docs" if self.docs is not None else "bytes"
        budget = self.docs or self.bytes or 0
        common = {"by": self.by, "stream": self.stream}
        return (
            Histogram(name="histogram", unit=unit, budget=budget, **common),
            Ranking(name="ranking", unit=unit, **common),
            DrawBudget(name="draw", **common, **judged),
        )


class _Draw(Judge):
    """A judge over `_drawn`, which only this step sees."""

    stream: int

    seeded: ClassVar[bool] = True

    @override
    def adds(self) -> Columns:
        return {"_drawn": pa.bool_()}

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        rule = pc.if_else(rows["_drawn"], pa.scalar(None, pa.string()), "not_sampled")
        return pa.table({RULE: rule})


class DrawFraction(_Draw):
    """Keep a document whose place lies in the first `fraction` of all places."""

    fraction: float

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        last = np.uint64(max(int(self.fraction * 2.0**64) - 1, 0))
        return lambda rows: pa.table({"_drawn": places(rows, context.seed, self.stream) <= last})


class Histogram(Fold):
    """Documents and bytes per group and per first 16 bits of the place; where in them each group's budget ends.

    Leaves `_ends`: per group the bucket that the budget ends in (65,536 where it does not end), what of the budget is
    left for that bucket, and what lies before it.
    """

    by: str
    stream: int
    unit: Unit
    budget: int

    seeded: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return _needs(self.by)

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            bucket = (places(rows, context.seed, self.stream) >> LOW_BITS).astype(np.int32)
            ones = pa.array(np.ones(rows.num_rows, np.int64))
            counted = pa.table({"group": groups(rows, self.by), "bucket": bucket, "docs": ones, "bytes": sizes(rows)})
            return self.merge(counted)

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        summed = state.group_by(["group", "bucket"], use_threads=False).aggregate([("docs", "sum"), ("bytes", "sum")])
        return summed.select(["group", "bucket", "docs_sum", "bytes_sum"]).rename_columns(state.column_names)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([("group", "ascending"), ("bucket", "ascending")])
        spans = _spans(state["group"])
        bucket = state["bucket"].to_numpy()
        docs, size = state["docs"].to_numpy(), state["bytes"].to_numpy()
        ends = []
        for low, high in spans:
            spent = np.cumsum((docs if self.unit == "docs" else size)[low:high])
            whole = int(np.searchsorted(spent, self.budget, side="right"))
            cut = low + whole
            ends.append(
                {
                    "bucket": int(bucket[cut]) if cut < high else BUCKETS,
                    "left": self.budget - (int(spent[whole - 1]) if whole else 0),
                    "docs_before": int(docs[low:cut].sum()),
                    "bytes_before": int(size[low:cut].sum()),
                    "docs_available": int(docs[low:high].sum()),
                    "bytes_available": int(size[low:high].sum()),
                }
            )
        table = pa.Table.from_pylist(ends, ENDS)
        names = state["group"].take(pa.array([low for low, _ in spans], pa.int64()))
        return {"_ends": table.add_column(0, "group", names)}


class Ranking(Fold):
    """Rank the documents of each group's last bucket; leave `draw`: per group the last place and id that are kept."""

    by: str
    stream: int
    unit: Unit

    seeded: ClassVar[bool] = True

    @override
    def uses(self) -> tuple[str, ...]:
        return ("histogram",)

    @override
    def needs(self) -> Columns:
        return _needs(self.by)

    @override
    def bind(self, context: Context) -> BatchFn:
        ends = context.artifacts["histogram"].table("_ends")

        def partial(rows: pa.Table) -> pa.Table:
            label, place = groups(rows, self.by), places(rows, context.seed, self.stream)
            end = ends["bucket"].take(_index(label, ends["group"])).to_numpy()
            ranked = {"group": label, "place": place, "id": rows["id"].cast(pa.string()), "bytes": sizes(rows)}
            return pa.table(ranked).filter(pa.array((place >> LOW_BITS).astype(np.int64) == end))

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([("group", "ascending"), ("place", "ascending"), ("id", "ascending")])
        spans = dict(_spans(state["group"]))
        ends = context.artifacts["histogram"].table("_ends").sort_by("group")
        first = _index(ends["group"], state["group"]).to_pylist()
        size = state["bytes"].to_numpy()
        drawn = []
        for end, low in zip(ends.to_pylist(), first, strict=True):
            span = size[low : spans[low]] if low is not None else size[:0]
            spent = np.cumsum(span if self.unit == "bytes" else np.ones(span.size, np.int64))
            fitting = int(np.searchsorted(spent, end["left"], side="right"))
            last = state.slice(low + fitting - 1, 1).to_pylist()[0] if fitting else {}
            # Where nothing of the bucket fits, all before it is kept: there is no such place before bucket 0.
            before = (end["bucket"] << int(LOW_BITS)) - 1
            drawn.append(
                {
                    "last_place": last.get("place", before if before >= 0 else None),
                    "last_id": last.get("id"),
                    "docs": end["docs_before"] + fitting,
                    "bytes": end["bytes_before"] + int(span[:fitting].sum()),
                    "docs_available": end["docs_available"],
                    "bytes_available": end["bytes_available"],
                }
            )
        return {"draw": pa.Table.from_pylist(drawn, DRAWN).add_column(0, "group", ends["group"])}


class DrawBudget(_Draw):
    """Keep a document whose (place, id) is not after its group's last."""

    by: str

    @override
    def uses(self) -> tuple[str, ...]:
        return ("ranking",)

    @override
    def needs(self) -> Columns:
        return _needs(self.by)

    @override
    def bind(self, context: Context) -> BatchFn:
        draw = context.artifacts["ranking"].table("draw")

        def apply(rows: pa.Table) -> pa.Table:
            index = _index(groups(rows, self.by), draw["group"])
            place = pa.array(places(rows, context.seed, self.stream))
            last_place, last_id = draw["last_place"].take(index), draw["last_id"].take(index)
            before = pc.less(place, last_place)
            among = pc.fill_null(pc.less_equal(rows["id"].cast(pa.string()), last_id), True)
            drawn = pc.or_(before, pc.and_(pc.equal(place, last_place), among))
            return pa.table({"_drawn": pc.fill_null(drawn, False)})

        return apply


ENDS: Final = pa.schema(
    [("bucket", pa.int64()), ("left", pa.int64())]
    + [(name, pa.int64()) for name in ("docs_before", "bytes_before", "docs_available", "bytes_available")]
)
DRAWN: Final = pa.schema(
    [("last_place", pa.uint64()), ("last_id", pa.string())]
    + [(name, pa.int64()) for name in ("docs", "bytes", "docs_available", "bytes_available")]
)


def places(rows: pa.Table, seed: int, stream: int) -> Words:
    """Each document's place in the order of drawing."""
    return row_hashes(rows["id"], seed, f"sample-{stream}")


def sizes(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Bytes of UTF-8 text."""
    length = pc.binary_length(rows["text"].cast(pa.large_binary()))
    counted: npt.NDArray[np.int64] = length.cast(pa.int64()).to_numpy()
    return counted


def groups(rows: pa.Table, by: str) -> pa.Array:
    """The label of each row's group: the column as strings, "" for all where none is named."""
    return as_labels(rows[by]) if by else pa.nulls(rows.num_rows, pa.string()).fill_null("")


def _needs(by: str) -> Columns:
    return {**({by: pa.null()} if by else {}), **TEXT}


def _index(labels: pa.Array | pa.ChunkedArray, among: pa.ChunkedArray) -> pa.Array:
    """Where each label first stands in `among`; null matches null."""
    values = pa.concat_arrays(among.chunks) if among.num_chunks else pa.array([], pa.string())
    return pc.index_in(labels, value_set=values, skip_nulls=False)


def _spans(group: pa.ChunkedArray) -> list[tuple[int, int]]:
    """The half-open run of each label in a sorted column."""
    codes = pc.dictionary_encode(group, null_encoding="encode").combine_chunks().indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
    return list(zip(starts, [*starts[1:], codes.size], strict=False))
