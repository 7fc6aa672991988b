"""A `tokenizer.json` as readable tokens: bytes decoded, white space made visible, broken characters in hex."""

from __future__ import annotations

import codecs
import re
from typing import Any, Final, NamedTuple

from operators.byte_alphabet import byte_characters
from pipeline.report.wording import text

NUM_BYTES: Final = 256
LONGEST: Final = 40
_VISIBLE: Final = {" ": "\u2423", "\n": "\u21b5", "\r": "\u240d", "\t": "\u21e5", "\u00a0": "\u237d"}


class Vocabulary(NamedTuple):
    """Tokens with their ids: what training learned, in order of id, and the special ones."""

    learned: list[tuple[int, str]]
    special: list[tuple[int, str]]


def vocabulary(content: object) -> Vocabulary | None:
    """The vocabulary of a tokenizer file; None where the file has none that is known here.

    Byte-level tokens are decoded, and the single bytes left out of what was learned: those inside a word too, where
    the vocabulary has a prefix for such tokens.
    """
    if not isinstance(content, dict):
        return None
    model = content.get("model")
    words = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(words, dict):
        ranked = sorted((int(identity), str(token)) for token, identity in words.items())
    elif isinstance(words, list):
        ranked = [(identity, str(entry[0])) for identity, entry in enumerate(words)]
    else:
        return None
    added = sorted((int(entry["id"]), str(entry["content"])) for entry in content.get("added_tokens") or ())
    special = {identity for identity, _ in added}
    learned = [(identity, token) for identity, token in ranked if identity not in special]
    if _is_byte_level(content):
        prefix = str(content["model"].get("continuing_subword_prefix") or "")
        longer = [(identity, token) for identity, token in learned if len(token.removeprefix(prefix)) > 1]
        learned = [(identity, readable(token, prefix)) for identity, token in longer]
    return Vocabulary(learned, added)


def _is_byte_level(content: dict[str, Any]) -> bool:
    decoder = content.get("decoder") or {}
    kinds = [decoder, *(decoder.get("decoders") or ())]
    return any(kind.get("type") == "ByteLevel" for kind in kinds)


def readable(token: str, prefix: str = "") -> str:
    r"""A byte-level token as text, its prefix as it is; bytes that are no whole character are written in hex.

    >>> readable("\u0120the"), readable("\u00e4\u00bd"), readable("##\u00c3\u00a4r", "##")
    (' the', '<E4><BD>', '##\xe4r')
    """
    if prefix and token.startswith(prefix):
        return prefix + readable(token.removeprefix(prefix))
    if any(character not in _BYTES for character in token):
        return token
    data = bytes(_BYTES[character] for character in token)
    return data.decode("utf-8", "vocabmill-hex")


def chip(token: str) -> str:
    r"""A token as HTML: white space and line ends get a sign of their own, a long token loses its middle.

    >>> chip(" a\n"), chip("<b>")
    ('<span class="space">\u2423</span>a<span class="space">\u21b5</span>', '&lt;b&gt;')
    """
    if len(token) > LONGEST:
        run = re.fullmatch(r"(.)\1+", token, re.DOTALL)
        token = f"{token[0] * 4}\u2026\u00d7{len(token)}" if run else f"{token[: LONGEST // 2]}\u2026{token[-8:]}"
    return "".join(
        f'<span class="space">{_VISIBLE[character]}</span>' if character in _VISIBLE else text(character)
        for character in token
    )


def _hex(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"<{byte:02X}>" for byte in error.object[error.start : error.end]), error.end


codecs.register_error("vocabmill-hex", _hex)
_BYTES: Final = {character: byte for byte, character in enumerate(byte_characters())}
