"""Prove that a release of the profile `public` leaves out what it must: every file is decoded and searched.

The rules: no input file and record number in data, no record id of a dropped document in the ledger, no path, bucket or
name of this user in any text, and no example of a text in the report.
"""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.release.public import PUBLIC
from pipeline.storage.store import Store
from pipeline.translation import message

_PLACES = re.compile(
    r"(?:s3|s3a|gs|gcs|az|abfss?|adl|file|hdfs)://[^\s\"'<>]{2,}|(?<![\w/.:])(?:/home/|/Users/|/root/|/mnt/|"
    r"/data/|/tmp/|[A-Z]:\\Users\\)[^\s\"'<>]*"
)
"""Addresses of buckets and local paths."""
_PAGES = (".json", ".yaml", ".md", ".csv", ".html")
_MIN_NAME = 4


def public_faults(release: Store, listed: dict[str, str]) -> tuple[int, list[str]]:
    """Search a release for what its profile leaves out.

    Args: listed, its files, as in checksums.sha256.
    Returns: number of files searched, and the faults; (0, []) for a release of another profile.
    """
    if json.loads(release.get("lineage.json")).get("profile") != PUBLIC:
        return 0, []
    user = _user_name()
    faults: list[str] = []
    for name in sorted(listed):
        if name.endswith(_PAGES):
            text = bytes(release.get(name)).decode("utf-8", "replace")
            faults += [
                message(f"{name}: a path or bucket ({len(found)} characters)")
                for found in _PLACES.findall(text)
            ]
            if user and re.search(rf"(?<![\w-]){re.escape(user)}(?![\w-])", text):
                faults.append(message(f"{name}: the name of the user who built it"))
        if name == "report.json" and (json.loads(release.get(name)).get("near_duplicates") or {}).get(
            "samples"
        ):
            faults.append(message(f"{name}: examples of texts"))
        if name.endswith(".parquet"):
            with release.open(name) as stream:
                faults += [
                    message(f"{name}: {fault}") for fault in _table_faults(name, pq.read_table(stream))
                ]
    return len(listed), faults


def _table_faults(name: str, table: pa.Table) -> Iterator[str]:
    """Yield what a table must not have."""
    columns = set(table.column_names)
    if "lineage" in columns and table.num_rows:
        inputs = pc.struct_field(table["lineage"], "input")
        if inputs.null_count < table.num_rows:
            yield "input files in lineage"
    if name.startswith("ledger/"):
        dropped = table.filter(pc.invert(table["keep"]))
        if dropped["source_id"].null_count < dropped.num_rows:
            yield "record ids of dropped documents"
    if "url" in columns and any(re.match(r"\w+://[^/]*@", url) for url in table["url"].to_pylist() if url):
        yield "user names in URLs"


def _user_name() -> str:
    """The name of the user of this process, if it is long and unusual enough to be searched for."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = Path.home().name
    return (
        name
        if len(name) >= _MIN_NAME
        and name not in ("root", "user", "ubuntu", "runner", "admin", "data", "test")
        else ""
    )


def check_public(
    release: Store, listed: dict[str, str], report: Any
) -> None:  # Any: verify's VerifyReport, which imports this
    """Record the check of the profile in a report of `verify`; releases of the profile internal have none."""
    n_checked, faults = public_faults(release, listed)
    if n_checked:
        report.check(message("the profile public leaves out what it must"), n_checked, faults)
