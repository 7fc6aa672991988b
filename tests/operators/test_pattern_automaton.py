import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from operators.engine_spans import check_pattern, engine_ends
from operators.kernels.pretokenize import is_scanned, spans
from operators.pattern_automaton import compile_patterns
from operators.pattern_syntax import UnsupportedPattern, parse
from operators.pretokenizers import PATTERNS, Cutting, Pretokenizer

ATOMS = [r"\p{L}", r"\p{Lu}", r"\p{N}", r"\P{L}", r"\s", r"\S", r"\d", ".", "a", "b", "'", " ", r"\n"]
ATOMS += ["[ab]", r"[^a\s]", r"[\p{L}\p{M}]", r"[^\p{L}\p{N}]", "[a-c1-3]", r"[\S\n]", "(?i:'s|re)", "(?i:k)"]
QUANTIFIERS = ("?", "*", "+", "{1,3}", "{2}", "{2,}", "{0,2}")
AHEAD = (r"(?!\S)", "(?=a)", "(?![ab])", r"(?=\p{L})")


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: f"(?:{'|'.join(options)})"),
        st.tuples(inner, st.sampled_from(QUANTIFIERS)).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.tuples(inner, st.sampled_from(AHEAD)).map("".join),
    )


PATTERN = st.lists(st.recursive(st.sampled_from(ATOMS), larger, max_leaves=6), min_size=1, max_size=4).map("|".join)
TEXT = st.text(st.sampled_from("aabbcAB1\u0663' \n\tsS\u017fReEkK\u212a\xe9\u0301!\x00\U0001f600"), max_size=14)


@given(pattern=PATTERN, texts=st.lists(TEXT, min_size=1, max_size=30))
def test_any_pattern_that_is_read_cuts_as_the_engine_does(pattern: str, texts: list[str]) -> None:
    how = Cutting((pattern,), (pattern,))
    assume(is_scanned(how))
    array = pa.array(texts, pa.large_string())
    alone = [engine_ends(array.slice(row, 1), how.patterns).tolist() for row in range(len(texts))]
    assert spans(array, how).to_pylist() == alone


@given(texts=st.lists(TEXT, min_size=1, max_size=5))
def test_a_run_of_a_class_hides_its_characters_from_the_patterns_after_it(texts: list[str]) -> None:
    how = Cutting(*2 * ((r"\p{L}+", r"\s+", r"a.|[^a]{2}|\s+(?!\S)"),))
    array = pa.array(texts, pa.large_string())
    alone = [engine_ends(array.slice(row, 1), how.patterns).tolist() for row in range(len(texts))]
    assert is_scanned(how)
    assert spans(array, how).to_pylist() == alone


@pytest.mark.parametrize(("pretokenizer", "most"), [(name, 40) for name in PATTERNS])
def test_published_patterns_give_small_automata(pretokenizer: Pretokenizer, most: int) -> None:
    automaton = compile_patterns(PATTERNS[pretokenizer])
    assert automaton.steps.size // automaton.width <= most


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("a*", "a way to match nothing"),
        ("a|", "a way to match nothing"),
        ("(?=a)", "a way to match nothing"),
        ("(?:a*)+b", "a repetition of what can match nothing"),
        ("a+?", "a lazy, possessive or repeated quantifier"),
        ("a++", "a lazy, possessive or repeated quantifier"),
        ("a{,3}", "no quantifier"),
        ("a{3,1}", "bounds that fall"),
        ("^a", r"'\^a'"),
        ("a$", r"'\$'"),
        ("(?<=a)b", r"'\(\?<'"),
        (r"(a)\1", r"escape \\1"),
        (r"\w", r"escape \\w"),
        (r"\p{Han}", "property 'Han'"),
        ("[a[b]]", "a nested class"),
        ("[a&&b]", "an intersection"),
        ("(?i:[a])", "more than plain ASCII letters"),
        ("(?i:stop)", "which have ligatures"),
        ("(?=ab)a", "a look-ahead at more than one character"),
        ("a)", "unbalanced"),
        ("(?:a", r"no '\)'"),
        ("[a", "its end"),
    ],
)
def test_what_is_not_read_is_named(pattern: str, complaint: str) -> None:
    with pytest.raises(UnsupportedPattern, match=complaint):
        parse(pattern)


@pytest.mark.parametrize("patterns", [(r"\p{N}{1,3}", r"\p{N}"), ("ab", "a"), ("a+", "b|a")])
def test_patterns_in_a_row_that_are_no_runs_of_classes_are_left_to_the_engine(patterns: tuple[str, ...]) -> None:
    how = Cutting(patterns, patterns)
    texts = pa.array(["ab 1234 aab"], pa.large_string())
    assert spans(texts, how).to_pylist() == [engine_ends(texts, patterns).tolist()]


def test_an_automaton_that_would_be_large_is_left_to_the_engine() -> None:
    pattern = "(?:a|b)*a" + "(?:a|b)" * 14
    with pytest.raises(UnsupportedPattern, match="more than 4000 states"):
        compile_patterns((pattern,))


def test_a_pattern_that_is_no_regex_is_refused_by_name() -> None:
    with pytest.raises(Exception, match=r"pattern '\(' is no regex of the engine inside `tokenizers`"):
        check_pattern("(")
