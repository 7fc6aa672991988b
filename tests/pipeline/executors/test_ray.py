"""Ray on this machine: the results, the errors and the quiet of local workers; nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from operators.base import RecipeError, Resources, RunError
from tests.pipeline.engine import Json, Mill
from tests.pipeline.executors import commands
from tests.pipeline.executors.faulty_steps import Refuse, Settings, Square
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pipeline.executors.ray import RayExecutor

pytestmark = pytest.mark.ray
PLAIN, RESIDENT = Resources(), Resources(resident=True)
BOTH = pytest.mark.parametrize("resources", [PLAIN, RESIDENT], ids=["tasks", "actors"])


@pytest.fixture(scope="module")
def two() -> Iterator[RayExecutor]:
    from pipeline.executors.ray import RayExecutor

    executor = RayExecutor(2)
    yield executor
    executor.close()


@BOTH
def test_every_item_has_one_result(tmp_path: Path, two: RayExecutor, resources: Resources) -> None:
    found = list(two.map(Square(str(tmp_path)), range(30), resources, "square"))
    assert sorted(found) == [(item, item * item) for item in range(30)]
    assert not list(two.map(Square(str(tmp_path)), [], resources, "square"))


@BOTH
def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    tmp_path: Path, two: RayExecutor, resources: Resources
) -> None:
    found = list(two.map(Square(str(tmp_path), deadly=(3,)), range(12), resources, "square"))
    assert sorted(found) == [(item, item * item) for item in range(12)]
    assert (tmp_path / "3-0").exists(), "no worker was killed"


@BOTH
def test_a_task_that_kills_every_worker_fails_the_run_and_the_error_names_it(
    tmp_path: Path, two: RayExecutor, resources: Resources
) -> None:
    from pipeline.executors.ray import ATTEMPTS

    with pytest.raises(RunError, match=f"^deadly: a worker was lost {ATTEMPTS} times"):
        list(two.map(Square(str(tmp_path), deadly=(3,), deaths=99), range(12), resources, "deadly"))
    assert len(list(tmp_path.iterdir())) == ATTEMPTS


@BOTH
def test_an_error_comes_through_as_it_was_raised_and_the_executor_goes_on(
    tmp_path: Path, two: RayExecutor, resources: Resources
) -> None:
    with pytest.raises(RunError, match=r"^item 3 is no good$") as caught:
        list(two.map(Refuse(str(tmp_path)), range(40), resources, "refuse"))
    assert type(caught.value) is RunError
    assert len(list(two.map(Square(str(tmp_path)), range(3), resources, "square"))) == 3


@BOTH
def test_workers_use_one_thread_per_library_and_the_directory_of_the_driver(
    tmp_path: Path, two: RayExecutor, resources: Resources
) -> None:
    for _, found in two.map(Settings(str(tmp_path)), range(4), resources, "look"):
        assert (found["omp"], found["arrow"], found["io"]) == ("1", 1, 1)
        assert found["cwd"] == str(Path.cwd())
        assert found["pid"] != os.getpid()


def test_a_work_directory_that_workers_do_not_see_is_refused(two: RayExecutor) -> None:
    class Task(Square):
        root = "memory://nowhere-else"

    with pytest.raises(RecipeError, match=r"'memory://nowhere-else' is not the same on every node"):
        list(two.map(Task(""), [1], PLAIN, "square"))


def test_what_no_node_has_is_refused_at_once(tmp_path: Path, two: RayExecutor) -> None:
    with pytest.raises(RunError, match=r"asks for 1 CPU, 1 GPU.*has 2 CPU, 0 GPU"):
        list(two.map(Square(str(tmp_path)), [1], Resources(gpus=1), "square"))


def test_more_cpus_than_there_are_only_means_one_at_a_time(tmp_path: Path, two: RayExecutor) -> None:
    assert len(list(two.map(Square(str(tmp_path)), range(4), Resources(cpus=64), "square"))) == 4


def test_ray_says_nothing_while_all_is_well(
    tmp_path: Path, two: RayExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(list(two.map(Square(str(tmp_path)), range(12), PLAIN, "square"))) == 12
    assert len(list(two.map(Square(str(tmp_path)), range(12), RESIDENT, "square"))) == 12
    assert capfd.readouterr() == ("", "")


def test_not_even_a_lost_worker_writes_to_standard_output(
    tmp_path: Path, two: RayExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(list(two.map(Square(str(tmp_path), deadly=(3,)), range(12), PLAIN, "square"))) == 12
    assert len(list(two.map(Square(str(tmp_path), deadly=(4,)), range(12), RESIDENT, "square"))) == 12
    time.sleep(1)  # Ray tells of the loss a moment later.
    assert capfd.readouterr().out == ""


def test_one_node_gives_the_same_bytes_as_one_and_two_local_workers(flawed: Mill, two: RayExecutor) -> None:
    from pipeline.executors.local import LocalExecutor

    prose = {"column": "kind", "in": ["prose"]}
    like_prose = {"kind": "importance_resample", "target": prose, "select": {"fraction": 0.6}, "min_tokens": 5}
    steps: list[Json] = [{"kind": "exact_dedup"}, {"kind": "minhash_dedup"}, like_prose, {"kind": "corpus_stats"}]
    steps += [{"kind": "embed_documents", "name": "embed", "encoder": "tests.operators.toy_encoder:toy"}]
    steps += [{"kind": kind, "step": "embed", "clusters": 3} for kind in ("cluster", "semantic_dedup")]
    expected = flawed.run(steps, out="one", work="w1").bytes
    assert len(expected) > 3
    local = LocalExecutor(2)
    try:
        assert flawed.run(steps, out="two", work="w2", executor=local).bytes == expected
    finally:
        local.close()
    assert flawed.run(steps, out="ray", work="w3", executor=two).bytes == expected


# --- the command ---


def ray_processes(name: str) -> list[str]:
    """Command lines of Ray processes of a session that began after the marker was set in the environment."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            if process.environ().get("VOCABMILL_TEST") == name:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return [line for line in found if line]


def test_the_command_prints_json_alone_and_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOCABMILL_TEST", "json")
    commands.write_inputs(tmp_path)
    commands.write_recipe(tmp_path, "{kind: exact_dedup}")
    done = commands.run(commands.command(tmp_path, "ray", "--executor", "ray", "--workers", "2", "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
    assert done.stderr == ""
    wait_for(lambda: ray_processes("json") == [])


def test_a_step_that_fails_says_the_same_as_locally(tmp_path: Path) -> None:
    commands.write_inputs(tmp_path)
    commands.write_recipe(tmp_path, "{kind: 'faulty_steps:Chokes', name: eat, word: Läden}")
    local = commands.run(commands.command(tmp_path, "local", "--workers", "2"))
    on_ray = commands.run(commands.command(tmp_path, "ray", "--workers", "2", "--executor", "ray"))
    assert (local.returncode, on_ray.returncode) == (1, 1)
    last = local.stderr.splitlines()[-1]
    assert "step 'eat' failed on document" in last
    assert "shard" in last
    assert "ValueError: cannot swallow" in last
    assert on_ray.stderr.splitlines()[-1] == last


def test_interrupting_the_command_gives_130_and_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOCABMILL_TEST", "interrupt")
    notes = tmp_path / "notes"
    notes.mkdir()
    commands.write_inputs(tmp_path)
    commands.write_recipe(tmp_path, f"{{kind: 'faulty_steps:Held', place: {notes}}}")
    process = commands.start(commands.command(tmp_path, "ray", "--executor", "ray", "--workers", "2"))
    try:
        wait_for(lambda: any(notes.iterdir()))
        assert len(ray_processes("interrupt")) > 3
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        wait_for(lambda: ray_processes("interrupt") == [])
    finally:
        commands.stop(process)


def test_an_address_without_a_cluster_is_an_error_of_the_command(tmp_path: Path) -> None:
    commands.write_inputs(tmp_path)
    commands.write_recipe(tmp_path, "{kind: exact_dedup}")
    done = commands.run([*commands.command(tmp_path, "ray"), "--executor", "ray", "--address", "ray://127.0.0.1:1"])
    assert done.returncode == 2
    assert "--address ray://127.0.0.1:1" in done.stderr
