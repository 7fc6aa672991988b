"""Write a byte-level BPE vocabulary as a `tokenizer.json`, the file that `tokenizers` and `transformers` load.

Ids: the 256 bytes in the order of `byte_alphabet`, then one per merge, then the special tokens, last. So a smaller
vocabulary is a prefix of a larger one, and a token's rank is its id.
"""

import json
from typing import Any

from operators.base import RecipeError
from operators.byte_alphabet import bytes_in_id_order, to_characters

Merges = list[tuple[int, int]]


def token_strings(merges: Merges) -> list[str]:
    """Every token by id, in the characters that stand for bytes.

    >>> token_strings([(64, 65), (64, 256)])[-2:]
    ['ab', 'aab']
    """
    tokens = [to_characters(bytes([byte])) for byte in bytes_in_id_order()]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


def tokenizer_json(merges: Merges, pattern: str, special_tokens: tuple[str, ...]) -> bytes:
    """The file's bytes; they depend on the arguments alone.

    Raises RecipeError where a special token is also a token of the vocabulary: it would need two ids.
    """
    tokens = token_strings(merges)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    for token in special_tokens:
        if token in vocabulary:
            msg = (
                f"special token {token!r} is also token {vocabulary[token]} of the vocabulary, and one string has "
                "one id: give it a name that text does not hold, such as '<|name|>'"
            )
            raise RecipeError(msg)
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special(len(tokens) + place, token) for place, token in enumerate(special_tokens)],
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(pattern),
        "post_processor": None,
        "decoder": _byte_level(),
        "model": _model(vocabulary, [[tokens[left], tokens[right]] for left, right in merges]),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _special(number: int, token: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": token, **flags}


def _pre_tokenizer(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, _byte_level()]}


def _byte_level() -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def _model(vocabulary: dict[str, int], merges: list[list[str]]) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges,
    }
