import gzip
from pathlib import Path

import pytest
from pydantic import ValidationError

from operators.base import RecipeError
from operators.block_lists import BlockList


def test_entries_come_from_the_recipe_and_from_files_without_comments_and_white_space(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "b.gz"
    plain.write_text("# a comment\r\none two \r\n\r\n\tthree\n", encoding="utf-8")
    packed.write_bytes(gzip.compress("\ufeffvier\n".encode()))
    found = BlockList(entries=(" five",), files=(str(plain), str(packed))).read("words")
    assert found.to_pylist() == ["five", "one two", "three", "vier"]


def test_content_and_not_its_place_is_the_digest_and_a_change_is_noticed(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a\n")
    two.write_text("a\n")
    first = BlockList.model_validate(str(one)).digest()
    assert first == BlockList.model_validate(str(two)).digest()
    two.write_text("a\nb\n")
    assert first != BlockList.model_validate(str(two)).digest()
    assert BlockList(entries=("a",)).digest() != BlockList(entries=("b",)).digest()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("none.txt", None, "cannot be read: No such file"),
        ("empty.txt", b"# only a comment\n \n", "words: no entry in '.*empty.txt'"),
        ("latin.txt", b"caf\xe9", "is no UTF-8 at byte 3"),
        ("broken.gz", b"no gzip", "cannot be read: Not a gzipped file"),
    ],
)
def test_a_list_that_is_no_list_is_an_error_that_names_it(
    tmp_path: Path, name: str, content: bytes | None, match: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=match):
        BlockList.model_validate(str(tmp_path / name)).read("words")


def test_a_missing_file_has_no_digest_and_unknown_keys_are_refused() -> None:
    with pytest.raises(RecipeError, match="list 'no/such' cannot be read"):
        BlockList.model_validate("no/such").digest()
    with pytest.raises(ValidationError):
        BlockList.model_validate({"path": "x"})
