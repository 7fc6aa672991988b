"""Make the corpora that the benchmarks of training read: real, mixed text of 100 MB to 2 GB, and five small ones.

    python benchmarks/corpora.py [--out build/corpora]

    mixed-100mb, -200mb, -500mb, -1gb, -2gb    folders of Parquet parts of 50 MB of text each
    english, code, languages, unspaced, repetitions    one Parquet file each, 5 to 20 MB of text
    mix.md, packages.json                      bytes by source and language; archives and their sha256

Text comes from packages of Debian, PyPI and npm (`corpus_sources.py`): documentation and message catalogues in some
75 languages of 1 MB or more and many of less, Chinese poems, and code. A document is kept once, and a line of prose
of 24 characters or more once, over the whole pool; Linux' C, of which there is most, fills the pool up to 2 GB.
Documents stand in the order of the hash of their text, and a smaller corpus is the first parts of the largest (hard
links), so that it is a random sample of it. `apt-get update` must have run. Takes 5 to 10 minutes of two cores and 5
GB of disk.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.corpus_packages import fetched, members, record
from benchmarks.corpus_sources import CODE, PROSE, Source
from benchmarks.corpus_text import READERS, fresh_lines

SCHEMA: Final = pa.schema({"id": pa.string(), "text": pa.large_string(), "source": pa.string(), "lang": pa.string()})
PARTS: Final = 40
PART_BYTES: Final = 50_000_000
CORPORA: Final = {"mixed-100mb": 2, "mixed-200mb": 4, "mixed-500mb": 10, "mixed-1gb": 20, "mixed-2gb": 40}
"""How many parts of the pool each corpus has."""

FILLER: Final = "linux"
MIN_CHARS: Final = 100
MAX_CHARS: Final = 1_000_000
GROUP_BYTES: Final = 8_000_000
WHOLE: Final = {"plain", "markup"}
"""Readers that make one document of a file, so that one with more than 4 MB is skipped unread."""

UNSPACED: Final = ("zh", "ja", "th")
SMALL_BYTES: Final = 15_000_000


class Writer:
    """Rows to a Parquet file, in row groups of some 8 MB of text."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self.rows: list[tuple[str, str, str, str]] = []
        self.pending = 0

    def add(self, row: tuple[str, str, str, str]) -> None:
        """One document: id, text, source, lang."""
        self.rows.append(row)
        self.pending += len(row[1])
        if self.pending >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the row group."""
        if self.rows:
            self.file.write_table(pa.table(list(zip(*self.rows, strict=True)), schema=SCHEMA))
            self.rows, self.pending = [], 0

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        self.file.close()


def language(tag: str) -> str:
    """A publisher's tag without its region; "C" is English.

    >>> language("pt_BR"), language("zh-CN"), language("C"), language("sr@latin"), language("c")
    ('pt', 'zh', 'en', 'sr', 'c')
    """
    return "en" if tag == "C" else tag.replace("_", "-").replace("@", "-").lower().split("-")[0]


def documents(source: Source) -> Iterator[tuple[str, str]]:
    """Text and language of each document of a source, cleaned but not yet made unique."""
    wanted, reader = re.compile(source.files), READERS[source.reader]
    for package, archive in zip(source.packages, fetched(source.registry, source.packages), strict=True):
        default = source.lang.format(package.removeprefix(source.prefix).removesuffix("-dev"))
        for _, content, found in members(archive, wanted):
            if len(content) <= 4 * MAX_CHARS or source.reader not in WHOLE:
                tag = found.groupdict().get("lang") or default
                for text in reader(content):
                    yield text, language(tag)


def pool(job: tuple[Sequence[Source], Path]) -> None:
    """Write each source's documents to `<name>.parquet` in the pool; one call sees all sources that may share lines."""
    sources, directory = job
    seen_lines: set[bytes] = set()
    seen: set[bytes] = set()
    for source in sources:
        writer = Writer(directory / f"{source.name}.parquet")
        for text, tag in documents(source):
            if source.kind != "code":
                text = fresh_lines(text, seen_lines)
            text = text.strip()
            if not MIN_CHARS <= len(text) <= MAX_CHARS:
                continue
            digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                writer.add((digest.hex(), text, source.name, tag))
        writer.close()
        print(source.name, "done", flush=True)


def text_bytes(path: Path) -> int:
    """Bytes of text in a Parquet file."""
    total = 0
    for batch in pq.ParquetFile(path).iter_batches(columns=["text"]):
        total += pc.sum(pc.binary_length(batch["text"])).as_py() or 0
    return total


def distribute(directory: Path, out: Path) -> None:
    """The pool into parts by the first half of the hash, thinned by the second where it is the filler."""
    sizes = {path.stem: text_bytes(path) for path in sorted(directory.glob("*.parquet"))}
    room = PARTS * PART_BYTES - sum(size for name, size in sizes.items() if name != FILLER)
    share = max(0.0, room / sizes[FILLER])
    print(json.dumps(sizes, indent=1), f"{FILLER}: {share:.3f} of it is kept", flush=True)
    writers = [Writer(out / f"part-{number:03d}.parquet") for number in range(PARTS)]
    for name in sizes:
        for batch in pq.ParquetFile(directory / f"{name}.parquet").iter_batches(256):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if name != FILLER or int(row[0][16:], 16) < share * 2**64:
                    writers[int(row[0][:16], 16) * PARTS >> 64].add(row)
    for writer in writers:
        writer.close()


def order(path: Path) -> None:
    """Sort a part by id, which is a hash: what stands beside each other is random."""
    table = pq.read_table(path).sort_by("id")
    writer = pq.ParquetWriter(path.with_suffix(".sorted"), SCHEMA, compression="zstd")
    rows = max(1, table.num_rows * GROUP_BYTES // max(1, pc.sum(pc.binary_length(table["text"])).as_py()))
    writer.write_table(table.cast(SCHEMA), row_group_size=rows)
    writer.close()
    path.with_suffix(".sorted").replace(path)


def link(parts: Path, out: Path) -> None:
    """Each corpus as the first parts of the pool."""
    files = sorted(parts.glob("part-*.parquet"))
    for name, number in CORPORA.items():
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in files[:number]:
            os.link(path, folder / path.name)


def small(out: Path) -> None:
    """The five small corpora: four out of the pool, in its order, and the repetitions."""
    parts = sorted((out / "mixed-2gb").glob("*.parquet"))
    by_size = mix(parts)
    programming = {language for (_, kind, language) in by_size if kind == "code"}
    totals: dict[str, int] = collections.Counter()
    for (_, kind, tag), size in by_size.items():
        if kind != "code" and tag != "en":
            totals[tag] += size
    thirty = {tag for tag, _ in collections.Counter(totals).most_common(29)} | {"en"}
    limits = {
        "english": {"en": SMALL_BYTES},
        "code": {tag: SMALL_BYTES // len(programming) for tag in programming},
        "languages": {tag: SMALL_BYTES // len(thirty) for tag in thirty},
        "unspaced": {tag: SMALL_BYTES // len(UNSPACED) for tag in UNSPACED},
    }
    writers = {name: Writer(out / f"{name}.parquet") for name in limits}
    for path in parts:
        for batch in pq.ParquetFile(path).iter_batches(256):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                for name, left in limits.items():
                    if left.get(row[3], 0) > 0:
                        left[row[3]] -= len(row[1].encode())
                        writers[name].add(row)
    writers["repetitions"] = Writer(out / "repetitions.parquet")
    for number, text in enumerate(repetitions(random.Random(0), 6_000_000)):
        writers["repetitions"].add((f"{number:08d}", text, "generated", "und"))
    for writer in writers.values():
        writer.close()


def repetitions(random: random.Random, num_bytes: int) -> Iterator[str]:
    """Documents of runs and near-periodic text, where overlapping pairs, ties and long pre-tokens are many.

    Runs have at most 400 atoms: merging takes `tokenizers` the square of a pre-token's length.
    """
    latin = ["a", "ab", "aab", "abcabd", "0", "12", "'", "'s", "-", "=-", "X", "Xx", "_", "/", "e\u0301"]
    spaces = [" ", "  ", "\n", "\t", " \n", "\r\n", "\u00a0", "\ufeff", "\u200d"]
    atoms = [*latin, *spaces, "\u3002", "\u306f", "\u0915\u093f", "\U0001f600", "\u0627", "\ud55c"]
    written = 0
    while written < num_bytes:
        pieces = []
        for _ in range(random.randint(1, 20)):
            atom = "".join(random.choices(atoms, k=random.choice((1, 1, 1, 2, 3))))
            pieces.append(atom * int(random.paretovariate(0.5) % 400 + 1))
            pieces.append(random.choice(("", "", " ", "\n", "a", "1")))
        text = fibonacci_word(random.randint(5, 15)) if random.random() < 0.05 else "".join(pieces)
        written += len(text.encode())
        yield text


def fibonacci_word(order: int) -> str:
    """The word of which each is the two before it: all its pairs overlap, and none of its powers is long.

    >>> fibonacci_word(5)
    'abaababa'
    """
    before, word = "b", "a"
    for _ in range(order - 1):
        before, word = word, word + before
    return word


def mix(paths: Sequence[Path]) -> dict[tuple[str, str, str], int]:
    """Bytes of text by source, kind and language."""
    kinds = {source.name: source.kind for source in (*PROSE, *CODE)}
    sizes: dict[tuple[str, str, str], int] = collections.Counter()
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(columns=["text", "source", "lang"]):
            table = pa.table({"n": pc.binary_length(batch["text"]), "s": batch["source"], "l": batch["lang"]})
            for row in table.group_by(["s", "l"]).aggregate([("n", "sum")]).to_pylist():
                sizes[row["s"], kinds[row["s"]], row["l"]] += row["n_sum"]
    return sizes


def describe(out: Path) -> None:
    """Write `mix.md`: bytes by kind and source and by language, of the largest corpus."""
    sizes = mix(sorted((out / "mixed-2gb").glob("*.parquet")))
    lines = []
    for title, key in (("kind", 1), ("source", 0), ("language", 2)):
        totals: dict[str, int] = collections.Counter()
        for names, size in sizes.items():
            totals[names[key]] += size
        lines += [f"| {title} | MB |", "|---|---|"]
        lines += [f"| {name} | {size / 1e6:.1f} |" for name, size in collections.Counter(totals).most_common()] + [""]
    (out / "mix.md").write_text("\n".join(lines))


def main() -> int:
    """Build what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/corpora"))
    out = parser.parse_args().out
    if (out / "mix.md").exists():
        print(f"{out}: already there (delete it to build it again)")
        return 0
    archives = [path for source in (*PROSE, *CODE) for path in fetched(source.registry, source.packages)]
    with multiprocessing.Pool(2) as workers:
        workers.map(pool, [(PROSE, out / "pool"), (CODE, out / "pool")], chunksize=1)
        distribute(out / "pool", out / "parts")
        workers.map(order, sorted((out / "parts").glob("part-*.parquet")))
    link(out / "parts", out)
    small(out)
    record(archives, out / "packages.json")
    describe(out)
    for folder in ("pool", "parts"):
        shutil.rmtree(out / folder)
    print((out / "mix.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
