"""The stages of `decontaminate`: what each document has of the evaluation items, every hit, their sum, the verdict.

`operators/evaluation_items.py` says what an item's n-grams are and finds them; here they become scores, the tables
`hits` and `summary.json`, and rules.
"""

from __future__ import annotations

import json
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import RULE, BatchFn, Columns, Context, Fold, Judge, Map, Operator, Outputs, Rule, first_failure
from operators.evaluation_items import ITEMS, Index, Items, documents_of, index_of, matches_of
from operators.groups import joined, starts_of, summed

SUMMARY: Final = "summary.json"
HITS: Final = "hits"
FREQUENT: Final = "_frequent"

SCORES: Final[Columns] = {"overlap": pa.float64(), "hits": pa.int64(), "contained": pa.float64()}
"""What is published of a document; the stages read copies whose names begin with "_"."""

_LISTS: Final[Columns] = {
    "_items": pa.large_list(pa.int64()),
    "_ngrams": pa.large_list(pa.int64()),
    "_shares": pa.large_list(pa.float64()),
}
_HITS: Final = pa.schema([("id", pa.string()), ("item", pa.int64()), ("ngrams", pa.int64()), ("share", pa.float64())])
_FREQUENT: Final = pa.schema([("gram", pa.int64()), ("documents", pa.int64())])
_STATE: Final = pa.schema(
    [("item", pa.int64()), ("share", pa.float64()), ("documents", pa.int64()), ("documents_dropped", pa.int64())]
)


class Bounds(Judge):
    """What drops a document."""

    max_contained: float | None = 0.5
    max_overlap: float | None = 0.5
    max_hits: int | None = None

    verdict_only: ClassVar[frozenset[str]] = frozenset({"max_contained", "max_overlap", "max_hits"})
    hidden_as: ClassVar[str] = "_"

    @override
    def rules(self) -> tuple[Rule, ...]:
        return bounds(self.max_contained, self.max_overlap, self.max_hits)


def bounds(max_contained: float | None, max_overlap: float | None, max_hits: int | None) -> tuple[Rule, ...]:
    """The rules over the hidden scores that have a bound."""
    rules = (
        Rule("holds_evaluation_item", "_contained", high=max_contained),
        Rule("evaluation_text", "_overlap", high=max_overlap),
        Rule("evaluation_ngrams", "_hits", high=max_hits),
    )
    return tuple(rule for rule in rules if rule.high is not None)


class Sought(Operator):
    """What the stages know that look for n-grams of items."""

    references: tuple[str, ...]
    ngram: int
    min_words: int
    max_items: int | None
    ignore_frequent: int | None = None

    @override
    def uses(self) -> tuple[str, ...]:
        return (*stage_names(self.references), *(() if self.ignore_frequent is None else ("frequent",)))

    def tables(self, context: Context) -> list[pa.Table]:
        """The items of each reference."""
        return [context.artifacts[name].table(ITEMS) for name in stage_names(self.references)]

    def index(self, context: Context) -> Index:
        """What is sought: the n-grams of all items, without those that are ignored."""
        ignored = None
        if "frequent" in context.artifacts:
            ignored = context.artifacts["frequent"].table(FREQUENT)["gram"].to_numpy()
        return index_of(self.tables(context), self.ngram, self.min_words, self.max_items, ignored)


class FrequentNgrams(Sought, Fold):
    """The n-grams of items that more than `ignore_frequent` documents hold; a state has a row for each that is held."""

    @override
    def uses(self) -> tuple[str, ...]:
        return stage_names(self.references)

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.scans import scan_texts

        index = self.index(context)

        def apply(rows: pa.Table) -> pa.Table:
            return pa.table(list(documents_of(scan_texts(rows["text"], "standard"), index)), schema=_FREQUENT)

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, "gram")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        assert self.ignore_frequent is not None
        return {FREQUENT: state.filter(pc.greater(state["documents"], self.ignore_frequent)).sort_by("gram")}


class ItemScores(Sought, Map):
    """What each document has of the items: scores for people, and hidden copies and lists for the later stages."""

    @override
    def adds(self) -> Columns:
        hidden = {f"_{name}": kind for name, kind in SCORES.items()}
        return {**SCORES, **hidden, **_LISTS, "_reference": pa.string(), "_item": pa.string()}

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.scans import scan_texts

        index, items = self.index(context), Items(self.tables(context))

        def apply(rows: pa.Table) -> pa.Table:
            found = matches_of(scan_texts(rows["text"], "standard"), index)
            share = found.ngrams / index.sizes[found.item]
            most, contained = _most(found.document, share, rows.num_rows)
            is_empty = found.num_words == 0
            item = pa.array(np.append(found.item, 0)[most], mask=most == len(share))
            scores: dict[str, pa.Array] = {
                "overlap": pa.array(found.covered / np.maximum(found.num_words, 1), mask=is_empty),
                "hits": pa.array(found.hits),
                "contained": pa.array(contained, mask=is_empty),
            }
            starts = np.searchsorted(found.document, np.arange(rows.num_rows + 1))
            lists = dict(zip(_LISTS, (found.item, found.ngrams, share), strict=True))
            columns = {
                **scores,
                **{f"_{name}": values for name, values in scores.items()},
                **{name: pa.LargeListArray.from_arrays(starts, pa.array(values)) for name, values in lists.items()},
                "_reference": items.references(self.references, item),
                "_item": items.ids(item),
            }
            return pa.table({name: columns[name] for name in self.adds()})

        return apply


class ItemHits(Fold):
    """Every document and item that share an n-gram, to `hits`, whose parts are sorted by document and item."""

    references: tuple[str, ...]

    key: ClassVar[str] = "id"
    partitioned: ClassVar[bool] = True

    @override
    def uses(self) -> tuple[str, ...]:
        return stage_names(self.references)

    @override
    def needs(self) -> Columns:
        return _LISTS

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            ids = rows["id"].cast(pa.string()).take(pc.list_parent_indices(joined(rows["_items"])))
            return pa.table([ids, *(pc.list_flatten(rows[name]) for name in _LISTS)], schema=_HITS)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([("id", "ascending"), ("item", "ascending")])
        items = Items([context.artifacts[name].table(ITEMS) for name in self.uses()])
        hits = {
            "id": state["id"],
            "reference": items.references(self.references, state["item"]),
            "item": items.ids(state["item"]),
            "ngrams": state["ngrams"],
            "share": state["share"],
        }
        return {HITS: pa.table(hits)}


class HitSummary(Sought, Fold):
    """What the hits come to, by reference: `summary.json`. A state has a row for each item that is hit."""

    max_contained: float | None
    max_overlap: float | None
    max_hits: int | None

    @override
    def needs(self) -> Columns:
        return {**{f"_{name}": kind for name, kind in SCORES.items()}, **_LISTS}

    @override
    def bind(self, context: Context) -> BatchFn:
        owners = Items(self.tables(context)).owners
        rules = bounds(self.max_contained, self.max_overlap, self.max_hits)

        def apply(rows: pa.Table) -> pa.Table:
            lost = pc.is_valid(first_failure(rows, rules)[RULE]).to_numpy()
            document = pc.list_parent_indices(joined(rows["_items"])).to_numpy()
            item, share = (pc.list_flatten(rows[name]).to_numpy() for name in ("_items", "_shares"))
            most, _ = _most(document, share, rows.num_rows)
            is_most = np.isin(np.arange(len(item)), most)
            columns = [item, share, starts_of(document, owners[item]), is_most & lost[document]]
            return self.merge(pa.table(columns, _STATE.names).cast(_STATE))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        sums = [("share", "max"), ("documents", "sum"), ("documents_dropped", "sum")]
        return state.group_by("item", use_threads=False).aggregate(sums).rename_columns(_STATE.names)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        tables = self.tables(context)
        sizes, owners = self.index(context).sizes, Items(tables).owners
        state = self.merge(state)
        owner = owners[state["item"].to_numpy()]
        said = []
        for number, reference in enumerate(self.references):
            items = tables[number].num_rows
            counts = {"items": items, "items_without_ngrams": int((sizes[owners == number] == 0).sum())}
            counts |= self._counted(state.filter(pa.array(owner == number)))
            shares = {
                f"share_{name}": counts[f"items_{name}"] / items if items else None for name in ("hit", "contaminated")
            }
            said.append({"reference": reference, **counts, **shares})
        content: dict[str, object] = {"ngram": self.ngram, "min_words": self.min_words, "max_items": self.max_items}
        if self.ignore_frequent is not None:
            content["ignore_frequent"] = self.ignore_frequent
            content["frequent_ngrams"] = context.artifacts["frequent"].table(FREQUENT).num_rows
        content["references"] = said
        return {SUMMARY: json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"}

    def _counted(self, state: pa.Table) -> dict[str, int]:
        """Items by the largest share of their n-grams in one document, and documents."""
        share = state["share"].to_numpy()
        return {
            "items_hit": len(share),
            "items_contaminated": int((share > (self.max_contained or 0)).sum()),
            "items_whole": int((share == 1).sum()),
            **{name: pc.sum(state[name]).as_py() or 0 for name in ("documents", "documents_dropped")},
        }


class ItemVerdict(Bounds):
    """The rules; `detail` names the item of which the document holds most."""

    @override
    def needs(self) -> Columns:
        hidden = {f"_{name}": kind for name, kind in SCORES.items()}
        return {**hidden, "_reference": pa.string(), "_item": pa.string()}

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda rows: rows.select([])

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        verdict = first_failure(rows, self.rules())
        lost = pc.indices_nonzero(pc.is_valid(verdict[RULE]))
        details: list[str | None] = [None] * rows.num_rows
        shown = rows.select(["_reference", "_item", "_contained", "_overlap", "_hits"]).take(lost)
        for place, row in zip(lost.to_pylist(), shown.to_pylist(), strict=True):
            details[place] = json.dumps({name[1:]: value for name, value in row.items()}, ensure_ascii=False)
        return verdict.append_column("detail", pa.array(details, pa.string()))


def stage_names(references: tuple[str, ...]) -> tuple[str, ...]:
    """The stages that read the items, in the order of the references, which is also that of the names."""
    return tuple(f"items{number:04}" for number in range(len(references)))


def _most(document: np.ndarray, share: np.ndarray, documents: int) -> tuple[np.ndarray, np.ndarray]:
    """For each document its entry with the largest share, the first of several (else the number of entries), and it."""
    order = np.lexsort((np.arange(len(share)), -share, document))
    places = np.searchsorted(document[order], np.arange(documents))
    has = np.isin(np.arange(documents), document)
    most = np.where(has, np.append(order, len(share))[np.minimum(places, len(share))], len(share))
    return most, np.where(has, np.append(share, 0)[most], 0.0)
