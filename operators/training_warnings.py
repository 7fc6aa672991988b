"""What a person should know of a training that succeeded: sizes not reached and why, and text left out."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from operators.base import WARNINGS

MOST_LEFT_OUT: Final = 0.1
"""Of the bytes of the text; a larger share without training is worth a warning, as few mean it."""

_UNLIMITED: Final = {
    "min_frequency": 1,
    "max_token_length": 65536,
    "max_token_chars": 0,
    "limit_alphabet": 256,
    "max_words": 0,
    "forbidden": [],
}
"""The settings that keep a pair from being merged, with the value at which they keep none."""


def warnings_file(summary: Mapping[str, Any]) -> dict[str, bytes]:
    """The file in which the engine finds what to warn of, made of `training.json`; none where there is nothing."""
    lines = [*_left_out(summary), *_missed(summary)]
    return {WARNINGS: json.dumps(lines).encode()} if lines else {}


def _left_out(summary: Mapping[str, Any]) -> Iterator[str]:
    total, gone = summary["corpus"]["bytes"], Counter[str]()
    for row in summary["left_out"]:
        gone[row["reason"]] += row["bytes"]
    if gone.total() > MOST_LEFT_OUT * total:
        rules = " and ".join(f"{name} {summary['settings'][name]}" for name in sorted(gone))
        share = 100 * gone.total() / total
        yield f"{rules} left {share:.0f} % of the text out of training; left_out in training.json says in which scripts"


def _missed(summary: Mapping[str, Any]) -> Iterator[str]:
    missed = [entry for entry in summary["tokenizers"] if entry["reached"] < entry["asked"]]
    if not missed:
        return
    sizes = ", ".join(f"{entry['asked']:,}" for entry in missed)
    short = f"vocab_sizes {sizes} not reached"
    reached, num_bytes = f"{missed[-1]['reached']:,} tokens", f"{summary['corpus']['bytes']:,}"
    limits = _limits(summary)
    if summary["settings"]["algorithm"] == "unigram":
        yield (
            f"{short}: {num_bytes} bytes of text hold pieces worth keeping for {reached} only, within "
            f"{limits or 'the 24 bytes that a piece may have'}; give it more text, or ask for fewer tokens"
        )
    elif limits:
        yield (
            f"{short}: at {reached} no pair of {num_bytes} bytes of text was left that {limits} would let merge; "
            "loosen that, give it more text, or ask for fewer tokens"
        )
    else:
        yield (
            f"{short}: {num_bytes} bytes of text are too little, no pair was left to merge at {reached}; give it more "
            "text, or ask for fewer tokens"
        )


def _limits(summary: Mapping[str, Any]) -> str:
    """The settings that keep pairs from being merged or text from being trained on, with their values."""
    settings = summary["settings"]
    used = [name for name, unlimited in _UNLIMITED.items() if settings[name] != unlimited]
    used += sorted({row["reason"] for row in summary["left_out"]})
    return " and ".join(f"{name} {settings[name]}" for name in used)
