# ruff: noqa: E501  # a page or line of a case stands on one line
"""What pages claim about themselves: read from the page, put into one form, and used by rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.ingest.canonical import Rows, SourceInfo
from stages.extraction.claim_values import iso_date, license_id, url_date
from stages.extraction.extract_worker import extract
from stages.extraction.pages import merged
from stages.readers import html as html_reader
from stages.readers import warc
from stages.web.claims import Config, measure, statements
from tests.helpers.build import build, ledger, write_run
from tests.helpers.records import read
from tests.helpers.warc import ZH, page, response


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2019-02-20T02:26:00+0800", "2019-02-20T02:26:00+08:00"),
        ("2019-02-20T02:26:00.123Z", "2019-02-20T02:26:00Z"),
        ("2019-2-3 12:10", "2019-02-03T12:10:00"),
        ("2020年07月04日 12:10　来源", "2020-07-04T12:10:00"),
        ("20190220", "2019-02-20"),
        ("Wed, 20 Feb 2019 10:00:00 GMT", "2019-02-20"),
        ("February 3rd, 2020", "2020-02-03"),
        ("2019-02-30", None),
        ("2019-02-20 25:00", None),
        ("1970-01-01", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_have_one_form(text: str, date: str | None) -> None:
    """Dates in the forms of web pages become ISO 8601; an impossible date becomes null."""
    assert iso_date(text) == date


@pytest.mark.parametrize(
    ("url", "date"),
    [
        ("https://a.cn/2019/02/20/x.html", "2019-02-20"),
        ("https://a.cn/art/2019-02-20/art_1.html", "2019-02-20"),
        ("http://www.gov.cn/zc/201902/t20190220_12.html", "2019-02-20"),
        ("https://a.cn/20190220/x", "2019-02-20"),
        ("https://a.cn/2019/02/x", None),
        ("https://a.cn/item/20199920/x", None),
        ("https://a.cn/x?d=/2019/02/20/", None),
    ],
)
def test_an_address_may_name_a_day(url: str, date: str | None) -> None:
    """A whole date in the path counts, one in the query does not."""
    assert url_date(url) == date


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/cn/", "CC-BY-NC-SA-3.0-CN"),
        ("https://creativecommons.org/licenses/by/4.0/deed.zh-hans", "CC-BY-4.0"),
        ("//creativecommons.org/licenses/by-sa/2.5/legalcode", "CC-BY-SA-2.5"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/deed", "CC-PDM-1.0"),
        ("https://www.gnu.org/licenses/fdl-1.3.html", "GFDL-1.3"),
        ("https://creativecommons.org/licenses/", None),
        ("https://example.org/by/4.0/", None),
    ],
)
def test_licences_have_spdx_identifiers(url: str, name: str | None) -> None:
    """Version and jurisdiction of a Creative Commons address are kept; an address without a version names none."""
    assert license_id(url) == name


CC = '<a rel="{}" href="https://creativecommons.org/licenses/{}/">c</a>'


@pytest.mark.parametrize(
    ("html", "found"),
    [
        (
            "<head><link rel=license href=https://creativecommons.org/licenses/by/4.0/></head><p>x",
            ("CC-BY-4.0", "head"),
        ),
        (f"<p>x</p><footer><div><p>{CC.format('', 'by-sa/4.0')}</div></footer>", ("CC-BY-SA-4.0", "footer")),
        (f"<p>x</p><div class=site-footer>{CC.format('', 'by-sa/4.0')}</div>", ("CC-BY-SA-4.0", "footer")),
        (f"<article><p>x {CC.format('', 'by/2.0')}</article>", ("CC-BY-2.0", "main")),
        (f"<div><p>x {CC.format('license', 'by/2.0')}</div>", ("CC-BY-2.0", "body")),
        (
            f"<article>{CC.format('', 'by/2.0')}</article><footer>{CC.format('', 'by/4.0')}</footer>",
            ("CC-BY-4.0", "footer"),
        ),
        (f"<footer>{CC.format('', 'by/4.0')}{CC.format('', 'by-nc/4.0')}</footer>", (None, None)),
        ("<p>x", (None, None)),
    ],
)
def test_a_licence_comes_with_its_place(html: str, found: tuple[str | None, str | None]) -> None:
    """The strongest place that names a licence decides, and names none if it names two."""
    fields = extract(html)
    assert (fields.get("license_id"), fields.get("license_place")) == found


LD = '<script type="application/ld+json">{}</script>'


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (
            '<meta property="article:published_time" content="2020-01-02T03:04:05Z">',
            ("2020-01-02T03:04:05Z", "meta"),
        ),
        ('<meta name="PubDate" content="2020-01-02">', ("2020-01-02", "meta")),
        (
            LD.format('{"@graph": [{"@type": "NewsArticle", "datePublished": "2020-01-02"}]}'),
            ("2020-01-02", "json-ld"),
        ),
        (
            LD.format("{broken datePublished") + '<meta name=pubdate content="2020-01-03">',
            ("2020-01-03", "meta"),
        ),
        (LD.format('{"datePublished": "soon"}'), (None, None)),
        ("</head><body><article><time datetime=2020-01-02>gestern</time></article>", ("2020-01-02", "time")),
        ('</head><body><span itemprop="datePublished" content="2020-01-02">', ("2020-01-02", "itemprop")),
        ("", (None, None)),
    ],
)
def test_a_page_says_when_it_was_published(head: str, found: tuple[str | None, str | None]) -> None:
    """JSON-LD, metas, itemprop and time elements are read in this order, and the source of the date is recorded."""
    fields = extract(f"<html><head>{head}<p>text")
    assert (fields.get("published"), fields.get("published_from")) == found


@pytest.mark.parametrize(
    ("html", "date"),
    [
        ("<article><time class=updated datetime=2023-01-01>更新</time><time class=published datetime=2021-05-06>发布</time></article>", "2021-05-06"),
        ("<article><time class='entry-date published updated' datetime=2021-05-06>x</time></article>", "2021-05-06"),
        ("<article><p>Last updated: <time datetime=2023-01-01>x</time></p><p>Published: <time datetime=2021-05-06>x</time></p></article>", "2021-05-06"),
        ("<main><span>最后修改于 <time datetime=2023-01-01>x</time></span><span>发布于 <time datetime=2021-05-06>x</time></span></main>", "2021-05-06"),
        ("<article><time itemprop=dateModified datetime=2023-01-01>x</time><time datetime=2021-05-06>x</time></article>", "2021-05-06"),
        ("<article><p>Updated <time datetime=2023-01-01>x</time></p></article>", None),
        ("<article><time class=date-modified datetime=2023-01-01>x</time></article>", None),
        ("<article><abbr class=published title=2021-05-06T10:00:00>May</abbr><abbr class=updated title=2023-01-01>x</abbr></article>", "2021-05-06T10:00:00"),
        ("<article><span class=post-date>2021-05-06</span></article>", "2021-05-06"),
        ("<div class=comments><article><time datetime=2023-01-01>x</time></article></div><article><time datetime=2021-05-06>x</time></article>", "2021-05-06"),
        ('<meta property="article:modified_time" content="2023-01-01"><p>x', None),
        ('<meta property="og:updated_time" content="2023-01-01"><meta name="publish_time" content="2021-05-06"><p>x', "2021-05-06"),
        ('<meta name="last-modified" content="2023-01-01"><meta name="dcterms.modified" content="2023-01-01"><p>x', None),
        (LD.format('{"dateModified": "2023-01-01", "datePublished": "2021-05-06"}'), "2021-05-06"),
        (LD.format('{"dateModified": "2023-01-01"}'), None),
        (LD.format('{"@graph": [{"@type": "Comment", "datePublished": "2023-01-01"}, {"@type": ["Article", "BlogPosting"], "datePublished": "2021-05-06"}]}'), "2021-05-06"),
        (LD.format('{"datePublished": "2021-05-06", "dateModified": "2023-01-01",}'), "2021-05-06"),
    ],
)  # fmt: skip
def test_a_modification_is_no_publication(html: str, date: str | None) -> None:
    """Dates that are marked as those of an update are passed over, whichever comes first (adbar/htmldate#10)."""
    assert extract(f"<html><body>{html}<p>text").get("published") == date


def test_the_address_of_a_page_completes_its_claims() -> None:
    """A relative canonical address becomes whole; an address with a day dates a page without one, and no other."""
    known = {"url": "https://a.cn/2019/02/20/x.html"}
    fields = merged(known, {"canonical_url": "/y.html"})
    assert fields["canonical_url"] == "https://a.cn/y.html"
    assert (fields["published"], fields["published_from"]) == ("2019-02-20", "url")
    assert merged(known, {"published": "2020-01-02", "published_from": "meta"})["published"] == "2020-01-02"
    assert "canonical_url" not in merged(known, {"canonical_url": "http://[half"})


def test_a_header_reserves_before_the_page() -> None:
    """TDM reservation in the header wins over the page's; statements to robots add up."""
    known = {"tdm_reservation": "1", "robots": "noai"}
    fields = merged(
        known, {"tdm_reservation": "0", "tdm_policy": "https://a.cn/p", "robots": "gptbot: noindex"}
    )
    assert fields == {
        "tdm_reservation": "1",
        "tdm_policy": "https://a.cn/p",
        "robots": "noai; gptbot: noindex",
    }


def test_metas_speak_to_one_crawler_or_to_all() -> None:
    """A meta named like a crawler is kept under its name, also where a broken page has it in its body."""
    head = "<head><meta name=GPTBot content=NoIndex><meta name=viewport content=x></head>"
    html = f"{head}<body><p>x<meta name=robots content=noai>"
    assert extract(html)["robots"] == "gptbot: noindex; noai"
    html = (
        '<meta name="tdm-reservation" content="1"><meta name="tdm-policy" content="https://a.cn/p.json"><p>x'
    )
    assert (extract(html)["tdm_reservation"], extract(html)["tdm_policy"]) == ("1", "https://a.cn/p.json")


@pytest.mark.parametrize(
    ("robots", "noindex", "noai"),
    [
        ("noindex, nofollow", True, False),
        ("noai; noimageai", False, True),
        ("noimageai", False, False),
        ("gptbot: noindex", False, True),
        ("googlebot: noindex", False, False),
        ("googlebot: noindex, ccbot: none", False, True),
        ("ccbot: nofollow; max-snippet: -1, noindex", True, False),
        ("unavailable_after: 25 jun 2010 15:00:00 pst", False, False),
        ("index, follow", False, False),
        ("", False, False),
    ],
)
def test_statements_to_robots_are_understood(robots: str, noindex: bool, noai: bool) -> None:
    """Directives apply to the crawlers they name; noindex for a training crawler is an opt-out from training."""
    row = measure(json.dumps({"robots": robots}), Config())
    assert (row["noindex"], row["noai"], row["opted_out"]) == (noindex, noai, noai)


def test_tdm_reservation_opts_out() -> None:
    """`1` reserves, anything else does not; no meta claims nothing."""
    assert measure('{"tdm_reservation":"1"}', Config())["opted_out"]
    assert not measure('{"tdm_reservation":"0"}', Config())["opted_out"]
    assert set(measure(None, Config()).values()) == {None, False}
    with pytest.raises(ConfigError, match="lower case"):
        Config(agents=("GPTBot",))


@given(st.text(alphabet="noai:;, gptbot\u3000*-1"))
def test_any_statement_can_be_read(robots: str) -> None:
    """No text breaks the reading of statements, and no statement is without a directive."""
    assert all(directives for _, directives in statements(robots))


def test_the_day_of_publication_is_no_date_of_the_crawl() -> None:
    """`date` is the date of the archive and `published` is kept in meta, for pages of archives and of files."""
    html = page(ZH, '<meta name=pubdate content="2020-01-02">')
    for reader, data, date in (
        (warc.READER, response(html), "2024-05-18T01:58:10Z"),
        (html_reader.READER, html.encode(), None),
    ):
        rows = Rows(SourceInfo(name="crawl", input="f", fields=reader.fields))
        for record in read(reader, data):
            rows.add(record)
        (row,) = rows.take()[0].to_pylist()
        assert (row["date"], measure(row["meta"], Config())["published"]) == (date, "2020-01-02")


@pytest.mark.parametrize("action", ["flag", "drop"])
def test_a_run_heeds_what_pages_reserve(tmp_path: Path, action: str) -> None:
    """From header and page to the ledger: pages that opted out are flagged or dropped under the rule's name."""
    bodies = [
        response(page(ZH, "<title>free</title>"), 0),
        response(page(ZH * 2), 1, head="X-Robots-Tag: noai\r\n"),
        response(page(ZH * 3, '<meta name="tdm-reservation" content="1">'), 2),
        response(page(ZH * 4, '<meta name="gptbot" content="noindex">'), 3),
        response(page(ZH * 5), 4, head="tdm-reservation: 1\r\n"),
        response(page(ZH * 6, '<meta name="robots" content="noindex">'), 5),
    ]
    (tmp_path / "c.warc").write_bytes(b"".join(bodies))
    run_path = write_run(
        tmp_path,
        {
            "corpus": "c",
            "sources": [{"name": "crawl", "reader": "stages.readers.warc", "files": "c.warc"}],
            "annotate": ["stages.web.claims"],
            "select": [{"name": "opted_out", "claims.opted_out": False, "action": action}],
            "release": {"name": "v1"},
        },
    )
    build(run_path, tmp_path / "store")
    rows = sorted(ledger(tmp_path / "store"), key=lambda row: row["row"])
    assert [row["keep"] for row in rows] == [action == "flag" or i in (0, 5) for i in range(6)]
    said = [row["flags"] == ["opted_out"] if action == "flag" else row["rule"] == "opted_out" for row in rows]
    assert said == [i in (1, 2, 3, 4) for i in range(6)]
