"""Whatever ends a run: what is public is whole, the next run goes on, and the bytes are those of an undisturbed one."""

import ctypes
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from pipeline import storage
from pipeline.cli import main
from tests.pipeline.engine import Json, Mill, digests, flawed_texts

ROOT = Path(__file__).parents[2]
STDLIB = Path(os.__file__).parent
STEPS: list[Json] = [
    {"kind": "gopher_repetition", "audit": True},
    {"kind": "exact_dedup"},
    {"kind": "minhash_dedup", "threshold": 0.7},
    {"kind": "sample", "fraction": 0.9},
    {"kind": "broken_toys:Waits", "name": "gate"},
    {"kind": "corpus_stats"},
    {"kind": "train_tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [300, 1000]},
]
KILLS = 10
SECONDS = 120.0
HELD_AT = """\
import sys, time
from pathlib import Path
import pipeline.session
from pipeline.cli import main

def hold(*_):
    Path("held").touch()
    time.sleep(600)

pipeline.session.FUNCTION = hold
if __name__ == "__main__":
    sys.exit(main())
"""


@dataclass
class Driver:
    """`vocabmill run` as its own process, with a process group of its own.

    A step that waits does so for the file `go`: so a run is not over before a test has done to it what it means to.
    """

    home: Path
    steps: list[Json]
    path: str = f"{STDLIB}/*.py"
    program: tuple[str, ...] = ("-m", "pipeline")
    go: Path = field(init=False)
    out: Path = field(init=False)
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.go, self.out, self.work = (self.home / name for name in ("go", "out", "work"))

    def start(self, *, workers: int = 2, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        """Start a run."""
        waits = {"until": str(self.go)}
        recipe = self.home / "recipe.json.yaml"
        content = {
            "name": "crash",
            "seed": 7,
            "inputs": [{"name": "code", "path": self.path, "format": "code"}],
            "steps": [step | waits if step["kind"] == "broken_toys:Waits" else step for step in self.steps],
            "outputs": {"path": str(self.out), "shard_mb": 0.4},
        }
        recipe.write_text(json.dumps(content), encoding="utf-8")
        where = ["--work-dir", str(self.work), "--workers", str(workers), "--json"]
        return subprocess.Popen(
            [sys.executable, *self.program, "run", str(recipe), *where],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests/data"},
            start_new_session=True,
            preexec_fn=before,
        )

    def finish(self) -> Json:
        """Run to the end; returns the summary."""
        self.go.touch()
        run = self.start()
        out, err = run.communicate(timeout=SECONDS)
        assert run.returncode == 0, err
        summary: Json = json.loads(out)
        return summary

    def wait_for_tasks(self, run: subprocess.Popen[str], least: int) -> bool:
        """Wait until so many tasks are finished, of all runs; False if the run ended before."""
        return wait_for(lambda: len(self.descriptors()) >= least, run)

    def descriptors(self) -> dict[str, tuple[int, int]]:
        """Inode and time of every finished task's descriptor: one that is computed again gets another inode."""
        found = {}
        for group in ("inspected", "ingested", "results"):
            for path in (self.work / group).rglob("*.json"):
                stat = path.stat()
                found[str(path.relative_to(self.work))] = (stat.st_ino, stat.st_mtime_ns)
        return found


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """A driver in an empty directory; whatever it left running is ended."""
    made = Driver(tmp_path, STEPS)
    yield made
    for process in psutil.process_iter(["pid", "cwd"]):
        if process.info["cwd"] == str(tmp_path) and process.pid != os.getpid():
            process.kill()


def kill_all(run: subprocess.Popen[str]) -> None:
    """SIGKILL to the driver and its workers at once, unless the run is over."""
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    run.communicate(timeout=SECONDS)


def wait_for(condition: Callable[[], bool], run: subprocess.Popen[str]) -> bool:
    """Wait until the condition holds; False if the run ended before."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if condition():
            return True
        if run.poll() is not None:
            return False
        time.sleep(0.001)
    raise AssertionError("nothing happened")


def has_children(run: subprocess.Popen[str]) -> Callable[[], bool]:
    """Tells whether the run has started a process."""
    return lambda: bool(psutil.Process(run.pid).children())


def check_public(out: Path) -> None:
    """Nothing is public, or all of one snapshot is; and no file of any snapshot is half written."""
    for name in ("corpus", "dropped", "artifacts", "manifest.json", "report.html"):
        assert not (out / name).is_symlink() or (out / name).exists(), f"{name} leads nowhere"
    whole = list(out.glob(".versions/*/manifest.json"))
    if (out / ".current").is_symlink():
        assert (out / ".current" / "manifest.json").exists()
    for manifest in whole:
        for name, entry in json.loads(manifest.read_text(encoding="utf-8"))["files"].items():
            assert (manifest.parent / name).stat().st_size == entry["bytes"]
    for path in out.glob(".versions/**/*.parquet"):
        content = path.read_bytes()
        assert content[:4] == content[-4:] == b"PAR1", f"{path} is half written"


@pytest.mark.slow
def test_ten_kills_change_no_byte_and_finished_tasks_are_not_computed_again(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    calm = Driver(tmp_path / "calm", STEPS)
    undisturbed = calm.finish()
    tasks = len(calm.descriptors())
    (gate,) = (index for index, stage in enumerate(undisturbed["stages"]) if "gate" in stage["label"])
    before_gate = sum(stage["computed"] for stage in undisturbed["stages"][:gate])
    assert before_gate > 60
    chance = random.Random(20)
    for mark in (*sorted(chance.sample(range(1, before_gate + 1), KILLS)), before_gate + 8, tasks - 6):
        is_held = mark <= before_gate
        if not is_held:  # What comes after the gate is killed too, if that comes in time.
            driver.go.touch()
        before = driver.descriptors()
        run = driver.start()
        assert driver.wait_for_tasks(run, mark) or not is_held
        time.sleep(chance.random() * 0.05 * is_held)
        assert run.poll() is None or not is_held
        kill_all(run)
        after = driver.descriptors()
        assert {name: after[name] for name in before} == before, "a finished task was computed again"
        check_public(driver.out)
    before = driver.descriptors()
    summary = driver.finish()
    assert {name: driver.descriptors()[name] for name in before} == before
    assert digests(driver.out) == digests(calm.out)
    assert len(digests(driver.out)) > 6
    assert summary["rows"] == undisturbed["rows"]
    found = [stage for stage in summary["stages"] if stage["computed"] == 0]
    computed = sum(stage["computed"] for stage in summary["stages"])
    print(f"{KILLS} kills; the last run computed {computed} of {tasks} tasks; {len(found)} stages found done")  # noqa: T201
    assert computed == len(driver.descriptors()) - len(before)
    assert computed < tasks / 2
    assert not list(driver.out.glob(".tmp/*"))
    assert not list(driver.work.glob(".tmp/*"))


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_driver(driver: Driver) -> None:
    run = driver.start()
    assert driver.wait_for_tasks(run, 26)
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 2
    run.kill()
    run.communicate(timeout=SECONDS)
    _, alive = psutil.wait_procs(children, timeout=SECONDS)
    assert not alive
    driver.finish()
    check_public(driver.out)


@pytest.mark.slow
@pytest.mark.parametrize("held", ["write_front", "make_current"])
def test_a_kill_while_publishing_leaves_the_earlier_snapshot_public(held: str, driver: Driver, tmp_path: Path) -> None:
    driver.steps = [{"kind": "exact_dedup"}]
    driver.finish()
    before = digests(driver.out)
    version = (driver.out / ".current").readlink()
    driver.steps = [{"kind": "sample", "fraction": 0.5}, {"kind": "corpus_stats"}]
    program = driver.home / "held.py"
    program.write_text(HELD_AT.replace("FUNCTION", held))
    run = replace(driver, program=(str(program),)).start()
    assert wait_for((driver.home / "held").exists, run)
    assert len(list(driver.out.glob(".versions/*/corpus"))) == 2
    kill_all(run)
    assert (driver.out / ".current").readlink() == version
    assert digests(driver.out) == before
    check_public(driver.out)
    driver.finish()
    check_public(driver.out)
    (tmp_path / "calm").mkdir()
    calm = Driver(tmp_path / "calm", driver.steps)
    calm.finish()
    assert digests(driver.out) == digests(calm.out) != before


@pytest.mark.slow
@pytest.mark.parametrize("to", ["driver", "group"])
def test_an_interrupted_run_ends_with_130_and_one_line(to: str, driver: Driver) -> None:
    run = driver.start()
    assert driver.wait_for_tasks(run, 26)
    os.killpg(run.pid, signal.SIGINT) if to == "group" else run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 130
    assert out == ""
    assert err.splitlines() == ["interrupted; finished work is kept, run the same command to go on"]
    assert not (driver.out / "manifest.json").exists()
    summary = driver.finish()
    assert sum(stage["computed"] for stage in summary["stages"]) < len(driver.descriptors())


@pytest.mark.slow
def test_an_interrupt_at_any_moment_of_the_start_is_told_in_one_line(driver: Driver) -> None:
    """Workers that are just starting must not answer Ctrl-C with tracebacks."""
    for delay in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3):
        run = driver.start()
        assert wait_for(has_children(run), run)
        time.sleep(delay)
        os.killpg(run.pid, signal.SIGINT)
        _, err = run.communicate(timeout=SECONDS)
        assert run.returncode == 130, err
        assert "Traceback" not in err


@pytest.mark.slow
def test_a_killed_worker_is_replaced(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    calm = Driver(tmp_path / "calm", STEPS)
    calm.finish()
    run = driver.start()
    for mark in (11, 46):
        assert driver.wait_for_tasks(run, mark)
        workers = [p for p in psutil.Process(run.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        workers[0].kill()
    driver.go.touch()
    out, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 0, err
    assert json.loads(out)["status"] == "done"
    assert digests(driver.out) == digests(calm.out)


@pytest.mark.slow
def test_a_task_that_kills_its_worker_every_time_fails_the_run(driver: Driver) -> None:
    driver.steps = [{"kind": "broken_toys:Dies"}]
    run = driver.start()
    out, err = run.communicate(timeout=SECONDS)
    assert (run.returncode, out) == (1, "")
    assert "a worker died 3 times in a row" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (driver.out / "manifest.json").exists()


@pytest.mark.slow
def test_a_second_run_in_the_same_directory_is_refused_and_told_who_holds_it(driver: Driver) -> None:
    driver.steps = [{"kind": "broken_toys:Waits"}]
    run = driver.start()
    assert wait_for(lambda: any((driver.work / "ingested").rglob("*.json")), run)
    second = driver.start()
    out, err = second.communicate(timeout=SECONDS)
    assert (second.returncode, out) == (1, "")
    (said,) = err.splitlines()
    assert f"pid {run.pid} on " in said
    driver.go.touch()
    out, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 0, err
    check_public(driver.out)


@pytest.mark.slow
def test_a_directory_without_permission_is_told_in_one_line(driver: Driver) -> None:
    def without_override() -> None:
        """Root may write anywhere, unless it gives that up for this process."""
        library = ctypes.CDLL(None)
        for capability in (1, 2):
            library.prctl(24, capability, 0, 0, 0)

    for name in ("out", "work"):
        directory = driver.home / name
        directory.mkdir()
        directory.chmod(0o555)
        run = driver.start(before=without_override)
        out, err = run.communicate(timeout=SECONDS)
        directory.chmod(0o755)
        assert run.returncode in (1, 2)
        assert out == ""
        (said,) = err.splitlines()
        assert str(directory) in said
        assert "ermission" in said or "written" in said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of three megabytes; skips where this process may not mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("full", ["work", "out"])
def test_a_full_disk_ends_the_run_with_one_line(full: str, driver: Driver, small_disk: Path) -> None:
    setattr(driver, full, small_disk / full)
    driver.steps = [{"kind": "gopher_repetition", "audit": True}]
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 2_400_000)
    run = driver.start()
    out, err = run.communicate(timeout=SECONDS)
    assert (run.returncode, out) == (1, "")
    (said,) = err.splitlines()
    assert "the disk is full" in said
    check_public(driver.out)
    assert not (driver.out / "manifest.json").exists()
    ballast.write_bytes(b"")
    driver.finish()
    check_public(driver.out)


@pytest.mark.parametrize("group", ["ingested", "results", "corpus", "artifacts", "manifest.json"])
def test_no_space_at_any_point_leaves_nothing_half_written(
    group: str, flawed: Mill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = storage.Store.write

    def write(self: storage.Store, name: str, content: bytes, *, durable: bool = False) -> None:
        if f"/{group}" in f"/{name}" and not name.startswith("status"):
            raise OSError(errno.ENOSPC, "No space left on device", self.full(name))
        real(self, name, content, durable=durable)

    steps: list[Json] = [{"kind": "exact_dedup"}, {"kind": "corpus_stats"}]
    recipe = flawed.home / "recipe.yaml"
    recipe.write_text(json.dumps(flawed.recipe(steps).model_dump(mode="json")), encoding="utf-8")
    arguments = ["run", str(recipe), "--workers", "1", "--json", "--work-dir", str(flawed.home / "work")]
    with monkeypatch.context() as patch:
        patch.setattr(storage.Store, "write", write)
        assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "the disk is full" in said.err
    assert not (flawed.home / "out" / "manifest.json").exists()
    check_public(flawed.home / "out")
    assert main(arguments) == 0
    assert digests(flawed.home / "out") == flawed.run(steps, out="out2", work="work2").bytes


def test_a_failing_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = storage.Store(str(tmp_path))
    store.write("a/b", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write("a/b", b"new", durable=True)
    assert store.read("a/b") == b"old"
    assert not list((tmp_path / storage.TEMPORARY).iterdir())


def test_the_message_of_a_failure_outlives_a_full_disk(
    mill: Mill, toys: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where not even the status can be written, the reason why the run failed is still what a person reads."""
    mill.jsonl("a", [{"text": text} for text in [*flawed_texts()[:5], "poison"]])
    recipe = mill.home / "recipe.yaml"
    content = mill.recipe([]).model_dump(mode="json") | {"steps": [{"kind": "broken_toys:Broken", "name": "broken"}]}
    recipe.write_text(json.dumps(content), encoding="utf-8")
    real = storage.Store.write_json

    def write_json(self: storage.Store, name: str, status: Json, *, durable: bool = False) -> None:
        if name == "status.json" and status["state"] == "failed":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, name, status, durable=durable)

    monkeypatch.setattr(storage.Store, "write_json", write_json)
    assert main(["run", str(recipe), "--workers", "1", "--json"]) == 1
    assert "step 'broken' failed on document" in capsys.readouterr().err
