"""Make the corpus of programming languages that mixture inference is measured on.

    python benchmarks/code_corpus.py [--out build/corpora/code10.parquet] [--most 200]

Source text of 13 languages out of packages of Debian, PyPI and npm, a file a document, each kept once; of a language
with more than `--most` MB the documents whose hashes come first. Columns and pinning are those of `corpora.py`; beside
the file stands `<name>.json` with the MB of each language and the sha256 of every archive. `apt-get update` must have
run. Takes 2 minutes of one core, and 0.5 GB of packages.
"""

from __future__ import annotations

import argparse
import json
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.corpora import MAX_CHARS, MIN_CHARS, Writer, documents
from benchmarks.corpus_packages import NPM, fetched, record
from benchmarks.corpus_sources import CODE, TEXTS, Source, debian

OTHER_VERSIONS: Final = ("three@0.150.0", "three@0.187.0")
SCRIPTS: Final = tuple(name for name in NPM if name not in (*TEXTS, *OTHER_VERSIONS))

SOURCES: Final = (
    *(source for source in CODE if source.lang != "javascript"),
    debian("gcc-c++", "code", "gcc-12-source", r"\.(?:cc|hpp)$", "plain", "c++"),
    debian("gcc-ada", "code", "gcc-12-source", r"\.ad[bs]$", "plain", "ada"),
    debian("gcc-d", "code", "gcc-12-source", r"\.d$", "plain", "d"),
    debian("pascal", "code", "fpc-source-3.2.2 lazarus-src-2.2", r"\.(?:pas|pp|inc)$", "plain", "pascal"),
    debian("erlang", "code", "erlang-src", r"\.[eh]rl$", "plain", "erlang"),
    debian("emacs", "code", "emacs-el", r"\.el(?:\.gz)?$", "plain", "lisp"),
    debian("php", "code", "mediawiki wordpress phpmyadmin", r"\.php$", "plain", "php"),
    debian("mediawiki-scripts", "code", "mediawiki", r"(?<!\.min)\.js$", "plain", "javascript"),
    Source("npm-scripts", "code", "npm", SCRIPTS, r"(?<!\.min)(?<!\.min\.umd)\.m?js$", "plain", "javascript"),
)

Found = dict[bytes, tuple[str, str]]


def collected(sources: tuple[Source, ...], most: int) -> Found:
    """Text and source of the documents of one language by hash, up to so many bytes, the lowest hashes first."""
    found: Found = {}
    for source in sources:
        for text, _ in documents(source):
            if MIN_CHARS <= len(text.strip()) <= MAX_CHARS:
                found[blake2b(text.encode(), digest_size=16).digest()] = (text, source.name)
    kept: Found = {}
    room = most
    for digest in sorted(found):
        size = len(found[digest][0].encode())
        if size <= room:
            kept[digest] = found[digest]
            room -= size
    return kept


def main() -> None:
    """Build the file, if it is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/corpora/code10.parquet"))
    parser.add_argument("--most", type=float, default=200.0)
    options = parser.parse_args()
    about = options.out.with_suffix(".json")
    if about.exists():
        print(f"{options.out}: already there (delete {about} to build it again)")
        return
    writer, sizes = Writer(options.out), {}
    for lang in sorted({source.lang for source in SOURCES}):
        kept = collected(tuple(source for source in SOURCES if source.lang == lang), int(options.most * 1e6))
        for digest, (text, name) in kept.items():
            writer.add((digest.hex(), text, name, lang))
        sizes[lang] = round(sum(len(text.encode()) for text, _ in kept.values()) / 1e6, 1)
        print(lang, sizes[lang], "MB", flush=True)
    writer.close()
    record([path for source in SOURCES for path in fetched(source.registry, source.packages)], about)
    about.write_text(json.dumps({"MB": sizes, "sha256": json.loads(about.read_text())}, indent=1) + "\n")


if __name__ == "__main__":
    main()
