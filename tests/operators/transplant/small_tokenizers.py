"""Small tokenizers of kinds that we do not train, and tables with vectors that are easy to tell apart."""

import json

import numpy as np
import pyarrow as pa

from operators.embedding.encoders import EncoderChoice
from operators.transplant.auxiliary import unit
from operators.transplant.weights import Floats

SPECIALS = {"<unk>": 0, "<s>": 1, "</s>": 2}


def sentencepiece_json(*tokens: str, merges: list[list[str]] | None = None) -> bytes:
    """A tokenizer as Llama 2 has it: U+2581 for a space, put before every text, and bytes as `<0x0A>`."""
    vocab = {**SPECIALS, **{token: number + 3 for number, token in enumerate(tokens)}}
    added = [{"id": number, "content": content, "special": True} for content, number in SPECIALS.items()]
    prepend = {"type": "Prepend", "prepend": "\u2581"}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    model = {"type": "BPE", "vocab": vocab, "merges": merges or [], "unk_token": "<unk>", "byte_fallback": True}
    normalizer = {"type": "Sequence", "normalizers": [prepend, replace]}
    return json.dumps({"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": None, "model": model}).encode()


def wordpiece_json(*tokens: str) -> bytes:
    """A tokenizer as BERT has it."""
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    added = [{"id": number, "content": content, "special": True} for number, content in enumerate(specials)]
    model = {
        "type": "WordPiece",
        "vocab": {token: number for number, token in enumerate((*specials, *tokens))},
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    whole = {"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"}}
    return json.dumps({**whole, "model": model}).encode()


def table(rows: int, width: int = 8, seed: int = 3) -> Floats:
    """Random vectors."""
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


class Letters:
    """An encoder whose vector of a text says which letters it has."""

    dimension = 26

    def encode(self, texts: pa.ChunkedArray, ids: pa.ChunkedArray) -> Floats:
        assert ids.null_count == 0
        rows = [[float(chr(97 + place) in text.lower()) for place in range(26)] for text in texts.to_pylist()]
        return unit(np.array(rows, np.float32))

    def describe(self) -> dict[str, object]:
        return {}


def letters(choice: EncoderChoice) -> Letters:
    """As a recipe names it."""
    return Letters()
