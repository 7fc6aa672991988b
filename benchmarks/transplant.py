"""Bits per byte of a real model with another tokenizer, by every method, with the disasters that checks must catch.

    python -m benchmarks.transplant TOKENIZER.json TEXT.parquet build/corpora/mixed-1gb/*.parquet [--segments 24]

Runs in an environment with torch (`make torch` makes build/torch). SmolLM2-135M (`python -m pipeline.fetch causal`)
gets TOKENIZER.json. Vectors are trained on TEXT.parquet (column `text`) and kept beside it, as benchmarks.held_out_rows
has them. One segment of 1,000 bytes is read of each of `--segments` English documents of the other files that are of a
few packages (`HELD_OUT`) and not in TEXT. Each method is a line of `--log`: those that are there are not read again. A
method takes 10 to 40 CPU seconds on 24 segments in bfloat16, and vectors 250 for 70 MB; copies are compared bit by bit.
What no step offers is made here: matching pursuit with signed weights, and rows brought to the mean length. Figures:
docs/transplant.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.held_out_rows import MODEL, vectors
from operators.base import Context, DataError
from operators.embedding.encoders import EncoderChoice
from operators.embedding.makers import open_encoder
from operators.transplant import methods
from operators.transplant.auxiliary import Auxiliary, joined, of_strings
from operators.transplant.bits_per_byte import Reading, Tables, difference, read, refuse_dominance
from operators.transplant.building import special_ids
from operators.transplant.calibration import calibrate
from operators.transplant.choice import Choice, Method
from operators.transplant.language_model import LanguageModel
from operators.transplant.making import Maker
from operators.transplant.model_files import Model, open_model
from operators.transplant.rules import marked, new_rows
from operators.transplant.segments import SEGMENTS, HeldOutSegments, encoded

STRINGS: Final = "data/models/all-MiniLM-L6-v2"
HELD_OUT: Final = ("postgresql-doc", "rust-doc", "mediawiki", "debian-books", "harden-doc")
WORK: Final = Path("build/transplant")
PURSUIT: Final = 8
"""Atoms of the signed pursuit (auxiliary vectors of 100 numbers)."""
SOURCE: Final = "the old tokenizer"
BASE: Final = "subword"
"""What every method is compared with."""
PAIRS: Final = (
    ("half FOCUS, half subword", "FOCUS"),
    ("half WECHSEL, half subword", "WECHSEL"),
    ("half FOCUS with strings, half subword", "FOCUS with strings"),
    ("half FOCUS with strings, half subword", "half FOCUS, half subword"),
    ("half FOCUS with strings, half subword", "half WECHSEL, half subword"),
    ("half FOCUS, half subword", "half WECHSEL, half subword"),
    ("half FOCUS, half subword", "half variant, half subword"),
    ("ridge", "half FOCUS, half subword"),
    ("FOCUS", "WECHSEL"),
    ("OMP, clipped", "WECHSEL"),
    ("subword, calibrated", "subword"),
    ("WECHSEL, calibrated", "WECHSEL"),
)
"""Differences that are asked for by name."""

Table = NDArray[np.float32]


@dataclass(frozen=True)
class Bench:
    """All that methods are compared with."""

    model: Model
    target: bytes
    body: LanguageModel
    pair: methods.Pair
    vectors: Auxiliary
    texts: list[str]
    old: list[NDArray[np.int64]]
    new: list[NDArray[np.int64]]
    calibrating: list[NDArray[np.int64]]
    """Some of the text that vectors are trained on: nothing is judged by it."""

    @cached_property
    def both(self) -> Auxiliary:
        """The vectors beside those of an encoder of strings."""
        encoder = open_encoder(EncoderChoice(encoder=STRINGS))
        return joined(self.vectors, of_strings(encoder, self.pair.target))

    @cached_property
    def is_new(self) -> NDArray[np.bool_]:
        """Which rows are no copies."""
        return marked(new_rows(methods.weights_of(Choice("mean"), self.pair)), len(self.pair.target))

    @property
    def num_bytes(self) -> list[int]:
        """Of each segment."""
        return [len(text.encode()) for text in self.texts]


def held_out(paths: Sequence[str], own: pa.ChunkedArray) -> pa.Table:
    """English documents of held-out packages, kept for the next time, but for those of our own text."""
    kept = WORK / "held-out.parquet"
    if not kept.is_file():
        held = pc.is_in(pc.field("source"), pa.array(HELD_OUT)) & (pc.field("lang") == "en")
        WORK.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables([pq.read_table(path, filters=held) for path in paths]), kept)
    found, known = pq.read_table(kept, columns=["id", "text"]), {hash(text) for text in own.to_pylist()}
    return found.filter(pa.array([hash(text) not in known for text in found["text"].to_pylist()]))


def opened(tokenizer: Path, text: Path, paths: Sequence[str], segments: int) -> Bench:
    """The model, both tokenizers, vectors and segments."""
    model, target = open_model(MODEL), tokenizer.read_bytes()
    pair = methods.pair_of(model.tokenizer_json, target, special_ids(model.config))
    own = pq.read_table(text, columns=["text"])["text"]
    fold, context = HeldOutSegments(segments=segments), Context(1, {})
    found: Any = fold.finish(fold.bind(context)(held_out(paths, own)), context)[SEGMENTS]
    texts = found["text"].to_pylist()
    old, new = encoded(texts, model.tokenizer_json), encoded(texts, target)
    some = [one.as_py()[:1200] for one in own[:2000:160]]
    calibrating = [ids[:400] for ids in encoded(some, target) if len(ids)]
    body = LanguageModel(MODEL, model, "bfloat16")
    return Bench(model, target, body, pair, vectors(text, target, pair), texts, old, new, calibrating)


def by_method(bench: Bench, choice: Choice, both: bool = False) -> Table:
    """The table of a method, as the step makes it."""
    vectors = bench.both if both else bench.vectors
    maker = Maker(choice, bench.model.tokenizer_json, bench.target, vectors)
    return maker.made(bench.pair).table(bench.model.input_table, "embed")


def rescaled(bench: Bench) -> Table:
    """Pieces' means brought to the mean length of copied rows."""
    table, new = by_method(bench, Choice("subword")), bench.is_new
    lengths = np.linalg.norm(table, axis=1)
    table[new] *= (lengths[~new].mean() / np.maximum(lengths[new], 1e-6))[:, None]
    return table


def signed_pursuit(bench: Bench) -> Table:
    """Orthogonal matching pursuit as it is published, with weights of either sign, over vectors at length 1."""
    table, unit = by_method(bench, Choice("subword")), bench.vectors.unit()
    shared = bench.pair.matches.text()
    anchors = shared[bench.vectors.frequent[shared]]
    rows = bench.model.input_table[bench.pair.matches.old[anchors]]
    new = np.flatnonzero(bench.is_new & bench.vectors.has)
    for part in np.array_split(new, max(len(new) // 500, 1)):
        chosen, weights = pursued(unit[part], unit[anchors])
        table[part] = np.einsum("tk,tkd->td", weights, rows[chosen])
    return table


def pursued(tokens: Table, atoms: Table) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """Of each token the places of `PURSUIT` atoms, and their weights by least squares."""
    rest = tokens
    chosen: NDArray[np.int64] = np.empty((len(tokens), 0), np.int64)
    weights: NDArray[np.floating[Any]] = np.empty((len(tokens), 0))
    for _ in range(PURSUIT):
        chosen = np.column_stack([chosen, np.abs(rest @ atoms.T).argmax(axis=1)])
        taken = atoms[chosen].astype(np.float64)
        square = taken @ taken.transpose(0, 2, 1) + 1e-9 * np.eye(chosen.shape[1])
        weights = np.linalg.solve(square, taken @ tokens[:, :, None].astype(np.float64))[:, :, 0]
        rest = (tokens - np.einsum("tk,tkd->td", weights, taken)).astype(np.float32)
    return chosen, weights


def rows_of(bench: Bench) -> dict[str, Callable[[], Table]]:
    """Every method by name: those of the step, then what must be refused."""

    def one(method: Method, temperature: float = 1.0, both: bool = False) -> Callable[[], Table]:
        return lambda: by_method(bench, Choice(method, temperature=temperature), both)

    def calibrated(made: Callable[[], Table]) -> Callable[[], Table]:
        return lambda: calibrated_table(bench, made())

    return {
        "subword": one("subword"),
        "half FOCUS, half subword": one("focus_subword"),
        "FOCUS": one("focus"),
        "half WECHSEL, half subword": one("wechsel_subword"),
        "WECHSEL": one("wechsel"),
        "half variant, half subword": one("variant_subword"),
        "OMP, clipped": one("omp"),
        "multivariate normal": one("normal"),
        "mean": one("mean"),
        "subword, rescaled": lambda: rescaled(bench),
        "OMP, signed": lambda: signed_pursuit(bench),
        "OMP, signed, calibrated": calibrated(lambda: signed_pursuit(bench)),
        "ridge": one("ridge"),
        "half FOCUS with strings, half subword": one("focus_subword", both=True, temperature=0.3),
        "FOCUS with strings": one("focus", both=True, temperature=0.3),
        "subword, calibrated": calibrated(one("subword")),
        "WECHSEL, calibrated": calibrated(one("wechsel")),
        "FOCUS, temperature 0.1": one("focus", temperature=0.1),
    }


def calibrated_table(bench: Bench, table: Table) -> Table:
    """A table whose made rows have the mean logits that their counts deserve."""
    reading = read(bench.body, Tables(table), bench.calibrating, [1] * len(bench.calibrating))
    return calibrate(Tables(table), bench.is_new, bench.vectors.counts, reading.mean_state)[0].reads


def judged(bench: Bench, name: str, made: Callable[[], Table]) -> dict[str, Any]:
    """One method as a line of the log: its reading, whether copies are exact, and whether it is refused."""
    begun = time.process_time()
    table = made()
    spent, copied = time.process_time() - begun, np.flatnonzero(bench.pair.matches.old >= 0)
    exact = np.array_equal(table[copied], bench.model.input_table[bench.pair.matches.old[copied]])
    reading = read(bench.body, Tables(table), bench.new, bench.num_bytes, bench.is_new)
    refused = False
    try:
        refuse_dominance(reading, 0.05, name)
    except DataError:
        refused = True
    about = {"copied": copied.size, "copies_exact": exact, "refused": refused, "made_in_cpu_s": round(spent, 1)}
    return {**about, **reading.about(0), "reading": plain(reading), "cpu_s": round(time.process_time() - begun, 1)}


def plain(reading: Reading) -> dict[str, Any]:
    """A reading as JSON has it."""
    return {one.name: np.asarray(getattr(reading, one.name)).tolist() for one in fields(reading)}


def from_plain(found: dict[str, Any]) -> Reading:
    """A reading as a log has it."""
    given: dict[str, Any] = {name: np.array(one) if isinstance(one, list) else one for name, one in found.items()}
    return Reading(**given)


def measured(bench: Bench, log: Path, cell: dict[str, Any], only: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The lines of all methods, those that the log lacks made now."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    found = {line["name"]: line for line in lines if line["cell"] == cell}

    def of_source() -> dict[str, Any]:
        reading = read(bench.body, Tables(bench.model.input_table), bench.old, bench.num_bytes)
        return {"copies_exact": True, "refused": False, **reading.about(0), "reading": plain(reading)}

    todo: dict[str, Callable[[], dict[str, Any]]] = {SOURCE: of_source}
    todo |= {name: partial(judged, bench, name, made) for name, made in rows_of(bench).items()}
    for name, make in todo.items():
        if name in found or (only and name not in (*only, SOURCE, BASE)):
            continue
        found[name] = {"name": name, "cell": cell, **make()}
        with log.open("a") as file:
            file.write(json.dumps(found[name]) + "\n")
        print(json.dumps({key: value for key, value in found[name].items() if key != "reading"}), flush=True)
    return found


def report(found: dict[str, dict[str, Any]]) -> None:
    """The table, least bits first, and the differences of neighbours and of `PAIRS`."""
    readings = {name: from_plain(line["reading"]) for name, line in found.items()}
    ranked = sorted(readings, key=lambda name: readings[name].bits_per_byte)

    def apart(one: str, other: str) -> str:
        about = difference(readings[one], readings[other], 0)
        low, high = about["interval"]
        return f"{about['bits_per_byte']:+.4f} [{low:+.4f}, {high:+.4f}]"

    for name in ranked:
        low, high = found[name]["interval"]
        print(
            f"| {name} | {readings[name].bits_per_byte:.4f} [{low:.3f}, {high:.3f}] | {apart(name, SOURCE)} "
            f"| {apart(name, BASE)} | {100 * readings[name].dominance:.1f} % | {'refused' * found[name]['refused']} |"
        )
    for one, other in [*pairwise(ranked), *(pair for pair in PAIRS if set(pair) <= set(readings))]:
        print(f"{one} - {other}: {apart(one, other)}")


def main() -> None:
    """Measure every method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("paths", nargs="+", help="parquet files with id, text, source and lang")
    parser.add_argument("--segments", type=int, default=24)
    parser.add_argument("--only", nargs="+", default=[], help="names of methods")
    parser.add_argument("--log", type=Path, default=WORK / "log.jsonl")
    given = parser.parse_args()
    bench = opened(given.tokenizer, given.text, given.paths, given.segments)
    cell = {"target": hashlib.sha256(bench.target).hexdigest()[:16], "bytes": bench.num_bytes}
    found = measured(bench, given.log, cell, given.only)
    report(found)
    if not all(one["copies_exact"] for one in found.values()):
        raise SystemExit("copied rows are not exact")


if __name__ == "__main__":
    main()
