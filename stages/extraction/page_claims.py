"""Claims of a page about itself: title, language, URL, dates, licences and opt-outs. Evidence, not verdicts.

Takes a parsed page before its text is extracted. `stages.web.claims` converts the fields to columns for rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from stages.extraction.claim_values import iso_date, license_id
from stages.extraction.page_tree import Node, Page

MAX_LINKS = 100
MAX_CHARS = 500
"""Limits of the links that are read, and of the characters of a value that are kept."""

MAX_JSON_LD = 1 << 18
MAX_JSON_NODES = 2000

DATE_METAS = (
    "article:published_time", "article:published", "og:published_time", "bytedance:published_time",
    "weibo:article:create_at", "og:article:published_time", "og:publish_date", "datepublished", "date_published",
    "date-published", "publishdate", "publisheddate", "published_date", "publishedat", "published_time", "published",
    "publish_time", "pubdate", "pub_date", "publish_date", "publish-date", "publication_date", "rbpubdate",
    "originalpublicationdate", "article_date_original", "article:post_date", "dcsext.articlefirstpublished",
    "dc.date.issued", "dcterms.issued", "dc.date.created", "dcterms.created", "dc.created", "datecreated", "dc.date",
    "citation_publication_date", "citation_online_date", "citation_date", "parsely-pub-date", "sailthru.date",
    "firstpublishedtime", "cxenseparse:recs:publishtime", "shareaholic:article_published_time", "displaydate",
    "release_date", "og:release_date",
)  # fmt: skip
"""Names of `<meta>` elements with the date of publication, most explicit first; the first five are those of Open Graph
and of Chinese portals. Names of the last modification (`article:modified_time`, `og:updated_time`, `last-modified`,
`revised`) are not among them."""

MODIFIED = re.compile(
    r"updat|modifi|revis|edited|last[ _-]?(?:mod|chang|edit)|更新|修改|修订|修訂|编辑于|編輯|最后|最後|更正",
    re.IGNORECASE,
)
PUBLISHED = re.compile(
    r"publi(?:sh|cat)|pub-?date|posted|created|issued|entry-date|post-date|发布|發布|发表|發表|刊登|发帖|發佈|创建|首发",
    re.IGNORECASE,
)
"""Words in the attributes of a date, or directly before it, that say which one it is."""

N_TIMES = 200
"""Elements with dates that are examined."""

OTHER_WORKS = frozenset(("comment", "review", "answer", "userreview", "critiquereview", "claimreview"))
"""Types of linked data that are answers to the page; their dates are not its own. Source: schema.org."""

DATE_PUBLISHED = re.compile(r'"datePublished"\s*:\s*"([^"]{8,40})"')

ROBOTS = re.compile(
    r"robots|[\w-]*bot|[\w-]*spider|slurp|google-extended|applebot-extended|anthropic-ai|claude-web|cohere-ai"
    r"|google-cloudvertexbot|meta-externalagent|perplexity-user|bytespider",
)
"""Names of `<meta>` elements addressed to all crawlers or to one."""

FOOTERS = re.compile(
    r"(?:^|[\s_-])(?:foot\w*|copyright|colophon|license|licence|bottom)(?:$|[\s_-])", re.IGNORECASE
)


def claims(page: Page) -> dict[str, Any]:  # Any: strings and lists of strings
    """Return the claims of a page about itself.

    Returns: the following, where present: title; language (`<html lang>`); canonical_url; published, an ISO date or
    time, and published_from, its source (`json-ld`, `meta`, `itemprop`, `time`); robots, one statement for each
    `<meta>`, with the crawler's name if it is addressed to one; tdm_reservation and tdm_policy; license_links, URLs
    with rel=license or under creativecommons.org; rel_license, the URL of rel=license if all such links agree;
    license_id and license_place, the licence named in the first of `head`, `footer`, `main`, `body` that names any,
    unless it names several.
    """
    fields: dict[str, Any] = {}
    for node in page.named.get("title", ())[:1]:
        if title := " ".join(page.text(node).split()):
            fields["title"] = title
    for node in page.named.get("html", ())[:1]:
        if language := node.attribute("lang"):
            fields["language"] = language[:MAX_CHARS]
    metas = _contents(page)
    fields |= _metas(metas)
    fields |= _published(page, metas)
    for node in page.named.get("marked", ()):
        if page.head is None or node.start > page.head.end:
            break
        if (
            node.tag == "link"
            and node.attribute("rel").lower() == "canonical"
            and (href := node.attribute("href"))
        ):
            fields["canonical_url"] = href[: 2 * MAX_CHARS]
            break
    return fields | _licenses(page)


def _contents(page: Page) -> list[tuple[str, str]]:
    """Name and content of the metas of a page; a malformed page has some in its body."""
    metas = []
    for node in page.named.get("meta", ())[: 10 * MAX_LINKS]:
        values = node.attributes()
        name = (values.get("name") or values.get("property") or "").strip().lower()
        content = values.get("content", "").strip()
        if name and content:
            metas.append((name, content))
    return metas


def _metas(metas: list[tuple[str, str]]) -> dict[str, Any]:
    statements: dict[str, None] = {}
    fields: dict[str, Any] = {}
    for name, content in metas:
        if ROBOTS.fullmatch(name):
            statements[content.lower() if name == "robots" else f"{name}: {content.lower()}"] = None
        elif name in ("tdm-reservation", "tdm-policy"):
            fields.setdefault(name.replace("-", "_"), content[:MAX_CHARS])
    return fields | ({"robots": "; ".join(statements)[:MAX_CHARS]} if statements else {})


def _published(page: Page, metas: list[tuple[str, str]]) -> dict[str, str]:
    for source, value in chain(_linked_data(page), _date_metas(metas), _dated(page)):
        if date := iso_date(value):
            return {"published": date, "published_from": source}
    return {}


def _linked_data(page: Page) -> Iterator[tuple[str, str]]:
    """Yield datePublished of JSON-LD, anywhere in a graph but in comments and reviews. Source: schema.org."""
    for text in page.linked_data[:10]:
        if len(text) > MAX_JSON_LD or "datePublished" not in text:
            continue
        try:
            stack = [msgspec.json.decode(text)]
        except (msgspec.DecodeError, RecursionError):
            stack = []
            yield from (("json-ld", date) for date in DATE_PUBLISHED.findall(text)[:1])
        for _ in range(MAX_JSON_NODES):
            if not stack:
                break
            value = stack.pop()
            if isinstance(value, dict):
                types = value.get("@type", "")
                if {
                    str(kind).lower() for kind in (types if isinstance(types, list) else [types])
                } & OTHER_WORKS:
                    continue
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


def _dated(page: Page) -> Iterator[tuple[str, str]]:
    """Yield the dates of elements, those that are marked as publication first, without those of a modification."""
    for node in page.named.get("marked", ())[:N_TIMES]:
        if "datepublished" in node.attribute("itemprop").lower().split():
            yield "itemprop", _value(page, node)
    marked, plain = [], []
    for node in (*page.named.get("time", ())[:N_TIMES], *page.named.get("dated", ())[:N_TIMES]):
        words = f"{_before(page, node)} {node.markup.partition('datetime=')[0]}"
        published = PUBLISHED.search(words) is not None or " pubdate" in node.markup
        if (MODIFIED.search(words + page.text(node)[:50]) and not published) or _in_furniture(page, node):
            continue
        if published:
            marked.append(node)
        elif node.tag == "time" and _in_main(page, node):
            plain.append(node)
    for node in (*marked, *plain):
        yield "time", _value(page, node)


def _value(page: Page, node: Node) -> str:
    """The date that an element gives to programs, or shows."""
    values = node.attributes()
    return (
        values.get("datetime")
        or values.get("content")
        or values.get("title")
        or page.text(node)[:100].strip()
    )


def _before(page: Page, node: Node) -> str:
    """The words directly before an element, in its own line."""
    words = ""
    for item in reversed(page.items[max(node.start - 6, 0) : node.start]):
        if isinstance(item, Node) and item.tag in ("br", "time", "p", "li"):
            break
        if (
            isinstance(item, int)
            and isinstance(closed := page.items[-item], Node)
            and closed.tag not in ("span", "a")
        ):
            break
        if isinstance(item, str) and not item.isspace():
            words = item.strip()[-20:]
            break
    return words


def _around(page: Page, node: Node) -> Iterator[Node]:
    """Yield the elements around a node, at most 50."""
    around = page.parent(node)
    for _ in range(50):
        if around is None:
            break
        yield around
        around = page.parent(around)


def _in_furniture(page: Page, node: Node) -> bool:
    return any(around.label.furniture for around in _around(page, node))


def _in_main(page: Page, node: Node) -> bool:
    return any(around.tag in ("article", "main") for around in _around(page, node))


def _licenses(page: Page) -> dict[str, Any]:
    links = [
        node
        for node in page.named.get("marked", ())
        if node.tag in ("a", "link", "area")
        and (href := node.attribute("href"))
        and ("license" in node.attribute("rel").lower().split() or "creativecommons.org/" in href.lower())
    ][:MAX_LINKS]
    hrefs = {link.attribute("href")[:MAX_CHARS]: None for link in links}  # in order, each once
    declared: set[str] = set()
    places: dict[str, set[str]] = {}
    for link in links:
        href = link.attribute("href")[:MAX_CHARS]
        if "license" in link.attribute("rel").lower().split():
            declared.add(href)
        if name := license_id(href):
            places.setdefault(_place(page, link), set()).add(name)
    fields: dict[str, Any] = {"license_links": list(hrefs)} if hrefs else {}
    if len(declared) == 1:
        fields["rel_license"] = declared.pop()
    place = next((place for place in ("head", "footer", "main", "body") if place in places), "")
    if place and len(places[place]) == 1:
        fields |= {"license_id": places[place].pop(), "license_place": place}
    return fields


def _place(page: Page, link: Node) -> str:
    """Region of the page that contains a link: a footer applies to the page, the main text perhaps to a picture."""
    for node in _around(page, link):
        if node.tag in ("head", "footer"):
            return node.tag
        if node.tag not in ("html", "body") and FOOTERS.search(node.label.words):
            return "footer"
        if node.tag in ("article", "main"):
            return "main"
    return "body"
