"""Shares along the training order of a mix, in slices and windows, measured by ranges; and text in other languages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # plain JSON

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.mapreduce.shuffle import open_batches
from pipeline.mix.plan import MixPlan
from pipeline.release.passes import Report
from pipeline.storage.store import Store

SLICES = 40
"""Equal stretches of the training order, by units, whose shares are reported."""

WINDOW_DOCUMENTS, WINDOW_UNITS = 1_000, 1_000_000
"""A window has at least this many documents, and this many units, unless documents are counted."""

MAX_GROUPS = 64
"""Shares along the training order are reported for mixes of at most this many groups."""

MIXED_SHARES = (0.05, 0.1, 0.2, 0.5)
"""Shares of a document in other languages than its own from which documents are counted."""


@dataclass(frozen=True)
class TrainingTask:
    """Measures the shares of a range of a training order.

    pieces: of all ranges; number: of this one. rows: copies in front of each range, and all; units: likewise. phases:
    copies up to the end of each phase.
    """

    store: Store
    plan: MixPlan
    pieces: tuple[str, ...]
    number: int
    rows: tuple[int, ...]
    units: tuple[int, ...]
    phases: tuple[int, ...]


def measure_range(task: TrainingTask) -> Report:
    """Shares at the slices that end in a range, and the largest error of the windows that start in it.

    Reports: groups, units of each; edges: number of the slice, units up to its end and, of each group, from the
    beginning of the range; error and windows.
    """
    plan, first = task.plan, task.rows[task.number]
    n_rows = task.rows[task.number + 1] - first
    groups, taken = _read_ahead(task, n_rows)
    before = task.units[task.number] + np.append(0, np.cumsum(taken))
    sums = [np.append(0, np.cumsum(np.where(groups == i, taken, 0))) for i in range(len(plan.groups))]
    total, edges = task.units[-1], []
    for number, at in enumerate(np.linspace(0, total, SLICES + 1)):
        if before[0] < at <= before[n_rows]:
            row = int(np.searchsorted(before, at))
            edges.append([number, int(before[row]), *(int(s[row]) for s in sums)])
    asked, error, n_windows, low = _Asked(plan), 0.0, 0, 0
    least = 0 if plan.mix.unit == "documents" else WINDOW_UNITS
    for phase, end in enumerate(task.phases):
        starts = np.arange(max(low - first, 0), min(max(end - first, 0), n_rows))
        low = end
        ends = np.maximum(np.searchsorted(before, before[starts] + least), starts + WINDOW_DOCUMENTS)
        starts, ends = starts[ends <= end - first], ends[ends <= end - first]
        n_windows += len(starts)
        units = before[ends] - before[starts]
        middle = (before[ends] + before[starts]) / 2 / max(total, 1)
        for i, s in enumerate(sums):
            shares = (s[ends] - s[starts]) / np.maximum(units, 1)
            difference = np.abs(shares - asked.of(i, phase, middle))[units > 0]
            error = max(error, float(difference.max(initial=0.0)))
    inside = [int(s[n_rows]) for s in sums]
    return Report(facts={"groups": inside, "edges": edges, "error": error, "windows": n_windows})


def _read_ahead(task: TrainingTask, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Group and units of the copies of a range, and of those behind it that windows starting in it contain."""
    groups: list[np.ndarray] = []
    taken: list[np.ndarray] = []
    n_read = ahead = 0
    for key in task.pieces[task.number :]:
        with open_batches(task.store, key) as file:
            for number in range(file.num_record_batches):
                if n_read >= n_rows + WINDOW_DOCUMENTS and ahead >= WINDOW_UNITS:
                    return np.concatenate(groups), np.concatenate(taken)
                batch = file.get_batch(number)
                groups.append(batch["group"].to_numpy())
                taken.append(batch["size"].to_numpy())
                behind = max(n_rows - n_read, 0)
                ahead += int(taken[-1][behind:].sum())
                n_read += len(batch)
    return np.concatenate(groups), np.concatenate(taken)


def training_rows(reports: Sequence[dict[str, Any]], plan: MixPlan, total: int) -> dict[str, Any]:
    """Requested and realised shares along the training order, from what its ranges report.

    Returns: `slices`, SLICES rows of until (fraction of the order), asked and share (by group, in the order of the
    plan); `window_error`, the largest difference of a share from the requested one over all windows inside one phase;
    `windows`, how many there are.
    """
    ends = [(0, [0] * len(plan.groups))] * (SLICES + 1)
    before = np.zeros(len(plan.groups), np.int64)
    for report in reports:
        for number, units, *sums in report["edges"]:
            ends[number] = units, (before + np.array(sums)).tolist()
        before += np.array(report["groups"], np.int64)
    asked, slices = _Asked(plan), []
    for (first, old), (last, new) in itertools.pairwise(ends):
        if last > first:
            middle = float(first + last) / 2 / total
            slices.append(
                {
                    "until": round(float(last) / total, 6),
                    "asked": [round(float(n), 6) for n in asked.at(middle)],
                    "share": [
                        round(float((b - a) / (last - first)), 6) for a, b in zip(old, new, strict=True)
                    ],
                }
            )
    error = max((report["error"] for report in reports), default=0.0)
    return {
        "slices": slices,
        "window_error": round(error, 6),
        "windows": sum(report["windows"] for report in reports),
    }


class _Asked:
    """Requested shares at a fraction of the training order."""

    def __init__(self, plan: MixPlan) -> None:
        self.plan = plan
        self.ends = np.cumsum([float(phase.length) for phase in plan.phases])

    def of(self, group: int, phase: int, where: np.ndarray) -> np.ndarray:
        """Share of a group inside a phase. where: fractions of the whole order, float64 (n,)."""
        shares, name = self.plan.phases[phase], self.plan.group_keys[group]
        start, end = float(shares.start.get(name, 0)), float(shares.end.get(name, 0))
        low = self.ends[phase - 1] if phase else 0.0
        inside = np.clip((where - low) / max(self.ends[phase] - low, 1e-12), 0, 1)
        return start + (end - start) * inside

    def at(self, where: float) -> list[float]:
        """Shares of all groups."""
        phase = min(int(np.searchsorted(self.ends, where)), len(self.ends) - 1)
        return [float(self.of(i, phase, np.array([where]))[0]) for i in range(len(self.plan.groups))]


def other_languages(shares: pa.ChunkedArray) -> pa.Array:
    """Return the share of each document in other languages than the first: float64 (n_docs,), null if not measured.

    Args: shares, list<struct<label, share>>, the largest first.
    """
    lists = shares.combine_chunks()
    first = pc.list_element(lists.filter(pc.greater(pc.list_value_length(lists), 0)), 0).field("share")
    sums = np.zeros(len(lists))
    flat, parents = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    np.add.at(sums, parents, flat.field("share").to_numpy(zero_copy_only=False))
    has = np.asarray(pc.fill_null(pc.greater(pc.list_value_length(lists), 0), False)).astype(bool)
    sums[has] -= first.to_numpy(zero_copy_only=False)
    return pa.array(np.where(has, np.maximum(sums, 0.0), 0.0), mask=~has)
