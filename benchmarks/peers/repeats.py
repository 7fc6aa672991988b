"""What `substring_dedup` calls repeated, by a suffix array; run by `substring_dedup.py` in the peer's environment.

Given a file of documents one after the other in the order in which copies are kept, a file of int64 places where they
begin (with the end of the last) and the length of a window, prints a line of JSON.
"""

# The environment has numpy and pydivsufsort alone.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import hashlib
import json
import resource
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydivsufsort import divsufsort, kasai

Ints = npt.NDArray[np.int64]


def cpu_seconds() -> float:
    """Of this process, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_megabytes() -> float:
    """Of this program alone: what `getrusage` says begins with the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def covered(places: Ints, size: int, total: int) -> npt.NDArray[np.bool_]:
    """The bytes of the windows at some places."""
    change = np.bincount(places, minlength=total + 1) - np.bincount(places + size, minlength=total + 1)
    return np.cumsum(change)[:-1] > 0


def repeated(suffixes: Ints, shared: Ints, begins: Ints, size: int) -> tuple[npt.NDArray[np.bool_], int]:
    """The repeated bytes, and how many would be if every copy but the first went, whole or not."""
    total = int(begins[-1])
    owner = np.repeat(np.arange(begins.size - 1, dtype=np.int32), np.diff(begins))
    inside = suffixes + size <= begins[owner[suffixes] + 1]
    # `shared[i]` is what suffixes i and i + 1 have in common.
    group = np.cumsum(np.append(True, shared[: total - 1] < size))[inside]
    place = suffixes[inside].astype(np.int64)
    first = np.full(group[-1] + 1, total, np.int64)
    np.minimum.at(first, group, place)
    source = first[group]
    again = source != place
    place, source = place[again], source[again]
    everything = int(covered(place, size, total).sum())
    later = (owner[place] != owner[source]) | (place - source >= size)
    place, source = place[later], source[later]
    touched = np.append(0, np.cumsum(covered(place, size, total)))
    return covered(place[touched[source + size] == touched[source]], size, total), everything


def main() -> int:
    """Print the result."""
    data, begins, size = np.fromfile(sys.argv[1], np.uint8), np.fromfile(sys.argv[2], np.int64), int(sys.argv[3])
    start = cpu_seconds()
    suffixes = divsufsort(data)
    sorted_at = cpu_seconds()
    shared = kasai(data, suffixes)
    found = {"array_s": sorted_at - start, "common_s": cpu_seconds() - sorted_at}
    peak = peak_megabytes()
    mask, everything = repeated(suffixes, shared, begins, size)
    digest = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
    print(json.dumps({**found, "peak_mb": peak, "digest": digest, "repeated": int(mask.sum()), "later": everything}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
