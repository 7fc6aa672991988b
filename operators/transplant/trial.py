"""New tables tried in the model itself: bits per byte beside the old vocabulary and the worst sensible one, and checks.

Three tables read the same held-out bytes: the old ones with the old tokenizer (nothing will be better), the new ones,
and the new ones with the mean of all old rows wherever a row was made (a method that is no better is not worth it).
Then they may be calibrated, and healed, and are read again after each. Where made rows win too many positions, the
tables are refused. All of it needs torch; where that is not installed the tables are made all the same, untried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from operators.base import DataError
from operators.embedding.devices import cpu_has_bfloat16
from operators.transplant import language_model
from operators.transplant.bits_per_byte import Flags, Ids, Reading, Tables, difference, read, refuse_dominance
from operators.transplant.calibration import calibrate
from operators.transplant.healing import heal
from operators.transplant.language_model import LanguageModel
from operators.transplant.model_files import Model
from operators.transplant.segments import encoded

UNTRIED: Final = "PyTorch and transformers are not installed: bits per byte and dominance were not measured"
UNREPAIRED: Final = "and the tables were not calibrated or healed"
SEEN: Final = (
    "the text that evaluate measures on is that of the step, and was trained on: figures flatter the tables; give "
    "evaluate a text, an input with role: reference"
)
_CALIBRATED_BY: Final = 16
"""Segments of the step's own text: some 4,000 tokens are enough for a mean state."""


class Trial(BaseModel):
    """How tables are tried in the model, and repaired. Needs torch; without it nothing here is done, and it says so.

    >>> Trial().segments
    60
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    text: str = Field(
        default="", description="input with role: reference to measure on; empty: the step's own documents, trained on"
    )
    segments: int = Field(default=60, ge=2, le=10_000, description="documents that a segment is taken of")
    segment_bytes: int = Field(default=1000, ge=100, le=20_000, description="bytes of a segment")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="float32", description="what the model computes in; auto: bfloat16 where the CPU really has it"
    )
    max_dominance: float = Field(
        default=0.05, ge=0, le=1, description="the step fails if made rows win over all copied ones at more positions"
    )
    calibrate: bool = Field(
        default=False, description="bring each made row's mean logit to what its frequency in the text deserves"
    )
    heal_steps: int = Field(default=0, ge=0, le=100_000, description="steps of training for the made rows; 0: none")
    heal_rate: float = Field(default=0.002, gt=0, le=1, description="learning rate of these steps")

    def computed_in(self) -> language_model.Dtype:
        """The number format."""
        if self.dtype != "auto":
            return self.dtype
        return "bfloat16" if cpu_has_bfloat16() else "float32"


@dataclass(frozen=True)
class Made:
    """What a method made."""

    tables: Tables
    is_new: Flags
    """Rows that are no copies."""
    tokenizer_json: bytes
    method: str
    mean_of: Flags
    """Old rows whose mean is the baseline."""


@dataclass(frozen=True)
class Texts:
    """What is read: segments to judge by, others to calibrate and heal by, and counts of the new ids in the corpus."""

    judged: Sequence[str]
    own: Sequence[str] = ()
    counts: NDArray[np.int64] | None = None
    """Needed to calibrate."""


def tried(path: str, model: Model, made: Made, texts: Texts, trial: Trial, seed: int) -> tuple[Tables, dict[str, Any]]:
    """The tables, repaired where that is asked for, and what is to be said of them.

    Raises DataError where made rows win too many positions, and RecipeError where the model cannot be run.
    """
    if not language_model.is_installed():
        asked = trial.calibrate or trial.heal_steps > 0
        return made.tables, {"measured": False, "why": f"{UNTRIED}, {UNREPAIRED}" if asked else UNTRIED}
    run = _Run(LanguageModel(path, model, trial.computed_in()), model, made, texts, seed)
    about: dict[str, Any] = {"measured": True, "dtype": trial.computed_in(), **run.about()}
    about["is_held_out"] = bool(trial.text)
    source, mean = run.source(), run.judge(run.mean())
    readings = {"source": source, "mean": mean, "made": run.judge(made.tables)}
    tables = made.tables
    if trial.calibrate:
        tables, about["calibration"] = run.calibrated(tables)
        readings["calibrated"] = run.judge(tables)
    if trial.heal_steps:
        tables, losses = heal(run.body, tables, made.is_new, run.own("heal_steps"), trial.heal_steps, trial.heal_rate)
        about["healing"] = {"steps": trial.heal_steps, "first_loss": losses[0], "last_loss": losses[-1]}
        readings["healed"] = run.judge(tables)
    last = list(readings.values())[-1]
    refuse_dominance(last, trial.max_dominance, made.method)
    about["readings"] = {name: reading.about(seed) for name, reading in readings.items()}
    about["above_source"] = {
        name: difference(reading, source, seed) for name, reading in readings.items() if name != "source"
    }
    about["below_mean"] = difference(mean, last, seed)
    return tables, about


class _Run:
    """The texts in both tokenizers, and what reads them."""

    def __init__(self, body: LanguageModel, model: Model, made: Made, texts: Texts, seed: int) -> None:
        self.body, self._model, self._made, self._seed = body, model, made, seed
        self._counts = texts.counts
        old = encoded(texts.judged, model.tokenizer_json)
        new = encoded(texts.judged, made.tokenizer_json)
        kept = [place for place in range(len(old)) if len(old[place]) and len(new[place])]
        if len(kept) < 2:
            msg = f"{len(kept)} of {len(old)} segments come back from both tokenizers as they were: nothing to measure"
            raise DataError(f"{msg}; expected text that both can write")
        self._lost = len(old) - len(kept)
        self._old, self._new = [old[place] for place in kept], [new[place] for place in kept]
        self._num_bytes = [len(texts.judged[place].encode()) for place in kept]
        self._own = [ids for ids in encoded(texts.own, made.tokenizer_json) if len(ids)]

    def about(self) -> dict[str, int]:
        """How much is read."""
        return {"segments": len(self._old), "bytes": sum(self._num_bytes), "segments_left_out": self._lost}

    def source(self) -> Reading:
        """The model as it was."""
        tables = Tables(self._model.input_table, self._model.output_table)
        return read(self.body, tables, self._old, self._num_bytes)

    def judge(self, tables: Tables) -> Reading:
        """The model with these tables."""
        return read(self.body, tables, self._new, self._num_bytes, self._made.is_new)

    def mean(self) -> Tables:
        """The tables with a mean wherever a row was made."""
        pairs = ((self._made.tables.reads, self._model.input_table), (self._made.tables.output, self._model.predicts))
        found = []
        for made, old in pairs:
            if made is not None:
                mean = old[: len(self._made.mean_of)][self._made.mean_of].mean(axis=0, dtype=np.float64)
                found.append(np.where(self._made.is_new[:, None], mean.astype(np.float32), made))
        return Tables(*found)

    def own(self, what: str) -> list[Ids]:
        """The step's own text, for a repair. Raises DataError where there is none."""
        if not self._own:
            msg = f"{what}: no text of the step comes back from the new tokenizer as it was: give the step documents, "
            raise DataError(f"{msg}or leave it out")
        return self._own

    def calibrated(self, tables: Tables) -> tuple[Tables, dict[str, Any]]:
        """The tables calibrated by the step's own text, and the numbers of it."""
        own = self.own("calibrate")[:_CALIBRATED_BY]
        assert self._counts is not None
        reading = read(self.body, tables, own, [1] * len(own), self._made.is_new)
        return calibrate(tables, self._made.is_new, self._counts, reading.mean_state)
