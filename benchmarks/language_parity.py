"""Compare `language_id`'s labels and probabilities with those of the `fasttext` package, paragraph by paragraph.

    python benchmarks/language_parity.py build/corpora/languages.parquet build/corpora/mixed-1gb/*.parquet

Files have columns `text` and `lang`. A paragraph is a run of lines without a blank one, with a letter and 20 to 5,000
characters; as many of each language (by its label in the file) are taken as it needs for `--paragraphs` in all, spread
over its documents, and only languages that have at least `--least`. Exit status 1 where there are too few paragraphs or
languages, a label differs, or a probability by more than 1e-5. The last line says how far both are
from sums without rounding where they differ most.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from operators import models
from operators.fasttext_model import LABEL, read_model
from operators.kernels.fasttext_reference import predict
from operators.kernels.predictor import Predictor

APART = 1e-5
MODEL = "lid.176.ftz"
BLANK = re.compile(r"\n[ \t\r]*\n")
CODE_LIKE = frozenset({"", "code", "mul", "und", "zxx"})


def by_language(paths: Iterable[Path], most: int) -> dict[str, list[str]]:
    """Distinct paragraphs of each language, at most so many."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for path in paths:
        table = pq.read_table(path, columns=["text", "lang"])
        for text, lang in zip(table["text"].to_pylist(), table["lang"].to_pylist(), strict=True):
            language = (lang or "").split("_")[0].split("@")[0]
            if language in CODE_LIKE or len(found[language]) >= most:
                continue
            parts = [part.strip() for part in BLANK.split(text)]
            whole = [part for part in parts if 20 <= len(part) <= 5000 and any(map(str.isalpha, part))]
            found[language].update(dict.fromkeys(whole[:: max(1, len(whole) // 20)]))
    return {language: list(parts)[:most] for language, parts in found.items()}


def chosen(found: dict[str, list[str]], wanted: int, least: int) -> dict[str, list[str]]:
    """So many in all of the languages that have enough, as evenly as these allow."""
    languages = sorted((lang for lang in found if len(found[lang]) >= least), key=lambda lang: (len(found[lang]), lang))
    taken, left = {}, wanted
    for place, lang in enumerate(languages):
        share = min(len(found[lang]), -(-left // (len(languages) - place)))
        taken[lang] = found[lang][:share]
        left -= share
    return taken


def of_package(texts: Sequence[str]) -> list[tuple[str | None, float]]:
    """The package's first label and its probability."""
    guess = fasttext.load_model(str(models.locate(MODEL))).predict
    pairs = [guess(text.replace("\n", " ")) for text in texts]
    return [(labels[0].removeprefix(LABEL), scores[0]) if labels else (None, 0.0) for labels, scores in pairs]


def compare(taken: dict[str, list[str]]) -> bool:
    """Print what was compared; whether all is equal."""
    texts = [text for parts in taken.values() for text in parts]
    model = read_model(models.locate(MODEL))
    labels, scores = Predictor(model)(pa.array(texts, pa.large_string()))
    expected = of_package(texts)
    others = [place for place, label in enumerate(labels.to_pylist()) if label != expected[place][0]]
    apart = np.abs(scores - np.array([score for _, score in expected]))
    print(f"{len(texts)} paragraphs of {len(taken)} languages, {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB")
    print(f"languages that the model names: {len(Counter(label for label, _ in expected))}")
    print(f"other labels: {len(others)}; probabilities apart by more than {APART}: {int((apart > APART).sum())}")
    print(f"largest difference: {apart.max():.2g}; 99.9 % are below {np.quantile(apart, 0.999):.2g}")
    for place in others[:5]:
        print(labels[place], scores[place], *expected[place], repr(texts[place][:80]))
    worst = np.argsort(-apart)[:10].tolist()
    exact = np.array([predict(model, texts[place], np.float64)[1] for place in worst])
    package = np.array([expected[place][1] for place in worst])
    print(f"from sums in float64, in the 10 worst: ours {np.abs(scores[worst] - exact).max():.2g}, ", end="")
    print(f"the package's {np.abs(package - exact).max():.2g}")
    return not others and float(apart.max()) <= APART


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="parquet files with columns `text` and `lang`")
    parser.add_argument("--paragraphs", type=int, default=50_000)
    parser.add_argument("--languages", type=int, default=50, help="fewest languages")
    parser.add_argument("--least", type=int, default=100, help="fewest paragraphs of a language")
    options = parser.parse_args()
    found = chosen(by_language(options.files, options.paragraphs // 10), options.paragraphs, options.least)
    enough = sum(map(len, found.values())) >= options.paragraphs and len(found) >= options.languages
    if not enough:
        print(f"too few: {sum(map(len, found.values()))} paragraphs of {len(found)} languages")
    sys.exit(not (compare(found) and enough))
