"""The pages of an ablation: README.md with the tables, report.html with loss curves and intervals as well."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ablation.compare import BETTER, OPEN, WORSE, Difference, is_lower_better
from pipeline.ablation.corpora import write_json
from pipeline.ablation.run import Results, plain
from pipeline.ablation.swarm import write_csv
from pipeline.report.html_page import fill_page, json_block, plotly_script, policy, read_asset
from pipeline.report.markdown import markdown
from pipeline.translation import language, message, t

FOLDER = Path(__file__).parent
VERDICT_COLOURS = {BETTER: "#23735a", WORSE: "#b8412e", OPEN: "#777777"}
COLOURS = ("#1f5fae", "#b26a00", "#6b4fa0", "#23735a", "#b8412e", "#4a5568", "#00718f", "#a02c6d")

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
    """The page for a browser: one file that needs no network, its charts drawn by Plotly."""
    script = (FOLDER / "ablation.js").read_text("utf-8")
    body = ["<ul>", *(f"<li>{html.escape(line)}</li>" for line in sentences(results)), "</ul>"]
    body += [f"<h2>{t('Intervals')}</h2>", *_places("interval", results.measures)]
    body += [f"<h2>{t('Loss in training')}</h2>", *_places("curve", results.ablation.sizes)]
    for heading, (heads, rows) in _tables(results):
        cells = "".join(f"<th scope='col'>{html.escape(head)}</th>" for head in heads)
        body.append(f"<h2>{html.escape(heading)}</h2><div class='scroll'><table><tr>{cells}</tr>")
        body += [
            "<tr>" + "".join(f"<td class='text'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        ]
        body.append("</table></div>")
    body += [f"<h2>{t('Training')}</h2><ul>"]
    body += [*(f"<li>{html.escape(line)}</li>" for line in run_lines(results)), "</ul>"]
    charts = [interval_chart(results, measure) for measure in results.measures]
    charts += [curve_chart(results, size) for size in results.ablation.sizes]
    parts = {
        "lang": language(), "title": html.escape(title_of(results)), "body": "\n".join(body), "script": script,
        "style": read_asset("base.css"), "plotly": plotly_script(), "data": json_block(charts, sort_keys=True),
        "policy": policy([plotly_script(), script], "'unsafe-inline'"),
    }  # fmt: skip
    return fill_page((FOLDER / "ablation.html").read_text("utf-8"), parts)


def _places(kind: str, names: Iterable[str]) -> list[str]:
    """Elements that the script draws charts into, in order."""
    return [
        f'<div class="chart" role="img" aria-label="{html.escape(f"{kind} {name}")}"></div>' for name in names
    ]


Chart = dict[str, Any]  # Any: JSON of Plotly


def interval_chart(results: Results, measure: str) -> Chart:
    """Differences of one measure with their intervals; a chart for each measure, since their units differ."""
    rows = [one for one in results.differences if one.measure == measure][::-1]
    better = t("less is better") if is_lower_better(measure) else t("more is better")
    return {
        "data": [{
            "type": "scatter", "mode": "markers", "x": [one.mean for one in rows],
            "y": [f"{one.corpus} ({one.size})" for one in rows],
            "marker": {"size": 9, "color": [VERDICT_COLOURS[one.verdict] for one in rows]},
            "error_x": {"type": "data", "array": [one.high - one.mean for one in rows], "thickness": 2},
            "text": [t(MARKS[one.verdict]) for one in rows], "hovertemplate": "%{x:+.4f}<br>%{text}<extra></extra>",
        }],
        "layout": {"title": {"text": html.escape(f"{measure}, {better}")}, "height": 140 + 34 * len(rows),
                   "xaxis": {"zeroline": True, "zerolinewidth": 2}, "yaxis": {"automargin": True}},
    }  # fmt: skip


def curve_chart(results: Results, size: str) -> Chart:
    """Loss over tokens at one size: the mean over seeds, and their range."""
    data = []
    for corpus, colour in zip(results.ablation.corpora, itertools.cycle(COLOURS), strict=False):
        curves = np.array([results.runs[size, corpus, seed]["curve"] for seed in results.ablation.seeds])
        tokens, losses = curves[0, :, 0].tolist(), curves[:, :, 1]
        band = {
            "x": tokens,
            "line": {"width": 0},
            "hoverinfo": "skip",
            "showlegend": False,
            "legendgroup": corpus,
        }
        data += [
            {**band, "y": losses.max(axis=0).tolist()},
            {**band, "y": losses.min(axis=0).tolist(), "fill": "tonexty", "fillcolor": f"{colour}33"},
            {"x": tokens, "y": losses.mean(axis=0).tolist(), "name": corpus, "legendgroup": corpus,
             "line": {"color": colour}},
        ]  # fmt: skip
    layout = {
        "title": {"text": html.escape(t(f"size {size}"))}, "height": 380,
        "xaxis": {"title": {"text": t("tokens")}},
        "yaxis": {"title": {"text": t("nats a token")}, "automargin": True},
    }  # fmt: skip
    return {"data": data, "layout": layout}
