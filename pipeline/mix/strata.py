"""Strata of a mix: the combinations of values of its columns, and the groups that they belong to.

A stratum is one text: the value of a single column, or the values of several ones joined by JOINT. Numbers and truth
values are written as text, and a missing value is empty; a document without any value has no stratum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # values of a parsed YAML file

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError, MixError
from pipeline.names import brief, check_keys

JOINT = "\x1f"
"""Separates values in the name of a stratum; it is a control character, which no label contains."""

SHOWN = " × "
"""Separates them where people read and write names."""

REST = "rest"
"""What a run file writes for the group of all other documents."""

MAX_STRATA = 100_000
"""Combinations of values that a mix may have. Columns of measurements have more; they are cut into buckets first."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """A condition on one column: one of some values, None for a missing one, or a number from min to max."""

    column: str
    among: tuple[str | None, ...] | None = None
    min: float | None = None
    max: float | None = None

    def match(self, value: str) -> bool:
        """Whether a value, as in the name of a stratum, meets the condition."""
        if self.among is not None:
            return (value or None) in self.among
        if not value:
            return False
        number = float(value)
        return (self.min is None or number >= self.min) and (self.max is None or number <= self.max)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Conditions that all must be met; none for the group of all other documents."""

    values: tuple[Values, ...]


Groups = Mapping[str, tuple[str, ...] | tuple[Case, ...]]
"""Values of a single column, or cases of which one must apply, by name of the group."""


def shown(stratum: str) -> str:
    """Return the name of a stratum as people read it."""
    return SHOWN.join(value or "–" for value in stratum.split(JOINT)) if JOINT in stratum else stratum


def written(name: str) -> str:
    """Return the stratum of a name as people write it."""
    return JOINT.join("" if value == "–" else value for value in name.split(SHOWN))


def strata_of(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Name the stratum of each document: string, plain or dictionary-encoded, (n_docs,); null without any value.

    Args: columns, one or more, of text, whole numbers or truth values, (n_docs,).
    Raises: MixError for more than MAX_STRATA combinations, or for numbers with fractions.
    """
    texts = [_as_text(column) for column in columns]
    if len(texts) == 1:
        return texts[0]
    code = np.zeros(len(texts[0]), np.int64)
    values: list[list[str]] = []
    for text in texts:
        coded = text.combine_chunks()
        coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
        check_strata(len(coded.dictionary))
        values.append(["", *coded.dictionary.to_pylist()])
        code = code * len(values[-1]) + coded.indices.fill_null(-1).to_numpy(zero_copy_only=False) + 1
        distinct = pa.array(code).dictionary_encode()
        check_strata(len(distinct.dictionary))
    names = []
    for number in distinct.dictionary.to_pylist():
        parts = []
        for known in reversed(values):
            number, i = divmod(number, len(known))
            parts.append(known[i])
        names.append(JOINT.join(reversed(parts)) if any(parts) else "")
    indices = distinct.indices.to_numpy(zero_copy_only=False)
    none = pa.array(indices, mask=np.array([not name for name in names], bool)[indices])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(none, pa.array(names, pa.string()))])


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text; an imported score may have whole numbers as floats."""
    if pa.types.is_floating(column.type):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise MixError(
                "a column of a mix has numbers with fractions; cut it into buckets or tiers with stages.cuts"
            ) from error
    is_text = pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)
    return column if is_text else column.cast(pa.string())


def check_strata(n_values: int) -> None:
    """Raise MixError for more values or combinations than a mix may have."""
    if n_values > MAX_STRATA:
        raise MixError(
            f"the columns of a mix have {n_values:,} different values, at most {MAX_STRATA:,} may; "
            "name columns of labels or of buckets (stages.cuts)"
        )


def members_of(
    name: str, groups: Groups, columns: Sequence[str], strata: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Return the strata of each group; strata in no group are in none.

    Args: name, of the mix, for errors; columns, of the values of a stratum; strata, those that occur.
    Raises: MixError if a stratum is in two groups.
    """
    strata = sorted(strata)
    found: dict[str, list[str]] = {group: [] for group in groups}
    owner: dict[str, str] = {}
    for group, cases in groups.items():
        for case in cases:
            matching = [case] if isinstance(case, str) else [s for s in strata if _applies(case, columns, s)]
            for stratum in matching:
                if owner.setdefault(stratum, group) != group:
                    raise MixError(
                        f"mix {name}: {shown(stratum)!r} is in the groups {owner[stratum]!r} and {group!r}; "
                        "narrow one of them"
                    )
                found[group].append(stratum)
    for group, cases in groups.items():
        if any(isinstance(case, Case) and not case.values for case in cases):
            found[group] = [stratum for stratum in strata if stratum not in owner]
    return {group: tuple(sorted(set(members))) for group, members in found.items()}


def _applies(case: Case, columns: Sequence[str], stratum: str) -> bool:
    parts = dict(zip(columns, stratum.split(JOINT), strict=True)) if stratum else dict.fromkeys(columns, "")
    return bool(case.values) and all(condition.match(parts[condition.column]) for condition in case.values)


def parse_groups(settings: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...] | tuple[Case, ...]]:
    """Parse the `groups` of a mix: lists of values, mappings of columns to values, lists of such mappings, or `rest`.

    Raises: ConfigError if a setting has another form, or a value is in two groups.
    """
    groups: dict[str, tuple[str, ...] | tuple[Case, ...]] = {}
    owner: dict[str, str] = {}
    for name, members in settings.items():
        here = f"{where}.{name}"
        if members == REST:
            groups[name] = (Case(values=()),)
        elif isinstance(members, Mapping):
            groups[name] = (_case(members, here),)
        elif isinstance(members, list) and members and all(isinstance(m, Mapping) for m in members):
            groups[name] = tuple(_case(member, f"{here}[{i}]") for i, member in enumerate(members))
        elif not isinstance(members, list) or not members or not all(_is_value(m) for m in members):
            raise ConfigError(
                f"{here}: found {brief(members)}; expected a list of values of the column, a mapping of columns "
                "to values, or `rest`"
            )
        else:
            values = sorted({_text(member) for member in members})
            for value in values:
                if owner.setdefault(value, name) != name:
                    raise ConfigError(
                        f"{where}: {value!r} is in {owner[value]!r} and {name!r}; keep it in one"
                    )
            groups[name] = tuple(values)
    if [case for cases in groups.values() for case in cases].count(Case(values=())) > 1:
        raise ConfigError(f"{where}: two groups are `rest`; keep one of them")
    return groups


def columns_of(groups: Groups) -> tuple[str, ...]:
    """Return the columns that cases name, in the order of the run file."""
    cases = (case for cases in groups.values() for case in cases if isinstance(case, Case))
    return tuple(dict.fromkeys(condition.column for case in cases for condition in case.values))


def _case(settings: Mapping[str, Any], where: str) -> Case:
    if not settings:
        raise ConfigError(f"{where}: no column; name at least one with its values")
    return Case(values=tuple(_values(str(column), value, where) for column, value in settings.items()))


def _values(column: str, value: Any, where: str) -> Values:
    here = f"{where}.{column}"
    if isinstance(value, Mapping):
        check_keys(value, ("min", "max"), here)
        bounds = dict(value)
        if not bounds or not all(
            isinstance(b, (int, float)) and not isinstance(b, bool) for b in bounds.values()
        ):
            raise ConfigError(f"{here}: found {brief(value)}; expected numbers for `min`, `max` or both")
        low, high = (float(bounds[key]) if key in bounds else None for key in ("min", "max"))
        return Values(column=column, min=low, max=high)
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(item is None or _is_value(item) for item in listed):
        raise ConfigError(f"{here}: found {brief(value)}; expected a value, a list of values, or min and max")
    return Values(column=column, among=tuple(None if item is None else _text(item) for item in listed))


def _is_value(value: Any) -> bool:
    return isinstance(value, (bool, int)) or (isinstance(value, str) and bool(value))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
