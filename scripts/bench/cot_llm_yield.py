"""What `classifiers.cot_llm` yields on documents: accepted chains, reasons of rejects, and tokens by question.

    python -m scripts.bench.cot_llm_yield DOCS.parquet --servers servers.yaml --model Qwen/Qwen3-32B --store ./asked \
        --n 60 --to accepted.jsonl

DOCS has the columns text, and lang (`zh` or `en`) or language. Answers are kept in the store; a rerun asks nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import cot_llm
from classifiers.llm.requests import Answer, Request
from pipeline.planning.services import open_services
from pipeline.storage.store import open_store

LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}


@click.command()
@click.argument("docs", type=click.Path(exists=True, dir_okay=False))
@click.option("--servers", required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--model", required=True)
@click.option("--store", "store_url", required=True)
@click.option(
    "--n", default=60, show_default=True, help="Documents, half of them Chinese where there are enough."
)
@click.option("--config", default="{}", show_default=True, help="Settings of the stage, as JSON.")
@click.option("--to", "target", type=click.Path(dir_okay=False), help="JSON Lines of all rows.")
def main(
    docs: str, servers: str, model: str, store_url: str, n: int, config: str, target: str | None
) -> None:
    """Ask about the first documents of DOCS and print the figures."""
    rows = pq.read_table(docs).to_pylist()
    chosen = [r for lang in LABELS for r in [r for r in rows if _language(r) == lang][: n // 2]]
    services = open_services(open_store(store_url), servers)
    stage = cot_llm.serve(cot_llm.Config(model=model, **json.loads(config)), services)
    assert isinstance(stage, cot_llm.Chains), "--model names one"
    tokens = Counter[tuple[str, str]]()
    ask = stage.client.ask

    def counting(requests: Iterable[Request]) -> list[Answer]:
        answers = ask(requests := list(requests))
        for request, answer in zip(requests, answers, strict=True):
            step = step_of(stage, request)
            tokens[step, "requests"] += 1
            tokens[step, "in"] += answer.input_tokens
            tokens[step, "out"] += answer.output_tokens
        return answers

    stage.client.ask = counting  # type: ignore[method-assign]
    batch = pa.table(
        {
            "text": pa.array([r["text"] for r in chosen], pa.large_string()),
            "language.label": pa.array([LABELS[_language(r)] for r in chosen]),
            "parent_id": pa.nulls(len(chosen), pa.string()),
        }
    )
    found = stage(batch).to_pylist()
    services.close()
    report(chosen, found, tokens)
    if target:
        with open(target, "w", encoding="utf-8") as stream:
            for document, row in zip(chosen, found, strict=True):
                stream.write(json.dumps({"text": document["text"], **row}, ensure_ascii=False) + "\n")


def _language(row: dict[str, Any]) -> str:
    return str(row.get("lang") or row.get("language") or "")[:2]


def step_of(stage: cot_llm.Chains, request: Request) -> str:
    """The question that a request asks."""
    instructions = stage.developer.requests.instructions
    begins = {text[:20]: name for name, one in instructions.items() for text in one.texts.values()}
    return begins[request.instructions[:20]]


def report(
    documents: list[dict[str, Any]], found: list[dict[str, Any]], tokens: Counter[tuple[str, str]]
) -> None:
    """Print yield by language, reasons, and tokens of a document by question."""
    for lang in LABELS:
        rows = [row for document, row in zip(documents, found, strict=True) if _language(document) == lang]
        kept = [row for row in rows if row["question"]]
        print(f"{lang}: {len(kept)} of {len(rows)} documents have a chain")
        print(
            "  documents without:",
            dict(Counter(row["reason"] for row in rows if row["reason"]).most_common()),
        )
        faults = Counter(f"{r['step']}: {r['reason']}" for row in rows for r in row["rejects"] or ())
        print("  rejected answers:", dict(faults.most_common()))
    for step in cot_llm.STEPS:
        n, n_in, n_out = (tokens[step, name] for name in ("requests", "in", "out"))
        print(f"{step}: {n} requests, {n_in} tokens in, {n_out} out")
    total = [sum(tokens[step, name] for step in cot_llm.STEPS) for name in ("requests", "in", "out")]
    print("a document:", [round(value / len(documents), 1) for value in total], "requests, tokens in, out")


if __name__ == "__main__":
    main()
