import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from operators.base import RecipeError
from operators.encode import Merge
from operators.pretokenizers import PATTERNS, cutting
from operators.rank_files import rank_lines
from operators.tokenizer_files import from_tokenizer_json, to_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.trim_tokenizer import TrimTokenizer
from operators.vocabulary import AddedToken, Vocabulary, from_merges
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.kernels.test_bpe import library_sources
from tests.operators.vocabularies import REPETITIVE, merge_lists
from tests.pipeline.engine import Mill

SOURCES = library_sources(120_000)
CORPUS = SOURCES[: len(SOURCES) // 3]


@pytest.fixture(scope="module")
def base() -> Vocabulary:
    """Trained on more than the corpus; ids with gaps, added tokens in the middle."""
    step = TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(1500,))
    trained = from_tokenizer_json(run(step, [corpus(SOURCES)]).artifacts["train"].read("tokenizer.json"))
    ids = {token: number + 7 * (number > 700) for number, token in enumerate(trained.ids)}
    added = (AddedToken("<|a|>", 702), AddedToken("<|a|>b", 1600), AddedToken("<|end|>", 704))
    return replace(trained, ids=ids, added=added)


def written(folder: Path, vocabulary: Vocabulary) -> str:
    (folder / "base.json").write_bytes(to_tokenizer_json(vocabulary))
    return str(folder / "base.json")


def trimmed(folder: Path, vocabulary: Vocabulary, texts: list[str], min_count: int = 1) -> Engine:
    step = TrimTokenizer(tokenizer=written(folder, vocabulary), min_count=min_count)
    step.check()
    return run(step, [corpus(texts)])


def result(engine: Engine) -> tuple[Vocabulary, dict[int, int], dict[str, Any]]:
    artifact = engine.artifacts["trim"]
    table = artifact.table("ids")
    assert table.schema == pa.schema({"old": pa.int32(), "new": pa.int32()})
    new_ids = dict(zip(table["old"].to_pylist(), table["new"].to_pylist(), strict=True))
    return from_tokenizer_json(artifact.read("tokenizer.json")), new_ids, json.loads(artifact.read("trim.json"))


def reader(vocabulary: Vocabulary) -> Tokenizer:
    return Tokenizer.from_str(to_tokenizer_json(vocabulary).decode())


def test_the_corpus_is_encoded_alike_with_the_new_ids(tmp_path: Path, base: Vocabulary) -> None:
    texts = [*CORPUS, "x<|a|>b <|end|> y", "<|end|>", ""]
    new, new_ids, about = result(trimmed(tmp_path, base, texts))
    old, cut = reader(base), reader(new)
    encoded = [old.encode(text).ids for text in texts]
    assert [[new_ids[number] for number in ids] for ids in encoded] == [cut.encode(text).ids for text in texts]
    added = {token.id for token in base.added}
    length = sum(number not in added for ids in encoded for number in ids)
    assert about["encoded_tokens"] == {"before": length, "after": length}
    assert about["ids"] == {"before": 1601, "after": new.next_id}
    assert new.next_id < 1500


def test_the_new_ids_have_no_gaps_and_name_the_same_tokens(tmp_path: Path, base: Vocabulary) -> None:
    new, new_ids, about = result(trimmed(tmp_path, base, CORPUS))
    assert list(new_ids.values()) == list(range(new.next_id))
    strings = {number: token for token, number in new.ids.items()} | {token.id: token.content for token in new.added}
    old = {number: token for token, number in base.ids.items()} | {token.id: token.content for token in base.added}
    assert [strings[new] for new in new_ids.values()] == [old[number] for number in new_ids]
    assert sum(about["kept"].values()) == new.next_id
    assert sum(about["kept"].values()) + about["cut"]["unused"] + about["cut"]["rare"] == 1503


def test_ids_that_are_used_less_often_go_and_texts_without_them_stay(tmp_path: Path, base: Vocabulary) -> None:
    new, new_ids, about = result(trimmed(tmp_path, base, CORPUS, min_count=4))
    old, cut = reader(base), reader(new)
    uses = Counter(number for text in CORPUS for number in old.encode(text).ids)
    assert {number for number, count in uses.items() if count >= 4} <= new_ids.keys()
    gone = {number: uses[number] for number in base.ids.values() if number not in new_ids}
    assert max(gone.values()) == 3
    rare = [count for count in gone.values() if count]
    assert about["cut"] == {"unused": len(gone) - len(rare), "rare": len(rare), "uses_of_rare": sum(rare)}
    assert about["encoded_tokens"]["after"] == sum(len(cut.encode(text).ids) for text in CORPUS)
    assert about["encoded_tokens"]["before"] == uses.total() < about["encoded_tokens"]["after"]
    alike = 0
    for word in {word for text in (*SOURCES, *REPETITIVE) for word in text.split(" ")}:
        ids = old.encode(word).ids
        if new_ids.keys() >= set(ids):
            alike += 1
            assert cut.encode(word).ids == [new_ids[number] for number in ids]
    assert alike > 100


@given(merge_lists(), st.lists(st.text("abc", max_size=14), max_size=5), st.text("abc", max_size=30), st.booleans())
def test_any_vocabulary_is_trimmed_without_a_change_to_what_is_kept(
    tmp_path_factory: pytest.TempPathFactory, merges: list[Merge], texts: list[str], other: str, whole_first: bool
) -> None:
    base = replace(from_merges(merges, PATTERNS["gpt2"]), whole_first=whole_first)
    new, new_ids, _ = result(trimmed(tmp_path_factory.mktemp("any"), base, texts))
    old, cut = reader(base), reader(new)
    for text in (*texts, other):
        ids = old.encode(text).ids
        assert text == other or new_ids.keys() >= set(ids)
        if new_ids.keys() >= set(ids):
            assert cut.encode(text).ids == [new_ids[number] for number in ids]


@pytest.mark.parametrize(
    "patterns", [(), ("[a-z]+",), PATTERNS["deepseek_v3"], cutting("qwen2", "right_to_left").patterns, ("a", "b+", "c")]
)
@pytest.mark.parametrize("normalizer", ["", "NFKC"])
def test_text_is_normalised_and_cut_as_the_tokenizer_does(
    tmp_path: Path, patterns: tuple[str, ...], normalizer: str
) -> None:
    texts = ["abc 12345678 \ufb01n\u0065\u0301e \u4e2d\u6587\u3042 aabbcc", "\u2460 ABC"]
    merges = [(b"1", b"2"), (b"f", b"i"), (b"b", b"c"), (b"a", b"a"), (b"7", b"8"), (b"\xef", b"\xac"), (b"z", b"z")]
    base = replace(from_merges(merges, patterns), normalizer=normalizer)
    new, new_ids, about = result(trimmed(tmp_path, base, texts))
    old, cut = reader(base), reader(new)
    encoded = [old.encode(text).ids for text in texts]
    used = {number for ids in encoded for number in ids}
    assert set(new_ids) == used | set(range(256))
    assert [[new_ids[number] for number in ids] for ids in encoded] == [cut.encode(text).ids for text in texts]
    assert about["encoded_tokens"]["before"] == sum(map(len, encoded))


def test_a_repeated_document_counts_as_often_as_it_says(tmp_path: Path) -> None:
    base = from_merges([(b"a", b"b"), (b"c", b"d")], PATTERNS["gpt2"], ["<|x|>"])
    step = TrimTokenizer(tokenizer=written(tmp_path, base), min_count=3)
    rows = corpus(["ab<|x|>ab", "cd"], repeat=pa.array([2, 2], pa.int32()))
    new, _, about = result(run(step, [rows]))
    assert (b"ab" in new.ids, b"cd" in new.ids) == (True, False)
    assert about["encoded_tokens"] == {"before": 6, "after": 8}


def test_layout_does_not_change_a_byte(tmp_path: Path, base: Vocabulary) -> None:
    step = TrimTokenizer(tokenizer=written(tmp_path, base), min_count=2)
    runs = [run(step, deal(corpus(CORPUS), n, n), partitions=n, shuffle=n).artifacts["trim"] for n in (1, 4)]
    for name in ("tokenizer.json", "trim.json"):
        assert runs[0].read(name) == runs[1].read(name)
    assert runs[0].table("ids") == runs[1].table("ids")


def test_a_rank_file_needs_a_pretokenizer_and_a_tokenizer_json_none(tmp_path: Path, base: Vocabulary) -> None:
    path = tmp_path / "ranks.tiktoken"
    path.write_bytes(rank_lines(base.ids))
    with pytest.raises(RecipeError, match="name its pretokenizer"):
        TrimTokenizer(tokenizer=str(path)).check()
    step = TrimTokenizer(tokenizer=str(path), pretokenizer="cl100k")
    step.check()
    new, _, _ = result(run(step, [corpus(CORPUS)]))
    assert new.patterns == PATTERNS["cl100k"]
    with pytest.raises(RecipeError, match="says itself how text is cut"):
        TrimTokenizer(tokenizer=written(tmp_path, base), pretokenizer="gpt2").check()


def test_the_digest_decides_and_not_the_path(tmp_path: Path, base: Vocabulary) -> None:
    (tmp_path / "b").mkdir()
    steps = [TrimTokenizer(tokenizer=written(folder, base)) for folder in (tmp_path, tmp_path / "b")]
    assert steps[0].identity() == steps[1].identity()
    for one, two in zip(steps[0].stages(), steps[1].stages(), strict=True):
        assert one.identity() == two.identity()  # type: ignore[union-attr]
        assert str(tmp_path) not in json.dumps(one.identity())  # type: ignore[union-attr]


def test_a_tokenizer_of_an_earlier_step_is_trimmed(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    mill.jsonl("docs", [{"text": text} for text in SOURCES[:8]])
    train = {"kind": "train_tokenizer", "pretokenizer": "cl100k", "vocab_sizes": [300, 700], "name": "big"}
    sample = {"kind": "sample", "docs": 2}
    trim = {"kind": "trim_tokenizer", "step": "big", "name": "small"}
    half = {**trim, "size": 300, "name": "smaller"}
    again = {**trim, "step": "small", "name": "again"}
    ran = mill.run([train, sample, trim, half, again])
    tokenizers = {}
    for name in ("big", "small", "smaller", "again"):
        folder = ran.version / "artifacts" / name
        tokenizers[name] = Tokenizer.from_file(str(folder / "tokenizer.json"))
        names = {path.name for path in folder.iterdir()}
        assert {"merges.parquet", "ranks.tiktoken", "tokenizer_config.json"} <= names
        assert name == "big" or {"ids.parquet", "trim.json"} <= names
        assert (name == "big") == ("counts" in names)
    sizes = {name: tokenizer.get_vocab_size() for name, tokenizer in tokenizers.items()}
    assert sizes["big"] == 700 > sizes["small"] == sizes["again"] > 300 >= sizes["smaller"]
    for text in ran.corpus["text"].to_pylist():
        assert tokenizers["small"].encode(text).tokens == tokenizers["big"].encode(text).tokens


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "expected a file or an earlier step"),
        ({"tokenizer": "a", "step": "b"}, "expected a file or an earlier step"),
        ({"tokenizer": "a", "size": 300}, "size goes with step"),
        ({"step": "a", "pretokenizer": "gpt2"}, "pretokenizer goes with tokenizer"),
        ({"step": "a", "pattern": "x"}, "goes with pretokenizer: custom"),
        ({"tokenizer": "a", "pretokenizer": "custom"}, "expected pretokenizer: custom and a pattern"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TrimTokenizer(**parameters)
