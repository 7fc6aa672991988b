"""The few shapes of HTML that every section is made of. What they are given is HTML already: see `wording.text`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.report.wording import clipped, count, text


class Column(NamedTuple):
    """A table's column: its head, and whether it holds numbers."""

    head: str
    numeric: bool = False


def code(name: object) -> str:
    """An identifier: a step, a rule, a column, a source; whole in its tooltip where it is long.

    A line may break after an underscore or a slash.

    >>> code("num_words")
    '<code>num_<wbr>words</code>'
    """
    title = f' title="{text(name)}"' if len(str(name)) > 80 else ""
    shown = clipped(name).replace("_", "_<wbr>").replace("/", "/<wbr>")
    return f"<code{title}>{shown}</code>"


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    """A table whose first cells name their rows. The caption is plain text; it also names the region that scrolls."""
    caption = clipped(caption, 200)
    heads = "".join(f'<th scope="col"{_number(column)}>{column.head}</th>' for column in columns)
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    table_class = f' class="{kind}"' if kind else ""
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table{table_class}>'
        f"<caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(columns: Sequence[Column], row: Sequence[str]) -> str:
    first, *rest = zip(columns, row, strict=True)
    cells = [f'<th scope="row"{_number(first[0])}>{first[1]}</th>']
    return "".join([*cells, *(f"<td{_number(column)}>{cell}</td>" for column, cell in rest)])


def _number(column: Column) -> str:
    return ' class="n"' if column.numeric else ""


def fold(summary: str, body: str, *, kind: str = "", is_open: bool = False) -> str:
    """Content behind a line that opens it."""
    attributes = (f' class="{kind}"' if kind else "") + (" open" if is_open else "")
    return f"<details{attributes}><summary>{summary}</summary>{body}</details>"


def section(anchor: str, title: str, lede: str, body: str) -> str:
    """A section of the page; the lede says in a sentence what it shows."""
    return (
        f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{title}</h2>'
        f'<p class="lede">{lede}</p>{body}</section>'
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values, side by side."""
    return (
        '<dl class="facts">' + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs) + "</dl>"
    )


def rest_of(num_hidden: int, noun: str, many: str = "") -> str:
    """What the last row of a shortened list says.

    >>> rest_of(1, "language"), rest_of(1200, "entry", "entries")
    ('1 other language', '1,200 other entries')
    """
    return f"{count(num_hidden)} other {noun if num_hidden == 1 else many or noun + 's'}"
