import pyarrow as pa
import pytest
from pydantic import ValidationError

from operators.conditions import Condition


def test_a_condition_holds_where_the_column_has_one_of_the_values() -> None:
    condition = Condition.model_validate({"column": "lang", "in": ["de", "fr"]})
    assert condition.holds(pa.table({"lang": ["de", "en", None, "fr"]})) == [True, False, False, True]
    assert condition.needs() == {"lang": pa.string()}


def test_no_condition_holds_everywhere_and_needs_nothing() -> None:
    assert Condition().holds(pa.table({"id": ["a", "b"]})) == [True, True]
    assert Condition().needs() == {}


def test_a_condition_survives_json_and_speaks_the_recipe_s_language() -> None:
    condition = Condition(column="lang", values=("de",))
    assert Condition.model_validate_json(condition.model_dump_json()) == condition
    assert condition.model_dump(mode="json") == {"column": "lang", "in": ["de"]}


@pytest.mark.parametrize("given", [{"column": "lang"}, {"in": ["de"]}, {"column": "lang", "in": [False]}, {"is": "de"}])
def test_half_a_condition_or_a_wrong_one_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(given)
