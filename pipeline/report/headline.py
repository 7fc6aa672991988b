"""The top of the page: what came in, what is left, what it took, and where the rest went, in one look."""

from __future__ import annotations

from typing import Final

from pipeline.report.figures import Segment, bar
from pipeline.report.markup import code, facts
from pipeline.report.reading import Facts
from pipeline.report.trained import vocabularies
from pipeline.report.trimmed import trimmed_sizes
from pipeline.report.wording import count, duration, plural, share, short, size, text

SHADES: Final = 5
"""Steps that have a colour of their own in the bar; the others share the last."""


def headline(run: Facts) -> str:
    """The header: the sentence, the bar with its legend, and the run's facts."""
    rows, manifest = run.rows, run.manifest
    name = text(manifest.get("name", "run"))
    made = f"Run {code(manifest.get('run_id', ''))} finished {text(_moment(str(manifest.get('created', ''))))}"
    host = f" on {text(manifest['host'])}" if manifest.get("host") else ""
    return (
        f'<header><p class="over">vocabmill report</p><h1>{name}</h1>'
        f'<p class="claim"><span><b>{short(rows["read"])}</b> {_documents(rows["read"])} read</span> '
        f'<span class="left"><span class="arrow" aria-hidden="true">\u2192</span>'
        f"<b>{short(rows['kept'])}</b> kept</span> "
        f'<span class="part">{share(rows["kept"], rows["read"])}</span></p>'
        f"{_whereabouts(run)}{facts(_facts(run))}{_warnings(run)}<p class='made'>{made}{host}.</p></header>"
    )


def reasons(run: Facts) -> list[tuple[int, str, str]]:
    """Every rule that dropped something: (rows, step, rule), largest first."""
    found = [(rows, step.name, rule) for step in run.steps for rule, rows in step.dropped.items() if rows]
    return sorted(found, key=lambda entry: (-entry[0], entry[1], entry[2]))


def _documents(number: int) -> str:
    return "document" if number == 1 else "documents"


def _moment(created: str) -> str:
    """An ISO time as a person writes it.

    >>> _moment("2026-11-21T23:41:51Z")
    '2026-11-21 at 23:41 UTC'
    """
    day, _, clock = created.partition("T")
    return f"{day} at {clock[:5]} UTC" if clock.endswith("Z") else created


def _whereabouts(run: Facts) -> str:
    """One bar for every row that was read: kept, dropped by step, quarantined."""
    rows = run.rows
    dropping = [(step.num_dropped, step.name) for step in run.steps if step.num_dropped]
    losses = sorted(dropping, key=lambda entry: (-entry[0], entry[1]))
    entries = [("docs", rows["kept"], "kept")]
    entries += [(f"lost-{place}", number, code(name)) for place, (number, name) in enumerate(losses[:SHADES], 1)]
    others = losses[SHADES:]
    if others:
        entries.append(("lost-rest", sum(number for number, _ in others), plural(len(others), "other step")))
    if rows["quarantined"]:
        entries.append(("bad", rows["quarantined"], "unreadable or repeated rows"))
    segments = [Segment(number, kind) for kind, number, _ in entries]
    legend = "".join(
        f'<li><i class="key {kind}" aria-hidden="true"></i>{what} <b>{short(number)}</b> '
        f'<span class="quiet">{share(number, rows["read"])}</span></li>'
        for kind, number, what in entries
    )
    picture = bar(segments, rows["read"], "") if rows["read"] else ""
    return f'<div class="whereabouts">{picture}<ul class="legend">{legend}</ul></div>'


def _warnings(run: Facts) -> str:
    lines = "".join(f"<li>{text(line)}</li>" for line in run.manifest.get("warnings", ()))
    return f'<ul class="warning">{lines}</ul>' if lines else ""


def _facts(run: Facts) -> list[tuple[str, str]]:
    manifest = run.manifest
    pairs = [
        ("Text kept", f"{size(run.bytes_kept)} <small>of {size(run.bytes_read)}</small>"),
        ("Trained", _trained(run)),
    ]
    pairs += [
        ("Trimmed", f"{count(before)} <small>to</small> {count(after)} <small>tokens</small>")
        for before, after in trimmed_sizes(run)[:2]
    ]
    if "seconds" in manifest:
        pairs.append(("Time", duration(manifest["seconds"])))
    if manifest.get("peak_rss_mb"):
        pairs.append(("Memory at most", size(manifest["peak_rss_mb"] * 1e6)))
    found = reasons(run)
    if found:
        rows, _, rule = found[0]
        pairs.append(("Most drops by", f"{code(rule)} <small>{share(rows, run.rows['dropped'])}</small>"))
    return pairs


def _trained(run: Facts) -> str:
    sizes = vocabularies(run)
    if not sizes:
        return "no tokenizer"
    listed = ", ".join(count(number) for number in sizes[:3]) + (" \u2026" if len(sizes) > 3 else "")
    return f"{plural(len(sizes), 'tokenizer')} <small>of {listed} tokens</small>"
