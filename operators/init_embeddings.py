"""Give an existing language model another tokenizer: rows for its new tokens, made of the rows that it has.

Every method is one sparse matrix W from old ids to new ones: tokens that both vocabularies have are copied to the bit,
and a new one is a weighted sum of old rows, by the pieces that the old tokenizer makes of it and by the shared tokens
that are used alike (Dobler and de Melo 2023, FOCUS, arXiv:2305.14481; Minixhofer et al. 2022, WECHSEL,
arXiv:2112.06598), told by vectors that are trained here on the documents that reach the step. docs/transplant.md says
which method to take and what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from operators import tokenizer_sources
from operators.base import Fold, Map, RecipeError, Repeat
from operators.chosen_tokenizer import NamesTokenizer
from operators.embedding.encoders import STATIC
from operators.embedding.makers import digest_of, maker_of
from operators.labelled_documents import Collect, Draw
from operators.scorers import is_scorer
from operators.tokenizer_formats import format_of
from operators.transplant.building import BY_DIGEST, JUDGED, Building, of_tokens, special_ids
from operators.transplant.choice import SHARE, WITHOUT_VECTORS, Method, PieceShare
from operators.transplant.language_model import is_installed, refuse_bfloat16
from operators.transplant.segments import HeldOutSegments
from operators.transplant.trial import Trial


class InitEmbeddings(NamesTokenizer):
    """Make the token vectors of a model for another tokenizer; publishes embeddings, weights, tokenizer and report.

    The documents that reach the step are what auxiliary vectors are trained on, cut by the new tokenizer. The report
    has a test: shared tokens are treated as new, and their rows compared with the true ones.

    >>> [stage.label for stage in InitEmbeddings(model="SmolLM2", step="tokenizer").stages_of({})]
    ['draw', 'documents', 'build']
    """

    kind: Literal["init_embeddings"] = "init_embeddings"
    model: str = Field(min_length=1, description="the model: a folder with safetensors, or a GGUF file; no pickle")
    tokenizer: str = Field(default="", description="the new tokenizer.json, of any algorithm")
    step: str = Field(
        default="", description="instead of a file: an earlier train_tokenizer (any algorithm) or trim_tokenizer step"
    )
    method: Method = Field(
        default="focus_subword", description="how rows are made; x_subword is half x and half its pieces"
    )
    donor: str = Field(
        default="", description="a model that owns the new tokens: its vectors are compared, none are trained"
    )
    pairs: str = Field(
        default="", description="word pairs, old and new: a dictionary by tabs, or aligned sentences (Pharaoh)"
    )
    old_text: str = Field(
        default="", description="of wechsel with pairs: a reference input in the old language, to align its vectors"
    )
    strings: str = Field(
        default="", description="an encoder of texts, as embed_documents takes it: half of a cosine is of tokens' text"
    )
    rows: str = Field(default="", description="of method rows: safetensors with embed (and lm_head) of all new ids")
    share: float = Field(default=SHARE, ge=0, le=1, description="of a mixture: what is not pieces")
    temperature: float = Field(default=1.0, gt=0, le=10, description="of FOCUS: cosines are divided by it")
    pieces: PieceShare = Field(
        default="mean", description="what a token's pieces weigh: alike, by length, or one of them all"
    )
    max_documents: int = Field(default=20_000, ge=1, description="to train vectors on, drawn by a hash of the id")
    dim: int = Field(default=100, ge=1, le=4096, description="numbers in an auxiliary vector")
    epochs: int = Field(default=3, ge=1, le=1000, description="passes over the documents")
    min_count: int = Field(default=10, ge=1, description="rarer tokens have no auxiliary row of their own")
    held_out: int = Field(default=2000, ge=0, le=100_000, description="shared tokens that the test treats as new")
    evaluate: Trial | None = Field(
        default=None, description="try the tables in the model, and repair them; needs the extra torch, else not done"
    )

    inert: ClassVar[frozenset[str]] = NamesTokenizer.inert | frozenset(BY_DIGEST)
    done: ClassVar[str] = "used"
    takes_any: ClassVar[bool] = True

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        aligned = self.method in ("wechsel", "wechsel_subword") and bool(self.old_text)
        wrong = {
            f"donor goes with a method that compares vectors, not {self.method!r}": self.donor
            and (self.method in WITHOUT_VECTORS or aligned),
            "old_text goes with method wechsel or wechsel_subword, and with pairs": self.old_text
            and not (aligned and self.pairs),
            "pairs goes with method pairs, or with old_text": self.pairs and not (self.method == "pairs" or aligned),
            "method pairs needs a file of word pairs: give pairs": self.method == "pairs" and not self.pairs,
            f"strings goes with a method that compares vectors, not {self.method!r}": self.strings
            and (self.method in WITHOUT_VECTORS or aligned),
            "strings names an encoder that exists; static is trained by embed_documents alone": self.strings == STATIC,
            "rows and method rows go together": bool(self.rows) != (self.method == "rows"),
        }
        for msg, is_so in wrong.items():
            if is_so:
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        """Refuse what another method would heed; a default that is written out says nothing."""
        untrained = self.method in WITHOUT_VECTORS or bool(self.donor)
        idle = {
            "temperature": self.method not in ("focus", "focus_subword", "ridge"),
            "share": self.method not in ("focus_subword", "wechsel_subword", "ridge"),
            "pieces": self.method in ("mean", "normal"),
            **dict.fromkeys(("dim", "epochs", "min_count"), untrained),
        }
        for name, is_idle in idle.items():
            given = getattr(self, name)
            if is_idle and given != type(self).model_fields[name].default:
                trains = name in ("dim", "epochs", "min_count") and self.donor
                where = "a donor, as no vectors are trained" if trains else f"method {self.method!r}"
                raise ValueError(f"{name} {given!r} changes nothing with {where}: leave it out")
        return self

    @override
    def check(self) -> None:
        """RecipeError where a model, the tokenizer or another file cannot be read, or no token is shared."""
        from operators.transplant.imported import read_pairs, refuse_without_rows
        from operators.transplant.methods import pair_of
        from operators.transplant.model_files import open_model
        from operators.transplant.rules import copies

        model = open_model(self.model)
        if self.evaluate and is_installed():
            refuse_bfloat16(self.evaluate.computed_in())
        if self.donor:
            open_model(self.donor)
        if self.strings:
            maker_of(self.strings).check(of_tokens(self.strings))
        if self.pairs:
            read_pairs(self.pairs)
        if self.rows:
            refuse_without_rows(self.rows, tied=model.output_table is None)
        if not self.tokenizer:
            return
        content = tokenizer_sources.content_of(self.tokenizer)
        if not tokenizer_sources.is_tokenizer_json(content):
            with tokenizer_sources.naming(self.tokenizer):
                found = format_of(content)  # a pickle and others are refused by name
            msg = (
                f"tokenizer {self.tokenizer!r} is of format {found}, which says nothing of special tokens: expected a "
            )
            raise RecipeError(f"{msg}tokenizer.json")
        pair = pair_of(model.tokenizer_json, content, special_ids(model.config))
        copies(pair.source, pair.target, pair.matches)

    @override
    def models(self) -> Mapping[str, str]:
        from operators.transplant.imported import digest as digest_of_file
        from operators.transplant.model_files import digest

        donor = {"donor": digest(self.donor)} if self.donor else {}
        files = {
            name: digest_of_file(path, name) for name, path in (("pairs", self.pairs), ("rows", self.rows)) if path
        }
        if self.strings:
            files["strings"] = digest_of(of_tokens(self.strings))
        return {**super().models(), "model": digest(self.model), **donor, **files}

    @override
    def imports(self) -> tuple[str, ...]:
        return (self.strings.partition(":")[0],) if is_scorer(self.strings) else ()

    @override
    def stages(self) -> tuple[Map | Fold | Repeat, ...]:
        return self.stages_of(self.models())

    def stages_of(self, digests: Mapping[str, str]) -> tuple[Map | Fold | Repeat, ...]:
        """The stages, for files of these digests."""
        how: dict[str, Any] = self.model_dump(include=Building.model_fields.keys() - {"name", "tokenizer", "step"})
        how |= {f"{name}_sha256": digests.get(name, "") for name in BY_DIGEST}
        how["vectors"] = "" if self.method in WITHOUT_VECTORS else "donor" if self.donor else "text"
        how |= {"evaluate": self.evaluate, "is_tried": self.evaluate is not None and is_installed()}
        limit = {"max_documents": self.max_documents}
        stages: list[Fold] = [Draw(name="draw", **limit)]
        if self.old_text:
            of_old = {"reference": self.old_text, **limit}
            stages.append(Draw(name="old_draw", **of_old))
            stages.append(Collect(name="old_documents", draws=("old_draw",), held_out=0, **of_old))
        stages.append(Collect(name="documents", draws=("draw",), held_out=0, **limit))
        if self.evaluate:
            sizes = self.evaluate.model_dump(include={"segments", "segment_bytes"})
            stages.append(HeldOutSegments(name=JUDGED, reference=self.evaluate.text, **sizes))
        return (*stages, Building(name="build", **{**how, **self.chosen()}))
