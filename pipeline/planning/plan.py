"""The plan of a run, with reasons, from catalogs: of inputs only size and time stamp are read, and of new sources the
first records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.annotate.addresses import GlobalResult, Recipes
from pipeline.cells import pad, wide
from pipeline.config.phases import RunPhase, phases
from pipeline.config.run_file import GlobalStep, RunFile, Step
from pipeline.dataset.shard import INPUTS, SHARDS, Shard
from pipeline.mapreduce.index import recipes_of
from pipeline.mapreduce.run import planned_requests
from pipeline.planning.expected_sizes import derived_sizes, new_sizes
from pipeline.planning.mapped import missing_fields
from pipeline.planning.services import Expected, expectations, expected_lines
from pipeline.planning.state import State, derived_groups, ingested_groups, shards_of
from pipeline.planning.usage import sizes_of
from pipeline.recipe import digest, source_digest
from pipeline.service import Services
from pipeline.storage import run_records
from pipeline.storage.store import Store
from pipeline.translation import message, t

MAX_GROUPS = 40
"""Groups of a mix that are printed; `--json` has all."""

LAST_RUNS = 20
"""Number of recent run records that an estimate uses."""


MANY_REQUESTS = 10_000
"""Reads of exchange files from which a plan mentions them: below it they cost nothing anywhere."""


@dataclass
class PhasePlan:
    """Pending tasks of one phase.

    steps: pending shards by step; reasons: by step; text_tasks: tasks that read the text of a shard; text_bytes:
    pending bytes of text by step. exchange: `reads` and `writes` of exchange files of a pending global step over the
    shards of the store; estimated if there are several groups of shards. sizes: pending shards, rows and text_bytes by
    stage of a wave, and of its tasks under the empty name.
    """

    label: str
    kind: str
    n_shards: int
    n_tasks: int
    steps: dict[str, int]
    reasons: dict[str, str]
    text_tasks: int
    text_bytes: dict[str, int] = field(default_factory=dict)
    exchange: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class Plan:
    """The work of a run. Tasks over shards of new inputs are counted only once these are ingested.

    core_s: CPU-seconds of the pending stages at the rates of earlier runs in the store; None if a stage has no rate.
    asks: what stages would ask servers.
    models: stages that run models -> device and worker_s, hardware of the last run and seconds of workers at its rate,
    or None for both. new, derived: expected shards, rows and text_bytes of inputs to ingest and of derived documents.
    """

    ingest: list[dict[str, object]] = field(default_factory=list)
    derive: list[dict[str, str]] = field(default_factory=list)
    phases: list[PhasePlan] = field(default_factory=list)
    shards: int = 0
    documents: int = 0
    text_bytes: int = 0
    release: str = message("to be written")
    mixes: dict[str, dict[str, Any]] = field(default_factory=dict)  # Any: plain JSON
    core_s: float | None = None
    asks: dict[str, Expected] = field(default_factory=dict)
    models: dict[str, dict[str, object]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    new: dict[str, int] = field(default_factory=dict)
    derived: dict[str, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        pending = self.ingest or self.derive or any(p.n_tasks for p in self.phases)
        return not pending and self.release == "up to date"

    @property
    def text_tasks(self) -> int:
        """Number of tasks that read text before the release."""
        return len(self.derive) + sum(phase.text_tasks for phase in self.phases)


def make_plan(run: RunFile, state: State, services: Services | None = None) -> Plan:
    """Compare a run file with a store; the release is planned by inspect.opened.plan_release.

    services: of stages that ask a server, to estimate requests, tokens and cost.
    """
    plan = Plan()
    names, missing = ingested_groups(run, state)
    shards = shards_of(names, state)
    for group in missing:
        is_new = not any(
            f"{group.source.name}/{f.relative}" in state.catalog(INPUTS).entries for f in group.files
        )
        reason = message("new input") if is_new else message("input or ingest settings changed")
        plan.ingest.append(
            {"group": group.label, "files": len(group.files), "bytes": group.n_bytes, "reason": reason}
        )
    recipes = recipes_of(run, state.store)
    derived, to_derive = derived_groups(run, state, recipes, shards)
    shards = shards_of([*names, *derived], state)
    entries = state.catalog(SHARDS).entries
    records = last_records(state.store)
    plan.new = new_sizes(missing, run, entries, records)
    n_derived = len(to_derive) + plan.new["shards"] * len(run.derived)
    plan.derived = derived_sizes(n_derived, entries.values())
    plan.derive = [{"source": d.name, "shard": shard.id} for d, shard, _ in to_derive]
    plan.shards, plan.documents = len(shards), sum(shard.n_rows for shard in shards)
    plan.text_bytes = sum(shard.text_bytes for shard in shards)
    for phase in phases(run):
        result = None if missing or to_derive else stored_result(phase, recipes, state, shards)
        plan.phases.append(plan_phase(phase, recipes, state, shards, result))
        if result is not None:
            recipes.results[phase.steps[0].name] = result
    plan.asks = expectations(run, recipes, state, shards, services)
    plan.core_s = core_seconds(plan, records)
    plan.models = model_seconds(plan, run, records)
    plan.warnings = [*changed_code(run, state, recipes), *missing_fields(missing)]
    plan.notes = [
        f"{step.name}: {line}"
        for step in run.annotate
        for line in (step.definition.notes(step.config) if step.definition.notes else ())
    ]
    configs = {step.name: step.config for step in run.annotate}
    plan.notes += [
        f"{step.name}: {line}"
        for step in run.globals
        for line in (step.definition.notes(step.config, configs) if step.definition.notes else ())
    ]
    return plan


def last_records(store: Store) -> list[dict[str, Any]]:  # Any: JSON
    """Records of recent runs, the oldest first."""
    return run_records.last_records(store, LAST_RUNS)


def model_seconds(
    plan: Plan, run: RunFile, records: list[dict[str, Any]]
) -> dict[str, dict[str, object]]:  # Any: JSON
    """Where pending stages that run models ran last, and seconds of workers at the rate of that run."""
    found: dict[str, dict[str, object]] = {}
    pending = {name: n for phase in plan.phases for name, n in phase.text_bytes.items()}
    for step in run.annotate:
        if step.definition.kind != "torch" or step.name not in pending:
            continue
        found[step.name] = {"device": None, "worker_s": None}
        for record in records:
            n_bytes, seconds = record["stage_bytes"].get(step.name), record.get("wall_s", {}).get(step.name)
            if n_bytes and seconds is not None:
                worker_s = round(seconds / n_bytes * pending[step.name], 1)
                found[step.name] = {"device": record["devices"].get(step.name), "worker_s": worker_s}
    return found


def core_seconds(plan: Plan, records: list[dict[str, Any]]) -> float | None:  # Any: JSON
    """Estimate pending CPU-seconds from the rate of each stage, in CPU-seconds per byte, in recent runs."""
    rates: dict[str, float] = {}
    for record in records:
        for name, n_bytes in record["stage_bytes"].items():
            if n_bytes:
                rates[name] = record["cpu_s"].get(name, 0.0) / n_bytes
    pending = [(name, n) for phase in plan.phases for name, n in phase.text_bytes.items()]
    if plan.ingest or plan.derive or any(name not in rates for name, _ in pending):
        return None
    return round(sum(rates[name] * n for name, n in pending), 1)


def stored_result(
    phase: RunPhase, recipes: Recipes, state: State, shards: list[Shard]
) -> GlobalResult | None:
    """The result of a global phase, if the store has it; None for a wave."""
    if phase.kind != "global":
        return None
    recipe = recipes.global_recipe(phase.steps[0], shards)
    return state.global_result(phase.steps[0].name, recipe) if recipe else None


def plan_phase(
    phase: RunPhase, recipes: Recipes, state: State, shards: list[Shard], result: GlobalResult | None = None
) -> PhasePlan:
    """Count the pending tasks of a phase. result: of a global phase, see stored_result."""
    if phase.kind == "global":
        (step,) = phase.steps
        assert isinstance(step, GlobalStep)
        n = 0 if result else 1
        reasons: dict[str, str] = (
            {} if result else {step.name: message("inputs or settings changed") if shards else message("new")}
        )
        return PhasePlan(
            phase.label,
            phase.kind,
            len(shards),
            n,
            {step.name: n},
            reasons,
            n * len(shards) * step.reads_text,
            exchange=asdict(planned_requests(step, shards)) if n and shards else {},
        )
    pending: dict[str, int] = {}
    text_bytes: dict[str, int] = {}
    sizes: dict[str, dict[str, int]] = {}
    reasons = {}
    tasks = text_tasks = 0
    for shard in shards:
        steps = [step for step in phase.steps if not state.done(recipes, step, shard)]
        tasks += bool(steps)
        text_tasks += any(step.reads_text for step in steps)
        for name in ("", *(step.name for step in steps)) if steps else ():
            before = sizes.get(name, {})
            sizes[name] = {key: n + before.get(key, 0) for key, n in sizes_of([shard]).items()}
        for step in steps:
            pending[step.name] = pending.get(step.name, 0) + 1
            text_bytes[step.name] = text_bytes.get(step.name, 0) + shard.text_bytes
    for step in phase.steps:
        if step.name in pending:
            reasons[step.name] = why(step, recipes, state, pending[step.name], len(shards))
    return PhasePlan(
        phase.label, phase.kind, len(shards), tasks, pending, reasons, text_tasks, text_bytes, sizes=sizes
    )


def why(step: Step, recipes: Recipes, state: State, n_pending: int, n_shards: int) -> str:
    """Why a stage has pending shards, in a few words."""
    if any(recipes.is_global(n) and n not in recipes.results for n in read_step_names(step, recipes)):
        return message("after a global step that has to run")
    if n_pending < n_shards:
        return message(f"{n_pending:,} new shards")
    recorded = state.catalog("annotations/recipes.json").entries.get(step.name)
    if recorded is None:
        return message("new stage")
    now = step_facts(step, recipes)
    changed = [key for key in now if key != "recipe" and now[key] != recorded.get(key)]
    return message(f"changed: {', '.join(changed)}") if changed else message("missing")


def read_step_names(step: Step, recipes: Recipes) -> list[str]:
    """Names of the steps that a step reads."""
    return sorted({c.partition(".")[0] for c in step.reads() if "." in c} & set(recipes.steps))


def step_facts(step: Step, recipes: Recipes) -> dict[str, object]:
    """Facts of a step that are recorded after each run, so that `plan` can name those that changed."""
    import dataclasses

    from pipeline.config.run_file import plain_edits

    facts: dict[str, object] = {"version": step.definition.version, "code": source_digest(step.module)}
    facts |= {
        f"config.{k}": digest(v)
        for k, v in dataclasses.asdict(step.config).items()
        if k not in (*step.definition.files, *getattr(step.definition, "models", ()))
    }
    facts |= {"gate": digest([c.plain() for c in step.gate]), "view": digest(plain_edits(step.view))}
    facts |= {name: recipes.static[name] for name in read_step_names(step, recipes)}
    return {**facts, "recipe": recipes.static[step.name]}


def changed_code(run: RunFile, state: State, recipes: Recipes) -> list[str]:
    """Warnings for steps of which the source code changed but not the version."""
    warnings = []
    recorded: Mapping[str, Mapping[str, object]] = state.catalog("annotations/recipes.json").entries
    for step in (*run.annotate, *run.globals):
        last_facts = recorded.get(step.name)
        facts = step_facts(step, recipes)
        if last_facts and last_facts["version"] == facts["version"] and last_facts["code"] != facts["code"]:
            warnings.append(
                message(
                    f"{step.name}: its code changed but its version is still {step.definition.version}; old results "
                    "are reused. Raise the version if its output changed"
                )
            )
    return warnings


def model_line(model: Mapping[str, object]) -> str:
    """Where a stage runs its models, and for how long."""
    where = message("on workers with a GPU (--gpus, --gpu-share), on CPU workers where there is none")
    if model["worker_s"] is None:
        return message(f"{where}; no rate yet, run it on a part of the input first")
    return message(
        f"{where}; about {model['worker_s']:,.0f} s of one worker at the rate of the last run, on {model['device']}"
    )


def group_lines(groups: list[dict[str, Any]]) -> list[str]:
    """The groups of a planned mix as aligned lines, the largest ones; none for a single one. Any: plain JSON."""
    if len(groups) < 2:
        return []
    groups = sorted(groups, key=lambda group: -group["asked"])[:MAX_GROUPS]
    width = max(map(wide, (group["group"] for group in groups)))
    lines = []
    for group in groups:
        figures = t(
            f"{group['share']:7.2%} {group['asked']:>15,} of {group['available']:>15,} {group['epochs']:6.2f} epochs"
        )
        lines.append(
            f"           {pad(group['group'], width)} {figures}{t('  exhausted') if group['exhausted'] else ''}"
        )
    return lines


def plan_lines(plan: Plan) -> list[str]:
    """The plan for a terminal."""
    lines = [
        t(
            f"{plan.shards:,} shards, {plan.documents:,} documents, {plan.text_bytes / 1e6:,.1f} MB of text "
            "in the store"
        )
    ]
    for item in plan.ingest:
        lines.append(
            t(f"ingest   {item['group']}  ({item['bytes']:,} bytes on disk)  {t(str(item['reason']))}")
        )
    if plan.derive:
        names = ", ".join(sorted({item["source"] for item in plan.derive}))
        lines.append(t(f"derive   {names}: from {len(plan.derive):,} shards"))
    for phase in plan.phases:
        lines += phase_lines(phase, plan)
    lines += request_lines(plan)
    lines.append(t(f"release  {t(plan.release)}"))
    for name, mix in sorted(plan.mixes.items()):
        lines += [mix_line(name, mix), *group_lines(mix["groups"])]
    lines += [t(f"note     {note}") for note in plan.notes]
    lines += [t(f"warning  {warning}") for warning in plan.warnings]
    if plan.is_empty:
        lines.append(t("nothing to do"))
    return lines


def phase_lines(phase: PhasePlan, plan: Plan) -> list[str]:
    """What a global step or a wave would do, and why."""
    if phase.kind == "global":
        state = t(f"run: {t(phase.reasons[phase.label])}") if phase.n_tasks else t("up to date")
        return [t(f"global   {pad(phase.label, 24)} {state}")]
    n_new = t(f" and the shards of {len(plan.ingest):,} new inputs") if plan.ingest else ""
    if not phase.n_tasks and not n_new:
        return [t("annotate up to date")]
    lines = [
        t(
            f"annotate {phase.n_tasks:,} of {phase.n_shards:,} shards{n_new}; "
            f"{phase.text_tasks:,} of these tasks read text"
        )
    ]
    for name, reason in phase.reasons.items():
        lines.append(t(f"  stage  {pad(name, 24)} {phase.steps[name]:,} shards  {t(reason)}"))
        if name in plan.models:
            lines.append(t(f"  model  {pad(name, 24)} {model_line(plan.models[name])}"))
    return lines


def request_lines(plan: Plan) -> list[str]:
    """Requests to the store and to servers, and CPU time, where they are known and count."""
    lines = []
    reads, writes = (sum(p.exchange.get(name, 0) for p in plan.phases) for name in ("reads", "writes"))
    if reads >= MANY_REQUESTS:
        lines.append(t(f"requests about {reads:,} reads and {writes:,} writes of exchange files"))
    if plan.core_s:
        lines.append(
            t(
                f"cost     about {plan.core_s:,.1f} CPU-seconds for these stages, at the rates of the last runs"
            )
        )
    return lines + expected_lines(plan.asks)


def mix_line(name: str, mix: Mapping[str, Any]) -> str:  # Any: JSON
    """What a mix would take of what there is."""
    repeated = mix["available"] != mix["distinct"]
    repeats = t(f" with repeats ({mix['distinct']:,} without)") if repeated else ""
    planned = t(
        f"  mix    {pad(name, 14)} {mix['asked']:,} {mix['unit']} planned of {mix['available']:,} "
        f"available{repeats}, {mix['discarded']:,} left out "
        f"({mix['discarded'] / max(mix['available'], 1):.1%})"
    )
    if mix["deduplicated"]:
        return planned
    return planned + t("; duplicates are still counted, as no keepers are chosen for these rules")
