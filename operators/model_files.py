"""`tokenizer.json` of a model that is not byte-level BPE: around it everything is as `tokenizer_files` has it.

That is: text is cut by patterns, the bytes of the pieces are written in the byte alphabet, tokens are turned back into
bytes to decode, and special tokens have the last ids.
"""

import json
from collections.abc import Collection
from typing import Any

from operators.base import RecipeError
from operators.tokenizer_files import tokenizer_config, tokenizer_json


def model_json(
    model: dict[str, Any],
    tokens: Collection[str],
    patterns: tuple[str, ...],
    special_tokens: tuple[str, ...],
    *,
    prefix: str = "",
    longest_piece: int = 0,
) -> bytes:
    """The file's bytes.

    Args:
        model: what stands under `model`.
        tokens: of the model, as it writes them; their ids are 0 to len(tokens) - 1.
        patterns: regexes that cut text, as in `pretokenizers`.
        special_tokens: looked for in the text before it is cut.
        prefix: taken from tokens where they are decoded; holds no character of the byte alphabet.
        longest_piece: pieces are cut further after so many bytes; 0 for no limit.

    Raises RecipeError where a special token is a token of the model too, or holds the prefix.
    """
    for token in special_tokens:
        if token in tokens or (prefix and prefix in token):
            msg = f"special token {token!r} is a token of the vocabulary or holds {prefix!r}: write it as '<|name|>'"
            raise RecipeError(msg)
    content = json.loads(tokenizer_json([], patterns, special_tokens))
    for place, added in enumerate(content["added_tokens"]):
        added["id"] = len(tokens) + place
    if longest_piece:
        # After ByteLevel, where a character is a byte, and none of them a line break, which the dot would not match.
        content["pre_tokenizer"]["pretokenizers"].append(_split(f".{{1,{longest_piece}}}"))
    if prefix:
        without = {"type": "Replace", "pattern": {"String": prefix}, "content": ""}
        content["decoder"] = {"type": "Sequence", "decoders": [without, content["decoder"]]}
    return json.dumps({**content, "model": model}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def named_files(by_size: dict[int, bytes]) -> dict[str, bytes]:
    """The outputs of a training: `tokenizer-<size>.json` for each size, the largest as `tokenizer.json` too."""
    sized = {f"tokenizer-{size}.json": content for size, content in by_size.items()}
    return {**sized, "tokenizer.json": by_size[max(by_size)], "tokenizer_config.json": tokenizer_config()}


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
