r"""Tokens of any tokenizer in one form, so that two vocabularies can be compared: their bytes, as text holds them.

Every format writes a space, a byte and the inside of a word in its own way: a byte-level vocabulary in the byte
alphabet, SentencePiece with U+2581 for a space and `<0x0A>` for a byte, WordPiece with `##` before what continues a
word. In bytes they agree, also where a token is a part of a character: decoded, all such tokens would be the same
U+FFFD. Special tokens are no text: they match by their content, then by what they are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from operators.base import DataError
from operators.byte_alphabet import to_bytes
from operators.merge_lists import read_json

Family = Literal["bytes", "spaces", "words"]
"""How tokens are written: in the byte alphabet, with U+2581 for a space, or as WordPiece's words and their insides."""

SPACE: Final = "\u2581"

_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_MODELS: Final = ("BPE", "Unigram", "WordPiece")
_MOST_IDS: Final = 1 << 24
_SPARSEST, _SPARE = 2, 1024
"""How much larger ids may be than tokens are many: a factor, and ids on top for small vocabularies."""
_ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "bos": ("<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<|im_start|>", "[CLS]", "[BOS]"),
    "eos": ("</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "[SEP]", "[EOS]"),
    "pad": ("<pad>", "<|padding|>", "<|pad|>", "<|endofpadding|>", "<|finetune_right_pad_id|>", "[PAD]"),
    "unk": ("<unk>", "<|unk|>", "[UNK]"),
    "mask": ("<mask>", "<|mask|>", "[MASK]"),
}


@dataclass(frozen=True)
class TokenForms:
    """The tokens of one tokenizer by id. Ids that no token has, and special tokens, have no bytes."""

    forms: tuple[bytes, ...]
    """The bytes of each token as text holds them, a leading space among them; b"" where it is no text."""
    inside: NDArray[np.bool_]
    """Which tokens only continue a word (WordPiece)."""
    fallback: NDArray[np.bool_]
    """Which are written as a byte because no other token has it (`<0x0A>`)."""
    specials: Mapping[int, str]
    """The content of each token that is no text, by id."""
    roles: Mapping[str, int]
    """The id of the token that begins a text (`bos`), ends it (`eos`), and so on, where it is known."""
    family: Family

    def __len__(self) -> int:
        """One more than the largest id."""
        return len(self.forms)

    @property
    def word_start(self) -> NDArray[np.bool_]:
        """Which tokens begin with a space."""
        return np.array([form[:1] == b" " for form in self.forms], bool)

    @property
    def is_text(self) -> NDArray[np.bool_]:
        """Which ids are tokens of text."""
        return np.array([bool(form) for form in self.forms], bool)

    @property
    def is_token(self) -> NDArray[np.bool_]:
        """Which ids are tokens at all."""
        found = self.is_text
        found[list(self.specials)] = True
        return found

    def lacking(self, gone: Iterable[int]) -> TokenForms:
        """The same without these ids, which become ids that no token has."""
        absent = set(gone)
        forms = tuple(b"" if number in absent else form for number, form in enumerate(self.forms))
        return replace(self, forms=forms)

    @cached_property
    def by_form(self) -> Mapping[bytes, tuple[int, ...]]:
        """The ids of all tokens with the same bytes: those that are no fallback first, then by id."""
        found: dict[bytes, list[int]] = {}
        for number, form in enumerate(self.forms):
            if form:
                found.setdefault(form, []).append(number)
        return {
            form: tuple(sorted(ids, key=lambda number: (bool(self.fallback[number]), number)))
            for form, ids in found.items()
        }


def read_forms(tokenizer_json: bytes | str, special_ids: Mapping[str, int] | None = None) -> TokenForms:
    """The forms of a `tokenizer.json`: BPE of both kinds, Unigram or WordPiece.

    Args:
        tokenizer_json: the file's content.
        special_ids: ids by role (`bos`, `eos`, `pad`, `unk`, `mask`) where a model's configuration names them; what is
            not there is told by the content of special tokens.

    Raises DataError where it is no such file, or a token is not written in its alphabet.
    """
    whole, model = read_model(tokenizer_json)
    family = family_of(whole)
    strings = strings_of(model)
    specials = _specials(whole)
    if not has_byte_level(whole):  # there "</s>" may be text, which nothing but a tag of HTML was merged to
        usual = {*_contents(), str(model.get("unk_token") or "")}
        specials = {number: content for content, number in strings.items() if content in usual} | specials
    size = max([*strings.values(), *specials, -1]) + 1
    if size > _MOST_IDS:
        msg = f"the tokenizer's largest id is {size - 1}: expected less than {_MOST_IDS}"
        raise DataError(msg)
    tokens = len({*strings.values(), *specials})
    if size > _SPARSEST * tokens + _SPARE:
        msg = f"the tokenizer's largest id is {size - 1}, and it has {tokens} tokens: most rows of a table would be"
        raise DataError(f"{msg} of no token; expected ids that are numbered through")
    prefix = str(model.get("continuing_subword_prefix") or "") if family == "words" else ""
    written = {number: string for string, number in strings.items() if number not in specials}
    forms, inside = [b""] * size, np.zeros(size, bool)
    in_bytes = has_byte_level(whole)
    for number, string in written.items():
        inside[number] = bool(prefix) and string.startswith(prefix)
        forms[number] = _form(string.removeprefix(prefix), family, in_bytes, bool(inside[number]))
    fallback = np.zeros(size, bool)
    if family == "spaces":
        fallback[[number for number, string in written.items() if _BYTE.fullmatch(string)]] = True
    return TokenForms(tuple(forms), inside, fallback, specials, _roles(specials, special_ids or {}), family)


def word_forms(words: Iterable[str]) -> TokenForms:
    """Words as they stand in text, after a space, so that any tokenizer can cut them.

    >>> word_forms(["the"]).forms
    (b' the',)
    """
    forms = tuple(b" " + word.encode() if word else b"" for word in words)
    flags = np.zeros(len(forms), bool)
    return TokenForms(forms, flags, flags, {}, {}, "bytes")


def read_model(tokenizer_json: bytes | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A `tokenizer.json` and what stands under `model` in it. Raises DataError where it has no model that is known."""
    whole = read_json(tokenizer_json, "tokenizer.json")
    model = whole.get("model") if isinstance(whole, dict) else None
    if not isinstance(whole, dict) or not isinstance(model, dict) or not model.get("vocab"):
        msg = f"tokenizer.json holds {str(whole)[:80]!r}: expected an object with a model and its vocab"
        raise DataError(msg)
    kind = kind_of(model)
    if kind not in _MODELS:
        msg = f"tokenizer.json has a model of type {kind!r}: expected one of {', '.join(_MODELS)}"
        raise DataError(msg)
    return whole, model


def kind_of(model: Mapping[str, Any]) -> str:
    """The type of a model; files from before it was written have merges where they are BPE."""
    return str(model.get("type") or ("BPE" if "merges" in model else ""))


def family_of(whole: Mapping[str, Any]) -> Family:
    """How the tokens of a `tokenizer.json` are written."""
    if kind_of(whole["model"]) == "WordPiece":
        return "words"
    return "bytes" if has_byte_level(whole) else "spaces"


def has_byte_level(whole: Mapping[str, Any]) -> bool:
    """Whether tokens are in the byte alphabet: text is brought to it before it is cut into tokens."""
    return any(
        step.get("type") == "ByteLevel" for name in ("pre_tokenizer", "normalizer") for step in steps(whole.get(name))
    )


def steps(component: object) -> list[dict[str, Any]]:
    """A component of a `tokenizer.json` as the list of what it does, sequences in sequences laid flat."""
    if not isinstance(component, dict):
        return []
    if component.get("type") != "Sequence":
        return [component]
    members = component.get("pretokenizers") or component.get("normalizers") or []
    return [step for member in members for step in steps(member)]


def strings_of(model: Mapping[str, Any]) -> dict[str, int]:
    """The id of every token by its string; in Unigram models the place in the list is the id."""
    vocab = model["vocab"]
    if isinstance(vocab, dict) and all(type(number) is int and number >= 0 for number in vocab.values()):
        return vocab
    if isinstance(vocab, list) and all(isinstance(pair, Sequence) and len(pair) == 2 for pair in vocab):
        return {str(piece): number for number, (piece, _) in enumerate(vocab)}
    msg = f"tokenizer.json has a vocab of {str(vocab)[:80]!r}: expected ids by token, or pairs of a token and a score"
    raise DataError(msg)


def _contents() -> list[str]:
    return [content for contents in _ROLES.values() for content in contents]


def _specials(whole: Mapping[str, Any]) -> dict[int, str]:
    """The contents of special tokens, and of added ones that are no text of the model, by id."""
    known = {}
    for token in whole.get("added_tokens") or []:
        if not isinstance(token, dict) or type(token.get("id")) is not int or not isinstance(token.get("content"), str):
            msg = f"tokenizer.json has the added token {str(token)[:80]!r}: expected an id and a content"
            raise DataError(msg)
        known[token["id"]] = token["content"]
    return known


def _form(string: str, family: Family, in_bytes: bool, is_inside: bool) -> bytes:
    if in_bytes:
        token = to_bytes(string)
        if token is None:
            msg = f"token {string!r} is not written in the characters that stand for bytes: is it a special token?"
            raise DataError(msg)
        return token
    if family == "words":
        return string.encode() if is_inside else b" " + string.encode()
    byte = _BYTE.fullmatch(string)
    return bytes([int(byte[1], 16)]) if byte else string.replace(SPACE, " ").encode()


def _roles(specials: Mapping[int, str], given: Mapping[str, int]) -> dict[str, int]:
    """The ids given, and for other roles the first special token with a usual name, in the order of `_ROLES`."""
    ids = {content: number for number, content in specials.items()}
    usual = {role: next((ids[name] for name in names if name in ids), -1) for role, names in _ROLES.items()}
    return {role: number for role, number in {**usual, **given}.items() if number >= 0}
