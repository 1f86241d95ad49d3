"""Check every byte of a store, name what is damaged or missing, and let the next run make it again.

Files are checked against their digests, catalogs against the files that they name, releases against their checksums.
A file of an earlier version has no digest; it is read whole, which finds what the format itself notices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.load import load_run
from pipeline.config.run_file import RunFile
from pipeline.dataset.imported_table import CATALOG as IMPORTS
from pipeline.dataset.imported_table import table_key
from pipeline.dataset.shard import SHARDS, opened
from pipeline.errors import BicorpusError, DamagedError, StoreError
from pipeline.ingest.ingest import find_groups, group_name
from pipeline.mapreduce.index import index_part_key
from pipeline.planning.repair import Repair, dependents, forget, is_remade, repair_of
from pipeline.planning.state import State
from pipeline.runtime.progress import Progress
from pipeline.storage.catalog import Catalog, is_segment
from pipeline.storage.exclusion import hold_shared
from pipeline.storage.journal import damaged_lines
from pipeline.storage.lease import check_record
from pipeline.storage.run_records import last_records, read_record
from pipeline.storage.seal import SealedFile, has_seal, parse_sealed
from pipeline.storage.store import Store
from pipeline.translation import message, t

N_THREADS = 4
CATALOGS = ("catalog.json", "recipes.json", "inputs.json", "erased.json")
NEXT_RUN, FORGOTTEN, NEEDS_INPUTS, LOST = "next run", "forgotten", "needs inputs", "lost"
EXAMPLES = 8
UNFINISHED = ("releases/_work/", "releases/_new/")
REPAIRS = "scrub"
"""Lease of `--repair`, which erasures and `gc` wait for."""


@dataclass
class Finding:
    """A damaged or missing object. state: NEXT_RUN, a run makes it again when it reads it; FORGOTTEN, the next run
    makes it again; NEEDS_INPUTS, so it does if the input files are still there; LOST, see `why`. dependents: what was
    computed from it.
    """

    key: str
    fault: str
    state: str
    why: str = ""
    dependents: list[str] = field(default_factory=list)


@dataclass
class ScrubReport:
    """What was checked. without_digest: files of an earlier version, which were only read."""

    store: str
    objects: int = 0
    bytes: int = 0
    without_digest: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged, or all that was is made again by the next run."""
        return all(finding.state == FORGOTTEN for finding in self.findings)

    def lines(self) -> list[str]:
        """The report for a terminal."""
        lines = [
            t(
                f"{self.objects:,} objects, {self.bytes / 1e6:,.1f} MB: {len(self.findings):,} damaged or missing"
            )
        ]
        if self.without_digest:
            lines.append(t(f"{self.without_digest:,} files of an earlier version have no digest"))
        for finding in self.findings:
            lines += [finding.key, f"    {t(finding.fault)}", f"    {t(_outcome(finding))}"]
            if finding.dependents:
                more = len(finding.dependents) - EXAMPLES
                names = ", ".join(finding.dependents[:EXAMPLES]) + (f" (+{more:,})" if more > 0 else "")
                lines.append("    " + t(f"needed by {names}"))
        return lines


def _outcome(finding: Finding) -> str:
    if finding.state == LOST:
        return message(f"cannot be made again: {finding.why}")
    if finding.state == NEEDS_INPUTS:
        return message("can be made again if its input files are still there; name the run file with --run")
    if finding.state == FORGOTTEN:
        return message("forgotten: the next `bicorpus run` makes it again")
    return message("the next `bicorpus run` that reads it makes it again; --repair makes sure of it")


def scrub(store: Store, progress: Progress, repair: bool = False, run: RunFile | None = None) -> ScrubReport:
    """Check a store.

    Args: repair, forget what the next run can make again; run, a run file that reads its inputs, if there is one.
    Raises: StoreError if the store cannot be read; LeaseError if a run holds what has to be repaired, or an erasure or
    `gc` uses the store.
    """
    store.check(write=repair)
    objects = dict(store.list(""))
    report = ScrubReport(store.url, len(objects), sum(objects.values()))
    faults: dict[str, str] = {}
    with (
        progress.phase(message("scrub"), len(objects), "objects") as phase,
        ThreadPoolExecutor(N_THREADS) as pool,
    ):
        for key, (fault, has_digest) in zip(
            objects, pool.map(lambda key: check_object(store, key), objects), strict=True
        ):
            phase.step(objects[key])
            report.without_digest += not has_digest
            if fault:
                faults[key] = fault
    missing = (*missing_objects(store, objects, faults), *missing_catalogs(store, objects, faults))
    for key, fault in (*missing, *check_releases(store, objects)):
        faults.setdefault(key, fault)
    present = None if run is None else present_groups(store, run)
    with hold_shared(store, REPAIRS) if repair and faults else nullcontext():
        for key, fault in sorted(faults.items()):
            report.findings.append(_finding(store, key, fault, present, repair))
    return report


def _finding(store: Store, key: str, fault: str, present: set[str] | None, repair: bool) -> Finding:
    plan = repair_of(store, key)
    remade = is_remade(plan, present)
    if remade is False:
        why = plan.why_not or message("its input files are missing, or have changed")
        return Finding(key, fault, LOST, why, dependents(store, key))
    if remade is None:
        return Finding(key, fault, NEEDS_INPUTS, dependents=dependents(store, key))
    if repair:
        _forget(store, plan)
    return Finding(key, fault, FORGOTTEN if repair else NEXT_RUN)


def _forget(store: Store, plan: Repair) -> None:
    try:
        forget(store, plan)
    except DamagedError as error:  # the catalog is damaged too, and forgotten on its own
        if error.key != plan.catalog:
            raise


def last_run(store: Store, run_path: str | None) -> RunFile | None:
    """Return the run file of a path, or that of the last run of a store, if it is still there and can be read."""
    if run_path is not None:
        return load_run(run_path, store=store)
    try:
        return load_run(last_records(store, 1)[0]["run"], store=store)
    except (BicorpusError, OSError, ValueError, LookupError, TypeError):
        return None


# Objects


def check_object(store: Store, key: str) -> tuple[str, bool]:
    """Return what is wrong with an object, empty if nothing is, and whether it has a digest, if such objects have
    one.
    """
    name = key.rpartition("/")[2]
    has_digest = True
    try:
        if has_seal(key):
            has_digest = check_file(store, key)
        elif name in CATALOGS or is_segment(key):
            Catalog.load(store, key)
        elif key.startswith(("releases/_heads/", "releases/_work/")):
            parse_sealed(store.get(key), key, f"{store.url}/{key}")
        elif key.startswith("leases/"):
            check_record(store.get(key), key)
        elif key.startswith("runs/"):
            read_record(store, key)
        elif key.startswith("requests/") and (n_lost := damaged_lines(store.get(key))):
            return message(f"{n_lost:,} damaged lines"), True
    except (BicorpusError, ValueError) as error:
        return str(error).removeprefix(f"{store.url}/{key}: "), has_digest
    return "", has_digest


def check_file(store: Store, key: str) -> bool:
    """Check a Parquet or Arrow file; returns whether it has digests. Without them it is read whole.

    Raises: DamagedError if it is damaged.
    """
    with opened(store, key) as stream:
        if isinstance(stream, SealedFile):
            stream.check()
            return True
        if key.endswith(".arrow"):
            file = pa.ipc.open_file(stream)
            for i in range(file.num_record_batches):
                file.get_batch(i).validate(full=True)
        else:
            parquet = pq.ParquetFile(stream)
            for i in range(parquet.num_row_groups):
                parquet.read_row_group(i)
    return False


def missing_objects(
    store: Store, objects: Mapping[str, int], faults: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the objects that catalogs name and that are missing, each with the catalog."""
    for catalog in sorted(key for key in objects if key.rpartition("/")[2] in CATALOGS and key not in faults):
        entries = Catalog.load(store, catalog).entries
        for key in named_objects(catalog, entries):
            if key not in objects:
                yield key, message(f"missing; {catalog} names it")


def missing_catalogs(
    store: Store, objects: Mapping[str, int], faults: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the catalogs of the last finished run that are missing while their folders are not, each with the record.

    A folder without a catalog that no run has finished is that of a killed run, and no damage.
    """
    for record in sorted(
        (key for key in objects if key.startswith("runs/") and key not in faults), reverse=True
    ):
        catalogs = read_record(store, record).get("catalogs", [])
        for key in catalogs:
            folder = f"{key.rpartition('/')[0]}/"
            if key not in objects and any(other.startswith(folder) for other in objects):
                yield key, message(f"missing, but used by the run of {record}")
        if catalogs:
            return


def named_objects(catalog: str, entries: Mapping[str, dict[str, Any]]) -> Iterator[str]:  # Any: plain JSON
    """Keys of the objects that a catalog names."""
    folder, parts = catalog.rpartition("/")[0], catalog.split("/")
    if catalog == SHARDS:
        yield from (f"shards/{shard[0]}.parquet" for entry in entries.values() for shard in entry["shards"])
        yield from (
            f"quarantine/{entry['source']}/{name}.parquet"
            for name, entry in entries.items()
            if entry["quarantined"]
        )
    elif catalog == IMPORTS:
        yield from (table_key(name, entry["table"]) for name, entry in entries.items())
    elif parts[-1] != "catalog.json":
        return
    elif parts[0] == "annotations":
        yield from (f"{folder}/{shard}.parquet" for shard in entries)
    elif parts[0] == "global":
        yield from (f"{folder}/rows/{shard}.parquet" for shard in entries if shard)
        yield from (f"{folder}/{name}.parquet" for name in entries.get("", {}).get("artefacts", ()))
    elif parts[0] == "index":
        for name, entry in entries.items():
            if "parts" in entry:
                yield from (index_part_key(f"{folder}/{name}", part) for part in range(entry["parts"]))
            else:
                yield f"{folder}/{name}"


# Releases


def check_releases(store: Store, objects: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the files of finished releases that do not have their SHA-256, and those that are missing."""
    objects = set(objects)
    for key, fault in unmarked_releases(objects):
        yield key, fault
    for catalog in sorted(key for key in objects if _is_release(key)):
        folder = catalog.rpartition("/")[0]
        lines = [line.partition("  ") for line in store.get(catalog).decode(errors="replace").splitlines()]
        listed = {catalog, *(f"{folder}/{name}" for _, _, name in lines)}
        if unlisted := sorted(key for key in objects if key.startswith(f"{folder}/") and key not in listed):
            yield catalog, message(f"it does not list {unlisted[0]}")
        for digest, _, name in lines:
            key = f"{folder}/{name}"
            if key not in objects:
                yield key, message(f"missing; {catalog} names it")
                continue
            with store.open_raw(key) as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
            if found != digest:
                yield key, message(f"it has SHA-256 {found}; {catalog} has {digest}")


def unmarked_releases(objects: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the checksums of releases that have none, and the heads of those that have. A release that a killed run
    began to move has its work left.
    """
    unfinished = {"/".join(key.split("/")[2:3]) for key in objects if key.startswith(UNFINISHED)}
    for lineage in sorted(key for key in objects if key.startswith("releases/") and key.count("/") == 2):
        _, name, file = lineage.split("/")
        if file != "lineage.json" or name.startswith("_") or name in unfinished:
            continue
        for key in (f"releases/{name}/checksums.sha256", f"releases/_heads/{name}.json"):
            if key not in objects:
                yield key, message(f"missing; {lineage} belongs to it")


def _is_release(key: str) -> bool:
    parts = key.split("/")
    return len(parts) == 3 and parts[0] == "releases" and parts[2] == "checksums.sha256"


def present_groups(store: Store, run: RunFile) -> set[str]:
    """Groups of input files that are still there as they were ingested, and the groups derived from them."""
    state = State(store)
    present = set()
    try:
        entries = state.catalog(SHARDS).entries
        for source in run.sources:
            for group in find_groups(source, run.ingest):
                digests = state.unchanged_digests(group)
                if len(digests) == len(group.files):
                    present.add(group_name(group, run.ingest, digests))
    except StoreError:  # the catalogs are damaged: all inputs are ingested again
        return {group.source.name for source in run.sources for group in find_groups(source, run.ingest)}
    derived = {name: entry["parent"] for name, entry in entries.items() if "parent" in entry}
    return present | {name for name, parent in derived.items() if parent.rpartition("-")[0] in present}
