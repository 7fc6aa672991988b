import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RunError
from pipeline.vault import DamagedError, Vault
from tests.pipeline.engine import Json, Mill

STEPS: list[Json] = [
    {"kind": "gopher_quality", "name": "quality", "min_words": 3, "min_stop_words": 0, "max_drop_ratio": 1.0},
    {"kind": "exact_dedup", "name": "exact"},
    {"kind": "corpus_stats", "name": "stats"},
    {"kind": "train_tokenizer", "name": "tokenizer", "pretokenizer": "gpt2", "vocab_sizes": [300]},
]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def work_files(mill: Mill) -> list[Path]:
    found = [path for path in sorted((mill.home / "work").rglob("*")) if path.is_file()]
    return [path for path in found if path.name not in ("status.json", "lock")]


@pytest.mark.parametrize(
    "harm", [flip, pytest.param(cut, marks=pytest.mark.slow), pytest.param(Path.unlink, marks=pytest.mark.slow)]
)
def test_nothing_damaged_is_ever_published_and_every_damage_can_be_mended(
    flawed: Mill, harm: Callable[[Path], None]
) -> None:
    good = flawed.run(STEPS).bytes
    whole = flawed.home / "whole"
    shutil.copytree(flawed.home / "work", whole)
    kinds: dict[str, Path] = {}
    for path in work_files(flawed):
        kinds.setdefault(f"{path.relative_to(flawed.home / 'work').parts[0]}{path.suffix}", path)
    assert len(kinds) >= 10
    for path in kinds.values():
        shutil.rmtree(flawed.home / "out")
        harm(path)
        complaint = ""
        try:
            assert flawed.run(STEPS).bytes == good, path
        except RunError as error:
            complaint = str(error)
        if complaint:
            assert harm is flip, complaint  # What is missing or short is computed again without a word.
            assert str(path) in complaint
            assert "delete it" in complaint
            path.unlink()
            assert flawed.run(STEPS).bytes == good, path
        shutil.rmtree(flawed.home / "work")
        shutil.copytree(whole, flawed.home / "work")


@given(content=st.binary(max_size=200), place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_wherever_it_is(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, place: int, bit: int
) -> None:
    vault = Vault(str(tmp_path_factory.mktemp("vault")))
    vault.write("a/b", content)
    assert vault.read("a/b") == content
    path = Path(vault.full("a/b"))
    sealed = bytearray(path.read_bytes())
    sealed[place % len(sealed)] ^= 1 << bit
    path.write_bytes(sealed)
    with pytest.raises(DamagedError, match="a/b"):
        vault.read("a/b")


def test_a_descriptor_counts_only_while_its_files_are_there(tmp_path: Path) -> None:
    vault = Vault(str(tmp_path))
    vault.write("data", b"12345")
    vault.write_json("done.json", {"rows": 1, "holds": vault.written})
    assert vault.find("done.json") == {"rows": 1}
    (tmp_path / "data").write_bytes(b"1")
    assert vault.find("done.json") is None
    assert vault.find("nowhere.json") is None
