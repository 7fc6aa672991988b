"""Every method of `init_embeddings` on held-out shared tokens of a real model: the columns of docs/transplant.md.

    python -m benchmarks.held_out_rows TOKENIZER.json TEXT.parquet [--tokens 2000] [--methods focus subword ...]

TEXT.parquet has a column `text`; benchmarks.transplant_texts makes both files. Vectors are trained once and kept beside
it (`TEXT.vectors.npz`): some 250 CPU seconds for 70 MB of text; then a method takes 5 to 15, ridge 60. Only rows of
held-out tokens are made.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq

from operators.groups import joined
from operators.kernels.token_vectors import Settings
from operators.transplant import methods
from operators.transplant.auxiliary import Auxiliary, trained
from operators.transplant.building import special_ids
from operators.transplant.choice import Choice, Method
from operators.transplant.held_out import drawn, has_variant, measured, summary
from operators.transplant.making import Maker
from operators.transplant.model_files import open_model

MODEL = "data/models/SmolLM2/SmolLM2-135M-Instruct.Q4_1.gguf"
FILES = ("pairs", "rows")
FIGURES = ("centred_cosine", "relative_l2", "norm_ratio", "recall_at_10", "mrr")


def main() -> None:
    """Print a line for each method as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--methods", nargs="*", default=[one for one in get_args(Method) if one not in FILES])
    given = parser.parse_args()
    model, content = open_model(given.model), given.tokenizer.read_bytes()
    pair = methods.pair_of(model.tokenizer_json, content, special_ids(model.config))
    auxiliary = vectors(given.text, content, pair)
    tokens = drawn(pair, auxiliary.frequent, 7, given.tokens)
    hidden = methods.held_out(pair, model.tokenizer_json, tokens)
    new = pair.target.is_text & (pair.matches.old < 0)
    print(f"{pair.matches.text().size} shared, {new.sum()} new, {has_variant(pair)[new].mean():.2f} with a variant")
    print(f"{tokens.size} held out, {has_variant(pair)[tokens].mean():.2f} with a variant")
    wanted = auxiliary.has & ((hidden.matches.old >= 0) | np.isin(np.arange(len(pair.target)), tokens))
    for name in given.methods:
        start = time.process_time()
        maker = Maker(choice(name), model.tokenizer_json, content, replace(auxiliary, has=wanted))
        made = maker.made(hidden).table(model.input_table, "embed")[tokens]
        found = summary(pair, tokens, measured(pair, tokens, made, model.input_table), 1)
        spent = time.process_time() - start
        print(
            f"{name:16} " + " | ".join(f"{group}: {line(found[group])}" for group in found),
            f"({spent:.0f} s)",
            flush=True,
        )


def choice(name: str) -> Choice:
    """A method, with a temperature after @ or a share of pieces after a colon."""
    method, _, temperature = name.partition("@")
    method, _, pieces = method.partition(":")
    settings: Any = {"method": method, "pieces": pieces or "mean"}
    return Choice(**settings, temperature=float(temperature or 1), seed=3)


def vectors(text: Path, content: bytes, pair: methods.Pair) -> Auxiliary:
    """Trained, or as they were left."""
    kept = text.with_suffix(".vectors.npz")
    if not kept.is_file():
        found = trained(joined(pq.read_table(text)["text"]), content, pair.target, Settings(seed=1))
        np.savez(kept, vectors=found.vectors, has=found.has, frequent=found.frequent, counts=found.counts)
    with np.load(kept) as file:
        return Auxiliary(file["vectors"], file["has"], file["frequent"], file["counts"])


def line(group: dict[str, Any]) -> str:
    """The figures of a group, in the order of the table; recall with its interval."""
    recall = group["recall_at_10"]
    means = " ".join(f"{group[name]['mean']:.3f}" for name in FIGURES)
    return f"{means} [{recall['low']:.3f} {recall['high']:.3f}] median rank {group['median_rank']:.0f}"


if __name__ == "__main__":
    main()
