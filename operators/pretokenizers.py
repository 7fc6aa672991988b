r"""The published patterns that cut text into pre-tokens before byte-pair encoding, and how they treat numbers.

They are written as `tokenizers` reads them in a `tokenizer.json`. What `\p{L}`, `\p{N}` and `\s` mean changes with
the Unicode version of an engine; here it is what the installed `tokenizers` says, as that is what encodes later
(`unicode_classes.py`). Characters that no alternative takes make pieces of their own: the pre-tokens of a text,
joined, are the text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

Pretokenizer = Literal["gpt2", "cl100k", "o200k", "qwen2", "deepseek_v3", "tekken", "superbpe", "superbpe_stage2"]
Choice = Pretokenizer | Literal["custom"]
Digits = Literal["pattern", "single", "left_to_right", "right_to_left"]
"""Numerals as the pattern has them, one by one, or in threes from either end: 1|234|567 is right to left."""

_CONTRACTIONS: Final = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WHITE_SPACE: Final = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER: Final = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER: Final = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_UP_TO_THREE: Final = r"\p{N}{1,3}"
# The last group of a run of numerals ends with it; each is as long as lets threes follow up to there.
_FROM_THE_RIGHT: Final = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))"
_NUMBERS: Final[dict[Digits, str]] = {
    "single": r"\p{N}",
    "left_to_right": _UP_TO_THREE,
    "right_to_left": _FROM_THE_RIGHT,
}


def _gpt2(number: str) -> tuple[str, ...]:
    return (rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?{number}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+",)


def _by_word(number: str) -> tuple[str, ...]:
    return (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{number}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_WHITE_SPACE}",)


def _by_case(number: str, suffix: str = "") -> tuple[str, ...]:
    """A word ends where lower case turns to upper, and holds its combining marks."""
    return (
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{suffix}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{suffix}"
        rf"|{number}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_WHITE_SPACE}",
    )


def _by_case_and_contraction(number: str) -> tuple[str, ...]:
    return _by_case(number, f"{_CONTRACTIONS}?")


def _deepseek(number: str) -> tuple[str, ...]:
    """Numbers are cut out first, then Chinese and kana; the last pattern cuts what is left and the kana again."""
    return (
        number,
        "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
        rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_WHITE_SPACE}",
    )


def _superwords(number: str) -> tuple[str, ...]:
    """Only numbers, runs of symbols and runs of spaces are kept apart; the rest may merge across words."""
    return (rf"{number}| ?[^\s\p{{L}}\p{{N}}]{{2,}}[\r\n/]*| +(?!\S)",)


_PUBLISHED: Final[dict[Pretokenizer, tuple[Callable[[str], tuple[str, ...]], str]]] = {
    "gpt2": (_gpt2, r"\p{N}+"),  # GPT-2, RoBERTa, r50k: openai/gpt-2, src/encoder.py
    "cl100k": (_by_word, _UP_TO_THREE),  # GPT-4, Llama 3: openai/tiktoken, tiktoken_ext/openai_public.py
    "o200k": (_by_case_and_contraction, _UP_TO_THREE),  # GPT-4o, gpt-oss: the same file
    "qwen2": (_by_word, r"\p{N}"),  # Qwen2, 2.5 and 3: their tokenizer.json
    "deepseek_v3": (_deepseek, _UP_TO_THREE),  # DeepSeek-V3 and R1: their tokenizer.json
    "tekken": (_by_case, r"\p{N}"),  # Mistral Nemo and later: mistralai/mistral-common, tekken.json
    "superbpe": (_by_case, _UP_TO_THREE),  # stage 1 of SuperBPE as its repository now has it: PythonNut/superbpe
    "superbpe_stage2": (_superwords, _UP_TO_THREE),  # stage 2
}

PATTERNS: Final[dict[Pretokenizer, tuple[str, ...]]] = {
    name: patterns(number) for name, (patterns, number) in _PUBLISHED.items()
}
"""Each cuts the pieces of the ones before it, as a `Sequence` of `Split`s with the behaviour "isolated"."""


@dataclass(frozen=True)
class Cutting:
    """How text becomes pre-tokens."""

    patterns: tuple[str, ...]
    """What a `tokenizer.json` must carry to cut text as here: a `Split`, "isolated", for each, in order."""
    scanned: tuple[str, ...]
    """The same, but with runs of numerals in one piece where `right_to_left` cuts them afterwards."""
    right_to_left: bool = False


def cutting(pretokenizer: Choice, digits: Digits = "pattern", pattern: str = "") -> Cutting:
    """How a published pattern cuts, with its numerals grouped in a way of ours, or how a pattern of one's own does.

    Args:
        pretokenizer: a published pattern, or "custom".
        digits: replaces what a published pattern does with a run of numerals.
        pattern: of "custom": a regex as `tokenizers` reads it.

    >>> cutting("qwen2", "right_to_left").right_to_left, cutting("custom", pattern="[a-z]+").patterns
    (True, ('[a-z]+',))
    """
    if (pretokenizer == "custom") != bool(pattern):
        msg = (
            f"pretokenizer {pretokenizer!r} with pattern {pattern!r}: expected pretokenizer: custom and a pattern, "
            f"or no pattern and one of {', '.join(get_args(Pretokenizer))}"
        )
        raise ValueError(msg)
    if pretokenizer == "custom" and digits != "pattern":
        msg = f"digits {digits!r} with a pattern of one's own: write {_NUMBERS[digits]!r} into the pattern instead"
        raise ValueError(msg)
    if pretokenizer == "custom":
        return Cutting((pattern,), (pattern,))
    patterns, number = _PUBLISHED[pretokenizer]
    number = _NUMBERS.get(digits, number)
    if digits != "right_to_left":
        return Cutting(patterns(number), patterns(number))
    return Cutting(patterns(number), patterns(r"\p{N}+"), right_to_left=True)
