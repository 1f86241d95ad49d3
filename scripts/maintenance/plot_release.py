"""Draw the funnel of a release per language, and its realised mix.

Reads a release's lineage.json; writes one picture (docs/funnel.png in this repository).

Example: python -m scripts.maintenance.plot_release quickstart-store/releases/quickstart docs/funnel.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.figures import draw_funnel, draw_mix


def draw(release: Path, target: Path) -> None:
    """Draw the funnel and the default mix of a release."""
    lineage = json.loads((release / "lineage.json").read_text(encoding="utf-8"))
    default = lineage["default_mix"]
    figure = Figure(figsize=(11, 4.4))
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    draw_funnel(left, lineage["funnel"])
    draw_mix(right, default, lineage["mixes"][default])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=130, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m scripts.maintenance.plot_release RELEASE PICTURE.png")
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
