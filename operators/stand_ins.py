"""What stands in for a personal datum: a value from ranges that are kept for documentation and tests, by a hash.

The hash is of (seed, kind, the datum written in one way), so that equal data get equal stand-ins in every document of
a run, and another seed other ones. Two data may share a stand-in: there are 30,000 addresses, 768 IPv4 and 65,536 IPv6
addresses, 100 phone numbers, 3 accounts and 4 cards. A stand-in is what the finders leave alone.
"""

from __future__ import annotations

import hashlib
from typing import Final

from operators.personal_numbers import SAMPLE_CARDS, SAMPLE_IBANS

EMAILS_OF_DATATROVE: Final = ("email@example.com", "firstname.lastname@example.org")
IPS_OF_DATATROVE: Final = (
    *("22.214.171.124", "126.96.36.199", "188.8.131.52", "184.108.40.206", "220.127.116.11", "18.104.22.168"),
)
"""What datatrove 0.10 puts in, in turn; the order of its documents decides there, here the hash."""
_DOMAINS: Final = ("com", "net", "org")
_BLOCKS: Final = ("192.0.2", "198.51.100", "203.0.113")


def stand_in(seed: int, kind: str, name: str, by_datatrove: bool) -> str:
    """The stand-in for a datum; "" for a kind that has none.

    >>> stand_in(7, "email", "me@x.org", False) == stand_in(7, "email", "me@x.org", False)
    True
    >>> stand_in(7, "ip", "8.8.4.4", False).rpartition(".")[0] in _BLOCKS
    True
    """
    digest = hashlib.blake2b(f"{seed}/{kind}/{name}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    match kind:
        case "email" if by_datatrove:
            return EMAILS_OF_DATATROVE[number % 2]
        case "ip" if by_datatrove:
            return IPS_OF_DATATROVE[number % 6]
        case "email":
            return f"user{number // 3 % 10_000}@example.{_DOMAINS[number % 3]}"
        case "ip" if ":" in name:
            return f"2001:db8::{number % 65_536:x}"
        case "ip":
            return f"{_BLOCKS[number % 3]}.{number // 3 % 256}"
        case "phone":
            return f"+1-202-555-01{number % 100:02}"
        case "iban":
            return SAMPLE_IBANS[number % 3]
        case "card":
            return SAMPLE_CARDS[number % 4]
    return ""
