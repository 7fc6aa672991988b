"""Vocabularies for tests: drawn at random over few letters, where everything collides, and trained on many scripts."""

import json
import random
import sys
import unicodedata
from functools import cache
from itertools import product
from pathlib import Path

from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Sequence, Split
from tokenizers.trainers import BpeTrainer

from operators.byte_alphabet import to_bytes
from operators.encode import Merge, apply_merges
from operators.pretokenizers import PATTERNS, Pretokenizer
from operators.vocabulary import Vocabulary, from_merges

LETTERS = b"abc"
ONE_PIECE = (r"[\s\S]+",)
SPECIAL = ("<|end|>", "<|pad|>")
REPETITIVE = (
    *(
        unit * 700
        for unit in ("a", "ab", "aba", ".:", " ", "\n", "\t ", "=", "0", "\u0e01", "\u0915\u093f", "\U0001f600")
    ),
    "a" * 20_000,
    *(" " * length + "x" for length in range(1, 40)),
    "abcabd" * 150,
    "'s'S'll\u017f'\u017f" * 50,
)


def strings(letters: bytes, longest: int) -> list[bytes]:
    return [bytes(word) for length in range(1, longest + 1) for word in product(letters, repeat=length)]


pieces = st.lists(st.sampled_from(LETTERS), max_size=24).map(bytes)


@st.composite
def merge_lists(draw: st.DrawFn, most: int = 14) -> list[Merge]:
    """Merges of which every part is a byte or made by any merge before or after; a string may be made by several."""
    tokens, merges = [bytes([letter]) for letter in LETTERS], dict[Merge, None]()
    for _ in range(draw(st.integers(0, most))):
        left, right = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if len(left + right) <= 9:
            merges[left, right] = None
            tokens.append(left + right)
    return draw(st.permutations(list(merges))) if draw(st.booleans()) else list(merges)


@st.composite
def trained_merges(draw: st.DrawFn, most: int = 14) -> list[Merge]:
    """Merges as training leaves them: each joins two neighbours in some text that went through those before it."""
    text = draw(pieces)
    merges: dict[Merge, int] = {}
    for _ in range(draw(st.integers(0, most))):
        parts = apply_merges(text, merges)
        if len(parts) < 2:
            break
        place = draw(st.integers(0, len(parts) - 2))
        merges[parts[place], parts[place + 1]] = len(merges)
    return list(merges)


@st.composite
def rank_tables(draw: st.DrawFn) -> dict[bytes, int]:
    """The 256 bytes and any strings of three letters, in any order: most of them are out of order."""
    tokens = draw(st.lists(st.sampled_from(strings(LETTERS, 5)[3:]), unique=True, max_size=25))
    return {token: rank for rank, token in enumerate([*(bytes([value]) for value in range(256)), *tokens])}


def cutter(patterns: tuple[str, ...]) -> PreTokenizer:
    splits = [Split(Regex(pattern), "isolated") for pattern in patterns]
    return Sequence([*splits, ByteLevel(add_prefix_space=False, use_regex=False)])


def cut(text: str, patterns: tuple[str, ...]) -> list[bytes]:
    """The pieces that `tokenizers` cuts a text into."""
    return [to_bytes(piece) or b"" for piece, _ in cutter(patterns).pre_tokenize_str(text)]


@cache
def assigned() -> str:
    """Every assigned code point but surrogates and private ones, in order."""
    out = ("Cn", "Co", "Cs")
    return "".join(filter(lambda char: unicodedata.category(char) not in out, map(chr, range(sys.maxunicode + 1))))


@cache
def sources() -> list[str]:
    """Code and English from the standard library, and words of letters and marks from every script."""
    folder = Path(random.__file__).parent
    texts = [(folder / name).read_text("utf-8") for name in ("argparse.py", "typing.py", "inspect.py", "heapq.py")]
    draw = random.Random(7)
    letters = [char for char in assigned() if unicodedata.category(char)[0] in "LMN"]
    blocks = [letters[start : start + 40] for start in range(0, len(letters), 40)]
    words = ("".join(draw.choices(draw.choice(blocks)[:6], k=draw.randint(1, 5))) for _ in range(30_000))
    return [*texts, " ".join(words)]


@cache
def trained(pretokenizer: Pretokenizer = "cl100k", num_tokens: int = 2500) -> Vocabulary:
    """A vocabulary that `tokenizers` trained on `sources`."""
    patterns = PATTERNS[pretokenizer]
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = cutter(patterns)
    alphabet = ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=num_tokens, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sources(), trainer)
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return from_merges([(to_bytes(left) or b"", to_bytes(right) or b"") for left, right in pairs], patterns, SPECIAL)
