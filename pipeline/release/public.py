"""The profile `public` of a release: what its files leave out, compared with `internal`.

Left out are the paths and names of input files, of buckets and of the user, ids and texts of dropped documents, the
examples of near duplicates, and hosts that guards name. `pipeline.inspect.public` proves it of a finished release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipeline.dataset.release_schema import LINEAGE

PUBLIC = "public"
PROFILES = ("internal", PUBLIC)
LEFT_OUT = "(left out)"
PATH_KEYS = (
    "files",
    "path",
    "paths",
    "model",
    "models",
    "config",
    "bans",
    "benchmarks",
    "lists",
    "vocabulary",
    "server",
    "servers",
)
"""Keys of a run file whose values can be paths or addresses."""


def public_lineage_column(lineage: pa.StructArray) -> pa.StructArray:
    """The column `lineage` of data rows without input file and record number; the hash of the text is kept."""
    n_rows = len(lineage)
    fields = [pa.nulls(n_rows, pa.string()), pa.nulls(n_rows, pa.int64()), lineage.field("text_hash")]
    return pa.StructArray.from_arrays(fields, fields=list(LINEAGE))


def public_ledger(table: pa.Table) -> pa.Table:
    """The ledger without record ids of dropped documents, which may be their URLs or paths."""
    keep = np.asarray(table["keep"].combine_chunks())
    ids = pc.if_else(pa.array(keep), table["source_id"].combine_chunks(), pa.scalar(None, pa.string()))
    return table.set_column(table.schema.get_field_index("source_id"), table.schema.field("source_id"), ids)


def public_lineage(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """The page lineage.json with inputs by digest alone."""
    inputs: dict[str, Any] = {}
    for name, facts in lineage["inputs"].items():
        source = name.partition("/")[0]
        inputs[f"{source}/{facts['digest']}"] = facts
    return {**lineage, "inputs": inputs, "profile": PUBLIC, "warnings": []}


def public_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of the report without examples of texts, and without warnings, which name hosts."""
    changed = dict(report)
    changed["rule_samples"] = []
    if buckets := report.get("buckets"):
        changed["buckets"] = {**buckets, "samples": []}
    if near := report.get("near_duplicates"):
        changed["near_duplicates"] = {**near, "samples": []}
    changed["warnings"] = []
    changed["expectations"] = [
        {**row, "group": None} if row["figure"].startswith("hosts.") else row
        for row in report.get("expectations", [])
    ]
    return changed


def public_run_file(text: str) -> str:
    """The run file without paths, URLs and servers: its values under PATH_KEYS that contain a slash."""
    return yaml.safe_dump(_without_paths(yaml.safe_load(text)), sort_keys=False, allow_unicode=True)


def _without_paths(value: Any, named: bool = False) -> Any:  # Any: YAML
    if isinstance(value, dict):
        return {key: _without_paths(item, named or str(key) in PATH_KEYS) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item, named) for item in value]
    if isinstance(value, str) and (
        "://" in value or (named and ("/" in value or "\\" in value)) or value.startswith(("/", "~"))
    ):
        return LEFT_OUT
    return value
