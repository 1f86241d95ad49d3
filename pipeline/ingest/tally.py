"""What reading a file cost and showed: bytes lost, records skipped, and whether the mapped columns have values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.stage import Record

MAX_REASONS = 100
"""Different reasons of skipped records that are counted apart; the addresses of the web know no limit of types."""

MAX_NAMES = 200
"""Names of fields that are kept for suggestions."""

ABSENT, NULL, UNUSABLE, ANSWERED = range(4)
"""What records show of a mapped column, from nothing to a value: no such field; only null; no value of the type."""


@dataclass
class Tally:
    """Counts of one or more files.

    n_read: records that became documents or were quarantined. lost_bytes: as stored, which damage made unreadable;
    missing_bytes: of them those that a truncated file is taken to lack. record_bytes, broken_bytes: of records whose
    size is known (formats of texts), all and the quarantined ones. ends: reasons and details of files that end early.
    skipped: reason -> records that are no documents by design. columns: mapped column -> ABSENT to ANSWERED. names:
    some field names.
    """

    n_read: int = 0
    lost_bytes: int = 0
    missing_bytes: int = 0
    record_bytes: int = 0
    broken_bytes: int = 0
    ends: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    columns: dict[str, int] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)

    def skip(self, record: Record) -> None:
        """Count a record that is no document by design."""
        reason = str(record.reason)
        known = reason in self.skipped or len(self.skipped) < MAX_REASONS
        self.skipped[reason if known else "other reasons"] += 1

    def read(self, record: Record) -> None:
        """Count a record."""
        self.n_read += 1
        self.record_bytes += record.n_bytes
        if record.lost_bytes:
            self.lost_bytes += record.lost_bytes
            self.missing_bytes += record.lost_bytes if record.reason == "truncated" else 0
        if record.position < 0:
            self.ends.append(f"{record.reason}: {record.detail}")

    def note(self, column: str, seen: int) -> None:
        """Keep the best that records show of a mapped column."""
        if seen > self.columns.get(column, -1):
            self.columns[column] = seen

    def note_names(self, fields: Mapping[str, Any], prefix: str = "") -> None:  # Any: values of the format
        """Keep names of fields, those of nested objects with dots."""
        for name, value in fields.items():
            if len(self.names) >= MAX_NAMES:
                return
            self.names.setdefault(f"{prefix}{name}")
            if isinstance(value, Mapping) and prefix.count(".") < 3:
                self.note_names(value, f"{prefix}{name}.")

    def add(self, other: Tally) -> None:
        """Add the counts of another file of the same source."""
        for name in ("n_read", "lost_bytes", "missing_bytes", "record_bytes", "broken_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.ends += other.ends
        self.skipped.update(other.skipped)
        for column, seen in other.columns.items():
            self.note(column, seen)
        self.names |= dict.fromkeys(list(other.names)[: MAX_NAMES - len(self.names)])


def presence(fields: Mapping[str, Any], names: Iterable[str]) -> int:  # Any: values of the format
    """Return NULL if a record has one of the named fields, regardless of its value, else ABSENT."""
    for name in names:
        if name in fields:
            return NULL
        outer, _, inner = name.partition(".")
        value = fields.get(outer)
        if inner and isinstance(value, Mapping) and presence(value, (inner,)) == NULL:
            return NULL
    return ABSENT
