"""CPU seconds of parity-aware BPE: ours, and `tokenizers`' `ParityBpeTrainer` on the same text; are the merges equal?

    python benchmarks/parity_bpe.py [--data FILE] [--development FILE] [--rounds 3] [--vocab 16000]

The text is the quickstart's, in many languages (`python -m pipeline.fetch quickstart`), or Parquet with `text` and
`lang`. The development set is Parquet with `text` and `lang`; of both only the languages that are in both are used.
Without one, every tenth document of each language is held out and measured; it is then not parallel, which changes no
price. All cut by cl100k's pattern and start with the text in memory: imports, reading and compiling are not counted.
The rounds are interleaved, every training has a process of its own, and medians are printed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import resource
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODES: dict[str, dict[str, Any]] = {
    "base": {},
    "window": {"window_size": 100, "alpha": 2.0},
    "hybrid, window": {"window_size": 100, "alpha": 2.0, "share": 0.5},
    "ratio": {"by_ratio": True},
}
Texts = dict[str, list[str]]


def cpu_seconds() -> float:
    """Of this process, user and system, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def read(path: str) -> Texts:
    """Texts by language, in order of its name."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    if path.endswith(".jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                found[row["label"]].append(row["text"])
    else:
        import pyarrow.parquet as pq

        for row in pq.read_table(path, columns=["lang", "text"]).to_pylist():
            found[row["lang"]].append(row["text"])
    return {name: found[name] for name in sorted(found) if len(found[name]) > 1}


def corpora(data: str, development: str) -> tuple[list[list[str]], list[list[str]]]:
    """Training and development texts of the languages that have both."""
    training = read(data)
    if not development:
        measured = {name: texts[::10] for name, texts in training.items()}
        training = {name: [text for place, text in enumerate(texts) if place % 10] for name, texts in training.items()}
    else:
        measured = read(development)
    names = [name for name in training if name in measured]
    return [training[name] for name in names], [measured[name] for name in names]


def ours(training: list[list[str]], measured: list[list[str]], mode: dict[str, Any], vocab: int) -> dict[str, Any]:
    """This repository's: count by language, then learn."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    import pyarrow as pa

    from operators.kernels.parity_bpe import CountedWords, Policy, train
    from operators.kernels.pretokenize import count

    def counted(languages: list[pa.LargeStringArray]) -> CountedWords:
        parts = [count(texts, np.ones(len(texts), np.int64), "cl100k") for texts in languages]
        numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(totals) for _, totals in parts])
        words = pa.concat_arrays([words.cast(pa.large_binary()) for words, _ in parts])
        return CountedWords(words, np.concatenate([totals for _, totals in parts]), numbers)

    arrays = [[pa.array(texts, pa.large_string()) for texts in languages] for languages in (training, measured)]
    share, by_ratio = mode.pop("share", 0), mode.pop("by_ratio", False)
    policy = Policy(len(training), global_merges=int(share * vocab), **mode)
    few = counted([texts.slice(0, 1) for texts in arrays[0]])
    train(few, 300, policy, None if by_ratio else few)  # loads the compiled kernels
    begin = cpu_seconds()
    words = counted(arrays[0])
    development = None if by_ratio else counted(arrays[1])
    counting = cpu_seconds()
    learned = train(words, vocab, policy, development)
    end = cpu_seconds()
    return {"cpu_s": end - begin, "train_s": end - counting, "merges": learned.merges.tolist()}


def tokenizers(
    training: list[list[str]], measured: list[list[str]], mode: dict[str, Any], vocab: int
) -> dict[str, Any]:
    """Hugging Face's, on as many threads as it likes."""
    sys.path.insert(0, str(ROOT))
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from tokenizers.trainers import ParityBpeTrainer

    from operators.pretokenizers import PATTERNS

    share, by_ratio = mode.pop("share", 0), mode.pop("by_ratio", False)
    options = {**mode, "variant": "window"} if mode else {}
    if by_ratio:
        options["ratio"] = [1.0] * len(training)
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERNS["cl100k"][0]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = ParityBpeTrainer(
        num_merges=vocab - 256,
        global_merges=int(share * vocab),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **options,
    )
    development = None if by_ratio else [iter(texts) for texts in measured]
    begin = cpu_seconds()
    trainer.train_from_iterator(tokenizer, [iter(texts) for texts in training], development)
    seconds = cpu_seconds() - begin
    model = json.loads(tokenizer.to_str())["model"]
    merges = [[model["vocab"][left], model["vocab"][right]] for left, right in model["merges"]]
    return {"cpu_s": seconds, "train_s": 0.0, "merges": merges}


def run_one(trainer: str, mode: str, given: argparse.Namespace) -> int:
    """Train once in this process and print a line of JSON."""
    training, measured = corpora(given.data, given.development)
    train = {"ours": ours, "tokenizers": tokenizers}[trainer]
    found = train(training, measured, dict(MODES[mode]), given.vocab)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    digest = hashlib.sha256(json.dumps(found.pop("merges")).encode()).hexdigest()
    sizes = [sum(len(text.encode()) for texts in side for text in texts) / 1e6 for side in (training, measured)]
    print(json.dumps({**found, "peak_mb": peak, "merges": digest, "languages": len(training), "megabytes": sizes}))
    return 0


def measure(trainer: str, mode: str) -> dict[str, Any]:
    """One training in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--one", trainer, mode]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", default="data/quickstart/multilingual.jsonl.gz")
    parser.add_argument("--development", default="", help="Parquet with text and lang")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vocab", type=int, default=16000)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return run_one(given.one[0], given.one[1], given)
    first = measure("ours", "base")  # compiles
    sizes = first["megabytes"]
    print(f"{sizes[0]:.1f} MB in {first['languages']} languages, development set {sizes[1]:.1f} MB, ", end="")
    print(f"{given.vocab} tokens, medians of {given.rounds}\n")
    print("| mode | ours, CPU s | of it learning | tokenizers, CPU s | ratio | peak MB, ours | theirs | merges |")
    print("|---|---|---|---|---|---|---|---|")
    status = 0
    for mode in MODES:
        runs = [(measure("ours", mode), measure("tokenizers", mode)) for _ in range(given.rounds)]
        mine, theirs = (
            {name: statistics.median(run[side][name] for run in runs) for name in ("cpu_s", "train_s", "peak_mb")}
            for side in range(2)
        )
        equal = len({run["merges"] for both in runs for run in both}) == 1
        status |= not equal
        print(
            f"| {mode} | {mine['cpu_s']:.2f} | {mine['train_s']:.2f} | {theirs['cpu_s']:.2f} "
            f"| {theirs['cpu_s'] / mine['cpu_s']:.1f} | {mine['peak_mb']:.0f} | {theirs['peak_mb']:.0f} "
            f"| {'equal' if equal else 'DIFFERENT'} |",
            flush=True,
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
