import json
import os
import socket
import time
from pathlib import Path

import pytest

from operators.base import RecipeError
from pipeline.executors.local import LocalExecutor
from pipeline.recipe import Recipe
from pipeline.session import run_recipe
from pipeline.status import read_status
from pipeline.storage import Store, exclusive


def write_status(work: Path, out: Path, **changes: object) -> None:
    """A status file as a run that started 100 s ago and has done 10 of 40 tasks in 20 s."""
    now = time.time()
    content = {
        "recipe": "small", "pid": os.getpid(), "host": socket.gethostname(), "state": "running", "started": now - 100,
        "updated": now, "stage": "near/bands", "done": 14, "reused": 4, "total": 40, "stage_started": now - 20,
        "out": str(out),
    }  # fmt: skip
    work.mkdir(exist_ok=True)
    (work / "status.json").write_text(json.dumps(content | changes))


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "out", tmp_path / "work"


def test_nothing_there_says_what_was_looked_for(places: tuple[Path, Path]) -> None:
    out, work = places
    with pytest.raises(RecipeError) as caught:
        read_status(str(out), str(work))
    assert f"{out}/manifest.json" in str(caught.value)
    assert f"{work}/status.json" in str(caught.value)


def test_a_run_that_holds_its_lock_is_running_and_says_how_long_it_will(places: tuple[Path, Path]) -> None:
    out, work = places
    write_status(work, out)
    with exclusive(Store(str(work))):
        found = read_status(str(out), str(work))
    assert found.state == "running"
    assert found.seconds_left == pytest.approx(20 / 10 * 26, rel=0.01)
    lines = found.to_text().split("\n")
    assert lines[0].startswith("small: running for 1 min 40 s (pid ")
    assert lines[1] == "  stage: near/bands, 14 of 40 tasks, about 52 s left"
    assert lines[2] == f"  no snapshot in {out} yet"


def test_a_run_whose_lock_is_free_was_interrupted(places: tuple[Path, Path]) -> None:
    out, work = places
    write_status(work, out)
    found = read_status(str(out), str(work))
    assert (found.state, found.seconds_left) == ("interrupted", None)
    assert "the same `vocabmill run` goes on from there" in found.to_text()


def test_asking_does_not_create_a_lock(places: tuple[Path, Path]) -> None:
    out, work = places
    write_status(work, out)
    read_status(str(out), str(work))
    assert [path.name for path in work.iterdir()] == ["status.json"]
    assert not out.exists()


def test_another_hosts_run_is_believed(places: tuple[Path, Path]) -> None:
    out, work = places
    write_status(work, out, host="elsewhere")
    assert read_status(str(out), str(work)).state == "running"


@pytest.mark.parametrize(
    ("state", "message", "expected"),
    [
        ("failed", "step 'x' failed", "failed"),
        ("failed", "KeyboardInterrupt", "interrupted"),
        ("stopped", "stopped after x", "stopped"),
    ],
)
def test_how_a_run_ended_is_told(places: tuple[Path, Path], state: str, message: str, expected: str) -> None:
    out, work = places
    write_status(work, out, state=state, message=message)
    found = read_status(str(out), str(work))
    assert found.state == expected
    assert (message in found.to_text()) == (expected != "interrupted")


def test_nothing_is_known_of_the_time_left_before_a_task_is_done(places: tuple[Path, Path]) -> None:
    out, work = places
    write_status(work, out, done=4)
    with exclusive(Store(str(work))):
        assert read_status(str(out), str(work)).seconds_left is None


def test_a_run_that_writes_elsewhere_is_not_this_ones(places: tuple[Path, Path]) -> None:
    out, work = places
    write_status(work, out.with_name("other"))
    with pytest.raises(RecipeError, match="there is no run"):
        read_status(str(out), str(work))


def test_a_finished_run_shows_its_snapshot(places: tuple[Path, Path], tmp_path: Path) -> None:
    out, work = places
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n{"text": "one"}\n{"text": ""}\n')
    content = {
        "name": "small",
        "inputs": [{"name": "docs", "path": str(tmp_path / "a.jsonl")}],
        "steps": [{"kind": "exact_dedup"}],
        "outputs": {"path": str(out)},
    }
    run_recipe(Recipe.model_validate(content), LocalExecutor(1), work_dir=str(work), quiet=True)
    found = read_status(str(out), str(work))
    assert found.state == "done"
    assert found.snapshot["rows"] == {"read": 4, "kept": 2, "dropped": 1, "quarantined": 1}
    assert found.snapshots == [found.snapshot["run_id"]]
    assert "4 documents read, 2 kept, 1 dropped, 1 quarantined" in found.to_text()
    assert json.loads(json.dumps(found.to_json()))["snapshot"]["name"] == "small"
    (work / "status.json").unlink()
    assert read_status(str(out), str(work)).state == "done"
