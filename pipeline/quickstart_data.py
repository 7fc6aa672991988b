"""The quickstart's data: text in some 100 languages and code, unpacked from eight packages and the standard library.

    docs/django-5.2, docs/django-5.0, docs/fastapi    English documentation as it is (.txt, .md); the two Djangos
                                                      share pages, unchanged or edited: natural near-duplicates
    code/python, code/pip, code/rich, code/urllib3    Python as it is; pip carries edited copies of the other two
    multilingual.jsonl.gz                             id, text, label, package: translated pages and message catalogues

Text is taken as it is, but for catalogues (.po), which become one document each: the translated messages in order, one
a line. The result depends on the pinned packages and on the Python that runs this, whose library it copies.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import re
import shutil
import sysconfig
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from operators.base import RunError
from pipeline.packages import Package

REVISION: Final = 2
"""Goes up when the same packages give other files."""

PACKAGES: Final[Mapping[str, Package]] = {
    "django-5.2": Package(
        "Django", "5.2", "Django-5.2.tar.gz", "1a47f7a7a3d43ce64570d350e008d2949abe8c7e21737b351b6a1611277c6d89"
    ),
    "django-5.0": Package(
        "Django", "5.0", "Django-5.0.tar.gz", "7d29e14dfbc19cb6a95a4bd669edbde11f5d4c6a71fdaa42c2d40b6846e807f7"
    ),
    "fastapi": Package(
        "fastapi",
        "0.110.0",
        "fastapi-0.110.0.tar.gz",
        "266775f0dcc95af9d3ef39bad55cff525329a931d5fd51930aadd4f428bf7ff3",
    ),
    "wagtail": Package(
        "wagtail",
        "6.4",
        "wagtail-6.4-py3-none-any.whl",
        "3d89b93079711fd1703be057a06cf5d34303a20ee31b2f51384954e21fff38ce",
    ),
    "friendly": Package(
        "friendly-traceback",
        "0.7.61",
        "friendly_traceback-0.7.61-py3-none-any.whl",
        "6945346e49a4ef72c855723f09a6d9b1b4fbf43759d4529f779f29259efab9f7",
    ),
    "pip": Package(
        "pip",
        "25.0.1",
        "pip-25.0.1-py3-none-any.whl",
        "c46efd13b6aa8279f33f2864459c8ce587ea6a1a59ee20de055868d8f7688f7f",
    ),
    "rich": Package(
        "rich",
        "13.9.4",
        "rich-13.9.4-py3-none-any.whl",
        "6049d5e6ec054bf2779ab3358186963bac2ea89175919d699e378b99738c2a90",
    ),
    "urllib3": Package(
        "urllib3",
        "1.26.20",
        "urllib3-1.26.20-py2.py3-none-any.whl",
        "0ed14ccfbf1c30a9072c7ca157e4319b70d65f623e91e7b32fadb2853431016e",
    ),
}

FILES: Final = (
    ("django-5.2", r"docs/(.+\.txt)", "docs/django-5.2"),
    ("django-5.0", r"docs/((?!releases/).+\.txt)", "docs/django-5.0"),
    ("fastapi", r"docs/en/docs/(.+\.md)", "docs/fastapi"),
    ("pip", r"pip/((?!_vendor/certifi/).+\.py)", "code/pip"),
    ("rich", r"rich/(.+\.py)", "code/rich"),
    ("urllib3", r"urllib3/(.+\.py)", "code/urllib3"),
)
"""Members that are copied as they are: package, pattern whose group is the path below the folder, folder."""

PAGES: Final = (("fastapi", r"docs/(?!en/)(?P<language>[a-z-]+)/docs/(?P<page>.+\.md)"),)
"""Members that are documents of the multilingual file."""

CATALOGUES: Final = (
    ("django-5.2", r"(?P<page>django/.+)/locale/(?P<language>\w+)/LC_MESSAGES/django\.po"),
    ("wagtail", r"(?P<page>wagtail/.+)/locale/(?P<language>\w+)/LC_MESSAGES/django\.po"),
    ("friendly", r"(?P<page>friendly_traceback)/locales/(?P<language>\w+)/LC_MESSAGES/.+\.po"),
)

SKIPPED_LIBRARY: Final = frozenset(
    {"test", "tests", "idle_test", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__"}
)
MULTILINGUAL: Final = "multilingual.jsonl.gz"
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class Size:
    """Files and bytes of the data or of a part of it."""

    num_files: int
    num_bytes: int


def identity() -> dict[str, object]:
    """What decides the files: another identity means that they are built again."""
    pinned = {key: package.sha256 for key, package in PACKAGES.items()}
    return {"revision": REVISION, "python": platform.python_version(), "packages": pinned}


def present(target: Path) -> Size | None:
    """The data's size where it is there, current and undamaged (every digest is checked); else None."""
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        if manifest["identity"] != identity():
            return None
        files = manifest["files"]
        for name, facts in files.items():
            if hashlib.sha256((target / name).read_bytes()).hexdigest() != facts["sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Size(len(files), sum(facts["bytes"] for facts in files.values()))


def refuse_foreign(target: Path) -> None:
    """Refuse a folder that this module did not make: building would replace it.

    Raises:
        RunError: the folder has content and no manifest of ours.
    """
    if not target.exists() or (target / MANIFEST).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        raise RunError(f"{target} exists and was not made by this command; move it away, then run the command again")


def build(target: Path, archives: Mapping[str, Path], library: Path | None = None) -> dict[str, Size]:
    """Build the data beside its place and put it there by a rename; the sizes of its parts.

    Args:
        target: the folder to make or to replace.
        archives: the archive of every package in `PACKAGES`.
        library: the folder of Python's standard library; this interpreter's if left out.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        new = Path(folder) / "new"
        content = {key: dict(_members(path, _wanted(key))) for key, path in archives.items()}
        for key, pattern, place in FILES:
            _copy(content[key], pattern, new / place)
        copy_library(library or Path(sysconfig.get_path("stdlib")), new / "code" / "python")
        _write_documents(new / MULTILINGUAL, content)
        files = _inventory(new)
        manifest = {"identity": identity(), "files": files}
        (new / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        if target.exists():
            target.rename(Path(folder) / "old")
        new.rename(target)
    return _parts(files)


def _wanted(key: str) -> re.Pattern[str]:
    rules = (*((source, pattern) for source, pattern, _ in FILES), *PAGES, *CATALOGUES)
    return re.compile("|".join(re.sub(r"\(\?P<\w+>", "(", pattern) for source, pattern in rules if source == key))


def _members(path: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """An archive's wanted files by path; a source archive's own top folder is no part of the path."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for name in filter(wanted.fullmatch, wheel.namelist()):
                yield name, wheel.read(name)
        return
    with tarfile.open(path) as source:
        for member in source:
            name = member.name.partition("/")[2]
            file = source.extractfile(member) if member.isfile() and wanted.fullmatch(name) else None
            if file is not None:
                yield name, file.read()


def _copy(members: Mapping[str, bytes], pattern: str, folder: Path) -> None:
    for name, content in members.items():
        hit = re.fullmatch(pattern, name)
        if hit:
            path = folder / hit[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def copy_library(library: Path, folder: Path) -> None:
    """Copy the standard library's Python files, without tests, installed packages and the IDLE editor."""
    for path in sorted(library.rglob("*.py")):
        relative = path.relative_to(library)
        if SKIPPED_LIBRARY.isdisjoint(relative.parts):
            copy = folder / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _write_documents(path: Path, content: Mapping[str, Mapping[str, bytes]]) -> None:
    rows = sorted(documents(content), key=lambda row: row["id"])
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(lines.encode(), 6, mtime=0))


def documents(content: Mapping[str, Mapping[str, bytes]]) -> Iterator[dict[str, str]]:
    """The rows of the multilingual file, in no order: `id, text, label, package`; none is empty."""
    for key, pattern in PAGES + CATALOGUES:
        for name, data in content[key].items():
            hit = re.fullmatch(pattern, name)
            if not hit:
                continue
            text = data.decode("utf-8-sig")
            if name.endswith(".po"):
                text = "\n".join(translations(text))
            if text.strip():
                yield {
                    "id": f"{key}/{hit['language']}/{hit['page']}",
                    "text": text,
                    "label": label(hit["language"]),
                    "package": PACKAGES[key].requirement,
                }


def label(folder: str) -> str:
    """The language of a translation's folder: the code's first part.

    FastAPI's `em` pages are English with every word replaced by an emoji: no language, kept as natural noise.

    >>> label("zh_Hans"), label("pt-br"), label("em")
    ('zh', 'pt', 'und')
    """
    return "und" if folder == "em" else re.split(r"[-_]", folder)[0].lower()


def translations(catalogue: str) -> Iterator[str]:
    r"""The translated messages of a gettext catalogue in order, without fuzzy, empty and obsolete ones.

    >>> list(translations('msgid "a"\nmsgstr "eins\\n"\n"zwei"\n\n#, fuzzy\nmsgid "b"\nmsgstr "drei"\n'))
    ['eins\nzwei']
    """
    for block in re.split(r"\n\s*\n", catalogue.replace("\r\n", "\n")):
        if re.search(r"^#,.*\bfuzzy\b", block, re.MULTILINE):
            continue
        strings: dict[str, list[str]] = {}
        keyword = ""
        for line in block.split("\n"):
            hit = re.match(r'(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)?\s*"(.*)"\s*$', line)
            if hit:
                keyword = hit[1] or keyword
                strings.setdefault(keyword, []).append(_unescape(hit[2]))
        if "".join(strings.get("msgid", [])):
            found = ("".join(parts).strip() for key, parts in strings.items() if key.startswith("msgstr"))
            yield from (text for text in found if text)


def _unescape(text: str) -> str:
    meaning = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda hit: meaning.get(hit[1], hit[1]), text)


def _inventory(folder: Path) -> dict[str, dict[str, object]]:
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return files


def _parts(files: Mapping[str, Mapping[str, object]]) -> dict[str, Size]:
    """Sizes per second-level folder, or per file where it lies at the top."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for name, facts in files.items():
        sizes["/".join(name.split("/")[:2]) if name.count("/") > 1 else name].append(int(str(facts["bytes"])))
    return {name: Size(len(found), sum(found)) for name, found in sizes.items()}
