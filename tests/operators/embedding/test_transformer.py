import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from operators.base import WARNINGS, Context, DataError, RunError
from operators.embedding import stages, transformer
from operators.embedding.encoders import EncoderChoice
from operators.embedding.pooling import unit
from operators.embedding.tokens import Tokeniser
from operators.embedding.transformer import DeviceMemoryError, TransformerEncoder
from tests.operators.embedding.tiny import write_tokenizer

TEXTS = ["the river " * count for count in (1, 9, 3, 0, 4, 30, 2, 2)] + [" ", "town by the river."]
WIDTH = 16


class Fake:
    """A device that holds `room` padded tokens; a chunk's vector is the mean of its tokens' rows in a table."""

    def __init__(self, room: int = 1 << 20, packed: bool = False) -> None:
        self.packed = packed
        self.room = room
        self.batches: list[list[int]] = []
        self.table = np.random.default_rng(2).normal(size=(80, WIDTH)).astype(np.float32)

    def __call__(self, tokens: NDArray[np.int32], lengths: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        if lengths.max() * lengths.size > self.room:
            msg = "CUDA out of memory"
            raise DeviceMemoryError(msg)
        self.batches.append(lengths.tolist())
        bounds = np.append(0, np.cumsum(lengths))
        rows = [self.table[tokens[s:e]].mean(axis=0) for s, e in pairwise(bounds)]
        return [unit(np.array(rows))]

    def fetch(self, found: Sequence[Any]) -> NDArray[np.float32]:
        return np.concatenate([part for parts in found for part in parts])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokens"))


def encoder(file: Path, device: Fake, budget: int = 64, chunks: int = 1, dimension: int = WIDTH) -> TransformerEncoder:
    about = {"token_budget": budget, "dimension": dimension}
    return TransformerEncoder(Tokeniser(file, 12, chunks), device, budget, dimension, about)


def columns(texts: Sequence[str]) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    halves = [list(texts[:3]), list(texts[3:])]
    ids = [f"d{(7 * number) % 100:02}" for number in range(len(texts))]
    return pa.chunked_array(halves, pa.large_string()), pa.chunked_array([ids])


def test_vectors_do_not_depend_on_batches_windows_or_padding(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoder(file, Fake(), 1 << 20).embed(*columns(TEXTS))
    for budget, rows, packed in ((1, 100, False), (30, 3, False), (30, 1, True)):
        monkeypatch.setattr(transformer, "WINDOW_ROWS", rows)
        found = encoder(file, Fake(packed=packed), budget).embed(*columns(TEXTS))
        assert np.array_equal(found.vectors, whole.vectors)
        assert found.tokens.tolist() == whole.tokens.tolist() == [2, 10, 6, 0, 8, 10, 4, 4, 0, 5]
        assert found.is_cut.tolist() == [number in (1, 5) for number in range(10)]
    lengths = np.linalg.norm(whole.vectors, axis=1)
    assert [number for number in range(10) if lengths[number] == 0] == [3, 8]
    assert np.delete(lengths, [3, 8]) == pytest.approx(1)


def test_the_longest_go_first_and_no_batch_exceeds_the_budget(file: Path) -> None:
    device = Fake()
    encoder(file, device, 24).embed(*columns(TEXTS))
    assert device.batches == [[12, 12], [10, 8], [7, 6, 6], [4]]


def test_chunks_come_back_to_their_document(file: Path) -> None:
    text, device = " ".join("abcdefghijklmnopqrstuvwxyz"), Fake()
    found = encoder(file, device, chunks=2).embed(*columns([text, "the town"]))
    parts = encoder(file, Fake()).encode(*columns([" ".join("abcdefghij"), " ".join("qrstuvwxyz")]))
    assert found.vectors[0] == pytest.approx(unit(parts.sum(axis=0)[None])[0], abs=1e-6)
    assert (found.tokens.tolist(), found.is_cut.tolist()) == ([20, 2], [True, False])


def test_fewer_dimensions_are_at_unit_length_again(file: Path) -> None:
    full = encoder(file, Fake()).encode(*columns(TEXTS))
    assert encoder(file, Fake(), dimension=4).encode(*columns(TEXTS)) == pytest.approx(unit(full[:, :4]), abs=1e-6)


def test_without_memory_the_budget_is_halved_and_the_run_goes_on_and_says_so(file: Path) -> None:
    device = Fake(room=20)
    tight = encoder(file, device, 64)
    found = tight.embed(*columns(TEXTS))
    assert np.array_equal(found.vectors, encoder(file, Fake(), 64).encode(*columns(TEXTS)))
    assert found.halvings == 2
    assert max(max(batch) * len(batch) for batch in device.batches) <= 20
    again = tight.embed(*columns(TEXTS))  # the smaller budget stays
    assert again.halvings == 2

    counts = stages._SCHEMA.empty_table()
    row = pa.table([[json.dumps(tight.describe())], [10], [2], [2], [40], [1]], schema=counts.schema)
    outputs = stages.ModelFile(encoder="x", format="float16").finish(pa.concat_tables([row, row]), Context(0, {}))
    [said] = json.loads(bytes(outputs[WARNINGS]))
    assert "no memory for batches of 64 tokens in 2 of the shards" in said
    assert json.loads(bytes(outputs["model.json"]))["documents"] == 20


def test_a_chunk_that_never_fits_fails_the_run(file: Path) -> None:
    with pytest.raises(RunError, match=r"a single chunk of 12 tokens .CUDA out of memory.*smaller max_tokens"):
        encoder(file, Fake(room=8)).encode(*columns(TEXTS))


def test_a_vector_that_is_not_finite_names_its_document(file: Path) -> None:
    device = Fake()
    device.table[6] = np.nan  # "town"
    with pytest.raises(DataError, match="not finite of document 'd63'"):
        encoder(file, device).encode(*columns(TEXTS))


def test_no_documents_have_no_vectors(file: Path) -> None:
    found = encoder(file, Fake()).embed(pa.chunked_array([], pa.large_string()), pa.chunked_array([], pa.string()))
    assert found.vectors.shape == (0, WIDTH)
    blank = encoder(file, Fake()).embed(*columns([" ", ""]))
    assert not blank.vectors.any()


def test_a_choice_has_defaults() -> None:
    assert EncoderChoice(encoder="x").model_dump()["chunks"] == 1
