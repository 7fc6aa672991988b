import json
import pickle
from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import Operator
from operators.boilerplate import Boilerplate
from operators.kernels.lines_reference import SPLIT, Unit, cut, may_go
from operators.line_dedup import LineDedup
from operators.normal_text import standard
from operators.paragraph_dedup import ParagraphDedup
from tests.operators.harness import Engine, corpus, deal, run

KINDS: dict[str, type[Boilerplate]] = {"line": LineDedup, "paragraph": ParagraphDedup}
LINES = ["ab", "Ab ", "b\tA", "b a", "", " ", "--", "\xe9\u6f22", "\u03a3\u03a3", "\u03c3\u03c2", "\u0130", "c"]
TEXTS = st.lists(
    st.tuples(st.sampled_from(LINES), st.sampled_from(["\n", "\n", "\r\n", "\n\n", ""])).map("".join), max_size=6
).map("".join)
DOCUMENTS = st.lists(st.tuples(TEXTS, st.sampled_from("xyz")), max_size=9)
Row = dict[str, Any]


def by_dictionary(rows: list[Row], step: Boilerplate) -> tuple[dict[str, bytes], dict[str, tuple[int, int, int]]]:
    """The oracle, document by document: what is left of each text; and for each line its three counts."""
    places: dict[str, list[tuple[int, str, Unit]]] = defaultdict(list)
    for row in rows:
        text = row["text"].encode()
        place = step.priority.index(row["source"]) if row["source"] in step.priority else len(step.priority)
        for unit in SPLIT[step.unit](text):
            content = text[unit[0] : unit[1]]
            if may_go(content, step.min_chars):
                key = content.decode() if step.normalise == "none" else standard(content.decode())
                places[key].append((place, row["id"], unit))
    gone: dict[str, list[Unit]] = defaultdict(list)
    counts = {}
    for key, copies in places.items():
        if len({name for _, name, _ in copies}) >= step.min_documents:
            lost = sorted(copies)[1 if step.keep == "first" else 0 :]
            for _, name, unit in lost:
                gone[name].append(unit)
            removed = sum(unit[2] - unit[0] for *_, unit in lost)
            counts[key] = len({name for _, name, _ in copies}), len(copies), removed
    texts = {row["id"]: row["text"].encode() for row in rows}
    return {name: cut(text, SPLIT[step.unit](text), gone[name]) for name, text in texts.items()}, counts


def table_of(engine: Engine, name: str) -> list[Row]:
    rows: list[Row] = engine.artifacts["copies"].table(name).to_pylist()
    return rows


@given(
    DOCUMENTS,
    st.sampled_from(["line", "paragraph"]),
    st.sampled_from(["first", "none"]),
    st.sampled_from(["none", "whitespace_case"]),
    st.permutations("xyz"),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_it_cuts_what_a_dictionary_would_however_the_work_is_cut(
    documents: list[tuple[str, str]],
    unit: str,
    keep: str,
    normalise: str,
    order: list[str],
    shards: int,
    partitions: int,
    shuffle: int,
) -> None:
    table = corpus([text for text, _ in documents]).set_column(
        2, "source", pa.array([source for _, source in documents], pa.string())
    )
    parameters = {"keep": keep, "normalise": normalise, "priority": order[:2], "min_documents": 2, "min_chars": 1}
    step = KINDS[unit].model_validate({**parameters, "max_removed_share": 1})
    engine = run(step, deal(table, shards, shuffle), partitions=partitions, shuffle=shuffle, batch_rows=2)
    expected, counts = by_dictionary(table.to_pylist(), step)
    before = {row["id"]: row["text"].encode() for row in table.to_pylist()}
    empty = {name for name, text in expected.items() if text != before[name] and not text.decode().strip()}
    assert {row["id"]: row["text"].encode() for row in engine.kept.to_pylist()} == {
        name: text for name, text in expected.items() if name not in empty
    }
    assert {(row["id"], row["rule"]) for row in engine.dropped.to_pylist()} == {(i, "nothing_left") for i in empty}
    for row in engine.kept.to_pylist():
        assert row["removed_bytes"] == len(before[row["id"]]) - len(expected[row["id"]])
    found = table_of(engine, f"{unit}s")
    figures = sorted((row["documents"], row["occurrences"], row["removed_bytes"]) for row in found)
    assert figures == sorted(counts.values())
    top = engine.artifacts["top"].table("top").to_pylist()
    assert top == sorted(found, key=lambda row: (-row["removed_bytes"], row["hash"]))


def texts_of(engine: Engine) -> dict[str, str]:
    return {row["id"]: row["text"] for row in engine.kept.to_pylist()}


def test_every_other_byte_stays() -> None:
    texts = {"a": "top menu\r\n\r\nOne.\r\n", "b": "top menu\nTwo.  \n\n\ntop menu", "c": "Three.\ntop menu"}
    engine = run(LineDedup(min_documents=3, min_chars=5), [corpus(texts)])
    assert texts_of(engine) == {"a": texts["a"], "b": "Two.  \n\n\n", "c": "Three.\n"}
    engine = run(LineDedup(min_documents=3, min_chars=5, keep="none"), [corpus(texts)])
    assert texts_of(engine) == {"a": "\r\nOne.\r\n", "b": "Two.  \n\n\n", "c": "Three.\n"}


def test_a_paragraph_takes_the_blank_lines_after_it_along() -> None:
    texts = {"a": "Hello there.\n\nOne.", "b": "\nTwo.\n\nHello there.\n \n\nEnd.\n", "c": "Three.\n\nHello there.\n"}
    engine = run(ParagraphDedup(min_chars=5), [corpus(texts)])
    assert texts_of(engine) == {"a": texts["a"], "b": "\nTwo.\n\nEnd.\n", "c": "Three.\n\n"}


def test_the_copy_that_stays_has_priority_then_the_smaller_id() -> None:
    table = corpus({"b": "shared line\nB", "a": "shared line\nA", "c": "C\nshared line"})
    step = LineDedup(min_documents=2, min_chars=5, max_removed_share=1)
    assert texts_of(run(step, [table])) == {"b": "B", "a": "shared line\nA", "c": "C\n"}
    ranked = table.set_column(2, "source", pa.array(["web", "web", "books"], pa.string()))
    step = LineDedup(min_documents=2, min_chars=5, max_removed_share=1, priority=("books",))
    engine = run(step, [ranked.slice(0, 2), ranked.slice(2)])
    assert texts_of(engine) == {"b": "B", "a": "A", "c": "C\nshared line"}
    (row,) = table_of(engine, "lines")
    assert (row["excerpt"], row["first_id"], row["documents"], row["occurrences"]) == ("shared line", "c", 3, 3)
    assert row["removed_bytes"] == 24


def test_a_line_in_one_document_alone_stays_however_often_it_is_there() -> None:
    texts = {"a": "again and again\n" * 50, "b": "other words here"}
    assert texts_of(run(LineDedup(min_documents=2), [corpus(texts)])) == texts


@pytest.mark.parametrize(
    "line", ["", "   ", "-----------------------", "| 12 | 34 | 56 | 78 | 90 |", "too short here", "}"]
)
def test_layout_and_short_lines_stay(line: str) -> None:
    texts = [f"{line}\nunique text {number}" for number in range(12)]
    assert list(texts_of(run(LineDedup(), [corpus(texts)])).values()) == texts


def test_characters_are_counted_not_bytes() -> None:
    texts = [f"\u6f22\u5b57\u6f22\u5b57\n{number} unique" for number in range(3)]
    assert list(texts_of(run(LineDedup(min_documents=2, min_chars=5), [corpus(texts)])).values()) == texts
    left = texts_of(run(LineDedup(min_documents=2, min_chars=4), [corpus(texts)]))
    assert list(left.values()) == [texts[0], "1 unique", "2 unique"]


def test_documents_of_which_too_little_is_left_are_dropped_by_name() -> None:
    menu = "home about contact imprint\n"
    texts = {
        "a": menu * 2,
        "b": menu * 9 + "tiny",
        "c": menu + "A long text of its own, as it should be.\n",
        "d": " \n",
    }
    step = LineDedup(min_documents=2, keep="none", max_removed_share=0.9)
    engine = run(step, [corpus(texts)])
    dropped = {row["id"]: row for row in engine.dropped.to_pylist()}
    assert {name: row["rule"] for name, row in dropped.items()} == {"a": "nothing_left", "b": "too_much_removed"}
    assert (dropped["b"]["value"], dropped["b"]["threshold"]) == (243 / 247, 0.9)
    assert texts_of(engine) == {"c": "A long text of its own, as it should be.\n", "d": " \n"}
    assert [row["removed_lines"] for row in engine.kept.to_pylist()] == [1, 0]


def test_audit_keeps_every_text_and_records() -> None:
    texts = {"a": "a shared line of text", "b": "a shared line of text"}
    engine = run(LineDedup(min_documents=2, keep="none", audit=True), [corpus(texts)])
    assert texts_of(engine) == texts
    assert [row["rule"] for row in engine.dropped.to_pylist()] == ["nothing_left"] * 2
    assert engine.kept["removed_bytes"].to_pylist() == [21, 21]


def test_equal_keys_remove_nothing_unless_the_digests_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 64-bit key only nominates: with one key for all lines the result is the same."""
    import numpy as np

    from operators.kernels import lines

    texts = [f"the shared line is this\nthe line of document {number} alone" for number in range(4)]
    step = LineDedup(min_documents=3)
    before = texts_of(run(step, deal(corpus(texts), 2)))
    monkeypatch.setattr(lines, "keys", lambda data, starts, stops: np.zeros(starts.size, np.uint64))
    assert texts_of(run(step, deal(corpus(texts), 2))) == before
    assert sum("shared" in text for text in before.values()) == 1


def test_the_state_has_a_small_row_for_each_distinct_line_of_a_shard() -> None:
    shared = "".join(f"a line of some length, number {number}\n" for number in range(50))
    table = corpus([shared] * 40).append_column("_row", pa.array(range(40), pa.int32()))
    state = LineDedup().stages()[0].bind(None)(table)  # type: ignore[arg-type, union-attr]
    assert (state.num_rows, state.nbytes) == (50, 50 * 16)
    assert set(state["documents"].to_pylist()) == {40}


def test_no_exchange_has_a_row_for_each_copy() -> None:
    """A line that every document has would else make one partition as large as the corpus."""
    table = corpus([f"the line that all documents have\nand one of its own: {number}" for number in range(300)])
    copies = LineDedup(min_documents=2).stages()[2]
    engine = run(LineDedup(min_documents=2), [table])
    key = engine.artifacts["carriers"].table("_rows")["key"]
    rows = table.append_column("_row", pa.array(range(300), pa.int32()))
    rows = rows.append_column("key", key.take(pa.array([0, *[None] * 299], pa.int32())))
    state = copies.bind(None)(rows)  # type: ignore[arg-type, union-attr]
    (row,) = state.to_pylist()
    assert (row["documents"], row["occurrences"], row["bytes"]) == (300, 300, 300 * 33)
    assert engine.artifacts["copies"].table("_decided").num_rows == 1


@pytest.mark.parametrize("step", [LineDedup(priority=("a", "b")), ParagraphDedup(keep="none")])
def test_it_survives_pickle_and_json(step: Operator) -> None:
    assert pickle.loads(pickle.dumps(step)) == step
    assert type(step).model_validate(json.loads(step.model_dump_json())) == step


def test_a_priority_named_twice_and_one_document_as_a_minimum_are_refused() -> None:
    with pytest.raises(ValidationError, match="'web' twice"):
        LineDedup(priority=("web", "web"))
    with pytest.raises(ValidationError, match="min_documents"):
        LineDedup(min_documents=1)
