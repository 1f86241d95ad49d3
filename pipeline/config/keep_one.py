"""Read `keep_one`: which of several like documents stays, and which occurrence of a repeated passage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pipeline.config.quantities import parse_share, parse_whole
from pipeline.config.run_file import MODES, Against, GlobalStep, Guards, KeepOne, Step
from pipeline.errors import ConfigError
from pipeline.names import check_keys, nearest
from pipeline.recipe import config_of, load_step
from pipeline.schema import OWNERS
from pipeline.stage import Global

KEYS = ("use", "config", "of", "passages", "prefer", "against", "guards")

HASHES = ("exact.match_hash", "exact.raw_hash")
"""Columns of the default stage that says which texts are the same."""


def parse_keep_one(
    page: dict[str, Any], steps: Mapping[str, Step], where: str, release: str
) -> KeepOne | None:
    """The section `keep_one`; None where it is empty.

    Args: steps, of the run file by name; release, the name of the run file's own release.
    """
    if not page:
        return None
    check_keys(page, KEYS, where)
    passages = parse_passages(page.get("passages"), steps, where)
    of = page.get("of", None if passages and "dedup" not in steps else "dedup")
    if of is not None and of not in steps:
        raise ConfigError(f"{where}.of: no global step {of!r}{nearest(str(of), steps)}")
    module = page.get("use", "stages.dedup.keepers")
    keepers = choosing_step("keepers", module, page.get("config"), where) if of else None
    return KeepOne(
        keepers=keepers,
        of=of, prefer=parse_prefer(page.get("prefer") or [], where), passages=passages,
        owners=choosing_step(OWNERS, "stages.passages.owners", None, where) if passages else None,
        against=parse_against(page.get("against"), where, release), guards=parse_guards(page.get("guards"), where),
        hashes=HASHES if of and "exact" in steps else (),
    )  # fmt: skip


def parse_prefer(
    entries: Any, where: str
) -> tuple[tuple[str, bool], ...]:  # Any: whatever the YAML page holds
    """Columns with whether high is better."""
    prefer = []
    for item in entries:
        if not isinstance(item, dict) or len(item) != 1 or next(iter(item.values())) not in ("high", "low"):
            raise ConfigError(f"{where}.prefer: {item!r}; expected entries such as {{signals.n_chars: high}}")
        ((column, direction),) = item.items()
        prefer.append((str(column), direction == "high"))
    return tuple(prefer)


def parse_against(page: Any, where: str, release: str) -> Against | None:  # Any: whatever the YAML page holds
    """An earlier release and what becomes of its documents."""
    if page is None:
        return None
    where = f"{where}.against"
    if not isinstance(page, dict):
        raise ConfigError(f"{where} is {page!r}; expected {{release: NAME, mode: {' | '.join(MODES)}}}")
    check_keys(page, ("release", "mode"), where)
    name, mode = str(page.get("release") or ""), page.get("mode")
    if mode not in MODES:
        raise ConfigError(f"{where}.mode is {mode!r}; expected one of {', '.join(MODES)}")
    if name in ("", release):
        raise ConfigError(
            f"{where}.release is {name!r}; expected an earlier release, not the one being cut ({release})"
        )
    return Against(name, mode)


def parse_guards(page: Any, where: str) -> Guards:  # Any: whatever the YAML page holds
    """Limits on what copies may take out."""
    where = f"{where}.guards"
    if page is None:
        return Guards()
    if not isinstance(page, dict):
        raise ConfigError(f"{where} is {page!r}; expected a mapping such as {{source_share: 0.9}}")
    check_keys(page, Guards.__dataclass_fields__, where)
    limits: dict[str, Any] = {  # Any: shares and whole numbers
        key: parse_share(value, f"{where}.{key}")
        if key.endswith("_share")
        else parse_whole(value, f"{where}.{key}")
        for key, value in page.items()
    }
    return Guards(**limits)


def choosing_step(
    name: str, module: str, settings: Any, where: str
) -> GlobalStep:  # Any: whatever the YAML page holds
    """A global step that the rules feed."""
    definition: Global = load_step(module, "GLOBAL", where)
    config = config_of(definition, settings, f"{where}.config")
    return GlobalStep(name=name, module=module, definition=definition, config=config)


def parse_passages(value: Any, steps: Collection[str], where: str) -> tuple[str, ...]:
    """Names of steps from `keep_one.passages`: none, one or a list. Any: whatever the YAML page holds there.

    Raises: ConfigError for anything else, a name that is no step, and one that stands twice.
    """
    where = f"{where}.passages"
    names = [] if value is None else value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{where} is {value!r}; expected a step or a list of steps, as [substring]")
        if name not in steps:
            raise ConfigError(f"{where}: no step {name!r}{nearest(name, steps)}")
        if names.count(name) > 1:
            raise ConfigError(f"{where}: {name!r} stands twice; name each step once")
    return tuple(names)
