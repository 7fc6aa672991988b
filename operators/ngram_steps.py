"""What steps that score by n-gram models share: which model a parameter names, and how it is read and known.

A parameter names an earlier step that leaves a model, or the path of a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from operators import ngram_sources
from operators.base import Context, Map, Operator, RecipeError
from operators.train_ngram_model import MODEL, TrainNgramModel

if TYPE_CHECKING:
    from operators.ngram_model import Model

_STEP_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_step(name: str) -> bool:
    """Whether it can be the name of a step; a path has a dot or a slash.

    >>> is_step("pool"), is_step("pool/model.ngram")
    (True, False)
    """
    return bool(_STEP_NAME.fullmatch(name))


def source_of(name: str) -> tuple[str, str]:
    """The artifact of a step and its file, or a path and ""."""
    return name, MODEL if is_step(name) else ""


def refuse_without_model(names: Iterable[str], earlier: Mapping[str, Operator]) -> None:
    """RecipeError where an earlier step that is named leaves no model."""
    for name in filter(is_step, names):
        step = earlier.get(name)
        if step is not None and not isinstance(step, TrainNgramModel) and ":" not in step.what:
            msg = f"step {name!r} is of kind {step.what}, which leaves no model: name a train_ngram_model step"
            raise RecipeError(msg)


class ReadsModels(Map):
    """A map that scores by models."""

    models_of: tuple[tuple[str, str], ...]
    """For each model an artifact and its file, or a path and ""."""
    digests: tuple[str, ...]
    """The sha256 of what is read from a path; "" of artifacts."""

    @override
    def uses(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(artifact for artifact, file in self.models_of if file))

    @override
    def identity(self, leave_out: frozenset[str] = frozenset()) -> dict[str, object]:
        found = super().identity(leave_out)
        parameters: dict[str, Any] = dict(found["parameters"])  # type: ignore[call-overload]
        # A key holds the artifacts' digests in the order of their names: here is which of them is which.
        names = sorted(self.uses())
        parameters["models_of"] = [names.index(artifact) if file else "path" for artifact, file in self.models_of]
        return {**found, "parameters": parameters}

    def read_models(self, context: Context) -> list[Model]:
        """The models in order. Raises RecipeError where they are of different units, or a file has changed."""
        from operators.ngram_model import from_buffer

        models = [
            from_buffer(context.artifacts[name].read(file) if file else ngram_sources.content(name, digest), name)
            for (name, file), digest in zip(self.models_of, self.digests, strict=True)
        ]
        if len({model.unit for model in models}) > 1:
            msg = f"models of different units ({', '.join(model.unit for model in models)}): train all with one unit"
            raise RecipeError(msg)
        return models
