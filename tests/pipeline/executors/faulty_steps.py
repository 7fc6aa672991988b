"""Steps and tasks that are held, fail or kill, for tests of executors. Recipes name them `faulty_steps:...`."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from operators.base import BatchFn, Columns, Context, Map, Resources, RunError


class Held(Map):
    """The length of every text, once the file `go` is in `place`; leaves a file per call there, named by process."""

    kind: Literal["held"] = "held"
    place: str

    def adds(self) -> Columns:
        return {"length": pa.int32()}

    def bind(self, context: Context) -> BatchFn:
        del context

        def apply(table: pa.Table) -> pa.Table:
            Path(self.place, f"{os.getpid()}-{time.monotonic_ns()}").touch()
            while not Path(self.place, "go").exists():
                time.sleep(0.02)
            return pa.table({"length": pc.utf8_length(table["text"]).cast(pa.int32())})

        return apply


class HeldResident(Held):
    """The same, in workers that stay."""

    resources = Resources(resident=True)


class Chokes(Map):
    """Fails on a text that holds a word."""

    kind: Literal["chokes"] = "chokes"
    word: str

    def adds(self) -> Columns:
        return {"fine": pa.bool_()}

    def bind(self, context: Context) -> BatchFn:
        del context

        def apply(table: pa.Table) -> pa.Table:
            for text in table["text"].to_pylist():
                if self.word in text:
                    raise ValueError(f"cannot swallow {self.word!r}")
            return pa.table({"fine": pa.array([True] * table.num_rows)})

        return apply


@dataclass(frozen=True)
class Breaks:
    """Squares. Of item 0 a beginning is sent and a file `begun` left in `notes`; then the worker hangs, or dies."""

    notes: str
    dies: bool = False

    def __call__(self, item: int) -> int:
        begun = Path(self.notes, "begun")
        if item or begun.exists():
            return item * item
        frame: FrameType | None = sys._getframe()
        while frame is not None and "result_queue" not in frame.f_locals:
            frame = frame.f_back
        assert frame is not None, "no worker of a pool"
        os.write(frame.f_locals["result_queue"]._writer.fileno(), (1000).to_bytes(4, "big"))
        begun.touch()
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        return item


@dataclass(frozen=True)
class Square:
    """An item's square. An item in `deadly` kills its worker, until it has done so `deaths` times."""

    notes: str
    deadly: tuple[int, ...] = ()
    deaths: int = 1

    def __call__(self, item: int) -> int:
        if item in self.deadly:
            for attempt in range(self.deaths):
                mark = Path(self.notes, f"{item}-{attempt}")
                if not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
        return item * item


@dataclass(frozen=True)
class Refuse:
    """Raises what the engine's tasks raise."""

    notes: str

    def __call__(self, item: int) -> int:
        if item == 3:
            raise RunError(f"item {item} is no good")
        return item


@dataclass(frozen=True)
class Settings:
    """What a worker's surroundings are."""

    notes: str

    def __call__(self, item: int) -> Mapping[str, Any]:
        del item
        return {
            "pid": os.getpid(),
            "cwd": str(Path.cwd()),
            "omp": os.environ["OMP_NUM_THREADS"],
            "arrow": pa.cpu_count(),
            "io": pa.io_thread_count(),
        }


@dataclass(frozen=True)
class Origin:
    """Where a worker imports a module from, and the node that it runs on; takes long enough for all to take part."""

    name: str

    def __call__(self, item: int) -> tuple[str, str]:
        import ray

        del item
        time.sleep(0.05)
        return str(importlib.import_module(self.name).__file__), ray.get_runtime_context().get_node_id()
