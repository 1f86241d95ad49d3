"""The numbers of a release: what became of every record, what each mix holds, and what it was all made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import __version__
from pipeline.errors import ExpectationError
from pipeline.place import Placement
from pipeline.rules import drop_order
from pipeline.sidecars import Shard

if TYPE_CHECKING:
    from pipeline.build import Build


def summary(
    build: Build, recipe: str, reports: Sequence[dict[str, Any]], facts: pa.Table, placement: Placement
) -> dict[str, Any]:
    """The numbers of a release: conservation, funnel by language, mixes."""
    groups = build.groups().values()
    funnel: dict[str, dict[str, int]] = {}
    failed: dict[str, int] = {}
    for report in reports:
        for language, row in report["funnel"].items():
            total = funnel.setdefault(language, {})
            for outcome, count in row.items():
                total[outcome] = total.get(outcome, 0) + count
        for rule, count in report["failed"].items():
            failed[rule] = failed.get(rule, 0) + count
    ingested = sum(sum(row.values()) for row in funnel.values())
    kept = sum(row.get("kept", 0) for row in funnel.values())
    counts = {
        "read": sum(group["read"] for group in groups),
        "quarantined": sum(sum(group["quarantined"].values()) for group in groups),
        "erased": 0, "ingested": ingested, "kept": kept, "dropped": ingested - kept,
        "derived": sum(group["read"] for group in groups if "parent" in group),
        "kept_tokens": int(pc.sum(facts["n_tokens"]).as_py() or 0),
    }  # fmt: skip
    return {
        "name": build.run_file.release.name, "corpus": build.run_file.corpus, "version": __version__,
        "counts": counts, "funnel": funnel, "failed": failed, "mixes": placement.mixes,
        "default_mix": build.run_file.mix.default, "recipe": recipe,
        "rules": [build.run_file.select[i].name for i in drop_order(list(build.run_file.select))],
        "late_rules": [rule.name for rule in build.run_file.select if rule.is_late and rule.action == "drop"],
    }  # fmt: skip


def lineage(build: Build) -> dict[str, Any]:
    """What the release was made of: inputs by digest, shards, and the recipe of every step."""
    run, recipes = build.run_file, build.recipes
    inputs = {
        f"{group['source']}/{f['path']}": {"digest": f["digest"], "bytes": f["size"]}
        for group in build.groups().values()
        for f in group["files"]
    }
    steps = {
        s.name: {"module": s.module, "version": s.step.version, "recipe": recipes.static[s.name]}
        for s in (*run.annotate, *run.globals)
    }
    derived = {
        d.name: {
            "module": d.module,
            "version": d.step.version,
            "part": d.step.part,
            "parents": list(d.parents),
        }
        for d in run.derived
    }
    shards = {shard.id: {"rows": shard.n_rows, "text_bytes": shard.text_bytes} for shard in build.shards}
    quarantined: dict[str, dict[str, int]] = build.record.quarantined
    return {
        "inputs": inputs,
        "steps": steps,
        "derived": derived,
        "shards": shards,
        "quarantined": quarantined,
    }


def check_conservation(counts: dict[str, int], shards: Sequence[Shard]) -> None:
    """Raise ExpectationError unless every record that was read is accounted for."""
    n_rows = sum(shard.n_rows for shard in shards)
    if counts["ingested"] != n_rows or counts["read"] != n_rows + counts["quarantined"] + counts["erased"]:
        raise ExpectationError(
            f"conservation fails: read {counts['read']:,}, quarantined {counts['quarantined']:,}, erased "
            f"{counts['erased']:,}, rows in shards {n_rows:,}, rows decided {counts['ingested']:,}; the store is "
            "inconsistent. Run `bicorpus verify`, then build again in a new store"
        )
