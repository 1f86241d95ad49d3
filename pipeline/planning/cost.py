"""What a planned run is going to cost, phase by phase, from what earlier runs cost.

The cost of a phase is taken as linear in its shards, rows and bytes of text. The shape of that line, for each phase
and figure, was measured by `scripts.bench.phase_costs` over corpora of different make-up and is shipped in
phase_costs.json; its level comes from the runs of the store, whose records have the costs and sizes of each phase. A
phase that no run of the store has finished takes the shipped level, which belongs to another corpus and machine.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cells import pad
from pipeline.config.run_file import RunFile
from pipeline.planning.plan import PhasePlan, Plan
from pipeline.planning.prices import Prices, Usage, amounts, exceeded
from pipeline.planning.session import WAVES
from pipeline.planning.usage import DRIVER
from pipeline.translation import t

FIGURES = ("gets", "puts", "lists", "files", "disk_bytes", "work_bytes", "cpu_s")
"""Figures that grow with the corpus; the peak of memory does not."""

SIZES = ("shards", "rows", "text_bytes")

RUNS, SHIPPED = "runs", "defaults"
"""What an expected cost rests on: runs of the store, or the data file."""

UNKNOWN = {"gets": 0, "puts": 0, "lists": 0, "files": 0, "disk_bytes": 1, "work_bytes": 1, "cpu_s": 2}
"""Size, by its number in SIZES, that a figure follows for which no shape was measured."""


@dataclass(frozen=True)
class PhaseCost:
    """Expected cost of a phase. sizes: shards, rows and text_bytes that it goes over; used: FIGURES and peak_bytes;
    basis: RUNS or SHIPPED."""

    phase: str
    sizes: dict[str, int]
    used: Usage
    basis: str

    def plain(self) -> dict[str, Any]:  # Any: plain JSON
        """Return the cost as plain JSON."""
        return {"phase": self.phase, "basis": self.basis, **self.sizes, **self.used}


@functools.cache
def shipped() -> dict[str, Any]:  # Any: JSON
    """The data file: coefficients of (1, shards, rows, text_bytes) by phase and figure, and peaks of memory."""
    found: dict[str, Any] = json.loads(
        Path(__file__).with_name("phase_costs.json").read_text(encoding="utf-8")
    )
    return found


def modelled(phase: str, kind: str, figure: str, sizes: Mapping[str, float]) -> float:
    """The shipped line of a phase, or of its kind, at some sizes."""
    lines = shipped()["phases"]
    line = lines.get(phase, lines.get(kind, {})).get(figure, [0.0, 0.0, 0.0, 0.0])
    return float(line[0] + sum(c * sizes[name] for c, name in zip(line[1:], SIZES, strict=True)))


def phase_cost(
    phase: str,
    kind: str,
    sizes: dict[str, int],
    records: Sequence[Mapping[str, Any]],
    get_factor: float = 1.0,
) -> PhaseCost:  # Any: JSON
    """Expected cost of one phase.

    Args: kind, `stage` or `global`, for a phase that is not in the data file; records, of runs, the oldest first;
    get_factor, of GET requests in this kind of store, where no run was measured.
    """
    measured = [u for r in records if (u := r.get("usage", {}).get(phase)) and usable(u)]
    used: Usage = {}
    for figure in FIGURES:
        expected = modelled(phase, kind, figure, sizes)
        if measured:
            real = sum(u.get(figure, 0) for u in measured)
            lines = [modelled(phase, kind, figure, u) for u in measured]
            if sum(lines) <= 0:
                name = SIZES[UNKNOWN[figure]]
                lines, expected = [u[name] for u in measured], sizes[name]
            expected *= real / max(sum(lines), 1e-9)
        elif figure == "gets":
            expected *= get_factor
        used[figure] = round(max(expected, 0.0), 3)
    peaks = shipped()["peaks"]
    usual = peaks.get(phase, max(peaks.values()))
    used["peak_bytes"] = max((u.get("peak_bytes", 0) for u in measured), default=usual) or usual
    return PhaseCost(phase, sizes, used, RUNS if measured else SHIPPED)


def usable(used: Mapping[str, float]) -> bool:
    """Whether a phase went over shards and came to its end."""
    return bool(used.get("shards")) and not used.get("stopped")


def added(sizes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums of sizes."""
    listed = list(sizes)
    return {name: sum(one.get(name, 0) for one in listed) for name in SIZES}


def expected_costs(
    plan: Plan, run: RunFile, records: Sequence[Mapping[str, Any]], is_bucket: bool
) -> list[PhaseCost]:  # Any: JSON
    """Expected costs of the pending phases of a plan that has its release, in the order of the run.

    Args: records, of runs of the store, the oldest first.
    """
    if plan.is_empty:
        return []
    factor = shipped()["bucket_gets"] if is_bucket else 1.0
    stored = {"shards": plan.shards, "rows": plan.documents, "text_bytes": plan.text_bytes}
    everything = added([stored, plan.new, plan.derived])
    found: list[PhaseCost] = []

    def add(name: str, kind: str, sizes: dict[str, int]) -> None:
        if sizes["shards"]:
            found.append(phase_cost(name, kind, sizes, records, factor))

    fresh = added([plan.new, plan.derived])
    waves = [phase for phase in plan.phases if phase.kind == "wave"]
    globals_ = [phase for phase in plan.phases if phase.kind == "global" and phase.n_tasks]
    late = [step.name for step in run.late if not any(step.name in wave.label.split(", ") for wave in waves)]
    add("ingest", "", added([plan.new]))
    add("derive", "", added([plan.derived]))
    tasks = [*(wave.sizes.get("", {}) for wave in waves), *([fresh] * len(waves))]
    add(WAVES, "", added([*tasks, *([everything] if late else [])]))
    for name, sizes in stage_sizes(waves):
        add(name, "stage", added([sizes, fresh]))
    for name in late:
        add(name, "stage", everything)
    for phase in globals_:
        add(phase.label, "global", everything)
    if plan.release != "up to date":
        add("release", "", everything)
    add(DRIVER, "", everything)
    return found


def stage_sizes(waves: Sequence[PhasePlan]) -> Iterable[tuple[str, dict[str, int]]]:
    """Name and pending sizes of each stage of some waves, also of those of which nothing in the store is pending."""
    for wave in waves:
        for name in wave.label.split(", "):
            yield name, added([wave.sizes.get(name, {})])


def check_limits(costs: Sequence[PhaseCost], prices: Prices, limits: Mapping[str, float]) -> str:
    """The first phase at which the run would be over a limit, and the limit; empty if it stays below all."""
    for i, cost in enumerate(costs):
        if fault := exceeded(amounts((c.used for c in costs[: i + 1]), prices), limits):
            return f"{cost.phase}: {fault}"
    return ""


def cost_fields(costs: Sequence[PhaseCost], prices: Prices) -> dict[str, Any]:  # Any: plain JSON
    """The costs as plain JSON: by phase, and together."""
    return {
        "costs": [cost.plain() | {"money": prices.money(cost.used)} for cost in costs],
        "cost": amounts((cost.used for cost in costs), prices) | {"currency": prices.currency},
    }


def cost_lines(costs: Sequence[PhaseCost], prices: Prices) -> list[str]:
    """The costs for a terminal: a line for each phase, and what all take together."""
    if not costs:
        return []
    lines = [
        t(
            "cost     phase                     core-h      GET      PUT  LIST    files   stays MB   work MB  memory MB"
        )
    ]
    for cost in costs:
        used = cost.used
        mark = "" if cost.basis == RUNS else " *"
        lines.append(
            f"         {pad(cost.phase, 22)} {used['cpu_s'] / 3600:9,.3f} {used['gets']:8,.0f} {used['puts']:8,.0f} "
            f"{used['lists']:5,.0f} {used['files']:8,.0f} {used['disk_bytes'] / 1e6:10,.1f} "
            f"{used['work_bytes'] / 1e6:9,.1f} {used['peak_bytes'] / 1e6:10,.0f}{mark}"
        )
    total = amounts((cost.used for cost in costs), prices)
    lines.append(
        t(
            f"cost     together {total['cpu_hours']:,.3f} core-hours, {total['requests']:,.0f} requests, "
            f"{total['files']:,.0f} files, {total['disk_bytes'] / 1e6:,.1f} MB of disk at most, "
            f"{total['peak_bytes'] / 1e6:,.0f} MB in the largest process"
        )
    )
    if prices.money({"cpu_s": 1, "gets": 1, "puts": 1, "lists": 1, "disk_bytes": 1}):
        lines.append(t(f"cost     {total['money']:,.2f} {prices.currency} at the given prices"))
    if any(cost.basis == SHIPPED for cost in costs):
        lines.append(
            t("         * no run of this store has measured it: shipped defaults, see docs/scale.md")
        )
    return lines
