"""Hosts, registered domains and lists of addresses."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import load_run
from pipeline.errors import ConfigError
from pipeline.recipe import step_recipe
from stages.kernels.patterns.automaton import build
from stages.kernels.patterns.urls import is_utf8
from stages.web import urls
from stages.web.url_lists import SUFFIXES_PATH, own_words
from tests.helpers.build import write_run
from tests.helpers.paths import ROOT

OWN = urls.load(urls.Config())


def look(url: str | None, stage: urls.Urls = OWN) -> dict[str, Any]:
    """What the stage says of one address."""
    return dict(stage(pa.table({"url": pa.array([url], pa.string())})).to_pylist()[0])


def lists(folder: Path, **settings: Any) -> urls.Urls:
    """A stage with lists, {setting: {name: entries}}, and without its own words."""
    files: dict[str, Any] = {}
    for setting, named in settings.items():
        if not isinstance(named, dict):
            files[setting] = named
            continue
        files[setting] = {}
        for name, entries in named.items():
            path = folder / f"{setting}-{name}.txt"
            path.write_text("\n".join(entries), "utf-8")
            files[setting][name] = str(path)
    return urls.load(urls.Config(**{"own_words": False, **files}))


@pytest.mark.parametrize(
    ("url", "host", "domain"),
    [
        ("https://User:pw@WWW.Example.CO.UK:8080/a?b#c", "www.example.co.uk", "example.co.uk"),
        ("http://news.例子.中国/新闻", "news.xn--fsqu00a.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),
        ("http://%E4%BE%8B%E5%AD%90.cn/", "xn--fsqu00a.cn", "xn--fsqu00a.cn"),
        ("http://b.someone.github.io/", "b.someone.github.io", "someone.github.io"),
        ("http://www.gov.cn", "www.gov.cn", "www.gov.cn"),
        ("http://a.b.c.kobe.jp/", "a.b.c.kobe.jp", "b.c.kobe.jp"),
        ("http://www.city.kobe.jp/", "www.city.kobe.jp", "city.kobe.jp"),
        ("http://192.0.2.17:80/x", "192.0.2.17", "192.0.2.17"),
        ("http://[2001:db8::1]:80/", "2001:db8::1", "2001:db8::1"),
        ("http://unknown.madeuptld", "unknown.madeuptld", "unknown.madeuptld"),
        ("//cdn.example.com./x", "cdn.example.com", "example.com"),
        ("example.com/a", "example.com", "example.com"),
        ("http://com/", "com", "com"),
        ("not an address", None, None),
        ("http://%ff/", None, None),
        ("", None, None),
    ],
)
def test_host_and_domain(url: str, host: str | None, domain: str | None) -> None:
    """Lower case, ASCII, no user, port or dot at the end; the domain is what was registered."""
    found = look(url)
    assert (found["host"], found["domain"]) == (host, domain)


def test_private_suffixes_are_a_choice() -> None:
    """Without them all pages of a hoster are one domain."""
    plain = urls.load(urls.Config(private_suffixes=False))
    assert look("http://b.someone.github.io/", plain)["domain"] == "github.io"


def test_every_rule_of_the_suffix_list_holds() -> None:
    """Each rule gives what the algorithm of publicsuffix.org says, worked out label by label."""
    lines = [line for line in Path(SUFFIXES_PATH).read_text("ascii").splitlines() if line[0] != "#"]
    rules = set(lines)

    def registered(host: str) -> str:
        labels = host.split(".")
        for i in range(len(labels)):
            name, parent = ".".join(labels[i:]), ".".join(labels[i + 1 :])
            if f"!{name}" in rules:
                return name
            if name in rules or (parent and f"*.{parent}" in rules):
                return ".".join(labels[max(i - 1, 0) :])
        return ".".join(labels[-2:])

    names = [rule.lstrip("!*.") for rule in random.Random(1).sample(lines, 3000)]
    hosts = [prefix + name for name in names for prefix in ("", "a.", "b.a.", "c.b.a.")]
    found = OWN(pa.table({"url": pa.array([f"https://{host}/" for host in hosts])}))
    assert found["host"].to_pylist() == hosts
    assert found["domain"].to_pylist() == [registered(host) for host in hosts]


def test_a_missing_url_is_null() -> None:
    """No address, no verdict; an address without a match is not blocked."""
    assert set(look(None).values()) == {None}
    assert look("http://example.com/")["blocked"] is False


@pytest.mark.parametrize(
    ("setting", "entry", "inside", "outside"),
    [
        ("block_hosts", "bad.example.com", "http://www.bad.example.com/x", "http://a.bad.example.com/"),
        ("block_hosts", "www.bad.com", "http://BAD.com", "http://bad.com.cn/"),
        ("block_suffixes", "bad.com", "http://a.b.bad.com/x", "http://notbad.com/"),
        ("block_suffixes", "*.bad.com", "http://bad.com", "http://bad.org/"),
        ("block_suffixes", ".xxx", "http://any.xxx/", "http://xxx.com/"),
        ("block_suffixes", "例子.中国", "http://a.xn--fsqu00a.xn--fiqs8s/", "http://xn--fsqu00a.cn/"),
        ("block_suffixes", "192.0.2.17", "http://192.0.2.17:8080/", "http://192.0.2.18/"),
        ("block_prefixes", "https://www.host.com/bad/", "http://host.com/bad?x=1", "http://host.com/badge"),
        ("block_prefixes", "host.com/bad", "http://www.host.com/bad/a/b", "http://a.host.com/bad"),
        ("block_prefixes", "host.com/%E5%9B%BE", "http://host.com/图/1", "http://host.com/图书"),
        ("block_prefixes", "host.com", "http://host.com/anything", "http://host.com.cn/"),
        ("block_subwords", "badword", "http://averyBADWORDsite.com/", "http://bad-word.com/"),
        ("block_words", "badword", "http://a.com/x_BadWord/", "http://a.com/badwords"),
        (
            "block_words",
            "六合彩",
            "http://a.com/%E5%85%AD%E5%90%88%E5%BD%A9kj",
            "http://a.com/%E5%85%AD%E5%90%88",
        ),
        ("block_words", "六合彩", "http://a.com/%C1%F9%BA%CF%B2%CA", "http://a.com/%C1%F9%BA%CF"),
    ],
)
def test_what_an_entry_matches(tmp_path: Path, setting: str, entry: str, inside: str, outside: str) -> None:
    """Each kind of entry matches what it says, and nothing that only looks like it."""
    stage = lists(tmp_path, **{setting: {"mine": ["# a comment", "", f"  {entry}\r"]}})
    found = look(inside, stage)
    assert found["blocked"] and found["list"] == "mine" and found["entry"]
    assert [match["list"] for match in found["matches"]] == ["mine"]
    other = look(outside, stage)
    assert other["blocked"] is False and other["matches"] == [] and other["list"] is None


def test_soft_words_add_up(tmp_path: Path) -> None:
    """One soft word is no reason, two are, and so is one with a weight; a word counts once."""
    stage = lists(tmp_path, soft_words={"soft": ["cheap", "pills", "viagra\t2"]})
    assert look("http://a.com/cheap/cheap", stage)["blocked"] is False
    assert look("http://a.com/cheap/cheap", stage)["soft_score"] == 1
    found = look("http://a.com/cheap-pills", stage)
    assert (found["blocked"], found["list"], found["entry"]) == (True, "soft", "cheap + pills")
    assert look("http://a.com/viagra", stage)["soft_score"] == 2
    assert look("http://a.com/cheapest-pills", stage)["blocked"] is False


def test_allow_beats_block_and_is_recorded(tmp_path: Path) -> None:
    """An allowed address is not blocked; both lists are named."""
    stage = lists(
        tmp_path, block_suffixes={"bad": ["bad.com"]}, allow_prefixes={"good": ["bad.com/research"]}
    )
    found = look("http://bad.com/research/1", stage)
    assert (found["blocked"], found["list"], found["allowed_by"]) == (False, None, "good")
    assert {match["list"]: match["allow"] for match in found["matches"]} == {"bad": False, "good": True}
    assert look("http://bad.com/other", stage)["blocked"] is True


def test_all_lists_are_named_the_first_decides(tmp_path: Path) -> None:
    """An address in several lists names them all, in the order of the settings and of each setting."""
    named = {"b": ["bad.com"], "a": ["sub.bad.com"]}
    stage = lists(tmp_path, block_suffixes=named, block_hosts={"h": ["sub.bad.com"]})
    found = look("http://sub.bad.com/", stage)
    assert [match["list"] for match in found["matches"]] == ["h", "b", "a"]
    assert (found["list"], found["entry"]) == ("h", "sub.bad.com")


def test_own_words_know_chinese_spam_and_spare_programs() -> None:
    """Pinyin, percent escapes in UTF-8 and GBK, both scripts; one soft word in a good address does nothing."""
    for url in (
        "http://www.liuhecaikaijiang.com/", "http://a.cn/%E6%88%90%E4%BA%BA%E8%A7%86%E9%A2%91/1.html",
        "http://a.cn/%B3%C9%C8%CB%CA%D3%C6%B5", "http://a.com/seqing/", "http://a.com/成人視頻", "http://a.com/%E5%8D%9A%E5%BD%A9/%E5%BC%80%E6%88%B7",
    ):  # fmt: skip
        assert look(url)["blocked"], url
    for url in (
        "https://vuejs.org/guide/components/slots.html", "https://essex.gov.uk/scunthorpe", "http://a.cn/%E5%BD%A9%E7%A5%A8",
        "https://zh.wikipedia.org/wiki/%E5%8D%9A%E5%BD%A9", "https://pinyin.com/bocaihua", "https://a.org/adult-education",
    ):  # fmt: skip
        assert look(url)["blocked"] is False, url
    assert set(own_words()) == {"subwords", "words", "site_subwords", "site_words", "soft_words"}


@pytest.mark.parametrize(
    "url",
    [
        "http://xxx.itp.ac.cn/abs/hep-th/9901001", "https://xxx.lanl.gov/abs/quant-ph/9508027",
        "https://en.wikipedia.org/wiki/Bookmaker", "https://en.wikipedia.org/wiki/Hentai", "https://en.wikipedia.org/wiki/Pornhub",
        "https://www.drugs.com/viagra.html", "https://www.drugs.com/compare/cialis-vs-viagra",
        "https://www.nhs.uk/medicines/sildenafil-viagra/", "https://fapiao.chinatax.gov.cn/", "https://fapiao.baidu.com/help",
        "https://www.reuters.com/business/bookmaker-flutter-results-2023", "https://baike.baidu.com/item/博彩网/12345",
        "https://zh.wikipedia.org/wiki/六合彩", "https://www.example.edu/essaywriting/", "https://search.example.com/?p=porn",
        "https://www.example.com/news/2020/sexchat-blackmail.html",
    ],
)  # fmt: skip
def test_a_page_about_a_word_is_not_blocked_by_it(url: str) -> None:
    """One word below an honest domain or in a path is what the page is about (nextdns/metadata#62)."""
    assert look(url)["blocked"] is False


@pytest.mark.parametrize(
    "url",
    [
        "http://free-porn-videos.xxx/", "http://www.xxx-teen-tube.com/", "http://best-porn.net/latest", "https://de.pornhub.com/",
        "http://buy-viagra-online.net/", "http://daikai-fapiao.cn/", "http://bocai-8888.com/", "http://porn.porn-hub.net/",
        "http://blog.example.com/xxx/free-teen-clips.html", "http://a.com/buy-cheap-viagra.html", "http://a.cn/代开发票/1.html",
    ],
)  # fmt: skip
def test_a_site_of_a_word_is_blocked(url: str) -> None:
    """A word of the registered domain blocks everything below it, and two different words block a path."""
    assert look(url)["blocked"]


def test_words_that_overlap_count_once() -> None:
    """博彩网 contains 博彩: one word of the address, so one count."""
    found = look("https://a.org/wiki/博彩网")
    assert (found["soft_score"], found["blocked"]) == (1, False)
    assert {match["entry"] for match in found["matches"]} == {"博彩网", "博彩"}


def test_a_host_list_refuses_paths(tmp_path: Path) -> None:
    """An entry with a path would block more than it says: the file and the line are named."""
    with pytest.raises(ConfigError, match=r"mine\.txt:3: 'bad\.com/x' is not a host name"):
        lists(tmp_path, block_suffixes={"mine": ["a.com", "b.com/", "bad.com/x"]})
    with pytest.raises(ConfigError, match="weight"):
        lists(tmp_path, block_words={"mine": ["word\t2"]})
    with pytest.raises(ConfigError, match=r"block_hosts is .*expected \{name"):
        urls.Config(block_hosts=("a.txt",))  # type: ignore[arg-type]  # what a run file could hold


def test_large_lists_and_packed_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry of a list read in many blocks is found, no other; .gz is unpacked."""
    monkeypatch.setattr("stages.web.url_lists.BLOCK_BYTES", 1000)
    names = [f"d{i:05d}.com" for i in range(20_000)]
    path = tmp_path / "domains.gz"
    path.write_bytes(gzip.compress("\n".join(names[::2]).encode()))
    stage = urls.load(urls.Config(block_suffixes={"half": str(path)}, own_words=False))
    found = stage(pa.table({"url": pa.array([f"http://www.{name}/" for name in names])}))
    assert found["blocked"].to_pylist() == [i % 2 == 0 for i in range(20_000)]
    assert found["entry"].to_pylist()[::2] == names[::2]


def test_the_recipe_takes_content_and_names(tmp_path: Path) -> None:
    """Another place of a file changes nothing; another content, name or order of lists does."""
    for name, text in (("a", "x.com"), ("b", "x.com"), ("c", "y.com")):
        (tmp_path / name).write_text(text)
    a, b, c = (str(tmp_path / name) for name in "abc")

    def recipe(**lists: str) -> str:
        return step_recipe(urls.STAGE, urls.Config(block_hosts=lists), ())

    assert recipe(one=a) == recipe(one=b)
    assert len({recipe(one=a), recipe(one=c), recipe(two=a), recipe(one=a, two=c), recipe(two=c, one=a)}) == 5


@given(
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=8, unique=True),
    st.text("abcd", max_size=30),
)
def test_the_automaton_finds_every_occurrence(patterns: list[str], text: str) -> None:
    """The table gives the same occurrences as looking for each word in turn."""
    table = build([pattern.encode() for pattern in patterns])
    node, found = 0, set()
    for i, byte in enumerate(text.upper().encode()):
        node = table.steps[node, table.classes[byte]]
        hit = node if table.ends[node] >= 0 else table.shorter[node]
        while hit:
            found.add((i + 1, patterns[table.ends[hit]]))
            hit = table.shorter[hit]
    assert found == {(i, p) for p in patterns for i in range(len(text) + 1) if text[:i].endswith(p)}


@given(
    st.one_of(st.text(max_size=8).map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=6))
)
def test_utf8_is_told_from_other_bytes(data: bytes) -> None:
    """What Python decodes is UTF-8; of what it refuses, surrogates and overlong forms alone may pass."""
    found = is_utf8(np.frombuffer(data, np.uint8), 0, len(data))
    try:
        data.decode()
        assert found
    except UnicodeDecodeError:
        assert not found or any(byte in (0xE0, 0xED, 0xF0, 0xF4) for byte in data)


@given(st.text(max_size=40))
def test_any_text_is_no_danger(text: str) -> None:
    """Whatever stands in a url gives valid rows, and its host is that of the same address in capitals."""
    row = OWN(pa.table({"url": pa.array([text, f"HTTP://EXAMPLE.COM/{text}"], pa.string())}))
    row.validate(full=True)
    assert row["domain"].to_pylist()[1] == "example.com"


@pytest.mark.parametrize("name", ["urls", "traditional"])
def test_examples_of_the_docs_load(name: str, tmp_path: Path) -> None:
    """The run-file examples of a page, each added to a run file with what it reads, are accepted."""
    text = (ROOT / f"docs/{name}.md").read_text("utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    (tmp_path / "lists").mkdir()
    for file in ("adult_domains", "spam_words", "trusted"):
        (tmp_path / f"lists/{file}.txt").write_text("example.com\n")
    base: dict[str, Any] = {
        "corpus": "example",
        "sources": [{"name": "web", "reader": "stages.readers.jsonl", "files": "web.jsonl"}],
        "annotate": [
            "classifiers.language",
            "classifiers.quality",
            "stages.dedup.exact",
            "stages.minhash",
            "stages.tokens",
        ],
        "global": ["stages.dedup.candidates", "stages.dedup"],
    }
    assert len(blocks) >= 2
    for block in blocks:
        page = base | {
            key: value for key, value in block.items() if key not in ("sources", "annotate", "global")
        }
        for key in ("sources", "annotate", "global"):
            page[key] = [*base[key], *block.get(key, ())]
        if "annotate" not in block:
            page["annotate"].append("stages.web.urls")
        load_run(write_run(tmp_path, page))
