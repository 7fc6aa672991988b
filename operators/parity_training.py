"""The last stage of `train_tokenizer` with `algorithm: parity_bpe`: merges that languages choose in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from operators.base import BatchFn, Context, DataError, Outputs
from operators.parity import Parity
from operators.pretoken_counts import GROUP, PretokenCounts, total_counts
from operators.pruning import prune
from operators.tokenizer_files import merges_by_id
from operators.vocabulary_training import Learned, VocabularyTraining, pretokens_of

if TYPE_CHECKING:
    from operators.kernels import parity_bpe

DEVELOPMENT: Final = "development"
_COUNTS: Final = "_counts"


class DevelopmentCounts(PretokenCounts):
    """The pre-tokens of the development set by language: cut as the training text is, and not published."""

    @override
    def bind(self, context: Context) -> BatchFn:
        count = super().bind(context)

        def apply(rows: pa.Table) -> pa.Table:
            if self.group_by not in rows.column_names:
                msg = f"input {self.reference!r} has no column {self.group_by!r}: parity_bpe needs its texts' language"
                raise DataError(msg)
            return count(rows)

        return apply

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {_COUNTS: super().finish(state, context)["counts"]}


class ParityTraining(VocabularyTraining):
    """Parity-aware BPE (`kernels/parity_bpe.py`): the groups of the counts are the languages, in order of name.

    What pruning leaves out of training is not measured there either; the development set is measured whole.
    """

    parity: Parity

    @override
    def uses(self) -> tuple[str, ...]:
        return (*super().uses(), DEVELOPMENT) if self.parity.development else super().uses()

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        pruned = prune(total_counts(state), self.min_count, self.max_pretoken_bytes)
        counts = state.filter(pc.is_in(state["pretoken"], pretokens_of(pruned.counts)))
        development = context.artifacts[DEVELOPMENT].table(_COUNTS) if self.parity.development else None
        learned = self._learn(state, counts, development)
        return self.outputs(learned, self.account(state, pruned, context))

    def _learn(self, state: pa.Table, counts: pa.Table, development: pa.Table | None) -> Learned:
        from operators.kernels import parity_bpe

        languages = self._languages(state, development)
        texts = [_by_language(table, languages) for table in (counts, development) if table is not None]
        ratios = tuple(self.parity.ratio.get(language, 1.0) for language in languages)
        window = self.parity.window_size if self.parity.mode == "window" else 0
        policy = parity_bpe.Policy(
            len(languages), () if development else ratios, window, self.parity.alpha, self.parity.global_merges
        )
        if not languages:
            return Learned([], [], {})
        learned = self._train(texts, policy)
        together = self._train(texts, policy._replace(global_merges=self.num_learned))
        return Learned(
            merges_by_id(learned.merges.tolist()),
            learned.counts.tolist(),
            {**described(learned, together, languages), **_unused(development, languages)},
        )

    def _train(self, texts: Sequence[parity_bpe.CountedWords], policy: parity_bpe.Policy) -> parity_bpe.Learned:
        from operators.kernels import parity_bpe

        development = texts[1] if len(texts) > 1 else None
        return parity_bpe.train(
            texts[0], self.num_learned, policy, development, self.min_frequency, self.max_token_length
        )

    def _languages(self, state: pa.Table, development: pa.Table | None) -> list[str]:
        """All languages of the training text. DataError where one is missing, or named or measured and not there."""
        languages: list[str] = sorted(pc.unique(state[GROUP]).to_pylist())
        if "" in languages:
            msg = "there are documents without a language: parity_bpe needs a value in the group_by column of every row"
            raise DataError(msg)
        unknown = sorted(set(self.parity.ratio) - set(languages))
        if unknown:
            msg = f"parity.ratio names {unknown[0]!r}, but the text has only {', '.join(languages)}"
            raise DataError(msg)
        if development is not None:
            missing = sorted(set(languages) - set(pc.unique(development[GROUP]).to_pylist()))
            if missing:
                msg = (
                    f"input {self.parity.development!r} has no text in {', '.join(missing)}: parity_bpe measures every "
                    "language of the training text there; add it, or drop its documents before this step"
                )
                raise DataError(msg)
        return languages


def described(learned: parity_bpe.Learned, together: parity_bpe.Learned, languages: Sequence[str]) -> dict[str, Any]:
    """What the languages chose and what they got, beside what merges chosen by all together would give.

    `bytes_per_token` are of the text that is measured. `gini` (0: all alike) is over the tokens of the development
    texts, or without them over tokens per byte of training text.
    """
    from operators.kernels.parity_bpe import GLOBAL

    measured = int(bool(learned.bytes[1].any()))
    rows = {}
    for number, language in enumerate(languages):
        rows[language] = {
            "merges": int((learned.chosen == number).sum()),
            "bytes": int(learned.bytes[measured, number]),
            "tokens": int(learned.tokens[measured, number]),
            "bytes_per_token": _rate(learned, measured, number),
            "bytes_per_token_by_global_merges": _rate(together, measured, number),
        }
    return {
        "measured": ("training text", "development set")[measured],
        "global_merges": int((learned.chosen == GLOBAL).sum()),
        "languages": rows,
        "gini": gini(_costs(learned, measured)),
        "gini_by_global_merges": gini(_costs(together, measured)),
    }


def gini(costs: Sequence[float]) -> float:
    """Gini coefficient, to 4 digits: mean difference of all pairs over twice the mean; 0 where all are alike.

    >>> gini([1, 1, 1]), gini([0, 0, 3])
    (0.0, 0.6667)
    """
    ranked, total = sorted(costs), sum(costs)
    weighted = sum((2 * place - len(ranked) + 1) * cost for place, cost in enumerate(ranked))
    return round(weighted / (len(ranked) * total), 4) if total else 0.0


def _costs(learned: parity_bpe.Learned, measured: int) -> list[float]:
    tokens: list[float] = learned.tokens[measured].tolist()
    num_bytes = learned.bytes[measured].tolist()
    if measured:
        return tokens
    return [token / size for token, size in zip(tokens, num_bytes, strict=True) if size]


def _rate(learned: parity_bpe.Learned, measured: int, language: int) -> float:
    tokens = int(learned.tokens[measured, language])
    return round(int(learned.bytes[measured, language]) / tokens, 4) if tokens else 0.0


def _unused(development: pa.Table | None, languages: Sequence[str]) -> dict[str, list[str]]:
    """Languages of the development set that are not in the training text; they decide nothing."""
    if development is None:
        return {}
    return {"not_measured": sorted(set(pc.unique(development[GROUP]).to_pylist()) - set(languages))}


def _by_language(counts: pa.Table, languages: Sequence[str]) -> parity_bpe.CountedWords:
    from operators.kernels import parity_bpe

    numbers = pc.index_in(counts[GROUP], value_set=pa.array(languages, pa.string()))
    known = counts.filter(pc.is_valid(numbers))
    return parity_bpe.CountedWords(
        pretokens_of(known), known["count"].to_numpy(), pc.drop_null(numbers).to_numpy().astype(np.int32)
    )
