"""File systems and open files behind any URL, chained archives included.

An archive is opened once per process and kept (fsspec makes a new file system for every use, which for a zip of
100,000 members means reading its directory 100,000 times). A compressed tar has no random access: it is unpacked once
per process into a temporary file of its uncompressed size, which goes with the process. Plain tar and zip need no copy
and are the better choice for many small files.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import fsspec
from fsspec.compression import compr
from fsspec.core import url_to_fs

from operators.base import DataError
from pipeline.readers.base import MEGABYTE

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ARCHIVES: Final = ("zip", "tar")

_TAR_COMPRESSIONS: Final = {
    ".gz": "gzip",
    ".tgz": "gzip",
    ".bz2": "bz2",
    ".tbz2": "bz2",
    ".xz": "xz",
    ".txz": "xz",
    ".zst": "zstd",
    ".tzst": "zstd",
}
_UNREADABLE: Final = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, UnicodeDecodeError)
_MAX_OPEN: Final = 64
_open_archives: OrderedDict[tuple[str, str], tuple[str, AbstractFileSystem]] = OrderedDict()


def split_archive(url: str) -> tuple[str, str, str]:
    """The archive protocol, the member and the archive's own URL; ("", url, "") where the URL has no archive.

    >>> split_archive("zip://a/b.txt::/data/x.zip")
    ('zip', 'a/b.txt', '/data/x.zip')
    >>> split_archive("s3://bucket/x.jsonl")
    ('', 's3://bucket/x.jsonl', '')
    """
    head, chained, rest = url.partition("::")
    protocol, separated, member = head.partition("://")
    if not separated:
        protocol, member = head, ""
    if chained and protocol in ARCHIVES:
        return protocol, member, rest
    return "", url, ""


def locate(url: str, refresh: bool = False) -> tuple[AbstractFileSystem, str]:
    """The file system behind a URL and the path in it. `refresh` opens a remote archive anew: it may have changed."""
    protocol, member, archive = split_archive(url)
    if not protocol:
        try:
            return cast("tuple[AbstractFileSystem, str]", url_to_fs(url))
        except (ImportError, ValueError) as error:
            message = f"{url}: cannot be opened: {error}"
            raise DataError(message) from error
    return _archive(protocol, archive, refresh), member


def is_local(url: str) -> bool:
    """Whether the URL names a file of this machine, outside any archive."""
    return "::" not in url and ("://" not in url or url.startswith(("file://", "local://")))


def local_path(url: str) -> Path:
    """The path behind a local URL."""
    return Path(url.split("://", 1)[-1])


@contextmanager
def open_file(url: str) -> Iterator[BinaryIO]:
    """The raw (undecompressed) bytes behind a URL. Raises DataError where they cannot be had."""
    try:
        if is_local(url):
            stream, system = local_path(url).open("rb"), None
        else:
            system, path = locate(url)
            stream = system.open(path, "rb")
    except (FileNotFoundError, PermissionError, IsADirectoryError, KeyError, RuntimeError) as error:
        message = f"{url}: cannot be read: {error}"
        raise DataError(message) from error
    with stream:
        yield cast("BinaryIO", stream)
    del system  # kept till here: an archive file system closes its archive when it is collected


def _archive(protocol: str, url: str, refresh: bool) -> AbstractFileSystem:
    version = _version(url)
    key = (protocol, url)
    known = _open_archives.get(key)
    if known and known[0] == version and not (refresh and not version):
        _open_archives.move_to_end(key)
        return known[1]
    try:
        system = _open_archive(protocol, url)
    except (*_UNREADABLE, FileNotFoundError, PermissionError, IsADirectoryError) as error:
        message = f"{url}: not a readable {protocol} archive: {error}"
        raise DataError(message) from error
    _open_archives[key] = (version, system)
    if len(_open_archives) > _MAX_OPEN:
        _open_archives.popitem(last=False)
    return system


def _version(url: str) -> str:
    """What changes when a local or in-memory archive is replaced; "" for a remote one, which would cost a request."""
    _, _, archive = split_archive(url)
    if archive:
        return _version(archive)
    if not is_local(url) and not url.startswith("memory://"):
        return ""
    system, path = locate(url)
    try:
        return str(system.ukey(path))
    except (FileNotFoundError, PermissionError):
        return "missing"


def _open_archive(protocol: str, url: str) -> AbstractFileSystem:
    outer, path = locate(url)
    compression = _TAR_COMPRESSIONS.get(Path(path).suffix.lower()) if protocol == "tar" else None
    stream = outer.open(path, "rb")
    if compression:
        stream = _unpack(stream, compression)
    system = fsspec.filesystem(protocol, fo=stream)
    system.outer = outer  # an outer archive must stay open as long as the inner one
    return system


def _unpack(packed: BinaryIO, compression: str) -> BinaryIO:
    unpacked = tempfile.NamedTemporaryFile(suffix=".tar")  # noqa: SIM115 - lives as long as its file system
    with packed, compr[compression](packed, mode="rb") as stream:
        shutil.copyfileobj(stream, unpacked, MEGABYTE)
    unpacked.seek(0)
    return cast("BinaryIO", unpacked)
