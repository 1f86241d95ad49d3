"""A mix as one text: both conventions are read back to the documents written, in training order."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect.stream import FORMATS, formatted, parsed
from tests.helpers.build import cli, reference

texts = st.lists(st.text(st.sampled_from("a字 \n\r\t\u2028"), max_size=12), max_size=6)


@given(texts, st.sampled_from(sorted(FORMATS)))
def test_documents_are_read_back(documents: list[str], name: str) -> None:
    """Any documents, with blank lines of any kind at any place."""
    shown = [formatted(text, name) for text in documents]
    shown = [text for text in shown if text]
    assert parsed("".join(text + FORMATS[name][1] for text in shown), name) == shown
    for text, before in zip(shown, [text for text in documents if text.strip()], strict=True):
        assert text.split() == before.split()


def test_paragraphs_have_their_separator() -> None:
    """A line is a paragraph in one convention; in the other, lines stay together up to a blank line."""
    text = "\n第一段\n第一段的第二行 \n\n\n \n第二段\n"
    assert formatted(text, "xglm") == "第一段\n第一段的第二行\n第二段"
    assert formatted(text, "blank-lines") == "第一段\n第一段的第二行\n\n第二段"


def test_a_mix_is_written_in_training_order(tmp_path: Path) -> None:
    """The documents of the file are those of the mix; wrong names and mixes without text are refused."""
    release = reference().store / "releases/v1"
    plan = (
        cli("text", release, "--mix", "half", "--to", tmp_path / "half.txt", "--json", "--dry-run").ok().json
    )
    assert not list(tmp_path.iterdir())
    ended = cli("text", release, "--mix", "half", "--to", tmp_path / "half.txt", "--json").ok()
    assert plan == {**ended.json, "to": None}
    found = parsed((tmp_path / "half.txt").read_text(encoding="utf-8"), "xglm")
    parts = sorted((release / "mixes/half").glob("part-*.parquet"))
    expected = [text for part in parts for text in pq.read_table(part)["text"].to_pylist()]
    assert found == [formatted(text, "xglm") for text in expected] and ended.json["documents"] == len(found)
    for options, message in (
        (("--mix", "halb"), "no mix 'halb'; did you mean 'half'"),
        (("--mix", "half", "--format", "xgml"), "did you mean 'xglm'"),
        (("--mix", "natural"), "has no text of its own"),
    ):
        wrong = cli("text", release, *options, "--to", tmp_path / "other.txt")
        assert wrong.code == 2 and message in wrong.err and not (tmp_path / "other.txt").exists()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_nothing_is_an_empty_file(name: str) -> None:
    """No documents, or empty ones, give no text."""
    assert parsed("", name) == [] and formatted(" \n\n", name) == ""
