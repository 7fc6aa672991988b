"""Learn a vocabulary from counted pre-tokens and write it in every format: the last stage of `train_tokenizer`.

It runs in one place and reads the whole table of counts. All vocabulary sizes come from one training, as a smaller one
is a prefix of the largest; tokens that are required come after what was learned.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import BatchFn, Context, Fold, Outputs
from operators.encode import Merge, with_required
from operators.merge_lists import merges_table
from operators.pretoken_counts import GROUP, total_counts
from operators.pretokenizers import Choice, Digits, cutting
from operators.pruning import Pruned, prune
from operators.rank_files import objection
from operators.tokenizer_files import artifact_files, merges_by_id, to_tokenizer_json
from operators.training_corpus import FILE as CORPUS
from operators.training_warnings import warnings_file
from operators.vocabulary import Vocabulary, as_tokens, from_merges, reserve

if TYPE_CHECKING:
    from operators.kernels.bpe import Veto

NUM_BYTES: Final = 256
TRANSITION: Final = "_transition.json"


class Learned(NamedTuple):
    """Merges in order, and how often each pair stood in the text when it was merged."""

    merges: list[Merge]
    counts: list[int]
    details: dict[str, Any]
    """What the algorithm has to say of itself in `training.json`."""


class VocabularyTraining(Fold):
    """What all algorithms share: the settings, what is left out of the counts, the files, the summary."""

    algorithm: str
    pretokenizer: Choice
    digits: Digits = "pattern"
    pattern: str = ""
    boundaries: str = ""
    vocab_sizes: tuple[int, ...]
    special_tokens: tuple[str, ...] = ()
    reserved: int = 0
    required_tokens: tuple[str, ...] = ()
    min_frequency: int = 1
    max_token_length: int = 65536
    max_token_chars: int = 0
    limit_alphabet: int = NUM_BYTES
    min_count: int = 1
    max_pretoken_bytes: int = 0
    max_words: int = 0
    forbidden: tuple[str, ...] = ()
    group_by: str = ""

    revision: ClassVar[int] = 2  # 2: fewer rank files, by the pattern; more warnings

    @override
    def source(self) -> str:
        return "stage:counts/counts"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("corpus",)

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda counts: counts

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        pruned = prune(total_counts(state), self.min_count, self.max_pretoken_bytes)
        counts = pruned.counts
        if GROUP in state.column_names:
            counts = state.filter(pc.is_in(state["pretoken"], pretokens_of(pruned.counts)))
        return self.outputs(self.learn(counts), self.account(state, pruned, context))

    def learn(self, counts: pa.Table) -> Learned:
        """Merges for the largest vocabulary, from the counts that pruning left, by group if there are groups."""
        raise NotImplementedError

    def account(self, state: pa.Table, pruned: Pruned, context: Context) -> dict[str, Any]:
        """What was read and what was left out."""
        corpus = json.loads(context.artifacts["corpus"].read(CORPUS))
        return {"corpus": {**corpus, **_described(total_counts(state))}, "left_out": pruned.cost}

    def outputs(self, learned: Learned, account: dict[str, Any]) -> Outputs:
        """All files of all sizes, and `training.json`."""
        vocabularies = [self._vocabulary(learned, size) for size in self.vocab_sizes]
        sized = list(zip(self.vocab_sizes, vocabularies, strict=True))
        files = artifact_files(vocabularies[-1], _merge_counts(learned, vocabularies[-1]))
        ranks = "encodes every text as tokenizer.json does"
        if "ranks.tiktoken" not in files:
            ranks = objection(vocabularies[-1])
        return {
            **files,
            **{f"tokenizer-{size}.json": to_tokenizer_json(vocabulary) for size, vocabulary in sized[:-1]},
            f"tokenizer-{self.vocab_sizes[-1]}.json": files["tokenizer.json"],
            **self.summary(account, [_entry(*pair) for pair in sized], learned.details, ranks),
        }

    def summary(
        self, account: dict[str, Any], tokenizers: list[dict[str, Any]], details: dict[str, Any], ranks: str
    ) -> dict[str, bytes]:
        """`training.json`, and the warnings."""
        settings = self.model_dump(mode="json", exclude={*type(self).inert, "vocab_sizes"})
        content = {
            **account,
            "settings": {"patterns": self.patterns, **settings},
            "training": details,
            "tokenizers": tokenizers,
            "ranks.tiktoken": ranks,
        }
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        return {"training.json": text.encode(), **warnings_file(content)}

    @property
    def num_learned(self) -> int:
        """The tokens that training may make for the largest vocabulary, the 256 bytes included."""
        return self.vocab_sizes[-1] - self._num_added

    @property
    def patterns(self) -> tuple[str, ...]:
        """What the written tokenizer cuts text by."""
        return cutting(self.pretokenizer, self.digits, self.pattern).patterns

    @property
    def _num_added(self) -> int:
        return len(self.special_tokens) + self.reserved

    def _vocabulary(self, learned: Learned, size: int) -> Vocabulary:
        room = size - NUM_BYTES - self._num_added
        merges = learned.merges[:room]
        if self.required_tokens:
            merges = with_required([token.encode() for token in self.required_tokens], learned.merges, room)
        return reserve(from_merges(merges, self.patterns, self.special_tokens), self.reserved)


class BpeTraining(VocabularyTraining):
    """Byte-pair encoding; the merges are those of `tokenizers`' `BpeTrainer`."""

    @property
    def veto(self) -> "Veto":
        """What may not be learned."""
        from operators.kernels.bpe import Veto

        forbidden = tuple(part.encode() for part in self.forbidden)
        return Veto(self.max_words, forbidden, self.max_token_chars, as_tokens(self._names))

    @property
    def _names(self) -> tuple[str, ...]:
        """The added tokens, whose strings no learned token may have."""
        return self.special_tokens

    @override
    def learn(self, counts: pa.Table) -> Learned:
        from operators.kernels.bpe import most_frequent_bytes, train

        counts = total_counts(counts)
        words, totals = pretokens_of(counts), counts["count"].to_numpy()
        alphabet = bytes(range(NUM_BYTES))
        if self.limit_alphabet < NUM_BYTES:
            alphabet = most_frequent_bytes(words, totals, self.limit_alphabet)
        limits = (self.num_learned, self.min_frequency, self.max_token_length)
        learned = train(words, totals, *limits, alphabet=alphabet, veto=self.veto)
        return Learned(merges_by_id(learned.merges.tolist()), learned.counts.tolist(), {})


class FirstMerges(BpeTraining):
    """SuperBPE's first stage, for its second: the table `_merges`, and the account in `_transition.json`."""

    names: tuple[str, ...] = ()
    """The second stage's special tokens."""

    @override
    @property
    def _names(self) -> tuple[str, ...]:
        return self.names

    @override
    def outputs(self, learned: Learned, account: dict[str, Any]) -> Outputs:
        return {
            "_merges": merges_table(learned.merges, learned.counts),
            TRANSITION: json.dumps(account).encode(),
        }


def pretokens_of(counts: pa.Table) -> pa.LargeBinaryArray:
    """The pre-tokens of a table of counts as one array."""
    return pa.concat_arrays([pa.array([], pa.large_binary()), *counts["pretoken"].cast(pa.large_binary()).chunks])


def _merge_counts(learned: Learned, vocabulary: Vocabulary) -> list[int | None]:
    """Null for a merge that was not learned but put in for a required token."""
    known = dict(zip(learned.merges, learned.counts, strict=True))
    return [known.get(merge) for merge in vocabulary.merges]


def _entry(size: int, vocabulary: Vocabulary) -> dict[str, Any]:
    """`reached` is less than `asked` where there was too little text."""
    reached = vocabulary.next_id
    return {"file": f"tokenizer-{size}.json", "asked": size, "reached": reached, "merges": len(vocabulary.merges)}


def _described(counts: pa.Table) -> dict[str, Any]:
    """Sizes of a table of counts, and a digest of what it says, whatever the order of its rows."""
    lengths = pc.cast(pc.binary_length(counts["pretoken"]), pa.int64())
    return {
        "pretokens": _total(counts["count"]),
        "distinct_pretokens": counts.num_rows,
        "distinct_bytes": _total(lengths),
        "counts_sha256": _digest(counts.sort_by("pretoken")),
    }


def _digest(counts: pa.Table) -> str:
    """Over the lengths of the pre-tokens (int64), their bytes, and the counts (int64), little-endian, in order."""
    words = pretokens_of(counts)
    _, offset_buffer, data = words.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[words.offset : words.offset + len(words) + 1]
    digest = hashlib.sha256(np.diff(offsets).tobytes())
    digest.update(memoryview(data or b"")[offsets[0] : offsets[-1]] if len(words) else b"")
    digest.update(counts["count"].to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _total(numbers: pa.ChunkedArray) -> int:
    return int(pc.sum(numbers).as_py() or 0)
