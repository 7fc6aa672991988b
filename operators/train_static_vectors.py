"""Train a vector for each token of a tokenizer on the corpus itself, for `embed_documents` with `encoder: static`.

Words that stand in the same passages get like vectors: documents are cut into segments of some hundred tokens, and the
positive pointwise mutual information of tokens and segments (Levy, Goldberg, Dagan 2015, doi:10.1162/tacl_a_00134, with
their smoothing of contexts, 0.75) has the vectors as its leading singular ones. No neural network, no other text.

A document's vector is the mean of its tokens', weighted by how rare they are, a / (a + p) with p the token's share of
the tokens learnt from (Arora, Liang, Ma 2017, "A simple but tough-to-beat baseline for sentence embeddings"), less the
mean of all segments' vectors and less their first principal component. docs/embedding.md says how good that is, and
what else was tried.

Deviations: singular values are left out, and a vector is as long as its token's idf; where Levy et al. take words in a
window as contexts, these are whole segments, which suits whole documents.
`operators/embedding/static_training.py` has the stage.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from operators import tokenizer_sources
from operators.base import Fold, Map, Repeat
from operators.chosen_tokenizer import OfTokenizer
from operators.embedding.static_training import StaticTraining
from operators.text_tokens import text_encoder


class TrainStaticVectors(OfTokenizer):
    """Train token vectors on the documents that reach the step; publishes a static model that `embed_documents` reads.

    It is `model.safetensors`, `tokenizer.json` (of ranks and merges, too) and `config.json`. The result is the same to
    the bit for every layout of shards, number of workers and executor.
    """

    kind: Literal["train_static_vectors"] = "train_static_vectors"
    step: str = Field(
        default="", description="instead of a file: an earlier train_tokenizer (any algorithm) or trim_tokenizer step"
    )
    dimension: int = Field(default=256, ge=2, le=1024, description="numbers of a vector")
    segment_tokens: int = Field(default=256, ge=8, le=1 << 16, description="tokens of a segment, a token's context")
    max_segments: int = Field(
        default=16384, ge=2, le=1 << 20, description="segments to learn from, drawn where the corpus has more"
    )
    smoothing: float = Field(
        default=1e-3,
        gt=0,
        le=1,
        description="a in a / (a + p), a token's weight; p is its share of the tokens learnt from",
    )

    done: ClassVar[str] = "used"
    takes_any: ClassVar[bool] = True

    @override
    def check(self) -> None:
        """RecipeError where the file is no tokenizer, or cuts text in another way than is asked for."""
        super().check()
        if self.tokenizer:
            text_encoder(tokenizer_sources.content_of(self.tokenizer), self.tokenizer, self._patterns())

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        own = self.model_dump(include={"dimension", "segment_tokens", "max_segments", "smoothing"})
        return (StaticTraining(name="model", **self.chosen(), **own),)
