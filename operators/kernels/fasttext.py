"""Predict labels of texts with a fastText model, straight on Arrow buffers: the compiled half of `predictor.py`.

A text is one line: line feeds are read as spaces. What comes out is what the library's `predict` says of it, with the
quirks of its code: white space is that of ASCII with the zero byte, bytes are hashed as signed, the token `</s>` ends
the line, words that look like labels are passed over, and of two labels with the same score the later one wins.

Two things make it quick besides what is done when a model is loaded, and one of them costs the last digits:

- A word's rows (its own and those of its n-grams) are found and added once; a table keeps the sum for when the word
  comes again. The library adds all rows one after another in float32, so its sums round otherwise, the more the longer
  a text is. Ours: float32 within a word and within 256 words, float64 beyond. Probabilities differ by less than 1e-6
  on texts of a few kB (`fasttext_reference.py` keeps the library's order).
- Words are found by a bit map of white space, 64 bytes at once, and compared 8 bytes at a time.

A prediction is a function of its text alone: what else is in a batch, and what the table holds, changes no bit.

Prices are in docs/measurements.md: 70 to 98 MB a CPU-second with `lid.176.ftz`, 100 to 130 with a classifier of pairs.

All compiled functions stay in this file and in text_bytes.py (ADR 0011), and with them the tuples that they take: numba
keeps a tuple's field by its place, and would not see that two of one type had changed theirs in another file.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"
# With text_bytes.py ba160204.

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from operators.fasttext_model import LABEL, SENTENCE_END
from operators.kernels.text_bytes import eight_bytes, prefetch, trailing_zeros

_MASK: Final = np.uint64(0xFFFFFFFF)
_BASIS, _PRIME = np.uint64(2_166_136_261), np.uint64(16_777_619)  # FNV-1a of 32 bits
_WORD_PRIME: Final = np.uint64(116_049_371)
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_PREFIX: Final = np.frombuffer(LABEL.encode(), np.uint8).copy()
_END: Final = np.frombuffer(SENTENCE_END, np.uint8).copy()
_LOW: Final = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""Masks of so many bytes of a word of eight."""
_CACHED: Final = 64  # bytes of the longest word that is kept
WINDOW: Final = 1024  # bytes of a longer word whose n-grams are found at once
BLOCK: Final = 256  # words that are added up in float32
LANES: Final = 8  # numbers that are added at once
_SKIPPED, _STOP, _FIRST_WORD = 0, 1, 2  # instead of a word's number: a label, `</s>`
SIGMOID_BOUND, SIGMOID_STEPS = 8, 512
_FLOOR: Final = 1e-5  # the library adds it to a probability before it takes the logarithm


# Nothing is allocated in here: without `_nrt` no references are counted, which took half the time.
_compiled: Final[Any] = njit(cache=True, nogil=True, _nrt=False)  # type: ignore[call-overload]
_inlined: Final[Any] = njit(inline="always")


class Tables(NamedTuple):
    """What words and n-grams are looked up in."""

    names: NDArray[np.uint8]
    places: NDArray[np.int64]  # where each name begins in them, words before labels
    slots: NDArray[np.uint64]  # of a hash table: 32 bits of the hash, then the name's number and one more
    num_words: int
    end_word: int  # the number of `</s>`, -1 if it is no word
    is_kept: NDArray[np.uint64]  # a bit for each bucket; empty: all have a row
    kept_before: NDArray[np.int32]  # how many bits are set before each 64
    buckets: int
    magic: int  # with `shift`: to divide 32 bits by `buckets`
    shift: int
    least: int
    most: int
    most_words: int


class Weights(NamedTuple):
    """The matrices, and how sums become probabilities."""

    inputs: NDArray[np.float32]  # flat; a row for every word, then for every bucket in order that has one
    width: int  # of a row
    outputs: NDArray[np.float32]  # empty: the inputs have been multiplied with them
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    parents: NDArray[np.int32]
    ranks: NDArray[np.int32]  # of the leaves, left to right
    sigmoid: NDArray[np.float32]
    num_labels: int
    loss: int  # 0: hierarchical softmax, 1: softmax, 2: each label by itself


class Known(NamedTuple):
    """The table of words."""

    slots: NDArray[np.uint64]  # of a hash table: 32 bits of the hash, then the word's number; 0 where free
    keys: NDArray[np.uint64]  # flat, of each word: its first and its last eight bytes, its size and its place
    sums: NDArray[np.float32]  # flat, a row for each word
    counts: NDArray[np.int64]  # how many rows each word has
    hashes: NDArray[np.int32]  # of each word, as the library keeps them, with a sign
    num: NDArray[np.int64]  # how many words there are, in one cell


class Room(NamedTuple):
    """What is worked in, one text after the other."""

    numbers: NDArray[np.int64]  # a block of words
    spans: NDArray[np.int64]  # flat, where each of them begins and its size
    keys: NDArray[np.uint64]  # flat, their first and last eight bytes and their hash
    rows: NDArray[np.int64]  # of the n-grams of a word, or of a window of it
    block: NDArray[np.float32]  # the sum of its rows
    hidden: NDArray[np.float64]  # the sum of a text's rows, then their mean
    products: NDArray[np.float64]
    hashes: NDArray[np.int32]  # of all words of a text
    nodes: NDArray[np.int32]
    shares: NDArray[np.float64]
    marked: NDArray[np.int8]  # a word between its marks


@intrinsic
def _white(context, data, place):
    """A bit for each of 64 bytes: whether it is white space; the caller sees to it that the bytes are there."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        kind = ir.VectorType(ir.IntType(8), 64)
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), kind.as_pointer())
        values = builder.load(address, align=1)
        splat = [ir.Constant(kind, [number] * 64) for number in (0, 9, 5, 32)]
        found = builder.icmp_unsigned("<", builder.sub(values, splat[1]), splat[2])  # tab to carriage return
        for number in (splat[0], splat[3]):
            found = builder.or_(found, builder.icmp_unsigned("==", values, number))
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(data, types.int64), generate


@intrinsic
def _add_eight(context, target, target_place, source, source_place):
    """Add eight floats to eight others at once; the caller sees to it that they are there."""

    def generate(context, builder, signature, arguments):
        kind = ir.VectorType(ir.FloatType(), 8).as_pointer()
        places = []
        for number in (0, 2):
            array = context.make_array(signature.args[number])(context, builder, arguments[number])
            places.append(builder.bitcast(builder.gep(array.data, [arguments[number + 1]]), kind))
        total = builder.fadd(builder.load(places[0], align=4), builder.load(places[1], align=4))
        builder.store(total, places[0], align=4)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), generate


@intrinsic
def _bits_set(context, value):
    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@_compiled
def multiply(inputs, outputs, products):
    """Write the products of each row of the inputs with each of the outputs, summed up in float64 and one order."""
    for row in range(inputs.shape[0]):
        for output in range(outputs.shape[0]):
            total = 0.0
            for column in range(inputs.shape[1]):
                total += np.float64(inputs[row, column]) * np.float64(outputs[output, column])
            products[row, output] = total


@_compiled
def index(names, places, slots):
    """Names by hash: 32 bits of it, then the number and one more; of two that are equal the first is found."""
    for number in range(places.size - 1):
        _, _, mixed = _key(names, places[number], places[number + 1])
        slot = np.int64(mixed) & (slots.size - 1)
        while slots[slot]:
            slot = (slot + 1) & (slots.size - 1)
        slots[slot] = mixed & ~_MASK | np.uint64(number + 1)


@_compiled
def predict(data, white, starts, stops, label, labels, scores, room, known, tables, weights):
    """Write a label of each span, -1 where no part of it is known, and its probability.

    The best label, or `label` if that is not negative. `white` is zeros, a bit for each byte and 64 more.
    """
    _white_space(data, white)
    _clear(known, weights)
    for text in range(starts.size):
        place, stop = starts[text], stops[text]
        for column in range(weights.width):
            room.hidden[column] = 0
        num_added, num_hashes = np.int64(0), np.int64(0)
        while place < stop:
            if known.num[0] + BLOCK > known.counts.size:
                _clear(known, weights)
            num_read, place = _read(data, white, place, stop, room, known)
            size, goes_on = _found(data, num_read, room, known, tables, weights)
            place = place if goes_on else stop
            num_added += _add_block(room, size, known, weights)
            if tables.most_words > 1:
                for word in range(size):
                    room.hashes[num_hashes + word] = known.hashes[room.numbers[word]]
                num_hashes += size
        num_added += _add_end(room, num_hashes, tables, weights)
        labels[text], scores[text] = _judged(num_added, label, room, weights)


@_compiled
def _white_space(data, white):
    """Set a bit for each byte that is white space; there is none after the last."""
    for place in range(data.size >> 6):
        white[place] = _white(data, place << 6)
    for place in range(data.size & ~63, data.size):
        byte = data[place]
        if byte == 32 or byte == 0 or 9 <= byte <= 13:
            white[place >> 6] |= np.uint64(1) << np.uint64(place & 63)


@_compiled
def _clear(known, weights):
    """Forget all words."""
    for place in range(known.slots.size):
        known.slots[place] = 0
    known.num[0] = _FIRST_WORD


@_inlined
def _next(white, place, stop, flip):
    """The next byte in [place, stop) that is white space (with `flip`: that is not), or `stop`."""
    word = place >> 6
    bits = (white[word] ^ flip) >> np.uint64(place & 63)
    if bits:
        return min(place + np.int64(trailing_zeros(bits)), stop)
    while True:
        word += 1
        if word << 6 >= stop:
            return stop
        bits = white[word] ^ flip
        if bits:
            return min((word << 6) + np.int64(trailing_zeros(bits)), stop)


@_inlined
def _bytes_at(data, place):
    """Eight bytes, zeros beyond the data's end."""
    if place + 8 <= data.size:
        return eight_bytes(data, place)
    word = np.uint64(0)
    for step in range(data.size - place):
        word |= np.uint64(data[place + step]) << np.uint64(8 * step)
    return word


@_inlined
def _key(data, start, stop):
    """The first and the last eight bytes of a word, zeros where it is shorter, and a hash of it."""
    length = stop - start
    low = _LOW[min(length, 8)]
    first = _bytes_at(data, start) & low
    last = _bytes_at(data, max(start, stop - 8)) & low
    mixed = (first ^ (last ^ np.uint64(length)) * _FIRST) * _SECOND
    if 16 < length <= _CACHED:
        for middle in range(start + 8, stop - 8, 8):
            mixed = (mixed ^ mixed >> np.uint64(29) ^ _bytes_at(data, middle)) * _SECOND
    return first, last, mixed ^ mixed >> np.uint64(32)


@_compiled
def _read(data, white, place, stop, room, known):
    """The spans and keys of the next words, at most a block of them; how many they are, and where to go on."""
    slots, spans, keys, mask = known.slots, room.spans, room.keys, np.int64(known.slots.size - 1)
    nothing, all_ones = np.uint64(0), ~np.uint64(0)
    for word in range(BLOCK):
        start = _next(white, place, stop, all_ones)
        if start == stop:
            return word, stop
        place = _next(white, start, stop, nothing)
        first, last, mixed = _key(data, start, place)
        prefetch(slots, np.int64(mixed) & mask)
        spans[2 * word], spans[2 * word + 1] = start, place - start
        keys[3 * word], keys[3 * word + 1], keys[3 * word + 2] = first, last, mixed
    return np.int64(BLOCK), place


@_compiled
def _found(data, num_read, room, known, tables, weights):
    """The numbers of the words that were read, without those that count for nothing; how many, and whether to go on."""
    size, numbers, spans, wanted = np.int64(0), room.numbers, room.spans, room.keys
    slots, keys, names, mask = known.slots, known.keys, tables.slots, np.int64(known.slots.size - 1)
    for word in range(num_read):
        mixed = wanted[3 * word + 2]
        entry = slots[np.int64(mixed) & mask]
        if entry:
            number = np.int64(entry & _MASK)
            prefetch(keys, number << 2)
            prefetch(known.sums, number * weights.width)
            prefetch(known.counts, number)
            if tables.most_words > 1:
                prefetch(known.hashes, number)
        else:
            prefetch(names, np.int64(mixed) & np.int64(names.size - 1))
    for word in range(num_read):
        start, length = spans[2 * word], spans[2 * word + 1]
        first, last, mixed = wanted[3 * word], wanted[3 * word + 1], wanted[3 * word + 2]
        slot, number = np.int64(-1), np.int64(-1)
        if length <= _CACHED:
            slot, number = _looked_up(data, start, length, first, last, mixed, slots, keys)
        if number < 0:
            number = _learn(data, start, length, mixed, room, known, tables, weights)
            if number == _STOP:
                return size, False
            if number == _SKIPPED:
                continue
            if slot >= 0:
                slots[slot] = mixed & ~_MASK | np.uint64(number)
                key = 4 * number
                keys[key], keys[key + 1] = first, last
                keys[key + 2], keys[key + 3] = np.uint64(length), np.uint64(start)
        numbers[size] = number
        size += 1
    return size, True


@_inlined
def _looked_up(data, start, length, first, last, mixed, slots, keys):
    """The slot of a word and its number; -1 if the slot is free."""
    mask = np.int64(slots.size - 1)
    slot = np.int64(mixed) & mask
    while slots[slot]:
        if slots[slot] >> np.uint64(32) == mixed >> np.uint64(32):
            number = np.int64(slots[slot] & _MASK)
            key = 4 * number
            same = keys[key] == first and keys[key + 1] == last and keys[key + 2] == np.uint64(length)
            if same and (length <= 16 or _same(data, start + 8, start + length - 8, np.int64(keys[key + 3]) + 8)):
                return slot, number
        slot = (slot + 1) & mask
    return slot, np.int64(-1)


@_compiled
def _same(data, start, stop, other):
    """Whether two places of the data hold the same bytes, and the same after them up to a whole number of eight."""
    for step in range(0, stop - start, 8):  # noqa: SIM110 - numba compiles no generator in `all`
        if _bytes_at(data, start + step) != _bytes_at(data, other + step):
            return False
    return True


@_compiled
def _equal(data, start, end, other, other_start, other_end):
    if end - start != other_end - other_start:
        return False
    for step in range(end - start):  # noqa: SIM110 - numba compiles no generator in `all`
        if data[start + step] != other[other_start + step]:
            return False
    return True


@_compiled
def _hash(data, start, stop):
    value = _BASIS
    for place in range(start, stop):
        value = (value ^ _signed(np.int8(data[place]))) * _PRIME  # the low 32 bits depend on the low 32 bits alone
    return value & _MASK


@_inlined
def _signed(byte):
    """A byte as the library hashes it."""
    return np.uint64(np.int64(byte))


@_compiled
def _named(data, start, end, mixed, slots, names, places, num_words):
    """The number of a word, -1 for what is not known, -2 for a label and for what looks like one."""
    mask = slots.size - 1
    slot = np.int64(mixed) & mask
    while slots[slot]:
        if slots[slot] >> np.uint64(32) == mixed >> np.uint64(32):
            number = np.int64(slots[slot] & _MASK) - 1
            if _equal(data, start, end, names, places[number], places[number + 1]):
                return number if number < num_words else np.int64(-2)
        slot = (slot + 1) & mask
    looks = end - start >= _PREFIX.size and _equal(data, start, start + _PREFIX.size, _PREFIX, 0, _PREFIX.size)
    return np.int64(-2) if looks else np.int64(-1)


@_inlined
def _learn(data, start, size, mixed, room, known, tables, weights):
    """Put a word's sum into the table; its number there, `_SKIPPED` for a label, `_STOP` for the line's end.

    Of a word of several windows only the last is left in the table; the others are added to the text at once.
    """
    if _equal(data, start, start + size, _END, 0, _END.size):
        return np.int64(_STOP)
    value = _hash(data, start, start + size)
    named = _named(data, start, start + size, mixed, tables.slots, tables.names, tables.places, tables.num_words)
    if named == -2:
        return np.int64(_SKIPPED)
    number, width, sums, count = known.num[0], weights.width, known.sums, np.int64(0)
    for column in range(number * width, (number + 1) * width):
        sums[column] = 0
    if named >= 0:
        _add_row(sums, number * width, weights.inputs, named, width)
        count += 1
    for begin in range(0, size + 2 if tables.most else 0, WINDOW):
        if begin:
            for column in range(width):
                room.hidden[column] += np.float64(sums[number * width + column])
                sums[number * width + column] = 0
        _mark(data, start, size, begin, room.marked)
        count += _add_ngrams(begin, size, number, room, known, tables, weights)
    known.counts[number] = count
    known.hashes[number] = np.int32(np.uint32(value))
    known.num[0] += 1
    return number


@_inlined
def _mark(data, start, size, begin, marked):
    """Write a word between `<` and `>` from its byte `begin` on, where `<` is the first; as much as there is room."""
    for step in range(min(marked.size, size + 2 - begin)):
        place = begin + step - 1
        marked[step] = 60 if place < 0 else 62 if place == size else np.int8(data[start + place])


@_inlined
def _add_ngrams(start, size, number, room, known, tables, weights):
    """Add the rows of the n-grams that begin in one window of a marked word to its sum; how many rows that were.

    A mark alone is no n-gram. Characters are bytes with those behind them that go on in UTF-8.

    The window begins at `start`, where `<` is the first byte; `size` is that of the word without its marks.
    """
    end, last = min(room.marked.size, size + 2 - start), size + 1 - start
    first, stop = 0 if start == 0 else -1, min(WINDOW, size + 2 - start)
    marked, rows, least, most = room.marked, room.rows, tables.least, tables.most
    is_kept, kept_before, has_all = tables.is_kept, tables.kept_before, tables.is_kept.size == 0
    buckets, magic, shift = np.uint64(tables.buckets), np.uint64(tables.magic), np.uint64(tables.shift)
    num_words, count = tables.num_words, np.int64(0)
    for begin in range(stop):
        if marked[begin] < -64:
            continue
        value, after, letters = _BASIS, begin, 0
        while after < end and letters < most:
            value = (value ^ _signed(marked[after])) * _PRIME
            after += 1
            while after < end and marked[after] < -64:
                value = (value ^ _signed(marked[after])) * _PRIME
                after += 1
            letters += 1
            if letters < least or (letters == 1 and (begin in (first, last))):
                continue
            hashed = value & _MASK
            bucket = hashed - (hashed * magic >> shift) * buckets
            bucket = bucket - buckets if bucket >= buckets else bucket
            if has_all:
                rows[count] = num_words + np.int64(bucket)
                count += 1
            else:  # without a branch: whether a bucket was kept cannot be guessed
                word, bit = is_kept[bucket >> np.uint64(6)], bucket & np.uint64(63)
                below = np.int64(_bits_set(word & ((np.uint64(1) << bit) - np.uint64(1))))
                rows[count] = num_words + kept_before[bucket >> np.uint64(6)] + below
                count += np.int64(word >> bit & np.uint64(1))
    inputs, sums, width, place = weights.inputs, known.sums, weights.width, number * weights.width
    for found in range(count):
        _add_row(sums, place, inputs, rows[found], width)
    return count


@_compiled
def _bucket_row(bucket, num_words, is_kept, kept_before):
    """The row of a bucket, -1 if it was pruned."""
    if is_kept.size == 0:
        return num_words + np.int64(bucket)
    word, bit = is_kept[bucket >> np.uint64(6)], bucket & np.uint64(63)
    if not word >> bit & np.uint64(1):
        return np.int64(-1)
    return (
        num_words
        + kept_before[bucket >> np.uint64(6)]
        + np.int64(_bits_set(word & ((np.uint64(1) << bit) - np.uint64(1))))
    )


@_inlined
def _add_row(target, place, rows, row, width):
    if width >= LANES:
        for column in range(0, width, LANES):
            _add_eight(target, place + column, rows, row * width + column)
    else:
        for column in range(width):
            target[place + column] += rows[row * width + column]


@_compiled
def _flush(room):
    """Add the block's sum to the text's, and begin another."""
    for column in range(room.block.size):
        room.hidden[column] += np.float64(room.block[column])
        room.block[column] = 0


@_compiled
def _add_block(room, size, known, weights):
    """Add so many words to a text; how many rows that were."""
    total, width, sums, counts = np.int64(0), weights.width, known.sums, known.counts
    for place in range(size):
        _add_row(room.block, 0, sums, room.numbers[place], width)
        total += counts[room.numbers[place]]
    _flush(room)
    return total


@_inlined
def _pair_rows(begin, num_tokens, room, tables, weights):
    """The rows of the n-grams of words that begin in a block of the text, on their way from memory; their number."""
    hashes, rows, inputs, width = room.hashes, room.rows, weights.inputs, weights.width
    is_kept, kept_before, num_words, most = tables.is_kept, tables.kept_before, tables.num_words, tables.most_words
    buckets, count = np.uint64(tables.buckets), np.int64(0)
    for first in range(begin, min(begin + BLOCK, num_tokens)):
        value = np.uint64(np.int64(hashes[first]))
        for last in range(first + 1, min(num_tokens, first + most)):
            value = value * _WORD_PRIME + np.uint64(np.int64(hashes[last]))
            row = _bucket_row(value % buckets, num_words, is_kept, kept_before)
            if row >= 0:
                prefetch(inputs, row * width)
                rows[count] = row
                count += 1
    return count


@_compiled
def _add_end(room, num_hashes, tables, weights):
    """Add what the line's end is known by, then the n-grams of words; how many rows that was."""
    total, num_tokens = np.int64(0), np.int64(num_hashes + 1)
    inputs, width, block, hashes = weights.inputs, weights.width, room.block, room.hashes
    if tables.end_word >= 0:
        _add_row(block, 0, inputs, tables.end_word, weights.width)
        total += 1
    if tables.most_words > 1:
        hashes[num_hashes] = np.int32(np.uint32(_hash(_END, 0, _END.size)))
        for begin in range(0, num_tokens, BLOCK):
            count = _pair_rows(begin, num_tokens, room, tables, weights)
            for place in range(count):
                _add_row(block, 0, inputs, room.rows[place], width)
            _flush(room)
            total += count
    _flush(room)
    return total


@_compiled
def _judged(num_added, label, room, weights):
    """A label and its probability, of a sum of rows: of the best label, if none is asked for."""
    if num_added == 0:
        return np.int32(-1), np.float32(0)
    hidden, products = room.hidden, room.products
    for column in range(hidden.size):
        hidden[column] /= num_added
    if weights.loss == 0:
        if label < 0:
            return _best_leaf(hidden, room.nodes, room.shares, weights)
        return np.int32(label), _leaf(hidden, label, weights)
    for output in range(weights.num_labels):
        products[output] = _product(hidden, output, weights)
    _to_probabilities(products, weights)
    if label < 0:
        label = 0
        for other in range(1, weights.num_labels):
            if products[other] >= products[label]:
                label = other
    return np.int32(label), np.float32(products[label] + _FLOOR)


@_compiled
def _to_probabilities(products, weights):
    if weights.loss == 1:
        _to_softmax(products)
    else:
        for output in range(weights.num_labels):
            products[output] = _sigmoid(np.float32(products[output]), weights.sigmoid)


@_compiled
def _product(hidden, row, weights):
    if weights.outputs.size == 0:
        return hidden[row]
    total = 0.0
    for column in range(hidden.size):
        total += np.float64(weights.outputs[row, column]) * hidden[column]
    return total


@_compiled
def _right_share(hidden, node, weights):
    """The probability of a node's right child."""
    return 1.0 / (1.0 + math.exp(-_product(hidden, node - weights.num_labels, weights)))


@_compiled
def _leaf(hidden, label, weights):
    share, node = 1.0, np.int64(label)
    while weights.parents[node] >= 0:
        parent = np.int64(weights.parents[node])
        right = _right_share(hidden, parent, weights)
        share *= (right if weights.right[parent] == node else 1.0 - right) + _FLOOR
        node = parent
    return np.float32(share)


@_compiled
def _best_leaf(hidden, nodes, shares, weights):
    """The likelier child first; of equal leaves the later from left to right. Probabilities below 1e-5 end a path."""
    best, best_share = np.int64(-1), _FLOOR
    nodes[0], shares[0], depth = weights.left.size - 1, 1.0, 1
    while depth:
        depth -= 1
        node, share = np.int64(nodes[depth]), shares[depth]
        if share < best_share:
            continue
        if weights.left[node] < 0:
            if best < 0 or share > best_share or weights.ranks[node] > weights.ranks[best]:
                best, best_share = node, share
            continue
        right = _right_share(hidden, node, weights)
        low, high, lower = weights.left[node], weights.right[node], 1.0 - right
        if lower > right:
            low, high, lower, right = high, low, right, lower
        nodes[depth], shares[depth] = low, share * (lower + _FLOOR)
        nodes[depth + 1], shares[depth + 1] = high, share * (right + _FLOOR)
        depth += 2
    return np.int32(best), np.float32(best_share if best >= 0 else 0)


@_compiled
def _to_softmax(products):
    most, total = products[0], 0.0
    for label in range(1, products.size):
        most = max(most, products[label])
    for label in range(products.size):
        products[label] = math.exp(products[label] - most)
        total += products[label]
    for label in range(products.size):
        products[label] /= total


@_compiled
def _sigmoid(value, table):
    if value < -SIGMOID_BOUND:
        return np.float32(0)
    if value > SIGMOID_BOUND:
        return np.float32(1)
    step = (value + np.float32(SIGMOID_BOUND)) * np.float32(SIGMOID_STEPS) / np.float32(SIGMOID_BOUND)
    return table[int(step / np.float32(2))]
