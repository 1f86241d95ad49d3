"""Documents written anew: checks of each kind, a build with a scripted server that is stopped, resumed and replayed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.llm.instructions import read_instructions
from classifiers.rephrase import PROMPTS, STYLES, Config
from classifiers.rephrase.checks import DocumentChecks, clean, copied_share, kept_numbers, repeated_share
from pipeline.cli import main
from pipeline.errors import ConfigError
from tests.helpers.llm_server import Reply, Server, serve

TEXTS = yaml.safe_load((Path(__file__).parent / "texts.yaml").read_text("utf-8"))
EN, ZH = (TEXTS["documents"][language].strip() for language in ("en", "zh"))
GOOD = {
    (style, language): text.strip()
    for language, texts in TEXTS["rewritten"].items()
    for style, text in texts.items()
}
BAD = (
    ("faq", "en", "Sure, here is the FAQ:\n" + GOOD["faq", "en"], "talk"),
    ("faq", "zh", "好的，以下是问答：\n" + GOOD["faq", "zh"], "talk"),
    ("wiki", "en", GOOD["wiki", "en"] + "\n\nLet me know if you need anything else!", "talk"),
    ("wiki", "en", "I'm sorry, but I cannot rewrite this document.\n## Reason\nIt is too long.", "refusal"),
    ("wiki", "zh", "很抱歉，我无法改写这篇文档。\n## 原因\n内容太长。", "refusal"),
    ("faq", "en", "The Harbour Line opened on 4 May 1987. It has 3 ships.", "form"),
    ("table", "zh", "海港线1987年5月4日开通。", "form"),
    ("tutorial", "en", "# Ships\n1. A.\n2. B.", "length"),
    ("wiki", "en", GOOD["wiki", "zh"] * 2, "language"),
    ("wiki", "zh", GOOD["wiki", "en"], "language"),
    ("wiki", "en", GOOD["wiki", "en"].replace("ferry service", "ferry service (ask harbour.line@gmail.com)"), "pii"),
    ("wiki", "en", "## Line\n" + EN, "copy"),
    ("tutorial", "zh", "# 船\n" + "1. 航线有3艘船，每艘可载240人。\n" * 8, "repeats"),
    ("wiki", "en", GOOD["wiki", "en"].replace("35", "45"), "number"),
    ("wiki", "zh", GOOD["wiki", "zh"].replace("5月4日", "5月6日"), "date"),
    ("wiki", "en", GOOD["wiki", "en"].replace("Greenhaven", "Bristol"), "entity"),
    ("tutorial", "zh", GOOD["tutorial", "zh"].replace("=720", "=760"), "arithmetic"),
    ("table", "en", GOOD["table", "en"].replace("12 km", "12 kg"), "unit"),
    ("translation", "en", ZH.replace("1987年5月4日", "当年").replace("3×240=720", "很多").replace("6美元",
    "少量"), "lost_numbers"),
    ("translation", "en", ZH.replace("35分钟", "45分钟"), "number"),
)  # fmt: skip


@pytest.fixture(scope="module")
def checks() -> DocumentChecks:
    """The checks with their models."""
    return DocumentChecks(Config())


@pytest.mark.parametrize(("style", "language"), GOOD)
def test_sound_texts_pass(checks: DocumentChecks, style: str, language: str) -> None:
    """A grounded text of each form, in each language, has no fault."""
    target = {"en": "zh", "zh": "en"}[language] if style == "translation" else language
    assert checks.faults(GOOD[style, language], EN if language == "en" else ZH, style, target) == []


@pytest.mark.parametrize(("style", "language", "text", "reason"), BAD)
def test_each_check_has_its_reason(
    checks: DocumentChecks, style: str, language: str, text: str, reason: str
) -> None:
    """What breaks one rule is rejected with its reason."""
    target = {"en": "zh", "zh": "en"}[language] if style == "translation" else language
    found = checks.faults(text, EN if language == "en" else ZH, style, target)
    assert reason in {fault.reason for fault in found}, found


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet="ab 船港。\n|-1", max_size=120))
def test_measures_are_shares(text: str) -> None:
    """Shares are in [0, 1], and a text copies itself."""
    for share in (repeated_share(text), copied_share(text, EN), kept_numbers(text, text)):
        assert 0 <= share <= 1
    assert copied_share(text, text) in (0.0, 1.0) and clean(clean(text)) == clean(text)


def test_a_block_around_a_text_and_thoughts_are_left_out() -> None:
    """What models put around a text is no part of it."""
    assert clean("<think>hm</think>\n```markdown\n# A\n```") == "# A"


def test_settings_are_checked() -> None:
    """Unknown forms and bounds that are none are refused in one line."""
    for values in (
        {"styles": ("poem",)},
        {"styles": ()},
        {"ratios": {"faq": (2, 1)}},
        {"min_support": 2},
        {"extra": {"n": 2}},
    ):
        with pytest.raises(ConfigError, match="rephrase"):
            Config(**values)


RUN: dict[str, Any] = {
    "corpus": "ferries",
    "sources": [
        {"name": "ferries", "reader": "stages.readers.jsonl", "files": "docs.jsonl", "license": "CC-BY-4.0",
         "provenance": "human"},
        {"name": "rewritten", "derive": "classifiers.rephrase.documents"},
    ],
    "annotate": [
        "classifiers.language", "stages.pii", {"use": "stages.tokens", "config": {}},
        {"use": "classifiers.rephrase", "config": {"model": "m", "min_chars": 100, "styles": list(STYLES)}},
    ],
    "mix": {"default": "half", "max_discard": 1.0,
            "mixes": {"half": {"by": "provenance", "share": {"human": 0.5, "LLM": 0.5}}}},
    "release": {"name": "r", "edits": {"pii": "all"}},
}  # fmt: skip


def script(number: int, body: dict[str, Any]) -> Reply:
    """Answer with a sound text of the form; one document gets an invented number, another an address."""
    del number
    instructions = read_instructions(PROMPTS, STYLES)
    system, user = (message["content"] for message in body["messages"])
    style, language = next(
        (name, lang)
        for name, one in instructions.items()
        for lang, text in one.texts.items()
        if text == system
    )
    text = GOOD[style, language]
    if "invented" in user and style == "wiki":
        text = text.replace("35", "45").replace("8个", "9个")
    if "secret" in user and style == "faq":
        text += "\n\nQ: Who knows more?\nA: Write to captain.reed@gmail.com for 3 ships."
    return Reply(content=text, usage=(400, 100))


class Corpus:
    """Documents, a run file and stores in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        texts = [EN, ZH, EN + " invented", ZH + " invented", EN + " secret: captain.reed@gmail.com", "short"]
        lines = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)]
        (folder / "docs.jsonl").write_text("".join(lines), "utf-8")
        (folder / "run.yaml").write_text(yaml.safe_dump(RUN), "utf-8")
        self.records: list[dict[str, Any]] = []

    def run(self, server: Server | None, store: str = "store", **values: Any) -> dict[str, Any]:
        """Build; returns the record."""
        entry = {"base_url": server.url if server else "http://127.0.0.1:9/v1", "backoff_s": 0.01, **values}
        (self.folder / "servers.yaml").write_text(yaml.safe_dump({"m": entry}), "utf-8")
        result = CliRunner().invoke(
            main, ["run", str(self.folder / "run.yaml"), "--store", str(self.folder / store), "--engine", "local",
                   "--workers", "1", "--json", "--servers", str(self.folder / "servers.yaml")],
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout.splitlines()[-1]))

    def rows(self, folder: str, store: str = "store") -> list[dict[str, Any]]:
        """Rows of the Parquet files below a folder of a store."""
        paths = sorted((self.folder / store / folder).rglob("*.parquet"))
        return [row for path in paths for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Corpus, Server]]:
    """A corpus that was built with a small budget, then without one."""
    pytest.importorskip("openai", reason="the extra llm is not installed")
    corpus = Corpus(tmp_path_factory.mktemp("rephrase"))
    with serve(script) as server:
        corpus.records.append(corpus.run(server, budget={"requests": 7}))
        corpus.records.append(corpus.run(server))
        yield corpus, server


def test_a_run_goes_on_and_asks_nothing_twice(corpus: tuple[Corpus, Server]) -> None:
    """A budget leaves documents open; the next run asks the rest; no request is sent twice."""
    (found, server) = corpus
    first, second = found.records
    assert first["services"]["m"]["requests"] == 7 and first["open"]["rephrase"] > 0 and not second["open"]
    bodies = Counter(json.dumps(asked.body, sort_keys=True) for asked in server.asked)
    assert set(bodies.values()) == {1}


def test_texts_are_documents_of_their_own(corpus: tuple[Corpus, Server]) -> None:
    """Accepted texts are released with parent, licence and provenance; rejected ones are kept with their reason."""
    found, _ = corpus
    documents = [row for row in found.rows("releases/r/data") if row["source"] == "rewritten"]
    assert {(row["provenance"], row["license"]) for row in documents} == {("LLM", "CC-BY-4.0")}
    assert all(row["parent_id"] for row in documents)
    assert len(documents) >= 15 and GOOD["faq", "zh"] in {row["text"] for row in documents}
    rejects = [one for row in found.rows("annotations/rephrase") for one in row["rejects"] or ()]
    assert {(one["style"], one["reason"]) for one in rejects} >= {("wiki", "number"), ("faq", "pii")}


def test_the_share_of_generated_text_is_set_in_the_mix(corpus: tuple[Corpus, Server]) -> None:
    """A mix by provenance has the share of generated tokens that it names, to a document."""
    found, _ = corpus
    rows = found.rows("releases/r/mixes/half")
    tokens = Counter[str]()
    for row in rows:
        tokens[row["provenance"]] += row["n_tokens"]
    assert set(tokens) == {"human", "LLM"}
    assert abs(tokens["LLM"] / sum(tokens.values()) - 0.5) < 0.12


def test_personal_data_is_not_sent_nor_kept(corpus: tuple[Corpus, Server]) -> None:
    """An address in a document is masked in requests; one that a server writes is in no sidecar and no release."""
    found, server = corpus
    assert not any("captain.reed" in asked.user for asked in server.asked)
    for folder in ("annotations", "releases"):
        assert "captain.reed" not in json.dumps(found.rows(folder), default=str, ensure_ascii=False)


def test_a_replay_is_byte_identical(corpus: tuple[Corpus, Server]) -> None:
    """A new store with the answers of the first asks no server and has the same bytes."""
    found, _ = corpus
    shutil.copytree(found.folder / "store" / "requests", found.folder / "other" / "requests")
    record = found.run(None, "other")
    assert record["services"]["m"]["requests"] == 0

    def digests(store: str) -> dict[str, str]:
        root = found.folder / store
        files = [
            p
            for name in ("releases/r/data", "annotations/rephrase")
            for p in (root / name).rglob("*.parquet")
        ]
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    assert digests("other") == {k: v for k, v in digests("store").items() if k in digests("other")}
    assert any("releases/r/data" in name for name in digests("other"))
