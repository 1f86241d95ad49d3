"""Advice on a mixture from files: a fit of runs, with the prior and the caps of their swarm, and its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipeline.ablation.fit import Advice, advise, read_runs
from pipeline.ablation.swarm import changed_groups, check_groups, read_pool
from pipeline.errors import UsageError
from pipeline.report.summary import align
from pipeline.translation import t


def advice_of(
    ratios: str, metrics: str, swarm_path: str | None, release: str | None, penalty: float
) -> tuple[Advice, dict[str, str]]:
    """Fit runs and propose ratios.

    Args: swarm_path, gives prior, tokens and caps; release, a later one whose groups are compared with the swarm's.
    Returns: the advice, and what has become of each group.
    Raises: InputError for wrong files; UsageError for a group that the swarm does not know, or a release without one.
    """
    runs = read_runs(ratios, metrics)
    n_groups = len(runs.groups)
    prior, cap, found = runs.ratios.mean(axis=0), np.ones(n_groups), dict[str, str]()
    if release and not swarm_path:
        raise UsageError("--release is compared with the groups of a swarm; name its swarm.json with --swarm")
    if swarm_path:
        swarm = msgspec.json.decode(Path(swarm_path).read_bytes())
        check_groups(runs.groups, swarm["groups"], ratios)
        tokens = np.array([swarm["groups"][name]["tokens"] for name in runs.groups], float)
        settings = swarm["settings"]
        if release:
            pool = read_pool(release, swarm["by"])
            found = changed_groups(swarm["groups"], pool)
            now = {group.name: float(group.tokens) for group in pool.groups}
            tokens = np.array([now.get(name, 0.0) for name in runs.groups])
        prior, cap = tokens / tokens.sum(), settings["max_epochs"] * tokens / settings["tokens"]
    return advise(runs, prior, cap, penalty), found


def advice_lines(advice: Advice, groups: dict[str, str]) -> list[str]:
    """The proposal as text: ratios, measures, what holds, and the section of a run file."""
    runs = advice.runs
    heads = [t("group"), t("prior"), t("proposed"), t("ratio"), *([t("documents")] if groups else [])]
    rows = [
        [name, f"{before:.4f}", f"{after:.4f}", f"{after / before:.2f}" if before else "—",
         *([t(groups[name])] if groups else [])]
        for name, before, after in zip(runs.groups, advice.prior, advice.ratios, strict=True)
    ]  # fmt: skip
    lines = [align([heads, *rows])]
    heads = [
        t("measure"),
        t("at the prior"),
        t("at the proposal"),
        t("gain, 95 % interval"),
        t("held-out rank correlation"),
    ]
    measured = [
        [
            name,
            f"{a:.4f}",
            f"{b:.4f}",
            f"{b - a:+.4f} [{low:+.4f}, {high:+.4f}]",
            "—" if np.isnan(held) else f"{held:.2f}",
        ]
        for name, a, b, low, high, held in zip(
            runs.measures,
            advice.at_prior,
            advice.at_ratios,
            advice.low,
            advice.high,
            advice.held_out,
            strict=True,
        )
    ]
    lines += ["", align([heads, *measured]), ""]
    change = advice.at_ratios[advice.worst] - advice.at_prior[advice.worst]
    lines.append(t(f"The measure that gains least: {runs.measures[advice.worst]}, {change:+.4f}."))
    if stale := [name for name, state in groups.items() if state != "same"]:
        lines.append(
            t(f"Groups whose documents are others than those the runs were trained on: {', '.join(stale)}.")
        )
    shares = ", ".join(
        f"{name}: {value:.4f}"
        for name, value in zip(runs.groups, advice.ratios, strict=True)
        if value >= 5e-5
    )
    return [*lines, t("For the run file:"), f"  share: {{{shares}}}"]


def plain_advice(advice: Advice, groups: dict[str, str]) -> dict[str, Any]:  # Any: JSON
    """The proposal as plain data."""
    runs = advice.runs
    return {
        "prior": dict(zip(runs.groups, advice.prior.tolist(), strict=True)),
        "ratios": dict(zip(runs.groups, advice.ratios.tolist(), strict=True)),
        "measures": {
            name: {"at_prior": a, "at_ratios": b, "gain": b - a, "low": low, "high": high,
                   "held_out": None if np.isnan(held) else held}
            for name, a, b, low, high, held in zip(
                runs.measures, *(x.tolist() for x in (advice.at_prior, advice.at_ratios, advice.low, advice.high,
                                                      advice.held_out)), strict=True)
        },
        "worst": runs.measures[advice.worst],
        "groups": groups,
    }  # fmt: skip
