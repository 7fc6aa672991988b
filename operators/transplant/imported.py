"""Rows by what others found out: word pairs of a dictionary or of aligned sentences, or rows of a released model.

Word pairs become weights as in Trans-Tokenization (Remy et al. 2024): a pair of words is a pair of runs of tokens; half
of its count goes from every piece of the one to every piece of the other, the other half between the pieces that lie at
the same place once both runs are spread over their least common multiple. A new token's row is the mean of old rows by
these counts. Deviations: words are cut as they stand after a space, and rows of tokens that no pair names keep what
they had, where the original looks for tokens that hold or begin with them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from operators import ngram_sources
from operators.base import DataError
from operators.transplant.model_files import EMBED, LM_HEAD
from operators.transplant.pieces import Cutter
from operators.transplant.rules import new_rows, replaced
from operators.transplant.tensor_files import Tensors
from operators.transplant.vocabularies import TokenForms, word_forms
from operators.transplant.weights import IMPORTED, Floats, Weights

WordPairs = Mapping[tuple[str, str], float]
"""Counts by (old language's word, new language's word)."""

LEAST_ALIGNED: Final = 10
"""Word pairs that are aligned less often are left out, as in the original."""

_PARTS: Final = "|||"
_NAMED: Final = 4
"""Tensors that an error names."""
_EXPECTED: Final = {"pairs": "a file of word pairs", "rows": "a file of rows, in safetensors"}


def read_pairs(path: str, least: int = LEAST_ALIGNED, sha256: str = "") -> WordPairs:
    r"""The word pairs of a file, in UTF-8, one of two kinds by its first line.

    - A dictionary: `old word<TAB>new word`, and a count after another tab where there is one.
    - Aligned sentences: `old words ||| new words ||| 0-0 1-2`, the pairs of places (from 0) as `fast_align` and others
      write them (Pharaoh's format). Pairs of words that are aligned less than `least` times are left out.

    Raises DataError with the line that is neither, and RecipeError where the file is another than `sha256` says.
    """
    content = bytes(ngram_sources.content(path, sha256 or digest(path, "pairs"), "pairs"))
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()]
    counts: Counter[tuple[str, str]] = Counter()
    is_aligned = bool(lines) and _PARTS in lines[0]
    for number, line in enumerate(lines, start=1):
        try:
            counts.update(_aligned(line) if is_aligned else _translated(line))
        except (ValueError, IndexError) as error:
            msg = f"{path} line {number}: {line[:80]!r}: expected 'old<TAB>new' or 'old words ||| new words ||| 0-0'"
            raise DataError(msg) from error
    if not counts:
        msg = f"{path} holds no word pair: expected lines of 'old<TAB>new' or 'old words ||| new words ||| 0-0'"
        raise DataError(msg)
    return {pair: count for pair, count in sorted(counts.items()) if not is_aligned or count >= least}


def of_pairs(
    base: Weights, pairs: WordPairs, old: tuple[TokenForms, Cutter], new: tuple[TokenForms, Cutter]
) -> Weights:
    """`base` with the rows that word pairs name.

    Args:
        base: a whole W, whose copies stay.
        pairs: counts of word pairs.
        old: the old tokens, and what cuts words into them.
        new: the new ones.
    """
    words = list(pairs)
    old_runs = old[1].cut(word_forms([word for word, _ in words]))
    new_runs = new[1].cut(word_forms([word for _, word in words]))
    found: dict[tuple[int, int], float] = {}
    for pair, sources, targets in zip(words, old_runs, new_runs, strict=True):
        for key, value in _shares(targets, sources):
            found[key] = found.get(key, 0.0) + value * pairs[pair]
    made = set(new_rows(base))
    entries = [(token, one, value) for (token, one), value in sorted(found.items()) if token in made]
    if not entries:
        return base
    tokens, olds, values = (np.array(column) for column in zip(*entries, strict=True))
    totals = np.bincount(tokens, values, minlength=base.shape[0])
    return replaced(base, np.unique(tokens), (tokens, olds, values / totals[tokens]), IMPORTED)


def read_rows(path: str, name: str, shape: tuple[int, int]) -> Floats | None:
    """A tensor of rows for all new ids, from safetensors; None where the file has none of that name.

    Such are the rows that a hypernetwork makes (ZeTT, Minixhofer et al. 2024), saved as `embed` and `lm_head`. Raises
    DataError where it is no such file, the shape is another, or a number is not finite.
    """
    tensors = Tensors([Path(path)])
    if name not in tensors:
        return None
    rows = tensors.read(name)
    if rows.shape != shape or not np.isfinite(rows).all():
        msg = f"{path}: tensor {name!r} has shape {rows.shape}: expected {shape}, a row for each new id, all finite"
        raise DataError(msg)
    return rows


def refuse_without_rows(path: str, *, tied: bool) -> None:
    """DataError where the file is no safetensors file, or lacks rows for a table of the model; a tied one has one."""
    tensors = Tensors([Path(path)])
    lacking = [name for name in ((EMBED,) if tied else (EMBED, LM_HEAD)) if name not in tensors]
    if lacking:
        named = ", ".join(map(repr, sorted(tensors.places)[:_NAMED])) or "no tensor"
        why = "" if tied else ": the model has one table that reads tokens and one that predicts them"
        msg = f"{path} has {named}, and no {lacking[0]!r}: expected a row for each new id under that name{why}"
        raise DataError(msg)


def digest(path: str, field: str) -> str:
    """The sha256 of a file that `field` names. Raises RecipeError where it cannot be read."""
    return ngram_sources.digest(path, field, _EXPECTED[field])


def _translated(line: str) -> dict[tuple[str, str], float]:
    old, new, *count = line.split("\t")
    return {(old.strip(), new.strip()): float(count[0]) if count else 1.0}


def _aligned(line: str) -> Counter[tuple[str, str]]:
    old, new, links = (part.split() for part in line.split(_PARTS))
    found: Counter[tuple[str, str]] = Counter()
    for link in links:
        first, second = map(int, link.split("-"))
        if min(first, second) < 0:
            raise ValueError(link)
        found[old[first], new[second]] += 1
    return found


def _shares(targets: list[int], sources: list[int]) -> Iterable[tuple[tuple[int, int], float]]:
    """How the count of one pair of words is spread over pairs of tokens: it sums to the count for each new token."""
    if not (targets and sources):
        return
    for token in targets:
        for one in sources:
            yield (token, one), 0.5 / len(sources)
    steps = math.lcm(len(targets), len(sources))
    for step in range(steps):
        token, one = targets[step * len(targets) // steps], sources[step * len(sources) // steps]
        yield (token, one), 0.5 * len(targets) / steps
