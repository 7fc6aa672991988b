"""What mixture inference costs: counting, replay and solving, by the number of words and of categories.

    python benchmarks/mixture_cost.py build/corpora/mixed-500mb [--merges 30000] [--tolerance-ppm 20]
        [--cases 30:0.125 30:0.25 30:0.5 60:0.5 112:0.5] [--gpt-2]

The documents of the 30 largest languages are split by a hash of their id, as in `mixture_inference.py`. For each case
`categories:share` a tokenizer of `--merges` merges is trained on one half in a mixture that is drawn uniformly, and
attacked with so large a share of all documents from the other half. Categories beyond 30 are the same languages again,
re-weighted: in category k each word of language k modulo 30 counts Poisson(its count times a factor), where log(factor)
is normal with deviation 1, a hash of the word and k, and so the same in both halves; the Poisson draws are not.

With `--gpt-2` nothing is trained, and the first merges of GPT-2, which saw other texts, are asked of the same samples:
what a program costs whose rows no mixture satisfies. Its ranks come out of the package that `real_tokenizers.py` names.

Each case is a process of its own on one core. Seconds are those of the CPU, and in brackets wall; megabytes are the
peak of the process so far. Counting is that of the pre-tokens of all texts that are attacked with, texts in memory;
training has the pre-tokens of all halves added up already.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from xxhash import xxh3_64_intdigest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.mixture_inference import SCALE, drawn_mixture, learned, log_mse, replayed
from benchmarks.mixture_samples import Sample, chosen_languages, counted_strips, parts_of, sampled, strips_for
from benchmarks.real_tokenizers import TOKENIZERS, tokenizer_file
from operators import merge_sources
from operators.hashing import mix64
from operators.kernels.pretokenize import count
from operators.mixture_program import MixtureProgram
from operators.mixture_solving import byte_shares, levels_to
from operators.pretokenizers import cutting
from operators.vocabulary import Vocabulary, from_merges

T = TypeVar("T")

LANGUAGES: Final = 30
DEVIATION: Final = 1.0
COLUMNS: Final = (
    "categories", "share", "words", "word counts", "train", "count", "replay", "entries", "MB", "solve", "rows",
    "searches", "iterations", "ppm", "MB", "log10 MSE",
)  # fmt: skip


def timed(work: Callable[[], T]) -> tuple[T, str]:
    """What a function returns, and its seconds: CPU, and wall in brackets."""
    begin = time.process_time(), time.perf_counter()
    found = work()
    return found, f"{time.process_time() - begin[0]:.1f} ({time.perf_counter() - begin[1]:.1f})"


def peak() -> str:
    """MB of memory that this process has used at most."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f}"


def texts_of(path: str, names: list[str], share: float) -> list[pa.Array]:
    """The documents of each language that are attacked with."""
    chosen = pc.field("lang").isin(names)
    rows = ds.dataset(path).to_table(columns=["id", "text", "lang"], filter=chosen)
    strips = set(strips_for(share, from_above=True))
    taken = [parts_of(name, "", "document")[0][0] in strips for name in rows["id"].to_pylist()]
    rows = rows.filter(pa.array(taken, pa.bool_()))
    return [
        rows.filter(pc.equal(rows["lang"], name))["text"].combine_chunks().cast(pa.large_string()) for name in names
    ]


def seconds_of_counting(texts: list[pa.Array]) -> str:
    """Of counting the pre-tokens of each language."""
    return timed(lambda: [count(one, np.ones(len(one), np.int64), cutting("gpt2")) for one in texts if len(one)])[1]


def with_more(sample: Sample, number: int, seed: int) -> Sample:
    """A sample of the languages with re-weighted ones beside them, up to so many categories."""
    digests = np.fromiter(map(xxh3_64_intdigest, sample.words.to_pylist()), np.uint64, len(sample.words))
    words, categories, counts = [sample.word], [sample.categories], [sample.counts]
    for k in range(LANGUAGES, number):
        chosen = sample.categories == k % LANGUAGES
        word = sample.word[chosen]
        uniform, angle = (mix64(digests[word] + np.uint64(2 * k + part)) / 2.0**64 for part in (0, 1))
        normal = np.sqrt(-2 * np.log1p(-np.minimum(uniform, 1 - 2.0**-53))) * np.cos(2 * np.pi * angle)
        drawn = np.random.default_rng([seed, k]).poisson(sample.counts[chosen] * np.exp(DEVIATION * normal))
        words.append(word[drawn > 0])
        categories.append(np.full(len(words[-1]), k, np.int16))
        counts.append(drawn[drawn > 0])
    order = np.argsort(np.concatenate(words), kind="stable")
    starts = np.searchsorted(np.concatenate(words)[order], np.arange(len(sample.words) + 1))
    return Sample(
        sample.words, starts, np.concatenate(categories)[order], np.concatenate(counts)[order], sample.lengths
    )


def gpt_2(merges: int) -> Vocabulary:
    """The first merges of GPT-2."""
    patterns = cutting("gpt2").patterns
    source = merge_sources.read(str(tokenizer_file(TOKENIZERS[0])), patterns)
    return from_merges(source.merges[:merges], patterns)


def measured(options: argparse.Namespace, number: int, share: float) -> list[str]:
    """The row of one case."""
    names = chosen_languages(options.path, "languages", LANGUAGES, 0)
    counting = seconds_of_counting(texts_of(options.path, names, share))
    tables = counted_strips(options.path, names, "document", options.cache)
    first, second = (
        with_more(sampled(tables, part, np.inf, from_above=is_second), number, int(is_second))
        for part, is_second in ((0.5, False), (share, True))
    )
    truth = drawn_mixture(np.random.default_rng(1), number)
    weights = truth / first.by_category(first.lengths, number) * SCALE
    vocabulary, training = (
        (gpt_2(options.merges), "") if options.gpt_2 else timed(lambda: learned(first, weights, options.merges))
    )
    changes, replaying = timed(lambda: replayed(second, vocabulary, number))
    replay_peak = peak()
    program = MixtureProgram(changes, number)
    solutions, solving = timed(lambda: list(program.solve(levels_to(options.tolerance_ppm))))
    best, sizes = solutions[-1], np.rint(second.by_category(second.lengths, number)).astype(np.int64)
    found = byte_shares(best.shares, sizes, program.num_pairs)
    error = "" if options.gpt_2 else f"{log_mse(found, truth):.2f}"
    return [str(number), f"{share:g}", f"{len(second.words):,}", f"{len(second.counts):,}", training, counting,
            replaying, f"{len(changes.change):,}", replay_peak, solving, f"{best.rows:,}", f"{best.rounds:,}",
            f"{best.iterations:,}", f"{best.tolerance:g}", peak(), error]  # fmt: skip


def main() -> None:
    """Each case in a process, or the one case that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--merges", type=int, default=30_000)
    parser.add_argument("--tolerance-ppm", type=float, default=20.0)
    parser.add_argument("--cache", type=Path, default=Path("build/mixture-counts"))
    parser.add_argument("--cases", nargs="*", default=["30:0.125", "30:0.25", "30:0.5", "60:0.5", "112:0.5"])
    parser.add_argument("--gpt-2", action="store_true", help="ask the merges of GPT-2")
    options = parser.parse_args()
    if len(options.cases) == 1:
        number, share = options.cases[0].split(":")
        print(f"| {' | '.join(measured(options, int(number), float(share)))} |", flush=True)
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    given = [f"--merges={options.merges}", f"--tolerance-ppm={options.tolerance_ppm}", f"--cache={options.cache}"]
    given += ["--gpt-2"] * options.gpt_2
    for case in options.cases:
        subprocess.run([sys.executable, __file__, options.path, *given, "--cases", case], check=True)


if __name__ == "__main__":
    main()
