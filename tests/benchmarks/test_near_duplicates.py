"""Versions of real files: what minhash_dedup finds and removes, held against every exact similarity.

The packages that Python tools carry copies of, each of its own version, are near-duplicates that nobody made for a
test: `packaging` alone lies in pip, in setuptools and by itself.
"""

import sysconfig
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.duplicate_truth import (
    Likeness,
    Removals,
    Truth,
    all_pairs,
    falls_short,
    left_alone,
    meetings,
    ranked,
    removals,
)
from operators.minhash_dedup import MinhashDedup
from operators.shingles import ShingleSets, Shingling, shingle_sets
from tests.operators.harness import run

HOW = Shingling("auto", 5)
FOLDERS = ("pip/_vendor", "setuptools/_vendor", "packaging", "typing_extensions.py", "requests", "urllib3", "rich")


@pytest.fixture(scope="module")
def documents() -> pa.Table:
    """Python files by path."""
    home = Path(sysconfig.get_path("purelib"))
    files = [path for name in FOLDERS for path in (sorted((home / name).rglob("*.py")) or [home / name])]
    texts = {str(path.relative_to(home)): path.read_text("utf-8") for path in files if path.is_file()}
    texts = {name: text for name, text in texts.items() if text.strip()}
    columns = {
        "id": list(texts),
        "text": pa.array(texts.values(), pa.large_string()),
        "source": ["packages"] * len(texts),
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def truth(documents: pa.Table) -> Truth:
    """Every pair of them."""
    return all_pairs(shingle_sets(documents["text"].combine_chunks(), HOW))


def test_the_truth_is_every_pair_of_sets() -> None:
    draw = np.random.default_rng(3)
    sets = [set(draw.integers(0, 40, draw.integers(0, 30)).tolist()) for _ in range(60)]
    offsets = np.append(0, np.cumsum([len(found) for found in sets]))
    flat = np.array([value for found in sets for value in sorted(found)], np.uint64)
    found = all_pairs(ShingleSets(flat, offsets), 0.5)
    pairs = {(one, two): shared for one, two, shared in zip(*map(np.ndarray.tolist, found[:3]), strict=True)}
    expected = {
        (one, two): shared
        for two in range(60)
        for one in range(two)
        if sets[one]
        and sets[two]
        and (shared := len(sets[one] & sets[two])) >= 0.5 * min(len(sets[one]), len(sets[two]))
    }
    assert pairs == expected
    assert len(pairs) > 100


def test_bands_meet_as_many_true_pairs_as_their_curve_promises(documents: pa.Table, truth: Truth) -> None:
    met = meetings(documents["text"].combine_chunks(), HOW, "fast", (14, 8), truth)
    true = truth.jaccard() >= 0.8
    assert true.sum() >= 40
    assert not falls_short(int(met.met[true].sum()), met.expected[true])


@pytest.mark.parametrize("verify", ["jaccard", "containment"])
def test_verified_removals_are_all_right_and_hardly_any_is_missed(
    documents: pa.Table, truth: Truth, verify: Likeness
) -> None:
    step = MinhashDedup(verify=verify, max_drop_ratio=1.0, max_source_drop_ratio=1.0)
    clusters = run(step, [documents.slice(0, 100), documents.slice(100)]).artifacts["members"].table("clusters")
    lengths = pc.binary_length(documents["text"]).to_numpy().astype(np.int64)
    ids = documents["id"].to_pylist()
    found = removals(ids, clusters, ranked(ids, lengths, truth, verify), 0.8)
    assert found.right == found.removed >= 30
    if verify == "jaccard":
        assert found.recall >= 0.97


def test_a_wrong_removal_and_a_missed_one_are_noticed() -> None:
    ids = ["a", "b", "c"]
    pair = Truth(np.array([0]), np.array([1]), np.array([9]), np.array([10, 10, 10]))

    def found(survivors: str) -> Removals:
        clusters = pa.table({"id": ids, "survivor_id": list(survivors)})
        return removals(ids, clusters, ranked(ids, np.array([3, 2, 1]), pair, "jaccard"), 0.8)

    right, missed, wrong = (found(survivors) for survivors in ("aac", "abc", "aaa"))
    assert (right.precision, right.recall, missed.recall, wrong.precision) == (1.0, 1.0, 0.0, 0.5)
    assert left_alone(np.array([True, True, False]), pair, 0.8) == (1, 1)
