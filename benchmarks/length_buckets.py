"""`length_buckets`: MB of text encoded per CPU-second against `tokenizers`, whether the ids are equal, and memory.

    python benchmarks/length_buckets.py [FILES ...] [--vocab 48000] [--rounds 3] [--run build/corpora/mixed-1gb]

A byte-level BPE of cl100k's pattern is trained on the first file. Every file is encoded by our kernels and by
`tokenizers` (`encode_batch_fast`), both on one thread; the best of the rounds, the kernels compiled. With `--run` the
step is run over half of a folder's Parquet files and over all, which were ingested before, by one worker: CPU seconds,
publishing included, peak memory, and what lies in the buckets.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from operators.text_buffers import one_text_array
from operators.text_tokens import LibraryEncoder, TextEncoder, Tokens, text_encoder
from operators.token_sequences import cut

ROOT = Path(__file__).resolve().parent.parent
END = "<|endoftext|>"


def pipeline_run(recipe: dict[str, Any], folder: Path) -> tuple[float, float]:
    """CPU seconds and the most memory, in MB, of any process of a run."""
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    command = [sys.executable, "-m", "pipeline", "run", str(folder / "recipe.yaml"), "--workers", "1", "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, json.loads((folder / "out/manifest.json").read_bytes())["peak_rss_mb"]


def recipe_of(files: list[Path], steps: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """A recipe over some files."""
    inputs = [{"name": "docs", "path": [str(file.resolve()) for file in files]}]
    return {"name": "buckets", "inputs": inputs, "steps": steps, "outputs": {"path": str(folder / "out")}}


def trained(file: Path, size: int) -> bytes:
    """The tokenizer."""
    with tempfile.TemporaryDirectory() as name:
        step = {
            "kind": "train_tokenizer",
            "name": "t",
            "pretokenizer": "cl100k",
            "vocab_sizes": [size],
            "special_tokens": [END],
        }
        pipeline_run(recipe_of([file], [step], Path(name)), Path(name))
        return (Path(name) / "out/artifacts/t/tokenizer.json").read_bytes()


def timed(encode: TextEncoder, texts: pa.LargeStringArray, rounds: int) -> tuple[float, Tokens]:
    """CPU seconds of the best round, and the tokens."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        found = encode(texts)
        best = min(best, time.process_time() - start)
    return best, found


def compare(files: list[Path], content: bytes, rounds: int) -> None:
    """The table of speeds."""
    print("| text | MB | tokens | kernels MB/s | tokenizers MB/s | times | ids | cut, tokens/s |")
    print("|---|---:|---:|---:|---:|---:|---|---:|")
    ours, theirs = text_encoder(content, "trained"), LibraryEncoder(content, "trained")
    for file in files:
        texts = one_text_array(pq.read_table(file, columns=["text"])["text"])
        size = pc.sum(pc.binary_length(texts)).as_py() / 1e6
        ours(texts.slice(0, 50))
        (fast, found), (slow, wanted) = timed(ours, texts, rounds), timed(theirs, texts, 1)
        equal = np.array_equal(found.ids, wanted.ids) and np.array_equal(found.starts, wanted.starts)
        start = time.process_time()
        cut(np.diff(found.starts), 256, 8192)
        cutting = found.ids.size / max(time.process_time() - start, 1e-9)
        print(
            f"| {file.stem} | {size:.1f} | {found.ids.size:,} | {size / fast:.1f} | {size / slow:.1f} "
            f"| {slow / fast:.1f} | {'equal' if equal else 'DIFFER'} | {cutting:.1e} |",
            flush=True,
        )


def whole(files: list[Path], content: bytes) -> None:
    """The step over half of the files and over all, and what lies in the buckets."""
    print("| files | MB | CPU s | MB/s | peak MB | sequences | left out |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for some in (files[: len(files) // 2], files):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "tokenizer.json").write_bytes(content)
            step = {"kind": "length_buckets", "tokenizer": str(folder / "tokenizer.json"), "end_token": END}
            pipeline_run(
                recipe_of(some, [{"kind": "corpus_stats"}], folder), folder
            )  # what was ingested is found again
            spent, memory = pipeline_run(recipe_of(some, [{"kind": "corpus_stats"}, step], folder), folder)
            manifest = json.loads((folder / "out/manifest.json").read_bytes())
            about = json.loads((folder / "out/artifacts/length_buckets/buckets.json").read_bytes())
            size = manifest["steps"][-1]["bytes_in"] / 1e6
            tokens = about["tokens"]
            sequences = sum(bucket["sequences"] for bucket in about["buckets"])
            print(
                f"| {len(some)} | {size:.0f} | {spent:.1f} | {size / spent:.1f} | {memory:.0f} | {sequences:,} "
                f"| {tokens['left_out'] / tokens['encoded']:.1%} |",
                flush=True,
            )
    print(*(f"{bucket['table']}: {bucket['sequences']:,}" for bucket in about["buckets"]), sep="; ")


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--vocab", type=int, default=48_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", type=Path)
    options = parser.parse_args()
    folder = ROOT / "build/corpora"
    files = options.files or [folder / f"{name}.parquet" for name in ("english", "languages", "code", "unspaced")]
    content = trained(files[0], options.vocab)
    compare(files, content, options.rounds)
    if options.run:
        whole(sorted(options.run.glob("*.parquet")), content)


if __name__ == "__main__":
    main()
