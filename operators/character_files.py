r"""BPE of characters as SentencePiece writes it (.model) and as its conversions have it (tokenizer.json).

Read are: pieces with their scores; a list of merges with any splits; byte pieces (`<0x0A>`), which text falls back to,
are no tokens here, nor are control pieces and the unknown one; user-defined pieces and added tokens are looked for in
the text first. What is done to text before is done by the library that the file is of: the normaliser of a
tokenizer.json by `tokenizers`, that of a model (nmt_nfkc, identity, a rule table; the dummy prefix; extra spaces) by
`sentencepiece`. Refused are tokenizers that mark ends of words (`</w>`) or insides (`##`), drop merges at random, or
cut text by anything but spaces written as U+2581.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from operators.base import DataError
from operators.merge_lists import read_strings
from operators.piece_rules import SPACE, PieceRules, rules_of
from operators.sentencepiece_models import Kind, Model
from operators.tokenizer_files import check_affixes, read_added, refuse, steps_of
from operators.vocabulary import AddedToken

if TYPE_CHECKING:
    from tokenizers.normalizers import Normalizer

Pair = tuple[str, str]
Normalise = Callable[[list[str]], list[str]]

_BYTE: Final = re.compile("<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class CharacterTokenizer:
    """A tokenizer of characters."""

    tokens: list[str]
    """Characters and what is merged of them, in the order of their ids."""
    priorities: list[float]
    """Of the tokens, for encoding without a list of merges: the highest goes first."""
    merges: list[Pair] | None
    """As listed, in their order; None where tokens have priorities."""
    added: tuple[AddedToken, ...]
    rules: PieceRules
    normalise: Normalise
    by_line: bool
    """Whether no token holds a line break: then texts were lines."""


def from_model(content: bytes, model: Model) -> CharacterTokenizer:
    """The tokenizer in a SentencePiece model, whose file's content is needed to normalise as it does."""
    from sentencepiece import SentencePieceProcessor

    normal = [piece for piece in model.pieces if piece.kind in (Kind.NORMAL, Kind.UNUSED) and piece.text]
    own = [piece.text for piece in model.pieces if piece.kind == Kind.USER_DEFINED and piece.text]
    try:
        library = SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise DataError(f"sentencepiece does not load the model: {error}") from error
    return CharacterTokenizer(
        [piece.text for piece in normal],
        [piece.score for piece in normal],
        None,
        tuple(AddedToken(text.replace(SPACE, " "), place) for place, text in enumerate(own)),
        model.rules,
        library.normalize,
        not any("\n" in piece.text for piece in normal),
    )


def is_of_characters(whole: object) -> TypeGuard[dict[str, Any]]:
    """Whether the content of a tokenizer.json is BPE and does not write bytes as characters."""
    model = whole.get("model") if isinstance(whole, dict) else None
    if not isinstance(whole, dict) or not isinstance(model, dict) or not isinstance(model.get("merges"), list):
        return False
    parts = json.dumps([whole.get("pre_tokenizer"), whole.get("normalizer"), whole.get("decoder")])
    return model.get("type", "BPE") == "BPE" and '"ByteLevel"' not in parts


def from_json(whole: dict[str, Any]) -> CharacterTokenizer:
    """The tokenizer in the content of such a tokenizer.json. Raises DataError where it does more than is read."""
    model: dict[str, Any] = whole["model"]
    check_affixes(model)
    added = tuple(map(read_added, whole.get("added_tokens") or []))
    no_text = {token.content for token in added} | {model.get("unk_token")}
    strings = read_strings(model.get("vocab"))
    tokens = [
        token for token, _ in sorted(strings.items(), key=lambda item: item[1])
        if token and token not in no_text and not _BYTE.fullmatch(token)
    ]  # fmt: skip
    return CharacterTokenizer(
        tokens,
        [],
        [_read_pair(merge) for merge in model["merges"]],
        added,
        rules_of(tokens),
        partial(_normalised, _library_form(whole.get("normalizer")), _prepends(whole.get("pre_tokenizer"))),
        not any("\n" in token for token in tokens),
    )


def _read_pair(merge: object) -> Pair:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) and part for part in parts):
        return parts[0], parts[1]
    raise DataError(f"merge {merge!r}: expected two tokens, such as 't h'")


def _normalised(form: Normalizer | None, prepends: bool | None, texts: list[str]) -> list[str]:
    """Texts as the normaliser leaves them, and Metaspace after it: None where there is none."""
    found = texts if form is None else [form.normalize_str(text) for text in texts]
    if prepends is None:
        return found
    found = [text.replace(" ", SPACE) for text in found]
    return [text if text.startswith(SPACE) or not prepends or not text else SPACE + text for text in found]


def _library_form(normalizer: object) -> Normalizer | None:
    """The normaliser as `tokenizers` makes it of its JSON, None for none."""
    if normalizer is None:
        return None
    from tokenizers import Tokenizer

    shell = {"version": "1.0", "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": None,
             "post_processor": None, "decoder": None, "model": {"type": "BPE", "vocab": {}, "merges": []}}  # fmt: skip
    try:
        form: Normalizer = Tokenizer.from_str(json.dumps(shell)).normalizer
    except Exception as error:
        raise DataError(f"tokenizer.json cannot be read: tokenizers does not know its normalizer ({error})") from error
    return form


def _prepends(pre_tokenizer: object) -> bool | None:
    """Whether Metaspace puts a space before a text; None without Metaspace. DataError for any other pre-tokenizer."""
    steps = steps_of(pre_tokenizer, "pretokenizers")
    known = [step for step in steps if step.get("pattern") != {"String": " "}]  # the normaliser left none of these
    if not known:
        return None
    step = known[0]
    if len(known) > 1 or step.get("type") != "Metaspace" or step.get("replacement", SPACE) != SPACE:
        refuse(
            "pre_tokenizer", pre_tokenizer, "ByteLevel, last, as byte-level BPE has it; or, for BPE of characters as "
            "SentencePiece makes it, none or Metaspace with U+2581"
        )  # fmt: skip
    scheme = step.get("prepend_scheme") or ("always" if step.get("add_prefix_space", True) else "never")
    return bool(scheme != "never")
