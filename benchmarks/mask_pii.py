"""`mask_pii` with `variant: datatrove-0.10` beside datatrove's own formatter: texts that differ, MB per CPU-second.

    python benchmarks/mask_pii.py build/corpora/*.parquet [--peer build/peers/datatrove/bin/python]

datatrove's environment is made from `benchmarks/peers/datatrove/` where there is none. Exit status 1 if a text differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators.base import Context
from operators.mask_pii import MaskPii

HERE = Path(__file__).resolve().parent
PEER = HERE.parent / "build" / "peers" / "datatrove" / "bin" / "python"


def made(peer: Path) -> Path:
    """The peer's interpreter, its environment made if it is ours and missing."""
    if not peer.exists() and peer == PEER:
        venv.create(PEER.parent.parent, with_pip=True)
        locked = HERE / "peers" / "datatrove" / "requirements.txt"
        subprocess.run([str(peer), "-m", "pip", "install", "-q", "--no-deps", "-r", str(locked)], check=True)
    return peer


def compare(path: Path, peer: Path) -> tuple[str, int]:
    """A row of the table, and how many texts differ."""
    rows = pq.read_table(path, columns=["text"])
    rows = pa.table({"text": rows["text"].cast(pa.large_string()).fill_null("")})
    size = pc.sum(pc.binary_length(rows["text"])).as_py() / 1e6
    apply = MaskPii(variant="datatrove-0.10", kinds=("email", "ip")).bind(Context(seed=0, artifacts={}))
    apply(rows.slice(0, 20))
    begin = time.process_time()
    ours = apply(rows)
    seconds = time.process_time() - begin
    with tempfile.TemporaryDirectory() as home:
        files = [f"{home}/in.parquet", f"{home}/out.parquet"]
        pq.write_table(rows, files[0])
        command = [str(peer), str(HERE / "peers" / "pii_datatrove.py"), *files]
        theirs = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        differ = pc.sum(pc.not_equal(pq.read_table(files[1])["text"], ours["text"])).as_py()
    emails, ips = (pc.sum(ours[name]).as_py() for name in ("emails", "ips"))
    speeds = f"{size / theirs:.1f} | {size / seconds:.1f} | {theirs / seconds:.0f}"
    return f"| {path.stem} | {rows.num_rows} | {size:.1f} | {emails} | {ips} | {differ} | {speeds} |", differ


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="parquet files with a column `text`")
    parser.add_argument("--peer", type=Path, default=PEER)
    options = parser.parse_args()
    print("| text | documents | MB | e-mail | IP | differ | datatrove, MB/s | ours, MB/s | times |")
    print("|---|---|---|---|---|---|---|---|---|")
    lines = [compare(path, made(options.peer)) for path in options.files]
    print("\n".join(line for line, _ in lines))
    sys.exit(any(differ for _, differ in lines))
