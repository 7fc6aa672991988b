"""A tiny engine in memory, exactly by the contracts of `operators.base`, to hold operators to their promises in tests.

`run` takes one operator over a list of tables (the shards) and may vary all that must not matter: the order and the
grouping in which states are merged and the order of rows in them (`shuffle`), the number of partitions of a keyed
state, and the batches in which a map sees its rows. It checks declared columns and types on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import ROW, ROWS, RULE, SHARD, Artifact, Composite, Context, Fold, Judge, Map, Operator, Repeat
from operators.hashing import mix64, row_hashes


@dataclass
class Stored:
    """What a fold left: files, and tables in parts."""

    files: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, list[pa.Table]] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """One file."""
        return self.files[name]

    def table(self, name: str) -> pa.Table:
        """One table, its parts joined."""
        return pa.concat_tables(self.parts[name])


@dataclass
class Engine:
    """The state of one step's run; after `run`, its result."""

    rows: list[pa.Table]
    seed: int = 7
    partitions: int = 1
    shuffle: int = 0
    batch_rows: int = 1 << 20
    references: Mapping[str, Sequence[pa.Table]] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    dropped_parts: list[pa.Table] = field(default_factory=list)
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.given = frozenset(name for table in self.rows for name in table.column_names if name != ROW)

    @property
    def kept(self) -> pa.Table:
        """The rows that are left, of all shards in order, without `_row` and what only the step sees."""
        rows = pa.concat_tables(self.rows)
        hidden = [name for name in rows.column_names if name.startswith("_") and name not in self.given]
        return rows.drop_columns(hidden)

    @property
    def kept_ids(self) -> set[str]:
        """The ids of the rows that are left."""
        return set(self.kept["id"].to_pylist())

    @property
    def dropped(self) -> pa.Table:
        """`shard, id, rule` and what else the judge said, a row for every rejected document (also under audit)."""
        return pa.concat_tables(self.dropped_parts, promote_options="default")

    def stage(self, stage: Map | Fold | Repeat) -> None:
        """Run one stage."""
        if isinstance(stage, Repeat):
            self._repeat(stage)
        elif isinstance(stage, Fold):
            self._fold(stage)
        else:
            self.rows = [self._map(stage, number, table) for number, table in enumerate(self.rows)]

    def _repeat(self, repeat: Repeat) -> None:
        name, table = repeat.until.split("/")
        for _ in range(repeat.max_rounds):
            for stage in repeat.stages:
                self._fold(stage)
            if not self.artifacts[name].table(table).num_rows:
                return
        msg = f"{repeat.until} still has rows after {repeat.max_rounds} rounds"
        raise AssertionError(msg)

    def _context(self, operator: Operator) -> Context:
        return Context(self.seed, {name: self.artifacts[name] for name in operator.uses()})

    def _view(self, operator: Map | Fold, number: int, table: pa.Table, *extra: str) -> pa.Table:
        """What the operator may see: `id`, its needed columns, and those joined by position."""
        taken = {name: kind for name, kind in operator.takes().items() if name in table.column_names}
        read = {**operator.needs(), **taken}
        view = table.select(list(dict.fromkeys(["id", *extra, *read])))
        for name, kind in read.items():
            assert kind == pa.null() or view.schema.field(name).type == kind, (name, kind)
        if not operator.joins():
            return view
        joined = self.artifacts[operator.joins()].table(ROWS)
        joined = joined.filter(pc.equal(joined[SHARD], number))
        assert len(set(joined[ROW].to_pylist())) == joined.num_rows, "a row is joined twice"
        place = pc.index_in(table[ROW], value_set=joined[ROW].combine_chunks())
        for name in [n for n in joined.column_names if n not in (SHARD, ROW, "id")]:
            view = view.append_column(name, joined[name].take(place))
        return view

    def _map(self, operator: Map, number: int, table: pa.Table) -> pa.Table:
        view = self._view(operator, number, table)
        apply = operator.bind(self._context(operator))
        starts = range(0, max(1, view.num_rows), self.batch_rows)
        batches = [apply(view.slice(start, self.batch_rows)) for start in starts]
        assert sum(batch.num_rows for batch in batches) == view.num_rows
        new = pa.concat_tables(batches)  # Arrow forgets the length of a table without columns here.
        assert set(new.column_names) == {*operator.adds(), *operator.rewrites}, new.column_names
        for name in new.column_names:
            assert name in operator.rewrites or new.schema.field(name).type == operator.adds()[name], name
            table = _with_column(table, name, new[name])
            view = _with_column(view, name, new[name])
        if not isinstance(operator, Judge):
            return table
        verdict = operator.judge(view)
        assert verdict.num_rows == view.num_rows
        table = table.drop_columns([name for name in operator.adds() if name.startswith("_")])
        lost = pc.is_valid(verdict[RULE])
        verdict = verdict.add_column(0, "id", table["id"]).add_column(0, "shard", pa.array([number] * len(lost)))
        self.dropped_parts.append(verdict.filter(lost))
        return table if operator.audit else table.filter(pc.invert(lost))

    def _partials(self, fold: Fold) -> list[pa.Table]:
        apply = fold.bind(self._context(fold))
        where, _, rest = fold.source().partition(":")
        if where == "input":
            return [apply(table) for table in self.references[rest]]
        if where == "stage":
            name, table_name = rest.split("/")
            stored = self.artifacts[name]
            assert isinstance(stored, Stored)
            return [apply(part) for part in stored.parts[table_name]]
        states = []
        for number, table in enumerate(self.rows):
            state = apply(self._view(fold, number, table, ROW))
            assert SHARD not in state.column_names
            if ROW in state.column_names:
                assert state.schema.field(ROW).type == pa.int32()
                state = state.append_column(SHARD, pa.array(np.full(state.num_rows, number, np.int32)))
            states.append(state)
        return states

    def _fold(self, fold: Fold) -> None:
        rng = random.Random(self.shuffle)
        states = self._partials(fold)
        if fold.per_shard:
            self.artifacts[fold.label] = self._finished(fold, states, Stored({}, {ROWS: states}))
            return
        count = self.partitions if fold.key else 1
        merged = [
            _reduce(fold, [_slice(fold.key, state, part, count) for state in states], rng) for part in range(count)
        ]
        if not fold.partitioned:
            merged = [_reduce(fold, merged, rng)]
        self.artifacts[fold.label] = self._finished(fold, merged, Stored())

    def _finished(self, fold: Fold, merged: Sequence[pa.Table], stored: Stored) -> Stored:
        for state in merged:
            for name, output in fold.finish(state, self._context(fold)).items():
                if isinstance(output, pa.Table):
                    stored.parts.setdefault(name, []).append(output)
                else:
                    stored.files[name] = bytes(output)
        return stored


def run(operator: Operator, shards: Sequence[pa.Table], **how: object) -> Engine:
    """Run one operator; `how` are fields of `Engine`. Shards without `_row` get it."""
    rows = [_numbered(shard) for shard in shards]
    engine = Engine(rows=rows, **how)  # type: ignore[arg-type]
    stages = operator.stages() if isinstance(operator, Composite) else (operator,)
    for stage in stages:
        engine.stage(stage)  # type: ignore[arg-type]
    return engine


def corpus(texts: Mapping[str, str] | Sequence[str], **columns: Sequence[object]) -> pa.Table:
    """A table of documents: id -> text (or texts, whose ids are d0000...), `source`, and further columns."""
    named = texts if isinstance(texts, Mapping) else {f"d{index:04}": text for index, text in enumerate(texts)}
    data: dict[str, object] = {"id": pa.array(list(named), pa.string())}
    data["text"] = pa.array(list(named.values()), pa.large_string())
    data["source"] = pa.array(["docs"] * len(named), pa.string())
    return pa.table({**data, **columns})


def deal(table: pa.Table, shards: int, seed: int = 0) -> list[pa.Table]:
    """The rows of a table dealt to shards in random order: another layout of the same corpus."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    return [table.take(pa.array(part)) for part in np.array_split(order, shards)]


def _numbered(table: pa.Table) -> pa.Table:
    return table if ROW in table.column_names else table.append_column(ROW, pa.array(range(table.num_rows), pa.int32()))


def _with_column(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def _slice(key: str, state: pa.Table, part: int, count: int) -> pa.Table:
    if count == 1:
        return state
    column = state[key]
    if pa.types.is_uint64(column.type):
        hashes = mix64(column.to_numpy())
    else:
        hashes = row_hashes(column.cast(pa.string()), 0, "partition")
    return state.filter(pa.array(hashes % np.uint64(count) == part))


def _reduce(fold: Fold, states: list[pa.Table], rng: random.Random) -> pa.Table:
    """Merge in a random order and grouping, and leave the rows of the result in a random order."""
    states = list(states)
    rng.shuffle(states)
    merge: Callable[[list[pa.Table]], pa.Table] = lambda group: fold.merge(pa.concat_tables(group))  # noqa: E731
    while len(states) > 1:
        size = rng.randint(2, len(states))
        states = [*states[size:], merge(states[:size])]
        rng.shuffle(states)
    state = merge(states)
    return state.take(pa.array(np.random.default_rng(rng.randrange(1 << 30)).permutation(state.num_rows)))
