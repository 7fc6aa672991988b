"""One shard through one stage: score what is not yet scored, judge, select, and fold. Runs in a worker.

A result lies under a key made of what it was computed from, so a task that runs twice writes the same files, and a
driver that finds a result does not send the task at all.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import ROW, RULE, SHARD, BatchFn, Context, Fold, Judge, Map, RecipeError, RunError, fingerprint
from pipeline.artifacts import StoredArtifact, StoredOutputs
from pipeline.columns import fits, read_name
from pipeline.corpus import PATH, POSITION, Frame, Layer, View, align
from pipeline.exchange import State, key_buckets, write_state
from pipeline.ledger import REVISION, NodeCounts, count_by_source
from pipeline.plan import VERDICT, Node
from pipeline.score_counts import Judged, explore, is_score
from pipeline.step_errors import named, naming
from pipeline.storage import Store, arrow_bytes, read_arrow
from pipeline.thresholds import CELLS, GROUPS
from pipeline.vault import DamagedError, Vault
from pipeline.verdicts import as_type, complete, culprit_of, examples_of, trace_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANG: Final = "lang"
"""The column by which scores are counted beside `source`, where the rows have it."""
_BOUND: dict[str, BatchFn] = {}


@dataclass(frozen=True)
class ShardItem:
    """A shard's view, and its slice of every fold result that the stage joins (None: no rows for this shard)."""

    index: int
    label: str
    view: View
    slices: dict[str, State]


@dataclass(frozen=True)
class ShardTask:
    """What a worker needs to run a stage on any shard.

    `schema` is that of the whole run; `later` has, per node, the columns in it that are not there yet. `artifacts`
    holds, per node, what each used name left; `joined` the columns of each fold whose rows are joined.
    """

    root: str
    nodes: tuple[Node, ...]
    schema: pa.Schema
    later: dict[str, frozenset[str]]
    artifacts: dict[str, dict[str, StoredOutputs]]
    joined: dict[str, pa.Schema]

    def name_of(self, item: ShardItem) -> str:
        """Where the descriptor lies."""
        return result_name(self.key(item))

    def key(self, item: ShardItem) -> str:
        """The result's identity: the nodes' work and verdicts, the shard's content, slices and artifacts."""
        # Whatever the nodes read: traces, counts and sizes are made of these.
        needed = dict.fromkeys(("id", "source", "text"), "")
        if LANG in item.view.columns:  # What an input brings is in the shard's digest.
            needed[LANG] = ""
        made: set[str] = set()
        for node in self.nodes:
            needed.update({n: t for n, t in self.needed(node).items() if n not in made})
            made.update(node.columns.values())
        nodes = [[node.work, node.verdict, *self.inputs(node, item)] for node in self.nodes]
        return fingerprint([REVISION, nodes, item.view.digest(list(needed.items()))])

    def inputs(self, node: Node, item: ShardItem) -> list[str]:
        """Digests of what a node reads besides the rows."""
        joined = item.slices.get(node.joins)
        used = self.artifacts.get(node.name, {})
        return [joined.digest if joined else "", *(used[name].digest for name in sorted(used))]

    def needed(self, node: Node) -> dict[str, str]:
        """The columns that a node reads from the rows, by their public names, with their types as text."""
        there = [name for name in self.schema.names if name not in self.later[node.name]]
        names = [read_name(node.step, name, there) for name in read_columns(node.operator)]
        return {name: str(self.schema.field(name).type) for name in names if name in there}

    def __call__(self, item: ShardItem) -> dict[str, Any]:
        """Run the nodes in order and commit the result; returns its descriptor."""
        worker = _ShardRun(self, item)
        for place, node in enumerate(self.nodes):
            worker.run(place, node)
        return worker.commit()


class _ShardRun:
    """The state of one task: the frame, what was dropped so far, and the counts of each node."""

    def __init__(self, task: ShardTask, item: ShardItem) -> None:
        self.task = task
        self.item = item
        self.store = Vault(task.root)
        self.frame = Frame(self.store, item.view, task.schema)
        self.num_bytes = item.view.num_bytes
        self.dropped: list[pa.Table] = []
        self.results: list[dict[str, Any]] = []

    def run(self, place: int, node: Node) -> None:
        """Run one node and note its counts and files."""
        begin = time.perf_counter()
        counts = NodeCounts(
            rows_in=len(self.frame), rows_out=len(self.frame), bytes_in=self.num_bytes, bytes_out=self.num_bytes
        )
        result: dict[str, Any] = {"layers": []}
        operator = node.operator
        if isinstance(operator, Fold):
            result["state"] = self._fold(node, operator, counts).to_json()
        else:
            self._map(node, operator, counts, result)
            if isinstance(operator, Judge):
                self._judge(place, node, operator, counts, result)
        counts.seconds = time.perf_counter() - begin
        result["counts"] = counts.to_json()
        self.results.append(result)

    def commit(self) -> dict[str, Any]:
        """Write the selection, the dropped rows and the descriptor."""
        view = self.frame.view
        if view.selection and view.selection != self.item.view.selection:
            self.store.write(view.selection, arrow_bytes(self.frame.row_table()))
        key = self.task.key(self.item)
        dropped = ""
        if self.dropped:
            dropped = f"dropped/{key[:2]}/{key}.arrow"
            self.store.write(dropped, arrow_bytes(pa.concat_tables(self.dropped)))
        result = {
            "nodes": self.results,
            "dropped": dropped,
            "num_dropped": sum(table.num_rows for table in self.dropped),
            "selection": [view.selection, view.digest_of_selection, view.num_rows, view.num_bytes],
        }
        self.store.write_json(result_name(key), {**result, "holds": self.store.written})
        return result

    def _map(self, node: Node, operator: Map, counts: NodeCounts, result: dict[str, Any]) -> None:
        """Compute the node's columns for the rows that have none yet, and put them beside the rows."""
        stored = [*operator.adds(), *type(operator).rewrites]
        if not stored:
            return
        key = self._layer_key(node)
        file = f"layers/{node.work[:16]}/{key[:32]}.arrow"
        have = self._layer(file)
        missing = (
            self.frame.rows if have is None else np.setdiff1d(self.frame.rows, have[ROW].to_numpy(), assume_unique=True)
        )
        counts.rows_computed = len(missing)
        if len(missing) or have is None:
            fresh = self._compute(node, operator, missing, stored)
            have = fresh if have is None else pa.concat_tables([have, fresh]).sort_by(ROW)
            self.store.write(file, arrow_bytes(have))
        mine = align(have, self.frame.rows)
        if type(operator).rewrites:
            self._note_rewrite(operator, mine, counts)
        self._put(node, Layer(file, key), mine, stored, result)
        self.frame.view = replace(self.frame.view, num_bytes=self.num_bytes)

    def _layer(self, file: str) -> pa.Table | None:
        """What was computed for this shard before; None where nothing was, or where it is damaged."""
        try:
            table = read_arrow(self.store, file)
        except DamagedError:
            return None
        self.store.vouch(file)
        return table

    def _put(self, node: Node, layer: Layer, mine: pa.Table, stored: list[str], result: dict[str, Any]) -> None:
        """Add a layer to the view and its columns to the frame, under their public names."""
        result["layers"].append([layer.file, layer.key, stored])
        names = {node.public(name): name for name in stored}
        self.frame.put(self.frame.view.with_layer(layer, names), {public: mine[name] for public, name in names.items()})

    def _layer_key(self, node: Node) -> str:
        view = replace(self.frame.view, digest_of_selection="")
        needed = self.task.needed(node)
        return fingerprint([node.work, view.digest(list(needed.items())), self.task.inputs(node, self.item)])

    def _compute(self, node: Node, operator: Map, rows: NDArray[np.int32], stored: list[str]) -> pa.Table:
        table = self._rows_table(node)
        if len(rows) != len(self.frame):
            table = table.filter(pa.array(np.isin(self.frame.rows, rows, assume_unique=True)))
        added = self._call(node, self._bound(node), table)
        kinds = {**operator.adds(), **{name: pa.large_string() for name in type(operator).rewrites}}
        if not isinstance(added, pa.Table):
            raise RunError(f"step {node.step!r} returned {added!r:.80} for {self.item.label}, but a table was expected")
        if added.num_rows != len(rows) or set(added.column_names) != set(stored):
            raise RunError(
                f"step {node.step!r} returned {added.num_rows} rows with {added.column_names} for {self.item.label}, "
                f"but {len(rows)} rows with {stored} were expected"
            )
        columns = {}
        for name in stored:
            try:
                columns[name] = as_type(added[name], kinds[name])
            except pa.ArrowException as error:
                raise RunError(
                    f"step {node.step!r} returned the column {name!r} as {added[name].type} for {self.item.label}, but "
                    f"declares {kinds[name]}: {error}"
                ) from error
            if name == "text" and columns[name].null_count:
                first = table["id"].filter(pc.is_null(columns[name]))[0]
                raise RunError(
                    f"step {node.step!r} returned no text for document {str(first)!r} of {self.item.label}; "
                    "a text may become empty, but not null"
                )
        return pa.table({ROW: pa.array(rows, pa.int32()), **columns})

    def _note_rewrite(self, operator: Map, mine: pa.Table, counts: NodeCounts) -> None:
        for name in type(operator).rewrites:
            old, new = self.frame.table([name])[name], mine[name]
            lengths = pc.binary_length(new)
            changed = pc.fill_null(pc.not_equal(old, new), fill_value=True)
            counts.bytes_rewritten += pc.sum(lengths.filter(changed)).as_py() or 0
            if name == "text":
                self.num_bytes = pc.sum(lengths).as_py() or 0
                counts.bytes_out = self.num_bytes

    def _judge(self, place: int, node: Node, operator: Judge, counts: NodeCounts, result: dict[str, Any]) -> None:
        local = {public: name for name, public in node.columns.items()}
        rows = self._rows_table(node)
        if local:
            scores = self.frame.table(local)
            for public, name in local.items():
                rows = rows.append_column(name, scores[public])
        self._count_scores(node, operator, rows, counts)
        verdict = self._call(node, operator.judge, rows)
        if verdict.num_rows != rows.num_rows or RULE not in verdict.column_names:
            raise RunError(
                f"step {node.step!r} judged {rows.num_rows} rows of {self.item.label} by {verdict.num_rows} verdicts "
                f"with {verdict.column_names}; one for each, with a column {RULE!r}, was expected"
            )
        verdict = complete(verdict)
        rejected = verdict[RULE].is_valid().combine_chunks()
        kept = pc.invert(rejected)
        counts.sources = count_by_source(self.frame.table(["source"])["source"], kept)
        broken = Counter(
            {str(v["values"]): int(v["counts"]) for v in verdict[RULE].drop_null().value_counts().to_pylist()}
        )
        trace = self._trace(place, operator, verdict, rejected) if broken else None
        if trace is not None:
            counts.examples = examples_of(trace)
        if operator.audit:
            counts.audited = broken
            self._record_verdict(node, verdict, result)
        elif trace is not None:
            counts.dropped = broken
            self.dropped.append(trace)
            self._drop(rejected, counts)

    def _count_scores(self, node: Node, operator: Judge, rows: pa.Table, counts: NodeCounts) -> None:
        """Count by value the scores that are published, and whatever the rules read."""
        rules = operator.rules()
        published = [name for name in node.columns if not name.startswith("_")]
        names = dict.fromkeys([*published, *(rule.score for rule in rules)])
        scores = {name: rows[name] for name in names if name in rows.column_names and is_score(rows[name])}
        if not scores:
            return
        scores = {name.removeprefix(operator.hidden_as): column for name, column in scores.items()}
        table = self.frame.table(["id", "source", "text", *([LANG] if self.frame.has(LANG) else [])])
        if LANG in table.column_names and not fits(table[LANG].type, pa.string()):
            table = table.drop_columns([LANG])
        most = min(GROUPS, CELLS // len(scores))
        judged = Judged(table, shows_text=type(operator).shows_text, most_groups=most)
        counts.scores, counts.explored = explore(judged, scores, operator.shown_rules())

    def _record_verdict(self, node: Node, verdict: pa.Table, result: dict[str, Any]) -> None:
        digest = hashlib.sha256(self.frame.rows.tobytes()).hexdigest()
        key = fingerprint([node.verdict, self._layer_key(node), digest])
        file = f"layers/{node.work[:16]}/{key[:32]}.arrow"
        table = self.frame.row_table().append_column(VERDICT, verdict[RULE])
        self.store.write(file, arrow_bytes(table))
        self._put(node, Layer(file, key), table, [VERDICT], result)

    def _trace(self, place: int, operator: Judge, verdict: pa.Table, rejected: pa.Array) -> pa.Table:
        mine = self.frame.table(["id", "source", PATH, POSITION, "text"]).filter(rejected)
        rows = self.frame.rows[rejected.to_numpy(zero_copy_only=False)]
        return trace_of(place, rows, mine, verdict.filter(rejected), shows_text=type(operator).shows_text)

    def _drop(self, rejected: pa.Array, counts: NodeCounts) -> None:
        gone = self.frame.table(["text"])["text"].filter(rejected)
        self.num_bytes -= pc.sum(pc.binary_length(gone)).as_py() or 0
        counts.bytes_out = self.num_bytes
        left = pc.invert(rejected)
        rows = self.frame.rows[left.to_numpy(zero_copy_only=False)]
        counts.rows_out = len(rows)
        digest = hashlib.sha256(rows.tobytes()).hexdigest()
        file = f"selections/{digest[:2]}/{digest}.arrow"
        self.frame.keep(left, self.frame.view.with_selection(file, digest, len(rows), self.num_bytes))

    def _fold(self, node: Node, operator: Fold, counts: NodeCounts) -> State:
        needed = self.task.needed(node)
        key = fingerprint([node.work, self.frame.view.digest(list(needed.items())), self.task.inputs(node, self.item)])
        name = f"states/{node.work[:16]}/{key[:32]}"
        found = self.store.find(f"{name}.json")
        if found is not None:
            self.store.vouch(f"{name}.arrow")
            return State(**found)
        rows = self._rows_table(node).append_column(ROW, pa.array(self.frame.rows, pa.int32()))
        partial = self._call(node, self._bound(node), rows)
        counts.rows_computed = rows.num_rows
        state = write_state(self.store, f"{name}.arrow", partial, key_buckets(partial, operator.key, node.step))
        holds = {state.file: self.store.written[state.file]}
        self.store.write_json(f"{name}.json", {**state.to_json(), "holds": holds})
        return state

    def _rows_table(self, node: Node) -> pa.Table:
        """What an operator sees: `id`, the columns it needs, and the columns of the fold that it joins."""
        there = self.task.schema.names
        local = {read_name(node.step, name, there): name for name in read_columns(node.operator)}
        table = self.frame.table(dict.fromkeys(["id", *self.task.needed(node)]))
        table = table.rename_columns([local.get(name, name) for name in table.column_names])
        for name, kind in read_columns(node.operator).items():
            if name in table.column_names and not pa.types.is_null(kind):
                table = table.set_column(table.column_names.index(name), name, as_type(table[name], kind))
        if node.joins:
            slice_ = self.item.slices.get(node.joins)
            have = align(read_arrow(self.store, slice_.file), self.frame.rows) if slice_ else None
            for column in self.task.joined[node.joins]:
                if column.name not in (ROW, SHARD, "id"):
                    values = (
                        have[column.name]
                        if have is not None
                        else pa.chunked_array([pa.nulls(len(self.frame), column.type)])
                    )
                    table = table.append_column(column.name, values)
        return table

    def _bound(self, node: Node) -> BatchFn:
        """The operator's function, bound once per worker."""
        used = self.task.artifacts.get(node.name, {})
        key = fingerprint([node.work, node.verdict, [used[name].digest for name in sorted(used)]])
        if key not in _BOUND:
            _BOUND[key] = bound(node, context_of(self.store, node, used))
        return _BOUND[key]

    def _call(self, node: Node, function: BatchFn, table: pa.Table) -> pa.Table:
        """Call an operator; an error names step, shard and the first document that causes it."""
        try:
            return function(table)
        except RecipeError as error:
            raise named(node.step, error) from error
        except (RunError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            culprit = culprit_of(function, table)
            where = f"document {culprit!r} of {self.item.label}" if culprit is not None else self.item.label
            raise RunError(f"step {node.step!r} failed on {where}: {type(error).__name__}: {error}") from error


def bound(node: Node, context: Context) -> BatchFn:
    """The operator's function; an error names the step."""
    with naming(node.step, "cannot be prepared"):
        return node.operator.bind(context)


def read_columns(operator: Map | Fold) -> dict[str, pa.DataType]:
    """The columns that an operator reads, those included that it reads only where they are."""
    return {**operator.needs(), **operator.takes()}


def result_name(key: str) -> str:
    """Where a shard task's descriptor lies."""
    return f"results/{key[:2]}/{key}.json"


def context_of(store: Store, node: Node, used: dict[str, StoredOutputs]) -> Context:
    """What `bind` and `finish` receive."""
    return Context(node.seed, {name: StoredArtifact(store, outputs) for name, outputs in used.items()})


def view_after(view: View, nodes: tuple[Node, ...], result: dict[str, Any]) -> View:
    """The view that a stage's result leaves. Results hold no step names: `nodes` gives the columns theirs."""
    for node, done in zip(nodes, result["nodes"], strict=True):
        for file, key, stored in done["layers"]:
            view = view.with_layer(Layer(file, key), {node.public(name): name for name in stored})
    file, digest, num_rows, num_bytes = result["selection"]
    return view.with_selection(file, digest, num_rows, num_bytes)
