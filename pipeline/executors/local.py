"""This machine's cores, without Ray: spawned processes, or this process where one worker is asked for.

Processes, not threads: operators that are not kernels hold the interpreter's lock (`docs/adr/0002-local-workers.md`
has the measurement). A worker that is killed is replaced and its tasks run again, three times at most.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

from operators.base import RecipeError, RunError
from operators.embedding.devices import cuda_capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from operators.base import Resources

Item = TypeVar("Item")
Result = TypeVar("Result")
ATTEMPTS = 3
LOOK = 2.0
"""Seconds without a result after which it is seen whether all workers live."""
PATIENCE = 2.0
"""Seconds that the thread which watches a pool's workers may take to end once they are dead."""
log = logging.getLogger("vocabmill")
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")


class LocalExecutor:
    """`workers` processes that live as long as the run."""

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resources: Resources, label: str
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor.map`. One worker runs in this process: no start-up cost, and a debugger sees everything.

        So does what asks for a GPU, one task at a time: each worker would load its model there. Ray gives out several.
        """
        if self.workers == 1 or resources.gpus:
            for index, item in enumerate(items):
                yield index, task(item)
            return
        yield from self._spread(task, items, label)

    def refuse(self, resources: Resources) -> None:
        """RecipeError where a GPU is asked for and this machine has none; of all else it has what there is."""
        if resources.gpus and not cuda_capabilities():
            raise RecipeError(
                "a step asks for a GPU (device: cuda), and CUDA's driver shows none on this machine: set device: auto "
                "or cpu, look at nvidia-smi and CUDA_VISIBLE_DEVICES, or run on a cluster that has one (--executor ray)"
            )

    def start(self, modules: Sequence[str]) -> None:
        """Start the workers and have them import modules, beside what the caller does before its first task.

        Where this is cut short, none is left: who calls has nothing yet to close.
        """
        if self.workers == 1:
            return
        try:
            for _ in range(self.workers):
                self._submit(_load, modules)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kill the workers; what they were writing stays under temporary names."""
        if self._pool is None:
            return
        processes = list((getattr(self._pool, "_processes", None) or {}).values())
        manager = getattr(self._pool, "_executor_manager_thread", None)
        queues = [getattr(self._pool, name, None) for name in ("_result_queue", "_call_queue")]  # shutdown forgets them
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        if manager is not None:
            _end(manager, *queues)
        self._pool = None

    def _spread(
        self, task: Callable[[Item], Result], items: Sequence[Item], label: str
    ) -> Iterator[tuple[int, Result]]:
        running: dict[Future[Result], int] = {}
        try:
            yield from self._drain(task, items, running, label)
        finally:
            for future in running:
                future.cancel()

    def _drain(
        self, task: Callable[[Item], Result], items: Sequence[Item], running: dict[Future[Result], int], label: str
    ) -> Iterator[tuple[int, Result]]:
        attempts, todo = [0] * len(items), list(range(len(items)))[::-1]
        while todo or running:
            try:
                while todo and len(running) < 2 * self.workers:
                    running[self._submit(task, items[todo[-1]])] = todo[-1]
                    attempts[todo.pop()] += 1
                for future in self._done(running):
                    result = future.result()
                    yield running.pop(future), result
            except BrokenProcessPool as error:
                lost = sorted(running.values(), reverse=True)
                running.clear()
                self.close()
                if any(attempts[index] >= ATTEMPTS for index in lost):
                    raise RunError(
                        f"{label}: a worker died {ATTEMPTS} times in a row (killed, or out of memory?); try "
                        "fewer --workers or a smaller outputs.shard_mb, then run again: finished work is kept"
                    ) from error
                log.warning("%s: a worker died; the tasks that were lost run again", label)
                todo.extend(lost)

    def _done(self, running: Collection[Future[Result]]) -> set[Future[Result]]:
        """Those that have ended after a while; BrokenProcessPool where a worker is dead.

        The pool does not see that a worker is dead while it waits for the rest of a result of that worker.
        """
        done, _ = wait(running, LOOK, return_when=FIRST_COMPLETED)
        workers = list((getattr(self._pool, "_processes", None) or {}).values())
        if not done and not all(worker.is_alive() for worker in workers):
            raise BrokenProcessPool
        return done

    def _submit(self, task: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Send a task; this starts a worker where one is missing."""
        if self._pool is None:
            with _signals_held_back():
                self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), _start_worker, (os.getpid(),))
        with _signals_held_back():  # Again: Python unblocks Ctrl-C when it starts its tracker of semaphores.
            return self._pool.submit(_released, task, item)


def _end(manager: threading.Thread, results: object, tasks: object) -> None:
    """Wait for the thread that watched workers which are dead: Python's exit would meet it.

    It closes the pipe that the exit wakes it through, which then prints a traceback. And it can wait for ever, the exit
    with it, as this process holds the other ends too of the pipes: for the rest of a result, where a worker was killed
    as it wrote, and before Python 3.11.5 for somebody to read a task. Where it does not end they are closed.
    """
    manager.join(PATIENCE)
    if not manager.is_alive():
        return
    for pipe in (getattr(results, "_writer", None), getattr(tasks, "_reader", None)):
        if pipe is not None:
            pipe.close()
    manager.join(10 * PATIENCE)  # Nothing holds it any more: it may only be slow.


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold back what ends a run until a process is started: one that gets only half of its orders says so at length.

    In that process what a terminal sends to all stays blocked for good, from its first instruction on, before it could
    ignore anything: the driver ends it. Here blocking is not enough, as another thread can take a signal.
    """
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)}
    held = {number: handler for number, handler in handlers.items() if is_main and callable(handler)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        for number in held:
            signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in held.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _start_worker(parent: int) -> None:
    """One thread per library, Ctrl-C left to the driver, and an end when the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ONE_THREAD:
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_die_with, args=(parent,), daemon=True, name="watch-driver").start()
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def _released(task: Callable[[Item], Result], item: Item) -> Result:
    """A task's result; what its tables took goes back to the system, not to a worker that may wait for long."""
    import pyarrow as pa

    try:
        return task(item)
    finally:
        pa.default_memory_pool().release_unused()


def _load(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
