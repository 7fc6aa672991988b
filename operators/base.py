"""The contracts between an operator and the engine.

An operator says *what* in a frozen pydantic model and *how* in a pure function over Arrow tables. The engine
(`pipeline/`) reads shards, calls these functions, removes rows, counts, caches and commits; an operator does none of
that. There are four forms:

- `Map`: one shard's table in, new columns out, the same rows in the same order.
- `Judge`: a map whose columns are scores, and a second pure function that gives each row a verdict.
- `Fold`: rows -> partial states per shard -> one merged state -> an artifact, or a table that returns to the rows.
- `Composite`: a step that expands into several of the above.

What they share: no clock, no environment, no network, no global random state, no state between calls, nothing
written. Randomness is a hash of (seed, document id). Columns are local here (`score`); the engine prefixes them with
the step's name (`quality_score`) when it publishes them, so that renaming a step computes nothing again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol, get_args

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

BatchFn = Callable[[pa.Table], pa.Table]
Columns = Mapping[str, pa.DataType]
Outputs = Mapping[str, bytes | pa.Buffer | pa.Table]

TEXT: Final[Columns] = {"text": pa.large_string()}
"""What most operators need: the document's text, never null, valid UTF-8."""

ROW: Final = "_row"
"""int32: a document's position in its ingested shard; what a fold hands back to say which document it means."""

SHARD: Final = "_shard"
"""int32: the shard's number. The engine adds it to a fold's state when it merges; a partial state holds only `_row`."""

ROWS: Final = "_rows"
"""The name of a fold's output table that returns to the rows: `_shard`, `_row` and any further columns."""

PART: Final = "part"
"""The name of a table in parts that is published as `part-00000.parquet` and so on, without a folder of its own."""

WARNINGS: Final = "_warnings.json"
"""A fold's output that the run tells people: a JSON list of sentences. Not for a partitioned fold."""

RULE: Final = "rule"
"""string: a verdict's column: null where the document is kept, else the rule that rejects it."""


class RecipeError(Exception):
    """The recipe, the command line, an input or a model is wrong or unreadable. Exit status 2."""


class DataError(RecipeError):
    """An input's content is not what its recipe says. Exit status 2; names file, place and value."""


class RunError(Exception):
    """The run failed: a task, a gate, a held lock, a full disk. Exit status 1."""


@dataclass(frozen=True)
class Resources:
    """What one task needs. `resident` asks for long-lived workers that load a model once (`bind` is called once)."""

    cpus: float = 1
    gpus: float = 0
    memory_mb: int = 512
    resident: bool = False


class Artifact(Protocol):
    """Read access to what an earlier fold left: files by name, and tables, whole or one partition at a time."""

    def read(self, name: str) -> bytes:
        """The bytes of one file."""

    def table(self, name: str) -> pa.Table:
        """One output table, its parts joined in order."""


Artifacts = Mapping[str, Artifact]


class Rule(NamedTuple):
    """A numeric rule: the document is dropped where its score lies outside [low, high]. A null score passes."""

    name: str
    score: str
    low: float | None = None
    high: float | None = None


class Operator(BaseModel):
    """A step of a recipe. A leaf declares `kind` as a one-value Literal with that default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(
        default="",
        pattern=r"^([A-Za-z][A-Za-z0-9_]*)?$",
        description="unique name of the step; the kind if left out; prefixes the step's columns",
    )

    revision: ClassVar[int] = 1
    """Goes up when the same parameters give other rows."""
    seeded: ClassVar[bool] = False
    """Whether the recipe's seed changes the result; `bind` and `finish` then find it in `Context.seed`."""
    resources: ClassVar[Resources] = Resources()
    inert: ClassVar[frozenset[str]] = frozenset({"name"})
    """Parameters that never change a result."""

    @model_validator(mode="before")
    @classmethod
    def _takes_no_other_scalar(cls, given: object) -> object:
        """A number is no text and no truth value, and `no` is no false: pydantic would take one for the other."""
        if not isinstance(given, Mapping):
            return given
        kinds = {name: cls.model_fields[name].annotation for name in given if name in cls.model_fields}
        wrong = {name: _OtherScalar(given[name]) for name, kind in kinds.items() if _is_other_scalar(kind, given[name])}
        return {**given, **wrong} if wrong else given

    @property
    def label(self) -> str:
        """The step's name: as given, else the kind."""
        return self.name or str(getattr(self, "kind", type(self).__name__))

    @property
    def what(self) -> str:
        """Its kind; without a declared one the class's import path, which no other class shares."""
        declared = getattr(self, "kind", "")
        return str(declared) or f"{type(self).__module__}:{type(self).__qualname__}"

    def wants(self) -> Resources:
        """What its tasks need of a machine, where parameters decide that."""
        return type(self).resources

    def needs(self) -> Columns:
        """Columns that the operator reads, with their Arrow types (`null` type: any type will do)."""
        return TEXT

    def takes(self) -> Columns:
        """Columns that it reads where the rows have them, with their Arrow types; it does without them elsewhere."""
        return {}

    def adds(self) -> Columns:
        """Columns that it adds, unprefixed, with their Arrow types.

        A name like "_name" is not published; only its own judge and the later stages of its composite see it.
        """
        return {}

    def uses(self) -> tuple[str, ...]:
        """Names of earlier steps (inside a composite: of earlier stages) whose artifacts `bind` receives."""
        return ()

    def imports(self) -> tuple[str, ...]:
        """Modules that its parameters name, of which it calls functions: a cluster is given them with its class's."""
        return ()

    def models(self) -> Mapping[str, str]:
        """Model files that decide the result: name -> sha256. Raises RecipeError where one is missing."""
        return {}

    def check(self) -> None:
        """Refuse, before any data is read, what no field's bounds can say. Raises RecipeError."""

    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """Refuse what an earlier step, here by its name, does not leave for this one. Raises RecipeError."""

    def refuse(self, columns: Columns) -> None:
        """Refuse columns whose types the operator cannot read; `columns` are all that reach it. Raises RecipeError."""

    def identity(self, leave_out: frozenset[str] = frozenset()) -> dict[str, object]:
        """What decides the result, as plain JSON: class, revision, parameters with defaults, model digests."""
        parameters = self.model_dump(mode="json", exclude=set(self.inert | leave_out))
        parameters.pop("kind", None)
        return {
            "kind": self.what,
            "revision": type(self).revision,
            "parameters": parameters,
            "models": dict(self.models()),
            **_stranger(type(self)),
        }


@dataclass(frozen=True)
class Context:
    """What a stage receives besides rows: the recipe's seed and the artifacts that it declared in `uses`."""

    seed: int
    artifacts: Artifacts


class Map(Operator):
    """One shard's table in, new columns out."""

    rewrites: ClassVar[tuple[str, ...]] = ()
    """Columns that it replaces (`text`); `bind`'s function returns them beside the added ones."""

    def joins(self) -> str:
        """The earlier fold whose `_rows` table is joined to the rows by position, absent rows as nulls ("": none).

        A stage of an earlier step is named STEP/STAGE.
        """
        return ""

    def bind(self, context: Context) -> BatchFn:
        """Called once per worker. The function gets `id` and the needed columns, and returns only the new columns.

        It must be pure per row: how rows were batched may not change any value.
        """
        raise NotImplementedError


class Judge(Map):
    """A map that scores, and a verdict over the scores. The engine removes the rejected rows and traces them."""

    audit: bool = Field(default=False, description="keep every row and only record the verdict")
    max_drop_ratio: float = Field(
        default=0.99, gt=0, le=1, description="the run fails if the step drops a larger share of its rows"
    )

    inert: ClassVar[frozenset[str]] = frozenset({"name", "audit", "max_drop_ratio"})
    shows_text: ClassVar[bool] = True
    """Whether `dropped/` holds an excerpt of what the step drops."""
    verdict_only: ClassVar[frozenset[str]] = frozenset()
    """Parameters that change the verdict and no score: moving them scores nothing again."""
    hidden_as: ClassVar[str] = ""
    """What stands before the names of the columns that its rules read, where those are hidden copies of scores."""

    def shown_rules(self) -> tuple[Rule, ...]:
        """The rules with the names of scores that people see."""
        return tuple(rule._replace(score=rule.score.removeprefix(self.hidden_as)) for rule in self.rules())

    def source_limit(self) -> float:
        """The run fails if the step drops a larger share of the rows of one source of at least 100 rows."""
        return 1.0

    def rules(self) -> tuple[Rule, ...]:
        """The numeric rules in order; the first that fails names the verdict.

        A judge with a `judge` of its own states here those of its bounds that are numbers: the report shows what others
        would keep, one rule at a time.
        """
        return ()

    def judge(self, rows: pa.Table) -> pa.Table:
        """Verdicts for rows that hold `id`, the needed columns, the scores, and the columns of the fold it joins.

        Returns a table of the same length with `rule: string` (null: kept), and where it has them `value: double`,
        `threshold: double`, `survivor: string`, `similarity: double`, `detail: string` (JSON).
        """
        return first_failure(rows, self.rules())


class Fold(Operator):
    """Partial states per shard, merged in any order, finished into an artifact.

    States hold integers, fixed point or keyed rows; floats may appear only in `finish`, reduced in key order, so that
    the result does not depend on how the rows were sharded or merged.
    """

    key: ClassVar[str] = ""
    """The state's column to exchange by (uint64, or binary/string, which is hashed). Partial states are then split by
    it into partitions that are merged apart. "" where the whole state is small."""
    partitioned: ClassVar[bool] = False
    """With `key`: `finish` runs once per partition and its tables stay partitioned; else once, over the whole state."""
    per_shard: ClassVar[bool] = False
    """Over the rows, without `key`: nothing is merged. `finish` runs once per shard and leaves only tables, which stay
    in parts, in the order of shards. What returns to the rows is the partial state: `_row`, ascending, and the rest."""

    def source(self) -> str:
        """What it folds: "" the rows; "input:NAME" a reference input; "stage:NAME/TABLE" a fold's output table."""
        return ""

    def joins(self) -> str:
        """As `Map.joins`, for a fold over the rows."""
        return ""

    def bind(self, context: Context) -> BatchFn:
        """Called once per worker; the function maps rows (`id`, `_row`, needed columns) to a partial state.

        For a fold over "stage:..." the function gets that table's partitions as they are.
        """
        raise NotImplementedError

    def merge(self, state: pa.Table) -> pa.Table:
        """Reduce concatenated states to one of the same schema: associative and commutative. Here: keep all rows.

        A keyed state that came from rows has `_shard` and `_row` by then.
        """
        return state

    def finish(self, state: pa.Table, context: Context) -> Outputs:
        """The outputs: file name -> bytes, or table name -> table. Names that begin with "_" are not published.

        `state` is merged but in no particular order: sort it by key before anything depends on order.
        """
        raise NotImplementedError


class TableFold(Fold):
    """A fold over the output table of an earlier one: it reads no row, and the state of a part is the part, merged."""

    def needs(self) -> Columns:
        """Nothing of the rows."""
        return {}

    def bind(self, context: Context) -> BatchFn:
        """Called once per worker; see `Fold.bind`."""
        return self.merge


@dataclass(frozen=True)
class Repeat:
    """Stages that iterate: each round reads what the last one left, until the table `until` has no rows.

    `until` is "STAGE/TABLE". More than `max_rounds` rounds fail the run: nothing is left half converged.
    """

    stages: tuple[Fold, ...]
    until: str
    max_rounds: int = 64


class Composite(Operator):
    """A step made of several stages, each named; `uses`, `joins` and `source` inside it refer to those names."""

    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        """The stages in order. A judging stage carries the composite's `audit` and `max_drop_ratio`."""
        raise NotImplementedError

    def stages_in(self, inputs: Collection[str], earlier: Mapping[str, Operator]) -> tuple[Map | Fold | Repeat, ...]:
        """The stages in a recipe with inputs of these names and these earlier steps, where a parameter may name either.

        Raises RecipeError for a name that means neither.
        """
        return self.stages()


class _OtherScalar:
    """A value that its field refuses, whatever pydantic would make of the value itself; it looks like that one."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def _is_other_scalar(annotation: object, value: object) -> bool:
    """Whether a value is of another kind than the number, or the truth value, that was declared."""
    kinds = set(get_args(annotation)) or {annotation}
    is_number = bool(kinds & {int, float})
    return (
        (isinstance(value, bool) and is_number and bool not in kinds)
        or (isinstance(value, str) and is_number and str not in kinds)
        or (bool in kinds and kinds <= {bool, type(None)} and not isinstance(value, bool | None))
    )


@cache
def _stranger(operator: type[Operator]) -> dict[str, str]:
    """The digest of the file that defines an operator from outside `operators` and `pipeline`: an edit is noticed.

    What that file imports is not looked at: there `revision` must go up. Our own operators rely on `revision` alone.
    """
    if operator.__module__.partition(".")[0] in ("operators", "pipeline"):
        return {}
    digest = source_digest(operator)
    return {"source": digest} if digest else {}


def source_digest(defined: Any) -> str:  # noqa: ANN401
    """The sha256 of the file that defines a class or a function, or that is a module; "" where there is none.

    >>> len(source_digest(source_digest)), source_digest(len)
    (64, '')
    """
    try:
        return hashlib.sha256(Path(inspect.getfile(defined)).read_bytes()).hexdigest()
    except (TypeError, OSError):  # Defined in an interactive session, or built in.
        return ""


def first_failure(rows: pa.Table, rules: tuple[Rule, ...]) -> pa.Table:
    """For each row the first rule that its score breaks, with the score and the bound: `rule, value, threshold`.

    >>> table = pa.table({"words": [10.0, 60.0, None]})
    >>> first_failure(table, (Rule("too_few_words", "words", low=50),)).to_pylist()[0]
    {'rule': 'too_few_words', 'value': 10.0, 'threshold': 50.0}
    """
    import numpy as np

    count = rows.num_rows
    rule_of = np.full(count, -1, np.int32)
    value = np.full(count, np.nan)
    threshold = np.full(count, np.nan)
    for index, rule in enumerate(rules):
        score = rows[rule.score].cast(pa.float64()).to_numpy(zero_copy_only=False)
        for bound, fails in ((rule.low, np.less), (rule.high, np.greater)):
            if bound is None:
                continue
            hit = (rule_of < 0) & fails(score, bound)
            rule_of[hit], value[hit], threshold[hit] = index, score[hit], bound
    kept = rule_of < 0
    names = pa.array([rule.name for rule in rules] or [""], pa.string())
    return pa.table(
        {
            RULE: names.take(pa.array(rule_of, mask=kept)),
            "value": pa.array(value, mask=kept),
            "threshold": pa.array(threshold, mask=kept),
        }
    )


def fingerprint(content: object) -> str:
    """sha256 (hex) over canonical JSON; refuses what has no canonical form.

    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
