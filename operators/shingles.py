r"""Shingles of a text: what two texts have in common, as a set of 64-bit hashes.

A text becomes units, and a shingle is a run of them:

- `word`: what white space separates in the normal form (`operators/normal_text.py`); a shingle is `ngram` words.
- `character`: the code points of the normal form, its single spaces included; a shingle is `ngram` of them.
- `auto`: words, but each code point of a script that is written without spaces is a unit of its own. A word weighs 6,
  such a code point of Chinese or Japanese 3 and one of Thai, Lao, Khmer, Burmese or Tibetan 1 (about what it says, see
  `operators/normal_text.py`), and a shingle is the shortest run from its first unit on that weighs at least 6 `ngram`.
  So a text in Latin script has the shingles of `word`, one in Chinese those of 2 `ngram` characters, one in Thai those
  of 6 `ngram`, and a text that mixes them has no border at which its shingles would all be others (as a choice per
  document has: two versions of a text that is half Chinese could share nothing). White space ends a word, and is no
  unit.

A text whose units weigh less than one shingle has none.

Hashes, all arithmetic mod 2**64, with `mix` the finaliser of SplitMix64. A unit's UTF-8 is cut into words of 8 bytes,
little-endian, the last with 0 to 7 bytes filled up with zeros: h = mix(h ^ word) from h = 0 on, and for the last word
mix((h + (length + 1) `GOLDEN`) ^ word). A shingle of units u_1 ... u_n is mix(sum u_i `STEP`**(n - i)), which rolls.
With the normalisation `datatrove-0.10` (`operators/reference_words.py`) it is XXH64 of the words joined by a space.

Price on one core: see `operators/kernels/minhash.py`, which does it over Arrow's buffers; what stands here is slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.hashing import MASK
from operators.normal_text import WORD, normal_table, standard, weight, words_table
from operators.text_buffers import column_bytes, joined_bytes

Unit = Literal["word", "character", "auto"]
Normalisation = Literal["standard", "datatrove-0.10"]
Hashing = Literal["own", "xxh64", "sha1"]
"""In the order of the kernel's numbers, as are the units."""

GOLDEN: Final = 0x9E3779B97F4A7C15
STEP: Final = 0xD6E8FEB86659FD93


@dataclass(frozen=True)
class Shingling:
    """What the shingles of a text are. ValueError for an `ngram` below 1, or units that a normalisation has not."""

    unit: Unit = "word"
    ngram: int = 5
    normalisation: Normalisation = "standard"

    def __post_init__(self) -> None:
        if self.ngram < 1:
            msg = f"ngram is {self.ngram!r}; expected at least 1"
            raise ValueError(msg)
        if self.normalisation == "datatrove-0.10" and self.unit != "word":
            msg = f"the normalisation 'datatrove-0.10' is one of words; expected unit 'word', not {self.unit!r}"
            raise ValueError(msg)


class ShingleSets(NamedTuple):
    """The distinct shingle hashes of some texts; those of text i are `hashes[offsets[i] : offsets[i + 1]]`, rising."""

    hashes: NDArray[np.uint64]
    offsets: NDArray[np.int64]


def units(text: str, how: Shingling) -> list[str]:
    r"""The units of a text.

    >>> units("To  be", Shingling("character", 5))
    ['t', 'o', ' ', 'b', 'e']
    >>> units("To  be \u4e2d\u6587x", Shingling("auto", 5)) == ["to", "be", "\u4e2d", "\u6587", "x"]
    True
    """
    if how.normalisation == "datatrove-0.10":
        from operators.reference_words import datatrove_words

        return datatrove_words(text)
    normal = standard(text)
    if how.unit == "character":
        return list(normal)
    if how.unit == "auto":
        normal = "".join(f" {character} " if weight(character) else character for character in normal)
    return [word for word in normal.split(" ") if word]


def shingles(text: str, how: Shingling) -> list[tuple[str, ...]]:
    """The shingles of a text as their units, repeats included.

    >>> shingles("To be  or not", Shingling("word", 3))
    [('to', 'be', 'or'), ('be', 'or', 'not')]
    >>> shingles("abc", Shingling("character", 4))
    []
    """
    parts = units(text, how)
    weights = [(how.unit == "auto" and weight(part[0])) or WORD for part in parts]
    found, first, held = [], 0, 0
    for place, added in enumerate(weights):
        held += added
        while held >= WORD * how.ngram:
            found.append(tuple(parts[first : place + 1]))
            held -= weights[first]
            first += 1
    return found


def written(shingle: Sequence[str], how: Shingling) -> bytes:
    """The bytes of a shingle for the schemes that hash bytes: characters as they are, words joined by one space.

    >>> written(("to", "be"), Shingling("word", 2))
    b'to be'
    """
    return ("" if how.unit == "character" else " ").join(shingle).encode()


def mix(value: int) -> int:
    """SplitMix64's finaliser of one number.

    >>> hex(mix(1))
    '0x5692161d100b05e5'
    """
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def unit_hash(unit: str) -> int:
    """The hash of one unit.

    >>> unit_hash("a") == mix(2 * GOLDEN & MASK ^ ord("a"))
    True
    """
    content = unit.encode()
    whole = len(content) // 8 * 8
    value = 0
    for start in range(0, whole, 8):
        value = mix(value ^ int.from_bytes(content[start : start + 8], "little"))
    return mix(value + (len(content) + 1) * GOLDEN & MASK ^ int.from_bytes(content[whole:], "little"))


def shingle_hash(shingle: Sequence[str], how: Shingling) -> int:
    """The hash of one shingle.

    >>> shingle_hash(("a",), Shingling("word", 1)) == mix(unit_hash("a"))
    True
    """
    if how.normalisation == "datatrove-0.10":
        import xxhash

        return xxhash.xxh64_intdigest(written(shingle, how))
    value = 0
    for unit in shingle:
        value = (value * STEP + unit_hash(unit)) & MASK
    return mix(value)


def slow_shingle_set(text: str, how: Shingling) -> list[int]:
    """The reference: the distinct shingle hashes of one text, rising."""
    return sorted({shingle_hash(shingle, how) for shingle in shingles(text, how)})


def shingle_sets(texts: pa.LargeStringArray | pa.ChunkedArray, how: Shingling) -> ShingleSets:
    """The distinct 64-bit shingle hashes of each text, rising within the text; a short text has none.

    >>> shingle_sets(pa.array(["a b a b a", "a"], pa.large_string()), Shingling("word", 2)).offsets.tolist()
    [0, 2, 2]
    """
    from operators.kernels import minhash

    return ShingleSets(*minhash.sets(*joined(texts, how), *kernel_terms(how)))


def joined(texts: pa.LargeStringArray | pa.ChunkedArray, how: Shingling) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes that the kernel cuts, and where each text's begin, with the end of the last."""
    if how.normalisation == "datatrove-0.10":
        from operators.reference_words import datatrove_words

        texts = pa.array([" ".join(datatrove_words(text)) for text in texts.to_pylist()], pa.large_string())
    return column_bytes(texts) if isinstance(texts, pa.ChunkedArray) else joined_bytes(texts)


def kernel_terms(how: Shingling, hashing: Hashing | None = None) -> tuple[int, int, int, NDArray[np.int32]]:
    """A shingling as the kernel's arguments `unit, ngram, hashing, table`; how it hashes, unless another is wanted."""
    given = how.normalisation == "standard"
    hashing = hashing or ("own" if given else "xxh64")
    table = normal_table() if given else words_table()
    return get_args(Unit).index(how.unit), how.ngram, get_args(Hashing).index(hashing), table
