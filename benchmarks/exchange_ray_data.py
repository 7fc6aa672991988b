"""Our exchange over storage against Ray Data's shuffles: exact deduplication of the same shards. See docs/adr/0003.

Both keep the first document of every text. Ours is the whole program (ingest, exchange, traces, publication) on Ray;
Ray Data's is the shortest correct script: read, hash, shuffle whole rows by hash (or sort by it), keep one, write.
The text is the quickstart's, repeated under new ids with a fixed seed, half of the copies changed by a few characters.

    python benchmarks/exchange_ray_data.py [--gb 2] [--runs 1] [--kill]

Needs about four times the text as free disk; takes about ten minutes and uses all of the machine. Memory is the
proportional set size of all processes (shared pages count once), the object store's pages included; CPU seconds are
those of all processes, Ray's own too, so they say what wall seconds cannot on a machine that does other work.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

ROOT = Path(__file__).resolve().parent.parent
MODES = ("vocabmill", "Ray Data, hash shuffle", "Ray Data, sort")
SHARD_BYTES = 64 << 20
PARTITIONS = 32


# --- the data ---


def texts() -> list[str]:
    """The quickstart's documents."""
    base = ROOT / "data" / "quickstart"
    found = [path.read_text("utf-8") for path in sorted((base / "docs").rglob("*")) if path.is_file()]
    found += [path.read_text("utf-8") for path in sorted((base / "code").rglob("*.py"))]
    return [text for text in found if text]


def generate(directory: Path, num_bytes: int) -> int:
    """Write shards of `num_bytes` of text; returns the number of documents."""
    source, draw = texts(), random.Random(7)
    written, rows, buffer, size = 0, 0, list[tuple[str, str]](), 0
    for shard in range(1 << 20):
        while size < SHARD_BYTES and written + size < num_bytes:
            text = draw.choice(source)
            if draw.random() < 0.5:
                text = f"{text}\n{draw.getrandbits(64):016x}"
            buffer.append((f"{rows:012d}", text))
            rows, size = rows + 1, size + len(text)
        ids, contents = zip(*buffer, strict=True)
        table = pa.table({"id": pa.array(ids), "text": pa.array(contents, pa.large_string())})
        pq.write_table(table, directory / f"{shard:05d}.parquet", compression="zstd", compression_level=1)
        written, size, buffer = written + size, 0, []
        if written >= num_bytes:
            break
    return rows


# --- the job, three times ---


def cluster(nodes: int) -> Cluster:
    """Nodes of one CPU each on this machine, or one node with two."""
    from ray.cluster_utils import Cluster

    found = Cluster()
    for _ in range(nodes):
        found.add_node(num_cpus=2 if nodes == 1 else 1, object_store_memory=(2 << 30) // nodes)
    found.wait_for_nodes()
    return found


def ours(address: str, data: Path, out: Path) -> None:
    """The program, with one step."""
    from pipeline.executors.ray import RayExecutor
    from pipeline.recipe import Recipe
    from pipeline.session import run_recipe

    recipe = Recipe.model_validate(
        {
            "name": "exchange",
            "inputs": [{"name": "docs", "path": f"{data}/*.parquet", "columns": {"text": "text", "id": "id"}}],
            "steps": [{"kind": "exact_dedup", "max_drop_ratio": 1.0}],
            "outputs": {"path": str(out)},
        }
    )
    executor = RayExecutor(0, address)
    try:
        run_recipe(recipe, executor, out=str(out), work_dir=str(out.parent / "work"), quiet=True)
    finally:
        executor.close()


def hashed(table: pa.Table) -> pa.Table:
    """The table with a 128-bit hash of every text."""
    hashes = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in table["text"].to_pylist()]
    return table.append_column("hash", pa.array(hashes, pa.binary()))


def first_of_each(table: pa.Table) -> pa.Table:
    """The row with the smallest id for every hash, in order of ids."""
    if not table.num_rows:
        return table
    keep = table.group_by("hash").aggregate([("id", "min")])["id_min"]
    return table.filter(pc.is_in(table["id"], keep.combine_chunks())).sort_by("id").drop_columns(["hash"])


def theirs(address: str, data: Path, out: Path, mode: str) -> None:
    """Ray Data: equal hashes meet in one block, and one row of each stays."""
    import ray

    ray.init(address=address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.read_parquet(str(data)).map_batches(hashed, batch_format="pyarrow", batch_size=None)
    met = rows.sort("hash") if mode.endswith("sort") else rows.repartition(PARTITIONS, keys=["hash"])
    kept = met.map_batches(first_of_each, batch_format="pyarrow", batch_size=None)
    kept.write_parquet(str(out / "corpus"))
    summary = ray._private.internal_api.memory_summary(address, stats_only=True)  # type: ignore[no-untyped-call]
    spilled = re.search(r"Spilled (\d+) MiB", summary)
    print(json.dumps({"spilled_mb": int(spilled[1]) if spilled else 0}))
    ray.shutdown()


def once(mode: str, nodes: int, data: Path, out: Path) -> None:
    """One job in this process; prints how long it took."""
    found = cluster(nodes)
    try:
        begin = time.monotonic()
        if mode == MODES[0]:
            ours(found.address, data, out)
        else:
            theirs(found.address, data, out, mode)
        print(json.dumps({"seconds": time.monotonic() - begin}))
    finally:
        found.shutdown()  # type: ignore[no-untyped-call]


# --- measuring ---


def family(pid: int) -> Iterator[psutil.Process]:
    """A process and all below it."""
    try:
        process = psutil.Process(pid)
        yield from (process, *process.children(recursive=True))
    except psutil.Error:
        return


def memory(pid: int) -> int:
    """Bytes that the family holds; a page that several share counts once."""
    total = 0
    for process in family(pid):
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii")
        except OSError:  # It ended meanwhile.
            continue
        total += 1024 * int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])  # type: ignore[index]
    return total


class Watch(threading.Thread):
    """Samples the memory of a family, and may kill one of its busy workers once the job is under way."""

    def __init__(self, pid: int, *, kill: bool) -> None:
        super().__init__(daemon=True)
        self.pid, self.kill, self.killed = pid, kill, ""
        self.peak = 0
        self.cpu: dict[int, float] = {}
        self.done = threading.Event()

    def run(self) -> None:
        """Sample until `done`."""
        begin = time.monotonic()
        while not self.done.wait(0.5):
            self.peak = max(self.peak, memory(self.pid))
            for process in family(self.pid):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    self.cpu[process.pid] = times.user + times.system
            if self.kill and not self.killed and time.monotonic() - begin > 25:
                self._kill()

    def _kill(self) -> None:
        for process in family(self.pid):
            try:
                name = " ".join(process.cmdline())
                if name.startswith("ray::") and not re.search("IDLE|Agent|Supervisor", name):
                    process.kill()
                    self.killed = name
                    return
            except psutil.Error:
                continue


def measure(mode: str, nodes: int, data: Path, *, kill: bool = False) -> dict[str, Any]:
    """One job in a process of its own."""
    home = Path(tempfile.mkdtemp(dir=data.parent))
    command = [sys.executable, __file__, "--once", mode, str(nodes), str(data), str(home / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        watch = Watch(process.pid, kill=kill)
        watch.start()
        try:
            out, err = process.communicate(timeout=900)
        except BaseException:
            for member in list(family(process.pid)):
                member.kill()
            raise
        finally:
            watch.done.set()
            watch.join()
    found: dict[str, Any] = {
        "memory_gb": watch.peak / 1e9,
        "cpu": sum(watch.cpu.values()),
        "killed": watch.killed,
        "status": process.returncode,
    }
    for line in out.splitlines():
        if line.startswith("{"):
            found.update(json.loads(line))
    if process.returncode:
        found["error"] = (err.strip().splitlines() or [""])[-1][:200]
    parts = sorted((home / "out" / "corpus").glob("*.parquet"))
    contents = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in parts)
    found["bytes"] = hashlib.sha256("".join(contents).encode()).hexdigest()[:8]
    ids = sorted(i for path in parts for i in pq.read_table(path, columns=["id"])["id"].to_pylist())
    found["rows"], found["ids"] = len(ids), hashlib.sha256("".join(ids).encode()).hexdigest()[:8]
    shutil.rmtree(home)
    return found


def main() -> int:
    """Generate, measure, print the table."""
    if sys.argv[1:2] == ["--once"]:
        mode, nodes, data, out = sys.argv[2:]
        once(mode, int(nodes), Path(data), Path(out))
        return 0
    parser = argparse.ArgumentParser(description="The exchange over storage against Ray Data's shuffles.")
    parser.add_argument("--gb", type=float, default=2)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--scratch", default=tempfile.gettempdir())
    parser.add_argument("--kill", action="store_true", help="one more run of each, in which a busy worker is killed")
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    scratch = Path(tempfile.mkdtemp(dir=options.scratch))
    try:
        (scratch / "data").mkdir()
        documents = generate(scratch / "data", int(options.gb * 1e9))
        print(f"{documents} documents, {options.gb:g} GB of text, in {len(list((scratch / 'data').iterdir()))} files\n")
        print(
            "| job | nodes | seconds | CPU seconds | memory, GB | spilled, MB | rows kept | ids | bytes |\n"
            + "|---" * 9
            + "|"
        )
        for number in (1, 3):
            for mode in MODES:
                runs = [measure(mode, number, scratch / "data") for _ in range(options.runs)]
                print(row(mode, number, runs), flush=True)
        for mode in MODES if options.kill else ():
            print(row(f"{mode}, a worker killed", 3, [measure(mode, 3, scratch / "data", kill=True)]), flush=True)
    finally:
        shutil.rmtree(scratch)
    return 0


def row(mode: str, nodes: int, runs: list[dict[str, Any]]) -> str:
    """One line of the table: times of all runs; digests of the ids and of the files, one where all runs agree."""
    failed = [run["error"] for run in runs if run["status"]]
    seconds = ", ".join(f"{run['seconds']:.0f}" for run in runs if "seconds" in run) or f"failed: {failed[0]}"
    cpu = ", ".join(f"{run['cpu']:.0f}" for run in runs)
    gb = max(run["memory_gb"] for run in runs)
    spilled = max(run.get("spilled_mb", 0) for run in runs)
    killed = " ".join(" ".join(run["killed"] for run in runs).split())
    ids, content = (", ".join(dict.fromkeys(run[name] for run in runs)) for name in ("ids", "bytes"))
    name = f"{mode} ({killed})" if killed else mode
    return f"| {name} | {nodes} | {seconds} | {cpu} | {gb:.1f} | {spilled} | {runs[0]['rows']} | {ids} | {content} |"


if __name__ == "__main__":
    sys.exit(main())
