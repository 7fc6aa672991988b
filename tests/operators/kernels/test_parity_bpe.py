import gzip
import json
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from tokenizers.trainers import ParityBpeTrainer

from operators.byte_alphabet import byte_ids
from operators.kernels import parity_reference
from operators.kernels.encode import encode, merge_table
from operators.kernels.parity_bpe import GLOBAL, CountedWords, Learned, Policy, train
from operators.kernels.parity_reference import Pair, Rows
from operators.kernels.pretokenize import count
from operators.pretokenizers import PATTERNS

UNLIMITED = 2**31 - 1

TEXTS = st.lists(
    st.sampled_from(["ab", "abc ", "bcd", "a\u00e9\u4e2d"]).flatmap(
        lambda alphabet: st.lists(
            st.tuples(st.text(alphabet, min_size=1, max_size=20), st.integers(1, 9)), min_size=1, max_size=6
        )
    ),
    min_size=1,
    max_size=4,
)


MODES = {
    "base": Policy(4),
    "window": Policy(4, window_size=20, alpha=1.5),
    "hybrid": Policy(4, window_size=20, alpha=1.5, global_merges=300),
    "ratio": Policy(4, ratios=(1.0, 2.0, 0.5, 1.5)),
    "ratio and window": Policy(4, ratios=(1.0, 2.0, 0.5, 1.5), window_size=7, alpha=1.0),
}


def rows_of(languages: Sequence[Sequence[tuple[str, int]]]) -> Rows:
    return [(word.encode(), number, place) for place, words in enumerate(languages) for word, number in words]


def counted(rows: Rows) -> CountedWords:
    words, counts, languages = zip(*rows, strict=True) if rows else ((), (), ())
    return CountedWords(pa.array(words, pa.large_binary()), np.array(counts, np.int64), np.array(languages, np.int32))


def listed(learned: Learned) -> list[tuple[Pair, int, int]]:
    pairs = [(left, right) for left, right in learned.merges.tolist()]
    return list(zip(pairs, learned.counts.tolist(), learned.chosen.tolist(), strict=True))


def learn_by_tokenizers(
    training: Sequence[Sequence[str]],
    num_tokens: int,
    policy: Policy,
    development: Sequence[Sequence[str]] | None = None,
    min_frequency: int = 0,
    max_token_length: int = UNLIMITED,
    pattern: str = r"[\s\S]+",
) -> list[Pair]:
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    options: dict[str, Any] = {} if max_token_length == UNLIMITED else {"max_token_length": max_token_length + 1}
    if policy.window_size:
        options |= {"variant": "window", "window_size": policy.window_size, "alpha": policy.alpha}
    if development is None:
        options["ratio"] = list(policy.ratios or [1.0] * policy.num_languages)
    trainer = ParityBpeTrainer(
        num_merges=num_tokens - 256,
        min_frequency=min_frequency,
        global_merges=policy.global_merges,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **options,
    )
    dev = None if development is None else [iter(texts) for texts in development]
    trainer.train_from_iterator(tokenizer, [iter(texts) for texts in training], dev)
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][a], model["vocab"][b]) for a, b in model["merges"]]


@st.composite
def policies(draw: st.DrawFn, num_languages: int, by_ratio: bool) -> Policy:
    ratios = tuple(draw(st.sampled_from([0.5, 1.0, 1.25, 3.0])) for _ in range(num_languages)) if by_ratio else ()
    return Policy(
        num_languages,
        draw(st.sampled_from([(), ratios])),
        draw(st.sampled_from([0, 0, 1, 2, 5])),
        draw(st.sampled_from([1.0, 1.5, 2.0])),
        draw(st.sampled_from([0, 0, 1, 3, 50])),
    )


@given(st.data(), TEXTS, st.sampled_from([256, 260, 300, 900]), st.integers(0, 4), st.sampled_from([UNLIMITED, 2, 4]))
def test_the_kernel_equals_the_reference(
    data: st.DataObject, languages: list[list[tuple[str, int]]], num_tokens: int, least: int, longest: int
) -> None:
    has_development = data.draw(st.booleans())
    policy = data.draw(policies(len(languages), not has_development))
    rows, development = rows_of(languages), None
    if has_development:
        size = policy.num_languages
        development = rows_of(data.draw(st.lists(TEXTS.map(lambda texts: texts[0]), min_size=size, max_size=size)))
    expected = parity_reference.train(rows, num_tokens, policy, development, least, longest)
    dev = None if development is None else counted(development)
    learned = train(counted(rows), num_tokens, policy, dev, least, longest)
    assert listed(learned) == expected


def all_have_pairs_left(rows: Rows, merges: list[tuple[Pair, int, int]], least: int, longest: int) -> bool:
    """Whether every language could choose again after these merges."""
    num_languages = 1 + max(language for _, _, language in rows)
    for chosen in range(num_languages):
        pieces = [(byte_ids()[list(word)].tolist(), number) for word, number, owner in rows if owner == chosen]
        strings = [1] * 256
        for place, ((left, right), _, _) in enumerate(merges):
            strings.append(strings[left] + strings[right])
            for piece, _ in pieces:
                parity_reference.merge(piece, (left, right), 256 + place)
        totals: Counter[Pair] = Counter()
        for piece, number in pieces:
            for left, right in pairwise(piece):
                totals[left, right] += number if strings[left] + strings[right] <= longest else 0
        if max(totals.values(), default=0) < max(1, least):
            return False
    return True


@given(st.data(), TEXTS, st.sampled_from([257, 260, 270]), st.integers(0, 4), st.sampled_from([UNLIMITED, 2, 4]))
def test_the_reference_equals_tokenizers(
    data: st.DataObject, languages: list[list[tuple[str, int]]], num_tokens: int, least: int, longest: int
) -> None:
    has_development = data.draw(st.booleans())
    policy = data.draw(policies(len(languages), not has_development))
    others = data.draw(st.permutations(languages)) if has_development else None
    development = None if others is None else rows_of(others)
    expected = parity_reference.train(rows_of(languages), num_tokens, policy, development, least, longest)
    if policy.window_size and not all_have_pairs_left(rows_of(languages), expected, least, longest):
        # There is no way out of its window once a language has no pair left and the others were chosen too often.
        policy = policy._replace(window_size=0)
        expected = parity_reference.train(rows_of(languages), num_tokens, policy, development, least, longest)
    training = [[word for word, number in words for _ in range(number)] for words in languages]
    dev = None if others is None else [[word for word, number in words for _ in range(number)] for words in others]
    found = learn_by_tokenizers(training, num_tokens, policy, dev, least, longest)
    assert found == [pair for pair, _, _ in expected]


def library_texts() -> list[list[str]]:
    """Four kinds of text that any Python has: prose, names of characters, code, and code pages."""
    library = Path(sysconfig.get_paths()["stdlib"])
    groups = (["pydoc_data/topics.py"], ["html/entities.py"], ["json/*.py", "email/*.py"], ["encodings/cp1*.py"])
    texts = [
        [path.read_text(encoding="utf-8")[:100_000] for glob in globs for path in sorted(library.glob(glob))]
        for globs in groups
    ]
    assert all(texts), "where a language has no text, the trainer of tokenizers never ends"
    return texts


def counted_texts(languages: Sequence[Sequence[str]]) -> CountedWords:
    words, counts, numbers = [], [], []
    for number, texts in enumerate(languages):
        pretokens, totals = count(pa.array(texts, pa.large_string()), np.ones(len(texts), np.int64), "cl100k")
        words.append(pretokens.cast(pa.large_binary()))
        counts.append(totals)
        numbers.append(np.full(len(totals), number, np.int32))
    return CountedWords(pa.concat_arrays(words), np.concatenate(counts), np.concatenate(numbers))


def same_as_tokenizers(
    training: Sequence[Sequence[str]], development: Sequence[Sequence[str]] | None, policy: Policy, num_tokens: int
) -> Learned:
    dev = None if development is None else counted_texts(development)
    learned = train(counted_texts(training), num_tokens, policy, dev)
    pattern = PATTERNS["cl100k"][0]
    expected = learn_by_tokenizers(training, num_tokens, policy, development, pattern=pattern)
    assert len(expected) == num_tokens - 256
    assert [(left, right) for left, right in learned.merges.tolist()] == expected
    return learned


@pytest.mark.parametrize("mode", MODES)
def test_real_text_gives_the_merges_of_tokenizers(mode: str) -> None:
    texts, policy = library_texts(), MODES[mode]
    development = None if policy.ratios else [language[-1:] for language in reversed(texts)]
    learned = same_as_tokenizers(texts, development, policy, 1500)
    assert set(learned.chosen.tolist()) - {GLOBAL} <= set(range(4))
    assert (learned.chosen == GLOBAL).sum() == policy.global_merges


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_many_languages_give_the_merges_of_tokenizers(mode: str) -> None:
    path = Path(__file__).parents[3] / "data" / "quickstart" / "multilingual.jsonl.gz"
    assert path.exists(), "run `python -m pipeline.fetch quickstart`, as `make slow` does"
    texts: defaultdict[str, list[str]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            texts[line["label"]].append(line["text"])
    # Where a language has no pair left, the peer's window may never end.
    languages = [texts[name] for name in sorted(texts) if sum(map(len, texts[name])) > 20_000]
    assert len(languages) > 50
    ratios = tuple(1 + 0.1 * (place % 7) for place in range(len(languages))) if MODES[mode].ratios else ()
    policy = MODES[mode]._replace(num_languages=len(languages), ratios=ratios)
    development = None if ratios else [language[::6] for language in languages]
    same_as_tokenizers(languages, development, policy, 4000)


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter_nor_whether_counts_are_split(
    languages: list[list[tuple[str, int]]], random: Random
) -> None:
    rows, policy = rows_of(languages), Policy(len(languages))
    dealt = [(word, 1, language) for word, number, language in rows for _ in range(number)]
    random.shuffle(dealt)
    assert listed(train(counted(dealt), 300, policy)) == listed(train(counted(rows), 300, policy))


@given(TEXTS, st.integers(256, 300))
def test_fewer_tokens_are_a_prefix(languages: list[list[tuple[str, int]]], num_tokens: int) -> None:
    text, policy = counted(rows_of(languages)), Policy(len(languages), global_merges=3)
    assert listed(train(text, num_tokens, policy)) == listed(train(text, 300, policy))[: num_tokens - 256]


@given(TEXTS, st.integers(256, 400))
def test_the_lengths_are_those_of_the_text_cut_by_the_merges(
    languages: list[list[tuple[str, int]]], num_tokens: int
) -> None:
    rows = rows_of(languages)
    learned = train(counted(rows), num_tokens, Policy(len(languages)), counted(rows))
    left, right = learned.merges.T
    order = np.arange(len(left))
    table = merge_table(left, right, order, 256 + order, byte_ids())
    pieces = encode(pa.array([word for word, _, _ in rows], pa.large_binary()), table).to_pylist()
    expected = [0] * len(languages)
    for piece, (_, number, language) in zip(pieces, rows, strict=True):
        expected[language] += len(piece) * number
    assert learned.tokens.tolist() == [expected, expected]
    assert learned.bytes[0].sum() == sum(len(word) * number for word, number, _ in rows)


def test_the_longest_development_text_chooses_whatever_the_training_text() -> None:
    training, development = [(b"ab", 10, 0), (b"cd", 5, 1)], [(b"ab", 1, 0), (b"cd", 10, 1)]
    learned = train(counted(training), 300, Policy(2), counted(development))
    assert listed(learned) == [((66, 67), 5, 1), ((64, 65), 10, 0)]
    assert learned.tokens.tolist() == [[10, 5], [1, 10]]


def test_of_equal_pairs_the_one_with_larger_strings_goes_first_also_where_they_differ_late() -> None:
    words = [(b"xxxxxxxxA", 4, 0), (b"xxxxxxxxB", 4, 0), (b"yyyyyyyyyA", 4, 0), (b"yyyyyyyyyAB", 4, 0)]
    expected = parity_reference.train(words, 300, Policy(1))
    assert listed(train(counted(words), 300, Policy(1))) == expected
    assert any(before[1] == after[1] for before, after in pairwise(expected))


def test_a_window_passes_over_who_chose_too_often() -> None:
    rows = [(b"abcdefgh", 100, 0), (b"ABCDEFGH", 1, 1)]
    assert train(counted(rows), 266, Policy(2), counted(rows)).chosen.tolist() == [0] * 7 + [1] * 3
    policy = Policy(2, window_size=4, alpha=1.0)
    assert train(counted(rows), 266, policy, counted(rows)).chosen.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 1, 1]


def test_a_window_ends_where_only_one_language_has_pairs_left() -> None:
    rows = [(b"abcdefgh", 100, 0), (b"AB", 1, 1)]
    learned = train(counted(rows), 300, Policy(2, window_size=4, alpha=1.0), counted(rows))
    assert sorted(learned.chosen.tolist()) == [0] * 7 + [1]


def test_a_pair_must_be_frequent_in_the_language_that_chooses() -> None:
    rows = [(b"ab", 1, 0), (b"ab", 1, 1)]
    assert listed(train(counted(rows), 300, Policy(2), min_frequency=2)) == []
    assert listed(train(counted(rows), 300, Policy(2, global_merges=1), min_frequency=2)) == [((64, 65), 2, GLOBAL)]


def test_counts_beyond_32_bits() -> None:
    rows = [(b"aaaa", 2**33, 0), (b"ab", 2**34, 0), (b"bc", 2**32, 1)]
    assert listed(train(counted(rows), 262, Policy(2))) == parity_reference.train(rows, 262, Policy(2))


@pytest.mark.slow
def test_tables_grow_and_the_pool_is_compacted() -> None:
    rng = np.random.default_rng(1)
    rows = [
        (rng.integers(0, 256, rng.integers(2, 12), np.uint8).tobytes(), 1, int(rng.integers(0, 5)))
        for _ in range(20_000)
    ]
    learned = train(counted(rows), 15_000, Policy(5))
    assert len(learned.merges) == 15_000 - 256
    assert listed(learned)[:3] == parity_reference.train(rows, 259, Policy(5))
    again = train(counted(rows[::-1]), 15_000, Policy(5))
    assert listed(again) == listed(learned)


@pytest.mark.parametrize(("rows", "development"), [([], None), ([(b"a", 5, 0)], None), ([], [(b"ab", 2, 1)])])
def test_a_text_without_a_pair_gives_no_merge(rows: Rows, development: Rows | None) -> None:
    learned = train(counted(rows), 300, Policy(2), None if development is None else counted(development))
    assert listed(learned) == []


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (Policy(0), "1 to 32766 languages"),
        (Policy(2, window_size=-1), "at least 0"),
        (Policy(2, alpha=0.5), "alpha >= 1"),
        (Policy(2, ratios=(1.0,)), "a finite ratio for each of 2"),
        (Policy(2, ratios=(1.0, 0.0)), "ratios above 0"),
        (Policy(1), "below 1"),
    ],
)
def test_wrong_arguments_are_named(policy: Policy, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        train(counted([(b"ab", 1, 0), (b"cd", 1, 1)]), 300, policy)
