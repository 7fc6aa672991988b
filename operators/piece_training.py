"""The last stage of `train_tokenizer` for vocabularies that are no list of merges: Unigram and WordPiece."""

import json
from typing import Any

import pyarrow as pa
from typing_extensions import override

from operators.base import Context, Outputs
from operators.pretoken_counts import total_counts
from operators.pruning import prune
from operators.vocabulary import RESERVED
from operators.vocabulary_training import VocabularyTraining, pretokens_of

NO_RANKS = "a rank file holds merges, and this vocabulary has none"


class PieceTraining(VocabularyTraining):
    """Trains every size apart, through `unigram.py` or `wordpiece.py`."""

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        pruned = prune(total_counts(state), self.min_count, self.max_pretoken_bytes)
        files = self._train(pruned.counts)
        entries = [_entry(size, json.loads(files[f"tokenizer-{size}.json"])) for size in self.vocab_sizes]
        account = self.account(state, pruned, context)
        return {**files, **self.summary(account, entries, {}, NO_RANKS)}

    def _train(self, counts: pa.Table) -> dict[str, bytes]:
        words, totals = pretokens_of(counts), counts["count"].to_numpy()
        special = (*self.special_tokens, *(RESERVED.format(number) for number in range(self.reserved)))
        if self.algorithm == "unigram":
            from operators.unigram import train_unigram

            return train_unigram(words, totals, self.vocab_sizes, self.patterns, special, self.max_token_length)
        from operators.wordpiece import train_wordpiece

        return train_wordpiece(
            words, totals, self.vocab_sizes, self.patterns, special, self.min_frequency, self.max_token_length
        )


def _entry(size: int, content: dict[str, Any]) -> dict[str, Any]:
    reached = len(content["model"]["vocab"]) + len(content["added_tokens"])
    return {"file": f"tokenizer-{size}.json", "asked": size, "reached": reached}
