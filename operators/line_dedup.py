r"""Remove the lines that many documents share: menus, cookie notices, licence headers, "read more" and "share this".

How it relates to others. CCNet removes every line whose normalised 64-bit hash was seen before in its group of shards,
so the order of reading decides which copy stays (Wenzek et al. 2020). Dolma does the same with a Bloom filter, whose
false positives remove unique text (Soldaini et al. 2024). C4 keeps one copy of every three sentences in a row (Raffel
et al. 2020); RefinedWeb judges lines by their look and counts nothing (Penedo et al. 2023). FineWeb tried to remove
every second copy of a line and found that it made models worse (Penedo et al. 2024): hence a minimum of documents, 10
by default. Here documents are counted exactly over the whole corpus, the copy that stays depends on priority and id,
never on the order of reading, and equal means equal digests of 128 bits (BLAKE2b), for which nobody can build two lines
alike.

Price: 100 MB of text per CPU-second, 63 with `whitespace_case`; 20 bytes of state for each distinct line of a shard.
Nearly equal lines are not found, and a line that differs in a number or a date is another one; whole documents are
`exact_dedup`'s and `minhash_dedup`'s work, which should come first: of two equal documents this step would leave one
whole and one hollow.
"""

from typing import ClassVar, Literal

from operators.boilerplate import Boilerplate
from operators.repeated_units import Unit


class LineDedup(Boilerplate):
    """Remove the lines that at least `min_documents` documents have; drop `nothing_left`, `too_much_removed`.

    A line ends with LF or CR LF, which goes with it; every other byte stays. Lines are compared without their end, by
    128-bit digest; `whitespace_case` compares after lower-casing and collapsing white space. Blank lines, lines without
    a letter and lines shorter than `min_chars` stay. With `keep: first` one copy stays in the document that comes first
    by `priority`, then id (at its first place there), and goes with that document if a rule drops it. With `audit` the
    texts stay as they are. The artifact has every repeated line in `lines/`, and the 1,000 that took most in `top`.
    """

    kind: Literal["line_dedup"] = "line_dedup"

    unit: ClassVar[Unit] = "line"
