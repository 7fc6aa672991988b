"""Three nodes on this machine: the bytes of one worker, also when a node is killed; our code on every node."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from operators.base import Resources
from pipeline.executors.cluster import packages_of
from tests.pipeline.engine import Mill, Ran
from tests.pipeline.executors import commands
from tests.waiting import wait_for

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

    from pipeline.executors.ray import RayExecutor

pytestmark = pytest.mark.ray
STEPS: list[dict[str, Any]] = [{"kind": "exact_dedup"}, {"kind": "minhash_dedup"}, {"kind": "corpus_stats"}]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    try:
        for _ in range(3):
            nodes.add_node(num_cpus=1, object_store_memory=80 << 20, include_dashboard=False)
        nodes.wait_for_nodes()
        yield nodes
    finally:
        nodes.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps from outside the repository, importable here and not on the nodes."""
    monkeypatch.syspath_prepend(str(commands.HERE))


def on_cluster(cluster: Cluster, use: Callable[[RayExecutor], Ran], packages: tuple[str, ...] = ()) -> Ran:
    from pipeline.executors.ray import RayExecutor

    executor = RayExecutor(0, cluster.address, packages)
    try:
        return use(executor)
    finally:
        executor.close()


def kill_node(cluster: Cluster, notes: Path) -> None:
    """SIGKILL to the raylet of a node whose worker is held in a task, and to all its workers; then all may go on."""
    try:
        wait_for(lambda: _kill_one(cluster, notes))
    finally:
        (notes / "go").touch()


def _kill_one(cluster: Cluster, notes: Path) -> bool:
    """Whether a worker of a node other than the head, the first, has left a note: that node is killed."""
    held = {int(note.name.partition("-")[0]) for note in notes.iterdir()}
    for node in cluster.list_all_nodes()[1:]:  # type: ignore[no-untyped-call]
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        family = raylet.children(recursive=True)
        if not held.isdisjoint(process.pid for process in family):
            for process in (raylet, *family):
                process.kill()
            cluster.remove_node(node, allow_graceful=False)
            return True
    return False


def test_three_nodes_give_the_same_bytes_as_one_worker(flawed: Mill, cluster: Cluster) -> None:
    expected = flawed.run(STEPS, out="one", work="w1").bytes
    ran = on_cluster(cluster, lambda executor: flawed.run(STEPS, out="three", work="w3", executor=executor))
    assert len(expected) > 3
    assert ran.bytes == expected


@pytest.mark.usefixtures("strangers")
def test_every_node_runs_the_code_of_the_driver(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.executors.ray import RayExecutor

    monkeypatch.chdir(tmp_path)  # Ray gives workers the driver's directory to import from, if they are on one machine.
    origin = importlib.import_module("faulty_steps").Origin
    executor = RayExecutor(0, cluster.address, ("faulty_steps",))
    try:
        assert executor.workers == 3
        for name in ("pipeline", "operators", "faulty_steps"):
            nodes: set[str] = set()
            for _ in range(20):  # a node that is quick takes all tasks of some rounds
                found = dict(executor.map(origin(name), range(60), Resources(), "origin")).values()
                assert all("runtime_resources" in file for file, _ in found), found
                nodes |= {node for _, node in found}
                if len(nodes) > 1:
                    break
            assert len(nodes) > 1
    finally:
        executor.close()


def test_the_command_joins_by_address_with_a_strangers_step_and_leaves_the_cluster_running(
    tmp_path: Path, cluster: Cluster
) -> None:
    commands.write_inputs(tmp_path)
    (tmp_path / "go").touch()
    commands.write_recipe(tmp_path, f"{{kind: 'faulty_steps:Held', place: {tmp_path}}}", "{kind: exact_dedup}")
    options = ["--executor", "ray", "--address", cluster.address, "--json"]
    done = commands.run(commands.command(tmp_path, "ray", *options))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
    assert done.stderr == ""
    cluster.wait_for_nodes()


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize("step", ["Held", "HeldResident"])
def test_a_run_survives_the_death_of_a_node_with_the_same_bytes(flawed: Mill, cluster: Cluster, step: str) -> None:
    notes = flawed.home / "notes"
    notes.mkdir()
    steps: list[dict[str, Any]] = [{"kind": f"faulty_steps:{step}", "place": str(notes), "name": "held"}, *STEPS]
    (notes / "go").touch()
    expected = flawed.run(steps, out="one", work="w1").bytes
    for note in notes.iterdir():
        note.unlink()
    packages = packages_of(flawed.recipe(steps).steps)
    assert packages == ("faulty_steps",)
    killer = threading.Thread(target=kill_node, args=(cluster, notes))
    killer.start()
    try:
        ran = on_cluster(cluster, lambda executor: flawed.run(steps, out="cut", work="w2", executor=executor), packages)
    finally:
        killer.join()
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    assert ran.bytes == expected
