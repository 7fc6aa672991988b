r"""Remove lines that a page's template wrote, by their look: named sets, and expressions of the recipe.

`line_dedup` finds boilerplate because many documents have it; this map knows it by sight, in a single document too. The
sets are in `boilerplate_lines.py`. Lines longer than `max_line_chars` are text and stay unread. Expressions run in RE2,
by way of Arrow: every one takes linear time, catastrophic ones do not exist, and no timeout is needed that would make
the result depend on the machine. What RE2 cannot do in linear time (backreferences, looking ahead or behind) is
refused by `check`.

Lines are judged one by one, so twice is once; only `citation_marks: remove` may leave a new mark where marks are nested
(`[[1]2]`). It takes `[1]` out of code and formulas too: hence off. Price: docs/clean-up.md.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from operators.base import Columns, Context, RecipeError
from operators.boilerplate_lines import MARKS, SETS
from operators.clean_up import Cleaned, Cleaner, CleanUp, texts_of
from operators.text_buffers import joined_bytes

Set = Literal[
    "citations", "edit_links", "read_more", "cookies", "navigation", "sharing", "copyright", "sign_up", "scripts"
]
ALL: Final[tuple[Set, ...]] = (
    *("citations", "edit_links", "read_more", "cookies", "navigation", "sharing", "copyright", "sign_up", "scripts"),
)


class RemoveLines(CleanUp):
    """Remove lines that are boilerplate by their look, or match an expression; the columns count them by set.

    A line goes with its line feed. It counts for the first set that has it, in the order of the sets; the recipe's own
    expressions come last, as `patterns_lines`.
    """

    kind: Literal["remove_lines"] = "remove_lines"
    sets: tuple[Set, ...] = Field(default=ALL, description="named sets of lines that go")
    patterns: tuple[str, ...] = Field(
        default=(), description="RE2 expressions; a line goes where one is found in it, white space around it aside"
    )
    ignore_case: bool = Field(default=True, description="whether case does not matter to `patterns`")
    max_line_chars: int = Field(default=400, ge=1, description="longer lines stay, in code points")
    citation_marks: Literal["keep", "remove"] = Field(
        default="keep", description="marks such as [1] and [edit] inside of lines; not for code"
    )

    def check(self) -> None:
        """Refuse expressions that RE2 does not read, all at once."""
        wrong, cause = [], None
        for pattern in self.patterns:
            try:
                pc.match_substring_regex(pa.array([""]), pattern)
            except pa.ArrowInvalid as error:
                reason = str(error).removeprefix("Invalid regular expression: ")
                wrong.append(f"pattern {pattern!r} is no expression: {reason}")
                cause = error
        if wrong:
            expected = "expected RE2's syntax, without backreferences and without looking ahead or behind"
            raise RecipeError("; ".join([*wrong, expected])) from cause

    @override
    def adds(self) -> Columns:
        names = [f"{name}_lines" for name in ALL if name in self.sets] + ["patterns_lines"] * bool(self.patterns)
        marks = {"removed_marks": pa.int64()} if self.citation_marks == "remove" else {}
        return {**dict.fromkeys(names, pa.int64()), **marks, "removed_bytes": pa.int64()}

    @override
    def cleaner(self, context: Context) -> Cleaner:
        from operators.kernels.line_contents import line_contents
        from operators.kernels.rewriting import spliced

        groups = self.expressions()
        one = "|".join(f"(?:{pattern})" for _, pattern in groups)

        def clean(texts: pa.LargeStringArray) -> Cleaned:
            data, offsets = joined_bytes(texts)
            size = np.diff(offsets)
            columns: dict[str, pa.Array] = {}
            if self.citation_marks == "remove":
                columns["removed_marks"] = pc.count_substring_regex(texts, MARKS).cast(pa.int64())
                data, offsets = joined_bytes(pc.replace_substring_regex(texts, MARKS, ""))
            starts, ends, *contents = line_contents(data, offsets, self.max_line_chars)
            kinds = _first_groups(texts_of(*contents), groups, one)
            gone = np.flatnonzero(kinds >= 0)
            document = np.searchsorted(offsets, starts[gone], side="right") - 1
            for number, (name, _) in enumerate(groups):
                count = np.bincount(document[kinds[gone] == number], minlength=len(size))
                columns[f"{name}_lines"] = pa.array(count, pa.int64())
            nothing = np.empty(0, np.uint8), np.zeros(len(gone) + 1, np.int64)
            out, out_offsets = spliced(data, offsets, starts[gone], ends[gone], *nothing)
            columns["removed_bytes"] = pa.array(size - np.diff(out_offsets))
            return texts_of(out, out_offsets), columns

        return clean

    def expressions(self) -> list[tuple[str, str]]:
        """The name of each group with an expression that is found in its lines."""
        groups: list[tuple[str, str]] = [
            (name, r"(?i)\A(?:" + "|".join(SETS[name]) + r")\z") for name in ALL if name in self.sets
        ]
        if self.patterns:
            case = "(?i)" if self.ignore_case else ""
            groups.append(("patterns", case + "|".join(f"(?:{pattern})" for pattern in self.patterns)))
        return groups


def _first_groups(lines: pa.LargeStringArray, groups: list[tuple[str, str]], one: str) -> NDArray[np.int64]:
    """For each line the number of the first group that has it, -1 where none has."""
    found = np.full(len(lines), -1, np.int64)
    if not groups:
        return found
    left = np.flatnonzero(pc.match_substring_regex(lines, one).to_numpy(zero_copy_only=False))
    for number, (_, pattern) in enumerate(groups):
        some = lines.take(pa.array(left))
        is_in = pc.match_substring_regex(some, pattern).to_numpy(zero_copy_only=False).astype(bool)
        found[left[is_in]] = number
        left = left[~is_in]
    return found
