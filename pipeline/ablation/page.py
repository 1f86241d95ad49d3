"""The pages of an ablation: README.md with the tables, report.html with loss curves and intervals as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.ablation.compare import BETTER, OPEN, WORSE, Difference, is_lower_better
from pipeline.ablation.corpora import write_json
from pipeline.ablation.run import Results, plain
from pipeline.ablation.swarm import write_csv
from pipeline.report.html_page import charts_page, read_asset, script_messages, translations
from pipeline.report.markdown import markdown
from pipeline.translation import in_language, labels, message, t

FOLDER = Path(__file__).parent

MARKS = {BETTER: message("better than the baseline"), WORSE: message("worse than the baseline"),
         OPEN: message("no difference shown")}  # fmt: skip

SHARE_SPREAD = 0.03
"""Difference between the shares of Chinese of corpora from which on the pages warn."""


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
    shares = [facts["chinese_share"] for facts in results.corpora.values()]
    if max(shares) - min(shares) > SHARE_SPREAD:
        found.insert(
            0,
            t(
                f"The corpora differ in their share of Chinese ({min(shares):.0%} to {max(shares):.0%}), which alone "
                "moves bits per byte; chinese_share gives all of them one."
            ),
        )
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
        t("corpus"), t("documents"), t("bytes"), t("trained on: documents"), t("bytes"), t("Chinese"), t("tokens"),
        t("left out: a line is measured"), t("planted tokens"),
    ]  # fmt: skip
    rows: list[Sequence[str]] = [
        [
            name, f"{facts['corpus_documents']:,}", f"{facts['corpus_bytes']:,}", f"{facts['documents']:,}",
            f"{facts['bytes']:,}", f"{facts['chinese_share']:.1%}", f"{facts['tokens']:,}",
            f"{facts['left_out_as_measured']:,}", f"{facts['planted_tokens']:,}",
        ]
        for name, facts in results.corpora.items()
    ]  # fmt: skip
    return heads, rows


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
    """The page for a browser: one file that needs no network, in English and Chinese, its charts drawn by Plotly."""
    texts = {}
    for name in ("en", "zh"):
        with in_language(name):
            texts[name] = page_texts(results)
    script = page_script()
    data = {
        "texts": texts, "version": __version__, "words": translations(script_messages(script)),
        "intervals": [interval_numbers(results, measure) for measure in results.measures],
        "curves": [curve_numbers(results, size) for size in results.ablation.sizes],
    }  # fmt: skip
    (noscript,) = labels("This page needs JavaScript; README.md beside it has the same numbers.")
    return charts_page(title_of(results), script, data, noscript)


def page_script() -> str:
    """The script of the page."""
    return read_asset("base.js") + read_asset("sections.js") + (FOLDER / "ablation.js").read_text("utf-8")


Plain = dict[str, Any]  # Any: plain JSON


def page_texts(results: Results) -> Plain:
    """What the page says, in the language in force."""
    better = {m: t("less is better") if is_lower_better(m) else t("more is better") for m in results.measures}
    return {
        "title": title_of(results), "sentences": sentences(results), "training": run_lines(results), "better": better,
        "marks": {verdict: t(mark) for verdict, mark in MARKS.items()},
        "tables": [{"heading": h, "heads": list(heads), "rows": rows} for h, (heads, rows) in _tables(results)],
    }  # fmt: skip


def interval_numbers(results: Results, measure: str) -> Plain:
    """Differences of one measure with their intervals."""
    rows = [one for one in results.differences if one.measure == measure]
    return {
        "measure": measure,
        "rows": [
            {"name": f"{one.corpus} ({one.size})", "mean": one.mean, "low": one.low, "high": one.high,
             "verdict": one.verdict}
            for one in rows
        ],
    }  # fmt: skip


def curve_numbers(results: Results, size: str) -> Plain:
    """Loss over tokens at one size by corpus: the mean over seeds, and their range."""
    corpora = []
    for corpus in results.ablation.corpora:
        curves = np.array([results.runs[size, corpus, seed]["curve"] for seed in results.ablation.seeds])
        losses = curves[:, :, 1]
        corpora.append(
            {"name": corpus, "tokens": curves[0, :, 0].tolist(), "mean": losses.mean(axis=0).tolist(),
             "least": losses.min(axis=0).tolist(), "most": losses.max(axis=0).tolist()}
        )  # fmt: skip
    return {"size": size, "corpora": corpora}
