import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from operators.base import RecipeError
from operators.length_buckets import LengthBuckets
from operators.mix import Mix
from operators.token_sequences import cut, table_name
from operators.tokenizer_files import to_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.trim_tokenizer import TrimTokenizer
from operators.vocabulary import AddedToken, from_merges
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.kernels.test_bpe import library_sources
from tests.pipeline.engine import Mill

Sequence = tuple[str, int, int, tuple[int, ...]]


def by_greed(size: int, shortest: int, longest: int, extra: int) -> list[tuple[int, int]]:
    """The oracle, as the paper has it: (offset, length) of a document's sequences, one token list after the other."""
    found, start = list[tuple[int, int]](), 0
    while True:
        fitting = [1 << digit for digit in range(21) if shortest <= 1 << digit <= longest]
        fitting = [length for length in fitting if length + extra <= size - start]
        if not fitting:
            return found
        found.append((start, max(fitting)))
        start += max(fitting) + extra


@given(
    st.lists(st.integers(0, 300), max_size=8), st.integers(0, 5), st.integers(0, 5), st.integers(0, 1),
)  # fmt: skip
@example([255, 256, 257, 0, 1], 0, 5, 0)
@example([64, 65, 66, 130], 0, 5, 1)
def test_documents_are_cut_by_the_longest_that_fits(sizes: list[int], low: int, more: int, extra: int) -> None:
    shortest, longest = 1 << low, 1 << low + more
    pieces = cut(np.array(sizes, np.int64), shortest, longest, extra)
    expected = [
        (document, *piece) for document, size in enumerate(sizes) for piece in by_greed(size, shortest, longest, extra)
    ]
    assert list(zip(*(column.tolist() for column in pieces), strict=True)) == expected


def test_the_pieces_of_a_document_are_the_binary_digits_of_its_length() -> None:
    for size in (1, 6, 23, 255, 256, 1000):
        digits = [1 << place for place in reversed(range(10)) if size >> place & 1]
        assert cut(np.array([size]), 1, 1024).length.tolist() == digits


def byte_tokenizer(folder: Path, added: tuple[str, ...] = ("<|end|>",)) -> str:
    """A token for each byte, and one for "ab"."""
    vocabulary = from_merges([(b"a", b"b")], (r"[\s\S]+",), added)
    (folder / "tokenizer.json").write_bytes(to_tokenizer_json(vocabulary))
    return str(folder / "tokenizer.json")


def written(engine: Engine, length: int) -> list[Sequence]:
    table = engine.artifacts["sequences"].table(table_name(length))
    assert table.column_names == ["id", "offset", "repeat", "tokens"]
    return [(row["id"], row["offset"], row["repeat"], tuple(row["tokens"])) for row in table.to_pylist()]


def about(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.artifacts["buckets"].read("buckets.json"))
    return found


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text("abc", max_size=40), st.integers(0, 3)), max_size=12), st.booleans(), st.booleans(),
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 99),
)  # fmt: skip
def test_every_token_is_in_one_sequence_or_counted_as_left_out(
    tmp_path_factory: pytest.TempPathFactory, documents: list[tuple[str, int]], next_token: bool, ends: bool,
    shards: int, partitions: int, shuffle: int,
) -> None:  # fmt: skip
    step = LengthBuckets(
        tokenizer=byte_tokenizer(tmp_path_factory.mktemp("t")), min_length=2, max_length=8, next_token=next_token,
        end_token="<|end|>" if ends else "",
    )  # fmt: skip
    ids_of = {"ab": 256, "a": 64, "b": 65, "c": 66}
    table = corpus([text for text, _ in documents], repeat=pa.array([n for _, n in documents], pa.int32()))
    engine = run(step, deal(table, shards, shuffle), shuffle=shuffle, partitions=partitions)
    expected: dict[int, list[Sequence]] = {2: [], 4: [], 8: []}
    left, whole, empty = [0, 0], [0, 0], 0
    for number, (text, repeat) in enumerate(documents):
        if not repeat:
            continue
        tokens = [ids_of[part] for part in re.findall("ab|.", text)] + [257] * ends
        pieces = by_greed(len(tokens), 2, 8, int(next_token))
        empty += not pieces
        used = 0
        for start, length in pieces:
            used += length + next_token
            expected[length].append(
                (f"d{number:04}", start, repeat, tuple(tokens[start : start + length + next_token]))
            )
        for place, times in enumerate((1, repeat)):
            left[place] += (len(tokens) - used) * times
            whole[place] += len(tokens) * times
    for length, sequences in expected.items():
        assert sorted(written(engine, length)) == sorted(sequences)
    said = about(engine)
    for place, name in enumerate(("tokens", "repeated_tokens")):
        assert said[name] == {
            "encoded": whole[place], "in_sequences": whole[place] - left[place], "left_out": left[place],
        }  # fmt: skip
    assert said["documents"]["without_sequences"] == empty
    assert [bucket["sequences"] for bucket in said["buckets"]] == [len(expected[length]) for length in (2, 4, 8)]


def test_parts_are_sorted_and_sequences_have_a_fixed_size_and_two_bytes_an_id(tmp_path: Path) -> None:
    step = LengthBuckets(tokenizer=byte_tokenizer(tmp_path), min_length=4, max_length=8)
    engine = run(step, deal(corpus(["abc" * number for number in range(40)]), 3, 5), partitions=2, shuffle=3)
    stored: Any = engine.artifacts["sequences"]
    for length in (4, 8):
        parts = stored.parts[table_name(length)]
        assert len(parts) == 2
        for part in parts:
            assert part.schema.field("tokens").type == pa.list_(pa.uint16(), length)
            keys = list(zip(part["id"].to_pylist(), part["offset"].to_pylist(), strict=True))
            assert keys == sorted(keys)
            assert keys


def test_many_ids_take_four_bytes(tmp_path: Path) -> None:
    vocabulary = from_merges([], (r"[\s\S]+",))
    added = (AddedToken("<|far|>", 70_000),)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(to_tokenizer_json(type(vocabulary)(vocabulary.ids, (), vocabulary.patterns, added)))
    step = LengthBuckets(tokenizer=str(path), min_length=1, max_length=1, end_token="<|far|>")
    table = run(step, [corpus(["a"])]).artifacts["sequences"].table(table_name(1))
    assert table["tokens"].to_pylist() == [[64], [70_000]]
    assert table.schema.field("tokens").type == pa.list_(pa.int32(), 1)


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_the_tokenizer_of_an_earlier_step(algorithm: str) -> None:
    texts = library_sources(30_000)[:20]
    training = TrainTokenizer.model_validate(
        {"algorithm": algorithm, "pretokenizer": "gpt2", "vocab_sizes": [400, 500], "special_tokens": ["<|end|>"]}
    )
    trained = run(training, [corpus(texts)]).artifacts["train"]
    sizes = {}
    for size in (0, 400):
        step = LengthBuckets(step="tok", size=size, min_length=1, max_length=8, end_token="<|end|>")
        step.check_against({"tok": training})
        said = about(run(step, [corpus(texts)], artifacts={"tok": trained}))
        sizes[size] = said["tokenizer"]["ids"]
        assert said["tokenizer"]["encoded_by"] == ("vocabmill" if algorithm == "bpe" else "tokenizers")
        assert said["tokens"]["left_out"] == 0
    assert sizes == {0: 500, 400: 400}


def test_documents_that_mix_draws_several_times_are_written_once_with_their_number(tmp_path: Path) -> None:
    rows = corpus(["abcc" * 4] * 6 + ["cc" * 4] * 2, lang=["de"] * 6 + ["fr"] * 2)
    kept = run(Mix(by="lang", weights={"de": 1, "fr": 1}, budget=96, max_epochs=3), [rows]).kept
    engine = run(LengthBuckets(tokenizer=byte_tokenizer(tmp_path), min_length=4, max_length=4), [kept])
    repeats = {name: repeat for name, _, repeat, _ in written(engine, 4)}
    assert repeats == dict(zip(kept["id"].to_pylist(), kept["repeat"].to_pylist(), strict=True))
    assert max(repeats.values()) == 3
    bucket = about(engine)["buckets"][0]
    assert bucket["repeated_tokens"] > bucket["tokens"] == 4 * bucket["sequences"]


def test_a_run_says_where_much_is_left_out(tmp_path: Path) -> None:
    path = byte_tokenizer(tmp_path)
    for lengths, is_said in (((2, 4), False), ((4, 4), True)):
        step = LengthBuckets(tokenizer=path, min_length=lengths[0], max_length=lengths[1])
        engine = run(step, [corpus(["cccccc"])])
        stored: Any = engine.artifacts["buckets"]
        assert ("_warnings.json" in stored.files) == is_said
        if is_said:
            assert json.loads(stored.files["_warnings.json"])[0].startswith("33% of the tokens are in no sequence")


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"min_length": 100}, "as 64 or 128"),
        ({"min_length": 16, "max_length": 8}, "more than max_length"),
        ({"step": ""}, "one of them"),
    ],
)
def test_lengths_are_powers_of_two_in_order(given_settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LengthBuckets.model_validate({"step": "tok", **given_settings})


def test_an_end_token_that_the_tokenizer_has_not_is_refused_before_the_run(tmp_path: Path) -> None:
    path = byte_tokenizer(tmp_path)
    LengthBuckets(tokenizer=path, end_token="<|end|>").check()
    with pytest.raises(RecipeError, match=r"is no added token of the tokenizer: it has <\|end\|>"):
        LengthBuckets(tokenizer=path, end_token="<eos>").check()
    training = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,), special_tokens=("<|end|>",))
    with pytest.raises(RecipeError, match="none of the special_tokens of step 'tok'"):
        LengthBuckets(step="tok", end_token="<eos>").check_against({"tok": training})
    with pytest.raises(RecipeError, match="leaves no tokenizer"):
        LengthBuckets(step="mix").check_against({"mix": Mix(by="lang", temperature=1)})


def test_a_pretokenizer_beside_a_file_that_has_its_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="says itself how text is cut: leave pretokenizer out"):
        LengthBuckets(tokenizer=byte_tokenizer(tmp_path), pretokenizer="gpt2").check()


def test_a_file_that_is_no_tokenizer_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecipeError, match="cannot be read"):
        LengthBuckets(tokenizer=str(tmp_path / "t.json")).check()
    with pytest.raises(RecipeError, match="cannot be read"):
        LengthBuckets(tokenizer=str(tmp_path / "absent.json")).check()


def test_the_published_sequences_are_the_documents(tmp_path: Path) -> None:
    from datasets import load_dataset  # takes seconds

    mill = Mill(tmp_path)
    texts = [text for text in library_sources(60_000)[:30] if text.strip()]
    mill.jsonl("a", [{"text": text} for text in texts])
    steps: list[dict[str, Any]] = [
        {"kind": "train_tokenizer", "name": "tok", "pretokenizer": "gpt2", "vocab_sizes": [600]},
        {"kind": "length_buckets", "step": "tok", "min_length": 1, "max_length": 256},
    ]
    ran = mill.run(steps, shard_mb=0.02)
    artifacts = ran.version / "artifacts"
    tokenizer = Tokenizer.from_file(str(artifacts / "tok/tokenizer.json"))
    pieces: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for length in (1 << digit for digit in range(9)):
        files = str(artifacts / f"length_buckets/{table_name(length)}/*.parquet")
        rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
        for row in rows:
            assert len(row["tokens"]) == length
            pieces[row["id"]][row["offset"]] = row["tokens"]
    written = [[token for _, part in sorted(parts.items()) for token in part] for parts in pieces.values()]
    assert sorted(map(tokenizer.decode, written)) == sorted(texts)


def test_a_trimmed_tokenizer_will_do_as_the_parameter_says() -> None:
    said = LengthBuckets.model_fields["step"].description or ""
    for kind in (TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,)), TrimTokenizer(step="first")):
        assert kind.kind in said
        LengthBuckets(step="tok").check_against({"tok": kind})
    with pytest.raises(RecipeError, match="leaves no tokenizer: name a train_tokenizer or trim_tokenizer step"):
        LengthBuckets(step="tok").check_against({"tok": Mix(by="lang", temperature=1)})
