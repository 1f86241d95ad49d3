"""Damaged bytes: no reader or parser fails on some hundreds, nor on any that failed before."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts.maintenance.fuzz import FOUND, PARSERS, READERS, fails, fuzz, target

IN_PROCESS = [name for name in (*READERS, *PARSERS) if name not in ("html", "run_file")]
"""Others take a process, or load a module, for each input: `python -m scripts.maintenance.fuzz` runs them."""


@pytest.mark.parametrize("name", IN_PROCESS)
def test_no_damaged_input_fails(name: str) -> None:
    """No exception, no record that is neither whole nor broken, no input that takes seconds."""
    assert not fuzz(name, 40, 3).failures


@pytest.mark.parametrize("path", sorted(FOUND.glob("*-*")), ids=lambda path: path.name)
def test_no_input_fails_again(path: object) -> None:
    """Inputs that failed once."""
    name, data = path.name.rpartition("-")[0], path.read_bytes()  # type: ignore[attr-defined]
    assert not fails(target(name)[1], data, Counter())
