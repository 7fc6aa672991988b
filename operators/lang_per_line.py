"""Name the language of each line, and judge a document by how its characters are shared among languages.

It catches what `language_id` cannot, since that sees a document as a whole: half-translated pages, parallel texts,
menus of one language around an article of another. Lines too short to judge, without a letter, or of which the model
is not sure do not count; where no line counts, scores are null and the document passes. Dolma's `ft_lang_id_1e2`
(arXiv:2402.00159) averages over paragraphs; here a line counts for its first language alone, by its characters that
are no white space.

One pass over all lines of a table: see `kernels/fasttext.py`. Prices are in docs/measurements.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import BatchFn, Columns, Context, Judge, Resources, Rule
from operators.language_id import model_digest, model_file, refuse_unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARES: Final = pa.list_(pa.struct([("lang", pa.string()), ("share", pa.float64())]))


class LangPerLine(Judge):
    """Judge a document by the languages of its lines.

    `shares` lists its languages with their shares of the characters in lines that count, largest first, then by code;
    `top_lang` and `top_share` are its first, `num_languages` are those with `min_counted` or more. With `keep`,
    `kept_share` is what the languages to keep have together.
    """

    kind: Literal["lang_per_line"] = "lang_per_line"
    keep: tuple[str, ...] = Field(default=(), description="languages wanted, by the model's own codes; empty: any")
    min_share: float = Field(default=0.5, ge=0, le=1, description="least share of the commonest language")
    min_kept_share: float = Field(default=0.5, ge=0, le=1, description="with keep: least share of the languages wanted")
    min_line_chars: int = Field(
        default=30, ge=1, description="code points of a line that is judged, without its margins"
    )
    min_line_score: float = Field(
        default=0.5, ge=0, le=1, description="least probability of a line's language; else it does not count"
    )
    min_counted: float = Field(default=0.1, ge=0, le=1, description="least share of a language in num_languages")
    model: str = Field(
        default="lid.176.ftz", min_length=1, description="a known model's name, or a path to a fastText .bin or .ftz"
    )

    inert: ClassVar[frozenset[str]] = Judge.inert | {"model"}  # its digest decides, wherever the file lies
    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_share", "min_kept_share"})
    resources: ClassVar[Resources] = Resources(resident=True)

    @model_validator(mode="after")
    def _bound_of_something(self) -> Self:
        if not self.keep and self.min_kept_share != type(self).model_fields["min_kept_share"].default:
            raise ValueError("min_kept_share means nothing without keep: name the languages, or leave it out")
        return self

    @override
    def adds(self) -> Columns:
        kept: Columns = {"kept_share": pa.float64()} if self.keep else {}
        counts: Columns = {"top_lang": pa.string(), "top_share": pa.float64(), "num_languages": pa.int32()}
        return {**counts, **kept, "shares": SHARES}

    @override
    def models(self) -> Mapping[str, str]:
        return {"model": model_digest(self.model)}

    def check(self) -> None:
        """RecipeError where the model cannot be read, or has no label for a language to keep."""
        refuse_unknown(self.keep, self.model)

    @override
    def rules(self) -> tuple[Rule, ...]:
        mixed = Rule("mixed_languages", "top_share", low=self.min_share)
        return (mixed, *((Rule("unwanted_language", "kept_share", low=self.min_kept_share),) if self.keep else ()))

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np

        from operators.fasttext_model import read_model
        from operators.kernels.lines import find_units
        from operators.kernels.predictor import Predictor
        from operators.text_buffers import column_bytes
        from operators.unicode_classes import class_table

        predictor, classes = Predictor(read_model(model_file(self.model))), class_table()

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows["text"])
            lines = find_units(data, offsets, False, self.min_line_chars, classes)
            labels, scores = predictor.best(data, lines.starts, lines.stops)
            counts = (labels >= 0) & (scores >= self.min_line_score)
            chars = _code_points(data, lines.starts[counts], lines.stops[counts])
            shares = _shares(lines.document[counts], labels[counts], chars, predictor.labels, rows.num_rows)
            return self._columns(shares, np.diff(shares.offsets.to_numpy()))

        return apply

    def _columns(self, shares: pa.ListArray, sizes: NDArray[np.int32]) -> pa.Table:
        import numpy as np
        import pyarrow.compute as pc

        first = pa.array(np.minimum(shares.offsets.to_numpy()[:-1], max(len(shares.values) - 1, 0)), mask=sizes == 0)
        langs, values = shares.values.field("lang"), shares.values.field("share").to_numpy()
        document = np.repeat(np.arange(sizes.size), sizes)

        columns = {
            "top_lang": langs.take(first),
            "top_share": shares.values.field("share").take(first),
            "num_languages": pa.array(
                np.bincount(document[values >= self.min_counted], minlength=sizes.size), pa.int32()
            ),
        }
        if self.keep:
            wanted = pc.is_in(langs, value_set=pa.array(self.keep, pa.string())).to_numpy(zero_copy_only=False)
            sums = np.bincount(document[wanted], values[wanted], sizes.size)
            columns["kept_share"] = pa.array(np.minimum(sums, 1), mask=sizes == 0)
        return pa.table({**columns, "shares": shares})


def _code_points(data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each span of UTF-8, without ASCII's white space; spans are in order and none is empty."""
    import numpy as np

    if not starts.size:
        return np.empty(0, np.int64)
    begins = np.append(((data & 0xC0) != 0x80) & (data != 32) & ((data < 9) | (data > 13)), False)
    between = np.stack([starts, stops], 1).reshape(-1)
    return np.add.reduceat(begins, between, dtype=np.int64)[::2]


def _shares(
    documents: NDArray[np.int64],
    labels: NDArray[np.int32],
    chars: NDArray[np.int64],
    names: tuple[str, ...],
    num_documents: int,
) -> pa.ListArray:
    """The languages of each document with their shares of its characters, largest first, then by code."""
    import numpy as np

    ranks = np.argsort(np.argsort(np.array(names, object)))
    pairs, place = np.unique(documents.astype(np.int64) * len(names) + ranks[labels], return_inverse=True)
    sums = np.bincount(place.reshape(-1), chars, pairs.size)
    document, rank = pairs // len(names), pairs % len(names)
    totals = np.bincount(document, sums, num_documents)
    order = np.lexsort((rank, -sums, document))
    by_rank = pa.array(sorted(names), pa.string())
    ends = np.cumsum(np.bincount(document, minlength=num_documents))
    languages = pa.StructArray.from_arrays(
        [by_rank.take(pa.array(rank[order])), pa.array((sums / totals[document])[order], pa.float64())],
        fields=list(SHARES.value_type),
    )
    return pa.ListArray.from_arrays(pa.array(np.append(0, ends), pa.int32()), languages, type=SHARES)
