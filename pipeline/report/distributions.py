"""Figures of a release's profile: buckets, perplexity, scores, copies, domains.

Drawn with matplotlib from the counts of pipeline.report.profile; the same counts give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pipeline.report.figures import DROPPED, KEPT
from pipeline.report.profile import edges_of
from pipeline.report.release_numbers import ClusterTally, Cut, Split, Tally
from pipeline.translation import message, t

LOST = DROPPED[0]
LINES = ("#1d3557", "#e08e45", "#8c6bb1", "#5b8db8")
"""A colour for each language drawn into one figure."""

ABOVE: Any = {
    "loc": "lower right",
    "bbox_to_anchor": (1.02, 0.98),
    "borderaxespad": 0,
    "ncol": 3,
    "columnspacing": 1,
}
"""Place of a legend beside the title, where it can cover nothing. Any: keywords of matplotlib's."""

TOO_FEW = 50
"""Fewest documents for which a distribution is drawn; the shape of fewer would be noise."""

TAIL = 0.002
"""Share of documents at each end of a logarithmic axis that may be outside the plot."""

SplitBins = Mapping[str, Split]
Cuts = Sequence[Cut]

QUARTER = 4
"""Bins of the profile that a logarithmic histogram joins into one."""

MAX_TICKS = 8
LEAST_BARS = 5
"""Minimum number of bars that a figure leaves room for, so that few bars are not too wide."""

STEPS = 32
"""Bars of a linear histogram between zero and its end, a power of two, so that no bin of the profile is cut."""


def draw_buckets(
    axes: Axes, language: str, groups: SplitBins, n_buckets: int, cuts: Cuts, legend: bool
) -> None:
    """Bytes in each quality bucket as a share of the language's, kept and dropped, and where a rule cuts."""
    kept, dropped = np.zeros(n_buckets), np.zeros(n_buckets)
    for bucket, counts in groups.items():
        kept[int(bucket)] = counts.kept_bytes
        dropped[int(bucket)] = counts.dropped_bytes
    total = max((kept + dropped).sum(), 1)
    axes.bar(range(n_buckets), 100 * kept / total, color=KEPT, width=0.85, label=t("kept"))
    axes.bar(
        range(n_buckets),
        100 * dropped / total,
        bottom=100 * kept / total,
        color=LOST,
        width=0.85,
        label=t("dropped"),
    )
    axes.axhline(100 / n_buckets, color="#555", lw=0.8, ls=(0, (4, 3)))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.2)
    axes.set_xlim(-0.7, n_buckets - 0.3)
    draw_cuts(axes, language, cuts, between=0.5)
    axes.set_xticks(range(0, n_buckets, max(1, n_buckets // 10)))
    axes.set_xlabel(t("quality bucket, best at the right"), fontsize=9)
    axes.set_ylabel(t("% of bytes"), fontsize=9)
    axes.set_title(
        f"{language} ({sum(split.documents for split in groups.values()):,})", loc="left", fontsize=10
    )
    if legend:
        axes.legend(fontsize=8, frameon=False, **ABOVE)


def draw_perplexity(axes: Axes, language: str, groups: SplitBins, cuts: Cuts) -> None:
    """Kept and dropped documents of a language by perplexity, on a logarithmic axis, and where a rule cuts."""
    bars = logarithmic(groups)
    for i, (name, color) in enumerate(((message("kept"), KEPT), (message("dropped"), LOST))):
        total = sum(counts[i] for _, _, counts in bars)
        if total < TOO_FEW:
            axes.plot([], [], color=color, label=t(f"{t(name)} ({total:,}): too few to draw"))
            continue
        edges = [bars[0][0], *(high for _, high, _ in bars)]
        density = [100 * c[i] / total / np.log2(high / low) for low, high, c in bars]
        axes.stairs(density, edges, color=color, fill=i == 0, alpha=0.45 if i == 0 else 1, lw=1.4,
                    label=f"{t(name)} ({total:,})")  # fmt: skip
    axes.set_xscale("log", base=10)
    axes.set_xlim(*middle(bars))
    draw_cuts(axes, language, cuts)
    plain_ticks(axes)
    axes.set_xlabel(t("perplexity"), fontsize=9)
    axes.set_ylabel(t("% of documents per doubling"), fontsize=9)
    axes.set_title(language, loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, **ABOVE)


def logarithmic(groups: SplitBins) -> list[tuple[float, float, Split]]:
    """(lower, upper edge, counts) of joined bins from the least value above zero to the greatest, empty ones too."""
    joined: dict[int, Split] = {}
    for code, counts in groups.items():
        if int(code) > 0:
            bar = (int(code) - 1) // QUARTER
            joined[bar] = Split(*(a + b for a, b in zip(joined.get(bar, Split()), counts, strict=True)))
    if not joined:
        return []
    return [
        (edges_of(QUARTER * i + 1)[0], edges_of(QUARTER * i + QUARTER)[1], joined.get(i, Split()))
        for i in range(min(joined), max(joined) + 1)
    ]


def middle(bars: Sequence[tuple[float, float, Split]]) -> tuple[float, float]:
    """Limits of an axis that leave at most TAIL of the documents out at each end."""
    sums = np.cumsum([counts.documents for _, _, counts in bars])
    first = int(np.searchsorted(sums, TAIL * sums[-1], "right"))
    last = int(np.searchsorted(sums, (1 - TAIL) * sums[-1], "left"))
    return bars[first][0], bars[last][1]


def plain_ticks(axes: Axes) -> None:
    """At most MAX_TICKS ticks at round numbers of a logarithmic axis, with plain labels."""
    low, high = axes.get_xlim()
    ticks: list[float] = []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [f * 10.0**e for e in range(-4, 11) for f in factors if low <= f * 10.0**e <= high]
        if len(ticks) <= MAX_TICKS:
            break
    axes.set_xticks(ticks, [f"{tick:,g}" if tick < 1 else f"{tick:,.0f}" for tick in ticks], fontsize=8)
    axes.set_xticks([], minor=True)


def draw_cuts(axes: Axes, language: str | None, cuts: Cuts, between: float = 0.0) -> None:
    """A line with the rule and its bound for each cut that applies to this language; None draws those of all languages.

    between: how far from its value a cut is drawn, towards what it drops: half a step between whole numbers.
    """
    is_log = axes.get_xscale() == "log"
    for cut in cuts:
        if language is not None and cut.languages is not None and language not in cut.languages:
            continue
        if is_log and cut.value <= 0:
            continue
        x = cut.value - between if cut.side == "min" else cut.value + between
        low, high = axes.get_xlim()  # a cut far from every document is shown too
        axes.set_xlim(min(low, x), max(high, x))
        axes.axvline(x, color="#333", lw=1, ls=(0, (2, 2)))
        sign = "≥" if cut.side == "min" else "≤"
        number = f"{cut.value:,.0f}" if abs(cut.value) >= 100 else f"{cut.value:,.3g}"
        axes.annotate(
            f"{cut.rule} {sign} {number}", (x, 0.98), xycoords=("data", "axes fraction"), rotation=90,
            ha="right", va="top", fontsize=7.5, color="#333", xytext=(-2, 0), textcoords="offset points",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )  # fmt: skip


def draw_scores(
    axes: Axes, scorer: str, languages: Mapping[str, SplitBins], shown: Sequence[str], cuts: Cuts
) -> None:
    """Kept documents of the largest languages by score, and the dropped ones of all languages together."""
    end = extent(languages)
    for name, color in zip([name for name in shown if name in languages], LINES, strict=False):
        draw_line(axes, linear(languages[name], end, "kept"), end, t(f"{name}, kept"), color, "-")
    kept, dropped = (
        np.sum([linear(groups, end, what) for groups in languages.values()], axis=0)
        for what in ("kept", "dropped")
    )
    filled = np.flatnonzero(kept + dropped)
    draw_line(axes, dropped, end, t("all languages, dropped"), LOST, (0, (3, 2)))
    axes.set_xlim((filled[0] - STEPS - 0.3) * end / STEPS, (filled[-1] + 1 - STEPS + 0.3) * end / STEPS)
    draw_cuts(axes, None, cuts)
    axes.set_xlabel(t(f"score, in steps of {end / STEPS:g}"), fontsize=9)
    axes.set_ylabel(t("% of documents"), fontsize=9)
    axes.set_title(scorer, loc="left", fontsize=10)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=2)


def extent(languages: Mapping[str, SplitBins]) -> float:
    """The smallest power of two that no absolute score exceeds."""
    greatest = max((abs(int(code)) for groups in languages.values() for code in groups), default=0)
    return float(2.0 ** np.ceil(np.log2(edges_of(greatest)[1]))) if greatest else 1.0


def linear(groups: SplitBins, end: float, what: str) -> np.ndarray:
    """Documents in each of 2 * STEPS equal intervals from -end to end; int64."""
    counts = np.zeros(2 * STEPS, np.int64)
    for code, row in groups.items():
        upper = edges_of(int(code))[1]
        place = int(np.ceil(upper * STEPS / end)) - 1 if int(code) else 0
        counts[STEPS + max(place, -STEPS)] += getattr(row, what)
    return counts


def draw_line(axes: Axes, counts: np.ndarray, end: float, label: str, color: str, style: Any) -> None:
    """One distribution as a stepped line; the half below zero only if it has documents."""
    total, first = int(counts.sum()), 0 if counts[:STEPS].any() else STEPS
    if total < TOO_FEW:
        axes.plot([], [], color=color, ls=style, label=t(f"{label} ({total:,}): too few to draw"))
        return
    edges = np.linspace(-end, end, 2 * STEPS + 1)[first:]
    axes.stairs(
        100 * counts[first:] / total, edges, color=color, ls=style, lw=1.5, label=f"{label} ({total:,})"
    )


def draw_cluster_sizes(axes: Axes, clusters: Mapping[str, ClusterTally]) -> None:
    """Number of clusters of duplicates by size, on a logarithmic axis."""
    sizes = sorted(int(size) for size in clusters if clusters[size].clusters)
    counts = [clusters[str(size)].clusters for size in sizes]
    names = [str(size) if size < 3 else f"{size // 2 + 1}–{size}" for size in sizes]
    axes.bar(names, counts, color=LINES[0], width=0.7)
    for i, count in enumerate(counts):
        axes.text(i, count * 1.08, f"{count:,}", ha="center", fontsize=8)
    axes.set_yscale("log")
    top = max(counts, default=1) * 2.5
    axes.set_ylim(0.7, top)
    ticks = [10**e for e in range(19) if 10**e < top]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xlabel(t("documents in the cluster"), fontsize=9)
    axes.set_ylabel(t("clusters"), fontsize=9)
    axes.set_title(t("Clusters of copies, by size"), loc="left", fontsize=10)


def draw_copies(axes: Axes, tallies: Mapping[str, Tally], what: str, shown: int) -> None:
    """Share of documents that were removed as duplicates, for the largest groups."""
    names = largest(tallies, shown)[::-1]
    counts = [(tallies[name].copies, tallies[name].documents) for name in names]
    shares = [100 * copies / total for copies, total in counts]
    axes.barh(names, shares, color=LOST, height=0.7)
    axes.set_ylim(min(0, len(names) - LEAST_BARS) - 0.6, len(names) - 0.4)
    top = max([*shares, 1])
    for i, (copies, total) in enumerate(counts):
        axes.text(shares[i] + 0.02 * top, i, t(f"{copies:,} of {total:,}"), va="center", fontsize=8)
    axes.set_xlim(0, top * 1.6)
    if top > 50:
        axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel(t("% of documents"), fontsize=9)
    axes.set_title(t(f"Dropped as copies, by {t(what)}"), loc="left", fontsize=10)


def draw_domains(axes: Axes, tallies: Mapping[str, Tally], shown: int) -> None:
    """Documents of the largest domains, kept ones in front."""
    names = largest(tallies, shown)[::-1]
    total = [tallies[name].documents for name in names]
    kept = [tallies[name].kept for name in names]
    axes.barh(names, total, color="#e6c9c4", height=0.7, label=t("dropped"))
    axes.barh(names, kept, color=KEPT, height=0.7, label=t("kept"))
    for i, (k, n) in enumerate(zip(kept, total, strict=True)):
        axes.text(n, i, t(f" {k:,} of {n:,} ({k / n:.0%})"), va="center", fontsize=8)
    axes.set_xlabel(t("documents"), fontsize=9)
    axes.margins(x=0.25)
    axes.set_title(t("Documents by domain"), loc="left", fontsize=11)
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def largest(tallies: Mapping[str, Tally], shown: int) -> list[str]:
    """Names of the groups with the most documents."""
    return sorted(tallies, key=lambda name: (-tallies[name].documents, name))[:shown]


def draw_similarities(axes: Axes, rows: Sequence[tuple[float, bool, int]], threshold: float | None) -> None:
    """Compared pairs by similarity, verified ones and others, with the threshold.

    Args: rows, lower edge of a bin of 0.01, whether the pairs are verified, how many.
    """
    for verified, color, name in ((False, LOST, t("compared, not alike")), (True, LINES[0], t("verified"))):
        mine = [(edge, count) for edge, flag, count in rows if flag == verified]
        axes.bar(
            [edge for edge, _ in mine], [n for _, n in mine], 0.01, color=color, align="edge", label=name
        )
    if threshold is not None:
        axes.axvline(threshold, color="#222", linewidth=1, linestyle=":")
    axes.set_yscale("log")
    axes.set_xlim(0, 1.01)
    axes.set_xlabel(t("Jaccard index of shingles"), fontsize=9)
    axes.set_ylabel(t("pairs"), fontsize=9)
    axes.set_title(t("Compared pairs, by similarity"), loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
