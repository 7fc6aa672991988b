"""What a tokenizer makes of the bytes of another one's token: the pieces that its row can be put together from.

The bytes are cut as they stand, without a space put before them or taken away, without tokens around them, and never
into special tokens. A tokenizer that was robbed of some tokens (`without`) shows what its rows would be made of if it
had never had them: that is how held-out tokens are tested.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from operators.byte_alphabet import to_characters
from operators.encode import apply_merges
from operators.merge_lists import read_merge
from operators.transplant.vocabularies import (
    SPACE,
    TokenForms,
    family_of,
    has_byte_level,
    kind_of,
    read_model,
    steps,
    strings_of,
)
from operators.vocabulary import NORMALIZERS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_GONE: Final = "\0removed {}"
"""The name of a Unigram piece that is gone: no text is cut into it, and the ids of the others stay."""


class Cutter:
    """Cuts tokens by bytes into the ids of one tokenizer."""

    def __init__(self, tokenizer_json: bytes) -> None:
        whole, model = read_model(tokenizer_json)
        self._family = family_of(whole)
        self._in_bytes = has_byte_level(whole)
        self._strings = strings_of(model)
        self._unknown = self._strings.get(str(model.get("unk_token") or ""), model.get("unk_id"))
        self._prefix = str(model.get("continuing_subword_prefix") or "")
        self._longest = max(map(len, self._strings), default=1)
        self._engine = _engine(whole)
        is_bpe = self._in_bytes and kind_of(model) == "BPE"
        self._merges = {read_merge(merge): rank for rank, merge in enumerate(model["merges"])} if is_bpe else {}

    def cut(self, tokens: TokenForms) -> list[list[int]]:
        """For each token the ids of its pieces, in order; none for special tokens and what cannot be cut."""
        if self._family == "words":
            return [self._words(form, bool(inside)) for form, inside in zip(tokens.forms, tokens.inside, strict=True)]
        texts = [_text(form) for form in tokens.forms]
        written = [(text or "").replace(" ", SPACE) if self._family == "spaces" else text or "" for text in texts]
        found = [encoding.ids for encoding in self._engine.encode_batch_fast(written, add_special_tokens=False)]
        return [
            self._broken(form) if text is None else [one for one in ids if one != self._unknown]
            for form, text, ids in zip(tokens.forms, texts, found, strict=True)
        ]

    def _broken(self, form: bytes) -> list[int]:
        """The pieces of what is no whole UTF-8: by merges of bytes, or each byte alone."""
        if self._family == "spaces":
            names = [f"<0x{byte:02X}>" for byte in form]
        else:
            names = [to_characters(token) for token in apply_merges(form, self._merges)]
        return [self._strings[name] for name in names if name in self._strings]

    def _words(self, form: bytes, is_inside: bool) -> list[int]:
        """WordPiece's words, of which the first goes on where the token does, or has no space before it."""
        if self._in_bytes:
            return self._word(to_characters(form), is_inside)
        text = _text(form)
        if not text:
            return []
        if self._engine.normalizer:
            text = self._engine.normalizer.normalize_str(text)
        cut = self._engine.pre_tokenizer.pre_tokenize_str(text) if self._engine.pre_tokenizer else []
        words = [word for word, _ in cut] or text.split()
        is_inside = is_inside or not text.startswith(" ")
        return [one for place, word in enumerate(words) for one in self._word(word, is_inside and not place)]

    def _word(self, text: str, is_inside: bool) -> list[int]:
        """The longest match from the left; nothing where some part is unknown."""
        ids: list[int] = []
        start = 0
        while start < len(text):
            prefix = self._prefix if start or is_inside else ""
            ends = range(min(len(text), start + self._longest), start, -1)
            end = next((end for end in ends if prefix + text[start:end] in self._strings), 0)
            if not end:
                return []
            ids.append(self._strings[prefix + text[start:end]])
            start = end
        return ids


def without(tokenizer_json: bytes, removed: Collection[int]) -> bytes:
    """A tokenizer that lacks these ids and every merge of or into one of them; all other ids stay.

    A token that only such a merge made is left as a name that no text is cut into any more.
    """
    whole, model = read_model(tokenizer_json)
    gone = set(removed)
    names = {string for string, number in strings_of(model).items() if number in gone}
    if isinstance(model["vocab"], list):
        model["vocab"] = [
            [_GONE.format(number) if number in gone else piece, score]
            for number, (piece, score) in enumerate(model["vocab"])
        ]
    else:
        model["vocab"] = {string: number for string, number in model["vocab"].items() if number not in gone}
    if "merges" in model:
        model["merges"] = [
            [left, right]
            for left, right in map(_parts, model["merges"])
            if not names.intersection((left, right, left + right))
        ]
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def _engine(whole: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer without all that is put around or looked for before the model, and without a space before."""
    from tokenizers import Tokenizer

    bare = {**whole, "added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    if family_of(whole) == "spaces":
        bare |= {"normalizer": None, "pre_tokenizer": None, "decoder": None}
    if family_of(whole) == "bytes":
        forms = [step for step in steps(whole.get("normalizer")) if step.get("type") in (*NORMALIZERS[1:], "ByteLevel")]
        cuts = steps(whole.get("pre_tokenizer"))
        cuts = [{**step, "add_prefix_space": False} if "add_prefix_space" in step else step for step in cuts]
        bare |= {
            "normalizer": {"type": "Sequence", "normalizers": forms} if forms else None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts} if cuts else None,
        }
    return Tokenizer.from_str(json.dumps(bare))


def _parts(merge: Any) -> tuple[str, str]:  # noqa: ANN401
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return str(left), str(right)


def _text(form: bytes) -> str | None:
    try:
        return form.decode()
    except UnicodeDecodeError:
        return None
