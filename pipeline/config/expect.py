"""The section `expect` of a run file: bounds on figures of a release, checked before it replaces an earlier one.

A figure is named `family.group.field`; the group `*` is each group of the family on its own; `counts` has no groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config.quantities import parse_choice, parse_mapping, parse_quantity, parse_text, parse_whole
from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys, nearest

GROUP_FIELDS = (
    "documents", "kept", "copies", "bytes", "kept_bytes", "kept_tokens", "kept_share", "copies_share",
    "documents_share", "bytes_share", "tokens_share",
)  # fmt: skip
"""Counts of a group as in report.json; kept_share and copies_share: of its documents; documents_share, bytes_share,
tokens_share: its part of all kept documents, bytes of text and tokens."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "counts": (
        "read", "quarantined", "ingested", "kept", "dropped", "derived", "kept_tokens", "quarantined_share",
        "kept_share", "copies_share", "lost_passages",
    ),
    **dict.fromkeys(
        ("languages", "sources", "snapshots", "provenances", "licenses", "domains", "hosts"), GROUP_FIELDS
    ),
    "rules": ("failed", "dropped", "failed_share", "dropped_share"),
    "spans": ("documents", "kept", "spans", "kept_share"),
    "mixes": ("documents", "tokens", "discarded_share"),
}  # fmt: skip
"""Fields of each family. rules: documents that fail the rule, and that it drops, of all ingested ones. spans: groups
are span columns and kinds (`pii.spans.email`), `kept` counts kept documents with such a span before edits."""

LEVELS = ("error", "warn")
KEYS = ("name", "level", "from")
BOUNDS = ("min", "max", "min_change", "max_change")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Bounds of one figure, in its unit; None for no bound.

    group: `*` for every group of the family with at least `least` documents, "" in the family `counts`. min_change,
    max_change: of the figure divided by that of the release of this name that is being replaced, minus 1. level:
    `error` keeps that release, `warn` is printed and reported.
    """

    name: str
    family: str
    group: str
    field: str
    min: float | None = None
    max: float | None = None
    min_change: float | None = None
    max_change: float | None = None
    least: int = 1
    level: str = "error"

    @property
    def figure(self) -> str:
        """The figure as the run file names it."""
        return ".".join(part for part in (self.family, self.group, self.field) if part)

    def plain(self) -> list[Any]:  # Any: text and numbers
        """The plain values that enter the recipe of a release."""
        bounds = [self.min, self.max, self.min_change, self.max_change]
        return [self.name, self.figure, *bounds, self.least, self.level]


def parse_expectations(entries: list[Any], where: str) -> tuple[Expectation, ...]:  # Any: YAML
    """Parse the section `expect`.

    Raises: ConfigError for an unknown figure or key, a bound that is no number, no bound at all, a repeated name.
    """
    found = [parse_expectation(entry, f"{where}[{i}]") for i, entry in enumerate(entries)]
    names = [expectation.name for expectation in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where} has two entries named {name!r}; rename one of them")
    return tuple(found)


def parse_expectation(entry: Any, where: str) -> Expectation:  # Any: YAML
    """Parse one entry of `expect`: a name, one figure with its bounds, and the level."""
    if not isinstance(entry, dict):
        raise ConfigError(
            f"{where} is {brief(entry)}; expected an entry such as {{name: large, counts.kept_tokens: {{min: 1B}}}}"
        )
    figures = [key for key in entry if key not in KEYS]
    if len(figures) != 1:
        raise ConfigError(
            f"{where} names {len(figures)} figures ({brief(figures)}); expected one, as hosts.*.tokens_share"
        )
    name = parse_text(entry.get("name"), f"{where}.name")
    family, group, field = parse_figure(str(figures[0]), where)
    least = parse_whole(entry.get("from", 1), f"{where}.from")
    level = parse_choice(entry.get("level", "error"), LEVELS, f"{where}.level")
    where = f"{where}.{figures[0]}"
    bounds = parse_mapping(entry[figures[0]], where)
    check_keys(bounds, BOUNDS, where)
    limits = {key: parse_number(value, f"{where}.{key}") for key, value in bounds.items()}
    if not limits:
        raise ConfigError(f"{where} has no bound; expected at least one of {', '.join(BOUNDS)}")
    if limits.get("min", -math.inf) > limits.get("max", math.inf):
        raise ConfigError(f"{where}: min {limits['min']:g} is above max {limits['max']:g}; exchange them")
    if family == "hosts" and {"min_change", "max_change"} & set(limits):
        raise ConfigError(f"{where}: releases have no figures by host to compare with; use min and max")
    return Expectation(name=name, family=family, group=group, field=field, least=least, level=level, **limits)


def parse_figure(figure: str, where: str) -> tuple[str, str, str]:
    """Split a figure into family, group and field; groups may contain dots.

    Raises: ConfigError for an unknown family or field, or a group where there is none.
    """
    family, _, rest = figure.partition(".")
    if family not in FIELDS:
        raise ConfigError(
            f"{where}: no figure {figure!r}{nearest(family, FIELDS)}; families are {', '.join(FIELDS)}"
        )
    group, _, field = rest.rpartition(".")
    if field not in FIELDS[family]:
        raise ConfigError(
            f"{where}: {family} has no figure {field!r}{nearest(field, FIELDS[family])}; "
            f"it has {', '.join(FIELDS[family])}"
        )
    if (family == "counts") == bool(group):
        example = f"{family}.{field}" if family == "counts" else f"{family}.*.{field}"
        raise ConfigError(f"{where}: {figure!r} is no figure; write {example}")
    return family, group, field


def parse_number(value: Any, where: str) -> float:  # Any: YAML
    """A bound: a number, or one with a unit such as `1.5B`.

    Raises: ConfigError for anything else.
    """
    if isinstance(value, str):
        return parse_quantity(value, where)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"{where} is {brief(value)}; expected a number")
    return float(value)
