"""SuperBPE beside byte-pair encoding of the same size on the same text: price, run table, tokens on held-out text.

    python benchmarks/superbpe.py [--data 'out/quickstart/corpus/*.parquet'] [--mb 0] [--vocab 64000]
        [--transition 48000] [--held-mb 1.5] [--superword-mb 500]

Whole commands with two workers, the text read from Parquet; the peak is the sum over all processes. One document in
twenty, by a hash of its text, is held out. On the first `--held-mb` of those the trained files are compared, and the
written encoder with the two-level one (`operators/kernels/two_level_reference.py`). Run `make demo` first: it makes the
default text.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def is_held_out(text: str) -> bool:
    """One in twenty."""
    return hashlib.sha256(text.encode()).digest()[0] % 20 == 0


def split(pattern: str, directory: Path, megabytes: float, held_megabytes: float) -> tuple[list[str], float]:
    """Write the training text into the directory, file by file; the held-out texts, and how many MB were written."""
    held: list[str] = []
    room, written = megabytes * 1e6 or float("inf"), 0
    for number, path in enumerate(sorted(glob.glob(pattern))):  # noqa: PTH207  (the pattern may be absolute)
        texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
        kept = []
        for text in texts:
            size = len(text.encode())
            if is_held_out(text):
                held.append(text)
            elif written + size <= room:
                kept.append(text)
                written += size
        pq.write_table(pa.table({"text": pa.array(kept, pa.large_string())}), directory / f"{number:05}.parquet")
    size, few = 0, []
    for text in held:
        if size + len(text.encode()) <= held_megabytes * 1e6:
            few.append(text)
            size += len(text.encode())
    return few, written / 1e6


def train(directory: Path, name: str, step: dict[str, Any]) -> dict[str, Any]:
    """Run one recipe; its summary, with `training.json` under "training"."""
    recipe = {
        "name": name,
        "inputs": [{"name": "texts", "path": f"{directory}/input", "format": "parquet"}],
        "steps": [{"kind": "train_tokenizer", "name": "main", "pretokenizer": "superbpe", **step}],
        "outputs": {"path": f"{directory}/{name}"},
    }
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "pipeline", "run", f"{directory}/{name}.yaml", "--workers", "2", "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    artifacts = directory / name / "artifacts" / "main"
    return {
        **json.loads(done.stdout),
        "training": json.loads((artifacts / "training.json").read_text()),
        "file": (artifacts / "tokenizer.json").read_text(),
    }


def encoded(run: dict[str, Any], texts: list[str]) -> list[list[str]]:
    """The tokens of each text by the written file."""
    tokenizer = Tokenizer.from_str(run["file"])
    return [encoding.tokens for encoding in tokenizer.encode_batch(texts)]


def two_level_difference(run: dict[str, Any], texts: list[str], transition: int) -> tuple[int, int]:
    """Documents that the two-level encoder encodes otherwise, and how many more tokens it needs in all."""
    from operators.byte_alphabet import to_bytes
    from operators.kernels.two_level_reference import two_levels
    from operators.pretokenizers import cutting
    from operators.tokenizer_files import from_tokenizer_json

    merges = from_tokenizer_json(run["file"]).merges
    patterns = cutting("superbpe"), cutting("superbpe_stage2")
    found = two_levels(texts, merges, transition - 256, *patterns)
    whole = [[to_bytes(token) for token in tokens] for tokens in encoded(run, texts)]
    differing = sum(one != other for one, other in zip(found, whole, strict=True))
    return differing, sum(map(len, found)) - sum(map(len, whole))


def main() -> int:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="out/quickstart/corpus/*.parquet", help="Parquet files with a column text")
    parser.add_argument("--mb", type=float, default=0, help="train on so much of it; 0: all")
    parser.add_argument("--vocab", type=int, default=64000)
    parser.add_argument("--transition", type=int, default=48000)
    parser.add_argument("--held-mb", type=float, default=1.5)
    parser.add_argument("--superword-mb", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "input").mkdir()
        held, megabytes = split(given.data, directory / "input", given.mb, given.held_mb)
        sizes = {"vocab_sizes": [given.vocab]}
        second = {"algorithm": "superbpe", "transition": given.transition, "superword_mb": given.superword_mb}
        runs = {"bpe": train(directory, "bpe", sizes), "superbpe": train(directory, "superbpe", {**sizes, **second})}
    tokens = {name: sum(map(len, encoded(run, held))) for name, run in runs.items()}
    held_bytes = sum(len(text.encode()) for text in held)
    print(
        f"{megabytes:.1f} MB of text, {given.vocab} tokens, transition {given.transition}; held out: {held_bytes} bytes"
    )
    print("\n| algorithm | seconds | peak memory (MB) | held-out tokens | bytes per token | saved |")
    print("|---|---|---|---|---|---|")
    for name, run in runs.items():
        saved = 100 * (1 - tokens[name] / tokens["bpe"])
        cells = [f"{run['seconds']:.1f}", f"{run['peak_rss_mb']:.0f}", tokens[name], f"{held_bytes / tokens[name]:.2f}"]
        print("| " + " | ".join(map(str, [name, *cells, f"{saved:.1f} %"])) + " |")
    table = runs["superbpe"]["training"]["superword_corpus"]
    differing, more = two_level_difference(runs["superbpe"], held, given.transition)
    print("\n| runs | distinct | tokens in them | ids, bytes per byte read | two-level differs | more tokens |")
    print("|---|---|---|---|---|---|")
    share = 4 * table["distinct_run_tokens"] / max(1, table["bytes"])
    cells = [table["runs"], table["distinct_runs"], table["distinct_run_tokens"], f"{share:.2f}"]
    print(
        "| "
        + " | ".join(map(str, [*cells, f"{differing} of {len(held)}", f"{100 * more / tokens['superbpe']:.3f} %"]))
        + " |"
    )
    print(f"\n{runs['superbpe']['training']['training']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
