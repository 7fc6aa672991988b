"""Training against `tokenizers` on five small corpora of unlike kinds, by every published pattern.

`benchmarks/training_parity.py` does the same on real text of up to 100 MB with 64,000 merges.
"""

import ast
from functools import cache
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from operators.kernels.bpe import train
from operators.kernels.pretokenize import count, spans
from operators.pretokenizers import PATTERNS, Pretokenizer
from tests.operators.kernels.test_bpe import learn_by_tokenizers, library_sources
from tests.operators.kernels.test_pretokenize import cut, pieces_by_tokenizers

NUM_TOKENS = 1500
# First and last letter of thirty alphabets; words of each are made from them.
ALPHABETS = (
    (0x61, 0x7A),
    (0xDF, 0xFF),
    (0x101, 0x17E),
    (0x180, 0x24F),
    (0x250, 0x2AF),
    (0x3B1, 0x3C9),
    (0x430, 0x44F),
    (0x450, 0x45F),
    (0x561, 0x587),
    (0x5D0, 0x5EA),
    (0x621, 0x64A),
    (0x671, 0x6D3),
    (0x710, 0x72F),
    (0x780, 0x7A5),
    (0x905, 0x939),
    (0x985, 0x9B9),
    (0xA05, 0xA39),
    (0xA85, 0xAB9),
    (0xB05, 0xB39),
    (0xB85, 0xBB9),
    (0xC05, 0xC39),
    (0xC85, 0xCB9),
    (0xD05, 0xD39),
    (0xD85, 0xDC6),
    (0x10D0, 0x10F6),
    (0xAC00, 0xAC40),
    (0x1200, 0x1240),
    (0x13A0, 0x13D0),
    (0x1820, 0x1842),
    (0x2D30, 0x2D60),
)
UNSPACED = ((0x4E00, 0x4F00), (0x3042, 0x3093), (0x30A2, 0x30F3), (0x0E01, 0x0E3A), (0x0E81, 0x0EBD), (0x1780, 0x17B3))


def words_of(alphabet: tuple[int, int], random: Random) -> list[str]:
    letters = [chr(point) for point in range(alphabet[0], alphabet[1] + 1)]
    return ["".join(random.choices(letters, k=random.randint(1, 7))) for _ in range(120)]


def text_of(alphabet: tuple[int, int], space: str, random: Random) -> str:
    """The more frequent a word the earlier it stands in the list, as in language."""
    words = words_of(alphabet, random)
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    ends = [space, space, space, f",{space}", f".{space}", "\n", f" {random.randint(0, 10**6)}{space}"]
    return "".join(word + random.choice(ends) for word in random.choices(words, weights, k=400))


def english() -> list[str]:
    modules = [ast.parse(source) for source in library_sources(800_000)]
    return [text for module in modules if (text := ast.get_docstring(module))]


def repetitions(random: Random) -> list[str]:
    motifs = ["a", "ab", "aab", " ", "\n", "\t ", "=", "-=", "0", "\u00e9", "\u4e00", "\U0001f600", "'s", " a", "A"]
    runs = [motif * random.randint(1, 300) for motif in motifs for _ in range(12)]
    random.shuffle(runs)
    return ["".join(runs[start : start + 6]) for start in range(0, len(runs), 6)]


@cache
def corpus(name: str) -> list[str]:
    random = Random(name)
    match name:
        case "english":
            return english()
        case "code":
            return library_sources(250_000)
        case "thirty_languages":
            return [text_of(alphabet, " ", random) for alphabet in ALPHABETS]
        case "no_spaces":
            return [text_of(alphabet, "", random) for alphabet in UNSPACED for _ in range(3)]
        case _:
            return repetitions(random)


@pytest.mark.parametrize("pretokenizer", PATTERNS)
@pytest.mark.parametrize("name", ["english", "code", "thirty_languages", "no_spaces", "repetitions"])
def test_pretokens_and_merges_are_those_of_tokenizers(name: str, pretokenizer: Pretokenizer) -> None:
    texts = corpus(name)
    array = pa.array(texts, pa.large_string())
    for text, ends in zip(texts, spans(array, pretokenizer).to_pylist(), strict=True):
        assert cut(text, ends) == pieces_by_tokenizers(text, PATTERNS[pretokenizer])
    merges = train(*count(array, np.ones(len(texts), np.int64), pretokenizer), NUM_TOKENS).merges
    expected = learn_by_tokenizers(texts, PATTERNS[pretokenizer], NUM_TOKENS)
    assert [(left, right) for left, right in merges.tolist()] == expected
    assert len(expected) > 300
