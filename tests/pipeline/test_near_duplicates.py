"""What a run with `minhash_dedup` keeps, publishes, and does not compute again."""

import json
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators import minhash
from operators.base import Fold
from operators.components import Neighbours, Stars
from pipeline import exchange, folding, run, shard_task
from pipeline.artifacts import StoredOutputs
from pipeline.plan import Node
from pipeline.work import Work
from tests.pipeline.engine import Json, Mill, Ran

STEP: Json = {"kind": "minhash_dedup", "name": "near", "threshold": 0.7}


def write_families(mill: Mill, files: int = 3) -> None:
    """Texts of 80 words with copies of which each differs in a word from the one before it."""
    rng = random.Random(1)
    for number in range(files):
        rows = []
        for family in range(8):
            words = [f"w{rng.randrange(500)}" for _ in range(80)]
            for copy in range(4):
                words[rng.randrange(80)] = f"edit{copy}"
                rows.append({"text": " ".join(words), "source": "ab"[family % 2]})
        mill.jsonl(f"part{number}", rows)


def parts(ran: Ran, name: str) -> pa.Table:
    """A table that the step published in parts."""
    return pa.concat_tables(
        [pq.read_table(p) for p in sorted((ran.version / "artifacts/near" / name).glob("*.parquet"))]
    )


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts were signed, call by call."""
    calls: list[int] = []
    sign: Callable[..., object] = minhash.sign

    def counting(texts: pa.Array, *how: object) -> object:
        calls.append(len(texts))
        return sign(texts, *how)

    monkeypatch.setattr(minhash, "sign", counting)
    monkeypatch.setattr(shard_task, "_BOUND", {})
    return calls


def test_every_document_is_in_the_clusters_and_the_traces_agree_with_them(mill: Mill) -> None:
    write_families(mill)
    mill.jsonl("short", [{"text": "too short"}])
    ran = mill.run([STEP])
    rows = parts(ran, "clusters").to_pylist()
    assert len({row["id"] for row in rows}) == len(rows) == ran.manifest["rows"]["read"]
    removed = {row["id"]: (row["survivor_id"], row["similarity"]) for row in rows if row["status"] == "removed"}
    assert len(removed) > 40
    assert {row["id"]: (row["survivor"], row["similarity"]) for row in ran.dropped.to_pylist()} == removed
    assert {row["survivor_id"] for row in rows} == set(ran.corpus["id"].to_pylist())
    assert [(row["cluster_id"], row["id"]) for row in rows] == sorted((row["cluster_id"], row["id"]) for row in rows)
    curve = json.loads((ran.version / "artifacts/near/curve.json").read_text())
    assert curve["found"]["documents"] == len(rows)
    assert curve["found"]["removed"] == len(removed)


@pytest.mark.slow
def test_a_further_file_another_threshold_or_verification_signs_only_what_is_new(mill: Mill, signed: list[int]) -> None:
    write_families(mill)
    mill.run([STEP], shard_mb=0.001)
    assert sum(signed) == 96
    for moved in (
        {"threshold": 0.9},
        {"verify": "none"},
        {"verify": "containment"},
        {"name": "other"},
        {"priority": ["b"]},
    ):
        signed.clear()
        mill.run([{**STEP, **moved}], shard_mb=0.001)
        assert sum(signed) == 0, moved
    mill.jsonl("more", [{"text": " ".join(f"new{n}" for n in range(50))}])
    mill.run([STEP], shard_mb=0.001)
    assert 0 < sum(signed) < 40


def test_a_renamed_step_computes_nothing(mill: Mill) -> None:
    write_families(mill)
    mill.run([STEP])
    assert mill.run([{**STEP, "name": "renamed"}], out="out2").computed == {}


def test_published_signatures_have_one_row_a_document(mill: Mill) -> None:
    write_families(mill)
    plain, ran = mill.run([STEP]), mill.run([{**STEP, "keep_signatures": True}], out="out2")
    table = parts(ran, "signatures")
    assert table.schema.field("signature").type == pa.list_(pa.uint64(), 128)
    assert sorted(table["id"].to_pylist()) == sorted(parts(ran, "clusters")["id"].to_pylist())
    same = {name: digest for name, digest in ran.bytes.items() if "/signatures/" not in name}
    assert same == plain.bytes


@pytest.mark.slow
def test_labels_exchanged_over_storage_give_the_bytes_of_one_memory(
    mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_families(mill)
    whole = mill.run([STEP])
    reduce_fold = folding.reduce_fold

    def forced(work: Work, node: Node, fold: Fold, *rest: Any) -> StoredOutputs:  # noqa: ANN401
        with monkeypatch.context() as patch:
            if isinstance(fold, Stars | Neighbours):
                patch.setattr(exchange, "PARTITION_BYTES", 64)
            return reduce_fold(work, node, fold, *rest)

    monkeypatch.setattr(run, "reduce_fold", forced)
    parted = mill.run([STEP], out="out2", work="work2")
    tasks = {label: n for label, n in parted.computed.items() if "stars: finish" in label}
    assert tasks["near/stars: finish"] > whole.computed["near/stars: finish"] * 8
    assert parted.bytes == whole.bytes
