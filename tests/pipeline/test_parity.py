"""Parity-aware BPE in a whole run: a parallel development set as a reference input, whatever the layout."""

import json
from itertools import cycle
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.base import DataError, RecipeError
from pipeline.check import check_recipe
from pipeline.executors.local import LocalExecutor
from tests.pipeline.engine import FRENCH, GERMAN, Json, Mill, Ran

PARALLEL = {
    "de": "Das Wasser ist kalt, aber der Tee ist warm.",
    "el": "\u03a4\u03bf \u03bd\u03b5\u03c1\u03cc \u03b5\u03af\u03bd\u03b1\u03b9 \u03ba\u03c1\u03cd\u03bf.",
    "fr": "L'eau est froide, mais le th\u00e9 est chaud.",
}
GREEK = "\u03a4\u03bf \u03c3\u03c0\u03af\u03c4\u03b9 \u03b5\u03af\u03bd\u03b1\u03b9 \u03bc\u03b9\u03ba\u03c1\u03cc"
STEPS: list[Json] = [
    {
        "kind": "train_tokenizer",
        "algorithm": "parity_bpe",
        "pretokenizer": "cl100k",
        "group_by": "lang",
        "vocab_sizes": [300, 340],
        "parity": {"development": "parallel", "mode": "window", "window_size": 9, "alpha": 1.5, "global_merges": 10},
    }
]


def inputs(files: int) -> list[Json]:
    return [
        {"name": "docs", "path": f"{{home}}/in{files}/*.jsonl"},
        {"name": "parallel", "path": "{home}/dev/*.jsonl", "role": "reference"},
    ]


def written(mill: Mill, files: int) -> list[Json]:
    """The texts in so many files, and the development set; its recipe's inputs."""
    texts = [*zip(cycle(["de"]), GERMAN * 6), *zip(cycle(["fr"]), FRENCH * 3), ("el", GREEK), ("el", GREEK * 2)]
    rows = [{"text": text, "lang": lang, "id": f"d{place}"} for place, (lang, text) in enumerate(texts)]
    for number in range(files):
        mill.jsonl(f"part{files - number}", rows[number::files], f"in{files}")
    mill.jsonl("dev", ({"text": text, "lang": lang} for lang, text in PARALLEL.items()), "dev")
    return inputs(files)


def artifacts(ran: Ran) -> dict[str, str]:
    return {name: digest for name, digest in ran.bytes.items() if name.startswith("artifacts/")}


def summary(ran: Ran) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ran.version / "artifacts/train_tokenizer/training.json").read_bytes())
    return content


def test_files_shards_and_workers_change_no_byte(mill: Mill, two_workers: LocalExecutor) -> None:
    first = mill.run(STEPS, inputs=written(mill, 1), shard_mb=1)
    others = [
        mill.run(STEPS, inputs=written(mill, 5), shard_mb=shard_mb, out=f"out{shard_mb}", work=f"work{shard_mb}")
        for shard_mb in (0.0005, 0.002)
    ]
    parallel = mill.run(STEPS, inputs=written(mill, 5), out="two", work="two", executor=two_workers, shard_mb=0.001)
    for other in (*others, parallel):
        assert artifacts(other) == artifacts(first)
    assert len({run.manifest["inputs"][0]["shards"] for run in (first, *others)}) == 3


def test_the_development_set_decides_and_is_no_part_of_the_corpus(mill: Mill) -> None:
    ran = mill.run(STEPS, inputs=written(mill, 2))
    assert set(ran.corpus["lang"].to_pylist()) == {"de", "el", "fr"}
    assert ran.corpus.num_rows == 26
    found = summary(ran)["training"]
    assert found["measured"] == "development set"
    assert {name: row["bytes"] for name, row in found["languages"].items()} == {
        name: len(text.encode()) for name, text in PARALLEL.items()
    }
    assert sum(row["merges"] for row in found["languages"].values()) == 340 - 256 - 10
    mill.jsonl(
        "dev", [{"text": text * (9 if lang == "fr" else 1), "lang": lang} for lang, text in PARALLEL.items()], "dev"
    )
    again = summary(mill.run(STEPS, inputs=inputs(2), out="again"))["training"]
    assert again["languages"]["fr"]["merges"] > found["languages"]["fr"]["merges"]


def test_moving_a_parameter_counts_nothing_again(mill: Mill) -> None:
    given = written(mill, 2)
    mill.run(STEPS, inputs=given)
    moved = [{**STEPS[0], "parity": {**STEPS[0]["parity"], "global_merges": 20}}]
    again = mill.run(moved, inputs=given, out="moved")
    assert {label.partition(":")[0] for label in again.computed} == {"train_tokenizer/train"}


def test_a_development_set_that_is_not_there_is_refused_before_any_data_is_read(mill: Mill) -> None:
    given = written(mill, 1)
    with pytest.raises(RecipeError, match="there is no input 'parallel' with `role: reference`"):
        check_recipe(mill.recipe(STEPS, inputs=given[:1]))
    table = pa.table({"text": list(PARALLEL.values()), "language": list(PARALLEL)})
    pq.write_table(table, mill.home / "dev.parquet")
    given[1]["path"] = "{home}/dev.parquet"
    with pytest.raises(RecipeError, match="reads the column 'lang' of input 'parallel', which has none of that name"):
        check_recipe(mill.recipe(STEPS, inputs=given))
    given[1]["columns"] = {"rename": {"language": "lang"}}
    assert check_recipe(mill.recipe(STEPS, inputs=given))[-1] == "ok"


def test_lines_without_the_column_end_the_run(mill: Mill) -> None:
    given = written(mill, 1)
    mill.jsonl("dev", ({"text": text} for text in PARALLEL.values()), "dev")
    with pytest.raises(DataError, match="input 'parallel' has no column 'lang'"):
        mill.run(STEPS, inputs=given)
