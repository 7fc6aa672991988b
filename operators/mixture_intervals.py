"""Intervals around an inferred mixture: over all mixtures that are about as good, and over resampled merges.

Both change what the columns of the program cost, and go on from where the simplex method stood; rows that a new
solution violates are added as before. `operators/mixture_program.py` has the program.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from operators.hashing import mix64
from operators.mixture_program import MixtureProgram, Solution

if TYPE_CHECKING:
    from highspy import HighsBasis

Floats = NDArray[np.float64]

DUAL: Final = 1
PRIMAL: Final = 4
"""Simplex methods, as HiGHS numbers them."""
ROUNDING: Final = 1e-6
"""ppm that an objective may be off by."""


def poisson(sample: int, number: int) -> Floats:
    """Numbers that are Poisson distributed with mean 1, by a hash of the sample and their places.

    >>> poisson(0, 8).tolist(), round(float(poisson(1, 100_000).mean()), 1)
    ([1.0, 0.0, 2.0, 3.0, 2.0, 0.0, 1.0, 0.0], 1.0)
    """
    places = np.arange(1, number + 1, dtype=np.uint64) + (np.uint64(sample) << np.uint64(32))
    chance = (mix64(mix64(places)) >> np.uint64(11)) / 2.0**53
    below = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(20)])
    return np.searchsorted(below, chance, side="right").astype(np.float64)


class MixtureIntervals(MixtureProgram):
    """The program, with intervals once it has been solved."""

    def resampled(self, tolerance: float, number: int) -> Floats:
        """float64 (number, categories): shares of pairs where each merge counts as often as chance says.

        A bootstrap over merges: the slack of a merge costs a Poisson number with mean 1 that is a hash of the resample
        and the merge; one that counts 0 times has no rows. Each begins with the solution and the rows that the program
        has, and leaves them so. Where several mixtures are as good and no merge is out of order, each is therefore the
        one that was found; begun elsewhere, each would be another. RuntimeError where one takes more iterations than a
        level may.
        """
        found = []
        shares, values, rows, idle, rounds = self.shares, self._values, self._rows, self._idle, self.rounds
        basis = self._solver.getBasis()
        for sample in range(number):
            self._asked = poisson(sample, len(self.changes.merged))
            self._recost(self._merge_column, self._asked)
            found.append(self._settled(tolerance))
            self._back_to(basis)
            self.shares, self._rows, self._idle, self.rounds = shares, rows, idle, rounds
            self._values = np.pad(values, (0, self._solver.getNumCol() - len(values)))
        self._asked = np.ones(len(self.changes.merged))
        self._recost(self._merge_column, self._asked)
        return np.array(found).reshape(number, len(self.shares))

    def _back_to(self, basis: HighsBasis) -> None:
        """A basis, and only the rows that there were with it; columns that came since are 0."""
        import highspy

        places = np.arange(len(basis.row_status), self._solver.getNumRow(), dtype=np.int32)
        self._solver.deleteRows(len(places), places)
        new = self._solver.getNumCol() - len(basis.col_status)
        basis.col_status = [*basis.col_status, *[highspy.HighsBasisStatus.kLower] * new]
        self._solver.setBasis(basis)

    def ranges(self, best: Solution, within: float, bytes_per_pair: Floats) -> Floats:
        """float64 (categories, 2): least and largest share of bytes where the objective is up to `within` larger.

        All rows but one are homogeneous, so where a sum of bytes is 1 instead of one of pairs, the program asks for
        shares of bytes. Rows that an end violates are added, as far as the tolerance goes, in so many rounds at most:
        an end is then too far out and never too near. RuntimeError where one takes more iterations than a level may.
        """
        num, columns = len(self.shares), self._solver.getNumCol()
        weights = bytes_per_pair / bytes_per_pair.mean()
        self._sum_to_one(weights, np.inf)
        most = best.objective * (1 + within) + ROUNDING
        self._budget_row, self._allowed = self._solver.getNumRow(), best.tolerance
        values = np.r_[np.full(num, -most), np.ones(columns - num)]
        self._solver.addRow(-np.inf, 0.0, columns, np.arange(columns, dtype=np.int32), values)
        self._recost(np.arange(columns), np.zeros(columns))
        self._put_back()
        found = np.zeros((num, 2))
        for place in range(num):
            for end, sign in enumerate((1.0, -1.0)):
                self._recost(np.array([place]), np.array([sign]))
                part = self._settled(best.tolerance + ROUNDING) * weights
                found[place, end] = part[place] / part.sum()
            self._recost(np.array([place]), np.zeros(1))
        self._solver.changeRowBounds(self._budget_row, -np.inf, np.inf)
        self._budget_row, self._allowed = -1, 0.0
        self._sum_to_one(np.ones(num), 1.0)
        self._recost(self._merge_column, self._asked)
        self._recost(self._pair_column, np.ones(len(self._pair_column)))
        return found

    def _sum_to_one(self, weights: Floats, upper: float) -> None:
        for place, weight in enumerate(weights.tolist()):
            self._solver.changeColBounds(place, 0.0, upper)
            self._solver.changeCoeff(0, place, weight)

    def _recost(self, columns: NDArray[np.int64], costs: Floats) -> None:
        """What columns cost from now on, those that there are."""
        there = columns >= 0
        self._solver.changeColsCost(int(there.sum()), columns[there].astype(np.int32), costs[there])

    def _settled(self, tolerance: float) -> Floats:
        """The shares of pairs once costs have changed, and rows been added in as many rounds as an interval has."""
        until = self.iterations + self.limits.iterations
        self._solver.setOptionValue("simplex_strategy", PRIMAL)  # the last solution is one of the changed program too
        is_solved = self._run(until)
        self._solver.setOptionValue("simplex_strategy", DUAL)
        for _ in range(self.limits.interval_rounds):
            if not is_solved:
                break
            found = self._violated(tolerance)
            if not len(found[0]) or self._solver.getNumRow() >= self.limits.rows:
                break
            self._add(*found)
            is_solved = self._run(until)
        if not is_solved:
            msg = f"not solved within {self.limits.iterations:,} simplex iterations"
            raise RuntimeError(msg)
        return self.shares
