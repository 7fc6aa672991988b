"""Train byte-level BPE tokenizers on the corpus: count pre-tokens per shard, add up, learn merges from the counts.

Stage `counts` is exact: nothing is pruned, so its table grows with the corpus like n^0.6 and is exchanged by
pre-token. Stage `train` runs in one place: it needs the whole table and about 25 bytes of memory per byte of it.
The merges are those of `tokenizers`' `BpeTrainer` on the same text, with pair counts in 64 bits (theirs wrap at 2^31).
All vocabulary sizes come from one training: a smaller one is a prefix of the largest. Prices are in
`kernels/pretokenize.py` and `kernels/bpe.py`.

Text is cut by a published pattern or by one of your own, and further at `boundaries`. The `tokenizer.json` carries the
pattern that was counted by, so it encodes as counted. Which code points are letters is asked of the installed
`tokenizers`; a digest of the answer is part of the counts' identity.

It does not look for special tokens in the text: what is written there is counted as text.
"""

import json
import logging
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from operators.base import TEXT, WARNINGS, BatchFn, Columns, Composite, Context, Fold, Map, Outputs, Repeat
from operators.pretokenizers import Choice, Digits, cutting
from operators.tokenizer_files import Merges, tokenizer_json

NUM_BYTES = 256
REPEAT = "repeat"
"""int32: how often a document counts; without the column every document counts once."""

_CUTTING = {"pretokenizer", "digits", "pattern", "boundaries"}
_log = logging.getLogger(__name__)

VocabSize = Annotated[int, Field(ge=NUM_BYTES, le=2**24)]


class PretokenCounts(Fold):
    """How often each pre-token occurs: `pretoken: large_binary`, `count: int64`, sorted within a partition."""

    pretokenizer: Choice
    digits: Digits = "pattern"
    pattern: str = ""
    boundaries: str = ""

    key: ClassVar[str] = "pretoken"
    partitioned: ClassVar[bool] = True

    @override
    def needs(self) -> Columns:
        return {**TEXT, self.boundaries: pa.null()} if self.boundaries else TEXT

    @override
    def models(self) -> Mapping[str, str]:
        from operators.unicode_classes import class_table_digest

        return {"unicode classes": class_table_digest()}

    @override
    def bind(self, context: Context) -> BatchFn:
        import numpy as np

        from operators.boundaries import cut_places
        from operators.kernels.pretokenize import count, is_scanned

        how = cutting(self.pretokenizer, self.digits, self.pattern)
        if not is_scanned(how):
            _log.warning("pattern %r is beyond our scanner: the regex engine cuts 4 MB/s a core, a 25th", self.pattern)

        def apply(rows: pa.Table) -> pa.Table:
            texts = rows["text"].cast(pa.large_string()).combine_chunks()
            weights = np.ones(len(texts), np.int64)
            if REPEAT in rows.column_names:
                weights = rows[REPEAT].cast(pa.int64()).to_numpy()
            cuts = cut_places(texts, rows[self.boundaries], rows["id"]) if self.boundaries else None
            pretokens, totals = count(texts, weights, how, cuts)
            return _counts(pretokens, pa.array(totals, pa.int64()))

        return apply

    @override
    def merge(self, state: pa.Table) -> pa.Table:
        summed = state.group_by("pretoken", use_threads=False).aggregate([("count", "sum")])
        return _counts(summed["pretoken"], summed["count_sum"])

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"counts": self.merge(state).sort_by("pretoken")}


class BpeTraining(Fold):
    """Learn merges from the counts of stage `counts` and write the tokenizers."""

    pretokenizer: Choice
    digits: Digits = "pattern"
    pattern: str = ""
    boundaries: str = ""
    vocab_sizes: tuple[int, ...]
    special_tokens: tuple[str, ...]
    min_frequency: int
    max_token_length: int

    @override
    def source(self) -> str:
        return "stage:counts/counts"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda counts: counts

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        from operators.kernels.bpe import train

        pretokens = state["pretoken"].cast(pa.large_binary()).combine_chunks()
        totals = state["count"].to_numpy()
        num_tokens = self.vocab_sizes[-1] - len(self.special_tokens)
        learned = train(pretokens, totals, num_tokens, self.min_frequency, self.max_token_length)
        merges: Merges = [(left, right) for left, right in learned.tolist()]
        files = {f"tokenizer-{size}.json": self._tokenizer(merges, size) for size in self.vocab_sizes}
        summary = self._summary(state, len(merges))
        return {
            **files,
            "tokenizer.json": files[f"tokenizer-{self.vocab_sizes[-1]}.json"],
            "training.json": _json(summary),
            **_warnings(summary),
        }

    def _num_merges(self, vocab_size: int) -> int:
        return vocab_size - NUM_BYTES - len(self.special_tokens)

    def _tokenizer(self, merges: Merges, vocab_size: int) -> bytes:
        kept = merges[: self._num_merges(vocab_size)]
        return tokenizer_json(kept, self._patterns(), self.special_tokens)

    def _patterns(self) -> tuple[str, ...]:
        return cutting(self.pretokenizer, self.digits, self.pattern).patterns

    def _summary(self, state: pa.Table, num_merges: int) -> dict[str, Any]:
        """The corpus, the settings, and the sizes: `reached` is less than `asked` where there was too little text."""
        tokenizers = []
        for size in self.vocab_sizes:
            merges = min(num_merges, self._num_merges(size))
            reached = size - self._num_merges(size) + merges
            tokenizers.append({"file": f"tokenizer-{size}.json", "asked": size, "reached": reached, "merges": merges})
        lengths = pc.cast(pc.binary_length(state["pretoken"]), pa.int64())
        return {
            "settings": {"algorithm": "bpe", "patterns": self._patterns(), **self._settings()},
            "corpus": {
                "bytes": _total(pc.multiply(lengths, state["count"])),
                "pretokens": _total(state["count"]),
                "distinct_pretokens": state.num_rows,
                "distinct_bytes": _total(lengths),
            },
            "tokenizers": tokenizers,
        }

    def _settings(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"name", "vocab_sizes"})


class TrainTokenizer(Composite):
    """Train byte-level BPE on the documents that reach this step; publishes `tokenizer.json` and the counts.

    Reference: Sennrich et al. 2016 (arXiv:1508.07909); over bytes as in Radford et al. 2019 (GPT-2). A vocabulary that
    the text is too small for is written as far as it goes; `training.json` says so.

    >>> [stage.label for stage in TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(300,)).stages()]
    ['counts', 'train']
    """

    kind: Literal["train_tokenizer"] = "train_tokenizer"
    algorithm: Literal["bpe"] = Field(default="bpe", description="how the vocabulary is learned")
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
        default=(), description="tokens that are never cut; they get the last ids, in this order"
    )
    min_frequency: int = Field(
        default=1, ge=1, description="pairs that occur less often are not merged (0 and 1 in tokenizers)"
    )
    max_token_length: int = Field(
        default=65536, ge=2, le=2**31 - 1, description="longest token in bytes, inclusive (tokenizers: one more)"
    )

    @field_validator("special_tokens")
    @classmethod
    def _distinct(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [token for place, token in enumerate(tokens) if not token or token in tokens[:place]]
        if wrong:
            msg = f"special token {wrong[0]!r} is empty or given twice: every special token needs a name of its own"
            raise ValueError(msg)
        return tokens

    @model_validator(mode="after")
    def _cuts(self) -> "TrainTokenizer":
        cutting(self.pretokenizer, self.digits, self.pattern)
        return self

    @model_validator(mode="after")
    def _sizes(self) -> "TrainTokenizer":
        if list(self.vocab_sizes) != sorted(set(self.vocab_sizes)):
            msg = f"vocab_sizes {list(self.vocab_sizes)} must rise: write {sorted(set(self.vocab_sizes))}"
            raise ValueError(msg)
        least = NUM_BYTES + len(self.special_tokens)
        if self.vocab_sizes[0] < least:
            msg = (
                f"vocab_sizes holds {self.vocab_sizes[0]}, but {NUM_BYTES} bytes and {len(self.special_tokens)} "
                f"special tokens need at least {least}"
            )
            raise ValueError(msg)
        return self

    def check(self) -> None:
        """RecipeError where `tokenizers` cannot read the pattern."""
        from operators.engine_spans import check_pattern

        if self.pattern:
            check_pattern(self.pattern)

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        how = self.model_dump(include=_CUTTING)
        training = BpeTraining(
            name="train",
            **how,
            vocab_sizes=self.vocab_sizes,
            special_tokens=self.special_tokens,
            min_frequency=self.min_frequency,
            max_token_length=self.max_token_length,
        )
        return PretokenCounts(name="counts", **how), training


def _warnings(summary: dict[str, Any]) -> dict[str, bytes]:
    """The file in which the engine finds what to warn of; none where every size was reached."""
    missed = [entry for entry in summary["tokenizers"] if entry["reached"] < entry["asked"]]
    if not missed:
        return {}
    sizes = ", ".join(f"{entry['asked']:,}" for entry in missed)
    line = (
        f"{summary['corpus']['bytes']:,} bytes of text are too little for vocab_sizes {sizes}: no pair was left to "
        f"merge at {missed[0]['reached']:,} tokens; give it more text, or ask for fewer tokens"
    )
    return {WARNINGS: json.dumps([line]).encode()}


def _counts(pretokens: pa.Array, totals: pa.Array) -> pa.Table:
    return pa.table({"pretoken": pretokens, "count": totals})


def _total(numbers: pa.ChunkedArray) -> int:
    return int(pc.sum(numbers).as_py() or 0)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"
