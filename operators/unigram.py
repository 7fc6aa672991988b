"""Unigram vocabularies (Kudo 2018, arXiv:1804.10959) from counted pre-tokens, learned by `sentencepiece`.

Words go to its trainer in the byte alphabet, where none holds a space, a tab or a line break, as lines "word, count".
What is exact: the counts and the candidates to choose from, in 64 bits (`substrings.py`); and the result is the same
bytes for the same counts, with one version of `sentencepiece`. What is not: the choice, which is `sentencepiece`'s
(expectation maximization in 32-bit floats, a loss that is approximate, the last tenth cut by score). Bytes that make
less than one in 10^7 of the text may take no part in it, and words of more than `LONGEST_WORD` bytes are cut into
words.

The candidates are ours for two reasons. Up to 0.2.2 `sentencepiece` looked at every distinct word of a list of counts
alike, as `tokenizers` does for any text, so that short words that are very frequent did not become tokens
(google/sentencepiece, issue 967). Now it writes every word as often as it is counted, 500 MB at a time and at 13 times
that memory, so that its price is that of the text; and a word that stands in front of another with the same first
letter is still no candidate, nor is what is followed by characters of which only the second byte differs, as those of
a space and a line break in the byte alphabet.

A smaller vocabulary is not a prefix of a larger one: each size is a training of its own. Prices are in
`docs/other-models.md`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.byte_alphabet import byte_characters, to_characters
from operators.counted_words import CountedWords, counted_words
from operators.model_files import model_json, named_files
from operators.substrings import frequent_substrings

Scored = list[tuple[str, float]]

LONGEST_WORD: Final = 4096
LONGEST_TOKEN: Final = 24
"""Bytes: of six to eight characters in most scripts that are not Latin. `sentencepiece` has 16 characters."""
_NUM_SEEDS: Final = 1_000_000  # as in sentencepiece
_STEP: Final = 0.0001  # between the scores of bytes that do not occur, as in sentencepiece
_UNKNOWN: Final = "\u2603"  # a name that no word can hold: sentencepiece cuts its special names out of the text


def train_unigram(
    words: pa.LargeBinaryArray,
    counts: NDArray[Any],
    vocab_sizes: Sequence[int],
    patterns: tuple[str, ...],
    special_tokens: tuple[str, ...] = (),
    max_token_length: int = LONGEST_TOKEN,
) -> dict[str, bytes]:
    """Learn a vocabulary of each size and write `tokenizer-<size>.json`, and the largest as `tokenizer.json`.

    Ids: the 256 bytes as in `byte_alphabet`, then pieces by falling score, then the special tokens. Every text can be
    encoded and is decoded to itself. Where there is too little text, a vocabulary is smaller than asked.

    Args:
        words: pre-tokens as bytes; a repeated word counts as the sum of its counts.
        counts: how often each occurs, at least 0; 2^62 bytes of text in all at most.
        vocab_sizes: each counts bytes, pieces and special tokens.
        patterns: the regexes that cut the pre-tokens, as in `pretokenizers`.
        special_tokens: get the last ids.
        max_token_length: longest token in bytes, at least 1; beyond `LONGEST_TOKEN` it is taken as that.

    Returns:
        File contents by file name, `tokenizer_config.json` among them.

    Raises:
        ValueError: a size has no room for the bytes and the special tokens, or see `counted_words`.
        RecipeError: a special token is a token of the vocabulary too.
    """
    least = 256 + len(special_tokens)
    if not vocab_sizes or min(vocab_sizes) < least or max_token_length < 1:
        found = f"{[*vocab_sizes]} and {max_token_length}"
        msg = f"expected vocab_sizes of at least {least} each and max_token_length of at least 1, not {found}"
        raise ValueError(msg)
    counted = counted_words(words, counts, LONGEST_WORD)
    longest = min(max_token_length, LONGEST_TOKEN)
    rooms = {size: size - len(special_tokens) for size in vocab_sizes}
    pieces = _learn(counted, sorted(set(rooms.values())), longest) if len(counted.words) else {}
    files = {
        size: _file(_vocabulary(pieces.get(room, []), room), patterns, special_tokens) for size, room in rooms.items()
    }
    return named_files(files)


def _learn(counted: CountedWords, rooms: list[int], longest: int) -> dict[int, Scored]:
    """Pieces with their scores for each size, as `sentencepiece` orders them."""
    with tempfile.TemporaryDirectory() as folder:
        text, seeds = Path(folder, "words.tsv"), Path(folder, "seeds.tsv")
        text.write_text("".join(_word_lines(counted)), "utf-8")
        candidates = frequent_substrings(counted.words, counted.counts, longest, _NUM_SEEDS)
        seeds.write_text("".join(f"{to_characters(piece)}\t{count}\n" for piece, count in candidates), "utf-8")
        return {room: _train(text, seeds, room, longest, Path(folder, "model")) for room in rooms}


def _word_lines(counted: CountedWords) -> Iterator[str]:
    """Rare words first: counts are added up in 32-bit floats, in which a small one is lost beside a large sum."""
    for place in np.argsort(counted.counts, kind="stable").tolist():
        yield f"{to_characters(counted.words[place].as_py())}\t{counted.counts[place]}\n"


def _train(text: Path, seeds: Path, room: int, longest: int, model: Path) -> Scored:
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    SentencePieceTrainer.train(
        input=str(text),
        input_format="tsv",
        model_prefix=str(model),
        model_type="unigram",
        vocab_size=room + 1,  # the unknown token is not ours
        hard_vocab_limit=False,
        seed_sentencepieces_file=str(seeds),
        seed_sentencepiece_size=_NUM_SEEDS + 256,
        max_sentencepiece_length=longest,
        max_sentence_length=2 * LONGEST_WORD,  # a byte's character has one or two bytes
        character_coverage=1.0,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_whitespace=False,
        split_by_unicode_script=False,
        split_by_number=False,
        unk_piece=_UNKNOWN,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    learned = SentencePieceProcessor(model_file=f"{model}.model")
    ids = range(learned.get_piece_size())
    return [(learned.id_to_piece(i), learned.get_score(i)) for i in ids if not learned.is_unknown(i)]


def _vocabulary(pieces: Scored, room: int) -> Scored:
    """All bytes by id, then the best pieces; bytes that are not among them score less than all, as the unused do."""
    scores = dict(pieces)
    least = min(scores.values(), default=0.0)
    characters = sorted(byte_characters())
    missing = [character for character in characters if character not in scores]
    scores |= {character: least - (place + 1) * _STEP for place, character in enumerate(missing)}
    longer = [piece for piece, _ in pieces if len(piece) > 1]
    return [(piece, scores[piece]) for piece in [*characters, *longer[: room - len(characters)]]]


def _file(vocabulary: Scored, patterns: tuple[str, ...], special_tokens: tuple[str, ...]) -> bytes:
    model = {"type": "Unigram", "unk_id": None, "vocab": vocabulary, "byte_fallback": False}
    return model_json(model, {piece for piece, _ in vocabulary}, patterns, special_tokens)
