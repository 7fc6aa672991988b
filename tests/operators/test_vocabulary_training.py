import json
from typing import Any

import pyarrow as pa
import pytest
import tiktoken
from tokenizers import Tokenizer

from operators.base import RecipeError
from operators.byte_alphabet import to_bytes
from operators.rank_files import from_ranks, read_ranks, tiktoken_pattern
from operators.tokenizer_files import from_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from tests.operators.harness import Engine, corpus, deal, run

TEXTS = ["the cat sat on the mat with the hat", "der Hund und die Katze und der Hut", "\u732b\u3068\u72ac\u3068\u732b"]


def trained(texts: list[str] = TEXTS, columns: dict[str, Any] | None = None, **parameters: object) -> Engine:
    settings: dict[str, Any] = {"pretokenizer": "cl100k", "vocab_sizes": (262, 290), **parameters}
    return run(TrainTokenizer(**settings), [corpus(texts * 3, **{k: v * 3 for k, v in (columns or {}).items()})])


def summary(engine: Engine) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(engine.artifacts["train"].read("training.json"))
    return content


def load(engine: Engine, name: str = "tokenizer.json") -> Tokenizer:
    return Tokenizer.from_str(engine.artifacts["train"].read(name).decode())


def counts(engine: Engine) -> dict[bytes, int]:
    table = engine.artifacts["counts"].table("counts")
    return dict(zip(table["pretoken"].to_pylist(), table["count"].to_pylist(), strict=True))


def test_a_document_counts_as_often_as_the_column_repeat_says() -> None:
    engine = run(
        TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(260,)),
        [corpus(["ab", "cd", "ef"], repeat=pa.array([2, 0, None], pa.int32()))],
    )
    assert counts(engine) == {b"ab": 2, b"ef": 1}
    assert summary(engine)["corpus"]["documents"] == 3


def test_groups_are_counted_apart_and_trained_on_together() -> None:
    columns = {"lang": ["en", "de", None]}
    apart, together = trained(columns=columns, group_by="lang"), trained(columns=columns)
    table = apart.artifacts["counts"].table("counts")
    assert table.schema == pa.schema({"pretoken": pa.large_binary(), "count": pa.int64(), "group": pa.string()})
    assert {row["group"] for row in table.to_pylist()} == {"en", "de", ""}
    assert table.filter(pa.compute.equal(table["pretoken"], b" und")).to_pylist() == [
        {"pretoken": b" und", "count": 6, "group": "de"}
    ]
    for name in ("tokenizer.json", "tokenizer-262.json", "ranks.tiktoken"):
        assert apart.artifacts["train"].read(name) == together.artifacts["train"].read(name)
    assert summary(apart)["corpus"] == summary(together)["corpus"]


def test_training_json_says_what_went_in_by_source_and_language() -> None:
    found = summary(trained(columns={"lang": ["en", "de", None]}))["corpus"]
    assert found["documents"] == 9
    assert found["by"] == [
        {"source": "docs", "lang": "de", "documents": 3, "bytes": 3 * len(TEXTS[1])},
        {"source": "docs", "lang": "en", "documents": 3, "bytes": 3 * len(TEXTS[0])},
        {"source": "docs", "lang": None, "documents": 3, "bytes": 3 * len(TEXTS[2].encode())},
    ]
    assert found["bytes"] == 3 * sum(len(text.encode()) for text in TEXTS)
    assert len(found["counts_sha256"]) == 64
    assert summary(trained(TEXTS[:2]))["corpus"]["counts_sha256"] != found["counts_sha256"]


def test_training_json_names_the_column_of_groups_and_tells_them_apart() -> None:
    found = summary(trained(columns={"label": ["a", "b", "b"]}, group_by="label"))
    assert found["settings"]["group_by"] == "label"
    assert [(row["label"], row["documents"]) for row in found["corpus"]["by"]] == [("a", 3), ("b", 6)]
    assert "label" not in summary(trained(columns={"label": ["a", "b", "b"]}))["corpus"]["by"][0]


def warned(engine: Engine) -> list[str]:
    lines: list[str] = json.loads(engine.artifacts["train"].read("_warnings.json"))
    return lines


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "bytes of text are too little, no pair was left to merge at"),
        ({"min_frequency": 20, "max_token_length": 6}, "left that min_frequency 20 and max_token_length 6 would let"),
        ({"max_token_chars": 2}, "that max_token_chars 2 would let merge"),
        ({"algorithm": "unigram"}, "hold pieces worth keeping for"),
        ({"algorithm": "wordpiece", "min_frequency": 50}, "that min_frequency 50 would let merge"),
    ],
)
def test_the_limit_that_stopped_a_training_is_named(parameters: dict[str, Any], complaint: str) -> None:
    (line,) = warned(trained(vocab_sizes=(5000,), **parameters))
    assert line.startswith("vocab_sizes 5,000 not reached: ")
    assert complaint in line


def test_text_that_rules_leave_out_is_warned_of_above_a_tenth() -> None:
    rare = ["word " * 40, "seldom"]
    (line,) = warned(trained(rare, vocab_sizes=(257,), max_pretoken_bytes=4))
    assert line.startswith("max_pretoken_bytes 4 left 98 % of the text out of training")
    with pytest.raises(KeyError):
        warned(trained(rare, vocab_sizes=(257,), min_count=4))


def test_the_digest_of_the_counts_does_not_depend_on_partitions() -> None:
    step = TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(290,))
    runs = [run(step, deal(corpus(TEXTS), 3, seed), partitions=parts, shuffle=seed) for seed, parts in ((1, 1), (2, 4))]
    assert summary(runs[0]) == summary(runs[1])


def test_rare_pretokens_go_but_not_in_scripts_without_spaces_and_the_cost_is_told() -> None:
    engine = trained([*TEXTS, "the und der", " the"], min_count=4)
    tokens = load(engine).get_vocab()
    assert "\u0120the" in tokens
    assert "\u0120mat" not in tokens
    assert len(load(engine).encode(TEXTS[2]).ids) < len(TEXTS[2].encode())
    cost = summary(engine)["left_out"]
    assert [(row["reason"], row["script"]) for row in cost] == [("min_count", "Latin")]
    rare = {word: number for word, number in counts(engine).items() if number < 4 and word.isascii()}
    assert cost[0]["distinct"] == len(rare)
    assert cost[0]["pretokens"] == sum(rare.values())
    assert cost[0]["bytes"] == sum(len(word) * number for word, number in rare.items())


def test_long_pretokens_are_counted_and_not_trained_on() -> None:
    engine = trained(["x" * 50, "ab ab"], max_pretoken_bytes=20)
    assert counts(engine)[b"x" * 50] == 3
    assert "xx" not in load(engine).get_vocab()
    assert [(row["reason"], row["bytes"]) for row in summary(engine)["left_out"]] == [("max_pretoken_bytes", 150)]


def test_a_small_alphabet_merges_only_frequent_bytes_and_every_text_is_still_encoded() -> None:
    engine = trained(limit_alphabet=5)
    merged = {
        byte for row in engine.artifacts["train"].table("merges").to_pylist() for byte in row["left"] + row["right"]
    }
    assert 0 < len(merged) <= 5
    tokenizer = load(engine)
    assert tokenizer.decode(tokenizer.encode(TEXTS[2]).ids) == TEXTS[2]


def test_required_terms_are_one_token_and_reserved_ones_come_last() -> None:
    engine = trained(
        required_tokens=(" vocabmill", "\u72ac"), special_tokens=("<|end|>",), reserved=2, vocab_sizes=(290,)
    )
    tokenizer = load(engine)
    assert tokenizer.get_vocab_size() == 290
    for term in (" vocabmill", "\u72ac"):
        assert len(tokenizer.encode(term).ids) == 1
    assert [tokenizer.id_to_token(number) for number in (287, 288, 289)] == [
        "<|end|>",
        "<|reserved_0|>",
        "<|reserved_1|>",
    ]
    merges = engine.artifacts["train"].table("merges").to_pylist()
    assert merges[-1]["count"] is None
    assert merges[0]["count"] > 0


def test_a_required_term_that_the_pattern_cuts_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"'two words': the pattern cuts it into \['two', ' words'\]"):
        TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(300,), required_tokens=("two words",)).check()


def test_the_counts_of_merges_are_those_of_their_pairs() -> None:
    engine = trained(["ab ab abc"], pretokenizer="gpt2")
    first = engine.artifacts["train"].table("merges").to_pylist()[0]
    assert first == {"left": b"a", "right": b"b", "count": 9}


def test_all_files_of_a_tokenizer_encode_alike() -> None:
    engine = trained()
    tokenizer = load(engine)
    whole = from_tokenizer_json(engine.artifacts["train"].read("tokenizer.json"))
    ranks = read_ranks(engine.artifacts["train"].read("ranks.tiktoken"))
    assert from_ranks(ranks, whole.patterns).merges == whole.merges
    pattern = tiktoken_pattern(whole)
    other = tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens={})
    for text in [*TEXTS, "mat \U0001f408 \x00\r\n  hat"]:
        assert other.encode_ordinary(text) == tokenizer.encode(text).ids
    table = engine.artifacts["train"].table("merges")
    model = json.loads(engine.artifacts["train"].read("tokenizer.json"))["model"]
    assert [(row["left"], row["right"]) for row in table.to_pylist()] == [
        (to_bytes(left), to_bytes(right)) for left, right in model["merges"]
    ]
    assert json.loads(engine.artifacts["train"].read("tokenizer_config.json"))["tokenizer_class"]
    assert summary(engine)["ranks.tiktoken"].startswith("encodes every text")
