"""Named entities without a model: proper names, quoted titles, names of people and organisations, identifiers.

Proper names of Latin script by their capitals, Chinese names by surnames, titles and endings, identifiers
and versions by their form. Precision comes first: a name that the forms do not show is not reported.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.data_files import read_yaml
from stages.checks.fold import fold

NAMES_PATH = str(Path(__file__).with_name("names.yaml"))
MIN_LATIN = 2  # letters of a Latin word that is a name inside Chinese text
_HAN = r"[\u3400-\u9fff]"
_IDENTIFIER = re.compile(
    r"(?<![A-Za-z0-9_])(?:[vV]?\d+(?:\.\d+){2,}[A-Za-z0-9.-]*|[A-Za-z]+(?:_[A-Za-z0-9]+)+|[a-z]+(?:[A-Z][a-z0-9]*)+|"
    r"[A-Z]{2,}-?\d+|[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+\(?|https?://[^\s<>\u3400-\u9fff]+)"
)
_LATIN = re.compile(
    r"(?<![\\A-Za-z0-9_])[A-Za-z\u00c0-\u024f][A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]*(?:[-'][A-Za-z\u00c0-\u024f]+)*"
)
_QUOTED = re.compile(r"《([^《》\n]{1,40})》|〈([^〈〉\n]{1,40})〉")
_MATH_WORDS = frozenset(
    "sin cos tan log ln lg max min gcd lcm mod frac dfrac tfrac cfrac sqrt times div cdot left right text mathrm begin "
    "end quad qquad leq geq neq approx sim infty angle triangle circ perp parallel because therefore "
    "alpha beta gamma delta theta lambda pi sigma omega cm mm km kg ml mg dm min ab cd ac bc ad bd "
    "abc abcd array align aligned cases ldots cdots dots overline underline boxed displaystyle rm bf".split()
)


_NO_NAME = re.compile(r"(?:tion|sion|ment|ness|ity|ing|ance|ence|ed|ly|ure|sis|[^s]s|al|ic|ive|ous)$")
_DOES = re.compile(
    r"\s+(?:has|had|was|can|could|will|would|needs?|makes?|made|buys?|bought|sells?|sold|spends?|spent|earns?|earned|gives?|gave|"
    r"gets?|got|goes|went|walks?|walked|runs?|ran|eats?|ate|reads?|wrote|writes?|says?|said|wants?|wanted|works?|worked|pays?|"
    r"paid|bakes?|baked|drives?|drove|takes?|took|uses|used|saves?|saved|starts?|started|leaves?|left|collects?|collected|"
    r"receives?|received|picks?|picked|owns?|owned|and\s+(?:[A-Z][a-z]+|his|her)|must|should|did|does|also|then|still|now)\b"
)


class Entity(NamedTuple):
    """A name in a text: how it is searched for in a source, its offsets and its kind."""

    name: str
    start: int
    end: int
    kind: str


@cache
def _names() -> dict[str, Any]:  # Any: lists and strings of the data file
    data = read_yaml(NAMES_PATH)
    data["given_en"] = frozenset(data["given_en"].split())
    data["openers_en"] = frozenset(data["openers_en"].split())
    return data


@cache
def _chinese_patterns() -> tuple[re.Pattern[str], ...]:
    data = _names()
    surname = "".join(sorted(set(data["surnames_zh"].replace(" ", ""))))
    titles, organisations, places = (
        "|".join(data[key]) for key in ("titles_zh", "organisations_zh", "places_zh")
    )
    return (
        re.compile(rf"(?<![大微缩减])小(?![{data['no_nicknames_zh']}]){_HAN}"),
        re.compile(rf"(?<!{_HAN})[老小]?[{surname}]{_HAN}?{_HAN}?(?:{titles})"),
        re.compile(
            rf"(?<!{_HAN})(?!{'|'.join(data['no_names_zh'].split())})[{surname}]{_HAN}{{1,2}}(?=[{data['verbs_zh']}])"
        ),
        re.compile(rf"{_HAN}{{2,8}}(?:{organisations})"),
        re.compile(rf"{_HAN}{{2}}(?:{places})"),
        re.compile(r"(?<![甲乙丙丁戊己庚辛])[甲乙丙丁戊己庚辛](?![甲乙丙丁戊己庚辛醇烷烯炔酸苯方级等])"),
    )


def find_entities(text: str) -> list[Entity]:
    """Return the names of a text in their order; offsets are code points.

    >>> [entity.name for entity in find_entities("Then Alice met Bob in Paris. 小明读《红楼梦》，用 Redis 7.2.1")]
    ['alice', 'bob', 'paris', '小明', '红楼梦', 'redis', '7.2.1']
    """
    folded = fold(text)
    found = [*_quoted(folded), *_identifiers(folded), *_latin(folded), *_chinese(folded)]
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda entity: (entity.start, -entity.end)):
        if not kept or entity.start >= kept[-1].end:
            kept.append(entity)
    return kept


def _quoted(text: str) -> list[Entity]:
    return [
        Entity(match[1] or match[2], match.start() + 1, match.end() - 1, "title")
        for match in _QUOTED.finditer(text)
    ]


def _identifiers(text: str) -> list[Entity]:
    return [
        Entity(
            match.group().rstrip(".,;(").lower(),
            match.start(),
            match.start() + len(match.group().rstrip(".,;(")),
            "identifier",
        )
        for match in _IDENTIFIER.finditer(text)
    ]


def _latin(text: str) -> list[Entity]:
    """Words with a capital that no sentence begins with, or known as given names; all words inside Chinese text."""
    data = _names()
    entities = []
    for match in _LATIN.finditer(text):
        word = match.group()
        bare = re.sub(r"'s?$|'[a-z]{1,2}$", "", word)
        lower = bare.lower()
        is_han = _beside_han(text, match.start(), match.end())
        if len(bare) < MIN_LATIN or lower in _MATH_WORDS or _in_formula(text, match):
            continue
        if is_han:
            if lower not in data["openers_en"]:
                entities.append(Entity(lower, match.start(), match.start() + len(bare), "word"))
        elif bare[0].isupper() and lower not in data["openers_en"]:
            if (
                bare in data["given_en"]
                or not _opens_sentence(text, match.start())
                or _is_subject(text, match)
            ):
                entities.append(Entity(lower, match.start(), match.start() + len(bare), "name"))
    return entities


def _is_subject(text: str, match: re.Match[str]) -> bool:
    """Whether a word at the beginning of a sentence does what people do, or has something."""
    if _NO_NAME.search(match.group()):
        return False
    return match.group().endswith("'s") or bool(_DOES.match(text, match.end()))


def _in_formula(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return (before in ("\\", "{", "^", "_") and before != "") or (after in ("_", "{", "^") and after != "")


def _beside_han(text: str, start: int, end: int) -> bool:
    """Whether the nearest letter on one side is a Han character, so that the words around are Chinese."""
    before = text[max(0, start - 12) : start].rstrip(" \"'`(（“《,，、：:")[-1:]
    after = text[end : end + 12].lstrip(" \"'`)）”》,，、。：:")[:1]
    return any("\u3400" <= char <= "\u9fff" for char in (before, after) if char)


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 24) : start].rstrip(" \"'`(*_#>-$\t[")
    return (
        not before
        or before[-1] in ".!?:;\n。！？：；"
        or bool(re.search(r"(?:^|\n)\s*[-*#>|\d.()]+\s*$", text[max(0, start - 24) : start]))
    )


def _chinese(text: str) -> list[Entity]:
    data = _names()
    entities = []
    for pattern, kind in zip(
        _chinese_patterns(), ("name", "name", "name", "organisation", "place", "name"), strict=True
    ):
        for match in pattern.finditer(text):
            name = match.group()
            if kind in ("organisation", "place"):
                ending = next(e for e in data[f"{kind}s_zh"] if name.endswith(e))
                stem = name[: -len(ending)][-2:]
                if any(stem.endswith(word) or stem.startswith(word) for word in data["common_zh"]):
                    continue
                name = stem + ending
            entities.append(Entity(name, match.end() - len(name), match.end(), kind))
    return entities


def occurs(entity: Entity, source: str) -> bool:
    """Whether a source contains a name; source, folded and in lower case.

    A word of letters must be a word of the source; a plural of it or without its ending counts.
    """
    if entity.name in source:
        if not entity.name[0].isascii() or not entity.name.isalpha():
            return True
        return bool(re.search(rf"(?<![a-z]){re.escape(entity.name)}", source))
    if entity.kind in ("name", "word") and entity.name.isascii():
        stem = re.sub(r"(?:ies|es|s|ed|ing|ly)$", "", entity.name)
        return len(stem) > 2 and bool(re.search(rf"(?<![a-z]){re.escape(stem)}", source))
    return False
