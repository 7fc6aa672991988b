"""The n-grams of `importance_resample`, counted in hashed buckets: of a target, of the corpus, or known beforehand.

A target is a reference input or the rows that a condition holds for (`CountNgrams`), or the counts that an earlier step
or run left in `features.npz` (`KnownCounts`). That file says how it was counted, and other settings are refused.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators import ngram_sources
from operators.base import BatchFn, Columns, Context, DataError, Fold, Outputs, RecipeError
from operators.conditions import Condition, FoldOverChosen
from operators.groups import summed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Longs = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

Hash = Literal["fast", "sha256"]

COUNTS: Final = "_counts"
"""The table that a stage which counts n-grams leaves: `bucket, count`."""
FEATURES: Final = "features.npz"
SETTINGS: Final = ("ngrams", "buckets", "hash", "tokens")
"""What decides which n-grams fall into which bucket."""

_COUNTS: Final = pa.schema([("bucket", pa.int64()), ("count", pa.int64())])


class NgramStage(Fold):
    """What the stages that count n-grams share; a state has a row for each bucket that is not empty."""

    ngrams: int
    buckets: int
    hash: Hash

    def counted(self, rows: pa.Table) -> pa.Table:
        """The n-grams of some rows, as a state."""
        import numpy as np

        from operators.kernels.ngram_features import count_ngrams
        from operators.text_buffers import column_bytes

        counts = count_ngrams(*column_bytes(rows["text"]), self.ngrams, self.buckets, self.hash)
        bucket = np.flatnonzero(counts)
        return pa.table([bucket, counts[bucket]], schema=_COUNTS)

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        return summed(state, *(name for name in state.column_names if name != "count"))


class CountNgrams(FoldOverChosen, NgramStage):
    """The n-grams of a reference input, or of rows that a condition holds for, or that none holds for: `_counts`."""

    required: bool = False
    """Whether it is an error that there are none."""
    nowhere: tuple[Condition, ...] = ()
    """Where one of them holds, the row is not meant."""

    @override
    def needs(self) -> Columns:
        return {**super().needs(), **columns_of(self.nowhere)}

    @override
    def bind(self, context: Context) -> BatchFn:
        def apply(rows: pa.Table) -> pa.Table:
            rows = self.chosen(rows)
            return self.counted(rows.filter(pc.invert(any_holds(self.nowhere, rows))) if self.nowhere else rows)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        if self.required and not state.num_rows:
            of = f"input {self.reference!r}" if self.reference else f"{self.only.column!r} in {list(self.only.values)}"
            msg = f"the target is empty: {of} has no document with a word in it"
            raise DataError(msg)
        return {COUNTS: state.sort_by("bucket")}


class KnownCounts(Fold):
    """A target's n-grams from an earlier `features.npz`: `_counts`. It reads no row."""

    step: str = ""
    """The step that left it; or else"""
    path: str = ""
    sha256: str = ""
    """Of the file at that path."""
    settings: tuple[tuple[str, int | str], ...]

    inert: ClassVar[frozenset[str]] = frozenset({"name", "step", "path"})

    @override
    def uses(self) -> tuple[str, ...]:
        return (self.step,) if self.step else ()

    @override
    def needs(self) -> Columns:
        return {}

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda _: _COUNTS.empty_table()

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        import numpy as np

        content = context.artifacts[self.step].read(FEATURES) if self.step else read_file(self.path, self.sha256)
        counts = read_target(content, dict(self.settings), self.step or self.path)
        bucket = np.flatnonzero(counts)
        return {COUNTS: pa.table([bucket, counts[bucket]], schema=_COUNTS)}


def columns_of(conditions: Sequence[Condition]) -> Columns:
    """The columns that conditions read."""
    return {name: kind for condition in conditions for name, kind in condition.needs().items()}


def any_holds(conditions: Sequence[Condition], rows: pa.Table) -> pa.Array:
    """For each row, whether one of the conditions holds."""
    import numpy as np

    found = np.zeros(rows.num_rows, bool)
    for condition in conditions:
        found |= np.array(condition.holds(rows), bool)
    return pa.array(found)


def features_file(arrays: Mapping[str, Any], settings: Mapping[str, int | str]) -> bytes:
    """A `features.npz`: arrays, and how its n-grams were counted."""
    import numpy as np

    file = io.BytesIO()
    named: dict[str, Any] = {**arrays, **{name: np.array(value) for name, value in settings.items()}}
    np.savez(file, **named)
    return file.getvalue()


def digest_of(path: str) -> str:
    """The sha256 of a file. Raises RecipeError where it cannot be read."""
    return ngram_sources.digest(path, "target", f"an input, an earlier step, or a {FEATURES}")


def read_file(path: str, sha256: str) -> bytes:
    """A file whose digest is known. Raises RecipeError where it has another by now."""
    return bytes(ngram_sources.content(path, sha256, "target"))


def read_target(content: bytes, settings: Mapping[str, int | str], where: str) -> Longs:
    """The target's n-grams by bucket. Raises RecipeError where the file has none, or counted them otherwise.

    >>> import numpy as np
    >>> made = features_file({"target": np.array([3, 0])}, {"ngrams": 2, "buckets": 2})
    >>> read_target(made, {"ngrams": 2, "buckets": 2}, "f.npz").tolist()
    [3, 0]
    """
    import numpy as np

    found = _arrays(content, ("target", *settings), where)
    counted = {name: found[name].item() for name in settings if found[name].ndim == 0}
    if counted != settings:
        differing = [name for name in settings if counted.get(name) != settings[name]]
        theirs, ours = (", ".join(f"{name} {of.get(name)!r}" for name in differing) for of in (counted, settings))
        msg = f"target: {where!r} was counted with {theirs}, and this step counts with {ours}: give it the same"
        raise RecipeError(msg)
    target: Longs = found["target"]
    if target.ndim != 1:
        msg = f"target: {where!r} holds {len(target)} targets: name a step or a run with one"
        raise RecipeError(msg)
    if target.dtype != np.int64 or target.size != settings["buckets"] or target.min() < 0 or not target.any():
        msg = f"target: {where!r} has no counts by bucket: expected {settings['buckets']} whole numbers, some above 0"
        raise RecipeError(msg)
    return target


def _arrays(content: bytes, names: Sequence[str], where: str) -> dict[str, Any]:
    """Arrays of an npz file. Raises RecipeError where one is not there, or cannot be read."""
    import zipfile
    import zlib

    import numpy as np

    unreadable = (ValueError, OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, TypeError)
    why = "it is no npz file"
    try:
        with np.load(io.BytesIO(content)) as file:
            lacking = [name for name in names if name not in file.files]
            why = f"it has no array {lacking[0]!r}" if lacking else "its arrays cannot be read"
            if not lacking:
                return {name: file[name] for name in names}
    except unreadable as error:
        raise _no_features(where, why) from error
    raise _no_features(where, why)


def _no_features(where: str, why: str) -> RecipeError:
    return RecipeError(
        f"target: {where!r} is no {FEATURES} of an importance_resample step, or one of an older version: {why}"
    )


def dense(counts: pa.Table, buckets: int) -> Longs:
    """A state's counts as one number for each bucket."""
    import numpy as np

    found = np.zeros(buckets, np.int64)
    found[counts["bucket"].to_numpy()] = counts["count"].to_numpy()
    return found
