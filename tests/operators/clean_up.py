"""What every clean-up map is held to: total, pure per row, null-safe, and blind where its condition is false."""

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from operators.base import Context
from operators.clean_up import CleanUp

CONTEXT = Context(seed=7, artifacts={})
ODD = [
    "",
    "word",
    " ",
    "\n",
    "\r\n\r",
    "\x00\x07\x1b[31m\x7f\x85",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u202b\u05e9\u05dc\u05d5\u05dd\u202c",
    "e\u0301\u0323\u0301 \u0915\u094d\u200d\u0937",
    "\ufeff\ufffd\ufffe\ue000\U0010ffff",
    "def f():\n\treturn  1\n\n\n\nx = 2\n",
]
"""Empty, one word, white space, controls, emoji, tags, right to left, combining marks, no characters, code."""

texts = st.text(
    st.one_of(
        st.sampled_from(
            "ab 1&<>;@.-:+/()[]#\t\n\r\v\u0085\u00a0\u200b\u200d\u2028\u3000\u00e9\u0301\u00c3\u2019\ufb01"
        ),
        st.characters(codec="utf-8"),
    ),
    max_size=40,
)


def clean(operator: CleanUp, *given: str | None, **columns: pa.Array) -> list[dict[str, Any]]:
    """One row for each text."""
    rows = pa.table({"text": pa.array(given, pa.large_string()), **columns})
    return list(operator.bind(CONTEXT)(rows).to_pylist())


def one(operator: CleanUp, text: str) -> str:
    """The text that becomes of one."""
    return str(clean(operator, text)[0]["text"])


def hold(operator: CleanUp) -> None:
    """The promises that do not depend on what the map does."""
    together = clean(operator, *ODD, None)
    assert [row["text"] for row in together] == [one(operator, text or "") for text in [*ODD, None]]
    assert together == [clean(operator, text)[0] for text in [*ODD, None]]
    assert clean(operator) == []
    for row in together:
        assert set(row) == {"text", *operator.adds()}
    schema = operator.bind(CONTEXT)(pa.table({"text": pa.array([], pa.large_string())})).schema
    assert {name: schema.field(name).type for name in operator.adds()} == operator.adds()
    held = operator.model_validate({**operator.model_dump(), "only": {"column": "lang", "in": ["en"]}})
    langs = pa.array(["en", "de", None] * len(ODD))
    tripled = [text for text in ODD for _ in range(3)]
    for place, row in enumerate(clean(held, *tripled, lang=langs)):
        if place % 3 == 0:
            assert row == together[place // 3]
        else:
            assert row == {"text": tripled[place], **dict.fromkeys(operator.adds())}
