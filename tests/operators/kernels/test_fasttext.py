from collections.abc import Callable
from functools import cache
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators import models
from operators.fasttext_model import LABEL, FasttextModel, read_model
from operators.kernels.fasttext import SIGMOID_BOUND, SIGMOID_STEPS
from operators.kernels.fasttext_reference import hidden_of, predict, product
from operators.kernels.predictor import Predictor
from tests.operators.fasttext_files import LOSSES, Shape, fasttext_file

SHAPES = {
    **{loss: Shape(loss=loss) for loss in LOSSES},
    "characters": Shape(letters=(1, 4), dim=17),
    "words": Shape(most_words=3, loss="hierarchical_softmax", labels=tuple("abcdefg")),
    "no line end": Shape(words=("the", "der"), letters=(2, 3)),
    "pruned": Shape(letters=(2, 4), most_words=2, pruned=True, quantised=True, dim=16),
    "all pruned": Shape(letters=(2, 4), buckets=1, pruned=True, quantised=True, words=("the",)),
    "norms": Shape(letters=(3, 6), quantised=True, quantised_outputs=True, norms=True, dim=35),
    "old": Shape(version=11, letters=(2, 4)),
    "one label": Shape(loss="hierarchical_softmax", labels=("en",)),
    "many labels": Shape(labels=tuple("abcdefghijkl"), dim=9, letters=(2, 3), loss="hierarchical_softmax"),
    "saturated": Shape(loss="one_vs_all", dim=40, letters=(1, 2)),
}
TOKENS = [
    "the", "der", "\u00fcber", "</s>", "<", ">", "__label__en", "__label__", "__label__xx", "\x00", "\r", "\t\v\f",
    "\n", " ", "  ", "\u00a0", "\u3000", "\u0301", "\U0001f600", "\u6f22\u5b57", "\x1c", "a", "unknown" * 3, "x" * 300,
]  # fmt: skip
TEXTS = st.lists(st.lists(st.sampled_from(TOKENS) | st.text(max_size=4), max_size=12).map("".join), max_size=4)
Oracle = Callable[[str], tuple[str | None, float]]
ROUNDING = 5e-5
"""How far the library's float32 sums may be from ours. Scores of these models move more than a real one's."""
EDGE = 0.05
"""Of a step of the table: so far a label's product may be off; the library's was by 0.01 in a text of 600 letters."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = {name: folder / f"{name}.bin" for name in SHAPES}
    for name, path in paths.items():
        path.write_bytes(fasttext_file(SHAPES[name]))
    return paths


def off_edges(model: FasttextModel, texts: list[str]) -> list[str]:
    """Those of texts where rounding does not decide which step of the library's table of sigmoids a label takes."""
    if model.loss != "one_vs_all":
        return texts
    found = []
    for text in texts:
        hidden = hidden_of(model, text, np.float64)
        labels = range(len(model.dictionary.labels))
        products = np.array([] if hidden is None else [product(model, label, hidden) for label in labels])
        steps = products * SIGMOID_STEPS / (2 * SIGMOID_BOUND)
        if (np.abs(steps - np.rint(steps)) > EDGE).all():
            found.append(text)
    return found


def library(path: Path) -> Oracle:
    model = fasttext.load_model(str(path))

    def guess(text: str) -> tuple[str | None, float]:
        labels, scores = model.predict(text.replace("\n", " "))
        return (labels[0].removeprefix(LABEL), scores[0]) if labels else (None, 0.0)

    return guess


def assert_equal(
    found: tuple[pa.Array, NDArray[np.float32]], expected: list[tuple[str | None, float]], apart: float = ROUNDING
) -> None:
    assert found[0].to_pylist() == [label for label, _ in expected]
    assert found[1].tolist() == pytest.approx([score for _, score in expected], abs=apart)


@pytest.mark.parametrize("name", SHAPES)
def test_the_kernel_is_the_library_but_for_rounding(name: str, files: dict[str, Path]) -> None:
    model, guess = read_model(files[name]), library(files[name])
    kernel = Predictor(model)

    @given(TEXTS)
    def check(texts: list[str]) -> None:
        texts = off_edges(model, texts)
        array = pa.array(["skipped", *texts, *texts], pa.large_string()).slice(1)
        assert_equal(kernel(array), [guess(text) for text in texts] * 2)
        assert_equal(kernel(array), [predict(model, text, np.float64) for text in texts] * 2, 1e-5)
        for text in texts:
            label, score = predict(model, text)
            assert label == guess(text)[0]
            assert score == pytest.approx(guess(text)[1], abs=1e-6)

    check()


@pytest.mark.parametrize("name", SHAPES)
def test_every_label_has_the_library_s_probability(name: str, files: dict[str, Path]) -> None:
    model, oracle = read_model(files[name]), fasttext.load_model(str(files[name]))
    kernel = Predictor(model)

    @given(TEXTS)
    def check(texts: list[str]) -> None:
        texts = off_edges(model, texts)
        array = pa.array(texts, pa.large_string())
        given = [dict(zip(*oracle.predict(text.replace("\n", " "), k=-1), strict=True)) for text in texts]
        for label in model.dictionary.labels:
            expected = [scores.get(LABEL + label, 0) for scores in given]
            # The library leaves out what is below 1e-5.
            assert kernel.probabilities(array, label).tolist() == pytest.approx(expected, abs=ROUNDING)

    check()


@pytest.mark.parametrize("name", ["pruned", "words", "norms", "characters"])
def test_long_words_many_words_and_batches_do_not_matter(name: str, files: dict[str, Path]) -> None:
    random = np.random.default_rng(1)
    many = " ".join(random.integers(0, 9000, 30_000).astype(str))
    sizes = [*range(7, 10), *range(15, 18), *range(63, 67), *range(1020, 1028), 2050]
    words = " ".join("".join(random.choice(list("ab\u00fc"), size)) for size in sizes for _ in range(4))
    texts = ["\u6f22a" * 5000, "", many, words, *("z" * size for size in sizes)]
    model = read_model(files[name])
    kernel, guess = Predictor(model), library(files[name])
    found = kernel(pa.array(texts))
    assert_equal(found, [predict(model, text, np.float64) for text in texts], 3e-5)
    assert_equal(found, [guess(text) for text in texts], 5e-4)  # whose sums are of float32
    for text, label, score in zip(texts, found[0], found[1], strict=True):
        alone = kernel(pa.array([text]))
        assert (alone[0][0], alone[1][0]) == (label, score)


def test_a_table_that_is_full_changes_no_bit(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    texts = pa.array([" ".join(random.integers(0, 5000, 3000).astype(str)) for _ in range(20)])
    kernel = Predictor(read_model(files["characters"]))
    expected = kernel(texts)
    monkeypatch.setattr("operators.kernels.predictor._MOST_WORDS", 1 << 10)
    labels, scores = kernel(texts)
    assert labels == expected[0]
    assert scores.tobytes() == expected[1].tobytes()


def test_of_equal_labels_the_later_wins(tmp_path: Path) -> None:
    path = tmp_path / "ties.bin"
    content = fasttext_file(Shape(dim=1))
    for loss, number in LOSSES.items():
        # The loss is the eighth number of the arguments, and the outputs are the last three numbers.
        path.write_bytes(content[:32] + bytes([number]) + content[33:-12] + bytes(12))
        assert Predictor(read_model(path))(pa.array(["the"]))[0].to_pylist() == [library(path)("the")[0]], loss


def test_null_texts_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="no null text: 1 of 2"):
        Predictor(read_model(files["softmax"]))(pa.array(["a", None]))


SENTENCES = [
    "The council met in the evening to talk about the new bridge.",
    "Der Rat traf sich am Abend, um \u00fcber die neue Br\u00fccke zu sprechen.",
    "Le conseil s'est r\u00e9uni le soir pour parler du nouveau pont.",
    "El consejo se reuni\u00f3 por la noche para hablar del nuevo puente.",
    "Rada se ve\u010der se\u0161la, aby mluvila o nov\u00e9m mostu.",
    "A tan\u00e1cs este \u00f6ssze\u00fclt, hogy az \u00faj h\u00eddr\u00f3l besz\u00e9ljen.",
    "\u0421\u043e\u0432\u0435\u0442 \u0441\u043e\u0431\u0440\u0430\u043b\u0441\u044f",
    "\u03a4\u03bf \u03c3\u03c5\u03bc\u03b2\u03bf\u03cd\u03bb\u03b9\u03bf",
    "\u4eca\u65e5\u306f\u3068\u3066\u3082\u6691\u3044\u3067\u3059\u3002",
    "\u59d4\u5458\u4f1a\u665a\u4e0a\u5f00\u4f1a\u8ba8\u8bba\u65b0\u6865\u3002",
    "\uc624\ub298\uc740 \ub9e4\uc6b0 \ub365\uc2b5\ub2c8\ub2e4.",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "def f(x):\n    return {k: v for k, v in x.items() if v is not None}\n",
]


@pytest.mark.skipif(not models.model_path("lid.176.ftz").is_file(), reason=f"no model: {models.FETCH_COMMAND}")
def test_scores_of_the_default_model_are_the_library_s_in_every_script() -> None:
    path = models.locate("lid.176.ftz")
    documents = [" ".join(SENTENCES[first:last]) for first in range(16) for last in range(first, 17)]
    texts = [*SENTENCES, *documents, *TOKENS, "", SENTENCES[0] * 3000, "\n".join(SENTENCES) * 500, SENTENCES[9] * 2000]
    guess = library(path)
    expected = [guess(text) for text in texts]
    assert_equal(Predictor(read_model(path))(pa.array(texts, pa.large_string())), expected, 1e-4)
    assert_equal(Predictor(read_model(path))(pa.array(texts[:-3], pa.large_string())), expected[:-3], 1e-6)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=60), max_size=6))
@pytest.mark.skipif(not models.model_path("lid.176.ftz").is_file(), reason=f"no model: {models.FETCH_COMMAND}")
def test_any_unicode_has_the_library_s_language(texts: list[str]) -> None:
    kernel, guess = default()
    assert_equal(kernel(pa.array(texts, pa.large_string())), [guess(text) for text in texts], 2e-6)


@cache
def default() -> tuple[Predictor, Oracle]:
    path = models.locate("lid.176.ftz")
    return Predictor(read_model(path)), library(path)
