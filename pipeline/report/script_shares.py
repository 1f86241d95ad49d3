"""Chinese by script in a release: how much is Simplified, Traditional, Cantonese or classical, and what was converted.

Counts are of released texts, by the language label that was read; the label that converted texts are released with is
given as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

COUNTED = ("documents", "characters", "tokens")

CHINESE = ("zho", "yue", "lzh", "wuu", "nan", "hak", "cdo", "gan")
"""ISO 639-3 codes of languages written in Han characters, simplified or traditional."""


def tally_languages(language: pa.ChunkedArray, table: pa.Table) -> dict[str, list[int]]:
    """COUNTED of released documents by language. Args: language, of each row; table, with `text` and `n_tokens`."""
    counted = pa.table(
        {
            "language": language.cast(pa.string()),
            "characters": pc.utf8_length(table["text"]).cast(pa.int64()),
            "tokens": pc.fill_null(table["n_tokens"], 0).cast(pa.int64()),
        }
    )
    sums = counted.group_by("language").aggregate(
        [([], "count_all"), ("characters", "sum"), ("tokens", "sum")]
    )
    return {
        row["language"]: [row["count_all"], row["characters_sum"], row["tokens_sum"]]
        for row in sums.to_pylist()
    }


def script_rows(
    tallies: Iterable[Mapping[str, list[int]]], relabel: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One row for each label of Chinese, the largest first: COUNTED, their shares, the label it is released with."""
    totals: dict[str, list[int]] = {}
    for tally in tallies:
        for name, counts in tally.items():
            if name.partition("_")[0] in CHINESE:
                known = totals.get(name, [0] * len(COUNTED))
                totals[name] = [a + b for a, b in zip(known, counts, strict=True)]
    sums = [max(sum(counts[i] for counts in totals.values()), 1) for i in range(len(COUNTED))]
    return [
        {
            "language": name,
            "released_as": relabel.get(name, name),
            **dict(zip(COUNTED, totals[name], strict=True)),
            **{
                f"{what}_share": round(n / s, 6)
                for what, n, s in zip(COUNTED, totals[name], sums, strict=True)
            },
        }
        for name in sorted(totals, key=lambda name: (-totals[name][0], name))
    ]
