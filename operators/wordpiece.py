"""WordPiece vocabularies from counted pre-tokens: one token set for the start of a word, another for its inside.

Learned as `tokenizers`' `WordPieceTrainer` does it, which is by merges and not by likelihood (Schuster and Nakajima
2012): byte-pair encoding over 512 symbols, a byte at the start of a word and the same byte inside being two. Ties go to
the smaller left id, then the smaller right id; theirs go by ids that change from run to run. Text is then encoded by
the longest match from the left, without the merges.

Deviations from BERT's files, all so that every text can be encoded and is decoded to itself:

- Tokens inside a word begin with two full-width number signs (U+FF03), not with "##", as the byte `#` is text: "##a"
  would be a token inside a word and a word as well.
- All 512 symbols are in the vocabulary, so nothing is ever unknown. (The file names [UNK], as the format wants it; it
  is in the vocabulary only where it is a special token, and no text becomes it.)
- A pre-token of more than `LONGEST_WORD` bytes, which BERT calls unknown, is cut into words, in training and in the
  written tokenizer: the longest match tries every length, so that the price of a word grows with its length's cube.

A smaller vocabulary has the first merges of a larger one, so all sizes come from one training. Prices are in
`docs/other-models.md`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from operators.byte_alphabet import byte_ids, bytes_in_id_order, to_characters
from operators.counted_words import CountedWords, counted_words
from operators.model_files import model_json, named_files

Ints = NDArray[Any]

PREFIX: Final = "\uff03\uff03"
NUM_SYMBOLS: Final = 512
LONGEST_WORD: Final = 100
"""Bytes, as `max_input_chars_per_word` of BERT."""


def train_wordpiece(
    words: pa.LargeBinaryArray,
    counts: Ints,
    vocab_sizes: Sequence[int],
    patterns: tuple[str, ...],
    special_tokens: tuple[str, ...] = (),
    min_frequency: int = 0,
    max_token_length: int = LONGEST_WORD,
) -> dict[str, bytes]:
    """Learn the largest vocabulary and write `tokenizer-<size>.json` of each size, the largest as `tokenizer.json` too.

    Ids: the 256 bytes at the start of a word as in `byte_alphabet`, the same inside a word, then a token for each
    merge, then the special tokens. Where no pair is left to merge, a vocabulary is smaller than asked.

    Args:
        words: pre-tokens as bytes; a repeated word counts as the sum of its counts.
        counts: how often each occurs, at least 0; 2^62 bytes of text in all at most.
        vocab_sizes: each counts the 512 symbols, the merges and the special tokens.
        patterns: the regexes that cut the pre-tokens, as in `pretokenizers`.
        special_tokens: get the last ids.
        min_frequency: a pair that occurs less often is not merged.
        max_token_length: longest token in bytes, inclusive, at least 2; no token is longer than `LONGEST_WORD`.

    Returns:
        File contents by file name, `tokenizer_config.json` among them.

    Raises:
        ValueError: a size has no room for the symbols and the special tokens, or see `counted_words`.
        RecipeError: a special token is a token of the vocabulary too, or holds the prefix.
    """
    least = NUM_SYMBOLS + len(special_tokens)
    if not vocab_sizes or min(vocab_sizes) < least or max_token_length < 2:
        found = f"{[*vocab_sizes]} and {max_token_length}"
        msg = f"expected vocab_sizes of at least {least} each and max_token_length of at least 2, not {found}"
        raise ValueError(msg)
    counted = counted_words(words, counts, LONGEST_WORD)
    tokens = _learn(counted, max(vocab_sizes) - least, min_frequency, max_token_length)
    sizes = {size: tokens[: size - len(special_tokens)] for size in vocab_sizes}
    return named_files({size: _file(kept, patterns, special_tokens) for size, kept in sizes.items()})


def symbols(words: pa.LargeBinaryArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The symbols of all words in one array, and where each word begins in it, the end included.

    Symbols are ids of bytes as in `byte_alphabet`, and 256 more for those that are not the first of a word.

    >>> [values.tolist() for values in symbols(pa.array([b"!!", b"!"], pa.large_binary()))]
    [[0, 256, 0], [0, 2, 3]]
    """
    offsets = np.concatenate([[0], np.cumsum(pc.binary_length(words).to_numpy(zero_copy_only=False))]).astype(np.int64)
    ids = byte_ids()[np.frombuffer(b"".join(words.to_pylist()), np.uint8)] + np.int32(256)
    ids[offsets[:-1]] -= np.int32(256)
    return ids, offsets


def _learn(counted: CountedWords, num_merges: int, min_frequency: int, max_token_length: int) -> list[str]:
    """The symbols as the vocabulary writes them, then the tokens that merges make, in order."""
    from operators.kernels.bpe import train_sequences

    starts = [to_characters(bytes([byte])) for byte in bytes_in_id_order()]
    tokens = [*starts, *(PREFIX + character for character in starts)]
    # Two bytes a symbol: strings must differ where symbols do, and have lengths in proportion.
    codes = [bytes([inside, byte]) for inside in (0, 1) for byte in bytes_in_id_order()]
    longest = 2 * min(max_token_length, LONGEST_WORD)
    learned = train_sequences(*symbols(counted.words), counted.counts, codes, num_merges, min_frequency, longest)
    for left, right in learned.merges.tolist():
        tokens.append(tokens[left] + tokens[right].removeprefix(PREFIX))
    return tokens


def _file(tokens: list[str], patterns: tuple[str, ...], special_tokens: tuple[str, ...]) -> bytes:
    vocabulary = {token: number for number, token in enumerate(tokens)}
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": PREFIX,
        "max_input_chars_per_word": LONGEST_WORD,
        "vocab": vocabulary,
    }
    return model_json(model, vocabulary, patterns, special_tokens, prefix=PREFIX, longest_piece=LONGEST_WORD)
