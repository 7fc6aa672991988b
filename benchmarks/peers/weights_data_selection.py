"""Log weights by data-selection 1.0.3: `TARGET.parquet RAW.parquet OUT.npy`; prints MB and CPU seconds as JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pyarrow.parquet as pq
from data_selection.hashed_ngram_dsir import get_ngram_counts


def counted(texts: list[str]) -> np.ndarray:
    """What its `_fit_bow` does: one vector that all texts are counted into."""
    counts = np.zeros(10_000).astype(int)
    for text in texts:
        counts = get_ngram_counts(text, n=2, num_buckets=10_000, counts=counts)
    return counts / counts.sum()


def main() -> None:
    """As `fit_importance_estimator` and `compute_importance_weights`, without the files between them."""
    target, raw = (pq.read_table(path, columns=["text"])["text"].to_pylist() for path in sys.argv[1:3])
    begin = time.process_time()
    ratio = np.log(counted(target) + 1e-8) - np.log(counted(raw) + 1e-8)
    weights = [np.dot(ratio, get_ngram_counts(text, n=2, num_buckets=10_000)) for text in raw]
    seconds = time.process_time() - begin
    np.save(sys.argv[3], np.array(weights))
    size = sum(len(text.encode()) for text in raw)
    print(json.dumps({"mb": size / 1e6, "cpu_seconds": seconds}))


if __name__ == "__main__":
    main()
