"""Addresses of hosts, identity, bank and social security cards: forms, and checks that separate them from other
numbers.

Checks use check digits, valid dates and regions, assigned prefixes, and context words before the value where its
form is
ambiguous. A check takes the match, whose group `v` is the value, in a text with at least 40 characters before and 16
after it, or all there are.
"""

from __future__ import annotations

import datetime
import ipaddress
import re

from stages.kernels.pii.signs import IPV6, LONG, NUMBER, QUAD
from stages.pii.neighbours import before, is_counted_or_serial, is_free, is_version
from stages.pii.phones import digits, stands_alone
from stages.pii.rule import JOINED, JOINED_RIGHT, LEFT, NO_UNIT, RIGHT, Rule

Match = re.Match[str]


# IP addresses

NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 "
        "2001::/23 2001:db8::/32 2002::/16 3fff::/20"
    ).split()
]
"""Networks that are not global. Source: IANA special-purpose registries of IPv4 and IPv6, multicast, reserved."""


def is_public_ipv4(match: Match) -> bool:
    """Reject networks, special addresses, version numbers and section numbers."""
    parts = match["v"].split(".")
    if any((len(part) > 1 and part[0] == "0") or int(part) > 255 for part in parts) or parts[3] == "0":
        return False
    return not _is_special(ipaddress.ip_address(match["v"])) and not is_version(match)


def is_public_ipv6(match: Match) -> bool:
    """Reject times, slices and addresses that are not global unicast."""
    try:
        address = ipaddress.ip_address(match["v"])
    except ValueError:
        return False
    groups = [group for group in match["v"].split(":") if group]
    is_specific = len(groups) >= 3 or (len(groups) == 2 and re.search("[a-fA-F]", match["v"]) is not None)
    return is_specific and not _is_special(address)


def _is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in NOT_PUBLIC)


# Identity and bank cards

REGIONS = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54".split()
) | {*"61 62 63 64 65 71 81 82 83".split()}
"""First two digits of GB/T 2260; 81 to 83 for residence permits of Hong Kong, Macao and Taiwan residents."""
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID_WORD = re.compile(r"身份|身分|证件|證件|证号|證號|\bid\b", re.I)
CARD_WORD = re.compile(r"卡|账号|帐号|帳號|账户|帳戶|card|account|visa", re.I)
ISSUERS = (
    (re.compile(r"62|81[0-7]|955[89]|60[39]"), range(16, 20)),  # UnionPay, and older cards of Chinese banks
    (re.compile(r"4"), range(13, 20)),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), range(16, 17)),  # Mastercard
    (re.compile(r"3[47]"), range(15, 16)),  # American Express
    (re.compile(r"6011|64[4-9]|65"), range(16, 20)),  # Discover
    (re.compile(r"352[89]|35[3-8]"), range(16, 20)),  # JCB
    (re.compile(r"30[0-5]|309|36|3[89]"), range(14, 20)),  # Diners Club
)
"""Issuer prefixes (ISO/IEC 7812) and card lengths, as published by the networks."""


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return 1850 <= int(year) < 2100


def is_id_cn(match: Match) -> bool:
    """Check region, date of birth and check character (GB 11643-1999, ISO 7064 MOD 11-2)."""
    number = re.sub(r"[ -]", "", match["v"]).upper()
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, number, strict=False))
    if number[:2] not in REGIONS or "10X98765432"[total % 11] != number[17] or not is_free(match):
        return False
    return _is_date(number[6:10], number[10:12], number[12:14])


def is_old_id_cn(match: Match) -> bool:
    """Check region and date of the form used before 1999; without check character, it needs a context word."""
    number = match["v"]
    if number[:2] not in REGIONS or not _is_date("19" + number[6:8], number[8:10], number[10:12]):
        return False
    return bool(ID_WORD.search(before(match)))


def is_bank_card(match: Match) -> bool:
    """Check issuer, length and check digit (Luhn, ISO/IEC 7812-1 annex B).

    Unusual lengths need a context word before them: 13 digits are mostly article numbers, 19 digits that begin
    with 4 mostly row ids.
    """
    number = digits(match)
    if not any(len(number) in lengths and issuer.match(number) for issuer, lengths in ISSUERS):
        return False
    if (len(number) < 15 or (number[0] == "4" and len(number) != 16)) and not CARD_WORD.search(before(match)):
        return False
    doubled = [int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(number))]
    luhn = sum(value - 9 * (value > 9) for value in doubled) % 10
    if luhn != 0 or len(set(number)) == 1 or not stands_alone(match) or not is_free(match):
        return False
    return bool(CARD_WORD.search(before(match))) or not is_counted_or_serial(match)


SSN_WORD = re.compile(r"ssn|social security", re.I)


def is_ssn(match: Match) -> bool:
    """Check the ranges assigned by the Social Security Administration; without hyphens, also the context word."""
    number = digits(match)
    if number[:3] in ("000", "666") or number[0] == "9" or number[3:5] == "00" or number[5:] == "0000":
        return False
    return stands_alone(match) and ("-" in match["v"] or bool(SSN_WORD.search(before(match))))


CARD = r"\d{13,19}|\d{4}([ -])\d{4}\2\d{4}\2\d{4}(?:\2\d{1,3})?|\d{4}[ -]\d{6}[ -]\d{5}|\d{6}[ -]\d{13}"

RULES = (
    Rule("id_cn", LONG, re.compile(
        rf"(?:{JOINED}|{LEFT})(?P<v>[1-9]\d{{5}}[ -]?(?:1[89]|20)\d{{6}}[ -]?\d{{3}}[0-9Xx]){JOINED_RIGHT}"), is_id_cn),
    Rule("id_cn", LONG, re.compile(rf"{LEFT}(?P<v>[1-9]\d{{14}}){RIGHT}"), is_old_id_cn),
    Rule("bank_card", LONG, re.compile(rf"(?:{JOINED}|{LEFT})(?P<v>{CARD}){JOINED_RIGHT}{NO_UNIT}"), is_bank_card),
    Rule("ssn_us", NUMBER, re.compile(rf"{LEFT}(?P<v>\d{{3}}-\d{{2}}-\d{{4}}|\d{{9}}){RIGHT}"), is_ssn),
    Rule("ip", QUAD, re.compile(
        r"(?<![0-9A-Za-z_.\-])(?P<v>(?:\d{1,3}\.){3}\d{1,3})(?![0-9A-Za-z_]|\.\d|[+~-][0-9A-Za-z])"), is_public_ipv4),
    Rule("ip", IPV6, re.compile(
        r"(?<![0-9A-Za-z_.])(?<![0-9A-Fa-f:]:)"
        r"(?P<v>[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4})(?![0-9A-Za-z_:])"), is_public_ipv6),
)  # fmt: skip
"""Forms of cards and of addresses of hosts."""
