import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from operators.code_point_tables import CODE_POINTS, POINT_MASK, table_digest
from operators.normal_text import DIGEST, SPACE, normal_table, standard


def test_the_table_is_the_pinned_one() -> None:
    assert table_digest(normal_table()) == DIGEST


def test_lower_case_is_pythons_but_for_the_one_that_becomes_two_and_the_sigma_of_a_words_end() -> None:
    table = normal_table()
    assigned = [chr(point) for point in range(CODE_POINTS) if unicodedata.category(chr(point)) != "Cn"]
    others = [one for one in assigned if one.lower() != chr(table[ord(one)] & POINT_MASK)]
    assert others == ["\u0130", "\u03c2"]


def test_a_greek_word_is_the_same_in_capitals() -> None:
    assert standard("\u039f\u0394\u039f\u03a3") == standard("\u03bf\u03b4\u03bf\u03c2")


def test_white_space_is_pythons() -> None:
    table = normal_table()
    assert all(bool(table[point] & SPACE) == chr(point).isspace() for point in range(CODE_POINTS))


def test_no_code_point_becomes_longer_or_lower_twice() -> None:
    table = normal_table() & POINT_MASK
    lengths = [len(chr(point).encode("utf-8", "surrogatepass")) for point in range(CODE_POINTS)]
    grown = [point for point in range(CODE_POINTS) if lengths[table[point]] > lengths[point]]
    assert {chr(point) for point in grown} == {"\u023a", "\u023e"}
    assert (table[table] == table).all()


@given(st.text(st.characters(exclude_characters="\u0130\u03a3\u03c2", exclude_categories=["Cs", "Cn"])))
def test_the_normal_form_is_that_of_pythons_methods_elsewhere(text: str) -> None:
    assert standard(text) == " ".join(text.lower().split())
