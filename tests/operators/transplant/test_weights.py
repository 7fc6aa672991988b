import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.base import DataError, RecipeError
from operators.tokenizer_files import to_tokenizer_json
from operators.transplant.choice import PieceShare
from operators.transplant.matching import match
from operators.transplant.pieces import Cutter
from operators.transplant.rules import copies, new_rows, normal, subwords, with_variants
from operators.transplant.vocabularies import read_forms
from operators.transplant.weights import (
    EXACT,
    MEAN,
    SUBWORD,
    Floats,
    Marks,
    Routes,
    Weights,
    apply,
    entries_of,
    from_entries,
    mixed,
    read,
    with_rows,
)
from operators.vocabulary import from_merges
from tests.operators.transplant.small_tokenizers import table

MERGES = [(b" ", b"t"), (b"h", b"e"), (b" t", b"he"), (b"t", b"he")]
OTHERS = [(b"h", b"e"), (b"t", b"he"), (b"the", b"n"), (b" ", b"the"), (b" ", b"T"), (b" T", b"he")]


def tokenizer(merges: list[tuple[bytes, bytes]], *special: str) -> bytes:
    return to_tokenizer_json(from_merges(merges, (r" ?\p{L}+|\s+|[^\s]+",), special))


SOURCE, TARGET = tokenizer(MERGES, "<|end|>"), tokenizer(OTHERS, "<|end|>", "<|other|>")


@st.composite
def weights(draw: st.DrawFn) -> Weights:
    new, old = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    places = st.tuples(st.integers(0, new - 1), st.integers(0, old - 1), st.integers(1, 9))
    rows = draw(st.lists(places, max_size=20))
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.empty(0, np.int64)] * 3
    share = np.array(draw(st.lists(st.sampled_from((0, 0.5, 1)), min_size=new, max_size=new)), np.float32)
    mean_of = np.array(draw(st.lists(st.booleans(), min_size=old, max_size=old)))
    return from_entries((columns[0], columns[1], columns[2]), (new, old), np.ones(new, np.uint8), mean_of, share)


def dense(one: Weights) -> NDArray[np.float64]:
    full = np.zeros(one.shape)
    rows, columns, values = entries_of(one, np.ones(one.shape[0], bool))
    full[rows, columns] = values
    mean = one.mean_of / max(one.mean_of.sum(), 1)
    return full + np.outer(one.mean_share, mean)


@given(weights())
def test_rows_are_what_the_whole_matrix_gives(one: Weights) -> None:
    old = table(one.shape[1])
    np.testing.assert_allclose(apply(one, old), dense(one) @ old, rtol=1e-5, atol=1e-6)


@given(weights())
def test_a_file_holds_the_weights_and_is_the_same_bytes_twice(one: Weights) -> None:
    again = read(one.content())
    assert again.content() == one.content()
    np.testing.assert_array_equal(dense(again), dense(one))
    assert again.shape == one.shape


@given(weights(), st.data())
def test_mixing_is_mixing_of_matrices(one: Weights, data: st.DataObject) -> None:
    flat = st.lists(st.sampled_from((0.0, 0.5, 1.0)), min_size=one.shape[0], max_size=one.shape[0])
    share = np.array(data.draw(flat))
    other = from_entries(
        (np.arange(one.shape[0]), np.zeros(one.shape[0], int), np.ones(one.shape[0])), one.shape, one.route, one.mean_of
    )
    found = mixed(one, other, share, one.route)
    expected = (1 - share)[:, None] * dense(one) + share[:, None] * dense(other)
    np.testing.assert_allclose(dense(found), expected, atol=1e-6)


def test_identical_tokenizers_give_the_identical_table() -> None:
    forms = read_forms(SOURCE)
    old = table(len(forms))
    assert apply(copies(forms, forms, match(forms, forms)), old).tobytes() == old.tobytes()


def test_permuted_ids_give_permuted_rows() -> None:
    whole = json.loads(SOURCE)
    order = np.random.default_rng(1).permutation(len(read_forms(SOURCE)))
    whole["model"]["vocab"] = {token: int(order[number]) for token, number in whole["model"]["vocab"].items()}
    whole["added_tokens"][0]["id"] = int(order[whole["added_tokens"][0]["id"]])
    source, target = read_forms(SOURCE), read_forms(json.dumps(whole))
    old = table(len(source))
    found = apply(copies(source, target, match(source, target)), old)
    assert found[order].tobytes() == old.tobytes()


def test_new_rows_are_means_of_their_pieces_and_the_rest_the_mean() -> None:
    source, target = read_forms(SOURCE), read_forms(TARGET)
    old = table(len(source))
    base = copies(source, target, match(source, target))
    assert [target.forms[number] for number in new_rows(base)] == [b"then", b" T", b" The", b""]
    found = subwords(base, source, Cutter(SOURCE).cut(target))
    new = apply(found, old)
    ids = {form: number for number, form in enumerate(source.forms)}
    places = {form: number for number, form in enumerate(target.forms)}
    np.testing.assert_allclose(new[places[b"then"]], (old[ids[b"the"]] + old[ids[b"n"]]) / 2, rtol=1e-6)
    np.testing.assert_allclose(new[-1], old[: len(source) - 1].mean(0), rtol=1e-5, atol=1e-6)
    assert found.routes() == {"exact": 259, "special": 1, "subword": 3, "mean": 1}
    np.testing.assert_allclose(found.sums(), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("share", "expected"), [("mean", (0.5, 0.5)), ("length", (0.75, 0.25)), ("first", (1, 0)), ("last", (0, 1))]
)
def test_what_pieces_weigh(share: PieceShare, expected: tuple[float, float]) -> None:
    source, target = read_forms(SOURCE), read_forms(TARGET)
    found = subwords(copies(source, target, match(source, target)), source, Cutter(SOURCE).cut(target), share)
    row = found.row(target.forms.index(b"then"))
    ids = [source.forms.index(b"the"), source.forms.index(b"n")]
    assert tuple(row.get(one, 0) for one in ids) == expected


def test_a_variant_takes_half_of_a_row() -> None:
    source, target = read_forms(SOURCE), read_forms(TARGET)
    base = subwords(copies(source, target, match(source, target)), source, Cutter(SOURCE).cut(target))
    row = with_variants(base, source, target).row(target.forms.index(b" The"))
    assert row[source.forms.index(b" the")] == row[source.forms.index(b"the")] == 0.25
    assert sum(row.values()) == pytest.approx(1)


def test_normal_rows_have_the_mean_and_the_covariance_of_the_old_ones() -> None:
    source = read_forms(SOURCE)
    many = tokenizer([(bytes([one]), bytes([two])) for one in range(97, 123) for two in range(97, 123)])
    target = read_forms(many)
    base = copies(source, target, match(source, target))
    found = normal(base, seed=5)
    old = table(len(source)) @ np.triu(np.ones((8, 8), np.float32)) + 1
    text = old[source.is_text]
    new = apply(found, old)[new_rows(base)]
    assert len(new) > 600
    np.testing.assert_allclose(new.mean(0), text.mean(0), atol=0.4)
    np.testing.assert_allclose(np.cov(new.T), np.cov(text.T), atol=1.2)
    assert normal(base, seed=5).content() == found.content() != normal(base, seed=6).content()
    np.testing.assert_allclose(found.sums(), 1, atol=1e-5)


def test_rows_of_padding_in_the_table_are_not_looked_at() -> None:
    forms = read_forms(SOURCE)
    base = copies(forms, forms, match(forms, forms))
    old = table(len(forms) + 3)
    old[-3:] = np.nan
    assert apply(base, old).shape == (len(forms), 8)
    with pytest.raises(RecipeError, match="is it another model's"):
        apply(base, old[:5])


def test_what_is_no_matrix_is_refused() -> None:
    one = np.ones(1, bool)
    with pytest.raises(RecipeError, match="not finite"):
        from_entries((np.array([0]), np.array([0]), np.array([np.nan])), (1, 1), np.ones(1, np.uint8), one)
    with pytest.raises(ValueError, match="name old ids 0 to 1: expected 0 to 0"):
        Weights(np.array([0, 2, 2]), np.array([0, 1], np.int32), np.ones(2, np.float32), (2, 1), *_flat(one))
    with pytest.raises(DataError, match="expected the file that init_embeddings leaves"):
        read(b"no archive")


def _flat(mean_of: Marks) -> tuple[Routes, Floats, Marks]:
    return np.ones(2, np.uint8), np.zeros(2, np.float32), mean_of


def test_rows_of_another_matrix() -> None:
    mean = np.ones(3, bool)
    route = np.array([EXACT, MEAN], np.uint8)
    base = from_entries((np.array([0, 1]), np.array([0, 1]), np.ones(2)), (2, 3), route, mean)
    other = from_entries((np.array([0, 1]), np.array([2, 2]), np.ones(2)), (2, 3), np.full(2, SUBWORD, np.uint8), mean)
    found = with_rows(base, other, np.array([False, True]))
    assert (found.row(0), found.row(1)) == ({0: 1.0}, {2: 1.0})
    assert found.routes() == {"exact": 1, "subword": 1}
