"""The encoder `static`: a document's vector is the weighted mean of its tokens' vectors, less what all documents share.

Tokens are found by `operators/text_tokens.py`, 9 to 15 times as fast as by `tokenizers` where the tokenizer is
byte-level BPE, and added up by `operators/kernels/static_vectors.py`. No Python object is made of a document, and its
vector is the same to the bit for every layout of shards, number of workers and executor.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.base import Artifacts, RecipeError, fingerprint
from operators.embedding import static_files
from operators.embedding.encoders import EncoderChoice
from operators.embedding.static_files import StaticFiles, StaticModel
from operators.embedding.transformer import Embedded
from operators.text_buffers import one_text_array
from operators.text_tokens import TextEncoder, text_encoder

Singles = NDArray[np.float32]

CHARACTERS: Final = 16
"""Of a text so many characters are read for each token of `max_tokens`, and no more."""

_AT_ONCE: Final = 16 << 20
"""Bytes of text whose tokens are held at a time, or one document."""


class StaticEncoder:
    """An `operators.embedding.encoders.Encoder` of token vectors."""

    def __init__(self, files: StaticFiles, max_tokens: int = 0, dimension: int = 0) -> None:
        self._tokens: TextEncoder = text_encoder(files.tokenizer, files.name)
        self._model: StaticModel = static_files.parse(files, self._tokens.num_ids)
        self._max_tokens = max_tokens
        self._digests = files.digests
        width = self._model.table.shape[1]
        if dimension > width:
            msg = f"dimension {dimension}: the static model {files.name!r} has {width} dimensions, and no more"
            raise RecipeError(msg)
        self.dimension = dimension or width

    def encode(self, texts: pa.ChunkedArray, ids: pa.ChunkedArray) -> Singles:
        """(rows, dimension), each row of unit length, or of zeros where a text has no token with a weight."""
        return self.embed(texts, ids).vectors

    def embed(self, texts: pa.ChunkedArray, ids: pa.ChunkedArray) -> Embedded:
        """Vectors, and of how many tokens each is; cut is a text that has more of them than `max_tokens`."""
        del ids
        whole = one_text_array(texts)
        sizes = np.cumsum(pc.binary_length(whole).to_numpy(zero_copy_only=False), dtype=np.int64)
        nothing = np.zeros(0, np.int64)
        found = [(np.zeros((0, self.dimension), np.float32), nothing, nothing.astype(bool))]
        start = 0
        while start < len(whole):
            before = int(sizes[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(sizes, before + _AT_ONCE, side="right")))
            found.append(self._some(whole.slice(start, stop - start)))
            start = stop
        vectors, tokens, is_cut = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return Embedded(vectors, tokens, is_cut, 0)

    def describe(self) -> dict[str, object]:
        """What it is, for `model.json`, which has the name by which the recipe calls it."""
        return {
            "form": self._model.form,
            "digest": fingerprint(self._digests),
            "digests": self._digests,
            "pooling": "mean",
            "dtype": "float32",
            "dimension": self.dimension,
            "max_tokens": self._max_tokens,
            "vocabulary": self._model.rows.size,
            "tokenised_by": self._tokens.name,
        }

    def _some(self, texts: pa.LargeStringArray) -> tuple[Singles, NDArray[np.int64], NDArray[np.bool_]]:
        from operators.kernels.static_vectors import pooled

        sizes = pc.binary_length(texts)
        if self._max_tokens:
            texts = pc.utf8_slice_codeunits(texts, 0, CHARACTERS * self._max_tokens)
        is_cut = pc.less(pc.binary_length(texts), sizes).to_numpy(zero_copy_only=False)
        tokens = self._tokens(texts)
        model = self._model
        most = self._max_tokens or 1 << 62
        how = (model.rows, model.weights, model.table, model.mean, model.component)
        counts = np.diff(tokens.starts)
        vectors = pooled(tokens.ids, tokens.starts, most, self.dimension, *how)
        return vectors, np.minimum(counts, most), is_cut | (counts > most)


class StaticModels:
    """Static models in folders, or that an earlier step left; see `operators.embedding.encoders.Maker`."""

    def digests(self, choice: EncoderChoice) -> Mapping[str, str]:
        """Of the weights and the tokenizer in a folder; none of what the run trains."""
        return {} if choice.step else static_files.read_folder(Path(choice.encoder)).digests

    def check(self, choice: EncoderChoice) -> None:
        """RecipeError where the model is not whole, or is asked for what only a transformer can do."""
        fields = EncoderChoice.model_fields
        for name in ("chunks", "prompt", "token_budget", "device", "backend"):
            given = getattr(choice, name)
            if given != fields[name].default and (name, given) != ("device", "cpu"):  # where it runs anyway
                msg = f"{name}: {given!r} means nothing to a static encoder: leave it out"
                raise RecipeError(msg)
        fit = {"pooling": ("auto", "mean"), "dtype": ("auto", "float32")}
        if wrong := [name for name, does in fit.items() if getattr(choice, name) not in does]:
            said = ", ".join(f"{name}: {getattr(choice, name)}" for name in wrong)
            rest = "leave it out" if len(wrong) == 1 else "leave both out"
            raise RecipeError(f"{said}: a static encoder takes means in float32: {rest}")
        if not choice.step:
            self.open(choice, {})

    def settled(self, choice: EncoderChoice) -> dict[str, object]:
        """Nothing of it depends on the machine."""
        return {"pooling": "mean", "dtype": "float32", "device": "cpu"}

    def open(self, choice: EncoderChoice, artifacts: Artifacts) -> StaticEncoder:
        """The encoder. Raises RecipeError where it cannot be, or is asked for more dimensions than it has."""
        if choice.step:
            files = static_files.read_artifact(artifacts[choice.step], choice.step)
        else:
            files = static_files.read_folder(Path(choice.encoder))
        return StaticEncoder(files, choice.max_tokens, choice.dimension)
