"""`decontaminate` on real text with planted items: MB of text per CPU-second, and what is found of what was planted.

    python benchmarks/decontamination.py build/corpora/english.parquet [--items 4000] [--rounds 3]

The items are made up of words of the text in random order, so that the text has none of them by itself, and have 13
to 60 words. A quarter is planted as it is, a quarter in capitals with other punctuation, a quarter with the middle word
changed, a quarter by its first half, each into a document of its own. What should be found is decided by comparing
n-grams of the whole document with those of its item in sets (`operators/kernels/item_ngrams_reference.py`). One
thread, one table, the text in memory, the kernels compiled; the best of the rounds. `scan` is the scan of words, which
other steps share.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators import scans
from operators.base import Context
from operators.evaluation_items import EvaluationItems, Index, index_of, matches_of
from operators.kernels.item_ngrams_reference import grams_of, normal_words

HOW = ("verbatim", "capitals and punctuation", "one word changed", "first half")


def made_items(texts: list[str], count: int, rng: random.Random) -> list[list[str]]:
    """Items of words of the text."""
    words = [word for text in rng.sample(texts, min(len(texts), 2000)) for word in normal_words(text[:2000])]
    return [rng.choices(words, k=rng.randint(13, 60)) for _ in range(count)]


def planted(item: list[str], how: str) -> str:
    """What of an item is put into a document."""
    if how == "capitals and punctuation":
        return ", ".join(item).upper() + "!"
    if how == "one word changed":
        middle = len(item) // 2
        return " ".join([*item[:middle], "unheardof", *item[middle + 1 :]])
    return " ".join(item[: len(item) // 2] if how == "first half" else item)


def contaminate(texts: list[str], items: list[list[str]], rng: random.Random) -> set[tuple[int, int, int]]:
    """Put each item into a text; what should be found, as (document, item, distinct n-grams)."""
    expected = set()
    for number, document in enumerate(rng.sample(range(len(texts)), min(len(items), len(texts)))):
        part = planted(items[number], HOW[number % 4])
        low = texts[document].find(" ", rng.randrange(max(1, len(texts[document])))) + 1
        texts[document] = f"{texts[document][:low]}\n{part}\n{texts[document][low:]}"
        shared = set(grams_of(items[number], 13, 8)) & set(grams_of(normal_words(texts[document]), 13, 13))
        if shared:
            expected.add((document, number, len(shared)))
    return expected


def seconds(rows: pa.ChunkedArray, index: Index) -> tuple[float, float]:
    """CPU seconds of this thread for the scan and the search."""
    scans._remembered = ()
    start = time.thread_time()
    scan = scans.scan_texts(rows, "standard")
    middle = time.thread_time()
    matches_of(scan, index)
    return middle - start, time.thread_time() - middle


def main() -> None:
    """A table of all files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[Path("build/corpora/english.parquet")])
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| text | MB | items | scan MB/s | search MB/s | both MB/s | expected | found | wrong |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in options.files:
        rng = random.Random(7)
        texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
        items = made_items(texts, options.items, rng)
        expected = contaminate(texts, items, rng)
        rows = pa.chunked_array([pa.array(texts, pa.large_string())])
        written = pa.array([" ".join(item) for item in items], pa.large_string())
        given = pa.table({"id": pa.array(map(str, range(len(items)))), "text": written})
        index = index_of([EvaluationItems(name="items", reference="r").bind(Context(0, {}))(given)], 13, 8, 100)
        found = matches_of(scans.scan_texts(rows, "standard"), index)
        got = set(zip(found.document.tolist(), found.item.tolist(), found.ngrams.tolist(), strict=True))
        spent = np.array([seconds(rows, index) for _ in range(options.rounds)]).min(axis=0)
        size = sum(len(text.encode()) for text in texts) / 1e6
        speed = " | ".join(f"{size / some:.0f}" for some in (*spent, spent.sum()))
        print(
            f"| {path.stem} | {size:.1f} | {len(items)} | {speed} | {len(expected)} | {len(got & expected)} "
            f"| {len(got - expected)} |"
        )


if __name__ == "__main__":
    main()
