"""The 256 characters that stand for bytes in a byte-level vocabulary, and the ids that the bytes get.

A `tokenizer.json` holds tokens as text, so every byte needs a visible character of its own (GPT-2's table): printable
bytes stand for themselves, the others are moved to U+0100 and after. Ids follow the code points of these characters,
as in `tokenizers`: `!` is 0 and the space, written U+0120, is 220. Ties in training are broken by these ids, so the
order is part of the result.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_PRINTABLE: Final = frozenset((*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)))


def byte_characters() -> tuple[str, ...]:
    """The character of each byte, by byte value.

    >>> [byte_characters()[byte] for byte in b"a!"], hex(ord(byte_characters()[0x20]))
    (['a', '!'], '0x120')
    """
    hidden = [byte for byte in range(256) if byte not in _PRINTABLE]
    moved = {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return tuple(moved.get(byte, chr(byte)) for byte in range(256))


def bytes_in_id_order() -> bytes:
    """The 256 bytes in the order of their ids.

    >>> bytes_in_id_order()[0], bytes_in_id_order()[220]
    (33, 32)
    """
    characters = byte_characters()
    return bytes(sorted(range(256), key=characters.__getitem__))


def byte_ids() -> NDArray[np.int32]:
    """The id of each byte, by byte value.

    >>> byte_ids()[0x20]
    np.int32(220)
    """
    ids = np.empty(256, np.int32)
    ids[np.frombuffer(bytes_in_id_order(), np.uint8)] = np.arange(256, dtype=np.int32)
    return ids


def to_characters(token: bytes) -> str:
    """A token's bytes as a vocabulary writes them.

    >>> to_characters(b"n!")
    'n!'
    """
    return token.decode("latin-1").translate(_TRANSLATION)


def to_bytes(characters: str) -> bytes | None:
    """What a vocabulary's characters stand for; None where one of them stands for no byte.

    >>> to_bytes("n!\u0120"), to_bytes(" ")
    (b'n! ', None)
    """
    values = [_VALUES.get(character, -1) for character in characters]
    return None if -1 in values else bytes(values)


_TRANSLATION: Final = dict(enumerate(byte_characters()))
_VALUES: Final = {character: value for value, character in _TRANSLATION.items()}
