"""The page about kernels shows code of the project, and its examples run."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from stages.kernels.scripts.han_grams import count_marks
from stages.kernels.text.text import view
from tests.helpers.paths import ROOT

KERNEL, ORACLE, RATIO = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "docs/kernels.md").read_text("utf-8"), re.S | re.M
)


def run(block: str) -> dict[str, Any]:
    """Names that a block of the page defines; Any: functions and arrays."""
    names: dict[str, Any] = {}
    exec(compile(block, "docs/kernels.md", "exec"), names)
    return names


def test_the_kernel_of_the_page_is_that_of_the_project() -> None:
    """Both functions of the first example are in the source file, word for word."""
    source = (ROOT / "stages/kernels/scripts/han_grams.py").read_text("utf-8")
    assert [part for part in KERNEL.strip().split("\n\n\n") if part not in source] == []


def test_the_oracle_of_the_page_passes() -> None:
    """The property test of the page runs as it is printed."""
    run(ORACLE)["test_marks_are_counted"]()


def test_the_page_measures_a_ratio() -> None:
    """The function for measuring takes two calls and returns a positive number."""
    text, marks = view(pa.array(["侬好，今朝勿落雨。" * 100_000])), np.zeros(0x110000, np.uint8)
    ratio = run(RATIO)["ratio"]
    assert ratio(*[lambda: count_marks(text, np.zeros(1, np.int64), marks)] * 2, rounds=3) > 0
