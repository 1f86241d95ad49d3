"""What ingest could not use, by source: shares that stop a run, and the lines that a run prints in any case.

A loss is weighed by what it costs: records, bytes of records, or bytes of files that end early, whichever share is
largest. A file that is cut off counts as if as much again were missing; nobody knows how much is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.config.run_file import RunFile, Source
from pipeline.errors import ConfigError
from pipeline.ingest.tally import ABSENT, ANSWERED, NULL
from pipeline.names import nearest
from pipeline.translation import message

Entry = Mapping[str, Any]  # Any: JSON, an entry of the catalog of shards

MAX_LINES = 200
"""Files of one source that are named one by one."""

MAX_SKIPPED = 6
"""Reasons of skipped records that are named."""


def loss_lines(source: str, entries: Iterable[Entry]) -> list[str]:
    """Return one line for each file of a source that ends early, and one each for what else a run should say of it."""
    entries = list(entries)
    ended = [end for entry in entries for end in entry.get("ended", ())]
    lines = [
        message(
            f"warning: source {source}: {path} ends early ({reason}); about {int(lost):,} bytes of the file are lost"
        )
        for path, reason, lost in ended[:MAX_LINES]
    ]
    if len(ended) > MAX_LINES:
        lines.append(message(f"warning: source {source}: {len(ended) - MAX_LINES:,} more files end early"))
    if empty := [file for entry in entries for file in entry.get("empty", ())]:
        path, reason = empty[0]
        more = message(f" and {len(empty) - 1:,} more") if len(empty) > 1 else ""
        lines.append(message(f"warning: source {source}: no document in {path}{more} ({reason})"))
    if partitions := sorted({name for entry in entries for name in entry.get("partitions", ())}):
        lines.append(message(f"source {source}: columns from the names of folders: {', '.join(partitions)}"))
    skipped: Counter[str] = Counter()
    for entry in entries:
        skipped.update(entry.get("skipped", {}))
    if skipped:
        common = ", ".join(f"{reason} {n:,}" for reason, n in skipped.most_common(MAX_SKIPPED))
        rest = skipped.total() - sum(n for _, n in skipped.most_common(MAX_SKIPPED))
        others = message(f", others {rest:,}") if rest else ""
        lines.append(
            message(
                f"source {source}: {skipped.total():,} records are no documents and were skipped ({common}{others})"
            )
        )
    return lines


def loss_fault(source: str, entries: Iterable[Entry], reasons: Mapping[str, int], limit: float) -> str | None:
    """Return a message if a source lost more than the run file allows, else None. reasons: reason -> records."""
    entries = list(entries)
    n_bad, n_read = sum(reasons.values()), sum(entry["read"] for entry in entries)

    def total(name: str) -> int:
        """Sum of a count over the catalog entries."""
        return sum(entry.get(name, 0) for entry in entries)

    n_bytes = sum(file["size"] for entry in entries for file in entry.get("files", ()))
    shares = [(n_bad, n_read, message("records were quarantined"))]
    shares.append(
        (total("broken_bytes"), total("record_bytes"), message("bytes of records were quarantined"))
    )
    shares.append(
        (total("lost_bytes"), n_bytes + total("missing_bytes"), message("bytes of its files cannot be read"))
    )
    n_lost, n_all, what = max(shares, key=lambda share: share[0] / max(share[1], 1))
    if n_lost <= limit * n_all:
        return None
    reason_counts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
    return message(
        f"source {source}: {n_lost:,} of {n_all:,} {what} ({reason_counts}); "
        f"allowed are {limit:.1%} (ingest.max_quarantined_share). See quarantine/{source}/ in the store; "
        "`columns` in the run file names the field with the text"
    )


def check_columns(run: RunFile, entries: Iterable[Entry]) -> list[str]:
    """Check that each mapped column of each source has a value in some record.

    Returns: a warning for each whose field is null wherever it occurs.
    Raises: ConfigError for one that no record has, or of which no value has the type of the column.
    """
    warnings, by_source = list[str](), dict[str, list[Entry]]()
    for entry in entries:
        if entry["shards"]:
            by_source.setdefault(entry["source"], []).append(entry)
    for source in run.sources:
        own = by_source.get(source.name, [])
        for column in sorted(source.columns) if own else ():
            seen = max(entry.get("unanswered", {}).get(column, ANSWERED) for entry in own)
            if seen == ANSWERED or column == "text":
                continue
            fault = _unanswered(run, source, column, seen, own)
            if seen != NULL:
                raise ConfigError(fault)
            warnings.append(f"warning: {fault}")
    return warnings


def _unanswered(run: RunFile, source: Source, column: str, seen: int, entries: list[Entry]) -> str:
    asked = source.columns[column]
    names = [asked] if isinstance(asked, str) else list(asked)
    where = f"{run.path}: sources.{source.name}.columns.{column} is {' or '.join(names)}"
    if seen == ABSENT:
        fields = {name for entry in entries for name in entry.get("fields", ())}
        return (
            message(f"{where}; no record has such a field")
            + f"{nearest(names[0].removesuffix(':string'), fields)}"
        )
    if seen == NULL:
        return message(f"{where}; the field is null or empty in every record")
    return message(
        f"{where}; no value of it is a number. Append `:string` to the name for a column of strings, or write "
        "the numbers as numbers"
    )
