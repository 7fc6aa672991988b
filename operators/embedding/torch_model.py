"""A transformer in PyTorch, on a CPU or a GPU: token vectors are pooled in float32 on the device.

Chunks are padded to the longest of their batch. On CUDA, where torch has attention over chunks of any length
(`torch.nn.attention.varlen`), they are laid end to end and nothing is padded. One thread a worker on a CPU, as
everywhere: sums then do not depend on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from operators.base import RecipeError
from operators.embedding.pooling import SMALLEST
from operators.embedding.transformer import DeviceMemoryError

if TYPE_CHECKING:
    from operators.embedding.checkpoints import Checkpoint
    from operators.embedding.chunks import Longs

Tensor = Any
"""A torch.Tensor, or what stands for torch itself: it is imported where it is used."""
VarlenAttention = Callable[..., Tensor]
PACKED: Final = "vocabmill_packed"
"""The name by which transformers knows our attention."""
_NO_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory")
_UNUSED: Final = ("pooler.", "position_ids", "lm_head.", "cls.")
"""Weights that vectors of tokens do not need."""


class Device:
    """A CPU or a GPU: how numbers come to it and back."""

    def __init__(self, name: str, threads: int = 1) -> None:
        import torch

        self._is_cuda = name == "cuda"
        if self._is_cuda and not torch.cuda.is_available():
            msg = f"PyTorch {torch.__version__} finds no GPU: it was built without CUDA, or the driver does not fit it"
            raise RecipeError(f"{msg}; install a build for the driver (pytorch.org), or set device: cpu")
        self.place = torch.device(name)
        if not self._is_cuda:
            torch.set_num_threads(threads)

    def put(self, values: NDArray[Any]) -> Tensor:
        """An array on the device; on a GPU by pinned memory, without waiting."""
        import torch

        found = torch.from_numpy(np.ascontiguousarray(values))
        return found.pin_memory().to(self.place, non_blocking=True) if self._is_cuda else found

    def take(self, found: Tensor) -> NDArray[np.float32]:
        """A tensor in this process's memory."""
        vectors: NDArray[np.float32] = found.cpu().numpy()
        return vectors

    def empty(self) -> None:
        """Give back what is kept for later, after memory has run out."""
        import torch

        if self._is_cuda:
            torch.cuda.empty_cache()

    def varlen(self) -> VarlenAttention | None:
        """Torch's attention over chunks of any length, where this version has it for this device."""
        if not self._is_cuda:
            return None
        try:
            from torch.nn.attention.varlen import varlen_attn
        except ImportError:
            return None
        return varlen_attn  # type: ignore[no-any-return]


class TorchModel:
    """See `operators.embedding.transformer.Forward`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        pooling: str,
        dtype: str,
        device: str = "cpu",
        *,
        threads: int = 1,
        varlen: VarlenAttention | None = None,
    ) -> None:
        """Load the weights. `varlen` has the signature of torch's `varlen_attn`; None: torch's own, on CUDA.

        Raises RecipeError where the folder's weights are not those of its configuration.
        """
        import torch

        self._torch, self._pooling = torch, pooling
        self._on = Device(device, threads)
        self._device = self._on.place
        self._first_position = checkpoint.first_position
        varlen = varlen or (self._on.varlen() if dtype != "float32" else None)
        self.packed = varlen is not None
        if varlen is not None:
            _register(varlen)
        self._model = load(checkpoint, dtype, PACKED if self.packed else "sdpa").to(self._device)

    def __call__(self, tokens: NDArray[np.int32], lengths: Longs) -> Tensor:
        """Unit vectors on the device; see `Forward`."""
        run = self._packed if self.packed else self._padded
        try:
            with self._torch.inference_mode():
                found = run(tokens, lengths)
                return found / found.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
        except RuntimeError as error:
            if not any(sign in str(error) for sign in _NO_MEMORY):
                raise
            self._on.empty()
            raise DeviceMemoryError(str(error).partition("\n")[0]) from error

    def fetch(self, found: Sequence[Tensor]) -> NDArray[np.float32]:
        """One copy for all of them."""
        return self._on.take(self._torch.cat(list(found)))

    def _padded(self, tokens: NDArray[np.int32], lengths: Longs) -> Tensor:
        torch, width = self._torch, int(lengths[0])
        ids = np.zeros((lengths.size, width), np.int64)
        ids[np.arange(width) < lengths[:, None]] = tokens
        length = self._on.put(lengths)
        mask = torch.arange(width, device=self._device) < length[:, None]
        # Where nothing is padded the kernels for attention without a mask are taken.
        given = None if int(lengths[-1]) == width else mask.long()
        hidden = self._model(input_ids=self._on.put(ids), attention_mask=given).last_hidden_state.float()
        match self._pooling:
            case "cls":
                return hidden[:, 0]
            case "last":
                return hidden[torch.arange(lengths.size, device=self._device), length - 1]
            case _:
                weight = self._weight(mask, torch.arange(1, width + 1, device=self._device))
                return (hidden * weight[:, :, None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)

    def _packed(self, tokens: NDArray[np.int32], lengths: Longs) -> Tensor:
        torch = self._torch
        starts = np.append(0, np.cumsum(lengths))
        place = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        bounds, position = self._on.put(starts.astype(np.int32)), self._on.put(place)
        row = self._on.put(np.repeat(np.arange(lengths.size), lengths))
        hidden = self._model(
            input_ids=self._on.put(tokens.astype(np.int64))[None],
            position_ids=position[None] + self._first_position,
            cu_seq_lens_q=bounds,
            cu_seq_lens_k=bounds,
            max_length_q=int(lengths[0]),
            max_length_k=int(lengths[0]),
        ).last_hidden_state[0].float()  # fmt: skip
        match self._pooling:
            case "cls":
                return hidden[bounds[:-1].long()]
            case "last":
                return hidden[bounds[1:].long() - 1]
            case _:
                weight = self._weight(torch.ones_like(position, dtype=torch.bool), position + 1)
                sums = torch.zeros(lengths.size, hidden.shape[1], device=self._device)
                return sums.index_add_(0, row, hidden * weight[:, None])

    def _weight(self, counts: Tensor, place: Tensor) -> Tensor:
        """A token's weight in the mean: 1, or its place; 0 where it is padding."""
        return counts * place.float() if self._pooling == "weighted" else counts.float()


def load(checkpoint: Checkpoint, dtype: str, attention: str) -> Tensor:
    """The model without its head, ready to compute. Raises RecipeError where weights are missing or it is unknown."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    how = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    try:
        model, about = transformers.AutoModel.from_pretrained(
            checkpoint.folder, dtype=getattr(torch, dtype), attn_implementation=attention, **how
        )
    except (ValueError, OSError, KeyError) as error:
        msg = f"encoder {str(checkpoint.folder)!r} cannot be loaded by transformers {transformers.__version__}: {error}"
        raise RecipeError(msg) from error
    missing = sorted(name for name in about["missing_keys"] if not name.startswith(_UNUSED))
    if missing:
        msg = (
            f"encoder {str(checkpoint.folder)!r}: its weights lack {missing[0]!r} and {len(missing) - 1} more that its"
        )
        raise RecipeError(f"{msg} config.json asks for: the files belong to two models; fetch both again")
    return model.eval()


def attend_one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    """What torch's `varlen_attn` computes on CUDA, on any device, a chunk at a time: (tokens, heads, width)."""
    import torch

    del cu_seq_k, max_q, max_k
    found = torch.empty_like(query)
    for start, end in zip(cu_seq_q[:-1].tolist(), cu_seq_q[1:].tolist(), strict=True):
        heads = [part[start:end].transpose(0, 1)[None] for part in (query, key, value)]
        one = torch.nn.functional.scaled_dot_product_attention(*heads, scale=scale, is_causal=window_size == (-1, 0))
        found[start:end] = one[0].transpose(0, 1)
    return found


def _register(varlen: VarlenAttention) -> None:
    """Teach transformers an attention over packed chunks: one row, in which `cu_seq_lens_q` says where each begins."""
    from transformers import AttentionInterface, AttentionMaskInterface

    def attend(
        module: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor,
        scaling: float | None = None,
        **more: Tensor,
    ) -> tuple[Tensor, None]:
        bounds, longest = more["cu_seq_lens_q"], more["max_length_q"]
        flat = [part[0].transpose(0, 1).contiguous() for part in (query, key, value)]
        causal = bool(getattr(module, "is_causal", False))
        window = (-1, 0) if causal else (-1, -1)
        found = varlen(*flat, bounds, bounds, longest, longest, scale=scaling, window_size=window)
        return found[None], None

    AttentionInterface.register(PACKED, attend)
    AttentionMaskInterface.register(PACKED, lambda *_, **__: None)
