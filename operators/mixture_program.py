"""The linear program that finds the mixture under which a list of merges is least surprising (Hayase et al. 2024).

Section 3 of arXiv:2407.16607: with c[i, p, t] how often pair p stands in category i before merge t, and N[i] the pairs
of category i at the start, find shares a[i] of the pairs and slacks v[t], v[p] that

    minimise   sum of v[t] + sum of v[p]
    so that    sum over i of a[i] (c[i, m(t), t] - c[i, p, t]) / N[i] + v[t] + v[p] >= 0   for every merge t, pair p
               a[i] >= 0, sum of a[i] = 1, v >= 0.

Almost none of its rows matter, so they are added as they are violated, from the first merges on, and the columns v with
them; each time the simplex method goes on from where it stood. Rows that have not bound for some time are taken out
again. A row counts as violated beyond a tolerance; the program is solved for a large one first, then for smaller ones,
and what the last finished level gave is the result.

Deviations from the paper's code: counts are in parts per million of a category's pairs, as the tolerances of a solver
are absolute; HiGHS instead of a commercial solver; a merge whose pair stands in no category has no rows (there, one
whose pair happens to have the first number). All limits are of numbers, never of time, so the result is the same on
every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from highspy import Highs

    from operators.kernels.replay import Changes

Floats = NDArray[np.float64]

PPM: Final = 1e6
LEVELS: Final = (5000.0, 1000.0, 200.0, 50.0, 20.0, 5.0, 1.0, 0.3)

_OPTIONS: Final[dict[str, bool | int | float | str]] = {
    "log_to_console": False, "output_flag": False, "threads": 1, "parallel": "off", "solver": "simplex",
    "presolve": "off", "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9,
    "simplex_scale_strategy": 0,  # scaled, it takes up to twice as many iterations
}  # fmt: skip


class Limits(NamedTuple):
    """How much work a level may take; one that takes more is not finished."""

    rounds: int = 400
    """Searches for violated rows, over all levels."""
    rows: int = 60_000
    """Rows in the program."""
    iterations: int = 50_000
    """Simplex iterations, over all levels."""
    per_round: int = 1000
    """Rows after which a search ends with the merge that it is at."""
    per_merge: int = 10
    """Rows for one merge in one search."""
    interval_rounds: int = 20
    """Searches for each end of an interval and for each resample."""
    idle: int = 3
    """Solves that a row may stay without binding; each time that it comes back, twice as many."""
    fewest: int = 500
    """Rows, and a tenth of all, that must have been idle for so long before any are taken out."""


@dataclass(frozen=True)
class Solution:
    """The program's solution at one level."""

    tolerance: float
    """ppm: no row is violated by more."""
    shares: Floats
    """float64[categories]: of the pairs; they sum to 1."""
    merge_slack: Floats
    """float64[merges]: v[t] in ppm."""
    pair_slack: Floats
    """float64[pairs]: v[p] in ppm."""
    objective: float
    """ppm."""
    rounds: int
    rows: int
    iterations: int
    """So far, over all levels."""


def pairs_at_first(changes: Changes, num_categories: int) -> Floats:
    """float64[categories]: how many pairs of neighbours each category has before any merge is asked."""
    first = slice(0, int(changes.starts[changes.steps[1]]))
    return np.bincount(changes.category[first], changes.change[first], num_categories).astype(np.float64)


class MixtureProgram:
    """The program over the counts of one replay. Its rows stay from one call to the next."""

    def __init__(self, changes: Changes, num_categories: int, limits: Limits | None = None) -> None:
        """Raises ValueError where a category has no pairs at all."""
        pairs = pairs_at_first(changes, num_categories)
        if not np.all(pairs > 0):
            msg = f"categories {np.flatnonzero(pairs <= 0).tolist()} have no pairs of neighbours"
            raise ValueError(msg)
        self.changes, self.limits = changes, limits or Limits()
        self.num_pairs: Floats = pairs
        self.scale: Floats = PPM / pairs
        self.rounds = self.iterations = 0
        self._solver = _silent_solver()
        self._rows: NDArray[np.int64] = np.empty(0, np.int64)  # merge << 32 | pair
        self._idle: NDArray[np.int64] = np.empty(0, np.int64)  # solves since each bound
        self._taken_out: dict[int, int] = {}  # how often
        self._merge_column = np.full(len(changes.merged), -1, np.int64)
        self._pair_column = np.full(len(changes.pairs), -1, np.int64)
        self.shares: Floats = np.full(num_categories, 1 / num_categories)
        self._values: Floats = self.shares
        # `operators/mixture_intervals.py` changes these: what the slack of each merge costs, 0 where it is not asked;
        # the row that bounds the objective, if there is one; and by how many ppm new rows may then be violated.
        self._asked: Floats = np.ones(len(changes.merged))
        self._budget_row, self._allowed = -1, 0.0
        self._start()

    def solve(self, levels: Sequence[float]) -> Iterator[Solution]:
        """The solution of each level that is finished within the limits, from the largest tolerance on."""
        for tolerance in levels:
            while True:
                found = self._violated(tolerance)
                if not len(found[0]):
                    yield self._solution(tolerance)
                    break
                if self.rounds >= self.limits.rounds or self._solver.getNumRow() >= self.limits.rows:
                    return
                self._take_out()
                self._add(*found)
                if not self._run():
                    return

    def frequencies(self, shares: Floats) -> Floats:
        """float64[merges]: how often each merge's pair stands in a mixture when it is merged, in ppm of its pairs."""
        from operators.kernels.pair_counts import counts_before

        there = np.flatnonzero(self.changes.merged >= 0)
        counts = counts_before(self.changes, there, self.changes.merged[there].astype(np.int64), len(shares))
        found = np.zeros(len(self.changes.merged))
        for place, weight in enumerate((shares * self.scale).tolist()):  # a matrix product rounds as BLAS pleases
            found[there] += weight * counts[:, place]
        return found

    def explains(self, shares: Floats, tolerance: float) -> bool:
        """Whether shares of pairs, without any slack, violate no row by more than a tolerance in ppm."""
        from operators.kernels.pair_counts import overtaking

        changes = self.changes
        none = np.zeros(len(changes.merged)), np.zeros(len(changes.pairs))
        return not len(overtaking(changes, shares * self.scale, *none, tolerance, 1, 1)[0])

    def _start(self) -> None:
        """The columns of the shares, and the row by which they sum to 1."""
        for option, value in _OPTIONS.items():
            self._solver.setOptionValue(option, value)
        size = len(self.shares)
        self._add_columns(np.zeros(size), 1.0)
        self._solver.addRow(1.0, 1.0, size, np.arange(size, dtype=np.int32), np.ones(size))

    def _add_columns(self, costs: Floats, upper: float) -> None:
        nothing, size = np.array([], np.int32), len(costs)
        self._solver.addCols(
            size, costs, np.zeros(size), np.full(size, upper), 0, np.zeros(size, np.int32), nothing,
            np.array([]),
        )  # fmt: skip

    def _violated(self, tolerance: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        from operators.kernels.pair_counts import overtaking

        self.rounds += 1
        slack = np.where(self._asked > 0, self._of_column(self._merge_column), np.inf)
        excess = self._of_column(self._pair_column)
        return overtaking(
            self.changes,
            self.shares * self.scale,
            slack,
            excess,
            tolerance,
            self.limits.per_merge,
            self.limits.per_round,
        )

    def _of_column(self, columns: NDArray[np.int64]) -> Floats:
        return np.where(columns >= 0, self._values[np.maximum(columns, 0)], 0.0)

    def _add(self, merges: NDArray[np.int64], pairs: NDArray[np.int64]) -> None:
        """Rows for these merges and pairs, and the columns that are new."""
        from operators.kernels.pair_counts import counts_before

        own = self.changes.merged[merges].astype(np.int64)
        num = len(self.shares)
        counts = counts_before(self.changes, merges, own, num) - counts_before(self.changes, merges, pairs, num)
        for columns, wanted in ((self._merge_column, merges), (self._pair_column, pairs)):
            new = np.unique(wanted[columns[wanted] < 0])
            columns[new] = self._solver.getNumCol() + np.arange(len(new))
            costs = self._asked[new] if columns is self._merge_column else np.ones(len(new))
            self._add_columns(costs * (self._budget_row < 0), np.inf)
            if self._budget_row >= 0:
                for column in columns[new]:
                    self._solver.changeCoeff(self._budget_row, int(column), 1.0)
        weighed = counts * self.scale + self._allowed
        rows, categories = np.nonzero(weighed)
        values = weighed[rows, categories]
        number = np.concatenate([rows, np.arange(len(merges)), np.arange(len(merges))])
        column = np.concatenate([categories, self._merge_column[merges], self._pair_column[pairs]])
        value = np.concatenate([values, np.ones(2 * len(merges))])
        order = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[order], np.arange(len(merges)))
        size = len(merges)
        self._solver.addRows(
            size, np.zeros(size), np.full(size, np.inf), len(value), starts.astype(np.int32),
            column[order].astype(np.int32), value[order],
        )  # fmt: skip

        self._rows = np.concatenate([self._rows, merges << 32 | pairs])
        self._idle = np.concatenate([self._idle, np.zeros(size, np.int64)])

    def _take_out(self) -> None:
        """Leave out rows that have not bound for some solves; the solution stays, and the basis without them.

        A row that is violated later is found again. It then stays twice as long as the last time.
        """
        import highspy

        bound = np.array(self._solver.getSolution().row_dual[1:]) != 0
        self._idle = np.where(bound, 0, self._idle + 1)
        times = np.array([self._taken_out.get(row, 0) for row in self._rows.tolist()], np.int64)
        out = self._idle >= self.limits.idle << times
        if out.sum() < max(self.limits.fewest, len(out) / 10, 1):
            return
        basis = self._solver.getBasis()
        statuses = basis.row_status
        out &= np.array([status == highspy.HighsBasisStatus.kBasic for status in statuses[1:]])
        places = np.flatnonzero(out) + 1
        self._solver.deleteRows(len(places), places.astype(np.int32))
        basis.row_status = [
            status for status, is_out in zip(statuses, [False, *out.tolist()], strict=True) if not is_out
        ]
        self._solver.setBasis(basis)
        for row in self._rows[out].tolist():
            self._taken_out[row] = self._taken_out.get(row, 0) + 1
        self._rows, self._idle = self._rows[~out], self._idle[~out]

    def _put_back(self) -> None:
        """All rows that were taken out, as far as the limit of rows allows: for questions with other answers."""
        missing = np.setdiff1d(np.array(list(self._taken_out), np.int64), self._rows)
        missing = missing[: max(0, self.limits.rows - self._solver.getNumRow())]
        if len(missing):
            self._add(missing >> 32, missing & 0xFFFFFFFF)

    def _run(self, until: int | None = None) -> bool:
        """Whether it was solved within so many iterations."""
        left = (self.limits.iterations if until is None else until) - self.iterations
        self._solver.setOptionValue("simplex_iteration_limit", max(left, 0))
        self._solver.run()
        info = self._solver.getInfo()
        self.iterations += int(info.simplex_iteration_count)
        if self._solver.getModelStatus().name != "kOptimal":
            return False
        self._values = np.array(self._solver.getSolution().col_value)
        shares = np.maximum(self._values[: len(self.shares)], 0)
        if self._budget_row >= 0:
            self._values /= shares.sum()
        self.shares = shares / shares.sum()
        return True

    def _solution(self, tolerance: float) -> Solution:
        slack, excess = self._of_column(self._merge_column), self._of_column(self._pair_column)
        return Solution(
            tolerance, self.shares, slack, excess, float(slack.sum() + excess.sum()), self.rounds,
            self._solver.getNumRow() - 1, self.iterations,
        )  # fmt: skip


def _silent_solver() -> Highs:
    """HiGHS, which would print its name to standard output when its callbacks are enabled; none are used here."""
    import highspy

    class Silent(highspy.Highs):
        def enableCallbacks(self) -> None:
            pass

    make: Callable[[], Highs] = Silent
    return make()
