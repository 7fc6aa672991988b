"""Our pre-tokens and merges against those of the installed `tokenizers`: every corpus, every published pattern.

    python benchmarks/training_parity.py [--corpora build/corpora/english.parquet ...] [--patterns cl100k ...]

Pre-tokens: where each ends in every document, against the engine inside `tokenizers`. Merges: all of 32,000 and of
64,000, in order, against one `BpeTrainer` run at 64,000, whose first 32,000 are what it learns at 32,000. Exit status 1
on any difference. Default corpora: `benchmarks/corpora.py`'s five small ones and its 100 MB; some 30 minutes.

`tokenizers` may list a merge twice, where a token's string was made by another pair before (`operators/kernels/bpe.py`
says when that can be: never over single bytes). A second listing is left out before comparing, and counted in the
table. `superbpe_stage2` cuts so little that its pre-tokens are whole sentences and lines, at which `tokenizers` takes
time in the square of their length: it gets each corpus' first documents, up to `--stage2-mb`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.counting import CountTable  # noqa: E402
from operators.engine_spans import engine_ends  # noqa: E402
from operators.kernels import bpe  # noqa: E402
from operators.kernels.pretokenize import count, spans  # noqa: E402
from operators.pretokenizers import PATTERNS, Pretokenizer  # noqa: E402

SIZES: Final = (32_000, 64_000)
SMALL: Final = ("english", "code", "languages", "unspaced", "repetitions")
BATCH: Final = 512

Merge = tuple[int, int]


class Row(NamedTuple):
    """One line of the table; `difference` is empty where there is none."""

    corpus: str
    pattern: str
    documents: int
    megabytes: float
    pretokens: int
    merges: str
    repeats: int
    difference: str


def files_of(corpus: Path) -> list[Path]:
    """A Parquet file, or those of a folder."""
    return sorted(corpus.glob("*.parquet")) if corpus.is_dir() else [corpus]


def batches(corpus: Path, max_bytes: float) -> Iterator[pa.LargeStringArray]:
    """The documents in order, some at a time, up to so many bytes."""
    left = max_bytes
    for path in files_of(corpus):
        for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=["text"]):
            texts = batch["text"].cast(pa.large_string())
            size = texts.nbytes
            if left <= 0:
                return
            yield texts
            left -= size


def first_difference(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> int | None:
    """The first place where two sequences differ; None if they are equal.

    >>> first_difference(np.array([1, 2]), np.array([1, 3])), first_difference(np.array([1]), np.array([1, 2]))
    (1, 1)
    """
    common = min(len(ours), len(theirs))
    different = np.flatnonzero(ours[:common] != theirs[:common])
    if different.size:
        return int(different[0])
    return None if len(ours) == len(theirs) else common


def ends_in_bytes(texts: pa.LargeStringArray, pattern: Pretokenizer) -> NDArray[np.int64]:
    """Where our pre-tokens end in the joined bytes of some documents."""
    found = spans(texts, pattern)
    lengths = np.array([len(text.encode()) for text in texts.to_pylist()], np.int64)
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    sizes = np.diff(found.offsets.to_numpy())
    ends: NDArray[np.int64] = found.values.to_numpy() + np.repeat(firsts, sizes)
    return ends


def compare_pretokens(corpus: Path, pattern: Pretokenizer, max_bytes: float) -> tuple[int, int, float, str, CountTable]:
    """Documents, pre-tokens, MB and the first difference; and our counts, for training."""
    documents, pretokens, num_bytes, difference, table = 0, 0, 0, "", CountTable()
    for texts in batches(corpus, max_bytes):
        ours, theirs = ends_in_bytes(texts, pattern), engine_ends(texts, PATTERNS[pattern])
        place = first_difference(ours, theirs)
        if place is not None and not difference:
            difference = f"pre-token {pretokens + place}, documents {documents} to {documents + len(texts)}"
        documents, pretokens, num_bytes = documents + len(texts), pretokens + len(theirs), num_bytes + int(theirs[-1])
        table.add(*count(texts, np.ones(len(texts), np.int64), pattern))
    return documents, pretokens, num_bytes / 1e6, difference, table


def learned_by_tokenizers(texts: Iterator[list[str]], pattern: Pretokenizer, num_merges: int) -> list[Merge]:
    """The merges of `BpeTrainer` as ids, which are ours: 256 bytes, then a token a merge."""
    splits = [pre_tokenizers.Split(Regex(text), "isolated") for text in PATTERNS[pattern]]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=256 + num_merges, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]


def compare_merges(ours: Sequence[Merge], theirs: Sequence[Merge], num_merges: int) -> str:
    """What differs first among so many merges, or all that either side has; empty if nothing does."""
    for place, (mine, other) in enumerate(zip(ours[:num_merges], theirs[:num_merges], strict=False)):
        if mine != other:
            return f"merge {place} of {num_merges}: {mine}, there {other}"
    if min(len(ours), num_merges) != min(len(theirs), num_merges):
        return f"{len(ours)} merges, there {len(theirs)}"
    return ""


def compare(corpus: Path, pattern: Pretokenizer, max_bytes: float) -> Row:
    """One corpus by one pattern."""
    documents, pretokens, megabytes, difference, table = compare_pretokens(corpus, pattern, max_bytes)
    listed = learned_by_tokenizers((t.to_pylist() for t in batches(corpus, max_bytes)), pattern, SIZES[-1])
    theirs = list(dict.fromkeys(listed))
    compared = []
    words, counts = table.words_and_counts()
    for size in SIZES:
        ours = [(left, right) for left, right in bpe.train(words, counts, 256 + size).merges.tolist()]
        difference = difference or compare_merges(ours, theirs, size)
        compared.append(f"{min(len(ours), len(theirs), size):,}")
    merges = ", ".join(dict.fromkeys(compared))
    return Row(corpus.stem, pattern, documents, megabytes, pretokens, merges, len(listed) - len(theirs), difference)


def main() -> int:
    """Print the table."""
    made = ROOT / "build" / "corpora"
    default = [*(made / f"{name}.parquet" for name in SMALL), made / "mixed-100mb"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpora", nargs="+", type=Path, default=default)
    parser.add_argument("--patterns", nargs="+", choices=list(PATTERNS), default=list(PATTERNS))
    parser.add_argument("--stage2-mb", type=float, default=5)
    given = parser.parse_args()
    print("| corpus | pattern | documents | MB | pre-tokens | merges compared | listed twice | first difference |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    same = True
    for corpus in given.corpora:
        for pattern in given.patterns:
            row = compare(corpus, pattern, given.stage2_mb * 1e6 if pattern == "superbpe_stage2" else np.inf)
            cells = (row.corpus, row.pattern, f"{row.documents:,}", f"{row.megabytes:.1f}", f"{row.pretokens:,}")
            print("|", " | ".join((*cells, row.merges, str(row.repeats), row.difference or "none")), "|", flush=True)
            same = same and not row.difference
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
