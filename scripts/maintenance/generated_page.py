"""Write a page that a script generates, or check that the page is up to date."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_or_check(name: str, module: str, text: Callable[[], str], arguments: list[str]) -> int:
    """Write docs/NAME, or with `--check` compare it with the text.

    Returns: exit code: 1 if `--check` finds a difference.
    """
    page, wanted = ROOT / "docs" / name, text()
    if "--check" not in arguments:
        page.write_text(wanted, "utf-8")
    elif not page.exists() or page.read_text("utf-8") != wanted:
        print(f"docs/{name} is out of date; run: python -m {module}", file=sys.stderr)
        return 1
    return 0


def escape(text: str) -> str:
    """Text with `<`, `*` and `|` escaped outside of code spans, so that Markdown shows them as they are."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        parts[number] = parts[number].replace("<", "&lt;").replace("*", "\\*").replace("|", "\\|")
    return "`".join(parts)
