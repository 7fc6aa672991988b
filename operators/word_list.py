"""Count the words of a list that a document has, and drop it for them: block lists of the recipe (C4's bad words).

The text is compared in lower case (`operators/normal_text.py`), an entry as it stands, of one word or several. It
counts wherever no character of a word (letter, number, `_`) is beside it; in languages without spaces, `unspaced`,
everywhere. Entries may overlap, and each counts. With `keep_share` some documents stay in spite of their words: which
ones is a hash of the recipe's seed and the document's id, where C4 draws them by chance. No list comes with vocabmill;
C4 used the "List of Dirty, Naughty, Obscene, and Otherwise Bad Words" of its language.

Deviations from the reference (datatrove 0.10, `C4BadWordsFilter`): lower case is code point by code point, so U+0130
becomes `i` and every sigma U+03C3; the reference stops at the first hit. Price: 150 to 370 MB/s of a core with a list
of 400 words, 20 with the 30,000 commonest of the language; the automaton takes 4 bytes for each state and character of
the list, 1 GB at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import RULE, TEXT, BatchFn, Columns, Context, Judge, RecipeError, Rule, first_failure
from operators.block_lists import BlockList
from operators.character_flags import character_flags, flag_digests
from operators.hashing import row_hashes
from operators.text_buffers import column_bytes

if TYPE_CHECKING:
    from operators.kernels.block_lists import Automaton


class WordList(Judge):
    """Judge a document by the listed words in it.

    `lists` are by language; `words` holds for all other rows. Rows without a list have null scores and pass.
    """

    kind: Literal["word_list"] = "word_list"
    words: BlockList = Field(
        default=BlockList(), description="entries, or a file of them, for every row whose language has no list"
    )
    lists: dict[str, BlockList] = Field(
        default_factory=dict, description="lists by language, as in {en: lists/en.txt, de: [wort, zwei worte]}"
    )
    lang_column: str = Field(default="lang", min_length=1, description="column of the languages that `lists` names")
    unspaced: tuple[str, ...] = Field(
        default=("ja", "th", "zh"), description="languages in whose lists an entry counts inside a word too"
    )
    is_spaced: bool = Field(default=True, description="false: the entries of `words` count inside a word too")
    max_hits: int = Field(default=0, ge=0, description="most hits")
    max_per_1000_words: float | None = Field(
        default=None, ge=0, description="most hits for 1,000 words between white space; null: any number"
    )
    keep_share: float = Field(default=0, ge=0, le=1, description="share of the documents to be dropped that stay")

    seeded: ClassVar[bool] = True
    inert: ClassVar[frozenset[str]] = Judge.inert | {"words", "lists"}  # their digests decide
    verdict_only: ClassVar[frozenset[str]] = frozenset({"max_hits", "max_per_1000_words", "keep_share"})

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if not self.words and not any(self.lists.values()):
            raise ValueError("no list: give `words`, or `lists` by language")
        return self

    def check(self) -> None:
        """Refuse lists that cannot be read, are empty, or too large for an automaton."""
        from operators.kernels.block_lists import automaton

        for name, found in self._named():
            _automaton(name, found, automaton)

    @override
    def needs(self) -> Columns:
        return {**TEXT, self.lang_column: pa.string()} if self.lists else TEXT

    @override
    def models(self) -> Mapping[str, str]:
        return {**flag_digests(), **{name: found.digest() for name, found in self._named()}}

    @override
    def adds(self) -> Columns:
        scores = {"hits": pa.int64(), "distinct": pa.int64(), "per_1000_words": pa.float64()}
        return {**scores, "_first": pa.string(), "_place": pa.float64()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("listed_words", "hits", high=self.max_hits),
            Rule("dense_listed_words", "per_1000_words", high=self.max_per_1000_words),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np
        import pyarrow.compute as pc

        from operators.kernels.block_lists import automaton, find_words

        machines = {name: _automaton(name, found, automaton) for name, found in self._named()}

        def one(texts: pa.ChunkedArray, name: str) -> pa.Table:
            machine, words = machines[name]
            data, offsets = column_bytes(texts)
            found = find_words(data, offsets, machine, character_flags(), self._needs_flanks(name))
            hits, distinct, first, num_words = found.T
            density = pa.array(1000 * hits / np.maximum(num_words, 1), mask=num_words == 0)
            names = words.take(pa.array(first, mask=first < 0)).cast(pa.string())
            return pa.table({"hits": hits, "distinct": distinct, "per_1000_words": density, "_first": names})

        def apply(rows: pa.Table) -> pa.Table:
            lists = self._lists_of(rows)
            parts, places = [], []
            for name in machines:
                mine = pc.indices_nonzero(pc.equal(lists, name))
                parts.append(one(rows["text"].take(mine), name))
                places.append(mine.to_numpy())
            where = np.full(rows.num_rows, -1)
            where[np.concatenate(places)] = np.arange(sum(map(len, places)))
            found = pa.concat_tables(parts).take(pa.array(where, mask=where < 0))
            draws = row_hashes(rows["id"], context.seed, "word_list") * 2.0**-64
            return found.append_column("_place", pa.array(draws))

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        """The first broken rule, with the word that ends first as `first` in `detail`; but see `keep_share`."""
        import pyarrow.compute as pc

        verdict = first_failure(rows, self.rules())
        if self.keep_share:
            spared = pc.less(rows["_place"], self.keep_share)
            for name in verdict.column_names:
                place, none = verdict.column_names.index(name), pa.scalar(None, verdict[name].type)
                verdict = verdict.set_column(place, name, pc.if_else(spared, none, verdict[name]))
        firsts = zip(verdict[RULE].is_valid().to_pylist(), rows["_first"].to_pylist(), strict=True)
        details = [json.dumps({"first": first}) if lost else None for lost, first in firsts]
        return verdict.append_column("detail", pa.array(details, pa.string()))

    def _named(self) -> Iterator[tuple[str, BlockList]]:
        if self.words:
            yield "words", self.words
        yield from ((f"lists.{lang}", found) for lang, found in self.lists.items())

    def _needs_flanks(self, name: str) -> bool:
        return self.is_spaced if name == "words" else name.removeprefix("lists.") not in self.unspaced

    def _lists_of(self, rows: pa.Table) -> pa.Array | pa.ChunkedArray:
        """The name of each row's list, null where it has none."""
        import pyarrow.compute as pc

        other = pa.scalar("words" if self.words else None, pa.string())
        if not self.lists:
            return pa.array([other.as_py()] * rows.num_rows, pa.string())
        langs = pa.array(list(self.lists), pa.string())
        names = pa.array([f"lists.{lang}" for lang in self.lists], pa.string())
        found = names.take(pc.index_in(rows[self.lang_column], value_set=langs).combine_chunks())
        return pc.coalesce(found, other)


def _automaton(name: str, found: BlockList, make: Callable[[list[str]], Automaton]) -> tuple[Automaton, pa.Array]:
    """A list's automaton and its words, in lower case and in order."""
    from operators.code_point_tables import POINT_MASK
    from operators.normal_text import normal_table

    table = normal_table()
    entries = found.read(name).to_pylist()
    words = sorted({"".join(chr(table[ord(c)] & POINT_MASK) for c in entry) for entry in entries})
    try:
        return make(words), pa.array(words, pa.large_string())
    except ValueError as error:
        raise RecipeError(f"{name}: {error}, more than 1 GB; make it several steps with a part each") from error
