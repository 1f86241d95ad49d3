"""The four questions against a scripted server: every fault has its reason, and each question is repairable alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers import cot_llm
from classifiers.cot_llm.checks import Checks
from classifiers.cot_llm.markers import divide, find_segments
from classifiers.cot_llm.requests import PROMPTS
from classifiers.llm.masking import mask
from pipeline.errors import ConfigError
from pipeline.service import MemoryCache, Services
from tests.helpers.cot_server import EMAIL, FAULTS, PHONE, PLANTED, Script, document, step_of
from tests.helpers.llm_server import Server, serve

pytest.importorskip("openai", reason="the extra llm is not installed")

NAMES = list(FAULTS)
N = 2 * len(NAMES)  # an odd number of faults, so that each is planted in both languages
SETTINGS: dict[str, Any] = {"model": "m", "min_chars": 60, "paragraphs": False}


def batch(numbers: range) -> pa.Table:
    """Documents as the stage reads them."""
    return pa.table(
        {
            "text": pa.array([document(i) for i in numbers], pa.large_string()),
            "language.label": ["zho_Hans" if i % 2 else "eng_Latn" for i in numbers],
            "parent_id": pa.nulls(len(numbers), pa.string()),
        }
    )


def stage(server: Server, cache: MemoryCache, **values: Any) -> cot_llm.Chains:
    """The stage with a server."""
    entry = {"base_url": server.url, "backoff_s": 0.01, "read_s": 2, "max_tries": 8, "concurrency": 32}
    served = cot_llm.serve(cot_llm.Config(**SETTINGS | values), Services({"m": entry}, lambda name: cache))
    assert isinstance(served, cot_llm.Chains)
    return served


class Asked:
    """All documents asked about once. planned, replanned: what was expected before and after."""

    def __init__(self) -> None:
        self.cache = MemoryCache()
        with serve(Script()) as server:
            chains = stage(server, self.cache)
            self.planned = chains.estimate(batch(range(N)))
            self.rows = chains(batch(range(N))).to_pylist()
            self.replanned = chains.estimate(batch(range(N)))
            self.usage, self.asked = chains.client.usage, list(server.asked)
            chains.client.close()


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    """The answers of the scripted server."""
    yield Asked()


def test_every_fault_has_its_reason_and_nothing_is_lost(asked: Asked) -> None:
    """A document has a chain or the reason of its planted fault, in either language; errors of the server pass."""
    for i, row in enumerate(asked.rows):
        fault = NAMES[i % len(NAMES)]
        expected = FAULTS[fault]
        assert (row["reason"] or "") == expected, (i, fault, row["rejects"])
        assert (row["question"] is None) == bool(expected)
        if not expected:
            assert len(row["steps"]) == 3 == len(row["step_segments"]) and row["support"] > 0.5
            assert row["language"] == ("zh" if i % 2 else "en")
            begins = [document(i)[s["start"] : s["end"]][:2] for s in row["segments"]]
            assert begins == (["第 ", "夏天"] if i % 2 else ["Fe", "In"])
    assert asked.usage.unanswered == 0 and asked.usage.retries > 10


def test_rejected_answers_are_kept_without_personal_data(asked: Asked) -> None:
    """Each rejected answer has the question, the reason and the text, in which values are masked."""
    rejects = [reject for row in asked.rows for reject in row["rejects"]]
    reasons = Counter(reject["reason"] for reject in rejects)
    for reason in (
        "number",
        "unit",
        "entity",
        "arithmetic",
        "start_missing",
        "start_order",
        "language",
        "pii",
        "leaks",
    ):
        assert reasons[reason], reason
    summaries = [reject for reject in rejects if reject["step"] == "summary"]
    assert all(reject["end"] > reject["start"] >= 0 for reject in summaries)
    whole = repr(asked.rows)
    assert not [value for value in (EMAIL, PHONE, PLANTED) if value in whole]
    sent = repr([a.body["messages"] for a in asked.asked])
    assert EMAIL not in sent and PHONE not in sent and PLANTED not in sent and "[email]" in sent


def test_a_plan_knows_what_is_asked(asked: Asked) -> None:
    """Before, later questions are estimated from the text; afterwards every request is in the cache."""
    assert asked.planned.requests == 4 * N and asked.planned.cached == 0
    assert asked.planned.input_tokens > 300 * asked.planned.requests
    assert asked.replanned.requests == 0
    assert asked.replanned.cached >= len(asked.asked) - asked.usage.retries


def test_a_changed_question_asks_for_itself_alone(asked: Asked, tmp_path: Path) -> None:
    """With another instruction for the question, only that one is asked again, of documents with a chain."""
    prompts = yaml.safe_load(Path(PROMPTS).read_text("utf-8"))
    prompts["question"]["version"] = 2
    prompts["question"]["en"] += "\nBe brief."
    prompts["question"]["zh"] += "\n要简短。"
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump(prompts, allow_unicode=True), "utf-8")
    cache = MemoryCache()
    cache.answers = dict(asked.cache.answers)
    with serve(Script([""] * 2)) as server:
        chains = stage(server, cache, prompts=str(tmp_path / "prompts.yaml"))
        planned = chains.estimate(batch(range(N)))
        rows = chains(batch(range(N))).to_pylist()
        chains.client.close()
        assert {step_of(a.body) for a in server.asked} == {"question"}
        assert planned.requests == len(server.asked) > N // 4
    assert {row["prompts"] for row in rows} == {"segment1.summary1.chain1.question2"}
    assert sum(row["question"] is not None for row in rows) > sum(
        r["question"] is not None for r in asked.rows
    )


def test_without_a_right_marker_paragraphs_are_segments(asked: Asked) -> None:
    """A text of which no marker is right is divided at paragraphs, and the wrong markers are kept."""
    i = NAMES.index("markers")
    with serve(Script()) as server:
        chains = stage(server, asked.cache, paragraphs=True)
        (row,) = chains(batch(range(i, i + 1))).to_pylist()
        chains.client.close()
        assert "segment" not in {step_of(a.body) for a in server.asked}
    parts = [document(i)[s["start"] : s["end"]] for s in row["segments"]]
    assert parts == [document(i)] and row["reason"] is None and row["n_rejects"] == 4


@settings(max_examples=40)
@given(st.text("ab\n ", max_size=60), st.integers(1, 30), st.integers(1, 5))
def test_parts_cover_all_that_is_written(text: str, size: int, most: int) -> None:
    """Parts are in order, at most so many, without blanks around them, and nothing but blanks is outside."""
    parts = divide(text, size, most)
    assert len(parts) <= most and all(text[a:b] == text[a:b].strip() != "" for a, b in parts)
    outside = text
    for a, b in reversed(parts):
        outside = outside[:a] + outside[b:]
    assert not outside.strip()


def test_derived_and_short_documents_are_not_asked_about(asked: Asked) -> None:
    """A document with a parent is null, one below min_chars is short."""
    table = pa.table(
        {"text": ["x" * 300, "short", None], "language.label": [None] * 3, "parent_id": ["p", None, None]},
        schema=pa.schema(
            {"text": pa.large_string(), "language.label": pa.string(), "parent_id": pa.string()}
        ),
    )
    with serve(Script()) as server:
        rows = stage(server, asked.cache)(table).to_pylist()
        assert [row["reason"] for row in rows] == [None, "short", None] and not server.asked


def test_markers_survive_what_models_change() -> None:
    """Blanks, quotation marks, case and width of a marker do not matter; order and existence do."""
    text = "He said: “The  Sea is cold.” Then\nhe left.\n\n水温是１５度，所以不能游泳。他走了。"
    segments, faults = find_segments(
        text,
        [
            ("he SAID: 'the sea", "Then he left"),
            ("水温是15度", "游泳。他走了"),
            ("the sea is cold", "he left"),
        ],
        5,
    )
    first, second = text.split("\n\n")
    assert [text[a:b] for a, b in segments] == [first, second]
    assert [(fault.reason, fault.at) for fault in faults] == [("start_order", 2)]


MARKER = st.text("ab甲", max_size=6)


@settings(max_examples=40)
@given(st.text("ab 甲。", max_size=60), st.lists(st.tuples(MARKER, MARKER), max_size=4))
def test_segments_are_in_order_and_do_not_overlap(text: str, markers: list[tuple[str, str]]) -> None:
    """Whatever the markers are, segments follow each other within the text, and the others have a reason."""
    segments, faults = find_segments(text, markers, 1)
    assert len(segments) + len(faults) == len(markers)
    edges = [position for segment in segments for position in segment]
    assert edges == sorted(edges) and all(0 <= position <= len(text) for position in edges)


@settings(max_examples=40)
@given(st.text(max_size=30), st.data())
def test_positions_in_a_masked_text_lead_back(text: str, data: st.DataObject) -> None:
    """Characters outside placeholders are those of the original at the position that is mapped back."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    masked = mask(text, [(a, b, "email") for a, b in zip(cuts[::2], cuts[1::2], strict=False)])
    for piece in masked.pieces:
        if piece.is_placeholder:
            assert masked.text[piece.at :].startswith("[email]")
            assert (masked.start_of(piece.at + 2), masked.end_of(piece.at + 3)) == (piece.start, piece.end)
        for i in range(0 if piece.is_placeholder else piece.end - piece.start):
            assert masked.text[piece.at + i] == text[masked.start_of(piece.at + i)]
            assert masked.end_of(piece.at + i + 1) == piece.start + i + 1


@pytest.fixture(scope="module")
def checks() -> Checks:
    """The checks with their defaults."""
    return Checks(cot_llm.Config())


@pytest.mark.parametrize(
    ("text", "language", "is_in"),
    [
        ("使用 tf.data.Dataset 的 map 方法转换每个元素，然后再分批。", "zh", True),
        ("The function returns a list of all values in the order of their keys.", "en", True),
        ("La fonction renvoie une liste de toutes les valeurs dans l'ordre de leurs clés.", "en", False),
        ("この関数はすべての値のリストをキーの順に返します。", "zh", False),
        ("The function returns a list.", "zh", False),
        ("这个函数返回一个列表。", "en", False),
        ("$x = \\frac{3}{4}$", "zh", True),
    ],
)
def test_language_of_a_field(text: str, language: str, is_in: bool, checks: Checks) -> None:
    """Terms, formulas and code are in any language; sentences are in one."""
    assert checks.is_in(text, language) == is_in


def test_traditional_and_simplified_are_compared_as_equal(checks: Checks) -> None:
    """A Simplified summary of a Traditional text has its names; another name is a fault."""
    source = "臺灣電力公司在1946年成立，負責全島的供電。"
    assert checks.summary("台湾电力公司1946年成立，负责供电。", source, "zh") == []
    faults = checks.summary("台湾自来水公司1964年成立，负责供电。", source, "zh")
    assert {fault.reason for fault in faults} >= {"entity", "date"}


def test_loops_are_repetitive(checks: Checks) -> None:
    """A text that repeats itself without an end is rejected, one with a recurring phrase is not."""
    loop = "It is a summary of the interface. " * 6
    assert [fault.reason for fault in checks.field(loop, "en", 1, 800)] == ["repetitive"]
    assert not checks.field(
        "首先" + "因为天冷，" * 2 + "所以船停了，岛上没有人，邮件也停了，要等到春天才能再送。", "zh", 1, 800
    )


def test_settings_are_checked() -> None:
    """A setting out of range is an error that names it."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"language": "fr"}, "language"),
        ({"min_steps": 5, "max_steps": 3}, "min_steps"),
        ({"max_tokens": {"answer": 5}}, "max_tokens.answer"),
        ({"extra": {"seed": 1}}, "extra.seed"),
        ({"min_support": 2.0}, "min_support"),
    ]
    for values, word in wrong:
        with pytest.raises(ConfigError, match=word):
            cot_llm.Config(**values)
