from pathlib import Path

import pytest

from operators.base import RecipeError
from operators.fasttext_model import read_labels, read_model
from tests.operators.fasttext_files import Shape, fasttext_file

LARGE = Shape(letters=(2, 3), pruned=True, quantised=True, quantised_outputs=True, norms=True)


def test_labels_are_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(fasttext_file(Shape())[:-100])
    assert read_labels(path) == ("en", "de", "fr")
    with pytest.raises(RecipeError, match="it is shorter than it says; fetch or make it again"):
        read_model(path)


@pytest.mark.parametrize("shape", [Shape(), LARGE])
def test_a_file_that_ends_anywhere_is_refused(shape: Shape, tmp_path: Path) -> None:
    path, content = tmp_path / "m.bin", fasttext_file(shape)
    path.write_bytes(content)
    assert read_model(path).inputs.shape[1] == 5
    for size in [*range(0, min(600, len(content)), 7), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(RecipeError, match=r"m\.bin' is (damaged|no fastText model)"):
            read_model(path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape(kind=2), "has word vectors and no labels"),
        (Shape(version=13), "file version 13"),
        (Shape(letters=(2, 65)), "n-grams of 65 characters"),
        (Shape(labels=()), "outputs of"),
        (Shape(buckets=-1), "is damaged"),
    ],
)
def test_what_is_no_classifier_is_refused_in_words(shape: Shape, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    content = fasttext_file(shape) if shape.labels and shape.buckets > 0 else patched(shape)
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        read_model(path)


def patched(shape: Shape) -> bytes:
    """A file whose counts were changed after it was written."""
    content = bytearray(fasttext_file(Shape()))
    if shape.buckets < 0:
        content[40:44] = b"\xff" * 4
    else:
        content[-12 * 5 - 16 : -12 * 5] = (1).to_bytes(8, "little") + (5).to_bytes(8, "little")
    return bytes(content)


def test_a_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(fasttext_file(Shape())[:-4] + b"\0\0\xc0\x7f")
    with pytest.raises(RecipeError, match="not finite"):
        read_model(path)
