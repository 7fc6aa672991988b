"""MB of text per CPU-second of every clean-up map, and how much of the text it changed.

    python benchmarks/clean_up.py build/corpora/*.parquet [--kinds fix_unicode mask_pii] [--megabytes 20]

One process, the text in memory, kernels compiled by a first run over a few documents; the median of `--rounds`.
`extract_html` gets a page made of each text: its lines as paragraphs between a menu and a footer; sizes are the pages'.
`romanise` changes no text: for it the share is that of documents with another column than their text.
"""

from __future__ import annotations

import argparse
import html
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators import OPERATORS
from operators.base import Context, Map
from operators.clean_up import CleanUp
from operators.romanise import Romanise

KINDS: dict[str, type[Map]] = {
    str(kind.model_fields["kind"].default): kind for kind in OPERATORS if issubclass(kind, CleanUp)
}
KINDS["romanise"] = Romanise
MENU = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in ("home", "news", "about", "contact"))


def documents(path: Path, megabytes: float) -> pa.Table:
    """Every n-th document, so many that they are about so much text."""
    texts = pq.read_table(path, columns=["text"])["text"].cast(pa.large_string())
    step = max(1, round(texts.nbytes / megabytes / 1e6))
    chosen = texts.take(pa.array(np.arange(0, len(texts), step)))
    return pa.table({"text": chosen})


def page_of(text: str) -> str:
    """A text as the main content of a page."""
    lines = "".join(f"<p>{html.escape(line)}</p>\n" for line in text.split("\n") if line.strip())
    head = f"<!doctype html><html><head><title>A page</title></head><body><nav><ul>{MENU}</ul></nav>"
    return (
        f"{head}<main><article><h1>A page</h1>{lines}</article></main><footer><p>All rights</p></footer></body></html>"
    )


def measure(operator: Map, rows: pa.Table, rounds: int) -> str:
    """The cells of one map over one corpus."""
    size = pc.sum(pc.binary_length(rows["text"])).as_py() / 1e6
    apply = operator.bind(Context(seed=0, artifacts={}))
    apply(rows.slice(0, 20))
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        found = apply(rows)
        seconds.append(time.process_time() - begin)
    new = found["text" if "text" in found.column_names else "romanised"]
    changed = pc.sum(pc.not_equal(new.cast(pa.large_string()), rows["text"])).as_py() / rows.num_rows
    return f"{size:.1f} | {size / statistics.median(seconds):.2f} | {changed:.1%}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="parquet files with a column `text`")
    parser.add_argument("--kinds", nargs="+", default=sorted(KINDS), choices=sorted(KINDS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=20)
    options = parser.parse_args()
    print("| map | text | MB | MB per CPU-second | documents changed |\n|---|---|---|---|---|")
    for path in options.files:
        texts = documents(path, options.megabytes)
        pages = pa.table({"text": pa.array([page_of(text) for text in texts["text"].to_pylist()], pa.large_string())})
        for kind in options.kinds:
            rows = pages if kind == "extract_html" else texts
            print(f"| {kind} | {path.stem} | {measure(KINDS[kind](), rows, options.rounds)} |")
