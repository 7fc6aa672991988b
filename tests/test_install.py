"""What is installed is what `pyproject.toml` and `requirements.lock` say, and the wheel holds all of the code."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

import fasttext
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from operators.models import model_path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("operators", "pipeline")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
INSTALLED_EXTRAS = ("ray", "s3", "dev")
MODEL = model_path("lid.176.ftz")


def locked() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def asked(extras: tuple[str, ...]) -> list[Requirement]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(line) for lines in lists for line in lines]


def test_the_lock_satisfies_every_requirement() -> None:
    lock = locked()
    for requirement in asked(tuple(PROJECT["optional-dependencies"])):
        pin = lock[canonicalize_name(requirement.name)]
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert requirement.specifier.contains(specifier.version), f"{requirement}: {pin}; run `make lock`"


def test_torch_is_no_part_of_what_make_install_brings() -> None:
    assert "torch" not in {canonicalize_name(requirement.name) for requirement in asked(INSTALLED_EXTRAS)}


def test_the_installed_versions_are_the_locked_ones() -> None:
    lock = locked()
    names = [canonicalize_name(requirement.name) for requirement in asked(INSTALLED_EXTRAS)]
    assert {f"{name}=={version(name)}" for name in names} == {str(lock[name]) for name in names}


def test_the_command_is_the_cli() -> None:
    (command,) = (entry for entry in distribution("vocabmill").entry_points if entry.group == "console_scripts")
    assert (command.name, command.value) == ("vocabmill", "pipeline.cli:main")
    assert callable(command.load())


def build_wheel(folder: Path) -> Path:
    """The wheel of a copy of the code, so that the checkout gains no build products."""
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_the_two_packages_whole_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    assert shipped == {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


@pytest.mark.slow
def test_the_wheel_alone_runs_a_recipe_without_extras(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "-qq", "--constraint", str(ROOT / "requirements.lock"), str(wheel)]
    subprocess.run(install, check=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    shutil.copy(ROOT / "infra" / "warm.yaml", tmp_path)
    (tmp_path / "operators").symlink_to(ROOT / "operators")
    command = [str(tmp_path / "venv" / "bin" / "vocabmill"), "run", "warm.yaml"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "build" / "warm" / "manifest.json").is_file()


@pytest.mark.skipif(not MODEL.is_file(), reason="no model; `make install` fetches it")
def test_fasttext_loads_the_language_model_and_predicts() -> None:
    model = fasttext.load_model(str(MODEL))
    labels, scores = model.predict("the quick brown fox jumps over the lazy dog", k=2)
    assert labels[0] == "__label__en"
    assert 1.001 > scores[0] > scores[1] >= 0
