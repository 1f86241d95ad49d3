"""What `classifiers.rephrase` yields on documents: accepted texts by form, reasons of rejects, tokens and cost.

    python -m scripts.bench.rephrase_yield DOCS.parquet --servers servers.yaml --model Qwen/Qwen3-32B --store ./asked \
        --n 40 --to texts.jsonl

DOCS has the columns text, source, and lang (`zh` or `en`) or lang_hint. Answers are kept in the store; a
rerun asks nothing. Cost is that of 10^9 accepted tokens: tokens in and out of all requests, rejected ones
included, for one accepted token, times the seconds that a GPU takes for them (`--prefill` and `--decode`,
tokens per second of a server under load).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import rephrase
from classifiers.llm.requests import Answer, Request, tokens_of
from pipeline.planning.services import open_services
from pipeline.storage.store import open_store
from stages.checks.grounding import ungrounded

LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}


@click.command()
@click.argument("docs", type=click.Path(exists=True, dir_okay=False))
@click.option("--servers", required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--model", required=True)
@click.option("--store", "store_url", required=True)
@click.option("--n", default=40, show_default=True, help="Documents, half of them Chinese.")
@click.option("--config", default="{}", show_default=True, help="Settings of the stage, as JSON.")
@click.option("--prefill", default=20_000.0, show_default=True, help="Tokens read per second of a GPU.")
@click.option("--decode", default=2_500.0, show_default=True, help="Tokens written per second of a GPU.")
@click.option("--to", "target", type=click.Path(dir_okay=False), help="JSON Lines of all texts and rejects.")
def main(
    docs: str, servers: str, model: str, store_url: str, n: int, config: str, prefill: float, decode: float,
    target: str | None,
) -> None:  # fmt: skip
    """Ask about documents of DOCS, one of a source at a time, and print the figures."""
    rows = _draw(pq.read_table(docs).to_pylist(), n)
    services = open_services(open_store(store_url), servers)
    stage = rephrase.serve(
        rephrase.Config(model=model, styles=rephrase.STYLES, **json.loads(config)), services
    )
    tokens = Counter[tuple[str, str]]()
    ask = stage.client.ask

    def counting(requests: Iterable[Request]) -> list[Answer]:
        wanted = list(requests)
        answers = ask(wanted)
        for request, answer in zip(wanted, answers, strict=True):
            style = style_of(stage, request)
            tokens.update(
                {
                    (style, "requests"): 1,
                    (style, "in"): answer.input_tokens,
                    (style, "out"): answer.output_tokens,
                }
            )
        return answers

    stage.client.ask = counting  # type: ignore[method-assign]
    batch = pa.table(
        {
            "text": pa.array([row["text"] for row in rows], pa.large_string()),
            "language.label": pa.array([LABELS[language_of(row)] for row in rows]),
            "parent_id": pa.nulls(len(rows), pa.string()),
        }
    )
    found = stage(batch).to_pylist()
    services.close()
    report(rows, found, tokens, prefill, decode)
    if target:
        with open(target, "w", encoding="utf-8") as stream:
            for document, row in zip(rows, found, strict=True):
                stream.write(
                    json.dumps(
                        {"source": document["source"], "document": document["text"], **row},
                        ensure_ascii=False,
                    )
                    + "\n"
                )


def _draw(rows: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """Documents of each language, one of each source in turn."""
    drawn = []
    for language in LABELS:
        by_source: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if language_of(row) == language:
                by_source.setdefault(row["source"], []).append(row)
        chosen: list[dict[str, Any]] = []
        while len(chosen) < n // 2 and any(by_source.values()):
            chosen += [documents.pop(0) for documents in by_source.values() if documents]
        drawn += chosen[: n // 2]
    return drawn


def language_of(row: dict[str, Any]) -> str:
    """The language of a row, `zh` or `en`."""
    return str(row.get("lang") or row.get("lang_hint") or "")[:2]


def style_of(stage: rephrase.Rewriter, request: Request) -> str:
    """The form that a request asks for."""
    return next(
        name for name, one in stage.instructions.items() if request.messages[0][1] in one.texts.values()
    )


def _line(documents: list[dict[str, Any]], found: list[dict[str, Any]], style: str, language: str) -> str:
    """Texts of a form in a language: accepted, grounded among all that were written, and reasons of rejects."""
    n_accepted, n_written, n_grounded, faults = 0, 0, 0, Counter[str]()
    for document, row in zip(documents, found, strict=True):
        if language_of(document) != language or row["reason"] is not None:
            continue
        kept = [one["text"] for one in row["texts"] if one["style"] == style]
        rejects = [one for one in row["rejects"] if one["style"] == style]
        rejected = [one["text"] for one in rejects if one["text"]]
        n_accepted += len(kept)
        n_written += len(kept) + len(rejected)
        n_grounded += sum(not ungrounded(text, document["text"], derived=True) for text in (*kept, *rejected))
        faults.update(one["reason"].partition(":")[0] for one in rejects)
    return (
        f"{n_accepted} accepted of {n_written} written, {n_grounded} grounded; {dict(faults.most_common())}"
    )


def report(
    documents: list[dict[str, Any]], found: list[dict[str, Any]], tokens: Counter[tuple[str, str]],
    prefill: float, decode: float,
) -> None:  # fmt: skip
    """Print yield, share grounded and reasons by form and language, then tokens and hours of a GPU for 10^9 tokens."""
    for style in rephrase.STYLES:
        for language in LABELS:
            print(f"{style} {language}: {_line(documents, found, style, language)}")
    n_accepted = sum(tokens_of(one["text"]) for row in found for one in row["texts"] or ())
    n_in, n_out = (sum(tokens[style, name] for style in rephrase.STYLES) for name in ("in", "out"))
    for style in rephrase.STYLES:
        n, read, written = (tokens[style, name] for name in ("requests", "in", "out"))
        print(f"{style}: {n} requests, {read} tokens in, {written} out")
    print(f"{n_accepted} tokens accepted, {n_in} in and {n_out} out of all requests")
    if n_accepted:
        hours = 1e9 / n_accepted * (n_in / prefill + n_out / decode) / 3600
        print(
            f"10^9 accepted tokens: {hours:,.0f} GPU-hours at {prefill:,.0f} tokens/s in, {decode:,.0f} out"
        )


if __name__ == "__main__":
    main()
