"""The `mix` section of a run file, checked once and frozen.

Grammar; all keys are optional:

    mix:
      default: zh50                # the mix that the column `copies` of the ledger counts
      max_discard: 0.6             # largest share of the available tokens that a mix may leave out
      warn: {epochs: 4, growth: 3} # see pipeline.mix.warnings
      holdout: {share: 0.001}      # see pipeline.mix.holdout
      mixes:
        zh50:
          by: language.label       # a column, or several; their values are the strata
          groups: {zh: [zho_Hans, zho_Hant], en: [eng_Latn]}   # see pipeline.mix.strata
          share: {zh: 0.5, en: 0.5}    # or `alpha: 0.3`, `temperature: 3.3`, `preset: unimax`, or
                                       # `schedule: [{until: 0.8, share: {...}}, {until: 1.0, share: {...}, to: {...}}]`
          disjoint: false              # no document in two phases of a schedule
          curve: {discard: 0.4, max: 7}    # see pipeline.mix.curve
          tokens: max              # or 200M, 1.5B; or `bytes: ...`, or `documents: ...`
          max_epochs: 1
          repeat:                      # documents taken more than once, see pipeline.mix.repeat
            column: dedup.cluster_size
            weights: {1: 1, 2: 2, 5: 4}    # or `fit: fineweb2, max: 5`
          seed: 0
          materialise: true
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any  # values of a parsed YAML file

from pipeline.errors import ConfigError
from pipeline.mix.curve import Curve, parse_curve
from pipeline.mix.holdout import HOLDOUT, Holdout, parse_holdout
from pipeline.mix.presets import Chosen, choose
from pipeline.mix.repeat import Repeat, parse_repeat
from pipeline.mix.strata import Case, Groups, columns_of, parse_groups, written
from pipeline.names import brief, check_keys, nearest

NATURAL = "natural"
MAX_PHASES = 256  # a training position has 8 bits for its phase

UNITS = ("tokens", "bytes", "documents")
"""What shares and totals of a mix count; each is also the key of its total."""

SHARE_KEYS = ("share", "alpha", "temperature", "preset", "schedule")
MIX_KEYS = (
    "by", "groups", *SHARE_KEYS, "disjoint", "curve", *UNITS, "max_epochs", "repeat", "seed", "materialise",
)  # fmt: skip

Shares = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class MixPhase:
    """Shares that apply until a fraction, in (0, 1], of the training order.

    to: shares at the end of the phase, to which those at its start change linearly; None if they are constant.
    """

    until: float
    share: Shares
    to: Shares | None = None


@dataclass(frozen=True, kw_only=True)
class Mix:
    """The settings of one mix.

    by: columns whose values are the strata; without any, all documents are one group.
    groups: name -> strata; a stratum in no group is left out unless a share names it.
    phases: shares over training order; one phase for a plain share, none for alpha.
    alpha: a group of n tokens has a share p ∝ n^alpha; 1 is natural, 0 uniform.
    unimax: equal shares, except that no group is repeated more than max_epochs times; takes the place of alpha.
    preset, missing: name of the preset, and its groups that the mix does not define.
    disjoint: all copies of a document are in one phase.
    curve: more copies for documents of higher quality buckets.
    unit: what is counted, one of UNITS. total: requested units; None is the largest that shares and max_epochs allow.
    max_epochs: largest number of passes over a group; with repeats, of copies of a document.
    repeat: how often documents are taken in one pass over a group; None is once.
    seed: of the keyed hash that chooses and orders documents.
    materialise: write the text of the mix to files of its own.
    """

    name: str
    by: tuple[str, ...] = ()
    groups: Groups = field(default_factory=dict)
    phases: tuple[MixPhase, ...] = ()
    alpha: float = 1.0
    unimax: bool = False
    preset: str | None = None
    missing: tuple[str, ...] = ()
    disjoint: bool = False
    curve: Curve | None = None
    unit: str = "tokens"
    total: int | None = None
    max_epochs: float = 1.0
    repeat: Repeat | None = None
    seed: int = 0
    materialise: bool = True

    @property
    def passes(self) -> Fraction:
        """Largest number of passes over a group; with repeats a whole number that observes max_epochs."""
        epochs = Fraction(str(self.max_epochs))
        return epochs if self.repeat is None else Fraction(epochs // self.repeat.max)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns whose values make up a stratum: those of `by`, then that of the curve."""
        return (*self.by, self.curve.column) if self.curve else self.by


@dataclass(frozen=True, kw_only=True)
class Warn:
    """Limits above which a mix is warned about, see pipeline.mix.warnings."""

    epochs: float = 4.0
    growth: float = 3.0


@dataclass(frozen=True, kw_only=True)
class MixSection:
    """The `mix` section of a run file. The mix `natural`, every kept document once, always exists.

    Unless the run file names `natural` or makes it the default, only its training order is written, which refers to
    rows of the data files.
    """

    default: str = NATURAL
    max_discard: float = 0.6
    warn: Warn = field(default_factory=Warn)
    holdout: Holdout | None = None
    mixes: Mapping[str, Mix] = field(default_factory=lambda: {NATURAL: Mix(name=NATURAL)})


def parse_mix(settings: Mapping[str, Any] | None, where: str) -> MixSection:
    """Parse the `mix` section of a run file; `where` is its name in errors.

    Raises: ConfigError if a setting is unknown, out of range or conflicts with another.
    """
    settings = _mapping(settings or {}, where)
    check_keys(settings, ("default", "max_discard", "warn", "holdout", "mixes"), where)
    entries = _mapping(settings.get("mixes") or {}, f"{where}.mixes")
    mixes = {name: _mix(name, value or {}, f"{where}.mixes.{name}") for name, value in entries.items()}
    default = settings.get("default", NATURAL)
    mixes.setdefault(NATURAL, Mix(name=NATURAL, materialise=default == NATURAL))
    if not isinstance(default, str) or default not in mixes:
        raise ConfigError(f"{where}.default: no mix {brief(default)}{nearest(str(default), mixes)}")
    max_discard = _number(settings.get("max_discard", 0.6), f"{where}.max_discard", 0, 1)
    warn = _mapping(settings.get("warn") or {}, f"{where}.warn")
    check_keys(warn, ("epochs", "growth"), f"{where}.warn")
    limits = {key: _number(value, f"{where}.warn.{key}", 1, 1e6) for key, value in warn.items()}
    holdout = parse_holdout(settings.get("holdout"), f"{where}.holdout")
    if holdout and HOLDOUT in mixes:
        raise ConfigError(
            f"{where}.mixes.{HOLDOUT}: this is the name of the documents that {where}.holdout holds out; "
            "choose another"
        )
    if holdout:
        mixes[HOLDOUT] = Mix(name=HOLDOUT, seed=holdout.seed, materialise=holdout.materialise)
    return MixSection(
        default=default, max_discard=max_discard, warn=Warn(**limits), holdout=holdout, mixes=mixes
    )


def _mix(name: str, settings: Mapping[str, Any], where: str) -> Mix:
    settings = _mapping(settings, where)
    check_keys(settings, ("seed", "materialise") if name == NATURAL else MIX_KEYS, where)
    _one_of(settings, SHARE_KEYS, where)
    _one_of(settings, UNITS, where)
    seed, materialise = settings.get("seed", 0), settings.get("materialise", True)
    if not isinstance(materialise, bool):
        raise ConfigError(f"{where}.materialise: found {brief(materialise)}; expected true or false")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ConfigError(f"{where}.seed: found {brief(seed)}; expected a whole number from 0 to 2**64 - 1")
    groups = parse_groups(_mapping(settings.get("groups") or {}, f"{where}.groups"), f"{where}.groups")
    by = _columns(settings, groups, where)
    chosen = choose(settings["preset"], list(groups), f"{where}.preset") if "preset" in settings else None
    phases = _chosen_phases(chosen) if chosen else _phases(settings, where)
    if len(by) > 1 and not groups:
        phases = tuple(_as_strata(phase) for phase in phases)
    _check_shares(phases, groups, where)
    disjoint = settings.get("disjoint", False)
    if not isinstance(disjoint, bool):
        raise ConfigError(f"{where}.disjoint: found {brief(disjoint)}; expected true or false")
    if disjoint and len(phases) < 2:
        raise ConfigError(f"{where}.disjoint: there are no two phases; write a `schedule`, or leave it out")
    curve = parse_curve(settings.get("curve"), f"{where}.curve")
    unit = next((key for key in UNITS if key in settings), "tokens")
    total = _total(settings.get(unit, "max"), f"{where}.{unit}")
    mix = Mix(
        name=name, by=by, groups=groups, phases=phases, alpha=_alpha(settings, chosen, where),
        unimax=bool(chosen and chosen.preset.unimax), preset=_preset_name(settings),
        missing=chosen.missing if chosen else (), disjoint=disjoint, curve=curve, unit=unit, total=total,
        max_epochs=_number(settings.get("max_epochs", 1.0), f"{where}.max_epochs", 1, 1e6),
        repeat=parse_repeat(settings.get("repeat"), f"{where}.repeat"), seed=seed, materialise=materialise,
    )  # fmt: skip
    _check_budget(mix, settings, where)
    return mix


def _one_of(settings: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    if len(given := [key for key in keys if key in settings]) > 1:
        raise ConfigError(f"{where}: found {' and '.join(given)}; keep one of them")


def _columns(settings: Mapping[str, Any], groups: Groups, where: str) -> tuple[str, ...]:
    """The columns of the strata: those of `by`, or those that the groups name."""
    by, named = settings.get("by"), columns_of(groups)
    listed = [by] if isinstance(by, str) else [] if by is None else by
    if not isinstance(listed, list) or not all(isinstance(c, str) and c for c in listed) or by == []:
        raise ConfigError(f"{where}.by: found {brief(by)}; name a column, or a list of columns")
    if len({*listed}) < len(listed):
        raise ConfigError(f"{where}.by: found {brief(by)}; name each column once")
    lists = [name for name, cases in groups.items() if any(isinstance(case, str) for case in cases)]
    columns = tuple(listed) or (() if lists else named)
    needing = [key for key in (*SHARE_KEYS, "groups") if key in settings]
    if not columns and needing:
        raise ConfigError(f"{where}: {needing[0]} needs `by`, the column of the strata")
    if lists and len(columns) > 1:
        raise ConfigError(
            f"{where}.groups.{lists[0]}: a list of values needs a single column in `by`; write a mapping of columns "
            f"to values: {columns[0]}: [...]"
        )
    for column in named:
        if column not in columns:
            raise ConfigError(f"{where}.groups: {column!r} is not in `by`{nearest(column, columns)}")
    return columns


def _alpha(settings: Mapping[str, Any], chosen: Chosen | None, where: str) -> float:
    """The exponent of the available tokens; that of a temperature T is 1 / T."""
    if "temperature" in settings:
        return 1 / _number(settings["temperature"], f"{where}.temperature", 0.1, 1e6)
    if chosen and chosen.preset.alpha is not None:
        return chosen.preset.alpha
    return _number(settings.get("alpha", 1.0), f"{where}.alpha", 0, 10)


def _preset_name(settings: Mapping[str, Any]) -> str | None:
    preset = settings.get("preset")
    return preset["name"] if isinstance(preset, Mapping) else preset


def _chosen_phases(chosen: Chosen) -> tuple[MixPhase, ...]:
    pairs = zip(chosen.ends, chosen.shares, strict=True)
    return tuple(MixPhase(until=until, share=share) for until, share in pairs)


def _as_strata(phase: MixPhase) -> MixPhase:
    """A phase whose shares name strata of several columns as people write them."""
    share, to = ({written(name): n for name, n in shares.items()} for shares in (phase.share, phase.to or {}))
    return MixPhase(until=phase.until, share=share, to=to or None)


def _check_shares(phases: tuple[MixPhase, ...], groups: Groups, where: str) -> None:
    """Raise ConfigError if a group has no share, or a value of a group has a share of its own."""
    with_share = {group for phase in phases for group in (*phase.share, *(phase.to or ()))}
    if phases and (without_share := sorted(groups.keys() - with_share)):
        raise ConfigError(f"{where}: group {without_share[0]!r} has no share; give it one (0 leaves it out)")
    listed = {case for cases in groups.values() for case in cases if isinstance(case, str)}
    if in_both := sorted(with_share & listed - groups.keys()):
        raise ConfigError(
            f"{where}: {in_both[0]!r} is in a group and has a share of its own; keep one of them"
        )
    cases = any(isinstance(case, Case) for cases in groups.values() for case in cases)
    if cases and (unknown := sorted(with_share - groups.keys())):
        raise ConfigError(f"{where}: no group {unknown[0]!r}{nearest(unknown[0], groups)}")


def _check_budget(mix: Mix, settings: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError if settings of how often documents are taken conflict, or a budget is missing."""
    if mix.repeat and mix.repeat.max > mix.max_epochs:
        raise ConfigError(
            f"{where}.repeat: documents are repeated up to {mix.repeat.max} times, but max_epochs is "
            f"{mix.max_epochs:g}; set max_epochs to {mix.repeat.max} or more, or lower the repeats"
        )
    if mix.curve and mix.repeat:
        raise ConfigError(f"{where}: found curve and repeat; keep one of them")
    if mix.curve and "max_epochs" in settings:
        raise ConfigError(
            f"{where}: with a curve, curve.max is the largest number of copies; leave max_epochs out"
        )
    if (mix.curve or mix.unimax) and mix.total is None:
        what = "a curve" if mix.curve else "unimax"
        raise ConfigError(f"{where}: {what} divides a budget; give `tokens: 10B`, or bytes or documents")


def _phases(settings: Mapping[str, Any], where: str) -> tuple[MixPhase, ...]:
    if "share" in settings:
        return (MixPhase(until=1.0, share=_share(settings["share"], f"{where}.share")),)
    entries = settings.get("schedule", [])
    if not isinstance(entries, list) or ("schedule" in settings and not 0 < len(entries) <= MAX_PHASES):
        raise ConfigError(f"{where}.schedule: expected 1 to {MAX_PHASES} entries of `until` and `share`")
    phases: list[MixPhase] = []
    for i, entry in enumerate(entries):
        where_entry = f"{where}.schedule[{i}]"
        entry = _mapping(entry, where_entry)
        check_keys(entry, ("until", "share", "to"), where_entry)
        until = _number(entry.get("until"), f"{where_entry}.until", 0, 1)
        if until <= (phases[-1].until if phases else 0):
            raise ConfigError(f"{where_entry}.until: found {until}; expected more than in the previous phase")
        share = _share(entry.get("share"), f"{where_entry}.share")
        to = _share(entry["to"], f"{where_entry}.to") if "to" in entry else None
        phases.append(MixPhase(until=until, share=share, to=to))
    if phases and phases[-1].until != 1:
        raise ConfigError(f"{where}.schedule: the last phase ends at {phases[-1].until}; expected 1.0")
    return tuple(phases)


def _share(settings: Any, where: str) -> dict[str, float]:
    share = {
        name: _number(value, f"{where}.{name}", 0, 1e12) for name, value in _mapping(settings, where).items()
    }
    if not any(share.values()):
        raise ConfigError(f"{where}: no share is above 0; give at least one group a share")
    return share


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{where}: found {brief(value)}; expected names and their settings")
    return value


def _number(value: Any, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"{where}: found {brief(value)}; expected a number from {low:g} to {high:g}")
    return float(value)


def _total(value: Any, where: str) -> int | None:
    if value == "max":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT]?)", str(value).replace("_", ""))
    if isinstance(value, bool) or not match:
        raise ConfigError(f"{where}: found {brief(value)}; expected max or a number such as 200M or 1.5B")
    tokens = Fraction(match[1]) * 1000 ** " KMBT".index(match[2] or " ")
    if tokens.denominator != 1 or not tokens:
        raise ConfigError(f"{where}: found {brief(value)}; expected a whole number above 0")
    return int(tokens)
