"""A checkpoint of a few kB for tests: a WordPiece tokenizer over some words and letters, and a table of vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "river", "town", "by", "passage", ":", ".")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
HIDDEN = 32

CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_size": HIDDEN, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 40, "type_vocab_size": 2,
    "vocab_size": len(WORDS) + 2 * len(LETTERS), "pad_token_id": 0, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
}  # fmt: skip


def write_tokenizer(folder: Path) -> Path:
    """`tokenizer.json` of the size in `CONFIG`, with a truncation and a padding that must not be heeded."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    tokens = [*WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    engine = Tokenizer(WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]"))
    engine.normalizer = normalizers.BertNormalizer()
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    engine.add_special_tokens(list(WORDS[:4]))
    engine.enable_truncation(5)
    engine.enable_padding(length=9)
    engine.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def write_tables(folder: Path, rows: int | None = None, wrong_row: int = -1) -> None:
    """`model.safetensors` with the table of token vectors alone."""
    from safetensors.numpy import save_file

    table: NDArray[np.float32] = np.ones((CONFIG["vocab_size"] if rows is None else rows, HIDDEN), np.float32)
    if wrong_row >= 0:
        table[wrong_row, 3] = np.nan
    save_file({"embeddings.word_embeddings.weight": table}, str(folder / "model.safetensors"))


def write_json(folder: Path, name: str, content: object) -> None:
    """One of the folder's JSON files."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_checkpoint(folder: Path, **config: object) -> Path:
    """A folder that says that it is a sentence encoder by the mean; its layers have no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    write_tables(folder)
    write_json(folder, "config.json", {**CONFIG, **config})
    write_json(folder, "1_Pooling/config.json", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    write_json(folder, "sentence_bert_config.json", {"max_seq_length": 16})
    return folder
