"""Vectors of tokens from the segments that they stand in: the stage of `train_static_vectors`.

A state holds segments as token ids, those whose hash of seed, document and place comes first: which they are depends
on neither shards nor order. All else happens in one place, in `finish`, in sums of fixed order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators import tokenizer_sources
from operators.base import WARNINGS, BatchFn, Context, DataError, Outputs, Resources
from operators.chosen_tokenizer import Chosen
from operators.document_weights import REPEAT, WeightedTexts, counting
from operators.embedding import static_files
from operators.groups import starts_of, sums_of, unlisted
from operators.hashing import mix64, row_hashes
from operators.text_buffers import one_text_array
from operators.text_tokens import Tokens, text_encoder
from operators.tokenizer_files import to_tokenizer_json

if TYPE_CHECKING:
    from operators.kernels.latent_vectors import Sparse

PURPOSE: Final = "static_vectors"
ALPHA: Final = 0.75
"""Power of a segment's length in place of its share (Levy et al. 2015, section 3.2)."""

_TAIL: Final = 8
"""What is left at a document's end is a segment if it has this part of one at least, or is all of the document."""
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_ORDER: Final = [("place", "ascending"), ("id", "ascending"), ("part", "ascending")]

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Number = TypeVar("Number", np.int64, np.float64)


class Bags(NamedTuple):
    """How often each token stands in each segment, and how often segments count."""

    starts: Longs
    """(segments + 1)"""
    tokens: NDArray[np.int32]
    """Their places in `ids`; those of a segment ascend."""
    counts: Longs
    repeat: Longs
    """By segment."""
    ids: NDArray[np.int32]
    """The tokens that occur, ascending."""

    def per_token(self, values: Longs) -> Longs:
        """Sums by token of a value for each entry."""
        return sums_of(self.tokens, values, self.ids.size)

    def per_entry(self, values: NDArray[Number]) -> NDArray[Number]:
        """A segment's value for each of its entries."""
        return np.repeat(values, np.diff(self.starts))


class StaticTraining(Chosen, WeightedTexts):
    """Draws segments, and makes a static model of them."""

    dimension: int
    segment_tokens: int
    max_segments: int
    smoothing: float

    seeded: ClassVar[bool] = True
    resources: ClassVar[Resources] = Resources(memory_mb=1024)
    revision: ClassVar[int] = 2  # a tokenizer.json is left where ranks or merges are given, too

    @override
    def bind(self, context: Context) -> BatchFn:
        encoder = text_encoder(self.content(context), self.tokenizer or self.step, self.patterns)

        def apply(rows: pa.Table) -> pa.Table:
            rows, weights = counting(rows)
            place = row_hashes(rows["id"], context.seed, PURPOSE)
            tokens = encoder(one_text_array(rows["text"]))
            return self.merge(_segments(rows["id"].cast(pa.string()), place, weights, tokens, self.segment_tokens))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        """The first segments in the order of their hashes: whatever is dropped here would be at the end too."""
        if state.num_rows <= self.max_segments:
            return state
        order = pc.sort_indices(state.select(["place", "id", "part"]), _ORDER)
        return state.take(order[: self.max_segments])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        chosen = state.take(pc.sort_indices(state.select(["place", "id", "part"]), _ORDER))[: self.max_segments]
        if not chosen.num_rows:
            msg = "there is nothing to learn: no document that reaches the step has a token"
            raise DataError(msg)
        content = self.content(context)
        encoder = text_encoder(content, self.tokenizer or self.step, self.patterns)
        bags = bags_of(chosen)
        rows = token_vectors(bags, self.dimension)
        shares = bags.per_token(bags.counts * bags.per_entry(bags.repeat))
        weights = (self.smoothing / (self.smoothing + shares / shares.sum())).astype(np.float32)
        mean, component = common_parts(bags, rows.astype(np.float32), weights)
        table, by_id = np.zeros((encoder.num_ids, self.dimension), np.float16), np.zeros(encoder.num_ids, np.float32)
        table[bags.ids], by_id[bags.ids] = rows, weights
        about = {**self.model_dump(include={"segment_tokens", "smoothing"}), "segments": chosen.num_rows}
        about |= {"tokens": int(bags.counts.sum()), "distinct_tokens": bags.ids.size, "tokenizer": self.digest(context)}
        files = static_files.written(table, by_id, mean, component, about)
        return {
            **files,
            static_files.TOKENIZER: self._as_json(content),
            **self._warnings(min(chosen.num_rows, bags.ids.size)),
        }

    def _as_json(self, content: bytes) -> bytes:
        """A tokenizer.json of the same tokens and ids: ranks and merges do not say how text is cut."""
        if tokenizer_sources.is_tokenizer_json(content):
            return content
        return to_tokenizer_json(tokenizer_sources.parse(content, self.tokenizer, self.patterns))

    def _warnings(self, directions: int) -> dict[str, bytes]:
        if directions >= self.dimension:
            return {}
        said = (
            f"there are {directions} segments or tokens to learn {self.dimension} dimensions from: the rest of each "
            "vector is zeros; a smaller dimension, or segment_tokens, would do as well"
        )
        return {WARNINGS: json.dumps([said]).encode()}


def bags_of(segments: pa.Table) -> Bags:
    """The bags of segments (`tokens`, `repeat`), in their order."""
    tokens, bounds = unlisted(segments["tokens"])
    ids, places = np.unique(tokens.to_numpy(), return_inverse=True)
    row = np.repeat(np.arange(segments.num_rows), np.diff(bounds))
    keys = np.sort(row * ids.size + places)
    first = np.flatnonzero(starts_of(keys))
    keys, counts = keys[first], np.diff(np.append(first, keys.size))
    starts = np.searchsorted(keys, np.arange(segments.num_rows + 1) * ids.size)
    repeat = segments[REPEAT].cast(pa.int64()).to_numpy()
    return Bags(starts, (keys % ids.size).astype(np.int32), counts, repeat, ids.astype(np.int32))


def token_vectors(bags: Bags, dimension: int) -> NDArray[np.float16]:
    """(tokens that occur, dimension) The directions of leading singular vectors, as long as the token is rare."""
    from operators.kernels.latent_vectors import right_vectors

    found, _ = right_vectors(information(bags), bags.ids.size, dimension)
    squares = np.zeros(bags.ids.size)
    for column in found.T:  # in an order of our own: what einsum adds up in depends on the processor
        squares += column.astype(np.float64) ** 2
    total = int(bags.repeat.sum())
    in_segments = bags.per_token(bags.per_entry(bags.repeat))
    rarity = _by_count(in_segments, lambda had: 1 + math.log((1 + total) / (1 + had)))
    scale = np.where(squares > 0, rarity / np.sqrt(np.where(squares > 0, squares, 1)), 0)
    return (found * scale[:, None]).astype(np.float16)


def information(bags: Bags) -> Sparse:
    """(segments, tokens) The positive pointwise mutual information; segments that count r times weigh sqrt(r)."""
    from operators.kernels.latent_vectors import Sparse

    lengths = np.add.reduceat(bags.counts, bags.starts[:-1])
    sizes, times = np.unique(lengths, return_inverse=True)
    often = np.bincount(times, bags.repeat).tolist()
    total = math.fsum(n * size**ALPHA for n, size in zip(often, sizes.tolist(), strict=True))
    of_token = _by_count(bags.per_token(bags.counts * bags.per_entry(bags.repeat)), math.log)
    of_segment = _by_count(lengths, lambda length: ALPHA * math.log(length) - math.log(total))
    values = _by_count(bags.counts, math.log) - of_token[bags.tokens] - bags.per_entry(of_segment)
    kept = values > 0
    starts = np.append(0, np.cumsum(kept))[bags.starts]
    weighed = (values * np.sqrt(bags.per_entry(bags.repeat)))[kept].astype(np.float32)
    return Sparse(starts, bags.tokens[kept], weighed)


def common_parts(bags: Bags, rows: Singles, weights: Singles) -> tuple[Singles, Singles]:
    """(dimension) both: the mean of the segments' vectors, and the first principal component of what is left."""
    from operators.kernels.latent_vectors import Sparse, eigen, gram, point_upwards, product

    weighed = bags.counts * weights[bags.tokens].astype(np.float64)
    shares = weighed / bags.per_entry(np.add.reduceat(weighed, bags.starts[:-1]))
    vectors = product(Sparse(bags.starts, bags.tokens, shares.astype(np.float32)), rows).astype(np.float64)
    often = bags.repeat[:, None].astype(np.float64)
    mean = np.add.reduce(vectors * often, axis=0) / often.sum()
    _, found = eigen(gram((vectors - mean) * np.sqrt(often)))
    first = np.ascontiguousarray(found[:, :1])
    point_upwards(first)
    return mean.astype(np.float32), first[:, 0].astype(np.float32)


def _segments(ids: pa.ChunkedArray, place: NDArray[np.uint64], weights: Longs, tokens: Tokens, width: int) -> pa.Table:
    """Documents' tokens in segments of so many: `place` (a hash), `id`, `part`, `repeat`, `tokens`."""
    sizes = np.diff(tokens.starts)
    rest = sizes % width
    whole = sizes // width
    counts = whole + ((rest > 0) & ((whole == 0) | (rest * _TAIL >= width)))
    document = np.repeat(np.arange(sizes.size), counts)
    part = np.arange(document.size) - np.repeat(np.cumsum(counts) - counts, counts)
    first = tokens.starts[document] + part * width
    last = np.minimum(first + width, tokens.starts[document + 1])
    flat = np.repeat(first - np.append(0, np.cumsum(last - first))[:-1], last - first) + np.arange((last - first).sum())
    bounds = np.append(0, np.cumsum(last - first))
    return pa.table(
        {
            "place": mix64(place[document] + part.astype(np.uint64) * _GOLDEN),
            "id": ids.take(pa.array(document)),
            "part": pa.array(part, pa.int32()),
            REPEAT: pa.array(weights[document], pa.int32()),
            "tokens": pa.LargeListArray.from_arrays(bounds, pa.array(tokens.ids[flat])),
        }
    )


def _by_count(counts: Longs, function: Callable[[int], float]) -> Doubles:
    """A function of whole numbers, called once for each that occurs: NumPy's own depend on the processor's kind."""
    distinct, places = np.unique(counts, return_inverse=True)
    found: Doubles = np.array([function(number) for number in distinct.tolist()], np.float64)[places]
    return found
