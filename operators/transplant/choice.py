"""Which method, with which numbers: what a recipe chooses, apart from the machinery that needs compiled kernels."""

from typing import Final, Literal, NamedTuple

Method = Literal[
    "focus_subword",
    "wechsel_subword",
    "focus",
    "wechsel",
    "omp",
    "ridge",
    "subword",
    "variant_subword",
    "normal",
    "mean",
    "pairs",
    "rows",
]
"""`a_subword` is half of a and half of the mean of pieces; `omp` is clipped to convex weights.
`pairs` and `rows` come from files."""

PieceShare = Literal["mean", "length", "first", "last"]

WITHOUT_VECTORS: Final = ("subword", "variant_subword", "normal", "mean", "pairs", "rows")
"""Methods that look at no auxiliary vectors."""

SHARE: Final = 0.5
"""What a mixture takes of each side; docs/transplant.md has figures of halves alone."""


class Choice(NamedTuple):
    """A method and its numbers."""

    method: Method = "focus_subword"
    pieces: PieceShare = "mean"
    share: float = SHARE
    """Of a mixture: what the first part has."""
    temperature: float = 1.0
    """Of FOCUS's sparsemax; 1 is FOCUS's own."""
    seed: int = 0
    """Of normal rows."""
