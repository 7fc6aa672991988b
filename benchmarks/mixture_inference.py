"""The controlled experiment of mixture inference (Hayase et al. 2024, table 1) on real text of packages.

    python benchmarks/mixture_inference.py build/corpora/mixed-2gb --kind languages --categories 5 [--trials 20]
        [--merges 10000] [--tolerance-ppm 1] [--attack 1.0] [--least 1500000]

The documents of each category are split in two by a hash of their id. For each trial a mixture is drawn uniformly from
the simplex in steps of 1e-4 (Smith and Tromble 2004); a tokenizer is trained on the first halves in these shares of
bytes, a category weighted to reach its share; its merges are attacked with the counts of the second halves, of which
`--attack` takes a part. log10 of the mean squared error of the shares of bytes, mean and standard deviation over the
trials, beside two baselines of the paper: TEE, from how many bytes a token has in each category (a straight line of
logarithms, fitted to the other trials), and TC, from the category in which each token's string is the most frequent.
Categories are the `--categories` largest with at least `--least` bytes in each half.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators.kernels.bpe import products, train
from operators.kernels.count_tables import add_up
from operators.kernels.encode import encode
from operators.kernels.pretokenize import count
from operators.kernels.replay import replay
from operators.mixture_program import MixtureProgram
from operators.mixture_replay import counted
from operators.mixture_solving import byte_shares, levels_to
from operators.pretoken_counts import GROUP
from operators.pretokenizers import cutting
from operators.vocabulary import Vocabulary, from_merges, merge_table

CODE = frozenset(
    {"c", "c++", "go", "java", "javascript", "python", "rust", "perl", "ruby", "shell", "typescript", "css"}
)
SCALE = 10**12
STEPS = 10_000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Half:
    """One half of a category: its distinct pre-tokens, and how often each stands there."""

    words: pa.LargeBinaryArray
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """One mixture and what was found."""

    truth: Floats
    inferred: Floats
    by_tokens: Floats
    bytes_per_token: Floats
    seconds: dict[str, float]


def log_mse(found: Floats, truth: Floats) -> float:
    """log10 of the mean squared error.

    >>> log_mse(np.array([0.5, 0.5]), np.array([0.4, 0.6]))
    -2.0
    """
    return round(float(np.log10(np.mean((found - truth) ** 2))), 12)


def drawn_mixture(random: np.random.Generator, num: int) -> Floats:
    """Shares in steps of 1e-4, none 0, uniform on the simplex."""
    cuts = np.sort(random.choice(np.arange(1, STEPS), num - 1, replace=False))
    return np.diff([0, *cuts, STEPS]) / STEPS


def halves(path: str, kind: str, num: int, least: int, attack: float) -> dict[str, tuple[Half, Half]]:
    """The categories by name, each with its half to train on and its half to attack with."""
    table = ds.dataset(path).to_table(columns=["id", "text", "lang"])
    sizes = (
        pa.table({"lang": table["lang"], "size": pc.binary_length(table["text"])})
        .group_by("lang")
        .aggregate([("size", "sum")])
    )
    fitting = sorted(
        (size, lang)
        for lang, size in zip(sizes["lang"].to_pylist(), sizes["size_sum"].to_pylist(), strict=True)
        if (lang in CODE) == (kind == "code") and lang != "und" and size >= 2.2 * least
    )[::-1][:num]
    found = {}
    for _, lang in fitting:
        rows = table.filter(pc.equal(table["lang"], lang))
        hashes = [
            int.from_bytes(blake2b(str(name).encode(), digest_size=4).digest()) / 2**32
            for name in rows["id"].to_pylist()
        ]
        place = np.array(hashes)
        found[lang] = (_half(rows, place < 0.5), _half(rows, (place >= 0.5) & (place < 0.5 + attack / 2)))
    return found


def _half(rows: pa.Table, chosen: NDArray[np.bool_]) -> Half:
    texts = pa.concat_arrays(rows["text"].filter(pa.array(chosen)).cast(pa.large_string()).chunks)
    words, counts = count(texts, np.ones(len(texts), np.int64), cutting("gpt2"), None)
    return Half(words.cast(pa.large_binary()), np.asarray(counts))


def trial(
    categories: list[tuple[Half, Half]], truth: Floats, merges: int, tolerance: float, alone: list[float]
) -> Trial:
    """Train on a mixture, attack it."""
    begin = time.perf_counter()
    weighted = [
        np.rint(one.counts * (share / _bytes(one)) * SCALE).astype(np.int64)
        for (one, _), share in zip(categories, truth, strict=True)
    ]
    mixed = add_up(pa.concat_arrays([one.words for one, _ in categories]), np.concatenate(weighted), None)
    learned = train(mixed.words, mixed.counts, merges)
    tokens = products(learned.merges.tolist(), [bytes([value]) for value in _base()])
    vocabulary = from_merges(
        [(tokens[left], tokens[right]) for left, right in learned.merges.tolist()], cutting("gpt2").patterns
    )
    trained = time.perf_counter()
    state = pa.concat_tables(
        pa.table({"pretoken": two.words, "count": two.counts, GROUP: pa.repeat(f"{place:03}", len(two.words))})
        for place, (_, two) in enumerate(categories)
    )
    _, words, num_bytes = counted(state, vocabulary, [])
    number = {token: place for place, token in enumerate(vocabulary.tokens)}
    rows = np.array(
        [(number[left], number[right], number[left + right]) for left, right in vocabulary.merges], np.int64
    )
    changes = replay(words, rows, len(categories))
    replayed = time.perf_counter()
    program = MixtureProgram(changes, len(categories))
    best = list(program.solve(levels_to(tolerance)))[-1]
    solved = time.perf_counter()
    texts = [two for _, two in categories]
    lengths = [_bytes(two) / _num_tokens(two, vocabulary) for two in texts]
    return Trial(
        truth,
        byte_shares(best.shares, num_bytes, program.num_pairs),
        _by_tokens(vocabulary, texts),
        np.array(lengths) / alone,
        {"train": trained - begin, "count and replay": replayed - trained, "solve": solved - replayed},
    )


def _base() -> bytes:
    from operators.byte_alphabet import bytes_in_id_order

    return bytes_in_id_order()


def _bytes(half: Half) -> int:
    return int(np.sum(pc.binary_length(half.words).to_numpy() * half.counts))


def _num_tokens(half: Half, vocabulary: Vocabulary) -> int:
    lists = encode(half.words, merge_table(vocabulary))
    return int(np.sum(np.diff(lists.offsets.to_numpy()) * half.counts))


def alone(category: tuple[Half, Half], merges: int) -> float:
    """Bytes per token of a tokenizer that was trained on the category alone."""
    one, two = category
    learned = train(one.words, one.counts, merges)
    tokens = products(learned.merges.tolist(), [bytes([value]) for value in _base()])
    pairs = [(tokens[left], tokens[right]) for left, right in learned.merges.tolist()]
    return _bytes(two) / _num_tokens(two, from_merges(pairs, cutting("gpt2").patterns))


def _by_tokens(vocabulary: Vocabulary, texts: list[Half]) -> Floats:
    """TC: the share of the tokens whose string is more frequent in a category than in the others."""
    place = {token: number for number, token in enumerate(vocabulary.tokens) if len(token) > 1}
    longest = max(map(len, place))
    frequency = np.zeros((len(vocabulary.tokens), len(texts)))
    for column, half in enumerate(texts):
        for word, number in zip(half.words.to_pylist(), (half.counts / _bytes(half)).tolist(), strict=True):
            for begin in range(len(word)):
                for end in range(begin + 2, min(len(word), begin + longest) + 1):
                    token = place.get(word[begin:end])
                    if token is not None:
                        frequency[token, column] += number
    seen = frequency.max(1) > 0
    votes = np.bincount(frequency[seen].argmax(1), minlength=len(texts))
    shares: Floats = votes / votes.sum()
    return shares


def by_efficiency(trials: list[Trial]) -> list[Floats]:
    """TEE: shares from the bytes per token, by a line through the logarithms of all other trials."""
    found = []
    for left_out, one in enumerate(trials):
        others = [other for number, other in enumerate(trials) if number != left_out]
        x, y = (
            np.log(np.concatenate([getattr(other, name) for other in others])) for name in ("bytes_per_token", "truth")
        )
        slope, level = np.polyfit(x, y, 1)
        shares = np.exp(level + slope * np.log(one.bytes_per_token))
        found.append(shares / shares.sum())
    return found


def main() -> None:
    """Run the experiment that the options describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--kind", choices=("languages", "code"), default="languages")
    parser.add_argument("--categories", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--merges", type=int, default=10_000)
    parser.add_argument("--tolerance-ppm", type=float, default=1.0)
    parser.add_argument("--attack", type=float, default=1.0)
    parser.add_argument("--least", type=int, default=1_000_000)
    options = parser.parse_args()
    found = halves(options.path, options.kind, options.categories, options.least, options.attack)
    categories = list(found.values())
    sizes = ", ".join(f"{name} {_bytes(one) / 1e6:.1f}" for name, (one, _) in found.items())
    print(f"{len(found)} categories, MB of text to train on: {sizes}")
    own = [alone(category, options.merges) for category in categories]
    random = np.random.default_rng(1)
    trials = []
    for number in range(options.trials):
        one = trial(categories, drawn_mixture(random, len(categories)), options.merges, options.tolerance_ppm, own)
        trials.append(one)
        timed = ", ".join(f"{name} {value:.1f} s" for name, value in one.seconds.items())
        print(
            f"{number}: {log_mse(one.inferred, one.truth):.2f}, TC {log_mse(one.by_tokens, one.truth):.2f}; {timed}",
            flush=True,
        )
    rows = {
        "inferred": [log_mse(one.inferred, one.truth) for one in trials],
        "TC": [log_mse(one.by_tokens, one.truth) for one in trials],
        "TEE": [log_mse(shares, one.truth) for shares, one in zip(by_efficiency(trials), trials, strict=True)]
        if len(trials) > 2
        else [],
    }
    for name, values in rows.items():
        if values:
            print(f"| {name} | {statistics.mean(values):.2f} | {statistics.pstdev(values):.2f} |")


if __name__ == "__main__":
    main()
