"""What a person is shown of a step that keeps one document of several: the file `duplicates.json`, of bounded size.

The stages, behind the fold that chose the survivors:

- `chosen` (`operators.duplicate_clusters`): sizes and similarities of all clusters, and a few clusters by name.
- `shown`: over the rows, documents and removed ones by source and `lang`, and the texts of the documents named.
- `duplicates`: the file. The two texts of a pair are cut where they first differ, so that a difference can be seen.

They stand before the verdict and in stages of their own: what they show changes with every new document, and nothing
that follows is computed again for it.

Price: a few kilobytes of state a shard, a file of at most some 300 kB beside the groups' names, and one more pass over
the rows, with `reads_text` over their texts too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Fold, Outputs, TableFold
from operators.duplicate_clusters import Chosen
from operators.groups import summed

READ_CHARS: Final = 20_000
"""Code points of a named document that are looked at; where two texts differ only later, their beginnings are shown."""
SHOWN_CHARS: Final = 600
"""Code points shown of a document."""
LEAD_CHARS: Final = 120
"""Code points shown before the first difference."""
GROUPS: Final = 200
"""Sources, and languages, listed; the others are summed."""

SHOWN: Final = pa.schema(
    [
        ("source", pa.string()),
        ("lang", pa.string()),
        ("documents", pa.int64()),
        ("removed", pa.int64()),
        ("id", pa.string()),
        ("text", pa.large_string()),
    ]
)
"""Rows of `shown`: counts of a source and a language where `id` is null, else a document that is named."""


def summary_stages(of: str, table: str, *, reads_text: bool, rows: str = "") -> tuple[Fold, ...]:
    """The stages for the fold `of`: its `table` has the clusters, its `_rows`, or those of `rows`, a `survivor`."""
    return (
        Chosen(name="chosen", of=f"{of}/{table}"),
        Shown(name="shown", of=rows or of, reads_text=reads_text),
        Duplicates(name="duplicates"),
    )


class Shown(Fold):
    """Counts by source and language, and the texts of what `chosen` named."""

    of: str
    reads_text: bool

    @override
    def joins(self) -> str:
        return self.of

    @override
    def uses(self) -> tuple[str, ...]:
        return ("chosen",)

    @override
    def needs(self) -> Columns:
        return {**(TEXT if self.reads_text else {}), "source": pa.string()}

    @override
    def takes(self) -> Columns:
        return {"lang": pa.null()}

    @override
    def bind(self, context: Context) -> BatchFn:
        table = context.artifacts["chosen"].table("_chosen")
        wanted = pa.array(sorted({*table["id"].to_pylist(), *table["survivor_id"].to_pylist()} - {None}), pa.string())

        def partial(rows: pa.Table) -> pa.Table:
            counts = pa.table(
                {
                    "source": rows["source"].cast(pa.string()),
                    "lang": _language(rows),
                    "documents": pc.if_else(pc.is_valid(rows["id"]), 1, 1).cast(pa.int64()),
                    "removed": pc.is_valid(rows["survivor"]).cast(pa.int64()),
                }
            )
            return pa.concat_tables([_summed(counts), _texts(rows, wanted)])

        return partial

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        is_count = pc.is_null(state["id"])
        texts = state.filter(pc.invert(is_count))
        return pa.concat_tables([_summed(state.filter(is_count)), texts])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        order = [(name, "ascending") for name in ("id", "source", "lang", "text")]
        return {"_shown": self.merge(state).sort_by(order)}


class Duplicates(TableFold):
    """`duplicates.json`; docs/dedup.md says what is in it."""

    @override
    def source(self) -> str:
        return "stage:shown/_shown"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("chosen",)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        chosen = context.artifacts["chosen"].table("_chosen").to_pylist()
        content = summary(chosen, state.to_pylist())
        return {"duplicates.json": f"{json.dumps(content, indent=1)}\n".encode()}


def summary(chosen: list[dict[str, Any]], shown: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of `duplicates.json`, from the rows of `chosen` and `shown`."""
    counts = [row for row in shown if row["id"] is None]
    texts = {row["id"]: row for row in shown if row["id"] is not None}
    sizes = [row for row in chosen if row["what"] == "size"]
    return {
        "documents": sum(row["documents"] for row in counts),
        "removed": sum(row["removed"] for row in counts),
        "clusters": sum(row["clusters"] for row in sizes),
        "sizes": [
            {"least": (1 << row["bucket"] >> 1) + 1, "most": 1 << row["bucket"]}
            | {name: row[name] for name in ("clusters", "documents")}
            for row in sizes
        ],
        "similarity": [
            {"hundredths": row["bucket"], "removed": row["documents"]} for row in chosen if row["what"] == "similarity"
        ],
        "largest": _clusters([row for row in chosen if row["what"] == "largest"], texts),
        "closest": _clusters([row for row in chosen if row["what"] == "closest"], texts),
        "by_source": _groups(counts, "source"),
        "by_lang": _groups(counts, "lang"),
    }


def first_difference(one: str, other: str) -> int:
    """Where an excerpt of both texts should begin: 0, or a little before the first place where they differ.

    What lies before it is the same in both, so both excerpts begin at the same place.

    >>> first_difference("a b c", "a b d"), first_difference("x " * 300 + "a", "x " * 300 + "b")
    (0, 482)
    """
    same = _common(one, other)
    if same < SHOWN_CHARS // 2 or same == max(len(one), len(other)):
        return 0
    start = same - LEAD_CHARS
    space = re.search(r"\s", one[start : same - LEAD_CHARS // 2])
    return start + space.end() if space else start


def _common(one: str, other: str) -> int:
    """How many code points two texts begin with alike, found by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _language(rows: pa.Table) -> pa.Array | pa.ChunkedArray:
    if "lang" not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.string())
    column = rows["lang"]
    readable = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return column.cast(pa.string()) if readable else pa.nulls(rows.num_rows, pa.string())


def _summed(counts: pa.Table) -> pa.Table:
    return _completed(summed(counts.select(["source", "lang", "documents", "removed"]), "source", "lang"))


def _texts(rows: pa.Table, wanted: pa.Array) -> pa.Table:
    named = rows.filter(pc.is_in(rows["id"].cast(pa.string()), value_set=wanted))
    columns = {"id": named["id"].cast(pa.string()), "source": named["source"].cast(pa.string())}
    if "text" in named.column_names:
        columns["text"] = pc.utf8_slice_codeunits(named["text"], 0, READ_CHARS)
    return _completed(pa.table(columns))


def _completed(table: pa.Table) -> pa.Table:
    """The table with every column of `SHOWN`, absent ones null."""
    return pa.table(
        {
            field.name: table[field.name] if field.name in table.column_names else pa.nulls(len(table), field.type)
            for field in SHOWN
        },
        schema=SHOWN,
    )


def _clusters(rows: Iterable[Mapping[str, Any]], texts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The named clusters in order, each with its survivor and a few removed documents beside it."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        survivor = texts.get(row["survivor_id"], {})
        cluster = found.setdefault(
            row["cluster_id"],
            {
                "cluster_id": row["cluster_id"],
                "documents": row["documents"],
                "survivor": {"id": row["survivor_id"], "source": survivor.get("source")},
                "removed": [],
            },
        )
        cluster["removed"].append(_pair(row, texts.get(row["id"], {}), survivor))
    return list(found.values())


def _pair(row: Mapping[str, Any], gone: Mapping[str, Any], survivor: Mapping[str, Any]) -> dict[str, Any]:
    pair: dict[str, Any] = {"id": row["id"], "source": gone.get("source"), "similarity": row["similarity"]}
    text, best = gone.get("text"), survivor.get("text")
    if text is None or best is None:
        return pair
    start = first_difference(text, best)
    end = start + SHOWN_CHARS
    return {**pair, "start": start, "excerpt": text[start:end], "survivor_excerpt": best[start:end]}


def _groups(counts: Iterable[Mapping[str, Any]], by: str) -> dict[str, Any]:
    """Documents and removed ones of each group, those that lost most first; beyond `GROUPS` only their sums."""
    sums: dict[str | None, list[int]] = {}
    for row in counts:
        found = sums.setdefault(row[by], [0, 0])
        found[0] += row["documents"]
        found[1] += row["removed"]
    if by == "lang" and set(sums) == {None}:
        return {"groups": [], "others": 0, "documents": 0, "removed": 0}
    ranked = sorted(sums.items(), key=lambda item: (-item[1][1], -item[1][0], item[0] or ""))
    rest = ranked[GROUPS:]
    return {
        "groups": [
            {"name": name, "documents": documents, "removed": removed} for name, (documents, removed) in ranked[:GROUPS]
        ],
        "others": len(rest),
        "documents": sum(documents for _, (documents, _) in rest),
        "removed": sum(removed for _, (_, removed) in rest),
    }
