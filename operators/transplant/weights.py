"""New rows as weighted sums of old rows: one sparse matrix W (new ids x old ids), so that E_new = W E_old.

W is the whole result of a method: it knows nothing of the model's width, is applied to the input and the output table
alike, and can be read: which old tokens is this new one made of? Beside its sparse part a row may hold a share of the
mean of all old rows of text, which would else be as many weights as the old vocabulary has tokens.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError, RecipeError

Floats = NDArray[np.float32]
Routes = NDArray[np.uint8]
Marks = NDArray[np.bool_]

ROUTES: Final = (
    "absent", "exact", "byte", "special", "subword", "variant", "focus", "wechsel", "mixed", "omp", "donor", "ridge",
    "normal", "mean", "imported",
)  # fmt: skip
"""How a row came to be, by number: `absent` is an id that no token has; its row is zeros, or the mean if it is read."""
(
    ABSENT, EXACT, BYTE, SPECIAL, SUBWORD, VARIANT, FOCUS, WECHSEL, MIXED, OMP, DONOR, RIDGE, NORMAL, MEAN, IMPORTED,
) = range(len(ROUTES))  # fmt: skip

_FIELDS: Final = ("indptr", "indices", "values", "shape", "route", "mean_share", "mean_of")


@dataclass(frozen=True)
class Weights:
    """W in compressed rows: row r has the weights `values[indptr[r]:indptr[r + 1]]`, their old ids in rising order.

    Raises ValueError where the arrays do not fit together, and RecipeError where a weight is not finite.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: Floats
    shape: tuple[int, int]
    """(new ids, old ids)."""
    route: Routes
    """Of each row, a number of `ROUTES`."""
    mean_share: Floats
    """Of each row, how much of the mean of the old rows of text it holds besides."""
    mean_of: Marks
    """Which old rows that mean is of."""

    def __post_init__(self) -> None:
        new, old = self.shape
        sizes = (self.indptr.size - 1, self.route.size, self.mean_share.size, self.mean_of.size)
        is_whole = sizes == (new, new, new, old) and self.indices.size == self.values.size == int(self.indptr[-1])
        if not is_whole or int(self.indptr[0]) or bool((np.diff(self.indptr) < 0).any()):
            msg = f"weights of {sizes} rows and {self.indices.size} entries do not fit shape {self.shape}"
            raise ValueError(msg)
        if self.indices.size and not 0 <= int(self.indices.min()) <= int(self.indices.max()) < old:
            msg = f"weights name old ids {self.indices.min()} to {self.indices.max()}: expected 0 to {old - 1}"
            raise ValueError(msg)
        if not (np.isfinite(self.values).all() and np.isfinite(self.mean_share).all()):
            msg = "a weight is not finite: the vectors that it was made from hold NaN or infinity"
            raise RecipeError(msg)

    def routes(self) -> dict[str, int]:
        """How many rows came each way, ways without rows left out."""
        counts = np.bincount(self.route, minlength=len(ROUTES)).tolist()
        return {name: count for name, count in zip(ROUTES, counts, strict=True) if count}

    def sums(self) -> NDArray[np.float64]:
        """The sum of each row's weights, its share of the mean among them."""
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        total: NDArray[np.float64] = self.mean_share.astype(np.float64)
        np.add.at(total, rows, self.values)
        return total

    def row(self, number: int) -> dict[int, float]:
        """The weights of one row by old id."""
        part = slice(int(self.indptr[number]), int(self.indptr[number + 1]))
        return dict(zip(self.indices[part].tolist(), self.values[part].tolist(), strict=True))

    def content(self) -> bytes:
        """The file `weights.npz`: the same bytes for the same weights."""
        arrays = {name: np.asarray(getattr(self, name)) for name in _FIELDS}
        return _npz({**arrays, "routes": np.array(ROUTES)})


def apply(weights: Weights, table: Floats) -> Floats:
    """The new table: float32[new, d] from float32[old, d]; rows beyond the old ids (padding) are not looked at.

    Raises RecipeError where the table has fewer rows than W has old ids.
    """
    from operators.kernels.transplant import mean_row, weighted_rows

    if table.ndim != 2 or table.shape[0] < weights.shape[1]:
        msg = (
            f"a table of shape {table.shape} has no row for each of {weights.shape[1]} old ids: is it another model's?"
        )
        raise RecipeError(msg)
    table = np.ascontiguousarray(table[: weights.shape[1]], np.float32)
    mean = mean_row(table, weights.mean_of)
    result = np.empty((weights.shape[0], table.shape[1]), np.float32)
    weighted_rows(weights.indptr, weights.indices, weights.values, weights.mean_share, mean, table, result)
    return result


def from_entries(
    entries: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    shape: tuple[int, int],
    route: Routes,
    mean_of: Marks,
    mean_share: Floats | None = None,
) -> Weights:
    """W from entries (new id, old id, weight) in any order; weights of one place are added up, in the order given.

    >>> entries = (np.array([1, 0, 1]), np.array([0, 1, 0]), np.array([0.5, 1, 0.25]))
    >>> from_entries(entries, (2, 2), np.array([EXACT, SUBWORD], np.uint8), np.ones(2, bool)).row(1)
    {0: 0.75}
    """
    new, old, values = entries
    keys = np.asarray(new, np.int64) * shape[1] + np.asarray(old, np.int64)
    order = np.argsort(keys, kind="stable")
    places, starts = np.unique(keys[order], return_index=True)
    summed = np.add.reduceat(np.asarray(values, np.float64)[order], starts) if keys.size else np.empty(0)
    kept = summed != 0
    rows = (places // max(shape[1], 1))[kept]
    indptr = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    indices = (places % max(shape[1], 1))[kept].astype(np.int32)
    share = np.zeros(shape[0], np.float32) if mean_share is None else mean_share
    return Weights(indptr, indices, summed[kept].astype(np.float32), shape, route, share, mean_of)


def entries_of(weights: Weights, rows: Marks) -> tuple[NDArray[np.int64], NDArray[np.int32], Floats]:
    """The entries of the marked rows: new ids, old ids, weights."""
    numbers = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    chosen = rows[numbers]
    return numbers[chosen], weights.indices[chosen], weights.values[chosen]


def with_rows(base: Weights, other: Weights, rows: Marks) -> Weights:
    """`base` with the marked rows of `other`."""
    return mixed(base, other, np.where(rows, 1.0, 0.0), np.where(rows, other.route, base.route).astype(np.uint8))


def mixed(base: Weights, other: Weights, share: NDArray[np.float64], route: Routes) -> Weights:
    """Row by row `share` of `other` and the rest of `base`."""
    if base.shape != other.shape:
        msg = f"weights of shape {base.shape} cannot be mixed with those of shape {other.shape}"
        raise ValueError(msg)
    parts = []
    for weights, shares in ((base, 1 - share), (other, share)):
        new, old, values = entries_of(weights, shares != 0)
        parts.append((new, old, values * shares[new]))
    entries = tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
    mean_share = ((1 - share) * base.mean_share + share * other.mean_share).astype(np.float32)
    return from_entries((entries[0], entries[1], entries[2]), base.shape, route, base.mean_of, mean_share)


def read(content: bytes) -> Weights:
    """W from the bytes of a `weights.npz`. Raises DataError where they are none; nothing pickled is read."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays: Mapping[str, NDArray[Any]] = {name: file[name] for name in (*_FIELDS, "routes")}
        names = arrays["routes"].tolist()
        route = np.array([ROUTES.index(name) for name in names], np.uint8)[arrays["route"]]
        fields = {name: arrays[name] for name in _FIELDS} | {"route": route}
        return Weights(**{**fields, "shape": tuple(arrays["shape"].tolist())})
    except (ValueError, KeyError, IndexError, OSError, EOFError, zipfile.BadZipFile) as error:
        msg = f"weights.npz cannot be read: expected the file that init_embeddings leaves ({error})"
        raise DataError(msg) from error


def rerouted(weights: Weights, rows: Sequence[int] | NDArray[Any], route: int) -> Weights:
    """The same with another route for some rows."""
    changed = weights.route.copy()
    changed[rows] = route
    return replace(weights, route=changed)


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """As `np.savez_compressed`, but without the time of day."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), part.getvalue())
    return buffer.getvalue()
