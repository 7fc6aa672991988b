"""Remove near-duplicates with one peer and print a line of JSON; run by `dedup_peers.py` in that peer's environment.

Arguments: peer, Parquet file with `id` and `text`, bands, rows, folder to write to. Shingles are five words and the
bands are those given, for everyone alike. CPU seconds are of this process and its children, from reading the file to
having written what stays (where the peer writes); imports are not counted.
"""

# Each environment has only its own peer.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow.parquet as pq


def cpu_seconds() -> float:
    """Of this process and the children that it waited for, user and system."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def ids_of(path: Path) -> list[str]:
    """The ids of a Parquet file or of all in a folder."""
    ids: list[str] = pq.read_table(path, columns=["id"])["id"].to_pylist()
    return ids


def datatrove(file: Path, bands: int, rows: int, folder: Path) -> Callable[[], list[str]]:
    """Its four stages, one task each; English words by spaCy."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import minhash
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.typeshelper import Languages
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    load_word_tokenizer(Languages.english).word_tokenize("Imports and loads spaCy.")
    config = minhash.MinhashConfig(n_grams=5, num_buckets=bands, hashes_per_bucket=rows)

    def read() -> ParquetReader:
        return ParquetReader(str(file.parent), glob_pattern=file.name)

    stages = (
        [read(), minhash.MinhashDedupSignature(f"{folder}/signatures", config)],
        [minhash.MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)],
        [minhash.MinhashDedupCluster(f"{folder}/buckets", f"{folder}/clusters", config=config)],
        [read(), minhash.MinhashDedupFilter(f"{folder}/clusters"), ParquetWriter(f"{folder}/kept")],
    )
    tasks = (1, bands, 1, 1)

    def dedup() -> list[str]:
        for number, (stage, count) in enumerate(zip(stages, tasks, strict=True)):
            LocalPipelineExecutor(stage, tasks=count, workers=1, logging_dir=f"{folder}/logs{number}").run()
        return ids_of(folder / "kept")

    return dedup


def text_dedup(file: Path, bands: int, rows: int, folder: Path) -> Callable[[], list[str]]:
    """Its command `text_dedup.minhash`, one process."""
    from datasets import load_from_disk
    from text_dedup import minhash

    asked = {
        "path": "parquet", "data_files": file, "split": "train", "cache_dir": folder / "cache", "column": "text",
        "output": folder / "kept", "ngram": 5, "min_length": 5, "num_perm": bands * rows, "b": bands, "r": rows,
        "num_proc": 1, "batch_size": 10_000,
    }  # fmt: skip

    def dedup() -> list[str]:
        minhash.main(
            [word for name, value in asked.items() for word in (f"--{name}", str(value))], standalone_mode=False
        )
        return list(load_from_disk(str(folder / "kept"))["id"])

    return dedup


def data_juicer(file: Path, bands: int, rows: int, folder: Path) -> Callable[[], list[str]]:
    """Its operator `document_minhash_deduplicator`, one process; it writes nothing here."""
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
    from datasets import Dataset

    step = DocumentMinhashDeduplicator(
        tokenization="space", window_size=5, lowercase=True, ignore_pattern=None, num_permutations=bands * rows,
        jaccard_threshold=0.8, num_bands=bands, num_rows_per_band=rows,
    )  # fmt: skip

    def dedup() -> list[str]:
        rows_ = NestedDataset(Dataset.from_parquet(str(file), cache_dir=str(folder / "cache")))
        hashed = rows_.map(step.compute_hash, num_proc=1, load_from_cache_file=False)
        return list(step.process(hashed)[0]["id"])

    return dedup


def shingled(file: Path) -> tuple[list[str], Iterable[list[str]]]:
    """Ids, and the shingles of each text as its user would make them."""
    table = pq.read_table(file, columns=["id", "text"])
    texts = table["text"].to_pylist()

    def shingles(text: str) -> list[str]:
        words = text.lower().split()
        return [" ".join(words[first : first + 5]) for first in range(len(words) - 4)]

    return table["id"].to_pylist(), map(shingles, texts)


def rensa(file: Path, bands: int, rows: int, folder: Path) -> Callable[[], list[str]]:
    """R-MinHash of batches, its index, and a union-find over what the index gives; the first of a component stays."""
    from rensa import RMinHash, RMinHashLSH

    def dedup() -> list[str]:
        ids, sets = shingled(file)
        hashes = list(batches(sets, lambda some: RMinHash.from_token_sets(some, bands * rows, 42)))
        signed = [place for place, (words, _) in enumerate(zip(lengths, hashes, strict=True)) if words]
        index = RMinHashLSH(0.8, bands * rows, bands)
        index.insert_pairs((place, hashes[place]) for place in signed)
        root = list(range(len(ids)))
        for place, met in zip(signed, index.query_all([hashes[place] for place in signed]), strict=True):
            for other in met:
                join(root, place, other)
        return write(file, [name for place, name in enumerate(ids) if root[place] == place], folder)

    lengths: list[int] = []

    def batches(sets: Iterable[list[str]], sketch: Callable[[list[list[str]]], list[object]]) -> Iterable[object]:
        held: list[list[str]] = []
        for some in sets:
            held.append(some)
            lengths.append(len(some))
            if len(held) == 1000:
                yield from sketch(held)
                held = []
        yield from sketch(held)

    return dedup


def rensa_deduplicator(file: Path, bands: int, rows: int, folder: Path) -> Callable[[], list[str]]:
    """Its own deduplicator: a text goes if its estimate with one kept before reaches 0.8."""
    from rensa import RMinHashDeduplicator

    def dedup() -> list[str]:
        ids, sets = shingled(file)
        keeper = RMinHashDeduplicator(threshold=0.8, num_perm=bands * rows, use_lsh=True, num_bands=bands)
        short: list[str] = []

        def pairs() -> Iterable[tuple[str, list[str]]]:
            for name, some in zip(ids, sets, strict=True):
                if some:
                    yield name, some
                else:
                    short.append(name)

        flags = keeper.add_pairs(pairs())
        gone = set(short)
        signed = [name for name in ids if name not in gone]
        kept = {name for name, flag in zip(signed, flags, strict=True) if flag} | gone
        return write(file, [name for name in ids if name in kept], folder)

    return dedup


def join(root: list[int], one: int, other: int) -> None:
    """Union by the smaller place, with path halving."""
    while root[one] != one:
        root[one] = root[root[one]]
        one = root[one]
    while root[other] != other:
        root[other] = root[root[other]]
        other = root[other]
    root[max(one, other)] = min(one, other)


def write(file: Path, kept: list[str], folder: Path) -> list[str]:
    """Write the rows that stay."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pq.read_table(file)
    pq.write_table(table.filter(pc.is_in(table["id"], pa.array(kept))), folder / "kept.parquet")
    return kept


PEERS = (datatrove, text_dedup, data_juicer, rensa, rensa_deduplicator)


def main() -> None:
    """See the module."""
    name, file, bands, rows, folder = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    peer = next(peer for peer in PEERS if peer.__name__ == name)
    dedup = peer(file, bands, rows, Path(folder))
    begin = cpu_seconds()
    kept = dedup()
    seconds = cpu_seconds() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 * 1.024
    Path(folder, "kept.json").write_text(json.dumps(kept))
    print(re.sub(r"\n", " ", json.dumps({"cpu_s": seconds, "kept": len(kept), "peak_mb": peak})))


if __name__ == "__main__":
    main()
