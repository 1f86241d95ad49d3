"""Scores of tools that find personal data: recall, near misses, look-alikes."""

from __future__ import annotations

from scripts.bench.pii_peers import datatrove, is_covered, marked_lines, ours, planted_lines

ROWS = [
    {"text": "write to li.wei@example.org today", "start": 9, "end": 27, "kind": "email", "near": ""},
    {"text": "call 13812345678 now", "start": 5, "end": 16, "kind": "phone_cn", "near": ""},
    {"text": "see icon@2x.png there", "start": 4, "end": 15, "kind": "", "near": "email"},
]


def test_planted_values_and_near_misses() -> None:
    """Ours finds both values and leaves the file name; datatrove has no telephone numbers and takes the file name."""
    find, kinds = ours()
    lines = list(planted_lines(ROWS, find, kinds))
    assert lines[0].split() == ["email", "1", "1.000", "near", "misses", "0", "of", "1"]
    assert lines[1].split()[:3] == ["phone_cn", "1", "1.000"]
    find, kinds = datatrove()
    lines = list(planted_lines(ROWS, find, kinds))
    assert lines[0].split() == ["email", "1", "1.000", "near", "misses", "1", "of", "1"]
    assert lines[1].split()[:3] == ["phone_cn", "1", "-"]


def test_marked_values() -> None:
    """A value counts if a span overlaps it; look-alikes and precision are counted over all rows."""
    value = {"start": 9, "end": 27, "kind": "email", "private": True}
    row = {
        "text": f"{ROWS[0]['text']} icon@2x.png",
        "spans": [value],
        "lookalikes": [{"start": 34, "end": 45}],
    }
    find, _ = datatrove()
    lines = list(marked_lines([row], find))
    assert lines[0].split() == ["email", "1", "1.000"] and lines[-2].split() == ["private", "1", "1.000"]
    assert lines[-1].startswith("precision 0.500 of 2 spans; look-alikes 1 of 1")


def test_four_fifths_of_a_value_must_be_covered() -> None:
    """Several spans together may cover it."""
    assert is_covered(0, 10, [(0, 4, "a"), (5, 9, "b")])
    assert not is_covered(0, 10, [(0, 7, "a")])
