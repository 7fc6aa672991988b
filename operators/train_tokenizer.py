"""Train tokenizers on the corpus: count pre-tokens per shard, add up, learn the vocabulary from the counts.

Stage `counts` is exact: nothing is pruned, so its table grows with the corpus like n^0.6 and is exchanged by
pre-token. Training runs in one place: it needs the whole table and some 30 bytes of memory per byte of it. The merges
are those of `tokenizers`' `BpeTrainer` on the same text, with pair counts in 64 bits (theirs wrap at 2^31). All
vocabulary sizes come from one training: a smaller one is a prefix of the largest. Prices are in
`kernels/pretokenize.py` and `kernels/bpe.py`.

Text is cut by a published pattern or by one of your own, and further at `boundaries`. The `tokenizer.json` carries the
pattern that was counted by, so it encodes as counted. A column `repeat` says how often a document counts.

It does not look for special tokens in the text: what is written there is counted as text.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, assert_never

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from operators.base import Composite, Fold, Map, RecipeError, Repeat
from operators.byte_alphabet import to_bytes
from operators.continued_training import ContinuedTraining, check_extension, check_required
from operators.parity import Parity
from operators.parity_training import DEVELOPMENT, DevelopmentCounts, ParityTraining
from operators.piece_training import PieceTraining
from operators.pretoken_counts import PretokenCounts
from operators.pretokenizers import Choice, Digits, cutting
from operators.superword_training import FORBIDDEN, MAX_WORDS, complaint
from operators.superword_training import stages as superword_stages
from operators.tokenizer_sources import digest
from operators.training_corpus import TrainingCorpus
from operators.vocabulary_training import NUM_BYTES, BpeTraining, VocabularyTraining

VocabSize = Annotated[int, Field(ge=NUM_BYTES, le=2**24)]

_CUTTING = {"pretokenizer", "digits", "pattern", "boundaries"}
_COUNTING = {*_CUTTING, "group_by"}


Algorithm = Literal["bpe", "parity_bpe", "superbpe", "unigram", "wordpiece"]

_SUPERWORDS = ("transition", "superword_mb")
_VETO = ("max_words", "forbidden")
_UNUSED: dict[Algorithm, tuple[str, ...]] = {
    "bpe": ("parity", *_SUPERWORDS),
    "parity_bpe": ("limit_alphabet", "max_token_chars", "extend", *_VETO, *_SUPERWORDS),
    "superbpe": ("boundaries", "extend", "parity"),
    "unigram": (
        *("required_tokens", "limit_alphabet", "min_frequency", "max_token_chars", "extend", "parity"),
        *_VETO,
        *_SUPERWORDS,
    ),
    "wordpiece": ("required_tokens", "limit_alphabet", "max_token_chars", "extend", "parity", *_VETO, *_SUPERWORDS),
}
"""Parameters that an algorithm would not heed."""


class TrainTokenizer(Composite):
    """Train a byte-level tokenizer on the documents that reach this step; publishes all its files and the counts.

    Algorithms: `bpe` (Sennrich et al. 2016, arXiv:1508.07909; over bytes as in Radford et al. 2019), `parity_bpe`
    (Foroutan et al. 2025, arXiv:2508.04796; docs/parity-bpe.md), `superbpe` (Liu et al. 2025, arXiv:2503.13423;
    docs/superbpe.md), `unigram` (Kudo 2018, arXiv:1804.10959) and `wordpiece` (Schuster and Nakajima 2012), both
    docs/other-models.md. A vocabulary that the text is too small for is written as far as it goes; `training.json`
    says so.

    >>> [stage.label for stage in TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,)).stages()]
    ['corpus', 'counts', 'train']
    """

    kind: Literal["train_tokenizer"] = "train_tokenizer"
    algorithm: Algorithm = Field(default="bpe", description="how the vocabulary is learned")
    pretokenizer: Choice = Field(description="the published pattern that cuts text before merging, or custom")
    digits: Digits = Field(default="pattern", description="numerals: as published, one by one, or threes from an end")
    pattern: str = Field(default="", description="with pretokenizer custom: a regex as tokenizers reads it")
    boundaries: str = Field(
        default="", description="column with a list of byte offsets for each document to cut at too, as of morphemes"
    )
    vocab_sizes: tuple[VocabSize, ...] = Field(
        min_length=1, description="vocabularies to write, rising; each counts bytes, merges and special tokens"
    )
    special_tokens: tuple[str, ...] = Field(
        default=(), description="tokens that are never cut; they get ids after the vocabulary, in this order"
    )
    reserved: int = Field(default=0, ge=0, le=2**20, description="special tokens without a meaning yet, at the end")
    required_tokens: tuple[str, ...] = Field(
        default=(), description="terms, as they stand in text, that are always one token; made by merges of their own"
    )
    min_frequency: int = Field(
        default=1, ge=1, description="pairs that occur less often are not merged (0 and 1 in tokenizers)"
    )
    max_token_length: int = Field(
        default=65536,
        ge=2,
        le=2**31 - 1,
        description="longest token in bytes (in tokenizers: one more); at most 24 by unigram, 100 by wordpiece",
    )
    max_token_chars: int = Field(
        default=0, ge=0, le=2**31 - 1, description="longest token in characters, as UTF-8 begins them; 0: no limit"
    )
    limit_alphabet: int = Field(
        default=NUM_BYTES, ge=1, le=NUM_BYTES, description="only the most frequent bytes are merged; all keep their ids"
    )
    extend: str = Field(
        default="", description="a tokenizer.json or rank file to go on from: its tokens keep their ids"
    )
    min_count: int = Field(
        default=1, ge=1, description="rarer pre-tokens are not trained on, but in scripts without spaces"
    )
    max_pretoken_bytes: int = Field(default=0, ge=0, description="longer pre-tokens are not trained on; 0: no limit")
    max_words: int = Field(
        default=0, ge=0, description="words between spaces that a token may hold; 0: no limit; superbpe: 4 unless given"
    )
    forbidden: tuple[str, ...] = Field(
        default=(), description="strings that no token may hold; superbpe: a colon with a space, unless given"
    )
    transition: int = Field(
        default=0, ge=0, description="superbpe: tokens, counted as in vocab_sizes, at which merges begin to cross words"
    )
    superword_mb: int = Field(
        default=500, ge=1, description="superbpe: MB of text, drawn by document, that superwords are learned from"
    )
    group_by: str = Field(default="", description="column to count apart by, as `lang`; its totals are in the counts")
    parity: Parity = Field(
        default=Parity(),
        description="with parity_bpe: which language of group_by chooses each merge; docs/parity-bpe.md",
    )

    inert: ClassVar[frozenset[str]] = Composite.inert | {"extend"}  # its digest decides, wherever the file lies

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("algorithm") == "superbpe":
            return {"max_words": MAX_WORDS, "forbidden": FORBIDDEN, **given}
        return given

    @field_validator("special_tokens", "required_tokens", "forbidden")
    @classmethod
    def _distinct(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [token for place, token in enumerate(tokens) if not token or token in tokens[:place]]
        if wrong:
            msg = f"token {wrong[0]!r} is empty or given twice: expected every token once"
            raise ValueError(msg)
        return tokens

    @field_validator("special_tokens")
    @classmethod
    def _longer_than_a_byte(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        single = [token for token in tokens if len(to_bytes(token) or b"") == 1]
        if single:
            msg = (
                f"special token {single[0]!r} is written as one byte is, which is a token of every vocabulary: give it "
                "a name that text does not hold, such as '<|name|>'"
            )
            raise ValueError(msg)
        return tokens

    @model_validator(mode="after")
    def _one_kind(self) -> "TrainTokenizer":
        both = [token for token in self.required_tokens if token in self.special_tokens]
        if both:
            msg = f"token {both[0]!r} is in special_tokens and in required_tokens: a special token is one token already"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _cuts(self) -> "TrainTokenizer":
        cutting(self.pretokenizer, self.digits, self.pattern)
        return self

    @model_validator(mode="after")
    def _heeded(self) -> "TrainTokenizer":
        unused = [name for name in _UNUSED[self.algorithm] if getattr(self, name) != _default(name)]
        if unused:
            msg = f"{unused[0]} means nothing to algorithm {self.algorithm!r}: leave it out"
            raise ValueError(msg)
        if self.extend and self.limit_alphabet < NUM_BYTES:
            msg = "limit_alphabet means nothing with extend, whose tokens are merged from all bytes: leave it out"
            raise ValueError(msg)
        if self.algorithm == "parity_bpe" and not self.group_by:
            msg = "parity_bpe needs group_by: the column that says a document's language, as `lang`"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _sizes(self) -> "TrainTokenizer":
        if list(self.vocab_sizes) != sorted(set(self.vocab_sizes)):
            msg = f"vocab_sizes {list(self.vocab_sizes)} must rise: write {sorted(set(self.vocab_sizes))}"
            raise ValueError(msg)
        num_bytes = 2 * NUM_BYTES if self.algorithm == "wordpiece" else NUM_BYTES  # at a word's start, and inside
        least = num_bytes + len(self.special_tokens) + self.reserved
        if self.vocab_sizes[0] < least:
            msg = (
                f"vocab_sizes holds {self.vocab_sizes[0]}, but {num_bytes} bytes, {len(self.special_tokens)} special "
                f"and {self.reserved} reserved tokens need at least {least}"
            )
            raise ValueError(msg)
        if self.algorithm == "superbpe":
            wrong = complaint(self.pretokenizer, self.transition, least, self.vocab_sizes[0])
            if wrong:
                raise ValueError(wrong)
        return self

    def check(self) -> None:
        """RecipeError where `tokenizers` cannot read the pattern, it cuts a required token, or `extend` cannot be."""
        from operators.engine_spans import check_pattern, pieces

        if self.pattern:
            check_pattern(self.pattern)
        pretokenizer = "superbpe_stage2" if self.algorithm == "superbpe" else self.pretokenizer
        for token in self.required_tokens:
            cut = pieces(token, cutting(pretokenizer, self.digits, self.pattern).patterns)
            if len(cut) > 1:
                msg = f"required token {token!r}: the pattern cuts it into {cut}, and no merge joins pre-tokens"
                raise RecipeError(msg)
        if self.extend:
            patterns = cutting(self.pretokenizer, self.digits, self.pattern).patterns
            check_extension(self.extend, patterns, self.special_tokens, self.reserved, self.vocab_sizes[0])
            check_required(self.extend, patterns, self.required_tokens)

    @override
    def models(self) -> Mapping[str, str]:
        return {"extend": digest(self.extend)} if self.extend else {}

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        counting = (
            TrainingCorpus(name="corpus", group_by=self.group_by),
            PretokenCounts(name="counts", **self.model_dump(include=_COUNTING)),
        )
        learning = self._learning()
        match self.algorithm:
            case "bpe" if self.extend:
                going_on = {"extend": self.extend, "extend_sha256": digest(self.extend)}
                return *counting, ContinuedTraining(name="train", **learning, **going_on)
            case "bpe":
                return *counting, BpeTraining(name="train", **learning)
            case "parity_bpe":
                return *counting, *self._development(), ParityTraining(name="train", parity=self.parity, **learning)
            case "superbpe":
                return *counting, *superword_stages(self.transition, self.superword_mb, learning)
            case "unigram" | "wordpiece":
                return *counting, PieceTraining(name="train", **learning)
            case _:
                assert_never(self.algorithm)

    def _development(self) -> tuple[DevelopmentCounts, ...]:
        if not self.parity.development:
            return ()
        how = self.model_dump(include=_COUNTING)
        return (DevelopmentCounts(name=DEVELOPMENT, reference=self.parity.development, **how),)

    def _learning(self) -> dict[str, Any]:
        """The parameters that decide what is made of the counts."""
        fields = VocabularyTraining.model_fields.keys() - {"name"}
        return self.model_dump(include=fields & type(self).model_fields.keys())


def _default(name: str) -> object:
    return TrainTokenizer.model_fields[name].default
