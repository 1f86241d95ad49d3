"""Plain text of which each line is a document."""

from __future__ import annotations

import gzip
import io

import pytest

from stages.readers import lines
from stages.readers.lines import READER, Config

TEXT = "今天天气很好，我们一起去公园散步吧。\n\n  \nThe quick brown fox.\r\n最后一行没有换行"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "big5", "utf-16"])
def test_lines_of_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank lines are skipped but counted; pieces may end inside a character."""
    monkeypatch.setattr(lines, "START_BYTES", 97)
    text = (
        TEXT.replace("们", "們")
        .replace("气", "氣")
        .replace("园", "園")
        .replace("换", "換")
        .replace("后", "後")
        .replace("没", "沒")
    )
    records = list(READER.read(io.BytesIO(text.encode(encoding)), "x.txt", Config()))
    expected = [(0, text.split("\n")[0]), (3, "The quick brown fox."), (4, text.split("\n")[4])]
    assert [(r.position, (r.fields or {})["text"]) for r in records] == expected


def test_damage_and_long_lines_are_reported() -> None:
    """A truncated file has its lines and then its damage; a long line costs itself."""
    data = gzip.compress(("短句。\n" * 50).encode())[:-4]
    reasons = [r.reason for r in READER.read(io.BytesIO(data), "x.txt.gz", Config(max_line_chars=20))]
    assert reasons[-1] == "truncated"
    whole = io.BytesIO(("短句。\n" + "长" * 50 + "\n短句。\n").encode())
    records = list(READER.read(whole, "x.txt", Config(max_line_chars=20)))
    assert [(r.position, r.reason) for r in records] == [(0, None), (1, "line_too_long"), (2, None)]
