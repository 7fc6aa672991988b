"""`tokenizer.json`, the file that `tokenizers` and `transformers` load: written from a vocabulary and read into one.

Beside it lies `tokenizer_config.json`, without which some versions of `AutoTokenizer` do not know what class to make
and others clean spaces away when they decode.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, NoReturn, cast

import pyarrow as pa

from operators.base import DataError
from operators.byte_alphabet import bytes_in_id_order, to_characters
from operators.encode import Merge
from operators.merge_lists import merges_table, read_json, read_merge, read_strings, token_ids
from operators.pretokenizers import PATTERNS
from operators.rank_files import objection, rank_lines
from operators.vocabulary import NORMALIZERS, AddedToken, Vocabulary, from_merges

Merges = list[tuple[int, int]]
"""Merges by the ids of their parts."""

_FLAGS: Final = ("single_word", "lstrip", "rstrip", "normalized", "special")


def artifact_files(vocabulary: Vocabulary, counts: Iterable[int | None] | None = None) -> dict[str, bytes | pa.Table]:
    """All outputs of one tokenizer, the table `merges` among them.

    `ranks.tiktoken` is there only where it encodes every text alike (else see `objection`).

    Args:
        vocabulary: the tokenizer.
        counts: of the merges in the training text; None where unknown.
    """
    ranks = {} if objection(vocabulary) else {"ranks.tiktoken": rank_lines(vocabulary.ids)}
    return {
        "tokenizer.json": to_tokenizer_json(vocabulary),
        "tokenizer_config.json": tokenizer_config(),
        "merges": merges_table(vocabulary.merges, counts),
        **ranks,
    }


def tokenizer_json(merges: Merges, patterns: str | tuple[str, ...], special_tokens: tuple[str, ...]) -> bytes:
    """`tokenizer.json` of merges by id, the bytes having the ids of `byte_alphabet`.

    Raises RecipeError where a special token is also a token of the vocabulary: it would need two ids.
    """
    patterns = (patterns,) if isinstance(patterns, str) else patterns
    return to_tokenizer_json(from_merges(merges_by_id(merges), patterns, special_tokens))


def merges_by_id(pairs: Iterable[tuple[int, int]]) -> list[Merge]:
    """Merges as pairs of tokens, from pairs of ids: bytes as in `byte_alphabet`, then one for each merge.

    >>> merges_by_id([(64, 65), (64, 256)])
    [(b'a', b'b'), (b'a', b'ab')]
    """
    tokens, merges = [bytes([value]) for value in bytes_in_id_order()], []
    for left, right in pairs:
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    return merges


def to_tokenizer_json(vocabulary: Vocabulary) -> bytes:
    """The file's bytes; they depend on the vocabulary alone."""
    added = sorted(vocabulary.added, key=lambda token: token.id)
    strings = {to_characters(token): number for token, number in vocabulary.ids.items()}
    if [token.id for token in added] != list(range(len(strings), len(strings) + len(added))):
        # `tokenizers` numbers added tokens itself, from the size of the vocabulary, unless they are listed there.
        strings |= {token.content: token.id for token in added}
    merges = [[to_characters(left), to_characters(right)] for left, right in vocabulary.merges]
    rest: Any = {"whole_first": vocabulary.whole_first, "normalizer": vocabulary.normalizer}
    return byte_level_json(strings, merges, vocabulary.patterns, added, **rest)


def byte_level_json(
    strings: dict[str, int],
    merges: list[list[str]],
    patterns: tuple[str, ...],
    added: Iterable[AddedToken],
    *,
    whole_first: bool = False,
    normalizer: str = "",
) -> bytes:
    """The file's bytes from tokens and merges as it writes them, which need not make a `Vocabulary`: bytes may lack."""
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(token) for token in added],
        "normalizer": {"type": normalizer} if normalizer else None,
        "pre_tokenizer": _pre_tokenizer(patterns),
        "post_processor": None,
        "decoder": _byte_level(),
        "model": _model(strings, merges, whole_first),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def tokenizer_config() -> bytes:
    """`tokenizer_config.json`: the class for `AutoTokenizer`, and that decoding changes no space."""
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    return json.dumps(content, indent=1).encode() + b"\n"


def from_tokenizer_json(content: bytes | str) -> Vocabulary:
    """Read a byte-level BPE `tokenizer.json`; merges may be pairs or "a b" strings.

    What is put around a text (`post_processor`), truncation and padding are no part of a vocabulary and not kept.
    Raises DataError where the file encodes in another way than byte-level BPE over pieces cut by patterns: Unigram,
    WordPiece, BPE as SentencePiece writes it, affixes, dropout, other normalizers and pre-tokenizers.
    """
    whole = read_json(content, "tokenizer.json")
    model = whole.get("model") if isinstance(whole, dict) else None
    if not isinstance(whole, dict) or not isinstance(model, dict):
        refuse("the file", whole, "an object with a model, as tokenizers writes it")
    _check_model(model)
    added = tuple(map(read_added, whole.get("added_tokens") or []))
    return Vocabulary(
        token_ids(read_strings(model.get("vocab")), added),
        tuple(map(read_merge, model["merges"])),
        _read_patterns(whole.get("pre_tokenizer")),
        added,
        bool(model.get("ignore_merges")),
        _read_normalizer(whole.get("normalizer")),
    )


def _added(token: AddedToken) -> dict[str, Any]:
    return {"id": token.id, "content": token.content, **{flag: getattr(token, flag) for flag in _FLAGS}}


def _pre_tokenizer(patterns: tuple[str, ...]) -> dict[str, Any]:
    splits = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in patterns
    ]
    return {"type": "Sequence", "pretokenizers": [*splits, _byte_level()]}


def _byte_level() -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def _model(strings: dict[str, int], merges: list[list[str]], whole_first: bool) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": whole_first,
        "vocab": strings,
        "merges": merges,
    }


def _check_model(model: dict[str, Any]) -> None:
    kind = model.get("type") or ("BPE" if "merges" in model else "unknown")
    if kind != "BPE" or not isinstance(model.get("merges"), list):
        refuse("model.type", kind, "byte-level BPE with a list of merges; other models have no such vocabulary")
    check_affixes(model, ("byte_fallback",))


def check_affixes(model: dict[str, Any], others: tuple[str, ...] = ()) -> None:
    """DataError where a model marks its tokens or is random, or has any of the other parameters."""
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout", *others):
        if model.get(name):
            refuse(f"model.{name}", model[name], "none: merges would not be of the text as it is")


def read_added(token: object) -> AddedToken:
    """An entry of `added_tokens`. Raises DataError where it is none."""
    known = token if isinstance(token, dict) else {}
    if not isinstance(known.get("content"), str) or not isinstance(known.get("id"), int):
        refuse("added_tokens", token, "a content and an id in each")
    flags = {flag: bool(known.get(flag, False)) for flag in _FLAGS}
    return AddedToken(known["content"], known["id"], **flags)


def _read_normalizer(normalizer: object) -> str:
    steps = steps_of(normalizer, "normalizers")
    if len(steps) > 1 or any(step.get("type") not in NORMALIZERS for step in steps):
        refuse("normalizer", normalizer, f"none or one of {', '.join(NORMALIZERS[1:])}")
    return str(steps[0]["type"]) if steps else ""


def _read_patterns(pre_tokenizer: object) -> tuple[str, ...]:
    steps = steps_of(pre_tokenizer, "pretokenizers")
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space", True):
        refuse(
            "pre_tokenizer", pre_tokenizer, "ByteLevel without add_prefix_space, last; is this a SentencePiece model?"
        )
    for step in steps[:-1]:
        shape = (step.get("type"), step.get("behavior"), step.get("invert", False))
        if shape != ("Split", "Isolated", False) or "Regex" not in step.get("pattern", {}):
            refuse("pre_tokenizer", step, "a Split by a Regex with behavior Isolated, not inverted")
    patterns = tuple(str(step["pattern"]["Regex"]) for step in steps[:-1])
    return patterns if steps[-1].get("use_regex", True) is False else (*patterns, *PATTERNS["gpt2"])


def steps_of(component: object, members: str) -> list[dict[str, Any]]:
    """A component as the list of what it does."""
    if component is None:
        return []
    steps = [component]
    if isinstance(component, dict) and component.get("type") == "Sequence":
        steps = component.get(members) or []
    if not all(isinstance(step, dict) for step in steps):
        refuse(members, component, "objects with a type")
    return cast("list[dict[str, Any]]", steps)


def refuse(field: str, value: object, expected: str) -> NoReturn:
    """Raise DataError: what a field of the file has, and what was expected."""
    msg = f"tokenizer.json cannot be read: {field} is {str(value)[:200]!r}, expected {expected}"
    raise DataError(msg)
