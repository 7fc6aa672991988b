import hashlib
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import fsspec
import pytest

from operators.base import DataError, RecipeError
from pipeline.readers import storage
from pipeline.readers.base import InputFile, Piece, ReadOptions
from pipeline.readers.files import digest, list_files
from pipeline.readers.formats import LANGUAGES, NAMED, infer_format, language
from pipeline.readers.pieces import read


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("data/web/b.jsonl", "data/web/a.jsonl", "data/web/deep/c.jsonl", "data/books/d.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"text": "{name}"}}\n')
    (tmp_path / "data/web/.hidden.jsonl").write_text("x")
    (tmp_path / "data/web/_SUCCESS").write_text("")
    (tmp_path / "data/web/.git").mkdir()
    (tmp_path / "data/web/.git/x.jsonl").write_text("x")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*entries: str, kind: str | None = None) -> list[str]:
    return [file.path for file in list_files(entries, kind)]


def texts(*entries: str, kind: str | None = None) -> dict[str, str]:
    found = {}
    for file in list_files(entries, kind):
        (batch,) = read(Piece(file, kind or infer_format(file)), ReadOptions())
        found[file.path] = batch.table["text"][0].as_py()
    return found


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (("data/web/*.jsonl",), ["a.jsonl", "b.jsonl"]),
        (("data/web/**/*.jsonl",), ["a.jsonl", "b.jsonl", "deep/c.jsonl"]),
        (("data/*/*.jsonl",), ["books/d.jsonl", "web/a.jsonl", "web/b.jsonl"]),
        (("data/web",), ["web/a.jsonl", "web/b.jsonl", "web/deep/c.jsonl"]),
        (("./data//web/",), ["web/a.jsonl", "web/b.jsonl", "web/deep/c.jsonl"]),
        (("data/web/a.jsonl",), ["a.jsonl"]),
        (("data/web/a.jsonl", "data/books/*.jsonl"), ["books/d.jsonl", "web/a.jsonl"]),
        (("data/web/.hidden.jsonl",), [".hidden.jsonl"]),
        (("data/web/.*.jsonl",), [".hidden.jsonl"]),
    ],
)
def test_paths_are_relative_to_what_the_entries_share_as_text(entries: tuple[str, ...], expected: list[str]) -> None:
    assert paths(*entries) == expected


def test_an_absolute_entry_gives_the_same_paths_as_a_relative_one(tree: Path) -> None:
    assert paths(f"{tree}/data/web/**/*.jsonl") == paths("data/web/**/*.jsonl")
    assert paths(f"file://{tree}/data/web") == paths("data/web")


def test_which_files_exist_renames_no_other(tree: Path) -> None:
    before = paths("data/**/*.jsonl")
    (tree / "data/books/d.jsonl").unlink()
    assert paths("data/**/*.jsonl") == [path for path in before if path != "books/d.jsonl"]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("entry", ["nothing", "nothing/*.jsonl", "data/*.parquet", "empty", "data/web/a.jsonl/x"])
def test_an_entry_that_finds_nothing_is_named(entry: str) -> None:
    with pytest.raises(DataError, match=entry.replace("*", r"\*")):
        list_files((entry,), "jsonl")


@pytest.mark.usefixtures("tree")
def test_entries_that_find_a_file_twice_are_refused() -> None:
    with pytest.raises(DataError, match=r"a\.jsonl: found twice"):
        list_files(("data/web/*.jsonl", "data/web/a.jsonl"), None)


def test_a_directory_of_several_formats_needs_a_word(tree: Path) -> None:
    (tree / "data/books/README.md").write_text("about")
    with pytest.raises(RecipeError, match=r"1 jsonl, 1 text.* such as data/books/\*\*/\*\.(jsonl|md), or"):
        paths("data/books")
    assert paths("data/books", kind="jsonl") == ["books/d.jsonl"]
    with pytest.raises(DataError, match=r"tells format parquet.*README\.md"):
        paths("data/books", kind="parquet")


def test_a_directory_without_permission_is_an_error(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    def refuse(path: str) -> Iterator[object]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"books: cannot be listed: .*denied"):
        paths(f"{tree}/data/books")


def test_a_name_that_is_not_utf8_is_an_error(tree: Path) -> None:
    with open(os.fsencode(tree / "data/books") + b"/\xff.jsonl", "wb") as stream:  # noqa: PTH123 - a bytes path
        stream.write(b"{}")
    with pytest.raises(DataError, match="not valid UTF-8"):
        paths("data/books/*.jsonl")


def test_links_are_followed_and_what_was_there_already_is_not_taken_twice(tree: Path) -> None:
    (tree / "data/books/link.jsonl").symlink_to(tree / "data/web/a.jsonl")
    (tree / "data/books/loop").symlink_to(tree / "data/books")
    (tree / "data/books/other").symlink_to(tree / "data/web/deep")
    expected = ["books/d.jsonl", "books/link.jsonl", "books/other/c.jsonl"]
    assert paths("data/books") == expected
    assert paths("data/books/**/*.jsonl") == [path.removeprefix("books/") for path in expected]
    assert texts("data/books/*/c.jsonl") == {"other/c.jsonl": "data/web/deep/c.jsonl"}
    assert "data/web/deep/c.jsonl" in paths("data")
    assert "data/books/other/c.jsonl" not in paths("data")  # It is web/deep/c.jsonl.


def test_links_that_lead_to_one_another_end(tree: Path) -> None:
    (tree / "data/web/to").symlink_to(tree / "data/books")
    (tree / "data/books/back").symlink_to(tree / "data/web")
    (tree / "data/books/itself").symlink_to(tree / "data/books/itself")
    assert paths("data/books/**/*.jsonl") == ["back/a.jsonl", "back/b.jsonl", "back/deep/c.jsonl", "d.jsonl"]
    assert paths("data/*/*.jsonl") == ["books/d.jsonl", "web/a.jsonl", "web/b.jsonl"]


@pytest.mark.parametrize("entry", ["data", "data/**/*.jsonl", "data/*/*.jsonl", "data/*/*/*"])
@pytest.mark.parametrize("place", ["data/web", "data/web/.git"])
def test_a_lower_directory_without_permission_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tree: Path, entry: str, place: str
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path) == tree / place:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    if ".git" in place:
        assert paths(entry)
        return
    with pytest.raises(DataError, match=rf"{re.escape(entry)}: cannot be listed: .*denied: '.*data/web'"):
        paths(entry)


@pytest.mark.parametrize("entry", ["data/books/*.jsonl", "data/boo*/*.jsonl", "data/books/**/*.jsonl", "data/*.jsonl"])
def test_a_directory_that_holds_nothing_wanted_may_be_without_permission(
    monkeypatch: pytest.MonkeyPatch, tree: Path, entry: str
) -> None:
    (tree / "data/top.jsonl").write_text("{}")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path) == tree / "data/web":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert len(paths(entry)) == 1


@pytest.mark.parametrize("entry", ["data/books", "data/books/*", "data/books/pipe.jsonl"])
def test_a_pipe_among_the_files_is_an_error(tree: Path, entry: str) -> None:
    os.mkfifo(tree / "data/books/pipe.jsonl")
    with pytest.raises(DataError, match=r"pipe\.jsonl: is a named pipe; only regular files are read"):
        paths(entry, kind="jsonl")
    assert paths("data/books/d*") == ["d.jsonl"]


def test_a_pipe_whose_name_tells_another_format_is_left_out_like_other_files(tree: Path) -> None:
    os.mkfifo(tree / "data/books/queue")
    assert paths("data/books", kind="jsonl") == ["books/d.jsonl"]


def test_any_file_system_gives_the_same_paths(tree: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(tree / "data"), "/listing/data", recursive=True)
    try:
        assert paths("memory://listing/data/*/*.jsonl") == paths("data/*/*.jsonl")
        assert paths("memory://listing/data/web") == paths("data/web")
        assert texts("memory://listing/data/web/a.jsonl") == {"a.jsonl": "data/web/a.jsonl"}
    finally:
        memory.rm("/listing", recursive=True)


def test_entries_on_different_storage_keep_apart(tree: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(tree / "data/books/d.jsonl"), "/apart/d.jsonl")
    try:
        found = paths("memory://apart/d.jsonl", f"{tree}/data/books/d.jsonl")
        assert found == sorted(["memory/apart/d.jsonl", f"{tree}/data/books/d.jsonl".lstrip("/")])
    finally:
        memory.rm("/apart", recursive=True)


def make_zip(path: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def make_tar(path: Path, mode: str, members: dict[str, str]) -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))


MEMBERS = {"b.txt": "two", "a/x.txt": "one", "a/y.md": "three", "a/.hidden.txt": "no", "__MACOSX/a/x.txt": "no"}


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz"])
def test_archive_members_are_files(name: str) -> None:
    if name.endswith("zip"):
        make_zip(Path("data") / name, MEMBERS)
    else:
        modes = {"tar": "w", "gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}
        make_tar(Path("data") / name, modes[name.rpartition(".")[2]], MEMBERS)
    scheme = "zip" if name.endswith("zip") else "tar"
    assert texts(f"{scheme}://**/*.txt::data/{name}") == {f"{name}/a/x.txt": "one", f"{name}/b.txt": "two"}
    assert texts(f"{scheme}://a::data/{name}", kind="text") == {f"{name}/a/x.txt": "one", f"{name}/a/y.md": "three"}
    assert texts(f"{scheme}://a/y.md::data/{name}") == {f"{name}/a/y.md": "three"}
    assert len(paths(f"{scheme}://::data/{name}")) == 3
    with pytest.raises(DataError, match=r"no member .* matches '\*\.csv'"):
        paths(f"{scheme}://*.csv::data/{name}")


@pytest.mark.usefixtures("tree")
def test_the_outer_part_of_a_chain_may_be_a_glob() -> None:
    make_zip(Path("data/one.zip"), {"a.txt": "1"})
    make_zip(Path("data/two.zip"), {"a.txt": "2"})
    assert texts("zip://*.txt::data/*.zip") == {"one.zip/a.txt": "1", "two.zip/a.txt": "2"}


@pytest.mark.usefixtures("tree")
def test_an_archive_in_an_archive_and_in_memory_opens() -> None:
    make_zip(Path("inner.zip"), {"a.txt": "deep"})
    with zipfile.ZipFile("outer.zip", "w") as archive:
        archive.write("inner.zip")
    assert texts("zip://*.txt::zip://*.zip::outer.zip") == {"outer.zip/inner.zip/a.txt": "deep"}
    memory = fsspec.filesystem("memory")
    memory.put("outer.zip", "/outer.zip")
    try:
        assert list(texts("zip://*.txt::zip://*.zip::memory://outer.zip").values()) == ["deep"]
    finally:
        memory.rm("/outer.zip")


@pytest.mark.usefixtures("tree")
def test_an_archive_is_opened_once_and_again_when_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = storage._open_archive

    def count(protocol: str, url: str) -> object:
        opened.append(url)
        return original(protocol, url)

    monkeypatch.setattr(storage, "_open_archive", count)
    make_zip(Path("many.zip"), {f"{n:03}.txt": f"text {n}" for n in range(100)})
    assert len(texts("zip://*.txt::many.zip")) == 100
    assert len(opened) == 1
    make_zip(Path("many.zip"), {"new.txt": "other"})
    assert texts("zip://*.txt::many.zip") == {"many.zip/new.txt": "other"}
    assert len(opened) == 2


@pytest.mark.usefixtures("tree")
def test_damaged_archives_and_bare_ones_are_errors() -> None:
    Path("bad.zip").write_bytes(b"PK nothing")
    Path("bad.tar.gz").write_bytes(b"\x1f\x8bnothing")
    for url in ("zip://*.txt::bad.zip", "tar://*.txt::bad.tar.gz", "zip://*.txt::missing.zip"):
        with pytest.raises(DataError, match=url.split("::")[1]):
            list_files((url,), None)
    with pytest.raises(RecipeError, match="zip://"):
        infer_format("bad.zip")
    with pytest.raises(RecipeError, match="only zip and tar"):
        list_files(("simplecache::s3://b/x.txt",), None)


def test_a_saved_dataset_is_one_file_per_split(tree: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", "b"]})
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(tree / "data/saved/ds")
    rows.save_to_disk(tree / "data/saved/single")
    found = list_files(("data/saved",), None)
    assert [file.path for file in found] == ["saved/ds/test", "saved/ds/train", "saved/single"]
    assert {infer_format(file) for file in found} == {"hf"}
    assert paths("data/saved/*") == ["ds/test", "ds/train", "single"]
    assert paths("data/saved/ds/train") == ["train"]
    assert digest(found[0]) == digest(found[1])


def test_digest_is_sha256_of_the_stored_bytes(tree: Path) -> None:
    content = b"x" * 3_000_000
    (tree / "big.txt").write_bytes(content)
    assert digest(InputFile(str(tree / "big.txt"), "big.txt", 0)) == hashlib.sha256(content).hexdigest()


def test_a_vanished_file_is_an_error(tree: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        digest(InputFile(str(tree / "gone.txt"), "gone.txt", 0))


def test_a_name_that_tells_no_format_lists_the_formats() -> None:
    with pytest.raises(RecipeError, match=r"data/LICENSE.*parquet, arrow, jsonl"):
        infer_format("data/LICENSE")


def test_every_language_suffix_is_told() -> None:
    assert len(set(LANGUAGES.values()) | set(NAMED.values())) >= 60
    assert all(infer_format(f"x{suffix}") == "code" for suffix in LANGUAGES)
    assert [language(name) for name in ("A.PY", "Dockerfile", "x.rs.gz", "CMakeLists.txt")] == [
        "python",
        "dockerfile",
        "rust",
        "cmake",
    ]


@pytest.mark.parametrize("name", ["[br].txt", "what?.txt", "*.txt"])
def test_a_file_whose_name_is_a_wildcard_is_found_as_the_message_says(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "[1]"
    folder.mkdir()
    (folder / name).write_text("text")
    with pytest.raises(DataError, match="but one ") as refused:
        list_files((str(folder / name),))
    (found,) = list_files((str(refused.value).rpartition("write ")[2],))
    assert Path(found.url) == folder / name
