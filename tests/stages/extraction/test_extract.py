"""Extraction in a process of its own: its output, and the isolation of the reader from what a page does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, StageError
from stages.extraction.extract import ExtractionError, Extractor, shared_extractor
from stages.extraction.extract_worker import extract, seconds_of
from stages.readers.html import READER, Config
from tests.helpers.paths import DEV_DATA, ROOT
from tests.helpers.records import PACK, read, reasons

MEMORY = 256 << 20
HANG = "<p " + " ".join(f"a{i}=1" for i in range(200_000)) + ">"  # attributes are compared with one another
PAGE = """<!DOCTYPE html><html lang="zh-CN"><head><title> 春天\n 来了 </title>
<meta name="Robots" content="NOINDEX, nofollow"><script>var secret = "evil head";</script>
<link rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/"></head><body>
<nav><ul><li><a href="/">首页</a></li><li><a href="/a">关于</a></li></ul></nav>
<main><h1>春天来了</h1><p>三月的风吹过湖面，岸边的柳树刚刚发芽。</p><script>evil("body")</script>
<p>他把信折好放进口袋。<a href="https://creativecommons.org/licenses/by/2.0/">图片许可</a></p></main></body></html>"""


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    """An extractor with little memory and little time."""
    extractor = Extractor(0.5, MEMORY)
    yield extractor
    extractor.close()


def failure(extractor: Extractor, html: str) -> str:
    """The reason why a page gives no text."""
    with pytest.raises(ExtractionError) as error:
        extractor.extract(html)
    return error.value.args[0]


def test_a_page_gives_text_and_claims(extractor: Extractor) -> None:
    """Main text without menus and scripts, and the page's own metadata."""
    fields = extractor.extract(PAGE)
    text = fields.pop("text")
    assert "三月的风吹过湖面，岸边的柳树刚刚发芽。" in text
    assert "首页" not in text
    assert fields == {
        "title": "春天 来了",
        "language": "zh-CN",
        "robots": "noindex, nofollow",
        "license_links": [
            "https://creativecommons.org/licenses/by-sa/4.0/",
            "https://creativecommons.org/licenses/by/2.0/",
        ],
        "rel_license": "https://creativecommons.org/licenses/by-sa/4.0/",
        "license_id": "CC-BY-SA-4.0",
        "license_place": "head",
    }


def test_claims_that_disagree_are_no_licence() -> None:
    """Two different rel=license links are both kept as evidence, and neither as the page's licence."""
    links = "".join(f'<a rel="nofollow LICENSE" href="https://l.example/{i}">l</a>' for i in range(2))
    fields = extract(links)
    assert fields["license_links"] == ["https://l.example/0", "https://l.example/1"]
    assert "rel_license" not in fields


@pytest.mark.parametrize(
    "html",
    [
        "<p>shown<script>evil()</script>",
        "<p>shown<svg><script>evil()</script></svg>",
        "<p>shown<math><script>evil()</script></math>",
        "<p>shown<noscript>evil()</noscript>",
        "<p>shown<template><script>evil()</script></template>",
        "<p>shown<noframes><script>evil()</script></noframes>",
        "<p>shown<noembed><script>evil()</script></noembed>",
        "<p>shown<iframe><script>evil()</script></iframe>",
        "<p>shown<style>evil{}</style>",
        "<p>shown<SCRIPT type=text/json>{evil: 1}</SCRIPT >",
        "<p>shown<script><!-- evil() <script> evil() </script> evil() --></script>",
        "<p>shown<script>evil()",
    ],
)
def test_scripts_are_never_text(html: str) -> None:
    """Nothing inside script, style and elements that are not shown becomes text."""
    assert extract(html)["text"].strip() == "shown"


def test_a_script_that_a_page_shows_is_text() -> None:
    """A page about scripts keeps a script that is written as visible text."""
    shown = "Never write <script>alert('你好')</script> into a page"
    html = f"<main><pre><code>{escape(shown)}</code></pre><script>evil()</script></main>"
    assert extract(html)["text"].strip() == shown


def test_a_page_that_hangs_is_ended(extractor: Extractor) -> None:
    """A page over the time limit gives extractor_timeout, and the next page is read."""
    assert failure(extractor, HANG) == "extractor_timeout"
    assert extractor.extract("<p>next")["text"].strip() == "next"


def test_a_page_that_eats_memory_is_ended(extractor: Extractor) -> None:
    """A page over the memory limit gives extractor_memory, and the next page is read."""
    assert failure(extractor, "<p>x" * 3_000_000) == "extractor_memory"
    assert extractor.extract("<p>next")["text"].strip() == "next"


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 3_000,
        "<b><p>" * 3_000,
        "<table><tr><td>" * 3_000,
        '<table><tr><td colspan="9007199254740992" rowspan="9007199254740992">',
        "<ol start=99999999999999999999><li>" * 100,
        "<svg><foreignObject>" * 1_000,
        "<" * 100_000,
    ],
    ids=["div", "adoption", "table", "span", "list", "foreign", "brackets"],
)
def test_odd_pages_give_text_or_a_reason(extractor: Extractor, html: str) -> None:
    """Deep nesting and absurd numbers end in text or in a reason, never in an error of another kind."""
    try:
        assert isinstance(extractor.extract(html + "x")["text"], str)
    except ExtractionError as error:
        assert error.args[0].startswith("extractor_") or error.args[0] == "table_too_large"
    assert extractor.extract("<p>next")["text"].strip() == "next"


def test_a_process_killed_from_outside_costs_no_page(extractor: Extractor) -> None:
    """A page whose process died is tried again in a new one."""
    extractor.extract("<p>a")
    assert extractor._process is not None
    os.kill(extractor._process.pid, signal.SIGKILL)
    assert extractor.extract("<p>b")["text"].strip() == "b"


def test_a_process_that_ends_for_no_known_limit_is_a_crash() -> None:
    """A new process that dies on a page gives extractor_crashed, with the signal."""

    class Dying(Extractor):
        def _start(self) -> subprocess.Popen[bytes]:
            process = super()._start()
            process.kill()
            return process

    with pytest.raises(ExtractionError) as error:
        Dying(1.0, MEMORY).extract("<p>x")
    assert error.value.args == ("extractor_crashed", "SIGKILL")


def test_a_process_that_cannot_start_is_no_fault_of_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a working interpreter or library reading stops; pages are not quarantined for it."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StageError, match="cannot start"):
        Extractor(1.0, MEMORY).extract("<p>x")


def test_threads_take_turns(extractor: Extractor) -> None:
    """Threads that share an extractor each get the answer to their own page."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: extractor.extract(f"<p>{i}")["text"].strip(), range(200)))
    assert answers == [str(i) for i in range(200)]


@settings(max_examples=50)
@given(
    st.text()
    | st.lists(st.sampled_from("<p <a href= rel=license > </ & \0 \ufeff 文".split(" "))).map("".join)
)
def test_any_text_is_a_page(html: str) -> None:
    """Any text gives fields with a text."""
    fields = shared_extractor(10.0, 1 << 30).extract(html)
    assert isinstance(fields["text"], str)


def _in_pool(html: str) -> str:
    return read(READER, html.encode())[0].fields["text"]  # type: ignore[index]  # whole: the page is good


def test_a_pool_worker_extracts() -> None:
    """A worker of a forkserver pool, which may have no multiprocessing children, extracts all the same."""
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        assert [text.strip() for text in pool.map(_in_pool, ["<p>a", "<p>b"])] == ["a", "b"]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("html", ["'<p>x'", "'<p ' + ' '.join(f'a{i}=1' for i in range(200_000))"])
def test_a_killed_reader_leaves_no_process(html: str) -> None:
    """When the reading process is killed, its extractor ends too: at once if idle, at the time limit if not."""
    code = f"""
import os, signal, threading, time
from stages.extraction.extract import Extractor
extractor = Extractor(1.0, {MEMORY})
extractor.extract("<p>x")
print(extractor._process.pid, flush=True)
threading.Thread(target=lambda: extractor.extract({html}), daemon=True).start()
time.sleep(0.5)
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    pid = int(run.stdout)
    deadline = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(pid)


@pytest.mark.parametrize("pack", PACK)
def test_an_html_file_is_one_document(pack: str) -> None:
    """A file, plain or compressed, gives one record with the page's fields and its encoding."""
    page = PAGE.replace("<head>", '<head><meta charset="gb2312">').encode("gb18030")
    (record,) = read(READER, PACK[pack](page))
    assert record.position == 0 and record.fields is not None
    assert "岸边的柳树刚刚发芽" in record.fields["text"]
    assert record.fields["encoding"] == "gb18030"
    assert record.fields["title"] == "春天 来了"


def test_broken_html_files_say_why() -> None:
    """A file too long, of unknown encoding, cut off or that hangs is quarantined with its reason."""
    assert reasons(read(READER, b"<p>" + b"x" * 1000, max_page_bytes=1000)) == [(0, "page_too_long")]
    assert reasons(read(READER, bytes(range(256)))) == [(0, "unknown_encoding")]
    assert reasons(read(READER, PACK["gzip"](b"<p>x" * 999)[:-9])) == [(-1, "truncated")]
    (record,) = read(READER, HANG.encode(), page_seconds=0.3)
    limit = seconds_of(0.3, len(HANG.encode()))
    assert limit > 0.3  # the page is larger than 1 MiB
    assert (record.reason, record.detail) == ("extractor_timeout", f"more than {limit:g} s of processor time")
    assert record.raw == HANG.encode()[: 1 << 16]


def test_limits_are_checked() -> None:
    """A limit that no page can meet is refused when the run file is read."""
    for setting in ({"page_seconds": 0}, {"page_memory_bytes": 1 << 20}, {"max_page_bytes": 0}):
        with pytest.raises(ConfigError):
            Config(**setting)


def test_real_pages_keep_their_text() -> None:
    """Of real zh and en pages with known text, most five-character passages are found."""
    path = DEV_DATA / "web_pages.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there; set BICORPUS_DEV_DATA")
    table = pq.read_table(path, columns=["html", "gold_text", "lang_hint"])
    for zh in (True, False):
        rows = [r for r in table.to_pylist() if r["gold_text"] and r["lang_hint"].startswith("zh") == zh][
            ::20
        ]
        found = total = 0
        for row in rows:
            fields = read(READER, row["html"])[0].fields
            assert fields is not None
            text, gold = ("".join(filter(str.isalpha, value)) for value in (fields["text"], row["gold_text"]))
            passages = [gold[i : i + 5] for i in range(0, len(gold) - 4, 5)]
            found += sum(passage in text for passage in passages)
            total += len(passages)
        assert found / total > 0.6
