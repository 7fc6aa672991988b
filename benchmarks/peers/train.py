"""Train once with one trainer and print a line of JSON; run by `training_speed.py` in that trainer's environment."""

# Each environment has only its own trainer.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import glob
import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def cpu_seconds() -> float:
    """Of this process, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def batches(paths: list[str]) -> Iterator[pa.LargeStringArray]:
    """The texts of a row group at a time."""
    for path in paths:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            column = file.read_row_group(group, columns=["text"])["text"].cast(pa.large_string())
            yield from column.chunks


def ours(paths: list[str], vocab: int) -> dict[str, float]:
    """This repository's: counts a batch, adds up, learns from the sum."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import numpy as np

    from benchmarks.counting import CountTable
    from operators.kernels.bpe import train
    from operators.kernels.pretokenize import count

    few = pa.array(["to be"], pa.large_string())
    train(*count(few, np.ones(1, np.int64), "gpt2"), 300)  # loads the compiled kernels
    table, counting = CountTable(), 0.0

    def learn() -> int:
        nonlocal counting
        for texts in batches(paths):
            begin = cpu_seconds()
            table.add(*count(texts, np.ones(len(texts), np.int64), "gpt2"))
            counting += cpu_seconds() - begin
        return 256 + len(train(*table.words_and_counts(), vocab).merges)

    found = timed(learn)
    return {**found, "count_s": counting}


def tokenizers(paths: list[str], vocab: int) -> dict[str, float]:
    """Hugging Face's, on one thread or more as it likes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)

    def learn() -> int:
        tokenizer.train_from_iterator((texts.to_pylist() for texts in batches(paths)), trainer)
        return int(tokenizer.get_vocab_size())

    return timed(learn)


def rustbpe(paths: list[str], vocab: int) -> dict[str, float]:
    """karpathy/rustbpe."""
    import rustbpe as peer

    tokenizer = peer.Tokenizer()

    def learn() -> int:
        texts = (text for batch in batches(paths) for text in batch.to_pylist())
        tokenizer.train_from_iterator(texts, vocab, pattern=GPT2)
        return len(tokenizer.get_mergeable_ranks())

    return timed(learn)


def gigatoken(paths: list[str], vocab: int) -> dict[str, float]:
    """marcelroed/gigatoken; it takes one run of bytes, so documents are parted by a special token."""
    import gigatoken as peer

    end = b"<|endoftext|>"

    def learn() -> int:
        data = end.join(text.encode() for batch in batches(paths) for text in batch.to_pylist())
        return len(peer.train_bpe(data, vocab, [end.decode()], separator=end)[0])

    return timed(learn)


def timed(learn: Callable[[], int]) -> dict[str, float]:
    """CPU seconds of the call, and the size of the vocabulary that it returns."""
    begin = cpu_seconds()
    tokens = learn()
    return {"cpu_s": cpu_seconds() - begin, "tokens": tokens}


def main() -> None:
    """Arguments: trainer, glob of Parquet files, vocabulary size."""
    name, data, vocab = sys.argv[1], sys.argv[2], int(sys.argv[3])
    paths = sorted(glob.glob(data))  # noqa: PTH207
    trainers = {"ours": ours, "tokenizers": tokenizers, "rustbpe": rustbpe, "gigatoken": gigatoken}
    found = trainers[name](paths, vocab)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 * 1.024
    megabytes = sum(pc.sum(pc.binary_length(texts)).as_py() for texts in batches(paths)) / 1e6
    print(json.dumps({**found, "peak_mb": peak, "megabytes": megabytes}))


if __name__ == "__main__":
    main()
