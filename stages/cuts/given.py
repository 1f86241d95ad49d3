"""Bucket edges of an earlier run, read from a file or from a release, as plain rows that a config can hold."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError
from pipeline.names import nearest
from pipeline.stage import RunContext
from stages.cuts.edges import ALL, EDGES, ENSEMBLE

Given = tuple[tuple[str, str, int, float | None, int, int], ...]
"""Language, scorer, bucket, lower, size and effective of each row of EDGES."""

COLUMNS = EDGES.names[:6]
RELEASE = "release:"


def given_edges(source: str, context: RunContext, columns: Sequence[str], n_buckets: int) -> Given:
    """Return the edges of a file or a release, for these scorers and the ensemble.

    Args: source, the setting: `release:NAME` or a path relative to the run file.
    Raises: ConfigError if it cannot be read, lacks a scorer, or has another number of buckets.
    """
    where = f"cuts.edges: {source}"
    if source.startswith(RELEASE):
        rows = _from_report(context.released(source.removeprefix(RELEASE), "report.json"), where)
    else:
        rows = _from_file(context.file(source), where)
    return _checked(rows, where, columns, n_buckets)


def _from_file(data: bytes, where: str) -> Given:
    if not data.startswith(b"PAR1"):
        return _from_report(data, where)
    try:
        table = pq.read_table(io.BytesIO(data), columns=COLUMNS).cast(
            pa.schema([EDGES.field(name) for name in COLUMNS])
        )
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ConfigError(f"{where}: {error}; expected a table with {', '.join(COLUMNS)}") from error
    return tuple(tuple(row.values()) for row in table.to_pylist())


def _from_report(data: bytes, where: str) -> Given:
    try:
        rows = json.loads(data)["buckets"]["edges"]
        return tuple(
            (str(a), str(b), int(c), d if d is None else float(d), int(e), int(f))
            for a, b, c, d, e, f in rows
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{where}: found no bucket edges; expected the artefact edges.parquet of stages.cuts, or report.json of a "
            "release with quality buckets, made after bicorpus 0.1.0"
        ) from error


def _checked(rows: Given, where: str, columns: Sequence[str], n_buckets: int) -> Given:
    """The rows of these scorers, sorted. Raises: ConfigError if they are not complete."""
    scorers = {row[1] for row in rows} - {ENSEMBLE}
    for column in columns:
        if column not in scorers:
            raise ConfigError(f"{where}: no edges of {column!r}{nearest(column, scorers)}")
    rows = tuple(sorted((row for row in rows if row[1] in (*columns, ENSEMBLE)), key=lambda row: row[:3]))
    places: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        places.setdefault(row[:2], []).append(row[2])
    for (language, scorer), buckets in places.items():
        if buckets != list(range(n_buckets)):
            raise ConfigError(
                f"{where}: {scorer} of {language} has {len(buckets)} buckets; expected {n_buckets}, as cuts.n_buckets "
                "says"
            )
    for column in columns:
        if (ALL, column) not in places:
            raise ConfigError(
                f"{where}: no edges of {column!r} for all languages ({ALL}); name a whole table"
            )
    return rows
