"""The report of a release: one self-contained HTML page with figures, and the same numbers as JSON."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pyarrow as pa

Numbers = dict[str, Any]
"""Plain JSON: the summary of a release, see pages.summary."""

SHOWN_LANGUAGES = 5

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child { text-align: left }
.numbers { display: flex; gap: 2.5rem; flex-wrap: wrap } .numbers b { display: block; font-size: 1.5rem }
svg { max-width: 100%; height: auto }
"""


def lengths_of(facts: pa.Table) -> dict[str, list[int]]:
    """Kept documents per power-of-two bin of tokens, for the largest languages.

    Args: facts, language and n_tokens of every kept document.
    """
    if not facts.num_rows:
        return {}
    tokens = facts["n_tokens"].fill_null(0).to_numpy().astype(np.int64)
    languages = facts["language"].to_numpy(zero_copy_only=False).astype(object)
    names, counts = np.unique(languages.astype(str), return_counts=True)
    largest = sorted(zip(names, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))[:SHOWN_LANGUAGES]
    return {
        str(name): np.bincount(np.frexp(np.maximum(tokens[languages == name], 1))[1] - 1).tolist()
        for name, _ in largest
    }


def page(numbers: Numbers) -> str:
    """Write the HTML page."""
    from pipeline.figures import draw_funnel, draw_lengths, draw_mix, draw_rules, svg

    counts = numbers["counts"]
    heads = [
        (counts["read"], "records read"), (counts["ingested"], "documents"), (counts["kept"], "kept"),
        (counts["kept_tokens"], "tokens kept"), (counts["quarantined"], "in quarantine"),
    ]  # fmt: skip
    n_rules = sum(1 for rule in numbers["rules"] if numbers["failed"].get(rule))
    parts = [
        f"<h1>{html.escape(numbers['name'])}</h1>",
        f"<p>bicorpus {html.escape(numbers['version'])}, corpus {html.escape(numbers['corpus'])}</p>",
        '<div class="numbers">' + "".join(f"<div><b>{n:,}</b>{name}</div>" for n, name in heads) + "</div>",
        "<h2>Funnel</h2>", svg(lambda axes: draw_funnel(axes, numbers["funnel"]), 8.5, 4.2),
    ]  # fmt: skip
    if n_rules:
        draw = svg(
            lambda axes: draw_rules(axes, numbers["funnel"], numbers["failed"], numbers["rules"]),
            8,
            0.4 * n_rules + 1.2,
        )
        parts += ["<h2>Rules</h2>", draw]
    parts += ["<h2>Languages</h2>", language_table(numbers["funnel"])]
    if numbers["lengths"]:
        parts += ["<h2>Lengths</h2>", svg(lambda axes: draw_lengths(axes, numbers["lengths"]), 7.5, 3.4)]
    for name, mix in sorted(numbers["mixes"].items()):
        parts += [f"<h2>Mix {html.escape(name)}</h2>", mix_table(mix)]
        if len(mix["groups"]) > 1:
            parts.append(svg(lambda axes, n=name, m=mix: draw_mix(axes, n, m), 4.5, 3.2))  # type: ignore[misc]
    if numbers["quarantined"]:
        parts += ["<h2>Quarantine</h2>", quarantine_table(numbers["quarantined"])]
    body = "\n".join(parts)
    title = html.escape(numbers["name"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def table(heads: list[str], rows: list[list[Any]]) -> str:
    """An HTML table; numbers get thousands separators."""

    def cell(value: Any) -> str:
        return f"{value:,}" if isinstance(value, int) else html.escape(str(value))

    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell(v)}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def language_table(funnel: dict[str, dict[str, int]]) -> str:
    """Documents and kept documents of every language, the largest first."""
    totals = {name: sum(row.values()) for name, row in funnel.items()}
    rows = [
        [name, totals[name], funnel[name].get("kept", 0), f"{funnel[name].get('kept', 0) / totals[name]:.1%}"]
        for name in sorted(totals, key=lambda name: (-totals[name], name))
    ]
    return table(["language", "documents", "kept", "share"], rows)


def mix_table(mix: dict[str, Any]) -> str:
    """Groups of a mix: what was asked, what it holds."""
    rows = [
        [
            g["group"],
            g["n_docs"],
            g["tokens"],
            f"{g['asked_share']:.2%}",
            f"{g['share']:.2%}",
            f"{g['epochs']:.2f}",
        ]
        for g in mix["groups"]
    ]
    return table(["group", "documents", "tokens", "share asked", "share", "epochs"], rows)


def quarantine_table(quarantined: dict[str, dict[str, int]]) -> str:
    """Quarantined records by source and reason."""
    rows = [
        [s, reason, n] for s, reasons in sorted(quarantined.items()) for reason, n in sorted(reasons.items())
    ]
    return table(["source", "reason", "records"], rows)
