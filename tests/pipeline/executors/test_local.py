"""Workers on this machine: the same results from any number of them, and none that outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path

import psutil
import pytest

from operators.base import Resources, RunError
from pipeline.executors.local import ATTEMPTS, LocalExecutor
from tests.pipeline.engine import digests
from tests.pipeline.executors import commands
from tests.pipeline.executors.faulty_steps import Breaks, Refuse, Settings, Square
from tests.waiting import wait_for


@pytest.fixture
def two() -> Iterator[LocalExecutor]:
    executor = LocalExecutor(2)
    yield executor
    executor.close()


@pytest.fixture
def held_run(tmp_path: Path) -> Path:
    """A recipe whose run leaves notes when its work has begun, and waits there for the file `go`."""
    commands.write_inputs(tmp_path)
    (tmp_path / "notes").mkdir()
    commands.write_recipe(tmp_path, f"{{kind: 'faulty_steps:Held', name: held, place: {tmp_path / 'notes'}}}")
    return tmp_path


def squares(executor: LocalExecutor, task: Square, count: int = 12) -> dict[int, int]:
    return dict(executor.map(task, range(count), Resources(), "square"))


def begin(home: Path) -> subprocess.Popen[str]:
    """Start the held run with two workers, and return when both wait."""
    process = commands.start(commands.command(home, "cut", "--workers", "2"))
    wait_for(lambda: len({note.name.split("-")[0] for note in (home / "notes").iterdir()}) == 2)
    return process


def test_every_item_has_one_result_from_one_worker_and_from_two(tmp_path: Path, two: LocalExecutor) -> None:
    expected = {item: item * item for item in range(12)}
    assert squares(LocalExecutor(1), Square(str(tmp_path))) == expected
    assert squares(two, Square(str(tmp_path))) == expected
    assert not squares(two, Square(str(tmp_path)), 0)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(tmp_path: Path, two: LocalExecutor) -> None:
    assert squares(two, Square(str(tmp_path), deadly=(3,))) == {item: item * item for item in range(12)}
    assert (tmp_path / "3-0").exists(), "no worker was killed"


def test_a_task_that_kills_every_worker_fails_the_run(tmp_path: Path, two: LocalExecutor) -> None:
    with pytest.raises(RunError, match=f"died {ATTEMPTS} times"):
        squares(two, Square(str(tmp_path), deadly=(3,), deaths=ATTEMPTS))
    assert len(list(tmp_path.iterdir())) == ATTEMPTS
    assert squares(two, Square(str(tmp_path)), 3) == {0: 0, 1: 1, 2: 4}, "the executor is of no more use"


def test_an_error_comes_through_as_it_was_raised_and_the_executor_goes_on(tmp_path: Path, two: LocalExecutor) -> None:
    with pytest.raises(RunError, match=r"^item 3 is no good$"):
        list(two.map(Refuse(str(tmp_path)), range(40), Resources(), "refuse"))
    assert squares(two, Square(str(tmp_path)), 3) == {0: 0, 1: 1, 2: 4}


def test_workers_use_one_thread_per_library(tmp_path: Path, two: LocalExecutor) -> None:
    for _, found in two.map(Settings(str(tmp_path)), range(4), Resources(), "look"):
        assert (found["omp"], found["arrow"], found["io"]) == ("1", 1, 1)
        assert found["pid"] != os.getpid()


def test_close_ends_workers_in_the_middle_of_a_task(tmp_path: Path, two: LocalExecutor) -> None:
    results = two.map(Square(str(tmp_path)), range(1000), Resources(), "square")
    next(results)
    workers = psutil.Process().children(recursive=True)
    assert len(workers) >= 2
    two.close()
    names = [worker.cmdline() for worker in commands.alive(workers)]
    assert not [name for name in names if "spawn_main" in " ".join(name)]


def test_close_leaves_no_thread_that_the_exit_of_python_could_meet(tmp_path: Path, two: LocalExecutor) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        results = two.map(Square(str(tmp_path)), range(1000), Resources(), "square")
        next(results)
        assert set(threading.enumerate()) - before, "no pool was at work"
        two.close()
        assert not set(threading.enumerate()) - before


def test_close_ends_where_a_worker_is_killed_in_the_middle_of_a_result(tmp_path: Path, two: LocalExecutor) -> None:
    before = set(threading.enumerate())
    two._submit(Breaks(str(tmp_path)), 0)
    wait_for(lambda: (tmp_path / "begun").exists())
    two.close()
    assert not set(threading.enumerate()) - before


def test_a_worker_that_dies_in_the_middle_of_a_result_is_replaced(tmp_path: Path, two: LocalExecutor) -> None:
    found = dict(two.map(Breaks(str(tmp_path), dies=True), range(6), Resources(), "break"))
    assert found == {item: item * item for item in range(6)}


def test_an_interrupt_waits_until_a_worker_has_its_orders(two: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another thread, started before, takes the signal."""
    ended, events = threading.Event(), []
    other = threading.Thread(target=ended.wait)
    other.start()
    start = SpawnProcess.start

    def interrupted(self: SpawnProcess) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        start(self)
        events.append("started")

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        two.start(("json",))
    ended.set()
    other.join()
    assert events == ["started"]
    assert not set(threading.enumerate()) - before, "a start that was cut short left its pool"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGHUP}


def test_interrupting_the_command_gives_130_and_leaves_no_worker(held_run: Path) -> None:
    process = begin(held_run)
    workers = commands.family(process)
    try:
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130
        assert "interrupted" in err
        assert "Traceback" not in err
        wait_for(lambda: not commands.alive(workers))
    finally:
        commands.stop(process)


def test_no_worker_outlives_a_driver_that_is_killed(held_run: Path) -> None:
    process = begin(held_run)
    workers = commands.family(process)
    try:
        process.kill()
        process.wait()
        wait_for(lambda: not commands.alive(workers))
    finally:
        commands.stop(process)


def test_a_run_whose_worker_is_killed_gives_the_same_bytes(held_run: Path) -> None:
    go = held_run / "notes" / "go"
    go.touch()
    whole = commands.run(commands.command(held_run, "whole", "--workers", "1"))
    assert whole.returncode == 0, whole.stderr
    for note in (held_run / "notes").iterdir():
        note.unlink()
    process = begin(held_run)
    victim = int(next((held_run / "notes").iterdir()).name.split("-")[0])
    try:
        os.kill(victim, signal.SIGKILL)
        go.touch()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    finally:
        commands.stop(process)
    expected = digests(held_run / "out-whole")
    assert any(name.startswith("corpus/") for name in expected)
    assert digests(held_run / "out-cut") == expected
