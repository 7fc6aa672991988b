"""Cut text by the regex engine inside the installed `tokenizers`: any pattern, at 4 MB of text a second.

What encodes with an exported `tokenizer.json` runs this very code, so it is right by definition: it takes the patterns
that `pattern_syntax.py` does not read, and the scanner's tests hold that to it.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.base import RecipeError

if TYPE_CHECKING:
    from tokenizers import pre_tokenizers


def engine_ends(texts: pa.Array, patterns: tuple[str, ...]) -> NDArray[np.int64]:
    """Where the pre-tokens of some documents end in their joined bytes.

    >>> engine_ends(pa.array(["to be", "a"]), (" +",)).tolist()
    [2, 3, 5, 6]
    """
    splitter = _splitter(patterns)
    first, ends = 0, [np.empty(0, np.int64)]
    for text in texts.to_pylist():
        data = np.frombuffer(text.encode(), np.uint8)
        characters = np.append(np.flatnonzero((data & 0xC0) != 0x80), data.size)
        pieces = splitter.pre_tokenize_str(text)
        ends.append(first + characters[[end for _, (_, end) in pieces]])
        first += data.size
    return np.concatenate(ends)


def check_pattern(pattern: str) -> None:
    """Raise RecipeError where the engine cannot read a pattern."""
    _splitter((pattern,))


def pieces(text: str, patterns: tuple[str, ...]) -> list[str]:
    """The pre-tokens of one text.

    >>> pieces("to be", (" +",))
    ['to', ' ', 'be']
    """
    return [piece for piece, _ in _splitter(patterns).pre_tokenize_str(text)]


@lru_cache(maxsize=16)
def _splitter(patterns: tuple[str, ...]) -> "pre_tokenizers.PreTokenizer":
    from tokenizers import Regex, pre_tokenizers

    splits = []
    for pattern in patterns:
        try:
            splits.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
        except Exception as error:  # the engine's binding raises nothing narrower
            msg = f"pattern {pattern!r} is no regex of the engine inside `tokenizers` (Oniguruma): {error}"
            raise RecipeError(msg) from error
    return pre_tokenizers.Sequence(splits)
