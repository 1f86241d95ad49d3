"""Toll-free numbers of China: ten digits in the groups in which they are written, and no other digits."""

from __future__ import annotations

import pyarrow as pa
import pytest

from stages.pii import STAGE


def kinds(text: str) -> list[str]:
    """The kinds of personal data in a text."""
    found = STAGE.load(STAGE.config())(pa.table({"text": pa.array([text], pa.large_string())}))
    return [span["kind"] for span in found["spans"].to_pylist()[0]]


@pytest.mark.parametrize(
    "text", ["客服：400-820-8820", "客服 4008 100 987", "400-6533-789", "客服：4008208820"]
)
def test_written_groups_are_found(text: str) -> None:
    """3-3-4, 3-4-3 and 4-3-3, and ten digits behind a word of contact."""
    assert kinds(text) == ["tollfree"]


@pytest.mark.parametrize(
    "text",
    ["400-82088-20", "400-8-208820", "客服：400-8-208820", "客服400-82088-20-1", "编号400-820-8820-123456"],
)
def test_other_groups_are_none(text: str) -> None:
    """Three groups of which one is longer than four digits, and numbers that go on, are codes, also beside a word."""
    assert kinds(text) == []
