"""Judge texts by datatrove's filters; run by `filters_parity.py` and `filters_speed.py` in datatrove's environment.

Arguments: a Parquet file with a column `text`, and the file to write: for every filter a column with its reasons ("":
kept), for those that rewrite also `<filter>_text`. With `one-by-one` as a third argument every filter goes over all
texts by itself; else the filters go over one text after the other, and those that need its words share them, as
datatrove remembers the last five texts that it cut. Prints CPU seconds as JSON: per filter, or `together`.
"""

# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

FILTERS: dict[str, Any] = {
    "gopher_quality": GopherQualityFilter(),
    "gopher_repetition": GopherRepetitionFilter(),
    "c4_quality": C4QualityFilter(),
    "c4_quality_fineweb": C4QualityFilter(filter_no_terminal_punct=False),
    "fineweb_quality": FineWebQualityFilter(),
}
REWRITING = ("c4_quality", "c4_quality_fineweb")


def judged(name: str, text: str) -> tuple[str, str]:
    """The reason, and the text that is left."""
    document = Document(text=text, id="")
    try:
        verdict = FILTERS[name].filter(document)
    except Exception as error:
        return f"error: {type(error).__name__}", text
    if isinstance(verdict, tuple):
        return ("" if verdict[0] else verdict[1]), document.text
    return ("" if verdict else "dropped"), document.text


def main() -> None:
    """Judge and write."""
    texts = pq.read_table(sys.argv[1], columns=["text"])["text"].to_pylist()
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in FILTERS}
    seconds: dict[str, float] = {}
    for name in FILTERS:
        judged(name, "The first text loads spaCy; IS_ALPHA breaks it from the second time on. It is not counted.")
    if sys.argv[3:] == ["one-by-one"]:
        for name, verdicts in found.items():
            begin = time.process_time()
            verdicts.extend(judged(name, text) for text in texts)
            seconds[name] = time.process_time() - begin
    else:
        begin = time.process_time()
        for text in texts:
            for name, verdicts in found.items():
                verdicts.append(judged(name, text))
        seconds["together"] = time.process_time() - begin
    columns = {name: [reason for reason, _ in verdicts] for name, verdicts in found.items()}
    columns |= {f"{name}_text": [text for _, text in found[name]] for name in REWRITING}
    pq.write_table(
        pa.table({name: pa.array(column, pa.large_string()) for name, column in columns.items()}), sys.argv[2]
    )
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
