"""The files of an input: entries of a recipe -> a sorted list; and the digest of a file's content.

A file's relative path is an identity: it goes into document ids. So it depends on the recipe's text alone: each entry
has a root, the directories before its first wildcard (of an entry without wildcards: its parent), and paths are
relative to the deepest directory that all roots share. Adding files never renames others; editing the entries may.

Names that begin with "." and the marker files of Spark and Hadoop are left out of directories and globs. On this
machine links to directories are followed (`local_files`).
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from fsspec.utils import glob_translate

from operators.base import DataError, RecipeError
from pipeline.readers.base import InputFile
from pipeline.readers.formats import format_by_name, infer_format
from pipeline.readers.local_files import MARKERS, below, refuse_special
from pipeline.readers.storage import ARCHIVES, is_local, locate, open_file, split_archive

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_WILDCARDS: Final = re.compile(r"[*?\[]")
_SAVED_SPLIT: Final = ("state.json", "dataset_info.json")
_SAVED_DICT: Final = "dataset_dict.json"
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class _Found:
    url: str
    written: str
    size: int


def list_files(entries: tuple[str, ...], format: str | None = None) -> list[InputFile]:  # noqa: A002
    """Every file behind the entries, sorted by relative path.

    An entry is a path, a directory, a glob or a chained URL (`zip://**/*.txt::data/*.zip`). Of a directory those files
    are taken whose names tell `format`; without `format` its names must all tell the same one.

    Raises:
        DataError: an entry finds nothing or cannot be read, or two entries find the same file.
        RecipeError: without `format`, a directory holds names that tell no format or several.
    """
    base = _common([_root(entry) for entry in entries])
    files: dict[str, InputFile] = {}
    for entry in entries:
        for found in _expand(entry, format):
            path = _relative(found.written, base)
            if path in files:
                message = f"{found.url}: found twice, also as {files[path].url}; let the input's entries not overlap"
                raise DataError(message)
            files[path] = InputFile(found.url, _checked(path), found.size)
    return [files[path] for path in sorted(files)]


def digest(file: InputFile) -> str:
    """sha256 (hex) of the file's bytes as stored; of a saved dataset: over the digests of its data files in order."""
    whole = hashlib.sha256()
    if not file.url.endswith("/"):
        _feed(whole, file.url)
        return whole.hexdigest()
    from pipeline.readers.arrow import data_files

    for url in data_files(file):
        part = hashlib.sha256()
        _feed(part, url)
        whole.update(part.digest())
    return whole.hexdigest()


def _feed(hasher: hashlib._Hash, url: str) -> None:
    with open_file(url) as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)


def _as_written(entry: str) -> str:
    """The outermost storage path of an entry, normalised as text: `s3://b/x` -> `s3/b/x`, `./a//b` -> `a/b`."""
    while split_archive(entry)[0]:
        entry = split_archive(entry)[2]
    if is_local(entry):
        return posixpath.normpath(entry.split("://", 1)[-1])
    protocol, _, rest = entry.partition("://")
    return posixpath.normpath(f"{protocol}/{rest.lstrip('/')}")


def _root(entry: str) -> str:
    """The directories before the first wildcard; without one, the parent."""
    parts = _as_written(entry).split("/")
    first = next((i for i, part in enumerate(parts) if _WILDCARDS.search(part)), len(parts) - 1)
    return "/".join(parts[:first]) or ("/" if parts[0] == "" else "")


def _common(roots: list[str]) -> str:
    try:
        return posixpath.commonpath(roots)
    except ValueError:  # none at all, or absolute and relative ones together
        return ""


def _relative(written: str, base: str) -> str:
    if base and written.startswith(base.rstrip("/") + "/"):
        written = written[len(base.rstrip("/")) + 1 :]
    return written.lstrip("/")


def _checked(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        message = f"{path!r}: the file's name is not valid UTF-8; rename the file"
        raise DataError(message) from error
    return path


def _expand(entry: str, wanted: str | None) -> list[_Found]:
    protocol, pattern, archive = split_archive(entry)
    if protocol:
        return [found for outer in _expand(archive, "") for found in _members(entry, protocol, pattern, outer)]
    if "::" in entry:
        message = f"{entry}: only {' and '.join(ARCHIVES)} may be chained with '::'"
        raise RecipeError(message)
    system, path = locate(entry)
    try:
        listing, is_directory = _list(system, path, is_local(entry), wanted)
    except (PermissionError, NotADirectoryError) as error:
        message = f"{entry}: cannot be listed: {error}"
        raise DataError(message) from error
    names = _chosen(entry, list(listing), wanted) if is_directory else list(listing)
    if is_local(entry):
        refuse_special(names)
    if not names:
        raise DataError(f"{entry}: {_nothing_there(system, entry, path)}")
    root = _root(entry)
    skip = len(_storage_root(system, entry, root).rstrip("/")) + 1
    return [_Found(_url(name, entry), posixpath.join(root, name[skip:].rstrip("/")), listing[name]) for name in names]


def _nothing_there(system: AbstractFileSystem, entry: str, path: str) -> str:
    if _WILDCARDS.search(path) and system.exists(path):
        return f"no file matches, but one has this very name: *, ? and [ are wildcards in a path; write {escape(entry)}"
    return "no such file, or no file matches; check the path (globs do not match hidden files)"


def _storage_root(system: AbstractFileSystem, entry: str, root: str) -> str:
    """The entry's root as the file system spells it in its listings."""
    if not is_local(entry):
        protocol, _, rest = root.partition("/")
        root = f"{protocol}://{rest}"
    return str(system._strip_protocol(root or "."))


def _url(name: str, entry: str) -> str:
    if is_local(entry) or "://" in name:
        return name
    return f"{entry.partition('://')[0]}://{name.lstrip('/')}"


def _list(system: AbstractFileSystem, path: str, local: bool, wanted: str | None) -> tuple[dict[str, int], bool]:
    """Name -> size of the files behind a path or glob, and whether it was a plain directory."""
    try:
        if _WILDCARDS.search(path):
            root = posixpath.dirname(_WILDCARDS.split(path)[0])
            hidden = "/." in path[len(root) :]
            found = (
                below(root, path[len(root) :].lstrip("/"), hidden=hidden) if local else system.glob(path, detail=True)
            )
            listing = _visible(found, root, hidden)
            if wanted == "hf" or not listing:
                listing |= _saved_below(system, found, local)
            return _collapsed(listing), False
        info = system.info(path)
        if info["type"] != "directory":
            return {info["name"]: info["size"] or 0}, False
        path = info["name"].rstrip("/")
        return _collapsed(_visible(_all_below(system, path, local), path, False)), True
    except FileNotFoundError:
        return {}, False


def _all_below(system: AbstractFileSystem, path: str, local: bool) -> Mapping[str, Any]:
    return below(path) if local else cast("Mapping[str, Any]", system.find(path, detail=True))


def _saved_below(system: AbstractFileSystem, found: Mapping[str, Any], local: bool) -> dict[str, int]:
    """The files of saved datasets among the directories that a glob matched."""
    listing: dict[str, int] = {}
    marks = (_SAVED_SPLIT[0], _SAVED_DICT)
    for name, info in found.items():
        if info["type"] == "directory" and any(_is_there(system, f"{name}/{mark}", local) for mark in marks):
            listing |= _visible(_all_below(system, name, local), name, False)
    return listing


def _is_there(system: AbstractFileSystem, name: str, local: bool) -> bool:
    return Path(name).exists() if local else bool(system.exists(name))  # fsspec's is silent where it may not look.


def _visible(found: Mapping[str, Any], root: str, hidden: bool) -> dict[str, int]:
    listing = {}
    for name, info in found.items():
        parts = name[len(root) :].split("/")
        if info["type"] == "directory":
            continue
        if not MARKERS.intersection(parts) and (hidden or not any(part.startswith(".") for part in parts)):
            listing[name] = info["size"] or 0
    return listing


def _collapsed(listing: dict[str, int]) -> dict[str, int]:
    """Replace the files of every saved dataset split by its directory, whose name ends in "/"."""
    folders = {posixpath.dirname(name) for name in listing if posixpath.basename(name) == _SAVED_SPLIT[0]}
    splits = {folder for folder in folders if f"{folder}/{_SAVED_SPLIT[1]}" in listing}
    result: Counter[str] = Counter()
    for name, size in listing.items():
        folder = posixpath.dirname(name)
        if posixpath.basename(name) != _SAVED_DICT or not splits:
            result[f"{folder}/" if folder in splits else name] += size
    return dict(result)


def _chosen(entry: str, names: list[str], wanted: str | None) -> list[str]:
    """Of a directory's files those whose names tell the wanted format; all, if none is wanted and they agree."""
    if not names or wanted == "":
        return names
    if wanted is None:
        kinds = Counter(infer_format(name) for name in names)
        if len(kinds) > 1:
            shown = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
            message = (
                f"{entry}: the directory holds files of several formats ({shown}); name those of one with a glob "
                f"such as {entry.rstrip('/')}/**/*{posixpath.splitext(names[0])[1]}, or say in a recipe which with "
                "`format:`"
            )
            raise RecipeError(message)
        return names
    chosen = [name for name in names if format_by_name(name) == wanted]
    if not chosen:
        shown = ", ".join(posixpath.basename(name.rstrip("/")) for name in sorted(names)[:3])
        message = (
            f"{entry}: no file of the directory has a name that tells format {wanted} (it holds {shown}); "
            f"name the files with a glob such as {entry.rstrip('/')}/**/*"
        )
        raise DataError(message)
    return chosen


def _members(entry: str, protocol: str, pattern: str, outer: _Found) -> list[_Found]:
    """The archive members that a pattern matches. One pass over the archive's index, whatever its folders."""
    system, _ = locate(f"{protocol}://::{outer.url}", refresh=True)
    system.info("")
    sizes = {name: info["size"] for name, info in system.dir_cache.items() if info["type"] == "file"}
    pattern = pattern.strip("/")
    if pattern in sizes:
        chosen = {pattern: sizes[pattern]}
    elif _WILDCARDS.search(pattern):
        matcher = re.compile(glob_translate(pattern))
        chosen = {name: size for name, size in sizes.items() if matcher.match(name)}
    else:
        prefix = f"{pattern}/" if pattern else ""
        chosen = {name: size for name, size in sizes.items() if name.startswith(prefix)}
    visible = {n: s for n, s in chosen.items() if n == pattern or not _is_hidden(n)}
    if not visible:
        message = f"{entry}: no member of {outer.url} matches {pattern!r}; it has {len(sizes)} members"
        raise DataError(message)
    return [
        _Found(f"{protocol}://{name}::{outer.url}", f"{outer.written}/{name}", size) for name, size in visible.items()
    ]


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return bool(MARKERS.intersection(parts)) or any(part.startswith(".") for part in parts)
