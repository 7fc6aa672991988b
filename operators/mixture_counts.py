"""The stage of `infer_mixture` that counts the words of every category as the tokenizer's training saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators import merge_sources
from operators.base import BatchFn, Context
from operators.chosen_tokenizer import Chosen, TokenizerCounts, cutting_of, splitter
from operators.document_weights import weights_of
from operators.pretoken_counts import by_group
from operators.text_buffers import one_text_array

if TYPE_CHECKING:
    from operators.merge_sources import MergeSource


class MergeCounts(TokenizerCounts):
    """The table of counts; texts of a tokenizer of characters are cut into lines, normalised, and cut at spaces."""

    revision: ClassVar[int] = TokenizerCounts.revision

    @override
    def bind(self, context: Context) -> BatchFn:
        source = source_of(self, context)
        if source.normalise is None:
            return super().bind(context)
        from operators.kernels.pretokenize import count

        normalise, how = source.normalise, cutting_of(source.vocabulary.patterns)
        split = splitter([token.content for token in source.vocabulary.added])

        def apply(rows: pa.Table) -> pa.Table:
            texts, weights = split(one_text_array(rows["text"]), weights_of(rows))
            if source.by_line:
                lines = pc.split_pattern(texts, "\n")
                weights = np.repeat(weights, pc.list_value_length(lines).to_numpy())
                texts = lines.flatten()
            texts = pa.array(normalise(texts.to_pylist()), pa.large_string())
            pretokens, totals = count(texts, weights, how)
            return pa.table({"pretoken": pretokens, "count": pa.array(totals, pa.int64())})

        return lambda rows: by_group(rows, self.group_by, apply)


def source_of(chosen: Chosen, context: Context) -> MergeSource:
    """The merges of the tokenizer that a stage was planned with. Raises RecipeError where it cannot be read."""
    patterns = () if chosen.step else chosen.patterns
    return merge_sources.parse(chosen.content(context), chosen.step or chosen.tokenizer, patterns)
