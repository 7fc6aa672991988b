import numpy as np
import pyarrow as pa
import pytest

from operators.base import DataError, RecipeError, RunError
from operators.kernels.token_vectors import Settings
from operators.tokenizer_files import to_tokenizer_json
from operators.transplant.auxiliary import Auxiliary, joined, of_donor, of_strings, trained, unit
from operators.transplant.choice import Choice, Method
from operators.transplant.methods import Pair, held_out, pair_of, weights_of
from operators.transplant.similar import of_anchors
from operators.transplant.vocabularies import read_forms
from operators.transplant.weights import Weights, apply
from operators.vocabulary import from_merges
from tests.operators.transplant.small_tokenizers import Letters, sentencepiece_json, table

PATTERN = (r" ?\p{L}+|\s+|[^\s]+",)
OLD = [(b" ", b"c"), (b" c", b"a"), (b" ca", b"t"), (b" ", b"d"), (b" d", b"o"), (b" do", b"g"), (b" ", b"s")]
NEW = [*OLD, (b" c", b"o"), (b" co", b"w"), (b"p", b"i"), (b"pi", b"g"), (b"z", b"q"), (b"zq", b"z")]
SAID = ("the cat sits", "the dog sits", "the cow sits", "a pig runs") * 40


def tokenizer(merges: list[tuple[bytes, bytes]], *special: str) -> bytes:
    return to_tokenizer_json(from_merges(merges, PATTERN, special))


OLD_JSON, NEW_JSON = tokenizer(OLD, "<|end|>"), tokenizer(NEW, "<|end|>", "<|tool|>")


@pytest.fixture(scope="module")
def pair() -> Pair:
    return pair_of(OLD_JSON, NEW_JSON)


@pytest.fixture(scope="module")
def auxiliary(pair: Pair) -> Auxiliary:
    texts = pa.array([f" {said}" for said in SAID], pa.large_string())
    return trained(texts, NEW_JSON, pair.target, Settings(dim=12, epochs=3, seed=1), min_count=5)


def number(pair: Pair, form: bytes) -> int:
    return pair.target.forms.index(form)


def test_frequent_tokens_have_vectors_and_rare_ones_those_of_their_ngrams(pair: Pair, auxiliary: Auxiliary) -> None:
    cow, pig, rare = (number(pair, form) for form in (b" cow", b"pig", b"zqz"))
    assert auxiliary.counts[cow] == 40
    assert auxiliary.frequent[[cow, pig]].all()
    assert not auxiliary.frequent[rare]
    assert not auxiliary.has[rare], "no n-gram of it is known"
    assert not auxiliary.has[len(pair.target) - 1], "a special token has none"
    np.testing.assert_allclose(np.linalg.norm(auxiliary.unit()[auxiliary.has], axis=1), 1, rtol=1e-5)


def test_no_token_as_frequent_as_asked_is_an_error(pair: Pair) -> None:
    with pytest.raises(RunError, match="no token occurs 5000 times"):
        trained(pa.array(["a"], pa.large_string()), NEW_JSON, pair.target, Settings(dim=8), min_count=5000)


@pytest.mark.parametrize("method", ["focus", "wechsel", "omp", "focus_subword", "wechsel_subword"])
def test_convex_methods_stay_inside_the_hull(method: Method, pair: Pair, auxiliary: Auxiliary) -> None:
    found = weights_of(Choice(method), pair, auxiliary)
    assert (found.values >= 0).all()
    np.testing.assert_allclose(found.sums(), 1, atol=1e-5)
    old = table(len(pair.source), 10)
    lengths = np.linalg.norm(old, axis=1)
    assert np.linalg.norm(apply(found, old), axis=1).max() <= lengths.max() * (1 + 1e-6)
    route = found.routes()
    assert route.get(method.removesuffix("_subword"), 0) + route.get("mixed", 0) > 0


def test_no_rare_token_is_an_anchor_and_no_copy_is_changed(pair: Pair, auxiliary: Auxiliary) -> None:
    found = weights_of(Choice("focus"), pair, auxiliary)
    shared = pair.matches.text()
    for row in shared.tolist():
        assert found.row(row) == {int(pair.matches.old[row]): 1.0}
    anchors = {int(pair.matches.old[one]) for one in shared.tolist() if auxiliary.frequent[one]}
    assert set(found.row(number(pair, b" cow"))) <= anchors


def test_a_method_that_compares_vectors_needs_some(pair: Pair) -> None:
    with pytest.raises(RecipeError, match="compares auxiliary vectors"):
        weights_of(Choice("focus"), pair)


def test_a_token_without_a_vector_is_its_pieces(pair: Pair, auxiliary: Auxiliary) -> None:
    found = weights_of(Choice("focus_subword"), pair, auxiliary)
    old = {pair.source.forms[one]: value for one, value in found.row(number(pair, b"zqz")).items()}
    assert old == pytest.approx({b"z": 2 / 3, b"q": 1 / 3})


def test_a_half_is_half_of_each(pair: Pair, auxiliary: Auxiliary) -> None:
    old = table(len(pair.source), 10)
    near, pieces, half = (
        apply(weights_of(Choice(method), pair, auxiliary), old) for method in ("focus", "subword", "focus_subword")
    )
    cow = number(pair, b" cow")
    np.testing.assert_allclose(half[cow], (near[cow] + pieces[cow]) / 2, rtol=1e-4, atol=1e-5)


def test_held_out_tokens_are_neither_matched_nor_pieces_nor_anchors(pair: Pair, auxiliary: Auxiliary) -> None:
    tokens = np.array([number(pair, b" cat"), number(pair, b" d")], np.int32)
    hidden = held_out(pair, OLD_JSON, tokens)
    assert (hidden.matches.old[tokens] == -1).all()
    gone = set(pair.matches.old[tokens].tolist())
    cat = [pair.source.forms[one] for one in hidden.pieces[tokens[0]]]
    assert cat == [b" ca", b"t"]
    dog = [pair.source.forms[one] for one in hidden.pieces[number(pair, b" dog")]]
    assert dog == [b" ", b"d", b"o", b"g"], "its merges went with what they are of"
    found = weights_of(Choice("focus_subword"), hidden, auxiliary)
    assert not gone.intersection(found.indices.tolist())
    assert not found.mean_of[list(gone)].any()


def test_a_donors_rows_are_compared_by_bytes(pair: Pair) -> None:
    donor = read_forms(sentencepiece_json("\u2581cat", "\u2581cow", "\u2581dog"))
    rows = table(len(donor), 32)
    found = of_donor(donor, rows, pair.target)
    assert found.vectors[number(pair, b" cow")].tobytes() == rows[donor.forms.index(b" cow")].tobytes()
    assert int(found.has.sum()) == 3
    with pytest.raises(DataError, match="shares no token"):
        of_donor(read_forms(sentencepiece_json("\u4e2d")), table(4), pair.target)


def test_two_kinds_of_vectors_make_one_cosine(pair: Pair, auxiliary: Auxiliary) -> None:
    size = len(pair.target)
    other = Auxiliary(table(size, 6), np.ones(size, bool), np.ones(size, bool), np.zeros(size, np.int64))
    both = joined(auxiliary, other, 0.25)
    cow, cat = number(pair, b" cow"), number(pair, b" cat")
    expected = 0.75 * auxiliary.unit()[cow] @ auxiliary.unit()[cat] + 0.25 * other.unit()[cow] @ other.unit()[cat]
    assert both.vectors[cow] @ both.vectors[cat] == pytest.approx(expected, abs=1e-5)


def test_an_encoder_sees_the_text_of_tokens_and_nothing_of_parts_of_characters(pair: Pair) -> None:
    found = of_strings(Letters(), pair.target)
    assert (
        found.vectors[number(pair, b" cow")].tobytes()
        == Letters().encode(pa.chunked_array([["cow"]]), pa.chunked_array([["0"]]))[0].tobytes()
    )
    assert not found.has[number(pair, b"\xc3")]
    assert not found.has[number(pair, b" ")]
    assert not found.has[len(pair.target) - 1]


def test_vectors_of_length_zero_stay() -> None:
    assert unit(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]


def test_without_any_anchor_rows_keep_what_they_had(pair: Pair, auxiliary: Auxiliary) -> None:
    nothing = Auxiliary(auxiliary.vectors, auxiliary.has, np.zeros(len(pair.target), bool), auxiliary.counts)
    base: Weights = weights_of(Choice("subword"), pair)
    assert of_anchors(base, pair.matches, nothing, "focus") is base
