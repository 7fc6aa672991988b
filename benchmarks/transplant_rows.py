"""What benchmarks.transplant compares: a model with another tokenizer, and rows for its new tokens by every method.

What no step offers is made here: matching pursuit with signed weights, and rows brought to the mean length.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.held_out_rows import MODEL, vectors
from operators.base import Context
from operators.embedding.encoders import EncoderChoice
from operators.embedding.makers import open_encoder
from operators.embedding.static_files import parse, read_folder
from operators.transplant import methods
from operators.transplant.auxiliary import Auxiliary, joined, of_donor, of_strings
from operators.transplant.bits_per_byte import Ids, Tables, read
from operators.transplant.building import special_ids
from operators.transplant.calibration import calibrate
from operators.transplant.choice import Choice, Method
from operators.transplant.healing import backward, batches, heal
from operators.transplant.language_model import LanguageModel, one_thread
from operators.transplant.making import Maker
from operators.transplant.model_files import EMBED, Model, open_model
from operators.transplant.rules import marked, new_rows
from operators.transplant.segments import SEGMENTS, HeldOutSegments, encoded, segment
from operators.transplant.trial import Trial
from operators.transplant.vocabularies import read_forms

STRINGS: Final = "data/models/all-MiniLM-L6-v2"
HELD_OUT: Final = ("postgresql-doc", "rust-doc", "mediawiki", "debian-books", "harden-doc")
WORK: Final = Path("build/transplant")
PURSUIT: Final = 8
"""Atoms of the signed pursuit (auxiliary vectors of 100 numbers)."""
HEALING: Final = 512
"""Documents whose first 1,000 bytes rows are healed by."""

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
    old: list[Ids]
    new: list[Ids]
    calibrating: list[Ids]
    """Some of the text that vectors are trained on: nothing is judged by it."""
    healing: list[Ids]
    """More of that text, as the step has it."""

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


def asking(about: str | None) -> argparse.ArgumentParser:
    """What a benchmark of a transplant is told on the command line: the arguments of `opened`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("paths", nargs="+", help="parquet files with id, text, source and lang")
    parser.add_argument("--segments", type=int, default=24)
    return parser


def held_out(paths: Sequence[str], own: pa.ChunkedArray) -> pa.Table:
    """English documents of held-out packages, kept for the next time, but for those of our own text."""
    kept = WORK / "held-out.parquet"
    if not kept.is_file():
        held = pc.is_in(pc.field("source"), pa.array(HELD_OUT)) & (pc.field("lang") == "en")
        WORK.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables([pq.read_table(path, filters=held) for path in paths]), kept)
    found, known = pq.read_table(kept, columns=["id", "text"]), {hash(text) for text in own.to_pylist()}
    return found.filter(pa.array([hash(text) not in known for text in found["text"].to_pylist()]))


def opened(tokenizer: Path, text: Path, paths: Sequence[str], segments: int, donor: str = "") -> Bench:
    """The model, both tokenizers, vectors and the segments that both tokenizers give back."""
    model, target = open_model(MODEL), tokenizer.read_bytes()
    pair = methods.pair_of(model.tokenizer_json, target, special_ids(model.config))
    own = pq.read_table(text, columns=["text"])["text"]
    fold, context = HeldOutSegments(segments=segments), Context(1, {})
    found = pa.table(fold.finish(fold.bind(context)(held_out(paths, own)), context)[SEGMENTS])
    texts = found["text"].to_pylist()
    old, new = encoded(texts, model.tokenizer_json), encoded(texts, target)
    kept = [place for place in range(len(texts)) if len(old[place]) and len(new[place])]
    texts, old, new = [texts[one] for one in kept], [old[one] for one in kept], [new[one] for one in kept]
    compared = of_static(donor, pair) if donor else vectors(text, target, pair)
    body = LanguageModel(MODEL, model, "bfloat16")
    calibrating = [ids[:400] for ids in cut([one.as_py()[:1200] for one in own[:2000:160]], target)]
    some = own[:: max(len(own) // HEALING, 1)][:HEALING].to_pylist()
    healing = cut([segment(one, 0, Trial().segment_bytes) for one in some], target)
    return Bench(model, target, body, pair, compared, texts, old, new, calibrating, healing)


def cut(texts: Sequence[str], tokenizer_json: bytes) -> list[Ids]:
    """The ids of those texts that the tokenizer gives back."""
    return [ids for ids in encoded(texts, tokenizer_json) if len(ids)]


def of_static(folder: str, pair: methods.Pair) -> Auxiliary:
    """The rows of a static model that owns the new tokens, in any form that `embed_documents` reads."""
    files = read_folder(Path(folder))
    forms = read_forms(files.tokenizer)
    model = parse(files, len(forms))
    return of_donor(forms, model.table[model.rows], pair.target)


def by_method(bench: Bench, choice: Choice, both: bool = False) -> Table:
    """The table of a method, as the step makes it."""
    vectors = bench.both if both else bench.vectors
    maker = Maker(choice, bench.model.tokenizer_json, bench.target, vectors)
    return maker.made(bench.pair).table(bench.model.input_table, EMBED)


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


def pursued(tokens: Table, atoms: Table) -> tuple[Ids, NDArray[np.float64]]:
    """Of each token the places of `PURSUIT` atoms, and their weights by least squares."""
    rest = tokens
    chosen: Ids = np.empty((len(tokens), 0), np.int64)
    weights: NDArray[np.float64] = np.empty((len(tokens), 0))
    for _ in range(PURSUIT):
        chosen = np.column_stack([chosen, np.abs(rest @ atoms.T).argmax(axis=1)])
        taken = atoms[chosen].astype(np.float64)
        square = taken @ taken.transpose(0, 2, 1) + 1e-9 * np.eye(chosen.shape[1])
        weights = np.linalg.solve(square, taken @ tokens[:, :, None].astype(np.float64))[:, :, 0].astype(np.float64)
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


def healed(bench: Bench, before: Table, steps: int) -> tuple[Table, dict[str, Any]]:
    """A table whose made rows were trained, and what moved: `stray` counts rows that had to stay and did not."""
    tables, losses = heal(bench.body, Tables(before), bench.is_new, bench.healing, steps, Trial().heal_rate)
    moved = (tables.reads.view(np.uint32) != before.view(np.uint32)).any(axis=1)
    present = np.concatenate([ids.numpy() for batch in islice(batches(bench.healing), steps) for ids in batch])
    may_move = bench.is_new & marked(present, len(before))
    about = {"moved": int(moved.sum()), "may_move": int(may_move.sum()), "stray": int((moved & ~may_move).sum())}
    return tables.reads, {**about, "steps": steps, "first_loss": losses[0], "last_loss": losses[-1]}


def trained(bench: Bench, before: Table, steps: int) -> Table:
    """As `healed`, by Adam as it is: every made row moves at every step, in the batch or not."""
    import torch

    leaf = torch.from_numpy(before.copy()).requires_grad_()
    adam, copied = torch.optim.Adam([leaf], Trial().heal_rate), torch.from_numpy(~bench.is_new)
    with one_thread():
        for batch in islice(batches(bench.healing), steps):
            adam.zero_grad()
            backward(bench.body, [leaf], batch)
            if leaf.grad is not None:
                leaf.grad[copied] = 0
            adam.step()
    found: Table = leaf.detach().numpy()
    return found
