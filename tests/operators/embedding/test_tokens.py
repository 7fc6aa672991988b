import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from operators.base import RecipeError
from operators.embedding import tokens
from operators.embedding.tokens import Encoded, Tokeniser, splits_at_spaces
from tests.operators.embedding.tiny import write_tokenizer

TEXT = st.text(st.sampled_from("abc theriv .\n\t\u3000\u0301"), max_size=400)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokens"))


def encoded(tokenise: Tokeniser, texts: list[str]) -> tuple[Encoded, list[list[int]]]:
    found = tokenise(pa.chunked_array([pa.array(texts, pa.large_string())]))
    bounds = np.append(0, np.cumsum(found.length))
    return found, [found.tokens[start:end].tolist() for start, end in pairwise(bounds)]


def whole(file: Path, text: str) -> list[int]:
    engine = Tokenizer.from_file(str(file))
    engine.no_truncation()
    engine.no_padding()
    return list(engine.encode(text, add_special_tokens=False).ids)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT, max_size=4), st.integers(3, 12))
def test_a_text_that_is_cut_before_it_is_encoded_has_the_tokens_of_the_whole(
    file: Path, texts: list[str], cap: int
) -> None:
    found, chunks = encoded(Tokeniser(file, cap, 1), texts)
    room = cap - 2
    expected = [own if set(own[:room]) != {1} else [] for own in (whole(file, text) for text in texts)]
    assert chunks == [[2, *own[:room], 3] for own in expected if own]
    assert found.is_cut.tolist() == [len(whole(file, text)) > room for text in texts]
    assert found.own.tolist() == [min(len(own), room) for own in expected if own]


def test_texts_of_unknown_tokens_alone_have_no_direction(file: Path) -> None:
    found, chunks = encoded(Tokeniser(file, 8, 1), ["\u4e2d \u6587", "\u2014", "\u4e2d the"])
    assert chunks == [[2, *whole(file, "\u4e2d the"), 3]]
    assert found.document.tolist() == [2]


def test_a_beginning_that_gives_too_few_tokens_is_made_longer(file: Path) -> None:
    text = "the river" + " " * 500 + "by the town"
    _, chunks = encoded(Tokeniser(file, 8, 1), [text])
    assert chunks == [[2, *whole(file, text), 3]]


def test_texts_are_encoded_a_few_at_a_time_and_stay_in_order(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the river", "by", " ", "town " * 30, "the town by the river", "a"] * 5
    tokenise = Tokeniser(file, 9, 2)
    expected = encoded(tokenise, texts)[1]
    for count, size in ((1, 1 << 20), (256, 40), (3, 100)):
        monkeypatch.setattr(tokens, "_TEXTS", count)
        monkeypatch.setattr(tokens, "_BYTES", size)
        assert encoded(tokenise, texts)[1] == expected


def test_long_documents_are_read_in_chunks_each_with_special_tokens_and_prompt(file: Path) -> None:
    text = " ".join("abcdefghijklmnopqrstuvwxyz")
    own = whole(file, text)
    tokenise = Tokeniser(file, 10, 3, "passage: ")
    assert tokenise.room == 6
    found, chunks = encoded(tokenise, [text, "the town", " "])
    prompt = whole(file, "passage: ")
    expected = [own[:6], own[10:16], own[20:], whole(file, "the town")]
    assert chunks == [[2, *prompt, *part, 3] for part in expected]
    assert found.document.tolist() == [0, 0, 0, 1]
    assert found.is_cut.tolist() == [True, False, False]


def test_the_end_is_read_where_the_checkpoint_says_so(file: Path) -> None:
    _, chunks = encoded(Tokeniser(file, 5, 1, from_end=True), ["a b c d e f"])
    assert chunks == [[2, *whole(file, "d e f"), 3]]


def test_upper_case_is_lowered_where_the_checkpoint_says_so(file: Path) -> None:
    content = json.loads(file.read_text())
    content["normalizer"]["lowercase"] = False
    cased = file.parent / "cased.json"
    cased.write_text(json.dumps(content))
    _, chunks = encoded(Tokeniser(cased, 9, 1, lower=True), ["THE River"])
    assert chunks == [[2, *whole(file, "the river"), 3]]


def test_a_cap_without_room_and_a_file_that_is_no_tokenizer_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="max_tokens 4 leaves no room for a text beside 4 tokens"):
        Tokeniser(file, 4, 1, "passage: ")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(RecipeError, match="is no tokenizer"):
        Tokeniser(tmp_path / "tokenizer.json", 9, 1)


@pytest.mark.parametrize(
    ("parts", "splits"),
    [
        ({"pre_tokenizer": {"type": "ByteLevel", "use_regex": True}}, True),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}]}}, True),
        ({"pre_tokenizer": {"type": "Metaspace"}}, True),
        ({"pre_tokenizer": {"type": "ByteLevel", "use_regex": False}}, False),
        ({"pre_tokenizer": None}, False),
        ({"pre_tokenizer": {"type": "Whitespace"}, "added_tokens": [{"content": "a b"}]}, False),
    ],
)
def test_only_texts_of_tokenizers_that_split_at_spaces_are_cut(parts: dict[str, object], splits: bool) -> None:
    assert splits_at_spaces(parts) == splits
