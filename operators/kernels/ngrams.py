"""Keep n-gram models, and score with them; `ngrams_reference.py` says what they are, `ngram_training.py` trains them.

A model is one table with open addressing. The key of an n-gram is the place of the n-gram without its first symbol (32
bits) and that symbol (32 bits): exact, so no two n-grams are ever taken for each other, and a longer n-gram is found by
one look from the shorter. Its logarithms lie beside the key, in the same line of the cache.

All compiled functions stay in this file: numba's cache looks at the file of the function that it compiles alone.
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg"

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

NOTHING: Final = 0
"""Stands before a document's beginning."""
BEGIN: Final = 1
END: Final = 2
FIRST: Final = 3
"""The first symbol that stands for something."""
MAX_ORDER: Final = 6

FREE: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The key of a slot that holds no n-gram."""

_MIX, _MIX_AGAIN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_NAME_BASIS, _NAME_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a of 64 bits


class Grams(NamedTuple):
    """A model of sequences of symbols.

    `unigrams` has a row for each symbol, `table` one for each slot: its key, and 64 bits that hold two float32. These
    two numbers are log2 of the probability of the n-gram's last symbol after the others, and log2 of the share that a
    history of these symbols leaves to shorter ones. `rest` is log2 of what the unigrams leave to the base.
    """

    order: int
    unigrams: NDArray[np.float32]
    table: NDArray[np.uint64]
    rest: float


@njit(inline="always")
def _slot(key, size):
    mixed = key * _MIX
    mixed = (mixed ^ mixed >> _HALF) * _MIX_AGAIN
    return np.int64((mixed >> _HALF) * np.uint64(size) >> _HALF)


@njit(cache=True, nogil=True)
def inserted(table, halves, num_symbols, numbers, parents, firsts, slots, probabilities, shares):
    """Put n-grams of one length into the table; where those are that longer ones follow on."""
    places = np.zeros(probabilities.size, np.uint32)
    for number in numbers:
        key = np.uint64(slots[parents[number]]) << _HALF | np.uint64(firsts[number])
        slot = _slot(key, table.shape[0])
        while table[slot, 0] != FREE:
            slot = slot + 1 if slot + 1 < table.shape[0] else 0
        table[slot, 0] = key
        halves[slot, 2], halves[slot, 3] = np.log2(probabilities[number]), np.log2(shares[number])
        places[number] = num_symbols + slot
    return places


class Listed(NamedTuple):
    """All n-grams of one length in a model: a row of symbols each, and their two logarithms to base 2."""

    symbols: Ints
    probabilities: NDArray[np.float32]
    shares: NDArray[np.float32]


def listed(model: Grams) -> list[Listed]:
    """The n-grams of a model by length, from two on, in the order of the table."""
    num_symbols = model.unigrams.shape[0]
    used = np.flatnonzero(model.table[:, 0] != FREE)
    keys = model.table[used, 0]
    parents, firsts = (keys >> _HALF).astype(np.int64), (keys & _LOW).astype(np.int32)
    grams = np.full((model.table.shape[0], max(model.order, 2)), NOTHING, np.int32)
    lengths = np.where(parents < num_symbols, 2, 0)
    two = used[lengths == 2]
    grams[two, 0], grams[two, 1] = firsts[lengths == 2], parents[lengths == 2]
    length_of = np.zeros(model.table.shape[0], np.int8)
    length_of[two] = 2
    halves = model.table.view(np.float32)
    for length in range(3, model.order + 1):
        mine = (lengths == 0) & (length_of[np.maximum(parents - num_symbols, 0)] == length - 1)
        lengths[mine], length_of[used[mine]] = length, length
        grams[used[mine], 0] = firsts[mine]
        grams[used[mine], 1:length] = grams[parents[mine] - num_symbols, : length - 1]
    slots = [used[lengths == length] for length in range(2, model.order + 1)]
    return [Listed(grams[of, :length], halves[of, 2], halves[of, 3]) for length, of in enumerate(slots, 2)]


def symbol_bits(model: Grams, tokens: NDArray[Any], starts: Longs, symbols: Ints, unknown: Floats) -> Floats:
    """What every token of documents costs in bits, and the end of each document after its tokens.

    Args:
        model: of symbols.
        tokens: of all documents, one after the other: places in `symbols`.
        starts: where each document begins, and the end of the last.
        symbols: the symbol that a token is; -1 for one that the model does not know.
        unknown: what an unknown token costs where nothing is known of its history.

    Returns:
        Token t of document d at t + d; each is finite and at least 0.
    """
    bits = np.empty(tokens.size + starts.size - 1)
    arrays = (tokens, starts, symbols, unknown, model.unigrams, model.table, model.table.view(np.float32))
    _symbol_bits(*map(_frozen, arrays), model.order, bits)
    return bits


def totals(bits: Floats, tokens: Ints, starts: Longs, lengths: Longs) -> tuple[Floats, Longs]:
    """The bits of each document with its end, as `symbol_bits` has them, and the lengths of its tokens, added up."""
    sums, sizes = _totals(*map(_frozen, (bits, tokens, starts, lengths)))
    return sums, sizes


def _frozen(array: Any) -> Any:  # noqa: ANN401
    """Read-only, as what lies in a file is: else everything would be compiled twice."""
    view = array.view()
    view.flags.writeable = False
    return view


@njit(cache=True, nogil=True)
def _totals(bits, tokens, starts, lengths):
    sums, sizes = np.zeros(starts.size - 1, np.float64), np.zeros(starts.size - 1, np.int64)
    for document in range(starts.size - 1):
        for place in range(starts[document], starts[document + 1]):
            sums[document] += bits[place + document]
            sizes[document] += lengths[tokens[place]]
        sums[document] += bits[starts[document + 1] + document]
    return sums, sizes


@njit(cache=True, nogil=True)
def _symbol_bits(tokens, starts, symbols, unknown, unigrams, table, halves, order, bits):
    num_symbols, size = np.uint64(unigrams.shape[0]), table.shape[0]
    past = np.empty(order + 1, np.int64)  # the last symbols, the latest first
    shares, new_shares = np.zeros(order + 1, np.float64), np.zeros(order + 1, np.float64)
    for document in range(starts.size - 1):
        # How many of the last symbols are known, and of how many of them a history is.
        known, num_shares = 1, 1
        past[0], shares[0] = BEGIN, unigrams[BEGIN, 1]
        for place in range(starts[document], starts[document + 1] + 1):
            is_end = place == starts[document + 1]
            symbol = np.int64(END) if is_end else np.int64(symbols[tokens[place]])
            if symbol < 0:
                cost = unknown[tokens[place]]
                for length in range(min(num_shares, order - 1)):
                    cost -= shares[length]
                bits[place + document] = max(cost, 0.0)
                known, num_shares = 0, 0
                continue
            cost, new_shares[0] = -np.float64(unigrams[symbol, 0]), unigrams[symbol, 1]
            node, length = np.uint64(symbol), 1
            while length < order and length <= known:
                key = node << _HALF | np.uint64(past[length - 1])
                slot = _slot(key, size)
                while table[slot, 0] != key and table[slot, 0] != FREE:
                    slot = slot + 1 if slot + 1 < size else 0
                if table[slot, 0] == FREE:
                    break
                cost, new_shares[length] = -np.float64(halves[slot, 2]), halves[slot, 3]
                node = num_symbols + np.uint64(slot)
                length += 1
            for shorter in range(length - 1, min(num_shares, order - 1)):
                cost -= shares[shorter]
            bits[place + document] = max(cost, 0.0)
            for back in range(min(known, order - 2), 0, -1):
                past[back] = past[back - 1]
            past[0] = symbol
            known, num_shares = min(known + 1, order), length
            shares, new_shares = new_shares, shares


class Names(NamedTuple):
    """Byte strings, one after the other, and a hash table of their numbers (-1: free)."""

    data: NDArray[np.uint8]
    starts: Longs
    slots: Ints


def indexed(data: NDArray[np.uint8], starts: Longs) -> Names:
    """Distinct byte strings that can be looked up."""
    slots = np.full(2 * starts.size + 1, -1, np.int32)
    _index(data, starts, slots)
    return Names(data, starts, slots)


def looked_up(names: Names, data: NDArray[np.uint8], starts: Longs) -> Ints:
    """The number of each byte string among the names, -1 where it is none of them; compared byte by byte."""
    found: Ints = _looked_up(*map(_frozen, (*names, data, starts)))
    return found


@njit(cache=True, nogil=True)
def _name_slot(data, start, stop, size):
    value = _NAME_BASIS
    for place in range(start, stop):
        value = (value ^ np.uint64(data[place])) * _NAME_PRIME
    return _slot(value, size)


@njit(cache=True, nogil=True)
def _index(data, starts, slots):
    for number in range(starts.size - 1):
        slot = _name_slot(data, starts[number], starts[number + 1], slots.size)
        while slots[slot] >= 0:
            slot = slot + 1 if slot + 1 < slots.size else 0
        slots[slot] = number


@njit(cache=True, nogil=True)
def _looked_up(names, name_starts, slots, data, starts):
    found = np.empty(starts.size - 1, np.int32)
    for number in range(found.size):
        start, stop = starts[number], starts[number + 1]
        slot = _name_slot(data, start, stop, slots.size)
        while slots[slot] >= 0:
            first = name_starts[slots[slot]]
            length = name_starts[slots[slot] + 1] - first
            same = length == stop - start
            step = 0
            while same and step < length:
                same = names[first + step] == data[start + step]
                step += 1
            if same:
                break
            slot = slot + 1 if slot + 1 < slots.size else 0
        found[number] = slots[slot]
    return found
