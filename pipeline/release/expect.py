"""Expectations: bounds on figures of a release, checked when everything is decided and nothing is written.

Figures are taken from the numbers of report.json, so that those of an earlier release are computed in the same way.
There may be millions of hosts, so they are summed by partition in files; each partition returns its worst hosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.config.expect import Expectation
from pipeline.config.release_columns import Layout, languages
from pipeline.dataset.shard import Columns
from pipeline.errors import ExpectationError
from pipeline.mapreduce.shuffle import read_exchange
from pipeline.report.release_numbers import ExpectationNumbers, Tally
from pipeline.report.signals import span_field
from pipeline.select.verdicts import Decision, Kept, final
from pipeline.storage.store import Store
from pipeline.translation import message

N_EXAMPLES = 20
"""Documents that the message of an error names."""

EACH = "*"
NONE = "(none)"
"""Group of documents without a value; `*` does not include it."""

HOST_SUMS = ("documents", "kept", "copies", "bytes", "kept_bytes", "kept_tokens")

Groups = dict[str, dict[str, float]]
"""Group -> field -> value."""


@dataclass(frozen=True)
class Fault:
    """An expectation that does not hold. group: the worst one; others: how many more do not hold."""

    expectation: Expectation
    group: str
    value: float
    change: float | None = None
    others: int = 0

    @property
    def text(self) -> str:
        """What was found, and what was expected."""
        e = self.expectation
        figure = ".".join(part for part in (e.family, self.group, e.field) if part)
        value, bound = f"{self.value:,.6g}", bounds_text(e)
        text = message(f"expect.{e.name}: {figure} is {value}; expected {bound}")
        if self.change is not None:
            change = f"{self.change:+.1%}"
            text = message(
                f"expect.{e.name}: {figure} is {value}, {change} of the last release; expected {bound}"
            )
        return text + (message(f" ({self.others:,} more groups are outside)") if self.others else "")


def bounds_text(e: Expectation) -> str:
    """The bounds in words."""
    parts = [f"at least {e.min:,.6g}"] if e.min is not None else []
    parts += [f"at most {e.max:,.6g}"] if e.max is not None else []
    parts += [f"a change of at least {e.min_change:+.1%}"] if e.min_change is not None else []
    parts += [f"a change of at most {e.max_change:+.1%}"] if e.max_change is not None else []
    return ", ".join(parts)


# Figures


def figures_of(numbers: Mapping[str, Any], family: str) -> Groups:  # Any: JSON
    """Figures of a family by group, from `counts profile failed funnel spans mixes` of report.json."""
    if family == "counts":
        return {"": count_figures(numbers)}
    if family == "rules":
        return rule_figures(numbers)
    if family == "mixes":
        return {
            name: {key: float(mix[key]) for key in ("documents", "tokens", "discarded_share")}
            for name, mix in numbers["mixes"].items()
        }
    if family == "spans":
        return {
            f"{column}.{kind}": {
                "documents": n, "kept": kept, "spans": spans, "kept_share": kept / max(numbers["counts"]["kept"], 1)
            }
            for column, kinds in numbers["spans"].items()
            for kind, (n, kept, spans) in kinds.items()
        }  # fmt: skip
    return group_figures(tallies_of(numbers, family), totals_of(numbers))


def count_figures(numbers: Mapping[str, Any]) -> dict[str, float]:
    """The counts of a release, and shares of them."""
    counts = numbers["counts"]
    copies = sum(row[Tally._fields.index("copies")] for row in numbers["profile"]["languages"].values())
    shares = {
        "quarantined_share": counts["quarantined"] / max(counts["read"], 1),
        "kept_share": counts["kept"] / max(counts["ingested"], 1),
        "copies_share": copies / max(counts["ingested"], 1),
    }
    return {name: float(n) for name, n in counts.items()} | shares


def rule_figures(numbers: Mapping[str, Any]) -> Groups:
    """Documents that fail each rule, and that it drops."""
    dropped: dict[str, int] = {}
    for row in numbers["funnel"].values():
        for outcome, n in row.items():
            dropped[outcome] = dropped.get(outcome, 0) + n
    n_all = max(numbers["counts"]["ingested"], 1)
    return {
        name: {
            "failed": failed, "dropped": dropped.get(name, 0), "failed_share": failed / n_all,
            "dropped_share": dropped.get(name, 0) / n_all,
        }
        for name, failed in numbers["failed"].items()
    }  # fmt: skip


def tallies_of(numbers: Mapping[str, Any], family: str) -> Mapping[str, Sequence[int]]:
    """Tallies of a family by group.

    Raises: ExpectationError if the run does not count the family, or it has too many groups to count.
    """
    found = numbers["profile"].get(family)
    if not isinstance(found, Mapping):
        raise ExpectationError(
            f"expect: figures of {family} are not counted in this run (no step writes the column, or it has too many "
            "values); remove the expectation"
        )
    if family != "provenances":
        return {name or NONE: row for name, row in found.items()}
    total: dict[str, list[int]] = {}
    for rows in found.values():  # by source
        for name, row in rows.items():
            known = total.setdefault(name or NONE, [0] * len(row))
            total[name or NONE] = [a + b for a, b in zip(known, row, strict=True)]
    return total


def totals_of(numbers: Mapping[str, Any]) -> Tally:
    """The tally of all documents."""
    rows = list(numbers["profile"]["languages"].values())
    return Tally(*(sum(column) for column in zip(*rows, strict=True))) if rows else Tally()


def group_figures(tallies: Mapping[str, Sequence[int]], total: Tally) -> Groups:
    """Counts and shares of each group."""
    figures: Groups = {}
    for name, row in tallies.items():
        tally = Tally(*row)
        figures[name] = {key: float(n) for key, n in tally._asdict().items()} | {
            "kept_share": tally.kept / max(tally.documents, 1),
            "copies_share": tally.copies / max(tally.documents, 1),
            "documents_share": tally.kept / max(total.kept, 1),
            "bytes_share": tally.kept_bytes / max(total.kept_bytes, 1),
            "tokens_share": tally.kept_tokens / max(total.kept_tokens, 1),
        }
    return figures


# Hosts


def count_host_tallies(
    columns: Columns, tokens: pa.ChunkedArray, kept: Kept, n_parts: int
) -> tuple[pa.Table, np.ndarray]:
    """Tallies of a shard by host, and the partition of each, int64 (n_hosts,).

    Args: columns, `host` and `text_bytes`; tokens, of each row as it is released.
    """
    keep, size = kept.keep.astype(np.int64), columns["text_bytes"].to_numpy().astype(np.int64)
    n_tokens = pc.fill_null(tokens, 0).to_numpy().astype(np.int64)
    sums = [np.ones_like(keep), keep, kept.is_copy.astype(np.int64), size, size * keep, n_tokens * keep]
    table = pa.table([pc.fill_null(columns["host"], NONE), *sums], names=["name", *HOST_SUMS])
    table = sum_hosts(table)
    keys = [xxhash.xxh3_64_intdigest(name.encode()) % n_parts for name in table["name"].to_pylist()]
    return table, np.array(keys, np.int64)


def sum_hosts(table: pa.Table) -> pa.Table:
    """Sum tallies by host."""
    summed = table.group_by("name").aggregate([(name, "sum") for name in HOST_SUMS])
    return summed.select(["name", *(f"{name}_sum" for name in HOST_SUMS)]).rename_columns(
        ["name", *HOST_SUMS]
    )


@dataclass(frozen=True)
class HostFiguresTask:
    """Checks the hosts of one partition. maps: exchange files of count_host_tallies; total: of all documents."""

    store: Store
    maps: tuple[str, ...]
    part: int
    expectations: tuple[Expectation, ...]
    total: Tally


class HostFigures(msgspec.Struct, kw_only=True):
    """Hosts of a partition outside of each expectation: number, and the worst [value, name]; the extreme value."""

    outside: list[int]
    worst: list[list[Any] | None]  # Any: a number and a name
    extreme: list[float | None]


def check_hosts(task: HostFiguresTask) -> HostFigures:
    """Check every expectation on the hosts of a partition."""
    table = sum_hosts(read_exchange(task.store, task.maps, task.part))
    rows = {row.pop("name"): list(row.values()) for row in table.to_pylist()}
    figures = group_figures(rows, Tally(*task.total))
    found = HostFigures(outside=[], worst=[], extreme=[])
    for e in task.expectations:
        outside = list(outside_of(e, figures, None))
        worst = max(outside, key=badness, default=None)
        values = [group[e.field] for _, group in chosen_groups(e, figures)]
        found.outside.append(len(outside))
        found.worst.append(None if worst is None else [worst.value, worst.group])
        found.extreme.append(extreme(e, values))
    return found


# Checks


def chosen_groups(e: Expectation, figures: Groups) -> Iterator[tuple[str, dict[str, float]]]:
    """The groups that an expectation is for, in order; a named one that does not occur has zeros."""
    if e.group != EACH:
        yield e.group, figures.get(e.group, {e.field: 0.0})
        return
    for name, group in sorted(figures.items()):
        if name != NONE and group.get("documents", e.least) >= e.least:
            yield name, group


def outside_of(e: Expectation, figures: Groups, before: Groups | None) -> Iterator[Fault]:
    """The groups for which an expectation does not hold. before: figures of the release that is replaced."""
    for name, group in chosen_groups(e, figures):
        value = group[e.field]
        if (e.min is not None and value < e.min) or (e.max is not None and value > e.max):
            yield Fault(e, name, value)
            continue
        old = (before or {}).get(name, {}).get(e.field)
        if old:
            change = value / old - 1
            low, high = e.min_change, e.max_change
            if (low is not None and change < low) or (high is not None and change > high):
                yield Fault(e, name, value, change)
    if e.group == EACH and e.min_change is not None and e.min_change > -1:
        for name, group in chosen_groups(e, before or {}):
            if name not in figures and group[e.field]:  # nothing of it is left
                yield Fault(e, name, 0.0, -1.0)


def badness(fault: Fault) -> tuple[float, str]:
    """How far outside its bounds a figure is, as a share of the bound, to name the worst group."""
    e, value = fault.expectation, fault.value
    if e.max is not None and value > e.max:
        return (value - e.max) / max(abs(e.max), 1e-12), fault.group
    if e.min is not None and value < e.min:
        return (e.min - value) / max(abs(e.min), 1e-12), fault.group
    return abs(fault.change or 0), fault.group


def extreme(e: Expectation, values: Sequence[float]) -> float | None:
    """The value of a figure that is closest to a bound or beyond it: the largest, or the smallest without `max`."""
    if not values:
        return None
    return max(values) if e.max is not None or e.min is None else min(values)


def check_all(
    expectations: Sequence[Expectation], numbers: Mapping[str, Any], before: Mapping[str, Any] | None,
    hosts: Sequence[HostFigures],
) -> tuple[list[Fault], list[ExpectationNumbers]]:  # fmt: skip
    """Check every expectation.

    Args: numbers, see figures_of; before, those of the release that is replaced; hosts, by partition, for the
    expectations of the family `hosts` in order.
    Returns: what does not hold, and the row of each expectation for the report.
    """
    faults: list[Fault] = []
    rows = []
    of_hosts = [e for e in expectations if e.family == "hosts"]
    for e in expectations:
        if e.family == "hosts":
            found, n_outside, value = host_faults(e, of_hosts.index(e), hosts)
        else:
            figures = figures_of(numbers, e.family)
            old = None
            if before and has_change(e):
                with suppress(ExpectationError):  # the release before did not count the family
                    old = figures_of(before, e.family)
            found = list(outside_of(e, figures, old))
            n_outside = len(found)
            value = extreme(e, [group[e.field] for _, group in chosen_groups(e, figures)])
        worst = max(found, key=badness, default=None)
        if worst is not None:
            faults.append(replace(worst, others=n_outside - 1))
        # a change is no figure of this release alone
        by_bounds = max((fault for fault in found if fault.change is None), key=badness, default=None)
        n_changes = sum(fault.change is not None for fault in found)
        rows.append(
            ExpectationNumbers(
                name=e.name, figure=e.figure, level=e.level, min=e.min, max=e.max, value=value,
                group=by_bounds.group if by_bounds else None, outside=n_outside - n_changes,
            )
        )  # fmt: skip
    return faults, rows


def host_faults(
    e: Expectation, place: int, hosts: Sequence[HostFigures]
) -> tuple[list[Fault], int, float | None]:
    """What the partitions found for an expectation: their worst hosts, the number outside, the extreme value."""
    values = [value for part in hosts if (value := part.extreme[place]) is not None]
    if e.group != EACH:  # one partition has the host, the others have zeros
        value = max(values, default=0.0)
        found = list(outside_of(e, {e.group: {e.field: value}}, None))
        return found, len(found), value
    worst = [named for part in hosts if (named := part.worst[place]) is not None]
    found = [Fault(e, str(name), float(value)) for value, name in worst]
    return found, sum(part.outside[place] for part in hosts), extreme(e, values)


def has_change(e: Expectation) -> bool:
    """Whether an expectation compares with the release that is replaced."""
    return e.min_change is not None or e.max_change is not None


# Examples

COLUMN_OF = {
    "sources": "source", "snapshots": "snapshot", "provenances": "provenance", "licenses": "license", "hosts": "host"
}  # fmt: skip
"""Canonical column of each family."""


def examples(fault: Fault, decisions: Sequence[Decision], store: Store, layout: Layout) -> list[str]:
    """Ids of up to N_EXAMPLES documents behind a fault: those that are too many, or those that are missing."""
    if fault.expectation.family == "mixes":
        return []
    family = fault.expectation.family
    named = {"languages": layout.columns["language"], "domains": layout.columns["domain"], **COLUMN_OF}
    column, found = named.get(family), list[str]()
    for decision in decisions:
        columns = decision.read(store, {column} if column else set())
        kept = final(decision, store)
        chosen = concerned(fault, decision, kept)
        if family == "spans":
            chosen &= has_span(decision, store, fault.group)
        elif family == "languages" or column:
            values = (
                pc.fill_null(pc.cast(columns[column], pa.string()), NONE)
                if column and family != "languages"
                else languages(columns, layout, len(kept.keep))
            )
            chosen &= np.asarray(pc.equal(values, fault.group).combine_chunks()).astype(bool)
        found += [columns["doc_id"][int(row)].as_py() for row in np.flatnonzero(chosen)]
        if len(found) >= N_EXAMPLES:
            break
    return found[:N_EXAMPLES]


def concerned(fault: Fault, decision: Decision, kept: Kept) -> np.ndarray:
    """Rows of a shard that a fault is about, in any group: bool (n_rows,)."""
    e = fault.expectation
    too_low = (e.min is not None and fault.value < e.min) or (fault.change is not None and fault.change < 0)
    if e.family == "rules":
        failed = kept.failed[[rule.name for rule in decision.rules].index(fault.group)]
        return kept.keep & ~failed if too_low else failed
    if e.field.startswith("copies"):
        return kept.is_copy != too_low
    if e.field in ("documents", "bytes", "read", "ingested", "derived", "quarantined", "quarantined_share"):
        return np.ones(len(kept.keep), bool)
    return kept.keep == (too_low == (e.field == "dropped"))


def has_span(decision: Decision, store: Store, group: str) -> np.ndarray:
    """Rows with a span of a column and kind, `stage.column.kind`: bool (n_rows,)."""
    stage, column, kind = group.split(".", 2)
    spans = decision.read(store, {f"{stage}.{column}"})[f"{stage}.{column}"]
    field = span_field(spans.type)
    return np.array([any(span[str(field)] == kind for span in row or ()) for row in spans.to_pylist()], bool)


def refuse(faults: Sequence[Fault], ids: Sequence[Sequence[str]], replaces: bool) -> None:
    """Raise ExpectationError for the faults of level error. ids: documents of each; replaces: an earlier release."""
    lines = []
    for fault, documents in zip(faults, ids, strict=True):
        lines.append(fault.text)
        if documents:
            lines.append(message(f"  documents: {' '.join(documents)}"))
    what = (
        message("Nothing was written; the release of this name is as it was")
        if replaces
        else message("Nothing was written")
    )
    hint = message("look at some with `bicorpus explain`, then change the rules, or the bounds in `expect`")
    raise ExpectationError("\n".join([*lines, what, hint]))
