r"""Keys and other secrets in bytes: finders of `mask_pii`.

Those with a form of their own, by the prefixes that their issuers document: AWS (AKIA, ASIA), GitHub (ghp_ gho_ ghu_
ghs_ ghr_ github_pat_), GitLab (glpat-), Slack (xoxa- xoxb- xoxp- xoxr- xoxs-), Stripe (sk_live_ rk_live_), OpenAI and
Anthropic (sk-), Google (AIza), Hugging Face (hf_), npm (npm_), PyPI (pypi-AgE), SendGrid (SG.); JSON web tokens; blocks
of private keys in PEM. And a hexadecimal number of 32 to 128 digits right behind a word such as `key`, `secret`,
`token` or `password`; others are digests and identifiers, and stay. Forty characters of base64 behind the name of AWS's
secret key; `user:password` before the `@` of a URL, unless it is a template (`${USER}:${PASSWORD}`). Keys that end in
`EXAMPLE` or `EXAMPLEKEY`, as in AWS's manuals, stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from operators.passages import Found, Passage

SHAPES: Final = (
    r"(?:AKIA|ASIA)(?![0-9A-Z]{9}EXAMPLE)[0-9A-Z]{16}",
    r"gh[pousr]_[0-9A-Za-z]{36,255}",
    r"github_pat_[0-9A-Za-z_]{22,255}",
    r"glpat-[0-9A-Za-z_-]{20,64}",
    r"xox[abprs]-[0-9A-Za-z-]{10,250}",
    r"[rs]k_live_[0-9A-Za-z]{20,250}",
    r"sk-(?:proj-|ant-|svcacct-)?[0-9A-Za-z_-]{32,250}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"hf_[A-Za-z]{34}",
    r"npm_[0-9A-Za-z]{36}",
    r"pypi-AgE[0-9A-Za-z_-]{50,1000}",
    r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{16,64}",
    r"eyJ[0-9A-Za-z_-]{8,1000}\.eyJ[0-9A-Za-z_-]{8,1000}\.[0-9A-Za-z_-]{8,1000}",
)
PRIVATE_KEY: Final = r"-----BEGIN (?:[0-9A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
HINT: Final = (
    r"AKIA|ASIA[0-9A-Z]{16}|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|k_live_|AIza|pypi-AgE|\.eyJ|PRIVATE KEY"
    r"|\bsk-[0-9A-Za-z_-]{32}|\bhf_[A-Za-z]{34}|\bnpm_[0-9A-Za-z]{36}|\bSG\.[0-9A-Za-z_-]{16}"
    r"|[Ss][Ee][Cc][Rr][Ee][Tt]_?(?:[Aa][Cc][Cc][Ee][Ss][Ss])?_?[Kk][Ee][Yy]"
    r"|://[^\s/:@<>{}$\"',;]{0,64}:[^\s/@<>{}\"',;]{1,64}@"
)
"""What a text has that has one of them: in the syntax that RE2 and `re` share."""
_SHAPE: Final = re.compile(rf"(?<![0-9A-Za-z_])(?:{'|'.join(SHAPES)})(?![0-9A-Za-z_])|{PRIVATE_KEY}".encode())
_USER: Final = re.compile(rb"://([^\s/:@<>{}$\"',;]{0,64}:[^\s/<>{}$\"',;?#@][^\s/<>{}\"',;?#]{0,127})@(?=[\w\[])")
_AWS: Final = re.compile(
    rb"secret_?(?:access)?_?key[\"'\])]{0,2}\s{0,3}(?::|=>?|:=)\s{0,3}[\"']?([0-9A-Za-z/+]{40})(?![0-9A-Za-z/+=])"
    rb"(?<!EXAMPLEKEY)",
    re.IGNORECASE,
)
_END: Final = re.compile(rb"-----END (?:[0-9A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_MAX_BLOCK: Final = 20_000
_HEX: Final = re.compile(rb"(?<![0-9A-Za-z_-])[0-9A-Fa-f]{32,128}(?![0-9A-Za-z_-])")
_NAMED: Final = re.compile(
    rb"(?:key|secret|token|passw(?:or)?d|pwd|credentials?|authorization|bearer)[\"'\])]{0,2}\s{0,3}(?::|=>?|:=|\s)\s{0,3}[\"']?$",
    re.I,
)


def shaped(content: bytes) -> Iterator[Found]:
    """The secrets of a whole text that have a form of their own."""
    at = 0
    while match := _SHAPE.search(content, at):
        at = match.end()
        if match[0].startswith(b"-----"):
            end = _END.search(content, at, at + _MAX_BLOCK)
            at = end.end() if end else at
        yield Found(match.start(), at, "")
    for behind in (_USER, _AWS):
        yield from (Found(match.start(1), match.end(1), "") for match in behind.finditer(content))


def named(place: Passage) -> Iterator[Found]:
    """The hexadecimal numbers in a run of hexadecimal digits that a word calls a secret."""
    for match in _HEX.finditer(place.content, place.start, place.stop):
        if _NAMED.search(place.content, max(0, match.start() - 40), match.start()):
            yield Found(match.start(), match.end(), "")
