"""A directory on any fsspec file system: atomic commits, memory-mapped reads, one writer at a time.

Every file is written whole: on a local disk under a temporary name and then renamed, on an object store by one PUT.
So a name either holds a complete file or does not exist, and a task that runs twice, or dies half-way, does no harm.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import fsspec
import pyarrow as pa

from operators.base import RecipeError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE_SECONDS = 60.0
BEAT_SECONDS = 15.0
"""A lease is renewed so often: three beats may fail before it ends."""
log = logging.getLogger("vocabmill")
TEMPORARY = ".tmp"
Json: TypeAlias = Any
FileSystem: TypeAlias = Any


class Store:
    """A root directory and the files under it, named by relative posix paths. Picklable; cheap to make again."""

    def __init__(self, root: str) -> None:
        self.root = root
        fs, base = filesystem(root)
        self.fs = fs
        self.base = base.rstrip("/")
        self.is_local = is_local(fs)

    def __reduce__(self) -> tuple[Any, ...]:
        """A store travels to workers as its URL."""
        return (Store, (self.root,))

    def full(self, name: str) -> str:
        """The path of a file on its file system."""
        return f"{self.base}/{name}" if name else self.base

    def exists(self, name: str) -> bool:
        """Whether the file is there, and then it is complete."""
        return Path(self.full(name)).exists() if self.is_local else bool(self.fs.exists(self.full(name)))

    def size(self, name: str) -> int:
        """A file's size in bytes."""
        return int(self.fs.size(self.full(name)))

    def read(self, name: str) -> bytes:
        """A file's bytes."""
        if self.is_local:
            return Path(self.full(name)).read_bytes()
        content: bytes = self.fs.cat_file(self.full(name))
        return content

    def buffer(self, name: str, *, verify: bool = True) -> pa.NativeFile:
        """A file for Arrow to read: memory-mapped where the disk is local, fetched whole where it is remote."""
        del verify  # There is nothing to verify it by; see `Vault`.
        if self.is_local:
            return pa.memory_map(self.full(name), "rb")
        return pa.BufferReader(self.fs.cat_file(self.full(name)))

    def write(self, name: str, content: bytes | pa.Buffer, *, durable: bool = False) -> None:
        """Commit a whole file. `durable` also waits until a local disk holds it."""
        if not self.is_local:
            self._mkdirs(name)
            self.fs.pipe_file(self.full(name), bytes(content))
            return
        target = Path(self.full(name))
        temporary = Path(self.base) / TEMPORARY / f"{os.getpid()}-{uuid.uuid4().hex}"
        try:
            with _open_new(temporary) as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def read_json(self, name: str) -> Json:
        """A JSON file's content."""
        return json.loads(self.read(name))

    def write_json(self, name: str, content: object, *, durable: bool = False) -> None:
        """Commit a JSON file, keys sorted."""
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        self.write(name, text.encode(), durable=durable)

    def names(self, directory: str) -> list[str]:
        """Sorted names of the files directly in a directory; none where it does not exist or is a file."""
        try:
            listing = self.fs.ls(self.full(directory), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in listing)

    def files(self, directory: str) -> list[str]:
        """Sorted names of all files below a directory, as this store names them."""
        try:
            listing = self.fs.find(self.full(directory))
        except FileNotFoundError:
            return []
        start = len(str(self.fs._strip_protocol(self.base))) + 1
        return sorted(str(path)[start:] for path in listing)

    def remove(self, name: str) -> None:
        """Delete a file or a directory with all that it holds; nothing happens where it is not."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(self.full(name), recursive=True)

    def sweep(self) -> None:
        """Delete what dead writers left half written. Only the holder of the lock may call it."""
        self.remove(TEMPORARY)

    def _mkdirs(self, name: str) -> None:
        parent = self.full(name).rsplit("/", 1)[0]
        with contextlib.suppress(FileExistsError, PermissionError, NotImplementedError):
            self.fs.makedirs(parent, exist_ok=True)


def filesystem(url: str) -> tuple[FileSystem, str]:
    """The file system of a URL and the path on it; a protocol that is unknown or lacks its package is refused."""
    is_relative = "://" not in url and not url.startswith("/")
    return _filesystem(url, str(Path.cwd()) if is_relative else "")


@lru_cache(maxsize=64)
def _filesystem(url: str, below: str) -> tuple[FileSystem, str]:
    """Remembered for a relative path only as long as the working directory `below` it stays."""
    del below
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise RecipeError(
            f"cannot open {url!r}: {error}; install the file system's package or correct the URL"
        ) from error
    return fs, str(path)


def is_local(fs: FileSystem) -> bool:
    """Whether a file system is this machine's disk."""
    protocol = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
    return "file" in protocol


def _open_new(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


@contextlib.contextmanager
def exclusive(store: Store) -> Iterator[None]:
    """Hold the directory for this process, or raise RunError that names the holder.

    On a local disk an flock, which the kernel frees when its owner dies, however it dies. On an object store a lease
    that expires after `LEASE_SECONDS` unless its owner renews it, as it does every `BEAT_SECONDS`.
    """
    holder = {"host": socket.gethostname(), "pid": os.getpid()}
    if store.is_local:
        with _flock(Path(store.full("lock")), holder):
            yield
    else:
        with _lease(store, holder):
            yield


@contextlib.contextmanager
def _flock(path: Path, holder: dict[str, object]) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # As below /proc.
        raise RunError(f"no directory {str(path.parent)!r} can be made; choose another --out or --work-dir") from error
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise RunError(
                f"another run holds {path.parent} ({file.read().strip() or 'owner unknown'}); "
                "wait for it, stop it, or choose another --work-dir and --out"
            ) from error
        file.truncate(0)
        file.write(f"pid {holder['pid']} on {holder['host']}")
        file.flush()
        yield


@contextlib.contextmanager
def _lease(store: Store, holder: dict[str, object]) -> Iterator[None]:
    token = uuid.uuid4().hex

    def renew() -> None:
        store.write_json("lease.json", {**holder, "token": token, "expires": time.time() + LEASE_SECONDS})

    if store.exists("lease.json"):
        lease = store.read_json("lease.json")
        if lease["expires"] > time.time():
            raise RunError(
                f"another run holds {store.root} (pid {lease['pid']} on {lease['host']}); wait for it or stop it: "
                f"its lease ends {LEASE_SECONDS:.0f} s after its last sign of life"
            )
    renew()
    time.sleep(LEASE_SECONDS / 60)  # Of two that saw no lease, the first to write sees the second's by now.
    if not _holds_lease(store, token):
        raise RunError(f"another run took {store.root} at the same moment; try again")
    stop = threading.Event()

    def heartbeat() -> None:
        while not stop.wait(BEAT_SECONDS):
            try:
                if _holds_lease(store, token):
                    renew()
            except OSError:  # The next beat tries again.
                log.warning("cannot renew the lease of %s; trying again", store.root, exc_info=True)

    thread = threading.Thread(target=heartbeat, daemon=True, name="lease")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if _holds_lease(store, token):
            store.remove("lease.json")


def _holds_lease(store: Store, token: str) -> bool:
    return store.exists("lease.json") and bool(store.read_json("lease.json")["token"] == token)


def arrow_bytes(
    table: pa.Table, metadata: dict[bytes, bytes] | None = None, batches: list[pa.RecordBatch] | None = None
) -> pa.Buffer:
    """A table as an uncompressed Arrow IPC file, so that a local reader maps it instead of decoding it."""
    schema = table.schema.with_metadata(metadata or {})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        if batches is None:
            writer.write_table(table.replace_schema_metadata(metadata or {}).combine_chunks())
        else:
            for batch in batches:
                writer.write_batch(batch.replace_schema_metadata(metadata or {}))
    return sink.getvalue()


def read_arrow(store: Store, name: str) -> pa.Table:
    """A whole Arrow IPC file."""
    return pa.ipc.open_file(store.buffer(name)).read_all()
