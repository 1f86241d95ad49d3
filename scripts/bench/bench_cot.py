"""Measure `stages.cot`: worked solutions found in labelled documents, by form, and CPU time on documents of any kind.

LABELLED are Parquet files of real documents with marked solutions: columns text, lang, source and items, a list of
question_start, question_end, solution_start, solution_end, answer, form. A find matches an item if the intersection of
both solutions is at least half of their union; its question is right by the same measure, its answer if one contains
the other when signs and blanks are left out. --planted are files of documents in which solutions were planted: columns
text, lang, template, has_cot, cot_start, cot_end, question, answer. --documents are files with a column text, whose
CPU-milliseconds per MB are measured; with --old, the folder of another checkout, its version is measured in the same
process, in turns. Prints Markdown tables.

Example: python -m scripts.bench.bench_cot cot_real.parquet --planted cot_docs.parquet --documents docs.parquet
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.stage import Annotate

BATCH = 256
LEAST = 0.5  # of intersection over union
SIGNS = re.compile(r"[\s$\\{}.,。，:：`*()（）;；]|text|dfrac|frac")
Range = tuple[int, int]


def load(folder: str | None = None) -> Annotate:
    """Return the stage of this checkout, or of the one in a folder, with default settings."""
    if folder is None:
        stage = importlib.import_module("stages.cot").STAGE
        return stage.load(stage.config())
    own = {
        name: module for name, module in sys.modules.items() if name.split(".")[0] in ("stages", "pipeline")
    }
    for name in own:
        del sys.modules[name]
    sys.path.insert(0, folder)
    try:
        return load()
    finally:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.split(".")[0] in ("stages", "pipeline")]:
            del sys.modules[name]
        sys.modules.update(own)


def batches(texts: list[str], languages: list[str]) -> Iterator[pa.Table]:
    """Yield tables as the engine passes them to the stage."""
    for i in range(0, len(texts), BATCH):
        text = pa.array(texts[i : i + BATCH], pa.large_string())
        yield pa.table({"text": text, "language.label": languages[i : i + BATCH]})


def find(annotate: Annotate, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the stage for documents."""
    tables = batches([row["text"] for row in rows], [row["lang"] for row in rows])
    return [found for table in tables for found in annotate(table).to_pylist()]


def overlap(first: Range, second: Range) -> float:
    """Return intersection over union."""
    shared = min(first[1], second[1]) - max(first[0], second[0])
    return max(shared, 0) / (max(first[1], second[1]) - min(first[0], second[0]))


def extent(template: dict[str, Any]) -> Range:
    """Return the range of steps and answer."""
    parts = [template["answer"], template["steps"][0], template["steps"][-1]]
    return min(part["start"] for part in parts), max(part["end"] for part in parts)


def agrees(wanted: str | None, answer: str) -> bool:
    """Return whether an answer is the wanted one; any is, where none is marked."""
    first, second = SIGNS.sub("", wanted or "").lower(), SIGNS.sub("", answer).lower()
    return not wanted or (bool(second) and (first in second or second in first))


def text_of(text: str, span: dict[str, int]) -> str:
    """Return the text of a span."""
    return text[span["start"] : span["end"]]


def labelled(annotate: Annotate, rows: list[dict[str, Any]]) -> str:
    """Return tables of finds and of items found, by language and form."""
    counts: Counter[tuple[str, ...]] = Counter()
    for row, found in zip(rows, find(annotate, rows), strict=True):
        lang, text, taken = row["lang"], row["text"], set()
        for item in row["items"]:
            counts[lang, "items", item["form"]] += 1
        for template in found["templates"]:
            counts[lang, "finds"] += 1
            ranges = [(item["solution_start"], item["solution_end"]) for item in row["items"]]
            shares = [overlap(extent(template), span) for span in ranges]
            best = max(range(len(shares)), key=shares.__getitem__, default=-1)
            if best < 0 or shares[best] < LEAST or best in taken:
                continue
            taken.add(best)
            item = row["items"][best]
            asked = (template["question"]["start"], template["question"]["end"])
            question = overlap(asked, (item["question_start"], item["question_end"])) >= LEAST
            answer = agrees(item["answer"], text_of(text, template["answer"]))
            counts.update({(lang, "found", item["form"]): 1, (lang, "solution"): 1})
            counts[lang, "right"] += question and answer
    lines = [
        "| language | finds | solution right | question and answer too | marked | found |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for lang in sorted({key[0] for key in counts}):
        n_items = sum(n for key, n in counts.items() if key[:2] == (lang, "items"))
        finds, solution, right = (counts[lang, name] for name in ("finds", "solution", "right"))
        lines.append(
            f"| {lang} | {finds} | {solution / max(finds, 1):.2f} | {right / max(finds, 1):.2f} | {n_items} "
            f"| {solution / max(n_items, 1):.2f} |"
        )
    lines += ["", "| form | zh | en |", "|---|--:|--:|"]
    for form in sorted({key[2] for key in counts if key[1] == "items"}):
        cells = (f"{counts[lang, 'found', form]} of {counts[lang, 'items', form]}" for lang in ("zh", "en"))
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


def planted(annotate: Annotate, rows: list[dict[str, Any]]) -> str:
    """Return a table of planted solutions found."""
    lines = [
        "| language | F1 | precision | recall | solution | question | answer | hard negatives |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    pairs = list(zip(rows, find(annotate, rows), strict=True))
    for lang in sorted({row["lang"] for row in rows}):
        counts: Counter[str] = Counter()
        for row, found in pairs:
            if row["lang"] != lang:
                continue
            hit, text = bool(found["templates"]), row["text"]
            counts.update({"hit": hit, "there": row["has_cot"], "both": hit and row["has_cot"]})
            hard = row["template"].startswith("how-to")
            counts.update({"hard": hard, "hard hit": hard and hit})
            if hit and row["has_cot"]:
                span = (row["cot_start"], row["cot_end"])
                best = max(found["templates"], key=lambda one: overlap(extent(one), span))
                steps = best["steps"][0]["start"], best["steps"][-1]["end"]
                first = text.find(row["question"])
                asked = (best["question"]["start"], best["question"]["end"])
                counts["solution"] += max(overlap(steps, span), overlap(extent(best), span)) >= LEAST
                counts["question"] += overlap(asked, (first, first + len(row["question"]))) >= LEAST
                counts["answer"] += agrees(row["answer"], text_of(text, best["answer"]))
        precision, recall = counts["both"] / max(counts["hit"], 1), counts["both"] / max(counts["there"], 1)
        shares = (counts[name] / max(counts["both"], 1) for name in ("solution", "question", "answer"))
        cells = (2 * precision * recall / max(precision + recall, 1e-9), precision, recall, *shares)
        hard_share = counts["hard hit"] / max(counts["hard"], 1)
        lines.append(f"| {lang} | {' | '.join(f'{cell:.3f}' for cell in (*cells, hard_share))} |")
    return "\n".join(lines)


def seconds(annotate: Annotate, tables: Iterable[pa.Table]) -> tuple[float, int]:
    """Return CPU-seconds and templates found."""
    begin = time.process_time()
    n = sum(sum(annotate(table)["n_templates"].to_pylist()) for table in tables)
    return time.process_time() - begin, n


def cpu(stages: dict[str, Annotate], paths: tuple[Path, ...], n_rounds: int) -> str:
    """Return a table of CPU-milliseconds per MB, the least of rounds in which the versions take turns."""
    texts = [text for path in paths for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
    n_mb = sum(len(text.encode()) for text in texts) / 1e6
    best: dict[str, float] = {}
    found: dict[str, int] = {}
    for _ in range(n_rounds):
        for name, annotate in stages.items():
            taken, found[name] = seconds(annotate, batches(texts, ["und"] * len(texts)))
            best[name] = min(best.get(name, taken), taken)
    lines = [
        f"{len(texts):,} documents, {n_mb:,.1f} MB",
        "",
        "| version | CPU-ms per MB | templates |",
        "|---|--:|--:|",
    ]
    lines += [f"| {name} | {1000 * best[name] / n_mb:.1f} | {found[name]:,} |" for name in stages]
    return "\n".join(lines)


@click.command(help=__doc__)
@click.argument("labelled_paths", metavar="LABELLED", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--planted", "planted_paths", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--documents", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--old", type=click.Path(exists=True, file_okay=False))
@click.option("--rounds", default=2, show_default=True)
def main(
    labelled_paths: tuple[Path, ...],
    planted_paths: tuple[Path, ...],
    documents: tuple[Path, ...],
    old: str | None,
    rounds: int,
) -> None:
    """Print the tables."""
    annotate = load()
    for path in labelled_paths:
        click.echo(f"{path.name}\n\n{labelled(annotate, pq.read_table(path).to_pylist())}\n")
    for path in planted_paths:
        click.echo(f"{path.name}\n\n{planted(annotate, pq.read_table(path).to_pylist())}\n")
    if documents:
        stages = {**({"old": load(old)} if old else {}), "new": annotate}
        click.echo(cpu(stages, documents, rounds))


if __name__ == "__main__":
    main()
