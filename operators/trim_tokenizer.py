"""Cut a tokenizer to the ids that a corpus uses, and say which rows of an embedding matrix stay.

The corpus is counted as in training, a pre-token once for each shard; every distinct one is encoded once at the end, in
one place (prices: `kernels/pretokenize.py`, `kernels/encode.py`). What is cut changes no text of which every token is
kept (`vocabulary.trim`); other text gets other, and not always more, tokens.

Added tokens in the text are found as `tokenizers` finds them, the longer of two first, but for their flags
(`single_word`, `lstrip`, `rstrip`, `normalized`), which are not heeded: a document counts as cut there. A trimmed
tokenizer is no shorter training: merges that a smaller corpus would have taken in another order stay as they were.
"""

import json
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import Context, Fold, Map, Outputs, Repeat
from operators.chosen_tokenizer import OfTokenizer, OverCounts, TokenizerCounts
from operators.tokenizer_files import artifact_files
from operators.vocabulary import BYTES, Vocabulary, encode_pieces, trim
from operators.vocabulary_training import pretokens_of

Numbers = NDArray[np.int64]


class Trimming(OverCounts):
    """The trimmed tokenizer from the table of counts."""

    min_count: int = 1

    revision: ClassVar[int] = 2  # fewer rank files: by the pattern

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        vocabulary = self.load(context)
        pieces, totals = pretokens_of(state), state["count"].to_numpy()
        uses, before = _uses(vocabulary, pieces, totals)
        trimmed, new_ids = trim(vocabulary, np.flatnonzero(uses >= self.min_count).tolist())
        _, after = _uses(trimmed, pieces, totals)
        about = {
            "tokenizer_sha256": self.digest(context),
            "min_count": self.min_count,
            "corpus": {"pretokens": int(totals.sum()), "distinct_pretokens": len(pieces)},
            **_account(vocabulary, trimmed, new_ids, uses, self.min_count),
            "encoded_tokens": {"before": before, "after": after},
        }
        ids = pa.table({"old": pa.array(new_ids.keys(), pa.int32()), "new": pa.array(new_ids.values(), pa.int32())})
        text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
        return {**artifact_files(trimmed), "ids": ids, "trim.json": text.encode()}


class TrimTokenizer(OfTokenizer):
    """Cut a byte-level tokenizer to the ids that the documents which reach this step use; publishes all its files.

    Bytes, added tokens and what a kept token is merged from stay. `ids.parquet` holds the old id of every new one.

    >>> [stage.label for stage in TrimTokenizer(step="tokenizer").stages()]
    ['counts', 'trim']
    """

    kind: Literal["trim_tokenizer"] = "trim_tokenizer"
    min_count: int = Field(default=1, ge=1, description="ids that the corpus uses less often are cut too")

    done: ClassVar[str] = "trimmed"
    leaves_tokenizer: ClassVar[bool] = True

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        chosen = self.chosen()
        return TokenizerCounts(name="counts", **chosen), Trimming(name="trim", **chosen, min_count=self.min_count)


def _uses(vocabulary: Vocabulary, pieces: pa.LargeBinaryArray, totals: Numbers) -> tuple[Numbers, int]:
    """How often each id stands in the encoded corpus, by id; and the length of it, in tokens."""
    lists = encode_pieces(vocabulary, pieces)
    lengths = np.diff(lists.offsets.to_numpy())
    uses = np.zeros(vocabulary.next_id, np.int64)
    np.add.at(uses, lists.flatten().to_numpy(), np.repeat(totals, lengths))
    return uses, int(uses.sum())


def _account(
    vocabulary: Vocabulary, trimmed: Vocabulary, new_ids: dict[int, int], uses: Numbers, min_count: int
) -> dict[str, Any]:
    """What stayed and why, and what went, in tokens; `uses_of_rare` is how often those stood in the corpus."""
    single = {vocabulary.ids[byte] for byte in BYTES}
    kept = [number for token, number in vocabulary.ids.items() if token in trimmed.ids]
    gone = [number for number in vocabulary.ids.values() if number not in new_ids]
    used = [number for number in kept if uses[number] >= min_count]
    others = [number for number in kept if uses[number] < min_count]
    rare = [number for number in gone if uses[number]]
    return {
        "ids": {"before": vocabulary.next_id, "after": trimmed.next_id},
        "kept": {
            "used": len(used),
            "bytes": len(single.intersection(others)),
            "parts_of_used": len(set(others) - single),
            "added": len(vocabulary.added),
        },
        "cut": {"unused": len(gone) - len(rare), "rare": len(rare), "uses_of_rare": int(uses[rare].sum())},
    }
