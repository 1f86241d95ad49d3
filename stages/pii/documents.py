"""Numbers of documents, accounts and devices: passports, permits, IBAN, MAC addresses, licence plates, vehicles,
students.

Those with check digits or a strict form are found anywhere, the others behind their words.
"""

from __future__ import annotations

import re

from stages.kernels.pii.signs import DOCUMENT, IBAN, LETTERED, MAC, PLATE, VEHICLE
from stages.pii.neighbours import before, behind
from stages.pii.rule import IS, form

Match = re.Match[str]

PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
"""First characters of plates (GA 36-2018)."""

HEADS = {
    DOCUMENT: ("护照", "護照", "passport", "通行证", "通行證", "回乡证", "回鄉證", "台胞证", "台胞證",
    "旅行证", "旅行證", "居住证", "居住證", "学号", "學號", "学籍号",
               "student id", "student no", "student num"),
    VEHICLE: ("车牌", "車牌", "牌照", "车号", "車號", "车架", "車架", "车辆识别", "車輛識別", "vin", "chassis",
    "license plate", "licence plate", "plate"),
    PLATE: tuple(PROVINCES),
}  # fmt: skip
"""Words that introduce a document, by sign, in any case."""

_JOINT = (
    r"[)\]]?(?: ?(?:[号號]码?碼?|号码|號碼|编号|代[码號]|[Nn][Oo]\.?|[Nn]um(?:ber)?|NUMBER|#))?(?:\([^()\n]"
    rf"{{0,16}}\))?{IS}[ :=#\-\"'|\t]{{0,4}}"
)
_MARK = (
    r"[)\]]?(?:(?: ?(?:[号號]码?碼?|号码|號碼|[Nn][Oo]\.?|[Nn]um(?:ber)?|NUMBER|#))(?:\([^()\n]{0,16}\))?"
    rf"{IS}[ :=#\-\"'|\t]{{0,4}}|{IS} ?[:=#|][ \"']{{0,2}})"
)
_RIGHT = r"(?![0-9A-Za-z_@])(?![.\-][0-9])"
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[012]\d|3[01])")


def is_number(match: Match) -> bool:
    """Reject dates and repeated digits."""
    return _DATE.fullmatch(match["v"]) is None and len(set(match["v"])) > 2


# Hong Kong, Macau, Taiwan

_ID_WORD = re.compile(
    r"身份|身分|证件|證件|证号|證號|居民|\bid\b|identity|hkid|bir\b|统一编号|統一編號", re.I
)
_NEAR = 16
"""Characters behind a number in which its word may be: 1234567(8)，澳門身份證."""
_LETTERS = {letter: value for value, letter in enumerate("ABCDEFGHJKLMNPQRSTUVXYWZIO", 10)}


def is_hong_kong_id(match: Match) -> bool:
    """Check the digit in brackets: weights 9 to 2 from the left, a blank for a missing letter, modulo 11."""
    text = re.sub(r"[ ()]", "", match["v"])
    body = text[:-1].rjust(8)
    values = [36 if char == " " else int(char, 36) for char in body]
    total = sum(weight * value for weight, value in zip(range(9, 1, -1), values, strict=True))
    return "0123456789A"[-total % 11] == text[-1]


def is_macau_id(match: Match) -> bool:
    """Accept seven digits and one in brackets beside a word of identity; the check digit is not published."""
    text = f"{before(match)} {behind(match)[:_NEAR]}"
    return _ID_WORD.search(text) is not None or re.search("澳[门門]|Maca[uo]", text) is not None


def is_taiwan_id(match: Match) -> bool:
    """Check the last digit: the letter counts as two digits, weights 1 9 8 7 6 5 4 3 2 1 1, modulo 10; needs a word."""
    text = match["v"]
    letter = _LETTERS[text[0]]
    values = [letter // 10, letter % 10, *(int(char) for char in text[1:])]
    total = sum(
        weight * value for weight, value in zip((1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), values, strict=True)
    )
    return total % 10 == 0 and _ID_WORD.search(before(match)) is not None


# Accounts and devices

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22,
    "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22,
    "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30,
    "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24,
    "ME": 22, "MK": 19, "MR": 27,
    "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24,
    "RS": 22, "SA": 24, "SC": 31,
    "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29,
    "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Lengths of account numbers by country. Source: SWIFT, IBAN registry."""


def is_iban(match: Match) -> bool:
    """Check length and check digits (ISO 13616, ISO 7064 MOD 97-10)."""
    text = match["v"].replace(" ", "").upper()
    if IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def is_mac(match: Match) -> bool:
    """Reject broadcast and zero addresses; digits alone, which may be times or draws, need the word MAC before them."""
    pairs = set(re.split("[:-]", match["v"].lower()))
    if len(pairs) < 3:
        return False
    return (
        re.search("[A-Fa-f]", match["v"]) is not None
        or re.search(r"(?<![a-z])mac(?![a-z])|物理地址", before(match), re.I) is not None
    )


# Vehicles

_PLATE_BODY = (
    r"[ ·•.\-]?(?:[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳领](?![0-9A-Za-z])|[DF][A-HJ-NP-Z0-9]\d{"
    r"4}|\d{5}[DF])"
)


def is_plate(match: Match) -> bool:
    """Require three digits or more behind the letter of the place; registration numbers of sites have a hyphen and
    more."""
    body = match["v"][2:]
    return (
        sum(char.isdigit() for char in body) >= 3
        and sum("A" <= char <= "Z" for char in body) <= 2
        and len(set(body)) > 1
    )


RULES = (
    form("passport", DOCUMENT,
        rf"(?:[护護]照|(?<![A-Za-z])[Pp]assport|PASSPORT){_JOINT}(?P<v>[A-Z]{{1,2}}\d{{6,8}}|[A-Z]\d{{2}}[A-"
        rf"Z]{{2}}\d{{4}}){_RIGHT}", is_number),
    form("passport", DOCUMENT,
        rf"(?:[护護]照|(?<![A-Za-z])[Pp]assport|PASSPORT){_MARK}(?P<v>\d{{7,9}}){_RIGHT}", is_number),
    form("permit", DOCUMENT,
        rf"(?:通行[证證]|回[乡鄉][证證]|台胞[证證]|旅行[证證]|居住[证證]){_JOINT}(?P<v>[A-Z]{{1,2}}\d{{7,10"
        rf"}}|\d{{8}}(?:\d\d)?){_RIGHT}", is_number),
    form("student_id", DOCUMENT,
        rf"(?:[学學][号號籍]|(?<![A-Za-z])[Ss]tudent ?(?:[Ii][Dd]|[Nn]o\.?|[Nn]umber)){_JOINT}(?P<v>[A-Za-z]"
        rf"{{0,4}}\d{{6,14}}){_RIGHT}", is_number),
    form("id_hk_mo_tw", LETTERED, r"(?<![0-9A-Za-z])(?P<v>[A-Z]{1,2}\d{6} ?\([0-9A]\))(?![0-9A-Za"
    r"-z])", is_hong_kong_id),
    form("id_hk_mo_tw", LETTERED, r"(?<![0-9A-Za-z])(?P<v>[1578]\d{6} ?\(\d\))(?![0-9A-Za-z])",
        is_macau_id),
    form("id_hk_mo_tw", LETTERED, r"(?<![0-9A-Za-z])(?P<v>[A-Z][1289]\d{8})(?![0-9A-Za-z])", is_taiwan_id),
    form("iban", IBAN,
        r"(?<![0-9A-Za-z])(?P<v>[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?))(?"
        r"![0-9A-Za-z])", is_iban),
    form("mac", MAC,
        r"(?<![0-9A-Za-z])(?<![0-9A-Fa-f][:\-])(?P<v>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-"
        r"[0-9A-Fa-f]{2}){5})"
        r"(?![0-9A-Za-z]|[:\-][0-9A-Fa-f])", is_mac),
    form("plate_cn", PLATE, rf"(?P<v>[{PROVINCES}][A-HJ-NP-Z]{_PLATE_BODY})(?![0-9A-Za-z\-])", is_plate),
    form("plate_cn", VEHICLE,
        rf"(?:[车車]牌|牌照|[车車][号號]|(?<![A-Za-z])(?:[Ll]icen[sc]e )?[Pp]late){_JOINT}"
        rf"(?P<v>[{PROVINCES}][A-HJ-NP-Z][ ·•.\-]?[A-Z0-9]{{5,6}}|[A-Z]{{1,3}}[ \-]?\d{{3,4}}|\d{{3,4}}-[A-Z"
        rf"]{{2,3}}){_RIGHT}"),
    form("vin", VEHICLE,
        rf"(?:[车車]架|[车車][辆輛][识識][别別]代?[号碼码]?|(?<![A-Za-z])VIN|[Cc]hassis){_JOINT}(?P<v>[A-HJ-"
        rf"NPR-Z0-9]{{17}}){_RIGHT}", is_number),
)  # fmt: skip
"""Forms of documents and devices."""
