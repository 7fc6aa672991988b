"""Directories on any file system: whole files or none, one writer at a time, and the same bytes everywhere."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from operators.base import RecipeError, RunError
from pipeline import storage
from pipeline.executors.local import LocalExecutor
from pipeline.session import run_recipe
from pipeline.storage import Store, exclusive
from tests.pipeline.engine import Json, Mill, check_sums, flawed_texts
from tests.waiting import wait_for

STEPS: list[Json] = [
    {"kind": "gopher_repetition", "audit": True},
    {"kind": "exact_dedup"},
    {"kind": "sample", "docs": 25},
    {"kind": "train_tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [300]},
]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty place in this process's memory."""
    monkeypatch.setattr(storage, "LEASE_SECONDS", 3.0)
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield "memory://bucket"
    system.store.clear()


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty directory of each kind."""
    return Store(str(tmp_path) if request.param == "local" else request.getfixturevalue("memory"))


def files_of(root: str, manifest: Json) -> dict[str, str]:
    """Digests of a published snapshot as its manifest tells them, each checked against what lies there."""
    found = {}
    for name, entry in manifest["files"].items():
        with fsspec.open(f"{root}/{entry['path']}", "rb") as file:
            content = file.read()
        assert len(content) == entry["bytes"]
        found[name] = entry["sha256"]
    return found


def run_on(root: str, mill: Mill, executor: LocalExecutor | None = None, steps: list[Json] = STEPS) -> dict[str, Any]:
    """Run on an object store; returns the manifest that lies there."""
    recipe = mill.recipe(steps)
    run_recipe(recipe, executor or mill.executor, out=f"{root}/out", work_dir=f"{root}/work", quiet=True)
    manifest: Json = json.loads(fsspec.open(f"{root}/out/manifest.json", "rb").open().read())
    return manifest


def test_a_file_is_read_back_replaced_and_removed(store: Store) -> None:
    assert not store.exists("a/b.json")
    store.write_json("a/b.json", {"x": [1, "\u00e9"]})
    assert store.read_json("a/b.json") == {"x": [1, "\u00e9"]}
    store.write("a/b.json", b"second")
    assert store.read("a/b.json") == b"second"
    assert bytes(store.buffer("a/b.json").read_buffer()) == b"second"
    assert store.size("a/b.json") == 6
    assert store.names("a") == ["b.json"]
    assert store.names("nothing") == store.files("nothing") == []
    store.write("a/c/d", b"deep")
    assert store.files("a") == ["a/b.json", "a/c/d"]
    store.remove("a")
    store.remove("a")
    assert not store.exists("a/b.json")


def test_many_writers_of_one_name_leave_one_whole_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=store.write, args=("x", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("x") in contents
    assert not list((tmp_path / storage.TEMPORARY).iterdir())


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"cannot open 'nosuch://bucket/x'.*package"):
        Store("nosuch://bucket/x")


def test_a_held_directory_is_refused_and_free_again_afterwards(store: Store) -> None:
    held = pytest.raises(RunError, match=rf"another run holds .*pid {os.getpid()} on ")
    with exclusive(store), held, exclusive(store):
        pass
    with exclusive(store):
        pass


def test_a_lock_dies_with_its_owner(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pipeline.storage import Store, exclusive\n"
        "with exclusive(Store(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"pid {owner.pid} on "), exclusive(Store(str(tmp_path))):
            pass
        owner.kill()
    with exclusive(Store(str(tmp_path))):
        pass


@pytest.fixture
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that is renewed far more often than it must be, and taken a tenth of a second after it is written."""
    monkeypatch.setattr(storage, "LEASE_SECONDS", 6)
    monkeypatch.setattr(storage, "BEAT_SECONDS", 0.02)


def renewed(store: Store) -> Callable[[], bool]:
    """Tells whether the lease has been renewed since now."""
    before = store.read_json("lease.json")["expires"]
    return lambda: bool(store.read_json("lease.json")["expires"] > before)


@pytest.mark.usefixtures("quick_beats")
def test_a_lease_that_nobody_renews_expires(memory: str) -> None:
    store = Store(memory)
    lease = {"host": "gone", "pid": 1, "token": "x", "expires": time.time() + 60}
    store.write_json("lease.json", lease)
    with pytest.raises(RunError, match="pid 1 on gone"), exclusive(store):
        pass
    store.write_json("lease.json", {**lease, "expires": time.time() - 0.01})
    with exclusive(store):
        pass
    assert not store.exists("lease.json")


@pytest.mark.usefixtures("quick_beats")
def test_a_lease_is_renewed_while_its_owner_works(memory: str) -> None:
    store = Store(memory)
    with exclusive(store):
        for _ in range(3):
            wait_for(renewed(store))
        with pytest.raises(RunError, match="another run holds"), exclusive(store):
            pass


@pytest.mark.usefixtures("quick_beats")
def test_a_lease_survives_a_storage_that_fails_now_and_then(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(memory)
    real, calls = Store.write_json, []

    def flaky(self: Store, name: str, content: object, *, durable: bool = False) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise OSError("connection reset")
        real(self, name, content, durable=durable)

    monkeypatch.setattr(Store, "write_json", flaky)
    with exclusive(store):
        wait_for(lambda: len(calls) > 4)
        assert store.read_json("lease.json")["expires"] > time.time()


def test_a_lease_that_another_run_took_is_not_given_back_for_it(memory: str) -> None:
    store = Store(memory)
    taken = {"host": "other", "pid": 2, "token": "theirs", "expires": time.time() + 60}
    with exclusive(store):
        store.write_json("lease.json", taken)
    assert store.read_json("lease.json") == taken


def test_a_run_in_memory_gives_the_bytes_of_a_run_on_disk(memory: str, flawed: Mill) -> None:
    local = flawed.run(STEPS)
    check_sums(local)
    manifest = run_on(memory, flawed)
    assert files_of(f"{memory}/out", manifest) == local.bytes
    for name in local.bytes:
        with fsspec.open(f"{memory}/out/{name}", "rb") as file:
            assert len(file.read()) == manifest["files"][name]["bytes"]
    assert not fsspec.filesystem("memory").exists("/bucket/work/lease.json")


def test_inputs_in_memory_are_read_and_their_changes_seen(memory: str, mill: Mill) -> None:
    texts = flawed_texts()
    system = fsspec.filesystem("memory")
    for number in range(3):
        rows = "".join(json.dumps({"text": text}) + "\n" for text in texts[number::3])
        system.pipe_file(f"/bucket/in/{number}.jsonl", rows.encode())
    inputs = [{"name": "docs", "path": f"{memory}/in/*.jsonl"}]
    first = mill.run([{"kind": "exact_dedup"}], inputs=inputs)
    assert first.manifest["rows"]["read"] == len(texts)
    content = system.cat_file("/bucket/in/1.jsonl")
    system.pipe_file("/bucket/in/1.jsonl", content.replace(b"the", b"THE"))
    second = mill.run([{"kind": "exact_dedup"}], inputs=inputs)
    assert any("THE" in text for text in second.corpus["text"].to_pylist())
    assert second.bytes == mill.run([{"kind": "exact_dedup"}], inputs=inputs, out="out2", work="work2").bytes


def test_public_names_on_an_object_store_hold_the_newest_snapshot_only(memory: str, flawed: Mill) -> None:
    run_on(memory, flawed)
    system = fsspec.filesystem("memory")
    assert system.exists("/bucket/out/artifacts/train_tokenizer/tokenizer.json")
    manifest = run_on(memory, flawed, steps=[{"kind": "sample", "docs": 3}])
    public = {name.removeprefix("/bucket/out/") for name in system.find("/bucket/out") if "/.versions/" not in name}
    assert public == {*manifest["files"], "manifest.json", "report.html"}


def test_a_second_run_on_an_object_store_computes_nothing(memory: str, flawed: Mill) -> None:
    run_on(memory, flawed)
    recipe = flawed.recipe(STEPS)
    where = {"out": f"{memory}/out", "work_dir": f"{memory}/work"}
    again = run_recipe(recipe, flawed.executor, quiet=True, **where)
    assert [stage for stage in again["stages"] if stage["computed"]] == []


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server on this machine, for this process and its workers."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}"
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", endpoint),
            ("FSSPEC_S3_ENDPOINT_URL", endpoint),
        ):
            monkeypatch.setenv(name, value)
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
        storage._filesystem.cache_clear()
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket/place"
    finally:
        server.stop()
        storage._filesystem.cache_clear()
        fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.slow
def test_a_run_on_s3_gives_the_bytes_of_a_run_on_disk(bucket: str, flawed: Mill) -> None:
    local = flawed.run(STEPS)
    executor = LocalExecutor(2)
    try:
        manifest = run_on(bucket, flawed, executor)
        assert files_of(f"{bucket}/out", manifest) == local.bytes
        recipe = flawed.recipe(STEPS)
        where = {"out": f"{bucket}/out", "work_dir": f"{bucket}/work"}
        again = run_recipe(recipe, executor, quiet=True, **where)
        assert [stage for stage in again["stages"] if stage["computed"]] == []
        moved = run_on(bucket, flawed, executor, [{**STEPS[0], "max_dup_line_ratio": 0.01}, *STEPS[1:]])
        assert moved["steps"][0]["rows_computed"] == 0
        one = LocalExecutor(1)
        manifest = run_on(f"{bucket}-2", flawed, one)
        assert files_of(f"{bucket}-2/out", manifest) == local.bytes
    finally:
        executor.close()


@pytest.mark.slow
def test_inputs_on_s3_are_read(bucket: str, flawed: Mill) -> None:
    system = fsspec.filesystem("s3")
    for path in (flawed.home / "in").iterdir():
        system.put_file(str(path), f"bucket/in/{path.name}")
    local = flawed.run([{"kind": "exact_dedup"}])
    remote = flawed.run(
        [{"kind": "exact_dedup"}],
        inputs=[{"name": "docs", "path": "s3://bucket/in/*.jsonl"}],
        out="out2",
        work="work2",
    )
    assert remote.bytes == local.bytes
