"""Parse `keep_one`: which of several duplicates is kept, and which occurrence of a repeated passage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pipeline.config.quantities import parse_list, parse_share, parse_text, parse_whole
from pipeline.config.run_file import MODES, Against, GlobalStep, Guards, KeepOne, Step
from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys, nearest
from pipeline.recipe import config_of, load_step
from pipeline.schema import OWNERS
from pipeline.stage import Global

KEYS = ("use", "config", "of", "passages", "prefer", "against", "guards")

HASHES = ("exact.match_hash", "exact.raw_hash")
"""Hash columns of the default stage for exact duplicates."""


def parse_keep_one(
    section: dict[str, Any], steps: Mapping[str, Step], where: str, release: str
) -> KeepOne | None:
    """Parse the section `keep_one`; None if it is empty.

    Args: steps, of the run file by name; where, prefix of messages; release, the name of the run file's own release.
    Raises: ConfigError for an unknown key or step, or a value of the wrong form.
    """
    if not section:
        return None
    check_keys(section, KEYS, where)
    passages = parse_passages(section.get("passages"), steps, where)
    of = section.get("of", None if passages and "dedup" not in steps else "dedup")
    if of is not None and parse_text(of, f"{where}.of") not in steps:
        raise ConfigError(f"{where}.of: no global step {of!r}{nearest(of, steps)}")
    module = section.get("use", "stages.dedup.keepers")
    keepers = choosing_step("keepers", module, section.get("config"), where) if of else None
    return KeepOne(
        keepers=keepers,
        of=of, prefer=parse_prefer(parse_list(section.get("prefer"), f"{where}.prefer"), where), passages=passages,
        owners=choosing_step(OWNERS, "stages.passages.owners", None, where) if passages else None,
        against=parse_against(section.get("against"), where, release),
        guards=parse_guards(section.get("guards"), where),
        hashes=HASHES if of and "exact" in steps else (),
    )  # fmt: skip


def parse_prefer(entries: Any, where: str) -> tuple[tuple[str, bool], ...]:  # Any: a YAML value
    """Parse `prefer`: columns, and whether high values are better.

    Raises: ConfigError for anything else than mappings of a column to `high` or `low`.
    """
    prefer = []
    for item in entries:
        if not isinstance(item, dict) or len(item) != 1 or next(iter(item.values())) not in ("high", "low"):
            raise ConfigError(
                f"{where}.prefer: {brief(item)}; expected entries such as {{signals.n_chars: high}}"
            )
        ((column, direction),) = item.items()
        prefer.append((str(column), direction == "high"))
    return tuple(prefer)


def parse_against(section: Any, where: str, release: str) -> Against | None:  # Any: a YAML value
    """Parse `against`: an earlier release and how its documents take part.

    Raises: ConfigError for another form, an unknown mode, or the run file's own release.
    """
    if section is None:
        return None
    where = f"{where}.against"
    if not isinstance(section, dict):
        raise ConfigError(
            f"{where} is {brief(section)}; expected {{release: NAME, mode: {' | '.join(MODES)}}}"
        )
    check_keys(section, ("release", "mode"), where)
    name, mode = section.get("release") or "", section.get("mode")
    if mode not in MODES:
        raise ConfigError(f"{where}.mode is {brief(mode)}; expected one of {', '.join(MODES)}")
    if not isinstance(name, str) or name in ("", release):
        raise ConfigError(
            f"{where}.release is {name!r}; expected an earlier release, not the run file's own ({release})"
        )
    return Against(name, mode)


def parse_guards(section: Any, where: str) -> Guards:  # Any: a YAML value
    """Parse `guards`: limits on the documents removed as duplicates.

    Raises: ConfigError for an unknown key or a value of the wrong form.
    """
    where = f"{where}.guards"
    if section is None:
        return Guards()
    if not isinstance(section, dict):
        raise ConfigError(f"{where} is {brief(section)}; expected a mapping such as {{source_share: 0.9}}")
    check_keys(section, Guards.__dataclass_fields__, where)
    limits: dict[str, Any] = {  # Any: shares and whole numbers
        key: parse_share(value, f"{where}.{key}")
        if key.endswith("_share")
        else parse_whole(value, f"{where}.{key}")
        for key, value in section.items()
    }
    return Guards(**limits)


def choosing_step(name: str, module: str, settings: Any, where: str) -> GlobalStep:  # Any: a YAML value
    """A step that chooses among documents by rules and order (keepers, owners).

    Raises: ConfigError if the module or its settings cannot be loaded.
    """
    definition: Global = load_step(module, "GLOBAL", where)
    config = config_of(definition, settings, f"{where}.config")
    return GlobalStep(name=name, module=module, definition=definition, config=config)


def parse_passages(value: Any, steps: Collection[str], where: str) -> tuple[str, ...]:
    """Parse `keep_one.passages`: no step, one or a list. Any: a YAML value.

    Raises: ConfigError for anything else, an unknown step, and a repeated one.
    """
    where = f"{where}.passages"
    names = [] if value is None else value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(
                f"{where} is {brief(value)}; expected a step or a list of steps, as [substring]"
            )
        if name not in steps:
            raise ConfigError(f"{where}: no step {name!r}{nearest(name, steps)}")
        if names.count(name) > 1:
            raise ConfigError(f"{where}: {name!r} is named twice; name each step once")
    return tuple(names)
