"""Claims of a page about itself: title, language, URL, dates, licences and opt-outs. Evidence, not verdicts.

Takes a parsed page before its text is extracted. `stages.web.claims` converts the fields to columns for rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
from resiliparse.parse.html import HTMLTree

from stages.extraction.claim_values import iso_date, license_id

MAX_LINKS = 100
MAX_CHARS = 500
"""Limits of the links that are read, and of the characters of a value that are kept."""

MAX_JSON_LD = 1 << 18
MAX_JSON_NODES = 2000

DATE_METAS = (
    "article:published_time", "article:published", "og:published_time", "bytedance:published_time",
    "weibo:article:create_at", "datepublished", "publishdate", "pubdate", "publish_date", "publish-date",
    "dc.date.issued", "dcterms.issued", "dcterms.created", "dc.date", "citation_publication_date", "parsely-pub-date",
    "sailthru.date", "firstpublishedtime",
)  # fmt: skip
"""Names of `<meta>` elements with the date of publication, most explicit first; the first five are those of Open Graph
and of Chinese portals."""

ROBOTS = re.compile(
    r"robots|[\w-]*bot|[\w-]*spider|slurp|google-extended|applebot-extended|anthropic-ai|claude-web|cohere-ai"
    r"|google-cloudvertexbot|meta-externalagent|perplexity-user|bytespider",
)
"""Names of `<meta>` elements addressed to all crawlers or to one."""

LICENSE_LINKS = '[rel~="license" i][href], a[href*="creativecommons.org/" i]'
"""Links to licences. Source: HTML standard, section 4.6.7.7 (link type license)."""

FOOTERS = re.compile(
    r"(?:^|[\s_-])(?:foot\w*|copyright|colophon|license|licence|bottom)(?:$|[\s_-])", re.IGNORECASE
)


def claims(tree: HTMLTree, html: str) -> dict[str, Any]:  # Any: strings and lists of strings
    """Return the claims of a page about itself; `html` is its source.

    Returns: the following, where present: title; language (`<html lang>`); canonical_url; published, an ISO date or
    time, and published_from, its source (`json-ld`, `meta`, `itemprop`, `time`); robots, one statement for each
    `<meta>`, with the crawler's name if it is addressed to one; tdm_reservation and tdm_policy; license_links, URLs
    with rel=license or under creativecommons.org; rel_license, the URL of rel=license if all such links agree;
    license_id and license_place, the licence named in the first of `head`, `footer`, `main`, `body` that names any,
    unless it names several.
    """
    fields: dict[str, Any] = {}
    if title := " ".join((tree.title or "").split()):
        fields["title"] = title
    document = tree.document
    if document is None:
        return fields
    root = document.query_selector("html")
    if root is not None and (language := _attribute(root, "lang")):
        fields["language"] = language[:MAX_CHARS]
    heads = list(_heads(tree, html))
    metas = [
        (_attribute(node, "name") or _attribute(node, "property"), _attribute(node, "content"))
        for node in heads
        if node.tag == "meta"
    ]
    metas = [(name.lower(), content) for name, content in metas if name and content]
    fields |= _metas(metas)
    fields |= _published(document, heads, metas, html)
    for node in heads:
        if (
            node.tag == "link"
            and _attribute(node, "rel").lower() == "canonical"
            and (href := _attribute(node, "href"))
        ):
            fields["canonical_url"] = href[: 2 * MAX_CHARS]
            break
    if "license" in html or "creativecommons.org" in html or "LICENSE" in html:
        fields |= _licenses(document)
    return fields


def _heads(tree: HTMLTree, html: str) -> Iterator[Any]:
    """Yield the elements of `<head>`, then the metas that a malformed page has in its body."""
    head = tree.head
    node = head.first_child if head is not None else None
    for _ in range(10 * MAX_LINKS):
        if node is None:
            break
        if node.tag in ("meta", "link", "script"):
            yield node
        node = node.next_sibling
    body = html.find("<body")
    if tree.document is not None and body >= 0 and html.find("<meta", body) > 0:
        yield from list(tree.document.query_selector_all("body meta[content]")[: MAX_LINKS // 4])


def _metas(metas: list[tuple[str, str]]) -> dict[str, Any]:
    statements: dict[str, None] = {}
    fields: dict[str, Any] = {}
    for name, content in metas:
        if ROBOTS.fullmatch(name):
            statements[content.lower() if name == "robots" else f"{name}: {content.lower()}"] = None
        elif name in ("tdm-reservation", "tdm-policy"):
            fields.setdefault(name.replace("-", "_"), content[:MAX_CHARS])
    return fields | ({"robots": "; ".join(statements)[:MAX_CHARS]} if statements else {})


def _published(document: Any, heads: list[Any], metas: list[tuple[str, str]], html: str) -> dict[str, str]:
    for source, value in chain(_linked_data(document, html), _date_metas(metas), _dated(document, html)):
        if date := iso_date(value):
            return {"published": date, "published_from": source}
    return {}


def _linked_data(document: Any, html: str) -> Iterator[tuple[str, str]]:
    """Yield datePublished of JSON-LD, anywhere in a graph. Source: schema.org."""
    if "datePublished" not in html or "ld+json" not in html:
        return
    for node in list(document.query_selector_all('script[type="application/ld+json" i]')[:10]):
        text = node.text
        if len(text) > MAX_JSON_LD or "datePublished" not in text:
            continue
        try:
            stack = [msgspec.json.decode(text)]
        except (msgspec.DecodeError, RecursionError):
            continue
        for _ in range(MAX_JSON_NODES):
            if not stack:
                break
            value = stack.pop()
            if isinstance(value, dict):
                if isinstance(date := value.get("datePublished"), str):
                    yield "json-ld", date
                stack += reversed(value.values())
            elif isinstance(value, list):
                stack += reversed(value[:MAX_LINKS])


def _date_metas(metas: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    by_name = dict(reversed(metas))
    for name in DATE_METAS:
        if name in by_name:
            yield "meta", by_name[name]


def _dated(document: Any, html: str) -> Iterator[tuple[str, str]]:
    if (
        "datePublished" in html
        and (node := document.query_selector('[itemprop="datePublished"]')) is not None
    ):
        yield (
            "itemprop",
            _attribute(node, "datetime") or _attribute(node, "content") or node.text[:100].strip(),
        )
    if "<time" in html:
        for where in ("time[pubdate][datetime]", "article time[datetime]", "main time[datetime]"):
            if (node := document.query_selector(where)) is not None:
                yield "time", _attribute(node, "datetime")


def _licenses(document: Any) -> dict[str, Any]:
    links = list(
        document.query_selector_all(LICENSE_LINKS)[:MAX_LINKS]
    )  # the cost of each further node grows with the number before it
    hrefs = {_attribute(link, "href")[:MAX_CHARS]: None for link in links}  # in order, each once
    declared: set[str] = set()
    places: dict[str, set[str]] = {}
    for link in links:
        href = _attribute(link, "href")[:MAX_CHARS]
        place = _place(link)
        if "license" in _attribute(link, "rel").lower().split():
            declared.add(href)
        if name := license_id(href):
            places.setdefault(place, set()).add(name)
    fields: dict[str, Any] = {"license_links": list(hrefs)} if hrefs else {}
    if len(declared) == 1:
        fields["rel_license"] = declared.pop()
    place = next((place for place in ("head", "footer", "main", "body") if place in places), "")
    if place and len(places[place]) == 1:
        fields |= {"license_id": places[place].pop(), "license_place": place}
    return fields


def _place(link: Any) -> str:
    """Region of the page that contains a link: a footer applies to the page, the main text perhaps to a picture."""
    node = link.parent
    for _ in range(50):
        if node is None or node.tag in (None, "", "html"):
            break
        if node.tag in ("head", "footer"):
            return node.tag
        words = f"{node.class_name or ''} {node.id or ''}"
        if node.tag != "body" and FOOTERS.search(words):
            return "footer"
        if node.tag in ("article", "main"):
            return "main"
        node = node.parent
    return "body"


def _attribute(node: Any, name: str) -> str:
    return (node.getattr(name) or "").strip()
