"""What is printed, also where nobody reads it: a run does not fail because its terminal, pipe or pager has gone."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


def say(message: str) -> None:
    """A line on standard error; nothing where that is gone."""
    try:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)


def tell(message: str) -> None:
    """A line on standard output; nothing where its reader has gone. Another failure, as of a full disk, is raised."""
    try:
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def silence(stream: TextIO) -> None:
    """Let a stream, with what it still holds, lead nowhere: for this process and for those that it starts."""
    with suppress(OSError, ValueError):  # Not every stream is a file.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_closed() -> None:
    """Open the standard streams that were closed (`2>&-`), so that no data file takes their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 - it lasts as long as the process.
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def drain() -> None:
    """Write what the streams still hold, so that Python finds nothing to complain of at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)
