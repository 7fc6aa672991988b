"""How a run goes or what it left, from the work directory's status file and the output's manifest; writes nothing."""

from __future__ import annotations

import fcntl
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from operators.base import RecipeError
from pipeline.storage import Store
from pipeline.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["running", "stopped", "failed", "interrupted", "done"]


@dataclass(frozen=True)
class Status:
    """A run and the snapshots of its output.

    `state` is "interrupted" where a run ended without a word, or by Ctrl-C. `total` counts the tasks of `stage`.
    `seconds_left` is null where nothing is known of the stage's speed. `snapshots` are all complete ones.
    """

    state: State
    out: str
    work_dir: str
    recipe: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    started: float | None = None
    updated: float | None = None
    seconds_left: float | None = None
    message: str = ""
    host: str = ""
    pid: int = 0
    snapshot: dict[str, Any] = field(default_factory=dict)
    snapshots: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """For people."""
        lines = [f"{self.recipe or self.out}: {self.state}{self._when()}"]
        if self.state != "done" and self.stage:
            lines.append(f"  stage: {self.stage}, {self.done} of {count_of(self.total, 'task')}{self._left()}")
        if self.message and self.state in ("failed", "stopped"):
            lines.append(f"  {self.message}")
        if self.state in ("failed", "interrupted", "stopped"):
            lines.append("  finished work is kept: the same `vocabmill run` goes on from there")
        if self.snapshot:
            rows = self.snapshot["rows"]
            lines.append(
                f"  last snapshot: {self.snapshot['run_id']} of {self.snapshot['created']}: "
                f"{count_of(rows['read'], 'document')} read, {rows['kept']:,} kept, "
                f"{rows['dropped']:,} dropped, {rows['quarantined']:,} quarantined"
            )
            others = len(self.snapshots) - 1
            lines.append(f"  in {self.out}" + (f", with {others} earlier" if others > 0 else ""))
        else:
            lines.append(f"  no snapshot in {self.out} yet")
        return "\n".join(lines)

    def _when(self) -> str:
        if self.started is None or self.updated is None:
            return ""
        if self.state == "running":
            return f" for {_duration(time.time() - self.started)} (pid {self.pid} on {self.host})"
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.updated))
        return f" since {since}, after {_duration(self.updated - self.started)}"

    def _left(self) -> str:
        return "" if self.seconds_left is None else f", about {_duration(self.seconds_left)} left"


def read_status(out: str, work_dir: str) -> Status:
    """The state of the last run in `work_dir` that wrote to `out`, and the snapshots in `out`.

    Raises:
        RecipeError: there is neither a run nor a snapshot.
    """
    work, target = Store(work_dir), Store(out)
    snapshot = _snapshot(target)
    run = work.read_json("status.json") if work.exists("status.json") else None
    if run is not None and run.get("out", target.base) != target.base:
        run = None
    if run is None and not snapshot:
        raise RecipeError(
            f"there is no run: neither {target.full('manifest.json')} nor {work.full('status.json')} of a run that "
            "writes there exists; give the recipe or its output directory, and --work-dir if the run had one"
        )
    versions = [name for name in target.names(".versions") if target.exists(f".versions/{name}/manifest.json")]
    facts: dict[str, Any] = {"out": out, "work_dir": work_dir, "snapshot": snapshot, "snapshots": versions}
    if run is None:
        return Status("done", recipe=snapshot["name"], **facts)
    state = _state(run, work)
    names = ("recipe", "stage", "done", "total", "started", "updated", "host", "pid")
    message = "" if state in ("running", "interrupted") else str(run.get("message", ""))
    left = _seconds_left(run) if state == "running" else None
    return Status(state, **facts, **{n: run[n] for n in names}, message=message, seconds_left=left)


def _snapshot(target: Store) -> dict[str, Any]:
    if not target.exists("manifest.json"):
        return {}
    manifest = target.read_json("manifest.json")
    return {name: manifest[name] for name in ("run_id", "name", "created", "rows", "seconds", "peak_rss_mb")}


def _state(run: Mapping[str, Any], work: Store) -> State:
    """What the status file says, unless its writer is gone."""
    said: State = run["state"]
    if said == "failed" and run.get("message") == KeyboardInterrupt.__name__:
        return "interrupted"
    if said != "running":
        return said
    return "running" if _is_held(work, on_this_host=run["host"] == socket.gethostname()) else "interrupted"


def _is_held(work: Store, *, on_this_host: bool) -> bool:
    """Whether a run holds the work directory. Of another host's run on a local path only the file's word is known."""
    if not work.is_local:
        return work.exists("lease.json") and bool(work.read_json("lease.json")["expires"] > time.time())
    if not on_this_host:
        return True
    try:
        with Path(work.full("lock")).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _seconds_left(run: Mapping[str, Any]) -> float | None:
    """From the tasks that this run has computed in the current stage."""
    computed = run["done"] - run.get("reused", 0)
    if computed <= 0 or "stage_started" not in run:
        return None
    return float((run["updated"] - run["stage_started"]) / computed * (run["total"] - run["done"]))


def _duration(seconds: float) -> str:
    """A time span with two units at most.

    >>> _duration(42.4), _duration(125), _duration(7260)
    ('42 s', '2 min 5 s', '2 h 1 min')
    """
    whole = round(max(seconds, 0))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
