import re
import sys
from pathlib import Path

import pytest
import yaml

from operators.base import RecipeError
from operators.exact_dedup import ExactDedup
from pipeline.recipe import KINDS, Recipe, load_recipe

RECIPE = """\
name: small
inputs:
  - name: docs
    path: data/docs.jsonl
steps:
  - kind: exact_dedup
  - kind: sample
    name: half
    fraction: 0.5
outputs:
  path: out
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def faults(tmp_path: Path, text: str, *settings: str) -> list[str]:
    """The faults of a recipe, without the file's name."""
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, settings)
    return str(caught.value).replace(f"{path}:", "").split("\n")


def test_a_right_recipe_is_read_with_its_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, RECIPE))
    assert [step.label for step in recipe.steps] == ["exact_dedup", "half"]
    assert recipe.inputs[0].entries == ("data/docs.jsonl",)
    assert (recipe.seed, recipe.outputs.shard_mb) == (0, 64)


def test_a_recipe_survives_json(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, RECIPE))
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_no_is_a_language_code(tmp_path: Path) -> None:
    text = RECIPE.replace("path: data/docs.jsonl", "path: data/docs.jsonl\n    labels: {lang: no, checked: true}")
    assert load_recipe(write(tmp_path, text)).inputs[0].labels == {"lang": "no", "checked": True}


def test_every_kind_is_known_by_its_name() -> None:
    assert KINDS["exact_dedup"] is ExactDedup


def test_set_changes_values_by_step_name_kind_and_input_name(tmp_path: Path) -> None:
    settings = ("steps.half.fraction=0.25", "steps.exact_dedup.column=url", "inputs.docs.labels.lang=no", "seed=9")
    recipe = load_recipe(write(tmp_path, RECIPE), settings)
    dumped = recipe.model_dump()
    assert dumped["steps"][1]["fraction"] == 0.25
    assert dumped["steps"][0]["column"] == "url"
    assert recipe.inputs[0].labels == {"lang": "no"}
    assert recipe.seed == 9


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("steps.half", "expected KEY=VALUE"),
        ("steps..x=1", "expected KEY=VALUE"),
        ("steps.near.x=1", "steps has no 'near'; there are exact_dedup, half"),
        ("steps.half=1", "set its fields: steps.half.FIELD=value"),
        ("steps.half.fraction.x=1", "steps[1].fraction is 0.5, which has no fields"),
        ("seed=[1", "the value is no YAML"),
    ],
)
def test_a_setting_that_names_nothing_is_refused(tmp_path: Path, setting: str, said: str) -> None:
    (fault,) = faults(tmp_path, RECIPE, setting)
    assert fault.startswith(f"--set {setting!r}: ")
    assert said in fault


def test_a_value_from_the_command_line_is_blamed_on_it_and_not_on_a_line(tmp_path: Path) -> None:
    assert faults(tmp_path, RECIPE, "steps.half.fraction=2", "stepz.x=1", "seed=-1") == [
        "--set seed=-1: seed: expected at least 0, not -1",
        "--set stepz.x=1: stepz: unknown key; did you mean 'steps'?",
        "--set steps.half.fraction=2: steps[1].fraction: expected at most 1, not 2",
    ]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = RECIPE.replace("fraction: 0.5", "fraction: 1.5").replace("name: docs", "name: a/b").replace("path: out", "")
    assert [fault.partition(":")[0] for fault in faults(tmp_path, text)] == ["3", "9", "10"]


def test_a_union_is_one_fault_and_a_wrong_item_is_named(tmp_path: Path) -> None:
    text = RECIPE.replace("path: data/docs.jsonl", "path: {a: 1}")
    assert faults(tmp_path, text) == ["4: inputs[0].path: expected a string or a list, not a mapping"]
    text = RECIPE.replace("path: data/docs.jsonl", "path: [a, 5]")
    assert faults(tmp_path, text) == ["4: inputs[0].path[1]: expected a string, not 5; put it in quotes"]


def test_a_key_called_like_a_kind_or_a_type_keeps_its_place(tmp_path: Path) -> None:
    text = RECIPE.replace("path: data/docs.jsonl", "path: x\n    labels: {sample: [1], str: {}}")
    said = "expected a string or a whole number or a number or true or false"
    assert faults(tmp_path, text) == [
        f"5: inputs[0].labels.sample: {said}, not a list",
        f"5: inputs[0].labels.str: {said}, not an empty mapping",
    ]


def test_null_not_a_number_and_infinity_are_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, RECIPE.replace("name: small", "name:")) == [
        "1: name: expected a string, not nothing (null)"
    ]
    for value in (".nan", ".inf"):
        assert faults(tmp_path, RECIPE.replace("0.5", value))[0].startswith("9: steps[1].fraction: expected ")


@pytest.mark.parametrize("name", ["ingest", "exclude_ids"])
def test_the_engines_names_are_no_steps_names(tmp_path: Path, name: str) -> None:
    (fault,) = faults(tmp_path, RECIPE.replace("name: half", f"name: {name}"))
    assert fault.startswith(f"7: steps[1]: no step may be called {name!r}")


def test_a_strangers_operator_is_imported_and_its_parameters_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_long.py").write_text(
        "from operators.base import Judge\n\n\nclass Long(Judge):\n    max_chars: int\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = RECIPE.replace("kind: exact_dedup", 'kind: "strangers_long:Long"\n    max_chars: 5')
    assert load_recipe(write(tmp_path, text)).steps[0].model_dump()["max_chars"] == 5
    assert faults(tmp_path, text.replace("max_chars: 5", "max_char: 5")) == [
        "6: steps[0].max_chars: missing; it is needed",
        "7: steps[0].max_char: unknown key; did you mean 'max_chars'?",
    ]
    del sys.modules["strangers_long"]


def test_a_module_that_fails_while_it_is_imported_is_a_fault_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strangers_broken.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (fault,) = faults(tmp_path, RECIPE.replace("kind: exact_dedup", 'kind: "strangers_broken:X"'))
    assert "cannot import 'strangers_broken:X': ZeroDivisionError" in fault


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(RecipeError, match=r"cannot read the recipe '.*': (No such file|Is a directory)"):
            load_recipe(str(path))
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: \xe9\n")
    with pytest.raises(RecipeError, match="no UTF-8"):
        load_recipe(str(latin))


def test_the_reference_shows_a_recipe_that_is_right() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "recipe.md").read_text("utf-8")
    shown = text.partition("```yaml\n")[2].partition("```")[0]
    recipe = Recipe.model_validate(yaml.safe_load(shown))
    assert [step.label for step in recipe.steps] == ["quality", "exact_dedup", "train_tokenizer"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{kind: gopher_quality, min_words: true}", "steps[0].min_words: expected a whole number, not"),
        ("{kind: gopher_quality, min_words: '50'}", "expected a whole number, not '50'"),
        ("{kind: gopher_repetition, max_dup_line_ratio: '0.1'}", "expected a number, not '0.1'"),
        ("{kind: c4_quality, terminal_punctuation: no}", "expected true or false, not 'no'"),
        ("{kind: exact_dedup, audit: 1}", "expected true or false, not 1"),
    ],
)
def test_a_scalar_of_another_kind_is_not_taken_for_the_one_that_is_meant(
    step: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        f"name: r\ninputs: [{{name: d, path: x.jsonl}}]\nsteps:\n- {step}\noutputs: {{path: out}}\n", "utf-8"
    )
    with pytest.raises(RecipeError, match=re.escape(expected)):
        load_recipe(str(path))


def test_a_list_that_is_too_short_is_told_by_its_length(tmp_path: Path) -> None:
    text = RECIPE.replace("kind: exact_dedup", "kind: concordance_score\n    ladder: [o1]")
    assert any("ladder: expected at least 2 item(s), not 1" in line for line in faults(tmp_path, text))
