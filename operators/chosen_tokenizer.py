"""A byte-level BPE tokenizer that a step names, by its file or the step that left it, and what is counted with it."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import override

from operators import tokenizer_sources
from operators.base import BatchFn, Composite, Context, Fold, Operator, Outputs, RecipeError
from operators.document_weights import weights_of
from operators.pretoken_counts import PretokenCounts, by_group
from operators.pretokenizers import Choice, Cutting, cutting
from operators.text_buffers import one_text_array
from operators.train_tokenizer import TrainTokenizer
from operators.vocabulary import Vocabulary

Numbers = NDArray[np.int64]
Prepare = Callable[[pa.LargeStringArray, Numbers], tuple[pa.LargeStringArray, Numbers]]
"""What is done to texts, and how often each counts then."""


class NamesTokenizer(Composite):
    """A step that reads a tokenizer: its file, or the step that left it."""

    tokenizer: str = Field(
        default="", description="its file: a tokenizer.json, or ranks or a merges.txt with a pretokenizer"
    )
    step: str = Field(
        default="", description="instead of a file: an earlier train_tokenizer or trim_tokenizer step (byte-level BPE)"
    )
    size: int = Field(default=0, ge=0, description="with step: which of its vocab_sizes; 0: the largest")

    inert: ClassVar[frozenset[str]] = Composite.inert | {"tokenizer"}  # its digest decides, wherever the file lies
    done: ClassVar[str] = "read"
    """What is done to the tokenizer, for messages."""
    leaves_tokenizer: ClassVar[bool] = False
    takes_any: ClassVar[bool] = False
    """Whether a tokenizer will do that is not byte-level BPE."""

    @model_validator(mode="after")
    def _one_tokenizer(self) -> Self:
        if bool(self.tokenizer) == bool(self.step):
            msg = (
                f"tokenizer {self.tokenizer!r} and step {self.step!r}: expected a file or an earlier step, one of them"
            )
            raise ValueError(msg)
        if self.size and not self.step:
            msg = "size goes with step: leave it out"
            raise ValueError(msg)
        return self

    @override
    def check_against(self, earlier: Mapping[str, Operator]) -> None:
        """RecipeError where the step leaves no byte-level BPE tokenizer, or none of that size."""
        step = earlier.get(self.step)
        if isinstance(step, TrainTokenizer) and step.algorithm in ("unigram", "wordpiece") and not self.takes_any:
            msg = f"step: {self.step!r} trains algorithm {step.algorithm!r}: only byte-level BPE can be {self.done}"
            raise RecipeError(msg)
        sizes = step.vocab_sizes if isinstance(step, TrainTokenizer) else ()
        if isinstance(step, TrainTokenizer) or (isinstance(step, NamesTokenizer) and step.leaves_tokenizer):
            if self.size and self.size not in sizes:
                there = f"the sizes {', '.join(map(str, sizes))}" if sizes else "one size: leave it out"
                msg = f"size: step {self.step!r} writes no tokenizer of size {self.size}, but {there}"
                raise RecipeError(msg)
        elif step is not None and ":" not in step.what:  # what a class of another package leaves, it knows
            msg = f"step: {self.step!r} is of kind {step.what}, which leaves no tokenizer"
            raise RecipeError(f"{msg}: name a train_tokenizer or trim_tokenizer step")

    @override
    def models(self) -> Mapping[str, str]:
        return {"tokenizer": tokenizer_sources.digest(self.tokenizer)} if self.tokenizer else {}

    def chosen(self) -> dict[str, Any]:
        """The parameters of `Chosen`."""
        chosen: dict[str, Any] = {"step": self.step, "size": self.size, "patterns": self._patterns()}
        if self.tokenizer:
            chosen |= {"tokenizer": self.tokenizer, "sha256": tokenizer_sources.digest(self.tokenizer)}
        return chosen

    def _patterns(self) -> tuple[str, ...]:
        """What text is cut by where the tokenizer's file does not say."""
        return ()


class OfTokenizer(NamesTokenizer):
    """A step that reads a tokenizer which may be ranks or merges: which one, how it cuts, and what is refused of it."""

    pretokenizer: Choice | Literal["own"] = Field(
        default="own", description="what text is cut by: the tokenizer's own patterns; ranks and lists have none"
    )
    pattern: str = Field(default="", description="with pretokenizer custom: a regex as tokenizers reads it")

    @model_validator(mode="after")
    def _cut_by_one(self) -> Self:
        if self.pretokenizer != "own" and not self.tokenizer:
            msg = "pretokenizer goes with tokenizer, where that is ranks or merges: leave it out"
            raise ValueError(msg)
        self._patterns()
        return self

    def check(self) -> None:
        """RecipeError where the file cannot be read, is none that the step takes, or has patterns of its own.

        Where any algorithm will do, what is in a tokenizer.json is for the step to find out.
        """
        from operators.engine_spans import check_pattern

        if self.pattern:
            check_pattern(self.pattern)
        if not self.tokenizer:
            return
        patterns = self._patterns()
        if self.takes_any and tokenizer_sources.is_tokenizer_json(tokenizer_sources.content_of(self.tokenizer)):
            cut_by: tuple[str, ...] = ()
        else:
            cut_by = self.read_file(patterns).patterns
        if patterns and cut_by != patterns:
            msg = f"tokenizer {self.tokenizer!r} says itself how text is cut: leave pretokenizer out"
            raise RecipeError(msg)

    def read_file(self, patterns: tuple[str, ...]) -> Vocabulary:
        """The tokenizer in the file. Raises RecipeError where it is none that the step takes."""
        return tokenizer_sources.read(self.tokenizer, patterns)

    @override
    def _patterns(self) -> tuple[str, ...]:
        if self.pretokenizer != "own":
            return cutting(self.pretokenizer, pattern=self.pattern).patterns
        if self.pattern:
            msg = f"pattern {self.pattern!r} goes with pretokenizer: custom"
            raise ValueError(msg)
        return ()


class Chosen(Fold):
    """What a stage knows of the tokenizer: a file and its digest, or a step and a size."""

    tokenizer: str = ""
    sha256: str = ""
    step: str = ""
    size: int = 0
    patterns: tuple[str, ...] = ()
    """What text is cut by with a rank file."""

    inert: ClassVar[frozenset[str]] = frozenset({"name", "tokenizer"})

    @override
    def uses(self) -> tuple[str, ...]:
        return (self.step,) if self.step else ()

    def load(self, context: Context) -> Vocabulary:
        """The tokenizer. Raises RecipeError where it is not byte-level BPE, or no longer what was planned with."""
        if not self.step:
            return tokenizer_sources.read(self.tokenizer, self.patterns, self.sha256)
        return tokenizer_sources.parse(self.content(context), self.step)

    def digest(self, context: Context) -> str:
        """The sha256 of the tokenizer's file."""
        return hashlib.sha256(self.content(context)).hexdigest() if self.step else self.sha256

    def content(self, context: Context) -> bytes:
        """The tokenizer's file. Raises RecipeError where it is no longer what was planned with."""
        if not self.step:
            return tokenizer_sources.content_of(self.tokenizer, self.sha256)
        return context.artifacts[self.step].read(f"tokenizer-{self.size}.json" if self.size else "tokenizer.json")


class OverCounts(Chosen):
    """A stage that reads the whole table of counts, of stage `counts`, in one place."""

    @override
    def source(self) -> str:
        return "stage:counts/_counts"

    @override
    def bind(self, context: Context) -> BatchFn:
        return lambda counts: counts


class TokenizerCounts(Chosen, PretokenCounts):
    """The table of counts, with text normalised and cut as the tokenizer does it; it is not published."""

    pretokenizer: Choice = "custom"

    @override
    def bind(self, context: Context) -> BatchFn:
        from operators.kernels.pretokenize import count

        vocabulary, prepared = self.preparing(context)
        split, how = _splitter([token.content for token in vocabulary.added]), cutting_of(vocabulary.patterns)

        def apply(rows: pa.Table) -> pa.Table:
            texts, weights = prepared(*split(one_text_array(rows["text"]), weights_of(rows)))
            pretokens, totals = count(texts, weights, how)
            return pa.table({"pretoken": pretokens, "count": pa.array(totals, pa.int64())})

        return lambda rows: by_group(rows, self.group_by, apply)

    def preparing(self, context: Context) -> tuple[Vocabulary, Prepare]:
        """The tokenizer, and what it does to texts between added tokens before they are cut."""
        vocabulary = self.load(context)
        normalised = normaliser(vocabulary.normalizer)
        return vocabulary, lambda texts, weights: (normalised(texts), weights)

    @override
    def finish(self, state: pa.Table, context: Context) -> Outputs:
        return {"_counts": super().finish(state, context)["counts"]}


def cutting_of(patterns: tuple[str, ...]) -> Cutting:
    """How a tokenizer cuts: as a published one, which the scanner may know a faster way for, or as it says."""
    known: Any = tokenizer_sources.known_cutting(patterns)
    patterns = patterns or (r"[\s\S]+",)  # without any, a text is one piece
    return cutting(**known) if known else Cutting(patterns, patterns)


def added_patterns(contents: list[str]) -> tuple[str, re.Pattern[str]]:
    """What finds added tokens, the longer of two first: a pattern for Arrow, "" for none, and one for Python."""
    longest_first = sorted(contents, key=lambda content: (-len(content), content))
    found = "|".join("".join(f"\\x{{{ord(letter):x}}}" for letter in content) for content in longest_first)
    return found, re.compile("|".join(map(re.escape, longest_first)))


def _splitter(contents: list[str]) -> Prepare:
    """A function that cuts texts at added tokens, which go; the parts count as often as their text."""
    found, cut = added_patterns(contents)

    def split(texts: pa.LargeStringArray, weights: Numbers) -> tuple[pa.LargeStringArray, Numbers]:
        hit = pc.match_substring_regex(texts, found) if found else pa.array(np.zeros(len(texts), bool))
        hits = hit.to_numpy(zero_copy_only=False)
        if not hits.any():
            return texts, weights
        parts = [cut.split(text) for text in texts.filter(hit).to_pylist()]
        flat = pa.array([part for several in parts for part in several], pa.large_string())
        repeated = np.repeat(weights[hits], [len(several) for several in parts])
        return pa.concat_arrays([texts.filter(pc.invert(hit)), flat]), np.concatenate((weights[~hits], repeated))

    return split


def normaliser(form: str) -> Callable[[pa.LargeStringArray], pa.LargeStringArray]:
    """A function that brings texts to a Unicode normal form, as `tokenizers` does; "" for none."""
    if not form:
        return lambda texts: texts
    from tokenizers import normalizers

    normalise = getattr(normalizers, form)().normalize_str
    return lambda texts: pa.array([normalise(text) for text in texts.to_pylist()], pa.large_string())
