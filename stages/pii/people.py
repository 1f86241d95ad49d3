"""Names of people and postal addresses, by dictionary and label; optional kinds, less sure than the others.

A name is found behind a label (联系人：, Name:) or a title, an address behind 地址 or with the number and word of a
street.
"""

from __future__ import annotations

from pipeline.data_files import read_yaml
from pipeline.recipe import package_file
from stages.kernels.pii.signs import NAME, PLACE
from stages.pii.rule import form

PEOPLE_PATH = package_file(__file__, "people.yaml")
_LISTS = read_yaml(PEOPLE_PATH)

HEADS = {
    NAME: (*_LISTS["labels_zh"], *_LISTS["labels_en"], "mr.", "mrs", "ms.", "dr.", "prof."),
    PLACE: ("地址", "住址", "住所", "户籍", "address"),
}
"""Words that introduce a name or an address, by sign, in any case."""

_SURNAME = rf"(?:{'|'.join(_LISTS['compound_surnames'])}|[{_LISTS['surnames']}])"
_LABEL_ZH = "|".join(_LISTS["labels_zh"])
_LABEL_EN = "|".join(_LISTS["labels_en"])
_TITLE = "|".join(_LISTS["titles_zh"])
_STREET = "|".join(_LISTS["streets_en"])
_PERSON_EN = r"[A-Z][a-z]{1,15}(?: [A-Z]\.?)?(?:[ -][A-Z][a-z]{1,19}){1,2}"

RULES = (
    form("name", NAME,
        rf"(?:{_LABEL_ZH})(?:\([^()\n]{{0,6}}\))?[\s:|]{{1,4}}(?P<v>{_SURNAME} {{0,2}}[\u4e00-\u9fff]{{1,2}}"
        rf")(?=[^\u4e00-\u9fff]|(?:{_TITLE})|$)"),
    form("name", NAME,
        rf"(?:{_LABEL_ZH})(?:\([^()\n]{{0,6}}\))?[\s:|]{{1,4}}(?P<v>{_SURNAME})(?=(?:{_TITLE}))"),
    form("name", NAME, rf"(?<![A-Za-z])(?i:{_LABEL_EN})s? ?[:|]\s{{0,3}}(?P<v>{_PERSON_EN})(?![A-"
    rf"Za-z])"),
    form("name", NAME, r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Dr|Prof)\.? (?P<v>(?:[A-Z]\. ?)?[A-Z][a-z]{1,1"
    r"5}(?: [A-Z][a-z]{1,19}){0,2})(?![A-Za-z])"),
    form("address", PLACE,
        r"(?:地址|住址|住所|户籍)(?:\([^()\n]{0,6}\))?[\s:|]{1,4}(?P<v>[\u4e00-\u9fff][\u4e00-\u9fff0-9A-Za-"
        r"z()\-#·、 ]{4,60}?(?:[号號室楼樓座栋幢层層户]|大厦|大廈|广场|廣場"
        r"|[园園][区區]?|村|[单單]元|门面))(?![\u4e00-\u9fff0-9A-Za-z(\-])"),
    form("address", PLACE,
        rf"(?i:address)\s?:?\s{{0,3}}(?P<v>\d{{1,5}}[A-Za-z]? (?:[A-Z][A-Za-z.']*,? ){{1,5}}(?:{_STREET})\b"
        rf"\.?(?:,? [A-Za-z0-9.#]+){{0,6}}(?:,? [A-Z]{{2}} \d{{5}})?)"),
)  # fmt: skip
"""Forms of names and addresses."""
