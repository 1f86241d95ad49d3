"""Figures of a release: funnel by language, documents dropped by each rule, lengths, mixes.

Drawn with matplotlib from a release's numbers; the same numbers give the same bytes.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
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


def draw_rules(
    axes: Axes, funnel: dict[str, dict[str, int]], failed: dict[str, int], rules: list[str]
) -> None:
    """One bar per rule: documents that fail it, in front those for which it is the first failing rule."""
    decided = {rule: sum(row.get(rule, 0) for row in funnel.values()) for rule in rules}
    names = [rule for rule in dict.fromkeys(rules) if failed.get(rule)][::-1]
    axes.barh(names, [failed[name] for name in names], color="#e6c9c4", height=0.7, label=t("fail the rule"))
    axes.barh(
        names,
        [decided[name] for name in names],
        color=DROPPED[0],
        height=0.7,
        label=t("dropped by it"),
    )
    for i, name in enumerate(names):
        axes.text(failed[name], i, t(f" {decided[name]:,} of {failed[name]:,}"), va="center", fontsize=8)
    axes.set_xlabel(t("documents"))
    axes.margins(x=0.2)
    axes.set_title(t("What each rule took"), loc="left", fontsize=11)
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def draw_lengths(axes: Axes, lengths: dict[str, list[int]]) -> None:
    """Kept documents by length: for each language the number in each power-of-two bin of tokens."""
    n_bins = max((len(counts) for counts in lengths.values()), default=1)
    for name, color in zip(lengths, ("#1d3557", *DROPPED), strict=False):
        counts = np.pad(lengths[name], (0, n_bins - len(lengths[name])))
        axes.step(range(n_bins), 100 * counts / max(counts.sum(), 1), where="mid", color=color, label=name)
    axes.set_xticks(range(0, n_bins, 2), [f"{1 << i:,}" for i in range(0, n_bins, 2)], fontsize=8)
    axes.set_xlabel(t("tokens, from this power of two to the next"))
    axes.set_ylabel(t("% of kept documents"))
    axes.set_title(t("Lengths of kept documents"), loc="left", fontsize=11)
    axes.legend(fontsize=8, frameon=False)


Draw = Callable[[Axes], None]

PADDING = 0.1
"""Inches around a figure."""


def svg(draws: Draw | Sequence[Draw], width: float, height: float, columns: int = 1) -> str:
    """One figure as an SVG element, without date or random ids; several drawings are arranged in rows of `columns`.

    width, height: of the whole figure, in inches.
    """
    draws = [draws] if callable(draws) else list(draws)
    settings: Any = {  # Any: matplotlib types every key
        "svg.hashsalt": "bicorpus", "svg.fonttype": "none", "font.family": "sans-serif",
        "figure.dpi": 72,  # of SVG, so that the space for labels is measured as it is drawn
        "text.parse_math": False,  # names of rules, sources and domains may hold dollar signs
    }  # fmt: skip
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The browser has the font for a name in Chinese; matplotlib only measures it, and says that it lacks a glyph.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        n_rows = -(-len(draws) // columns)
        panels = figure.subplots(n_rows, columns, squeeze=False).ravel()
        for axes, draw in zip(panels, draws, strict=False):
            draw(axes)
            axes.spines[["top", "right"]].set_visible(False)
        for axes in panels[len(draws) :]:
            axes.set_axis_off()
        if len(draws) > 1:
            figure.tight_layout(w_pad=3, h_pad=2.5)
        sink = io.StringIO()
        around = figure.get_tightbbox().padded(PADDING)  # "tight" would draw it once more
        figure.savefig(sink, format="svg", bbox_inches=around, metadata={"Date": None, "Creator": None})
    text = sink.getvalue()
    return text[text.index("<svg") :]
