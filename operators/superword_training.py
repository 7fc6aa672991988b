"""SuperBPE (Liu et al. 2025, arXiv:2503.13423) by the counted route: its stages and its training.

First merges are learned within words up to `transition` tokens, then merges over runs of tokens. What is written is one
list of merges with the stage-2 pattern, and `kernels/superwords.py` proves that encoding by it meets what was counted.
SuperBPE's own encoder is the same. Deviations from its trainer: equal counts go to the smaller ids, as in stage 1,
and the second stage reads a part of a corpus above `superword_mb`.
"""

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
from typing_extensions import override

from operators.base import Context, Fold, Outputs
from operators.encode import Merge
from operators.merge_lists import from_merges_table
from operators.pretokenizers import Digits, cutting
from operators.superword_runs import RUNS, DrawnCorpus, SuperwordRuns
from operators.training_corpus import corpus_of
from operators.vocabulary import Vocabulary
from operators.vocabulary_training import TRANSITION, BpeTraining, FirstMerges, Learned

MAX_WORDS: Final = 4
FORBIDDEN: Final = (": ",)
"""What SuperBPE's trainer keeps out of a token."""


class SuperwordTraining(BpeTraining):
    """The second merges, learned from the counted runs, and all files."""

    transition: int
    superword_mb: int

    @override
    def source(self) -> str:
        return f"stage:runs/{RUNS}"

    @override
    def uses(self) -> tuple[str, ...]:
        return ("corpus", "first", "drawn")

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        table = context.artifacts["first"].table("_merges")
        first = from_merges_table(table, ())
        learned, runs = self._learned(first, state)
        account = json.loads(context.artifacts["first"].read(TRANSITION))
        drawn = corpus_of(context, "drawn")
        fraction = drawn["bytes"] / max(1, account["corpus"]["bytes"])
        account["superword_corpus"] = {**drawn, "fraction": round(fraction, 6), **runs}
        counts = [*table["count"].to_pylist(), *learned.counts]
        return self.outputs(Learned([*first.merges, *learned.merges], counts, learned.details), account)

    @property
    @override
    def patterns(self) -> tuple[str, ...]:
        return cutting("superbpe_stage2", self.digits).patterns

    def _learned(self, first: Vocabulary, state: pa.Table) -> tuple[Learned, dict[str, int]]:
        """The second merges, and sizes of the table of runs."""
        from operators.kernels.bpe import products
        from operators.kernels.superwords import Runs, learn

        keys = pa.concat_arrays([pa.array([], pa.large_binary()), *state["run"].chunks])
        _, offsets, data = keys.buffers()
        starts = np.frombuffer(offsets, np.int64)[keys.offset : keys.offset + len(keys) + 1] // 4 if len(keys) else [0]
        ids = np.frombuffer(data or b"", "<i4")[starts[0] : starts[-1]].astype(np.int32)
        counts = state["count"].to_numpy().copy()
        runs = Runs(ids, np.array(starts, np.int64) - starts[0], counts, np.empty(0, np.uint64))
        room = self.num_learned - len(first.ids)
        found = learn(runs, first.tokens, room, self.min_frequency, self.max_token_length, self.veto)
        strings = products(found.merges.tolist(), first.tokens)
        merges = [(strings[left], strings[right]) for left, right in found.merges.tolist()]
        return Learned(merges, found.counts.tolist(), self._details(first, merges)), _sizes(runs, first)

    def _details(self, first: Vocabulary, merges: list[Merge]) -> dict[str, Any]:
        """How many tokens each stage made, and how many of the second's the stage-1 pattern would have cut."""
        reached = len(first.ids) + self._num_added
        return {
            "transition": {"asked": self.transition, "reached": reached},
            "second_merges": len(merges),
            "superwords": _num_cut([left + right for left, right in merges], self.digits),
        }


def stages(transition: int, superword_mb: int, learning: dict[str, Any]) -> tuple[Fold, ...]:
    """What follows the counts; `learning` are the parameters of `VocabularyTraining`."""
    shared = {name: learning[name] for name in ("digits", "max_token_length", "max_words", "forbidden")}
    num_first = transition - len(learning["special_tokens"]) - learning["reserved"]
    added = {"special_tokens": (), "reserved": 0, "required_tokens": (), "names": _uncut(learning)}
    return (
        FirstMerges(name="first", **{**learning, **added, "vocab_sizes": (num_first,)}),
        DrawnCorpus(name="drawn", superword_mb=superword_mb),
        SuperwordRuns(name="runs", superword_mb=superword_mb, **shared),
        SuperwordTraining(name="train", transition=transition, superword_mb=superword_mb, **learning),
    )


def complaint(pretokenizer: str, transition: int, least: int, below: int) -> str:
    """What is wrong with the parameters of the two stages; "" if nothing is. The transition lies in [least, below)."""
    if pretokenizer != "superbpe":
        return f"pretokenizer {pretokenizer!r}: SuperBPE cuts by its own two patterns, write superbpe"
    if not least <= transition < below:
        return (
            f"transition {transition} must be at least {least} and below every size of vocab_sizes: the "
            "number of tokens at which merges begin to cross words, as 100000 of 128000 in SuperBPE's repository"
        )
    return ""


def _sizes(runs: Any, first: Vocabulary) -> dict[str, int]:  # noqa: ANN401
    """Of the table of runs: how many, how long, and what they stand for in the text."""
    lengths = np.array([len(token) for token in first.tokens], np.int64)[runs.ids]
    ends = np.concatenate(([0], np.cumsum(lengths)))[runs.offsets]
    return {
        "runs": int(runs.counts.sum()),
        "distinct_runs": len(runs.counts),
        "distinct_run_tokens": len(runs.ids),
        "run_bytes": int((np.diff(ends) * runs.counts).sum()),
    }


def _uncut(learning: dict[str, Any]) -> tuple[str, ...]:
    """The special tokens that the stage-1 pattern leaves whole; the first merges cannot make the others."""
    from operators.engine_spans import pieces

    patterns = cutting("superbpe", learning["digits"]).patterns
    return tuple(name for name in learning["special_tokens"] if len(pieces(name, patterns)) == 1)


def _num_cut(tokens: list[bytes], digits: Digits) -> int:
    """How many tokens the stage-1 pattern cuts, of those that are whole characters."""
    from operators.kernels.pretokenize import spans

    texts = [text for text in (_decoded(token) for token in tokens) if text]
    cuts = spans(pa.array(texts, pa.large_string()), cutting("superbpe", digits))
    return int((np.diff(cuts.offsets.to_numpy()) > 1).sum())


def _decoded(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return ""
