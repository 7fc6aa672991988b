"""Operators outside the repository, as a stranger would write them: used by `kind: "toys:Name"`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import (
    ROW,
    ROWS,
    RULE,
    SHARD,
    BatchFn,
    Columns,
    Composite,
    Context,
    Fold,
    Judge,
    Map,
    Outputs,
    Repeat,
    Rule,
)

CALLS: list[tuple[str, int]] = []
"""(operator, rows) of every call of a bound function in this process: what was really computed."""


def called(name: str, rows: pa.Table) -> None:
    """Note a call."""
    CALLS.append((name, rows.num_rows))


class Shout(Map):
    """Rewrites the text: upper case and a suffix."""

    suffix: str = "!"
    rewrites: ClassVar[tuple[str, ...]] = ("text",)

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            called("Shout", rows)
            texts = [text.upper() + self.suffix for text in rows["text"].to_pylist()]
            return pa.table({"text": pa.array(texts, pa.large_string())})

        return apply


class Length(Judge):
    """Drops documents with fewer than `min_chars` characters."""

    min_chars: int = 0
    unit: int = 1
    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_chars"})

    @override
    def adds(self) -> Columns:
        return {"chars": pa.int64()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (Rule("too_short", "chars", low=self.min_chars),)

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            called("Length", rows)
            return pa.table({"chars": pc.cast(pc.divide(pc.utf8_length(rows["text"]), self.unit), pa.int64())})

        return apply


class Secret(Judge):
    """Judges by a score of its own, `_sum`, that nobody else sees."""

    @override
    def adds(self) -> Columns:
        return {"_sum": pa.int64(), "odd": pa.bool_()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            sums = [sum(text.encode()) for text in rows["text"].to_pylist()]
            return pa.table({"_sum": pa.array(sums, pa.int64()), "odd": [number % 2 == 1 for number in sums]})

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        even = pc.equal(pc.bit_wise_and(rows["_sum"], 1), 0)
        return pa.table({RULE: pc.if_else(even, "even_sum", pa.scalar(None, pa.string()))})


class Words(Fold):
    """How often each word occurs; a table `words`, a file `total.json`, and `_private`, which is not published."""

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            called("Words", rows)
            words = [word for text in rows["text"].to_pylist() for word in text.split()]
            state = pa.table({"word": pa.array(words, pa.string()), "count": pa.array([1] * len(words), pa.int64())})
            return self.merge(state)

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        summed = state.group_by("word", use_threads=False).aggregate([("count", "sum")])
        return pa.table({"word": summed["word"], "count": summed["count_sum"]})

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        table = state.sort_by("word")
        total = pc.sum(table["count"]).as_py() or 0
        return {"words": table, "total.json": json.dumps({"total": total}).encode(), "_private": b"not for people"}


class WordsByKey(Words):
    """The same, exchanged by word, finished in one place."""

    key: ClassVar[str] = "word"


class WordsApart(Words):
    """The same, exchanged by word, and its table stays in partitions."""

    key: ClassVar[str] = "word"
    partitioned: ClassVar[bool] = True

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"words": state.sort_by("word")}


class WordsOf(Words):
    """The words of a reference input."""

    reference: str

    @override
    def source(self) -> str:
        return f"input:{self.reference}"


class Known(Map):
    """How many of a document's words the step `vocabulary` knows."""

    vocabulary: str

    @override
    def uses(self) -> tuple[str, ...]:
        return (self.vocabulary,)

    @override
    def adds(self) -> Columns:
        return {"known": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        known = set(context.artifacts[self.vocabulary].table("words")["word"].to_pylist())

        def apply(rows: pa.Table) -> pa.Table:
            called("Known", rows)
            counts = [sum(word in known for word in text.split()) for text in rows["text"].to_pylist()]
            return pa.table({"known": pa.array(counts, pa.int64())})

        return apply


class Unknown(Composite):
    """A fold over a reference and a judge in one step: drops documents without a word of the reference."""

    reference: str
    audit: bool = False

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return WordsOf(name="words", reference=self.reference), Familiar(name="familiar", audit=self.audit)


class Familiar(Judge):
    """The verdict of `Unknown`."""

    @override
    def uses(self) -> tuple[str, ...]:
        return ("words",)

    @override
    def adds(self) -> Columns:
        return {"known": pa.int64()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (Rule("unknown_words", "known", low=1),)

    @override
    def bind(self, context: Context) -> BatchFn:
        known = set(context.artifacts["words"].table("words")["word"].to_pylist())

        def apply(rows: pa.Table) -> pa.Table:
            counts = [sum(word in known for word in text.split()) for text in rows["text"].to_pylist()]
            return pa.table({"known": pa.array(counts, pa.int64())})

        return apply


class LengthsOfWords(Composite):
    """A fold over another fold's table: how many distinct words have each length."""

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return WordsApart(name="counts"), Lengths(name="lengths")


class Lengths(Fold):
    """The second fold of `LengthsOfWords`."""

    @override
    def source(self) -> str:
        return "stage:counts/words"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda words: pa.table(
            {"chars": pc.utf8_length(words["word"]), "words": pa.array([1] * words.num_rows, pa.int64())}
        )

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        summed = state.group_by("chars", use_threads=False).aggregate([("words", "sum")])
        return pa.table({"chars": summed["chars"], "words": summed["words_sum"]})

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"lengths": self.merge(state).sort_by("chars")}


class Labels(Composite):
    """Labels spread over links (columns `node`, `next`) until each node has its component's smallest."""

    max_rounds: int = 50

    @override
    def needs(self) -> Columns:
        return {"node": pa.int64(), "next": pa.int64()}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        repeat = Repeat((Propagate(name="labels"),), until="labels/_changed", max_rounds=self.max_rounds)
        return Start(name="labels"), repeat, Settled(name="settled"), InGroup(name="group")


class Start(Fold):
    """The links in both directions; each node's label is itself. `_where` says which row a node is."""

    @override
    def needs(self) -> Columns:
        return {"node": pa.int64(), "next": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select(["node", "next", ROW])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        node, following = state["node"].to_pylist(), state["next"].to_pylist()
        links = sorted({*zip(node, following, strict=True), *zip(following, node, strict=True)})
        where = {n: (s, r) for n, s, r in zip(node, state[SHARD].to_pylist(), state[ROW].to_pylist(), strict=True)}
        place = [where.get(a, (None, None)) for a, _ in links]
        table = pa.table(
            {
                "node": pa.array([a for a, _ in links], pa.int64()),
                "label": pa.array([a for a, _ in links], pa.int64()),
                "next": pa.array([b for _, b in links], pa.int64()),
                "shard": pa.array([s for s, _ in place], pa.int32()),
                "row": pa.array([r for _, r in place], pa.int32()),
            }
        )
        return {"_state": table}


class Propagate(Fold):
    """One round: every node takes the smallest label among its own and its neighbours'."""

    @override
    def source(self) -> str:
        return "stage:labels/_state"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda state: state

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        label = dict(zip(state["node"].to_pylist(), state["label"].to_pylist(), strict=True))
        least = dict(label)
        for node, following in zip(state["node"].to_pylist(), state["next"].to_pylist(), strict=True):
            least[following] = min(least.get(following, following), label[node])
        new = pa.array([least[node] for node in state["node"].to_pylist()], pa.int64())
        table = state.set_column(1, "label", new).sort_by([("node", "ascending"), ("next", "ascending")])
        changed = [node for node in sorted(least) if least[node] != label.get(node)]
        return {"_state": table, "_changed": pa.table({"node": pa.array(changed, pa.int64())})}


class Settled(Fold):
    """The last labels, published, and handed back to the rows."""

    @override
    def source(self) -> str:
        return "stage:labels/_state"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda state: state

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        known = state.group_by("node", use_threads=False).aggregate(
            [("label", "min"), ("shard", "min"), ("row", "min")]
        )
        rows = known.filter(pc.is_valid(known["shard_min"]))
        back = pa.table({SHARD: rows["shard_min"], ROW: rows["row_min"], "group": rows["label_min"]})
        return {ROWS: back, "labels": pa.table({"node": known["node"], "label": known["label_min"]}).sort_by("node")}


class InGroup(Map):
    """The label as a column."""

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def joins(self) -> str:
        return "settled"

    @override
    def adds(self) -> Columns:
        return {"group": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select(["group"])


class Model(Map):
    """A score that a model file decides; the file's digest is part of the step's identity."""

    path: str
    inert: ClassVar[frozenset[str]] = frozenset({"name", "path"})

    @override
    def models(self) -> Mapping[str, str]:
        return {"weights": hashlib.sha256(Path(self.path).read_bytes()).hexdigest()}

    @override
    def adds(self) -> Columns:
        return {"score": pa.float64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        weight = float(Path(self.path).read_text(encoding="utf-8"))

        def apply(rows: pa.Table) -> pa.Table:
            called("Model", rows)
            return pa.table({"score": pa.array([weight * len(t) for t in rows["text"].to_pylist()], pa.float64())})

        return apply


class Dice(Map):
    """A random number from seed and id."""

    seeded: ClassVar[bool] = True

    @override
    def adds(self) -> Columns:
        return {"number": pa.int64()}

    @override
    def bind(self, context: Context) -> BatchFn:
        def number(name: str) -> int:
            return hashlib.sha256(f"{context.seed}/{name}".encode()).digest()[0]

        return lambda rows: pa.table({"number": pa.array([number(i) for i in rows["id"].to_pylist()], pa.int64())})
