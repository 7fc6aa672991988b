"""A transformer's folder: where it lies, whether it is an encoder, and what it says of itself.

As sentence-transformers saves one: `model.safetensors` (or shards with an index), `config.json`, `tokenizer.json`, and
where it has them `1_Pooling/config.json` (how token vectors become one), `sentence_bert_config.json` (how long a text
may be) and `config_sentence_transformers.json` (prompts). Pickles are never opened, and no code of a model is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from operators.base import DataError, RecipeError
from operators.ngram_sources import digest as digest_of_file
from operators.transplant.model_files import largest_id
from operators.transplant.tensor_files import INDEX, Tensors, read_object, weight_files

CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
POOLING: Final = "1_Pooling/config.json"
SENTENCES: Final = "sentence_bert_config.json"
PROMPTS: Final = "config_sentence_transformers.json"
MODULES: Final = "modules.json"
GRAPHS: Final = ("openvino/openvino_model.xml", "openvino_model.xml", "onnx/model.onnx", "model.onnx")
"""What OpenVINO reads as it is, the first that is there."""
MOST_TOKENS: Final = 1 << 20
TABLES: Final = ("embeddings.word_embeddings.weight", "embed_tokens.weight", "wte.weight", "tok_embeddings.weight")
"""How the names of tables of token vectors end."""

_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_CAUSAL: Final = ("ForCausalLM", "LMHeadModel")
_MODES: Final[Mapping[str, str]] = {
    "cls": "cls", "cls_token": "cls", "mean": "mean", "mean_tokens": "mean", "mean_sqrt_len_tokens": "mean",
    "lasttoken": "last", "weightedmean": "weighted", "weightedmean_tokens": "weighted",
}  # fmt: skip
"""Modes of sentence-transformers; one that only scales the mean is the mean at unit length."""
_SHIFTED: Final = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "roberta-prelayernorm"})
"""Models whose positions begin after that of the padding."""
_KNOWN_MODULES: Final = ("Transformer", "Pooling", "Normalize")
_REMEDY: Final = (
    "expected a folder as sentence-transformers saves it (model.safetensors, config.json, tokenizer.json, 1_Pooling), "
    "or the name of one that `hf download NAME` has put into this machine's hub cache; nothing is fetched here"
)


@dataclass(frozen=True)
class Checkpoint:
    """What a folder says of its model."""

    folder: Path
    config: Mapping[str, Any]
    pooling: str
    """As its 1_Pooling says; "" where it has none."""
    context: int
    """The most tokens, special ones counted, that it has positions for."""
    cap: int
    """Tokens that it reads of a text where nobody says otherwise."""
    dimension: int
    prompt: str
    is_lower_case: bool
    has_left_truncation: bool

    @property
    def model_type(self) -> str:
        """As `transformers` calls it."""
        return str(self.config.get("model_type", ""))

    @property
    def first_position(self) -> int:
        """The position of a text's first token."""
        return int(self.config.get("pad_token_id") or 1) + 1 if self.model_type in _SHIFTED else 0

    @property
    def is_causal(self) -> bool:
        """Whether it is a language model that predicts the next token."""
        return any(str(name).endswith(_CAUSAL) for name in self.config.get("architectures") or ())

    @property
    def tokenizer(self) -> Path:
        """Its tokenizer.json."""
        return self.folder / TOKENIZER

    @property
    def graph(self) -> Path | None:
        """A graph that OpenVINO reads as it is."""
        return next((self.folder / name for name in GRAPHS if (self.folder / name).is_file()), None)

    def digests(self, *, graph: bool = False) -> dict[str, str]:
        """The sha256 of each file that decides the vectors; with `graph` that of OpenVINO's in place of the weights."""
        names = [CONFIG, TOKENIZER, POOLING, SENTENCES, PROMPTS, MODULES, "tokenizer_config.json"]
        files = [self.folder / name for name in names if (self.folder / name).is_file()]
        found = self.graph if graph else None
        weights = weight_files(self.folder) if found is None else [found, found.with_suffix(".bin")]
        index = [self.folder / INDEX] if found is None else []
        return {
            str(file.relative_to(self.folder)): digest_of_file(str(file), "model", _REMEDY)
            for file in (*files, *(file for file in (*index, *weights) if file.is_file()))
        }

    def refuse_damaged(self) -> None:
        """DataError where the tokenizer has more ids than the table has rows, or a row is not finite."""
        import numpy as np

        tensors = Tensors(weight_files(self.folder))
        name = next((name for name in tensors.places if name.endswith(TABLES)), "")
        rows = tensors.places[name].shape[0] if name else int(self.config.get("vocab_size") or 0)
        ids = largest_id((self.folder / TOKENIZER).read_bytes(), str(self.folder)) + 1
        if rows and ids > rows:
            msg = (
                f"encoder {str(self.folder)!r}: its tokenizer has ids up to {ids - 1}, and its table {rows} rows: they"
            )
            raise DataError(f"{msg} belong to two models; fetch both again")
        finite = np.isfinite(tensors.read(name)).all(axis=1) if name else np.ones(1, bool)
        if not finite.all():
            bad, row = int((~finite).sum()), int(np.argmin(finite))
            msg = f"encoder {str(self.folder)!r}: {bad} of {rows} token vectors are not finite, the first of id {row}"
            raise DataError(f"{msg}: the file is damaged, or a training went wrong")


def located(name: str) -> Path:
    """The folder of a model. Raises RecipeError where it is not on this machine."""
    path = Path(name)
    if path.is_dir():
        return path
    if path.is_file():
        what = "a pickle, and reading one runs what it says" if _is_pickle(path) else "a file"
        msg = f"encoder {name!r} is {what}: {_REMEDY}"
        raise RecipeError(msg)
    for repository in (name, f"sentence-transformers/{name}"):
        folder = _cached(repository)
        if folder is not None:
            return folder
    msg = f"encoder {name!r} is not on this machine: {_REMEDY}"
    raise RecipeError(msg)


def read_checkpoint(name: str) -> Checkpoint:
    """What a model's folder says. Raises RecipeError where it lacks a file or is no model of texts."""
    folder = located(name)
    _refuse_lacking(folder)
    config = read_object(folder / CONFIG)
    _refuse_kind(folder, config)
    prompts, about = _object(folder / PROMPTS), _object(folder / "tokenizer_config.json")
    context = _context(config)
    sentences = _object(folder / SENTENCES)
    cap = min(int(sentences.get("max_seq_length") or about.get("model_max_length") or context), context)
    return Checkpoint(
        folder=folder,
        config=config,
        pooling=_pooling(folder),
        context=context,
        cap=cap,
        dimension=_dimension(folder, config),
        prompt=str((prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), "")),
        is_lower_case=bool(sentences.get("do_lower_case")),
        has_left_truncation=about.get("truncation_side") == "left",
    )


def _cached(name: str) -> Path | None:
    """The snapshot that the local hub cache has of a repository, by the layout that is documented for it."""
    home = os.environ.get("HF_HOME") or str(Path.home() / ".cache/huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub") / f"models--{name.replace('/', '--')}"
    try:
        folder = hub / "snapshots" / (hub / "refs/main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return folder if folder.is_dir() else None


def _refuse_lacking(folder: Path) -> None:
    lacking = [name for name in (CONFIG, TOKENIZER) if not (folder / name).is_file()]
    if not weight_files(folder):
        lacking.insert(0, "model.safetensors")
    if not lacking:
        return
    msg = f"encoder {str(folder)!r} lacks {' and '.join(lacking)}"
    pickles = sorted(file.name for kind in _PICKLES for file in folder.glob(kind))
    if lacking[0] == "model.safetensors" and pickles:
        msg = f"{msg}, and {pickles[0]} is a pickle, which runs what it says when it is read: convert it with"
        raise RecipeError(f"{msg} transformers' save_pretrained(safe_serialization=True)")
    graph = next((name for name in GRAPHS if (folder / name).is_file()), "")
    if lacking == ["model.safetensors"] and graph:
        msg = f"{msg}, without which {graph} is not read either, as the table of tokens is checked in it: put the one"
        raise RecipeError(f"{msg} that the graph was made from beside config.json")
    if lacking == [TOKENIZER]:
        msg = f"{msg}: write it with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        raise RecipeError(msg)
    raise RecipeError(f"{msg}: {_REMEDY}")


def _refuse_kind(folder: Path, config: Mapping[str, Any]) -> None:
    if config.get("is_encoder_decoder"):
        msg = (
            f"encoder {str(folder)!r} is a model of type {config.get('model_type')!r} that reads and writes: {_REMEDY}"
        )
        raise RecipeError(msg)
    if config.get("auto_map"):
        msg = f"encoder {str(folder)!r} needs code of its own (auto_map in config.json), and such code is not run"
        raise RecipeError(f"{msg}: take a model that `transformers` knows")
    modules = [str(entry.get("type", "")).rpartition(".")[2] for entry in _list(folder / MODULES)]
    others = [name for name in modules if name not in _KNOWN_MODULES]
    if others:
        msg = f"encoder {str(folder)!r} has a module {others[0]} after its pooling (modules.json): only models of"
        raise RecipeError(f"{msg} {', '.join(_KNOWN_MODULES)} can be run")


def _pooling(folder: Path) -> str:
    """What 1_Pooling says, in our words. Raises RecipeError where it is something that we do not have."""
    about = _object(folder / POOLING)
    if not about:
        return ""
    if about.get("include_prompt") is False:
        raise RecipeError(
            f"encoder {str(folder)!r} leaves its prompt out of the mean (include_prompt), which we cannot"
        )
    given = about.get("pooling_mode")
    legacy = [key.removeprefix("pooling_mode_") for key, on in about.items() if key.startswith("pooling_mode_") and on]
    modes = [given] if isinstance(given, str) else list(given or legacy)
    if len(modes) == 1 and modes[0] in _MODES:
        return _MODES[modes[0]]
    msg = f"encoder {str(folder)!r} pools by {' and '.join(map(str, modes)) or 'nothing'} ({POOLING}): expected one of"
    raise RecipeError(f"{msg} {', '.join(sorted(set(_MODES)))}; or name `pooling` in a copy of the folder without it")


def _context(config: Mapping[str, Any]) -> int:
    most = int(config.get("max_position_embeddings") or config.get("n_positions") or MOST_TOKENS)
    shifted = config.get("model_type") in _SHIFTED
    return most - (int(config.get("pad_token_id") or 1) + 1) if shifted else most


def _dimension(folder: Path, config: Mapping[str, Any]) -> int:
    found = next((config[name] for name in ("hidden_size", "dim", "n_embd", "d_model") if config.get(name)), 0)
    if not isinstance(found, int) or found < 1:
        msg = (
            f"encoder {str(folder)!r}: its config.json does not say how many dimensions its vectors have (hidden_size)"
        )
        raise RecipeError(f"{msg}: expected a model of texts alone")
    return found


def _object(file: Path) -> dict[str, Any]:
    return read_object(file) if file.is_file() else {}


def _list(file: Path) -> list[dict[str, Any]]:
    import json

    try:
        found = json.loads(file.read_bytes()) if file.is_file() else []
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}") from error
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _is_pickle(path: Path) -> bool:
    return any(path.match(kind) for kind in _PICKLES)
