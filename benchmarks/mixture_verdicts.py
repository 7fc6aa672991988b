"""How far an inferred mixture can be trusted, where the truth is known: surprise and missing merges beside real errors.

    python benchmarks/mixture_verdicts.py build/corpora/mixed-2gb [--trials 2] [--merges 5000] [--log FILE]

Tokenizers are trained on random mixtures of six languages (texts of one manual, by default), and attacked with the same
texts, with others of the same kind, with manuals of another kind, with one language hidden, or with other languages
only. For each case and level of tolerance: the largest error of a share of bytes in percentage points, beside what
`mixture.json` says of the fit. Where a language is hidden the truth is the shares of the others among themselves; where
all are, there is none. Two trials take 4 minutes of CPU; `--log` keeps them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.mixture_inference import SCALE, drawn_mixture, learned_of
from operators.kernels.count_tables import add_up
from operators.kernels.pretokenize import count
from operators.kernels.replay import replay
from operators.mixture_program import MixtureProgram
from operators.mixture_replay import counted
from operators.mixture_solving import byte_shares, levels_to
from operators.pretoken_counts import GROUP
from operators.pretokenizers import cutting
from operators.vocabulary import Vocabulary, merge_numbers

Floats = NDArray[np.float64]

LANGUAGES: Final = ("de", "es", "fr", "ja", "pl", "ru")
NEARBY: Final = ("it", "nl", "pt")
HELP, MANUALS = ("libreoffice-help",), ("manpages", "manpages-dev")
MOST: Final = 3_000_000


class Texts:
    """Counts of pre-tokens by language and source, of either half of the documents or of both."""

    def __init__(self, path: str) -> None:
        """Read them."""
        chosen = pc.field("source").isin([*HELP, *MANUALS]) & pc.field("lang").isin([*LANGUAGES, *NEARBY])
        self._rows = ds.dataset(path).to_table(columns=["id", "text", "source", "lang"], filter=chosen)
        digests = (blake2b(name.encode(), digest_size=8).digest() for name in self._rows["id"].to_pylist())
        self._place = np.array([int.from_bytes(digest, "little") / 2**64 for digest in digests])

    def counts(self, langs: Sequence[str], sources: Sequence[str], low: float = 0.0, high: float = 1.0) -> pa.Table:
        """The table that an inference counts, of documents whose place is from low to high."""
        there = pa.array((self._place >= low) & (self._place < high))
        tables = []
        for lang in langs:
            own = pc.and_(pc.equal(self._rows["lang"], lang), pc.is_in(self._rows["source"], pa.array(sources)))
            texts = pa.concat_arrays(self._rows.filter(pc.and_(own, there))["text"].cast(pa.large_string()).chunks)
            sizes = np.cumsum(pc.binary_length(texts).to_numpy())
            texts = texts[: int(np.searchsorted(sizes, MOST)) + 1]
            words, totals = count(texts, np.ones(len(texts), np.int64), cutting("gpt2"))
            columns = {"pretoken": words, "count": totals, GROUP: pa.repeat(lang, len(words))}
            tables.append(pa.table(columns))
        return pa.concat_tables(tables)


def num_bytes(counts: pa.Table, langs: Sequence[str]) -> Floats:
    """The bytes of each language."""
    sizes = pc.multiply(pc.binary_length(counts["pretoken"]).cast(pa.int64()), counts["count"])
    return np.array([pc.sum(pc.if_else(pc.equal(counts[GROUP], lang), sizes, 0)).as_py() for lang in langs], float)


def trained(counts: pa.Table, langs: Sequence[str], shares: Floats, merges: int) -> Vocabulary:
    """A tokenizer of a mixture in these shares of bytes."""
    weights = dict(zip(langs, (SCALE * shares / num_bytes(counts, langs)).tolist(), strict=True))
    factor = np.array([weights[lang] for lang in counts[GROUP].to_pylist()])
    words = pa.concat_arrays(counts["pretoken"].cast(pa.large_binary()).chunks)
    mixed = add_up(words, np.rint(counts["count"].to_numpy() * factor).astype(np.int64), None)
    return learned_of(mixed.words, mixed.counts, merges)


def attacked(counts: pa.Table, vocabulary: Vocabulary, truth: dict[str, float], tolerance: float) -> dict[str, Any]:
    """What an inference says at each level, and how wrong it is."""
    names, words, sizes = counted(counts, vocabulary, [])
    changes = replay(words, merge_numbers(vocabulary.tokens, vocabulary.merges), len(names))
    program = MixtureProgram(changes, len(names))
    known = sum(truth.get(name, 0.0) for name in names)
    levels = {}
    for one in program.solve(levels_to(tolerance)):
        found = byte_shares(one.shares, sizes, program.num_pairs)
        errors = [abs(share - truth.get(name, 0) / (known or 1)) for name, share in zip(names, found, strict=True)]
        merged = float(program.frequencies(one.shares).sum())
        levels[f"{one.tolerance:g}"] = {
            "error": 100 * (max(errors) if known else 1.0),
            "surprise": one.objective / merged,
        }
    return {"missing": float(np.mean(changes.merged < 0)), "levels": levels}


def cases(texts: Texts, random: np.random.Generator, merges: int, tolerance: float) -> Iterator[dict[str, Any]]:
    """One trial of each case."""
    shares = drawn_mixture(random, len(LANGUAGES))
    truth = dict(zip(LANGUAGES, shares.tolist(), strict=True))
    whole, first = texts.counts(LANGUAGES, HELP), texts.counts(LANGUAGES, HELP, 0, 0.5)
    of_whole, of_half = (trained(part, LANGUAGES, shares, merges) for part in (whole, first))

    def tried(case: str, counts: pa.Table, vocabulary: Vocabulary, truth: dict[str, float]) -> dict[str, Any]:
        return {"case": case, **attacked(counts, vocabulary, truth, tolerance)}

    yield tried("same text", whole, of_whole, truth)
    yield tried("other texts of the kind", texts.counts(LANGUAGES, HELP, 0.5, 1), of_half, truth)
    yield tried("few other texts of the kind", texts.counts(LANGUAGES, HELP, 0.5, 0.53), of_half, truth)
    yield tried("half of another kind", texts.counts(LANGUAGES, (*HELP, *MANUALS)), of_whole, truth)
    yield tried("another kind", texts.counts(LANGUAGES, MANUALS), of_whole, truth)
    for part in (0.1, 0.3, 0.6):
        for hidden in ("fr", "ja"):
            others = [lang for lang in LANGUAGES if lang != hidden]
            rest = dict(zip(others, ((1 - part) * drawn_mixture(random, len(others))).tolist(), strict=True))
            truth = {hidden: part, **rest}
            vocabulary = trained(first, LANGUAGES, np.array([truth[lang] for lang in LANGUAGES]), merges)
            yield tried(f"{hidden} hidden, {part:.0%}", texts.counts(others, HELP, 0.5, 1), vocabulary, truth)
    some = ("de", "es", "fr")
    alone = trained(texts.counts(some, HELP), some, drawn_mixture(random, len(some)), merges)
    yield tried("only languages nearby", texts.counts(NEARBY, HELP), alone, {})
    yield tried("only other languages", texts.counts(("ja", "pl", "ru"), HELP), alone, {})


def table(trials: list[dict[str, Any]]) -> Iterator[str]:
    """The means over trials, a row for each case and level."""
    yield "| case | missing % | ppm | finished | surprise % | largest error, points: mean | most |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for case in dict.fromkeys(one["case"] for one in trials):
        own = [one for one in trials if one["case"] == case]
        missing = 100 * statistics.mean(one["missing"] for one in own)
        for level in dict.fromkeys(level for one in own for level in one["levels"]):
            there = [one["levels"][level] for one in own if level in one["levels"]]
            surprise = 100 * statistics.mean(one["surprise"] for one in there)
            errors = [one["error"] for one in there]
            yield (
                f"| {case} | {missing:.1f} | {level} | {len(there)} of {len(own)} | {surprise:.1f} | "
                f"{statistics.mean(errors):.2f} | {max(errors):.2f} |"
            )


def main() -> None:
    """Run the trials that the log has not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--merges", type=int, default=5000)
    parser.add_argument("--tolerance-ppm", type=float, default=20)
    parser.add_argument("--log", type=Path, default=Path("build/mixture-verdicts.jsonl"))
    options = parser.parse_args()
    texts, random = Texts(options.path), np.random.default_rng(1)
    options.log.parent.mkdir(parents=True, exist_ok=True)
    trials = []
    with options.log.open("w") as log:
        for _ in range(options.trials):
            for one in cases(texts, random, options.merges, options.tolerance_ppm):
                trials.append(one)
                print(json.dumps(one), file=log, flush=True)
    print("\n".join(table(trials)))


if __name__ == "__main__":
    main()
