"""The end of the page: what was published, with digests; the versions; the recipe with every default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from pipeline.report.markup import Column, code, fold, section, table
from pipeline.report.reading import Facts
from pipeline.report.wording import count, plural, size, text

FILES_SHOWN: Final = 200
_FIRST: Final = ("kind", "name", "path", "format")


def appendix(run: Facts) -> str:
    """The section."""
    files: Mapping[str, Mapping[str, Any]] = run.manifest.get("files", {})
    written = sum(entry.get("bytes", 0) for entry in files.values())
    lede = f"{plural(len(files), 'file')}, {size(written)} on disk; the recipe and the versions that made them."
    body = _folders(files) + fold("Every file with its digest", _files(files))
    body += fold("Versions", _versions(run)) + fold("The recipe with every default", _recipe(run))
    return section("files", "Files, versions, recipe", lede, body)


def _folders(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Files, rows and bytes by the folder that they lie in."""
    folders: dict[str, list[int]] = {}
    for name, entry in sorted(files.items()):
        parts = name.split("/")
        folder = "/".join(parts[:2] if parts[0] == "artifacts" and len(parts) > 2 else parts[:1])
        have = folders.setdefault(folder, [0, 0, 0])
        folders[folder] = [have[0] + 1, have[1] + entry.get("rows", 0), have[2] + entry.get("bytes", 0)]
    columns = [Column("folder"), Column("files", True), Column("rows", True), Column("size", True)]
    rows = [[code(name), count(n), count(rows) if rows else "", size(b)] for name, (n, rows, b) in folders.items()]
    return table("Published files by folder", columns, rows) if rows else ""


def _files(files: Mapping[str, Mapping[str, Any]]) -> str:
    columns = [Column("file"), Column("rows", True), Column("size", True), Column("sha256")]
    rows = [_file(name, entry) for name, entry in sorted(files.items())[:FILES_SHOWN]]
    more = len(files) - FILES_SHOWN
    note = f"<p class='quiet'>{plural(more, 'more file')} in {code('manifest.json')}.</p>" if more > 0 else ""
    return table("Files", columns, rows, kind="digests") + note


def _file(name: str, entry: Mapping[str, Any]) -> list[str]:
    rows = count(entry["rows"]) if entry.get("rows") else ""
    return [code(name), rows, size(entry.get("bytes", 0)), code(entry.get("sha256", ""))]


def _versions(run: Facts) -> str:
    rows = [[code(name), code(version)] for name, version in sorted(run.manifest.get("versions", {}).items())]
    return table("Versions", [Column("package"), Column("version")], rows)


def _recipe(run: Facts) -> str:
    shown = yaml.safe_dump(_ordered(run.manifest.get("recipe", {})), sort_keys=False, allow_unicode=True, width=100)
    return f"<pre>{text(shown)}</pre>"


def _ordered(value: object) -> object:
    """The same content with kind and name first, so that the page does not depend on how the manifest was sorted.

    >>> list(_ordered({"a": 1, "name": "x", "kind": "y"}))
    ['kind', 'name', 'a']
    """
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (_FIRST.index(key) if key in _FIRST else len(_FIRST), key))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_ordered(entry) for entry in value]
    return value
