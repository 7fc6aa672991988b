import regex
from hypothesis import given

from operators.remove_control_characters import INVISIBLE, OTHERS, RemoveControlCharacters
from tests.operators.clean_up import ODD, clean, hold, one, texts

ALL = RemoveControlCharacters.model_validate(dict.fromkeys([*INVISIBLE, *OTHERS, "unassigned"], True))


def points(kind: str) -> str:
    return "".join(chr(point) for first, last in {**INVISIBLE, **OTHERS}[kind] for point in range(first, last + 1))


@given(texts)
def test_twice_is_once(text: str) -> None:
    for way in (RemoveControlCharacters(), ALL):
        first = one(way, text)
        assert clean(way, first) == [{"text": first, "controls": 0, "formats": 0, "others": 0}]


@given(texts)
def test_with_everything_asked_for_what_is_left_is_seen(text: str) -> None:
    left = one(ALL, text)
    assert not regex.search(r"[\p{Cc}\p{Co}\p{Cn}--[\t\n]]", left, regex.V1)
    assert all(regex.match(r"\p{Prepended_Concatenation_Mark}|[\U00013430-\U0001343f\U0001bca0-\U0001d17a]", c)
               for c in regex.findall(r"\p{Cf}", left))  # fmt: skip


def test_it_keeps_its_promises() -> None:
    hold(RemoveControlCharacters())
    hold(ALL)


def test_each_kind_goes_when_asked_for_and_is_counted() -> None:
    for kind in (*INVISIBLE, *OTHERS):
        nothing = dict.fromkeys([*INVISIBLE, *OTHERS], False)
        text = f"a{points(kind)}b"
        count, column = len(text) - 2, "formats" if kind in INVISIBLE else "others"
        (row,) = clean(RemoveControlCharacters.model_validate({**nothing, kind: True}), text)
        assert (row["text"], row[column]) == ("ab", count)
        assert one(RemoveControlCharacters.model_validate(nothing), text) == text


def test_what_scripts_and_emoji_need_stays_by_default() -> None:
    persian, hindi, family, wales = ODD[8].split()[0], ODD[9].split()[1], *ODD[6].split()[:1], ODD[7]
    for text in (persian, hindi, family, wales, "tab\tand\nline", "\u0600\u06dd"):
        assert one(RemoveControlCharacters(), text) == text


def test_lines_stay_apart() -> None:
    assert clean(RemoveControlCharacters(), "a\r\nb\rc\x0cd\x85e\x00f") == [
        {"text": "a\nb\nc\nd\nef", "controls": 5, "formats": 0, "others": 0}
    ]
