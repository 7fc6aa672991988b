"""An n-gram model of words as an ARPA file, which kenlm and others read.

What is known of words that the model does not know is one word there, `<unk>`, with all the probability that is left
for them: the file's probabilities add up to one, and a text of known words has the same probability here and there.
Price: 4 us and 150 bytes of memory an n-gram; the file takes about 40 bytes an n-gram.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from operators.base import RecipeError
from operators.kernels.ngrams import BEGIN, listed
from operators.ngram_model import spelled

if TYPE_CHECKING:
    from operators.kernels.ngrams import Listed
    from operators.ngram_model import Model

_LOG10: Final = float(np.log10(2))
_NEVER: Final = -99.0


def to_arpa(model: Model) -> bytes:
    """The file's bytes. Raises RecipeError where the model is not of words."""
    if model.names is None or model.spelling is None:
        msg = "an ARPA file holds words: with unit: byte leave arpa out"
        raise RecipeError(msg)
    data, starts = model.names.data.tobytes(), model.names.starts.tolist()
    words = [data[one:other].decode() for one, other in pairwise(starts)]
    levels = listed(model.grams)
    symbols = ["", "<s>", "</s>", *words]
    lines = ["\\data\\", f"ngram 1={len(symbols)}"]
    lines += [f"ngram {length}={level.probabilities.size}" for length, level in enumerate(levels, 2)]
    lines += ["", "\\1-grams:", f"{_LOG10 * (model.grams.rest + np.log2(unseen_share(model))):.7g}\t<unk>\t0"]
    for symbol, name in enumerate(symbols[BEGIN:], BEGIN):
        probability, share = model.grams.unigrams[symbol].tolist()
        written = _NEVER if symbol == BEGIN else _LOG10 * probability
        lines.append(f"{written:.7g}\t{name}\t{_LOG10 * share:.7g}")
    for length, level in enumerate(levels, 2):
        lines += ["", f"\\{length}-grams:", *_level_lines(level, symbols, is_last=length == model.grams.order)]
    return "\n".join([*lines, "", "\\end\\", ""]).encode()


def unseen_share(model: Model) -> float:
    """What the spelling model leaves to words that the model does not know, of all words and the end."""
    assert model.names is not None
    assert model.spelling is not None
    words = spelled(model.spelling, model.names.data, model.names.starts)
    end = spelled(model.spelling, np.empty(0, np.uint8), np.zeros(2, np.int64))
    return max(1 - float(np.exp2(-words).sum() + np.exp2(-end).sum()), 1e-300)


def _level_lines(level: Listed, symbols: list[str], *, is_last: bool) -> list[str]:
    names = [" ".join([symbols[symbol] for symbol in gram]) for gram in level.symbols.tolist()]
    logs = zip(names, (_LOG10 * level.probabilities).tolist(), (_LOG10 * level.shares).tolist(), strict=True)
    if is_last:
        return [f"{probability:.7g}\t{name}" for name, probability, _ in logs]
    return [f"{probability:.7g}\t{name}\t{share:.7g}" for name, probability, share in logs]
