r"""Remove the paragraphs that several documents share: notices, biographies, disclaimers, quoted passages.

`line_dedup` with another unit, and everything in its header holds here. Blank lines part paragraphs, as in Gopher's and
datatrove's repetition rules and unlike CCNet and Dolma, whose paragraphs are lines. For repeats that begin and end
anywhere there is `substring_dedup`.
"""

from typing import ClassVar, Literal

from pydantic import Field

from operators.boilerplate import Boilerplate
from operators.repeated_units import Unit


class ParagraphDedup(Boilerplate):
    """Remove the paragraphs that at least `min_documents` documents have; drop `nothing_left`, `too_much_removed`.

    A paragraph is a run of lines that are not blank; the blank lines after it go with it, and every other byte stays.
    Paragraphs are compared without these, by 128-bit digest; `whitespace_case` compares after lower-casing and
    collapsing white space, line ends included. Paragraphs without a letter and those shorter than `min_chars` stay.
    With `keep: first` one copy stays in the document that comes first by `priority`, then id (at its first place
    there), and goes with that document if a rule drops it. With `audit` the texts stay as they are. The artifact has
    every repeated paragraph in `paragraphs/`, and in `top` the 1,000 that took most bytes.
    """

    kind: Literal["paragraph_dedup"] = "paragraph_dedup"
    min_documents: int = Field(default=3, ge=2, description="documents that must have it before it goes")
    min_chars: int = Field(default=40, ge=1, description="shorter ones stay; white space around them does not count")

    unit: ClassVar[Unit] = "paragraph"
