import re
from importlib.metadata import PackageNotFoundError
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import romanise
from operators.base import BatchFn, Context, RecipeError
from operators.romanise import Romanise
from tests.operators.clean_up import CONTEXT, ODD, texts

UROMAN = romanise._uroman()
APPLY = Romanise().bind(CONTEXT)


def made(*given_texts: str | None, apply: BatchFn = APPLY, **columns: pa.Array) -> list[Any]:
    rows = pa.table({"text": pa.array(given_texts, pa.large_string()), **columns})
    found = apply(rows)
    assert found.schema.field("romanised").type == pa.large_string()
    return list(found["romanised"].to_pylist())


def test_scripts_become_latin() -> None:
    lines = [
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
        "\u4f60\u597d\u3002\u5317\u4eac",
        "caf\u00e9\t\u0967\u0968",
        "plain <text>",
        None,
    ]
    assert made(*lines) == ["Privet, mir!", "nihao. beijing", "cafe\t12", "plain <text>", ""]


@settings(max_examples=25)
@given(
    st.one_of(
        texts, st.text("a \u0436\u4e09\u5341\u3002\u30ab\u30fc\u0915\u094d\u0937\u0e01\u0e34\u05d0.,", max_size=25)
    )
)
def test_a_text_is_its_pieces_by_uroman(text: str) -> None:
    pieces = re.split(r"([ \t\r\n]|\u3002)", text)
    try:
        expected = "".join(UROMAN.romanize_string(piece) for piece in pieces)
    except AttributeError:
        return
    assert made(text) == [expected]


def test_any_text_goes_in_and_order_does_not_matter() -> None:
    assert made() == []
    assert made(*ODD) == [made(text)[0] for text in ODD]
    assert made(*reversed(ODD)) == made(*ODD)[::-1]


def test_what_uroman_cannot_read_as_a_number_is_read_by_characters() -> None:
    with pytest.raises(AttributeError):
        UROMAN.romanize_string("\u767e\u5206\u4e4b")
    assert made("a \u767e\u5206\u4e4b") == ["a 100fenzhi"]


def test_a_long_piece_is_cut_and_long_texts_are_on_wish() -> None:
    text = "\u0436" * 2001
    assert made(text) == ["zh" * 2001]
    assert made(text, apply=Romanise(max_chars=3).bind(CONTEXT)) == ["zhzhzh"]


def test_the_memory_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(romanise, "_REMEMBERED", 2)
    words = "\u0436\u0430 \u0434\u0430 \u043d\u0435\u0442 \u0436\u0430 \u0434\u0430"
    assert made(words, apply=Romanise().bind(CONTEXT)) == ["zha da net zha da"]


def test_only_some_rows() -> None:
    way = Romanise.model_validate({"only": {"column": "lang", "in": ["ru"]}})
    found = made("\u0434\u0430", "\u0434\u0430", "x", apply=way.bind(CONTEXT), lang=pa.array(["ru", "bg", None]))
    assert found == ["da", None, None]


def test_the_language_decides_where_uroman_has_rules_for_it() -> None:
    ukrainian = "\u0433\u043e\u0440\u0430 \u0438"
    assert made(ukrainian) != made(ukrainian, apply=Romanise(language="ukr").bind(Context(seed=0, artifacts={})))


def test_without_the_package_check_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(romanise, "version", missing)
    with pytest.raises(RecipeError, match=r"pip install 'vocabmill\[romanise\]'"):
        Romanise().check()
