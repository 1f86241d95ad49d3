"""Run the code cells of a notebook in order without Jupyter and print what they print.

Example: python run.py clean.ipynb; with --write it stores the output in the notebook
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def run(path: Path, write: bool) -> None:
    """Execute the code cells in one namespace."""
    notebook = json.loads(path.read_text("utf-8"))
    names: dict[str, Any] = {}  # Any: what the cells define
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, 1):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("".join(cell["source"]), f"{path}, cell {number}", "exec"), names)
        print(out.getvalue(), end="")
        lines = out.getvalue().splitlines(keepends=True)
        cell["execution_count"] = number
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
    if write:
        path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(Path(sys.argv[1]), "--write" in sys.argv)
