import re
import unicodedata

import numpy as np

from operators.scripts import DIGEST, SCRIPTS, script_table, table_digest, unknown_script


def test_the_table_is_the_pinned_one() -> None:
    assert table_digest(script_table()) == DIGEST


def test_every_script_has_letters_and_every_letter_that_python_knows_is_one_here() -> None:
    table = script_table()
    assert set(np.unique(table).tolist()) == set(range(len(SCRIPTS) + 1))
    assert list(SCRIPTS) == sorted(set(SCRIPTS))
    strangers = [p for p in np.flatnonzero(table).tolist() if unicodedata.category(chr(p)) not in "LuLlLtLmLoCn"]
    assert strangers == []


def test_letters_whose_names_begin_with_a_script_are_of_it() -> None:
    names = "|".join(("LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "THAI", "HANGUL", "HIRAGANA", "ETHIOPIC"))
    pattern = re.compile(rf"({names}) (?:CAPITAL LETTER|SMALL LETTER|LETTER|SYLLABLE|CHARACTER) ")
    named = {p: match[1].title() for p in range(0x20000) if (match := pattern.match(unicodedata.name(chr(p), "")))}
    letters = {p: name for p, name in named.items() if unicodedata.category(chr(p)).startswith("L")}
    assert len(letters) > 13_000
    assert [p for p, name in letters.items() if SCRIPTS[script_table()[p] - 1] != name] == []


def test_a_name_of_no_script_is_answered_with_the_nearest() -> None:
    assert unknown_script("old_italik") == "no script 'old_italik' has letters; did you mean Old_Italic?"
    assert "expected Unicode's names" in unknown_script("Q")
