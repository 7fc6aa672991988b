from pathlib import Path
from typing import Any

import pytest

from operators import OPERATORS
from operators.base import Composite, Fold, RecipeError, Repeat
from operators.gopher_quality import GopherQuality
from operators.sample import Sample
from pipeline import catalogue
from pipeline.catalogue import PARTS, describe, form, markdown_table, renew, sentence, text_table
from pipeline.fields import facts_of
from pipeline.recipe import KINDS, Input

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.is_file() and any(f"<!-- {name}:begin -->" in path.read_text("utf-8") for name in PARTS)
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_generated_parts_of_documents_are_current(path: Path) -> None:
    assert path.read_text("utf-8") == renew(path.read_text("utf-8")), (
        f"run: python -m pipeline.catalogue --write {path.relative_to(ROOT)}"
    )


def test_every_part_is_in_a_document() -> None:
    text = "".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert [name for name in PARTS if f"<!-- {name}:begin -->" not in text] == []


def test_both_tables_list_every_operator_once() -> None:
    for table in (text_table(), markdown_table()):
        lines = [line.lstrip("| `").split("`")[0].split(" ")[0] for line in table.split("\n")]
        assert [line for line in lines if line in KINDS] == sorted(KINDS)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_parameter_of_an_operator_is_described(operator: type) -> None:
    kind = operator.model_fields["kind"].default  # type: ignore[attr-defined]
    text = describe(kind)
    assert text.startswith(f"{kind} ({form(operator)})\n\n{sentence(operator)}"[:60])
    for fact in facts_of(operator):
        assert f"\n  {fact.name}: {fact.type}" in text
    assert ">>>" not in text


def test_columns_types_bounds_and_rules_come_from_the_model() -> None:
    text = describe("gopher_quality")
    assert "gopher_quality_num_words: int32" in text
    assert "too_few_words: num_words < 50" in text
    assert "min_words: whole number, >= 0; default 50" in text
    assert len(GopherQuality().rules()) == text.partition("rules (with the defaults)")[2].count("\n  ")


@pytest.mark.parametrize(
    "given",
    [
        *({"kind": kind, "select": {"docs": 2}} for kind in ("facility_location", "ideal", "k_center", "vote_k")),
        {"kind": "importance_resample", "select": {"docs": 2}, "target": "wiki"},
        {"kind": "importance_resample", "select": {"docs": 2}, "target": ["wiki", "books"]},
        {"kind": "concordance_score", "ladder": ["weak", "middle", "strong"]},
    ],
    ids=str,
)
def test_a_composite_names_the_columns_that_its_stages_leave(given: dict[str, Any]) -> None:
    step = KINDS[given["kind"]].model_validate(given)
    assert isinstance(step, Composite)
    stages = [stage for stage in step.stages() if not isinstance(stage, Fold | Repeat)]
    left = {name: kind for stage in stages for name, kind in stage.adds().items() if not name.startswith("_")}
    assert dict(step.adds()) == left != {}
    shown = describe(given["kind"])
    for name in left.keys() - {"target", "bits_3"}:  # these are there by the parameters alone
        assert f"\n  {given['kind']}_{name}: " in shown


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'minhash_dedup'"):
        describe("minhash")
    with pytest.raises(RecipeError, match=r"the operators are .*sample"):
        describe("xyz")


def test_fields_say_type_bounds_and_default() -> None:
    sample = {fact.name: fact for fact in facts_of(Sample)}
    assert (sample["fraction"].type, sample["fraction"].bounds) == ("number", "> 0, <= 1")
    entry = {fact.name: fact for fact in facts_of(Input)}
    assert (entry["path"].type, entry["path"].default) == ("string or list of strings", "required")
    assert entry["role"].type == "corpus or reference"
    assert entry["labels"].default == "{}"
    assert "kind" not in sample


def test_renewing_replaces_only_what_lies_between_markers() -> None:
    text = "before\n<!-- operators:begin -->\nold\n<!-- operators:end -->\nafter | \\1\n"
    new = renew(text)
    assert new.startswith("before\n<!-- operators:begin -->\n| kind |")
    assert new.endswith("|\n<!-- operators:end -->\nafter | \\1\n")
    assert renew(new) == new
    assert renew("no marker") == "no marker"


def test_writing_renews_files_and_refuses_those_without_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    page.write_text("<!-- operators:begin -->\n<!-- operators:end -->\n")
    other.write_text("nothing here\n")
    monkeypatch.setattr("sys.argv", ["catalogue", "--write", str(page)])
    assert catalogue.main() == 0
    assert markdown_table() in page.read_text()
    monkeypatch.setattr("sys.argv", ["catalogue", "--write", str(other)])
    assert catalogue.main() == 2
    assert "no marker" in capsys.readouterr().err
