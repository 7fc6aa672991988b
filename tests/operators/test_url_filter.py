import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import RULE, Context, RecipeError
from operators.url_filter import SCORES, UrlFilter
from tests.operators.harness import corpus, run

LISTS = {
    "domains": ["Bad.example", "*.worse.example"],
    "hosts": ["one.host.example"],
    "urls": ["https://a.example/x", "b.example/y?z"],
    "hard_words": ["Hard"],
    "soft_words": ["soft", "mild", "tame"],
    "parts": ["BadPart"],
}


def with_urls(urls: list[str | None]) -> pa.Table:
    return corpus([""] * len(urls), url=pa.array(urls, pa.string()))


def rule(url: str, **more: object) -> str | None:
    dropped = run(UrlFilter.model_validate({**LISTS, **more}), [with_urls([url])]).dropped.to_pylist()
    return dropped[0][RULE] if dropped else None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://good.example/", None),
        ("http://bad.example", "blocked_domain"),
        ("https://WWW.Bad.EXAMPLE:8080/x", "blocked_domain"),
        ("https://notbad.example/", None),
        ("https://bad.example.org/", None),
        ("https://good.example/bad.example", None),
        ("https://me:x@deep.worse.example./", "blocked_domain"),
        ("one.host.example/x", "blocked_host"),
        ("https://two.one.host.example/", None),
        ("https://a.example/x", "blocked_url"),
        ("http://a.example/x", None),
        ("ftp://b.example/y?z", "blocked_url"),
        ("https://c.example/so-Hard_x", "hard_word"),
        ("https://c.example/so-hard", None),
        ("https://c.example/Hardy", None),
        ("https://c.example/soft-soft", None),
        ("https://c.example/soft?mild", "soft_words"),
        ("https://c.example/xb-A.d/PaRt1", "banned_part"),
        ("https://c.example/bad%20part", None),
    ],
)
def test_each_list_speaks_in_the_reference_s_order(url: str, expected: str | None) -> None:
    assert rule(url) == expected


def test_the_first_broken_rule_names_the_verdict_and_the_entry_is_shown() -> None:
    url = "https://x.bad.example/Hard-soft-mild-badpart"
    (dropped,) = run(UrlFilter.model_validate(LISTS), [with_urls([url])]).dropped.to_pylist()
    assert (dropped[RULE], dropped["value"], dropped["threshold"]) == ("blocked_domain", 1, 0)
    assert json.loads(dropped["detail"]) == {"url": url, "entry": "bad.example"}
    assert rule("https://c.example/soft-mild", max_soft_words=2) is None
    assert rule("https://c.example/soft-mild-tame", max_soft_words=2) == "soft_words"


def test_null_and_empty_addresses_pass_with_null_scores() -> None:
    engine = run(UrlFilter.model_validate(LISTS), [with_urls([None, "", "https://c.example/"])])
    found = engine.kept.select(list(SCORES)).to_pylist()
    assert found == [dict.fromkeys(SCORES), dict.fromkeys(SCORES), dict.fromkeys(SCORES, 0)]


def test_the_address_may_be_in_any_column_and_no_text_is_read() -> None:
    operator = UrlFilter(column="link", domains=["bad.example"])
    assert list(operator.needs()) == ["link"]
    rows = pa.table({"id": ["a"], "link": ["http://bad.example/"]})
    assert operator.bind(Context(0, {}))(rows)["in_domains"].to_pylist() == [1]


@given(
    st.lists(st.none() | st.text() | st.sampled_from(["http://bad.example/soft", "Hard"]), max_size=8),
    st.integers(1, 3),
)
def test_batch_split_does_not_matter(urls: list[str | None], size: int) -> None:
    operator, table = UrlFilter.model_validate({**LISTS, "audit": True}), with_urls(urls)
    whole, split = run(operator, [table]), run(operator, [table], batch_rows=size)
    assert whole.kept.combine_chunks() == split.kept.combine_chunks()


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"domains": ["https://bad.example/"]}, r"domains: 'https://bad.example/' \(1 such\) can never be found"),
        ({"hosts": ["x" * 256]}, "hosts: 'x+'"),
        ({"hard_words": ["two-words", "x"]}, "expected ASCII letters and digits alone"),
        ({"parts": ["\xe9"]}, "parts: '\xe9'"),
        ({"urls": {"files": ["no/such"]}}, "list 'no/such' cannot be read"),
    ],
)
def test_what_can_never_be_found_is_refused(given: dict[str, object], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        UrlFilter.model_validate(given).check()


def test_a_filter_without_lists_is_refused_and_a_bound_scores_nothing_again() -> None:
    with pytest.raises(ValidationError, match="no list: give at least one of domains"):
        UrlFilter()
    with pytest.raises(ValidationError, match="max_soft_words means nothing without soft_words"):
        UrlFilter(domains=["a.org"], max_soft_words=3)
    one, two = (UrlFilter(soft_words=["a"], max_soft_words=bound) for bound in (1, 2))
    assert one.identity(one.verdict_only) == two.identity(two.verdict_only)
    assert one.identity() != UrlFilter(soft_words=["b"]).identity()
