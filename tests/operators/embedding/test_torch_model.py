"""The real encoder, all-MiniLM-L6-v2, against sentence-transformers; and small random models of other kinds."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from operators.embedding import devices, forms, torch_model
from operators.embedding.checkpoints import read_checkpoint
from operators.embedding.encoders import EncoderChoice
from operators.embedding.makers import open_encoder
from operators.embedding.pooling import POOLINGS, pooled, unit
from operators.embedding.torch_model import Tensor, TorchModel, attend_one_by_one
from operators.embedding.transformer import DeviceMemoryError, TransformerEncoder
from pipeline.executors.local import LocalExecutor
from tests.operators.embedding import tiny
from tests.pipeline.engine import Mill, flawed_texts

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).resolve().parents[3]
MINILM = ROOT / "data/models/all-MiniLM-L6-v2"
TEXTS = [*flawed_texts(), "Short.", "Zwei kurze Sätze. Auch auf Deutsch.", "混合 text 😀 " * 300]


@pytest.fixture(scope="module")
def expected() -> NDArray[np.float32]:
    from sentence_transformers import SentenceTransformer

    found: NDArray[np.float32] = SentenceTransformer(str(MINILM), device="cpu").encode(TEXTS, normalize_embeddings=True)
    return found


def opened(encoder: Path = MINILM, **how: object) -> TransformerEncoder:
    found = open_encoder(EncoderChoice.model_validate({"encoder": str(encoder), "dtype": "float32", **how}))
    assert isinstance(found, TransformerEncoder)
    return found


def vectors(encoder: TransformerEncoder, texts: Sequence[str] = TEXTS) -> NDArray[np.float32]:
    ids = pa.chunked_array([[f"d{number:03}" for number in range(len(texts))]])
    return encoder.encode(pa.chunked_array([pa.array(texts, pa.large_string())]), ids)


@pytest.mark.parametrize("how", [{}, {"backend": "openvino"}, {"token_budget": 300}], ids=str)
def test_vectors_are_those_of_sentence_transformers(how: dict[str, Any], expected: NDArray[np.float32]) -> None:
    found = vectors(opened(**how))
    assert np.abs(found - expected).max() < 1e-5  # what is asked for is 1e-3


@pytest.mark.skipif(not devices.cpu_has_bfloat16(), reason="this CPU has no bfloat16")
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_vectors_in_bfloat16_are_within_a_cosine_of_0_9999(backend: str, expected: NDArray[np.float32]) -> None:
    found = vectors(opened(backend=backend, dtype="bfloat16"))
    cosine = (found * expected).sum(axis=1)
    assert cosine.mean() > 0.9999
    assert cosine.min() > 0.9998


def test_truncation_is_that_of_sentence_transformers_at_any_length() -> None:
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(MINILM), device="cpu")
    for cap in (7, 100, 512):
        peer.max_seq_length = cap
        theirs = peer.encode(TEXTS, normalize_embeddings=True)
        assert np.abs(vectors(opened(max_tokens=cap)) - theirs).max() < 1e-5


def test_chunks_are_embedded_as_texts_of_their_own() -> None:
    text = "the river by the town " * 120  # 600 tokens
    found = vectors(opened(chunks=4), [text])[0]
    words = text.split()
    parts = [" ".join(words[start : start + 254]) for start in (0, 254, 508)]
    alone = vectors(opened(), parts)
    assert found == pytest.approx(unit((alone * np.array([[254], [254], [92]])).sum(axis=0)[None])[0], abs=1e-5)
    assert vectors(opened(dimension=64), [text])[0] == pytest.approx(
        unit(vectors(opened(), [text])[:, :64])[0], abs=1e-6
    )


def test_opened_twice_it_gives_the_same_bytes_and_says_what_it_is() -> None:
    first, second = opened(), opened()
    assert np.array_equal(vectors(first), vectors(second))
    about = first.describe()
    assert about == second.describe()
    assert {name: about[name] for name in ("pooling", "dtype", "dimension", "max_tokens", "device")} == {
        "pooling": "mean", "dtype": "float32", "dimension": 384, "max_tokens": 256, "device": "cpu"
    }  # fmt: skip
    assert len(str(about["digest"])) == 64
    assert json.dumps(about)


def test_vectors_open_in_sentence_transformers_without_a_copy() -> None:
    import torch
    from sentence_transformers import util

    rng = np.random.default_rng(8)
    column = forms.written(unit(rng.normal(size=(20, 64)).astype(np.float32)), "float16")
    array = column.flatten().to_numpy(zero_copy_only=True).reshape(20, -1)
    tensor = torch.from_numpy(array)
    assert tensor.data_ptr() == column.flatten().buffers()[1].address
    found = util.semantic_search(tensor[3:4].float(), tensor.float(), top_k=1)
    assert found[0][0]["corpus_id"] == 3


# --- small random models ---


@pytest.fixture(scope="module", params=["bert", "roberta", "llama"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model of two layers."""
    import torch
    import transformers

    folder = tiny.write_checkpoint(tmp_path_factory.mktemp("small") / request.param)
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")
    padding = 1 if request.param == "roberta" else 0
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(
        request.param, max_position_embeddings=40, pad_token_id=padding, **{name: tiny.CONFIG[name] for name in names}
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


def ragged() -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    lengths = np.array([20, 20, 13, 13, 4, 1])
    return np.random.default_rng(4).integers(4, 60, int(lengths.sum())).astype(np.int32), lengths


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_on_the_device_is_that_of_the_slow_reference(small: Path, pooling: str) -> None:
    import torch

    checkpoint, (tokens, lengths) = read_checkpoint(str(small)), ragged()
    model = TorchModel(checkpoint, pooling, "float32")
    found = model.fetch([model(tokens, lengths)])
    bounds = np.append(0, np.cumsum(lengths))
    plain = torch_model.load(checkpoint, "float32", "eager")
    for row, (start, end) in enumerate(pairwise(bounds)):
        with torch.inference_mode():
            hidden = plain(torch.from_numpy(tokens[start:end].astype(np.int64))[None]).last_hidden_state.numpy()
        assert found[row] == pytest.approx(pooled(hidden, np.array([end - start]), pooling)[0], abs=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_packed_chunks_have_the_vectors_of_padded_ones(small: Path, pooling: str) -> None:
    checkpoint, (tokens, lengths) = read_checkpoint(str(small)), ragged()
    padded = TorchModel(checkpoint, pooling, "float32")
    packed = TorchModel(checkpoint, pooling, "float32", varlen=attend_one_by_one)
    assert (padded.packed, packed.packed) == (False, True)
    expected = padded.fetch([padded(tokens, lengths)])
    assert packed.fetch([packed(tokens, lengths)]) == pytest.approx(expected, abs=1e-5)


def test_weights_of_another_model_are_refused(small: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.numpy import load_file, save_file

    from operators.base import RecipeError

    folder = tmp_path / "half"
    shutil.copytree(small, folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(dict(sorted(tensors.items())[:-4]), folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(RecipeError, match="its weights lack"):
        TorchModel(read_checkpoint(str(folder)), "mean", "float32")


# --- a GPU that is none ---


class FakeCuda(torch_model.Device):
    """Called cuda, it is this CPU, with memory for so many packed tokens; it counts what comes and goes."""

    room = 1 << 20
    taken = 0
    emptied = 0

    def __init__(self, name: str, threads: int = 1) -> None:
        assert name == "cuda"
        super().__init__("cpu", threads)

    def take(self, found: Tensor) -> NDArray[np.float32]:
        FakeCuda.taken += 1
        return super().take(found)

    def empty(self) -> None:
        FakeCuda.emptied += 1

    def varlen(self) -> torch_model.VarlenAttention:
        def attend(query: Tensor, *more: Tensor, **how: Tensor) -> Tensor:
            if query.shape[0] > FakeCuda.room:
                msg = "CUDA out of memory. Tried to allocate 20.00 MiB."
                raise RuntimeError(msg)
            return attend_one_by_one(query, *more, **how)

        return attend


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> type[FakeCuda]:
    monkeypatch.setattr(devices, "cuda_capabilities", lambda: ((9, 0),))
    monkeypatch.setattr(torch_model, "Device", FakeCuda)
    FakeCuda.room, FakeCuda.taken, FakeCuda.emptied = 1 << 20, 0, 0
    return FakeCuda


def test_on_a_gpu_nothing_is_padded_and_vectors_are_copied_once(
    cuda: type[FakeCuda], expected: NDArray[np.float32]
) -> None:
    encoder = opened(dtype="auto")
    about = encoder.describe()
    assert [about[name] for name in ("device", "dtype", "token_budget")] == ["cuda", "bfloat16", 32768]
    found = vectors(encoder)
    assert (found * expected).sum(axis=1).min() > 0.9998
    assert encoder.padded_tokens == encoder.tokens
    assert cuda.taken == 1


def test_a_gpu_without_memory_is_given_smaller_batches(cuda: type[FakeCuda], expected: NDArray[np.float32]) -> None:
    cuda.room = 1000
    encoder = opened(dtype="bfloat16", token_budget=4096)
    ids = pa.chunked_array([[f"d{number}" for number in range(len(TEXTS))]])
    found = encoder.embed(pa.chunked_array([pa.array(TEXTS, pa.large_string())]), ids)
    assert found.halvings == cuda.emptied == 3
    assert (found.vectors * expected).sum(axis=1).min() > 0.9998


def test_memory_that_runs_out_on_a_cpu_is_told_from_other_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (tokens, lengths) = TorchModel(read_checkpoint(str(MINILM)), "mean", "float32"), ragged()
    for said, kind in (("DefaultCPUAllocator: can't allocate memory", DeviceMemoryError), ("bad shape", RuntimeError)):

        def fails(*_: object, said: str = said) -> None:
            raise RuntimeError(said)

        monkeypatch.setattr(model, "_padded", fails)
        with pytest.raises(kind, match=said):
            model(tokens, lengths)


# --- in a run ---


def artifact(version: Path) -> NDArray[np.float16]:
    tables = [pq.read_table(path) for path in sorted((version / "artifacts/embed_documents").glob("part-*.parquet"))]
    table = pa.concat_tables(tables).sort_by("id")
    found: NDArray[np.float16] = table["embedding"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return found


STEP = {"kind": "embed_documents", "encoder": str(MINILM)}


@pytest.fixture
def flawed(tmp_path: Path) -> Mill:
    mill = Mill(tmp_path)
    for number in range(3):
        mill.jsonl(f"part{number}", ({"text": text} for text in flawed_texts()[number::3]))
    return mill


def test_bytes_do_not_depend_on_workers_and_vectors_hardly_on_shards(flawed: Mill) -> None:
    one = flawed.run([STEP], shard_mb=0.008)
    two = LocalExecutor(2)
    try:
        other = flawed.run([STEP], out="out2", work="work2", executor=two, shard_mb=0.008)
    finally:
        two.close()
    assert one.bytes == other.bytes
    large = flawed.run([STEP], out="out3", work="work3", shard_mb=1)
    first, again = (unit(artifact(ran.version).astype(np.float32)) for ran in (one, large))
    assert (first * again).sum(axis=1).min() >= 0.9999


def test_actors_on_ray_give_the_bytes_of_this_process(flawed: Mill) -> None:
    from pipeline.executors.ray import RayExecutor

    expected = flawed.run([STEP], shard_mb=0.008).bytes
    ray = RayExecutor(2)
    try:
        assert flawed.run([STEP], out="ray", work="w2", executor=ray, shard_mb=0.008).bytes == expected
    finally:
        ray.close()
