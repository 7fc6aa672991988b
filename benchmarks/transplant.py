"""Bits per byte of a real model with another tokenizer, by every method, with the disasters that checks must catch.

    python benchmarks/transplant.py build/corpora/mixed-1gb/*.parquet [--segments 60] [--vectors-mb 25] [--only X]

Runs in an environment with torch (`make torch` makes build/torch). SmolLM2-135M (`python -m pipeline.fetch causal`)
gets a byte-level BPE of 24,000 tokens that is trained on the English documents of the files, but for those of a few
packages (`HELD_OUT`), of which one segment of 1,000 bytes of each of `--segments` documents is read. The tokenizer and
the auxiliary vectors are kept under build/transplant. Some 6 CPU minutes for the vectors and the tokenizer, and 20
CPU seconds for each method on 60 segments in bfloat16; copies are compared bit by bit. Figures: docs/transplant.md.

What no step offers is made here: matching pursuit with signed weights, and rows brought to the mean length.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators.base import Context, DataError
from operators.kernels.token_vectors import Settings
from operators.transplant import methods
from operators.transplant.auxiliary import Auxiliary, joined, strings_of, trained
from operators.transplant.bits_per_byte import Reading, Tables, difference, read, refuse_dominance
from operators.transplant.calibration import calibrate
from operators.transplant.choice import Choice
from operators.transplant.language_model import LanguageModel
from operators.transplant.model_files import Model, open_model
from operators.transplant.rules import new_rows
from operators.transplant.segments import SEGMENTS, HeldOutSegments, encoded
from operators.transplant.weights import Weights, apply

MODEL: Final = "data/models/SmolLM2/SmolLM2-135M-Instruct.Q4_1.gguf"
STRINGS: Final = "data/models/all-MiniLM-L6-v2"
HELD_OUT: Final = ("postgresql-doc", "rust-doc", "mediawiki", "debian-books", "harden-doc")
WORK: Final = Path("build/transplant")
RECIPE: Final = f"""
name: target
seed: 1
inputs:
  - {{name: docs, path: {WORK}/docs.parquet, format: parquet, columns: {{id: id, text: text, keep: []}}}}
steps:
  - kind: train_tokenizer
    name: tokenizer
    pretokenizer: gpt2
    digits: single                     # as the model's own
    vocab_sizes: [24000]
    special_tokens: ["<|endoftext|>"]
outputs: {{path: {WORK}/target}}
"""
PURSUIT: Final = 8
"""Atoms of the signed pursuit (embedding vectors of 100 numbers)."""

Table = NDArray[np.float32]


@dataclass(frozen=True)
class Bench:
    """All that methods are compared with."""

    model: Model
    body: LanguageModel
    pair: methods.Pair
    vectors: Auxiliary
    texts: list[str]
    old: list[NDArray[np.int64]]
    new: list[NDArray[np.int64]]

    @cached_property
    def both(self) -> Auxiliary:
        """The vectors beside those of an encoder of strings."""
        return with_strings(self.vectors, self.pair)

    @property
    def num_bytes(self) -> list[int]:
        """Of each segment."""
        return [len(text.encode()) for text in self.texts]


def split(paths: Sequence[str]) -> None:
    """English documents, those of held-out packages apart."""
    columns = ["id", "text", "source", "lang"]
    docs = pa.concat_tables([pq.read_table(path, columns=columns, filters=[("lang", "=", "en")]) for path in paths])
    held = pc.is_in(docs["source"], pa.array(HELD_OUT))
    WORK.mkdir(parents=True, exist_ok=True)
    pq.write_table(docs.filter(held), WORK / "held-out.parquet")
    pq.write_table(docs.filter(pc.invert(held)), WORK / "docs.parquet", row_group_size=1000)


def target() -> bytes:
    """The new tokenizer, trained by the product."""
    found = WORK / "target/artifacts/tokenizer/tokenizer.json"
    if not found.is_file():
        (WORK / "target.yaml").write_text(RECIPE)
        subprocess.run([sys.executable, "-m", "pipeline", "run", str(WORK / "target.yaml")], check=True)
    return found.read_bytes()


def vectors_of(tokenizer_json: bytes, pair: methods.Pair, megabytes: float) -> Auxiliary:
    """Auxiliary vectors trained on documents in random order, kept for the next time."""
    kept = WORK / f"vectors-{megabytes:g}.npz"
    if not kept.is_file():
        texts = pq.read_table(WORK / "docs.parquet", columns=["text"])["text"].combine_chunks()
        begun = time.process_time()
        texts = texts.take(pa.array(np.random.default_rng(0).permutation(len(texts))))
        until = int(np.cumsum(pc.binary_length(texts).to_numpy()).searchsorted(megabytes * 1e6))
        made = trained(texts[:until], tokenizer_json, pair.target, Settings())
        print(f"vectors: {time.process_time() - begun:.0f} CPU s", flush=True)
        np.savez(kept, vectors=made.vectors, has=made.has, frequent=made.frequent, counts=made.counts)
    with np.load(kept) as file:
        return Auxiliary(*(file[name] for name in ("vectors", "has", "frequent", "counts")))


def with_strings(vectors: Auxiliary, pair: methods.Pair) -> Auxiliary:
    """The vectors beside a sentence encoder's of the tokens' strings."""
    from sentence_transformers import SentenceTransformer

    tokens = np.flatnonzero(pair.target.is_text)
    encoder = SentenceTransformer(STRINGS, device="cpu", local_files_only=True)
    made = np.zeros((len(pair.target), encoder.get_sentence_embedding_dimension()), np.float32)
    made[tokens] = encoder.encode(strings_of(pair.target, tokens.tolist()).to_pylist(), batch_size=256)
    has = np.asarray(made.any(axis=1), bool)
    return joined(vectors, Auxiliary(made, has, has, vectors.counts))


def opened(segments: int, megabytes: float) -> Bench:
    """The model, both tokenizers, vectors and segments."""
    model, tokenizer_json = open_model(MODEL), target()
    pair = methods.pair_of(model.tokenizer_json, tokenizer_json)
    vectors = vectors_of(tokenizer_json, pair, megabytes)
    fold, context = HeldOutSegments(segments=segments), Context(1, {})
    state = fold.bind(context)(pq.read_table(WORK / "held-out.parquet"))
    found: Any = fold.finish(state, context)[SEGMENTS]
    texts = found["text"].to_pylist()
    old, new = encoded(texts, model.tokenizer_json), encoded(texts, tokenizer_json)
    body = LanguageModel(MODEL, model, "bfloat16")
    return Bench(model, body, pair, vectors, texts, old, new)


def by_method(bench: Bench, both: bool = False, **choice: Any) -> tuple[Weights, Table]:  # noqa: ANN401
    """W of a method that a step offers, and the table."""
    weights = methods.weights_of(Choice(**choice), bench.pair, bench.both if both else bench.vectors)
    return weights, apply(weights, bench.model.input_table)


def rescaled(bench: Bench) -> Table:
    """Pieces' means brought to the mean length of copied rows."""
    weights, table = by_method(bench, method="subword")
    new = new_rows(weights)
    lengths = np.linalg.norm(table, axis=1)
    table[new] *= (np.delete(lengths, new).mean() / np.maximum(lengths[new], 1e-6))[:, None]
    return table


def signed_pursuit(bench: Bench) -> Table:
    """Orthogonal matching pursuit as it is published, with weights of either sign, over vectors at length 1."""
    weights, table = by_method(bench, method="subword")
    shared = bench.pair.matches.text()
    anchors = shared[bench.vectors.frequent[shared]]
    atoms, rows = bench.vectors.unit()[anchors], bench.model.input_table[bench.pair.matches.old[anchors]]
    unit = bench.vectors.unit()
    for token in new_rows(weights):
        if not bench.vectors.has[token]:
            continue
        rest, chosen, found = unit[token], list[int](), np.empty(0)
        for _ in range(PURSUIT):
            chosen.append(int(np.argmax(np.abs(atoms @ rest))))
            found = np.linalg.lstsq(atoms[chosen].T, unit[token], rcond=None)[0]
            rest = unit[token] - found @ atoms[chosen]
        table[token] = found @ rows[chosen]
    return table


def ridge(bench: Bench, strength: float = 0.01, folds: int = 5) -> Table:
    """A linear map from [WECHSEL's row; pieces' row] to the true row, fitted to shared tokens treated as new."""
    near, table = by_method(bench, method="wechsel")
    _, pieces = by_method(bench, method="subword")
    new = new_rows(near)
    shared = bench.pair.matches.text()
    usable = shared[bench.vectors.frequent[shared]]
    usable = usable[[len(bench.pair.target.forms[token]) > 1 for token in usable]]
    order = np.random.default_rng(0).permutation(usable)[:5000]
    features, truth = [], []
    for part in np.array_split(order, folds):
        hidden = methods.held_out(bench.pair, bench.model.tokenizer_json, np.sort(part))
        sides = [
            apply(methods.weights_of(Choice(method=name), hidden, bench.vectors), bench.model.input_table)
            for name in ("wechsel", "subword")
        ]
        features.append(np.concatenate([side[part] for side in sides], axis=1))
        truth.append(bench.model.input_table[bench.pair.matches.old[part]])
    known, wanted = np.concatenate(features), np.concatenate(truth)
    middle, level = known.mean(0), wanted.mean(0)
    centred = (known - middle).astype(np.float64)
    square = centred.T @ centred
    damping = strength * np.trace(square) / len(square) * np.eye(len(square))
    solved = np.linalg.solve(square + damping, centred.T @ (wanted - level))
    asked = np.concatenate([table[new], pieces[new]], axis=1) - middle
    table[new] = (asked @ solved + level).astype(np.float32)
    return table


def rows_of(bench: Bench) -> dict[str, Callable[[], Table]]:
    """Every method by name: those of the step, then what must be refused."""

    def one(both: bool = False, **choice: Any) -> Callable[[], Table]:  # noqa: ANN401
        return lambda: by_method(bench, both, **choice)[1]

    def calibrated(made: Callable[[], Table]) -> Callable[[], Table]:
        return lambda: calibrated_table(bench, made())

    return {
        "half FOCUS, half subword": one(method="focus_subword"),
        "half WECHSEL, half subword": one(method="wechsel_subword"),
        "half variant, half subword": one(method="variant_subword"),
        "WECHSEL": one(method="wechsel"),
        "FOCUS": one(method="focus"),
        "ridge of WECHSEL and subword": lambda: ridge(bench),
        "OMP, clipped": one(method="omp"),
        "subword": one(method="subword"),
        "subword, calibrated": calibrated(one(method="subword")),
        "multivariate normal": one(method="normal"),
        "mean": one(method="mean"),
        "OMP, signed": lambda: signed_pursuit(bench),
        "OMP, signed, calibrated": calibrated(lambda: signed_pursuit(bench)),
        "subword, rescaled": lambda: rescaled(bench),
        "half FOCUS of vectors and strings, half subword": one(True, method="focus_subword", temperature=0.3),
        "FOCUS of vectors and strings": one(True, method="focus", temperature=0.3),
    }


def is_new(bench: Bench) -> NDArray[np.bool_]:
    """Which rows are no copies."""
    found = np.zeros(len(bench.pair.target), bool)
    found[new_rows(by_method(bench, method="mean")[0])] = True
    return found


def calibrated_table(bench: Bench, table: Table) -> Table:
    """Calibrated by text that nothing is judged by: the first documents that the tokenizer was trained on."""
    texts = pq.read_table(WORK / "docs.parquet", columns=["text"])["text"][:2000:160].to_pylist()
    own = [ids[:400] for ids in encoded([text[:1200] for text in texts], target()) if len(ids)]
    reading = read(bench.body, Tables(table), own, [1] * len(own))
    return calibrate(Tables(table), is_new(bench), bench.vectors.counts, reading.mean_state)[0].reads


def judged(bench: Bench, name: str, made: Callable[[], Table], source: Reading) -> dict[str, Any]:
    """One method: its reading, whether copies are exact, and whether it is refused."""
    begun = time.process_time()
    table, new = made(), is_new(bench)
    copied = np.flatnonzero(bench.pair.matches.old >= 0)
    exact = np.array_equal(table[copied], bench.model.input_table[bench.pair.matches.old[copied]])
    reading = read(bench.body, Tables(table), bench.new, bench.num_bytes, new)
    try:
        refuse_dominance(reading, 0.05, name)
        refused = False
    except DataError:
        refused = True
    about = {"above_source": difference(reading, source, 0), "copies_exact": exact, "refused": refused}
    return {
        "name": name,
        **reading.about(0),
        **about,
        "cpu_s": round(time.process_time() - begun, 1),
        "reading": reading,
    }


def report(found: list[dict[str, Any]], source: Reading) -> None:
    """The table, in the order measured, and the differences of neighbours when sorted."""
    print(f"| source | {source.bits_per_byte:.4f} | | | |")
    for one in found:
        low, high = one["above_source"]["interval"]
        print(
            f"| {one['name']} | {one['bits_per_byte']:.4f} | +{one['above_source']['bits_per_byte']:.4f} "
            f"[{low:.4f}, {high:.4f}] | {100 * one.get('won_by_new', 0):.1f} % | {'refused' * one['refused']} |"
        )
    ranked = sorted(found, key=lambda one: float(one["bits_per_byte"]))
    for better, worse in pairwise(ranked):
        apart = difference(better["reading"], worse["reading"], 0)
        print(f"{better['name']} - {worse['name']}: {apart['bits_per_byte']:+.4f} {apart['interval']}")


def main() -> None:
    """Measure every method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="parquet files with id, text, source and lang")
    parser.add_argument("--segments", type=int, default=60)
    parser.add_argument("--vectors-mb", type=float, default=25)
    parser.add_argument("--only", nargs="+", default=[], help="names of methods")
    given = parser.parse_args()
    if not (WORK / "held-out.parquet").is_file():
        split(given.paths)
    bench = opened(given.segments, given.vectors_mb)
    source = read(bench.body, Tables(bench.model.input_table), bench.old, bench.num_bytes)
    print(json.dumps({"source": source.about(0), "bytes": sum(bench.num_bytes)}), flush=True)
    found = []
    for name, made in rows_of(bench).items():
        if given.only and name not in given.only:
            continue
        found.append(judged(bench, name, made, source))
        print(json.dumps({key: value for key, value in found[-1].items() if key != "reading"}), flush=True)
    report(found, source)
    if not all(one["copies_exact"] for one in found):
        raise SystemExit("copied rows are not exact")


if __name__ == "__main__":
    main()
