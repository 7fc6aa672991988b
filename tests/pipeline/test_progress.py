"""What a run says while it works, where there is no terminal."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from pipeline import progress
from pipeline.progress import MemoryWatch, Progress
from tests.waiting import wait_for


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(progress, "say", found.append)
    return found


def signs_of_life() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "signs-of-life"]


def test_a_long_task_gives_signs_of_life_ever_more_rarely(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[float] = []

    def say(line: str) -> None:
        seconds.append(time.monotonic() - begin)
        lines.append(line)

    monkeypatch.setattr(progress, "FIRST_SIGN", 0.1)
    monkeypatch.setattr(progress, "say", say)
    begin = time.monotonic()
    with Progress(None, "r").stage("uni/train: finish", 1):
        wait_for(lambda: len(lines) >= 3)
    assert all(line.startswith("uni/train: finish: working for ") for line in lines[:3])
    assert seconds[0] >= 0.1
    assert seconds[1] >= 0.1 + 0.2
    assert seconds[2] >= 0.1 + 0.2 + 0.4
    assert lines[0].endswith(" s, 0 of 1 task done")
    assert lines[-1].startswith("uni/train: finish: 1 task in ")
    assert not signs_of_life()


def test_a_short_stage_gives_none(lines: list[str]) -> None:
    with Progress(None, "r").stage("a", 2) as stage:
        stage.advance()
        stage.advance()
    assert [line.partition(" in ")[0] for line in lines] == ["a: 2 tasks"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_compiling_is_told_of_once_in_a_run(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    kernels: set[tuple[str, int]] = {("bpe.train.nbi", 1)}
    monkeypatch.setattr(progress, "compiled_kernels", lambda: frozenset(kernels))
    monkeypatch.setattr(progress, "LOOK", 0.001)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    run = Progress(None, "r")
    with run.stage("loaded from the cache", 1):
        time.sleep(0.05)
    assert len(lines) == 1
    kernels.add(("replay.replay.nbi", 2))
    for label in ("replay: finish", "solve: finish"):
        with run.stage(label, 1):
            wait_for(lambda: "compiled" in "".join(lines))
    assert [line for line in lines if "compiled" in line] == [
        "replay: finish: kernels are being compiled; that is done once, and may take half a minute for a step"
    ]
    assert not signs_of_life()


def test_a_quiet_run_and_one_with_nothing_to_do_give_none(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SIGN", 0.001)
    for quiet, reused in ((True, 0), (False, 1)):
        with Progress(None, "r", quiet=quiet).stage("a", 1, reused=reused):
            assert not signs_of_life()
    assert [line.partition(" in ")[0] for line in lines] == ["a: 1 task"]


def test_the_signs_end_with_a_stage_that_fails(lines: list[str]) -> None:
    def fail() -> None:
        with Progress(None, "r").stage("a", 1):
            assert signs_of_life()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not signs_of_life()
    assert not lines


def test_a_run_that_ends_at_once_has_its_peak_memory_too() -> None:
    with MemoryWatch() as memory:
        assert memory.peak_mb > 1
