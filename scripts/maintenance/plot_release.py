"""Draw the funnel of a release per language, and its realised mix.

Reads a release's lineage.json; writes one picture (docs/funnel.png in this repository).

Example: python -m scripts.maintenance.plot_release quickstart-store/releases/quickstart docs/funnel.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.report.release_numbers import Mix
from pipeline.translation import labels, t

KEPT = "#2a7f62"
DROPPED = ("#c9503c", "#e08e45", "#d8b04a", "#8c6bb1", "#5b8db8", "#9a9a9a")
"""A colour for each of the most frequent reasons; the last one is for all others together."""

MIX = (KEPT, "#1d3557")
"""Share of the kept tokens, share of the mix."""


MAX_LANGUAGES = 8
"""Number of languages, the largest, with a bar of their own; all others share one."""


def draw_funnel(axes: Axes, funnel: dict[str, dict[str, int]]) -> None:
    """One bar per language, as a share of its documents: kept, then dropped by reason."""
    ranked = sorted(funnel, key=lambda name: (-sum(funnel[name].values()), name))
    others: dict[str, int] = {}
    for name in ranked[MAX_LANGUAGES:]:
        for reason, count in funnel[name].items():
            others[reason] = others.get(reason, 0) + count
    funnel = {name: funnel[name] for name in ranked[:MAX_LANGUAGES]} | (
        {t("others"): others} if others else {}
    )
    languages = list(funnel)[::-1]
    totals = {name: sum(funnel[name].values()) for name in languages}
    reasons: dict[str, int] = {}
    for row in funnel.values():
        for reason, count in row.items():
            reasons[reason] = reasons.get(reason, 0) + count
    reasons.pop("kept", None)
    commonest = sorted(reasons, key=lambda name: (-reasons[name], name))
    named, rest = commonest[: len(DROPPED) - 1], commonest[len(DROPPED) - 1 :]
    groups = [(t("kept"), ["kept"], KEPT)]
    groups += [(name.replace("_", " "), [name], color) for name, color in zip(named, DROPPED, strict=False)]
    groups += [(t("other rules"), rest, DROPPED[-1])] if rest else []
    left = [0.0] * len(languages)
    for label, members, color in groups:
        counts = [sum(funnel[name].get(member, 0) for member in members) for name in languages]
        widths = [100 * count / totals[name] for name, count in zip(languages, counts, strict=True)]
        axes.barh(languages, widths, left=left, color=color, label=f"{label} ({sum(counts):,})", height=0.7)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for i, name in enumerate(languages):
        axes.text(101, i, f"{totals[name]:,}", va="center", fontsize=8)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel(t("% of the language's documents; their number at the right"))
    axes.set_title(t("What became of every document"), loc="left", fontsize=11)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=3, fontsize=8, frameon=False)


def draw_mix(axes: Axes, name: str, mix: Mix) -> None:
    """Two bars per group: its share of the available tokens, and of the mix."""
    groups = mix.groups
    available = [group.available_tokens for group in groups]
    everything = max(sum(available), 1)
    for i, group in enumerate(groups):
        shares = (100 * available[i] / everything, 100 * group.share)
        for j, (share, color) in enumerate(zip(shares, MIX, strict=True)):
            axes.bar(i + 0.38 * (j - 0.5), share, width=0.36, color=color)
            axes.text(i + 0.38 * (j - 0.5), share + 1, f"{share:.1f}", ha="center", fontsize=8)
    axes.set_xticks(range(len(groups)), [group.group for group in groups])
    axes.set_ylim(0, 110)
    axes.set_ylabel(t("% of tokens"))
    axes.set_title(t(f"Mix {name}: {mix.tokens:,} tokens"), loc="left", fontsize=11)
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in MIX]
    axes.legend(
        handles,
        labels("kept", "in the mix"),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncol=2,
        fontsize=8,
        frameon=False,
    )


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
