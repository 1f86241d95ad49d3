"""The explorer: what its server answers and refuses, and explorer and report in a real browser.

The browser tests need Chromium with its driver (Debian packages chromium and chromium-driver) and the package selenium.
"""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.ablation.page import write_pages
from pipeline.browse.frame import Frame
from pipeline.browse.search import search
from pipeline.browse.server import ANSWERS, MAX_BODY, Explorer
from pipeline.browse.what_if import changed_run_file, what_if
from pipeline.cli.browse import last_run_file
from pipeline.cli.finished import finished_build
from pipeline.config.load import load_run
from pipeline.errors import UsageError
from pipeline.storage.store import open_store
from tests.helpers.ablation import ablation_results
from tests.helpers.build import build, cli, ledger, tiny, write_run
from tests.helpers.hostile_texts import HOSTILE
from tests.helpers.pages import page_data

LONG = "这是一段很长的正文。" * 540_000
"""A text of 5.4 million characters, more than a page can be given at once."""

MAIL = "someone@example.org"
TEXTS = [text.replace("\x00", "") for text in HOSTILE]  # ingest refuses NUL


def documents() -> list[dict[str, Any]]:
    """Documents of several lengths, in two languages; hostile ones, one with an address, one that is very long."""
    rows = [
        {
            "text": f"Document {i}, about the weather 天气。 " + "字" * (10 * i),
            "lang": ("zho_Hans", "eng_Latn")[i % 2],
        }
        for i in range(30)
    ]
    rows += [{"text": f"Hostile {text}", "lang": "eng_Latn"} for text in TEXTS]
    rows.append({"text": f"{LONG} {MAIL} 结束", "lang": "zho_Hans"})
    return [{"id": str(i), **row, "chars": len(row["text"])} for i, row in enumerate(rows)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run.yaml, its inputs and a finished store."""
    folder = tmp_path_factory.mktemp("explored")
    page = tiny(folder, documents())
    page["sources"][0]["columns"] = {"size.n_chars": "chars", "lang.label": "lang:string"}
    page |= {
        "annotate": ["stages.pii"],
        "select": [
            {"name": "too_short", "size.n_chars": {"min": 150}, "if_null": "keep"},
            {"name": "odd", "size.n_chars": {"max": 200}, "where": {"lang.label": "zho_Hans"}, "if_null": "keep",
             "action": "flag"},
        ],
        "release": {"name": "v1", "columns": {"language": "lang.label"}, "edits": {"pii": "all"},
                    "replace": {"email": "<EMAIL>"}},
    }  # fmt: skip
    build(write_run(folder, page), folder / "store")
    return folder


@pytest.fixture(scope="module")
def server(built: Path) -> Iterator[Explorer]:
    """The explorer of that store."""
    explorer = Explorer(Frame(finished_build(str(built / "run.yaml"), str(built / "store"))))
    explorer.start()
    yield explorer
    explorer.shutdown()
    explorer.server_close()


def request(
    server: Explorer, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request with the token, unless a header says otherwise: status, headers, data."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    own = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    connection.request(method, path, data, {**own, **{k.replace("_", "-"): v for k, v in headers.items()}})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def ask(server: Explorer, name: str, **body: Any) -> Any:
    """The answer to a question."""
    status, _, data = request(server, "POST", f"/api/{name}", body)
    assert status == 200, data
    return json.loads(data)


def test_nothing_is_answered_without_token_host_or_name(server: Explorer) -> None:
    """Wrong tokens, other hosts, unknown and climbing paths, other methods and oversized bodies are refused."""
    for token in ("", "Bearer ", "Bearer x", server.token, f"Bearer {server.token}x"):
        assert request(server, "POST", "/api/about", Authorization=token)[0] == 401
    assert request(server, "POST", "/api/about", Host="evil.example")[0] == 403
    assert request(server, "GET", "/", Host=f"evil.example:{server.server_port}")[0] == 403
    for path in (
        "/api/../run.yaml",
        "/../../etc/passwd",
        "/%2e%2e/run.yaml",
        "/api/about?x=1",
        "/store",
    ):
        assert request(server, "POST", path)[0] == 404
        assert request(server, "GET", path)[0] == 404
    for method in ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        assert request(server, method, "/api/about")[0] == 501
    assert request(server, "POST", "/api/about", b"x" * (MAX_BODY + 1))[0] == 413
    assert request(server, "POST", "/api/about", Content_Type="text/plain")[0] == 415
    status, headers, page = request(server, "GET", "/")
    assert status == 200 and "script-src 'sha256-" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY" and "Access-Control-Allow-Origin" not in headers
    assert b"Document 1" not in page and server.token.encode() not in page
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "question",
    [
        ("rows", {"where": [{"column": "no", "operator": "=", "value": 1}]}),
        ("rows", {"where": [{"column": "size.n_chars", "operator": "__import__", "value": 1}]}),
        ("rows", {"where": [{"column": "size.n_chars", "operator": ">=", "value": "many"}]}),
        ("rows", {"where": [{"column": "pii.spans", "operator": "=", "value": "x"}]}),
        ("rows", {"where": [{"column": "lang.label", "operator": ">", "value": {"a": [1]}}], "sort": ["x"]}),
        ("rows", {"where": 3}), ("search", {"pattern": "(", "regex": True}), ("search", {}),
        ("document", {"row": 10**9}), ("document", {"row": -1}), ("document", {"doc_id": "no"}),
        ("threshold", {"rule": "too_short", "value": "nan"}), ("threshold", {"rule": "no", "value": 1}),
        ("threshold", {"rule": "too_short", "place": 7, "value": 1}), ("run-file", {"changes": [1]}), ("rows", []),
    ],
)  # fmt: skip
def test_a_wrong_question_is_an_answer_in_words(server: Explorer, question: tuple[str, Any]) -> None:
    """Whatever a page sends, the server explains what is wrong and goes on."""
    name, body = question
    status, _, data = request(server, "POST", f"/api/{name}", json.dumps(body).encode())
    assert status == 400 and json.loads(data)["error"]
    assert f"/api/{name}" in ANSWERS and ask(server, "about")["rows"] == 40


def test_filters_agree_with_the_ledger(server: Explorer, built: Path) -> None:
    """Documents by rule, language, number and text are those that the release's ledger counts."""
    rows = ledger(built / "store", "v1")
    assert ask(server, "rows")["total"] == len(rows) == 40

    def count(*wheres: tuple[str, str, Any]) -> int:
        conditions = [dict(zip(("column", "operator", "value"), where, strict=True)) for where in wheres]
        return int(ask(server, "rows", where=conditions)["total"])

    dropped = sum(row["rule"] == "too_short" for row in rows)
    assert count(("rule", "=", "too_short")) == count(("keep", "=", "false")) == dropped > 5
    assert count(("fails", "=", "too_short")) == dropped
    assert count(("rule", "null", "")) == count(("rule", "!=", "too_short")) == 40 - dropped
    assert count(("rule", "=", "too_short"), ("lang.label", "=", "zho_Hans")) == sum(
        row["rule"] == "too_short" and row["language"] == "zho_Hans" for row in rows
    )
    assert count(("size.n_chars", "<", 150)) == dropped and count(("lang.label", "contains", "Hans")) == 16
    facets = ask(server, "facets", columns=["rule", "lang.label"])
    assert dict(facets["rule"]) == {None: 40 - dropped, "too_short": dropped}
    ordered = ask(server, "rows", sort="size.n_chars", descending=True, columns=["size.n_chars"])["rows"]
    sizes = [row["values"]["size.n_chars"] for row in ordered]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 5_000_000
    found = ask(server, "search", pattern="weather 天气")
    assert len(found["found"]) == 30 and found["next"] is None
    assert ask(server, "search", pattern=r"document 1\d,", regex=True)["total"] == 40
    assert len(ask(server, "search", pattern=r"document 1\d,", regex=True)["found"]) == 10
    assert MAIL in ask(server, "search", pattern=MAIL)["found"][0]["excerpt"]


def test_the_report_counts_spans_by_kind(built: Path) -> None:
    """Documents, kept ones and spans of each kind."""
    numbers = page_data(built / "store/releases/v1/report.html")["numbers"]
    assert numbers["spans"] == {"pii.spans": {"email": [1, 1, 1]}} and numbers["domain_perplexity"] == []


def test_a_search_stops_in_time_and_goes_on(server: Explorer) -> None:
    """After its time a search returns what it has, with the row to go on from; nothing is found twice."""
    frame, found, after = server.frame, [], -1
    ticks = iter(range(10_000))
    for _ in range(50):
        answer = search(frame, np.arange(40), "document", False, after, clock=lambda: float(next(ticks)))
        found += [hit["row"] for hit in answer["found"]]
        if answer["next"] is None:
            break
        after = answer["next"]
    assert found == sorted(set(found)) and len(found) == 30 and answer["searched"] == 40


def test_a_document_has_spans_edits_and_reasons(server: Explorer) -> None:
    """A long document comes in windows; its spans are in code points of the whole, with what replaces them."""
    (row,) = [hit["row"] for hit in ask(server, "search", pattern=MAIL)["found"]]
    doc = ask(server, "document", row=row)
    (span,) = doc["spans"]
    assert (span["label"], span["edit"], span["replacement"]) == ("email", True, "<EMAIL>")
    window = ask(server, "text", row=row, start=span["start"], length=span["end"] - span["start"])
    assert window["text"] == MAIL and window["total"] == len(LONG) + len(MAIL) + 4
    assert len(ask(server, "text", row=row, start=0, length=10**9)["text"]) == 20_000
    assert doc["keep"] and [rule["name"] for rule in doc["rules"] if rule["fails"]] == ["odd"]
    short = ask(server, "rows", where=[{"column": "rule", "operator": "=", "value": "too_short"}])["rows"][0]
    doc = ask(server, "document", doc_id=short["values"]["doc_id"])
    assert doc["rule"] == "too_short" and doc["rules"][0]["conditions"][0]["margin"] < 0


def test_a_moved_threshold_counts_what_a_build_would(server: Explorer, built: Path, tmp_path: Path) -> None:
    """Documents that come back and are lost are those of a build with the changed run file."""
    kept = {row["doc_id"] for row in ledger(built / "store", "v1") if row["keep"]}
    for value in (60, 250):
        answer = ask(server, "threshold", rule="too_short", place=0, value=value)
        changes = [{"rule": "too_short", "place": 0, "value": value}]
        text = ask(server, "run-file", changes=changes)["text"]
        path = built / f"changed-{value}.yaml"
        path.write_text(text.replace("v1", f"v{value}"), encoding="utf-8")
        build(path, built / "store")
        now = {row["doc_id"] for row in ledger(built / "store", f"v{value}") if row["keep"]}
        assert (answer["back"]["documents"], answer["lost"]["documents"]) == (
            len(now - kept),
            len(kept - now),
        )
        side = "back" if value < 150 else "lost"
        assert {row["values"]["doc_id"] for row in answer[side]["rows"]} <= now ^ kept and answer[side][
            "bytes"
        ]
    flagged = what_if(server.frame, "odd", 0, 1e9)
    n_odd = sum(row["chars"] > 200 and row["lang"] == "zho_Hans" for row in documents())
    assert flagged["fails"] == 0 and flagged["back"]["documents"] == flagged["failed"] == n_odd > 3


def test_a_changed_run_file_keeps_its_comments(tmp_path: Path) -> None:
    """Only `select` is written anew; a rule of a preset follows it with the new threshold, and nothing else changes."""
    text = (
        "corpus: c # mine\nuse: recommended\nsources:\n  - {name: a, reader: stages.readers.jsonl, files: a.jsonl}\n"
        "annotate:\n  - classifiers.fluency # kept\nselect:\n  # my rules\n"
        "  - {name: low, fluency.perplexity: {max: 9000}, if_null: keep}\nmix: {default: natural} # last\n"
    )
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    run = load_run(path)
    changes = [{"rule": name, "place": 0, "value": 77} for name in ("low", "zho_too_short")]
    changed = changed_run_file(run.text, run.select, changes)
    path.write_text(changed, encoding="utf-8")
    again = load_run(path)
    old, new = ({rule.name: rule for rule in r.select} for r in (run, again))
    assert old.keys() == new.keys()
    assert {name for name in old if old[name].plain() != new[name].plain()} == {"low", "zho_too_short"}
    assert new["low"].conditions[0].max == new["zho_too_short"].conditions[0].min == 77
    assert yaml.safe_load(changed)["mix"] == {"default": "natural"}
    with pytest.raises(UsageError, match="no rule 'lwo'; did you mean 'low'"):
        changed_run_file(run.text, run.select, [{"rule": "lwo", "place": 0, "value": 1}])


def test_the_run_file_is_that_of_the_last_run(built: Path, tmp_path: Path) -> None:
    """Without a run file, the store's records name one; a store without a finished run is a clear error."""
    assert Path(last_run_file(open_store(str(built / "store")))).name.endswith(".yaml")
    with pytest.raises(UsageError, match="no finished run"):
        last_run_file(open_store(str(tmp_path)))


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:  # Any: selenium may be absent
    """A headless Chromium; skipped without one."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
    path = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if not (path and driver):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = path
    arguments = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en", "--disable-gpu")
    for argument in (*arguments, f"--user-data-dir={folder / 'profile'}", "--window-size=1300,900"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.set_page_load_timeout(120)
    chrome.downloads = folder
    yield chrome
    chrome.quit()


def until(browser: Any, condition: str, *values: object) -> Any:
    """Wait until an expression in JavaScript is true; its value."""
    for _ in range(600):
        if found := browser.execute_script(f"return {condition}", *values):
            return found
        time.sleep(0.05)
    raise AssertionError(
        f"never true: {condition}; {browser.execute_script('return document.body.innerText')[:2000]}"
    )


def severe(browser: Any) -> list[str]:
    """Errors that the browser logged since the last call."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_explorer_in_a_browser(browser: Any, server: Explorer) -> None:
    """Filter to one rule, open a document with its spans, meet hostile and very long texts, move a threshold."""
    run = browser.execute_script
    browser.get(server.url)
    assert until(browser, "(document.getElementById('count') || {}).textContent") == "40 documents"
    assert run("return location.hash") == "" and server.token not in run("return location.href")
    until(browser, 'document.querySelector(\'[data-facet="rule"][data-value="too_short"]\')').click()
    until(
        browser,
        "document.querySelectorAll('.chip').length === 1 && document.getElementById('count').textContent",
    )
    n = sum(row["chars"] < 150 for row in documents())
    assert (
        run("return document.querySelectorAll('.hit').length") == n
        and run("return document.getElementById('count').textContent") == f"{n} documents"
    )
    run("document.querySelector('.chip').click()")
    until(browser, "document.getElementById('count').textContent === '40 documents'")
    for pattern in ("Hostile", MAIL):
        box = until(browser, "document.getElementById('pattern')")
        box.clear()
        box.send_keys(pattern, "\ue007")
        n = len(TEXTS) if pattern == "Hostile" else 1
        until(browser, f"document.getElementById('count').textContent.startsWith('{n} documents found')")
        for i in range(n):
            is_open = f"document.querySelectorAll('#list .hit')[{i}].getAttribute('aria-current') === 'true'"
            run(f"document.querySelectorAll('.hit')[{i}].click()")
            until(browser, f"{is_open} && (document.getElementById('text') || {{}}).textContent")
            if pattern == "Hostile":
                until(
                    browser,
                    "document.getElementById('text').textContent === arguments[0]",
                    f"Hostile {TEXTS[i]}",
                )
    assert until(browser, "document.getElementById('window').textContent").endswith(
        f"{len(LONG) + len(MAIL) + 4:,}"
    )
    run("document.querySelector('button.span').click()")
    assert until(browser, "(document.querySelector('#text mark.at') || {}).textContent") == MAIL
    assert "edit" in run("return document.querySelector('#text mark.at').className")
    assert run("return window.hacked") is None
    run("[...document.querySelectorAll('.failed button')][0].click()")
    until(browser, "document.getElementById('bound-value')")
    run("const s = document.getElementById('bound'); s.value = '0'; s.dispatchEvent(new Event('change'))")
    until(browser, "document.getElementById('download') && document.getElementById('download').disabled")
    run(
        "const v = document.getElementById('bound-value'); v.value = '60'; v.dispatchEvent(new Event('change'))"
    )
    until(browser, "!document.getElementById('download').disabled")
    assert until(browser, "document.getElementById('back').textContent").endswith("documents come back")
    run("document.getElementById('download').click()")
    target = browser.downloads / "run-changed.yaml"
    for _ in range(200):
        if target.exists():
            break
        time.sleep(0.05)
    assert yaml.safe_load(target.read_text("utf-8"))["select"][0]["size.n_chars"] == {"min": 60}
    run("document.getElementById('language').click()")
    assert until(browser, "document.getElementById('show-threshold').textContent === '移动阈值'")
    assert severe(browser) == []


def test_the_report_in_a_browser(browser: Any, built: Path) -> None:
    """Every section is drawn in both languages and themes and at 390 pixels, and a threshold can be moved."""
    run = browser.execute_script
    browser.get((built / "store/releases/v1/report.html").as_uri())
    run("localStorage.clear()")
    browser.get(f"{(built / 'store/releases/v1/report.html').as_uri()}#rule-too_short")
    assert until(browser, "document.querySelector('#lost h2')").text == "What was lost"
    until(browser, "document.querySelector('#rule-too_short .js-plotly-plot')")
    run(
        "const s = document.querySelector('#rule-too_short input'); s.value = s.min; "
        "s.dispatchEvent(new Event('input'))"
    )
    assert "come back" in run("return document.querySelector('#rule-too_short output').textContent")
    sections = run("return [...document.querySelectorAll('section')].map((s) => s.id)")
    assert {"lost", "funnel", "rules", "signals", "languages", "sources", "spans", "times"} <= set(sections)
    assert run("return document.querySelectorAll('#lost .sample').length") >= 3
    run("document.getElementById('language').click()")
    assert until(browser, "document.querySelector('#lost h2')").text == "失去了什么"
    run("document.getElementById('theme').click()")
    assert run("return document.documentElement.dataset.theme") == "dark"
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    until(browser, "document.documentElement.scrollWidth <= 390")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    run("document.querySelector('#signals .chart').scrollIntoView()")
    until(browser, "document.querySelector('#signals .js-plotly-plot .main-svg').clientHeight === 380")
    places = "binsBetween([0, binOf(8)], 1, true).map((code) => binPlace(code, 1, true))"
    assert run(f"return {places}") == list(range(50)) and run("return binOf(8) - binOf(1) + 2") == 50
    assert 0.5 < run("return placeOf(1, 1, true)") <= 1.5 and run("return placeOf(0.5, 4, true)") == 0.5
    assert run("return window.hacked") is None and severe(browser) == []


def check_page(browser: Any, url: str, section: str) -> None:
    """A page of charts in both languages and themes and at 390 pixels: all its charts are drawn, without an error."""
    run = browser.execute_script
    browser.get(url)
    run("localStorage.clear()")
    browser.get(url)
    drawn = "[...document.querySelectorAll('.chart')].every((c) => c.matches('.js-plotly-plot'))"
    for language in ("English", "中文"):
        assert until(browser, f"document.querySelector('#{section} h2')")
        run("for (const c of document.querySelectorAll('.chart')) c.scrollIntoView()")
        for chart in run("return [...document.querySelectorAll('.chart')]"):
            run("arguments[0].scrollIntoView()", chart)
            until(browser, "arguments[0].matches('.js-plotly-plot')", chart)
        assert run(f"return {drawn} && document.querySelectorAll('.chart').length > 1"), language
        run("document.getElementById('theme').click()")
        run("document.getElementById('language').click()")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    until(browser, "document.documentElement.scrollWidth <= 390")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert severe(browser) == []


def test_the_comparison_in_a_browser(browser: Any, built: Path, tmp_path: Path) -> None:
    """Drift is drawn for every column that both releases measured, by language."""
    page = yaml.safe_load((built / "run.yaml").read_text("utf-8"))
    page["select"][0]["size.n_chars"]["min"] = 230
    page["release"]["name"] = "strict"
    build(write_run(built, page, "strict.yaml"), built / "store")
    releases = built / "store/releases"
    cli("diff", releases / "v1", releases / "strict", "--to", tmp_path / "diff.html").ok()
    check_page(browser, (tmp_path / "diff.html").as_uri(), "drift")
    run = browser.execute_script
    run(
        "const s = document.getElementById('column'); s.value = 'size.n_chars'; s.dispatchEvent(new Event('change'));"
        "const g = document.getElementById('group'); g.value = 'all'; g.dispatchEvent(new Event('change'))"
    )
    rows = page_data(tmp_path / "diff.html")["comparison"]["drift"]
    (row,) = [row for row in rows if (row["column"], row["language"]) == ("size.n_chars", "all")]
    assert row["psi"] > 0.25
    assert f"KS {row['ks']:.3f}" in run("return document.querySelector('#drift output').textContent")
    until(browser, "document.querySelectorAll('#drift .js-plotly-plot').length >= 4")
    assert severe(browser) == []


def test_the_page_of_an_ablation_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """It has the head of the report: languages, themes, contents."""
    write_pages(ablation_results(), str(tmp_path))
    check_page(browser, (tmp_path / "report.html").as_uri(), "intervals")
