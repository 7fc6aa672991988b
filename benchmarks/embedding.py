"""`embed_documents` with a transformer: tokens per CPU-second against sentence-transformers, padding, forms, memory.

    build/torch/bin/python benchmarks/embedding.py [--docs 400] [--threads 1] [--rounds 4] [--memory 400 1600] [--forms]
    build/torch/bin/python benchmarks/embedding.py --docs 0 --chunks 300

The documents are the first of build/corpora/english.parquet (`python -m benchmarks.corpora`), the encoder is
all-MiniLM-L6-v2 at its own cap of 256 tokens. Documents are dealt to as many rounds; in each all variants embed the
same ones, in turn, the order rotated, in one process: CPU seconds are those of the whole process, tokenising included,
and a ratio is of sums over rounds. The peer is `encode` with its batch of 32. Cosines are to the peer's vectors.
With `--memory` the step is run over so many documents of 64 tokens by one worker, for peak memory; with `--forms` the
ten nearest neighbours of each document are compared with those by float32; with `--chunks` the vectors of the first so
many documents of 10,000 characters and more, by one chunk and by four, are compared with those by eight. Padding is
that of one shard of them all.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.embedding import forms
from operators.embedding.checkpoints import read_checkpoint
from operators.embedding.chunks import longest_first, padding_efficiency
from operators.embedding.devices import cpu_has_bfloat16
from operators.embedding.encoders import EncoderChoice
from operators.embedding.makers import open_encoder
from operators.embedding.openvino_model import OpenvinoModel
from operators.embedding.tokens import Tokeniser
from operators.embedding.torch_model import TorchModel
from operators.embedding.transformer import TransformerEncoder
from operators.embedding.transformers import CPU_BUDGET

ROOT = Path(__file__).resolve().parent.parent
MINILM = ROOT / "data/models/all-MiniLM-L6-v2"
CORPUS = ROOT / "build/corpora/english.parquet"
LONG = 10_000
Singles = NDArray[np.float32]
Variant = Callable[[list[str]], Singles]


def documents(count: int) -> list[str]:
    """The first of the corpus, those of some hundred bytes and of some hundred thousand alike."""
    table = next(pq.ParquetFile(CORPUS).iter_batches(count, columns=["text"]))
    found: list[str] = table["text"].to_pylist()
    return found


def ours(backend: str, dtype: str, threads: int, budget: int) -> tuple[Variant, TransformerEncoder]:
    """One way of ours."""
    checkpoint = read_checkpoint(str(MINILM))
    kinds: dict[str, type[TorchModel | OpenvinoModel]] = {"torch": TorchModel, "openvino": OpenvinoModel}
    model = kinds[backend](checkpoint, "mean", dtype, threads=threads)
    tokenise = Tokeniser(checkpoint.tokenizer, checkpoint.cap, 1)
    encoder = TransformerEncoder(tokenise, model, budget, checkpoint.dimension, {})

    def embed(texts: list[str]) -> Singles:
        ids = pa.chunked_array([[f"{number:06}" for number in range(len(texts))]])
        return encoder.encode(pa.chunked_array([pa.array(texts, pa.large_string())]), ids)

    return embed, encoder


def peer(threads: int) -> Variant:
    """sentence-transformers as its documentation has it."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MINILM), device="cpu")
    torch.set_num_threads(threads)
    return lambda texts: np.asarray(model.encode(texts, batch_size=32, normalize_embeddings=True))


def measure(texts: list[str], threads: int, rounds: int, budget: int) -> Singles:
    """Print a line for each variant; the peer's vectors."""
    import torch

    variants: dict[str, Variant] = {"sentence-transformers": peer(threads)}
    encoders = {}
    for backend in ("torch", "openvino"):
        for dtype in ("float32", "bfloat16") if cpu_has_bfloat16() else ("float32",):
            name = f"{backend} {dtype}"
            variants[name], encoders[name] = ours(backend, dtype, threads, budget)
    torch.set_num_threads(threads)
    for embed in variants.values():
        embed(texts[:8])
    counter = encoders["torch float32"]
    counter.tokens = 0
    seconds: dict[str, float] = defaultdict(float)
    vectors: dict[str, list[Singles]] = defaultdict(list)
    for turn in range(rounds):
        names = list(variants)[turn % len(variants) :] + list(variants)[: turn % len(variants)]
        for name in names:
            begin = time.process_time()
            vectors[name].append(variants[name](texts[turn::rounds]))
            seconds[name] += time.process_time() - begin
    found = {name: np.concatenate(parts) for name, parts in vectors.items()}
    say(len(texts), counter.tokens, threads, seconds, found)
    return found["sentence-transformers"]


def say(docs: int, tokens: int, threads: int, seconds: dict[str, float], found: dict[str, Singles]) -> None:
    """The table."""
    base, spent_by_peer = found["sentence-transformers"], seconds["sentence-transformers"]
    print(f"{docs} documents, {tokens:,} tokens, {threads} thread(s)")
    for name, spent in seconds.items():
        cosine, off = (found[name] * base).sum(axis=1), np.abs(found[name] - base).max()
        speed = f"{tokens / spent:7,.0f} tokens/CPU-s {docs / spent:6.1f} docs/CPU-s {spent_by_peer / spent:5.2f}x"
        print(f"  {name:22} {speed} cosine mean {cosine.mean():.5f} min {cosine.min():.5f}, off by {off:.1e} at most")


def say_padding(texts: list[str], budget: int) -> None:
    """How much of what is computed is tokens, if all texts are one shard."""
    checkpoint = read_checkpoint(str(MINILM))
    for cap in (256, 512):
        encoded = Tokeniser(checkpoint.tokenizer, cap, 1)(pa.chunked_array([pa.array(texts, pa.large_string())]))
        order = longest_first(encoded.length, encoded.document)
        found = padding_efficiency(encoded.length[order], budget)
        print(f"  cap {cap}: padding efficiency {found:.4f} with a budget of {budget}")


def compare_forms(vectors: Singles) -> None:
    """Of the ten nearest neighbours by float32 the share that each form keeps, by cosine or by equal bits."""
    nearest = neighbours(vectors)
    for form in ("float16", "int8", "binary"):
        column = forms.written(vectors, form)
        values = column.flatten().to_numpy().reshape(vectors.shape[0], -1)
        back = np.unpackbits(values, axis=1) * 2.0 - 1 if form == "binary" else values.astype(np.float32)
        back = (back / np.linalg.norm(back, axis=1, keepdims=True)).astype(np.float32)
        kept = [len(set(a) & set(b)) for a, b in zip(nearest.tolist(), neighbours(back).tolist(), strict=True)]
        cosine = np.abs(back @ back.T - vectors @ vectors.T).max()
        print(f"  {form:8} keeps {np.mean(kept) / 10:.4f} of ten neighbours; a cosine is off by {cosine:.1e} at most")


def neighbours(vectors: Singles) -> NDArray[np.int64]:
    """Of each vector the ten nearest others."""
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    return np.argsort(-similar, axis=1, kind="stable")[:, :10]


def compare_chunks(count: int) -> None:
    """Cosines of the vectors of long documents by few chunks to those by eight."""
    table = pq.read_table(CORPUS, columns=["text"])
    texts = pa.chunked_array([pa.array([text for text in table["text"].to_pylist() if len(text) >= LONG][:count])])
    ids = pa.chunked_array([[f"{number:06}" for number in range(len(texts))]])
    found, seconds = {}, {}
    for chunks in (1, 4, 8):
        encoder = open_encoder(EncoderChoice(encoder=str(MINILM), chunks=chunks))
        begin = time.process_time()
        found[chunks], seconds[chunks] = encoder.encode(texts, ids), time.process_time() - begin
    for chunks in (1, 4):
        cosine = (found[chunks] * found[8]).sum(axis=1).mean()
        times = seconds[chunks] / seconds[1]
        said = f"cosine {cosine:.3f} to those of 8, {times:.1f} times the cost of 1"
        print(f"  {len(texts)} long documents, {chunks} chunks: {said}")


def peak_memory(count: int) -> float:
    """MB of a run over so many documents."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(pa.table({"text": documents(count)}), folder / "docs.parquet", row_group_size=100)
        step = {"kind": "embed_documents", "encoder": str(MINILM), "max_tokens": 64}
        inputs = [{"name": "docs", "path": str(folder / "docs.parquet")}]
        recipe = {
            "name": "memory",
            "inputs": inputs,
            "steps": [step],
            "outputs": {"path": f"{name}/out", "shard_mb": 1},
        }
        (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        command = [sys.executable, "-m", "pipeline", "run", f"{name}/recipe.yaml", "--workers", "1", "--json"]
        done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        peak: float = json.loads(done.stdout)["peak_rss_mb"]
        return peak


def missing() -> bool:
    """Whether something that is needed is not here; what it is, is printed."""
    lacking = [name for name in ("torch", "sentence_transformers", "openvino") if not importlib.util.find_spec(name)]
    if lacking or not MINILM.is_dir():
        print(f"needs {', '.join(lacking) or MINILM}: run `make torch`, then this by build/torch/bin/python")
        return True
    return False


def asking(about: str | None) -> argparse.ArgumentParser:
    """What a benchmark of encoders is told on the command line: of how many documents, and in how many rounds."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=4)
    return parser


def main() -> None:
    """Parse, measure, print."""
    parser = asking(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=int, default=CPU_BUDGET)
    parser.add_argument("--memory", type=int, nargs="*", default=[])
    parser.add_argument("--forms", action="store_true")
    parser.add_argument("--chunks", type=int, default=0)
    options = parser.parse_args()
    if missing():
        return
    if options.docs:
        texts = documents(options.docs)
        say_padding(texts, options.budget)
        with contextlib.redirect_stderr(None):
            vectors = measure(texts, options.threads, options.rounds, options.budget)
        if options.forms:
            compare_forms(vectors)
    if options.chunks:
        compare_chunks(options.chunks)
    for count in options.memory:
        print(f"  {count} documents: peak memory {peak_memory(count):.0f} MB")


if __name__ == "__main__":
    main()
