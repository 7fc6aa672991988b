r"""SentencePiece models of BPE, read without any library: their pieces, and by which rules they were trained.

A model is a protobuf message (sentencepiece_model.proto): field 1 holds a piece each (text, score, type), field 2 the
options of the trainer, field 3 the normaliser. Pieces lie in the order in which training made them, the single
characters last; scores fall with it, unless somebody changed them afterwards, as those of Mistral's runs of spaces.
`operators/character_files.py` and `operators/merge_sources.py` make merges of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from typing import Final, NamedTuple

from operators.base import DataError
from operators.piece_rules import PieceRules


class Kind(IntEnum):
    """The type of a piece."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Piece(NamedTuple):
    """A piece of a model; its id is its place."""

    text: str
    score: float
    kind: Kind


class Model(NamedTuple):
    """What is read of a model."""

    pieces: list[Piece]
    rules: PieceRules


_MODELS: Final = {1: "Unigram", 3: "whole words", 4: "single characters"}
_BPE: Final = 2
_FIXED: Final = {1: 8, 5: 4}
_FORM: Final = "expected a whole SentencePiece model (.model) of type BPE"


def read_model(content: bytes) -> Model:
    """The model in a file. Raises DataError where it is cut off, is no such message, or is of another type than BPE."""
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] | None = None
    for number, value in fields(content):
        if number == 1 and isinstance(value, bytes):
            pieces.append(_piece(value))
        elif number == 2 and isinstance(value, bytes):
            trainer = dict(fields(value))
    if trainer is None or not pieces:
        found = f"{len(pieces)} pieces and {'no' if trainer is None else 'the'} options of a trainer"
        raise DataError(f"the SentencePiece model has {found}: it is cut off, or another message; {_FORM}")
    kind = int(trainer.get(3, 1))
    if kind != _BPE:
        msg = f"the SentencePiece model is of {_MODELS.get(kind, f'type {kind}')}, which has no order of merges"
        raise DataError(f"{msg}: {_FORM}")
    return Model(pieces, _rules(trainer))


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    r"""Number and value of each field of a protobuf message; a number, or the bytes of what is none.

    Raises DataError where the message ends within a field.

    >>> list(fields(b"\x18\x02\x0a\x01a"))
    [(3, 2), (1, b'a')]
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == 0:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        size = _FIXED.get(tag & 7, -1)
        if tag & 7 == 2:
            size, place = _varint(message, place)
        if size < 0 or place + size > len(message):
            msg = f"the SentencePiece model ends, or is no such message, at byte {place:,} of {len(message):,}"
            raise DataError(f"{msg}: {_FORM}")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 64:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise DataError(f"the SentencePiece model ends within a number, at byte {place:,}: {_FORM}")


def _piece(message: bytes) -> Piece:
    found = dict(fields(message))
    text, score, kind = found.get(1, b""), found.get(2, bytes(4)), found.get(3, 1)
    if isinstance(text, bytes) and isinstance(score, bytes) and isinstance(kind, int):
        with suppress(ValueError, struct.error):
            return Piece(text.decode(), struct.unpack("<f", score)[0], Kind(kind))
    raise DataError(f"the SentencePiece model has a piece {message[:40]!r} that is none: {_FORM}")


def _rules(trainer: dict[int, int | bytes]) -> PieceRules:
    """The rules for pieces, of the options with their numbers and defaults in sentencepiece_model.proto."""
    if trainer.get(24) or trainer.get(53):
        option = "treat_whitespace_as_suffix" if trainer.get(24) else "pretokenization_delimiter"
        msg = f"the SentencePiece model was trained with {option}, by which words are cut in another way"
        raise DataError(f"{msg}: expected spaces before their words and no delimiter")
    by_script = bool(trainer.get(21, 1))
    return PieceRules(
        by_space=bool(trainer.get(22, 1)),
        runs_of_spaces=bool(trainer.get(26, 0)),
        by_script=by_script,
        digits="alone" if trainer.get(25, 0) else "own" if by_script and trainer.get(23, 1) else "any",
        max_characters=int(trainer.get(20, 16)),
    )
