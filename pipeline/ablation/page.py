"""The pages of an ablation: README.md with the tables, report.html with loss curves and intervals as well."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pipeline.ablation.compare import BETTER, OPEN, WORSE, Difference, is_lower_better
from pipeline.ablation.corpora import write_json
from pipeline.ablation.run import Results, plain
from pipeline.ablation.swarm import write_csv
from pipeline.report.figures import DROPPED, KEPT, svg
from pipeline.report.markdown import markdown
from pipeline.translation import language, message, t

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
td, th { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: left }
svg { max-width: 100%; height: auto }
"""

COLOURS = (KEPT, "#1d3557", *DROPPED)
MARKS = {BETTER: message("better than the baseline"), WORSE: message("worse than the baseline"),
         OPEN: message("no difference shown")}  # fmt: skip


def write_pages(results: Results, folder: str) -> None:
    """Write results.json, metrics.csv, README.md and report.html into the folder of an ablation."""
    write_json(Path(folder, "results.json"), plain(results))
    write_csv(Path(folder, "metrics.csv"), *metric_rows(results))
    Path(folder, "README.md").write_text(markdown_page(results), "utf-8")
    Path(folder, "report.html").write_text(html_page(results), "utf-8")


def metric_rows(results: Results) -> tuple[list[str], list[tuple[str, list[float]]]]:
    """Columns and rows of metrics.csv: means over seeds at the largest size, a row for each corpus; less is better."""
    values = results.values()
    largest = max(results.ablation.sizes, key=lambda size: max(
        run["parameters"] for (name, _, _), run in results.runs.items() if name == size
    ))  # fmt: skip
    rows = []
    for corpus in results.ablation.corpora:
        means = [(m, values[largest, corpus, m].mean) for m in results.measures]
        rows.append((corpus, [mean if is_lower_better(m) else 1 - mean for m, mean in means]))
    names = [m if is_lower_better(m) else f"{m.removesuffix(' right')} wrong" for m in results.measures]
    return names, rows


def title_of(results: Results) -> str:
    """The heading: what was compared."""
    others = [name for name in results.ablation.corpora if name != results.ablation.base]
    return t(f"{', '.join(others)} beside {results.ablation.base}")


def sentences(results: Results) -> list[str]:
    """What may be concluded, one sentence for each comparison."""
    found = [
        t(
            f"{one.corpus}, {one.measure}, size {one.size}: {t(MARKS[one.verdict])}, {_interval(one)} of {one.base:.4f}"
        )
        for one in results.differences
    ]
    if results.smoke:
        found.insert(
            0, t(f"This is a smoke test, no evidence about large models: {' and '.join(results.smoke)}.")
        )
    return found


def _interval(one: Difference) -> str:
    return f"{one.mean:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"


def difference_rows(results: Results) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Heads and rows of the table of differences."""
    heads = [
        t("size"),
        t("corpus"),
        t("measure"),
        results.ablation.base,
        t("corpus' own"),
        t("difference"),
        "p",
        t("verdict"),
    ]
    return heads, [
        [one.size, one.corpus, one.measure, f"{one.base:.4f}", f"{one.value:.4f}", _interval(one), f"{one.p:.3f}",
         t(MARKS[one.verdict])]
        for one in results.differences
    ]  # fmt: skip


def spread_rows(results: Results) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Heads and rows of the table of means and deviations over seeds; the noise of repeats differs between corpora."""
    heads = [t("size"), t("corpus"), t("measure"), t("mean"), t("standard deviation over seeds")]
    return heads, [
        [*key, f"{found.mean:.4f}", f"{np.std(found.by_seed, ddof=1):.4f}"]
        for key, found in results.values().items()
    ]


def corpus_rows(results: Results) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Heads and rows of the table of corpora."""
    heads = [
        t("corpus"), t("documents"), t("bytes"), t("trained on: documents"), t("bytes"), t("tokens"),
        t("left out: a line is measured"), t("planted tokens"),
    ]  # fmt: skip
    names = (
        "corpus_documents",
        "corpus_bytes",
        "documents",
        "bytes",
        "tokens",
        "left_out_as_measured",
        "planted_tokens",
    )
    return heads, [[name, *(f"{facts[item]:,}" for item in names)] for name, facts in results.corpora.items()]


def run_lines(results: Results) -> list[str]:
    """How the proxies were trained, one line for each size."""
    lines = []
    for size in results.ablation.sizes:
        runs = [run for (name, _, _), run in results.runs.items() if name == size]
        speed = float(np.median([run["tokens_per_s"] for run in runs]))
        lines.append(t(
            f"Size {size}: {runs[0]['parameters']:,} parameters, {len(runs)} runs, {speed:,.0f} tokens a second on "
            f"{runs[0]['device']}."
        ))  # fmt: skip
    for measure, pairs in results.agreement.items():
        lines += [
            t(f"Rank correlation (Kendall) of sizes {pair}, {measure}: {tau:.2f}.")
            for pair, tau in pairs.items()
        ]
    return lines


def markdown_page(results: Results) -> str:
    """The page for terminals and repositories."""
    parts = [f"# {title_of(results)}", "", *(f"- {line}" for line in sentences(results)), ""]
    for heading, (heads, rows) in _tables(results):
        parts += [f"## {heading}", "", *markdown(heads, rows), ""]
    parts += [f"## {t('Training')}", "", *(f"- {line}" for line in run_lines(results)), ""]
    return "\n".join(parts)


def _tables(results: Results) -> list[tuple[str, tuple[Sequence[str], list[Sequence[str]]]]]:
    confidence = f"{results.ablation.confidence:.0%}"
    return [
        (
            t(f"Differences, {confidence} intervals over {len(results.ablation.seeds)} seeds"),
            difference_rows(results),
        ),
        (t("Spread"), spread_rows(results)),
        (t("Corpora"), corpus_rows(results)),
    ]


def html_page(results: Results) -> str:
    """The page for a browser, in one file."""
    parts = [f"<h1>{html.escape(title_of(results))}</h1>", "<ul>"]
    parts += [f"<li>{html.escape(line)}</li>" for line in sentences(results)]
    parts += ["</ul>", f"<h2>{t('Intervals')}</h2>", _intervals(results)]
    parts += [f"<h2>{t('Loss in training')}</h2>", _curves(results)]
    for heading, (heads, rows) in _tables(results):
        cells = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
        parts.append(f"<h2>{html.escape(heading)}</h2><table><tr>{cells}</tr>")
        parts += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
        parts.append("</table>")
    parts += [
        f"<h2>{t('Training')}</h2><ul>",
        *(f"<li>{html.escape(line)}</li>" for line in run_lines(results)),
        "</ul>",
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(title_of(results))}</title><style>{STYLE}</style>'
    return (
        f'<!doctype html>\n<html lang="{language()}"><head>{head}</head><body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _intervals(results: Results) -> str:
    """Differences with their intervals, a panel for each measure, since their units differ."""

    def panel(measure: str) -> object:
        rows = [one for one in results.differences if one.measure == measure][::-1]

        def draw(axes: Axes) -> None:
            for i, one in enumerate(rows):
                colour = {BETTER: KEPT, WORSE: DROPPED[0], OPEN: "#777777"}[one.verdict]
                axes.plot([one.low, one.high], [i, i], color=colour, linewidth=2)
                axes.plot([one.mean], [i], "o", color=colour)
            axes.axvline(0, color="#999999", linewidth=0.8)
            axes.set_yticks(range(len(rows)), [f"{one.corpus} ({one.size})" for one in rows])
            axes.set_ylim(-0.7, len(rows) - 0.3)
            better = t("less is better") if is_lower_better(measure) else t("more is better")
            axes.set_title(f"{measure}, {better}", loc="left", fontsize=11)

        return draw

    n = max(1, len({(one.size, one.corpus) for one in results.differences}))
    draws = [panel(measure) for measure in results.measures]
    return svg(draws, 10, (1 + 0.35 * n) * -(-len(draws) // 2), 2)  # type: ignore[arg-type]


def _curves(results: Results) -> str:
    """Loss over tokens: the mean over seeds, and their range, a panel for each size."""

    def panel(size: str) -> object:
        def draw(axes: Axes) -> None:
            for corpus, colour in zip(results.ablation.corpora, COLOURS * 9, strict=False):
                curves = np.array(
                    [results.runs[size, corpus, seed]["curve"] for seed in results.ablation.seeds]
                )
                tokens, losses = curves[0, :, 0], curves[:, :, 1]
                axes.fill_between(
                    tokens, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.2, linewidth=0
                )
                axes.plot(tokens, losses.mean(axis=0), color=colour, label=corpus, linewidth=1.2)
            axes.set_xlabel(t("tokens"))
            axes.set_ylabel(t("nats a token"))
            axes.set_title(t(f"size {size}"), loc="left", fontsize=11)
            axes.legend(fontsize=8, frameon=False)

        return draw

    sizes = list(results.ablation.sizes)
    return svg([panel(size) for size in sizes], 10, 3.4 * -(-len(sizes) // 2), min(2, len(sizes)))  # type: ignore[misc]
