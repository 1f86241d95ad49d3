"""Draw the shares of the mixes of a release along their training order.

Reads a release's lineage.json; writes one picture (docs/mixes.png in this repository).

Example: python -m scripts.maintenance.plot_mix store/releases/v1 docs/mixes.png half rising
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec
from matplotlib.figure import Figure

from pipeline.report.release_numbers import Mix
from pipeline.report.training_figure import draw_training


def draw(release: Path, target: Path, names: list[str]) -> None:
    """Draw some mixes of a release side by side."""
    mixes = json.loads((release / "lineage.json").read_text(encoding="utf-8"))["mixes"]
    figure = Figure(figsize=(5.2 * len(names), 3.6))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        draw_training(axes, name, msgspec.convert(mixes[name], Mix))
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=130, bbox_inches="tight", metadata={"Software": None})


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("release", metavar="RELEASE", type=Path, help="folder of the release")
    parser.add_argument("picture", metavar="PICTURE.png", type=Path, help="file to write")
    parser.add_argument("mixes", metavar="MIX", nargs="+", help="mixes to draw")
    arguments = parser.parse_args()
    draw(arguments.release, arguments.picture, arguments.mixes)


if __name__ == "__main__":
    main()
