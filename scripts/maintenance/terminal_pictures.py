"""Draw docs/terminal.en.png and docs/terminal.zh.png: the same commands at 80 columns in both languages.

The commands run on a build of eight documents in a temporary folder; what they print is drawn on a grid of cells, an
ideograph on two. Needs Pillow, DejaVu Sans Mono and Noto Sans CJK (Debian: fonts-dejavu-core, fonts-noto-cjk).

Example: python -m scripts.maintenance.terminal_pictures
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.cells import wide
from tests.helpers.build import tiny, write_run

ROOT = Path(__file__).parents[2]
COLUMNS, CELL, LINE, SIZE, MARGIN = 80, 9, 20, 15, 12
"""Columns of the terminal; width of a cell, height of a line, size of letters and margin in pixels."""

LATIN = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
HAN = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
HAN_FACE = 2
"""Number of the face for Simplified Chinese in the collection."""

PAPER, INK, COLORS = "#fdfdfb", "#222222", {"31": "#b3261e", "33": "#8a6100", "32": "#1b6e3c"}

SESSION = (
    ("--help",),
    ("plan", "run.yaml", "--store", "store"),
    ("status", "--store", "store"),
    ("explain", "run.yaml", "--store", "store", "--input", "docs.jsonl:0"),
    ("show", "run.yaml", "--store", "store", "--rule", "too_shrot"),
)
HELP_LINES = 16
"""Lines of the help that are drawn."""


def main() -> int:
    """Build, run the commands in each language, and draw them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            {"id": str(i), "text": f"第 {i} 篇文档，讲的是江南水乡的一座老桥。" * (1 + i % 3)}
            for i in range(8)
        ]
        page = tiny(
            folder, rows, corpus="语料",
            sources=[{"name": "网页", "reader": "stages.readers.jsonl", "files": "docs.jsonl"}],
            select=[{"name": "too_short", "text_bytes": {"min": 100}}], release={"name": "第一版"},
        )  # fmt: skip
        write_run(folder, page)
        run(folder, "en", "run", "run.yaml", "--store", "store", "--engine", "local", "--workers", "1", "-q")
        for language in ("en", "zh"):
            draw(transcript(folder, language), ROOT / "docs" / f"terminal.{language}.png")
    return 0


def transcript(folder: Path, language: str) -> list[str]:
    """The lines of a session: each command, and what it prints."""
    lines: list[str] = []
    for words in SESSION:
        shown = run(folder, language, *words)
        lines += ["\x1b[1m$ bicorpus " + " ".join(words) + "\x1b[0m"]
        lines += shown[:HELP_LINES] + (["  …"] if words == ("--help",) else shown[HELP_LINES:]) + [""]
    return lines[:-1]


def run(folder: Path, language: str, *words: str) -> list[str]:
    """What a command prints to both streams, as lines."""
    given = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "BICORPUS_LANG": language, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", *words], cwd=folder, env=os.environ | given, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return ended.stdout.rstrip("\n").split("\n")


def draw(lines: list[str], path: Path) -> None:
    """Draw lines with ANSI colours as a picture of few colours."""
    size = (COLUMNS * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN)
    picture = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(picture)
    latin, han = ImageFont.truetype(LATIN, SIZE), ImageFont.truetype(HAN, SIZE, index=HAN_FACE)
    for row, line in enumerate(lines):
        column, color, bold = 0, INK, False
        for code, char in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
            if not char:
                bold = code == "1" or (bold and code not in ("", "0"))
                color = COLORS.get(code, INK)
                continue
            place = (MARGIN + column * CELL, MARGIN + row * LINE + (0 if wide(char) == 1 else -4))
            font = latin if wide(char) == 1 else han
            pen.text(place, char, fill=color, font=font, stroke_width=0.4 if bold else 0, stroke_fill=color)
            column += wide(char)
    picture.quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
