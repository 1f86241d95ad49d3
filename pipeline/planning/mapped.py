"""Fields that a source maps and that its first file does not have, so that a misspelt one is noticed before a run."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import BicorpusError
from pipeline.ingest.fields import find_field
from pipeline.ingest.ingest import Group
from pipeline.names import nearest
from pipeline.runtime.limits import first_records
from pipeline.storage.store import open_input
from pipeline.translation import message

SAMPLE_RECORDS = 200
"""Records of a file that are looked at."""

SUFFIX = ":string"
"""End of the name of a field whose values are text, in `columns`."""


def missing_fields(groups: Iterable[Group]) -> list[str]:
    """One warning for each mapped field that no record of the first file of its source has.

    One file of each source with `columns` is opened and its first SAMPLE_RECORDS records are read; a file that cannot
    be read is left to the run. Fields that name a partition in the path (`dump=2024-10/`) are not missing.
    """
    warnings = []
    firsts: dict[str, Group] = {}
    for group in groups:
        firsts.setdefault(group.source.name, group)
    for name, group in firsts.items():
        if not group.source.columns:
            continue
        fields, n_records = _seen(group)
        for column, value in group.source.columns.items() if n_records else ():
            names = tuple(n.removesuffix(SUFFIX) for n in ((value,) if isinstance(value, str) else value))
            is_partition = any(f"{n}=" in part for n in names for part in group.files[0].relative.split("/"))
            if not is_partition and not any(_has(record, names) for record in fields):
                known = {str(key) for record in fields for key in record}
                warnings.append(
                    message(
                        f"sources.{name}.columns.{column}: no {' or '.join(map(repr, names))} in the first "
                        f"{n_records:,} records of {group.files[0].relative}"
                    )
                    + nearest(names[0], known)
                )
    return warnings


def _seen(group: Group) -> tuple[list[dict[str, object]], int]:
    """Fields of the first records of a group's first file, and their number; none if it cannot be read."""
    source, file = group.source, group.files[0]
    try:
        with open_input(file.path) as stream:
            records = first_records(
                source.reader, stream, file.relative, source.reader_config, SAMPLE_RECORDS
            )
            found = [r.fields for r in records if r.fields is not None]
    except (BicorpusError, OSError):
        return [], 0
    return found, len(found)


def _has(record: dict[str, object], names: tuple[str, ...]) -> bool:
    return find_field(record, names, set()) is not None
