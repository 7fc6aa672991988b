import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.linalg import orthogonal_procrustes

from operators.base import DataError, RecipeError
from operators.tokenizer_files import to_tokenizer_json
from operators.transplant.alignment import of_languages, rotation
from operators.transplant.auxiliary import Auxiliary
from operators.transplant.choice import Choice
from operators.transplant.imported import WordPairs, of_pairs, read_pairs, read_rows, refuse_without_rows
from operators.transplant.methods import Pair, pair_of, weights_of
from operators.transplant.pieces import Cutter
from operators.transplant.ridge import mapped, prepared
from operators.transplant.weights import Floats, apply
from operators.vocabulary import from_merges
from tests.operators.transplant.small_tokenizers import table

PATTERN = (r" ?\p{L}+|\s+|[^\s]+",)
OLD = [(b" ", b"h"), (b"o", b"u"), (b"s", b"e"), (b" h", b"ou"), (b" hou", b"se")]
NEW = [(b" ", b"h"), (b"u", b"i"), (b" h", b"ui"), (b" hui", b"s")]


def tokenizer(merges: list[tuple[bytes, bytes]]) -> bytes:
    return to_tokenizer_json(from_merges(merges, PATTERN))


@pytest.fixture(scope="module")
def pair() -> Pair:
    return pair_of(tokenizer(OLD), tokenizer(NEW))


def imported(pair: Pair, pairs: WordPairs) -> dict[bytes, dict[bytes, float]]:
    """The rows that pairs of words give, by the bytes of tokens."""
    base = weights_of(Choice("subword"), pair)
    old, new = Cutter(tokenizer(OLD)), Cutter(tokenizer(NEW))
    found = of_pairs(base, pairs, (pair.source, old), (pair.target, new))
    return {
        pair.target.forms[row]: {pair.source.forms[one]: value for one, value in found.row(row).items()}
        for row in np.flatnonzero(found.route == 14).tolist()
    }


def test_a_dictionary_gives_a_token_the_row_of_its_translation(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("house\thuis\nho\thui\t3\n")
    assert imported(pair, read_pairs(str(tmp_path / "words.tsv"))) == {
        b" huis": {b" house": 1.0},
        b" hui": {b" h": 0.5, b"o": 0.5},
    }


def test_counts_are_spread_over_pieces_all_to_all_and_place_by_place(pair: Pair) -> None:
    rows = imported(pair, {("house", "huiui"): 2.0})
    assert rows == {b" hui": {b" house": 1.0}, b"ui": {b" house": 1.0}}
    rows = imported(pair, {("ho", "huiui"): 1.0})
    assert rows == {b" hui": {b" h": 0.75, b"o": 0.25}, b"ui": {b" h": 0.25, b"o": 0.75}}


def test_aligned_sentences_are_counted_and_rare_pairs_left_out(tmp_path: Path) -> None:
    line = "the house ||| het huis ||| 0-0 1-1\n"
    (tmp_path / "aligned").write_text(line * 12 + "the house ||| huis ||| 0-0\n")
    assert read_pairs(str(tmp_path / "aligned")) == {("house", "huis"): 12, ("the", "het"): 12}
    assert read_pairs(str(tmp_path / "aligned"), least=1)["the", "huis"] == 1


@pytest.mark.parametrize("line", ["one word", "a ||| b ||| 0-7", "a ||| b", "a\tb\tmany", "a ||| b ||| 0--1"])
def test_a_line_that_is_no_pair_is_named(line: str, tmp_path: Path) -> None:
    first = "a ||| a ||| 0-0" if "|||" in line else "a\tb"
    (tmp_path / "pairs").write_text(f"{first}\n{line}\n")
    with pytest.raises(DataError, match="line 2"):
        read_pairs(str(tmp_path / "pairs"))


def test_a_file_without_pairs_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for content in ("\n", ""):
        (tmp_path / "empty").write_text(content)
        with pytest.raises(DataError, match="no word pair"):
            read_pairs(str(tmp_path / "empty"))
    with pytest.raises(RecipeError, match="cannot be read"):
        read_pairs(str(tmp_path / "nowhere"))


def tensor_of_bfloat16(rows: Floats) -> bytes:
    upper = (rows.view(np.uint32) >> 16).astype(np.uint16)
    about = {"embed": {"dtype": "BF16", "shape": rows.shape, "data_offsets": [0, upper.nbytes]}}
    header = json.dumps(about).encode()
    return len(header).to_bytes(8, "little") + header + upper.tobytes()


def test_rows_of_a_file_are_read_and_what_is_wrong_with_them_is_said(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.safetensors")
    save_file({"embed": table(5)}, path)
    found = read_rows(path, "embed", (5, 8))
    assert found is not None
    assert found.tobytes() == table(5).tobytes()
    assert read_rows(path, "lm_head", (5, 8)) is None
    refuse_without_rows(path, tied=True)
    with pytest.raises(
        DataError, match=r"has 'embed', and no 'lm_head'.*one table that reads tokens and one that pred"
    ):
        refuse_without_rows(path, tied=False)
    save_file({"embed": table(5), "lm_head": table(5)}, str(tmp_path / "both.safetensors"))
    refuse_without_rows(str(tmp_path / "both.safetensors"), tied=False)
    (tmp_path / "short.safetensors").write_bytes(tensor_of_bfloat16(found))
    halved = read_rows(str(tmp_path / "short.safetensors"), "embed", (5, 8))
    assert halved is not None
    np.testing.assert_allclose(halved, found, rtol=1 / 128)
    with pytest.raises(DataError, match=r"has shape \(5, 8\): expected \(6, 8\)"):
        read_rows(path, "embed", (6, 8))
    (tmp_path / "rows.bin").write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataError, match="no safetensors file"):
        read_rows(str(tmp_path / "rows.bin"), "embed", (5, 8))


def test_the_rotation_is_scipys_and_goes_from_old_to_new() -> None:
    """mergekit turns the other way round: what comes out there has nothing to do with either space."""
    generator = np.random.default_rng(1)
    old = generator.standard_normal((40, 6)).astype(np.float32)
    turn = np.linalg.qr(generator.standard_normal((6, 6)))[0].astype(np.float32)
    new = old @ turn
    found = rotation(old, new)
    np.testing.assert_allclose(found, orthogonal_procrustes(old, new)[0], atol=1e-5)
    np.testing.assert_allclose(old @ found, new, atol=1e-4)
    assert abs(old @ found.T - new).max() > 1


def vectors_of(vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Auxiliary:
    size = len(vectors)
    return Auxiliary(vectors, np.ones(size, bool), np.ones(size, bool), np.ones(size, np.int64))


def test_a_dictionary_turns_the_old_language_into_the_new(pair: Pair) -> None:
    """The new language's vectors are those of the old one, turned: a token's own translation comes first."""
    generator = np.random.default_rng(5)
    old = generator.standard_normal((len(pair.source), 4)).astype(np.float32)
    turn = np.linalg.qr(generator.standard_normal((4, 4)))[0].astype(np.float32)
    new = generator.standard_normal((len(pair.target), 4)).astype(np.float32)
    shared = pair.matches.text()
    new[shared] = old[pair.matches.old[shared]] @ turn
    huis = pair.target.forms.index(b" huis")
    new[huis] = old[pair.source.forms.index(b" house")] @ turn
    letters = [chr(letter) for letter in range(97, 123)]
    words = {(letter, letter): 1.0 for letter in letters if letter != "h"}
    base = weights_of(Choice("subword"), pair)
    sides = (Cutter(tokenizer(OLD)), vectors_of(old)), (Cutter(tokenizer(NEW)), vectors_of(new))
    found = of_languages(base, words, *sides)
    row = found.row(huis)
    assert pair.source.forms[max(row, key=lambda one: row[one])] == b" house"
    with pytest.raises(DataError, match="expected at least 4"):
        of_languages(base, {("a", "a"): 1.0}, *sides)


def test_a_ridge_corrects_what_parts_get_wrong_alike() -> None:
    """True rows are their pieces' mean, doubled and turned: no sum of old rows is, and the map finds it."""
    letters = [bytes([letter]) for letter in range(97, 123)]
    pieces = [(first, second) for first in letters for second in letters]
    old_json = tokenizer(pieces[: 15 * 26])
    pair = pair_of(old_json, tokenizer(pieces))
    ids = {form: number for number, form in enumerate(pair.source.forms)}
    old = table(len(pair.source), 6, seed=2)
    turn = 2 * np.linalg.qr(np.random.default_rng(3).standard_normal((6, 6)))[0]
    mean = old[:256].mean(0)
    for first, second in pieces[: 15 * 26]:
        old[ids[first + second]] = mean + ((old[ids[first]] + old[ids[second]]) / 2 - mean) @ turn
    truth = {
        first + second: mean + ((old[ids[first]] + old[ids[second]]) / 2 - mean) @ turn for first, second in pieces
    }
    near = vectors_of(table(len(pair.target), 6, seed=7))
    ridge = prepared(pair, old_json, near, Choice("ridge"))
    plain = apply(weights_of(Choice("subword"), pair), old)
    found = mapped(ridge, old, plain)
    tokens = ridge.rows.tolist()
    true = np.array([truth[pair.target.forms[token]] for token in tokens])
    assert len(tokens) == 11 * 26
    assert np.abs(found[tokens] - true).mean() < 0.5 * np.abs(plain[tokens] - true).mean()
    shared = pair.matches.text()
    assert found[shared].tobytes() == old[pair.matches.old[shared]].tobytes()
