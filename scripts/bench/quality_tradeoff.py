"""Compare cuts of quality.value with published rules and plain measures on labelled web texts: tables and a plot.

Reads left-out scores, as `train_quality --left-out` writes them: documents with text, lang, score, keep, kind, and the
scores of models that had seen no document of the same source. `--only` names a file with the texts to measure on.
Published rules are those of the presets, and read the columns of the stages as in a run. Measures by which a
cut can be made at any share (quality.value, perplexity, length) are curves; rules are points. The language models of
perplexity were trained on good texts of all folds but the one that they are measured on here. `--votes` is a Parquet
file of pages with the labels good and bad by people, scored by the shipped model.

Example: python -m scripts.bench.quality_tradeoff left.parquet --only web_labels.parquet --plot tradeoff.png
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from matplotlib.figure import Figure

from classifiers.linear.train import auc
from pipeline.rules.parse import parse_rules
from pipeline.rules.presets import expand_presets
from pipeline.rules.rules import judge_rules
from scripts.bench.bench_stages import machine
from scripts.training.train_fluency import HELD_OUT_FOLD

Columns = dict[str, pa.ChunkedArray]

STAGES = ("classifiers.language", "stages.signals", "classifiers.quality", "classifiers.fluency")
LEFT_OUT = ("value", "spam", "furniture", "spun")
"""Columns of quality in the file of left-out scores, which take the place of those of the shipped model."""
PRESETS: Mapping[str, tuple[str, ...]] = {
    "zh": ("fineweb2_zh", "mapneo", "cci4", "recommended"),
    "en": ("gopher", "c4", "refinedweb", "fineweb", "mapneo", "recommended"),
}
LINE_RULES = {"c4": "c4", "refinedweb": "refinedweb", "fineweb": "fineweb"}
"""Preset of rules -> preset of `stages.web.line_rules` that it needs."""
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "C0", "linewidth": 2.4},
    {"color": "C1", "linewidth": 1},
    {"color": "C2", "linewidth": 1},
    {"color": "C0", "linewidth": 1, "linestyle": "--"},
)
"""Of the curves. Any: keywords of matplotlib."""
KEPT = (0.99, 0.97, 0.95, 0.9, 0.8)
"""Shares of keep at which the curves are printed."""


class Comparison(NamedTuple):
    """Of one language: measure -> shares of keep and of junk that stay, for every cut; preset -> both shares."""

    curves: dict[str, tuple[np.ndarray, np.ndarray]]
    points: dict[str, tuple[float, float]]


def annotate(stage: str, columns: Columns, **settings: str) -> Columns:
    """Add the columns of a stage, under its name, to columns that hold what it reads."""
    module = importlib.import_module(stage)
    table = module.STAGE.load(module.STAGE.config(**settings))(pa.table(columns))
    added = {f"{module.STAGE.name}.{name}": table[name] for name in table.column_names}
    return {**columns, **added}


def plain(rows: pl.DataFrame) -> Columns:
    """The columns that a stage reads of a document without a known address."""
    text = pa.array(rows["text"].to_list(), pa.large_string())
    return {"text": pa.chunked_array([text]), "url": pa.chunked_array([pa.nulls(len(rows), pa.string())])}


def measure(rows: pl.DataFrame) -> Columns:
    """All columns that the presets read, with the left-out scores as those of quality."""
    columns = plain(rows)
    for stage in STAGES:
        columns = annotate(stage, columns)
    for name in LEFT_OUT:
        columns[f"quality.{name}"] = pa.chunked_array([pa.array(rows[name].to_numpy().astype(np.float32))])
    return columns


def kept_by(preset: str, columns: Columns) -> np.ndarray:
    """Documents that pass the drop rules of a preset; bool (n,)."""
    if preset in LINE_RULES:
        columns = annotate("stages.web.line_rules", columns, preset=LINE_RULES[preset])
    rules = parse_rules(expand_presets([{"preset": preset}], preset), preset)
    failed = judge_rules(rules, columns).failed
    drops = np.array([rule.action == "drop" for rule in rules])
    return ~failed[drops].any(axis=0)


def shares(kept: np.ndarray, keep: np.ndarray, junk: np.ndarray) -> tuple[float, float]:
    """Share of documents to keep, and of scores 0 and 1, that stay."""
    return float(kept[keep].mean()), float(kept[junk].mean())


def ordered(measured: np.ndarray) -> np.ndarray:
    """The same values, with one below all others where there is none."""
    return np.nan_to_num(measured, nan=float(np.nanmin(measured)) - 1)


def curve(measured: np.ndarray, keep: np.ndarray, junk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of keep and junk that stay for every cut; without a value a document is dropped first."""
    measured = ordered(measured)
    cuts = np.quantile(measured[keep], np.linspace(0, 1, 201))
    points = [shares(measured >= cut, keep, junk) for cut in cuts]
    return np.array([p[0] for p in points]), np.array([p[1] for p in points])


def compare(rows: pl.DataFrame, lang: str) -> tuple[list[str], Comparison]:
    """Markdown lines, curves and points of a language."""
    rows = rows.filter(pl.col("lang") == lang)
    texts, keep, score = rows["text"].to_list(), rows["keep"].to_numpy(), rows["score"].to_numpy()
    junk = score <= 1
    columns = measure(rows)
    perplexity = np.array(columns["fluency.perplexity"].to_pylist(), float)
    every, held_out = np.ones(len(rows), bool), (rows["fold"] == HELD_OUT_FOLD).to_numpy()
    measures = {
        "quality.value": (rows["value"].to_numpy(), every),
        "length": (np.array([len(text) for text in texts], float), every),
        f"perplexity, fold {HELD_OUT_FOLD}": (-perplexity, held_out),
        f"quality.value, fold {HELD_OUT_FOLD}": (rows["value"].to_numpy(), held_out),
    }
    curves = {name: curve(x[on], keep[on], junk[on]) for name, (x, on) in measures.items()}
    points = {preset: shares(kept_by(preset, columns), keep, junk) for preset in PRESETS[lang]}
    lines = [
        f"| {lang}, {len(rows)} documents | keep AUC | " + " | ".join(f"{k:.0%} of keep" for k in KEPT) + " |"
    ]
    lines.append("|---" * (2 + len(KEPT)) + "|")
    for name, (values, on) in measures.items():
        known = ordered(values)
        left = [float((known[junk & on] >= np.quantile(known[keep & on], 1 - k)).mean()) for k in KEPT]
        lines.append(
            f"| {name} | {auc(known[on], keep[on]):.3f} | " + " | ".join(f"{x:.3f}" for x in left) + " |"
        )
    lines += [
        "",
        f"| {lang}, rules | keep that stays | scores 0 and 1 that stay | of value, at that share of keep |",
        "|---" * 4 + "|",
    ]
    value = rows["value"].to_numpy()
    for preset, (good, bad) in points.items():
        same = float((value[junk] >= np.quantile(value[keep], 1 - good)).mean())
        lines.append(f"| {preset} | {good:.3f} | {bad:.3f} | {same:.3f} |")
    return lines, Comparison(curves, points)


def votes(path: Path) -> list[str]:
    """Areas under ROC curves on pages with people's votes, of the shipped scorer and of length."""
    rows = pl.read_parquet(path).filter(pl.col("task") == "web-page quality")
    columns = plain(rows)
    for stage in ("classifiers.language", "classifiers.quality"):
        columns = annotate(stage, columns)
    good = (rows["label"] == "good").to_numpy()
    scores = {
        name: ordered(np.array(columns[f"quality.{name}"].to_pylist(), float)) for name in ("value", "keep")
    }
    scores["length"] = np.array([len(text) for text in rows["text"]], float)
    return [
        f"votes, {len(rows)} pages: " + ", ".join(f"{name} {auc(x, good):.3f}" for name, x in scores.items())
    ]


def plot(results: Mapping[str, Comparison], path: Path) -> None:
    """Draw the curves and points of each language: junk that stays against keep that stays."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axis, (lang, (curves, points)) in zip(figure.subplots(1, len(results)), results.items(), strict=True):
        for (name, (good, bad)), style in zip(curves.items(), STYLES, strict=True):
            axis.plot(good, bad, label=name, **style)
        for name, point in points.items():
            marker, size = ("*", 9) if name == "recommended" else ("o", 5)
            axis.plot(*point, marker, color="black", markersize=size)
            place = (-4, "right") if point[0] > 0.86 else (4, "left")
            axis.annotate(name, point, (place[0], 5), textcoords="offset points", ha=place[1], fontsize=8)
        axis.set(title=lang, xlabel="keep that stays", ylabel="scores 0 and 1 that stay")
        axis.set(xlim=(0, 1.02), ylim=(0, 1.02))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=130, metadata={"Software": None})


def main() -> None:
    """Read the command line, measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("left_out", type=Path, help="Parquet file of train_quality --left-out")
    parser.add_argument("--only", type=Path, help="Parquet file; measure on its texts alone")
    parser.add_argument("--votes", type=Path, help="Parquet file of pages with people's votes")
    parser.add_argument("--plot", type=Path, help="write the plot to this PNG file")
    arguments = parser.parse_args()
    rows = pl.read_parquet(arguments.left_out).filter(
        pl.col("score").is_not_null() & (pl.col("kind") != "good")
    )
    if arguments.only:
        rows = rows.join(pl.read_parquet(arguments.only, columns=["text"]).unique(), on="text", how="semi")
    print(machine(), end="\n\n")
    results: dict[str, Comparison] = {}
    for lang in PRESETS:
        lines, results[lang] = compare(rows, lang)
        print("\n".join(lines), end="\n\n")
    if arguments.votes:
        print("\n".join(votes(arguments.votes)))
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
