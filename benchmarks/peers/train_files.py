"""Train with one peer from Parquet files and write its tokenizer, as a user's script would; see training_commands.py.

Arguments: trainer, folder of Parquet files, vocabulary size, pattern (gpt2 or cl100k), path to write.
"""

# Each environment has only its own trainer.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def batches(data: Path) -> Iterator[list[str]]:
    """The texts, 1,000 at a time."""
    for path in sorted(data.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(1000, columns=["text"]):
            yield batch["text"].to_pylist()


def tokenizers(data: Path, vocab: int, pattern: str, out: Path) -> None:
    """Hugging Face's; GPT-2's pattern is compiled into its ByteLevel."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if pattern == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(Regex(PATTERNS[pattern]), "isolated")
        bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(batches(data), trainer)
    tokenizer.save(str(out))


def rustbpe(data: Path, vocab: int, pattern: str, out: Path) -> None:
    """karpathy/rustbpe."""
    import rustbpe as peer

    tokenizer = peer.Tokenizer()
    texts = (text for batch in batches(data) for text in batch)
    tokenizer.train_from_iterator(texts, vocab, pattern=PATTERNS[pattern])
    ranks = tokenizer.get_mergeable_ranks()
    out.write_text("".join(f"{base64.b64encode(bytes(token)).decode()} {rank}\n" for token, rank in ranks))


def gigatoken(data: Path, vocab: int, pattern: str, out: Path) -> None:
    """marcelroed/gigatoken; it takes one run of bytes, so documents are parted by a special token."""
    import gigatoken as peer

    if pattern != "gpt2":
        raise SystemExit("gigatoken trains by GPT-2's pattern only")
    end = "<|endoftext|>"
    joined = bytearray()
    for batch in batches(data):
        for text in batch:
            joined += text.encode() + end.encode()
    made = peer.train_bpe(bytes(joined), vocab, [end], separator=end.encode())
    out.write_text("".join(f"{base64.b64encode(bytes(token)).decode()} {rank}\n" for rank, token in made[0].items()))


def main() -> None:
    """Run one."""
    name, data, vocab, pattern, out = sys.argv[1:]
    trainers = {"tokenizers": tokenizers, "rustbpe": rustbpe, "gigatoken": gigatoken}
    trainers[name](Path(data), int(vocab), pattern, Path(out))


if __name__ == "__main__":
    main()
