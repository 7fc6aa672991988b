"""Train once with one trainer and print a line of JSON; run by `training_speed.py` in that trainer's environment."""

# Each environment has only its own trainer.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import glob
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def cpu_seconds() -> float:
    """Of this process, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def ours(texts: pa.LargeStringArray, vocab: int) -> dict[str, float]:
    """This repository's."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import numpy as np

    from operators.kernels.bpe import train
    from operators.kernels.pretokenize import count

    few = texts.slice(0, 2)
    train(*count(few, np.ones(len(few), np.int64), "gpt2"), 300)  # loads the compiled kernels
    begin = cpu_seconds()
    words, counts = count(texts, np.ones(len(texts), np.int64), "gpt2")
    counted = cpu_seconds()
    learned = train(words, counts, vocab)
    end = cpu_seconds()
    return {"cpu_s": end - begin, "count_s": counted - begin, "tokens": 256 + len(learned.merges)}


def tokenizers(texts: pa.LargeStringArray, vocab: int) -> dict[str, float]:
    """Hugging Face's, on one thread or more as it likes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    documents = texts.to_pylist()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    return timed(lambda: tokenizer.train_from_iterator(documents, trainer), lambda: tokenizer.get_vocab_size())


def rustbpe(texts: pa.LargeStringArray, vocab: int) -> dict[str, float]:
    """karpathy/rustbpe."""
    import rustbpe as peer

    documents = texts.to_pylist()
    tokenizer = peer.Tokenizer()
    return timed(
        lambda: tokenizer.train_from_iterator(iter(documents), vocab, pattern=GPT2),
        lambda: len(tokenizer.get_mergeable_ranks()),
    )


def gigatoken(texts: pa.LargeStringArray, vocab: int) -> dict[str, float]:
    """marcelroed/gigatoken; it takes one run of bytes, so documents are parted by a special token."""
    import gigatoken as peer

    data = "<|endoftext|>".join(texts.to_pylist()).encode()
    made: list[Any] = []
    return timed(
        lambda: made.append(peer.train_bpe(data, vocab, ["<|endoftext|>"], separator=b"<|endoftext|>")),
        lambda: len(made[0][0]),
    )


def timed(learn: Callable[[], object], size: Callable[[], int]) -> dict[str, float]:
    """CPU seconds of the call, and the vocabulary that it left."""
    begin = cpu_seconds()
    learn()
    seconds = cpu_seconds() - begin
    return {"cpu_s": seconds, "tokens": size()}


def main() -> None:
    """Arguments: trainer, glob of Parquet files, vocabulary size."""
    name, data, vocab = sys.argv[1], sys.argv[2], int(sys.argv[3])
    tables = [pq.read_table(path, columns=["text"]) for path in sorted(glob.glob(data))]  # noqa: PTH207
    texts = pa.concat_tables(tables)["text"].cast(pa.large_string()).combine_chunks()
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.chunk(0)
    trainers = {"ours": ours, "tokenizers": tokenizers, "rustbpe": rustbpe, "gigatoken": gigatoken}
    found = trainers[name](texts, vocab)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 * 1.024
    megabytes = pc.sum(pc.binary_length(texts)).as_py() / 1e6
    print(json.dumps({**found, "peak_mb": peak, "megabytes": megabytes}))


if __name__ == "__main__":
    main()
