"""Draw the shares of the mixes of a release along their training order.

Reads a release's lineage.json; writes one picture (docs/mixes.png in this repository).

Example: python -m scripts.maintenance.plot_mix store/releases/v1 docs/mixes.png half rising
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.release_numbers import Mix, MixTraining
from pipeline.translation import t
from scripts.maintenance.plot_release import DROPPED, MIX

COLORS = (*MIX, *DROPPED)

MAX_GROUPS = len(COLORS)
"""Number of groups, the largest, that are drawn."""


def draw_training(axes: Axes, name: str, mix: Mix) -> None:
    """Shares of the groups of a mix in each stretch of its training order; nothing if the mix has a single share."""
    if not isinstance(mix.training, MixTraining):
        return
    slices = mix.training.slices
    ends = [100 * row.until for row in slices]
    middles = [(a + b) / 2 for a, b in zip([0.0, *ends], ends, strict=False)]
    largest = sorted(range(len(mix.groups)), key=lambda i: (-mix.groups[i].share, i))[:MAX_GROUPS]
    for i, color in zip(sorted(largest), COLORS, strict=False):
        axes.plot(middles, [100 * row.asked[i] for row in slices], "--", color=color, linewidth=1)
        axes.plot(
            middles, [100 * row.share[i] for row in slices], "o", color=color, markersize=3,
            label=mix.groups[i].group,
        )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xlabel(t("% of the training order"))
    axes.set_ylabel(t(f"% of {mix.unit}"))
    axes.set_title(t(f"Mix {name}: shares requested (lines) and realised (points)"), loc="left", fontsize=11)
    axes.legend(fontsize=8, frameon=False)


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
