"""Labels by a language model: the sheet and the rubric that people get, and the same files of answers.

A sheet has texts as they are shown to people, already cut. Documents without a valid answer are listed in a file of
their own, with the reason and what the model wrote; in the file of answers their rows are empty, as rows that a person
left open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import InputError, UsageError
from pipeline.ingest.import_files import read_tables
from pipeline.labelling.rubric import Rubric
from pipeline.labelling.sheet import FIELDS
from pipeline.planning.services import usage_line
from pipeline.recipe import config_of, file_digest, load_step
from pipeline.release.numbers import csv_text
from pipeline.runtime.progress import Progress
from pipeline.runtime.threads import ThreadEngine
from pipeline.service import Services, Usage

STAGE = "classifiers.llm_label"
N_ROWS = 64
"""Documents of a thread at a time."""


@dataclass
class Labels:
    """What a model answered about the documents of a sheet.

    rows: doc_id and the answers of each document, None or empty without one. without: doc_id, reason and answer of
    those without a valid one. n_open: of these, documents that the same command asks again. input_tokens,
    output_tokens: of all answers, whichever run asked for them.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)  # Any: answers
    without: list[dict[str, str]] = field(default_factory=list)
    n_open: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


def read_sheet(path: str) -> list[dict[str, str]]:
    """Rows of the CSV of a sheet: doc_id, language and text, as they were before the cells were made safe.

    Raises: InputError if it is no sheet.
    """
    rows = read_tables([path], "doc_id", ["language", "text"]).to_pylist()
    found = [
        {"doc_id": row["doc_id"], "language": row["language"] or "", "text": _plain(str(row["text"] or ""))}
        for row in rows
        if row["doc_id"]
    ]
    if not any(row["text"] for row in found):
        raise InputError(f"{path}: no texts; name the .csv that `bicorpus label sheet` writes")
    return found


def _plain(cell: str) -> str:
    """A cell without the apostrophe that csv_text puts before what a spreadsheet would run."""
    return cell[1:] if cell.startswith("'") and csv_text(cell[1:]).startswith("\"'") else cell


def settings_of_sheet(
    model: str, rubric_path: str | None, prompt: str, seed: int, temperature: float, max_tokens: int, again: int,
    extra: str,
) -> dict[str, Any]:  # Any: settings of the stage  # fmt: skip
    """Settings of the stage that asks about a sheet. prompt: language of the questions, or `auto`; extra: JSON.

    Raises: UsageError if extra is no JSON object.
    """
    try:
        fields = json.loads(extra)
    except ValueError as error:
        raise UsageError(f"--extra: {error}; expected a JSON object") from error
    if not isinstance(fields, dict):
        raise UsageError("--extra: expected a JSON object")
    settings: dict[str, Any] = {
        "model": model, "seed": seed, "temperature": temperature, "max_tokens": max_tokens, "again": again,
        "extra": fields, "max_chars": 0, **({"rubric": rubric_path} if rubric_path else {}),
    }  # fmt: skip
    return settings if prompt == "auto" else {**settings, "languages": {}, "language": prompt}


def _served(settings: Mapping[str, Any], services: Services) -> Any:  # Any: service.Served, and `written`
    step = load_step(STAGE, "STAGE", "label ask")
    return step.serve(config_of(step, settings, "label ask"), services)


def _batch(documents: Sequence[Mapping[str, str]]) -> pa.Table:
    texts, languages = ([row[name] for row in documents] for name in ("text", "language"))
    return pa.table(
        {"text": pa.array(texts, pa.large_string()), "language.label": pa.array(languages, pa.string())}
    )


def plan(documents: Sequence[Mapping[str, str]], settings: Mapping[str, Any], services: Services) -> Usage:
    """What the documents of a sheet would ask. settings: see settings_of_sheet."""
    found: Usage = _served(settings, services).estimate(_batch(documents))
    return found


def answers_of(
    documents: Sequence[Mapping[str, str]],
    settings: Mapping[str, Any],
    services: Services,
    progress: Progress,
) -> Labels:  # Any: settings of the stage
    """Ask a model about each document. settings: see settings_of_sheet.

    Raises: ConfigError if no server has the model; ServiceError if it is lost. Answers so far are in the store.
    """
    served = _served(settings, services)
    served.check()
    parts = [documents[start : start + N_ROWS] for start in range(0, len(documents), N_ROWS)]

    def ask(number: int) -> tuple[int, pa.Table, list[tuple[str, int, int]]]:
        batch = _batch(parts[number])
        return number, served(batch), served.written(batch)

    def tell() -> None:
        for model, usage in services.usage().items():
            progress.say(usage_line(model, usage))
            progress.event("asked", model=model, **usage)

    found: list[tuple[int, pa.Table, list[tuple[str, int, int]]]] = []
    engine = ThreadEngine(services.close, tell)
    with progress.phase("ask", len(documents), "documents") as phase:
        for done in engine.map(ask, range(len(parts))):
            found.append(done)
            for _ in parts[done[0]]:
                phase.step()
    labels = Labels()
    for number, answers, written in sorted(found, key=lambda item: item[0]):
        labels.n_open += served.n_open(answers)
        for document, answer, (text, n_input, n_output) in zip(
            parts[number], answers.to_pylist(), written, strict=True
        ):
            if reason := answer.pop("reason"):
                labels.without.append({"doc_id": document["doc_id"], "reason": reason, "answer": text})
            labels.rows.append({"doc_id": document["doc_id"], **answer})
            labels.input_tokens += n_input
            labels.output_tokens += n_output
    return labels


def answers_csv(rows: Sequence[Mapping[str, Any]], labeller: str) -> str:  # Any: answers
    """Return the file of answers, with the columns that `label import` and `label compare` read."""
    lines = [",".join(FIELDS)]
    for row in rows:
        keep = row.get("keep")
        cells = [
            row["doc_id"], "" if row.get("score") is None else str(row["score"]),
            "" if keep is None else str(keep).lower(), row.get("kind") or "", "|".join(row.get("flags") or ()),
            row.get("domain") or "", "", labeller,
        ]  # fmt: skip
        lines.append(",".join(csv_text(cell) for cell in cells))
    return "\ufeff" + "\r\n".join(lines) + "\r\n"


def write_labels(
    target: Path, labels: Labels, labeller: str, rubric_path: str, rubric: Rubric, record: Mapping[str, Any]
) -> list[Path]:  # Any: plain JSON
    """Write the answers, the documents without one, and what was asked; returns the paths.

    record: settings, and usage of this run, which are written with the rubric's version and digest, and the tokens of
    all answers.
    """
    paths = target, target.with_suffix(".without.jsonl"), target.with_suffix(".asked.json")
    target.write_text(answers_csv(labels.rows, labeller), encoding="utf-8", newline="")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in labels.without]
    paths[1].write_text("".join(lines), encoding="utf-8")
    facts = {
        "labeller": labeller, "rubric": {"version": rubric.get("version"), "digest": file_digest(rubric_path)},
        "documents": len(labels.rows), "without": len(labels.without), "open": labels.n_open,
        "tokens": {"input": labels.input_tokens, "output": labels.output_tokens}, **record,
    }  # fmt: skip
    paths[2].write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return list(paths)
