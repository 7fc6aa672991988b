import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operators.base import Context, RecipeError
from operators.embed_documents import EmbedDocuments
from operators.embedding import devices, transformers
from operators.embedding.checkpoints import located, read_checkpoint
from operators.embedding.encoders import EncoderChoice
from operators.embedding.stages import ModelFile
from tests.operators.embedding import tiny


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint, on a machine that has torch and a CPU with bfloat16."""
    monkeypatch.setattr(transformers, "MODULES", {"torch": (), "openvino": ()})
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(devices, "cuda_capabilities", lambda: ())
    return tiny.write_checkpoint(tmp_path / "model")


def step(folder: Path, **how: object) -> EmbedDocuments:
    return EmbedDocuments.model_validate({"encoder": str(folder), **how})


def test_a_folder_says_how_it_is_used(folder: Path) -> None:
    step(folder).check()
    tiny.write_json(
        folder, "config_sentence_transformers.json",
        {"prompts": {"query": "q: ", "passage": "passage: "}, "default_prompt_name": "passage"},
    )  # fmt: skip
    vectors, about = step(folder, dimension=16).stages()
    assert isinstance(vectors, EncoderChoice)
    settled = {
        name: getattr(vectors, name) for name in ("pooling", "max_tokens", "prompt", "dtype", "device", "backend")
    }
    assert settled == {
        "pooling": "mean", "max_tokens": 16, "prompt": "passage: ", "dtype": "bfloat16", "device": "cpu",
        "backend": "torch",
    }  # fmt: skip
    assert (vectors.dimension, vectors.token_budget) == (16, transformers.CPU_BUDGET)
    assert isinstance(about, ModelFile)


def test_what_decides_vectors_decides_the_fingerprint_and_the_place_does_not(folder: Path, tmp_path: Path) -> None:
    def identity(place: Path, **how: object) -> dict[str, object]:
        return step(place, **how).stages()[0].identity()  # type: ignore[union-attr]

    first = identity(folder)
    shutil.copytree(folder, tmp_path / "copy")
    assert identity(tmp_path / "copy") == first
    assert identity(folder, pooling="mean") == first
    assert identity(folder, pooling="cls") != first
    assert identity(folder, token_budget=512) != first
    assert sorted(step(folder).models()) == [
        "1_Pooling/config.json", "config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer.json"
    ]  # fmt: skip
    tiny.write_json(folder, "1_Pooling/config.json", {"pooling_mode": "lasttoken"})
    assert identity(folder) != first


def test_a_model_that_changes_in_a_run_is_noticed_by_the_workers(folder: Path) -> None:
    vectors = step(folder).stages()[0]
    tiny.write_json(folder, "1_Pooling/config.json", {"pooling_mode": "cls"})
    with pytest.raises(RecipeError, match="has changed since the run began"):
        vectors.bind(Context(0, {}))  # type: ignore[union-attr]


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: object) -> Callable[[Path], None]:
    return lambda folder: tiny.write_json(folder, name, content)


def pickle_instead(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def graph_instead(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"a graph")


def causal(folder: Path) -> None:
    shutil.rmtree(folder / "1_Pooling")
    tiny.write_json(folder, "config.json", {**tiny.CONFIG, "architectures": ["LlamaForCausalLM"]})


@pytest.mark.parametrize(
    ("harm", "how", "said"),
    [
        (remove("tokenizer.json"), {}, "lacks tokenizer.json: write it with"),
        (remove("config.json"), {}, "lacks config.json: expected a folder as"),
        (remove("model.safetensors"), {}, "lacks model.safetensors: expected a folder as"),
        (graph_instead, {}, "without which onnx/model.onnx is not read either, .* beside config.json"),
        (pickle_instead, {}, "pytorch_model.bin is a pickle, which runs what it says"),
        (write("config.json", {**tiny.CONFIG, "is_encoder_decoder": True}), {}, "that reads and writes"),
        (write("config.json", {**tiny.CONFIG, "auto_map": {"AutoModel": "x.Y"}}), {}, "needs code of its own"),
        (write("modules.json", [{"type": "sentence_transformers.models.Dense"}]), {}, "has a module Dense after"),
        (write("1_Pooling/config.json", {"pooling_mode_max_tokens": True}), {}, "pools by max_tokens"),
        (write("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}), {}, "pools by cls and mean"),
        (write("1_Pooling/config.json", {"pooling_mode": "mean", "include_prompt": False}), {}, "include_prompt"),
        (causal, {}, "is a causal language model and does not say how .* pooling: last"),
        (lambda folder: shutil.rmtree(folder / "1_Pooling"), {}, "type 'bert' and does not say how .* pooling: mean"),
        (lambda folder: tiny.write_tables(folder, rows=60), {}, "ids up to 62, and its table 60 rows"),
        (lambda folder: tiny.write_tables(folder, wrong_row=7), {}, "1 of 63 token vectors are not finite, .* id 7"),
        (write("config.json", {**tiny.CONFIG, "hidden_size": None}), {}, "how many dimensions"),
        (lambda _: None, {"max_tokens": 41}, "max_tokens 41 is more than the 40 tokens"),
        (lambda _: None, {"max_tokens": 2}, "max_tokens 2 leaves no room"),
        (lambda _: None, {"dimension": 40}, "dimension 40 is more than the 32"),
        (lambda _: None, {"dtype": "float16"}, "float16 is for a GPU"),
        (lambda _: None, {"backend": "openvino", "device": "cuda"}, "openvino runs on a CPU"),
    ],
)  # fmt: skip
def test_what_cannot_be_embedded_with_is_refused_before_the_work(
    folder: Path, harm: Callable[[Path], None], how: dict[str, Any], said: str
) -> None:
    harm(folder)
    with pytest.raises(RecipeError, match=said):
        step(folder, **how).check()


def test_a_model_that_is_not_here_is_looked_for_in_the_hub_cache_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(RecipeError, match=r"'tiny-model' is not on this machine.*hf download"):
        located("tiny-model")
    place = tmp_path / "hub/models--sentence-transformers--tiny-model"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text("abc")
    shutil.copytree(folder, place / "snapshots/abc")
    assert read_checkpoint("tiny-model") == read_checkpoint("sentence-transformers/tiny-model")
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(RecipeError, match="is a pickle"):
        located(str(tmp_path / "model.ckpt"))


def test_positions_that_begin_after_the_padding_are_no_room_for_text(folder: Path) -> None:
    tiny.write_json(folder, "config.json", {**tiny.CONFIG, "model_type": "roberta", "pad_token_id": 1})
    checkpoint = read_checkpoint(str(folder))
    assert (checkpoint.context, checkpoint.first_position) == (38, 2)


def test_missing_packages_are_named_with_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers, "MODULES", {"torch": ("no_such_torch",), "openvino": ()})
    with pytest.raises(RecipeError, match=r"needs no_such_torch.*pip install 'vocabmill\[torch\]'"):
        step(folder).check()
    with pytest.raises(RecipeError, match="to convert the model once"):
        step(folder, backend="openvino").check()
    (folder / "model.onnx").write_bytes(b"graph")
    step(folder, backend="openvino").check()
    assert "model.onnx" in step(folder, backend="openvino").models()


def test_the_type_is_gated_by_what_the_device_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settled(**how: object) -> tuple[str, str]:
        vectors = step(folder, **how).stages()[0]
        assert isinstance(vectors, EncoderChoice)
        return vectors.device, vectors.dtype

    assert settled() == ("cpu", "bfloat16")
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    assert settled() == ("cpu", "float32")
    with pytest.raises(RecipeError, match="this CPU has no instructions"):
        step(folder, dtype="bfloat16").check()
    for capability, dtype in (((7, 5), "float16"), ((9, 0), "bfloat16")):
        monkeypatch.setattr(devices, "cuda_capabilities", lambda found=capability: (found,))
        assert settled() == ("cuda", dtype)
        assert settled(device="cpu") == ("cpu", "float32")
        assert settled(backend="openvino") == ("cpu", "float32")
    vectors = step(folder).stages()[0]
    assert (vectors.wants().gpus, vectors.wants().resident) == (1, True)  # type: ignore[union-attr]
