"""A transformer in OpenVINO on a CPU: from the ONNX or OpenVINO file in its folder, else converted from PyTorch.

Token vectors come back and are pooled here. In float32 it needs 0.86 of PyTorch's time; docs/embedding.md has what was
measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import RecipeError
from operators.embedding.pooling import pooled
from operators.embedding.torch_model import Tensor

if TYPE_CHECKING:
    from operators.embedding.checkpoints import Checkpoint
    from operators.embedding.chunks import Longs

Graph = Any
"""An openvino.Model."""
_PRECISIONS: Final = {"float32": "f32", "bfloat16": "bf16"}
_OUTPUTS: Final = ("last_hidden_state", "token_embeddings")


class OpenvinoModel:
    """See `operators.embedding.transformer.Forward`."""

    packed = False

    def __init__(self, checkpoint: Checkpoint, pooling: str, dtype: str, *, threads: int = 1) -> None:
        """Compile it. Raises RecipeError where the folder's graph has no vectors of tokens."""
        import openvino

        core = openvino.Core()
        graph = core.read_model(checkpoint.graph) if checkpoint.graph else converted(checkpoint)
        how = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
            "ENABLE_CPU_PINNING": False,  # Workers would all be pinned to the same cores.
        }
        self._pooling = pooling
        self._inputs = {name for port in graph.inputs for name in port.names}
        self._output = _output_of(graph, str(checkpoint.folder))
        self._compiled = core.compile_model(graph, "CPU", how)

    def __call__(self, tokens: NDArray[np.int32], lengths: Longs) -> NDArray[np.float32]:
        """Unit vectors; see `Forward`."""
        width = int(lengths[0])
        ids = np.zeros((lengths.size, width), np.int64)
        mask = np.arange(width) < lengths[:, None]
        ids[mask] = tokens
        given = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(ids)}
        hidden = self._compiled({name: values for name, values in given.items() if name in self._inputs})[self._output]
        return pooled(hidden, lengths, self._pooling)

    def fetch(self, found: Sequence[Any]) -> NDArray[np.float32]:
        """All of them in one array."""
        return np.concatenate(list(found))


def converted(checkpoint: Checkpoint) -> Graph:
    """The graph of the PyTorch model, with chunks and tokens of any number."""
    import openvino
    import torch

    from operators.embedding.torch_model import load

    class TokenVectors(torch.nn.Module):  # type: ignore[misc]
        """The model with a mask that is added to scores, which can be traced for any shape."""

        def __init__(self) -> None:
            super().__init__()
            self.model = load(checkpoint, "float32", "sdpa")

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            """Vectors (rows, width, dimension)."""
            hidden = (1 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            return self.model(input_ids=input_ids, attention_mask=hidden).last_hidden_state

    example = torch.ones((2, 8), dtype=torch.int64)
    with torch.inference_mode(), warnings.catch_warnings(action="ignore"):  # Of tracing: shapes are free here.
        graph = openvino.convert_model(
            TokenVectors(), example_input={"input_ids": example, "attention_mask": example}, input=[[-1, -1], [-1, -1]]
        )
    for port, name in zip(graph.inputs, ("input_ids", "attention_mask"), strict=True):
        port.get_tensor().set_names({name})
    graph.outputs[0].get_tensor().set_names({_OUTPUTS[0]})
    return graph


def _output_of(graph: Graph, folder: str) -> str:
    names = [name for port in graph.outputs for name in port.names]
    found = next((name for name in _OUTPUTS if name in names), "")
    if not found:
        msg = f"encoder {folder!r}: its graph for OpenVINO gives {', '.join(names)}: expected {' or '.join(_OUTPUTS)}"
        raise RecipeError(f"{msg}, a vector for each token")
    return found
