"""What makes vectors of documents: one small interface, what a step says of it, and how one comes by it.

`operators/embedding/makers.py` tells which maker a name means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from operators.base import Artifacts

Singles = NDArray[np.float32]

STATIC: Final = "static"
"""The encoder that a step of the run trains on its own corpus."""


class Encoder(Protocol):
    """Makes a vector of each text."""

    dimension: int

    def encode(self, texts: pa.ChunkedArray, ids: pa.ChunkedArray) -> Singles:
        """(rows, dimension), each row of unit length, or of zeros where a text has no token.

        `ids` are the documents' own; errors name them. How texts are batched depends on nothing but texts and ids.
        """

    def describe(self) -> dict[str, object]:
        """What it is, as plain JSON for `model.json`: encoder, digest (sha256), pooling, dtype, dimension, ..."""


class EncoderChoice(BaseModel):
    """Which encoder, and how it is used: parameters of a step.

    >>> EncoderChoice(encoder="data/models/all-MiniLM-L6-v2").chunks
    1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    encoder: str = Field(
        min_length=1, description="`static`, a folder, a name in the local hub cache, or `package.module:function`"
    )
    step: str = Field(default="", description="with encoder static: an earlier train_static_vectors step")
    pooling: Literal["auto", "mean", "cls", "last", "weighted"] = Field(
        default="auto", description="how token vectors become one; auto: as the checkpoint's 1_Pooling says"
    )
    max_tokens: int = Field(
        default=0, ge=0, le=1 << 20, description="tokens of a chunk, special ones counted; 0: the checkpoint's own cap"
    )
    chunks: int = Field(
        default=1, ge=1, le=64, description="chunks of a long document, spread over it; their mean is its vector"
    )
    prompt: str = Field(default="", description="put before every document; empty: the checkpoint's default, if any")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="what the model computes in; auto: bfloat16 where the device really has it"
    )
    dimension: int = Field(
        default=0, ge=0, le=1 << 16, description="only so many first components, at unit length again; 0: all"
    )
    token_budget: int = Field(
        default=0, ge=0, le=1 << 24, description="padded tokens of a batch; 0: 2048 on a CPU, 32768 on a GPU"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="cuda asks for one GPU a worker")
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto", description="what runs a transformer; auto: torch"
    )


class Maker(Protocol):
    """One way to come by an encoder: what is known before a run, and how a worker opens it."""

    def digests(self, choice: EncoderChoice) -> Mapping[str, str]:
        """The sha256 of each file that decides the vectors: weights, tokenizer, ...; none of what a run trains."""

    def check(self, choice: EncoderChoice) -> None:
        """RecipeError, before any data is read, where the encoder is not whole or cannot do what is asked of it."""

    def settled(self, choice: EncoderChoice) -> dict[str, object]:
        """Parameters whose `auto` or 0 means something on this machine that changes vectors, as what they mean."""

    def open(self, choice: EncoderChoice, artifacts: Artifacts) -> Encoder:
        """The encoder, loaded; `artifacts` has what the step of the choice left, if it names one."""
