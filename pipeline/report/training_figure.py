"""Figure of a mix along its training order: requested shares as dashed lines, realised ones as points."""

from __future__ import annotations

from matplotlib.axes import Axes

from pipeline.report.figures import DROPPED, MIX
from pipeline.report.release_numbers import Mix, MixTraining
from pipeline.translation import t

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
