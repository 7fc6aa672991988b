"""What kernels share, and that no cache can outlive a change of it (docs/adr/0011-shared-kernel-code.md)."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated"

import hashlib
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from operators.kernels import text_bytes

SHARED = Path(text_bytes.__file__)
MODULES = sorted(path.stem for path in SHARED.parent.glob("*.py") if path.stem != "__init__")
MARK = re.compile(r"^# With text_bytes\.py ([0-9a-f]{8})\.$", re.MULTILINE)

CALLER = """
from numba import njit
from text_bytes import answer
# With text_bytes.py 00000000.
@njit(cache=True)
def asked():
    return answer()
print(asked(), sum(asked.stats.cache_hits.values()))
"""


def digest(shared: Path) -> str:
    return hashlib.sha256(shared.read_bytes()).hexdigest()[:8]


def outdated(shared: Path) -> list[str]:
    """The files beside the shared one that import from it and do not bear its digest."""
    files = {path: path.read_text() for path in sorted(shared.parent.glob("*.py")) if path != shared}
    users = (path for path, code in files.items() if re.search(r"^from \S*\btext_bytes import ", code, re.MULTILINE))
    return [path.name for path in users if MARK.findall(files[path]) != [digest(shared)]]


def shared_globals(module: ModuleType) -> set[str]:
    """Which modules of ours the functions compiled in a module take other functions from."""
    compiled = [value for value in vars(module).values() if hasattr(value, "py_func")]
    own = [value for value in compiled if value.py_func.__module__ == module.__name__]
    used = (vars(module).get(name) for value in own for name in value.py_func.__code__.co_names)
    homes = {value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "") for value in used}
    return {home for home in homes if home.startswith("operators.")} - {module.__name__}


def test_every_caller_bears_the_digest_of_what_it_is_compiled_with() -> None:
    assert not outdated(SHARED), f"write `# With text_bytes.py {digest(SHARED)}.` into these, so that they recompile"


@pytest.mark.parametrize("name", MODULES)
def test_compiled_functions_come_from_their_own_file_or_from_the_shared_one(name: str) -> None:
    assert shared_globals(importlib.import_module(f"operators.kernels.{name}")) <= {text_bytes.__name__}


def test_the_shared_file_is_compiled_with_nothing_of_ours() -> None:
    assert not shared_globals(text_bytes)
    assert not re.search(r"^\s*(from|import) (operators|pipeline)", SHARED.read_text(), re.MULTILINE)


@pytest.mark.slow
def test_a_change_reaches_the_caches_of_those_who_bear_its_digest(tmp_path: Path) -> None:
    shared, caller = tmp_path / "text_bytes.py", tmp_path / "caller.py"
    caller.write_text(CALLER)

    def changed(answer: int) -> None:
        shared.write_text(f"from numba import njit\n\n@njit(inline='always')\ndef answer():\n    return {answer}\n")

    def marked() -> None:
        caller.write_text(MARK.sub(f"# With text_bytes.py {digest(shared)}.", caller.read_text()))

    def answered() -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        run = subprocess.run([sys.executable, caller], env=environment, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    changed(1)
    assert outdated(shared) == ["caller.py"]
    marked()
    assert not outdated(shared)
    assert (answered(), answered()) == ("1 0", "1 1")
    changed(2)
    assert answered() == "1 1", "numba does not see the change: this is what the digest is for"
    assert outdated(shared) == ["caller.py"]
    marked()
    assert not outdated(shared)
    assert answered() == "2 0"


@njit
def _read(data):  # noqa: ANN001, ANN202
    address, found = data.ctypes.data, []
    at = 0
    while at < data.size:
        one, behind = text_bytes.code_point(data, at)
        other, behind_other = text_bytes.code_point_at(address, at)
        found.append((one, behind, other, behind_other))
        at = behind
    return found


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_code_points_are_those_of_python(text: str) -> None:
    ends = np.cumsum([len(character.encode()) for character in text])
    expected = [(ord(character), end, ord(character), end) for character, end in zip(text, ends, strict=True)]
    assert _read(np.frombuffer(text.encode(), np.uint8)) == expected


@njit
def _next(data, at, high):  # noqa: ANN001, ANN202
    return text_bytes.next_line_feed(data, at, high)


@given(st.binary(max_size=40) | st.lists(st.sampled_from([9, 10, 11, 0x8A]), max_size=40).map(bytes), st.data())
def test_the_next_line_feed_is_that_of_python(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    high = draw.draw(st.integers(at, len(data)))
    found = data.find(b"\n", at, high)
    assert _next(np.frombuffer(data, np.uint8), at, high) == (high if found < 0 else found)


@njit
def _words(data, place):  # noqa: ANN001, ANN202
    address = data.ctypes.data
    word, same = text_bytes.eight_bytes(data, place), text_bytes.eight_bytes_at(address, place)
    return word, same, text_bytes.byte_at(address, place), text_bytes.trailing_zeros(word)


@given(st.binary(min_size=8, max_size=24), st.data())
def test_eight_bytes_are_a_little_endian_number(data: bytes, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, len(data) - 8))
    number = int.from_bytes(data[place : place + 8], "little")
    zeros = (number & -number).bit_length() - 1 if number else 64
    assert _words(np.frombuffer(data, np.uint8), place) == (number, number, data[place], zeros)


@njit
def _some_bytes(data, place, high):  # noqa: ANN001, ANN202
    return text_bytes.up_to_eight_bytes_at(data.ctypes.data, place, high)


@given(st.binary(max_size=24), st.data())
def test_bytes_from_the_end_on_are_read_as_zeros(data: bytes, draw: st.DataObject) -> None:
    high = draw.draw(st.integers(0, len(data)))
    place = draw.draw(st.integers(0, high))
    found = _some_bytes(np.frombuffer(data, np.uint8), place, high)
    assert found == int.from_bytes(data[place : min(place + 8, high)], "little")


@njit
def _num_points(data, place, high):  # noqa: ANN001, ANN202
    return text_bytes.num_code_points_at(data.ctypes.data, place, high)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.data())
def test_code_points_are_counted_in_a_part(text: str, draw: st.DataObject) -> None:
    low = draw.draw(st.integers(0, len(text)))
    high = draw.draw(st.integers(low, len(text)))
    low_byte, high_byte = (len(text[:place].encode()) for place in (low, high))
    assert _num_points(np.frombuffer(text.encode(), np.uint8), low_byte, high_byte) == high - low


@njit
def _folded(one, other):  # noqa: ANN001, ANN202
    return text_bytes.folded(one, other)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_product_is_folded_over_all_its_bits(one: int, other: int) -> None:
    assert _folded(np.uint64(one), np.uint64(other)) == one * other >> 64 ^ one * other & 2**64 - 1


@pytest.mark.parametrize("byte", range(256))
def test_ascii_space_is_that_of_bytes_strip(byte: int) -> None:
    assert text_bytes.is_ascii_space.py_func(byte) == (not bytes([byte]).strip())


def test_wide_white_space_is_that_of_python() -> None:
    for point in (*range(0x80, 0xD800), *range(0xE000, 0x10000)):
        character = chr(point)
        encoded = character.encode()
        if encoded[0] in (0xC2, 0xE1, 0xE2, 0xE3):
            size = len(encoded) if character.isspace() else 0
            expected = -size if character.splitlines() == [""] else size
            assert text_bytes.wide_white.py_func(encoded, 0) == expected, hex(point)
