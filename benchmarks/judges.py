"""MB of text per CPU-second of the judges that look at no words of a language: `length`, `script_share` and so on.

    python benchmarks/judges.py [build/corpora/*.parquet] [--rounds 3] [--megabytes 8]

One process, the text in memory, kernels compiled; medians. `word_list` looks for the 400 rarest words of the text that
are of letters alone, `url_filter` for as many domains and words in addresses that are made up (thousands a second).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators.base import Context, Map
from operators.length import Length
from operators.line_rules import LineRules
from operators.script_share import ScriptShare
from operators.url_filter import UrlFilter
from operators.word_list import WordList

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3


def documents(path: Path, megabytes: float) -> pa.Table:
    """Every n-th document, so many that they are about so much text."""
    texts = pq.read_table(path, columns=["text"])["text"].cast(pa.large_string())
    step = max(1, round(texts.nbytes / megabytes / 1e6))
    chosen = texts.take(pa.array(np.arange(0, len(texts), step)))
    return pa.table({"id": [str(number) for number in range(len(chosen))], "text": chosen})


def seconds(stages: tuple[Map, ...], rows: pa.Table, rounds: int) -> float:
    """CPU seconds of the stages, after a first round that compiles."""
    applies = [stage.bind(Context(0, {})) for stage in stages]
    found = []
    for _ in range(rounds + 1):
        begin = time.process_time()
        for apply in applies:
            apply(rows)
        found.append(time.process_time() - begin)
    return statistics.median(found[1:])


def measure(path: Path, megabytes: float, rounds: int) -> str:
    """A row of the table."""
    rows = documents(path, megabytes)
    texts = rows["text"].to_pylist()
    size = sum(len(text.encode()) for text in texts) / 1e6
    counts = Counter(word for text in texts for word in text.lower().split() if word.isalpha())
    rare = [word for word, _ in counts.most_common()[-400:]]
    lines = tuple(stage for stage in LineRules().stages() if isinstance(stage, Map))
    steps: list[tuple[Map, ...]] = [
        (Length(),),
        (ScriptShare(keep=("Latin",)),),
        lines,
        (WordList.model_validate({"words": rare}),),
    ]
    speeds = [size / seconds(stages, rows, rounds) for stages in steps]
    return f"| {path.stem} | {len(rows)} | {size:.1f} | {' | '.join(f'{speed:.0f}' for speed in speeds)} |"


def addresses(count: int, rounds: int) -> float:
    """Addresses per CPU-second, with 100,000 domains, 400 words and 100 parts listed."""
    urls = [f"https://www.host{number * 7919 % 1_000_003}.example/path/{number}-page" for number in range(count)]
    rows = pa.table({"id": urls, "url": urls})
    given = {
        "domains": [f"host{number * 31}.example" for number in range(100_000)],
        "soft_words": [f"soft{number}" for number in range(400)],
        "parts": [f"part{number}x" for number in range(100)],
    }
    return count / seconds((UrlFilter.model_validate(given),), rows, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", help="parquet files with a column `text`")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--megabytes", type=float, default=8)
    options = parser.parse_args()
    print("| text | documents | MB | length | script_share | line_rules | word_list |\n|---|---|---|---|---|---|---|")
    for file in options.files or sorted((ROOT / "build" / "corpora").glob("*.parquet")):
        print(measure(file, options.megabytes, options.rounds), flush=True)
    print(f"\nurl_filter: {addresses(200_000, options.rounds) / 1000:.0f} thousand addresses a CPU-second")
