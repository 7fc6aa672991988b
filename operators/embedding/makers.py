"""Which encoder a name means.

`encoder` names one of: `static` (a table of token vectors that an earlier step has trained on the corpus), a folder, a
name in the local cache of the Hugging Face hub, or `package.module:function`, a function of one's own from the choices
of a recipe to an `Encoder`. Of a folder, what it holds decides: one matrix beside a tokenizer is a static model, a
transformer's configuration and weights a transformer. Nothing is ever fetched from a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from operators.base import Artifacts, fingerprint
from operators.embedding.encoders import STATIC, Encoder, EncoderChoice, Maker
from operators.embedding.transformers import Transformers
from operators.scorers import identity_of, is_scorer, scorer_at


class OwnFunctions:
    """Encoders of others, `package.module:function`, called with the choice; see `Maker`."""

    def digests(self, choice: EncoderChoice) -> Mapping[str, str]:
        """The files of its module and of the function, as `operators.scorers` looks at them."""
        return {"function": fingerprint(identity_of(choice.encoder))}

    def check(self, choice: EncoderChoice) -> None:
        """RecipeError where it cannot be imported."""
        scorer_at(choice.encoder)

    def settled(self, choice: EncoderChoice) -> dict[str, object]:
        """What `auto` means is the function's own affair."""
        return {}

    def open(self, choice: EncoderChoice, artifacts: Artifacts) -> Encoder:
        """What the function returns."""
        make: Any = scorer_at(choice.encoder)
        found: Encoder = make(choice)
        return found


def maker_of(encoder: str) -> Maker:
    """What opens an encoder of that name. Raises RecipeError where there is none."""
    if is_scorer(encoder):
        return OwnFunctions()
    from operators.embedding import static_encoder, static_files

    if encoder == STATIC or static_files.is_static(Path(encoder)):
        return static_encoder.StaticModels()
    return Transformers()


def digest_of(choice: EncoderChoice) -> str:
    """The sha256 over all files that decide the vectors."""
    return fingerprint(dict(maker_of(choice.encoder).digests(choice)))


def open_encoder(choice: EncoderChoice, artifacts: Artifacts | None = None) -> Encoder:
    """The encoder, loaded. `artifacts` holds what the run trained, for `static`. RecipeError where it cannot be."""
    return maker_of(choice.encoder).open(choice, artifacts or {})
