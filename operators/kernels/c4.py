"""C4's rules over Arrow buffers, line by line; `c4_reference.py` and operators/sentences.py say what they are.

Three passes: `clean` writes the lines that stay, parted by line feeds; those of `c4_sentences.py` look at them;
`assemble` takes a document's new text or its old one. A line is looked through for the rules' phrases by rare
letters, j k v f p, and then by what stands around them. Of all other characters the Kelvin sign U+212A alone has a
lower case that a phrase needs (U+0130 becomes i and U+0307, and no phrase ends with i).
All compiled functions stay in this file and in text_bytes.py (ADR 0011).
"""

# Compiled functions get their types from their arguments.
# ruff: noqa: ANN001, ANN201, ANN202, SIM110
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, call-arg, var-annotated"
# With text_bytes.py ba160204.

from typing import Final, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from operators.kernels.c4_reference import Settings
from operators.kernels.text_bytes import code_point, eight_bytes, wide_white
from operators.sentences import DIGIT, KIND

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

LONG, END, SHORT, JAVASCRIPT, POLICY, KEPT, REASON = range(7)
"""The columns of `Lines.counts`; `REASON` is 1 for lorem ipsum, 2 for a curly bracket."""

_INNER, _BRACKET, _LEAD, _WHITE, _BREAK, _RETURN = range(1, 7)
"""What a byte is, if no character of its own (0): inside of one, a square bracket, one of four lead bytes that white
space has, white space, a line break, a carriage return."""


def _byte_kinds() -> Bytes:
    kinds = np.zeros(256, np.uint8)
    kinds[0x80:0xC0] = _INNER
    kinds[[9, 31, 32]] = _WHITE
    kinds[[10, 11, 12, 28, 29, 30]] = _BREAK
    kinds[13] = _RETURN
    kinds[[0xC2, 0xE1, 0xE2, 0xE3]] = _LEAD
    kinds[ord("[")] = _BRACKET
    return kinds


def _triggers() -> Bytes:
    triggers = np.zeros(256, np.uint8)
    for number, letters in enumerate(("jJ", "kK", "vV", "fF", "pP", "{"), start=1):
        triggers[[ord(letter) for letter in letters]] = number
    triggers[0xE2] = 7
    return triggers


def _phrase(text: str) -> Bytes:
    return np.frombuffer(text.encode(), np.uint8)


_ONES: Final = np.uint64(0x0101010101010101)
_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_SPACES: Final = np.uint64(0x2020202020202020)
_BRACKETS: Final = np.uint64(0x5B5B5B5B5B5B5B5B)
_LEADS: Final = np.uint64(0xE2E2E2E2E2E2E2E2)
_KINDS: Final = _byte_kinds()
_TRIGGERS: Final = _triggers()
_JAVASCRIPT: Final = _phrase("javascript")
_LOREM: Final = _phrase("lorem ipsum")
_PRIVACY: Final = _phrase("privacy policy")
_TERMS: Final = _phrase("terms of use")
_COOKIE: Final = (_phrase("coo"), _phrase("ie policy"), _phrase("ies"))
_BEFORE_COOKIES: Final = (_phrase("uses "), _phrase("use of "), _phrase("use "))
_EDIT: Final = _phrase("edit]")
_NEEDED: Final = _phrase("citation needed]")
_HAS_LOREM, _HAS_JAVASCRIPT, _HAS_CURLY, _HAS_POLICY = 1, 2, 4, 8


class Lines(NamedTuple):
    """The lines that stay: bytes, where those of a document begin and end, and its counts (documents, 7)."""

    data: Bytes
    starts: Ints
    ends: Ints
    counts: NDArray[np.int32]


def clean(data: Bytes, offsets: Ints, judged: NDArray[np.bool_], settings: Settings, table: Bytes) -> Lines:
    """The lines of each document that stay. `table` is `sentences.sentence_table()`.

    A document that is not judged, or that a line rejects, has none.
    """
    switches = np.array(settings, np.int64)
    return Lines(*_clean(data, offsets, judged, switches, table))


@intrinsic
def _byte(context, array, place):
    """A byte at a place that is known to be inside: numpy's indexing would look whether it is negative."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return types.uint8(array, place), generate


@njit
def _wide_white(data, at):
    """`wide_white`, compiled once."""
    return wide_white(data, at)


@njit
def _white_size(data, at):
    """Bytes of the white space at a place; 0 if there is none."""
    kind = _KINDS[data[at]]
    if kind == _LEAD:
        return abs(_wide_white(data, at))
    return 1 if kind >= _WHITE else 0


@njit
def _line_end(data, at, high):
    """Where a line ends, where the next begins, and whether a square bracket may be in it.

    Eight bytes at a time: a zero byte is one that borrows. Bytes below the space, C2 and E2 alone can begin a break.
    """
    has_bracket = False
    while at < high:
        stop = high
        if at + 8 <= high:
            word, stop = eight_bytes(data, at), at + 8
            has_bracket |= _has_zero(word ^ _BRACKETS)
            if not ((word - _SPACES) & ~word & _HIGH_BITS) and not _has_zero((word | _SPACES) ^ _LEADS):
                at = stop
                continue
        while at < stop:
            kind = _KINDS[data[at]]
            has_bracket |= kind == _BRACKET
            size = _wide_white(data, at) if kind == _LEAD else 1
            if size < 0:
                return at, at - size, has_bracket
            if kind >= _BREAK:
                is_pair = kind == _RETURN and at + 1 < high and data[at + 1] == 10
                return at, at + 1 + is_pair, has_bracket
            at += 1
    return high, high, has_bracket


@njit
def _has_zero(word):
    return (word - _ONES) & ~word & _HIGH_BITS != 0


@njit
def _trimmed(data, low, high):
    """A stretch without white space around it."""
    while low < high and _white_size(data, low):
        low += _white_size(data, low)
    while low < high:
        at = high - 1
        while _KINDS[data[at]] == _INNER:
            at -= 1
        if not _white_size(data, at):
            break
        high = at
    return low, high


@njit
def _has_words(data, at, high, wanted):
    """Whether a line has so many words; it does not begin with white space."""
    words = 0
    while at < high and words < wanted:
        words += 1
        while at < high and not _white_size(data, at):
            at += 1
        while at < high and _white_size(data, at):
            at += _white_size(data, at)
    return words >= wanted


@njit
def _has_longer_word(data, at, high, most):
    """Whether a word of a line has more code points."""
    chars = 0
    while at < high and chars <= most:
        size = _white_size(data, at)
        chars = 0 if size else chars + (_KINDS[data[at]] != _INNER)
        at += max(size, 1)
    return chars > most


@njit
def _reads(data, at, low, high, phrase):
    """Whether a phrase stands at a place, in capitals or small letters, all of it within [low, high)."""
    if at < low or at + phrase.size > high:
        return False
    for i in range(phrase.size):
        byte = _byte(data, at + i)
        if byte != phrase[i] and not (65 <= byte <= 90 and byte + 32 == phrase[i]):
            return False
    return True


@njit
def _is(data, at, high, phrase):
    """Whether exactly these bytes stand at a place."""
    if at + phrase.size > high:
        return False
    for i in range(phrase.size):
        if _byte(data, at + i) != phrase[i]:
            return False
    return True


@njit
def _citation_end(data, at, high, table):
    """Where the citation ends that begins at a bracket; the bracket's place if none does."""
    place = at + 1
    if _is(data, place, high, _EDIT):
        return place + _EDIT.size
    if _is(data, place, high, _NEEDED):
        return place + _NEEDED.size
    while place < high:
        if data[place] == 93:
            return place + 1
        point, place = code_point(data, place)
        if table[point] & KIND != DIGIT:
            return at
    return at


@njit
def _copy(data, first, stop, out, end):
    """Append a line to `out`; the new end."""
    for i in range(stop - first):
        out[end + i] = data[first + i]
    return end + stop - first


@njit
def _copy_without_citations(data, first, stop, table, out, end):
    """Append a line to `out` without its citations; the new end."""
    while first < stop:
        if data[first] == 91:
            place = _citation_end(data, first, stop, table)
            if place > first:
                first = place
                continue
        out[end] = data[first]
        first, end = first + 1, end + 1
    return end


@njit
def _is_cookie_policy(data, at, low, high, size):
    """Whether the k at a place is that of one of the four phrases about cookies; `size` is its bytes."""
    begin = at - _COOKIE[0].size
    if not _reads(data, begin, low, high, _COOKIE[0]):
        return False
    if _reads(data, at + size, low, high, _COOKIE[1]):
        return True
    if not _reads(data, at + size, low, high, _COOKIE[2]):
        return False
    for phrase in _BEFORE_COOKIES:
        if _reads(data, begin - phrase.size, low, begin, phrase):
            return True
    return False


@njit
def _phrases(data, low, high):
    """What a line holds, as a sum of flags."""
    found = 0
    for at in range(low, high):
        trigger = _byte(_TRIGGERS, np.int64(_byte(data, at)))
        if trigger == 0:
            continue
        if trigger == 1:
            found |= _HAS_JAVASCRIPT if _reads(data, at, low, high, _JAVASCRIPT) else 0
        elif trigger == 2:
            found |= _HAS_POLICY if _is_cookie_policy(data, at, low, high, 1) else 0
        elif trigger == 3:
            found |= _HAS_POLICY if _reads(data, at - 3, low, high, _PRIVACY) else 0
        elif trigger == 4:
            found |= _HAS_POLICY if _reads(data, at - 7, low, high, _TERMS) else 0
        elif trigger == 5:
            found |= _HAS_LOREM if _reads(data, at - 7, low, high, _LOREM) else 0
        elif trigger == 6:
            found |= _HAS_CURLY
        elif data[at + 1] == 0x84 and data[at + 2] == 0xAA:
            found |= _HAS_POLICY if _is_cookie_policy(data, at, low, high, 3) else 0
    return found


@njit
def _is_terminated(data, low, high):
    if high == low:
        return False
    last = data[high - 1]
    if last == 46:
        return not (high - low >= 3 and data[high - 2] == 46 and data[high - 3] == 46)
    return last == 63 or last == 33 or last == 34 or last == 39


@njit
def _verdict(data, low, high, is_short, switches):
    """What becomes of a line by all rules but the first: its count, or -1 and -2 where it rejects the document."""
    terminated, _, _, _, lorem, curly, javascript, policy = switches
    if terminated and not _is_terminated(data, low, high):
        return END
    if is_short:
        return SHORT
    found = _phrases(data, low, high)
    if found == 0:
        return KEPT
    if lorem and found & _HAS_LOREM:
        return -1
    if javascript and found & _HAS_JAVASCRIPT:
        return JAVASCRIPT
    if curly and found & _HAS_CURLY:
        return -2
    return POLICY if policy and found & _HAS_POLICY else KEPT


@njit(cache=True, nogil=True)
def _clean(data, offsets, judged, switches, table):
    documents = offsets.size - 1
    out = np.empty(data.size + documents, np.uint8)
    starts = np.zeros(documents, np.int64)
    ends = np.zeros(documents, np.int64)
    counts = np.zeros((documents, 7), np.int32)
    rules = (
        switches[0], switches[1], switches[2], switches[3], switches[4], switches[5], switches[6], switches[7]
    )  # fmt: skip
    end = 0
    for document in range(documents):
        starts[document] = ends[document] = end
        if not judged[document]:
            continue
        end = _clean_document(data, offsets[document], offsets[document + 1], rules, table, out, end, counts[document])
        ends[document] = end
    return out[:end].copy(), starts, ends, counts


@njit
def _clean_document(data, at, high, switches, table, out, end, counts):
    """Append a document's lines to `out` and count; the new end."""
    begin = end
    while at < high:
        line = at
        stop, at, brackets = _line_end(data, at, high)
        first, stop = _trimmed(data, line, stop)
        low = end + (counts[KEPT] > 0)
        verdict, line_end = _judge_line(data, first, stop, switches, table, brackets, out, low)
        if verdict < 0:
            counts[:] = 0
            counts[REASON] = -verdict
            return begin
        if verdict == KEPT:
            if counts[KEPT]:
                out[end] = 10
            end = line_end
        counts[verdict] += stop > first or verdict == KEPT
    return end


@njit
def _judge_line(data, first, stop, switches, table, brackets, out, low):
    """A line's verdict; one that stays is written to `out`, whose new end is the second result."""
    _, citations, min_words, max_chars, _, _, _, _ = switches
    if stop - first > max_chars and _has_longer_word(data, first, stop, max_chars):
        return LONG, low
    is_short = not _has_words(data, first, stop, min_words)
    if brackets and citations:
        line_end = _copy_without_citations(data, first, stop, table, out, low)
        return _verdict(out, low, line_end, is_short, switches), line_end
    verdict = _verdict(data, first, stop, is_short, switches)
    return verdict, _copy(data, first, stop, out, low) if verdict == KEPT else low


@njit(cache=True, nogil=True)
def trim(data, starts, ends):
    """Where each document begins and ends without white space around it."""
    lows, highs = starts.copy(), ends.copy()
    for document in range(starts.size):
        lows[document], highs[document] = _trimmed(data, starts[document], ends[document])
    return lows, highs


@njit(cache=True, nogil=True)
def count_long_lines(data, starts, ends, min_chars):
    """How many lines of each document, parted by line feeds, have so many code points."""
    counts = np.zeros(starts.size, np.int32)
    for document in range(starts.size):
        chars, count = 0, 0
        for at in range(starts[document], ends[document]):
            byte = data[at]
            if byte == 10:
                count += chars >= min_chars
                chars = 0
            else:
                chars += byte & 0xC0 != 0x80
        counts[document] = count + (chars >= min_chars)
    return counts


@njit(cache=True, nogil=True)
def assemble(data, offsets, new, lows, highs, rewritten):
    """The documents' texts as one buffer with its offsets: new ones where `rewritten`, else as they were."""
    out_offsets = np.zeros(offsets.size, np.int64)
    for document in range(offsets.size - 1):
        size = offsets[document + 1] - offsets[document]
        if rewritten[document]:
            size = highs[document] - lows[document]
        out_offsets[document + 1] = out_offsets[document] + size
    out = np.empty(out_offsets[-1], np.uint8)
    for document in range(offsets.size - 1):
        low, high = out_offsets[document], out_offsets[document + 1]
        if rewritten[document]:
            out[low:high] = new[lows[document] : highs[document]]
        else:
            out[low:high] = data[offsets[document] : offsets[document + 1]]
    return out, out_offsets
