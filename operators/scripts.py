r"""The script of every letter: Unicode's property Script of code points of category L, from a table beside this file.

A letter has one script by that property, so shares of scripts add up to 1; Script_Extensions would count a letter that
several scripts use in each of them. Letters whose script is Common or Inherited, such as the length mark of Katakana,
belong to no script here, and neither do marks, digits and signs. `scripts.txt` holds lines `FROM TO SCRIPT` in
hexadecimal, as the `regex` module 2026.11.15 (Unicode 18.0) has them; `python -m operators.scripts` writes it. Nothing
depends on the version of Unicode that is installed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE_POINTS: Final = 0x110000

# fmt: off
SCRIPTS: Final = (
    "Adlam", "Ahom", "Anatolian_Hieroglyphs", "Arabic", "Armenian", "Avestan", "Balinese", "Bamum", "Bassa_Vah",
    "Batak", "Bengali", "Beria_Erfe", "Bhaiksuki", "Bopomofo", "Brahmi", "Buginese", "Buhid", "Canadian_Aboriginal",
    "Carian", "Caucasian_Albanian", "Chakma", "Cham", "Cherokee", "Chorasmian", "Coptic", "Cuneiform", "Cypriot",
    "Cypro_Minoan", "Cyrillic", "Deseret", "Devanagari", "Dives_Akuru", "Dogra", "Duployan", "Egyptian_Hieroglyphs",
    "Elbasan", "Elymaic", "Ethiopic", "Garay", "Georgian", "Glagolitic", "Gothic", "Grantha", "Greek", "Gujarati",
    "Gunjala_Gondi", "Gurmukhi", "Gurung_Khema", "Han", "Hangul", "Hanifi_Rohingya", "Hanunoo", "Hatran", "Hebrew",
    "Hiragana", "Imperial_Aramaic", "Inscriptional_Pahlavi", "Inscriptional_Parthian", "Javanese", "Jurchen",
    "Kaithi", "Kannada", "Katakana", "Kawi", "Kayah_Li", "Kharoshthi", "Khitan_Small_Script", "Khmer", "Khojki",
    "Khudawadi", "Kirat_Rai", "Lao", "Latin", "Lepcha", "Limbu", "Linear_A", "Linear_B", "Lisu", "Lycian", "Lydian",
    "Mahajani", "Makasar", "Malayalam", "Mandaic", "Manichaean", "Marchen", "Masaram_Gondi", "Medefaidrin",
    "Meetei_Mayek", "Mende_Kikakui", "Meroitic_Cursive", "Meroitic_Hieroglyphs", "Miao", "Modi", "Mongolian", "Mro",
    "Multani", "Myanmar", "Nabataean", "Nag_Mundari", "Nandinagari", "New_Tai_Lue", "Newa", "Nko", "Nushu",
    "Nyiakeng_Puachue_Hmong", "Ogham", "Ol_Chiki", "Ol_Onal", "Old_Hungarian", "Old_Italic", "Old_North_Arabian",
    "Old_Permic", "Old_Persian", "Old_Sogdian", "Old_South_Arabian", "Old_Turkic", "Old_Uyghur", "Oriya", "Osage",
    "Osmanya", "Pahawh_Hmong", "Palmyrene", "Pau_Cin_Hau", "Phags_Pa", "Phoenician",
    "Psalter_Pahlavi", "Rejang", "Runic", "Samaritan", "Saurashtra", "Seal", "Sharada", "Shavian", "Siddham",
    "Sidetic", "Sinhala", "Sogdian", "Sora_Sompeng", "Soyombo", "Sundanese", "Sunuwar", "Syloti_Nagri", "Syriac",
    "Tagalog", "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Tai_Yo", "Takri", "Tamil", "Tangsa", "Tangut", "Telugu",
    "Thaana", "Thai", "Tibetan", "Tifinagh", "Tirhuta", "Todhri", "Tolong_Siki", "Toto", "Tulu_Tigalari", "Ugaritic",
    "Vai", "Vithkuqi", "Wancho", "Warang_Citi", "Yezidi", "Yi", "Zanabazar_Square",
)
# fmt: on
"""Unicode's long names of the scripts that have letters; a script's number is its place, from 1, and 0 is none."""

DIGEST: Final = "3eaa9a7801b39c8278bab32aa64f2a55043c7949ffdc0d15099138c13ed2f988"
"""`table_digest` of the table in the file."""

_FILE: Final = Path(__file__).with_suffix(".txt")


@cache
def script_table() -> NDArray[np.uint8]:
    r"""For every code point the number of its script, 0 where it is no letter or of none; read-only.

    >>> [("none", *SCRIPTS)[script_table()[ord(c)]] for c in "a\u0436\u4e2d\u30fc\u03011"]
    ['Latin', 'Cyrillic', 'Han', 'none', 'none', 'none']
    """
    import numpy as np

    table = np.zeros(CODE_POINTS, np.uint8)
    numbers = {name: number for number, name in enumerate(SCRIPTS, 1)}
    for line in _FILE.read_text().splitlines():
        low, high, name = line.split()
        table[int(low, 16) : int(high, 16) + 1] = numbers[name]
    table.flags.writeable = False
    return table


def table_digest(table: NDArray[np.uint8]) -> str:
    """sha256 (hex) of a table with the names of the scripts."""
    return hashlib.sha256(repr(SCRIPTS).encode() + table.tobytes()).hexdigest()


def unknown_script(name: str) -> str:
    """What to say of a name that is no script's.

    >>> unknown_script("Cyrilic")
    "no script 'Cyrilic' has letters; did you mean Cyrillic?"
    """
    from difflib import get_close_matches

    near = get_close_matches(name.title(), SCRIPTS, 1)
    hint = f"did you mean {near[0]}?" if near else f"expected Unicode's names, such as {', '.join(SCRIPTS[3:5])}"
    return f"no script {name!r} has letters; {hint}"


def written() -> str:
    """The content of the file, as the installed `regex` answers now."""
    import regex

    points = [point for point in range(CODE_POINTS) if not 0xD800 <= point < 0xE000]
    characters = "".join(map(chr, points))
    runs = []
    for name in SCRIPTS:
        for run in regex.finditer(rf"[\p{{L}}&&\p{{Script={name}}}]+", characters, regex.V1):
            runs.append((ord(run[0][0]), ord(run[0][-1]), name))
    return "".join(f"{low:X} {high:X} {name}\n" for low, high, name in sorted(runs))


if __name__ == "__main__":
    _FILE.write_text(written())
