"""The controlled experiment of mixture inference (Hayase et al. 2024, table 1) on real text of packages.

    python benchmarks/mixture_inference.py build/corpora/mixed-2gb --categories 5 --trials 20 [--split line]
        [--train 0.5] [--attack 0.5] [--poisson 10000 1000] [--merges 10000] [--tolerance-ppm 1] [--log FILE]
    python benchmarks/mixture_inference.py build/corpora/code10.parquet --kind code ...

The text of each category is split in two, by documents or by lines. For each trial a mixture is drawn uniformly from
the simplex in steps of 1e-4 (Smith and Tromble 2004); a tokenizer is trained on the first part (`--train`, a share) in
these shares of bytes, a category weighted to reach its share; its merges are attacked with the counts of the last part
(`--attack`), with `--split none` with those of the first. A part with more than `--most` MB is halved until it has no
more. `--poisson` draws the counts of both anew, from the frequencies of the first part: so many MB to train on, shared
out by the mixture, and so many of each category to attack with; what is left is the noise of words that come by chance.

log10 of the mean squared error of the shares of bytes, mean and standard deviation over the trials, at every level of
tolerance, beside the paper's two baselines (`mixture_baselines.py`; `--no-baselines`). Categories are the
`--categories` largest. Each trial is a line of `--log`; those that are there already are not done again. Counts are
kept in build/mixture-counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.mixture_baselines import by_efficiency, by_strings, bytes_per_token
from benchmarks.mixture_samples import Sample, Unit, chosen_languages, counted_strips, dispersion, sampled
from operators.byte_alphabet import byte_ids
from operators.kernels.bpe import train
from operators.kernels.replay import Changes, Words, replay
from operators.mixture_program import MixtureProgram
from operators.mixture_solving import byte_shares, levels_to
from operators.pretokenizers import cutting
from operators.tokenizer_files import merges_by_id
from operators.vocabulary import Vocabulary, from_merges, merge_numbers

Floats = NDArray[np.float64]

SCALE: Final = 10.0**12
STEPS: Final = 10_000
SAME: Final = ("path", "kind", "categories", "split", "train", "attack", "most", "poisson", "merges", "tolerance_ppm")
"""The options by which trials of a log belong together."""


def log_mse(found: Floats, truth: Floats) -> float:
    """log10 of the mean squared error.

    >>> log_mse(np.array([0.5, 0.5]), np.array([0.4, 0.6]))
    -2.0
    """
    return round(float(np.log10(np.maximum(np.mean((found - truth) ** 2), 1e-99))), 12)


def drawn_mixture(random: np.random.Generator, num: int) -> Floats:
    """Shares in steps of 1e-4, none 0, uniform on the simplex."""
    cuts = np.sort(random.choice(np.arange(1, STEPS), num - 1, replace=False))
    return np.diff([0, *cuts, STEPS]) / STEPS


def learned(sample: Sample, weights: Floats, merges: int) -> Vocabulary:
    """The tokenizer of a mixture in which each category's text weighs so much."""
    return learned_of(sample.words, sample.mixed(weights), merges)


def learned_of(words: pa.LargeBinaryArray, counts: NDArray[np.int64], merges: int) -> Vocabulary:
    """The tokenizer of counted pre-tokens."""
    found = train(words, counts, merges + 256).merges.tolist()
    return from_merges(merges_by_id(found), cutting("gpt2").patterns)


def replayed(sample: Sample, vocabulary: Vocabulary, number: int) -> Changes:
    """The counts of pairs of a sample through the merges."""
    data = np.frombuffer(sample.words.buffers()[2], np.uint8)
    offsets = np.concatenate([[0], np.cumsum(sample.lengths)])
    words = Words(byte_ids()[data[: offsets[-1]]], offsets, sample.starts, sample.categories, sample.counts)
    return replay(words, merge_numbers(vocabulary.tokens, vocabulary.merges), number)


class Experiment:
    """The two samples of a cell of the table, from which its trials are made."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Count what is not counted yet."""
        self.options = options
        self.names = chosen_languages(options.path, options.kind, options.categories, options.least)
        self.number = len(self.names)
        unit: Unit = "document" if options.split == "document" else "line"
        tables = counted_strips(options.path, self.names, unit, options.cache)
        self.first = sampled(tables, options.train, options.most * 1e6, from_above=False)
        self.second = self.first
        if options.split != "none":
            self.second = sampled(tables, options.attack, options.most * 1e6, from_above=True)
        self.alone: Floats | None = None

    def sizes(self, sample: Sample) -> Floats:
        """Bytes of each category."""
        return sample.by_category(sample.lengths, self.number)

    def samples(self, truth: Floats, random: np.random.Generator) -> tuple[Sample, Sample]:
        """What a trial trains on and what it attacks with."""
        if self.options.poisson is None:
            return self.first, self.second
        sizes, (train_mb, attack_mb) = self.sizes(self.first), self.options.poisson
        return (
            self.first.resampled(train_mb * 1e6 * truth / sizes, random),
            self.first.resampled(attack_mb * 1e6 / sizes, random),
        )

    def trial(self, number: int) -> dict[str, Any]:
        """Train on a mixture, attack it."""
        random = np.random.default_rng([1, number])
        truth = drawn_mixture(random, self.number)
        begin = time.process_time()
        first, second = self.samples(truth, random)
        vocabulary = learned(first, truth / self.sizes(first) * SCALE, self.options.merges)
        trained = time.process_time()
        changes = replayed(second, vocabulary, self.number)
        ready = time.process_time()
        program = MixtureProgram(changes, self.number)
        solutions = list(program.solve(levels_to(self.options.tolerance_ppm)))
        done = time.process_time()
        sizes = np.rint(self.sizes(second)).astype(np.int64)
        shares = {one.tolerance: byte_shares(one.shares, sizes, program.num_pairs) for one in solutions}
        best = solutions[-1]
        result = {
            "trial": number, "truth": truth.tolist(), "inferred": shares[best.tolerance].tolist(),
            "levels": {f"{level:g}": log_mse(found, truth) for level, found in shares.items()},
            "objective": best.objective, "rows": best.rows, "iterations": best.iterations,
            "seconds": {"train": trained - begin, "replay": ready - trained, "solve": done - ready},
        }  # fmt: skip
        if self.options.baselines:
            result["strings"] = by_strings(second, vocabulary.tokens, sizes).tolist()
            result["efficiency"] = (bytes_per_token(second, vocabulary, self.number) / self._alone()).tolist()
        return result

    def _alone(self) -> Floats:
        """Bytes per token of tokenizers that were trained on one category alone."""
        if self.alone is None:
            found = []
            for place in range(self.number):
                weights = np.zeros(self.number)
                weights[place] = 1
                own = learned(self.first, weights, self.options.merges)
                found.append(bytes_per_token(self.second, own, self.number)[place])
            self.alone = np.array(found)
        return self.alone


def done_before(log: Path, cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The trials of a cell that a log has."""
    if log.exists():
        for line in log.read_text().splitlines():
            one = json.loads(line)
            if one["cell"] == cell:
                yield one


def summary(trials: list[dict[str, Any]]) -> Iterator[str]:
    """Rows of a table: what, trials, mean and standard deviation of log10 MSE."""
    truths = [np.array(one["truth"]) for one in trials]
    scores = {
        "inferred": [log_mse(np.array(one["inferred"]), truth) for one, truth in zip(trials, truths, strict=True)]
    }
    for level in dict.fromkeys(level for one in trials for level in one["levels"]):
        scores[f"{level} ppm"] = [one["levels"][level] for one in trials if level in one["levels"]]
    if all("strings" in one for one in trials):
        scores["TC"] = [log_mse(np.array(one["strings"]), truth) for one, truth in zip(trials, truths, strict=True)]
        if len(trials) > 2:
            shares = by_efficiency([np.array(one["efficiency"]) for one in trials], truths)
            scores["TEE"] = [log_mse(found, truth) for found, truth in zip(shares, truths, strict=True)]
    for name, values in scores.items():
        yield f"| {name} | {len(values)} | {statistics.mean(values):.2f} | {statistics.pstdev(values):.2f} |"


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--kind", choices=("languages", "code"), default="languages")
    parser.add_argument("--categories", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--split", choices=("document", "line", "none"), default="document")
    parser.add_argument("--train", type=float, default=0.5)
    parser.add_argument("--attack", type=float, default=0.5)
    parser.add_argument("--poisson", type=float, nargs=2, metavar=("TRAIN_MB", "ATTACK_MB"))
    parser.add_argument("--merges", type=int, default=10_000)
    parser.add_argument("--tolerance-ppm", type=float, default=1.0)
    parser.add_argument("--most", type=float, default=1000.0)
    parser.add_argument("--least", type=int, default=1_000_000)
    parser.add_argument("--no-baselines", dest="baselines", action="store_false")
    parser.add_argument("--log", type=Path, default=Path("build/mixture-inference.jsonl"))
    parser.add_argument("--cache", type=Path, default=Path("build/mixture-counts"))
    return parser.parse_args()


def main() -> None:
    """Run the experiment that the options describe."""
    options = parsed()
    cell = {name: getattr(options, name) for name in SAME}
    trials = {one["trial"]: one for one in done_before(options.log, cell)}
    if any(number not in trials for number in range(options.trials)):
        experiment = Experiment(options)
        for what, sample in (("train on", experiment.first), ("attack with", experiment.second)):
            sizes = zip(experiment.names, experiment.sizes(sample) / 1e6, strict=True)
            print(f"MB to {what}:", ", ".join(f"{name} {size:.1f}" for name, size in sizes), flush=True)
        apart = zip(experiment.names, dispersion(experiment.first, experiment.second, experiment.number), strict=True)
        print("Times as far apart as by chance:", ", ".join(f"{name} {value:.1f}" for name, value in apart), flush=True)
    for number in range(options.trials):
        if number not in trials:
            trials[number] = one = experiment.trial(number)
            with options.log.open("a") as log:
                log.write(json.dumps({"cell": cell, **one}) + "\n")
            timed = ", ".join(f"{name} {value:.1f} s" for name, value in one["seconds"].items())
            print(f"{number}: {one['levels']}; {one['rows']} rows, {timed}", flush=True)
    print(*summary([trials[number] for number in range(options.trials)]), sep="\n")


if __name__ == "__main__":
    main()
