"""The report: one HTML file that opens from disk, holds everything it shows, and runs no script.

It is made from the manifest and a few published files alone, and is the same for the same manifest. Whatever comes
from data passes `wording.text`; beside that, the page's own policy lets a browser run no script and load nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

from pipeline.report.appendix import appendix
from pipeline.report.duplicates import duplicates
from pipeline.report.funnel import funnel
from pipeline.report.headline import headline
from pipeline.report.makeup import makeup
from pipeline.report.reading import facts_of
from pipeline.report.rules import rules
from pipeline.report.scores import scores
from pipeline.report.sources import sources
from pipeline.report.timings import timings
from pipeline.report.trained import trained
from pipeline.report.wording import text

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
SECTIONS: Final = (
    ("funnel", "Funnel", funnel),
    ("rules", "Drops", rules),
    ("scores", "Scores", scores),
    ("duplicates", "Duplicates", duplicates),
    ("sources", "Sources", sources),
    ("corpus", "Corpus", makeup),
    ("trained", "Results", trained),
    ("time", "Time", timings),
    ("files", "Files", appendix),
)


def render(manifest: Mapping[str, Any], read: Callable[[str], bytes]) -> str:
    """The page for a run; `read` gives a published file by its name in the manifest."""
    run = facts_of(manifest, read)
    shown = [(anchor, label, body) for anchor, label, make in SECTIONS if (body := make(run))]
    if run.steps and all(step.kind == "infer_mixture" for step in run.steps):  # what it was run for comes first
        shown.sort(key=lambda section: section[0] != "trained")
    links = "".join(f'<a href="#{anchor}">{label}</a>' for anchor, label, _ in shown)
    title = f"{text(manifest.get('name', 'run'))} \u2013 vocabmill report"
    style = files("pipeline.report").joinpath("style.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{style}</style></head><body><div class='page'>{headline(run)}"
        f'<nav aria-label="Sections">{links}</nav><main>{"".join(body for _, _, body in shown)}</main>'
        "<footer><p>Made by vocabmill from <code>manifest.json</code>. This page loads nothing and runs no script.</p>"
        "</footer>"
        "</div></body></html>\n"
    )
