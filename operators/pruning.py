"""Leave rare or very long pre-tokens out of training, and say what that costs.

Counts are pruned after they were added up over the whole corpus, never per shard, and only in scripts that write
spaces between words. Elsewhere a pre-token is a whole clause: nine in ten occur once, and leaving them out took three
quarters of the text of these scripts away, and two thirds of their tokens with it (measured on 103 MB; even so a
tenth of the vocabulary changes with `min_count` 5). The default prunes nothing.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

UNSPACED: Final = ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Yi")
"""Scripts without spaces between words; a pre-token that holds a character of one is never rare."""

_UNSPACED: Final = "[" + "".join(rf"\p{{{name}}}" for name in UNSPACED) + "]"


class Pruned(NamedTuple):
    """What is left to train on, and what went."""

    counts: pa.Table
    cost: list[dict[str, Any]]
    """For every reason and script: `distinct` pre-tokens, their `pretokens` in the text, and `bytes` of it."""


def prune(counts: pa.Table, min_count: int, max_pretoken_bytes: int) -> Pruned:
    r"""Leave out pre-tokens that occur less than `min_count` times, and those of more than `max_pretoken_bytes` bytes.

    Args:
        counts: `pretoken: large_binary` (UTF-8), `count: int64`, each pre-token once.
        min_count: 1 and less keep all; scripts of `UNSPACED` are exempt.
        max_pretoken_bytes: in any script; 0 keeps all.

    >>> table = pa.table({"pretoken": [b"rare", "\u7a00".encode(), b"often"], "count": [1, 1, 9]})
    >>> prune(table, 2, 0).counts["pretoken"].to_pylist()
    [b'\xe7\xa8\x80', b'often']
    >>> prune(table, 2, 0).cost
    [{'reason': 'min_count', 'script': 'Latin', 'distinct': 1, 'pretokens': 1, 'bytes': 4}]
    """
    cost: list[dict[str, Any]] = []
    if max_pretoken_bytes:
        long = pc.greater(pc.binary_length(counts["pretoken"]), max_pretoken_bytes)
        cost += _costs("max_pretoken_bytes", counts.filter(long))
        counts = counts.filter(pc.invert(long))
    if min_count > 1:
        rare = pc.less(counts["count"], min_count)
        spaced = pc.invert(pc.match_substring_regex(counts["pretoken"].cast(pa.large_string()), _UNSPACED))
        rare = pc.and_(rare, spaced)
        cost += _costs("min_count", counts.filter(rare))
        counts = counts.filter(pc.invert(rare))
    return Pruned(counts, cost)


def _costs(reason: str, gone: pa.Table) -> Iterator[dict[str, Any]]:
    """By script, the first letter's."""
    texts = gone["pretoken"].cast(pa.large_string())
    letters = pc.fill_null(pc.struct_field(pc.extract_regex(texts, r"(?P<letter>\p{L})"), "letter"), "")
    lengths = pc.cast(pc.binary_length(gone["pretoken"]), pa.int64())
    table = pa.table({"letter": letters, "pretokens": gone["count"], "bytes": pc.multiply(lengths, gone["count"])})
    summed = table.group_by("letter", use_threads=False).aggregate(
        [("pretokens", "count"), ("pretokens", "sum"), ("bytes", "sum")]
    )
    totals: dict[str, list[int]] = {}
    for row in summed.to_pylist():
        numbers = totals.setdefault(_script(row["letter"]), [0, 0, 0])
        for place, name in enumerate(("pretokens_count", "pretokens_sum", "bytes_sum")):
            numbers[place] += row[name]
    for script, (distinct, pretokens, num_bytes) in sorted(totals.items()):
        yield {"reason": reason, "script": script, "distinct": distinct, "pretokens": pretokens, "bytes": num_bytes}


def _script(letter: str) -> str:
    """The script of a letter; "none" for no letter.

    >>> _script("a"), _script("")
    ('Latin', 'none')
    """
    import regex

    from operators.corpus_stats import SCRIPTS

    if not letter:
        return "none"
    return next((name for name in SCRIPTS if regex.match(rf"\p{{Script={name}}}", letter)), "Other")
