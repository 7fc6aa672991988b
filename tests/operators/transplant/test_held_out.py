import json

import numpy as np
import pytest

from operators.tokenizer_files import to_tokenizer_json
from operators.transplant.held_out import LEAST, drawn, has_variant, measured, summary
from operators.transplant.methods import Pair, pair_of
from operators.vocabulary import from_merges
from tests.operators.transplant.small_tokenizers import table

LETTERS = [bytes([letter]) for letter in range(97, 123)]
MERGES = [(first, second) for first in LETTERS[:12] for second in LETTERS] + [(b" ", b"ab"), (b"A", b"b")]
CONTENT = to_tokenizer_json(from_merges(MERGES, (r" ?\p{L}+|\s+|[^\s]+",)))


@pytest.fixture(scope="module")
def pair() -> Pair:
    return pair_of(CONTENT, CONTENT)


def test_tokens_are_drawn_by_their_bytes_and_not_by_the_order_of_a_file(pair: Pair) -> None:
    """`tokenizers` hands out a vocabulary in another order in every process."""
    whole = json.loads(CONTENT)
    whole["model"]["vocab"] = dict(reversed(list(whole["model"]["vocab"].items())))
    again = pair_of(json.dumps(whole).encode(), json.dumps(whole).encode())
    assert drawn(pair, None, 3, 40).tolist() == drawn(again, None, 3, 40).tolist()
    assert drawn(pair, None, 3, 40).tolist() != drawn(pair, None, 4, 40).tolist()
    assert {len(pair.target.forms[token]) for token in drawn(pair, None, 3).tolist()} <= {2, 3}


def test_a_fifth_of_the_shared_tokens_at_most_and_none_of_few(pair: Pair) -> None:
    assert len(drawn(pair, None, 3)) == len(MERGES) // 5
    frequent = np.zeros(len(pair.target), bool)
    frequent[256 : 256 + 5 * LEAST - 1] = True
    assert drawn(pair, frequent, 3).size == 0


def test_the_true_row_has_the_best_figures_and_the_mean_row_none(pair: Pair) -> None:
    """A raw cosine would praise the mean row: all rows share a large part."""
    old = table(len(pair.source), 16) + 5
    tokens = drawn(pair, None, 3)
    true = measured(pair, tokens, old[pair.matches.old[tokens]], old)
    np.testing.assert_allclose(true.cosine, 1, atol=1e-5)
    np.testing.assert_allclose(true.distance, 0, atol=1e-6)
    np.testing.assert_allclose(true.norm_ratio, 1, atol=1e-6)
    assert (true.rank == 1).all()
    mean = np.repeat(old[pair.source.is_text].mean(0, dtype=np.float64)[None].astype(np.float32), tokens.size, axis=0)
    raw = (mean * old[tokens]).sum(1) / np.linalg.norm(mean, axis=1) / np.linalg.norm(old[tokens], axis=1)
    assert raw.mean() > 0.95
    poor = measured(pair, tokens, mean, old)
    assert abs(poor.cosine.mean()) < 0.3
    assert np.median(poor.rank) > 50


def test_the_summary_parts_tokens_by_variants_and_has_intervals(pair: Pair) -> None:
    old = table(len(pair.source), 16)
    tokens = drawn(pair, None, 3)
    found = summary(pair, tokens, measured(pair, tokens, old[pair.matches.old[tokens]] + 1, old), 1)
    variant = has_variant(pair)
    forms = [pair.target.forms[token] for token in np.flatnonzero(variant).tolist()]
    assert {form for form in forms if len(form) > 1} == {b"ab", b" ab", b"Ab"}
    assert found["all"]["tokens"] == tokens.size
    assert found["no_variant"]["tokens"] == int((~variant[tokens]).sum())
    for figure in ("centred_cosine", "relative_l2", "norm_ratio", "recall_at_10", "mrr"):
        one = found["all"][figure]
        assert one["low"] <= one["mean"] <= one["high"]
    assert found["all"]["centred_cosine"]["low"] < found["all"]["centred_cosine"]["high"]
