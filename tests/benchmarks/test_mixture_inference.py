import dataclasses
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import mixture_inference
from benchmarks.mixture_baselines import by_efficiency, by_strings
from benchmarks.mixture_inference import drawn_mixture, log_mse
from benchmarks.mixture_samples import EDGES, Sample, counted_strips, dispersion, parts_of, sampled, strips_for

RANDOM = {5: (-1.39, 0.36), 10: (-1.84, 0.23), 30: (-2.70, 0.13), 112: (-3.82, 0.07)}
UNIFORM = {5: (-1.67, 0.31), 10: (-2.14, 0.22), 30: (-3.01, 0.14), 112: (-4.12, 0.08)}
LETTERS = {"one": "abcdefgh ", "two": "efghijkl ", "three": "ijklmnop "}

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three languages of made-up words, each with a line of every length."""
    draw = random.Random(5)
    rows = []
    for lang, letters in LETTERS.items():
        known = ["".join(draw.choices(letters.strip(), k=draw.randint(2, 7))) for _ in range(60)]
        for number in range(120):
            lines = (" ".join(draw.choices(known, range(60, 0, -1), k=9)) for _ in range(12))
            rows.append((f"{lang}-{number}", "\n".join(lines) + "\n", lang))
    path = tmp_path_factory.mktemp("corpus") / "words.parquet"
    pq.write_table(pa.table(dict(zip(("id", "text", "lang"), map(list, zip(*rows, strict=True)), strict=True))), path)
    return path


@pytest.fixture
def run(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def experiment(*options: str) -> list[dict[str, Any]]:
        log = tmp_path / "log.jsonl"
        common = ["--least", "0", "--merges", "60", "--log", str(log), "--cache", str(tmp_path / "counts")]
        monkeypatch.setattr(sys, "argv", ["", str(corpus), "--categories", "3", *common, *options])
        mixture_inference.main()
        return [json.loads(line) for line in log.read_text().splitlines()]

    return experiment


@pytest.mark.parametrize("num", RANDOM)
def test_guesses_score_as_in_the_paper(num: int) -> None:
    """Hayase et al. 2024, table 1: a random guess; and an even one, from the notebook of its repository."""
    random = np.random.default_rng(num)
    truths = [drawn_mixture(random, num) for _ in range(2000)]
    guesses = [log_mse(drawn_mixture(random, num), truth) for truth in truths]
    even = [log_mse(np.full(num, 1 / num), truth) for truth in truths]
    for scores, (mean, deviation) in ((guesses, RANDOM[num]), (even, UNIFORM[num])):
        assert np.mean(scores) == pytest.approx(mean, abs=0.04)
        assert np.std(scores) == pytest.approx(deviation, abs=0.04)


def test_shares_are_hundredths_of_a_percent_and_none_is_0() -> None:
    shares = drawn_mixture(np.random.default_rng(1), 30)
    assert shares.sum() == pytest.approx(1)
    assert shares.min() >= 1e-4
    assert np.allclose(shares * 1e4, np.rint(shares * 1e4))


def test_every_line_is_in_one_part() -> None:
    text = "".join(f"{number} {'x' * number}\n" for number in range(2000)) + "the last one"
    parts = parts_of("name", text, "line")
    assert sorted(line for _, part in parts for line in part.splitlines()) == sorted(text.splitlines())
    assert parts == parts_of("name", text, "line")
    shares = np.array([part.count("\n") for _, part in parts]) / 2000
    assert np.allclose(shares, np.diff(EDGES), atol=0.05)
    assert len(parts_of("name", text, "document")) == 1


def test_shares_from_both_ends_are_disjoint_and_grow() -> None:
    below, above = strips_for(0.5, from_above=False), strips_for(0.5, from_above=True)
    assert sorted(below + above) == strips_for(1.0, from_above=True) == list(range(len(EDGES) - 1))
    assert set(strips_for(0.25, from_above=True)) < set(above)
    assert sum(np.diff(EDGES)[strips_for(0.25, from_above=True)]) == 0.25
    with pytest.raises(ValueError, match="none of 1, 1/2"):
        strips_for(0.3, from_above=False)


def test_a_sample_has_at_most_so_many_bytes(corpus: Path, tmp_path: Path) -> None:
    tables = counted_strips(str(corpus), list(LETTERS), "line", tmp_path)
    whole, half = (sampled(tables, 1.0, most, from_above=True) for most in (1e9, 40_000))
    size = corpus_bytes(corpus)
    assert whole.by_category(whole.lengths, 3).tolist() == size
    assert all(0.3 * one < part <= 40_000 for one, part in zip(size, half.by_category(half.lengths, 3), strict=True))
    weights = np.array([2.0, 0.0, 3.0])
    assert int(whole.mixed(weights) @ whole.lengths) == 2 * size[0] + 3 * size[2]


def corpus_bytes(corpus: Path) -> list[int]:
    rows = pq.read_table(corpus).to_pylist()
    return [sum(len(row["text"]) for row in rows if row["lang"] == lang) for lang in LETTERS]


def test_counts_by_chance_are_about_what_they_are_drawn_from(corpus: Path, tmp_path: Path) -> None:
    whole = sampled(counted_strips(str(corpus), list(LETTERS), "line", tmp_path), 1.0, 1e9, from_above=True)
    drawn = whole.resampled(np.array([1.0, 0.01, 100.0]), np.random.default_rng(0))
    assert drawn.counts.min() > 0
    ratio = drawn.by_category(drawn.lengths, 3) / whole.by_category(whole.lengths, 3)
    assert np.allclose(ratio, [1.0, 0.01, 100.0], rtol=0.1)
    words = {word: whole.counts[whole.starts[place]] for place, word in enumerate(whole.words.to_pylist())}
    assert len(words) == len(whole.words)
    assert drawn.starts[-1] == len(drawn.counts) == len(drawn.categories)


def test_counts_by_chance_are_as_far_apart_as_chance_says_and_documents_farther() -> None:
    draw = np.random.default_rng(1)
    words = pa.array([f"{number:04}".encode() for number in range(2000)], pa.large_binary())
    counts = draw.integers(50, 500, 2000)
    sample = Sample(words, np.arange(2001), np.zeros(2000, np.int16), counts, np.full(2000, 4))
    first, second = (sample.resampled(np.array([factor]), draw) for factor in (3.0, 5.0))
    assert dispersion(first, second, 1)[0] == pytest.approx(1, abs=0.2)
    in_bursts = dataclasses.replace(second, counts=draw.poisson(counts / 2) * 10)
    assert dispersion(first, in_bursts, 1)[0] > 3
    backwards = Sample(words[::-1], np.arange(2001), np.zeros(2000, np.int16), first.counts[::-1], np.full(2000, 4))
    assert dispersion(first, backwards, 1)[0] == 0


def test_strings_are_counted_wherever_they_stand() -> None:
    words = pa.array([b"aabab", b"bb"], pa.large_binary())
    sample = Sample(
        words, np.array([0, 1, 3]), np.array([0, 0, 1], np.int16), np.array([1, 1, 5]), np.array([5, 2]),
    )  # fmt: skip
    sizes = np.array([7.0, 10.0])
    # ab: twice in the first category; bb: 1/7 there, 5/10 in the second; ba: once in the first; zz: nowhere
    assert by_strings(sample, [b"a", b"b", b"ab", b"bb", b"ba", b"zz"], sizes).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_shares_that_are_a_power_of_the_bytes_per_token_are_found() -> None:
    draw = np.random.default_rng(0)
    truths = [drawn_mixture(draw, 4) for _ in range(5)]
    found = by_efficiency([truth**0.1 for truth in truths], truths)
    assert np.allclose(found, truths)


def test_the_same_text_explains_all_merges_and_other_lines_of_it_nearly(run: Run) -> None:
    same = run("--split", "none", "--trials", "3", "--tolerance-ppm", "0.01")
    assert max(one["objective"] for one in same) < 1e-6
    lines = run("--split", "line", "--trials", "3", "--tolerance-ppm", "50")[3:]
    assert min(one["objective"] for one in lines) > 1
    assert -8 < error(lines) < -2.5


def test_more_text_by_chance_gives_smaller_errors(run: Run) -> None:
    few = run("--poisson", "0.003", "0.003", "--trials", "4", "--no-baselines")
    many = run("--poisson", "30", "30", "--trials", "4", "--no-baselines")[4:]
    assert error(many) < error(few) - 1


def error(trials: list[dict[str, Any]]) -> float:
    return float(np.mean([log_mse(np.array(one["inferred"]), np.array(one["truth"])) for one in trials]))


def test_trials_of_a_log_are_not_done_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    first = run("--trials", "2", "--tolerance-ppm", "50")
    shown = capsys.readouterr().out
    both = run("--trials", "3", "--tolerance-ppm", "50")
    assert both[:2] == first
    assert [one["trial"] for one in both] == [0, 1, 2]
    assert "| inferred | 2 |" in shown
    assert "| TEE | 3 |" in capsys.readouterr().out
    assert run("--trials", "1", "--tolerance-ppm", "50", "--split", "none")[3]["trial"] == 0
