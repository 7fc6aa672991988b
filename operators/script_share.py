"""Measure which scripts a document's letters are of, and judge it by the share of those that it should have.

A letter's script is Unicode's property Script, from a table of our own (`operators/scripts.py`); letters of no script
of their own (Common, Inherited), marks, digits and signs do not count. A language that is written in several scripts
needs all of them: `[Han, Hiragana, Katakana]` for Japanese, `[Hangul, Han]` for Korean. A document without letters has
null scores and passes. Price: 0.8 GB/s of a core, 1.4 where nearly all is ASCII.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import TEXT, BatchFn, Columns, Context, Judge, Rule
from operators.scripts import DIGEST, SCRIPTS, unknown_script
from operators.text_buffers import column_bytes


class ScriptShare(Judge):
    """Judge a document by the scripts of its letters.

    `scripts` names them by language and `keep` for all other rows; where neither says any, `share` is null.
    """

    kind: Literal["script_share"] = "script_share"
    keep: tuple[str, ...] = Field(default=(), description="scripts wanted, by Unicode's long names; empty: any")
    scripts: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="scripts wanted by language, as in {en: [Latin], ru: [Cyrillic]}"
    )
    lang_column: str = Field(default="lang", min_length=1, description="column of the languages that `scripts` names")
    min_share: float = Field(default=0.5, ge=0, le=1, description="least share of letters in the scripts wanted")
    min_top_share: float = Field(default=0, ge=0, le=1, description="least share of letters in the commonest script")

    verdict_only: ClassVar[frozenset[str]] = frozenset({"min_share", "min_top_share"})

    @model_validator(mode="after")
    def _are_scripts(self) -> Self:
        for name in (*self.keep, *(name for names in self.scripts.values() for name in names)):
            if name not in SCRIPTS:
                raise ValueError(unknown_script(name))
        empty = [lang for lang, names in self.scripts.items() if not names]
        if empty:
            raise ValueError(f"scripts: no script for {empty[0]!r}; name some, or leave the language out")
        return self

    @override
    def needs(self) -> Columns:
        return {**TEXT, self.lang_column: pa.string()} if self.scripts else TEXT

    @override
    def models(self) -> Mapping[str, str]:
        return {"scripts": DIGEST}

    @override
    def adds(self) -> Columns:
        shares = dict.fromkeys(("share", "top_share"), pa.float64())
        return {**shares, "top_script": pa.string(), "num_scripts": pa.int32()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("unwanted_script", "share", low=self.min_share),
            Rule("mixed_scripts", "top_share", low=self.min_top_share),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np
        import pyarrow.compute as pc

        from operators.kernels.measures import scripts
        from operators.scripts import script_table

        names = pa.array([None, *SCRIPTS], pa.string())
        langs = pa.array(list(self.scripts), pa.string())
        groups = [self.keep, *self.scripts.values()]
        wanted = np.array(
            [[name in group for name in ("", *SCRIPTS)] + [False] * (255 - len(SCRIPTS)) for group in groups]
        )
        is_judged = np.array([bool(group) for group in groups])
        latin = SCRIPTS.index("Latin") + 1

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows["text"])
            group = np.zeros(rows.num_rows, np.int64)
            if self.scripts:
                group = pc.fill_null(pc.index_in(rows[self.lang_column], value_set=langs), -1).to_numpy() + 1
            found = scripts(data, offsets, script_table(), latin, wanted, group.astype(np.int64))
            letters, kept, top, in_top, different = found.T
            nothing = letters == 0
            share, top_share = kept / np.maximum(letters, 1), in_top / np.maximum(letters, 1)
            return pa.table(
                {
                    "share": pa.array(share, mask=nothing | ~is_judged[group]),
                    "top_share": pa.array(top_share, mask=nothing),
                    "top_script": names.take(pa.array(top)),
                    "num_scripts": pa.array(different.astype(np.int32)),
                }
            )

        return apply
