"""Manifests to render: a small run, an empty one, and one with more of everything than a page can show."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import pyarrow as pa

from operators.banding import curve
from operators.base import Rule
from operators.duplicate_summary import summary
from operators.tokenizer_files import tokenizer_json
from pipeline.report.reading import Read
from pipeline.score_counts import Judged, explore, score_buckets

HOSTILE: Final = "<script>document.title='owned'</script><img src=http://192.0.2.1/x>'\"&\x00\u202e\ud800"
"""Markup, an address that must not be fetched, quotes, a control character, a reversing mark, half a character."""

MARKUP: Final = HOSTILE[:-1]
"""As much of it as a text can hold: half a character is no UTF-8."""

DUPLICATES: Final = ("curve.json", "duplicates.json")
"""What `minhash_dedup` leaves for the page."""

Manifest = dict[str, Any]
Files = dict[str, bytes]


def buckets(values: list[float]) -> dict[str, int]:
    """A score's distribution as the ledger counts it."""
    return dict(score_buckets(pa.chunked_array([pa.array(values, pa.float64())])))


def explored(scores: dict[str, list[float | None]], rules: list[Manifest]) -> Manifest:
    """What the engine leaves of scores over documents of two languages and two sources, with hostile texts."""
    rows = len(next(iter(scores.values())))
    table = pa.table(
        {
            "id": [f"web/{number}" for number in range(rows)],
            "source": ["books" if number % 11 == 0 else "web" for number in range(rows)],
            "text": pa.array([f"{MARKUP} {'a' * (number % 50)}" for number in range(rows)], pa.large_string()),
            "lang": ["gl" if number % 7 == 0 else "en" if number % 5 else None for number in range(rows)],
        }
    )
    columns = {name: pa.chunked_array([pa.array(values, pa.float64())]) for name, values in scores.items()}
    counts, found = explore(Judged(table), columns, [Rule(**rule) for rule in rules])
    return {"scores": {name: dict(counter) for name, counter in counts.items()}, **found.shown(), "rules": rules}


def step(name: str, rows_in: int = 0, dropped: dict[str, int] | None = None, **more: object) -> Manifest:
    """A step's entry; bytes are a hundred for each document."""
    left = rows_in - sum((dropped or {}).values())
    entry: Manifest = {
        "name": name, "kind": name, "composite": False, "fingerprint": "f" * 64, "seconds": 1.5,
        "rows_in": rows_in, "rows_out": left, "rows_computed": rows_in,
        "bytes_in": 100 * rows_in, "bytes_out": 100 * left, "bytes_rewritten": 0,
        "dropped": dropped or {}, "audited": {}, "sources": {}, "scores": {}, "examples": {}, "rules": [],
        "artifacts": [],
    }  # fmt: skip
    return entry | more


def manifest(steps: list[Manifest], read: int, *, quarantined: int = 0, **more: object) -> Manifest:
    """The manifest of a run with these steps."""
    kept = steps[-1]["rows_out"] if steps else read - quarantined
    dropped = sum(sum(entry["dropped"].values()) for entry in steps)
    causes = {"bad_json": quarantined} if quarantined else {}
    found: Manifest = {
        "format": 1, "name": "demo", "run_id": "demo-0123456789ab", "version": ".versions/demo-0123456789ab",
        "created": "2026-03-04T05:06:07Z", "host": "mill", "versions": {"python": "3.12.1", "pyarrow": "22.0.0"},
        "recipe": {"name": "demo", "seed": 7, "inputs": [], "steps": [], "outputs": {"path": "out/demo"}},
        "inputs": [
            {
                "name": "web", "files": 3, "rows_read": read, "rows": read - quarantined, "shards": 2,
                "bytes": 100 * (read - quarantined), "quarantined": causes,
            }
        ],
        "rows": {"read": read, "kept": kept, "dropped": dropped, "quarantined": quarantined},
        "steps": steps,
        "stages": [{"label": "ingest", "tasks": 4, "computed": 1, "seconds": 2.5}],
        "files": {"corpus/part-00000.parquet": {"path": "p", "rows": kept, "bytes": 1234, "sha256": "a" * 64}},
        "kept": {"by_source": {"web": [kept, 100 * kept]}, "by_lang": {}, "lengths": {"7": kept} if kept else {}},
        "seconds": 12.5,
        "peak_rss_mb": 321.0,
    }  # fmt: skip
    return found | more


def small() -> tuple[Manifest, Read]:
    """A thousand documents, a filter, an audited filter, duplicates, and two tokenizers."""
    rng = random.Random(1)
    words = [rng.lognormvariate(5, 1.4) for _ in range(900)]
    few = sum(value < 50 for value in words)
    rules: list[Manifest] = [
        {"name": "too_few_words", "score": "num_words", "low": 50, "high": None},
        {"name": "too_odd", "score": "oddness", "low": None, "high": 0.5},
        {"name": "never", "score": "oddness", "low": None, "high": 0.9},
    ]
    scores: dict[str, list[float | None]] = {"num_words": [*words, *[None] * 90]}
    scores["oddness"] = [rng.random() ** 3 for _ in range(990)]
    tokens = [f"artifacts/tok/{name}" for name in ("tokenizer-300.json", "tokenizer.json", "training.json")]
    steps = [
        step(
            "quality", 990, {"too_few_words": few, "too_odd": 7}, kind="gopher_quality",
            sources={"web": [900, 900 - few], "books": [90, 2]},
            examples={"too_few_words": [example(value=12.0, threshold=50.0, excerpt=HOSTILE)]},
            **explored(scores, rules),
        ),
        step("repetition", 983 - few, audited={"repeated": 11}),
        step(
            "dedup", 983 - few, {"near_duplicate": 100}, scores={"similarity": buckets([0.81, 0.9, 1.0])},
            examples={"near_duplicate": [example(survivor="web/7", similarity=0.875)]},
            sources={"web": [900 - few, 810 - few], "books": [83, 73]}, kind="minhash_dedup",
            artifacts=[f"artifacts/dedup/{name}" for name in ("clusters/part-00000.parquet", *DUPLICATES)],
        ),
        step("tok", 883 - few, kind="train_tokenizer", artifacts=tokens),
    ]  # fmt: skip
    found = manifest(steps, 1000, quarantined=10)
    found["recipe"]["steps"] = [{"kind": "minhash_dedup", "name": "dedup", "threshold": 0.8}]
    found["kept"]["by_lang"] = {"en": [500, 50_000], "de": [20, 4_000], "None": [3, 100]}
    return found, reader({**tokenizer_files(), **duplicate_files()})


def example(**given: object) -> Manifest:
    """A dropped document as the ledger keeps it."""
    empty = {"value": None, "threshold": None, "survivor": None, "similarity": None, "detail": None}
    return {"id": "web/1", "source": "web", "excerpt": "An excerpt.", "order": "00", **empty, **given}


def duplicate_files(step: str = "dedup", told: str = "", num_clusters: int = 2) -> Files:
    """What `minhash_dedup` leaves, made by its own writers: sets of three, and one of forty. `told` goes into texts."""
    rows = [
        {"what": "size", "bucket": 2, "clusters": 30, "documents": 90},
        {"what": "size", "bucket": 6, "clusters": 1, "documents": 40},
        {"what": "similarity", "bucket": 81, "documents": 60},
        {"what": "similarity", "bucket": 100, "documents": 39},
    ]
    shown: list[Manifest] = [
        {"source": f"web{told}", "lang": f"en{told}", "documents": 800, "removed": 9, "id": None},
        {"source": "books", "lang": "de", "documents": 100, "removed": 90, "id": None},
    ]
    for number in range(num_clusters):
        gone, best = f"web/gone{number}{told}", f"web/best{number}{told}"
        pair = {
            "cluster_id": f"c{number}",
            "survivor_id": best,
            "id": gone,
            "similarity": 0.8125,
            "documents": 40 - number,
        }
        rows += [{"what": what, **pair} for what in ("largest", "closest")]
        for name, word in ((gone, "red"), (best, "blue")):
            words = f"The {word} house {told} stands by the river. " + "It is old. " * 90
            shown.append({"id": name, "source": f"web{told}", "text": words})
    content = {"duplicates.json": summary(rows, shown), "curve.json": curve(16, 8, 0.8)}
    return {f"artifacts/{step}/{name}": json.dumps(found).encode() for name, found in content.items()}


def tokenizer_files() -> Files:
    """What a training step leaves, made by the operator's own writer."""
    content = tokenizer_json([(64, 65), (220, 83), (256, 220)], "pattern", ("<|end|>",))
    training = {
        "corpus": {
            "bytes": 86_000,
            "pretokens": 20_000,
            "distinct_pretokens": 1_500,
            "distinct_bytes": 9_000,
            "by": [{"source": f"web{n}", "lang": "de", "documents": n, "bytes": 1000 * n} for n in range(30)],
        },
        "left_out": [{"reason": "min_count", "script": "Latin", "distinct": 3, "pretokens": 4, "bytes": 860}],
        "training": {
            "measured": "development set",
            "gini": 0.0312,
            "gini_by_global_merges": 0.2,
            "languages": {
                name: {"merges": 1, "tokens": 20, "bytes_per_token": rate, "bytes_per_token_by_global_merges": 3}
                for name, rate in (("de", 3.5), ("el", 2.25))
            },
        },
        "settings": {"algorithm": "bpe", "pretokenizer": "cl100k", "special_tokens": ["<|end|>"]},
        "tokenizers": [
            {"file": "tokenizer-258.json", "asked": 258, "reached": 258, "merges": 1},
            {"file": "tokenizer-300.json", "asked": 300, "reached": 260, "merges": 3, "bytes_per_token": 3.71},
        ],
    }
    return {"artifacts/tok/tokenizer.json": content, "artifacts/tok/training.json": json.dumps(training).encode()}


def reader(files: Files) -> Read:
    """Read from a dict as from a disk."""

    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    return read


def nothing(name: str) -> bytes:
    """A reader of a snapshot without files."""
    raise FileNotFoundError(name)


def busy(num_steps: int = 30, num_sources: int = 100, num_languages: int = 180) -> Manifest:
    """Thirty steps with long names, a hundred sources, all languages; half of the steps drop something."""
    rng = random.Random(2)
    rows, steps = 12_345_678_901, []
    for place in range(num_steps):
        name = f"step_{place:02d}_" + "with_a_rather_long_name_" * (place % 4)
        lost = rows // rng.choice([3, 9, 40, 2000]) if place % 2 else 0
        dropped = {f"rule_{place}_{n}_{'x' * 20 * n}": lost // 5 for n in range(5)} if lost else {}
        score = f"score_{place}"
        bound = [{"name": f"rule_{place}_0_", "score": score, "low": 40.0, "high": None}]
        entry = step(name, rows, dropped, rules=bound if place % 3 else [], scores={score: buckets(_normal(rng))})
        if place % 2:
            each = rows // num_sources
            entry["sources"] = {f"source/{n}": [each, rng.randrange(each)] for n in range(num_sources)}
        rows = entry["rows_out"]
        steps.append(entry)
    found = manifest(steps, 12_345_678_901 + 77, quarantined=77)
    found["kept"]["by_source"] = {f"source/{n}": [n * 1000, n * 10**7] for n in range(num_sources)}
    found["kept"]["by_lang"] = {f"l{n}": [n * n, n * 10**6] for n in range(num_languages)}
    found["kept"]["lengths"] = {str(bits): rng.randrange(10**8) for bits in range(31)}
    found["stages"] = [
        {"label": f"{entry['name']}: finish", "tasks": 900, "computed": 12, "seconds": rng.random() * 5000}
        for entry in steps
    ]
    return found


def _normal(rng: random.Random) -> list[float]:
    return [rng.gauss(50, 15) for _ in range(300)]
