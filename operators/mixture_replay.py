"""The stage of `infer_mixture` that applies a tokenizer's merges to the counted text of all categories at once.

What it leaves is read by `operators/mixture_solving.py`: the counts of every pair in every category through time
(`kernels/replay.py`), as tables, and what the numbers stand for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import override

from operators.allowed_pairs import cut_words, without_long_pairs
from operators.base import Context, Outputs, RunError
from operators.chosen_tokenizer import OverCounts, cutting_of
from operators.encode import Merge
from operators.mixture_counts import source_of
from operators.mixtures import NULL
from operators.piece_rules import SPACE
from operators.pretoken_counts import GROUP
from operators.vocabulary import Vocabulary, merge_numbers, merge_table
from operators.vocabulary_training import pretokens_of

if TYPE_CHECKING:
    from operators.base import Artifact
    from operators.kernels.replay import Changes, Words

ABOUT: Final = "_about.json"
LOOKED_AT: Final = 2000
"""Merges that stand in no text and are looked at for whether the pattern cuts them."""


class Replay(OverCounts):
    """Counts of pairs by category through the merges of a tokenizer, from the table of pre-tokens."""

    merges: int
    """How many merges are applied."""
    skip: int
    """Merges before those, which the text is encoded with first."""

    revision: ClassVar[int] = 4  # says how much text has no value of the column, and which merges a pattern cuts

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.kernels.replay import replay

        source = source_of(self, context)
        vocabulary, first = source.vocabulary, source.assembly + self.skip
        live = source.merges[source.assembly :]
        used = live[self.skip : self.skip + self.merges]
        if not used:
            msg = f"the tokenizer has {len(live):,} merges that can be applied, of which {self.skip:,} are skipped"
            raise RunError(f"{msg}: none is left to infer a mixture from")
        names, words, num_bytes = counted(state, vocabulary, source.merges[:first], source.rules is not None)
        if source.rules:
            words = cut_words(words, vocabulary.tokens, source.alphabet, source.rules)
        rows = merge_numbers(vocabulary.tokens, used)
        changes = replay(words, rows, len(names))
        if source.rules:
            changes = without_long_pairs(changes, vocabulary.tokens, source.rules.max_characters)
        about = {
            "tokenizer_sha256": self.digest(context),
            "categories": names,
            "bytes": num_bytes.tolist(),
            "without": text_without(state),
            "merges": {
                "of_tokenizer": len(live),
                "skipped": min(self.skip, len(live)),
                "used": len(used),
                "cut": number_cut(used, changes.merged, self.patterns),
            },
            "of_characters": source.rules is not None,
            "first_segments": int(changes.steps[1]),
        }
        return {
            ABOUT: json.dumps(about).encode(),
            "_tokens": pa.table({"token": pa.array(vocabulary.tokens, pa.binary())}),
            "_pairs": pa.table({"left": changes.pairs[:, 0], "right": changes.pairs[:, 1]}),
            "_merges": pa.table({
                "left": rows[:, 0], "right": rows[:, 1], "pair": changes.merged, "segments": np.diff(changes.steps[1:]),
            }),
            "_segments": pa.table({"pair": changes.segment_pair, "entries": np.diff(changes.starts)}),
            "_entries": pa.table({"category": changes.category, "change": changes.change}),
        }  # fmt: skip


def number_cut(merges: list[Merge], merged: NDArray[np.int32], patterns: tuple[str, ...]) -> int:
    """How many merges stand in no text because the pattern that was named cuts what they make; without one, none.

    Of the first 2,000 that stand in none. A token that is no whole text is not looked at.

    >>> from operators.pretokenizers import cutting
    >>> number_cut([(b"a", b"b"), (b"b", b" c")], np.array([-1, -1]), cutting("gpt2").patterns)
    1
    """
    from operators.kernels.pretokenize import spans

    if not patterns:
        return 0
    places = np.flatnonzero(merged < 0)[:LOOKED_AT].tolist()
    tokens = (b"".join(merges[place]).decode("utf-8", "replace") for place in places)
    texts = pa.array([token for token in tokens if "\ufffd" not in token], pa.large_string())
    pieces = pc.list_value_length(spans(texts, cutting_of(patterns))).to_numpy()
    return int((pieces > 1).sum())


def text_without(state: pa.Table) -> dict[str, Any]:
    """How many bytes of a table of counts have no value to group by, and whether others have the word that those get.

    >>> counts = {"pretoken": [b"abc", b"ab", b"b"], "count": [2, 1, 1], "group": ["", "de", "null"]}
    >>> text_without(pa.table(counts))
    {'bytes': 6, 'shared': True}
    """
    rows = state.filter(pc.equal(state[GROUP], ""))
    size = pc.sum(pc.multiply(pc.binary_length(rows["pretoken"]), rows["count"])).as_py() or 0
    return {"bytes": size, "shared": bool(pc.any(pc.equal(state[GROUP], NULL)).as_py())}


def counted(
    state: pa.Table, vocabulary: Vocabulary, prefix: list[tuple[bytes, bytes]], marked: bool = False
) -> tuple[list[str], Words, NDArray[np.int64]]:
    """The names of the categories in order, the distinct pre-tokens by category, and each category's bytes.

    Args:
        state: the merged table of counts, with groups.
        vocabulary: whose token numbers the words are written in.
        prefix: merges that are applied to the words before anything is counted.
        marked: whether spaces are written as U+2581 and count as one byte.
    """
    from operators.kernels.encode import encode
    from operators.kernels.replay import Words

    state = state.sort_by([("pretoken", "ascending"), (GROUP, "ascending")])
    labels = state[GROUP].combine_chunks().dictionary_encode()
    labels = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
    found = [name or NULL for name in labels.dictionary.to_pylist()]  # rows without a value, and that word, are one
    names = sorted(set(found))
    place = np.array([names.index(name) for name in found], np.int16)
    categories = place[labels.indices.to_numpy()]
    pretokens, counts = pretokens_of(state), state["count"].to_numpy()
    coded = pretokens.dictionary_encode()
    words, number = coded.dictionary.cast(pa.large_binary()), coded.indices.to_numpy()
    starts = np.searchsorted(number, np.arange(len(words) + 1))
    table = merge_table(Vocabulary(vocabulary.ids, prefix, vocabulary.patterns))
    lists = encode(words, table)
    lengths = pc.binary_length(words).to_numpy()
    if marked:
        lengths = lengths - (len(SPACE.encode()) - 1) * pc.count_substring(words, SPACE).to_numpy()
    num_bytes = np.zeros(len(names), np.int64)
    np.add.at(num_bytes, categories, counts * lengths[number])
    symbols = lists.values.to_numpy().astype(np.int32)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return names, Words(symbols, offsets, starts, categories, counts), num_bytes


def read_changes(replayed: Artifact, about: dict[str, Any]) -> Changes:
    """What the stage left, as the kernel made it."""
    from operators.kernels.replay import laid_out

    pairs, merges = replayed.table("_pairs"), replayed.table("_merges")
    segments, entries = replayed.table("_segments"), replayed.table("_entries")
    return laid_out(
        np.stack([pairs["left"].to_numpy(), pairs["right"].to_numpy()], axis=1),
        merges["pair"].to_numpy(),
        np.concatenate(
            [[0, about["first_segments"]], about["first_segments"] + np.cumsum(merges["segments"].to_numpy())]
        ),
        segments["pair"].to_numpy(),
        np.concatenate([[0], np.cumsum(segments["entries"].to_numpy())]),
        entries["category"].to_numpy(),
        entries["change"].to_numpy(),
    )
