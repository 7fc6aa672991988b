import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from operators.base import DataError
from operators.kernels.parity_bpe import Policy
from operators.parity import Parity
from operators.pretokenizers import PATTERNS
from operators.train_tokenizer import TrainTokenizer
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.kernels.test_parity_bpe import learn_by_tokenizers, library_texts

NAMES = ("code", "names", "prose", "tables")


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    """Text by language, in order of name."""
    prose, names, code, tables = ([text[:20_000] for text in kind] for kind in library_texts())
    return dict(zip(NAMES, (code[:6], names, prose, tables[:6]), strict=True))


def rows_of(texts: Mapping[str, Sequence[str]]) -> pa.Table:
    documents = [(name, text) for name, several in texts.items() for text in several]
    return corpus([text for _, text in documents], lang=[name for name, _ in documents])


def trained(
    texts: Mapping[str, Sequence[str]], development: Mapping[str, Sequence[str]] | None = None, **parameters: object
) -> Engine:
    operator = step(development is not None, **parameters)
    references = {} if development is None else {"parallel": [rows_of(development)]}
    return run(operator, [rows_of(texts)], references=references)


def step(has_development: bool, **parameters: Any) -> TrainTokenizer:  # noqa: ANN401
    measured = {"development": "parallel"} if has_development else {}
    return TrainTokenizer.model_validate(
        {
            "algorithm": "parity_bpe",
            "pretokenizer": "cl100k",
            "group_by": "lang",
            "vocab_sizes": [300, 700],
            **parameters,
            "parity": {**measured, **parameters.get("parity", {})},
        }
    )


def training(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.artifacts["train"].read("training.json"))["training"]
    return found


def files(engine: Engine) -> dict[str, bytes]:
    names = ("tokenizer.json", "tokenizer-300.json", "training.json")
    return {name: engine.artifacts["train"].read(name) for name in names}


def merges(engine: Engine) -> list[tuple[int, int]]:
    model = json.loads(engine.artifacts["train"].read("tokenizer.json"))["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]


@pytest.mark.parametrize(
    ("parity", "policy"),
    [
        ({}, Policy(4)),
        ({"ratio": {"names": 2, "code": 0.5}}, Policy(4, ratios=(0.5, 2.0, 1.0, 1.0))),
        ({"mode": "window", "window_size": 12, "alpha": 1.5}, Policy(4, window_size=12, alpha=1.5)),
        ({"mode": "window", "global_merges": 200}, Policy(4, window_size=100, global_merges=200)),
    ],
)
@pytest.mark.parametrize("has_development", [False, True])
def test_the_merges_are_those_of_tokenizers(
    texts: dict[str, list[str]], parity: dict[str, Any], policy: Policy, has_development: bool
) -> None:
    if has_development and policy.ratios:
        return
    development = {name: several[:1] for name, several in texts.items()} if has_development else None
    engine = trained(texts, development, parity=parity)
    dev = None if development is None else list(development.values())
    expected = learn_by_tokenizers(list(texts.values()), 700, policy, dev, pattern=PATTERNS["cl100k"][0])
    assert merges(engine) == expected
    assert training(engine)["global_merges"] == policy.global_merges


def test_training_json_says_what_each_language_chose_and_got(texts: dict[str, list[str]]) -> None:
    development = {**{name: several[:1] for name, several in texts.items()}, "other": ["unheard of"]}
    engine = trained(texts, development)
    found = training(engine)
    assert found["measured"] == "development set"
    assert found["not_measured"] == ["other"]
    assert sum(row["merges"] for row in found["languages"].values()) == 700 - 256
    tokenizer = Tokenizer.from_str(engine.artifacts["train"].read("tokenizer.json").decode())
    for name, row in found["languages"].items():
        tokens = sum(len(tokenizer.encode(text).ids) for text in development[name])
        size = sum(len(text.encode()) for text in development[name])
        assert row["tokens"] == tokens
        assert row["bytes_per_token"] == round(size / tokens, 4)
    assert 0 < found["gini"] < found["gini_by_global_merges"]


def test_without_a_development_set_the_training_text_is_measured(texts: dict[str, list[str]]) -> None:
    found = training(trained(texts))
    assert found["measured"] == "training text"
    assert "not_measured" not in found
    rates = [row["bytes_per_token"] for row in found["languages"].values()]
    together = [row["bytes_per_token_by_global_merges"] for row in found["languages"].values()]
    assert max(rates) - min(rates) < max(together) - min(together)


def test_smaller_vocabularies_are_prefixes(texts: dict[str, list[str]]) -> None:
    engine = trained(texts)
    small = json.loads(engine.artifacts["train"].read("tokenizer-300.json"))["model"]["merges"]
    assert small == json.loads(engine.artifacts["train"].read("tokenizer.json"))["model"]["merges"][:44]


@settings(max_examples=8)
@given(seed=st.integers(0, 99), shards=st.integers(1, 5), partitions=st.integers(1, 4))
def test_layout_partitions_and_merge_order_do_not_change_a_byte(
    texts: dict[str, list[str]], seed: int, shards: int, partitions: int
) -> None:
    development = {name: several[:2] for name, several in texts.items()}
    dealt = {"parallel": deal(rows_of(development), shards, seed + 1)}
    other = run(step(True), deal(rows_of(texts), shards, seed), partitions=partitions, shuffle=seed, references=dealt)
    assert files(other) == files(trained(texts, development))


def test_a_required_token_and_limits_reach_the_trainer(texts: dict[str, list[str]]) -> None:
    engine = trained(texts, required_tokens=[" myocardial"], max_token_length=11, special_tokens=["<|end|>"])
    tokenizer = Tokenizer.from_str(engine.artifacts["train"].read("tokenizer.json").decode())
    assert len(tokenizer.encode(" myocardial").ids) == 1
    assert tokenizer.get_vocab_size() == 700
    short = trained(texts, max_token_length=3)
    model = json.loads(short.artifacts["train"].read("tokenizer.json"))["model"]
    assert max(map(len, model["vocab"])) == 3


def test_pruned_words_are_not_trained_on() -> None:
    texts = {"de": ["wir wir wir"], "en": ["you you you rare"]}
    assert "rare" in "".join(json.loads(files(trained(texts))["tokenizer.json"])["model"]["vocab"])
    vocabulary = json.loads(files(trained(texts, min_count=2))["tokenizer.json"])["model"]["vocab"]
    assert "\u0120rare" not in vocabulary
    assert "\u0120wir" in vocabulary


def test_no_text_at_all_leaves_the_bytes() -> None:
    engine = trained({"de": [""]})
    assert merges(engine) == []
    assert json.loads(files(engine)["training.json"])["tokenizers"][0]["reached"] == 256


@pytest.mark.parametrize(
    ("development", "parity", "complaint"),
    [
        (None, {"ratio": {"fr": 2}}, "parity.ratio names 'fr', but the text has only de, en"),
        ({"de": ["wir"]}, {}, "input 'parallel' has no text in en"),
        ({"de": ["wir"], "en": [""]}, {}, "input 'parallel' has no text in en"),
    ],
)
def test_a_language_that_is_not_there_is_named(
    development: dict[str, list[str]] | None, parity: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        trained({"de": ["wir"], "en": ["you"]}, development, parity=parity)


def test_documents_without_a_language_are_refused() -> None:
    rows = corpus(["wir", "you"], lang=["de", None])
    with pytest.raises(DataError, match="documents without a language"):
        run(step(False), [rows])


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"group_by": ""}, "parity_bpe needs group_by"),
        ({"algorithm": "bpe"}, "parity means nothing to algorithm 'bpe'"),
        ({"limit_alphabet": 100}, "limit_alphabet means nothing to algorithm 'parity_bpe'"),
        ({"parity": {"alpha": 3}}, "alpha means nothing in mode 'base'"),
        ({"parity": {"window_size": 3}}, "window_size means nothing in mode 'base'"),
        ({"parity": {"mode": "window", "alpha": 0.5}}, "greater than or equal to 1"),
        ({"parity": {"development": "x", "ratio": {"de": 1}}}, "ratio means nothing with development"),
        ({"parity": {"ratio": {"de": 0}}}, "ratio of 'de' is 0.0: expected more than 0"),
        ({"parity": {"global": 3}}, "Extra inputs"),
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        step(False, **{"parity": {"global_merges": 1}, **parameters})


def test_the_development_set_is_counted_as_the_text_is() -> None:
    labels = [stage.label for stage in step(True, digits="single").stages()]  # type: ignore[union-attr]
    assert labels == ["corpus", "counts", "development", "train"]
    _, counts, development, _ = step(True, digits="single").stages()
    assert development.model_dump(exclude={"name", "reference"}) == counts.model_dump(exclude={"name", "reference"})  # type: ignore[union-attr]
    assert development.source() == "input:parallel"  # type: ignore[union-attr]


def test_the_order_in_which_ratios_are_written_does_not_matter() -> None:
    one, other = Parity(ratio={"a": 1, "b": 2}), Parity(ratio={"b": 2, "a": 1})
    assert one.model_dump_json() == other.model_dump_json()
