"""The files below a local directory, through links to directories, none of them lost without a word.

fsspec's walk keeps the error of the first directory and swallows those of the directories below it; it follows no link
to a directory, and hands out pipes as if they were files. So directories of this machine are walked here.

Links are followed after everything that lies in the directory itself, in the order of their names, and keep their own
names in the paths. A file that was reached already on another way is not taken twice, and a link that leads back to a
directory which it lies in is not followed: its files are listed there.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fsspec.utils import glob_translate

from operators.base import DataError

MARKERS: Final = frozenset({"_SUCCESS", "_metadata", "_common_metadata", "_temporary", "_delta_log", "__MACOSX"})
"""What Spark, Hadoop and macOS leave beside data."""
Found = dict[str, dict[str, Any]]
"""Name -> {"type", "size" in bytes}, as fsspec has them: type is file or directory."""

_KINDS: Final = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class _Place:
    """A directory: its name, where it really is, and the real directories that it was reached through."""

    name: str
    real: str
    trail: tuple[str, ...] = ()


def below(root: str, pattern: str = "**", *, hidden: bool = False) -> Found:
    """The files and directories below a directory that a glob matches, sorted by name.

    Args:
        root: absolute, as the file system spells it.
        pattern: relative to it.
        hidden: whether directories are entered whose names begin with "." or are markers.

    Raises OSError where a directory that may hold matching files cannot be listed.
    """
    walk = _Walk(root.rstrip("/"), pattern, hidden)
    ahead = [_Place(walk.root, os.path.realpath(root))]
    while ahead:
        links: list[_Place] = []
        for place in ahead:
            links += walk.take(place)
        ahead = sorted(links, key=lambda link: link.name)
    return dict(sorted(walk.found.items()))


def refuse_special(names: list[str]) -> None:
    """DataError where one of the files is none that can be read twice: a pipe, a socket or a device."""
    for name in names:
        try:
            kind = _KINDS.get(stat.S_IFMT(Path(name).stat().st_mode))
        except OSError:  # Whoever opens it says so.
            continue
        if kind:
            raise DataError(f"{name}: is {kind}; only regular files are read: move it, or name the files with a glob")


def _listed(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:  # It went away meanwhile.
        return []


class _Walk:
    def __init__(self, root: str, pattern: str, hidden: bool) -> None:
        self.root = root
        self.found: Found = {}
        self._seen: set[str] = set()
        self._hidden = hidden
        self._is_match = re.compile(glob_translate(pattern)).match
        self._parts = [re.compile(glob_translate(part)) if part != "**" else None for part in pattern.split("/")]

    def take(self, start: _Place) -> list[_Place]:
        """Everything below a directory except through links; returns the links to directories."""
        links: list[_Place] = []
        ahead = [start]
        while ahead:
            place = ahead.pop()
            for entry in _listed(place.name or "/"):
                name, real = f"{place.name}/{entry.name}", posixpath.join(place.real, entry.name)
                if not self._is_directory(entry, name):
                    self._take_file(entry, name, real)
                    continue
                if self._is_match(self._relative(name)):
                    self.found[name] = {"type": "directory", "size": 0}
                real = os.path.realpath(entry.path) if entry.is_symlink() else real
                trail = (*place.trail, place.real)
                if self._is_entered(name) and real not in trail:
                    (links if entry.is_symlink() else ahead).append(_Place(name, real, trail))
        return links

    def _relative(self, name: str) -> str:
        return name[len(self.root) + 1 :]

    def _is_directory(self, entry: os.DirEntry[str], name: str) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:  # A link to somewhere that cannot be looked at, or to itself.
            if error.errno != errno.ELOOP and self._is_entered(name):
                raise
            return False

    def _is_entered(self, name: str) -> bool:
        """Whether a directory may hold what matches."""
        parts = self._relative(name).split("/")
        if not self._hidden and (MARKERS.intersection(parts) or any(part.startswith(".") for part in parts)):
            return False
        for part, wanted in zip(parts, self._parts, strict=False):
            if wanted is None:
                return True
            if not wanted.match(part):
                return False
        return len(parts) < len(self._parts)

    def _take_file(self, entry: os.DirEntry[str], name: str, real: str) -> None:
        if real in self._seen or not self._is_match(self._relative(name)):
            return
        self._seen.add(real)
        try:
            size = entry.stat().st_size
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            size = 0  # A link to nothing: whoever opens it says so.
        self.found[name] = {"type": "file", "size": size}
