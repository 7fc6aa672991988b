from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from operators.base import RecipeError
from pipeline.yaml_lines import load_yaml, parse_value

PLAIN = st.recursive(
    st.text("abcxyz", min_size=1) | st.integers(-99, 99) | st.booleans(),
    lambda inner: st.lists(inner, min_size=1) | st.dictionaries(st.text("klm", min_size=1), inner, min_size=1),
    max_leaves=8,
)


def message(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_yaml(text, "r.yaml")
    return str(caught.value)


def test_no_is_norwegian_and_only_true_and_false_are_booleans() -> None:
    content, _ = load_yaml("keep: [no, yes, on, true, False]\nday: 2024-01-02\n", "r.yaml")
    assert content == {"keep": ["no", "yes", "on", True, False], "day": "2024-01-02"}


def test_a_value_on_the_command_line_reads_as_in_a_file() -> None:
    assert parse_value("[no, 1, 0.5]") == ["no", 1, 0.5]
    assert parse_value("") is None


@given(PLAIN)
def test_what_yaml_writes_is_read_back_with_a_line_for_every_place(content: object) -> None:
    text = yaml.safe_dump({"root": content}, default_flow_style=False)
    found, lines = load_yaml(text, "r.yaml")
    assert found == {"root": content}
    assert lines.of(("root",)) == 1
    assert 1 <= lines.of(("root", "no such key", 5)) <= text.count("\n") + 1


def test_a_place_has_its_own_line_and_a_missing_one_that_of_what_is_around_it() -> None:
    _, lines = load_yaml("a:\n  - x: 1\n    y: 2\n  - z\n", "r.yaml")
    assert [lines.of(place) for place in (("a",), ("a", 0, "x"), ("a", 0, "y"), ("a", 1))] == [1, 2, 3, 4]
    assert lines.of(("a", 0, "missing")) == 2
    assert lines.has(("a", 1))
    assert not lines.has(("b",))


def test_a_key_that_stands_twice_is_refused_at_any_depth() -> None:
    assert message("a:\n  - b: 1\n    c: 2\n    b: 3\n") == (
        "r.yaml:4: the key 'b' stands here and on line 2; remove one of them"
    )


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("a:\n\tb: 1\n", 2, "a tab stands here"),
        ("a: b: c\n", 1, "quote a value"),
        ("a:\n  b: 1\n c: 2\n", 3, "indentation"),
        ("a: [1, 2\nb: 3\n", 2, "bracket is not closed"),
        ("a: 'x\nb: 3\n", 3, "not closed"),
        ("a: 1\n---\nb: 2\n", 2, "one document"),
        ("a: *.txt\n", 1, "put a glob in quotes"),
        ("a: *docs\n", 1, "put a glob in quotes"),
    ],
)
def test_broken_yaml_is_named_by_line_with_a_remedy(text: str, line: int, hint: str) -> None:
    said = message(text)
    assert said.startswith(f"r.yaml:{line}: this is no YAML: ")
    assert hint in said


def test_control_characters_and_aliases_in_themselves_are_refused() -> None:
    assert message("a: \x00\n").startswith("r.yaml: this is no YAML: ")
    assert "alias here stands for what it lies in" in message("a: &x\n  - 1\n  - *x\n")
    assert message("# nothing\n").endswith("a recipe needs name, inputs, steps and outputs")


def test_an_alias_for_a_list_is_written_out() -> None:
    content, _ = load_yaml("a: &x [1, 2]\nb: *x\n", "r.yaml")
    assert content == {"a": [1, 2], "b": [1, 2]}


def test_the_recipes_of_this_repository_are_read() -> None:
    root = Path(__file__).resolve().parents[2]
    for path in (root / "recipes").glob("*.yaml"):
        content, lines = load_yaml(path.read_text("utf-8"), path.name)
        assert lines.of(("inputs",)) > 1
        assert content["name"]
