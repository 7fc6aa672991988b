"""What a run costs whatever its size: a worker's start, libraries and kernels, a task's own overhead; and memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from operators.base import RunError
from pipeline.grouping import InspectTask
from pipeline.kernel_cache import compiled_kernels
from pipeline.projection.sampled_run import SampledRunner
from pipeline.vault import Vault

if TYPE_CHECKING:
    from pipeline.projection.reading import Reading
    from pipeline.projection.sampled_run import Trace
    from pipeline.projection.sampling import Sample
    from pipeline.recipe import Recipe

FEW: Final = 4
"""Documents of each half of each input for the runs that measure what does not grow."""
LOADING: Final = 2.0
"""Seconds to load libraries and compiled kernels, at most, where they could not be told from compiling."""
LOOK_FILES: Final = 64
LOOK_BYTES: Final = 4_000_000
TRIALS: Final = 3
TRIAL_SECONDS: Final = 0.04
MOST_TOGETHER: Final = 2
"""Processes per core that the competition starts at most; beyond, a worker's part falls with their number."""
_SPIN: Final = "print(1, flush=True)\nwhile True: sum(range(1000))"
_START: Final = (
    "import time, psutil, pipeline.run, pipeline.ingest, pipeline.readers.pieces, pipeline.publish; "
    "print(time.process_time(), psutil.Process().memory_info().rss)"
)


@dataclass(frozen=True)
class Machine:
    """This machine as it is now: cores, the load of the last minute, how much slower one of the workers is than one.

    `crowding` is measured: cores may share what they compute with, and other processes take their part of them.
    """

    cores: int
    load: float
    crowding: float

    @classmethod
    def now(cls, workers: int) -> Self:
        """Look, and for about half a second let as many processes as there will be workers compete."""
        cores = len(os.sched_getaffinity(0))
        together = min(workers, MOST_TOGETHER * cores)
        ratios = [_slower_among(together) for _ in range(TRIALS)] if together > 1 else [1.0]
        measured = min(max(1.0, statistics.median(ratios)), float(together))
        return cls(cores, os.getloadavg()[0], measured * workers / together)


def _slower_among(number: int) -> float:
    """How many times longer a computation takes here while it runs in `number` processes at once."""
    before = _rate()
    others = [
        subprocess.Popen([sys.executable, "-S", "-E", "-c", _SPIN], stdout=subprocess.PIPE) for _ in range(number - 1)
    ]
    try:
        for other in others:
            if other.stdout is not None:
                other.stdout.readline()
        among = _rate()
    finally:
        for other in others:
            with other:
                other.kill()
    return (before + _rate()) / 2 / among


def _rate() -> float:
    """Rounds of a computation that this process does in a second."""
    begin, rounds = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < TRIAL_SECONDS:
        sum(range(1000))
        rounds += 1
    return rounds / spent


@dataclass(frozen=True)
class Fixed:
    """What a run costs whatever its size.

    Seconds until a worker is there, seconds to load what the plan's operators need, and seconds of a task without
    rows; bytes of memory of a worker that has only started, and of one that has loaded everything.
    """

    start: float
    load: float
    per_task: float
    started_bytes: int
    loaded_bytes: int


class WorkerStart:
    """Starts an interpreter with the engine's imports while the inputs are read, as a run starts its workers.

    Its processor time is taken, which does not depend on what else the machine does meanwhile.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", _START], stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def result(self) -> tuple[float, int]:
        """Seconds to start, and the bytes of memory of a worker that has done nothing."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RunError(f"a bare worker ({sys.executable}) ended with status {self._process.returncode}")
        seconds, memory = output.split()
        return float(seconds), int(memory)


@dataclass(frozen=True)
class WarmUp:
    """What the plan costs with next to no rows: seconds to load things, seconds of a task, traces."""

    load: float
    per_task: float
    traces: tuple[Trace, ...]


def warm_up(recipe: Recipe, sample: Sample, root: Path) -> WarmUp:
    """Run the plan on a few documents twice: the first run also loads libraries, models and kernels.

    Kernels that had to be compiled are in their cache now, so the whole run will only load them: where that happened,
    no more than `LOADING` is counted.
    """
    seconds = []
    compiled = compiled_kernels()
    for attempt in ("cold", "warm"):
        runner = SampledRunner(recipe, Vault(str(root / attempt)), sample, quiet=True, limit=FEW)
        begin = time.perf_counter()
        with suppress(RunError):  # An operator may refuse so few; the run on the sample says what is really wrong.
            runner.run()
        seconds.append(time.perf_counter() - begin)
    load = max(0.0, seconds[0] - seconds[1])
    if compiled_kernels() != compiled:
        load = min(load, LOADING)
    tasks = sum(len(trace.items) for trace in runner.traces)
    spent = sum(trace.seconds for trace in runner.traces)
    return WarmUp(load, spent / max(1, tasks), tuple(runner.traces))


def look_seconds(reading: Reading, root: Path) -> float:
    """Seconds, on one worker, for the engine's look at all files of an input: layout, digest, its note."""
    files = sorted(reading.files, key=lambda file: file.size)
    some = [file for file in files[:: max(1, len(files) // LOOK_FILES)] if file.size <= LOOK_BYTES][:LOOK_FILES]
    per_file, per_byte = 0.0, 1 / 5e8
    if some:
        task = InspectTask(str(root / "look"), reading.entry.format, reading.spec.shard_bytes, reading.spec.options)
        begin = time.perf_counter()
        task(tuple(some))
        per_file = max(0.0, time.perf_counter() - begin - per_byte * sum(file.size for file in some)) / len(some)
    return per_file * len(files) + per_byte * reading.stored


def temporary_root() -> tempfile.TemporaryDirectory[str]:
    """A directory of the dry run's own, deleted at its end."""
    return tempfile.TemporaryDirectory(prefix="vocabmill-dry-run-")
