"""The static encoder against MiniLM in bfloat16: documents and tokens per CPU-second, same truncation, in one process.

    build/torch/bin/python benchmarks/embedding_static.py [--docs 100000] [--sample 200] [--rounds 4] [--model FOLDER]

The documents are passages of 1,500 characters of build/corpora/mixed-200mb (`python -m benchmarks.corpora`), the model
by default the one that `make demo` leaves; both encoders read 256 tokens of each. In every round the static encoder
embeds its share of all documents, and then MiniLM its share of the first `--sample`. CPU seconds are those of the
process, tokenising included, one thread each. The ratio is of documents; tokens are each tokenizer's own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from operators.embedding.encoders import Encoder
from operators.embedding.static_encoder import StaticEncoder
from operators.embedding.static_files import read_folder
from operators.text_tokens import text_encoder

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "build/corpora/mixed-200mb"
MINILM = ROOT / "data/models/all-MiniLM-L6-v2"
LENGTH = 1500
MOST = 256


def passages(count: int) -> list[str]:
    """So many passages; the last one of a document may be shorter."""
    found: list[str] = []
    for path in sorted(CORPUS.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
            for text in batch["text"].to_pylist():
                found.extend(text[start : start + LENGTH] for start in range(0, len(text), LENGTH))
            if len(found) >= count:
                return found[:count]
    return found


def minilm() -> Encoder:
    """MiniLM as `embed_documents` runs it, in bfloat16 where the CPU has it."""
    from operators.embedding.checkpoints import read_checkpoint
    from operators.embedding.devices import cpu_has_bfloat16
    from operators.embedding.tokens import Tokeniser
    from operators.embedding.torch_model import TorchModel
    from operators.embedding.transformer import TransformerEncoder
    from operators.embedding.transformers import CPU_BUDGET

    checkpoint = read_checkpoint(str(MINILM))
    dtype = "bfloat16" if cpu_has_bfloat16() else "float32"
    model = TorchModel(checkpoint, "mean", dtype, threads=1)
    print(f"MiniLM in {dtype}")
    tokenise = Tokeniser(checkpoint.tokenizer, MOST, 1)
    return TransformerEncoder(tokenise, model, CPU_BUDGET, checkpoint.dimension, {})


def column(texts: list[str]) -> pa.ChunkedArray:
    """As a column of a shard."""
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def seconds(encoder: Encoder, texts: list[str]) -> float:
    """CPU seconds of this process for some texts."""
    given, ids = column(texts), column([f"{number:06}" for number in range(len(texts))])
    before = time.process_time()
    found = encoder.encode(given, ids)
    spent = time.process_time() - before
    assert found.shape == (len(texts), encoder.dimension)
    return spent


def tokens(tokenizer: Path, texts: list[str]) -> int:
    """Tokens that are read of the texts."""
    starts = text_encoder(tokenizer.read_bytes(), str(tokenizer))(column(texts).combine_chunks()).starts
    return int(np.minimum(np.diff(starts), MOST).sum())


def shares(texts: list[str], rounds: int) -> Iterator[list[str]]:
    """The texts, dealt."""
    return (texts[number::rounds] for number in range(rounds))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--model", type=Path, default=ROOT / "out/quickstart/artifacts/token_vectors")
    asked = parser.parse_args()
    texts = passages(asked.docs)
    some = texts[:: max(1, len(texts) // asked.sample)][: asked.sample]
    static, other = StaticEncoder(read_folder(asked.model), MOST), minilm()
    for encoder in (static, other):  # compiled, loaded
        seconds(encoder, texts[:8])
    spent = np.zeros((2, asked.rounds))
    for number, (many, few) in enumerate(zip(shares(texts, asked.rounds), shares(some, asked.rounds), strict=True)):
        spent[:, number] = seconds(static, many), seconds(other, few)
    rates = {}
    for name, total, embedded, tokenizer in (
        ("static", spent[0].sum(), texts, asked.model / "tokenizer.json"),
        ("MiniLM", spent[1].sum(), some, MINILM / "tokenizer.json"),
    ):
        rates[name] = len(embedded) / total
        per_second = tokens(tokenizer, embedded) / total
        print(f"{name}: {len(embedded):,} documents in {total:.1f} CPU-s: {rates[name]:,.1f} documents, "
              f"{per_second:,.0f} tokens per CPU-second")  # fmt: skip
    print(f"ratio of documents: {rates['static'] / rates['MiniLM']:.0f}, by rounds "
          f"{', '.join(f'{len(texts) / len(some) * b / a:.0f}' for a, b in spent.T)}")  # fmt: skip


if __name__ == "__main__":
    main()
