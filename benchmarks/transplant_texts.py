"""The texts and tokenizers of docs/transplant.md: what benchmarks.held_out_rows and benchmarks.transplant are given.

    python -m benchmarks.transplant_texts own      GPT-2's pattern and single digits: nearly as SmolLM2's own tokenizer
    python -m benchmarks.transplant_texts other    cl100k's pattern, which cuts otherwise; text of the held-out packages

Writes `build/transplant/NAME.json`, a tokenizer of 24,000, and `build/transplant/NAME.parquet`, the text that vectors
are trained on. It is made of the corpora of benchmarks/corpora.py, and for `other` of the demo's manuals as well
(`python -m pipeline.fetch quickstart`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.transplant_rows import HELD_OUT, WORK

CORPORA: Final = Path("build/corpora")
MANUALS: Final = Path("data/quickstart/docs")
MORE: Final = ("linux-doc", "openjdk-doc", "manpages", "manpages-dev", "qt-doc", "sage-doc", "debian-handbook")
"""Packages of which `other` has the first 45 million characters."""
TRAINING: Final[dict[str, dict[str, Any]]] = {
    "own": {"pretokenizer": "gpt2", "digits": "single", "special_tokens": ["<|endoftext|>"]},
    "other": {"pretokenizer": "cl100k", "special_tokens": ["<|endoftext|>", "<|padding|>"]},
}


def mixed() -> pa.Table:
    """All documents of the mixed corpus of 1 GB, in its order."""
    paths = sorted((CORPORA / "mixed-1gb").glob("*.parquet"))
    return pa.concat_tables([pq.read_table(path, columns=["text", "source", "lang"]) for path in paths])


def own_text() -> pa.ChunkedArray:
    """English documents of all packages that are not held out."""
    table = mixed()
    held = pc.is_in(table["source"], pa.array(HELD_OUT))
    return table.filter(pc.and_(pc.equal(table["lang"], "en"), pc.invert(held)))["text"]


def drawn(texts: pa.ChunkedArray, most: int = 25_000_000) -> pa.ChunkedArray:
    """Documents in an order by chance, as many as have `most` bytes."""
    texts = texts.take(pa.array(np.random.default_rng(0).permutation(len(texts))))
    return texts[: int(np.cumsum(pc.binary_length(texts).to_numpy()).searchsorted(most))]


def other_text() -> pa.ChunkedArray:
    """The English corpus, the demo's manuals and documents of a few packages more."""
    manuals = [path.read_text("utf-8", "replace") for path in sorted(MANUALS.rglob("*")) if path.is_file()]
    table = mixed()
    more = table.filter(pc.is_in(table["source"], pa.array(MORE)))["text"]
    before = np.cumsum(pc.utf8_length(more).to_numpy()) - pc.utf8_length(more).to_numpy()
    parts = [
        pq.read_table(CORPORA / "english.parquet")["text"],
        pa.chunked_array([manuals]),
        more.filter(before < 45e6),
    ]
    return pa.chunked_array([part.cast(pa.large_string()).combine_chunks() for part in parts])


def train(name: str, texts: pa.ChunkedArray) -> bytes:
    """The `tokenizer.json` that a run leaves."""
    home = WORK / name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    pq.write_table(pa.table({"text": texts}), home / "docs.parquet", row_group_size=1000)
    step = {"kind": "train_tokenizer", "name": "tokenizer", "vocab_sizes": [24000], **TRAINING[name]}
    inputs = [{"name": "docs", "path": str(home / "docs.parquet")}]
    recipe = {"name": name, "seed": 1, "inputs": inputs, "steps": [step], "outputs": {"path": str(home / "out")}}
    (home / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "pipeline", "run", str(home / "recipe.yaml")], check=True)
    content = (home / "out" / "artifacts" / "tokenizer" / "tokenizer.json").read_bytes()
    shutil.rmtree(home)
    return content


def main() -> None:
    """Make one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(TRAINING))
    name = parser.parse_args().name
    texts = own_text() if name == "own" else other_text()
    (WORK / f"{name}.json").write_bytes(train(name, texts))
    pq.write_table(pa.table({"text": drawn(texts) if name == "own" else texts}), WORK / f"{name}.parquet")
    print(f"{len(texts):,} documents of {pc.sum(pc.binary_length(texts)).as_py():,} bytes")


if __name__ == "__main__":
    main()
