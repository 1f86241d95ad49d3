"""Licences: names and addresses as SPDX expressions, and what an expression obliges to.

An expression joins identifiers by AND, OR and WITH (SPDX specification 3.0, annex B). `A OR B` may be used under
either, so it obliges to what its least restrictive part does; `A AND B` to what both do.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.data_files import read_yaml
from pipeline.recipe import package_file
from stages.extraction.claim_values import license_id

LICENCES_PATH = package_file(__file__, "licences.yaml")
_DATA = read_yaml(LICENCES_PATH)

CLASSES: tuple[str, ...] = tuple(_DATA["classes"])
"""From the least restrictive to the most."""

NONE = "none"
"""Class of a document without any statement."""

UNKNOWN, RESERVED = "unknown", "reserved"

FLAGS = ("attribution", "share_alike", "non_commercial", "no_derivatives")
"""Obligations, from the least restrictive to the most."""

MAX_CHARS = 300
"""Longer values are texts of licences or pages, not names."""


class Terms(NamedTuple):
    """What a licence obliges to, and its class, the most restrictive of these."""

    attribution: bool = False
    share_alike: bool = False
    non_commercial: bool = False
    no_derivatives: bool = False
    class_: str = CLASSES[0]

    @property
    def rank(self) -> int:
        """Place of the class in CLASSES."""
        return CLASSES.index(self.class_)


class Licence(NamedTuple):
    """A licence: SPDX expression (None for a name that is not recognised) and its terms."""

    expression: str | None
    terms: Terms


def _terms(entry: dict[str, bool]) -> Terms:
    flags = {name: bool(entry.get(name)) for name in FLAGS}
    name = next((n for n in reversed(FLAGS) if entry.get(n)), CLASSES[0])
    return Terms(**flags, class_=RESERVED if entry.get("reserved") else name)


def _pattern(identifier: str) -> str:
    """Pattern of an identifier with any version and suffix, but for one that adds a part of Creative Commons."""
    suffix = r"(?:-(?!(?:[A-Z0-9]+-)*(?:NC|ND|SA|NON\w*|COMMONS)\b)[A-Z0-9-]+)?"
    return re.escape(identifier).replace(r"\*", rf"v?[0-9][0-9.]*{suffix}")


_TERMS = [
    (re.compile("|".join(map(_pattern, entry["ids"])), re.I), _terms(entry)) for entry in _DATA["licences"]
]
_UNKNOWN = Terms(class_=UNKNOWN)
_FIXED = {i.lower(): i for entry in _DATA["licences"] for i in entry["ids"] if "*" not in i}


def _folded(name: str) -> str:
    return re.sub(r"[\s\-_.,:;'\"“”《》()/]+|licen[cs]e|version", "", name.lower().replace("許", "许"))


_NAMES = {
    _folded(name): identifier
    for identifier, names in _DATA["names"].items()
    for name in [identifier, *names]
    if "%v" not in name
}
_VERSIONED = [
    (re.compile(re.escape(name).replace("%v", r"v?(\d(?:\.\d)?)"), re.I), identifier)
    for identifier, names in _DATA["names"].items()
    for name in names
    if "%v" in name
]
_CC = _DATA["creative_commons"]
_CC_MARK = re.compile(_CC["mark"], re.I)
_CC_PARTS = {part: re.compile("|".join(forms), re.I) for part, forms in _CC["parts"].items()}
_CC_VERSION = re.compile(r"(?<![\d.])([1-4])(?:\.([05]))?(?![\d.])")
_CC_COUNTRY = re.compile(r"[1-4]\.[05][ -]([a-z]{2}|igo)\b", re.I)
_RESTRICTIONS = {name: re.compile("|".join(forms), re.I) for name, forms in _DATA["restrictions"].items()}
_ADDRESS = re.compile(r"(?:https?://|[\w.]+/)\S+")
_EXCEPTION = re.compile(r"[\w.-]*exception[\w.-]*|Linux-syscall-note|GPL-CC-1\.0|SHL-2\.[01]", re.I)
_NOTICE, _RESERVED_ID = re.compile(_DATA["notice"], re.I), "LicenseRef-all-rights-reserved"
_TOKENS = re.compile(r"\(|\)|[^\s()]+")
_OPERATORS = ("AND", "OR", "WITH")
_OPERATOR = re.compile(r"\b(?:AND|OR|WITH)\b")


def terms_of(identifier: str) -> Terms | None:
    """Terms of an SPDX identifier; None if it is not known. `GPL-2.0+` and `-or-later` have those of the licence."""
    for pattern, terms in _TERMS:
        if pattern.fullmatch(identifier.removesuffix("+")):
            return terms
    return None


@functools.lru_cache(maxsize=4096)
def licence_of(value: str) -> Licence:
    """The licence that a record, a page or a data set names: an identifier, an expression, a name or an address.

    A value that is not recognised, or with a restriction that the licence it names does not have, has no expression
    and the class `unknown`.
    """
    value = value.strip()
    if not value or len(value) > MAX_CHARS:
        return Licence(None, _UNKNOWN)
    if found := from_expression(value):
        return found
    found = from_list(value) or from_address(value) or from_name(value)
    if found is None and _NOTICE.search(value):
        return Licence(_RESERVED_ID, Terms(class_=RESERVED))
    return Licence(None, _UNKNOWN) if found is None or _adds_restriction(value, found.terms) else found


def from_list(value: str) -> Licence | None:
    """The licence of `A + B`, `A, B` or `A (of this), B (of that)`: that of all; None unless several are known.

    `A/B` is a choice, an old form of `A OR B`, where both oblige to the same.
    """
    if "://" in value:
        return None
    parts = [p for p in re.split(r"[()（）,，;；|+/]|\band\b", value) if p.strip()]
    known = [k for p in parts if (k := from_expression(p.strip()) or from_name(p.strip()))]
    if len(known) < 2:
        return None
    terms = functools.reduce(joined, (k.terms for k in known))
    choice = "/" in value and "+" not in value and len({k.terms for k in known}) == 1
    return Licence(
        (" OR " if choice else " AND ").join(dict.fromkeys(str(k.expression) for k in known)), terms
    )


def _adds_restriction(value: str, terms: Terms) -> bool:
    """Whether the words of a value restrict more than the licence that was recognised in it."""
    if terms.class_ == RESERVED:
        return False
    words = _ADDRESS.sub(" ", value)
    has = {
        "share_alike": terms.share_alike,
        "non_commercial": terms.non_commercial,
        "no_derivatives": terms.no_derivatives or terms.non_commercial,
        "reserved": False,
    }
    return any(pattern.search(words) and not has[name] for name, pattern in _RESTRICTIONS.items())


def from_address(value: str) -> Licence | None:
    """The licence of a URL; None for others than those of known licences, and for several."""
    found = license_id(value.partition("?")[0]) if value.count("/licenses/") < 2 and "/" in value else None
    terms = terms_of(found) if found else None
    return Licence(found, terms) if terms else None


def from_name(value: str) -> Licence | None:
    """The licence of a name in use, such as `CC BY-SA 3.0` or `知识共享 署名 4.0`; None if it is none.

    What is in brackets, or behind a comma, comments on the name before it.
    """
    if _OPERATOR.search(value):  # an expression with a part that is not known
        return None
    for name in (value, re.split(r" ?[(（,，;；|]", value, maxsplit=1)[0].strip()):
        identifier = _NAMES.get(_folded(name)) or _versioned(name) or _creative_commons(name)
        terms = terms_of(identifier) if identifier else None
        if identifier and terms:
            return Licence(identifier, terms)
    return None


def _versioned(name: str) -> str | None:
    for pattern, identifier in _VERSIONED:
        if match := pattern.fullmatch(name.strip()):
            version = match[1] if "." in match[1] else f"{match[1]}.0"
            return f"{identifier.rpartition('-')[0]}-{version}"
    return None


def _creative_commons(name: str) -> str | None:
    """Identifier of a Creative Commons licence by the parts that a name has; None if it has no part.

    Without a version it is the latest; the parts are in the order of the licences.
    """
    if len(name) > 120 or not (mark := _CC_MARK.search(name)):
        return None
    rest = re.sub(r"[-_/]", " ", name[mark.end() :])
    parts = [part for part, pattern in _CC_PARTS.items() if pattern.search(rest)]
    if not parts:
        return None
    has_author = "by" in parts
    parts = ["by", *(part for part in ("nc", "nd", "sa") if part in parts)]
    if "nd" in parts and "sa" in parts:  # there is no such licence
        return None
    found = _CC_VERSION.search(rest)
    if not has_author and found and found[1] == "1":  # version 1.0 has licences without attribution
        return None
    version = f"{found[1]}.{found[2] or 0}" if found else "4.0"
    country = _CC_COUNTRY.search(rest)
    suffix = f"-{country[1].upper()}" if country and version != "4.0" else ""
    return f"CC-{'-'.join(parts).upper()}-{version}{suffix}"


def from_expression(value: str) -> Licence | None:
    """The licence of an SPDX expression; None if it is malformed or has an unknown identifier."""
    tokens = [t.upper() if t.upper() in _OPERATORS else t for t in _TOKENS.findall(value)]
    if not tokens:
        return None
    reader = iter(tokens)
    try:
        found, rest = _either(next(reader), reader)
    except (StopIteration, ValueError):
        return None
    return found if rest is None else None


Step = tuple[Licence, str | None]
"""A parsed part, and the token behind it."""


def _either(token: str, tokens: Iterator[str]) -> Step:
    """Parse `A OR B`. Raises: ValueError for anything malformed, StopIteration for an early end."""
    left, then = _both(token, tokens)
    while then == "OR":
        right, then = _both(next(tokens), tokens)
        terms = min(left.terms, right.terms, key=lambda terms: terms.rank)
        left = Licence(f"{left.expression} OR {right.expression}", terms)
    return left, then


def _both(token: str, tokens: Iterator[str]) -> Step:
    left, then = _one(token, tokens)
    while then == "AND":
        right, then = _one(next(tokens), tokens)
        names = [f"({p.expression})" if " OR " in str(p.expression) else p.expression for p in (left, right)]
        left = Licence(f"{names[0]} AND {names[1]}", joined(left.terms, right.terms))
    return left, then


def _one(token: str, tokens: Iterator[str]) -> Step:
    if token == "(":
        inner, then = _either(next(tokens), tokens)
        if then != ")":
            raise ValueError(token)
        return inner, next(tokens, None)
    terms = terms_of(token)
    if token in (*_OPERATORS, ")") or terms is None:
        raise ValueError(token)
    name, then = written(token), next(tokens, None)
    if then == "WITH":
        exception = next(tokens)
        if not _EXCEPTION.fullmatch(exception):  # a further restriction, such as the Commons Clause
            raise ValueError(exception)
        name, then = f"{name} WITH {exception}", next(tokens, None)
    return Licence(name, terms), then


def written(identifier: str) -> str:
    """An identifier as SPDX writes it: `cc-by-sa-4.0` is CC-BY-SA-4.0."""
    if fixed := _FIXED.get(identifier.lower()):
        return fixed
    if identifier.lower().startswith("cc"):
        return identifier.upper()
    for name, plain in _NAMES_WRITTEN.items():
        if identifier.lower().startswith(name):
            return plain + identifier[len(name) :]
    return identifier


_NAMES_WRITTEN = {
    i.split("*")[0].lower(): i.split("*")[0] for e in _DATA["licences"] for i in e["ids"] if "*" in i
}


def joined(left: Terms, right: Terms) -> Terms:
    """The terms of text that is under both licences."""
    flags = {name: getattr(left, name) or getattr(right, name) for name in FLAGS}
    return Terms(**flags, class_=max(left, right, key=lambda terms: terms.rank).class_)


def licence_url(expression: str | None) -> str | None:
    """The page of the licence of an expression with one identifier, where its address follows from that."""
    match = re.fullmatch(r"CC-(BY(?:-NC)?(?:-ND|-SA)?)-(\d\.\d)(?:-([A-Z]{2,3}))?", expression or "")
    if match:
        code, version, country = match.groups()
        place = f"{country.lower()}/" if country else ""
        return f"https://creativecommons.org/licenses/{code.lower()}/{version}/{place}"
    if expression == "CC0-1.0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    if expression == "CC-PDM-1.0":
        return "https://creativecommons.org/publicdomain/mark/1.0/"
    if expression is None or " " in expression or expression.startswith("LicenseRef-"):
        return None
    return f"https://spdx.org/licenses/{expression}.html"
