"""Which input files a run takes in: of named sources, or changed since a moment. The rest stays as the store has it.

A file that is left as it is counts with the size and the time stamp that the store recorded, so a run finds what it
ingested of it before; one that the store has never seen is left out. The release then says which inputs it holds, as
every release does: a limit decides when a file is read, and is no part of a recipe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.config.run_file import RunFile, Source
from pipeline.dataset.shard import INPUTS
from pipeline.errors import UsageError
from pipeline.ingest.ingest import find_groups, source_files
from pipeline.names import nearest
from pipeline.planning.state import State
from pipeline.storage.store import InputFile, Store

UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Limit:
    """sources: names of those whose files are taken in; all if empty. since: moment in seconds since 1970, from which
    a file must have been changed to be taken in; None for any."""

    sources: tuple[str, ...] = ()
    since: float | None = None


def parse_moment(text: str, now: float) -> float:
    """Return a moment in seconds since 1970: a date or time in ISO 8601, UTC without a zone, or an age such as 36h or
    7d before `now`.

    Raises: UsageError for anything else.
    """
    if found := re.fullmatch(r"(\d+)([mhdw])", text):
        return now - int(found[1]) * UNITS[found[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r}: expected a date such as 2026-11-30, or an age such as 36h or 7d"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def limited(run: RunFile, store: Store, limit: Limit) -> RunFile:
    """Return a run file whose sources hold only the files that a limit takes in, and those that the store has.

    Raises: UsageError for an unknown source, or if a file to be left as it is has to be read again.
    """
    if not limit.sources and limit.since is None:
        return run
    names = [source.name for source in run.sources]
    for name in limit.sources:
        if name not in names:
            raise UsageError(f"--only-source {name}: no such source{nearest(name, names)}")
    state = State(store)
    sources = []
    for source in run.sources:
        takes = not limit.sources or source.name in limit.sources
        files = [
            kept
            for file in source_files(source)
            if (kept := kept_file(source, file, state, takes, limit.since)) is not None
        ]
        sources.append(replace(source, inputs=tuple(files)))
    made = replace(run, sources=tuple(sources))
    check_left(made, limit, state)
    return made


def kept_file(
    source: Source, file: InputFile, state: State, takes: bool, since: float | None
) -> InputFile | None:
    """Return a file as the run reads it: as it is now, as the store knows it, or not at all (None)."""
    if takes and (since is None or file.modified >= since):
        return file
    known: Mapping[str, Any] | None = state.catalog(INPUTS).entries.get(f"{source.name}/{file.relative}")
    if known is None:
        return None
    if (known["size"], known["stamp"]) == (file.size, file.stamp):
        return file
    return replace(file, size=known["size"], stamp=known["stamp"])


def check_left(run: RunFile, limit: Limit, state: State) -> None:
    """Check that no group that would be read contains a file that the store knows in another form than it has now.

    Raises: UsageError naming it.
    """
    for source in run.sources:
        now = {file.relative: (file.size, file.stamp) for file in source_files(replace(source, inputs=None))}
        for group in find_groups(source, run.ingest):
            if state.ingested(group, run) is not None:
                continue
            for file in group.files:
                if now[file.relative] != (file.size, file.stamp):
                    raise UsageError(
                        f"{source.name}: {file.relative} changed and is to be left as it is, but its shard has to be "
                        "made again, with a new file or other settings; run without --only-source and --since"
                    )
