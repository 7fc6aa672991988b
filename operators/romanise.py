r"""Write a text of any script in Latin letters, as a further column, with `uroman` (Hermjakob et al. 2018).

Optional: `pip install 'vocabmill[romanise]'` (4 MB, pure Python with tables; a permissive licence that asks whoever
publishes work made with it to name it). The text itself stays.

`uroman` reads 0.03 to 0.05 MB/s of text in other scripts and loads for 2 s. Its result is made word by word here and
remembered, which gives what it makes of whole lines: no difference in 2,221 lines of 90 languages. Words end at spaces,
tabs and line ends, and at the ideographic full stop, where `uroman` itself cuts when it caches; a piece of more than
2,000 code points is cut there, so that time grows with the length alone. What is all ASCII stays as it is. A word at
which `uroman` fails (a percent sign in Chinese without a number behind it) is made character by character. Letters of
Latin scripts lose their marks (`\u00e9` is `e`), numbers become digits. The version of `uroman` is part of the step's
identity. Price: docs/clean-up.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Map, RecipeError, Resources
from operators.conditions import Condition

if TYPE_CHECKING:
    from uroman import Uroman

_LONGEST: Final = 2_000
_PIECE: Final = re.compile(rf"[^ \t\r\n\u3002]{{1,{_LONGEST}}}|\u3002")
_FAULTS: Final = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What `uroman` 1.3.1.1 may raise where it reads numbers, as at the end of `\u767e\u5206\u4e4b` (percent)."""
_REMEMBERED: Final = 400_000
"""Words remembered at most, about 100 MB; then it begins anew."""


class Romanise(Map):
    """Add `romanised`: the text in Latin letters; null where the condition does not hold."""

    kind: Literal["romanise"] = "romanise"
    only: Condition = Field(default=Condition(), description="rows to romanise; all others get null")
    language: str = Field(
        default="",
        pattern=r"^([a-z]{3})?$",
        description="ISO 639-3 code of all texts, for rules of that language alone",
    )
    max_chars: int = Field(default=0, ge=0, description="code points romanised, from the text's start; 0: all")

    resources: ClassVar[Resources] = Resources(resident=True)

    def check(self) -> None:
        """Refuse to run where `uroman` is not installed."""
        self.models()

    @override
    def models(self) -> Mapping[str, str]:
        try:
            return {"uroman": hashlib.sha256(version("uroman").encode()).hexdigest()}
        except PackageNotFoundError as error:
            raise RecipeError(
                "uroman is not installed; install the extra: pip install 'vocabmill[romanise]'"
            ) from error

    @override
    def needs(self) -> Columns:
        return {**TEXT, **self.only.needs()}

    @override
    def adds(self) -> Columns:
        return {"romanised": pa.large_string()}

    @override
    def bind(self, context: Context) -> BatchFn:
        romanised, end = _romaniser(self.language), self.max_chars or None

        def apply(rows: pa.Table) -> pa.Table:
            texts = zip(rows["text"].to_pylist(), self.only.holds(rows), strict=True)
            found = [romanised((text or "")[:end]) if held else None for text, held in texts]
            return pa.table({"romanised": pa.array(found, pa.large_string())})

        return apply


@cache
def _uroman() -> Uroman:
    """It holds nothing but tables, and is loaded once in a process."""
    from uroman import Uroman

    return Uroman()


def _romaniser(language: str) -> Callable[[str], str]:
    """From a text to its romanisation, with a memory of words."""
    uroman, known = _uroman(), dict[str, str]()

    def of_word(word: str) -> str:
        try:
            return str(uroman.romanize_string(word, language or None))
        except _FAULTS:
            return "".join(map(of_word, word)) if len(word) > 1 else word

    def of_piece(match: re.Match[str]) -> str:
        piece = match[0]
        if piece.isascii():
            return piece
        if piece not in known:
            if len(known) == _REMEMBERED:
                known.clear()
            known[piece] = of_word(piece)
        return known[piece]

    return lambda text: text if text.isascii() else _PIECE.sub(of_piece, text)
