"""Small static models for tests: eight tokens of a byte-level tokenizer, and what stands beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from operators.tokenizer_files import to_tokenizer_json
from operators.vocabulary import from_merges

TOKENIZER = to_tokenizer_json(from_merges([(b"a", b"b")], (r"[a-z]+|[^a-z]+",), ["<|end|>"]))
TOKENS = 258
"""256 bytes, a merge, an added token."""


def table(width: int = 4, rows: int = TOKENS) -> np.ndarray[Any, Any]:
    """Rows with no two alike."""
    return np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)


def save(folder: Path, tensors: dict[str, Any], tokenizer: bytes = TOKENIZER, name: str = "model.safetensors") -> str:
    """A folder with a model in it; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "config.json").write_text(json.dumps({"normalize": True}))
    return str(folder)
