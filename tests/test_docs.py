"""The documentation is right: what a page shows is run as it stands there, and links lead to files."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from operators.merge_lists import merges_table, to_vocab_and_merges
from operators.pretokenizers import PATTERNS
from operators.rank_files import rank_lines
from operators.tokenizer_files import to_tokenizer_json
from operators.vocabulary import from_merges
from pipeline.executors.local import LocalExecutor
from pipeline.recipe import load_recipe
from pipeline.session import run_recipe

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "writing-operators.md").read_text(encoding="utf-8")
ON_STORAGE = (ROOT / "docs" / "work-directory.md").read_text(encoding="utf-8")
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str, page: str = PAGE) -> list[str]:
    """The code blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with everything that the page shows, under the names that it gives; importable from there."""
    *module, test = blocks("python")
    files = {
        "my_ops.py": "\n\n".join(module),
        "test_my_ops.py": test,
        "recipe.yaml": blocks("yaml")[0],
        "data/pages.jsonl": blocks("json")[0],
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("my_ops", "test_my_ops"):
        sys.modules.pop(name, None)


def run_page(out: str = "", **where: str) -> dict[str, Any]:
    """Run the page's recipe in this process."""
    return run_recipe(load_recipe("recipe.yaml"), LocalExecutor(1), out=out, quiet=True, **where)


def corpus(out: Path) -> pa.Table:
    """The published documents."""
    return pa.concat_tables([pq.read_table(path) for path in sorted((out / "corpus").glob("*.parquet"))])


def current(out: Path) -> Path:
    """The current snapshot, as the link names it."""
    return (out / ".current").readlink()


def test_the_page_on_operators_runs_and_gives_what_it_says(home: Path) -> None:
    run_page()
    rows = {row["id"]: row for row in corpus(home / "out/mine").to_pylist()}
    assert set(rows) == {"a3", "b1"}
    columns = {"clean_lines_removed", "links_share", "host_documents", "part_number"}
    assert columns <= rows["a3"].keys()
    assert (rows["a3"]["host_documents"], rows["b1"]["host_documents"]) == (2, 1)
    assert all(0 <= row["part_number"] < 10 for row in rows.values())
    dropped = {row["id"]: row for row in pq.read_table(home / "out/mine/dropped/part-00000.parquet").to_pylist()}
    assert (dropped["a2"]["step"], dropped["a2"]["rule"], dropped["a2"]["value"]) == ("links", "too_many_links", 0.4)
    assert (dropped["a1"]["step"], dropped["a1"]["rule"]) == ("few", "too_many_of_host")
    assert (dropped["a1"]["survivor"], dropped["a1"]["excerpt"]) == ("a3", "The harbour was busy before dawn.")


def test_the_fold_of_the_page_leaves_its_artifacts(home: Path) -> None:
    run_page()
    hosts = pq.read_table(home / "out/mine/artifacts/hosts/hosts.parquet").to_pylist()
    assert [(row["host"], row["documents"]) for row in hosts] == [("a.example", 2), ("b.example", 1)]
    summary = json.loads((home / "out/mine/artifacts/hosts/summary.json").read_text(encoding="utf-8"))
    assert summary == {"hosts": 2, "documents_per_host": 1.5}


def test_the_map_of_the_page_replaces_the_text(home: Path) -> None:
    recipe = home / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("docs: 1", "docs: 9"), encoding="utf-8")
    steps = {step["name"]: step for step in run_page()["steps"]}
    texts = {row["id"]: row["text"] for row in corpus(home / "out/mine").to_pylist()}
    assert texts["a1"] == "The harbour was busy before dawn."
    assert steps["clean"]["bytes_rewritten"] == len(texts["a1"])


def test_a_moved_threshold_of_the_page_scores_nothing_again(home: Path) -> None:
    run_page()
    moved = load_recipe("recipe.yaml", ("steps.links.max_share=0.9",))
    steps = {step["name"]: step for step in run_recipe(moved, LocalExecutor(1), quiet=True)["steps"]}
    assert steps["links"]["dropped"] == {}
    assert steps["links"]["rows_computed"] == 0


def test_a_recipe_that_renames_the_step_that_a_map_uses_computes_the_map_from_what_is_stored(home: Path) -> None:
    run_page()
    recipe = home / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8").replace("name: hosts", "name: counts")
    recipe.write_text(text.replace("hosts: hosts", "hosts: counts"), encoding="utf-8")
    steps = {step["name"]: step for step in run_page()["steps"]}
    assert steps["host"]["rows_computed"] == 0


def test_an_edit_of_the_module_of_the_page_is_noticed(home: Path) -> None:
    run_page()
    module = home / "my_ops.py"
    module.write_text(
        module.read_text(encoding="utf-8").replace('or "").split', 'or "//lost").split'), encoding="utf-8"
    )
    del sys.modules["my_ops"]
    importlib.invalidate_caches()
    steps = {step["name"]: step for step in run_page()["steps"]}
    assert [steps[name]["rows_computed"] for name in ("clean", "links", "hosts", "host")] == [4, 4, 3, 3]


def own_tests(module: ModuleType) -> list[str]:
    """The names of a module's tests."""
    return [name for name in vars(module) if name.startswith("test_")]


def test_the_tests_of_the_page_pass(home: Path) -> None:
    module = importlib.import_module("test_my_ops")
    assert Path(str(module.__file__)).parent == home
    assert len(own_tests(module)) == 4
    for name in own_tests(module):
        getattr(module, name)()


def test_the_commands_of_the_page_work_with_two_workers_and_give_the_bytes_of_one(home: Path) -> None:
    run_page(out="out/one", work_dir="out/work-of-one")
    commands = blocks("sh")[0].replace("vocabmill ", f"{sys.executable} -m pipeline ")
    # The checkout is on the path where it is not installed.
    commands = commands.replace("PYTHONPATH=$PWD", f"PYTHONPATH=$PWD:{ROOT}")
    done = subprocess.run(["sh", "-ec", commands], cwd=home, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in ("corpus/part-00000.parquet", "dropped/part-00000.parquet", "artifacts/hosts/hosts.parquet"):
        assert (home / "out/mine" / path).read_bytes() == (home / "out/one" / path).read_bytes()


def test_the_work_directory_may_be_deleted_and_the_same_snapshot_comes_back(home: Path) -> None:
    run_page()
    out = home / "out/mine"
    before = current(out)
    rows = corpus(out)
    shutil.rmtree(home / "out/.vocabmill")
    assert corpus(out) == rows
    run_page()
    assert (current(out), len(list((out / ".versions").glob("mine-*")))) == (before, 1)


def listed() -> list[str]:
    """The directories of the work directory that docs/work-directory.md lists."""
    return re.findall(r"`(\w+)/`", "".join(line.split("|")[1] for line in ON_STORAGE.split("\n") if line[:3] == "| `"))


def test_the_page_lists_all_that_lies_in_the_work_directory(home: Path) -> None:
    run_page()
    assert {path.name for path in (home / "out/.vocabmill").iterdir()} == {*listed(), "status.json", "lock", ".tmp"}


def test_the_library_example_of_training_runs() -> None:
    names: dict[str, Any] = {}
    exec(blocks("python", TRAINING)[0], names)
    assert names["learned"].merges.tolist()
    assert {"tokenizer.json", "ranks.tiktoken"} <= names["files"].keys()


def test_the_conversions_of_the_page_on_formats_run_there_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    merges = [(b"t", b"h"), (b" ", b"th"), (b" th", b"e")]
    published = from_merges(merges, PATTERNS["gpt2"], ["<|endoftext|>"])
    Path("tokenizer.model").write_bytes(rank_lines(published.ids))
    for name, content in zip(("vocab.json", "merges.txt"), to_vocab_and_merges(published), strict=True):
        Path(name).write_bytes(content)
    pq.write_table(merges_table(merges), "merges.parquet")
    names: list[dict[str, Any]] = []
    for block in blocks("python", FORMATS):
        if "operators" in block:
            names.append({})
            exec(block, names[-1])
    ranks, vocab, table, reader = names
    assert ranks["again"] == ranks["vocabulary"]
    assert Path("ranks.tiktoken").read_bytes() == Path("tokenizer.model").read_bytes()
    assert (vocab["vocab"], vocab["merges"]) == to_vocab_and_merges(published)
    assert Path("gpt2.json").read_bytes() == to_tokenizer_json(published)
    assert table["table"] == merges_table(merges)
    assert reader["encoding"].encode_ordinary("the the") == Tokenizer.from_file("tokenizer.json").encode("the the").ids


@pytest.mark.parametrize("directory", listed())
def test_each_directory_of_the_work_directory_may_be_deleted(home: Path, directory: str) -> None:
    run_page()
    out = home / "out/mine"
    rows, version = corpus(out), current(out)
    shutil.rmtree(home / "out/.vocabmill" / directory)
    shutil.rmtree(out)
    run_page()
    assert (corpus(out), current(out)) == (rows, version)


def test_an_old_snapshot_may_be_deleted_and_the_current_one_stays(home: Path) -> None:
    run_page()
    out = home / "out/mine"
    first = current(out)
    run_recipe(load_recipe("recipe.yaml", ("steps.few.docs=2",)), LocalExecutor(1), quiet=True)
    assert current(out) != first
    shutil.rmtree(out / first)
    assert sorted(corpus(out)["id"].to_pylist()) == ["a1", "a3", "b1"]
    run_page()
    assert (current(out), sorted(corpus(out)["id"].to_pylist())) == (first, ["a3", "b1"])


def test_the_check_of_a_snapshot_that_the_page_shows_finds_a_damaged_file(home: Path) -> None:
    run_page()
    command = (
        blocks("sh", ON_STORAGE)[-1].replace("out/my-corpus", "out/mine").replace("python -", f"{sys.executable} -")
    )

    def output() -> str:
        return subprocess.run(["sh", "-ec", command], cwd=home, check=True, capture_output=True, text=True).stdout

    assert output() == ""
    path = home / "out/mine/artifacts/hosts/summary.json"
    path.write_bytes(path.read_bytes().replace(b"2", b"3"))
    assert output() == "damaged: artifacts/hosts/summary.json\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]
