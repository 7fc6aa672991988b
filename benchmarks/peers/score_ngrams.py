"""Score lines of words with kenlm: its loading apart, CPU seconds of all calls of `score`, and every line's score.

The scores themselves are added up here from those of the words, in doubles: `score` adds in single precision.

python score_ngrams.py MODEL.arpa LINES.txt RESULT.json
"""

import json
import sys
import time
from pathlib import Path

import kenlm

if __name__ == "__main__":
    arpa, lines, result = sys.argv[1:]
    texts = Path(lines).read_text(encoding="utf-8").split("\n")
    model = kenlm.Model(arpa)
    begin = time.process_time()
    for text in texts:
        model.score(text)
    seconds = time.process_time() - begin
    scores = [sum(score for score, _, _ in model.full_scores(text)) for text in texts]
    Path(result).write_text(json.dumps({"seconds": seconds, "scores": scores}), encoding="utf-8")
