"""What other thresholds would keep, in the manifest of real runs: the same however the run went."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.executors.local import LocalExecutor
from tests.pipeline.engine import FRENCH, GERMAN, Mill, Ran, flawed_texts
from tests.pipeline.test_standing import CLASSIFIER, NGRAMS

Json = dict[str, Any]
KEYS = ("scores", "thresholds", "spreads", "score_bytes", "examples", "rules")
STEPS: list[Json] = [
    {"kind": "language_id", "name": "lid", "min_score": 0.3},
    {"kind": "gopher_quality", "min_words": 20, "min_stop_words": 1},
]
LENIENT: Json = {"kind": "gopher_quality", "min_words": 5, "min_stop_words": 0}


@pytest.fixture
def flawed(mill: Mill) -> Mill:
    """The flawed texts, three times over with other words, in four files of two sources."""
    texts = [f"{text} {extra}" for extra in ("", "One more.", "Und noch eins.") for text in flawed_texts()]
    for number in range(4):
        mine = enumerate(texts[number::4])
        mill.jsonl(f"part{number}", ({"text": text, "source": f"site{place % 3}"} for place, text in mine))
    return mill


def explored(ran: Ran) -> dict[str, Json]:
    """The counts by step: all of what the page shows of scores."""
    return {step["name"]: {key: step[key] for key in KEYS} for step in ran.manifest["steps"]}


@pytest.mark.slow
def test_the_layout_of_shards_and_the_workers_change_nothing(flawed: Mill, two_workers: LocalExecutor) -> None:
    runs = [
        flawed.run(STEPS, shard_mb=0.002, out="out1", work="work1"),
        flawed.run(STEPS, shard_mb=0.02, out="out2", work="work2", executor=two_workers),
        flawed.run(STEPS, shard_mb=1, out="out3", work="work3"),
    ]
    assert len({run.manifest["inputs"][0]["shards"] for run in runs}) == 3
    assert explored(runs[0]) == explored(runs[1]) == explored(runs[2])
    (bound,) = explored(runs[0])["lid"]["thresholds"]
    assert (bound["rule"], bound["side"], bound["bound"]) == ("uncertain_language", "low", 0.3)
    assert set(bound["groups"]) == {"lang", "source"}
    assert len(bound["groups"]["source"]) == 3


def test_a_moved_threshold_gives_what_the_page_said_it_would_and_a_run_of_its_own_gives(flawed: Mill) -> None:
    first = flawed.run(STEPS)
    (said,) = explored(first)["lid"]["thresholds"]
    for place, threshold in enumerate(said["thresholds"]):
        moved = [{**STEPS[0], "min_score": threshold}, *STEPS[1:]]
        again = flawed.run(moved, out="out2")
        assert again.steps["lid"]["rows_computed"] == 0
        assert again.steps["lid"]["dropped"].get("uncertain_language", 0) == said["dropped"][place]
        assert said["bytes"] - said["dropped_bytes"][place] == again.steps["lid"]["bytes_out"]
    assert explored(again) == explored(flawed.run(moved, out="out3", work="work3"))


def test_each_rule_alone_drops_what_is_said_of_it(flawed: Mill) -> None:
    steps = [{"kind": "gopher_quality", "min_words": 60, "audit": True}]
    ran = flawed.run(steps)
    rows = ran.corpus.to_pylist()
    for bound in explored(ran)["gopher_quality"]["thresholds"]:
        values = [(row[f"gopher_quality_{bound['score']}"], len(row["text"].encode())) for row in rows]
        known = [(value, size) for value, size in values if value is not None]
        for place, threshold in enumerate(bound["thresholds"]):
            hit = [n for v, n in known if (v < threshold if bound["side"] == "low" else v > threshold)]
            assert (bound["dropped"][place], bound["dropped_bytes"][place]) == (len(hit), sum(hit)), bound["rule"]
        assert (bound["documents"], bound["bytes"]) == (len(known), sum(size for _, size in known))
        assert bound["nearest"]["kept"] or bound["nearest"]["dropped"]


def test_a_change_of_languages_alone_is_counted_although_the_same_rows_are_left(mill: Mill) -> None:
    """The languages of `max_chars: 1` are others; the step after it has the same rows, and must not be found done."""
    mill.jsonl("a", ({"text": text} for text in (*GERMAN, *FRENCH)))
    steps: list[Json] = [{"kind": "language_id", "name": "lid", "min_score": 0}, {"kind": "exact_dedup"}, LENIENT]
    whole = explored(mill.run(steps))["gopher_quality"]
    cut = [{**steps[0], "max_chars": 1}, *steps[1:]]
    again = mill.run(cut, out="out2")
    assert (
        explored(again)["gopher_quality"]["thresholds"][0]["groups"]["lang"]
        != (whole["thresholds"][0]["groups"]["lang"])
    )
    assert explored(again) == explored(mill.run(cut, out="out3", work="work3"))


def test_a_language_that_the_input_names_is_told_apart_and_one_that_comes_later_is_not(mill: Mill) -> None:
    mill.jsonl("a", [{"text": text, "lang": lang} for text, lang in ((GERMAN[0], "de"), (FRENCH[0], "fr"))])
    labelled = explored(mill.run([LENIENT]))["gopher_quality"]
    assert set(labelled["thresholds"][0]["groups"]["lang"]) == {"de", "fr"}
    mill.jsonl("a", [{"text": text} for text in GERMAN])
    early = explored(mill.run([LENIENT, STEPS[0]], out="out2"))["gopher_quality"]
    assert set(early["thresholds"][0]["groups"]) == {"source"}


def test_what_the_report_alone_reads_is_not_printed(flawed: Mill) -> None:
    ran = flawed.run(STEPS)
    assert not [key for step in ran.summary["steps"] for key in ("thresholds", "spreads", "score_bytes") if key in step]


def test_a_second_run_finds_the_counts_and_shows_the_same(flawed: Mill) -> None:
    first = explored(flawed.run(STEPS))
    again = flawed.run(STEPS, out="out2")
    assert again.computed == {}
    assert explored(again) == first


@pytest.mark.parametrize(
    ("step", "score"),
    [
        ({"kind": "classify", "model": CLASSIFIER, "keep_share": 0.9, "min_score": 0.2}, "score"),
        ({"kind": "ngram_perplexity", "model": NGRAMS, "head": 0.9, "max_bits_per_byte": 4.0}, "bits_per_byte"),
    ],
)
def test_a_rule_over_a_hidden_copy_is_named_by_the_score_that_is_published(mill: Mill, step: Json, score: str) -> None:
    mill.jsonl("a", ({"text": text} for text in (*GERMAN, *FRENCH)))
    ran = mill.run([{**step, "name": "judge", "audit": True}])
    (entry,) = (found for found in ran.manifest["steps"] if found["name"] == "judge")
    assert [rule["score"] for rule in entry["rules"]] == [bound["score"] for bound in entry["thresholds"]] == [score]
    assert score in entry["scores"]
    assert not any(name.startswith("_") for name in entry["scores"])


def test_a_threshold_of_a_share_drops_what_is_said_of_it(flawed: Mill) -> None:
    first = flawed.run(STEPS)
    (said,) = explored(first)["lid"]["thresholds"]
    assert said["shares"]
    for entry in said["shares"]:
        again = flawed.run([{**STEPS[0], "min_score": entry["threshold"]}, {**LENIENT, "audit": True}], out="out2")
        assert again.steps["lid"]["dropped"].get("uncertain_language", 0) == entry["dropped"]
        assert said["bytes"] - entry["dropped_bytes"] == again.steps["lid"]["bytes_out"]
