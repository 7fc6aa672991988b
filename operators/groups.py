"""Groups of sorted rows, and lists of their values, by numpy: what folds over many rows are made of."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]


def starts_of(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Of sorted rows those that differ from the row before.

    >>> starts_of(np.array([1, 1, 2])).tolist(), starts_of(np.array([])).tolist()
    ([True, False, True], [])
    """
    begins = np.zeros(columns[0].size, bool)
    begins[:1] = True
    for column in columns:
        begins[1:] |= column[1:] != column[:-1]
    return begins


def lists_of(values: npt.NDArray[np.generic] | pa.Array | pa.ChunkedArray, first: Ints) -> pa.Array:
    """A list from each place in `first` to the next."""
    if isinstance(values, pa.ChunkedArray):
        values = joined(values)
    return pa.LargeListArray.from_arrays(np.append(first, len(values)), pa.array(values))


def values_of(rows: pa.Table, name: str) -> Ints:
    """The values of all lists of a column, one after the other."""
    values: Ints = rows[name].combine_chunks().flatten().to_numpy()
    return values


def joined(column: pa.ChunkedArray) -> pa.Array:
    """A column's chunks as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def unlisted(column: pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """The values of lists without nulls, joined, and where each list begins, with the end of the last."""
    lists = joined(column)
    bounds = np.append(0, np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False)))
    return lists.flatten(), bounds.astype(np.int64)


def sums_of(group: npt.NDArray[np.integer[Any]], values: Ints, groups: int) -> Ints:
    """The sum of each group's values.

    >>> sums_of(np.array([0, 1, 0]), np.array([5, 6, 7]), 3).tolist()
    [12, 6, 0]
    """
    sums = np.zeros(groups, np.int64)
    np.add.at(sums, group, values)
    return sums


def summed(table: pa.Table, *keys: str) -> pa.Table:
    """Rows with equal keys as one, at the place of the first; all other columns, whole numbers, are added up.

    >>> summed(pa.table({"n": pa.array([1, 2, 3], pa.int32()), "key": ["b", "a", "b"]}), "key").to_pylist()
    [{'n': 4, 'key': 'b'}, {'n': 2, 'key': 'a'}]
    """
    added = [name for name in table.column_names if name not in keys]
    found = table.group_by(list(keys), use_threads=False).aggregate([(name, "sum") for name in added])
    names = [name if name in keys else f"{name}_sum" for name in table.column_names]
    return found.select(names).rename_columns(table.column_names).cast(table.schema)


def order_of(table: pa.Table, *names: str) -> Ints:
    """The places of a table's rows when sorted by columns, nulls last."""
    order: Ints = pc.sort_indices(table, [(name, "ascending") for name in names]).to_numpy().astype(np.int64)
    return order
