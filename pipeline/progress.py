"""What a person sees while a run works: bars on a terminal, plain lines elsewhere, and a status file for others.

Everything goes to standard error; standard output belongs to `--json`.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psutil

from pipeline.kernel_cache import compiled_kernels
from pipeline.terminal import say
from pipeline.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar

    from pipeline.storage import Store

PLAIN_SECONDS: Final = 5.0
FIRST_SIGN: Final = 15.0
"""Seconds without a finished task after which a plain line says that the stage still works; then twice as many."""
MOST_SILENCE: Final = 120.0
LOOK: Final = 1.0
"""Seconds between looks at whether kernels are being compiled, as long as a stage has finished no task."""
log = logging.getLogger("vocabmill")


class Progress:
    """One stage at a time: tasks done of all, text per second, time left."""

    def __init__(self, store: Store | None, recipe: str, *, quiet: bool = False) -> None:
        self.store = store
        self.quiet = quiet
        self.status: dict[str, Any] = {
            "recipe": recipe, "pid": os.getpid(), "host": socket.gethostname(), "state": "running",
            "started": time.time(), "stage": "", "done": 0, "total": 0,
        }  # fmt: skip
        self._written = 0.0
        self._kernels = frozenset() if quiet else compiled_kernels()
        self._has_told = quiet

    @contextmanager
    def stage(self, label: str, total: int, *, reused: int = 0) -> Iterator[Stage]:
        """Show a stage of `total` tasks, `reused` of which were found done."""
        stage = Stage(self, label, total, reused)
        self.note(stage=label, done=reused, total=total, reused=reused, stage_started=time.time())
        with stage:
            yield stage

    def note(self, **changes: str | float) -> None:
        """Update the status file, at most about once a second unless the stage or the state changes."""
        urgent = "state" in changes or "stage" in changes
        self.status.update(changes, updated=time.time())
        if self.store is not None and (urgent or time.monotonic() - self._written > 1):
            self.store.write_json("status.json", self.status)
            self._written = time.monotonic()

    def tell_of_compiling(self, label: str) -> None:
        """Say once why a stage takes long, where kernels have been compiled on this machine since the run began."""
        if not self._has_told and compiled_kernels() != self._kernels:
            self._has_told = True
            say(f"{label}: kernels are being compiled; that is done once, and may take half a minute for a step")


class Stage:
    """The progress of one stage; `advance` after each task."""

    def __init__(self, owner: Progress, label: str, total: int, reused: int) -> None:
        self.owner = owner
        self.label = label
        self.total = total
        self.done = reused
        self.reused = reused
        self.bytes = 0
        self.begin = self.shown = time.monotonic()
        self._bar: Any = None
        self._over = threading.Event()
        self._signs = threading.Thread(target=self._give_signs, daemon=True, name="signs-of-life")

    def __enter__(self) -> Stage:
        if self.owner.quiet or self.total <= self.reused:
            return self
        if sys.stderr.isatty():
            self._bar = _bar(self.label, self.total, self.done)
            self._bar.start()
        self._signs.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._signs.ident is not None:
            self._signs.join()
        if self._bar is not None:
            with suppress(OSError):  # The terminal may be gone.
                self._bar.stop()
        if not self.owner.quiet and error[0] is None:
            again = f" ({self.reused} of {self.total} found done)" if self.reused else ""
            tasks = f"{count_of(self.total, 'task')} in {time.monotonic() - self.begin:.1f} s"
            say(f"{self.label}: {tasks}{self._rate()}{again}")

    def advance(self, num_bytes: int = 0) -> None:
        """One task is done; it read `num_bytes` of text."""
        self.done += 1
        self.bytes += num_bytes
        self.owner.note(done=self.done)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.done, rate=self._rate())
        elif not self.owner.quiet and time.monotonic() - self.shown > PLAIN_SECONDS and self.done < self.total:
            self.shown = time.monotonic()
            say(f"{self.label}: {self.done} of {count_of(self.total, 'task')}{self._rate()}{self._left()}")

    def _give_signs(self) -> None:
        """While no task ends, say ever more rarely that one is being worked at, and for how long; and of compiling.

        A bar shows by itself how long it has been.
        """
        silence = FIRST_SIGN
        while not self._over.wait(
            LOOK if self._bar else min(LOOK, max(0.001, self.shown + silence - time.monotonic()))
        ):
            if self.done == self.reused:
                self.owner.tell_of_compiling(self.label)
            now = time.monotonic()
            if self._bar or now - self.shown < silence:  # Another line came in between.
                continue
            self.shown = now
            silence = min(2 * silence, MOST_SILENCE)
            tasks = f"{self.done} of {count_of(self.total, 'task')} done"
            say(f"{self.label}: working for {now - self.begin:.0f} s, {tasks}")

    def _rate(self) -> str:
        seconds = time.monotonic() - self.begin
        return f", {self.bytes / 1e6 / seconds:.1f} MB/s" if self.bytes and seconds > 0 else ""

    def _left(self) -> str:
        fresh = self.done - self.reused
        if not fresh:
            return ""
        return f", about {(time.monotonic() - self.begin) / fresh * (self.total - self.done):.0f} s left"


def _bar(label: str, total: int, done: int) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    times = (TimeElapsedColumn(), TimeRemainingColumn())  # The first moves while no task ends.
    bar = Bar(*columns, *times, console=Console(stderr=True), transient=True)
    bar.add_task(label, total=total, completed=done, rate="")
    return bar


class MemoryWatch:
    """The largest resident memory of this process and its children together, sampled five times a second.

    Pages that processes share (memory-mapped files) count once for each, so the figure is an upper bound.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="memory-watch")

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    @property
    def peak_mb(self) -> float:
        """The peak so far, this moment's memory included, in MB (10^6 bytes)."""
        self._sample()
        return round(self.peak / 1e6, 1)

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self._sample()

    def _sample(self) -> None:
        me = psutil.Process()
        total = me.memory_info().rss
        for child in me.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.Error:  # A worker that ended between the two calls.
                continue
        self.peak = max(self.peak, total)
