"""What happens to a pair that occurs more than 2^31 times: in ours, in `tokenizers` and in `rustbpe`.

    python benchmarks/overflow.py [--documents 54000] [--length 40000]

A text of that many documents, each one run of `a`, and ten documents `bc`. The true count of (a, a), by places, is
documents x (length - 1), 2,159,946,000 by default, so that every trainer that counts rightly learns `aa` first. Peers
get the documents one by one from a generator, and hold each distinct word once; ours gets the same documents counted.
As a control the same is done with 50 documents. Exit status 1 if ours is wrong, or if all of the peers are right, when
the documentation is out of date. About a minute and 200 MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.training_speed import python_of  # noqa: E402

MERGES: Final = 3
NUM_OTHERS: Final = 10


def documents(number: int, length: int) -> Iterator[str]:
    """The text."""
    run = "a" * length
    for _ in range(number):
        yield run
    for _ in range(NUM_OTHERS):
        yield "bc"


def ours(number: int, length: int) -> list[str]:
    """What we learn: counted by the kernel, each distinct document weighted by how often it comes."""
    from operators.byte_alphabet import bytes_in_id_order
    from operators.kernels import bpe
    from operators.kernels.pretokenize import count

    texts = pa.array(["a" * length, "bc"], pa.large_string())
    words, counts = count(texts, np.array([number, NUM_OTHERS], np.int64), "gpt2")
    merges = bpe.train(words, counts, 256 + MERGES).merges.tolist()
    tokens = bpe.products(merges, [bytes([byte]) for byte in bytes_in_id_order()])
    return [token.decode() for token in tokens[256:]]


def tokenizers(number: int, length: int) -> list[str]:
    """What `tokenizers` learns."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=3 + MERGES, show_progress=False)
    tokenizer.train_from_iterator(documents(number, length), trainer)
    return ["".join(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]


def rustbpe(number: int, length: int) -> list[str]:
    """What `rustbpe` learns, in its own environment."""
    script = (
        "import rustbpe, sys, json\n"
        "number, length = map(int, sys.argv[1:3])\n"
        "tokenizer = rustbpe.Tokenizer()\n"
        "texts = ('a' * length if place < number else 'bc' for place in range(number + int(sys.argv[3])))\n"
        "tokenizer.train_from_iterator(texts, 256 + int(sys.argv[4]), pattern=r'\\w+')\n"
        "ranks = sorted(tokenizer.get_mergeable_ranks(), key=lambda pair: pair[1])\n"
        "print(json.dumps([bytes(token).decode() for token, rank in ranks if rank >= 256]))\n"
    )
    command = [str(python_of("rustbpe")), "-c", script, *map(str, (number, length, NUM_OTHERS, MERGES))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: list[str] = json.loads(done.stdout)
    return found


def main() -> int:
    """Print what each learns."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=54_000)
    parser.add_argument("--length", type=int, default=40_000)
    given = parser.parse_args()
    expected = ["aa", "aaaa", "aaaaaaaa"]
    right: dict[str, bool] = {}
    print("| trainer | (a, a) occurs | learns first | right |\n|---|---|---|---|")
    for name, learn in (("ours", ours), ("tokenizers", tokenizers), ("rustbpe", rustbpe)):
        for number in (50, given.documents):
            learned = learn(number, given.length)
            right[name] = learned == expected
            occurs = f"{number * (given.length - 1):,}"
            print(f"| {name} | {occurs} | {', '.join(learned)} | {'yes' if right[name] else 'no'} |", flush=True)
    return 0 if right["ours"] and not all(right.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
