import pickle
import random
from itertools import pairwise
from pydoc_data import topics

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.repeated_passages import Fingerprints
from operators.repeats import slow_cut, slow_repeats, slow_trim
from operators.substring_dedup import SubstringDedup
from tests.operators.harness import Engine, corpus, deal, run

PASSAGES = (
    "The harbour was busy before dawn.",
    "boats came in with herring, and mackerel for the market",
    "Köche kauften Fisch für die Gäste; ",
    "\u6e2f\u53e3\u5728\u9ece\u660e\u524d\u5f88\u7e41\u5fd9\u3002",
    "\u0e40\u0e23\u0e37\u0e2d\u0e40\u0e02\u0e49\u0e32\u0e21\u0e32",
    "-" * 45,
    "x1_" * 30,
    "\U0001f600 ",
    "one\n",
)
DOCUMENTS = st.lists(
    st.tuples(st.lists(st.sampled_from(PASSAGES), max_size=5).map(" ".join), st.sampled_from("xyz")), max_size=6
)


def spans(engine: Engine) -> list[dict[str, object]]:
    """The artifact's rows, of all parts."""
    rows: list[dict[str, object]] = engine.artifacts["removed"].table("spans").to_pylist()
    return sorted(rows, key=lambda row: (str(row["id"]), row["start"]))


def ranked(table: pa.Table, priority: tuple[str, ...]) -> list[dict[str, str]]:
    """The documents in the order in which copies are kept."""

    def place(row: dict[str, str]) -> tuple[int, int, str]:
        known = priority.index(row["source"]) if row["source"] in priority else len(priority)
        return known, -len(row["text"].encode()), row["id"]

    return sorted(table.to_pylist(), key=place)


def expected(table: pa.Table, operator: SubstringDedup) -> tuple[dict[str, str], list[dict[str, object]]]:
    """The oracle: the text of each document afterwards, and the rows of the artifact without excerpts."""
    rows = ranked(table, operator.priority)
    texts = [row["text"].encode() for row in rows]
    left, found = {}, []
    for row, text, pieces in zip(rows, texts, slow_repeats(texts, operator.min_bytes), strict=True):
        trimmed = slow_trim(text, pieces, operator.min_bytes)
        left[row["id"]] = slow_cut(text, trimmed).decode()
        for number, span in enumerate(trimmed):
            for start, end, source, kept_start in span:
                place = {"id": row["id"], "start": start, "end": end, "span": number}
                found.append({**place, "kept_id": rows[source]["id"], "kept_start": kept_start})
    return left, sorted(found, key=lambda row: (str(row["id"]), row["start"]))


@given(DOCUMENTS, st.permutations("xyz"), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99), st.integers(20, 60))
def test_texts_spans_and_verdicts_are_those_of_all_windows_however_the_work_is_cut(
    documents: list[tuple[str, str]], order: list[str], shards: int, partitions: int, shuffle: int, size: int
) -> None:
    table = corpus([text for text, _ in documents]).set_column(
        2, "source", pa.array([s for _, s in documents], pa.string())
    )
    operator = SubstringDedup(min_bytes=size, min_left_bytes=15, priority=tuple(order[:2]))
    engine = run(operator, deal(table, shards, shuffle), partitions=partitions, shuffle=shuffle, batch_rows=3)
    left, found = expected(table, operator)
    given = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    kept = {name: text for name, text in left.items() if text == given[name] or len(text.encode()) >= 15}
    after = engine.kept
    assert dict(zip(after["id"].to_pylist(), after["text"].to_pylist(), strict=True)) == kept
    assert {row["id"] for row in engine.dropped.to_pylist()} == left.keys() - kept.keys()
    assert [{name: row[name] for name in row if name != "excerpt"} for row in spans(engine)] == found
    bytes_gone = {name: len(given[name].encode()) - len(left[name].encode()) for name in left}
    assert after["removed_bytes"].to_pylist() == [bytes_gone[name] for name in after["id"].to_pylist()]
    counts = {name: len({row["span"] for row in found if row["id"] == name}) for name in left}
    assert after["removed_spans"].to_pylist() == [counts[name] for name in after["id"].to_pylist()]


def real_documents(seed: int) -> pa.Table:
    """Documents of passages of words, many of them copied, at any place."""
    rng = random.Random(seed)
    words = [f"w{rng.randrange(999)}" for _ in range(4000)]
    texts = []
    for _ in range(60):
        parts = []
        for _ in range(rng.randrange(1, 6)):
            start = rng.randrange(3900)
            parts.append(" ".join(words[start : start + rng.randrange(5, 90)]))
        texts.append("\n\n".join(parts))
    return corpus(texts)


def test_the_first_copy_of_all_that_is_removed_can_be_read_in_what_stays() -> None:
    table = real_documents(4)
    engine = run(SubstringDedup(min_bytes=50), deal(table, 3), partitions=2)
    before = dict(zip(table["id"].to_pylist(), (t.encode() for t in table["text"].to_pylist()), strict=True))
    after = [text.encode() for text in engine.kept["text"].to_pylist()]
    rows = spans(engine)
    assert len(rows) > 50
    windows = {text[at : at + 50] for text in after for at in range(len(text) - 49)}
    for row in rows:
        own, kept = before[str(row["id"])], before[str(row["kept_id"])]
        start, end, kept_start = (int(str(row[name])) for name in ("start", "end", "kept_start"))
        assert own[start:end] == kept[kept_start : kept_start + end - start]
        assert str(row["excerpt"]).encode() == own[start:end][:200]
        for byte in range(start, end):
            assert any(own[at : at + 50] in windows for at in range(max(0, byte - 49), byte + 1))


def window_classes(data: bytes, size: int) -> npt.NDArray[np.int64]:
    """For each window a number that equal windows share, by doubling, as a suffix array is built: no hashes."""
    ranks, known = np.frombuffer(data, np.uint8).astype(np.int64), 1
    while known < size:
        step = min(known, size - known)
        pairs = ranks[:-step] << 32 | ranks[step:]
        ranks, known = np.unique(pairs, return_inverse=True)[1], known + step
    return ranks


@pytest.mark.parametrize("size", [50, 200])
def test_in_real_text_it_finds_what_a_suffix_array_finds(size: int) -> None:
    texts = list(topics.topics.values()) * 2
    texts += [topic[len(topic) // 3 :] for topic in texts[::3]]
    table = corpus([f"{number}\n{text}" for number, text in enumerate(texts)])
    engine = run(SubstringDedup(min_bytes=size), [table.slice(0, 90), table.slice(90)], partitions=3)
    rows = ranked(table, ())
    numbers = {row["id"]: number for number, row in enumerate(rows)}
    encoded = [row["text"].encode() for row in rows]
    begins = np.cumsum([0, *(len(text) for text in encoded)])
    classes = window_classes(b"".join(encoded), size)
    inside = np.concatenate([np.arange(low, max(low, high - size + 1)) for low, high in pairwise(begins)])
    _, first, group = np.unique(classes[inside], return_index=True, return_inverse=True)
    source, owner = inside[first[group]], np.repeat(np.arange(len(encoded)), np.diff(begins))
    later = (source != inside) & ((owner[source] != owner[inside]) | (inside - source >= size))
    touched = np.append(0, np.cumsum(covered(inside[later], size, begins[-1])))
    expected = covered(inside[later & (touched[source + size] == touched[source])], size, begins[-1])
    found = np.zeros(begins[-1], bool)
    for shard, part in enumerate((table.slice(0, 90), table.slice(90))):
        for row in engine.artifacts["pieces"].table("_rows").filter(pc.field("_shard") == shard).to_pylist():
            begin = begins[numbers[part["id"][row["_row"]].as_py()]]
            for start, end in zip(row["start"], row["end"], strict=True):
                found[begin + start : begin + end] = True
    assert begins[-1] > 1_000_000
    assert expected.sum() > 500_000
    assert np.array_equal(found, expected)


def covered(places: npt.NDArray[np.int64], size: int, total: int) -> npt.NDArray[np.bool_]:
    """The bytes of the windows at some places."""
    change = np.zeros(total + 1, np.int64)
    np.add.at(change, places, 1)
    np.add.at(change, places + size, -1)
    return np.cumsum(change)[:-1] > 0


def test_no_word_is_split_and_none_grow_together() -> None:
    engine = run(SubstringDedup(min_bytes=50), [real_documents(9)])
    words = {word for text in real_documents(9)["text"].to_pylist() for word in text.split()}
    assert {word for text in engine.kept["text"].to_pylist() for word in text.split()} <= words
    assert sum(engine.kept["removed_bytes"].to_pylist()) > 3000


def test_the_first_copy_is_that_of_the_wanted_source_then_of_the_longer_text_then_of_the_smaller_id() -> None:
    passage = " ".join(f"word{number}" for number in range(40))
    table = corpus({"b": f"Short. {passage}", "a": f"Some longer text. {passage}", "c": f"Other. {passage}"})
    engine = run(SubstringDedup(min_left_bytes=0), [table])
    assert engine.kept["text"].to_pylist() == ["Short. ", f"Some longer text. {passage}", "Other. "]
    ranked_table = table.set_column(2, "source", pa.array(["web", "web", "books"]))
    engine = run(SubstringDedup(min_left_bytes=0, priority=("books",)), [ranked_table])
    assert engine.kept["text"].to_pylist() == ["Short. ", "Some longer text. ", f"Other. {passage}"]


def test_a_document_with_too_little_left_is_dropped_and_names_who_has_its_text() -> None:
    passage = " ".join(f"word{number}" for number in range(40))
    engine = run(SubstringDedup(), [corpus([f"A longer start. {passage}", passage, "short"])])
    (row,) = engine.dropped.to_pylist()
    assert (row["id"], row["survivor"]) == ("d0001", "d0000")
    assert (row["rule"], row["value"], row["threshold"]) == ("too_little_left", 0.0, 20.0)
    assert engine.kept_ids == {"d0000", "d0002"}


def test_a_repeat_within_a_document_leaves_its_first_place() -> None:
    passage = " ".join(f"word{number}" for number in range(40))
    engine = run(SubstringDedup(), [corpus([f"{passage}\n\nBetween.\n\n{passage} End."])])
    assert engine.kept["text"].to_pylist() == [f"{passage}\n\nBetween.\n\n End."]
    assert engine.kept["removed_spans"].to_pylist() == [1]


def test_a_long_run_of_one_character_is_one_row_of_state() -> None:
    table = corpus(["-" * 100_000]).append_column("_row", pa.array([0], pa.int32()))
    state = Fingerprints(name="f", min_bytes=200).bind(None)(table)  # type: ignore[arg-type]
    assert state.num_rows <= 2
    engine = run(SubstringDedup(), [corpus(["-" * 100_000])])
    assert engine.kept["text"].to_pylist() == ["-" * 200]


def test_a_passage_in_very_many_documents_costs_no_pairs() -> None:
    passage = " ".join(f"word{number}" for number in range(60))
    table = corpus([f"Page {number * number}. {passage}" for number in range(3000)])
    engine = run(SubstringDedup(min_left_bytes=0), deal(table, 4), partitions=3)
    assert len({row["kept_id"] for row in spans(engine)}) == 1
    assert sum(len(text) for text in engine.kept["text"].to_pylist()) < 3000 * 20
    assert engine.artifacts["copies"].table("_copies").num_rows < 20 * 3000


def test_where_nothing_comes_again_the_texts_are_as_they_were() -> None:
    table = corpus(["one text", "", "another"])
    engine = run(SubstringDedup(), [table, table.slice(0, 0)])
    assert engine.kept.drop_columns(["removed_bytes", "removed_spans"]).equals(table)
    assert engine.artifacts["removed"].table("spans").num_rows == 0


def test_a_second_run_removes_only_what_met_where_something_was_cut_out() -> None:
    table = real_documents(2)
    once = run(SubstringDedup(min_bytes=50), [table]).kept
    twice = run(SubstringDedup(min_bytes=50), [once.drop_columns(["removed_bytes", "removed_spans"])]).kept
    first, second = (sum(kept["removed_bytes"].to_pylist()) for kept in (once, twice))
    assert second < first / 10


def test_audit_keeps_every_document_and_every_text() -> None:
    passage = " ".join(f"word{number}" for number in range(40))
    engine = run(SubstringDedup(audit=True), [corpus([passage, passage])])
    assert (engine.kept["text"].to_pylist(), engine.dropped.num_rows) == ([passage, passage], 1)
    assert engine.kept["removed_bytes"].to_pylist() == [0, len(passage)]
    assert len(spans(engine)) == 1


@pytest.mark.parametrize(
    "fields", [{"min_bytes": 19}, {"min_bytes": 20, "min_left_bytes": 21}, {"priority": ("a", "a")}]
)
def test_values_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SubstringDedup.model_validate(fields)


def test_it_survives_pickle_and_json() -> None:
    operator = SubstringDedup(min_bytes=60, priority=("a", "b"))
    assert pickle.loads(pickle.dumps(operator)) == operator
    assert SubstringDedup.model_validate_json(operator.model_dump_json()) == operator


def test_moving_min_left_bytes_leaves_all_folds_as_they_are() -> None:
    one, two = (SubstringDedup(min_left_bytes=left).stages() for left in (5, 9))
    assert [left == right for left, right in zip(one, two, strict=True)] == [True] * 6 + [False, True]
