"""Merges as a table, `merges.parquet`, and as GPT-2 published them: `vocab.json` with `merges.txt`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa

from operators.base import DataError, RecipeError
from operators.byte_alphabet import to_bytes, to_characters
from operators.encode import Merge
from operators.tokenizer_formats import VERSION
from operators.vocabulary import BYTES, AddedToken, Vocabulary, from_merges

SCHEMA: Final = pa.schema({"left": pa.binary(), "right": pa.binary(), "count": pa.int64()})
"""In the order of the merges; `count` is how often the pair stood in the training text, null where unknown."""


def merges_table(merges: Sequence[Merge], counts: Iterable[int | None] | None = None) -> pa.Table:
    """The merges in order, with their counts if they are known.

    >>> merges_table([(b"a", b"b")], [7]).to_pylist()
    [{'left': b'a', 'right': b'b', 'count': 7}]
    """
    left = pa.array([left for left, _ in merges], pa.binary())
    right = pa.array([right for _, right in merges], pa.binary())
    column = pa.nulls(len(merges), pa.int64()) if counts is None else pa.array(counts, pa.int64())
    if len(column) != len(merges):
        msg = f"{len(column)} counts for {len(merges)} merges: expected one for each"
        raise ValueError(msg)
    return pa.table([left, right, column], schema=SCHEMA)


def from_merges_table(table: pa.Table, patterns: tuple[str, ...], special_tokens: Iterable[str] = ()) -> Vocabulary:
    """The vocabulary with our ids (`from_merges`) of a table with binary columns `left` and `right`.

    Raises DataError where a column is missing or holds nulls.
    """
    for name in ("left", "right"):
        if name not in table.column_names or table[name].null_count:
            msg = f"a table of merges needs binary columns left and right without nulls, not {table.schema.names}"
            raise DataError(msg)
    columns = (table[name].cast(pa.binary()).to_pylist() for name in ("left", "right"))
    return from_merges(zip(*columns, strict=True), patterns, special_tokens)


def to_vocab_and_merges(vocabulary: Vocabulary) -> tuple[bytes, bytes]:
    """The two files `vocab.json` and `merges.txt`; added tokens are listed in the first.

    They hold no pattern, no normal form and no `whole_first`. Raises RecipeError where readers would take a merge for a
    comment: they skip every line that begins with "#version".
    """
    strings = {to_characters(token): number for token, number in vocabulary.ids.items()}
    strings |= {token.content: token.id for token in sorted(vocabulary.added, key=lambda token: token.id)}
    lines = [f"{to_characters(left)} {to_characters(right)}" for left, right in vocabulary.merges]
    hidden = [line for line in lines if line.startswith(VERSION)]
    if hidden:
        msg = f"merge {hidden[0]!r} would be read as a comment in merges.txt; use tokenizer.json"
        raise RecipeError(msg)
    text = "".join(f"{line}\n" for line in [f"{VERSION}: 0.2", *lines])
    return json.dumps(strings, ensure_ascii=False).encode() + b"\n", text.encode()


def from_vocab_and_merges(
    vocab: bytes, merges: bytes, patterns: tuple[str, ...], special_tokens: Iterable[str] = ()
) -> Vocabulary:
    """Read `vocab.json` and `merges.txt`; `special_tokens` names the entries of the first that are no text.

    Raises DataError where a line or an entry is not what the format says, or a special token has no id.
    """
    strings = read_strings(read_json(vocab, "vocab.json"))
    missing = [token for token in special_tokens if token not in strings]
    if missing:
        msg = f"special token {missing[0]!r} is not in vocab.json: expected all of them there, with their ids"
        raise DataError(msg)
    added = tuple(AddedToken(token, strings[token]) for token in special_tokens)
    listed = tuple(merge for _, _, merge in _read_lines(merges))
    return Vocabulary(token_ids(strings, added), listed, patterns, added)


def from_merges_txt(content: bytes, patterns: tuple[str, ...]) -> Vocabulary:
    r"""The vocabulary with our ids (`from_merges`) of a `merges.txt` alone; a heading "#version" may be there or not.

    Raises DataError with the line that is no merge, or whose parts are not there yet: of a list that is not
    byte-level, or that was cut.

    >>> from_merges_txt(b"#version: 0.2\na b\nab c\n", ()).merges
    ((b'a', b'b'), (b'ab', b'c'))
    """
    made, merges = set(BYTES), dict[Merge, int]()
    for number, line, merge in _read_lines(content):
        unknown = [part for part in merge if part not in made]
        if unknown:
            msg = f"line {number}: {line!r} merges {to_characters(unknown[0])!r}, which is no byte and was not merged"
            raise DataError(f"{msg} before: expected a byte-level merges.txt, whole and in the order of its merges")
        if merge in merges:
            raise DataError(f"line {number}: {line!r} stands in line {merges[merge]} already: expected it once")
        merges[merge] = number
        made.add(b"".join(merge))
    return from_merges(merges, patterns)


def _read_lines(content: bytes) -> Iterator[tuple[int, str, Merge]]:
    """The number, the text and the merge of each line of a merges.txt that has one."""
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), start=1):
        if line.strip() and not line.startswith(VERSION):
            yield number, line, _read_line(line.rstrip("\r"), number)


def _read_line(line: str, number: int) -> Merge:
    try:
        return read_merge(line)
    except DataError as error:
        hint = "" if "\u2581" not in line else "; it is character-level: give its tokenizer.json or SentencePiece model"
        msg = f"line {number}: {error}{hint}"
        raise DataError(msg) from error


def read_json(content: bytes | str, name: str) -> object:
    """The content of a JSON file. Raises DataError, with the file's name, where it is no JSON."""
    try:
        return json.loads(content)
    except ValueError as error:
        msg = f"{name} cannot be read: expected JSON, found {content[:40]!r} ({error})"
        raise DataError(msg) from error


def read_strings(content: object) -> dict[str, int]:
    """A vocabulary as JSON has it: an id for every string. Raises DataError where it is anything else."""
    if isinstance(content, dict) and all(type(number) is int for number in content.values()):
        return content
    msg = f"expected an object with a whole number for every token, not {str(content)[:80]}"
    raise DataError(msg)


def token_ids(strings: dict[str, int], added: Iterable[AddedToken]) -> dict[bytes, int]:
    """The id of every token by its bytes, rising, without the added ones. Raises DataError where one is not bytes."""
    own = {token.content for token in added}
    ids: dict[bytes, int] = {}
    for string, number in sorted(strings.items(), key=lambda item: item[1]):
        if string in own:
            continue
        token = to_bytes(string)
        if token is None:
            msg = (
                f"token {string!r} (id {number}) is neither written in the characters that stand for bytes nor an "
                "added token: this is not a byte-level vocabulary"
            )
            raise DataError(msg)
        ids[token] = number
    return ids


def read_merge(merge: object) -> Merge:
    r"""A merge, written "a b" or ["a", "b"] in the characters that stand for bytes. Raises DataError otherwise.

    >>> read_merge("\u0120 t") == read_merge(["\u0120", "t"]) == (b" ", b"t")
    True
    """
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if isinstance(parts, list) and len(parts) == 2:
        left, right = (to_bytes(part) if isinstance(part, str) else None for part in parts)
        if left and right:
            return left, right
    msg = f"merge {merge!r}: expected two tokens in the characters that stand for bytes, such as 't h'"
    raise DataError(msg)
