"""The stage of `infer_mixture` that counts the words of every category as the tokenizer's training saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators import merge_sources
from operators.base import Context
from operators.chosen_tokenizer import Chosen, Prepare, TokenizerCounts

if TYPE_CHECKING:
    from operators.merge_sources import MergeSource
    from operators.vocabulary import Vocabulary


class MergeCounts(TokenizerCounts):
    """The table of counts; texts of a tokenizer of characters are cut into lines, normalised, and cut at spaces."""

    @override
    def preparing(self, context: Context) -> tuple[Vocabulary, Prepare]:
        source = source_of(self, context)
        if source.normalise is None:
            return super().preparing(context)
        normalise, by_line = source.normalise, source.by_line

        def prepared(
            texts: pa.LargeStringArray, weights: NDArray[np.int64]
        ) -> tuple[pa.LargeStringArray, NDArray[np.int64]]:
            if by_line:
                lines = pc.split_pattern(texts, "\n")
                weights = np.repeat(weights, pc.list_value_length(lines).to_numpy())
                texts = lines.flatten()
            return pa.array(normalise(texts.to_pylist()), pa.large_string()), weights

        return source.vocabulary, prepared


def source_of(chosen: Chosen, context: Context) -> MergeSource:
    """The merges of the tokenizer that a stage was planned with. Raises RecipeError where it cannot be read."""
    patterns = () if chosen.step else chosen.patterns
    return merge_sources.parse(chosen.content(context), chosen.step or chosen.tokenizer, patterns)
