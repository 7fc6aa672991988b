r"""Replace personal data and secrets: e-mail and IP addresses, phone numbers, accounts, cards, keys.

What counts as one is said in `email_addresses.py`, `net_addresses.py`, `personal_numbers.py` and `secret_keys.py`,
rules that are made to leave versions, dates, ISBN and digests alone. Names, postal addresses and obfuscated addresses
(`me at x dot org`) are not found. Kernels look for bytes first (`@`, digits with dots or colons, long runs of digits,
the prefixes of keys); expressions, all of linear time, run on what stands around those.

`replace_by: placeholder` writes `<EMAIL>` and the like; `stand_in` writes a value kept for documentation, chosen by a
hash of seed and datum, so that one address is one address everywhere (`stand_ins.py`). Both are left alone when met
again: twice is once.

`variant: datatrove-0.10` finds what the PII formatter of datatrove 0.10 finds: its two expressions, `public_only` by
Python's `ipaddress`, whose list depends on Python's version; its replacements come in turn over all documents there,
here by the hash. benchmarks/mask_pii.py compares the places.

What was found is written nowhere: not into columns, `dropped/` or the report. But steps before this one see the text
as it was, and `dropped/` has excerpts of what they drop: put it first. Price: docs/clean-up.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Final, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import override

from operators import email_addresses, net_addresses, personal_numbers, secret_keys
from operators.base import Columns, Context
from operators.clean_up import Cleaned, Cleaner, CleanUp
from operators.edits import Edits
from operators.passages import Found, Passage, passage
from operators.stand_ins import stand_in
from operators.text_buffers import joined_bytes

Kind = Literal["secret", "email", "iban", "card", "ip", "phone"]
KINDS: Final[tuple[Kind, ...]] = ("secret", "email", "iban", "card", "ip", "phone")
"""Where two overlap, the earlier kind wins."""
_NAMES: Final = {"secret": "SECRET", "email": "EMAIL", "iban": "IBAN", "card": "CARD", "ip": "IP", "phone": "PHONE"}
_DIGITS: Final = b"0123456789"
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GAPS: Final = bytes(sorted(set("\u00a0\u2007\u2009\u2011\u202f".encode())))
"""The bytes of no-break spaces, the thin space and the no-break hyphen."""
_HEX: Final = _DIGITS + b"abcdefABCDEF"

Spans = list[tuple[int, int, str]]
"""Where something begins and ends in the buffer of all texts, and its name."""


class _Buffer(NamedTuple):
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    texts: pa.LargeStringArray


class MaskPii(CleanUp):
    """Replace e-mail and IP addresses, phone numbers, accounts, cards and keys; the columns count them by kind."""

    kind: Literal["mask_pii"] = "mask_pii"
    revision: ClassVar[int] = 2  # addresses beside scripts without spaces and in other letters, passwords of URLs
    variant: Literal["standard", "datatrove-0.10"] = Field(default="standard", description="whose rules")
    kinds: tuple[Kind, ...] = Field(default=KINDS, min_length=1, description="what to replace")
    public_only: bool = Field(default=True, description="IP addresses of private and reserved ranges stay")
    replace_by: Literal["placeholder", "stand_in"] = Field(
        default="placeholder", description="`<EMAIL>`, or a value kept for documentation, the same for equal data"
    )
    placeholder: str = Field(default="<{kind}>", description="`{kind}` is EMAIL, IP, PHONE, IBAN, CARD or SECRET")

    seeded: ClassVar[bool] = True

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        unknown = sorted(set(self.kinds) - {"email", "ip"})
        if self.variant != "standard" and unknown:
            raise ValueError(f"variant {self.variant!r} does not know {unknown!r}; give kinds: [email, ip]")
        if any(character in self.placeholder.replace("{kind}", "") for character in "{}"):
            raise ValueError(f"placeholder {self.placeholder!r} has a brace; `{{kind}}` alone is replaced")
        if any(character.isdigit() or character in "@:" for character in self.placeholder):
            raise ValueError(f"placeholder {self.placeholder!r} has a digit, `@` or `:`, and might be found again")
        return self

    @override
    def adds(self) -> Columns:
        return {f"{kind}s": pa.int64() for kind in KINDS if kind in self.kinds}

    @override
    def cleaner(self, context: Context) -> Cleaner:
        finders: dict[Kind, Callable[[_Buffer], Spans]] = {
            "secret": _secrets,
            "email": self._emails,
            "iban": _finder(_LETTERS + _DIGITS + b" -" + _GAPS, _DIGITS, (15, 8), personal_numbers.ibans),
            "card": _finder(_DIGITS + b" ()+-./" + _GAPS, _DIGITS, (14, 14), personal_numbers.cards),
            "ip": self._ips,
            "phone": _finder(_DIGITS + b" ()+-./" + _GAPS, _DIGITS, (7, 7), personal_numbers.phones),
        }

        def clean(texts: pa.LargeStringArray) -> Cleaned:
            buffer = _Buffer(*joined_bytes(texts), texts)
            claimed = [
                (start, stop, kind, name) for kind in self.adds_of() for start, stop, name in finders[kind](buffer)
            ]
            edits, kinds = Edits(buffer.data, buffer.offsets), []
            for start, stop, kind, name in _without_overlap(claimed):
                edits.replace(start, stop, self._replacement(context.seed, kind, name).encode())
                kinds.append(kind)
            counts = {
                f"{kind}s": pa.array(edits.per_text(np.array([kind == other for other in kinds], np.int64)))
                for kind in self.adds_of()
            }
            return edits.texts(), counts

        return clean

    def adds_of(self) -> tuple[Kind, ...]:
        """The kinds asked for, in the order in which they win."""
        return tuple(kind for kind in KINDS if kind in self.kinds)

    def _replacement(self, seed: int, kind: str, name: str) -> str:
        found = stand_in(seed, kind, name, self._is_datatrove) if self.replace_by == "stand_in" else ""
        return found or self.placeholder.replace("{kind}", _NAMES[kind])

    @property
    def _is_datatrove(self) -> bool:
        return self.variant != "standard"

    def _emails(self, buffer: _Buffer) -> Spans:
        data, offsets, _ = buffer
        places = np.flatnonzero(data == ord("@")) if self._is_datatrove else _at_signs(data)
        texts = np.searchsorted(offsets, places, side="right") - 1
        spans: Spans = []
        free = 0
        for place, text in zip(places.tolist(), texts.tolist(), strict=True):
            low, high = int(offsets[text]), int(offsets[text + 1])
            if place < free:
                continue
            reach = 640
            while True:
                begin, end = max(low, place - reach), min(high, place + reach)
                content = data[begin:end].tobytes()
                find = net_addresses.email_of_datatrove if self._is_datatrove else email_addresses.email
                found = find(content, place - begin, max(0, free - begin))
                touches = found and (
                    (found.start < 8 and begin > low) or (found.stop > len(content) - 8 and end < high)
                )
                if not touches or not self._is_datatrove:
                    break
                reach *= 4
            if found:
                free = begin + found.stop
                spans.append((begin + found.start, free, found.name))
        return spans

    def _ips(self, buffer: _Buffer) -> Spans:
        def fours(place: Passage) -> Iterator[Found]:
            return net_addresses.quads(place, self.public_only, self._is_datatrove)

        def sixes(place: Passage) -> Iterator[Found]:
            return net_addresses.sixes(place, self.public_only)

        spans = _finder(_DIGITS + b".", b".", (7, 3), fours)(buffer)
        return spans if self._is_datatrove else spans + _finder(_HEX + b":.", b":", (6, 2), sixes)(buffer)


def _finder(
    members: bytes, counted: bytes, least: tuple[int, int], find: Callable[[Passage], Iterator[Found]]
) -> Callable[[_Buffer], Spans]:
    """A function that runs a finder on every run of members of so many bytes, so many of them counted."""
    from operators.kernels.byte_runs import COUNTED, MEMBER, byte_runs

    table = np.zeros(256, np.uint8)
    table[list(members)] = MEMBER
    table[list(counted)] = COUNTED

    def spans(buffer: _Buffer) -> Spans:
        data, offsets, _ = buffer
        found: Spans = []
        runs = (column.tolist() for column in byte_runs(data, offsets, table, *least))
        for text, start, stop in zip(*runs, strict=True):
            place = passage(data, int(offsets[text]), int(offsets[text + 1]), start, stop)
            found += [(place.base + one.start, place.base + one.stop, one.name) for one in find(place)]
        return found

    return spans


def _at_signs(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where `@` and its full-width form begin."""
    usual = np.flatnonzero(data == ord("@"))
    last = np.flatnonzero(data == 0xA0)  # EF BC A0
    last = last[last >= 2]
    wide = last[(data[last - 2] == 0xEF) & (data[last - 1] == 0xBC)] - 2
    return np.sort(np.concatenate([usual, wide])) if wide.size else usual


def _secrets(buffer: _Buffer) -> Spans:
    data, offsets, texts = buffer
    spans: Spans = []
    hinted = pc.match_substring_regex(texts, secret_keys.HINT).to_numpy(zero_copy_only=False)
    for text in np.flatnonzero(hinted).tolist():
        low, high = int(offsets[text]), int(offsets[text + 1])
        spans += [(low + one.start, low + one.stop, "") for one in secret_keys.shaped(data[low:high].tobytes())]
    return spans + _finder(_HEX, _HEX, (32, 32), secret_keys.named)(buffer)


def _without_overlap(claimed: list[tuple[int, int, Kind, str]]) -> Iterator[tuple[int, int, Kind, str]]:
    """In the order of the text; of two that overlap the one of the earlier kind, else the one that begins first."""
    order = sorted(range(len(claimed)), key=lambda place: (claimed[place][0], place))
    kept: list[tuple[int, int, Kind, str]] = []
    for place in order:
        new = claimed[place]
        rank = KINDS.index(new[2])
        while kept and kept[-1][1] > new[0] and rank < KINDS.index(kept[-1][2]):
            kept.pop()
        if not kept or kept[-1][1] <= new[0]:
            kept.append(new)
    yield from kept
