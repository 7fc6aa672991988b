import json
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.components import slow_components
from operators.minhash import band_keys, sign
from operators.minhash_dedup import MinhashDedup, bucket_links
from operators.near_duplicates import shingling_of
from operators.shingles import shingle_sets
from operators.verification import slow_elect
from tests.operators.harness import Engine, corpus, deal, run

WORDS = [f"word{number}" for number in range(60)]
Rows = list[dict[str, object]]


def family(seed: int, copies: int, changes: int) -> list[str]:
    """A text of 60 random words, and copies with some words replaced."""
    rng = random.Random(seed)
    words = [rng.choice(WORDS) for _ in range(60)]
    texts = [" ".join(words)]
    for _ in range(copies):
        changed = list(words)
        for _ in range(changes):
            changed[rng.randrange(60)] = f"new{rng.randrange(1000)}"
        texts.append(" ".join(changed))
    return texts


def clusters(engine: Engine) -> Rows:
    rows: Rows = engine.artifacts["members"].table("clusters").to_pylist()
    return sorted(rows, key=lambda row: str(row["id"]))


def verdicts(engine: Engine) -> Rows:
    rows: Rows = engine.dropped.drop_columns("shard").sort_by("id").to_pylist()
    return rows


def five_grams(text: str) -> set[tuple[str, ...]]:
    """The shingles of a plain text of words and single spaces, by nobody's code."""
    words = text.split(" ")
    return {tuple(words[first : first + 5]) for first in range(len(words) - 4)}


def jaccard(one: str, two: str) -> float:
    a, b = five_grams(one), five_grams(two)
    return len(a & b) / len(a | b)


def expected_clusters(table: pa.Table, operator: MinhashDedup) -> Rows:
    """The oracle: all pairs for links, dictionaries for components, a plain election on sets of numbers."""
    rows = table.to_pylist()
    how = shingling_of(operator.unit, operator.ngram, operator.scheme)
    bands, per_band = operator.banding()
    size = 128 if operator.bands == "auto" else bands * per_band
    texts = table["text"].combine_chunks()
    signed, sets = sign(texts, how, operator.scheme, size), shingle_sets(texts, how)
    keys = band_keys(signed.values, bands, per_band)
    has = [index for index in range(len(rows)) if signed.signed[index]]
    links = [(one, two) for one in has for two in has if one < two and (keys[one] == keys[two]).any()]
    label = slow_components(links)
    survivor, alike = list(range(len(rows))), [1.0] * len(rows)
    for component in sorted(set(label.values())):
        members = [index for index in label if label[index] == component]
        members.sort(key=lambda index: (-len(rows[index]["text"].encode()), rows[index]["id"]))
        if operator.verify == "none":
            found = [(0, float((signed.values[m] == signed.values[members[0]]).mean())) for m in members]
        else:
            of = [frozenset(sets.hashes[sets.offsets[m] : sets.offsets[m + 1]].tolist()) for m in members]
            found = slow_elect(of, operator.threshold, operator.verify)
        for member, (place, similarity) in zip(members, found, strict=True):
            survivor[member], alike[member] = members[place], similarity
    together: dict[int, list[int]] = {}
    for index, best in enumerate(survivor):
        together.setdefault(best, []).append(index)
    return [
        {
            "id": row["id"],
            "cluster_id": min(rows[member]["id"] for member in together[survivor[index]]),
            "survivor_id": rows[survivor[index]]["id"],
            "similarity": alike[index],
            "status": "removed" if survivor[index] != index else "survivor" if len(together[index]) > 1 else "alone",
        }
        for index, row in enumerate(rows)
    ]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 8)), max_size=6),
    st.sampled_from([0.5, 0.8, 1.0]),
    st.sampled_from(["jaccard", "containment", "none"]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_clusters_are_those_of_all_pairs_however_the_work_is_cut(
    families: list[tuple[int, int, int]], threshold: float, verify: str, shards: int, partitions: int, shuffle: int
) -> None:
    texts = ["too short", "", *(text for shape in families for text in family(*shape))]
    table, operator = corpus(texts), MinhashDedup.model_validate({"threshold": threshold, "verify": verify})
    engine = run(operator, deal(table, shards, shuffle), partitions=partitions, shuffle=shuffle, batch_rows=3)
    expected = expected_clusters(table, operator)
    assert clusters(engine) == expected
    removed = {row["id"]: (row["survivor_id"], row["similarity"]) for row in expected if row["status"] == "removed"}
    assert {row["id"]: (row["survivor"], row["similarity"]) for row in verdicts(engine)} == removed
    assert engine.kept_ids == set(table["id"].to_pylist()) - set(removed)
    found = json.loads(engine.artifacts["curve"].read("curve.json"))["found"]
    assert (found["documents"], found["removed"]) == (len(texts), len(removed))


def test_near_duplicates_go_and_others_stay() -> None:
    text = " ".join(f"w{number}" for number in range(300))
    near = [text, f"{text} more", f"New {text.upper()}", text.replace("w9 ", "x  ")]
    engine = run(MinhashDedup(), [corpus([*near, *family(2, 0, 0), "a b c d", "a b c d"])])
    assert engine.kept_ids == {"d0001", "d0004", "d0005", "d0006"}
    assert {(row["rule"], row["survivor"]) for row in verdicts(engine)} == {("near_duplicate", "d0001")}
    status = {row["id"]: row["status"] for row in clusters(engine)}
    assert [status[f"d000{number}"] for number in (0, 1, 4, 5)] == ["removed", "survivor", "alone", "alone"]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8])
def test_precision_is_one_and_no_two_documents_that_stay_met_and_are_similar(threshold: float) -> None:
    texts = {f"{seed}-{place}": text for seed in range(20) for place, text in enumerate(family(seed, 8, 2))}
    operator = MinhashDedup(threshold=threshold)
    engine = run(operator, deal(corpus(texts), 3), partitions=2)
    rows = verdicts(engine)
    assert len(rows) > 10
    for row in rows:
        one, best = str(row["id"]), str(row["survivor"])
        assert best in engine.kept_ids
        assert row["similarity"] == jaccard(texts[one], texts[best]) >= threshold
    component = {row["id"]: row["cluster_id"] for row in clusters(run(nobody_verifies(operator), [corpus(texts)]))}
    kept = sorted(engine.kept_ids)
    assert not [
        (one, two)
        for one in kept
        for two in kept
        if one < two and component[one] == component[two] and jaccard(texts[one], texts[two]) >= threshold
    ]


def nobody_verifies(operator: MinhashDedup) -> MinhashDedup:
    """The same step with components for clusters."""
    return operator.model_copy(update={"verify": "none"})


def test_ten_thousand_documents_of_one_template_all_stay_where_the_text_decides() -> None:
    rng = random.Random(5)
    template = [f"boilerplate{number}" for number in range(60)]
    texts = [" ".join([*template, *(f"w{rng.randrange(10**6)}" for _ in range(40))]) for _ in range(10_000)]
    operator = MinhashDedup(bands=40, rows=3)  # As many bands of as few rows as it takes to link nearly all of them.
    verified, unverified = (run(one, [corpus(texts)]) for one in (operator, nobody_verifies(operator)))
    assert len(unverified.kept_ids) < 100
    assert len(verified.kept_ids) == 10_000


def test_of_a_chain_of_small_edits_each_that_goes_resembles_the_one_that_stays() -> None:
    words = [f"w{number}" for number in range(1000)]
    chain = [" ".join(words[start : start + 200]) for start in range(0, 800, 5)]
    operator = MinhashDedup(threshold=0.7)
    unverified = clusters(run(nobody_verifies(operator), [corpus(chain)]))
    assert {row["cluster_id"] for row in unverified} == {"d0000"}
    assert jaccard(chain[0], chain[-1]) == 0
    rows = clusters(run(operator, deal(corpus(chain), 3), partitions=3))
    assert len({row["cluster_id"] for row in rows}) > 20
    texts = {row["id"]: text for row, text in zip(rows, chain, strict=True)}
    assert all(jaccard(texts[row["id"]], texts[row["survivor_id"]]) >= 0.7 for row in rows)
    stay = [row["id"] for row in rows if row["status"] != "removed"]
    assert max(jaccard(texts[one], texts[two]) for one in stay for two in stay if one != two) < 0.7


def test_containment_removes_an_excerpt_that_jaccard_keeps() -> None:
    whole = " ".join(f"w{number}" for number in range(300))
    texts = {"excerpt": " ".join(whole.split()[:200]), "whole": whole}
    eager = {"threshold": 0.9, "bands": 64, "rows": 2}
    assert run(MinhashDedup.model_validate(eager), [corpus(texts)]).kept_ids == {"excerpt", "whole"}
    engine = run(MinhashDedup.model_validate({**eager, "verify": "containment"}), [corpus(texts)])
    assert [(row["id"], row["survivor"], row["similarity"]) for row in verdicts(engine)] == [("excerpt", "whole", 1.0)]
    wanted = corpus(texts).set_column(2, "source", pa.array(["wanted", "other"]))
    first = {**eager, "verify": "containment", "priority": ["wanted"]}
    assert run(MinhashDedup.model_validate(first), [wanted]).kept_ids == {"excerpt", "whole"}


@pytest.mark.parametrize("script", [0x4E00, 0x0E01], ids=["Chinese", "Thai"])
def test_text_without_spaces_is_compared_by_characters(script: int) -> None:
    rng = random.Random(script)
    text = "".join(chr(script + rng.randrange(40)) for _ in range(400))
    near, other = text[:200] + text[201:], "".join(chr(script + rng.randrange(40)) for _ in range(400))
    table = corpus({"near": near, "other": other, "text": text})
    assert run(MinhashDedup(), [table]).kept_ids == {"text", "other"}
    assert run(MinhashDedup(unit="word"), [table]).kept_ids == {"near", "text", "other"}


def test_the_survivor_has_priority_then_length_then_the_smaller_id() -> None:
    text = family(3, 0, 0)[0]
    table = corpus({"b": f"{text} end", "a": text, "c": text})
    assert run(MinhashDedup(), [table]).kept_ids == {"b"}
    assert run(MinhashDedup(), [table.slice(1)]).kept_ids == {"a"}
    ranked = table.set_column(2, "source", pa.array(["web", "web", "books"]))
    assert run(MinhashDedup(priority=("books", "web")), [ranked]).kept_ids == {"c"}


def test_a_second_run_finds_nothing_where_all_members_met_their_survivor() -> None:
    table = corpus([text for seed in range(10) for text in family(seed, 2, 1)])
    once = run(MinhashDedup(), [table]).kept
    assert run(MinhashDedup(), [once]).kept.equals(once)


def test_kept_rows_are_unchanged_but_for_the_score() -> None:
    table = corpus(family(1, 1, 0))
    engine = run(MinhashDedup(audit=True), [table])
    assert engine.kept.drop_columns("similarity").equals(table)
    assert engine.kept["similarity"].to_pylist() == [None, 1.0]


def test_published_signatures_are_those_of_every_document_that_has_one() -> None:
    table = corpus(["short", *family(1, 2, 1)])
    engine = run(MinhashDedup(keep_signatures=True), deal(table, 2), partitions=2)
    published = engine.artifacts["signatures"].table("signatures").sort_by("id")
    assert published.schema.field("signature").type == pa.list_(pa.uint64(), 128)
    expected = sign(table["text"].combine_chunks(), shingling_of("auto", 5, "fast"), "fast", 128).values[1:]
    assert published["id"].to_pylist() == ["d0001", "d0002", "d0003"]
    assert published["signature"].to_pylist() == expected.tolist()


def test_a_hot_bucket_costs_one_link_a_document() -> None:
    links = bucket_links(np.zeros(5000, np.uint64), np.arange(5000)[::-1].copy())
    assert links.num_rows == 4999
    assert set(links["a"].to_pylist()) == {0}


@pytest.mark.parametrize(
    "fields",
    [{"threshold": 0}, {"bands": 0, "rows": 3}, {"bands": 9}, {"rows": 5}, {"unit": "line"}, {"priority": ("a", "a")}],
)
def test_values_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MinhashDedup.model_validate(fields)


def test_moving_threshold_or_verification_leaves_the_signer_as_it_is() -> None:
    signers = [
        MinhashDedup.model_validate(fields).stages()[0]
        for fields in ({}, {"threshold": 0.5}, {"verify": "none"}, {"priority": ["a"]}, {"keep_signatures": True})
    ]
    assert [signer == signers[0] for signer in signers] == [True] * 5
