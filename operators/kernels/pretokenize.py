r"""Cut text into pre-tokens by the published patterns and count them, straight on Arrow buffers.

Two hand-written scanners, `gpt2` and `cl100k`, give exactly the pieces of `tokenizers`' `Split(Regex(pattern),
"isolated")`, and feed a hash table whose keys point into the text. Price on one core: 60 to 75 MB of text a second,
0.3 s per process to ask `tokenizers` for its character classes, and 17 s to compile, once per machine. Memory:
the table, 56 to 112 bytes per distinct pre-token and their bytes, besides the text. It cuts by these two patterns only;
for another one a regex engine does the same at a tenth of the speed or less.

Look-ahead, `\s+(?!\S)`: a run of white space gives its last character back if something follows and it has two or
more. The class table says what a letter, a number and white space are; it is generated and never stored.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from operators.pretokenizers import Pretokenizer

OTHER: Final = 0
LETTER: Final = 1
NUMBER: Final = 2
SPACE: Final = 3
NEWLINE: Final = 4

_SCANNERS: Final[dict[Pretokenizer, int]] = {"gpt2": 0, "cl100k": 1}
_GPT2: Final = 0
# Planes 4 to 13 are unassigned and planes 15 and 16 private: there are no letters, numbers or spaces in them.
_PLANES: Final = (0, 1, 2, 3, 14)


class _Table(NamedTuple):
    """Distinct pre-tokens: open addressing; a key is a place in the text."""

    first: NDArray[np.int64]  # where the pre-token begins, -1 where the slot is free
    length: NDArray[np.int32]
    hashed: NDArray[np.uint64]
    total: NDArray[np.int64]


def count(
    texts: pa.LargeStringArray, weights: NDArray[np.int64], pretokenizer: Pretokenizer
) -> tuple[pa.LargeBinaryArray, NDArray[np.int64]]:
    """The distinct pre-tokens of some documents, and how often each occurs, in no particular order.

    Args:
        texts: documents, none null. No pre-token crosses from one into the next.
        weights: int64, how often each document counts; at 0 it is passed over.
        pretokenizer: which pattern.

    >>> words, totals = count(pa.array(["to be or", " to be"], pa.large_string()), np.array([1, 2]), "gpt2")
    >>> sorted(zip(words.to_pylist(), totals.tolist()))
    [(b' be', 3), (b' or', 1), (b' to', 2), (b'to', 1)]
    """
    if texts.null_count or len(texts) != len(weights):
        found = f"{len(texts)} texts, {texts.null_count} null, {len(weights)} weights"
        msg = f"expected as many weights as texts and no null text: {found}"
        raise ValueError(msg)
    data, offsets = _buffers(texts)
    if not data.size:
        return pa.array([], pa.large_binary()), np.empty(0, np.int64)
    given = np.array(weights, np.int64)  # a copy: read-only arrays would be compiled for a second time
    words, ends, totals = _count(data, offsets, given, character_classes(), _SCANNERS[pretokenizer])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(words)]
    return pa.Array.from_buffers(pa.large_binary(), len(totals), buffers), totals


@cache
def character_classes() -> NDArray[np.uint8]:
    """The class of every code point, as the regex engine inside the installed `tokenizers` sees it.

    >>> character_classes()[[ord(character) for character in "a7 !"]].tolist()
    [1, 2, 3, 0]
    """
    from tokenizers import Regex, pre_tokenizers

    classes = np.zeros(0x110000, np.uint8)
    for plane in _PLANES:
        points = [point for point in range(plane << 16, (plane + 1) << 16) if not 0xD800 <= point < 0xE000]
        characters, by_place = "".join(map(chr, points)), np.array(points)
        for pattern, name in ((r"\p{L}+", LETTER), (r"\p{N}+", NUMBER), (r"\s+", SPACE)):
            member = np.ones(len(points), bool)
            for _, (start, end) in pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(characters):
                member[start:end] = False
            classes[by_place[member]] = name
    classes[[0x0A, 0x0D]] = NEWLINE
    classes.flags.writeable = False
    return classes


def _buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    _, offset_buffer, data_buffer = texts.cast(pa.large_string()).buffers()
    if not len(texts) or data_buffer is None:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]], offsets - offsets[0]


@njit(cache=True, nogil=True)
def _count(data, offsets, weights, classes, scanner):
    table, size, document, start = _new_table(1 << 12), 0, 0, offsets[0]
    while document < weights.size:
        size, document, start = _fill(table, size, data, offsets, weights, classes, scanner, document, start)
        if 2 * size >= table.first.size:
            table = _doubled(table)
    return _gather(data, table, size)


@njit(cache=True, nogil=True)
def _fill(table, size, data, offsets, weights, classes, scanner, document, start):
    """Count from a place in a document until the table is half full or the text at its end; says where it stopped."""
    while document < weights.size:
        stop, weight = offsets[document + 1], weights[document]
        while weight > 0 and start < stop:
            if 2 * size >= table.first.size:
                return size, document, start
            end = _end(data, start, stop, classes, scanner)
            size += _add(table, data, start, np.int32(end - start), weight)
            start = end
        start, document = stop, document + 1
    return size, document, start


# What follows is inlined: a call hands over arrays with an atomic reference count each, a third of the speed.


@njit(cache=True, nogil=True, inline="always")
def _end(data, start, stop, classes, scanner):
    if scanner == _GPT2:
        return _end_gpt2(data, start, stop, classes)
    return _end_cl100k(data, start, stop, classes)


@njit(cache=True, nogil=True, inline="always")
def _end_gpt2(data, start, stop, classes):
    """'s|'t|'re|'ve|'m|'ll|'d| ?letters| ?numbers| ?others|white space."""
    if data[start] == 39:
        end = _contraction(data, start, stop, 0)
        if end > start:
            return end
    body = start + 1 if data[start] == 32 else start
    if body < stop:
        kind, after = _class(data, body, classes)
        if kind < SPACE:
            return _run(data, after, stop, classes, kind)
    return _white_space(data, start, stop, classes, False)


@njit(cache=True, nogil=True, inline="always")
def _end_cl100k(data, start, stop, classes):
    r"""Contraction in any case|[^\r\n letter number]?letters|1 to 3 numbers| ?others newlines|white space."""
    if data[start] == 39:
        end = _contraction(data, start, stop, 0x20)
        if end > start:
            return end
    kind, after = _class(data, start, classes)
    if kind == LETTER:
        return _run(data, after, stop, classes, LETTER)
    if kind == NUMBER:
        return _up_to_two_numbers(data, after, stop, classes)
    following, end = OTHER, after
    if after < stop:
        following, end = _class(data, after, classes)
        if following == LETTER and kind != NEWLINE:
            return _run(data, end, stop, classes, LETTER)
    if kind == OTHER or (data[start] == 32 and after < stop and following == OTHER):
        return _run(data, _run(data, after, stop, classes, OTHER), stop, classes, NEWLINE)
    return _white_space(data, start, stop, classes, True)


@njit(cache=True, nogil=True, inline="always")
def _up_to_two_numbers(data, start, stop, classes):
    for _ in range(2):
        if start < stop:
            found, after = _class(data, start, classes)
            start = after if found == NUMBER else start
    return start


@njit(cache=True, nogil=True, inline="always")
def _contraction(data, start, stop, fold):
    """The end of 's 't 'm 'd 're 've 'll at an apostrophe, else `start`; with `fold` 0x20 in any case.

    In any case means Unicode's: the long s, U+017F (C5 BF), is an s as well.
    """
    if start + 1 >= stop:
        return start
    first = data[start + 1] | fold
    if first == 115 or first == 116 or first == 109 or first == 100:
        return start + 2
    if start + 2 >= stop:
        return start
    if fold and data[start + 1] == 0xC5 and data[start + 2] == 0xBF:
        return start + 3
    second = data[start + 2] | fold
    if (first == 108 and second == 108) or (second == 101 and (first == 114 or first == 118)):
        return start + 3
    return start


@njit(cache=True, nogil=True, inline="always")
def _run(data, start, stop, classes, kind):
    """The end of a run of one class."""
    while start < stop:
        found, after = _class(data, start, classes)
        if found != kind:
            break
        start = after
    return start


@njit(cache=True, nogil=True, inline="always")
def _white_space(data, start, stop, classes, newlines):
    r"""\s+(?!\S)|\s+; with `newlines` first \s*[\r\n]+, which ends after the run's last newline."""
    place = last = newline = start
    while place < stop:
        kind, after = _class(data, place, classes)
        if kind < SPACE:
            break
        last, place = place, after
        if kind == NEWLINE:
            newline = after
    if newlines and newline > start:
        return newline
    return last if place < stop and last > start else place


@njit(cache=True, nogil=True, inline="always")
def _class(data, place, classes):
    """Class of the code point at a place of valid UTF-8, and where the next one begins."""
    byte = np.int64(data[place])
    if byte < 0x80:
        return classes[byte], place + 1
    second = np.int64(data[place + 1]) & 0x3F
    if byte < 0xE0:
        return classes[(byte & 0x1F) << 6 | second], place + 2
    third = np.int64(data[place + 2]) & 0x3F
    if byte < 0xF0:
        return classes[(byte & 0x0F) << 12 | second << 6 | third], place + 3
    return classes[(byte & 0x07) << 18 | second << 12 | third << 6 | np.int64(data[place + 3]) & 0x3F], place + 4


@njit(cache=True, nogil=True)
def _new_table(capacity):
    return _Table(
        np.full(capacity, np.int64(-1)),
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.uint64),
        np.zeros(capacity, np.int64),
    )


@njit(cache=True, nogil=True, inline="always")
def _add(table, data, start, length, weight):
    """Count one pre-token; 1 if it is new."""
    hashed = np.uint64(0xCBF29CE484222325)
    for place in range(start, start + length):
        hashed = (hashed ^ np.uint64(data[place])) * np.uint64(0x100000001B3)
    hashed ^= hashed >> np.uint64(29)
    mask = np.int64(table.first.size - 1)
    slot = np.int64(hashed) & mask
    while table.first[slot] >= 0:
        if table.hashed[slot] == hashed and table.length[slot] == length:
            first, same = table.first[slot], 0
            while same < length and data[first + same] == data[start + same]:
                same += 1
            if same == length:
                table.total[slot] += weight
                return 0
        slot = (slot + 1) & mask
    table.first[slot], table.length[slot], table.hashed[slot], table.total[slot] = start, length, hashed, weight
    return 1


@njit(cache=True, nogil=True)
def _doubled(table):
    grown = _new_table(2 * table.first.size)
    mask = np.int64(grown.first.size - 1)
    for old in range(table.first.size):
        if table.first[old] >= 0:
            slot = np.int64(table.hashed[old]) & mask
            while grown.first[slot] >= 0:
                slot = (slot + 1) & mask
            grown.first[slot], grown.length[slot] = table.first[old], table.length[old]
            grown.hashed[slot], grown.total[slot] = table.hashed[old], table.total[old]
    return grown


@njit(cache=True, nogil=True)
def _gather(data, table, size):
    """Bytes, offsets and counts of the distinct pre-tokens."""
    offsets, totals, word = np.zeros(size + 1, np.int64), np.empty(size, np.int64), 0
    words = np.empty(table.length.astype(np.int64).sum(), np.uint8)
    for slot in range(table.first.size):
        if table.first[slot] >= 0:
            start, first, length = offsets[word], table.first[slot], table.length[slot]
            words[start : start + length] = data[first : first + length]
            totals[word] = table.total[slot]
            offsets[word + 1] = start + length
            word += 1
    return words, offsets, totals
