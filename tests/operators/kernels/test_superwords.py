"""The counted route of SuperBPE against its slow reference, and against what `tokenizers` makes of the written file."""

import json
from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers

from operators.byte_alphabet import bytes_in_id_order, to_bytes
from operators.encode import Merge, apply_merges
from operators.engine_spans import pieces
from operators.kernels import bpe_reference, superwords_reference
from operators.kernels.bpe import Learned, Veto, products, train, train_sequences
from operators.kernels.pretokenize import count
from operators.kernels.superwords import Runs, count_runs, eligible, learn
from operators.pretokenizers import PATTERNS, cutting
from operators.tokenizer_files import merges_by_id, to_tokenizer_json
from operators.vocabulary import Vocabulary, from_merges
from tests.operators.kernels.test_bpe import library_sources

FIRST, SECOND = cutting("superbpe"), cutting("superbpe_stage2")
TEXTS = st.lists(
    st.one_of(
        *(st.text(alphabet, max_size=40) for alphabet in ("ab ", "aB: .\n", "a \t\n\r", "a1 (", "aé中。 \u0301")),
        st.lists(st.sampled_from(["to", " be", " or", " not", ": ", ", ", "\n", "  ", "0.5"]), max_size=20).map(
            "".join
        ),
    ),
    max_size=6,
)
WEIGHTS = st.lists(st.integers(0, 4), min_size=6, max_size=6)
VETOES = st.builds(
    Veto,
    st.sampled_from([0, 1, 2, 4]),
    st.sampled_from([(), (b": ",), (b"\n",), (b" ", b"ab"), (b"\xa9",)]),
    st.just(0),
)


def array(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def first_stage(texts: list[str], weights: list[int], num_merges: int) -> Vocabulary:
    words, totals = count(array(texts), np.array(weights[: len(texts)], np.int64), FIRST)
    return from_merges(merges_by_id(train(words, totals, 256 + num_merges).merges.tolist()), SECOND.patterns)


def counted(texts: list[str], weights: list[int], first: Vocabulary, veto: Veto) -> Runs:
    return count_runs(
        array(texts), np.array(weights[: len(texts)], np.int64), SECOND, first, eligible(first.tokens, veto=veto)
    )


def by_run(runs: Runs, tokens: list[bytes]) -> dict[tuple[bytes, ...], int]:
    bounds = zip(runs.offsets[:-1].tolist(), runs.offsets[1:].tolist(), strict=True)
    keys = [tuple(tokens[token] for token in runs.ids[start:end].tolist()) for start, end in bounds]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, runs.counts.tolist(), strict=True))


def both(first: Vocabulary, learned: Learned) -> Vocabulary:
    strings = products(learned.merges.tolist(), first.tokens)
    second = [(strings[left], strings[right]) for left, right in learned.merges.tolist()]
    return from_merges([*first.merges, *second], SECOND.patterns)


@given(TEXTS, WEIGHTS, st.integers(0, 12), VETOES)
def test_runs_are_those_of_the_reference(texts: list[str], weights: list[int], num: int, veto: Veto) -> None:
    first = first_stage(texts, weights, num)
    excluded = {token for token in first.tokens if not superwords_reference.is_eligible(token, *veto[:2])}
    expected = superwords_reference.count_runs(
        zip(texts, weights, strict=False), SECOND.patterns, first.merges, excluded
    )
    assert by_run(counted(texts, weights, first, veto), first.tokens) == expected


@given(TEXTS, WEIGHTS, st.integers(0, 12), st.integers(0, 12), VETOES)
def test_all_merges_are_those_of_the_reference(
    texts: list[str], weights: list[int], num_first: int, num_second: int, veto: Veto
) -> None:
    first = first_stage(texts, weights, num_first)
    learned = learn(counted(texts, weights, first, veto), first.tokens, num_second, veto=veto)
    patterns = FIRST.patterns, SECOND.patterns
    weighted = list(zip(texts, weights, strict=False))
    expected = superwords_reference.train(weighted, patterns, num_first, num_second, *veto[:2])
    assert list(both(first, learned).merges) == expected


@given(TEXTS, WEIGHTS, st.integers(0, 12), st.integers(0, 30), st.integers(0, 5), VETOES)
def test_cutting_at_rare_borders_changes_no_merge_and_no_count(
    texts: list[str], weights: list[int], num_first: int, num_second: int, least: int, veto: Veto
) -> None:
    first = first_stage(texts * 3, weights * 3, num_first)
    runs = counted(texts * 3, weights * 3, first, veto)
    learned = learn(runs, first.tokens, num_second, least, veto=veto)
    whole = train_sequences(runs.ids, runs.offsets, runs.counts, first.tokens, num_second, least, veto=veto)
    assert [column.tolist() for column in learned] == [column.tolist() for column in whole]


@pytest.mark.parametrize("num_second", [10, 300, 1500])
def test_cutting_at_rare_borders_changes_nothing_on_text(num_second: int) -> None:
    texts = library_sources(150_000)
    first = first_stage(texts, [1] * len(texts), 600)
    veto = Veto(4, (b": ",))
    runs = counted(texts, [1] * len(texts), first, veto)
    learned = learn(runs, first.tokens, num_second, veto=veto)
    whole = train_sequences(runs.ids, runs.offsets, runs.counts, first.tokens, num_second, veto=veto)
    assert [column.tolist() for column in learned] == [column.tolist() for column in whole]
    assert len(learned.merges) == num_second


@given(TEXTS, st.integers(0, 12), st.integers(0, 30), VETOES)
def test_tokenizers_meets_every_token_as_often_as_training_left_it(
    texts: list[str], num_first: int, num_second: int, veto: Veto
) -> None:
    first = first_stage(texts, [1] * 6, num_first)
    learned = learn(counted(texts, [1] * 6, first, veto), first.tokens, num_second, veto=veto)
    tokenizer = Tokenizer.from_str(to_tokenizer_json(both(first, learned)).decode())
    met = Counter(to_bytes(token) or b"" for text in texts for token in tokenizer.encode(text).tokens)
    assert met == left_by_training(texts, first, num_second, veto)


def left_by_training(texts: list[str], first: Vocabulary, num_second: int, veto: Veto) -> Counter[bytes]:
    """The tokens of all chunks after the first merges, each run replaced by what learning made of it."""
    priorities: dict[Merge, int] = {merge: place for place, merge in enumerate(first.merges)}
    excluded = {token for token in first.tokens if not superwords_reference.is_eligible(token, *veto[:2])}
    runs = superwords_reference.count_runs([(text, 1) for text in texts], SECOND.patterns, first.merges, excluded)
    rows = [([first.ids[token] for token in run], total) for run, total in runs.items()]
    merges = bpe_reference.learn(
        rows, first.tokens, len(first.ids) + num_second, max_words=veto.max_words, forbidden=veto.forbidden
    )
    strings = products(merges, first.tokens)
    made = {run: [strings[token] for token in row] for run, (row, _) in zip(runs, rows, strict=True)}
    left: Counter[bytes] = Counter()
    for text in texts:
        for chunk in pieces(text, SECOND.patterns):
            for _, run in groupby(apply_merges(chunk.encode(), priorities), lambda token: token in excluded):
                tokens = tuple(run)
                left.update(made.get(tokens, tokens))
    return left


def test_second_merges_are_those_of_tokenizers_over_chunks_of_a_character_for_each_token() -> None:
    texts = library_sources(60_000)
    first = first_stage(texts, [1] * len(texts), 400)
    priorities = {merge: place for place, merge in enumerate(first.merges)}
    chunks = [
        "".join(chr(0x4E00 + first.ids[token]) for token in apply_merges(chunk.encode(), priorities))
        for text in texts
        for chunk in pieces(text, SECOND.patterns)
    ]
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=len(set("".join(chunks))) + 300, show_progress=False)
    tokenizer.train_from_iterator(chunks, trainer)
    expected = [
        tuple(b"".join(first.tokens[ord(character) - 0x4E00] for character in part) for part in merge)
        for merge in json.loads(tokenizer.to_str())["model"]["merges"]
    ]
    learned = learn(counted(texts, [1] * len(texts), first, Veto()), first.tokens, 300)
    assert list(both(first, learned).merges[400:]) == expected


@given(TEXTS, st.integers(0, 12), st.integers(0, 30), VETOES)
def test_no_second_merge_makes_the_string_of_a_token(
    texts: list[str], num_first: int, num_second: int, veto: Veto
) -> None:
    first = first_stage(texts, [1] * 6, num_first)
    learned = learn(counted(texts, [1] * 6, first, veto), first.tokens, num_second, veto=veto)
    strings = products(learned.merges.tolist(), first.tokens)
    assert len(strings) == len(first.tokens) + len(learned.merges)


@given(st.lists(st.text("ab: \u00e9").map(str.encode)), VETOES, st.integers(2, 9))
def test_a_token_is_eligible_if_and_only_if_a_longer_one_could_hold_it(
    tokens: list[bytes], veto: Veto, longest: int
) -> None:
    for token, is_eligible in zip(tokens, eligible(tokens, longest, veto).tolist(), strict=True):
        grown = [token + bytes([byte]) for byte in b"abx: \xa9"] + [bytes([byte]) + token for byte in b"abx: \xa9"]
        allowed = [
            string
            for string in grown
            if len(string) <= longest and superwords_reference.is_eligible(string, veto.max_words, veto.forbidden)
        ]
        assert is_eligible or not allowed


def test_the_digest_of_a_run_is_the_same_everywhere() -> None:
    first = from_merges([], ())
    one = count_runs(array(["ab", "cd"]), np.ones(2, np.int64), SECOND, first, np.full(256, True))
    other = count_runs(array(["xy", "cd", "", "ab"]), np.ones(4, np.int64), SECOND, first, np.full(256, True))
    found = [dict(zip(by_run(runs, bytes_of()), runs.digests.tolist(), strict=True)) for runs in (one, other)]
    assert found[0].items() <= found[1].items()


def bytes_of() -> list[bytes]:
    return [bytes([byte]) for byte in bytes_in_id_order()]


def test_many_pieces_and_runs_make_the_tables_grow() -> None:
    rng = np.random.default_rng(5)
    words = ["".join(chr(97 + letter) for letter in rng.integers(0, 26, rng.integers(1, 12))) for _ in range(9_000)]
    lines = [f"{left} {right}" for left, right in pairwise(words)]
    first = first_stage(lines, [1] * len(lines), 50)
    expected = superwords_reference.count_runs([(line, 1) for line in lines], SECOND.patterns, first.merges)
    assert by_run(counted(lines, [1] * len(lines), first, Veto()), first.tokens) == expected


def test_a_choice_that_does_not_fit_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="a choice for each of 256, not 3"):
        count_runs(array(["ab"]), np.ones(1, np.int64), SECOND, from_merges([], ()), np.full(3, True))


def test_the_two_patterns_are_those_that_are_published() -> None:
    assert FIRST.patterns == PATTERNS["superbpe"]
    assert SECOND.patterns == PATTERNS["superbpe_stage2"]
