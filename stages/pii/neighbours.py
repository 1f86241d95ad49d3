"""What the text next to a number states about it: an order number, an amount, a version, a clause, or a contact.

The form of eleven digits or of four numbers with dots does not distinguish a telephone number from a serial number, or
an address from a version. The word directly before does (订单号：13812345678), and so does the unit behind (17179869184
字节). A word counts only next to the number, with at most a mark, a bracket or a verb between, so that two numbers of
one sentence keep their own words. The words are in `neighbours.yaml`. All functions take a match with the value in
group `v`, in folded text.
"""

from __future__ import annotations

import re

from pipeline.data_files import read_yaml
from pipeline.recipe import package_file
from stages.kernels.pii.signs import AFTER_CHARS, BEFORE_CHARS

Match = re.Match[str]

NEIGHBOURS_PATH = package_file(__file__, "neighbours.yaml")
_LISTS = read_yaml(NEIGHBOURS_PATH)
_WORDS = {name: f"(?:{'|'.join(words)})" for name, words in _LISTS.items()}


def before(match: Match, n_chars: int = BEFORE_CHARS) -> str:
    """Return up to n_chars characters before the value."""
    return match.string[max(match.start("v") - n_chars, 0) : match.start("v")]


def behind(match: Match) -> str:
    """Return up to AFTER_CHARS characters behind the value."""
    return match.string[match.end("v") : match.end("v") + AFTER_CHARS]


# Numbers with a word of their own

_MARKS = r"""[\s:=|*"'`(\[【「<>#-]{0,6}"""
_VERB_ZH = "(?:[是为為达達约約共超]|达到|達到|高达|超过|超過|增至|降至|合计|合計)"
_VERB_EN = "(?:(?:is|was|are|were|of|to|at|about|over|nearly|equals|reached|exceeds|exceeded|only) )"
_BRACKET = r"(?:\([^()\d]{0,10}\))?"
_LINK = rf"{_BRACKET}{_MARKS}(?:{_VERB_ZH}{{0,2}}|{_VERB_EN}{{0,2}}){_MARKS}$"
"""What may be between a word and its number."""
_FIRM_LINK = rf"{_BRACKET}(?:\s?[:=|]{_MARKS}|{_MARKS}{_VERB_ZH}{{1,2}}){_MARKS}$"
"""The same with a colon or a verb at least."""

_CONTACT = re.compile(rf"{_WORDS['contact']}{_WORDS['contact_tail']}?{_LINK}", re.I)
_CHAT_ID = re.compile(rf"{_WORDS['chat_id']}\s?id{_LINK}", re.I)
_SERIALS = (
    re.compile(rf"(?:{_WORDS['numbered_zh']}[号號]码?碼?|{_WORDS['serial_zh']}){_LINK}"),
    re.compile(rf"{_WORDS['amount_zh']}{_FIRM_LINK}"),
    re.compile(
        rf"(?<![a-z])(?<!to )(?<!your ){_WORDS['serial_en']}(?:e?s)?"
        rf"[ _-]?(?:id|no|nr|number|num|code|key)?\.?{_LINK}",
        re.I,
    ),
    re.compile(rf"(?:(?<![A-Za-z])[PUGpug]?[Ii][Dd]|[a-z]I[Dd]|[_-]id|(?<![A-Za-z])[Nn][Oo][.:]|№|#){_LINK}"),
)
"""Words of things and amounts before a number; the last of them are bare identifiers: `id`, `runId`, `No.`, `#`."""
_JOINED_BEFORE = re.compile(r"(?:(?<!\d)\d[\d -]{6,17} ?(?:[/、,，;或和及与]|and|or) ?){1,2}$")
"""Numbers before the value that share its word: 订单号：13812345678、13912345678."""
_SHORT = f"[{_LISTS['short_units_zh']}]"
_UNIT = re.compile(
    rf"\s?[多余餘]?(?:{_WORDS['units_zh']}|{_SHORT}(?![\u3400-\u9fff])|{_SHORT}[的了和與与及以左之或])"
    rf"|[ -]{_WORDS['units_en']}\b|\s?[(]\s?{_WORDS['serial_behind']}"
)
_MEBIBYTE = 1 << 20


def is_counted_or_serial(match: Match) -> bool:
    """Return whether the words next to a number make it an amount or the number of a thing.

    A word of contact directly before it (电话, tel) makes it a telephone number regardless of what is behind. A
    multiple of 2**20 is a number of bytes; one in a million telephone numbers is such a multiple.
    """
    text = _JOINED_BEFORE.sub("", before(match))
    if _CONTACT.search(text) or _CHAT_ID.search(text):
        return False
    if int(re.sub(r"\D", "", match["v"])) % _MEBIBYTE == 0 or _UNIT.match(behind(match)):
        return True
    return any(words.search(text) for words in _SERIALS)


# Four numbers with dots

_ADDRESS_BEFORE = re.compile(
    rf"{_WORDS['address_before']}(?![a-z])|{_WORDS['address_before_zh']}", re.I | re.A
)
_ADDRESS_BEHIND = re.compile(r":\d{2,5}(?!\d)|/(?:[89]|[12]\d|3[0-2])(?![\d.])| - -| ?(?:port\b|端口)", re.I)
_VERSION_BEFORE = re.compile(
    rf"(?:(?<![a-z]){_WORDS['version_en']}|{_WORDS['version_zh']})[.号號》]?\s?[:=]?\s?"
    r"(?:[是为為从從至到]\s?|(?:is|was|to|from|number|no\.?)\s)?[v(\[\"'`]?$",
    re.I,
)
_QUADS_BEFORE = re.compile(
    r"(?:(?<![\d.])\d{1,3}(?:\.\d{1,3}){2,3}\s?(?:to|and|or|[-,，、/至到和或→]|->)\s?){1,2}$"
)
"""Versions before the value that share its word: version 31.0.15.122 to 31.0.15.186."""
_VERSION_BEHIND = re.compile(rf"\s?[(]?{_WORDS['version_behind']}", re.I)
_SMALL = 64
"""Versions, sections and revisions have at most one number of 64 or more; 95 % of all addresses have two or more."""


def is_version(match: Match) -> bool:
    """Return whether four numbers with dots are a version or a clause rather than the address of a host.

    A word of versions directly before decides, then a word of addresses before or a port behind, then a word of
    versions behind. Without words the numbers decide: versions begin with small ones.
    """
    text = before(match)
    if _VERSION_BEFORE.search(_QUADS_BEFORE.sub("", text)):
        return True
    if _ADDRESS_BEFORE.search(text[-24:]) or _ADDRESS_BEHIND.match(behind(match)):
        return False
    if _VERSION_BEHIND.match(behind(match)):
        return True
    return sum(int(part) >= _SMALL for part in match["v"].split(".")) < 2


# Numbers joined to others

_MOBILE = r"(?:(?:\+|00)?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}"
_LANDLINE = r"\(?0\d{2,3}(?:\) ?|[ -])?\d{7,8}"
_PHONE = rf"(?:{_MOBILE}|{_LANDLINE}|\(?\d{{3}}(?:\) ?|[-.])\d{{3}}[-.]\d{{4}}|\d{{7,8}}|\d{{17}}[\dXx]|\d{{13,19}})"
_START = r"(?:(?<=tel)|(?<=phone)|(?<![0-9A-Za-z/=&#?_.,-]))"
_AFTER_NUMBER = re.compile(
    rf"(?:{_START}{_PHONE}(?:[/,] ?{_PHONE})*|[/,]{_PHONE}(?:[/,]{_PHONE}){{2}})[/,]$", re.I
)


def is_free(match: Match) -> bool:
    """Return False for a number behind `8/` or `8,`, unless what ends there is a number of the same sort.

    13812345678/13912345678 are two telephone numbers, /2023/13812345678 is a path and 1,13812345678 a row of numbers.
    """
    text = before(match)
    return not re.search(r"\d[/,]$", text) or _AFTER_NUMBER.search(text) is not None


_STEP = r"(?: ?\([^()\d\n]{1,8}\))?(?:\s{0,8} ?[/、,，;或和] ?\s{0,8}|\s{1,12})"
_FIRST_LOCAL = re.compile(
    r"(?<![0-9A-Za-z_/=-])(?:\(?0\d{2,3}(?:\) ?|[ -])|\(?(?:\+|00)?86[ -]\d{2,3}(?:\) ?|[ -]))(?P<first>\d{7,8})"
    rf"(?:{_STEP}\d{{7,8}}){{0,3}}{_STEP}$"
)


def continues_landline(match: Match) -> bool:
    """Return whether a local number follows a landline whose area code it shares: 0571-87654321/87654322."""
    if re.match(r"20\d\d(?:0[1-9]|1[0-2])(?:[012]\d|3[01])$", match["v"]):
        return False
    other = _FIRST_LOCAL.search(before(match))
    return other is not None and len(other["first"]) == len(match["v"])
