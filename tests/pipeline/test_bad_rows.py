"""Bad rows: every good row comes through, every bad one lies in `dropped/` with its place, and the sums hold."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.base import DataError, RecipeError, RunError
from tests.pipeline.engine import Json, Mill, Ran, check_sums

BIG = 10_000
LIMIT_MB = 0.008
GOOD = [f"good document number {number}, with a few words of its own" for number in range(6)]

Place = tuple[str, str]
"""Rule and origin."""


def traced(ran: Ran) -> dict[str, str]:
    """Origin -> rule of everything quarantined."""
    rows = [row for row in ran.dropped.to_pylist() if row["step"] == "ingest"]
    assert len({row["origin"] for row in rows}) == len(rows), "two bad rows share an origin"
    return {row["origin"]: row["rule"] for row in rows}


def line(**row: object) -> bytes:
    """A JSON line."""
    return json.dumps(row).encode() + b"\n"


def bad_lines(*, ids: bool) -> tuple[list[bytes], dict[int, str]]:
    """Lines of which some are bad, and the rules by line number. The size limit holds for whole lines."""
    named: list[Json] = [{"text": text, **({"id": f"g{n}"} if ids else {})} for n, text in enumerate(GOOD)]
    lines = [
        line(**named[0]),
        b'{"text": "caf\xe9 is not UTF-8"}\n',
        line(text=None, **({"id": "b2"} if ids else {})),
        line(text="", **({"id": "b3"} if ids else {})),
        line(text=" \t ", **({"id": "b4"} if ids else {})),
        line(**named[1]),
        b'{"text": "the brace is missing"\n',
        b"just words\n",
        line(text="x" * BIG),
        line(**named[2]),
        line(other=7),
        line(text=5),
        b"[1, 2]\n",
        b"\n",
        line(**named[3]),
    ]
    rules = {
        2: "invalid_utf8", 3: "null_text", 4: "empty_text", 5: "empty_text", 7: "broken_json", 8: "broken_json",
        9: "too_large", 11: "missing_text", 12: "not_a_string", 13: "not_an_object",
    }  # fmt: skip
    if ids:
        lines += [line(text="the second g0", id="g0"), line(text="no id"), line(text="an empty id", id="")]
        rules |= {16: "duplicate_id", 17: "null_id", 18: "null_id"}
    return lines, rules


def entry(**more: object) -> list[Json]:
    """An input over the whole directory."""
    return [{"name": "docs", "path": "{home}/in/*", "max_document_mb": LIMIT_MB, **more}]


def write(mill: Mill, name: str, content: bytes) -> Path:
    """A file among the inputs."""
    path = mill.home / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def kept(ran: Ran) -> list[str]:
    """The texts that came through, sorted."""
    return sorted(ran.corpus["text"].to_pylist())


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_jsonl_names_every_bad_line(pack: Callable[[bytes], bytes], mill: Mill) -> None:
    lines, rules = bad_lines(ids=True)
    name = "a.jsonl" if pack is bytes else "a.jsonl.gz"
    write(mill, name, pack(b"".join(lines)))
    ran = mill.run([], inputs=entry(columns={"id": "id"}), shard_mb=1)
    assert kept(ran) == GOOD[:4]
    found = traced(ran)
    repeated = {origin: rule for origin, rule in found.items() if rule == "duplicate_id"}
    assert repeated == {f"{name}@{sum(map(len, lines[:15]))}": "duplicate_id"}
    assert found.keys() - repeated.keys() == {f"{name}:{number}" for number in rules if rules[number] != "duplicate_id"}
    assert all(found[f"{name}:{number}"] == rule for number, rule in rules.items() if rule != "duplicate_id")
    assert ran.manifest["rows"] == {"read": 17, "kept": 4, "dropped": 0, "quarantined": 13}
    check_sums(ran)


def test_a_repeated_id_names_the_row_that_has_it_first(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="the first", id="x") + line(text="another", id="y"))
    write(mill, "b.jsonl", line(text="longer, and yet the second", id="x") + line(text="and a third", id="x"))
    ran = mill.run([], inputs=entry(columns={"id": "id"}), shard_mb=0.00001)
    assert kept(ran) == ["another", "the first"]
    details = {
        row["origin"]: (row["id"], row["survivor"], json.loads(row["detail"])) for row in ran.dropped.to_pylist()
    }
    first = {"first": "a.jsonl@0"}
    assert details == {"b.jsonl@0": ("x", "x", first), "b.jsonl@50": ("x", "x", first)}
    check_sums(ran)


def test_without_mapped_ids_equal_ids_are_just_a_column(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="one", url="u") + line(text="two", url="u"))
    assert kept(mill.run([], inputs=entry())) == ["one", "two"]


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_truncated_gzip_gives_what_is_whole_and_one_bad_row(keep: float, mill: Mill) -> None:
    import random

    words = random.Random(5)
    texts = [" ".join(f"{words.randrange(10**9):x}" for _ in range(40)) for _ in range(50)]
    whole = gzip.compress(b"".join(line(text=text) for text in texts))
    write(mill, "cut.jsonl.gz", whole[: int(len(whole) * keep)])
    write(mill, "good.jsonl", line(text="a good one"))
    ran = mill.run([], inputs=entry(max_document_mb=1))
    came = set(kept(ran)) - {"a good one"}
    assert came == set(texts[: len(came)])
    assert abs(len(came) - 50 * keep) < 8
    assert traced(ran) == {f"cut.jsonl.gz:{len(came) + 1}": "truncated_file"}
    check_sums(ran)


def test_parquet_names_every_bad_row(mill: Mill) -> None:
    raw = [b"caf\xe9", GOOD[0].encode(), None, b"", b" \n", b"x" * BIG, GOOD[1].encode(), GOOD[0].encode()]
    binary = pa.array(raw, pa.large_binary())
    ids = pa.array(["b0", "g0", "b1", "b2", "b3", "b4", "g1", "g0"])
    pq.write_table(
        pa.table({"text": binary.view(pa.large_string()), "id": ids}), _in(mill) / "a.parquet", row_group_size=3
    )
    pq.write_table(pa.table({"text": pa.array([GOOD[2]]), "id": ["g2"]}), _in(mill) / "b.parquet")
    whole = (_in(mill) / "a.parquet").read_bytes()
    write(mill, "c.parquet", whole[: len(whole) // 2])
    ran = mill.run([], inputs=entry(columns={"id": "id"}))
    assert kept(ran) == GOOD[:3]
    rules = {
        "a.parquet#0": "invalid_utf8", "a.parquet#2": "null_text", "a.parquet#3": "empty_text",
        "a.parquet#4": "empty_text", "a.parquet#5": "too_large", "a.parquet#7": "duplicate_id",
        "c.parquet": "unreadable_file",
    }  # fmt: skip
    assert traced(ran) == rules
    check_sums(ran)


def test_text_names_every_bad_file(mill: Mill) -> None:
    write(mill, "good.txt", GOOD[0].encode())
    write(mill, "latin.txt", b"caf\xe9")
    write(mill, "empty.txt", b"")
    write(mill, "blank.txt", b"\n \n")
    write(mill, "big.txt", b"x" * BIG)
    write(mill, "cut.txt.gz", gzip.compress(GOOD[1].encode() * 9)[:-9])
    ran = mill.run([], inputs=entry())
    assert kept(ran) == GOOD[:1]
    rules = {
        "latin.txt": "invalid_utf8", "empty.txt": "empty_text", "blank.txt": "empty_text", "big.txt": "too_large",
        "cut.txt.gz": "truncated_file",
    }  # fmt: skip
    assert traced(ran) == rules
    check_sums(ran)


def test_text_by_line_names_every_bad_line(mill: Mill) -> None:
    write(mill, "a.txt", b"first line\ncaf\xe9\n" + b"x" * BIG + b"\nlast line\n")
    ran = mill.run([], inputs=entry(documents="line", format="text"))
    assert kept(ran) == ["first line", "last line"]
    assert traced(ran) == {"a.txt@11": "invalid_utf8", "a.txt@16": "too_large"}
    check_sums(ran)


def test_every_format_in_one_run(mill: Mill) -> None:
    """The whole list at once, over four inputs: what is good comes through once, what is bad is told apart by input."""
    lines, rules = bad_lines(ids=False)
    lines_dir, packed_dir = mill.home / "lines", mill.home / "packed"
    lines_dir.mkdir()
    packed_dir.mkdir()
    (lines_dir / "a.jsonl").write_bytes(b"".join(lines))
    (packed_dir / "a.jsonl.gz").write_bytes(gzip.compress(b"".join(lines)))
    pq.write_table(pa.table({"text": [GOOD[4], None, " "], "n": [1, 2, 3]}), _in(mill) / "a.parquet")
    (mill.home / "text").mkdir()
    (mill.home / "text" / "a.txt").write_text(GOOD[5], encoding="utf-8")
    (mill.home / "text" / "b.txt").write_bytes(b"\xff\xfe")
    names = {"lines": "lines/*", "packed": "packed/*", "table": "in/*", "text": "text/*"}
    inputs = [{"name": n, "path": f"{{home}}/{p}", "max_document_mb": LIMIT_MB} for n, p in names.items()]
    ran = mill.run([{"kind": "exact_dedup", "max_drop_ratio": 1.0}], inputs=inputs, shard_mb=1)
    assert kept(ran) == GOOD
    bad = {(row["source"], row["origin"], row["rule"]) for row in ran.dropped.to_pylist() if row["step"] == "ingest"}
    wanted = {("lines", f"a.jsonl:{n}", rule) for n, rule in rules.items()}
    wanted |= {("packed", f"a.jsonl.gz:{n}", rule) for n, rule in rules.items()}
    wanted |= {("table", "a.parquet#1", "null_text"), ("table", "a.parquet#2", "empty_text")}
    wanted |= {("text", "b.txt", "invalid_utf8")}
    assert bad == wanted
    assert ran.steps["exact_dedup"]["dropped"] == {"duplicate": 4}
    check_sums(ran)


def test_a_cut_file_names_bad_lines_by_their_bytes(mill: Mill) -> None:
    lines = [line(text=f"a text of line {number}") for number in range(40)]
    lines[30] = b"broken\n"
    write(mill, "a.jsonl", b"".join(lines))
    ran = mill.run([], inputs=entry(), shard_mb=0.0003)
    assert ran.manifest["inputs"][0]["shards"] > 2
    assert traced(ran) == {f"a.jsonl@{sum(map(len, lines[:30]))}": "broken_json"}
    assert ran.corpus.num_rows == 39
    check_sums(ran)


def test_mixed_formats_keep_their_origins(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="twice the same") + line(text="once") + line(text="twice the same"))
    write(mill, "b.txt", b"twice the same")
    pq.write_table(pa.table({"text": ["twice the same", "one more"]}), _in(mill) / "c.parquet")
    ran = mill.run([{"kind": "exact_dedup"}], inputs=entry(max_document_mb=50), shard_mb=1)
    every = {"a.jsonl@0", "a.jsonl@44", "b.txt", "c.parquet#0"}
    assert set(ran.dropped["origin"].to_pylist()) < every
    assert ran.dropped.num_rows == 3


def test_schema_drift_is_reconciled_where_nothing_is_lost(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="one", rank=None, url="u1"))
    write(mill, "b.jsonl", line(text="two", rank="first"))
    write(mill, "c.jsonl", line(text="three", score=1))
    write(mill, "d.jsonl", line(text="four", score=0.5))
    for shard_mb in (0.000001, 1):
        ran = mill.run([], inputs=entry(max_document_mb=50), shard_mb=shard_mb)
        rows = {row["text"]: (row["rank"], row["score"], row["url"]) for row in ran.corpus.to_pylist()}
        none = None
        assert rows == {
            "one": (none, none, "u1"),
            "two": ("first", none, none),
            "three": (none, 1.0, none),
            "four": (none, 0.5, none),
        }


def test_schema_drift_that_would_lose_something_names_both_files(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="one", rank=1))
    write(mill, "b.jsonl", line(text="two", rank="first"))
    for shard_mb in (0.000001, 1):
        with pytest.raises(DataError, match=r"rank.*(a\.jsonl.*b\.jsonl|b\.jsonl.*a\.jsonl)"):
            mill.run([], inputs=entry(max_document_mb=50), shard_mb=shard_mb)


def test_integers_that_a_double_cannot_hold_are_refused_beside_floats(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="one", score=2**53 + 1))
    write(mill, "b.jsonl", line(text="two", score=0.5))
    for shard_mb in (0.000001, 1):
        with pytest.raises(DataError, match="score"):
            mill.run([], inputs=entry(max_document_mb=50), shard_mb=shard_mb)


def test_on_bad_row_fail_names_the_first(mill: Mill) -> None:
    for name in ("c", "a", "b", "d"):
        write(mill, f"{name}.jsonl", line(text="good") + b"{broken\n" + line(text=None))
    for shard_mb in (0.000001, 1):
        with pytest.raises(DataError, match=r"8 bad rows .*the first at a\.jsonl(:2|@17): broken_json"):
            mill.run([], inputs=entry(on_bad_row="fail", max_document_mb=50), shard_mb=shard_mb)
    assert not (mill.home / "out" / "corpus").exists()


def test_on_bad_row_fail_holds_for_repeated_ids(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="one", id="x") + line(text="two", id="x"))
    inputs = entry(on_bad_row="fail", columns={"id": "id"}, max_document_mb=50)
    with pytest.raises(DataError, match=r"repeat an id, for instance 'x'.*a\.jsonl@0"):
        mill.run([], inputs=inputs)


def test_an_input_without_a_good_row_is_refused(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text=None))
    with pytest.raises(DataError, match=r"hold no document: docs: 1 file, 1 row, all of them bad: 1 null_text$"):
        mill.run([], inputs=entry())


def test_a_reference_without_a_good_row_is_refused(mill: Mill, toys: None) -> None:
    write(mill, "a.jsonl", line(text="good"))
    mill.jsonl("r", [{"text": None}], "ref")
    inputs = [*entry(), {"name": "ref", "path": "{home}/ref/*", "role": "reference"}]
    with pytest.raises(DataError, match=r"reference input 'ref' holds no document"):
        mill.run([{"kind": "toys:Unknown", "reference": "ref"}], inputs=inputs)


def test_a_reference_that_no_step_reads_may_be_empty(mill: Mill) -> None:
    write(mill, "a.jsonl", line(text="good"))
    mill.jsonl("r", [{"text": None}], "ref")
    ran = mill.run([], inputs=[*entry(), {"name": "ref", "path": "{home}/ref/*", "role": "reference"}])
    assert ran.corpus["text"].to_pylist() == ["good"]


def test_excluded_ids_leave_no_trace_further_on(mill: Mill, toys: None) -> None:
    rows = [{"id": f"d{n}", "text": f"text {n} with the word w{n}"} for n in range(20)]
    write(mill, "a.jsonl", b"".join(line(**row) for row in rows))
    blocked = mill.home / "block.txt"
    blocked.write_text("d3\n\n  d7 \r\nnobody\n", encoding="utf-8")
    steps: list[dict[str, Any]] = [{"kind": "toys:Words", "name": "words"}, {"kind": "toys:Length", "name": "length"}]
    ran = mill.run(steps, inputs=entry(columns={"id": "id"}), exclude_ids=str(blocked))
    gone = {row["id"]: (row["step"], row["rule"]) for row in ran.dropped.to_pylist()}
    assert gone == {"d3": ("exclude_ids", "excluded_id"), "d7": ("exclude_ids", "excluded_id")}
    assert ran.dropped["excerpt"].null_count == 2
    check_sums(ran)
    write(mill, "a.jsonl", b"".join(line(**row) for row in rows if row["id"] not in ("d3", "d7")))
    without = mill.run(steps, inputs=entry(columns={"id": "id"}), out="out2", work="work2")
    assert ran.corpus.equals(without.corpus)
    words = {name: digest for name, digest in ran.bytes.items() if name.startswith("artifacts/")}
    assert words == {name: digest for name, digest in without.bytes.items() if name.startswith("artifacts/")}
    assert len(words) == 2


def test_a_longer_block_list_is_seen_and_scores_nothing_again(mill: Mill, toys: None) -> None:
    write(mill, "a.jsonl", b"".join(line(id=f"d{n}", text=f"text {n}") for n in range(20)))
    blocked = mill.home / "block.txt"
    blocked.write_text("d3\n", encoding="utf-8")
    inputs = entry(columns={"id": "id"})
    mill.run([{"kind": "toys:Length"}], inputs=inputs, exclude_ids=str(blocked))
    blocked.write_text("d4\n", encoding="utf-8")
    ran = mill.run([{"kind": "toys:Length"}], inputs=inputs, exclude_ids=str(blocked))
    assert ran.dropped["id"].to_pylist() == ["d4"]
    assert ran.steps["Length"]["rows_computed"] == 1


def test_an_unreadable_block_list_is_refused(mill: Mill) -> None:
    write(mill, "a.jsonl", line(id="a", text="text"))
    with pytest.raises(RecipeError, match=r"exclude_ids.*nowhere\.txt"):
        mill.run([], inputs=entry(columns={"id": "id"}), exclude_ids=str(mill.home / "nowhere.txt"))


def test_a_step_that_drops_too_much_fails_the_run(flawed: Mill, toys: None) -> None:
    step = {"kind": "toys:Length", "min_chars": 600, "max_drop_ratio": 0.1}
    with pytest.raises(RunError, match=r"'Length' drops \d+ of 44 documents .*max_drop_ratio 0.1.*too_short"):
        flawed.run([step])
    assert not (flawed.home / "out" / "corpus").exists()


def test_a_draw_that_drops_too_much_is_advised_to_draw_more(flawed: Mill) -> None:
    step = {"kind": "mix", "by": "source", "temperature": 1, "budget": 100, "max_drop_ratio": 0.1}
    with pytest.raises(RunError, match=r"draws up to a budget: ask for more, or raise steps\.mix\.max_drop_ratio"):
        flawed.run([step])


def _in(mill: Mill) -> Path:
    folder = mill.home / "in"
    folder.mkdir(exist_ok=True)
    return folder
