"""Tasks on a Ray cluster: one that is started here for the run, or one that is already there.

Price: some 5 s to start Ray on this machine and a few ms per task, so for one machine `local` is the better choice.
What Ray adds: several machines, nodes that come and go, GPUs, memory as something to schedule by, and a dashboard.
Rows never pass through Ray: its object store holds task descriptions only and is kept small.

Left to itself Ray runs a task that died for lack of memory again without end; so plain tasks are tried again here,
`ATTEMPTS` times in all. `docs/ray.md` says how code, files and models reach the nodes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections import Counter, deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import ray
import ray._private.worker
from ray.exceptions import GetTimeoutError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from operators.base import RecipeError, RunError
from pipeline.executors.cluster import OURS, environment, fits, module_path, nothing_fits
from pipeline.storage import TEMPORARY, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from operators.base import Resources

    Ref = ray.ObjectRef[Any]

Item = TypeVar("Item")
Result = TypeVar("Result")

ATTEMPTS: Final = 4
"""How often one task may lose its worker or its node before the run fails."""
OBJECT_STORE_BYTES: Final = 128 << 20
NODE_SECONDS: Final = 600.0
"""How long a cluster may take to bring up a node that a task fits on."""
PROBE_SECONDS: Final = 180.0
SLOT_SECONDS: Final = 5.0
STARTS: Final = -1
"""Stands for an item where a worker was lost while it started."""
JOB_CONFIG: Final = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the driver of a submitted job."""
QUIET: Final[dict[str, Any]] = {"log_to_driver": False, "logging_level": logging.ERROR}
log = logging.getLogger("vocabmill")


class RayExecutor:
    """Runs tasks on Ray, at most `workers` at a time (0: as many as the cluster has room for)."""

    def __init__(self, workers: int = 0, address: str = "", packages: Sequence[str] = ()) -> None:
        """Start Ray on this machine, or join the cluster at `address` ("auto": the one this machine belongs to).

        `packages` are top-level packages of operators from outside this repository; a cluster that is joined gets them
        together with `pipeline` and `operators`, as this process sees them.

        Raises:
            RecipeError: there is no cluster at the address, or it runs other versions of Ray or Python.
        """
        self._mine = not ray.is_initialized()
        self._limit = workers if address or not self._mine else 0  # A cluster of our own has `workers` CPUs.
        self._alone = self._mine and not address
        self._checked: set[str] = set()
        self._cwd = str(Path.cwd())
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if self._mine:
            # Ray prints what befell workers to standard output, whatever it is told, and that belongs to --json.
            ray._private.worker.print_to_stdstream = _note
        if self._alone:
            _start(workers or len(os.sched_getaffinity(0)))
        elif self._mine:
            _join(address, packages)
        self.workers = workers or max(1, int(_totals().get("CPU", 1)))

    def map(
        self, task: Callable[[Item], Result], items: Sequence[Item], resources: Resources, label: str
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor.map`. A `resident` task runs on actors that live as long as the iteration."""
        if not items:
            return
        self._check_storage(str(getattr(task, "root", "")))
        wanted = self._request(resources)
        slots = _Slots(wanted, self._limit)
        kind = _Actors if resources.resident else _Tasks
        crew = kind((uuid.uuid4().hex, [ray.put(task)], self._cwd), wanted, slots, label, len(items))
        try:
            yield from _drive(crew, items, label, wanted)
        finally:
            crew.close()

    def refuse(self, resources: Resources) -> None:
        """RecipeError where this machine, alone, has not the GPU; a cluster may still get nodes that have it."""
        if self._alone and resources.gpus > _totals().get("GPU", 0):
            raise RecipeError(nothing_fits({"CPU": resources.cpus, "GPU": resources.gpus}, _nodes()))

    def close(self) -> None:
        """End what this run has on the cluster, and the cluster too if it was started here."""
        if self._mine and ray.is_initialized():
            ray.shutdown()

    def _request(self, resources: Resources) -> dict[str, float]:
        """What a task asks of Ray; alone on this machine no more CPUs and memory than it has: tasks then take turns."""
        wanted = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory_mb * 1e6}
        if self._alone:
            have = _totals()
            wanted.update({name: min(wanted[name], have.get(name, wanted[name])) for name in ("CPU", "memory")})
            if resources.gpus > have.get("GPU", 0):
                raise RunError(nothing_fits(wanted, _nodes()))
        return {name: amount for name, amount in wanted.items() if amount}

    def _check_storage(self, root: str) -> None:
        """Write a file into the work directory and have every node read it, once per directory."""
        if not root or root in self._checked:
            return
        store, name, content = Store(root), f"{TEMPORARY}/probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
        store.write(name, content)
        try:
            blind = _blind_nodes(store, name, content, self._cwd)
        finally:
            store.remove(name)
        if blind:
            raise RecipeError(
                f"the work directory {root!r} is not the same on every node of the Ray cluster: what was just written "
                f"there cannot be read on {', '.join(blind)}; choose a --work-dir (and --out) that all nodes share: a "
                "network file system mounted at the same place everywhere, or an object store (s3://bucket/prefix)"
            )
        self._checked.add(root)


# --- starting and joining ---


@contextlib.contextmanager
def _own_ending() -> Iterator[None]:
    """Keep the program's own way to end on SIGTERM, where it has one: Ray puts another in its place."""
    mine = signal.getsignal(signal.SIGTERM)
    yield
    if callable(mine) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, mine)


def _start(cpus: int) -> None:
    """Ray on this machine alone, whatever the environment says of other clusters."""
    path = os.pathsep.join(entry for entry in sys.path if entry and not entry.startswith(sys.prefix))
    with _own_ending():
        context = ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=importlib.util.find_spec("aiohttp_cors") is not None,
            runtime_env={"env_vars": {**environment(), "PYTHONPATH": path}},
            **QUIET,
        )
    if context.dashboard_url:
        log.info("Ray's dashboard: http://%s", context.dashboard_url)


def _join(address: str, packages: Sequence[str]) -> None:
    if address.startswith("ray://"):
        raise RecipeError(
            f"--address {address}: the driver must run inside the cluster, because it reads the work directory itself; "
            "use `vocabmill submit`, or give the address of the cluster's head (host:6379), or auto on one of its nodes"
        )
    variables = environment()
    runtime_env: dict[str, Any] = {"env_vars": variables}
    if JOB_CONFIG in os.environ:
        # A submitted job brings its code in the job's own environment, and Ray refuses to be told a thing twice.
        given = (json.loads(os.environ[JOB_CONFIG]).get("runtime_env") or {}).get("env_vars") or {}
        runtime_env["env_vars"] = {name: value for name, value in variables.items() if name not in given}
    else:
        runtime_env["py_modules"] = [module_path(name) for name in (*OURS, *packages)]
        runtime_env["excludes"] = ["__pycache__"]
    try:
        with _own_ending():
            ray.init(address=address, runtime_env=runtime_env, **QUIET)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RecipeError(
            f"--address {address}: cannot join a Ray cluster there: {error}; it must be reachable from here, and run "
            f"Ray {ray.__version__} on Python {sys.version_info.major}.{sys.version_info.minor}"
        ) from error


def _note(data: Mapping[str, Any], *_: object, **__: object) -> None:
    for line in data.get("lines", ()):
        log.info("Ray: %s", line)


# --- in a worker ---

Sent = tuple[str, list[Any], str]
"""What goes with every item: the task's name, a list that holds the reference to the task, the driver's directory."""
_TASK: dict[str, Callable[[Any], object]] = {}
"""The task that this worker ran last: it is fetched and unpickled once per worker, not once per item."""


def _task(sent: Sent) -> Callable[[Any], object]:
    key, box, cwd = sent
    _prepare(cwd)
    if key not in _TASK:
        _TASK.clear()
        _TASK[key] = cast("Callable[[Any], object]", ray.get(box[0]))
    return _TASK[key]


@cache
def _prepare(cwd: str) -> None:
    """One Arrow thread, and the driver's directory where there is such a one, so that relative paths mean the same."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with contextlib.suppress(OSError):
        os.chdir(cwd)


@ray.remote
def _run(sent: Sent, item: object) -> object:
    return _task(sent)(item)


@ray.remote
def _fault(store: Store, name: str, content: bytes, cwd: str) -> str:
    """Why this node cannot read a file; empty if it can."""
    _prepare(cwd)
    try:
        return "" if store.read(name) == content else "it reads something else"
    except Exception as error:  # Each file system has its own errors; a person gets to see this one.
        return f"{type(error).__name__}: {error}"


class _Resident:
    """A worker that keeps what its task loaded. Its methods take the task, so that it can be started again anywhere."""

    def ready(self, sent: Sent) -> None:
        """Return when there is a place for this worker and it has the task."""
        _task(sent)

    def run(self, sent: Sent, item: object) -> object:
        """The task's result for one item."""
        return _task(sent)(item)


_RESIDENT: Final[Any] = ray.remote(_Resident)


# --- in the driver ---


class _Slots:
    """How many tasks run at a time, and how many may be in flight."""

    def __init__(self, wanted: Mapping[str, float], limit: int) -> None:
        self._wanted = wanted
        self._limit = limit
        self._looked = float("-inf")
        self._room = 1

    @property
    def running(self) -> int:
        """At a time; the cluster is looked at again every few seconds, because it may grow."""
        if time.monotonic() - self._looked > SLOT_SECONDS:
            self._looked = time.monotonic()
            self._room = max(1, sum(fits(node, self._wanted) for node in _nodes()))
        return min(self._room, self._limit or self._room)

    @property
    def in_flight(self) -> int:
        """Twice that, so that no worker waits for the driver; but where the limit is a person's, Ray would run them."""
        return self.running if self._limit else 2 * self.running


class _Tasks:
    """Plain Ray tasks."""

    def __init__(self, sent: Sent, wanted: Mapping[str, float], slots: _Slots, label: str, count: int) -> None:
        del count
        self.starting: dict[Ref, Any] = {}
        self._sent, self._slots = sent, slots
        self._remote = _run.options(name=label, max_retries=0, **_options(wanted))
        self._running: set[Ref] = set()

    def submit(self, item: object) -> Ref | None:
        """A reference to the item's result, or None while there is no room."""
        if len(self._running) >= self._slots.in_flight:
            return None
        ref = self._remote.remote(self._sent, item)
        self._running.add(ref)
        return ref

    def finished(self, ref: Ref) -> None:
        """Take note that a result has arrived."""
        self._running.discard(ref)

    lost = finished

    def close(self) -> None:
        """Kill what still runs."""
        for ref in self._running:
            with contextlib.suppress(RayError):
                ray.cancel(ref, force=True)


class _Actors:
    """Long-lived workers, each of which loads its model once.

    One that is lost is replaced, and what it had goes to the others at once: its successor may wait long for a place.
    (Ray's own restart keeps a lost actor's calls until it has one.)
    """

    _serial = itertools.count()

    def __init__(self, sent: Sent, wanted: Mapping[str, float], slots: _Slots, label: str, count: int) -> None:
        self._sent, self._label = sent, label
        self._options = {"max_restarts": 0, "max_task_retries": 0, **_options(wanted)}
        self.starting: dict[Ref, Any] = {}
        self._load: dict[Any, int] = {}
        self._actor_of: dict[Ref, Any] = {}
        for _ in range(min(slots.running, count)):
            self._start()

    def _start(self) -> None:
        name = f"{self._label} ({next(self._serial)})"
        actor: Any = _RESIDENT.options(name=name, **self._options).remote()
        self.starting[actor.ready.remote(self._sent)] = actor

    def submit(self, item: object) -> Ref | None:
        """A reference to the item's result, or None while every actor that has started has two items."""
        actor = min(self._load, key=self._load.__getitem__, default=None)
        if actor is None or self._load[actor] >= 2:
            return None
        ref: Ref = actor.run.remote(self._sent, item)
        self._load[actor] += 1
        self._actor_of[ref] = actor
        return ref

    def finished(self, ref: Ref) -> None:
        """Take note that a result has arrived, or that an actor has started."""
        if ref in self.starting:
            self._load[self.starting.pop(ref)] = 0
        elif (actor := self._actor_of.pop(ref)) in self._load:
            self._load[actor] -= 1

    def lost(self, ref: Ref) -> None:
        """Take note that the worker of a result, or of a start, is gone; another takes its place."""
        actor = self.starting.pop(ref, None)
        if actor is None:
            actor = self._actor_of.pop(ref)
            if self._load.pop(actor, None) is None:  # Its other item was heard of first.
                return
        with contextlib.suppress(RayError):
            ray.kill(actor)
        self._start()

    def close(self) -> None:
        """Kill the actors."""
        for actor in (*self._load, *self.starting.values()):
            with contextlib.suppress(RayError):
                ray.kill(actor)


def _drive(
    crew: _Tasks | _Actors, items: Sequence[Item], label: str, wanted: Mapping[str, float]
) -> Iterator[tuple[int, Any]]:
    """Send items while there is room, and yield results as they come."""
    todo = deque(range(len(items)))
    running: dict[Ref, int] = {}
    attempts = Counter({STARTS: 1})
    begin = time.monotonic()
    while todo or running:
        while todo and (sent := crew.submit(items[todo[0]])) is not None:
            attempts[todo[0]] += 1
            running[sent] = todo.popleft()
        ready, _ = ray.wait([*running, *crew.starting], num_returns=1, timeout=5)
        if not ready and time.monotonic() - begin > NODE_SECONDS and not any(fits(n, wanted) for n in _nodes()):
            raise RunError(f"{label}: {nothing_fits(wanted, _nodes())}")
        for ref in ready:
            index = running.pop(ref, STARTS)
            try:
                result = ray.get(ref)
            except RayTaskError as error:
                raise _cause(error) from None
            except RayError as error:
                crew.lost(ref)
                if attempts[index] >= ATTEMPTS or isinstance(error, RuntimeEnvSetupError):
                    raise RunError(_gave_up(label, attempts[index], error)) from error
                log.warning("%s: a worker or its node was lost (%s); its task runs again", label, type(error).__name__)
                if index == STARTS:
                    attempts[STARTS] += 1
                else:
                    todo.appendleft(index)
                continue
            crew.finished(ref)
            if index != STARTS:
                yield index, result


def _cause(error: RayTaskError) -> BaseException:
    """The error as the task raised it: what a person reads is the same as without Ray."""
    cause = error.cause
    return cause if isinstance(cause, BaseException) else RunError(str(error))


def _gave_up(label: str, attempts: int, error: RayError) -> str:
    text = " ".join(str(error).split())
    return (
        f"{label}: a worker was lost {attempts} times on the same task (a node gone, killed, or out of memory?), the "
        f"last time: {type(error).__name__}: {text[:600]}; run the same command to go on: finished work is kept"
    )


def _options(wanted: Mapping[str, float]) -> dict[str, Any]:
    cpus, gpus, memory = (wanted.get(name, 0) for name in ("CPU", "GPU", "memory"))
    return {"num_cpus": cpus, "num_gpus": gpus, "memory": int(memory) or None}


def _totals() -> dict[str, float]:
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def _nodes() -> list[dict[str, Any]]:
    """The nodes that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _blind_nodes(store: Store, name: str, content: bytes, cwd: str) -> list[str]:
    """The nodes that could run tasks and cannot read the file, each with its reason."""
    asked: list[tuple[str, Ref]] = []
    for node in _nodes():
        if node["Resources"].get("CPU", 0):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            probe = _fault.options(name="look at the work directory", num_cpus=0, scheduling_strategy=there)
            asked.append((node["NodeManagerAddress"], probe.remote(store, name, content, cwd)))
    blind = []
    for address, ref in asked:
        try:
            if fault := ray.get(ref, timeout=PROBE_SECONDS):
                blind.append(f"{address} ({fault})")
        except GetTimeoutError as error:
            raise RunError(
                f"the Ray node {address} gave no answer for {PROBE_SECONDS:.0f} s; is it overloaded?"
            ) from error
        except RayTaskError as error:
            raise _cause(error) from None
        except RuntimeEnvSetupError as error:
            raise RunError(f"the Ray node {address} cannot set up our code: {' '.join(str(error).split())}") from error
        except RayError as error:  # The node itself is gone, and Ray may still count it: it will run no task either.
            log.info("the Ray node %s is gone (%s)", address, type(error).__name__)
    return blind
