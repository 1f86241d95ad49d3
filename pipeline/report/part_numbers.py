"""Diversity of derived documents: how evenly those of a part of a release spread over the values of a column.

Reads tallies of kept documents by language, domain and the columns that a `Derive` counts; writes, for each group, the
number of values, how many equally frequent ones would be as diverse, and the largest value's share.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from pipeline.report.release_numbers import PartGroup, PartNumbers, PartValue

SHOWN_VALUES = 20  # most frequent values that are listed
SHOWN_DOMAINS = 12  # largest domains with a row of their own
NO_VALUE = "(none)"

Tallies = dict[str, list[int]]
"""JSON object of part, language, domain and counted columns -> documents and tokens."""


def tally_part(part: str, counted: Sequence[str], rows: pa.Table, tokens: Sequence[int]) -> Tallies:
    """Count rows of a part by language, domain and the columns `counted`; tokens, of each row's document."""
    totals: Tallies = {}
    names = ["language", "domain", *counted]
    for row, n_tokens in zip(rows.select(names).to_pylist(), tokens, strict=True):
        key = json.dumps(
            {"part": part, **{name: row[name] or NO_VALUE for name in names}}, ensure_ascii=False
        )
        total = totals.setdefault(key, [0, 0])
        total[0] += 1
        total[1] += n_tokens
    return totals


def part_numbers(tallies: Iterable[Mapping[str, Sequence[int]]]) -> list[PartNumbers]:
    """Return the numbers of each part, sorted by name; the diversity is that of the last counted column."""
    cells: dict[str, list[tuple[dict[str, str], int, int]]] = {}
    for tally in tallies:
        for key, (documents, tokens) in tally.items():
            cell = json.loads(key)
            cells.setdefault(cell.pop("part"), []).append((cell, documents, tokens))
    return [_numbers(part, cells[part]) for part in sorted(cells)]


def effective(counts: Iterable[int]) -> float:
    """Number of equally frequent values with the same entropy: exp(H), 0 for none (Hill number of order 1).

    Source: Hill, Diversity and evenness: a unifying notation and its consequences, Ecology 54(2), 1973.
    """
    sizes = sorted(counts)
    total = sum(sizes)
    return math.exp(-sum(n / total * math.log(n / total) for n in sizes)) if total else 0.0


def _numbers(part: str, cells: Sequence[tuple[dict[str, str], int, int]]) -> PartNumbers:
    *by, column = cells[0][0]
    groups = [_group("all", "", column, cells)]
    for name in by:
        sizes = Counter[str]()
        for cell, documents, _ in cells:
            sizes[cell[name]] += documents
        largest = sorted(sizes, key=lambda value: (-sizes[value], value))
        for value in largest[:SHOWN_DOMAINS] if name == "domain" else largest:
            groups.append(_group(name, value, column, [c for c in cells if c[0][name] == value]))
    return PartNumbers(part=part, column=column, groups=groups, common=_common(column, cells))


def _group(by: str, group: str, column: str, cells: Sequence[tuple[dict[str, str], int, int]]) -> PartGroup:
    counts = Counter[str]()
    for cell, documents, _ in cells:
        counts[cell[column]] += documents
    largest = min(counts, key=lambda value: (-counts[value], value))
    total = sum(counts.values())
    return PartGroup(
        by=by,
        group=group,
        documents=total,
        tokens=sum(tokens for _, _, tokens in cells),
        values=len(counts),
        effective=round(effective(counts.values()), 2),
        largest=largest,
        largest_share=round(counts[largest] / total, 4),
    )


def _common(column: str, cells: Sequence[tuple[dict[str, str], int, int]]) -> list[PartValue]:
    languages: dict[str, Counter[str]] = {}
    for cell, documents, _ in cells:
        languages.setdefault(cell[column], Counter())[cell["language"]] += documents
    order = sorted(languages, key=lambda value: (-languages[value].total(), value))[:SHOWN_VALUES]
    return [
        PartValue(value=v, documents=languages[v].total(), languages=dict(sorted(languages[v].items())))
        for v in order
    ]
