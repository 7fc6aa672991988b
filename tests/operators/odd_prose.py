"""Small texts of our own: on each of them another rule of the four filters decides, or none."""

from typing import Final

_DAY: Final = (
    "The boats came in with the tide, and the men who had been out all night carried their nets up to the sheds."
)
_SEA: Final = "It was cold, and nobody had much to say; that is how most mornings were at the end of the year."
_BOOK: Final = (
    "She kept a book of what they brought, with a line for every boat and a name she could read from her window."
)
_ROAD: Final = (
    "To get to the next town you have to follow the old road, which the council has not mended since the war."
)
_SHOP: Final = "Mr. Brown of the U.S. paid $3.50 for it at 10a.m. on Jan. 5th. He said it wasn't worth it. Would you?"
_MARKS: Final = 'Was it so? "It was," they said. (Not all of them.) "Then go!" And they went... to the sea'
_REFRAIN: Final = "Far out beyond every harbour wall grey water kept rising slowly towards us."
PROSE: Final = "\n".join([_DAY, _SEA, _BOOK, _ROAD])

TEXTS: Final[tuple[str, ...]] = (
    PROSE,
    f"{PROSE}\n\n{_SHOP}\n{_MARKS}",
    "",
    "Too short to be a page of text.",
    f"{_DAY} {_SEA} # # # # # # # # # # # # # # # {_BOOK}",
    f"{_DAY} {_SEA} ... ... ... ... ... ... ... {_BOOK} \u2026 \u2026 \u2026 \u2026 \u2026",
    "\n".join(f"- {line}" for line in (_DAY, _SEA, _BOOK)),
    f"{_DAY}\n{_SEA} And then...\n{_BOOK} \u2026",
    " ".join(["1917 of 42 the 3.14 with 100 and 7"] * 4) + " " + " ".join(map(str, range(100, 150))),
    " ".join(f"a{number} b of the" for number in range(30)),
    " ".join(f"internationalisation{number}" for number in range(60)) + " of the",
    "Nobody knows who wrote these letters. " * 2
    + "Some say sailors did, others claim children found them long ago. " * 4,
    f"{PROSE}\n{_DAY}\n{_SEA}\n{_BOOK}",
    f"{_DAY}\n\n{_SEA}\n\n{_DAY}\n\n{_DAY}",
    f"One.\nTwo.\nThree.\nFour.\nFive.\nSix.\nSeven.\n{_DAY}\n{_DAY}",
    "again and again we say again and again that it was again and again so",
    f"{PROSE}\nThis page has lorem ipsum on it.",
    f"{PROSE}\nif (a) {{ b of c; }}.",
    f"{PROSE}\nif (a) {{ b of c; }}",
    f"{PROSE}\nPlease enable JavaScript.\nBy this you agree to our Terms of Use.\nWe use coo\u212aies here.",
    f"{PROSE}\nIt stands in the book.[12][citation needed]\nIt stands there too. [3]\n[1] [2] [edit]",
    f"{_DAY} {_SEA}\n{_BOOK} {_ROAD}\n{_SHOP}",
    f"{_DAY}  ) {_SEA}\u00a0\nA line.  .  ? Yes.\t! No. x:) ) IS_ALPHA. And x:) is it.",
    "\n".join(f"Item {number} of the list" for number in range(30)),
    "\n".join(f"Short line {number}." for number in range(9)) + f"\n{_DAY}",
    f"{_DAY}\n{_SEA}\n{_BOOK}\n{_SEA}",
    "\n".join(f"{'Wanderlustgeschichten' * 2}{number}." for number in range(8)),
    "\n \u3000\n",
    f"{_DAY} {_REFRAIN} {_SEA} {_REFRAIN} {_BOOK} {_REFRAIN}",
    f"{_DAY} {_REFRAIN} {_SEA} {_BOOK} {_SHOP} {_REFRAIN} {_ROAD}",
    f"{_DAY}\r\n{_SEA}\r\n{_BOOK}\x0b{_ROAD}\u2028{_SHOP}",
    "\u4f60\u597d\u3002\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002 " * 12,
)
