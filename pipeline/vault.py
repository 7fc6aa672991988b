"""The work directory: a store whose every file ends in a checksum, so that nothing damaged is ever used.

A file that is missing or too short counts as not there and is computed again; one whose content does not match its
checksum stops the run and is named. The checksum is xxh3_64 (some 10 GB/s): it finds accidents, not forgers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from operators.base import RunError
from pipeline.storage import Json, Store

MAGIC: Final = b"vmseal01"
SEAL_BYTES: Final = len(MAGIC) + 8


class DamagedError(RunError):
    """A stored file is not what was written."""


class Vault(Store):
    """A store of sealed files. `written` lists what this object wrote or vouched for: name -> size on storage."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.written: dict[str, int] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """A vault travels to workers as its URL."""
        return (Vault, (self.root,))

    def write(self, name: str, content: bytes | pa.Buffer, *, durable: bool = False) -> None:
        """Commit a whole file and its checksum."""
        super().write(name, b"".join((memoryview(content), MAGIC, _checksum(content))), durable=durable)
        self.written[name] = len(content) + SEAL_BYTES

    def vouch(self, name: str) -> None:
        """Note a file that was there already as one of those that a result consists of."""
        self.written[name] = super().size(name)

    def read(self, name: str) -> bytes:
        """A file's bytes, verified."""
        return bytes(self.body(name).to_pybytes())

    def buffer(self, name: str, *, verify: bool = True) -> pa.NativeFile:
        """A file for Arrow to read; verified, unless only a slice of a large file will be read."""
        return pa.BufferReader(self.body(name, verify=verify))

    def body(self, name: str, *, verify: bool = True) -> pa.Buffer:
        """A file's content without its checksum.

        Raises:
            DamagedError: it is missing, cut short, or not what was written.
        """
        try:
            whole = self._whole(name)
        except FileNotFoundError as error:
            raise DamagedError(self._complaint(name, "is missing")) from error
        end = whole.size - SEAL_BYTES
        if end < 0 or bytes(whole[end : end + len(MAGIC)]) != MAGIC:
            raise DamagedError(self._complaint(name, "is cut short"))
        content = whole.slice(0, end)
        if verify and _checksum(content) != bytes(whole[end + len(MAGIC) :]):
            raise DamagedError(self._complaint(name, "is damaged: its checksum does not match"))
        return content

    def find(self, name: str) -> Json | None:
        """A descriptor whose files are all there; None where it or one of them is missing, short or unreadable."""
        try:
            content = json.loads(self.read(name))
        except (DamagedError, ValueError):
            return None
        holds = content.pop("holds", {})
        return content if all(self._is_there(*entry) for entry in holds.items()) else None

    def _whole(self, name: str) -> pa.Buffer:
        if not self.is_local:
            return pa.py_buffer(self.fs.cat_file(self.full(name)))
        path = Path(self.full(name))
        if not path.stat().st_size:
            return pa.py_buffer(b"")
        with pa.memory_map(str(path), "rb") as file:
            return file.read_buffer()

    def _is_there(self, name: str, size: int) -> bool:
        """Whether a file has at least its size: a layer may have grown since. Object stores lose no tails."""
        if not self.is_local:
            return self.exists(name)
        try:
            return Path(self.full(name)).stat().st_size >= size
        except OSError:
            return False

    def _complaint(self, name: str, what: str) -> str:
        return (
            f"{self.full(name)} {what}; delete it (or the whole work directory) and run the same command again: "
            "what is missing is computed again"
        )


def _checksum(content: bytes | pa.Buffer) -> bytes:
    import xxhash

    return xxhash.xxh3_64_digest(memoryview(content))
