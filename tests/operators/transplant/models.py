"""Models for tests: folders and GGUF files with a few random tables and a small tokenizer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray
from safetensors.numpy import save_file

from operators.byte_alphabet import to_characters
from operators.pretokenizers import PATTERNS
from operators.tokenizer_files import to_tokenizer_json
from operators.vocabulary import Vocabulary, from_merges

Table = NDArray[np.float32]

MERGES = [(b"t", b"h"), (b"th", b"e"), (b" ", b"the"), (b"a", b"n"), (b"an", b"d")]
SPECIAL = ("<|endoftext|>",)
ROWS = 262
"""Its ids: 256 bytes, the merges, and the special token."""
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


def vocabulary() -> Vocabulary:
    return from_merges(MERGES, PATTERNS["gpt2"], SPECIAL)


def table(rows: int, dimension: int = 16, seed: int = 0) -> Table:
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


def llama(tied: bool, seed: int = 0) -> dict[str, Any]:
    """The tensors of a small llama as GGUF names them."""
    shapes = {"attn_norm": (16,), "ffn_norm": (16,), "attn_q": (16, 16), "attn_k": (8, 16), "attn_v": (8, 16)}
    shapes |= {"attn_output": (16, 16), "ffn_gate": (24, 16), "ffn_up": (24, 16), "ffn_down": (16, 24)}
    random = np.random.default_rng(seed)
    tensors = {f"blk.{layer}.{name}.weight": shape for layer in range(2) for name, shape in shapes.items()}
    made: dict[str, Any] = {name: random.normal(size=shape).astype(np.float32) / 3 for name, shape in tensors.items()}
    ends: dict[str, Any] = {"output_norm.weight": np.ones(16, np.float32), "token_embd.weight": table(ROWS)}
    made |= ends
    return made if tied else made | {"output.weight": table(ROWS, seed=1)}


def write_folder(folder: Path, tensors: dict[str, Any], config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(LLAMA if config is None else config))
    (folder / "tokenizer.json").write_bytes(to_tokenizer_json(vocabulary()))
    return folder


def write_gguf(path: Path, tensors: dict[str, Table], **changes: Any) -> Path:  # noqa: ANN401
    known = vocabulary()
    tokens = [to_characters(token) for token in known.tokens] + list(SPECIAL)
    kinds = [1] * len(known.tokens) + [3] * len(SPECIAL)
    writer = GGUFWriter(path, changes.get("architecture", "llama"))
    for add, value in (
        (writer.add_embedding_length, 16),
        (writer.add_feed_forward_length, 24),
        (writer.add_block_count, 2),
        (writer.add_head_count, 4),
        (writer.add_head_count_kv, 2),
        (writer.add_context_length, 64),
        (writer.add_bos_token_id, len(tokens) - 1),
    ):
        add(value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model(changes.get("model", "gpt2"))
    writer.add_tokenizer_pre(changes.get("pre", "smollm"))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{to_characters(left)} {to_characters(right)}" for left, right in known.merges])
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
