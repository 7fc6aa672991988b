"""What a tokenizer was trained on, what was left out of it and what each language got: tables of `training.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.report.markup import Column, code, fold, table
from pipeline.report.wording import number, share, size, text

MOST: Final = 24
"""Rows of what went in; the rest is added up in one."""


def trained_on(training: Mapping[str, Any]) -> str:
    """Documents and bytes by source, language and whatever else the rows tell apart, the largest first.

    Empty where the file does not say.
    """
    corpus = training.get("corpus")
    rows = corpus.get("by") if isinstance(corpus, dict) else None
    if not isinstance(rows, list) or not rows:
        return ""
    labels = {"source": "source", "lang": "language"}
    labels |= {name: name for row in rows for name in sorted(row) if name not in ("documents", "bytes", *labels)}
    ranked = sorted(rows, key=lambda row: (-row["bytes"], *(str(row.get(name)) for name in labels)))
    rest = ranked[MOST:]
    if rest:
        sums = {name: sum(row[name] for row in rest) for name in ("documents", "bytes")}
        ranked = [*ranked[:MOST], {"source": f"{len(rest)} more", **sums}]
    total = sum(row["bytes"] for row in ranked) or 1
    cells = [
        [
            *(text("" if row.get(name) is None else row[name]) for name in labels),
            number(row["documents"]),
            size(row["bytes"]),
            share(row["bytes"], total),
        ]
        for row in ranked
    ]
    heads = [Column(text(name)) for name in labels.values()]
    heads += [Column(name, True) for name in ("documents", "text", "of all text")]
    *first, last = (text(name) for name in labels.values())
    return fold(f"What it was trained on, by {', '.join(first)} and {last}", table("Trained on", heads, cells))


def left_out(training: Mapping[str, Any]) -> str:
    """Pre-tokens that pruning kept out of training, by rule and script, with their share of the text."""
    rows, corpus = training.get("left_out"), training.get("corpus")
    if not isinstance(rows, list) or not rows or not isinstance(corpus, dict):
        return ""
    total = corpus.get("bytes") or 1
    cells = [
        [
            code(row["reason"]),
            text(row["script"]),
            number(row["distinct"]),
            number(row["pretokens"]),
            size(row["bytes"]),
            share(row["bytes"], total),
        ]
        for row in rows
    ]
    heads = [Column("rule"), Column("script")]
    heads += [Column(name, True) for name in ("distinct", "pre-tokens", "text", "of all text")]
    return table("Counted, but not trained on", heads, cells)


def by_language(training: Mapping[str, Any]) -> str:
    """What each language chose and got by parity-aware merges, the worst off first; empty for any other training."""
    details = training.get("training")
    languages = details.get("languages") if isinstance(details, dict) else None
    if not isinstance(languages, dict) or not isinstance(details, dict) or not languages:
        return ""
    ranked = sorted(languages.items(), key=lambda item: (item[1]["bytes_per_token"], item[0]))
    cells = [
        [
            text(name),
            number(row["merges"]),
            number(row["tokens"]),
            number(row["bytes_per_token"]),
            number(row["bytes_per_token_by_global_merges"]),
        ]
        for name, row in ranked
    ]
    heads = [Column("language")]
    heads += [
        Column(name, True) for name in ("merges chosen", "tokens", "bytes per token", "if all had chosen together")
    ]
    note = (
        f"Measured on the {text(details['measured'])}. Gini coefficient of what languages pay: "
        f"{number(details['gini'])}; if all had chosen together {number(details['gini_by_global_merges'])}."
    )
    return fold("What each language chose and got", f"<p>{note}</p>" + table("By language", heads, cells))
