"""Remove documents that are nearly the same as one that stays: found by MinHash, decided on the full text.

The stages:

- `signer`: every document's signature, a column that nobody else sees. It is kept by shard in the work directory, so a
  new file or another threshold signs nothing again.
- `links`: documents that share a band of their signatures are linked, exchanged by band key. A bucket links all its
  documents with its first one: a hot bucket costs a link a document, not one a pair.
- `stars`, `links` again: what is linked, directly or not, is one component (`operators.components`).
- `members`: the documents of a component, with the shingles of their whole texts, exchanged by component. The best one
  stays and takes along those that `verify` finds similar enough, then the best of the rest (`operators.verification`).
- `verdict`: those that were taken along are rejected, each with its survivor and its similarity to it.

So links and components only nominate: nothing is removed for resembling a neighbour's neighbour, nor for a hash that
happened to agree. `verify: none` removes all of a component but its best document, as most pipelines do.

Price of a document: its signature (4 or 8 bytes a value) and 12 bytes a band in the work directory; for one that shares
a band with another, 8 bytes a shingle (about 1.3 times its text) while `members` is exchanged.
"""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from typing_extensions import override

from operators.base import ROW, TEXT, BatchFn, Columns, Context, Fold, Map, Outputs, Repeat, TableFold
from operators.components import Nodes, exchanged, links_table, nodes_of
from operators.dedup import Dedup, Lost
from operators.duplicate_summary import summary_stages
from operators.hashing import Words
from operators.minhash import Scheme
from operators.near_duplicates import (
    SIGNATURE,
    VALUE_BYTES,
    Members,
    Verify,
    packed,
    shingling_of,
    signatures_of,
    value_type,
)
from operators.shingles import Unit
from operators.survivors import candidate_needs
from operators.text_buffers import one_array

Auto = Literal["auto"]
LARGEST: Final = 16_384
"""Values of a signature at most."""
MISTAKES: Final[dict[Verify, tuple[float, float]]] = {
    "jaccard": (0.05, 0.95),
    "containment": (0.05, 0.95),
    "none": (0.5, 0.5),
}
"""What a pair that meets in vain weighs, and one that is missed: verified, the first costs no document."""
SIZE: Final = 128
"""Values of a signature whose bands are chosen: the same for every threshold, so that moving it signs nothing again."""


class MinhashDedup(Dedup):
    """Keep one document of every set of near-duplicates; the others are dropped by the rule `near_duplicate`.

    The survivor is the one whose source comes first in `priority`, then the longest text, then the smallest id. It
    takes along the documents that share at least `threshold` of their shingles with it, `ngram` units long each; those
    that it does not take choose a survivor among themselves. Documents of fewer than `ngram` units are kept.
    Repeats do not count: a text and its repetition have the same shingles. Only the less wanted of two documents can
    go, so an excerpt from a preferred source stays beside its whole.

    `artifacts/<step>/clusters/` has a row for every document: `id`, `cluster_id` (the smallest id of its cluster),
    `survivor_id`, `similarity` to it and `status` (survivor, removed, alone). `curve.json` says which share of the
    pairs of each similarity is expected to be compared. docs/dedup.md tells how to choose.
    """

    kind: Literal["minhash_dedup"] = "minhash_dedup"
    threshold: float = Field(default=0.8, gt=0, le=1, description="least similarity to the survivor to be removed")
    bands: Annotated[int, Field(ge=1, le=4096)] | Auto = Field(
        default="auto", description="groups of signature values; more find more; auto: chosen for the threshold"
    )
    rows: Annotated[int, Field(ge=1, le=512)] | Auto = Field(
        default="auto", description="values in a band; more find only the more similar; auto: chosen for the threshold"
    )
    ngram: int = Field(default=5, ge=1, le=100, description="units in a shingle")
    unit: Unit = Field(
        default="auto",
        description="word: parted by white space; character: a code point; auto: words, or characters where a"
        " script has no spaces",
    )
    scheme: Scheme = Field(
        default="fast",
        description="how signatures are made; the others equal those of other tools; datatrove needs spaCy",
    )
    verify: Verify = Field(
        default="jaccard",
        description="similarity on the full text, shingles of both over those of either; containment: over those of the"
        " removed one; none: all that are linked, directly or not, keep one document",
    )
    keep_signatures: bool = Field(default=False, description="publish the signatures too, by id")

    @model_validator(mode="after")
    def _fields_fit(self) -> Self:
        if (self.bands == "auto") != (self.rows == "auto"):
            msg = f"bands is {self.bands!r} and rows is {self.rows!r}; expected two numbers, or auto for both"
            raise ValueError(msg)
        if self.bands != "auto" and self.rows != "auto" and self.bands * self.rows > LARGEST:
            size = self.bands * self.rows
            msg = f"bands {self.bands} of {self.rows} rows are {size} values; expected at most {LARGEST}"
            raise ValueError(msg)
        if self.scheme == "datatrove" and self.unit == "character":
            msg = "scheme 'datatrove' compares words, but unit is 'character'; leave unit out, or take another scheme"
            raise ValueError(msg)
        return self

    def banding(self) -> tuple[int, int]:
        """Bands and rows, as given or as chosen for the threshold."""
        if self.bands == "auto" or self.rows == "auto":
            from operators.banding import choose

            return choose(self.threshold, SIZE, *MISTAKES[self.verify])
        return self.bands, self.rows

    @override
    def check(self) -> None:
        """RecipeError where the scheme needs spaCy and it is not installed."""
        if self.scheme == "datatrove":
            from operators.reference_words import require_tokenizer

            require_tokenizer()

    @override
    def doubts(self) -> tuple[str, ...]:
        line = unlikely(*self.banding(), self.threshold, self.verify)
        return (line,) if line else ()

    @override
    def needs(self) -> Columns:
        return candidate_needs(self.priority)

    @override
    def adds(self) -> Columns:
        return {"similarity": pa.float64()}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        bands, rows = self.banding()
        size = SIZE if self.bands == "auto" else bands * rows
        width = size * VALUE_BYTES[self.scheme]
        how = {"unit": self.unit, "ngram": self.ngram, "scheme": self.scheme}
        found = {"threshold": self.threshold, "verify": self.verify}
        stages: list[Map | Fold | Repeat] = [
            Signer(name="signer", size=size, **how),
            Links(name="links", bands=bands, rows=rows, scheme=self.scheme, width=width),
            exchanged("links"),
            Members(name="members", priority=self.priority, **how, **found, width=width),
            Curve(name="curve", bands=bands, rows=rows, **found),
            *summary_stages("members", "clusters", reads_text=True),
        ]
        if self.keep_signatures:
            stages.append(PublishedSignatures(name="signatures", scheme=self.scheme, width=width))
        return *stages, Lost(name="verdict", rejects="near_duplicate", of="members", scored=True, **self.gates())


class Signer(Map):
    """Every document's signature as bytes, null where it is too short to have one."""

    unit: Unit
    ngram: int
    scheme: Scheme
    size: int

    revision: ClassVar[int] = 2  # every sigma is one letter

    @override
    def needs(self) -> Columns:
        return TEXT

    @override
    def adds(self) -> Columns:
        return {SIGNATURE: pa.binary(self.size * VALUE_BYTES[self.scheme])}

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.minhash import sign

        how = shingling_of(self.unit, self.ngram, self.scheme)

        def signed(rows: pa.Table) -> pa.Table:
            found = sign(one_array(rows["text"]), how, self.scheme, self.size)
            values = found.values.astype(value_type(self.scheme), copy=False)
            return pa.table({SIGNATURE: packed(values, found.signed)})

        return signed


class Links(Fold):
    """Link the documents that share a band: each with the first of its bucket, so a hot bucket costs no more links."""

    bands: int
    rows: int
    scheme: Scheme
    width: int

    key: ClassVar[str] = "band"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {SIGNATURE: pa.binary(self.width)}

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.minhash import band_keys

        def partial(rows: pa.Table) -> pa.Table:
            # Null signatures get keys too, which are left out: that copies less than to leave their signatures out.
            signed = pc.is_valid(rows[SIGNATURE]).to_numpy()
            keys = band_keys(signatures_of(rows[SIGNATURE], self.scheme), self.bands, self.rows)[signed]
            row = rows[ROW].to_numpy().astype(np.int32, copy=False)[signed]
            return pa.table({"band": keys.ravel(), ROW: np.repeat(row, self.bands)})

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_links": bucket_links(state["band"].to_numpy(), nodes_of(state))}


class PublishedSignatures(Fold):
    """The signatures by id, `signature` a fixed-size list of uint64; a document without one is not in it."""

    scheme: Scheme
    width: int

    key: ClassVar[str] = "id"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {SIGNATURE: pa.binary(self.width)}

    @override
    def bind(self, context: Context) -> BatchFn:
        def partial(rows: pa.Table) -> pa.Table:
            table = pa.table({"id": rows["id"].cast(pa.string()), "values": rows[SIGNATURE], ROW: rows[ROW]})
            return table.filter(pc.is_valid(table["values"]))

        return partial

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        state = state.sort_by([("id", "ascending")])
        values = signatures_of(state["values"], self.scheme).astype(np.uint64)
        size = self.width // VALUE_BYTES[self.scheme]
        lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), size)
        return {"signatures": pa.table({"id": state["id"], "signature": lists})}


class Curve(TableFold):
    """`curve.json`: which share of the pairs of a similarity is expected to be found, beside what was found."""

    threshold: float
    verify: Verify
    bands: int
    rows: int

    @override
    def source(self) -> str:
        return "stage:members/_counts"

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.banding import curve

        found = {name: pc.sum(state[name]).as_py() for name in state.column_names}
        content = {"verify": self.verify, "found": found, **curve(self.bands, self.rows, self.threshold)}
        return {"curve.json": f"{json.dumps(content, indent=1)}\n".encode()}


def unlikely(bands: int, rows: int, threshold: float, verify: Verify) -> str:
    """What to say where most pairs at the threshold are missed; "" where half of them meet, or where none is applied.

    >>> unlikely(1, 512, 0.8, "jaccard")[:63]
    'of the pairs at its threshold 0.8, 1 band of 512 rows compares '
    >>> unlikely(16, 8, 0.8, "jaccard"), unlikely(9, 13, 0.8, "none")
    ('', '')
    """
    from operators.banding import meeting_probability

    met = meeting_probability(threshold, bands, rows)
    if verify == "none" or met >= 0.5:
        return ""
    return (
        f"of the pairs at its threshold {threshold:g}, {bands} band{'s' * (bands > 1)} of {rows} rows compares "
        f"an expected share of {met:.2g}, so most are missed; take more bands of fewer rows, or leave both out"
    )


def bucket_links(keys: Words, nodes: Nodes) -> pa.Table:
    """The links of each set of nodes with the same key: its smallest node with every other, each link once.

    >>> bucket_links(np.array([7, 8, 7, 7], np.uint64), np.array([3, 4, 2, 9])).to_pylist()
    [{'a': 2, 'b': 3}, {'a': 2, 'b': 9}]
    """
    order = np.argsort(keys)
    keys = keys[order]
    follows = np.zeros(keys.size, bool)
    follows[1:] = keys[1:] == keys[:-1]
    # Most buckets hold one document: only the others are worth looking at.
    shared = follows | np.append(follows[1:], np.zeros(min(1, keys.size), bool))
    first = np.flatnonzero(~follows[shared])
    members = nodes[order[shared]]
    if not members.size:
        return links_table(members, members)
    centre = np.repeat(np.minimum.reduceat(members, first), np.diff(np.append(first, members.size)))
    return links_table(centre, members)
