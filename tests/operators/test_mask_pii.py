import ipaddress
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.base import Context
from operators.mask_pii import KINDS, MaskPii
from operators.net_addresses import NOT_PUBLIC
from operators.personal_numbers import is_luhn
from tests.operators.clean_up import clean, hold, one, texts

TOKEN = "ghp_" + "a1B2" * 9
STAND_INS = MaskPii(replace_by="stand_in")
FOUND = {
    "EMAIL": [
        "jane.doe@mail.example.de.net",
        "o'neil+tag@x.org",
        "JANE@SUB.DOMAIN.CO.UK",
        "a_b-c@xn--bcher-kva.de",
        "me@firm.museum",
    ],
    "IP": [
        "8.8.4.40",
        "159.203.150.113",
        "2a00:1450:4001:81b::200e",
        "2600:1f18:0:0:0:0:0:1",
    ],
    "PHONE": [
        "+49 (0)30 901820",
        "+4915112345678",
        "+1-415-867-5309",
        "(415) 867-5309",
        "415-867-5309",
        "415.867.5309",
    ],
    "IBAN": ["GB29 NWBK 6016 1331 9268 19", "NL91ABNA0417164300", "BE68 5390 0754 7034"],
    "CARD": ["4539 5787 6362 1486", "4539-5787-6362-1486", "4539578763621486", "3714 496353 98431"],
    "SECRET": [
        "AKIAIOSFODNN7EXAMPLF",
        TOKEN,
        "xoxb-123456789012-abcdefGHIJKL",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----",
    ],
}
LEFT = [
    "version 8.8.44.5, Chrome/109.0.5414.74, v4.30.0.1, lib-1.31.40.2, 300.1.1.1",
    "section 4.31.0.2; 1.2.3.4; release: 31.0.2.44",
    "\n 20.9.3.7  duration_cast\n// 20.40.3.7 Duration\n",
    "10.0.0.1, 192.168.1.34, 127.0.0.1, 192.0.2.7, ::1, fe80::1ff:fe23:4567:890a, 2001:db8::7",
    "std::vector a::b dead::beef 12:30:45 00:1B:44:11:3A:B7 2020-10-12T10:30:00+02:00",
    "2020-10-12, 12/10/2020, 1999-2003, 1,234,567.89, 3.14159265358979, 1 000 000 000",
    "ISBN 978-3-16-148410-0, ISBN-10 3-16-148410-X, 9783161484100, tel. 2020-10-12",
    "icon@2x.png, lodash@4.17.21, pkg@1.2.3.tgz, @app.route, a@b.reshape(2), git@github.com:me/it, w@x.T",
    "info@example.com, me@localhost, root@host.test, +1-202-555-0143, 4111 1111 1111 1111",
    "4539 5787 6362 1487, 1234567812345670, DE89 3704 0044 0532 0130 01, 922337203685477580",
    "d41d8cd98f00b204e9800998ecf8427e, commit da39a3ee5e6b4b0d3255bfef95601890afd80709, task-force, AKIA, eyJ",
    "Linux 5.15.0.91, openssl 1.1.1.104, PostgreSQL 14.23.11.104, server 5.6.7.104 released, tool 5.6.7.104 or later",
    "+2024-01-15 12:00; 0049 3090 1820 1122; de89 a704 b044 0532 0130 00; AKIAIOSFODNN7EXAMPLE",
    "4012888888881881, 5500005555555559, secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "5 + 1234567890123456 = x, C++ 11, @@ -1,7 +1,7 @@, +922337203685477",
]


@pytest.mark.parametrize(("name", "datum"), [(name, datum) for name, data in FOUND.items() for datum in data])
def test_what_is_one_is_replaced_and_counted(name: str, datum: str) -> None:
    for before, after in (("", ""), ("see <", ">."), ("so, ", ", or\n"), ("\u4f60\u597d", "\u3002")):
        (row,) = clean(MaskPii(), before + datum + after)
        assert row.pop("text") == f"{before}<{name}>{after}"
        assert {column: count for column, count in row.items() if count} == {f"{name.lower()}s": 1}


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert clean(MaskPii(), text) == [{"text": text, **{f"{kind}s": 0 for kind in KINDS}}]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Tel.: 0171 2345678", "Tel.: <PHONE>"),
        ("T\u00e9l\u00e9phone 01 44 55 66 77", "T\u00e9l\u00e9phone <PHONE>"),
        ("server 1.2.3.4 and //1.2.3.4:80", "server <IP> and //<IP>:80"),
        ('api_key = "d41d8cd98f00b204e9800998ecf8427e"', 'api_key = "<SECRET>"'),
        ("password: d41d8cd98f00b204e9800998ecf8427e", "password: <SECRET>"),
        ("https://me:pw@host.org/x", "https://<SECRET>@host.org/x"),
        ("https://me:p@ss@host.org/x", "https://<SECRET>@host.org/x"),
        ("https://${ME}:${PW}@host.org http://host.org:80/@me", "https://${ME}:${PW}@host.org http://host.org:80/@me"),
        (f"aws_secret_access_key = {'aB3/' * 10}", "aws_secret_access_key = <SECRET>"),
        (f'"SecretAccessKey": "{"aB3/" * 10}"', '"SecretAccessKey": "<SECRET>"'),
        ("[2a00:1450:4001:81b::200e]:80, 2a00:1450:4001:81b::200e.", "[<IP>]:80, <IP>."),
        ("a@x.org,b@y.org;c@z.org", "<EMAIL>,<EMAIL>;<EMAIL>"),
        ("8.8.4.40.x@y.org 8.8.4.40", "<EMAIL> <IP>"),
    ],
)
def test_what_stands_around_decides(text: str, left: str) -> None:
    assert one(MaskPii(), text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\u8054\u7cfbzhang@qq.com\u5427", "\u8054\u7cfb<EMAIL>\u5427"),
        ("\u30e1\u30fc\u30ebtanaka@docomo.ne.jp\u307e\u3067", "\u30e1\u30fc\u30eb<EMAIL>\u307e\u3067"),
        ("\u90ae\u7bb1\u662fzhang.wei@qq.com\u3002", "\u90ae\u7bb1\u662f<EMAIL>\u3002"),
        ("\uc740kim@naver.com\uc785\ub2c8\ub2e4", "\uc740<EMAIL>\uc785\ub2c8\ub2e4"),
        ("\u0e17\u0e35\u0e48me@x.org\u0e04", "\u0e17\u0e35\u0e48<EMAIL>\u0e04"),
        ("jane..doe@mail.de", "<EMAIL>"),
        ("jane.@mail.de", "<EMAIL>"),
        ("Jane.....jane@mail.de", "Jane.....<EMAIL>"),
        ("ja\u00adne@mail.de, jane@ma\u200bil.de", "<EMAIL>, <EMAIL>"),
        ("jane@firm.org@firm.org", "<EMAIL>"),
        ("jane@firm@mail.de", "<EMAIL>"),
        ("@jane@mail.de", "@<EMAIL>"),
        ("j\u00fcrgen@web.de, j\u00f6rg@m\u00fcnchen.de", "<EMAIL>, <EMAIL>"),
        ("\u0438\u0432\u0430\u043d@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444", "<EMAIL>"),
        ("me@mail.ru.\u0414\u0430", "<EMAIL>.\u0414\u0430"),
        ("me@mail.ru\u0438", "<EMAIL>\u0438"),
        ("jane\uff20mail.de", "<EMAIL>"),
        ("me@host.zip \u7528\u6237@\u4f8b\u5b50.\u516c\u53f8", "me@host.zip \u7528\u6237@\u4f8b\u5b50.\u516c\u53f8"),
    ],
)
def test_no_part_of_an_address_is_left(text: str, left: str) -> None:
    assert one(MaskPii(), text) == left


@pytest.mark.parametrize("gap", [" ", "-", "\u00a0", "\u202f", "\u2009", "\u2011"])
def test_groups_may_stand_apart_by_any_usual_gap(gap: str) -> None:
    for datum, name in (
        ("NL91 ABNA 0417 1643 00", "IBAN"),
        ("nl91 abna 0417 1643 00", "IBAN"),
        ("NO93 8601 1117 947", "IBAN"),
        ("CR05 0152 0200 1026 2840 66", "IBAN"),
        ("EG38 0019 0005 0000 0000 2631 8000 2", "IBAN"),
        ("4539 5787 6362 1486", "CARD"),
        ("+49 30 901820", "PHONE"),
        ("0049 30 901820", "PHONE"),
    ):
        assert one(MaskPii(), f"to {datum.replace(' ', gap)}.") == f"to <{name}>."


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("\u96fb\u8a71 ", "03-1234-5678"),
        ("\u7535\u8bdd\uff1a", "010-62345678"),
        ("\u624b\u673a", "13812345678"),
        ("\uc804\ud654\ubc88\ud638: ", "02-123-4567"),
        ("\u0442\u0435\u043b. ", "8 (495) 123-45-67"),
        ("\u0647\u0627\u062a\u0641: ", "0501234567"),
        ("\u0e42\u0e17\u0e23. ", "02-123-4567"),
    ],
)
def test_words_for_telephones_in_other_scripts(word: str, number: str) -> None:
    assert one(MaskPii(), word + number) == f"{word}<PHONE>"
    assert one(MaskPii(), number) == number


def test_each_kind_can_be_switched() -> None:
    text = " | ".join(data[0] for data in FOUND.values())
    for kind in KINDS:
        (row,) = clean(MaskPii(kinds=(kind,)), text)
        assert row == {"text": text.replace(FOUND[kind.upper()][0], f"<{kind.upper()}>"), f"{kind}s": 1}
    assert one(MaskPii(public_only=False), "at 10.0.0.31, 192.0.2.7") == "at <IP>, 192.0.2.7"
    assert one(MaskPii(placeholder="[{kind}]"), "me@x.org") == "[EMAIL]"


def test_a_stand_in_is_the_same_everywhere_and_depends_on_the_seed() -> None:
    first, second = (row["text"] for row in clean(STAND_INS, "Me@x.org, you@x.org, 8.8.4.40", "me@x.org"))
    me, you, address = first.split(", ")
    assert (second, me != you) == (me, True)
    assert re.fullmatch(r"user\d+@example\.(com|net|org)", me)
    assert any(ipaddress.ip_address(address) in ipaddress.ip_network(f"{block}.0/24")
               for block in ("192.0.2", "198.51.100", "203.0.113"))  # fmt: skip
    one_text = pa.array(["me@x.org"], pa.large_string())
    others = {STAND_INS.cleaner(Context(seed=seed, artifacts={}))(one_text)[0].to_pylist()[0] for seed in range(9)}
    assert len(others) > 5


data = st.sampled_from([datum for some in FOUND.values() for datum in some])
glue = st.sampled_from([" ", ", ", "\n", ".", ":", "/", "-", "@", "tel ", "key=", "(", ")", "", "1", "a", "\u00e9"])
mixes = st.lists(st.one_of(data, glue, texts, st.sampled_from(LEFT)), max_size=6).map("".join)


@given(mixes)
def test_twice_is_once(text: str) -> None:
    for way in (MaskPii(), STAND_INS):
        passes = [one(way, text)]
        for _ in range(8):  # pieces that run into each other come apart one by one
            passes.append(one(way, passes[-1]))
        # Of addresses that do, stand-ins make new ones each time.
        assert passes[-1] == passes[-2] or (way is STAND_INS and re.search(r"@[\w.-]+@", text))
        # What a replacement stands next to may read as one only now: `1` + a phone number, `.` + an address.
        touching = r"[\w.+:/-](<[A-Z]+>|user|\+1-202|\d)|>[\w.+:/@-]|\d[\w.+:/@-]"
        assert passes[1] == passes[0] or re.search(touching, passes[0])


@given(st.lists(mixes, max_size=4))
def test_texts_do_not_see_each_other(given_texts: list[str]) -> None:
    assert clean(MaskPii(), *given_texts) == [clean(MaskPii(), text)[0] for text in given_texts]


def test_it_keeps_its_promises() -> None:
    hold(MaskPii())
    hold(STAND_INS)
    hold(MaskPii(variant="datatrove-0.10", kinds=("email", "ip")))


def test_the_reserved_ranges_are_those_of_python() -> None:
    """Where they differ, multicast is meant, which Python calls global, or a later entry of the registry."""
    for first in range(1, 224):
        for second in (0, 18, 51, 64, 88, 168, 254):
            address = ipaddress.ip_address(f"{first}.{second}.99.7")
            listed = any(address in network for network in NOT_PUBLIC)
            assert listed == (not address.is_global) or str(address).startswith("192.88.99.")


EMAIL = r"""\b[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@"""
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
LITERAL = rf"\[(?:{OCTET}\.){{3}}(?:{OCTET}|[A-Za-z0-9-]*[A-Za-z0-9]:)\]"


def by_expressions(text: str) -> str:
    """The two expressions of datatrove 0.10, over the whole text, one after the other."""

    def public(match: re.Match[str]) -> str:
        try:
            return "<IP>" if ipaddress.ip_address(match[0]).is_global else match[0]
        except ValueError:
            return match[0]

    text = re.sub(rf"{EMAIL}(?:(?:{LABEL}\.)+{LABEL}|{LITERAL})", "<EMAIL>", text)
    return re.sub(rf"(?:{OCTET}\.){{3}}{OCTET}", public, text)


@given(st.one_of(mixes, st.text("a.@-1[]:_\u00e9 ", max_size=30), st.text("0125.", max_size=30)))
def test_the_variant_finds_what_the_expressions_find(text: str) -> None:
    assert one(MaskPii(variant="datatrove-0.10", kinds=("email", "ip")), text) == by_expressions(text)


def test_long_addresses_are_found_whole_by_the_variant() -> None:
    text = "x" * 5000 + "@" + "y." * 3000 + "org " + "b@c.de"
    assert one(MaskPii(variant="datatrove-0.10", kinds=("email", "ip")), text) == "<EMAIL> <EMAIL>"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("unit", ["a-", "1.", "a@", "@a.", "1 ", "12:", "DE89", "key=", "+1", "ghp_", "a@b.c-", "eyJ."])
def test_the_time_is_linear(unit: str) -> None:
    clean(MaskPii(), unit * 100_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"variant": "datatrove-0.10"},
        {"placeholder": "{x}"},
        {"placeholder": "me@here"},
        {"kinds": []},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MaskPii.model_validate(wrong)


def test_luhn_is_that_of_iso_7812() -> None:
    assert [is_luhn(number) for number in ("4539578763621486", "4539578763621487", "0", "18")] == [
        True,
        False,
        True,
        True,
    ]
