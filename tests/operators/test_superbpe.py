"""`algorithm: superbpe` as a step: its parameters, what it writes, and that no layout of the corpus matters."""

import json
from typing import Any

import pyarrow as pa
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from operators.base import Fold, RecipeError
from operators.byte_alphabet import to_bytes
from operators.kernels import superwords_reference
from operators.kernels.two_level_reference import two_levels
from operators.pretokenizers import PATTERNS, cutting
from operators.rank_files import read_ranks, tiktoken_pattern
from operators.tokenizer_files import from_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.vocabulary import Vocabulary
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.kernels.test_bpe import library_sources

SPECIAL = ("<|end|>", "<|pad|>")
SIZES = (700, 900, 1000)


def step(**parameters: object) -> TrainTokenizer:
    settings: dict[str, Any] = {
        "algorithm": "superbpe",
        "pretokenizer": "superbpe",
        "special_tokens": SPECIAL,
        "vocab_sizes": SIZES,
        "transition": 600,
        **parameters,
    }
    return TrainTokenizer(**settings)


def vocabulary(engine: Engine, name: str = "tokenizer.json") -> Vocabulary:
    return from_tokenizer_json(engine.artifacts["train"].read(name))


def summary(engine: Engine) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(engine.artifacts["train"].read("training.json"))
    return content


def files(engine: Engine) -> dict[str, bytes]:
    return {
        name: engine.artifacts["train"].read(name) for name in ("tokenizer.json", "ranks.tiktoken", "training.json")
    }


@pytest.fixture(scope="module")
def sources() -> list[str]:
    return library_sources(60_000)


@pytest.fixture(scope="module")
def engine(sources: list[str]) -> Engine:
    return run(step(), [corpus(sources)])


def test_the_merges_are_those_of_the_slow_route() -> None:
    texts = [
        "To be, or not to be: that is the question. ",
        "to be or not\nto be 12345 times... ",
        "\u00e9t\u00e9 to be",
    ]
    operator = step(special_tokens=("<|end|>",), transition=272, vocab_sizes=(310,))
    repeats = pa.array([2, 1, 3], pa.int32())
    found = vocabulary(run(operator, [corpus(texts, repeat=repeats)])).merges
    patterns = PATTERNS["superbpe"], PATTERNS["superbpe_stage2"]
    weighted = list(zip(texts, [2, 1, 3], strict=True))
    assert list(found) == superwords_reference.train(weighted, patterns, 15, 38, 4, (b": ",))


def test_special_tokens_count_and_sizes_are_prefixes(engine: Engine) -> None:
    whole = vocabulary(engine)
    for size in SIZES:
        smaller = vocabulary(engine, f"tokenizer-{size}.json")
        assert [token.id for token in smaller.added] == [size - 2, size - 1]
        assert smaller.merges == whole.merges[: size - 258]
    assert whole.patterns == PATTERNS["superbpe_stage2"]


def test_the_first_merges_are_those_of_plain_bpe(engine: Engine, sources: list[str]) -> None:
    plain = run(TrainTokenizer(pretokenizer="superbpe", vocab_sizes=(598,)), [corpus(sources)])
    assert vocabulary(engine).merges[:342] == vocabulary(plain).merges


def test_no_token_holds_five_words_or_a_colon_with_a_space(engine: Engine, sources: list[str]) -> None:
    tokens = vocabulary(engine).tokens
    assert max(len(token.split()) for token in tokens) > 1
    assert not any(b": " in token or len([part for part in token.split(b" ") if part]) > 4 for token in tokens)
    free = vocabulary(run(step(max_words=0, forbidden=()), [corpus(sources[:1] * 2)])).tokens
    assert max(len(token.split(b" ")) for token in free) > 6


def test_a_forbidden_string_is_in_no_token_of_plain_bpe_either(sources: list[str]) -> None:
    operator = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(600,), forbidden=("e", "\u00e9"), max_words=1)
    tokens = vocabulary(run(operator, [corpus(sources)])).tokens
    assert [token for token in tokens if b"e" in token] == [b"e"]


@given(seed=st.integers(0, 99), shards=st.integers(1, 5), partitions=st.integers(1, 4))
def test_layout_partitions_and_merge_order_do_not_change_a_byte(
    engine: Engine, sources: list[str], seed: int, shards: int, partitions: int
) -> None:
    other = run(step(), deal(corpus(sources), shards, seed), partitions=partitions, shuffle=seed, seed=seed)
    assert files(other) == files(engine)


CHARACTERS = st.sampled_from(
    ["t", "e", "he", " the", " ", ": ", "\n", ".", "(", "self", " = ", "\u00e9", "\u4e2d", "\u0301", "7", "'"]
)
ANY_TEXT = st.one_of(st.lists(CHARACTERS, max_size=30).map("".join), st.text(st.characters(exclude_categories=["Cs"])))


@given(text=ANY_TEXT)
def test_tokenizers_and_tiktoken_give_the_same_ids(engine: Engine, text: str) -> None:
    ours = vocabulary(engine)
    ranks = read_ranks(engine.artifacts["train"].read("ranks.tiktoken"))
    encoding = tiktoken.Encoding("x", pat_str=tiktoken_pattern(ours), mergeable_ranks=ranks, special_tokens={})
    tokenizer = Tokenizer.from_str(engine.artifacts["train"].read("tokenizer.json").decode())
    assert encoding.encode_ordinary(text) == tokenizer.encode(text).ids


def test_training_json_gives_the_transition_both_mixes_and_the_runs(engine: Engine) -> None:
    found = summary(engine)
    assert found["training"]["transition"] == {"asked": 600, "reached": 600}
    assert found["training"]["second_merges"] == 400
    assert 0 < found["training"]["superwords"] < 400
    drawn = found["superword_corpus"]
    assert (drawn["fraction"], drawn["by"]) == (1.0, found["corpus"]["by"])
    assert 0 < drawn["distinct_runs"] < drawn["runs"] < drawn["run_bytes"] < drawn["bytes"]


def test_a_draw_keeps_the_mix_and_is_the_same_in_every_layout(sources: list[str]) -> None:
    text = "a few words that are the same in every document of this corpus, and so on. " * 150
    rows = corpus([text] * 400, lang=["en", "de"] * 200)
    operator = step(superword_mb=1, vocab_sizes=(330,), transition=300)
    one = run(operator, [rows])
    other = run(operator, deal(rows, 3, 5), shuffle=2, seed=5)
    found = summary(one)
    assert files(one) == files(other)
    assert found["corpus"]["bytes"] == 400 * len(text) > 4_000_000
    assert 700_000 < found["superword_corpus"]["bytes"] < 1_300_000
    english, german = (row["bytes"] for row in found["superword_corpus"]["by"])
    assert 0.6 < english / german < 1.6
    assert found["superword_corpus"]["fraction"] == pytest.approx(0.22, abs=0.06)


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["12"], ["ab"]])
def test_too_little_text_gives_what_there_is(texts: list[str]) -> None:
    engine = run(step(), [corpus(texts)])
    assert summary(engine)["tokenizers"][-1]["reached"] == 258 + (texts in (["12"], ["ab"]))
    assert summary(engine)["training"]["second_merges"] == 0


def test_two_levels_agree_where_no_first_merge_crosses_a_pretoken(engine: Engine, sources: list[str]) -> None:
    tokenizer = Tokenizer.from_str(engine.artifacts["train"].read("tokenizer.json").decode())
    texts = [line for text in sources for line in text.split("\n\n")][:300]
    found = two_levels(texts, vocabulary(engine).merges, 342, cutting("superbpe"), cutting("superbpe_stage2"))
    whole = [[to_bytes(token) for token in tokenizer.encode(text).tokens] for text in texts]
    differing = sum(one != other for one, other in zip(found, whole, strict=True))
    assert differing < 30
    assert [b"".join(tokens).decode() for tokens in found] == texts


def identities(operator: TrainTokenizer) -> dict[str, object]:
    stages = [stage for stage in operator.stages() if isinstance(stage, Fold)]
    return {stage.label: stage.identity() for stage in stages}


def test_stages_are_found_again_where_they_would_give_the_same() -> None:
    base = identities(step())
    assert list(base) == ["corpus", "counts", "first", "drawn", "runs", "train"]

    def changed(**parameters: object) -> list[str]:
        return [name for name, identity in identities(step(**parameters)).items() if identity != base[name]]

    assert changed(vocab_sizes=(800,)) == ["train"]
    assert changed(special_tokens=("<a>", "<b>")) == ["train"]
    assert changed(transition=500) == ["first", "train"]
    assert changed(superword_mb=5) == ["drawn", "runs", "train"]
    assert changed(max_words=3) == ["first", "runs", "train"]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"pretokenizer": "gpt2"}, "its own two patterns"),
        ({"transition": 0}, "transition 0 must be at least 258"),
        ({"transition": 700}, "below every size"),
        ({"boundaries": "cuts"}, "boundaries means nothing to algorithm 'superbpe'"),
        ({"algorithm": "bpe"}, "transition means nothing to algorithm 'bpe'"),
        ({"algorithm": "unigram", "transition": 0, "max_words": 3}, "max_words means nothing to algorithm 'unigram'"),
        ({"forbidden": ("",)}, "is empty"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        step(**parameters)


def test_a_required_token_may_hold_words_but_no_number_of_four_digits() -> None:
    step(required_tokens=("New York",)).check()
    with pytest.raises(RecipeError, match="no merge joins pre-tokens"):
        step(required_tokens=("in 2024",)).check()


def test_the_model_survives_json_with_its_defaults() -> None:
    operator = step()
    assert (operator.max_words, operator.forbidden) == (4, (": ",))
    assert step(max_words=0, forbidden=()).forbidden == ()
    assert TrainTokenizer.model_validate_json(operator.model_dump_json()) == operator
