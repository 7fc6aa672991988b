"""Facility location by `apricot` or `submodlib`: `PEER VECTORS.npy COUNT OUT.npy`; prints CPU seconds as JSON.

The vectors are of length 1; similarities are their cosines, negative ones as 0. The choice goes to the last file.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np


def by_apricot(similar: np.ndarray, count: int) -> list[int]:
    """Lazily greedy."""
    from apricot import FacilityLocationSelection

    selector = FacilityLocationSelection(count, metric="precomputed", optimizer="lazy")
    return selector.fit(similar.astype(np.float64)).ranking.tolist()


def by_submodlib(similar: np.ndarray, count: int) -> list[int]:
    """Lazily greedy, in C++."""
    from submodlib import FacilityLocationFunction

    function = FacilityLocationFunction(n=similar.shape[0], mode="dense", sijs=similar, separate_rep=False)
    said = {"stopIfZeroGain": False, "stopIfNegativeGain": False, "verbose": False, "show_progress": False}
    return [item for item, _ in function.maximize(budget=count, optimizer="LazyGreedy", **said)]


def main() -> None:
    """Choose, after the library has chosen a few once, so that what it compiles is compiled."""
    peer, path, count, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    choose = {"apricot": by_apricot, "submodlib": by_submodlib}[peer]
    vectors = np.load(path)
    choose(np.eye(20, dtype=np.float32), 2)
    begin = time.process_time()
    found = choose(np.maximum(vectors @ vectors.T, 0), count)
    seconds = time.process_time() - begin
    np.save(out, np.array(found))
    print(json.dumps({"cpu_seconds": seconds}))


if __name__ == "__main__":
    main()
