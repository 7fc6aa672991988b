"""What the published corpus is made of: languages, scripts, lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.bins import Axis, Bin
from pipeline.report.figures import Segment, bar, histogram
from pipeline.report.markup import Column, code, facts, fold, rest_of, section, table
from pipeline.report.reading import Facts, Pair, top, total
from pipeline.report.wording import count, plural, share, short, size

LANGUAGES: Final = 20
SCRIPTS: Final = 12


def makeup(run: Facts) -> str:
    """The section."""
    languages = run.kept("by_lang")
    stats = _stats(run)
    left, right = _languages(languages), _lengths(run) + _scripts(stats)
    parts = [f'<div class="panel">{part}</div>' for part in (left, right) if part]
    lede = f"{plural(run.rows['kept'], 'document')}, {size(run.bytes_kept)} of text"
    lede += f", {plural(len(languages), 'language')}." if languages else "."
    panels = f'<div class="panels">{"".join(parts)}</div>' if parts else ""
    return section("corpus", "The corpus", lede, _totals(stats) + panels)


def _stats(run: Facts) -> Mapping[str, Any]:
    """What the last step that counted the corpus found, if one did."""
    names = [name for step in run.steps for name in step.artifacts if name.endswith("/stats.json")]
    found = run.json(names[-1]) if names else None
    return found if isinstance(found, dict) else {}


def _totals(stats: Mapping[str, Any]) -> str:
    """What the step counted: of the rows that reached it, which may be more than what was kept in the end."""
    names = [name for name in ("words", "characters") if isinstance(stats.get(name), int)]
    if not names:
        return ""
    counted = [("Counted over", plural(int(stats.get("documents", 0)), "document"))]
    return facts([*((name.capitalize(), short(stats[name])) for name in names), *counted])


def _bars(title: str, columns: Sequence[Column], rows: Sequence[tuple[str, float, Sequence[str]]]) -> str:
    """A table whose second column draws its numbers; the largest one fills it."""
    most = max((value for _, value, _ in rows), default=0)
    cells = [[name, bar([Segment(value, "docs")], most, ""), *others] for name, value, others in rows]
    spread = [columns[0], Column('<span class="unseen">bar</span>'), *columns[1:]]
    return table(title, spread, cells, kind="bars")


def _languages(languages: Mapping[str, Pair]) -> str:
    if not languages:
        return ""
    shown, others = top(languages, LANGUAGES)
    documents, _ = total(list(languages.items()))
    columns = [Column("language"), Column("documents", True), Column("share", True), Column("text", True)]
    rows = [_language(code("none" if name == "None" else name), pair, documents) for name, pair in shown]
    body = _bars("Languages", columns, rows)
    if not others:
        return body
    rest = _language(rest_of(len(others), "language"), total(others), documents)
    listed = ", ".join(f"{code(name)} {count(pair[0])}" for name, pair in others)
    note = fold(f"{rest[0]}: {plural(int(rest[1]), 'document')}, {rest[2][1]}", f'<p class="names">{listed}</p>')
    return body + note


def _language(name: str, pair: Pair, documents: int) -> tuple[str, float, Sequence[str]]:
    return name, pair[0], [count(pair[0]), share(pair[0], documents), size(pair[1])]


def _scripts(stats: Mapping[str, Any]) -> str:
    found = stats.get("scripts")
    if not isinstance(found, dict) or not found:
        return ""
    amounts = {name: (int(entry.get("characters", 0)), 0) for name, entry in found.items()}
    shown, others = top(amounts, SCRIPTS)
    whole = total(list(amounts.items()))[0]
    columns = [Column("script"), Column("characters", True), Column("share", True)]
    rows = [(code(name), float(n), [short(n), share(n, whole)]) for name, (n, _) in shown]
    if others:
        n, _ = total(others)
        rows.append((rest_of(len(others), "script"), float(n), [short(n), share(n, whole)]))
    return _bars("Scripts", columns, rows)


def _lengths(run: Facts) -> str:
    """Documents by length, in powers of two; the key is the number of bits of the length in bytes."""
    found = {int(bits): rows for bits, rows in run.manifest.get("kept", {}).get("lengths", {}).items()}
    if not found:
        return ""
    bits = range(max(min(found), 1), max(found) + 1)
    bins = [Bin(float(1 << n >> 1), float(1 << n), found.get(n, 0)) for n in bits]
    axis = Axis(bins[0].low, bins[-1].high, log=True, is_bytes=True) if bins else Axis(0, 1)
    middle = _median(found)
    half = f"At least half are shorter than {size(1 << middle)}."
    label = f"Documents by length in bytes; the median lies between {size(1 << middle >> 1)} and {size(1 << middle)}"
    rows = [[size(1 << n >> 1), size(1 << n), count(found[n])] for n in sorted(found)]
    columns = [Column("from", True), Column("below", True), Column("documents", True)]
    return (
        f'<figure class="wide"><figcaption><p class="caption">Lengths</p>'
        f'<p class="quiet">Bytes of a document, in powers of two. {half}</p>'
        f"</figcaption>{histogram(bins, axis, [], label)}"
        f"{fold('as a table', table('Documents by length', columns, rows), kind='data')}</figure>"
    )


def _median(found: Mapping[int, int]) -> int:
    """The bucket that the middle document is in.

    >>> _median({3: 1, 4: 1, 9: 5})
    9
    """
    half = sum(found.values()) / 2
    passed = 0
    for bits in sorted(found):
        passed += found[bits]
        if passed >= half:
            return bits
    return max(found)
