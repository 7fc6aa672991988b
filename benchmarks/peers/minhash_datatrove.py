"""Sign and cluster texts with datatrove's stages; run by `minhash_parity.py` in datatrove's locked environment.

Arguments: a Parquet file with a column `text`, a folder to work in, where `signatures.npy` (texts, 112), `signed.npy`
and `clusters.npy` (a cluster's number for each text, -1 where it stands alone) are left.
"""

# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)


def main() -> None:
    """Run the four stages over one file of texts."""
    texts = pq.read_table(sys.argv[1], columns=["text"])["text"].to_pylist()
    home = Path(sys.argv[2])
    config = MinhashConfig()
    documents = [Document(text=text, id=str(index)) for index, text in enumerate(texts)]
    MinhashDedupSignature(str(home / "signatures"), config).run(iter(documents))
    for bucket in range(config.num_buckets):
        stage = MinhashDedupBuckets(str(home / "signatures"), str(home / "pairs"), config=config)
        stage.run(None, bucket, config.num_buckets)
    MinhashDedupCluster(str(home / "pairs"), str(home / "clusters"), config, save_cluster_id=True).run()
    stays = MinhashDedupFilter(str(home / "clusters"), load_cluster_ids=True).run(iter(documents))
    print(len(texts), "texts", sum(1 for _ in stays), "stay")
    write_signatures(home, config, len(texts))
    clusters = np.full(len(texts), -1, np.int64)
    members = home / "clusters" / "000000.clusters"
    if members.exists():  # not where no pair was found
        pairs = np.fromfile(members, "<u4").reshape(-1, 2)
        clusters[pairs[:, 0]] = pairs[:, 1]
    np.save(home / "clusters.npy", clusters)


def write_signatures(home: Path, config: MinhashConfig, texts: int) -> None:
    """Gather the buckets' files, which are sorted by value."""
    rows = config.hashes_per_bucket
    values = np.zeros((texts, config.num_buckets * rows), np.uint64)
    signed = np.zeros(texts, bool)
    for bucket in range(config.num_buckets):
        path = home / "signatures" / f"bucket_{bucket:03d}" / "00000.minhash.sig"
        records = np.fromfile(path, np.dtype([("values", "<u8", rows), ("text", "<u4")]))
        values[records["text"], bucket * rows : (bucket + 1) * rows] = records["values"]
        signed[records["text"]] = True
    np.save(home / "signatures.npy", values)
    np.save(home / "signed.npy", signed)


if __name__ == "__main__":
    main()
