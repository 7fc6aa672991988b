"""Train fastText's classifier with its own library, or score with it; run by `classifier_training.py`.

python classifier.py train LINES MODEL SETTINGS      trains on a file of labelled lines, prints CPU seconds
python classifier.py score MODEL TEXTS LABEL         prints the probability of a label for each line of a file
"""

# Only the peer's environment has the library.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import fasttext


def train(lines: str, model: str, settings: str) -> None:
    """Reading the file, as ours reads the texts, is in the time; writing the model is not."""
    begin = time.process_time()
    trained = fasttext.train_supervised(input=lines, thread=1, verbose=0, **json.loads(settings))
    seconds = time.process_time() - begin
    trained.save_model(model)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": seconds, "peak_mb": peak}))


def score(model: str, texts: str, label: str) -> None:
    """The library's own probabilities, bounded to [0, 1]."""
    found = fasttext.load_model(model)
    scores = []
    for line in Path(texts).read_text(encoding="utf-8").split("\n"):
        ((names, shares),) = zip(*found.predict([line], k=2), strict=True)
        scores.append(dict(zip(names, shares.tolist(), strict=True)).get(f"__label__{label}", 0.0))
    print(json.dumps([min(max(value, 0.0), 1.0) for value in scores]))


if __name__ == "__main__":
    {"train": train, "score": score}[sys.argv[1]](*sys.argv[2:])
