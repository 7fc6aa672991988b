"""How good static vectors are: do two passages of one document find each other among those of all documents?

    python benchmarks/static_vectors.py [--docs 1500] [--corpus PATH] [--model FOLDER ...] [--minilm]

Queries are the first 1,000 characters of documents of build/corpora/english.parquet (`python -m benchmarks.corpora`,
those of 2,100 or more; or of another file or folder), targets the characters 1,020 to 2,020. R@k is the share of
queries with their own target among the k nearest; kNN the share of targets of whose ten nearest others most are of the
same source. No labels are needed, and words that both passages have are of great help, so TF-IDF, exact and by its 256
leading singular vectors, stands beside, and the model of ours with rows in directions of chance. Ours is trained on the
whole documents. `--model` names folders of static models in any form, `--minilm` needs torch (build/torch/bin/python).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.embedding.encoders import Encoder, EncoderChoice
from operators.embedding.makers import open_encoder
from operators.embedding.static_encoder import StaticEncoder
from operators.embedding.static_files import StaticFiles, read_artifact, read_folder
from operators.text_tokens import text_encoder
from operators.train_static_vectors import TrainStaticVectors
from tests.operators.harness import run

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ROOT = Path(__file__).resolve().parent.parent
Floats = NDArray[np.float32] | NDArray[np.float64]


def column(texts: list[str]) -> pa.ChunkedArray:
    """As a column of a shard."""
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def scores(queries: Floats, targets: Floats, sources: NDArray[np.str_]) -> str:
    """R@1, R@10, the mean reciprocal rank, and kNN of unit vectors."""
    found = queries @ targets.T
    rank = (found > found.diagonal()[:, None]).sum(axis=1) + 1
    near = targets @ targets.T
    np.fill_diagonal(near, -9)
    voted = sources[np.argsort(-near, axis=1, kind="stable")[:, :10]].tolist()
    right = [max(sorted(set(names)), key=names.count) == own for names, own in zip(voted, sources, strict=True)]
    return "  ".join(
        f"{value:.3f}" for value in (np.mean(rank == 1), np.mean(rank <= 10), np.mean(1 / rank), np.mean(right))
    )


def by_chance(model: StaticFiles) -> StaticFiles:
    """The model with rows as long as they are, in directions of chance; no mean and no component are taken off."""
    from safetensors.numpy import load, save

    tensors = load(model.weights)
    lengths = np.linalg.norm(tensors["embeddings"].astype(np.float32), axis=1, keepdims=True)
    rows = np.random.default_rng(0).normal(size=tensors["embeddings"].shape)
    tensors["embeddings"] = (rows * lengths / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    for name in ("mean", "component"):
        tensors[name] = np.zeros_like(tensors[name])
    return StaticFiles("chance", save(tensors), model.tokenizer)


def lexical(
    tokenizer: bytes, queries: list[str], targets: list[str], whole: list[str]
) -> dict[str, tuple[Floats, Floats]]:
    """TF-IDF over the tokenizer's tokens, and its projection."""
    import scipy.sparse as sp

    encoder = text_encoder(tokenizer, "tokenizer")

    def bags(texts: list[str]) -> csr_matrix:
        found = encoder(column(texts).combine_chunks())
        row = np.repeat(np.arange(len(texts)), np.diff(found.starts))
        bag = sp.csr_matrix((np.ones(found.ids.size), (row, found.ids)), shape=(len(texts), encoder.num_ids))
        bag.data = 1 + np.log(bag.data)
        return bag

    learnt = bags([text[start : start + 1000] for text in whole for start in range(0, len(text), 1000)])
    idf = sp.diags(1 + np.log((1 + learnt.shape[0]) / (1 + np.asarray((learnt > 0).sum(axis=0)).ravel())))

    def unit(rows: csr_matrix) -> csr_matrix:
        return sp.diags(1 / np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())) @ rows

    learnt, sides = unit(learnt @ idf), [unit(bags(texts) @ idf) for texts in (queries, targets)]
    basis = np.random.default_rng(0).normal(size=(learnt.shape[1], 288))
    for _ in range(3):
        basis = np.linalg.qr(learnt.T @ (learnt @ basis))[0]
    values, turned = np.linalg.eigh((learnt @ basis).T @ (learnt @ basis))
    del values
    projected = [side @ (basis @ turned[:, ::-1][:, :256]) for side in sides]
    dense = [side.toarray().astype(np.float32) for side in sides]
    shown = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in projected]
    return {"TF-IDF": (dense[0], dense[1]), "TF-IDF, 256 singular vectors": (shown[0], shown[1])}


def main() -> None:
    """Print a line for each encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=1500)
    parser.add_argument("--corpus", type=Path, default=ROOT / "build/corpora/english.parquet")
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "out/quickstart/artifacts/tokenizer/tokenizer.json")
    parser.add_argument("--model", type=Path, nargs="*", default=[])
    parser.add_argument("--minilm", action="store_true")
    asked = parser.parse_args()
    table = pq.read_table(asked.corpus, columns=["id", "text", "source"])
    rows = [row for row in table.to_pylist() if len(row["text"]) >= 2100][: asked.docs]
    queries, targets = ([row["text"][first : first + 1000] for row in rows] for first in (0, 1020))
    sources = np.array([row["source"] for row in rows])
    print(f"{len(rows)} documents; R@1, R@10, MRR, kNN", flush=True)
    content = asked.tokenizer.read_bytes()
    for name, (left, right) in lexical(content, queries, targets, table["text"].to_pylist()).items():
        print(scores(left, right, sources), name, flush=True)
    step = TrainStaticVectors(tokenizer=str(asked.tokenizer))
    shard = table.append_column("_row", pa.array(range(table.num_rows), pa.int32()))
    ours = read_artifact(run(step, [shard]).artifacts["model"], "ours")
    encoders: dict[str, Encoder] = {"train_static_vectors": StaticEncoder(ours)}
    encoders["its rows by chance"] = StaticEncoder(by_chance(ours))
    encoders |= {folder.name: StaticEncoder(read_folder(folder)) for folder in asked.model}
    if asked.minilm:
        encoders["MiniLM"] = open_encoder(EncoderChoice(encoder=str(ROOT / "data/models/all-MiniLM-L6-v2")))
    for name, encoder in encoders.items():
        left, right = (encoder.encode(column(texts), column(texts)) for texts in (queries, targets))
        print(scores(left, right, sources), name, flush=True)


if __name__ == "__main__":
    main()
