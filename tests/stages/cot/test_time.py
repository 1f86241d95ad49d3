"""Time against length: pages that repeat one mark take time in proportion to their length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from stages.cot import STAGE

SHAPES = (
    "Q: a?\nA: b\n", "解：\n", "解：x\n", "【解答】x。", "Q: a.\nBecause b.\n", "Step 1: x\n", "#### 5\n",
    "x?\n#### 5\n",
    "问：甲？\n答：乙\n", "<think>\n", "Q:\n", "例1 求x。\n", "# Problem 1\n", "【分析】x。", 
    "Strategy: x\n", "Example 1:\n",
    "<|im_start|>user\n", "\\begin{proof}\n", "A. x\n答案：A\n", "### 1. x?\n",
    "Question: what is it?\nSolution: x\n", "例1 求x。\n解：x=1\n", "1. 一共有几个苹果？\n", "> 一共有几个苹果？\n\n",
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_repeated_marks_take_time_in_proportion_to_length(shape: str) -> None:
    """40,000 characters take less than 3 CPU-seconds, and less than twelve times what a quarter of them takes."""
    seconds = []
    for n_chars in (100, 10_000, 40_000):
        text = (shape * (n_chars // len(shape) + 1))[:n_chars]
        batch = pa.table({"text": pa.array([text], pa.large_string()), "language.label": ["zho_Hans"]})
        seconds.append(min(_seconds(ANNOTATE, batch) for _ in range(2)))
    assert seconds[2] < 3 and seconds[2] < 12 * max(seconds[1], 0.1), seconds


ANNOTATE = STAGE.load(STAGE.config())


def _seconds(annotate: Callable[[pa.Table], pa.Table], batch: pa.Table) -> float:
    begin = time.process_time()
    annotate(batch)
    return time.process_time() - begin
