"""Which language chooses the next merge: the parameters of `algorithm: parity_bpe`."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

WINDOW = ("window_size", "alpha")


class Parity(BaseModel):
    """The language that is worst off chooses. How it is measured and what limits its turns: docs/parity-bpe.md.

    >>> Parity(mode="window", alpha=3).window_size
    100
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    development: str = Field(
        default="", description="reference input with the same content in every language; the longest chooses"
    )
    ratio: dict[str, float] = Field(
        default={},
        description="without development: bytes per token to aim at, relative to each other; unnamed languages 1",
    )
    mode: Literal["base", "window"] = Field(
        default="base", description="window: no language chooses too often in a row"
    )
    window_size: int = Field(default=100, ge=1, le=2**20, description="with mode window: steps that it looks back")
    alpha: float = Field(
        default=2.0, ge=1, description="with mode window: most choices there, as a multiple of an equal share"
    )
    global_merges: int = Field(default=0, ge=0, description="merges at the start that all languages choose together")

    @field_validator("ratio")
    @classmethod
    def _positive(cls, ratio: dict[str, float]) -> dict[str, float]:
        wrong = [language for language, value in ratio.items() if value <= 0]
        if wrong:
            msg = f"ratio of {wrong[0]!r} is {ratio[wrong[0]]}: expected more than 0"
            raise ValueError(msg)
        return dict(sorted(ratio.items()))

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        if self.development and self.ratio:
            msg = "ratio means nothing with development: the longest text there chooses; leave one of them out"
            raise ValueError(msg)
        unused = [name for name in WINDOW if getattr(self, name) != type(self).model_fields[name].default]
        if self.mode == "base" and unused:
            msg = f"{unused[0]} means nothing in mode 'base': leave it out, or write mode: window"
            raise ValueError(msg)
        return self
