"""What `show`, `explain`, `export` and `report` answer to requests that match nothing or name what does not exist."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.cells import clip, pad, visible, wide
from pipeline.inspect.explain import matches
from pipeline.inspect.explain_text import WIDTH, explanation_text
from pipeline.inspect.query import similarity_text
from tests.helpers.build import cli, ledger, reference


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grep", "[a"), "--grep '[a': no regular expression (unterminated character set at position 0)"),
        (("--grep", "(?P<x"), "no regular expression"),
        (("--grep", "*"), "nothing to repeat"),
        (("--rule", "to_short"), "did you mean 'too_short'"),
        (("--where", "rule=TOO_SHORT"), "did you mean 'too_short'"),
        (("--where", "source=boks"), "no document has source 'boks'; did you mean 'books'"),
        (("--where", "input=crawl.warc.wet"), "did you mean 'crawl.warc.wet.gz'"),
        (("--where", "keep=perhaps"), "'perhaps' is no value of dtype bool"),
        (("--where", "dedup.pairs=1"), "expected a column of text or numbers"),
        (("--where", "n_tokens>1"), "did you mean 'tokens.n_tokens'"),
        (("--where", "signals.n_chars"), "expected a comparison"),
        (("--columns", "tokens.n_token"), "no column 'tokens.n_token'; did you mean 'tokens.n_tokens'"),
        (("--limit", "0"), "0 is not in the range"),
        (("--host", "no.such.host"), "no document has host 'no.such.host'"),
    ],
)
def test_show_refuses_in_one_line_what_does_not_exist(options: tuple[str, ...], message: str) -> None:
    """Exit 2, with the nearest name where there is one."""
    done = reference()
    refused = cli("show", done.run_path, "--store", done.store, *options)
    assert refused.code == 2 and message in refused.err and "Traceback" not in refused.err


def test_an_empty_answer_says_so() -> None:
    """A request that is right and matches nothing prints `0 documents`, to stderr with --json."""
    done = reference()
    show = ("show", done.run_path, "--store", done.store, "--grep", "zqx{9}")
    assert cli(*show).ok().out == "0 documents\n"
    plain = cli(*show, "--json").ok()
    assert plain.out == "" and "0 documents" in plain.err


def test_files_are_not_written_to_folders_that_do_not_exist(tmp_path: Path) -> None:
    """`report`, `export`: one line that names the folder, before anything is read."""
    done = reference()
    for command in (
        ("report", done.store / "releases" / "v1", "--to", tmp_path / "none" / "x.html"),
        ("export", done.run_path, "--store", done.store, "--to", tmp_path / "none" / "x.jsonl"),
    ):
        refused = cli(*command)
        assert refused.code == 2 and f"no folder '{tmp_path / 'none'}'" in refused.err


def test_show_aligns_columns_by_terminal_cells() -> None:
    """Han takes two cells: the text of every line begins in the same cell, and no line is wider than the limit."""
    done = reference()
    lines = (
        cli("show", done.run_path, "--store", done.store, "--columns", "source,input").ok().out.splitlines()
    )
    rows = [
        json.loads(line)
        for line in cli("show", done.run_path, "--store", done.store, "--json").ok().out.splitlines()
    ]
    starts = {
        wide(line[: line.index(visible(row["text"])[:5])]) for line, row in zip(lines, rows, strict=True)
    }
    assert len(starts) == 1
    assert max(map(wide, lines)) <= starts.pop() + 80


def test_explain_fits_on_one_screen_and_shows_all_on_request() -> None:
    """Each dropped document: at most 24 lines of 120 cells, the reason within the first five; --all lists the rest."""
    done = reference()
    dropped = {row["rule"]: row for row in ledger(done.store) if row["rule"]}
    for rule, row in dropped.items():
        short = cli("explain", done.run_path, row["doc_id"], "--store", done.store).ok().out.splitlines()
        assert len(short) <= 24 and max(map(wide, short)) <= WIDTH
        assert f"dropped by {rule}" in short[0]
        if rule not in ("duplicate", "parent_dropped"):
            assert any(line.split()[:2] == ["FAILS", rule] for line in short[:5])
    everything = cli("explain", done.run_path, row["doc_id"], "--store", done.store, "--all").ok().out
    assert "\nannotations\n" in everything and "tokens.n_tokens" in everything


def rule(name: str, **fields: Any) -> dict[str, Any]:  # Any: as in an explanation
    """One rule of an explanation."""
    return {
        "name": name,
        "action": "drop",
        "applies": True,
        "fails": False,
        "conditions": [],
        "where": [],
        **fields,
    }


def test_a_rule_whose_where_does_not_match_does_not_apply() -> None:
    """It is neither ok nor has it a margin; long names of rules keep the columns aligned."""
    failing = {"column": "signals.n_chars", "value": 3, "min": 100, "margin": -97}
    other = {"column": "language.label", "value": "eng_Latn", "in": ("zho_Hans",)}
    explanation = {
        "doc_id": "d", "keep": False, "rule": "short", "shard": "s", "row": 0, "excerpt": "甲\x1b[31m乙",
        "document": {"source": "a", "input": "b", "input_row": 0, "url": None},
        "keeper": None, "kept_for": None, "annotations": {},
        "rules": [
            rule("zho_a_name_of_more_than_twenty_characters", applies=False, where=[other]),
            rule("short", fails=True, conditions=[failing]),
        ],
    }  # fmt: skip
    short, everything = explanation_text(explanation), explanation_text(explanation, everything=True)
    assert "fails 1, passes 0; 1 do not apply" in short and "zho_a_name" not in short and "\x1b" not in short
    ignored, failed = everything.splitlines()[-3:-1]
    assert ignored.split()[:2] == ["-", "zho_a_name_of_more_than_twenty_characters"]
    assert "does not apply: where language.label 'eng_Latn'" in ignored and "margin" not in ignored
    assert failed.index("signals.n_chars") == ignored.index("does not apply")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"value": 5, "min": 5, "max": 5}, True),
        ({"value": None, "min": 5}, False),
        ({"value": "a", "in": ("a", "b")}, True),
        ({"value": "a", "not_in": ("a", "b")}, False),
        ({"value": 0.1, "max": 0.1}, True),
    ],
)
def test_conditions_of_where_match_as_in_rules(condition: dict[str, Any], expected: bool) -> None:
    """Bounds are inclusive, null matches nothing."""
    assert matches(condition) is expected


def test_only_a_similarity_of_one_prints_as_one() -> None:
    """A near pair of 0.9996 is no pair of 1.000."""
    assert [similarity_text(s) for s in (1.0, 0.9996, 0.999, 0.8)] == ["1.000", "0.999", "0.999", "0.800"]
    assert similarity_text(math.nextafter(0.9, 0)) == "0.900"


def test_text_is_measured_in_terminal_cells() -> None:
    """Ideographs and full-width forms take two cells, combining marks and invisible characters none."""
    assert [wide(text) for text in ("ab", "中文", "Ａ", "e\u0301", "a\u200bb", "한")] == [2, 4, 2, 1, 2, 2]
    assert clip("中文字", 5) == "中文…" and clip("中文字", 6) == "中文字" and clip("abc", 2) == "a…"
    assert pad("中", 4) == "中  " and pad("中文", 2) == "中文"
    assert visible("a\n\tb\x07") == "a b\ufffd"
