r"""What format a tokenizer's file is in, by its first bytes; a file that holds no merges is refused with what it is.

A `merges.txt` and a rank file are both lines of two words: a rank line begins with base64, whose shortest word has four
characters, and the first merge of a list joins two single ones.
"""

from typing import Final, Literal

from operators.base import DataError

Format = Literal["tokenizer.json", "ranks", "merges.txt", "merges.parquet", "sentencepiece"]

EXPECTED: Final = "expected a tokenizer.json, ranks, a merges.txt, a merges.parquet or a SentencePiece model of BPE"
"""What can be read, for messages."""
VERSION: Final = "#version"
"""What the first line of a merges.txt may begin with."""

_STRANGERS: Final = (
    (b"\x80", "a pickled object, which is code: save the tokenizer in a format of data"),
    (b"PK\x03\x04", "a zip archive, as torch and numpy write them: unpack it"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"GGUF", "a GGUF model: give the tokenizer.json or the .model that it was made from"),
)
_SEEN: Final = 4096


def format_of(content: bytes) -> Format:
    r"""The format of a file. Raises DataError where it is none that holds merges.

    >>> format_of(b"YWI= 256\n"), format_of(b"t h\n"), format_of(b'{"model": {}}')
    ('ranks', 'merges.txt', 'tokenizer.json')
    """
    for begins, says in _STRANGERS:
        if content.startswith(begins):
            raise DataError(f"it is {says}; {EXPECTED}")
    if not content.strip():
        raise DataError(f"the file is empty; {EXPECTED}")
    if content.startswith(b"PAR1"):
        return "merges.parquet"
    if content.lstrip()[:1] in (b"{", b"["):
        return "tokenizer.json"
    if b"\x00" in content[:_SEEN]:
        if content[:1] == b"\n":  # the tag of the first piece
            return "sentencepiece"
        raise DataError(f"it is no text, and begins with {content[:8]!r}; {EXPECTED}")
    return "merges.txt" if _joins_characters(content) else "ranks"


def _joins_characters(content: bytes) -> bool:
    """Whether the first line that is no heading joins two single characters."""
    if content.startswith(VERSION.encode()):
        return True
    line = next(filter(None, content[:_SEEN].splitlines()), b"")
    parts = line.decode("utf-8", "replace").split(" ")
    return len(parts) > 1 and len(parts[0]) == 1 and not (parts[0] == "=" and parts[1].isdigit())  # an empty token
