"""Measure `classifiers.language`: accuracy on labelled sentences, comparison with the bare lid.176 model, and speed.

TRUTH is a Parquet table (text, lang, kind) with the languages zh-Hans, zh-Hant, yue, zh-en-mixed, code or two-letter
codes; DOCUMENTS are Parquet files (text, lang_hint), used for speed and for labels of whole pages. For a line in
`zh-en-mixed`, `mul` is correct, and so is Chinese with an English share; for `code`, zxx is correct. Speed is the
fastest of several runs in one process on one core; the library labels one document at a time, newlines replaced.

Example: python -m scripts.bench.bench_language lid_truth.parquet docs-*.parquet --plot docs/language.png
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import fasttext as library
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from classifiers.language import STAGE
from classifiers.language.config import MODEL_PATH, Config
from scripts.bench.confusion import confusion, draw_confusion
from stages.kernels.fasttext import predict

NAMES = {
    "zh-Hans": "zho_Hans", "zh-Hant": "zho_Hant", "yue": "yue_Hant", "lzh": "lzh_Hani", "en": "eng_Latn",
    "ja": "jpn_Jpan", "ko": "kor_Hang", "de": "deu_Latn", "fr": "fra_Latn", "es": "spa_Latn", "vi": "vie_Latn",
    "code": "zxx", "zh-en-mixed": "mul",
}  # fmt: skip
ALONE = {"zho_Hans": "zh", "zho_Hant": "zh", "yue_Hant": "yue"}
"""Labels of the bare model for these languages."""
HINTS = {"zh-cn": "zho_Hans lzh_Hani", "zh-tw": "zho_Hant lzh_Hani", "lzh": "lzh_Hani", "en": "eng_Latn",
         "ja": "jpn_Jpan", "ko": "kor_Hang"}  # fmt: skip


def scores(truth: np.ndarray, found: np.ndarray, name: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of one label."""
    n_correct = float(np.count_nonzero((truth == name) & (found == name)))
    precision = n_correct / max(int(np.count_nonzero(found == name)), 1)
    recall = n_correct / max(int(np.count_nonzero(truth == name)), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def settle_mixed(truth: np.ndarray, labels: np.ndarray, shares: list[list[dict[str, Any]]]) -> np.ndarray:
    """Labels with `mul` for mixed lines that are labelled correctly: `mul`, or Chinese with an English share."""
    settled = labels.copy()
    for i in np.flatnonzero(truth == "mul"):
        languages = {item["label"].partition("_")[0] for item in shares[i]}
        if labels[i].startswith("zho") and {"zho", "eng"} <= languages:
            settled[i] = "mul"
    return settled


def bare_labels(texts: pa.ChunkedArray) -> np.ndarray:
    """The best label of the bare model for each text."""
    model = predict.load(MODEL_PATH)
    best, _ = predict.predict(model, texts)
    return np.array([*model.labels, "none"])[best[:, 0]]


def print_table(title: str, truth: np.ndarray, found: np.ndarray, bare: np.ndarray) -> None:
    """Print a row per true language: number of texts, precision, recall, F1, and F1 of the bare model."""
    click.echo(
        f"\n{title}\n\n| language | texts | precision | recall | F1 | lid.176 alone: F1 |\n|---|---|---|---|---|---|"
    )
    short = {name: ALONE.get(name, code) for code, name in NAMES.items()}
    for name in dict.fromkeys(NAMES.values()):
        n = np.count_nonzero(truth == name)
        if n:
            own = np.array([short[label] for label in truth])
            alone = "" if name in ("zxx", "mul") else f"{scores(own, bare, short[name])[2]:.3f}"
            click.echo(
                f"| {name} | {n:,} | {' | '.join(f'{v:.3f}' for v in scores(truth, found, name))} | {alone} |"
            )


def draw(truth: np.ndarray, found: np.ndarray, path: Path) -> None:
    """Draw the confusion matrix: number of texts with each label within each true language."""
    names = [name for name in dict.fromkeys(NAMES.values()) if np.any(truth == name)]
    labels = {name: dict(Counter(found[truth == name].tolist())) for name in names}
    figure = Figure(figsize=(8.4, 6.6))
    axes = figure.subplots()
    draw_confusion(axes, *confusion(labels, extra=("lzh_Hani", "und")))
    axes.set_title("Sentences, lines and code by label", fontsize=10)
    figure.savefig(path, dpi=130, bbox_inches="tight", metadata={"Software": None})


def best_time(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the fastest run."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def print_speed(texts: pa.Array, repeats: int) -> None:
    """Print the speed of the library, the kernel and the stage on the same documents, and how many labels differ."""
    model, annotate = predict.load(MODEL_PATH), STAGE.load(Config())
    theirs = library.load_model(MODEL_PATH).f
    table, lines = pa.table({"text": texts}), [text.replace("\n", " ") + "\n" for text in texts.to_pylist()]
    predict.predict(model, texts[:9])
    annotate(table.slice(0, 9))
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    best, probabilities = predict.predict(model, texts)
    expected = [theirs.predict(line, 1, 0.0, "strict")[0] for line in lines]
    other = sum(
        f"__label__{model.labels[i]}" != label for i, (_, label) in zip(best[:, 0], expected, strict=True)
    )
    error = max(abs(float(p) - q) for p, (q, _) in zip(probabilities[:, 0], expected, strict=True))
    # in turn, so that other load on the machine affects all of them
    seconds = np.full((repeats, 3), np.inf)
    for i in range(repeats):
        seconds[i] = [
            best_time(work, 1)
            for work in (
                lambda: [theirs.predict(line, 1, 0.0, "strict") for line in lines],
                lambda: predict.predict(model, texts),
                lambda: annotate(pa.table({"text": pa.chunked_array([texts])})),
            )
        ]
    speeds = megabytes / seconds.min(axis=0)
    click.echo(
        f"\n{len(lines):,} documents, {megabytes:.1f} MB, fastText from {library.__file__}\n"
        f"library {speeds[0]:.1f} MB/s, kernel {speeds[1]:.1f} MB/s ({speeds[1] / speeds[0]:.1f} times), "
        f"whole stage {speeds[2]:.1f} MB/s\n"
        f"labels that differ: {other}; largest difference in probability: {error:.1e}"
    )


def print_pages(paths: tuple[Path, ...]) -> None:
    """Labels of whole documents by the language that their source says."""
    annotate, counts = STAGE.load(Config()), Counter[tuple[str, str]]()
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(500, columns=["text", "lang_hint"]):
            labels = annotate(pa.table({"text": batch["text"].cast(pa.large_string())}))["label"]
            counts.update(zip(batch["lang_hint"].to_pylist(), labels.to_pylist(), strict=True))
    click.echo("\n| hint | documents | as the hint says | mul | zxx | others |\n|---|---|---|---|---|---|")
    for hint, expected in HINTS.items():
        of = {label: n for (h, label), n in counts.items() if h == hint}
        total, right = sum(of.values()), sum(of.get(label, 0) for label in expected.split())
        if total:
            rest = {k: v for k, v in of.items() if k not in (*expected.split(), "mul", "zxx")}
            others = " ".join(f"{k} {v}" for k, v in sorted(rest.items(), key=lambda item: -item[1])[:4])
            share = f"{right:,} ({right / total:.1%})"
            click.echo(
                f"| {hint} | {total:,} | {share} | {of.get('mul', 0)} | {of.get('zxx', 0)} | {others} |"
            )


@click.command()
@click.argument("truth_path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("documents", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="Path of the confusion matrix (PNG).")
@click.option("--megabytes", default=25, help="Amount of DOCUMENTS to measure speed on.")
@click.option("--repeats", default=3, help="Repeats; the fastest one counts.")
def main(
    truth_path: Path, documents: tuple[Path, ...], plot: Path | None, megabytes: int, repeats: int
) -> None:
    """Print tables and speed; draw the plot."""
    table = pq.read_table(truth_path, columns=["text", "lang", "kind"])
    table = table.filter(pc.is_in(table["lang"], pa.array([*NAMES])))
    rows = STAGE.load(Config())(pa.table({"text": table["text"].cast(pa.large_string())}))
    truth = np.array([NAMES[lang] for lang in table["lang"].to_pylist()])
    labels, bare = np.array(rows["label"].to_pylist()), bare_labels(table["text"])
    found, kind = settle_mixed(truth, labels, rows["shares"].to_pylist()), np.array(table["kind"].to_pylist())
    long, sentence = ~np.char.startswith(kind, "word"), kind == "sentence"
    print_table("Sentences", truth[sentence], found[sentence], bare[sentence])
    without = sentence & (truth != "yue_Hant")
    precision, recall, f1 = scores(truth[without], found[without], "zho_Hant")
    click.echo(f"| zho_Hant, without Cantonese texts | | {precision:.3f} | {recall:.3f} | {f1:.3f} | |")
    print_table("Sentences, lines of two languages and code", truth[long], found[long], bare[long])
    print_table("Words and pairs of words", truth[~long], found[~long], bare[~long])
    if plot:
        draw(truth[long], found[long], plot)
    if documents:
        print_pages(documents)
        texts = pa.concat_tables([pq.read_table(path, columns=["text"]) for path in documents])["text"]
        order = np.random.default_rng(0).permutation(len(texts))
        sizes = pc.binary_length(texts).to_numpy()[order]
        chosen = order[: np.searchsorted(np.cumsum(sizes), megabytes * 1_000_000)]
        print_speed(pa.concat_arrays(texts.take(pa.array(chosen)).cast(pa.large_string()).chunks), repeats)


if __name__ == "__main__":
    main()
