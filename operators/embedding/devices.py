"""What this machine computes on, told without any library: bfloat16 of the CPU, and CUDA devices."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Final

BFLOAT16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Of /proc/cpuinfo, for x86 the first two, for Arm the last: instructions for bfloat16, without which it is slow."""
_AMPERE: Final = (8, 0)
"""The first compute capability with bfloat16."""
_CAPABILITY: Final = (75, 76)
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@cache
def cpu_has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(BFLOAT16_FLAGS & set(flags.split()))


@cache
def cuda_capabilities() -> tuple[tuple[int, int], ...]:
    """The compute capability of each CUDA device that this process sees; none where the driver is not there."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    return tuple(_capability(driver, number) for number in range(count.value))


def cuda_has_bfloat16() -> bool:
    """Whether every CUDA device here has it; False where there is none."""
    found = cuda_capabilities()
    return bool(found) and min(found) >= _AMPERE


def _capability(driver: ctypes.CDLL, number: int) -> tuple[int, int]:
    value, device = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGet(ctypes.byref(device), number)
    numbers = []
    for attribute in _CAPABILITY:
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        numbers.append(value.value)
    return numbers[0], numbers[1]
