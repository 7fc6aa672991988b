"""What tokens cost a real model by what they are made of: where rows of FOCUS lose to those of pieces.

    python -m benchmarks.transplant_kinds TOKENIZER.json TEXT.parquet build/corpora/mixed-1gb/*.parquet

Runs in an environment with torch, on the segments of benchmarks.transplant, with the same vectors; a minute or two once
those are trained. Figures: docs/transplant.md.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.transplant_rows import Bench, Table, asking, by_method, opened
from operators.transplant.bits_per_byte import losses
from operators.transplant.choice import Choice
from operators.transplant.language_model import as_tensor, one_thread

KINDS: Final = (
    (rb"\s+", "white space"),
    (rb" ?[0-9]+", "digits"),
    (rb" [A-Za-z]+", "words after a space"),
    (rb"[A-Za-z]+", "letters inside words"),
    (rb"[^A-Za-z0-9]+", "signs"),
    (rb"(?s).*", "signs with letters"),
)
"""The first that matches all of a token names its kind."""


def kind_of(form: bytes) -> str:
    """What a token is made of."""
    return next(name for pattern, name in KINDS if re.fullmatch(pattern, form))


def costs(bench: Bench, table: Table) -> NDArray[np.float64]:
    """The nats of every token of all segments."""
    import torch

    rows, found = as_tensor(table), []
    with one_thread(), torch.inference_mode():
        for ids in map(torch.from_numpy, bench.new):
            states = bench.body.run(rows, as_tensor(bench.body.start), ids)
            found.append(losses(bench.body, states, rows, ids, torch.from_numpy(bench.is_new))[0].numpy())
    return np.concatenate(found)


def main() -> None:
    """A line for each kind of made and of copied tokens."""
    given = asking(__doc__).parse_args()
    bench = opened(given.tokenizer, given.text, given.paths, given.segments)
    ids = np.concatenate(bench.new)
    pieces, focus = (costs(bench, by_method(bench, Choice(method))) for method in ("subword", "focus"))
    is_made, kinds = bench.is_new[ids], np.array([kind_of(bench.pair.target.forms[one]) for one in ids.tolist()])
    more = (focus - pieces)[is_made].sum()
    print("| tokens | number | pieces | FOCUS | of what FOCUS loses on made tokens |\n|---|---|---|---|---|")
    for made in (True, False):
        for kind in sorted(set(kinds[is_made == made].tolist())):
            there = (is_made == made) & (kinds == kind)
            share = f"{100 * (focus - pieces)[there].sum() / more:.0f} %" if made else ""
            name = f"{'made' if made else 'copied'}, {kind}"
            print(f"| {name} | {there.sum():,} | {pieces[there].mean():.2f} | {focus[there].mean():.2f} | {share} |")
    print(f"copied tokens: pieces {pieces[~is_made].mean():.2f}, FOCUS {focus[~is_made].mean():.2f} nats")


if __name__ == "__main__":
    main()
