"""Time against length: pages that repeat one mark take time in proportion to their length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from stages.cot import STAGE
from stages.cot.line_table import LastWhere, LineTable
from stages.cot.segment import lines, sentences

SHAPES = (
    "Q: a?\nA: b\n", "解：\n", "解：x\n", "【解答】x。", "Q: a.\nBecause b.\n", "Step 1: x\n", "#### 5\n",
    "x?\n#### 5\n",
    "问：甲？\n答：乙\n", "<think>\n", "Q:\n", "Question: what is it?\nSolution: x\n", "例1 求x。\n解：x=1\n",
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_repeated_marks_take_time_in_proportion_to_length(shape: str) -> None:
    """240,000 characters take less than 3 CPU-seconds, and less than twelve times what a quarter of them takes."""
    annotate, seconds = STAGE.load(STAGE.config()), []
    for n_chars in (100, 60_000, 240_000):
        text = (shape * (n_chars // len(shape) + 1))[:n_chars]
        batch = pa.table({"text": pa.array([text], pa.large_string()), "language.label": ["zho_Hans"]})
        seconds.append(min(_seconds(annotate, batch) for _ in range(2)))
    assert seconds[2] < 3 and seconds[2] < 12 * max(seconds[1], 0.1), seconds


def _seconds(annotate: Callable[[pa.Table], pa.Table], batch: pa.Table) -> float:
    begin = time.process_time()
    annotate(batch)
    return time.process_time() - begin


TEXT = '  一。二？\n\n<!-- c -->\nWhat is it? Yes.\n\tlast one\n<!-- open\n 三！"四\n'


@pytest.mark.parametrize("low", range(0, len(TEXT), 3))
def test_looking_back_finds_what_looking_forward_finds(low: int) -> None:
    """Lines and last sentences of every range of a text, clipped lines and comments among them."""
    table = LineTable(TEXT)
    for limit in range(low, len(TEXT) + 1):
        assert [line for _, line in table.backwards(low, limit)] == list(lines(TEXT, low, limit))[::-1]
        for n in (1, 2, 9):
            assert table.last_sentences(low, limit, n) == sentences(TEXT, low, limit)[::-1][:n]


def test_each_position_is_tested_once() -> None:
    """The last position at which a condition holds, from any position and with any lower bound."""
    tested: list[int] = []

    def holds(k: int) -> bool:
        tested.append(k)
        return k in (3, 7)

    last = LastWhere(holds)
    found = [
        last.at_most(k, lowest)
        for k, lowest in ((9, 5), (6, 5), (6, 0), (9, 8), (9, 0), (2, 0), (3, 3), (7, 0))
    ]
    assert found == [7, None, 3, None, 7, None, 3, 7]
    assert len(tested) == len(set(tested))
