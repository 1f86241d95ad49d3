"""Draw the funnel of a release per language, and its realised mix.

Reads a release's lineage.json; writes one picture (docs/funnel.png in this repository).

Example: python -m scripts.maintenance.plot_release quickstart-store/releases/quickstart docs/funnel.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from pipeline.report.figures import draw_funnel, draw_mix
from pipeline.report.release_numbers import Mix


def draw(release: Path, target: Path) -> None:
    """Draw the funnel and the default mix of a release."""
    lineage = json.loads((release / "lineage.json").read_text(encoding="utf-8"))
    default = lineage["default_mix"]
    figure = Figure(figsize=(11, 4.4))
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    draw_funnel(left, lineage["funnel"])
    draw_mix(right, default, msgspec.convert(lineage["mixes"][default], Mix))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=130, bbox_inches="tight", metadata={"Software": None})


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("release", metavar="RELEASE", type=Path, help="folder of the release")
    parser.add_argument("picture", metavar="PICTURE.png", type=Path, help="file to write")
    arguments = parser.parse_args()
    draw(arguments.release, arguments.picture)


if __name__ == "__main__":
    main()
