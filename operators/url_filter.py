"""Drop documents by their address: listed domains, hosts and addresses, and words in it (FineWeb, RefinedWeb).

In the reference's order: a listed domain, a listed host, the whole address in a list; a hard word, or two different
soft words, among the address's words, which are its runs of ASCII letters and digits with their case kept; a banned
part in the address in lower case without all other characters. All lists are the recipe's; vocabmill brings none. A
document whose address is null or empty passes with null scores.

Deviations from the reference (datatrove 0.10, `URLFilter`): there a listed domain is compared with the *registered*
domain, which needs the public suffix list, and with the whole host; here it blocks that domain and all hosts below it,
as proxies read such lists. The same for every listed domain that somebody registered; a listed `blog.example.org` also
blocks `a.blog.example.org` here, and a listed suffix such as `co.uk` blocks all of it. Hosts are compared without
regard to case. A listed address matches with and without its scheme. Price: 0.2 million addresses a second of a core; a
worker holds the bytes of the lists twice and 64 for each entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import RULE, BatchFn, Columns, Context, Judge, RecipeError, Rule, first_failure
from operators.block_lists import BlockList
from operators.text_buffers import column_bytes

LISTS: Final = ("domains", "hosts", "urls", "hard_words", "soft_words", "parts")
SCORES: Final = ("in_domains", "in_hosts", "in_urls", "hard_words", "soft_words", "parts")


def listed(description: str) -> BlockList:
    """A field of a list that need not be given."""
    found: BlockList = Field(default=BlockList(), description=description)
    return found


class UrlFilter(Judge):
    """Judge a document by its address, against lists that the recipe gives."""

    kind: Literal["url_filter"] = "url_filter"
    column: str = Field(default="url", min_length=1, description="column of the address")
    domains: BlockList = listed("domains blocked with all hosts below them")
    hosts: BlockList = listed("hosts blocked alone")
    urls: BlockList = listed("addresses blocked as they stand, with or without scheme")
    hard_words: BlockList = listed("words of which one is too many, case-sensitive")
    soft_words: BlockList = listed("words of which `max_soft_words` are still allowed, case-sensitive")
    parts: BlockList = listed("what may stand nowhere in the letters and digits of the address, in any case")
    max_soft_words: int = Field(default=1, ge=0, description="most different soft words")

    inert: ClassVar[frozenset[str]] = Judge.inert | set(LISTS)  # their digests decide
    verdict_only: ClassVar[frozenset[str]] = frozenset({"max_soft_words"})

    @model_validator(mode="after")
    def _has_lists(self) -> Self:
        if not any(getattr(self, name) for name in LISTS):
            raise ValueError(f"no list: give at least one of {', '.join(LISTS)}")
        if not self.soft_words and self.max_soft_words != type(self).model_fields["max_soft_words"].default:
            raise ValueError("max_soft_words means nothing without soft_words: give the list, or leave it out")
        return self

    def check(self) -> None:
        """Refuse lists that cannot be read, are empty, or hold what no address can match."""
        for name, found in self._named():
            entries_of(name, found)

    @override
    def needs(self) -> Columns:
        return {self.column: pa.string()}

    @override
    def models(self) -> Mapping[str, str]:
        return {name: found.digest() for name, found in self._named()}

    @override
    def adds(self) -> Columns:
        return {**dict.fromkeys(SCORES, pa.int64()), "_entry": pa.string()}

    @override
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("blocked_domain", "in_domains", high=0),
            Rule("blocked_host", "in_hosts", high=0),
            Rule("blocked_url", "in_urls", high=0),
            Rule("hard_word", "hard_words", high=0),
            Rule("soft_words", "soft_words", high=self.max_soft_words),
            Rule("banned_part", "parts", high=0),
        )

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np

        from operators.character_flags import character_flags
        from operators.kernels.block_lists import automaton, find_words, listed, look_up, squashed

        given = dict(self._named())
        empty = pa.array([], pa.large_string())
        entries = {name: entries_of(name, given[name]) if name in given else empty for name in LISTS}
        kept, index, heads, sizes = listed([entries[name] for name in LISTS[:-1]])
        machine = automaton(entries["parts"].to_pylist()) if len(entries["parts"]) else None

        def apply(rows: pa.Table) -> pa.Table:
            data, offsets = column_bytes(rows[self.column])
            counts, firsts = look_up(data, offsets, kept, index, heads, sizes)
            if machine is not None:
                small, small_offsets = squashed(data, offsets)
                found = find_words(small, small_offsets, machine, character_flags(), False)
                counts, firsts = np.c_[counts, found[:, 1]], np.c_[firsts, found[:, 2]]
            else:
                counts, firsts = (
                    np.c_[table, np.full(len(table), fill)] for table, fill in ((counts, 0), (firsts, -1))
                )
            nothing = np.diff(offsets) == 0
            columns = {name: pa.array(counts[:, place], mask=nothing) for place, name in enumerate(SCORES)}
            return pa.table({**columns, "_entry": _first_entries(entries, firsts)})

        return apply

    @override
    def judge(self, rows: pa.Table) -> pa.Table:
        """The first broken rule; `detail` has the address and the first entry that it matched in any list."""
        verdict = first_failure(rows, self.rules())
        columns = (verdict[RULE], rows[self.column], rows["_entry"])
        facts = zip(*(column.to_pylist() for column in columns), strict=True)
        details = [json.dumps({"url": url, "entry": entry}) if rule else None for rule, url, entry in facts]
        return verdict.append_column("detail", pa.array(details, pa.string()))

    def _named(self) -> Iterator[tuple[str, BlockList]]:
        return ((name, getattr(self, name)) for name in LISTS if getattr(self, name))


def entries_of(name: str, found: BlockList) -> pa.Array:
    """A list's different entries in order, in the form in which addresses are compared with them.

    Raises:
        RecipeError: the list cannot be read, is empty, or has an entry that no address can match.
    """
    import pyarrow.compute as pc

    entries = found.read(name)
    if name in ("domains", "hosts"):
        entries = pc.utf8_lower(entries)
        entries = pc.utf8_rtrim(pc.replace_substring_regex(entries, r"^(\*?\.)", ""), ".")
    if name == "parts":
        entries = pc.utf8_lower(entries)
    pattern = r"^[^/\s@?#]{1,255}$" if name in ("domains", "hosts") else r"\S" if name == "urls" else "^[A-Za-z0-9]+$"
    wrong = entries.filter(pc.invert(pc.match_substring_regex(entries, pattern)))
    if len(wrong):
        expected = "a name such as example.org" if name in ("domains", "hosts") else "ASCII letters and digits alone"
        raise RecipeError(f"{name}: {wrong[0].as_py()!r} ({len(wrong)} such) can never be found; expected {expected}")
    entries = pc.unique(entries)
    return entries.take(pc.array_sort_indices(entries))


def _first_entries(entries: Mapping[str, pa.Array], firsts: object) -> pa.Array:
    """For each address the entry that it matched first, in the order of the lists."""
    import numpy as np
    import pyarrow.compute as pc

    table = np.asarray(firsts)
    found = [
        entries[name].take(pa.array(table[:, place], mask=table[:, place] < 0)) for place, name in enumerate(LISTS)
    ]
    return pc.coalesce(*found).cast(pa.string())
