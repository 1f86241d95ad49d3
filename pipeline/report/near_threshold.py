"""Similarity histogram and sample pairs near the deduplication threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.views import view_text
from pipeline.config.release_columns import Layout, languages
from pipeline.dataset.shard import read_shard_rows
from pipeline.report.text_diff import differences
from pipeline.schema import ROW_BITS
from pipeline.select.verdicts import Decision

if TYPE_CHECKING:
    from pipeline.planning.session import Session

N_SAMPLES = 5
"""Number of sample pairs per language on each side of the threshold, the closest ones."""

N_LANGUAGES = 4
N_PLACES = 3


def around_threshold(
    session: Session, layout: Layout, decisions: Sequence[Decision]
) -> dict[str, Any] | None:
    """The histogram of similarities and sample pairs; None if no step of the run writes similarities of pairs.

    Texts are shown as they would be released.
    """
    keep_one = session.run_file.keep_one
    if keep_one is None or keep_one.of is None:
        return None
    folder = session.recipes.folder(keep_one.of)
    if not session.store.exists(f"{folder}/similarities.parquet"):
        return None
    config = session.recipes.steps[keep_one.of].config
    tables = {}
    for name in ("similarities", "near_threshold"):
        with session.store.open(f"{folder}/{name}.parquet") as stream:
            tables[name] = pq.read_table(stream)
    return {
        "threshold": getattr(config, "threshold", None),
        "histogram": [list(row.values()) for row in tables["similarities"].to_pylist()],
        "samples": samples(session, layout, decisions, tables["near_threshold"].to_pylist()),
    }


def samples(
    session: Session, layout: Layout, decisions: Sequence[Decision], pairs: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Pairs closest to the threshold, below and above it, for the languages with the most pairs."""
    shown: dict[int, Shown] = {}
    for pair in pairs:
        for end in ("row_a", "row_b"):
            shown.setdefault(pair[end] >> ROW_BITS, Shown(decisions[pair[end] >> ROW_BITS], session, layout))
    counted: dict[str, int] = {}
    for pair in pairs:
        pair["language"] = shown[pair["row_a"] >> ROW_BITS].language(pair["row_a"])
        counted[pair["language"]] = counted.get(pair["language"], 0) + 1
    found = []
    for language in sorted(counted, key=lambda name: (-counted[name], name))[:N_LANGUAGES]:
        mine = [pair for pair in pairs if pair["language"] == language]
        below = [pair for pair in mine if not pair["verified"]][-N_SAMPLES:]
        for pair in below + [pair for pair in mine if pair["verified"]][:N_SAMPLES]:
            left, right = (shown[pair[end] >> ROW_BITS].text(pair[end]) for end in ("row_a", "row_b"))
            places = differences(left, right)
            found.append(
                {name: pair[name] for name in ("language", "verified", "doc_a", "doc_b")}
                | {
                    "similarity": round(pair["similarity"], 4),
                    "places": len(places),
                    "differences": places[:N_PLACES],
                }
            )
    return found


class Shown:
    """Documents of one shard in the form in which a report shows them."""

    def __init__(self, decision: Decision, session: Session, layout: Layout) -> None:
        self.decision, self.session, self.layout = decision, session, layout
        self.labels: pa.ChunkedArray | None = None

    def language(self, row: int) -> str:
        """The language label of a document."""
        if self.labels is None:
            name = self.layout.columns["language"]
            columns = self.decision.read(self.session.store, {name} if name else set())
            self.labels = languages(columns, self.layout, self.decision.shard.n_rows)
        return str(self.labels[row & ((1 << ROW_BITS) - 1)].as_py())

    def text(self, row: int) -> str:
        """The text of a document with the edits of the release."""
        shard, edits, store = self.decision.shard, self.session.run_file.release.edits, self.session.store
        place = row & ((1 << ROW_BITS) - 1)
        wanted = np.arange(shard.n_rows) == place
        columns = self.decision.read(store, edits.columns())
        ((start, batch),) = read_shard_rows(store, shard, ["text"], wanted)
        one = {name: column.slice(place, 1) for name, column in columns.items()}
        return str(view_text(edits, one | {"text": batch["text"].slice(place - start, 1)})[0].as_py())
