"""The engine and operators of every form, written by strangers: what they get, and how their faults are told."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.base import RecipeError, RunError
from pipeline import exchange
from pipeline.cli import main
from pipeline.executors.local import LocalExecutor
from tests.pipeline.engine import Json, Mill, Ran, check_sums, flawed_texts

pytestmark = pytest.mark.usefixtures("toys")

REFERENCE: list[Json] = [
    {"name": "docs", "path": "{home}/in/*.jsonl"},
    {"name": "ref", "path": "{home}/ref/*.jsonl", "role": "reference"},
]


def words_of(texts: list[str]) -> dict[str, int]:
    """What `toys:Words` counts, the plain way."""
    return dict(sorted(Counter(word for text in texts for word in text.split()).items()))


def table(ran: Ran, step: str, name: str) -> pa.Table:
    """A published table of a step, its parts joined."""
    folder = ran.version / "artifacts" / step
    single = folder / f"{name}.parquet"
    parts = [single] if single.exists() else sorted((folder / name).glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(part) for part in parts])


def counted(ran: Ran, step: str = "words") -> dict[str, int]:
    """The published word counts."""
    found = table(ran, step, "words")
    return dict(zip(found["word"].to_pylist(), found["count"].to_pylist(), strict=True))


def many_shards(mill: Mill, shards: int) -> None:
    """As many files of one document each; with a tiny `shard_mb` each is a shard."""
    texts = flawed_texts()
    for number in range(shards):
        mill.jsonl(f"f{number:03}", [{"text": f"{number % 7} {texts[number % 24][:80]}"}])


def test_steps_after_a_rewriting_map_see_the_new_text(flawed: Mill) -> None:
    steps: list[Json] = [
        {"kind": "toys:Length", "name": "before"},
        {"kind": "toys:Shout", "name": "shout", "suffix": " END"},
        {"kind": "toys:Length", "name": "after"},
        {"kind": "toys:Words", "name": "words"},
    ]
    ran = flawed.run(steps)
    texts = [text.upper() + " END" for text in flawed_texts()]
    assert sorted(ran.corpus["text"].to_pylist()) == sorted(texts)
    assert counted(ran) == words_of(texts)
    before, after = ran.corpus["before_chars"].to_pylist(), ran.corpus["after_chars"].to_pylist()
    assert [new - old for old, new in zip(before, after, strict=True)] == [
        len(text) - old for text, old in zip(ran.corpus["text"].to_pylist(), before, strict=True)
    ]
    shout = ran.steps["shout"]
    assert shout["bytes_rewritten"] == shout["bytes_out"] == sum(len(text.encode()) for text in texts)
    assert shout["bytes_in"] == sum(len(text.encode()) for text in flawed_texts())
    check_sums(ran)
    again = flawed.run([steps[0], {**steps[1], "suffix": "?"}, *steps[2:]])
    computed = {name: step["rows_computed"] for name, step in again.steps.items()}
    assert computed == {"before": 0, "shout": 44, "after": 44, "words": 44}


def test_a_map_may_depend_on_what_an_earlier_fold_left(flawed: Mill) -> None:
    steps = [{"kind": "toys:WordsOf", "name": "voc", "reference": "ref"}, {"kind": "toys:Known", "vocabulary": "voc"}]
    flawed.jsonl("r", [{"text": "the and of"}, {"text": "the"}], "ref")
    ran = flawed.run(steps, inputs=REFERENCE)
    rows = ran.corpus.to_pylist()
    assert [r["Known_known"] for r in rows] == [sum(w in ("the", "and", "of") for w in r["text"].split()) for r in rows]
    assert counted(ran, "voc") == {"and": 1, "of": 1, "the": 2}
    assert ran.corpus.num_rows == 44, "a reference never flows through"
    check_sums(ran)


def test_a_composite_over_a_reference_counts_only_the_corpus(flawed: Mill) -> None:
    flawed.jsonl("r", [{"text": "the and of"}, {"text": "the"}], "ref")
    ran = flawed.run([{"kind": "toys:Unknown", "name": "unknown", "reference": "ref"}], inputs=REFERENCE)
    step = ran.steps["unknown"]
    assert (step["rows_in"], step["rows_out"]) == (44, 44 - step["dropped"]["unknown_words"])
    check_sums(ran)


def test_a_fold_over_a_fold_s_table(flawed: Mill) -> None:
    ran = flawed.run([{"kind": "toys:LengthsOfWords", "name": "lengths"}])
    wanted = Counter(len(word) for word in words_of(flawed_texts()))
    assert table(ran, "lengths", "lengths").to_pylist() == [
        {"chars": chars, "words": wanted[chars]} for chars in sorted(wanted)
    ]


@pytest.mark.parametrize("shards", [1, 16, 17, 40])
def test_states_of_many_shards_merge_in_a_tree(shards: int, mill: Mill) -> None:
    many_shards(mill, shards)
    ran = mill.run([{"kind": "toys:Words", "name": "words"}], shard_mb=0.0001)
    assert ran.manifest["inputs"][0]["shards"] == shards
    assert counted(ran) == words_of(ran.corpus["text"].to_pylist())
    merges = [stage["tasks"] for stage in ran.summary["stages"] if stage["label"] == "words: merge"]
    assert merges == ([] if shards <= 16 else [-(-shards // 16)])


@pytest.mark.parametrize("kind", ["Words", "WordsByKey", "WordsApart"])
@pytest.mark.parametrize("partition_bytes", [1 << 27, 20_000, 1_000])
def test_an_exchange_by_key_changes_nothing(
    kind: str, partition_bytes: int, flawed: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PARTITION_BYTES", partition_bytes)
    ran = flawed.run([{"kind": f"toys:{kind}", "name": "words"}])
    assert counted(ran) == words_of(flawed_texts())
    parts = [name for name in ran.manifest["files"] if name.startswith("artifacts/words/words")]
    assert (len(parts) > 1) == (kind == "WordsApart" and partition_bytes < 1 << 27)


@pytest.mark.slow
def test_keyed_folds_with_rows_come_back_over_several_partitions(flawed: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Json] = [{"kind": "exact_dedup"}, {"kind": "minhash_dedup", "threshold": 0.7}]
    whole = flawed.run(steps)
    monkeypatch.setattr(exchange, "PARTITION_BYTES", 500)
    parted = flawed.run(steps, out="out2", work="work2")
    finishes = [stage["tasks"] for stage in parted.summary["stages"] if stage["label"] == "exact_dedup/groups: finish"]
    assert finishes[0] > 1
    assert parted.dropped.equals(whole.dropped)
    assert parted.corpus.equals(whole.corpus)
    assert whole.steps["exact_dedup"]["dropped"] == {"duplicate": 4}


def chain(mill: Mill, length: int) -> None:
    """Documents linked in two chains, in several files."""
    rows = [{"text": f"node {n}", "node": n, "next": n + 1} for n in range(length)]
    rows += [{"text": f"node {n}", "node": n, "next": n + 1} for n in range(100, 103)]
    for part in range(3):
        mill.jsonl(f"p{part}", rows[part::3])


def test_a_repeat_runs_until_nothing_changes(mill: Mill) -> None:
    chain(mill, 12)
    ran = mill.run([{"kind": "toys:Labels", "name": "labels"}], shard_mb=0.0001)
    groups = {row["node"]: row["labels_group"] for row in ran.corpus.to_pylist()}
    assert groups == {**dict.fromkeys(range(12), 0), **dict.fromkeys(range(100, 103), 100)}
    labels = table(ran, "labels", "labels").to_pylist()
    assert {row["node"]: row["label"] for row in labels} == groups | {12: 0, 103: 100}
    rounds = [s for s in ran.summary["stages"] if s["label"] == "labels/labels (repeated): finish"]
    assert len(rounds) == 13, "twelve rounds move the smallest label along the chain, and one sees no change"
    assert mill.run([{"kind": "toys:Labels", "name": "labels"}], shard_mb=0.0001).computed == {}


def test_a_repeat_that_does_not_converge_fails_the_run(mill: Mill) -> None:
    chain(mill, 12)
    with pytest.raises(RunError, match=r"step 'labels' did not converge in 5 rounds: labels/labels/_changed"):
        mill.run([{"kind": "toys:Labels", "name": "labels", "max_rounds": 5}])
    assert not (mill.home / "out" / "corpus").exists()


def test_private_columns_and_files_are_seen_by_their_step_alone(flawed: Mill) -> None:
    ran = flawed.run([{"kind": "toys:Secret", "name": "secret"}, {"kind": "toys:Words", "name": "words"}])
    assert set(ran.corpus.column_names) == {"id", "text", "source", "rank", "kind", "secret_odd"}
    kept = [text for text in flawed_texts() if sum(text.encode()) % 2]
    assert sorted(ran.corpus["text"].to_pylist()) == sorted(kept)
    assert set(ran.steps["words"]["artifacts"]) == {"artifacts/words/words.parquet", "artifacts/words/total.json"}


def test_a_column_that_an_input_has_is_not_replaced(flawed: Mill) -> None:
    inputs = [{"name": "docs", "path": "{home}/in/*.jsonl", "columns": {"rename": {"rank": "two_odd"}}}]
    with pytest.raises(RecipeError, match=r"step 'two' adds the column 'two_odd', which is already there; rename"):
        flawed.run([{"kind": "toys:Secret", "name": "two"}], inputs=inputs)


POISON = "one document with poison in it"


def poisoned(mill: Mill) -> str:
    """Three files, one poisoned document; returns its id."""
    texts = flawed_texts()
    mill.jsonl("a", [{"text": text} for text in texts[:5]])
    mill.jsonl("b", [{"text": text} for text in [*texts[5:9], POISON, texts[9]]])
    mill.jsonl("c", [{"text": text} for text in texts[10:15]])
    corpus = mill.run([], out="plain", work="plain-work").corpus.to_pylist()
    return str(next(row["id"] for row in corpus if row["text"] == POISON))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_operator_that_raises_is_named_with_shard_and_document(
    workers: int, mill: Mill, two_workers: LocalExecutor
) -> None:
    culprit = poisoned(mill)
    executor = mill.executor if workers == 1 else LocalExecutor(2)
    try:
        with pytest.raises(
            RunError,
            match=rf"step 'broken' failed on document '{culprit}' of shard \d+ \(from b\.jsonl\): ValueError: ",
        ):
            mill.run([{"kind": "broken_toys:Broken", "name": "broken"}], shard_mb=0.002, executor=executor)
    finally:
        executor.close()
    assert not (mill.home / "out" / "manifest.json").exists()
    assert not list((mill.home / "out" / ".versions").glob("*/"))


def test_a_raising_operator_ends_the_command_with_1_and_one_line(
    mill: Mill, capsys: pytest.CaptureFixture[str]
) -> None:
    culprit = poisoned(mill)
    recipe = mill.home / "recipe.yaml"
    content = mill.recipe([]).model_dump(mode="json") | {"steps": [{"kind": "broken_toys:Broken", "name": "broken"}]}
    recipe.write_text(json.dumps(content), encoding="utf-8")
    assert main(["run", str(recipe), "--workers", "1", "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "step 'broken'" in said.err
    assert culprit in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            {"kind": "broken_toys:Broken", "how": "rows"},
            r"step 'toy' returned 2 rows with \['score'\] for shard 2 \(from b.jsonl\), but 3 rows",
        ),
        (
            {"kind": "broken_toys:Broken", "how": "exit"},
            r"step 'toy' failed on document '\w+' of shard .*SystemExit: 0",
        ),
        ({"kind": "broken_toys:Broken", "how": "nothing"}, r"step 'toy' returned None for shard .*, but a table"),
        ({"kind": "broken_toys:Broken", "how": "columns"}, r"step 'toy' returned 3 rows with \['score', 'extra'\]"),
        (
            {"kind": "broken_toys:Broken", "how": "type"},
            r"step 'toy' returned the column 'score' as large_string.*int64",
        ),
        ({"kind": "broken_toys:Broken", "how": "bind"}, r"step 'toy' cannot be prepared: LookupError: .*weight"),
        ({"kind": "broken_toys:NoText"}, r"step 'toy' returned no text for document '\w+' of shard"),
        ({"kind": "broken_toys:BadVerdict", "how": "no_rule"}, r"step 'toy' judged .* with \['value'\].*'rule'"),
        ({"kind": "broken_toys:BadVerdict", "how": "short"}, r"step 'toy' judged 2 rows of shard .* by 1 verdicts"),
        ({"kind": "broken_toys:NullKey"}, r"step 'toy': the key 'word' of its state is null in 1 of 2 rows"),
        (
            {"kind": "broken_toys:NullKey", "drop": True},
            r"step 'toy': its state has no key column 'word'; it has count",
        ),
        ({"kind": "broken_toys:BadMerge"}, r"step 'toy' failed while merging: ArithmeticError: no sum"),
        (
            {"kind": "broken_toys:BadTable"},
            r"step 'toy' failed on the table of an earlier stage: ValueError: no lengths today",
        ),
        ({"kind": "broken_toys:BadTable", "how": "table"}, r"'toy/counts' left no table 'nothing'; it left words"),
    ],
    ids=lambda part: "-".join(str(value) for value in part.values()) if isinstance(part, dict) else "",
)
def test_a_broken_contract_is_told_by_step_and_shard(step: Json, message: str, mill: Mill) -> None:
    poisoned(mill)
    with pytest.raises(RunError, match=message):
        mill.run([{**step, "name": "toy"}], shard_mb=0.002)
    assert not (mill.home / "out" / "manifest.json").exists()


def test_a_stage_that_reads_an_unknown_one_is_refused(mill: Mill) -> None:
    poisoned(mill)
    with pytest.raises(RecipeError, match=r"step 'toy' reads a table of its stage 'nothing'"):
        mill.run([{"kind": "broken_toys:BadTable", "how": "stage", "name": "toy"}])


def test_a_step_that_drops_everything_leaves_an_empty_corpus(flawed: Mill) -> None:
    steps: list[Json] = [
        {"kind": "toys:Length", "min_chars": 10**6, "max_drop_ratio": 1.0},
        {"kind": "exact_dedup"},
        {"kind": "toys:Words", "name": "words"},
        {"kind": "sample", "docs": 3},
    ]
    ran = flawed.run(steps)
    check_sums(ran)
    assert ran.corpus.num_rows == 0
    assert counted(ran) == {}
    assert "Length_chars" in ran.corpus.column_names


def test_a_run_without_steps_publishes_the_documents(flawed: Mill) -> None:
    ran = flawed.run([])
    check_sums(ran)
    assert sorted(ran.corpus["text"].to_pylist()) == sorted(flawed_texts())


def test_toys_do_the_same_in_workers(flawed: Mill) -> None:
    """Workers find third-party operators where this process does."""
    steps: list[Json] = [{"kind": "toys:Shout"}, {"kind": "toys:WordsApart", "name": "words"}, {"kind": "toys:Dice"}]
    one = flawed.run(steps)
    executor = LocalExecutor(2)
    try:
        two = flawed.run(steps, out="out2", work="work2", executor=executor)
    finally:
        executor.close()
    assert one.bytes == two.bytes


def test_published_files_open_with_other_readers(flawed: Mill) -> None:
    import datasets

    ran = flawed.run([{"kind": "exact_dedup"}])
    files = [str(path) for path in sorted(Path(ran.out, "corpus").glob("*.parquet"))]
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(flawed.home / "hf"), split="train")
    assert loaded.num_rows == ran.manifest["rows"]["kept"]
