"""Checks that separate personal data from other numbers and names that match the same pattern.

They use check digits, valid dates and regions, assigned prefixes, and context words before the value where its form is
ambiguous. A check takes the match, whose group `v` is the value, in a text with at least 40 characters before and 16
after it, or all there are.
"""

from __future__ import annotations

import datetime
import ipaddress
import re

from stages.kernels.patterns.pii import MAX_DOMAIN, MAX_LOCAL
from stages.pii.neighbours import before, is_counted_or_serial, is_free, is_version

Match = re.Match[str]


def digits(match: Match, group: str = "v") -> str:
    """Return the digits of a group of a match."""
    return re.sub(r"\D", "", match[group])


def stands_alone(match: Match) -> bool:
    """Return False for a number written in groups that is part of a longer row of numbers."""
    if not re.search(r"\d[ .-]", match["v"]):
        return True
    behind = match.string[match.end("v") : match.end("v") + 2]
    in_front = "" if match["v"][0] in "+(" else before(match, 2)
    return not re.search(r"\d[ .-]$", in_front) and not re.match(r"[ .-]\d", behind)


# E-mail

FILE_SUFFIXES = frozenset(
    "png jpg jpeg gif webp svg bmp ico css js ts jsx tsx json html htm xml txt pdf exe dll".split()
)
"""File extensions, as in icon@2x.png, that are not top-level domains."""

MESSAGE_ID = re.compile(
    r"(?:(?:message|content)-id:?|in-reply-to:|references:)\s{0,2}<?$|\bid <$|\bcid:$", re.I | re.A
)
"""Headers of mail (RFC 5322, section 3.6.4) before an identifier in the form of an address."""


def is_email(match: Match) -> bool:
    """Reject file names, packages with a version, hosts of remote paths, and ids of messages."""
    local, _, domain = match["v"].partition("@")
    if (
        len(local) > MAX_LOCAL
        or len(domain) > MAX_DOMAIN
        or domain.rpartition(".")[2].lower() in FILE_SUFFIXES
    ):
        return False
    if MESSAGE_ID.search(before(match)):
        return False
    return not re.match(r":[\w.~-]{0,14}/", match.string[match.end("v") :], re.ASCII)


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


# Telephone

PHONE_WORD = re.compile(r"(?:电话|電話|热线|熱線|传真|傳真|座机|手机|tel|phone|fax|call)[^0-9]{0,6}$", re.I)
COUNTRY_CODE = re.compile(
    r"1|7|20|27|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|2[1-69]\d|3[578]\d|42\d|5[09]\d|6[789]\d|8[0578]\d|9[679]\d"
)
"""Country codes of ITU-T E.164."""
NANP = re.compile(r"(?!888|877|866|855|844|833|822|.00|.11)[2-9][0-8]\d(?!.11)[2-9]\d{6}")
"""A North American number (NANPA numbering plan), without the toll-free and service codes of companies."""


def is_mobile_cn(match: Match) -> bool:
    """Reject order numbers, amounts and the like, unless a country code makes the number a telephone number."""
    if not is_free(match) or not stands_alone(match):
        return False
    return match["cc"] is not None or not is_counted_or_serial(match)


def is_landline_cn(match: Match) -> bool:
    """Reject serial numbers and dates; a number needs a country code, a separator or a telephone word before it."""
    prefix, area, joint, local = match["cc"], match["area"], match["joint"], digits(match, "local")
    if (len(area) == 2 and len(local) != 8) or re.match(r"20\d\d(?:0[1-9]|1[0-2])(?:[012]\d|3[01])$", local):
        return False
    if not is_free(match):
        return False
    if prefix:
        return True
    return bool(joint or PHONE_WORD.search(before(match))) and not is_counted_or_serial(match)


def is_international(match: Match) -> bool:
    """Accept E.164 numbers by country code and length; Chinese numbers belong to kind `phone_cn`."""
    number = digits(match)
    if number.startswith("86") or not 10 <= len(number) <= 15 or match["v"].count(".") == 1:
        return False
    if number[0] == "1":
        return bool(NANP.fullmatch(number[1:]))
    return COUNTRY_CODE.match(number) is not None


def is_us_phone(match: Match) -> bool:
    """Accept North American numbers written with their usual separators."""
    if not NANP.fullmatch(digits(match)[-10:]):
        return False
    return stands_alone(match) and is_free(match)


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


# Keys and accounts


def always(match: Match) -> bool:
    """Accept every match: the form is unambiguous."""
    return True


def holds_key(match: Match) -> bool:
    """Reject placeholders: a key has forty characters of Base64 in a row."""
    return re.search(r"[A-Za-z0-9+/=]{40}", match["v"]) is not None
