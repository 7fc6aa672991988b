r"""Decisions, reasons and rewritten texts of the four filters beside datatrove 0.10.1's own, document by document.

    python benchmarks/filters_parity.py [--data 'build/corpora/mixed-1gb/*.parquet'] [--lang en] [--max-bytes 30000]

Over all documents of a language up to a size, then over pieces of some of them (`filter_texts.py`), so that every
reason occurs. For each filter and rule: how often the reference names it, how often ours does with the variant
`datatrove-0.10` and with `standard`, and in how many documents the rule by itself, whatever the others say, decides
otherwise with `standard`. Exit status 1 if a reason or a rewritten text of `datatrove-0.10` is not the reference's.

Needs the extra `parity` (spaCy) where it runs; datatrove has an environment of its own, locked in
`benchmarks/peers/datatrove/` and made under `build/peers/` when it is first needed. About 10 minutes of CPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.filter_texts import pieces_of
from benchmarks.training_speed import ROOT, python_of
from operators import reference_words
from operators.base import RULE, Composite, Context, Judge, Map, Rule
from operators.c4_quality import C4Quality
from operators.fineweb_quality import FinewebQuality
from operators.gopher_quality import GopherQuality
from operators.gopher_repetition import GopherRepetition
from tests.operators.odd_prose import TEXTS

RUNNER: Final = Path(__file__).parent / "peers" / "filters_datatrove.py"
FILTERS: Final[dict[str, tuple[type[Judge | Composite], dict[str, object]]]] = {
    "gopher_quality": (GopherQuality, {}),
    "gopher_repetition": (GopherRepetition, {}),
    "c4_quality": (C4Quality, {}),
    "c4_quality_fineweb": (C4Quality, {"terminal_punctuation": False}),
    "fineweb_quality": (FinewebQuality, {}),
}
REASONS: Final = {
    "gopher_short_doc": "too_few_words",
    "gopher_long_doc": "too_many_words",
    "gopher_below_avg_threshold": "words_too_short",
    "gopher_above_avg_threshold": "words_too_long",
    "gopher_too_many_hashes": "too_many_hashes",
    "gopher_too_many_ellipsis": "too_many_ellipses",
    "gopher_too_many_bullets": "too_many_bullets",
    "gopher_too_many_end_ellipsis": "too_many_ellipsis_lines",
    "gopher_below_alpha_threshold": "too_few_alphabetic_words",
    "gopher_enough_stop_words": "too_few_stop_words",
    "empty": "empty_text",
    "dup_para_frac": "duplicate_paragraphs",
    "dup_para_char_frac": "duplicate_paragraph_characters",
    "dup_line_frac": "duplicate_lines",
    "dup_line_char_frac": "duplicate_line_characters",
    **{f"top_{n}_gram": f"frequent_{n}_gram" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"repeated_{n}_grams" for n in range(5, 11)},
    "lorem_ipsum": "lorem_ipsum",
    "curly_bracket": "curly_bracket",
    "too_few_sentences": "too_few_sentences",
    "line_punct_ratio": "too_few_terminated_lines",
    "short_line_ratio": "too_many_short_lines",
    "char_dup_ratio": "duplicate_line_characters",
    "list_ratio": "too_many_line_feeds",
    "": "",
}
"""datatrove's reasons -> our rules."""


def documents(pattern: str, lang: str, max_bytes: int) -> list[str]:
    """The texts of a language up to a size."""
    texts: list[str] = []
    for path in sorted(ROOT.glob(pattern)):
        table = pq.read_table(path, columns=["text", "lang"])
        wanted = pc.and_(pc.equal(table["lang"], lang), pc.less_equal(pc.binary_length(table["text"]), max_bytes))
        texts.extend(table.filter(wanted)["text"].to_pylist())
    return texts


def stages_of(operator: Judge | Composite) -> tuple[object, ...]:
    """What it does one after the other: the judge, then what cuts the text."""
    return operator.stages() if isinstance(operator, Composite) else (operator,)


def verdicts(operator: Judge | Composite, rows: pa.Table) -> tuple[list[str], pa.Table]:
    """Our rules ("": kept), and the rows with the new text of what is kept and the scores."""
    judge, *maps = stages_of(operator)
    assert isinstance(judge, Judge)
    judged, added = rows, judge.bind(Context(0, {}))(rows)
    for name in added.column_names:
        judged = judged.append_column(name, added[name])
    rules = [rule or "" for rule in judge.judge(judged)[RULE].to_pylist()]
    for cut in maps:
        assert isinstance(cut, Map)
        new = cut.bind(Context(0, {}))(rows)["text"]
        texts = pc.if_else(pa.array([not rule for rule in rules]), new, rows["text"])
        judged = judged.set_column(judged.column_names.index("text"), "text", texts)
    return rules, judged


def fails(rows: pa.Table, rule: Rule) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows break a rule, whatever the others say."""
    score = rows[rule.score].cast(pa.float64()).to_numpy(zero_copy_only=False)
    low = np.zeros(len(score), np.bool_) if rule.low is None else score < rule.low
    return low if rule.high is None else low | (score > rule.high)


def compare(name: str, rows: pa.Table, theirs: pa.Table, places: slice) -> int:
    """Print a filter's table over some rows; the number of differences."""
    kind, parameters = FILTERS[name]
    start, stop, _ = places.indices(rows.num_rows)
    rows, theirs = rows.slice(start, stop - start), theirs.slice(start, stop - start)
    expected = [REASONS.get(reason, reason) for reason in theirs[name].to_pylist()]
    exact = kind.model_validate({"variant": "datatrove-0.10", **parameters})
    standard = kind.model_validate(parameters)
    same, same_rows = verdicts(exact, rows)
    ours, our_rows = verdicts(standard, rows)
    differing = [place for place, pair in enumerate(zip(same, expected, strict=True)) if pair[0] != pair[1]]
    texts = 0
    if f"{name}_text" in theirs.column_names:
        texts = pc.sum(pc.not_equal(same_rows["text"], theirs[f"{name}_text"])).as_py() or 0
    kept = sum((one == "") != (other == "") for one, other in zip(ours, expected, strict=True))
    named = sum(one != other for one, other in zip(ours, expected, strict=True))
    print(f"\n### {name}: {len(expected)} documents\n")
    print(f"`datatrove-0.10`: {len(differing)} reasons differ, {texts} texts differ.")
    print(f"`standard`: {kept} kept or dropped otherwise ({kept / len(expected):.2%}), {named} with another reason.\n")
    print("| rule | datatrove | `datatrove-0.10` | `standard` | `standard` alone differs |")
    print("|---|---|---|---|---|")
    judge = stages_of(standard)[0]
    assert isinstance(judge, Judge)
    alone = {rule.name: int((fails(same_rows, rule) != fails(our_rows, rule)).sum()) for rule in judge.rules()}
    for rule in ["", *alone]:
        counts = (Counter(found)[rule] for found in (expected, same, ours))
        print(f"| {rule or '(kept)'} | {' | '.join(map(str, counts))} | {alone.get(rule, '')} |")
    for place in differing[:5]:
        print(f"DIFFERS: row {place}: ours {same[place]!r}, datatrove {expected[place]!r}", file=sys.stderr)
    return len(differing) + texts


def decisions(texts: list[str]) -> dict[str, object]:
    """The reference's decisions on texts, and what spaCy says that ours ask for on the way: for a test without both."""
    rows = pa.table({"id": list(map(str, range(len(texts)))), "text": pa.array(texts, pa.large_string())})
    with tempfile.TemporaryDirectory() as home:
        found = reference_of(rows, Path(home)).to_pydict()
    said: dict[str, dict[str, object]] = {
        "spacy_words": {},
        "spacy_edges": {},
        "spacy_text_words": {},
        "spacy_tokens": {},
    }
    functions = {name: getattr(reference_words, name) for name in said}

    def of_chunks(name: str, chunks: list[str]) -> Any:  # noqa: ANN401
        answer = functions[name](chunks)
        pairs = zip(*(masks.tolist() for masks in answer), strict=True) if name == "spacy_edges" else answer
        said[name].update(zip(chunks, map(list, pairs), strict=True))
        return answer

    def of_text(name: str, text: str) -> Any:  # noqa: ANN401
        return said[name].setdefault(text, functions[name](text))

    for name in said:
        setattr(reference_words, name, partial(of_chunks if name in ("spacy_words", "spacy_edges") else of_text, name))
    for name, (kind, parameters) in FILTERS.items():
        verdicts(kind.model_validate({"variant": "datatrove-0.10", **parameters}), rows)
        found[name] = [REASONS.get(reason, reason) for reason in found[name]]
    return {"decisions": found, **said}


def reference_of(rows: pa.Table, home: Path) -> pa.Table:
    """What datatrove decides."""
    pq.write_table(rows, f"{home}/texts.parquet")
    command = [str(python_of("datatrove")), str(RUNNER), f"{home}/texts.parquet", f"{home}/reference.parquet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return pq.read_table(f"{home}/reference.parquet")


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="build/corpora/mixed-1gb/*.parquet", help="files with columns text and lang")
    parser.add_argument("--lang", default="en")
    parser.add_argument("--max-bytes", type=int, default=30_000, help="longer documents are left out")
    parser.add_argument("--documents", type=int, default=0, help="so many at most, spread evenly; 0: all")
    parser.add_argument("--pieces", type=int, default=4_000, help="texts made of documents")
    parser.add_argument(
        "--reference", default="", help="keep datatrove's decisions in this file, or use it if it exists"
    )
    parser.add_argument("--golden", default="", help="write decisions on tests/operators/odd_prose.py here, no more")
    given = parser.parse_args()
    if given.golden:
        content = json.dumps(decisions(list(TEXTS)), indent=0, sort_keys=True)
        Path(given.golden).write_text(content + "\n", encoding="utf-8")
        return 0
    texts = documents(given.data, given.lang, given.max_bytes)
    if given.documents:
        texts = [texts[place] for place in np.unique(np.linspace(0, len(texts) - 1, given.documents).astype(int))]
    broken = pieces_of(texts, given.pieces)
    everything = pa.array([*texts, *broken], pa.large_string())
    rows = pa.table({"id": [str(number) for number in range(len(everything))], "text": everything})
    print(f"{len(texts)} documents, {sum(map(len, texts)) / 1e6:.1f} million characters; {len(broken)} pieces")
    if given.reference and Path(given.reference).exists():
        theirs = pq.read_table(given.reference)
    else:
        with tempfile.TemporaryDirectory() as home:
            theirs = reference_of(rows, Path(home))
    if given.reference:
        pq.write_table(theirs, given.reference)
    wrong = 0
    for title, places in (("Documents", slice(0, len(texts))), ("Pieces", slice(len(texts), None))):
        print(f"\n## {title}")
        wrong += sum(compare(name, rows, theirs, places) for name in FILTERS)
    print(f"\n{wrong} differences of `datatrove-0.10`")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
