import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from operators.base import Context, DataError, RecipeError
from operators.byte_alphabet import to_bytes
from operators.pretoken_counts import PretokenCounts
from operators.pretokenizers import PATTERNS
from operators.tokenizer_files import from_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.unicode_classes import class_table_digest
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.kernels.test_bpe import learn_by_tokenizers, library_sources
from tests.operators.kernels.test_pretokenize import count_by_tokenizers

SPECIAL = ("<|end|>", "<|pad|>")


def trained(texts: list[str], **parameters: object) -> Engine:
    settings: dict[str, Any] = {
        "pretokenizer": "cl100k",
        "vocab_sizes": (300, 340),
        "special_tokens": SPECIAL,
        **parameters,
    }
    return run(TrainTokenizer(**settings), [corpus(texts)])


def files(engine: Engine) -> dict[str, bytes]:
    return {name: engine.artifacts["train"].read(name) for name in ("tokenizer.json", "training.json")}


def load(engine: Engine, name: str = "tokenizer.json") -> Tokenizer:
    return Tokenizer.from_str(engine.artifacts["train"].read(name).decode())


@pytest.fixture(scope="module")
def sources() -> list[str]:
    return library_sources(150_000)


@pytest.fixture(scope="module")
def engine(sources: list[str]) -> Engine:
    return trained(sources, vocab_sizes=(300, 600, 1000))


def test_the_merges_are_those_of_tokenizers_and_special_tokens_count(engine: Engine, sources: list[str]) -> None:
    model = json.loads(engine.artifacts["train"].read("tokenizer.json"))["model"]
    merges = [(model["vocab"][a], model["vocab"][b]) for a, b in model["merges"]]
    assert merges == learn_by_tokenizers(sources, PATTERNS["cl100k"], 998)
    assert load(engine).get_vocab_size() == 1000


def test_ids_are_bytes_then_merges_then_special_tokens(engine: Engine) -> None:
    tokenizer = load(engine)
    assert [tokenizer.id_to_token(number) for number in (0, 220, 255)] == ["!", "\u0120", "\u0143"]
    assert [tokenizer.token_to_id(token) for token in SPECIAL] == [998, 999]
    model = json.loads(engine.artifacts["train"].read("tokenizer.json"))["model"]
    assert list(model["vocab"].values()) == list(range(998))
    assert [a + b for a, b in model["merges"]] == list(model["vocab"])[256:]


@settings(max_examples=200)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_encoding_and_decoding(engine: Engine, text: str) -> None:
    tokenizer = load(engine)
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_a_special_token_is_never_cut_and_is_skipped_in_decoding(engine: Engine) -> None:
    ids = load(engine).encode("a<|end|>b").ids
    assert ids[1] == 998
    assert load(engine).decode(ids) == "ab"


def test_smaller_vocabularies_are_prefixes_of_the_largest(engine: Engine) -> None:
    sizes = {size: json.loads(engine.artifacts["train"].read(f"tokenizer-{size}.json")) for size in (300, 600, 1000)}
    for size, content in sizes.items():
        assert content["model"]["merges"] == sizes[1000]["model"]["merges"][: size - 258]
        assert [token["id"] for token in content["added_tokens"]] == [size - 2, size - 1]
    whole = engine.artifacts["train"].read("tokenizer.json")
    assert engine.artifacts["train"].read("tokenizer-1000.json") == whole


@given(seed=st.integers(0, 99), shards=st.integers(1, 5), partitions=st.integers(1, 4))
def test_layout_partitions_and_merge_order_do_not_change_a_byte(
    engine: Engine, sources: list[str], seed: int, shards: int, partitions: int
) -> None:
    operator = TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(300, 600, 1000), special_tokens=SPECIAL)
    other = run(operator, deal(corpus(sources), shards, seed), partitions=partitions, shuffle=seed)
    assert files(other) == files(engine)
    whole = engine.artifacts["counts"].table("counts").combine_chunks()
    assert other.artifacts["counts"].table("counts").sort_by("pretoken").combine_chunks() == whole


def test_the_counts_are_those_of_tokenizers_sorted_by_bytes(engine: Engine, sources: list[str]) -> None:
    table = engine.artifacts["counts"].table("counts")
    assert table.schema == pa.schema({"pretoken": pa.large_binary(), "count": pa.int64()})
    pretokens = table["pretoken"].to_pylist()
    assert pretokens == sorted(pretokens)
    assert dict(zip(pretokens, table["count"].to_pylist(), strict=True)) == count_by_tokenizers(sources, "cl100k")


def test_training_json_says_what_went_in(engine: Engine, sources: list[str]) -> None:
    summary = json.loads(files(engine)["training.json"])
    counts = Counter(count_by_tokenizers(sources, "cl100k"))
    sizes = {"documents", "by", "counts_sha256"}
    assert {name: value for name, value in summary["corpus"].items() if name not in sizes} == {
        "bytes": sum(len(text.encode()) for text in sources),
        "pretokens": counts.total(),
        "distinct_pretokens": len(counts),
        "distinct_bytes": sum(map(len, counts)),
    }
    assert summary["settings"]["pretokenizer"] == "cl100k"
    assert summary["tokenizers"][0] == {"file": "tokenizer-300.json", "asked": 300, "reached": 300, "merges": 42}


@pytest.mark.parametrize(("texts", "reached"), [([], 258), ([""], 258), (["a"], 258), (["ab ab"], 260)])
def test_too_little_text_gives_what_there_is_and_says_so(texts: list[str], reached: int) -> None:
    engine = trained(texts)
    assert [row["reached"] for row in json.loads(files(engine)["training.json"])["tokenizers"]] == [reached, reached]
    assert load(engine, "tokenizer-340.json").get_vocab_size() == reached
    assert load(engine).token_to_id("<|pad|>") == reached - 1


def test_gpt2_and_cl100k_cut_differently() -> None:
    texts = ["12345 12345"]
    assert b"12345" in trained(texts, pretokenizer="gpt2").artifacts["counts"].table("counts")["pretoken"].to_pylist()
    assert b"123" in trained(texts).artifacts["counts"].table("counts")["pretoken"].to_pylist()


def exported_pieces(engine: Engine, texts: list[str]) -> Counter[bytes]:
    """What the written `tokenizer.json` cuts texts into, with bytes for the characters that stand for them."""
    cut = load(engine).pre_tokenizer
    return Counter(to_bytes(piece) or b"" for text in texts for piece, _ in cut.pre_tokenize_str(text))


def counts_of(engine: Engine) -> dict[bytes, int]:
    table = engine.artifacts["counts"].table("counts")
    return dict(zip(table["pretoken"].to_pylist(), table["count"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    "how",
    [
        *({"pretokenizer": name} for name in PATTERNS),
        *({"pretokenizer": name, "digits": "right_to_left"} for name in ("gpt2", "deepseek_v3", "superbpe")),
        {"pretokenizer": "cl100k", "digits": "single"},
        {"pretokenizer": "custom", "pattern": r"\p{Lu}?\p{L}+|\p{N}"},
        {"pretokenizer": "custom", "pattern": r"(?<=a)b|\w+?"},
    ],
    ids=lambda how: "-".join(how.values()),
)
def test_the_exported_tokenizer_cuts_text_as_it_was_counted(how: dict[str, str]) -> None:
    texts = ["Don't cut 12345678 abab\r\n  \u4e2d\u3042\u30fb!? A\u0301b", *library_sources(20_000)]
    engine = trained(texts, **how)
    assert counts_of(engine) == exported_pieces(engine, texts)


def test_a_pattern_that_only_the_engine_runs_is_said_to_be_slow(caplog: pytest.LogCaptureFixture) -> None:
    trained(["ab"], pretokenizer="custom", pattern=r"\w+?")
    assert "the regex engine cuts 4 MB/s a core" in caplog.text
    caplog.clear()
    trained(["ab"], pretokenizer="custom", pattern=r"\p{L}+")
    assert not caplog.text


def test_no_merge_crosses_a_boundary_of_the_column() -> None:
    texts = ["abcabc", "abc"]
    rows = corpus(texts).append_column("morphemes", pa.array([[2, 5], [2]], pa.list_(pa.int32())))
    operator = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,), boundaries="morphemes")
    engine = run(operator, [rows])
    assert counts_of(engine) == {b"ab": 2, b"c": 2, b"cab": 1}
    assert "abc" not in load(engine).get_vocab()


def test_a_wrong_boundary_names_the_document() -> None:
    rows = corpus(["ab"]).append_column("morphemes", pa.array([[3]], pa.list_(pa.int32())))
    operator = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,), boundaries="morphemes")
    with pytest.raises(DataError, match="has offset 3, outside its text of 2 bytes"):
        run(operator, [rows])


def test_a_pattern_that_is_no_regex_is_refused_by_the_plan() -> None:
    with pytest.raises(RecipeError, match=r"pattern '\(' is no regex"):
        TrainTokenizer(pretokenizer="custom", pattern="(", vocab_sizes=(300,)).check()


def test_the_class_table_is_part_of_the_identity_of_the_counts() -> None:
    _, counts, _ = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,)).stages()
    assert counts.identity()["models"] == {"unicode classes": class_table_digest()}  # type: ignore[union-attr]


def test_limits_reach_the_trainer() -> None:
    texts = ["abcdefgh abcdefgh", "xy"]
    tokens = load(trained(texts, max_token_length=3)).get_vocab()
    assert max(len(token) for token in tokens if token not in SPECIAL) == 3
    assert "xy" not in load(trained(texts, min_frequency=2)).get_vocab()


@pytest.mark.parametrize("algorithm", ["unigram", "wordpiece"])
def test_a_limit_in_characters_is_refused_where_it_would_not_be_heeded(algorithm: str) -> None:
    with pytest.raises(ValidationError, match="max_token_chars means nothing"):
        TrainTokenizer(algorithm=algorithm, pretokenizer="gpt2", vocab_sizes=(600,), max_token_chars=3)


def test_tokens_are_limited_in_characters_of_any_script() -> None:
    texts = ["\u4e2d\u6587\u5b57\u7b26 \u0434\u043e\u043c\u0430 house \U0001f600\U0001f600\U0001f600\U0001f600"] * 5
    engine = trained(texts, max_token_chars=3, vocab_sizes=(340,), special_tokens=())
    tokens = map(to_bytes, load(engine).get_vocab())
    strings = {token.decode() for token in tokens if token and is_text(token)}
    assert max(map(len, strings)) == 3
    assert max(len(string.encode()) for string in strings) > 8


def is_text(token: bytes) -> bool:
    return token.decode("utf-8", "replace").encode() == token


def test_a_repeated_document_counts_as_often_as_it_says() -> None:
    apply = PretokenCounts(pretokenizer="gpt2").bind(Context(0, {}))
    rows = corpus(["a b", "a", "c"]).append_column("repeat", pa.array([2, 3, 0], pa.int32()))
    assert sorted(row["count"] for row in apply(rows).to_pylist()) == [2, 5]


@pytest.mark.parametrize("algorithm", ["bpe", "superbpe"])
def test_a_special_token_that_the_text_also_holds_is_not_learned(algorithm: str) -> None:
    how = {"algorithm": algorithm, "transition": 280, "pretokenizer": "superbpe"} if algorithm == "superbpe" else {}
    engine = trained(["abc abc abc"], special_tokens=("ab", "<|end|>"), **how)
    found = from_tokenizer_json(files(engine)["tokenizer.json"])
    assert b"ab" not in found.ids
    assert b"abc" in found.ids
    assert [token.content for token in found.added] == ["ab", "<|end|>"]


def test_a_special_token_that_languages_make_together_is_refused() -> None:
    table = corpus(["ab ab"]).append_column("lang", pa.array(["en"]))
    step = TrainTokenizer(
        algorithm="parity_bpe", group_by="lang", pretokenizer="gpt2", vocab_sizes=(300,), special_tokens=("ab",)
    )
    with pytest.raises(RecipeError, match="'ab' is also token 256"):
        run(step, [table])


@pytest.mark.parametrize("pattern", ["a*", r"(?=\p{Lu})", "(?m)^.*$", r"(?i)[aeiou]+|\b", "(?<=a)b"])
def test_no_ranks_are_written_for_a_pattern_that_tiktoken_may_read_otherwise(pattern: str) -> None:
    engine = trained(["abc Abc\nabc"], pretokenizer="custom", pattern=pattern)
    with pytest.raises(KeyError):
        engine.artifacts["train"].read("ranks.tiktoken")
    assert "cut text alike" in json.loads(files(engine)["training.json"])["ranks.tiktoken"]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"vocab_sizes": (257,), "special_tokens": SPECIAL}, "need at least 258"),
        ({"vocab_sizes": (600, 500)}, r"must rise: write \[500, 600\]"),
        ({"vocab_sizes": ()}, "at least 1 item"),
        ({"special_tokens": ("<a>", "<a>")}, "'<a>' is empty or given twice"),
        ({"special_tokens": ("",)}, "'' is empty"),
        ({"special_tokens": ("a",)}, "special token 'a' is written as one byte is"),
        ({"special_tokens": ("\u0120",)}, "is written as one byte is"),
        ({"special_tokens": ("<a>",), "required_tokens": ("<a>",)}, "in special_tokens and in required_tokens"),
        ({"pretokenizer": "gpt5"}, "gpt2"),
        ({"pretokenizer": "custom"}, "expected pretokenizer: custom and a pattern"),
        ({"pretokenizer": "custom", "pattern": "a", "digits": "single"}, "into the pattern instead"),
        ({"algorithm": "magic"}, "bpe"),
        ({"algorithm": "unigram", "min_frequency": 2}, "means nothing"),
        ({"max_token_length": 1}, "greater than or equal to 2"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TrainTokenizer(**{"pretokenizer": "gpt2", "vocab_sizes": (300,), **parameters})


def test_the_model_survives_json_and_parameters_decide_identity() -> None:
    operator = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300, 400), special_tokens=SPECIAL)
    assert TrainTokenizer.model_validate_json(operator.model_dump_json()) == operator
    _, counts, training = operator.stages()
    _, other_counts, other_training = operator.model_copy(update={"vocab_sizes": (300,)}).stages()
    assert counts.identity() == other_counts.identity()  # type: ignore[union-attr]
    assert training.identity() != other_training.identity()  # type: ignore[union-attr]
