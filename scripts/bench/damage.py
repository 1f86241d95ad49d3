"""Damage a release and a store in every way that is listed, and count what is seen, named and made again.

    python -m scripts.bench.damage release|store|scrub|faults|few [--seed 0] [--only TEXT] [--points 8]

`release`: kinds of damage to a release, with and without agreeing checksums, and what `verify` finds. `store`: each
kind of object of a store is damaged, `scrub` and a run that adds documents follow; the release must have the bytes of
an undamaged build. `scrub`: the same without the run. `faults`: a build whose disk fails at one write after another
(full, read-only, broken, a machine that loses what was not flushed), then a run on the same store; `few` at --points or
so. Prints a table; exits 1 if anything is missed, ends in a traceback or gives another release with exit 0.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from functools import partial
from pathlib import Path

import click
import yaml

from pipeline.errors import BicorpusError
from pipeline.inspect.verify import verify_files
from pipeline.storage.store import open_store
from scripts.bench.damage_disk import FAULTS, Disk
from scripts.bench.damage_release import (
    Kind,
    agreeing_kinds,
    clear_sector,
    delete,
    empty,
    flip,
    halve,
    make_sums_agree,
    plain_kinds,
)
from tests.helpers.build import cli, digests, small_page, tiny, write_inputs, write_run
from tests.helpers.paths import SAMPLE

SOLVED = 30
"""Documents with worked solutions that are added to the inputs."""


def inputs_of(folder: Path, whole: bool = True) -> Path:
    """Write inputs and a run file with mixes, token files, duplicates and worked solutions; returns the run file."""
    import zstandard

    write_inputs(folder)
    data = zstandard.ZstdDecompressor().stream_reader((SAMPLE / "docs_en-00.jsonl.zst").read_bytes()).read()
    lines = [line for line in data.split(b"\n") if b"Solution" in line and len(line) < 20_000]
    (folder / "solved.jsonl").write_bytes(b"\n".join(lines[:SOLVED]) + b"\n")
    page = small_page(tokens={"mixes": ["half"], "config": {"formats": ["megatron", "ds"]}})
    page["sources"] += [
        {"name": "textbook", "reader": "stages.readers.jsonl", "files": "solved.jsonl"},
        {"name": "solved", "derive": "stages.cot.documents"},
    ]
    page["annotate"] = ["classifiers.language", *page["annotate"], "stages.cot"]
    if not whole:
        with (folder / "solved.jsonl").open("ab") as file:
            file.write(b"no JSON\n")  # one quarantined record
        page["ingest"] = {**page.get("ingest", {}), "max_quarantined_share": 0.2}
        os.rename(folder / "web", folder / "later")
        page["sources"] = [source for source in page["sources"] if source["name"] != "web"]
    return write_run(folder, page)


def run(run_path: Path, store: Path) -> tuple[int, str]:
    """Run a build in this process; returns its exit code and what it said, a traceback with code -1."""
    try:
        ended = cli("run", run_path, "--store", store, "--engine", "local", "--workers", 1)
    except BaseException:  # a traceback is what is counted
        return -1, traceback.format_exc()
    return ended.code, ended.err


# The release


def damage_release(folder: Path, seed: int, only: str) -> bool:
    """Damage a release in each way and verify it; returns whether all was seen, named and without a traceback."""
    if not (folder / "inputs").exists():
        inputs_of(folder / "inputs")
    code, said = run(folder / "inputs/run.yaml", folder / "store")
    assert code == 0, said
    sound = folder / "store/releases/v1"
    assert verify_files(open_store(str(sound))).passed
    counts: Counter[str] = Counter()
    for i, kind in enumerate([*agreeing_kinds(), *plain_kinds()]):
        if only in kind.name:
            one_release(folder, sound, kind, random.Random(f"{seed} {i}"), counts)
    print(json.dumps(counts))
    return not (counts["unseen"] or counts["unnamed"] or counts["traceback"])


def one_release(folder: Path, sound: Path, kind: Kind, draw: random.Random, counts: Counter[str]) -> None:
    """Damage a copy of a release, verify it and print a row."""
    release = Path(shutil.copytree(sound, folder / "copy"))
    outcome, first = "seen and named", ""
    try:
        names = kind.change(release, draw)
        if kind.agrees:
            make_sums_agree(release)
        report = verify_files(open_store(str(release)))
        faults = [fault for found in report.faults.values() for fault in found]
        first = faults[0] if faults else ""
        if kind.agrees and not report.passed:
            by_content = any("not the file that was written" not in fault for fault in faults)
            counts[
                "checksums agree: seen by content" if by_content else "checksums agree: seen by lineage"
            ] += 1
            first = first if by_content else f"by lineage: {first}"
        text = "\n".join([*report.faults, *faults])
        outcome = (
            "unseen" if report.passed else "seen and named" if any(n in text for n in names) else "unnamed"
        )
    except LookupError as error:
        outcome, first = "not applicable", str(error)
    except BicorpusError as error:  # a message for the user: named
        first = str(error)
    except Exception as error:
        outcome, first = "traceback", repr(error)
    finally:
        shutil.rmtree(release)
    counts[outcome] += 1
    group = "checksums agree" if kind.agrees else "plain"
    counts[f"{group}: {outcome}"] += 1
    print(f"{outcome:<15} {group:<16} {kind.name:<60} {first[:110]}", flush=True)


# The store

OBJECTS = (
    "shards/zh-*.parquet", "shards/solved-*.parquet", "shards/catalog.json",
    "shards/inputs.json", "annotations/minhash/*/*.parquet",
    "annotations/minhash/*/catalog.json", "annotations/recipes.json", "annotations/tokens/*/*.parquet",
    "index/candidates/*/*/part-*.parquet", "index/candidates/*/catalog.json", "index/dedup/*/*-1.parquet",
    "index/dedup/*/catalog.json", "global/dedup/*/rows/*.parquet", "global/dedup/*/catalog.json",
    "global/keepers/*/summary.parquet", "verdicts/v1/*.parquet", "releases/_heads/v1.json", "releases/v1/lineage.json",
    "releases/v1/data/*/part-*.parquet", "releases/v1/checksums.sha256", "quarantine/*/*.parquet", "runs/*.json",
)  # fmt: skip

DAMAGES = {
    "flipped bit": flip,
    "second half missing": halve,
    "512 bytes of zeros": clear_sector,
    "empty": empty,
    "missing": delete,
}
SWAP = "another of its kind"

MAY_BE_MISSING = ("verdicts/v1/*.parquet", "runs/*.json")
"""Objects that may be missing: decisions are kept to be read again, and `gc` deletes old records."""


def damage_store(folder: Path, seed: int, only: str) -> bool:
    """Damage each kind of object, scrub, and run with more documents; returns whether all releases are the same."""
    grown = stores_of(folder)
    expected = digests(folder / "undamaged")
    counts: Counter[str] = Counter()
    for pattern, name in store_kinds(only):
        one_store(folder, grown, expected, pattern, name, random.Random(f"{seed} {pattern} {name}"), counts)
    print(json.dumps(counts))
    wrong = ("traceback", "traceback of scrub", "DIFFERENT", "still broken")
    return not any(counts[name] for name in wrong)


def scrub_store(folder: Path, seed: int, only: str) -> bool:
    """Damage each kind of object and scrub, without a run; returns whether all is seen but what may be missing."""
    stores_of(folder)
    counts: Counter[str] = Counter()
    for pattern, name in store_kinds(only):
        store = copied(folder)
        key = damaged(store, pattern, name, random.Random(f"{seed} {pattern} {name}"))
        seen = scrubbed(store, key)
        if seen == "unseen by scrub" and name == "missing" and pattern in MAY_BE_MISSING:
            seen = "no damage"
        counts[seen] += 1
        print(f"{seen:<20} {pattern}: {name}", flush=True)
        shutil.rmtree(store)
    print(json.dumps(counts))
    return not (counts["unseen by scrub"] or counts["traceback of scrub"])


def stores_of(folder: Path) -> Path:
    """Build the stores `before` and `undamaged`, unless they are there; returns the run file of the latter, which adds
    documents.
    """
    inputs = folder / "inputs"
    grown = inputs / "grown.yaml"
    if (folder / "undamaged/releases/v1/checksums.sha256").exists():
        return grown
    for name in ("inputs", "before", "undamaged"):
        shutil.rmtree(folder / name, ignore_errors=True)
    run_path = inputs_of(inputs, whole=False)
    code, said = run(run_path, folder / "before")
    assert code == 0, said
    os.rename(inputs / "later", inputs / "web")
    page = yaml.safe_load(run_path.read_text())
    page["sources"].insert(
        3, {"name": "web", "reader": "stages.readers.wet", "files": "web/*.warc.wet.gz", "rank": 1}
    )
    write_run(inputs, page, grown.name)
    shutil.copytree(folder / "before", folder / "undamaged")
    code, said = run(grown, folder / "undamaged")
    assert code == 0, said
    return grown


def store_kinds(only: str) -> list[tuple[str, str]]:
    """Kinds of damage to a store: a pattern of objects, and one of DAMAGES or SWAP."""
    kinds = [(pattern, name) for pattern in OBJECTS for name in (*DAMAGES, SWAP)]
    return [kind for kind in kinds if only in ": ".join(kind)]


def copied(folder: Path) -> Path:
    """Copy the store `before`, to be damaged."""
    shutil.rmtree(folder / "copy", ignore_errors=True)
    return Path(shutil.copytree(folder / "before", folder / "copy"))


def damaged(store: Path, pattern: str, name: str, draw: random.Random) -> str:
    """Damage one object of a kind; returns its key."""
    paths = sorted(store.glob(pattern))
    path = draw.choice(paths)
    if name == SWAP:
        path.write_bytes(draw.choice(others_of(store, path, paths)).read_bytes())
    else:
        DAMAGES[name](path, draw)
    return path.relative_to(store).as_posix()


def one_store(
    folder: Path, run_path: Path, expected: dict[str, str], pattern: str, name: str, draw: random.Random,
    counts: Counter[str],
) -> None:  # fmt: skip
    """Damage one object of a copy of the store, scrub it, run, and print a row."""
    store = copied(folder)
    try:
        key = damaged(store, pattern, name, draw)
        seen = scrubbed(store, key)
        code, said = run(run_path, store)
        if code == -1:
            outcome = "traceback"
        elif code:
            outcome = "stopped" if key in said else "stopped, unnamed"
        elif digests(store) != expected:
            outcome = "DIFFERENT"
        else:
            outcome = (
                "same release, made again"
                if "made again" in said or "written again" in said
                else "same release"
            )
        if code:
            cli("scrub", store, "--repair", "--quiet")
            again, _ = run(run_path, store)
            outcome += ", repaired" if again == 0 and digests(store) == expected else ", still broken"
            counts["still broken"] += again != 0
        counts[outcome.partition(",")[0] if "," not in outcome else outcome] += 1
        counts[seen] += 1
        last = said.strip().splitlines()[-1][:100] if said.strip() and code else ""
        print(f"{outcome:<32} {seen:<16} {pattern}: {name}  {last}", flush=True)
    finally:
        shutil.rmtree(store)


def others_of(store: Path, path: Path, paths: list[Path]) -> list[Path]:
    """Files that a file may be exchanged for: others of its kind, or else of its format, with other bytes."""
    same = [p for p in paths if p.read_bytes() != path.read_bytes()]
    suffix = path.suffix if path.suffix in (".json", ".parquet") else ".json"
    return same or [p for p in sorted(store.rglob(f"*{suffix}")) if p.read_bytes() != path.read_bytes()]


def scrubbed(store: Path, key: str) -> str:
    """Return whether `scrub` names an object."""
    try:
        found = cli("scrub", store, "--json", "--quiet")
    except BaseException:  # a traceback is what is counted
        return "traceback of scrub"
    findings = json.loads(found.out or "{}").get("findings", ())
    named = any(f["key"] == key or key in f["fault"] for f in findings)
    return "seen" if named else "unseen by scrub"


# Disks that fail


def fail_disks(folder: Path, seed: int, only: str, points: int = 1_000_000) -> bool:
    """Let the disk fail at writes of a small build; the next run on the same store must give the same release."""
    page = tiny(folder / "inputs", release={"name": "v1"}, annotate=["stages.dedup.exact"])
    run_path = write_run(folder / "inputs", page)
    with Disk(folder / "whole") as disk:
        code, said = run(run_path, folder / "whole")
    assert code == 0, said
    expected, n_writes = digests(folder / "whole"), disk.n_writes
    counts: Counter[str] = Counter()
    for fault in FAULTS:
        for at in range(1, n_writes + 1, max(1, n_writes // points)) if only in fault else ():
            one_disk(folder, run_path, expected, fault, at, counts)
    print(f"{n_writes} writes of the build, {len(FAULTS)} faults: {json.dumps(counts)}")
    return not (counts["traceback"] or counts["DIFFERENT"] or counts["not resumed"])


def some_disks(folder: Path, seed: int, only: str, points: int = 8) -> bool:
    """As `fail_disks`, at some writes of each fault."""
    return fail_disks(folder, seed, only, points)


def one_disk(
    folder: Path, run_path: Path, expected: dict[str, str], fault: str, at: int, counts: Counter[str]
) -> None:
    """Run a build whose disk fails at one write, then another without a fault."""
    store = folder / "failing"
    try:
        with Disk(store, fault, at) as disk:
            code, said = run(run_path, store)
        if code == -1 and "SystemError: the machine died" not in said:
            counts["traceback"] += 1
            print(f"traceback {fault} at write {at}\n{said[-1500:]}", flush=True)
        elif code == 0 and digests(store) != expected:
            counts["DIFFERENT"] += 1
            print(f"exit 0, another release: {fault} at write {at}", flush=True)
        disk.recover()
        again, said = run(run_path, store)
        if again == -1:
            counts["traceback"] += 1
            print(f"traceback after {fault} at write {at}\n{said[-1500:]}", flush=True)
        elif again != 0 or digests(store) != expected:
            counts["not resumed"] += 1
            print(f"not resumed after {fault} at write {at}: exit {again} {said[-300:]}", flush=True)
        else:
            counts[f"{fault}: same release"] += 1
            print(f"same release after {fault} at write {at}, exit {code}", flush=True)
    finally:
        shutil.rmtree(store, ignore_errors=True)


CAMPAIGNS = {
    "release": damage_release,
    "store": damage_store,
    "scrub": scrub_store,
    "faults": fail_disks,
    "few": some_disks,
}


@click.command()
@click.argument("campaign", type=click.Choice(list(CAMPAIGNS)))
@click.option("--seed", default=0, show_default=True, help="Seed of the places of damage.")
@click.option(
    "--work", default="", help="Folder for the builds, which are used again.  [default: a temporary one]"
)
@click.option("--only", default="", help="Only kinds whose name contains this.")
@click.option("--points", default=8, show_default=True, help="Writes at which `few` lets the disk fail.")
def main(campaign: str, seed: int, only: str, work: str, points: int) -> None:
    """Damage things and count what is seen."""
    CAMPAIGNS["few"] = partial(some_disks, points=points)
    if work:
        Path(work).mkdir(parents=True, exist_ok=True)
        sys.exit(0 if CAMPAIGNS[campaign](Path(work), seed, only) else 1)
    with tempfile.TemporaryDirectory(prefix="bicorpus-damage-") as folder:
        sys.exit(0 if CAMPAIGNS[campaign](Path(folder), seed, only) else 1)


if __name__ == "__main__":
    main()
