"""The sheet in a real browser: filled by keyboard alone, kept over a reload, downloaded and read back.

Needs Chromium with its driver (Debian packages chromium and chromium-driver) and the package selenium.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.labelling.answers import read_answers
from pipeline.labelling.rubric import names_of, read_rubric
from pipeline.labelling.sheet import documents_of, sheet_html
from tests.helpers.hostile_texts import HOSTILE

webdriver: Any = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
BROWSER = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)

KINDS = names_of(read_rubric(), "kind")
DOMAINS = names_of(read_rubric(), "domain")
TEXTS = [*HOSTILE, *(f"Text {i}.\n第 {i} 段。" for i in range(20 - len(HOSTILE)))]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:  # Any: selenium has types that this environment may lack
    """A headless Chromium that downloads into tmp_path."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--lang=en",
        "--disable-gpu",
    ):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


def open_sheet(browser: Any, folder: Path) -> None:
    """Write and open a sheet of 20 documents."""
    ids = [f"doc{i:02d}" for i in range(20)]
    languages = ["zho_Hans" if i % 2 else "eng_Latn" for i in range(20)]
    drawn = pa.table({"doc_id": ids, "language": languages, "text": TEXTS})
    path = folder / "sheet.html"
    path.write_text(sheet_html("sheet", read_rubric(), documents_of(drawn, 0)), encoding="utf-8", newline="")
    browser.get(path.as_uri())


def press(browser: Any, *keys: str) -> None:
    """Press keys one after another, wherever the focus is."""
    for key in keys:
        webdriver.ActionChains(browser).send_keys(key).perform()


def wait_for(path: Path) -> Path:
    """Wait until a download is complete."""
    for _ in range(100):
        if path.exists() and path.stat().st_size:
            return path
        time.sleep(0.1)
    raise AssertionError(
        f"{path} was not downloaded; there are {sorted(p.name for p in path.parent.iterdir())}"
    )


def answers_to(i: int) -> tuple[int, bool, str, list[str], str, str]:
    """What is answered about the i-th document."""
    flags = [flag for n, flag in enumerate(("boilerplate", "ads", "mt")) if i >> n & 1]
    return i % 6, i % 2 == 1, KINDS[i], flags, DOMAINS[i], f'=note "{i}", 备注' if i % 5 == 0 else ""


def label_all(browser: Any) -> None:
    """Label all documents by keyboard, and check that each is shown as the text that it is."""
    shift = {"boilerplate": "B", "ads": "A", "mt": "M"}
    for i in range(20):
        score, keep, kind, flags, domain, note = answers_to(i)
        assert browser.execute_script("return document.getElementById('text').textContent") == TEXTS[i]
        press(browser, str(score), "y" if keep else "n")
        press(
            browser, "k", *kind, "\ue007", "d", *domain, "\ue007"
        )  # the list takes what is typed; Enter leaves it
        for flag in flags:
            webdriver.ActionChains(browser).key_down("\ue008").send_keys(shift[flag].lower()).key_up(
                "\ue008"
            ).perform()
        if note:
            press(browser, "c")
            webdriver.ActionChains(browser).send_keys(note).perform()
            press(browser, "\ue00c")
        press(browser, "j")


def test_twenty_documents_are_labelled_and_read_back(browser: Any, tmp_path: Path) -> None:
    """Answers given by keyboard outlive a reload, are downloaded as CSV, and are read back as they were given."""
    open_sheet(browser, tmp_path)
    name = browser.find_element("id", "labeller")
    name.send_keys("安 Ann")
    name.send_keys("\ue007")
    label_all(browser)
    browser.refresh()
    assert browser.find_element("id", "count").text == "20 of 20, 20 answered"
    press(browser, "s")
    path = wait_for(tmp_path / "sheet.安_Ann.csv")
    (answers,) = read_answers([str(path)], read_rubric()).answers.values()
    assert len(answers) == 20
    for i in range(20):
        score, keep, kind, flags, domain, note = answers_to(i)
        found = answers[f"doc{i:02d}"]
        assert (found.score, found.keep, found.kind, found.domain) == (score, keep, kind, domain)
        assert (found.flags, found.note, found.labeller) == (tuple(sorted(flags)), note, "安 Ann")
    assert browser.execute_script("return window.hacked") is None
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


def test_answers_can_be_loaded_into_another_browser(browser: Any, tmp_path: Path) -> None:
    """A downloaded file continues where it ended, and the interface is in Chinese or English."""
    open_sheet(browser, tmp_path)
    browser.find_element("id", "labeller").send_keys("bo", "\ue007")
    press(browser, "4", "y", "c")
    webdriver.ActionChains(browser).send_keys('=a,"b"\n第二行').perform()
    press(browser, "\ue00c", "s")
    path = wait_for(tmp_path / "sheet.bo.csv")
    browser.execute_script("localStorage.clear()")
    open_sheet(browser, tmp_path)
    assert browser.find_element("id", "count").text == "1 of 20, 0 answered"
    browser.find_element("id", "file").send_keys(str(path))
    time.sleep(0.5)
    assert browser.find_element("id", "problem").text == "1 answers loaded."
    assert browser.find_element("id", "note").get_attribute("value") == '=a,"b"\n第二行'
    assert browser.find_element("css selector", '[data-score="4"]').get_attribute("aria-pressed") == "true"
    press(browser, "l")
    assert browser.find_element("id", "title").text == read_rubric()["title"]["zh"]
    assert browser.find_element("id", "count").text == "第 1 篇，共 20 篇，已答 0 篇"
