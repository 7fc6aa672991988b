"""What numba keeps of compiled kernels: whether some were compiled is seen from its files, for whichever process."""

from __future__ import annotations

import os
from pathlib import Path

import operators.kernels


def compiled_kernels() -> frozenset[tuple[str, int]]:
    """The files of the kernels' cache on this machine, each with the time of its last change."""
    roots = [Path(place) / "__pycache__" for place in operators.kernels.__path__]
    if os.environ.get("NUMBA_CACHE_DIR"):
        roots.append(Path(os.environ["NUMBA_CACHE_DIR"]))
    return frozenset(found for root in roots for path in root.rglob("*.nb[ci]") for found in _changed(path))


def _changed(path: Path) -> list[tuple[str, int]]:
    try:
        return [(str(path), path.stat().st_mtime_ns)]
    except FileNotFoundError:  # Replaced this moment, by whoever compiles.
        return []
