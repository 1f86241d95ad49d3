"""The `mix` section of a run file, checked once and frozen.

Grammar; all keys are optional:

    mix:
      default: zh50                # the mix that the column `copies` of the ledger counts
      max_discard: 0.6             # largest share of the available tokens that a mix may leave out
      mixes:
        zh50:
          by: language.label       # a text column; its values are the strata
          groups: {zh: [zho_Hans, zho_Hant], en: [eng_Latn]}
          share: {zh: 0.5, en: 0.5}    # or `alpha: 0.3`, or `schedule: [{until: 0.8, share: {...}}, ...]`
          tokens: max              # or 200M, 1.5B
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
from pipeline.mix.repeat import Repeat, parse_repeat
from pipeline.names import brief, check_keys, nearest

NATURAL = "natural"
MAX_PHASES = 256  # a training position has 8 bits for its phase

Shares = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class MixPhase:
    """Shares that apply until a fraction, in (0, 1], of the training order."""

    until: float
    share: Shares


@dataclass(frozen=True, kw_only=True)
class Mix:
    """The settings of one mix.

    by: column whose values are the strata; None puts every document into one group.
    groups: name -> strata; a stratum in no group is left out unless a share names it.
    phases: shares over training order; one phase for a plain share, none for alpha.
    alpha: a group of n tokens has a share p ∝ n^alpha; 1 is natural, 0 uniform.
    tokens: requested total; None is the largest total that shares and max_epochs allow.
    max_epochs: largest number of passes over a group; with repeats, of copies of a document.
    repeat: how often documents are taken in one pass over a group; None is once.
    seed: of the keyed hash that chooses and orders documents.
    materialise: write the text of the mix to files of its own.
    """

    name: str
    by: str | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    phases: tuple[MixPhase, ...] = ()
    alpha: float = 1.0
    tokens: int | None = None
    max_epochs: float = 1.0
    repeat: Repeat | None = None
    seed: int = 0
    materialise: bool = True

    @property
    def passes(self) -> Fraction:
        """Largest number of passes over a group; with repeats a whole number that observes max_epochs."""
        epochs = Fraction(str(self.max_epochs))
        return epochs if self.repeat is None else Fraction(epochs // self.repeat.max)


@dataclass(frozen=True, kw_only=True)
class MixSection:
    """The `mix` section of a run file. The mix `natural`, every kept document once, always exists.

    Unless the run file names `natural` or makes it the default, only its training order is written, which refers to
    rows of the data files.
    """

    default: str = NATURAL
    max_discard: float = 0.6
    mixes: Mapping[str, Mix] = field(default_factory=lambda: {NATURAL: Mix(name=NATURAL)})


def parse_mix(settings: Mapping[str, Any] | None, where: str) -> MixSection:
    """Parse the `mix` section of a run file; `where` is its name in errors.

    Raises: ConfigError if a setting is unknown, out of range or conflicts with another.
    """
    settings = _mapping(settings or {}, where)
    check_keys(settings, ("default", "max_discard", "mixes"), where)
    entries = _mapping(settings.get("mixes") or {}, f"{where}.mixes")
    mixes = {name: _mix(name, value or {}, f"{where}.mixes.{name}") for name, value in entries.items()}
    default = settings.get("default", NATURAL)
    mixes.setdefault(NATURAL, Mix(name=NATURAL, materialise=default == NATURAL))
    if not isinstance(default, str) or default not in mixes:
        raise ConfigError(f"{where}.default: no mix {brief(default)}{nearest(str(default), mixes)}")
    max_discard = _number(settings.get("max_discard", 0.6), f"{where}.max_discard", 0, 1)
    return MixSection(default=default, max_discard=max_discard, mixes=mixes)


def _mix(name: str, settings: Mapping[str, Any], where: str) -> Mix:
    settings = _mapping(settings, where)
    keys = (
        "by",
        "groups",
        "share",
        "alpha",
        "schedule",
        "tokens",
        "max_epochs",
        "repeat",
        "seed",
        "materialise",
    )
    check_keys(settings, ("seed", "materialise") if name == NATURAL else keys, where)
    share_settings = [key for key in ("share", "alpha", "schedule") if key in settings]
    if len(share_settings) > 1:
        raise ConfigError(f"{where}: found {' and '.join(share_settings)}; keep one of them")
    by, seed, materialise = settings.get("by"), settings.get("seed", 0), settings.get("materialise", True)
    if by is not None and not isinstance(by, str):
        raise ConfigError(f"{where}.by: found {brief(by)}; name one text column")
    if by is None and (share_settings or "groups" in settings):
        raise ConfigError(f"{where}: {(*share_settings, 'groups')[0]} needs `by`, the column of the strata")
    if not isinstance(materialise, bool):
        raise ConfigError(f"{where}.materialise: found {brief(materialise)}; expected true or false")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ConfigError(f"{where}.seed: found {brief(seed)}; expected a whole number from 0 to 2**64 - 1")
    groups = _groups(settings.get("groups") or {}, f"{where}.groups")
    phases = _phases(settings, where)
    with_share = {group for phase in phases for group in phase.share}
    if phases and (without_share := sorted(groups.keys() - with_share)):
        raise ConfigError(f"{where}: group {without_share[0]!r} has no share; give it one (0 leaves it out)")
    if in_both := sorted(
        with_share & {stratum for strata in groups.values() for stratum in strata} - groups.keys()
    ):
        raise ConfigError(
            f"{where}: {in_both[0]!r} is in a group and has a share of its own; keep one of them"
        )
    repeat = parse_repeat(settings.get("repeat"), f"{where}.repeat")
    max_epochs = _number(settings.get("max_epochs", 1.0), f"{where}.max_epochs", 1, 1e6)
    if repeat and repeat.max > max_epochs:
        raise ConfigError(
            f"{where}.repeat: documents are repeated up to {repeat.max} times, but max_epochs is {max_epochs:g}; "
            f"set max_epochs to {repeat.max} or more, or lower the repeats"
        )
    return Mix(
        name=name,
        by=by,
        groups=groups,
        phases=phases,
        alpha=_number(settings.get("alpha", 1.0), f"{where}.alpha", 0, 10),
        tokens=_tokens(settings.get("tokens", "max"), f"{where}.tokens"),
        max_epochs=max_epochs,
        repeat=repeat,
        seed=seed,
        materialise=materialise,
    )


def _groups(settings: Any, where: str) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for name, strata in _mapping(settings, where).items():
        if not isinstance(strata, list) or not strata or not all(isinstance(s, str) and s for s in strata):
            raise ConfigError(
                f"{where}.{name}: found {brief(strata)}; expected a list of values of the column"
            )
        for stratum in strata:
            if owner.setdefault(stratum, name) != name:
                raise ConfigError(
                    f"{where}: {stratum!r} is in {owner[stratum]!r} and {name!r}; keep it in one"
                )
        groups[name] = tuple(sorted(set(strata)))
    return groups


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
        check_keys(entry, ("until", "share"), where_entry)
        until = _number(entry.get("until"), f"{where_entry}.until", 0, 1)
        if until <= (phases[-1].until if phases else 0):
            raise ConfigError(f"{where_entry}.until: found {until}; expected more than in the previous phase")
        phases.append(MixPhase(until=until, share=_share(entry.get("share"), f"{where_entry}.share")))
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


def _tokens(value: Any, where: str) -> int | None:
    if value == "max":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT]?)", str(value).replace("_", ""))
    if isinstance(value, bool) or not match:
        raise ConfigError(f"{where}: found {brief(value)}; expected max or a number such as 200M or 1.5B")
    tokens = Fraction(match[1]) * 1000 ** " KMBT".index(match[2] or " ")
    if tokens.denominator != 1 or not tokens:
        raise ConfigError(f"{where}: found {brief(value)}; expected a whole number of tokens above 0")
    return int(tokens)
