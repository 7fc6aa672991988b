"""What a person sees who wrote a wrong recipe: the whole of standard error, and the exit status.

Each recipe in `tests/data/wrong_recipes/` says in its first two lines how it is run and how that ends; the text beside
it is what must be said.
"""

import json
import os
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.pretokenizers import PATTERNS
from operators.tokenizer_files import to_tokenizer_json
from operators.vocabulary import from_merges
from pipeline.cli import main
from pipeline.storage import Store, exclusive

FOLDER = Path(__file__).resolve().parent.parent / "data" / "wrong_recipes"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the recipes name."""
    data = tmp_path / "data"
    for name in ("mixed", "drift"):
        (data / name).mkdir(parents=True)
    rows = [{"text": f"text number {number}", "url": f"u{number}", "lang": "en"} for number in range(5)]
    lines = [json.dumps(row) for row in rows]
    (data / "docs.jsonl").write_text("\n".join(lines))
    (data / "broken.jsonl").write_text("\n".join([*lines[:2], '{"text": "no end', *lines[2:]]))
    (data / "array.json").write_text(json.dumps(rows))
    (data / "tokenizer.json").write_bytes(to_tokenizer_json(from_merges([(b"a", b"b")], PATTERNS["gpt2"])))
    (data / "notes.xyz").write_text("notes")
    (data / "mixed" / "a.txt").write_text("text")
    (data / "mixed" / "b.jsonl").write_text(lines[0])
    ids = pa.array(["a", "b"])
    content = pa.table({"content": ["one text", "another"], "id": ids, "lang": ["en", "de"], "rank": [1, 2]})
    pq.write_table(content, data / "table.parquet")
    pq.write_table(pa.table({"text": ids, "score": [1, 2]}), data / "drift" / "a.parquet")
    pq.write_table(pa.table({"text": ids, "score": ["high", "low"]}), data / "drift" / "b.parquet")
    (tmp_path / "foreign" / "corpus").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(case: str, folder: Path) -> int:
    """Run a case as its first line says; the recipe lies in the working directory."""
    recipe = f"{case}.yaml"
    text = (FOLDER / recipe).read_text("utf-8")
    (folder / recipe).write_text(text)
    command = text.split("\n")[0].removeprefix("# vocabmill ").replace("RECIPE", recipe)
    with exclusive(Store(str(folder / "held"))):
        return main(shlex.split(command))


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_recipe_gets_its_message_and_status(
    case: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected_status = int((FOLDER / f"{case}.yaml").read_text("utf-8").split("\n")[1].removeprefix("# exit "))
    before = {path for path in folder.rglob("*") if "held" not in path.parts}
    status = run(case, folder)
    output = capsys.readouterr()
    said = re.sub(rf"pid {os.getpid()} on \S+\)", "pid PID on HOST)", output.err).replace(f"{folder}/", "")
    assert said == (FOLDER / f"{case}.txt").read_text("utf-8")
    assert status == expected_status
    assert output.out == ""
    new = {path.name for path in set(folder.rglob("*")) - before if "held" not in path.parts}
    assert expected_status == 1 or "run" in (FOLDER / f"{case}.yaml").read_text("utf-8") or new == {f"{case}.yaml"}


def test_every_message_names_a_place_and_ends_without_a_traceback() -> None:
    for case in CASES:
        message = (FOLDER / f"{case}.txt").read_text("utf-8")
        assert message.startswith("vocabmill: ")
        assert "Traceback" not in message
        assert "function-" not in message
        assert "pydantic" not in message
    assert len(CASES) >= 20
