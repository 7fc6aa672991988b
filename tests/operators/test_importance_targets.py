"""Several targets, and targets that an earlier step or run counted."""

import io
import json
import math
import pickle
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.base import WARNINGS, RecipeError
from operators.importance_draw import gumbel
from operators.importance_ends import amounts
from operators.importance_resample import ImportanceResample
from operators.importance_targets import digest_of, features_file, read_file, read_target
from operators.kernels.ngram_features_reference import buckets_of, split_tokens
from operators.sample import Sample
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.test_importance_resample import LAW, SEA, pool, prose
from tests.pipeline.engine import Json, Mill

FARM = ["the", "barn", "a", "plough", "the", "harvest", "and", "oats", "by", "the", "field", "of", "hay"]
SMALL: Json = {"buckets": 300, "min_tokens": 10, "normalise": "token"}
SETTINGS: dict[str, int | str] = {"ngrams": 2, "buckets": 300, "hash": "fast", "tokens": "wordpunct"}


def three_targets(seed: int, docs: int) -> tuple[pa.Table, dict[str, pa.Table]]:
    """Documents of three kinds and all lengths, some of them labelled as good; and targets of two kinds."""
    rng = np.random.default_rng(seed)
    texts = [prose(rng, (SEA, LAW, FARM)[n % 3], int(rng.integers(4, 120))) for n in range(docs)]
    parts = ["good" if n % 7 == 2 else "web" for n in range(docs)]
    wanted = {
        name: corpus({f"{name}{n}": prose(rng, words, 60) for n in range(count)})
        for name, words, count in (("sea", SEA, 6), ("law", LAW, 3))
    }
    return corpus(texts, part=parts), wanted


TARGETS: tuple[Any, ...] = ("sea", {"column": "part", "in": ["good"]}, "law")


def chosen_slowly(
    table: pa.Table, wanted: Mapping[str, pa.Table], given: Json, targets: Sequence[Any], seed: int
) -> dict[str, int]:
    """The number of the target that each document is chosen for, by sorting all that is left for each in turn."""
    operator = ImportanceResample.model_validate({"target": targets, **SMALL, **given})
    rows = table.to_pylist()
    own = [any(isinstance(t, dict) and row[t["column"]] in t["in"] for t in targets) for row in rows]
    texts = [
        [row["text"] for row in rows if row[t["column"]] in t["in"]]
        if isinstance(t, dict)
        else wanted[t]["text"].to_pylist()
        for t in targets
    ]

    def counted(some: list[str]) -> list[int]:
        found = [0] * operator.buckets
        for text in some:
            for bucket in buckets_of(text, operator.ngrams, operator.buckets, operator.hash):
                found[bucket] += 1
        return found

    raw = counted([row["text"] for row, is_own in zip(rows, own, strict=True) if not is_own])
    left = [row for row, is_own in zip(rows, own, strict=True) if not is_own and len(split_tokens(row["text"])) >= 10]
    counts = [counted(some) for some in texts]
    unit, budget = next((name, value) for name, value in operator.select if value is not None)
    whole = math.floor(budget * len(left) + 1e-6) if unit == "fraction" else budget
    shares = [Fraction(repr(share)) for share in operator.shares] or [Fraction(sum(count)) for count in counts]
    asked = [math.floor(whole * share / sum(shares)) for share in shares]
    asked[-1] += whole - sum(asked)
    found: dict[str, int] = {}
    for number, (budget_of, count) in enumerate(zip(asked, counts, strict=True)):
        smoothed = sum(count) + operator.smoothing * operator.buckets
        ratio = [
            math.log((c + operator.smoothing) / smoothed + 1e-8) - math.log(r / sum(raw) + 1e-8)
            for c, r in zip(count, raw, strict=True)
        ]
        noise = gumbel(pa.array([row["id"] for row in left], pa.string()), seed, number).tolist()
        sums = []
        for row, chance in zip(left, noise, strict=True):
            total = 0.0
            for bucket in buckets_of(row["text"], operator.ngrams, operator.buckets, operator.hash):
                total += ratio[bucket]
            weight = total / len(split_tokens(row["text"]))
            sums.append((-(weight + (operator.temperature or 0) * chance), row["id"], row))
        for _, name, row in sorted(sums, key=lambda entry: entry[:2]):
            budget_of -= len(row["text"].encode()) if unit == "bytes" else 1
            if budget_of < 0:
                break
            found[name] = number
        left = [row for row in left if row["id"] not in found]
    return found


@settings(max_examples=25)
@given(
    st.sampled_from([{"docs": 9}, {"docs": 33}, {"bytes": 4000}, {"fraction": 0.4}, {"fraction": 1}]),
    st.permutations(TARGETS),
    st.integers(1, 3),
    st.sampled_from([(), (1.0, 2.0, 4.0), (0.29, 0.7, 0.01)]),
    st.sampled_from([0.0, 0.05, 1.0]),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_targets_are_served_in_order_as_by_sorting_what_is_left(
    size: Json, order: list[Any], count: int, shares: tuple[float, ...], temperature: float, shards: int, shuffle: int
) -> None:
    table, wanted = three_targets(shuffle % 3, 42)
    targets = order[:count]
    given = {"select": size, "shares": shares[:count], "temperature": temperature}
    operator = ImportanceResample.model_validate({"target": targets, **SMALL, **given})
    how: Json = {"shuffle": shuffle, "seed": shuffle, "partitions": 3, "batch_rows": 7}
    references = {name: [some] for name, some in wanted.items()}
    engine = run(operator, deal(table, shards, shuffle), references=references, **how)
    slow = chosen_slowly(table, wanted, given, targets, shuffle)
    labels = ["part: good" if isinstance(target, dict) else target for target in targets]
    kept = {row["id"]: row["target"] for row in engine.kept.to_pylist() if row["target"] is not None}
    assert kept == {name: labels[number] for name, number in slow.items()}
    own = {row["id"] for row in table.to_pylist() if "part: good" in labels and row["part"] == "good"}
    assert engine.kept_ids == kept.keys() | own
    summary = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert [entry["chosen"]["docs"] for entry in summary["targets"]] == [
        list(kept.values()).count(label) for label in labels
    ]


def several(**given: Any) -> Engine:  # noqa: ANN401
    table, wanted = three_targets(1, 60)
    operator = ImportanceResample.model_validate({"target": TARGETS, "select": {"docs": 12}, **SMALL, **given})
    return run(operator, deal(table, 3), references={name: [some] for name, some in wanted.items()}, partitions=2)


def test_what_several_targets_leave() -> None:
    engine = several(shares=[1, 1, 2])
    weights = engine.artifacts["weights"].table("weights").to_pylist()
    assert {row["target"] for row in weights} == {"sea", "part: good", "law"}
    of = {(row["id"], row["target"]): row["log_weight"] for row in weights}
    assert len(of) == len(weights) == 3 * len({row["id"] for row in weights})
    chosen = [row for row in engine.kept.to_pylist() if row["target"]]
    assert all(row["log_weight"] == of[row["id"], row["target"]] for row in chosen)
    assert all(row["log_weight"] is None for row in engine.kept.to_pylist() if not row["target"])
    summary = json.loads(engine.artifacts["summary"].read("summary.json"))
    assert [entry["asked"] for entry in summary["targets"]] == [3, 3, 6]
    assert summary["chosen"]["docs"] == 12
    candidates = [entry["candidates"]["docs"] for entry in summary["targets"]]
    assert candidates == [summary["candidates"]["docs"] - taken for taken in (0, 3, 6)]
    with np.load(io.BytesIO(engine.artifacts["summary"].read("features.npz"))) as features:
        assert features["target"].shape == features["log_ratio"].shape == (3, 300)
        assert features["raw"].shape == (300,)
        assert features["names"].tolist() == ["sea", "part: good", "law"]
        ngrams = [entry["ngrams"] for entry in summary["targets"]]
        assert features["target"].sum(axis=1).tolist() == [entry["target"] for entry in ngrams]


def test_degenerate_weights_are_told_by_target() -> None:
    engine = several(normalise="document", select={"docs": 50})
    said = json.loads(engine.artifacts["summary"].read(WARNINGS))
    assert ["of target 'sea'" in said[0], "set normalise: chunk" in said[0]] == [True, True]


def test_whoever_comes_first_takes_what_both_want() -> None:
    table, _ = pool()
    sea = corpus({"t": prose(np.random.default_rng(5), SEA, 900)})
    operator = ImportanceResample.model_validate(
        {"target": ["one", "other"], "select": {"docs": 20}, "shares": [1, 1], **SMALL, "temperature": 0}
    )
    engine = run(operator, [table], references={"one": [sea], "other": [sea]})
    by_target = {
        name: [row["log_weight"] for row in engine.kept.to_pylist() if row["target"] == name]
        for name in ("one", "other")
    }
    assert [len(found) for found in by_target.values()] == [10, 10]
    assert min(by_target["one"]) >= max(by_target["other"])


def saved(**given: Any) -> tuple[pa.Table, Engine, bytes]:  # noqa: ANN401
    table, target = pool()
    first = ImportanceResample.model_validate({"target": "wanted", "select": {"docs": 7}, **SMALL, **given})
    engine = run(first, deal(table, 2), references={"wanted": [target]})
    return table, engine, engine.artifacts["summary"].read("features.npz")


def test_a_target_from_a_file_or_a_step_is_as_the_input_itself(tmp_path: Path) -> None:
    table, engine, content = saved()
    path = tmp_path / "features.npz"
    path.write_bytes(content)
    asked: Json = {"select": {"docs": 7}, **SMALL}
    from_file = run(ImportanceResample.model_validate({"target": str(path), **asked}), deal(table, 3))
    first = ImportanceResample.model_validate({"name": "first", "target": "wanted", **asked})
    second = ImportanceResample.model_validate({"target": "first", **asked})
    from_step = Engine([table.append_column("_row", pa.array(range(60), pa.int32()))])
    from_step.artifacts["first"] = engine.artifacts["summary"]
    for stage in second.stages_in({"wanted"}, {"first": first}):
        from_step.stage(stage)
    assert from_file.kept_ids == from_step.kept_ids == engine.kept_ids
    for other in (from_file, from_step):
        for name in ("features.npz", "summary.json"):
            assert other.artifacts["summary"].read(name) == engine.artifacts["summary"].read(name)


def test_the_bytes_of_a_file_are_its_identity(tmp_path: Path) -> None:
    def identity(path: Path) -> dict[str, object]:
        stage = ImportanceResample.model_validate({"target": str(path), "select": {"docs": 7}, **SMALL}).stages()[0]
        return stage.identity()  # type: ignore[union-attr]

    _, _, content = saved()
    one, other, changed = (tmp_path / name for name in ("one.npz", "other.npz", "changed.npz"))
    one.write_bytes(content)
    other.write_bytes(content)
    changed.write_bytes(saved(smoothing=2)[2])
    assert identity(one) == identity(other) != identity(changed)
    digest = digest_of(str(one))
    one.write_bytes(content + b" ")
    with pytest.raises(RecipeError, match="start the run again"):
        read_file(str(one), digest)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"ngrams": 3}, r"ngrams 2, and this step counts with ngrams 3: give it the same"),
        ({"buckets": 500}, "buckets 300, and this step counts with buckets 500"),
        ({"hash": "sha256"}, "hash 'fast', and this step counts with hash 'sha256'"),
    ],
)
def test_other_settings_are_refused(other: Json, said: str, tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    path.write_bytes(saved()[2])
    operator = ImportanceResample.model_validate({"target": str(path), "select": {"docs": 7}, **SMALL, **other})
    with pytest.raises(RecipeError, match=said):
        operator.stages()
    first = ImportanceResample.model_validate({"target": "wanted", "select": {"docs": 7}, **SMALL})
    step = ImportanceResample.model_validate({"target": "first", "select": {"docs": 7}, **SMALL, **other})
    with pytest.raises(RecipeError, match="step 'first' counts with"):
        step.stages_in({"wanted"}, {"first": first})


def npy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no features.npz .* or one of an older version: it is no npz file"),
        (b"something else", "it is no npz file"),
        (pickle.dumps([1]), "it is no npz file"),
        (npy_file(), "it is no npz file"),
        (features_file({"other": np.ones(3)}, SETTINGS), "it has no array 'target'"),
        (features_file({"target": np.array([{}])}, SETTINGS), "its arrays cannot be read"),
        (features_file({"target": np.ones(300, np.int64)}, {"ngrams": 2}), "older version: it has no array 'buckets'"),
        (features_file({"target": np.ones((2, 300), np.int64)}, SETTINGS), "holds 2 targets"),
        (features_file({"target": np.ones(300)}, SETTINGS), "no counts by bucket"),
        (features_file({"target": np.zeros(300, np.int64)}, SETTINGS), "no counts by bucket"),
        (features_file({"target": -np.ones(300, np.int64)}, SETTINGS), "no counts by bucket"),
        (features_file({"target": np.ones(9, np.int64)}, SETTINGS), "no counts by bucket"),
    ],
)
def test_what_is_no_features_file_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        read_target(content, SETTINGS, "f.npz")
    assert "pickle" not in str(caught.value)


def test_names_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    def stages(target: object, **earlier: Any) -> None:  # noqa: ANN401
        ImportanceResample.model_validate({"target": target, "select": {"docs": 7}, **SMALL}).stages_in(set(), earlier)

    with pytest.raises(RecipeError, match="no input 'wiki' with `role: reference`, and no earlier step"):
        stages("wiki")
    with pytest.raises(RecipeError, match=r"cannot be read \(No such file"):
        stages(str(tmp_path / "features.npz"))
    with pytest.raises(RecipeError, match=r"is of kind sample, which leaves no features\.npz"):
        stages("few", few=Sample(fraction=0.5))
    two = ImportanceResample.model_validate({"target": ["a", "b"], "select": {"docs": 7}, **SMALL})
    with pytest.raises(RecipeError, match="step 'two' has 2 targets"):
        stages("two", two=two)
    one = ImportanceResample.model_validate({"target": "a", "select": {"docs": 7}, **SMALL})
    with pytest.raises(RecipeError, match="called like a part of this step"):
        stages("target_2", target_2=one)


def test_in_a_recipe_a_name_is_an_input_before_it_is_a_step(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    rng = np.random.default_rng(3)
    mill.jsonl("a", ({"text": prose(rng, (SEA, LAW)[n % 2], 40), "n": n} for n in range(40)))
    mill.jsonl("t", [{"text": prose(rng, SEA, 400)}], "targets")
    mill.jsonl("u", [{"text": prose(rng, LAW, 400)}], "others")
    inputs = [*mill.inputs, {"name": "wanted", "path": "{home}/targets/*.jsonl", "role": "reference"}]
    first: Json = {
        "kind": "importance_resample", "name": "first", "target": "wanted", "select": {"docs": 10}, **SMALL,
        "temperature": 0, "audit": True,
    }  # fmt: skip
    second = {**first, "name": "second", "target": "first"}
    ran = mill.run([first, second], inputs=inputs)
    rows = ran.corpus.to_pylist()
    assert [row["first_verdict"] for row in rows] == [row["second_verdict"] for row in rows]
    clash = [*inputs, {"name": "first", "path": "{home}/others/*.jsonl", "role": "reference"}]
    rows = mill.run([first, second], inputs=clash).corpus.to_pylist()
    assert not {row["n"] for row in rows if row["first_verdict"] is None} & {
        row["n"] for row in rows if row["second_verdict"] is None
    }
    path = next((ran.version / "artifacts").rglob("features.npz"))
    third = {**first, "name": "third", "target": ["wanted", str(path)]}
    rows = mill.run([third], inputs=inputs).corpus.to_pylist()
    assert {row["third_target"] for row in rows} >= {"wanted", f"features.npz {digest_of(str(path))[:12]}"}


@pytest.mark.parametrize("targets", [["wanted"], ["wanted", "others"]])
def test_the_manifest_says_which_score_each_rule_reads_and_counts_it(targets: list[str], tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    rng = np.random.default_rng(3)
    mill.jsonl("a", [{"text": prose(rng, (SEA, LAW)[n % 2], 5 + n), "part": "ab"[n < 2]} for n in range(40)])
    given = [("wanted", SEA), ("others", LAW)]
    inputs = [*mill.inputs, *({"name": n, "path": f"{{home}}/{n}/*.jsonl", "role": "reference"} for n, _ in given)]
    for name, words in given:
        mill.jsonl("t", [{"text": prose(rng, words, 400)}], name)
    aims = [*targets, {"column": "part", "in": ["b"]}] if len(targets) > 1 else targets[0]
    how: Json = {"kind": "importance_resample", "name": "draw", "target": aims, "select": {"docs": 9}, **SMALL}
    step = mill.run([how], inputs=inputs).manifest["steps"][0]
    few = step["dropped"]["too_few_tokens"]
    assert [(rule["name"], rule["score"], rule["low"]) for rule in step["rules"]] == [
        ("too_few_tokens", "tokens", SMALL["min_tokens"]),
        ("not_selected", "log_weight", None),
    ]
    own = 2 if len(targets) > 1 else 0
    weighed = 40 - few if len(targets) == 1 else 9
    assert {name: sum(found.values()) for name, found in step["scores"].items()} == {
        "tokens": 40 - own,
        "log_weight": weighed,
    }
    (tried,) = step["thresholds"]
    assert tried["dropped"][tried["thresholds"].index(tried["bound"])] == few > 0


def test_a_budget_is_shared_out_and_the_last_gets_what_remains() -> None:
    assert amounts(10, [1, 1, 1]) == [3, 3, 4]
    assert amounts(7, [5]) == [7]
    assert amounts(1, [3, 1]) == [0, 1]
