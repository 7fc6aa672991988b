"""Which files there are, how each may be cut, and which of them share a shard.

Files are the leaves of a binary trie on the hash of their relative paths; a branch becomes a group once its text fits
a shard. Adding or removing a file changes the one group that its hash falls into, or splits or joins that one. Large
files are cut at fixed ranges and share a shard with nobody.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from operators.base import RunError, fingerprint
from pipeline.readers.base import MEGABYTE, InputFile, Piece, ReadOptions
from pipeline.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REVISION: Final = 1
CLOCK_TICK_NS: Final = 20_000_000
"""Longer than a step of the clock that stamps files (4 to 10 ms on Linux)."""


@dataclass(frozen=True)
class Inspected:
    """A file's digest and how it is cut; `stamp` is what changes when the file does (none: only its content tells)."""

    file: InputFile
    digest: str
    bytes: int
    pieces: tuple[Piece, ...]
    stamp: tuple[int, ...] = ()


@dataclass(frozen=True)
class InspectTask:
    """Digest and layout of some files; remembered by size, times and inode, so an unchanged file is read once."""

    root: str
    format: str
    piece_bytes: int
    options: ReadOptions

    def name_of(self, files: tuple[InputFile, ...]) -> str:
        """Where the descriptor lies; "" where only the content could tell whether a file has changed."""
        stamps = [stamp_of(file) for file in files]
        if None in stamps:
            return ""
        known = [[file.url, file.size, stamp] for file, stamp in zip(files, stamps, strict=True)]
        how = [self.format, self.piece_bytes, self.options.text, self.options.documents, REVISION]
        return f"inspected/{fingerprint([known, how])[:40]}.json"

    def __call__(self, files: tuple[InputFile, ...]) -> dict[str, Any]:
        """Returns {"files": [{"digest", "format", "bytes", "cuts", "stamp"}, ...]} in order."""
        _settle(files)
        name = self.name_of(files)
        result = {"files": [self._inspect(file) for file in files]}
        if name:
            Vault(self.root).write_json(name, result)
        return result

    def _inspect(self, file: InputFile) -> dict[str, Any]:
        from pipeline.readers.files import digest
        from pipeline.readers.formats import infer_format
        from pipeline.readers.pieces import plan_pieces

        stamp = stamp_of(file)
        kind = infer_format(file) if self.format == "auto" else self.format
        layout = plan_pieces(file, kind, self.piece_bytes / MEGABYTE, self.options)
        cuts = [[piece.start, piece.stop] for piece in layout.pieces]
        return {"digest": digest(file), "format": kind, "bytes": layout.bytes, "cuts": cuts, "stamp": stamp or []}


def inspected(file: InputFile, content: dict[str, Any]) -> Inspected:
    """A file with what `InspectTask` found."""
    pieces = tuple(Piece(file, content["format"], start, stop) for start, stop in content["cuts"])
    return Inspected(file, content["digest"], content["bytes"], pieces, tuple(content["stamp"]))


def bundles(files: Sequence[InputFile], size: int) -> list[tuple[InputFile, ...]]:
    """About `size` files each, by a hash of their paths, so that a further file changes one bundle."""
    count = 1 << max(0, (len(files) // size).bit_length())
    found: dict[int, list[InputFile]] = {}
    for file in files:
        number = int.from_bytes(hashlib.sha256(file.path.encode()).digest()[:8]) % count
        found.setdefault(number, []).append(file)
    return [tuple(found[number]) for number in sorted(found)]


def _settle(files: Sequence[InputFile]) -> None:
    """Wait until whatever changes a file from now on also changes its stamp: the clock of a disk ticks in steps."""
    changed = max((stamp[2] for file in files if (stamp := stamp_of(file))), default=0)
    age = time.time_ns() - changed
    if 0 <= age < CLOCK_TICK_NS:
        time.sleep((CLOCK_TICK_NS - age) / 1e9)


def stamp_of(file: InputFile) -> list[int] | None:
    """What changes when a local file does; None where only its content can tell."""
    if "::" in file.url or ("://" in file.url and not file.url.startswith("file://")):
        return None
    path = Path(file.url.removeprefix("file://"))
    try:
        stats = [entry.stat() for entry in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    except OSError:
        return None
    return [number for s in stats for number in (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)]


@dataclass(frozen=True)
class IngestItem:
    """The pieces that one task reads, of one format, with their files' digests; documents follow in this order."""

    pieces: tuple[tuple[Piece, str], ...]
    bytes: int
    stamps: tuple[tuple[InputFile, tuple[int, ...]], ...] = ()

    def refuse_changes(self) -> None:
        """After reading: what was read must be what was looked at, or it would lie under another content's key.

        Raises:
            RunError: a file has changed since.
        """
        for file, stamp in self.stamps:
            if stamp and tuple(stamp_of(file) or ()) != stamp:
                raise RunError(f"{file.path} changed while it was read; run the same command again once it is at rest")

    @property
    def label(self) -> str:
        """For progress and errors."""
        first = self.pieces[0][0].file.path
        return first if len(self.pieces) == 1 else f"{first} and {len(self.pieces) - 1} more files"


def group_files(files: Sequence[Inspected], shard_bytes: int) -> list[IngestItem]:
    """Balanced groups by the trie of path hashes; the order of groups and of files in them follows the hash and path.

    A group holds one format and at most `shard_bytes` of text by estimate; two sibling groups together hold more.
    """
    large = [f for f in files if len(f.pieces) > 1 or f.bytes > shard_bytes]
    small = [f for f in files if not (len(f.pieces) > 1 or f.bytes > shard_bytes)]
    groups: list[tuple[str, IngestItem]] = []
    for kind in sorted({f.pieces[0].format for f in small}):
        keyed = [(hashlib.sha256(f.file.path.encode()).hexdigest(), f) for f in small if f.pieces[0].format == kind]
        for key, group in _trie(sorted(keyed, key=lambda item: item[0]), shard_bytes, 0):
            pieces = tuple((f.pieces[0], f.digest) for f in group)
            stamps = tuple((f.file, f.stamp) for f in group)
            groups.append((key, IngestItem(pieces, sum(f.bytes for f in group), stamps)))
    for file in large:
        key = hashlib.sha256(file.file.path.encode()).hexdigest()
        share = file.bytes // max(1, len(file.pieces))
        stamps = ((file.file, file.stamp),)
        groups.extend((key, IngestItem(((piece, file.digest),), share, stamps)) for piece in file.pieces)
    return [item for _, item in sorted(groups, key=lambda group: group[0])]


def _trie(keyed: list[tuple[str, Inspected]], limit: int, depth: int) -> Iterable[tuple[str, list[Inspected]]]:
    """Split by the next bit of the hash until a branch fits."""
    if not keyed:
        return
    if sum(f.bytes for _, f in keyed) <= limit or len(keyed) == 1 or depth == 256:
        yield keyed[0][0], sorted((f for _, f in keyed), key=lambda f: f.file.path)
        return
    ones = [bool(int(key[depth // 4], 16) >> (3 - depth % 4) & 1) for key, _ in keyed]
    for bit in (False, True):
        yield from _trie([item for item, one in zip(keyed, ones, strict=True) if one == bit], limit, depth + 1)
