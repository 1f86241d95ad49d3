"""The numbers of a release: outcomes of all records, contents of each mix, and lineage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import __version__
from pipeline.config.run_file import Derived, GlobalStep, RunFile, Source, Step, plain_edits
from pipeline.dataset.shard import Shard
from pipeline.errors import ExpectationError
from pipeline.recipe import digest, plain_settings
from pipeline.release.facts import ShardFacts
from pipeline.release.files import FileReport
from pipeline.release.placement import Placement
from pipeline.release.write import OBLIGATIONS, ShardReport
from pipeline.report.part_numbers import part_numbers
from pipeline.report.profile import Profile, merge
from pipeline.report.release_numbers import Tally
from pipeline.report.script_shares import script_rows
from pipeline.report.signal_numbers import rule_numbers, signal_numbers
from pipeline.rules.rules import drop_order
from pipeline.storage.store import Store

if TYPE_CHECKING:
    from pipeline.planning.session import Session


def summary(
    session: Session, recipe: str, reports: Sequence[ShardFacts], placement: Placement
) -> dict[str, Any]:
    """The numbers of a release: conservation, funnel by language, mixes."""
    groups = session.groups().values()
    funnel: dict[str, dict[str, int]] = {}
    failed: dict[str, int] = {}
    for report in reports:
        for language, row in report.funnel.items():
            total = funnel.setdefault(language, {})
            for outcome, count in row.items():
                total[outcome] = total.get(outcome, 0) + count
        for rule, count in report.failed.items():
            failed[rule] = failed.get(rule, 0) + count
    ingested = sum(sum(row.values()) for row in funnel.values())
    kept = sum(row.get("kept", 0) for row in funnel.values())
    counts = {
        "read": sum(group["read"] for group in groups),
        "quarantined": sum(sum(group["quarantined"].values()) for group in groups),
        "erased": sum(group.get("erased", 0) for group in groups),
        "ingested": ingested, "kept": kept, "dropped": ingested - kept,
        "derived": sum(group["read"] for group in groups if "parent" in group),
        "kept_tokens": placement.n_tokens,
    }  # fmt: skip
    return {
        "name": session.run_file.release.name, "corpus": session.run_file.corpus, "version": __version__,
        "counts": counts, "funnel": funnel, "failed": failed, "mixes": placement.mixes,
        "default_mix": session.run_file.mix.default, "recipe": recipe,
        "rules": [session.run_file.select[i].name for i in drop_order(list(session.run_file.select))],
        "snapshots": snapshot_counts(reports),
        "late_rules": [rule.name for rule in session.run_file.select if rule.is_late and rule.action == "drop"],
    }  # fmt: skip


def snapshot_counts(reports: Sequence[ShardFacts]) -> dict[str, dict[str, int]] | None:
    """Documents, kept documents and removed duplicates of each snapshot; "" for documents without one.

    None for more snapshots than a profile counts.
    """
    tallies = merge({"snapshots": report.profile["snapshots"]} for report in reports).get("snapshots", {})
    if tallies is None:
        return None
    names = ("documents", "kept", "copies")
    return {
        snapshot: {name: getattr(Tally(*row), name) for name in names}
        for snapshot, row in sorted(tallies.items())
    }


def lineage(session: Session) -> dict[str, Any]:
    """Lineage of the release: inputs by digest, shards, and the recipe of every step."""
    run, recipes = session.run_file, session.recipes
    inputs = {
        f"{group['source']}/{f['path']}": {"digest": f["digest"], "bytes": f["size"]}
        for group in session.groups().values()
        for f in group["files"]
    }
    steps = {
        s.name: {
            "module": s.module,
            "version": s.definition.version,
            "recipe": recipes.static[s.name],
            "settings": setting_digests(s),
        }
        for s in (*run.annotate, *run.globals)
    }
    derived = {
        d.name: {
            "module": d.module,
            "version": d.definition.version,
            "part": d.definition.part,
            "parents": list(d.parents),
        }
        for d in run.derived
    }
    shards = {shard.id: {"rows": shard.n_rows, "text_bytes": shard.text_bytes} for shard in session.shards}
    quarantined: dict[str, dict[str, int]] = session.record.quarantined
    return {
        "inputs": inputs,
        "steps": steps,
        "derived": derived,
        "shards": shards,
        "quarantined": quarantined,
    }


def setting_digests(step: Step) -> dict[str, str]:
    """A digest of each setting of a step, by which `diff` names those that changed: 16 hex digits by name."""
    settings: dict[str, object] = dict(plain_settings(step.definition, step.config))
    settings |= {"gate": [condition.plain() for condition in step.gate], "view": plain_edits(step.view)}
    return {name: digest(value)[:16] for name, value in sorted(settings.items())}


def report_numbers(
    session: Session,
    numbers: dict[str, Any],
    reports: Sequence[ShardFacts],
    shards: Sequence[ShardReport],
) -> dict[str, Any]:
    """All that the report and the card tell: the summary, the profile, sources and licences, how it was made."""
    made, run = lineage(session), session.run_file
    profile = merge(report.profile for report in reports)
    edits = {column: None if kinds is None else list(kinds) for column, kinds in run.release.edits.spans}
    return {
        **numbers,
        "quarantined": made["quarantined"],
        "profile": profile,
        "thresholds": reports[0].thresholds if reports else {},
        "sources": source_rows(session, profile),
        "licenses": license_rows(
            [(s.source, report) for s, report in zip(session.shards, shards, strict=True)]
        ),
        "rights": rights_rows([(s.source, report) for s, report in zip(session.shards, shards, strict=True)]),
        "parts": [msgspec.to_builtins(part) for part in part_numbers(report.parts for report in shards)],
        "scripts": script_rows([s.languages for s in shards], release_labels(run)),
        "steps": [
            {
                "name": s.name,
                **made["steps"][s.name],
                "kind": "global" if isinstance(s, GlobalStep) else "row",
            }
            for s in (*run.annotate, *run.globals)
        ],
        "edits": {"spans": edits, "trims": [rule.name for rule in run.release.edits.trims], **converted(run)},
        "release": {"part_bytes": run.release.part_bytes, "seed": run.release.seed},
        **signal_numbers(report.signals for report in reports),
        "integers": sorted(name for name, dtype in run.column_types().items() if pa.types.is_integer(dtype)),
        **rule_numbers(
            run.select, [(s.source, report.rules) for s, report in zip(session.shards, reports, strict=True)]
        ),
    }


def release_labels(run: RunFile) -> Mapping[str, str]:
    """Labels of converted documents -> labels that they are released with."""
    return run.release.edits.convert.labels if run.release.edits.convert else {}


def converted(run: RunFile) -> dict[str, Any]:
    """The conversion of a run as plain data; empty without one."""
    convert = run.release.edits.convert
    return {"convert": {"module": convert.module, "labels": dict(convert.labels)}} if convert else {}


def source_rows(session: Session, profile: Profile) -> list[dict[str, Any]]:
    """One row for each source of the run file, derived ones last: records read and documents kept."""
    rows = []
    made_by = {d.name: d.module for d in session.run_file.derived}
    good = session.run_file.good_sources()
    sources: list[Source | Derived] = [*session.run_file.sources, *session.run_file.derived]
    for source in sources:
        groups = [group for group in session.groups().values() if group["source"] == source.name]
        counts = Tally(*profile["sources"].get(source.name, ()))
        provenances = (profile["provenances"] or {}).get(source.name, {})
        rows.append(
            {
                "source": source.name, "rank": source.rank, "derived_by": made_by.get(source.name),
                "reader": source.reader_name if isinstance(source, Source) else None,
                "files": sum(len(group.get("files", ())) for group in groups),
                "input_bytes": sum(file["size"] for group in groups for file in group.get("files", ())),
                "read": sum(group["read"] for group in groups),
                "quarantined": sum(sum(group["quarantined"].values()) for group in groups),
                **counts._asdict(),
                "provenances": {name: Tally(*row).kept for name, row in provenances.items()},
                "good": source.name in good,
            }
        )  # fmt: skip
    return rows


def license_rows(reports: Sequence[tuple[str, ShardReport]]) -> list[dict[str, Any]]:
    """Kept documents and tokens by licence, with the sources they come from; "" is no licence."""
    rows: dict[str, dict[str, Any]] = {}
    for source, report in reports:
        for name, (documents, tokens) in report.licenses.items():
            row = rows.setdefault(name, {"license": name, "documents": 0, "tokens": 0, "sources": []})
            row["documents"] += documents
            row["tokens"] += tokens
            row["sources"] = sorted({*row["sources"], source})
    return [rows[name] for name in sorted(rows, key=lambda n: (-rows[n]["documents"], n))]


def licenses_csv(reports: Sequence[tuple[str, ShardReport]]) -> str:
    """`license,source,documents,tokens` of the kept documents."""
    totals: dict[tuple[str, str], list[int]] = {}
    for source, report in reports:
        for license_, (documents, tokens) in report.licenses.items():
            total = totals.setdefault((license_, source), [0, 0])
            total[0] += documents
            total[1] += tokens
    lines = ["license,source,documents,tokens"]
    for (license_, source), (documents, tokens) in sorted(totals.items()):
        lines.append(f"{csv_text(license_)},{source},{documents},{tokens}")
    return "\n".join(lines) + "\n"


def rights_rows(reports: Sequence[tuple[str, ShardReport]]) -> list[dict[str, Any]]:
    """Kept documents and tokens by licence with its obligations and sources, most tokens first."""
    rows: dict[str, dict[str, Any]] = {}
    for source, report in reports:
        for name, (documents, tokens) in report.rights.items():
            class_, letters, spdx = name.split(" ", 2)
            row = rows.setdefault(
                name,
                {
                    "class_": class_, "spdx": spdx, **{n: x in letters for x, n in OBLIGATIONS.items()},
                    "documents": 0, "tokens": 0, "sources": {},
                },
            )  # fmt: skip
            row["documents"] += documents
            row["tokens"] += tokens
            known = row["sources"].setdefault(source, [0, 0])
            row["sources"][source] = [known[0] + documents, known[1] + tokens]
    return [rows[name] for name in sorted(rows, key=lambda n: (-rows[n]["tokens"], -rows[n]["documents"], n))]


def obligations_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of `rights_rows` by source: licence, class, obligations, source, documents, tokens."""
    lines = [f"spdx,class,{','.join(OBLIGATIONS.values())},source,documents,tokens"]
    for row in rows:
        flags = ",".join("yes" if row[name] else "no" for name in OBLIGATIONS.values())
        for source, (documents, tokens) in sorted(row["sources"].items()):
            lines.append(f"{csv_text(row['spdx'])},{row['class_']},{flags},{source},{documents},{tokens}")
    return "\n".join(lines) + "\n"


def csv_text(text: str) -> str:
    """A cell of text, quoted; one that a spreadsheet would run as a formula gets an apostrophe in front.

    Source: OWASP, CSV Injection.
    """
    formula = text.lstrip().startswith(("=", "+", "-", "@")) or text.startswith(("\t", "\r", "\n"))
    return '"' + ("'" if formula else "") + text.replace('"', '""') + '"'


def listed_files(folder: str, files: Sequence[FileReport]) -> list[dict[str, Any]]:
    """The files of a release in name order: path inside it, rows or lines, bytes, SHA-256 in hex."""
    return [
        {"path": f.key[len(folder) + 1 :], "rows": f.n_rows, "bytes": f.n_bytes, "sha256": f.sha256}
        for f in sorted(files, key=lambda file: file.key)
    ]


def table_schemas(store: Store, folder: str, files: Sequence[FileReport]) -> dict[str, pa.Schema]:
    """Schemas of a release's Parquet files by their folder, data/ as one folder; order files by their own path."""
    return table_schemas_of(store, [file.key[len(folder) + 1 :] for file in files], f"{folder}/")


def table_schemas_of(store: Store, paths: Iterable[str], prefix: str = "") -> dict[str, pa.Schema]:
    """See table_schemas. Args: paths, of files inside the release; prefix, of their keys in the store."""
    schemas: dict[str, pa.Schema] = {}
    for path in sorted(paths):
        if path.endswith(".parquet"):
            place = (
                path
                if "/part-" not in path
                else "data"
                if path.startswith("data/")
                else path.rpartition("/")[0]
            )
            if place not in schemas:
                with store.open(f"{prefix}{path}") as stream:
                    schemas[place] = pq.read_schema(stream)
    return schemas


def check_conservation(counts: dict[str, int], shards: Sequence[Shard]) -> None:
    """Raise ExpectationError unless every record that was read is accounted for."""
    n_rows = sum(shard.n_rows for shard in shards)
    if counts["ingested"] != n_rows or counts["read"] != n_rows + counts["quarantined"] + counts["erased"]:
        raise ExpectationError(
            f"conservation fails: read {counts['read']:,}, quarantined {counts['quarantined']:,}, erased "
            f"{counts['erased']:,}, rows in shards {n_rows:,}, rows decided {counts['ingested']:,}; the store is "
            "inconsistent. Run `bicorpus verify`, then build again in a new store"
        )
