"""Archives from PyPI by name, version and digest, through pip, kept in the cache and never installed.

pip gets the pinned sha256 as a requirement's hash, so it refuses other content before anything of it is run: for a
source archive pip calls the package's build backend once to learn its version, which takes 2 to 9 seconds.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from operators.base import RunError
from operators.models import cache_directory

AT_ONCE: Final = 4
"""Downloads at a time: one pip waits for the network or for a build backend most of its time."""

PIP_OPTIONS: Final = (
    *("--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
    *("--retries", "2", "--timeout", "20"),
)


@dataclass(frozen=True)
class Package:
    """One archive on PyPI: a wheel that fits every platform, or a source archive."""

    name: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is asked for.

        >>> Package("rich", "13.9.4", "rich-13.9.4-py3-none-any.whl", "60...").requirement
        'rich==13.9.4'
        """
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Fetched:
    """An archive in the cache, and whether this call downloaded it."""

    path: Path
    downloaded: bool


def package_directory() -> Path:
    """Where downloaded archives are kept."""
    return cache_directory() / "packages"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_archives(packages: Sequence[Package]) -> list[Fetched]:
    """The archives in the cache, in the order asked for; several are downloaded at a time.

    Raises:
        RunError: as `fetch_archive`, for the first package that fails.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(fetch_archive, packages))


def fetch_archive(package: Package) -> Fetched:
    """The package's archive in the cache, downloaded where it is missing or is not the pinned one.

    Raises:
        RunError: pip failed, or the package index serves another archive than the pinned one.
    """
    directory = package_directory()
    path = directory / package.file
    if path.is_file() and sha256_of(path) == package.sha256:
        return Fetched(path, downloaded=False)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".download-") as folder:
        downloaded = _download(package, Path(folder))
        found = sha256_of(downloaded)
        if found != package.sha256:
            raise RunError(_wrong_digest(package, found))
        downloaded.replace(path)
    return Fetched(path, downloaded=True)


def _download(package: Package, folder: Path) -> Path:
    form = "--only-binary" if package.file.endswith(".whl") else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", *PIP_OPTIONS, form, ":all:"]
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    asked = ["--dest", str(folder), "--requirement", str(requirements)]
    result = subprocess.run([*command, *asked], capture_output=True, text=True, errors="replace", check=False)
    output = result.stderr + result.stdout
    path = folder / package.file
    if result.returncode == 0 and path.is_file():
        return path
    # pip's words for a wrong hash: "Expected sha256 <hex>" and "Got <hex>".
    other = re.search(r"\bGot\s+([0-9a-f]{64})\b", output)
    if other:
        raise RunError(_wrong_digest(package, other[1]))
    found = sorted(entry.name for entry in folder.iterdir() if entry != requirements)
    reason = _reason(output) if result.returncode else f"pip downloaded {found!r}, expected {package.file!r}"
    tried = shlex.join([*command, "--dest", str(package_directory()), package.requirement])
    raise RunError(
        f"{package.requirement} could not be downloaded: {reason}\n"
        f"  tried: {tried}\n"
        f"  to do: {_remedy(package, output)}, then run this command again"
    )


def _wrong_digest(package: Package, found: str) -> str:
    return (
        f"{package.requirement}: {package.file} has sha256 {found}, expected {package.sha256}; it was not kept\n"
        "  to do: ask whether your package index or proxy alters files, and try again with another index"
    )


def _reason(output: str) -> str:
    """What pip said, in one line: that a connection failed where it did, since pip ends with "no matching version"."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"No module named pip", r"connection broken by '(.*)'", r"^ERROR: (?!No matching)(.*)"):
        for line in lines:
            hit = re.search(pattern, line)
            if hit:
                return hit[1] if hit.groups() else hit[0]
    return lines[-1] if lines else "pip failed and said nothing"


def _remedy(package: Package, output: str) -> str:
    if "No module named pip" in output:
        return f"give this Python a pip (`{shlex.quote(sys.executable)} -m ensurepip`)"
    return (
        "check the network and pip's settings (`python -m pip config list`), "
        f"or put {package.file} from another machine into {package_directory()}"
    )
