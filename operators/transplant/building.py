"""The last stage of `init_embeddings`: from a model, a tokenizer and collected text to new tables and what they are.

It runs in one place. Memory: both models' tables as float32, the text, and 800 bytes for each new token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators.base import WARNINGS, BatchFn, Context, Outputs
from operators.chosen_tokenizer import Chosen
from operators.embedding.encoders import EncoderChoice
from operators.groups import joined
from operators.labelled_documents import DOCUMENTS, DRAWN
from operators.ngram_sources import refuse_changed
from operators.tokenizer_files import tokenizer_config
from operators.transplant.bits_per_byte import Tables
from operators.transplant.choice import Choice, Method, PieceShare
from operators.transplant.trial import SEEN, Trial
from operators.transplant.weights import MEAN, ROUTES, Floats, Routes, Weights

if TYPE_CHECKING:
    from operators.kernels.token_vectors import Settings
    from operators.transplant.auxiliary import Auxiliary
    from operators.transplant.making import Maker
    from operators.transplant.methods import Pair
    from operators.transplant.model_files import Model
    from operators.transplant.vocabularies import TokenForms

JUDGED: Final = "judged"
"""The stage that leaves the segments that the model is tried on."""
BY_DIGEST: Final = ("model", "donor", "pairs", "rows", "strings")
"""Fields that name files: their digests decide, and not where they lie."""
_SHOWN: Final = 8
"""Tokens with the mean row that the report names."""
_OWN: Final = 512
"""Segments of the step's own text at most, to calibrate and heal by."""
_SETTINGS: Final = {
    "method", "vectors", "dim", "epochs", "min_count", "temperature", "share", "pieces", "held_out", "max_documents"
}  # fmt: skip


class Building(Chosen):
    """Make W, both tables and the report."""

    model: str
    model_sha256: str
    donor: str = ""
    donor_sha256: str = ""
    method: Method
    vectors: Literal["text", "donor", ""]
    """Where auxiliary vectors come from; "" where the method looks at none."""
    dim: int
    epochs: int
    min_count: int
    temperature: float
    share: float
    pieces: PieceShare
    max_documents: int
    held_out: int
    pairs: str = ""
    pairs_sha256: str = ""
    rows: str = ""
    strings: str = ""
    strings_sha256: str = ""
    rows_sha256: str = ""
    old_text: str = ""
    evaluate: Trial | None = None
    is_tried: bool = False
    """Whether the model can be run here: a report that says it could not is none for where it can."""

    revision: ClassVar[int] = 3  # a run warns where the tables could not be tried
    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = Chosen.inert | frozenset(BY_DIGEST)

    @override
    def source(self) -> str:
        return f"stage:draw/{DRAWN}"

    @override
    def uses(self) -> tuple[str, ...]:
        more = (("old_documents",) if self.old_text else ()) + ((JUDGED,) if self.evaluate else ())
        return (*super().uses(), "documents", *more)

    @override
    def bind(self, context: Context) -> BatchFn:
        return self.merge

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.transplant.methods import pair_of
        from operators.transplant.model_files import EMBED, LM_HEAD, open_model, to_safetensors

        model, target_json = open_model(self.model, self.model_sha256), self.content(context)
        pair = pair_of(model.tokenizer_json, target_json, special_ids(model.config))
        texts = joined(context.artifacts["documents"].table(DOCUMENTS)["text"])
        maker = self._maker(pair, model.tokenizer_json, target_json, texts, context)
        made = maker.made(pair)
        output = None if model.output_table is None else made.table(model.output_table, LM_HEAD)
        tables = Tables(made.table(model.input_table, EMBED), output)
        trial: dict[str, dict[str, Any]] = {}
        if self.evaluate:
            tables, trial["trial"] = self._tried(model, made.weights, tables, (maker, texts), context)
        about = {
            "model_sha256": model.digest,
            "tokenizer_sha256": self.digest(context),
            "settings": {"seed": context.seed, **self.model_dump(mode="json", include=_SETTINGS)},
            "ids": {"old": len(pair.source), "new": len(pair.target)},
            "width": int(tables.reads.shape[1]),
            "is_tied": output is None,
            "routes": made.weights.routes(),
            "mean_tokens": _of_mean(made.weights.route, pair.target),
            "mean_norms": _norms(made.weights.route, tables.reads),
            "text": {"documents": len(texts), "bytes": int(pc.sum(pc.binary_length(texts)).as_py() or 0)},
            "held_out": self._held_out(pair, model.input_table, maker),
            **trial,
        }
        return {
            "embeddings.safetensors": to_safetensors(tables.reads, tables.output, {"model_sha256": model.digest}),
            "weights.npz": made.weights.content(),
            "tokenizer.json": target_json,
            "tokenizer_config.json": tokenizer_config(),
            "init_report.json": json.dumps(about, indent=1, sort_keys=True).encode() + b"\n",
            **warnings(trial.get("trial", {})),
        }

    def _tried(
        self, model: Model, weights: Weights, tables: Tables, by: tuple[Maker, pa.LargeStringArray], context: Context
    ) -> tuple[Tables, dict[str, Any]]:
        """The tables after they were tried and repaired; `by` is what made them, and the step's text."""
        from operators.transplant.rules import marked, new_rows
        from operators.transplant.segments import SEGMENTS, segment
        from operators.transplant.trial import Made, Texts, tried

        trial, (maker, texts) = self.evaluate or Trial(), by
        judged = context.artifacts[JUDGED].table(SEGMENTS)["text"].to_pylist()
        own = [segment(text, 0, trial.segment_bytes) for text in texts[:_OWN].to_pylist()]
        counts = self._counts(maker, texts, weights.shape[0]) if trial.calibrate else None
        is_new = marked(new_rows(weights), weights.shape[0])
        made = Made(tables, is_new, maker.target_json, self.method, weights.mean_of)
        return tried(self.model, model, made, Texts(judged, own, counts), trial, context.seed)

    def _counts(self, maker: Maker, texts: pa.LargeStringArray, ids: int) -> NDArray[np.int64]:
        """How often each new token stands in the step's text: vectors that were trained on it know."""
        from operators.text_tokens import text_encoder

        if maker.auxiliary is not None and self.vectors == "text":
            return maker.auxiliary.counts
        return np.bincount(text_encoder(maker.target_json, "target")(texts).ids, minlength=ids)

    def _maker(
        self, pair: Pair, source_json: bytes, target_json: bytes, texts: pa.LargeStringArray, context: Context
    ) -> Maker:
        from operators.embedding.makers import open_encoder
        from operators.transplant.auxiliary import joined as joined_vectors
        from operators.transplant.auxiliary import of_strings, trained
        from operators.transplant.imported import read_pairs
        from operators.transplant.making import Maker

        settings = self._settings(context.seed)
        auxiliary = old = None
        if self.vectors == "donor":
            auxiliary = self._of_donor(pair)
        elif self.vectors == "text":
            auxiliary = trained(texts, target_json, pair.target, settings, self.min_count)
        if self.strings and auxiliary is not None:
            auxiliary = joined_vectors(auxiliary, of_strings(open_encoder(of_tokens(self.strings)), pair.target))
        if self.old_text:
            own = joined(context.artifacts["old_documents"].table(DOCUMENTS)["text"])
            old = trained(own, source_json, pair.source, settings, self.min_count)
        pairs = read_pairs(self.pairs, sha256=self.pairs_sha256) if self.pairs else None
        if self.rows:
            refuse_changed(self.rows, self.rows_sha256, "rows")
        choice = Choice(self.method, self.pieces, self.share, self.temperature, context.seed)
        return Maker(choice, source_json, target_json, auxiliary, old, pairs, self.rows)

    def _settings(self, seed: int) -> Settings:
        from operators.kernels.token_vectors import Settings

        return Settings(self.dim, self.epochs, seed=seed)

    def _of_donor(self, pair: Pair) -> Auxiliary:
        from operators.transplant.auxiliary import of_donor
        from operators.transplant.model_files import open_model
        from operators.transplant.vocabularies import read_forms

        donor = open_model(self.donor, self.donor_sha256)
        return of_donor(read_forms(donor.tokenizer_json), donor.input_table, pair.target)

    def _held_out(self, pair: Pair, table: Floats, maker: Maker) -> dict[str, Any]:
        """The built-in test, of the table that reads."""
        from operators.transplant.held_out import LEAST, drawn, measured, summary
        from operators.transplant.methods import held_out
        from operators.transplant.model_files import EMBED

        seed = maker.choice.seed
        tokens = drawn(pair, None if maker.auxiliary is None else maker.auxiliary.frequent, seed, self.held_out)
        if not tokens.size:
            return {"tokens": 0, "why": f"fewer than {LEAST} shared tokens could be held out"}
        made = maker.made(held_out(pair, maker.source_json, tokens)).table(table, EMBED)[tokens]
        return {"tokens": int(tokens.size), **summary(pair, tokens, measured(pair, tokens, made, table), seed)}


def of_tokens(encoder: str) -> EncoderChoice:
    """How an encoder is used on tokens' own text: in float32, so that any machine sees the same near tokens."""
    return EncoderChoice(encoder=encoder, dtype="float32", device="cpu")


def special_ids(config: Mapping[str, Any]) -> dict[str, int]:
    """The ids of special tokens by role, as a model's configuration names them."""
    found = {role: config.get(f"{role}_token_id") for role in ("bos", "eos", "pad", "unk")}
    return {role: number for role, number in found.items() if type(number) is int and number >= 0}


def warnings(trial: Mapping[str, Any]) -> dict[str, bytes]:
    """What a run says of a trial that could not be made, or was made on text that was trained on."""
    if trial.get("measured") is False:
        said = [f"the tables were not tried in the model: {trial['why']}"]
    else:
        said = [SEEN] if trial.get("is_held_out") is False else []
    return {WARNINGS: json.dumps(said).encode()} if said else {}


def _of_mean(route: Routes, target: TokenForms) -> list[str]:
    """The first tokens that got the mean row, as text."""
    first = np.flatnonzero(route == MEAN)[:_SHOWN].tolist()
    return [target.specials.get(number) or target.forms[number].decode(errors="replace") for number in first]


def _norms(route: Routes, table: Floats) -> dict[str, float]:
    """The mean length of the rows of each route."""
    lengths = np.linalg.norm(table.astype(np.float64), axis=1)
    return {ROUTES[number]: round(float(lengths[route == number].mean()), 6) for number in np.unique(route).tolist()}
