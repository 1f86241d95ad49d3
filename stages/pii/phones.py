"""Telephone numbers: area code, length and country decide what a number is, and the word before it whether it is one.

A number that its form does not identify (a local number, ten digits together, a foreign number without its country) is
found only directly behind a word of contact: 电话, Tel, Fax, 热线. The plans are in `phones.yaml`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pipeline.data_files import read_yaml
from pipeline.recipe import package_file
from stages.kernels.pii.signs import LABELLED, LONG, NUMBER, PLUS
from stages.pii import neighbours
from stages.pii.neighbours import before, behind, is_counted_or_serial, is_free
from stages.pii.rule import JOINED, JOINED_RIGHT, LEFT, NO_UNIT, Rule

Match = re.Match[str]

PHONES_PATH = package_file(__file__, "phones.yaml")
_PLANS = read_yaml(PHONES_PATH)

_EIGHT = re.compile("|".join(_PLANS["eight_digits"]))
_SEVEN = re.compile("|".join(_PLANS["seven_digits"]))
LENGTHS: dict[str, list[int]] = {str(code): sizes for code, sizes in _PLANS["lengths"].items()}
_THREE = re.compile(r"2[1-69]|3[578]|42|5[09]|6[789]|8[0578]|9[679]")
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[012]\d|3[01])")
_NAMED_DATE = re.compile(
    r"(?:19|20)\d\d ?[-./] ?(?:(?:0?[1-9]|1[0-2])\b|(?:19|20)\d\d)|\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d"
)
NANP = re.compile(r"(?!888|877|866|855|844|833|822|.00|.11)[2-9][0-8]\d(?!.11)[2-9]\d{6}")
"""A North American number (NANPA numbering plan), without the toll-free and service codes of companies."""
_TOLL_FREE = r"(?:800|888|877|866|855|844|833|822)"

# Words before a number

_ZH = "|".join(" {0,4}".join(word) for word in _PLANS["words_zh"])
_EN = "|".join(_PLANS["words_en"])
_MORE_ZH = (
    r"(?: ?(?:号码?|號碼?|方式|热线|熱線|专线|專線|电话|電話|传真|傳真|手机|[机機]|人|[一二三四五0-9]))*"
)
_MORE_EN = (
    r"(?:[ .\-/&]{0,3}(?:phone|no|numbers?|num|nr|us|line|support|now|today|at|on|me|is|are|or|and|fax|tel|m"
    r"obile|customer|service"
    r"|sales|toll[- ]free|24/7|[1-4])\b)*"
)
_BETWEEN = (
    r"(?: ?[是为為]| is)?(?:[ \t]?\([^()\n]{0,20}\))?[\s:=|*\"'`\[【「<>#.·•~\-]{0,20}"
    r"(?:[\u4e00-\u9fff]{1,6}(?:\([^()\n]{0,8}\))?[: ]{1,2})?\(?\+? ?$"
)
_FIRSTS = "".join(sorted({word[0] for word in _PLANS["words_zh"]} | set("tpmhcfwdlrsoTPMHCFWDLRSO☎☏✆📞📱📲")))
_LABEL = re.compile(
    rf"(?=[{_FIRSTS}])(?:(?:{_ZH}){_MORE_ZH}|(?:(?<![A-Za-z])|(?-i:(?<=[a-z])(?=[PMTF][a-z])))(?:{_EN})"
    rf"{_MORE_EN}|(?<![A-Za-z])[TPFMC](?= ?[:.])|[☎☏✆📞📱📲]\ufe0f?){_BETWEEN}",
    re.I,
)
_OTHERS = re.compile(
    r"(?=[(\[+\d])(?:\+?(?<!\d)[(\[]?\d[\d ()\[\]\-]{5,18}\d(?:\s?\([^()\d\n]{1,8}\))?\s{0,2}(?:[/、,，;；|"
    r"或和及与]|and\b|or\b|(?<=\d)\s)\s{0,2}){1,3}$"
)
"""Numbers before the value that share its word: 电话：0571-87654321、87654322."""


_MAIL_BEFORE = re.compile(
    r"(?:[\w.]@[\w.-]+\.[a-z]{2,6}|\[email.{0,4}protected\])[\s|/·•,;:-]{1,8}\(?\+?$", re.I
)
_MAIL_BEHIND = re.compile(
    r"(?:[\s|/·•,;:-]{1,8}[\d() +-]{8,16}){0,2}[\s|/·•,;:-]{1,8}(?:\[email|[\w.+-]{2,32}@\w)", re.I
)


_LABEL_BEHIND = re.compile(
    rf"\s?\([^()\d\n]{{0,8}}(?:{_ZH}|\b(?:{_EN}|telegram|signal|tg)\b)[^()\d\n]{{0,24}}\)", re.I
)
"""A word of contact in a bracket behind a number: 9876 5432 (whatsapp/tg)."""

_STREET = re.compile(
    r" (?:[NSEW]\.? )?(?:[A-Z][A-Za-z.']{1,16} ){1,3}"
    r"(?:St|Street|Ave|Avenue|Rd|Road|Blvd|Boulevard|Dr|Drive|Ln|Lane|Way|Hwy)\b"
)
"""A street behind the numbers of a house: Contact us 101-1305 Welch St."""

_TAIL = re.compile(r"[\d)][\s/、,，;；|或和及与andor]{1,8}$")
"""What is between a number and another that shares its word."""


def is_labelled(match: Match) -> bool:
    """Return whether a word of contact is directly before a number or the numbers that it is joined to, or in a bracket
    behind it."""
    return _has_label(before(match)) or _LABEL_BEHIND.match(behind(match)) is not None


@lru_cache(maxsize=1024)
def _has_label(text: str) -> bool:
    """Return whether a text ends with a word of contact, or with numbers behind one; several rules ask for the same
    text."""
    if _LABEL.search(text):
        return True
    if not _TAIL.search(text):
        return False
    shorter = _OTHERS.sub("", text)
    return shorter != text and _LABEL.search(shorter) is not None


def is_contact(match: Match) -> bool:
    """Return whether a word of contact is before a number, or an e-mail address on either side of it or its
    neighbours."""
    text = before(match)
    if is_labelled(match) or _MAIL_BEFORE.search(text) or _MAIL_BEHIND.match(behind(match)):
        return True
    return _TAIL.search(text) is not None and _MAIL_BEFORE.search(_OTHERS.sub("", text)) is not None


def digits(match: Match, group: str = "v") -> str:
    """Return the digits of a group of a match."""
    return re.sub(r"\D", "", match[group])


def stands_alone(match: Match) -> bool:
    """Return False for a number written in groups that is part of a longer row of numbers."""
    if not re.search(r"\d[ .-]", match["v"]):
        return True
    after = match.string[match.end("v") : match.end("v") + 2]
    in_front = "" if match["v"][0] in "+([" else before(match, 2)
    return not re.search(r"\d[ .-]$", in_front) and not re.match(r"[ .-]\d", after)


# China


def is_mobile_cn(match: Match) -> bool:
    """Reject order numbers, amounts and the like, unless a country code makes the number a telephone number."""
    if not is_free(match) or not stands_alone(match):
        return False
    return _country(match) or not is_counted_or_serial(match)


def is_split_mobile_cn(match: Match) -> bool:
    """Accept a mobile number in unusual groups behind a word of contact."""
    return is_labelled(match)


def _country(match: Match) -> bool:
    """Return whether a number has the code of China before it or in its bracket."""
    groups = match.groupdict()
    return bool(groups["cc"] or groups.get("inner"))


def _has_plan(area: str, local: str) -> bool:
    """Return whether local numbers of an area have this length."""
    pattern = _EIGHT if len(local) == 8 else _SEVEN
    return pattern.fullmatch(area) is not None


def is_landline_cn(match: Match) -> bool:
    """Reject serial numbers and dates; a number needs a country code, a separator or a word of contact before it.

    Area codes whose numbers have another length need the word of contact. Seven digits in groups of three and four
    without Chinese text around are British (0870 123 4567).
    """
    area, joint, local = match["area"], match["joint"], digits(match, "local")
    if _DATE.fullmatch(local) or not is_free(match):
        return False
    if area in ("852", "853", "886") and not re.match(r"[(\[]? ?0", match["v"]):
        return False  # Hong Kong, Macau, Taiwan
    labelled = is_labelled(match)
    if not _has_plan(area, local):
        named = labelled or (not joint.isspace() and joint != "" and _is_chinese(match))
        if not named or not (
            len(area) == 3 or _country(match) or _SEVEN.fullmatch(area) or _EIGHT.fullmatch(area)
        ):
            return False
    if _country(match):
        return True
    if " " in match["local"] and len(local) == 7 and joint == " " and not _is_chinese(match):
        return False
    return bool(joint or match["open"] or labelled) and (labelled or not is_counted_or_serial(match))


def _is_chinese(match: Match) -> bool:
    """Return whether there are Han characters within 16 characters of the value."""
    return re.search(r"[\u4e00-\u9fff]", before(match, 16) + behind(match)) is not None


def is_local(match: Match) -> bool:
    """Accept a local number of seven or eight digits behind a word of contact, unless it is a date or of a house."""
    return not _DATE.match(digits(match)) and not _STREET.match(behind(match)) and is_labelled(match)


def is_service_cn(match: Match) -> bool:
    """Accept 400 and 800 numbers written in groups, or behind a word of contact.

    Ten digits: 400 and 800 lines of China (YD/T 1086, and the plan of 2010), written 3-3-4, 3-4-3, 4-3-3, 4-4-2.
    """
    groups = re.findall(r"\d+", match["main"])
    if (
        not stands_alone(match)
        or not is_free(match)
        or (max(len(group) for group in groups) > 4 and len(groups) > 2)
    ):
        return False
    if is_labelled(match):
        return True
    return len(groups) >= 3 and "-" in match["v"] and not is_counted_or_serial(match)


# Other countries


def is_international(match: Match) -> bool:
    """Accept numbers with a plus by country code and length (ITU-T E.164); China and toll-free have rules of their
    own."""
    number = re.sub(r"\D", "", match["v"].replace("(0)", ""))
    if not 8 <= len(number) <= 15 or (match["v"].count(".") == 1 and not re.search("[ -]", match["v"])):
        return False
    if number[0] == "1":
        return bool(NANP.fullmatch(number[1:])) or (
            len(number) == 11 and is_labelled(match) and not _is_placeholder(number[1:])
        )
    if number.startswith("86"):
        return False
    return has_country(number) or (is_labelled(match) and not _is_placeholder(number))  # plans change


def _is_placeholder(number: str) -> bool:
    """Return whether a number counts up or repeats a digit, as in forms and templates."""
    return len(set(number)) < 3 or number.startswith(("123456", "012345"))


def has_country(number: str) -> bool:
    """Return whether digits begin with a country code and have a length of its plan, or one more for a zero."""
    for size in (1, 2, 3):
        sizes = LENGTHS.get(number[:size])
        if sizes is not None:
            rest = number[size:]
            return len(rest) in sizes or (rest[0] == "0" and len(rest) - 1 in sizes)
    return _THREE.match(number) is not None and 6 <= len(number) - 3 <= 10


def is_greater_china(match: Match) -> bool:
    """Accept numbers of Hong Kong, Macau and Taiwan with a country code without a plus."""
    return has_country(re.sub(r"\D", "", match["v"].replace("(0)", "")).removeprefix("00")) and is_free(match)


def is_taiwan(match: Match) -> bool:
    """Accept numbers of nine or ten digits with a zero, an area of one digit and hyphens or brackets."""
    number = digits(match)
    return (
        len(number) in (9, 10)
        and not _NAMED_DATE.search(match["v"])
        and stands_alone(match)
        and is_free(match)
    )


def is_us_phone(match: Match) -> bool:
    """Accept North American numbers written with their usual separators."""
    number = digits(match)[-10:]
    return bool(NANP.fullmatch(number)) and stands_alone(match) and is_free(match)


def is_us_toll_free(match: Match) -> bool:
    """Accept toll-free numbers of North America."""
    return digits(match)[-7] in "23456789" and stands_alone(match) and is_free(match)


def is_foreign(match: Match) -> bool:
    """Accept groups of 7 to 13 digits directly behind a word of contact, unless they are a date or a decimal number."""
    text = match["v"]
    number = digits(match)
    if not 7 <= len(number) <= 13 or _NAMED_DATE.match(text) or _is_placeholder(number):
        return False
    if re.fullmatch(r"\d+\.\d+", text) or _STREET.match(behind(match)):
        return False
    return is_labelled(match) or (len(number) >= 9 and is_contact(match))


def is_together(match: Match) -> bool:
    """Accept nine to eleven digits together directly behind a word of contact."""
    if _is_placeholder(match["v"]):
        return False
    return is_labelled(match) or (is_contact(match) and not is_counted_or_serial(match))


NUMBER_HEAD = r"(?=[0-9 (\[+])"
"""How every number begins; the search fails fast everywhere else."""

PHONE_LEFT = (
    rf"{NUMBER_HEAD}(?<!\+)(?:(?<=[Tt][Ee][Ll])|(?<=[Tt]el[=-])|(?<=[Pp]hone)|(?<=phone=)|(?<=mobile=)|(?<=[\\]["
    rf"nt])|{JOINED}|{LEFT})"
)
LABEL_LEFT = rf"{NUMBER_HEAD}(?<![0-9A-Za-z_+])(?<![0-9A-Za-z][.\-/=(])(?<!\+\()"
LABEL_RIGHT = r"(?![0-9A-Za-z_@])(?![.\-:][0-9])(?!,[0-9]{1,4}(?![0-9]))"
_CC = r"(?:\((?:\+|00)?86\)|(?:\+|00)86|86(?=[ )(\-]))[ .\-]{0,3}(?:\(0\)[ -]?)?"
_AREA = r"10|2[0-57-9]|[3-9]\d\d"
_EXTENSION = r"(?: ?(?:-|转|轉|ext\.? ?|x) ?\d{1,5})?"
_PLACES = r"(?:\(?(?:\+|00)?\(?(?:852|853|886)\)|(?:\+|00)(?:852|853|886)|(?:852|853|886)(?=-| ?\())"
_GROUP = r"[ .\-/]{1,3}(?:\(\d{2,8}\)|\d{2,8})"
_US = (
    r"\(\d{3}\)[ .\-/]{0,3}\d{3}[ .\-]{0,3}|\d{3}-\d{3}-|\d{3}\.\d{3}\.|\d{3}/\d{3}-|\d{3} \d{3}-|"
    r"\d{3} - \d{3} - |\d{3}[-/] \d{3}[ -]{1,3}"
)

RULES = (
    Rule("tollfree", NUMBER, re.compile(
        rf"{PHONE_LEFT}(?P<v>(?:\+?1[ .\-]{{0,2}})?(?:\({_TOLL_FREE}\)[ .\-]{{0,2}}|{_TOLL_FREE}[ .\-])\d{{3"
        rf"}}[ .\-]\d{{4}})"
        rf"{JOINED_RIGHT}"), is_us_toll_free),
    Rule("tollfree", PLUS, re.compile(
        rf"(?<![0-9A-Za-z_)\]+])(?P<v>\+1[ .\-]{{0,2}}\(?{_TOLL_FREE}\)?[ .\-]{{0,2}}\d{{3}}[ .\-]?\d{{4}})"
        rf"{JOINED_RIGHT}"),
        is_us_toll_free),
    Rule("tollfree", NUMBER, re.compile(
        rf"{PHONE_LEFT}(?P<v>(?:{_CC})?(?P<main>[48]00(?:[ \-]{{0,3}}\d){{7}}){_EXTENSION}){JOINED_RIGHT}"
        rf"{NO_UNIT}"), is_service_cn),
    Rule("phone_cn", LONG, re.compile(
        rf"{PHONE_LEFT}(?P<v>(?P<cc>{_CC}|86)?1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}}){JOINED_RIGHT}{NO_UNIT}"), is_mobile_cn),
    Rule("phone_cn", LABELLED, re.compile(
        rf"{LABEL_LEFT}(?P<v>1[3-9](?:[ .\-]{{0,2}}\d){{9}}){LABEL_RIGHT}{NO_UNIT}"), is_split_mobile_cn),
    Rule("phone_cn", NUMBER, re.compile(
        rf"{PHONE_LEFT}(?P<v>(?:(?P<cc>{_CC})|(?=[(\[]? ?0)|(?=[(\[](?:\+|00)?86[ -])|(?=\((?:{_AREA})\) ?[2"
        rf"-8]\d{{3}}[ -]?\d{{4}}))(?P<open>[(\[](?:(?P<inner>(?:\+|00)?86)[ -])?)? ?"
        rf"0?(?P<area>{_AREA})(?P<joint>(?(open) ?[)\]])[ -]{{0,3}})(?P<local>[2-9]\d{{2,3}}[ -]?\d{{4}})"
        rf"{_EXTENSION})"
        rf"{JOINED_RIGHT}{NO_UNIT}"), is_landline_cn),
    Rule("phone_cn", NUMBER, re.compile(rf"(?<![0-9A-Za-z_.\-])(?P<v>[2-8]\d{{6,7}}){JOINED_RIGHT}{NO_UNIT}"),
        neighbours.continues_landline),
    Rule("phone_cn", LABELLED, re.compile(
        rf"{LABEL_LEFT}(?P<v>[2-9]\d{{2,3}}[ -]?\d{{4}}(?: ?[-转轉] ?\d{{1,4}})?){LABEL_RIGHT}{NO_UNIT}"), is_local),
    Rule("phone", PLUS, re.compile(
        rf"(?<![0-9A-Za-z_)\]+])(?P<v>\+ ?\(?\d(?:[ .()/\-]{{0,3}}\d){{7,14}}{_EXTENSION}){JOINED_RIGHT}"),
        is_international),
    Rule("phone", NUMBER, re.compile(
        rf"{PHONE_LEFT}(?P<v>{_PLACES}[ \-]{{0,3}}(?:\(0\) ?)?(?:[2-9]|\(?0?[2-8]\d?\)?[ \-]{{0,2}}\d)(?:[ "
        rf"\-]?\d){{6,8}})"
        rf"{JOINED_RIGHT}"), is_greater_china),
    Rule("phone", NUMBER, re.compile(
        rf"{PHONE_LEFT}(?P<v>\(0(?:[2-8]|37|49|89|82)\)[ \-]?\d{{3,4}}[ \-]?\d{{3,4}}|0[2-8](?:\(\d{{3,4}}\)"
        rf"|-\d{{3,4}}[ \-]?)\d{{4}}"
        rf"|09\d\d-\d{{3}}-?\d{{3}}|0(?:37|49|89)-\d{{6}}){JOINED_RIGHT}{NO_UNIT}"), is_taiwan),
    Rule("phone", NUMBER, re.compile(
        rf"{PHONE_LEFT}(?P<v>(?:\+?1[ .\-]{{1,2}})?(?:{_US})\d{{4}}{_EXTENSION}){JOINED_RIGHT}"), is_us_phone),
    *(Rule("phone", LABELLED, re.compile(rf"{LABEL_LEFT}(?P<v>(?:\(\d{{1,6}}\)|\d{{1,6}})(?:{_GROUP}){{{n}}}"
    rf"){LABEL_RIGHT}{NO_UNIT}"),
        is_foreign) for n in range(1, 5)),
    Rule("phone", LABELLED, re.compile(rf"{LABEL_LEFT}(?P<v>\(\d{{2,5}}\)\d{{5,8}}|\(\d{{3}}\)\d{{3}}[ -]\d"
    rf"{{4}}){LABEL_RIGHT}"),
        is_foreign),
    Rule("phone", LABELLED, re.compile(rf"{LABEL_LEFT}(?P<v>[2-9]\d{{9}}|0\d{{8,10}}|00\d{{9,13}})"
    rf"{LABEL_RIGHT}{NO_UNIT}"),
        is_together),
)  # fmt: skip
"""Forms of telephone numbers; LABELLED ones need a word of contact."""


def label_words() -> list[str]:
    """Return beginnings of the words of contact, for the kernel: two characters of a Chinese one, three of an
    English one."""
    english = (
        "tel tél pho mob mov móv han cel fax fac cal hot wha dia tol tex sms hel lan swi rec res tty con off"
    ).split()
    marks = [f"{letter}{mark}" for letter in "tpfmc" for mark in (":", ".", " :", " .")]
    return [
        *(word[:2] for word in _PLANS["words_zh"]),
        *english,
        "ph ",
        "ph.",
        "ph:",
        *(mark.replace(" ", "") for mark in marks),
    ]
