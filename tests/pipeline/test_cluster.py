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
from tests.pipeline.executors.faulty_steps import wait_for

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

    from pipeline.executors.ray import RayExecutor

pytestmark = [pytest.mark.ray, pytest.mark.timeout(90)]
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
    """SIGKILL to the raylet of a node whose worker has just begun a task, and to all its workers."""
    wait_for(lambda: any(notes.iterdir()), 30)
    for _ in range(100):
        for note in sorted(notes.iterdir(), reverse=True):
            for node in cluster.list_all_nodes()[1:]:  # type: ignore[no-untyped-call] # The first is the head.
                raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
                family = raylet.children(recursive=True)
                if int(note.name.split("-")[0]) in {process.pid for process in family}:
                    for process in (raylet, *family):
                        process.kill()
                    cluster.remove_node(node, allow_graceful=False)
                    return


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
    commands.write_recipe(tmp_path, "{kind: 'faulty_steps:Slow', seconds: 0}", "{kind: exact_dedup}")
    options = ["--executor", "ray", "--address", cluster.address, "--json"]
    done = commands.run(commands.command(tmp_path, "ray", *options))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"
    assert done.stderr == ""
    cluster.wait_for_nodes()


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize("step", ["Slow", "SlowResident"])
def test_a_run_survives_the_death_of_a_node_with_the_same_bytes(flawed: Mill, cluster: Cluster, step: str) -> None:
    notes = flawed.home / "notes"
    notes.mkdir()
    steps: list[dict[str, Any]] = [
        {"kind": f"faulty_steps:{step}", "seconds": 0.6, "notes": str(notes), "name": "slow"},
        *STEPS,
    ]
    quick = [{**steps[0], "seconds": 0.0}, *STEPS]
    expected = flawed.run(quick, out="one", work="w1").bytes
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
