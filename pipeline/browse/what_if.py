"""What another threshold of a rule would change: documents that come back, documents that are lost, and the run file.

The rule is evaluated again over all documents, by the same code as in a run. Keepers, owners of passages and quantiles
are not: of a cluster whose keeper is lost, another member would be kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipeline.browse.frame import Frame
from pipeline.errors import UsageError
from pipeline.names import nearest
from pipeline.report.rule_counts import bounds_of, sides_of
from pipeline.rules.presets import expand_presets
from pipeline.rules.rules import Rule

SAMPLES = 8
"""Documents that an answer names on each side, those closest to the threshold."""


def movable(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The bounds of rules that can be moved: fixed ones; those of quantiles differ by group."""
    return [bound for bound in bounds_of(rules) if bound["value"] is not None]


def find_rule(rules: Sequence[Rule], name: str) -> int:
    """Index of a rule.

    Raises: UsageError if there is none of this name.
    """
    names = [rule.name for rule in rules]
    if name not in names:
        raise UsageError(f"no rule {name!r}{nearest(name, names)}")
    return names.index(name)


def with_bound(rule: Rule, place: int, value: float) -> Rule:
    """The rule with another value of one of its bounds.

    Raises: UsageError if it has no such bound, or one by a quantile.
    """
    conditions, before = list(rule.conditions), 0
    for i, condition in enumerate(conditions):
        sides = sides_of(condition)
        if before <= place < before + len(sides):
            side, known = sides[place - before]
            if known is None:
                break
            conditions[i] = replace(condition, **{side: value})  # type: ignore[arg-type]  # side is a field
            return replace(rule, conditions=tuple(conditions))
        before += len(sides)
    raise UsageError(f"rule {rule.name}: no bound {place} with a fixed value")


def what_if(frame: Frame, name: str, place: int, value: float) -> dict[str, Any]:
    """Count the documents that another threshold would bring back or lose, by language, with some of them.

    Returns: `back` and `lost`, each with documents, bytes, tokens (None where none are counted), languages and rows.
    """
    index = find_rule(frame.run.select, name)
    rule = frame.run.select[index]
    frame.column("rule")
    fails = evaluate(frame, with_bound(rule, place, value))
    was = frame.failed[index]
    if rule.action != "drop":
        return {
            "fails": int(fails.sum()), "failed": int(was.sum()), "action": rule.action,
            "back": side(frame, rule, place, value, was & ~fails),
            "lost": side(frame, rule, place, value, fails & ~was),
        }  # fmt: skip
    others = frame.n_failed - was
    is_ruled = (frame.outcomes >= 0) & (frame.outcomes < len(frame.run.select))
    back = is_ruled & was & ~fails & (others == 0)
    lost = (frame.outcomes == -1) & fails & ~was
    return {
        "fails": int(fails.sum()), "failed": int(was.sum()), "action": rule.action,
        "back": side(frame, rule, place, value, back), "lost": side(frame, rule, place, value, lost),
    }  # fmt: skip


def evaluate(frame: Frame, rule: Rule) -> np.ndarray:
    """Which documents fail a rule: bool (n_rows,)."""
    names = sorted(rule.columns())
    columns: dict[str, pa.ChunkedArray] = {name: frame.column(name) for name in names}
    cuts = next((d.cuts for d in frame.decisions if d.cuts is not None), None)
    return rule.fails(columns, cuts) if frame.n_rows else np.zeros(0, bool)


def side(frame: Frame, rule: Rule, place: int, value: float, chosen: np.ndarray) -> dict[str, Any]:
    """Documents of one side of a moved threshold: counts, languages, and the closest rows."""
    layout, rows = frame.finished.releasing.layout, np.flatnonzero(chosen)
    index = pa.array(rows)
    tokens, language = layout.columns["n_tokens"], layout.columns["language"]
    sides = [(c.column, side) for c in rule.conditions for side, _ in sides_of(c)]
    values = pc.cast(frame.column(sides[place][0]).take(index), pa.float64(), safe=False)
    distance = np.nan_to_num(np.abs(pc.fill_null(values, np.nan).to_numpy() - value), nan=np.inf)
    closest = rows[np.argsort(distance, kind="stable")[:SAMPLES]]
    return {
        "documents": len(rows), "bytes": int(pc.sum(frame.column("text_bytes").take(index)).as_py() or 0),
        "tokens": int(pc.sum(frame.column(tokens).take(index)).as_py() or 0) if tokens else None,
        "languages": frame.values(language, rows)[:8] if language and len(rows) else [],
        "rows": closest.tolist(),
    }  # fmt: skip


# The changed run file


def changed_run_file(text: str, rules: Sequence[Rule], changes: Sequence[Mapping[str, Any]]) -> str:
    """The run file with other thresholds; everything outside of `select` keeps its form and comments.

    A rule of a preset is taken out of it with `except`, and follows it as a rule of its own.

    Args: changes, mappings with `rule`, `place` and `value`.
    Raises: UsageError if a rule is not in the file.
    """
    sections = yaml.safe_load(text)
    entries: list[Any] = sections.get("select") or []
    for change in changes:
        rule = rules[find_rule(rules, str(change["rule"]))]
        with_bound(
            rule, int(change["place"]), float(change["value"])
        )  # raises for a bound that cannot be moved
        sides = [(c.column, side) for c in rule.conditions for side, _ in sides_of(c)]
        entries = _changed(entries, rule.name, *sides[int(change["place"])], _number(change["value"]))
    changed = {**sections, "select": entries}
    spliced = _splice(text, entries)
    return spliced if yaml.safe_load(spliced) == changed else _dump(changed)


def _number(value: Any) -> float | int:
    number = float(value)
    return int(number) if number == int(number) else number


def _changed(entries: list[Any], name: str, column: str, side: str, value: float) -> list[Any]:
    result: list[Any] = []
    is_changed = False
    for entry in entries:
        if not is_changed and isinstance(entry, dict) and entry.get("name") == name:
            is_changed = True
            result.append({**entry, column: {**_tests(entry[column]), side: value}})
            continue
        if is_changed or not (isinstance(entry, dict) and "preset" in entry):
            result.append(entry)
            continue
        plain = {rule["name"]: rule for rule in expand_presets([entry], "select")}
        if name in plain:
            is_changed = True
            rule = plain[name]
            own = _own_name(entry, name)
            result.append({**entry, "except": [*(entry.get("except") or []), own]})
            result.append({**rule, column: {**_tests(rule[column]), side: value}})
        else:
            result.append(entry)
    if not is_changed:
        raise UsageError(f"rule {name}: not in the section select of the run file")
    return result


def _own_name(entry: Mapping[str, Any], name: str) -> str:
    """The name that a rule of a preset has in it, without the prefix of the entry."""
    given = entry.get("as", entry["preset"])
    for own in (name, name.removeprefix(f"{given}_")):
        only = {k: v for k, v in entry.items() if k != "except"} | {"only": [own]}
        try:
            found = expand_presets([only], "select")
        except UsageError:
            continue
        if [rule["name"] for rule in found] == [name]:
            return own
    raise UsageError(f"rule {name}: not found in the preset {entry['preset']}")


def _tests(test: Any) -> dict[str, Any]:
    return dict(test) if isinstance(test, Mapping) else {"in": test if isinstance(test, list) else [test]}


def _splice(text: str, entries: list[Any]) -> str:
    """The text with the section `select` written anew, one rule to a line."""
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if line.startswith("select:")), None)
    if start is None:
        return text
    end = next((i for i in range(start + 1, len(lines)) if lines[i][:1] not in " -#\n\r\t"), len(lines))
    return "".join(
        [*lines[:start], "select:\n", *(f"  - {_flow(entry)}\n" for entry in entries), "\n", *lines[end:]]
    )


class _Dumper(yaml.SafeDumper):
    """Writes values that occur twice twice, not as an anchor and its alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _flow(entry: Any) -> str:
    return yaml.dump(
        entry, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000
    ).strip()


def _dump(sections: Mapping[str, Any]) -> str:
    return yaml.dump(dict(sections), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
