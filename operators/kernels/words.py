"""The words of texts as numbers, over Arrow's buffers: each distinct chunk between spaces is cut into words once.

`find_chunks` reads the bytes, eight at a time where they are ASCII, and numbers the distinct chunks; `split_chunks`
cuts these by the rules of `operators/words.py` and numbers the distinct words. Numbers rise in the order of first
occurrence; `scans.py` makes the words of documents of them.

Equality is that of bytes: a slot of the hash table holds up to sixteen of them, and of longer ones the place, where all
are compared. `words_reference.py` is the slow definition.

Chunks are taken in batches, whose slots are asked for before the first is looked at: the table is larger than the
caches. Helpers get the address of an array instead of the array, since numba counts references at every call.

Price (benchmarks/word_scan.py, eight other processes on two cores): 120 to 130 MB a CPU-second of English, 90 to 105 of
code, of many languages and of text without spaces; 10 s to compile.

All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated, assignment"
# With text_bytes.py ba160204.

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from operators.kernels.text_bytes import (
    byte_at,
    code_point_at,
    eight_bytes_at,
    folded,
    prefetch,
    trailing_zeros,
    up_to_eight_bytes_at,
)
from operators.word_classes import DIGIT, EXTEND, KIND_MASK, LETTER, LOWER, UPPER

U64 = np.uint64
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

IS_PLAIN: Final = 16
"""Set in the kernels' table for what is not in PUNCTUATION_SET."""
IS_SPACE: Final = 32
"""Set for what separates the words of `operators/words.py`."""
IS_WHITE: Final = 64
"""Set for Python's white space (`str.isspace`)."""

_FEWEST_SLOTS: Final = 1 << 9
_BATCH: Final = 128
_START, _LENGTH, _ONE, _OTHER, _SLOT = range(5)  # the rows of a batch
_HIGH_BITS = U64(0x8080808080808080)
_NUMBER = U64(0x7FFFFFFF)
_QUOTE, _QUOTED, _DOT, _HYPHEN, _MIDDLE_DOT = 0x27, 0x2019, 0x2E, 0x2D, 0xB7


@njit(inline="always")
def _below(length):
    """A mask of so many bytes, fewer than eight."""
    return (U64(1) << U64(8 * length)) - U64(1)


@njit(inline="always")
def _stops(word):
    """The high bit of each byte up to 32 or above 126; right up to the first of them."""
    return (~(word + U64(0x5F5F5F5F5F5F5F5F)) | (word + U64(0x0101010101010101)) | word) & _HIGH_BITS


@njit(cache=True, nogil=True)
def _next_space(text, at, high, size, table, space):
    """The first space from a place on, where it ends, and how many bytes before that do not begin a code point."""
    more = 0
    while at < high:
        stops = _stops(up_to_eight_bytes_at(text, at, size))
        at += np.int64(trailing_zeros(stops) >> U64(3))
        if at >= high:
            break
        if stops == 0:
            continue
        if byte_at(text, at) < 0x80:
            if byte_at(table, byte_at(text, at)) & space:
                return at, at + 1, more
            at += 1
        while at < high and byte_at(text, at) >= 0x80:
            point, behind = code_point_at(text, at)
            more += behind - at - 1
            if byte_at(table, point) & space:
                return at, behind, more
            at = behind
    return high, high, more


@njit(cache=True, nogil=True)
def _keys(text, start, length, size, one_seed, other_seed):
    """What a slot holds of some bytes: up to sixteen of them themselves, a hash of more."""
    word = up_to_eight_bytes_at(text, start, size)
    if length < 8:
        return word & _below(length), U64(0)
    if length <= 16:
        last = up_to_eight_bytes_at(text, start + 8, size)
        return word, last & _below(length - 8) if length < 16 else last
    state, at, stop = one_seed, start, start + length - 8
    while at < stop:
        state = folded(state ^ eight_bytes_at(text, at), other_seed)
        at += 8
    return folded(state ^ eight_bytes_at(text, stop), other_seed), one_seed


@njit(inline="always")
def _home(one, other, length, mask, one_seed, other_seed):
    """The slot of some bytes if nobody else has it.

    A slot is four numbers: both keys, the place of the bytes, and their length (33 bits) with their number plus one (31
    bits), which is 0 where the slot is free.
    """
    return folded(one ^ one_seed, (other + length) ^ other_seed) & mask


@njit(cache=True, nogil=True)
def _same(text, at, start, length):
    """Whether so many bytes, more than eight, are equal at two places."""
    for place in range(0, length - 8, 8):
        if eight_bytes_at(text, at + place) != eight_bytes_at(text, start + place):
            return False
    return eight_bytes_at(text, at + length - 8) == eight_bytes_at(text, start + length - 8)


@njit(cache=True, nogil=True)
def _numbered(text, slots, starts, stops, numbers, batch, size, count, distinct, seeds):
    """Write the numbers of a batch, for which there is room; returns how many are distinct then."""
    mask, third, fourth = U64(slots.size // 4 - 1), seeds[2], seeds[3]
    for place in range(size):
        slot = _home(batch[_ONE, place], batch[_OTHER, place], batch[_LENGTH, place], mask, third, fourth)
        batch[_SLOT, place] = slot
        prefetch(slots, U64(4) * slot)
    for place in range(size):
        start, length = batch[_START, place], batch[_LENGTH, place]
        one, other, at = batch[_ONE, place], batch[_OTHER, place], U64(4) * batch[_SLOT, place]
        while True:
            content = slots[at + U64(3)]
            if content == 0:
                starts[distinct], stops[distinct] = start, start + length
                distinct += 1
                content = length << U64(31) | U64(distinct)
                slots[at], slots[at + U64(1)], slots[at + U64(2)], slots[at + U64(3)] = one, other, start, content
                break
            if slots[at] == one and slots[at + U64(1)] == other and content >> U64(31) == length:
                known = np.int64(slots[at + U64(2)])
                if length <= 16 or _same(text, known, np.int64(start), np.int64(length)):
                    break
            at = (at + U64(4)) & (U64(4) * mask + U64(3))
        numbers[count + place] = np.int64(content & _NUMBER) - 1
    return distinct


def _new_slots(wanted: int) -> NDArray[np.uint64]:
    """A table of so many slots or more. Large arrays are made by numpy, which asks for large pages of memory."""
    count = _FEWEST_SLOTS
    while count < wanted:
        count *= 2
    return np.zeros(4 * count, np.uint64)


@njit(cache=True, nogil=True)
def _more_slots(slots, seeds):
    """Twice the slots, with the same content."""
    larger = np.zeros(2 * slots.size, np.uint64)
    mask = U64(larger.size // 4 - 1)
    for at in range(0, slots.size, 4):
        if slots[at + 3] == 0:
            continue
        slot = _home(slots[at], slots[at + 1], slots[at + 3] >> U64(31), mask, seeds[2], seeds[3])
        while larger[U64(4) * slot + U64(3)] != 0:
            slot = (slot + U64(1)) & mask
        for part in range(4):
            larger[U64(4) * slot + U64(part)] = slots[at + part]
    return larger


@njit(cache=True, nogil=True)
def _longer(array):
    """Room for twice as many."""
    larger = np.empty(2 * array.size, array.dtype)
    larger[: array.size] = array
    return larger


def find_chunks(
    data: Bytes, offsets: Longs, table: Bytes, space: int, seeds: NDArray[np.uint64]
) -> tuple[Ints, Longs, Longs, Longs, Longs]:
    """Number the chunks that spaces (by a flag of the table) separate.

    Returns the numbers of all chunks in order (int32), where each document's begin (int64, documents + 1), where each
    distinct chunk begins and ends in the data (int64), and the code points of each document (int64).
    """
    numbers = np.empty(data.size // 5 + _BATCH, np.int32)
    found: tuple[Ints, Longs, Longs, Longs, Longs] = _find_chunks(
        data, offsets, table, space, seeds, _new_slots(data.size // 64), numbers
    )
    return found


@njit(cache=True, nogil=True)
def _room(slots):
    """How many distinct things a table may hold: three quarters of its slots."""
    return slots.size // 16 * 3


@njit(cache=True, nogil=True)
def _find_chunks(data, offsets, table, space, seeds, slots, numbers):
    starts, stops, batch = np.empty(_room(slots), np.int64), np.empty(_room(slots), np.int64), _new_batch()
    firsts, chars = np.zeros(offsets.size, np.int64), offsets[1:] - offsets[:-1]
    document, at, count, distinct, size = 0, np.int64(0), 0, 0, 1
    while size:
        document, at, size = _next_chunks(data, offsets, table, space, seeds, firsts, chars, batch, document, at, count)
        distinct = _numbered(data.ctypes.data, slots, starts, stops, numbers, batch, size, count, distinct, seeds)
        count += size
        if distinct + _BATCH > starts.size:
            starts, stops, slots = _longer(starts), _longer(stops), _more_slots(slots, seeds)
        if count + _BATCH > numbers.size:
            numbers = _longer(numbers)
    return numbers[:count], firsts, starts[:distinct].copy(), stops[:distinct].copy(), chars


@njit(cache=True, nogil=True)
def _new_batch():
    return np.empty((5, _BATCH), np.uint64)


@njit(cache=True, nogil=True)
def _next_chunks(data, offsets, table, space, seeds, firsts, chars, batch, document, at, count):
    """Fill a batch; returns where to go on, and how many there are: 0 at the end."""
    text, points, one_seed, other_seed, size = data.ctypes.data, table.ctypes.data, seeds[0], seeds[1], 0
    while document < chars.size:
        high = offsets[document + 1]
        while at < high:
            start, one, other = at, up_to_eight_bytes_at(text, at, data.size), U64(0)
            length = np.int64(trailing_zeros(_stops(one)) >> U64(3))
            end = at + length
            if length < 8 and end < high and byte_at(text, end) < 0x80 and byte_at(points, byte_at(text, end)) & space:
                at = end + 1
                one &= _below(length)
            else:
                end, at, more = _next_space(text, at, high, data.size, points, space)
                chars[document] -= more
                length = end - start
                one, other = _keys(text, start, length, data.size, one_seed, other_seed)
            if length == 0:
                continue
            batch[_START, size], batch[_LENGTH, size], batch[_ONE, size], batch[_OTHER, size] = (
                start,
                length,
                one,
                other,
            )
            size += 1
            if size == _BATCH:
                return document, at, size
        document += 1
        firsts[document] = count + size
    return document, at, size


@njit(inline="always")
def _is_letter_kind(kind):
    return LOWER <= kind <= LETTER


@njit(inline="always")
def _is_alphanumeric(kind):
    return LOWER <= kind <= DIGIT


@njit(inline="always")
def _is_word_kind(kind):
    return kind == EXTEND or LOWER <= kind <= DIGIT


@njit(cache=True, nogil=True)
def _joins(mark, before, after):
    """Whether a mark between two code points of these classes continues the word before it (rule 1)."""
    if mark in (0x5F, 0x40):  # _ @
        return _is_alphanumeric(after)
    if mark == _DOT:
        return _is_alphanumeric(after) and not (before == LOWER and after == UPPER)
    if mark in (_QUOTE, _QUOTED, _MIDDLE_DOT):
        return (before == EXTEND or _is_letter_kind(before)) and _is_letter_kind(after)
    return mark in (0x2C, 0x3A, 0x2F) and before == DIGIT and after == DIGIT  # , : /


@njit(cache=True, nogil=True)
def _word_end(text, at, stop, table):
    """Where the word ends that begins at a place of a chunk, before rule 2."""
    first, at = code_point_at(text, at)
    before = byte_at(table, first) & KIND_MASK
    if _is_word_kind(before):
        while at < stop:
            point, behind = code_point_at(text, at)
            kind = byte_at(table, point) & KIND_MASK
            if not _is_word_kind(kind):
                if behind == stop:
                    break
                after, _ = code_point_at(text, behind)
                if not _joins(point, before, byte_at(table, after) & KIND_MASK):
                    break
            before, at = kind, behind
        return at
    if first in (_DOT, _HYPHEN):
        while at < stop and byte_at(text, at) == first:
            at += 1
    while at < stop and byte_at(text, at) >= 0x80:
        point, behind = code_point_at(text, at)
        if byte_at(table, point) & KIND_MASK != EXTEND:
            break
        at = behind
    return at


@njit(inline="always")
def _quote(text, low, at):
    """The bytes of the apostrophe that ends at a place; 0 if there is none."""
    if at > low and byte_at(text, at - 1) == _QUOTE:
        return 1
    if at < low + 3 or byte_at(text, at - 3) != 0xE2 or byte_at(text, at - 2) != 0x80:
        return 0
    return 3 if byte_at(text, at - 1) == 0x99 else 0


@njit(cache=True, nogil=True)
def _ending(text, low, high):
    """The bytes of the English ending of a word that is longer (rule 2); 0 if it has none."""
    last, second = byte_at(text, high - 1) | 0x20, byte_at(text, max(low, high - 2)) | 0x20
    quote, ending = 0, 0
    if last in (0x73, 0x6D, 0x64):  # s m d
        quote, ending = _quote(text, low, high - 1), 1
    elif last == 0x74:  # n't
        quote, ending = _quote(text, low, high - 1), 2
        if quote and byte_at(text, max(low, high - 2 - quote)) | 0x20 != 0x6E:
            return 0
    elif (last == 0x65 and second in (0x72, 0x76)) or (last == 0x6C and second == 0x6C):  # re ve ll
        quote, ending = _quote(text, low, high - 2), 2
    return quote + ending if quote and low < high - quote - ending else 0


def split_chunks(
    data: Bytes, starts: Longs, stops: Longs, table: Bytes, seeds: NDArray[np.uint64]
) -> tuple[Ints, Longs, Bytes, Longs]:
    """Cut chunks `data[starts[i]:stops[i]]`, which hold no space, into words. Without a `table` they are the words.

    Returns the numbers of their words (int32), where each chunk's begin (int64, chunks + 1), the distinct words' bytes
    one after another, and where each begins (int64, words + 1).
    """
    numbers = np.empty(4 * starts.size + _BATCH, np.int32)
    found: tuple[Ints, Longs, Bytes, Longs] = _split_chunks(
        data, starts, stops, table, seeds, _new_slots(starts.size // 2), numbers
    )
    return found


@njit(cache=True, nogil=True)
def _split_chunks(data, starts, stops, table, seeds, slots, numbers):
    word_starts, word_stops, batch = np.empty(_room(slots), np.int64), np.empty(_room(slots), np.int64), _new_batch()
    firsts, chunk, at, count, distinct, size = np.zeros(starts.size + 1, np.int64), 0, np.int64(0), 0, 0, 1
    while size:
        chunk, at, size = _next_words(data, starts, stops, table, seeds, firsts, batch, chunk, at, count)
        distinct = _numbered(
            data.ctypes.data, slots, word_starts, word_stops, numbers, batch, size, count, distinct, seeds
        )
        count += size
        if distinct + _BATCH > word_starts.size:
            word_starts, word_stops, slots = _longer(word_starts), _longer(word_stops), _more_slots(slots, seeds)
        if count + _BATCH > numbers.size:
            numbers = _longer(numbers)
    words, offsets = _joined(data, word_starts[:distinct], word_stops[:distinct])
    return numbers[:count], firsts, words, offsets


@njit(cache=True, nogil=True)
def _next_words(data, starts, stops, table, seeds, firsts, batch, chunk, at, count):
    """Fill a batch, but for one place; returns where to go on (a place of a chunk), and how many there are."""
    text, points, one_seed, other_seed, size = data.ctypes.data, table.ctypes.data, seeds[0], seeds[1], 0
    while chunk < starts.size:
        stop = stops[chunk]
        at = max(at, starts[chunk])
        while at < stop:
            if size >= _BATCH - 1:
                return chunk, at, size
            end = _word_end(text, at, stop, points) if table.size else stop
            middle = end - _ending(text, at, end) if table.size else end
            while at < end:
                one, other = _keys(text, at, middle - at, data.size, one_seed, other_seed)
                batch[_START, size], batch[_LENGTH, size] = at, middle - at
                batch[_ONE, size], batch[_OTHER, size] = one, other
                size += 1
                at, middle = middle, end
        chunk, at = chunk + 1, np.int64(0)
        firsts[chunk] = count + size
    return chunk, at, size


@njit(cache=True, nogil=True)
def _joined(data, starts, stops):
    """Some pieces of the data one after another, and where each begins."""
    offsets = np.zeros(starts.size + 1, np.int64)
    for piece in range(starts.size):
        offsets[piece + 1] = offsets[piece] + stops[piece] - starts[piece]
    joined = np.empty(offsets[-1], np.uint8)
    for piece in range(starts.size):
        to = offsets[piece] - starts[piece]
        for place in range(starts[piece], stops[piece]):
            joined[to + place] = data[place]
    return joined, offsets
