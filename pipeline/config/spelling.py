"""What the names of presets stand for, as text: sets of sections (`use`) and lists of rules (`preset`)."""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.config.run_sets import run_sets, set_of
from pipeline.errors import UsageError
from pipeline.names import nearest
from pipeline.recipe import load_step
from pipeline.rules.meanings import meaning_of
from pipeline.rules.presets import PRESETS, expand_presets
from pipeline.translation import t


def presets_by_kind() -> dict[str, list[str]]:
    """Return the names of sets and of lists of rules, under what a run file calls them."""
    return {"use": sorted(run_sets()), "preset": sorted(load_step(PRESETS, "presets", "preset")())}


def preset_plain(name: str) -> dict[str, Any]:  # Any: parsed YAML
    """Return the sections of a set with its rules spelt out, or the section `select` with the rules of a preset.

    Raises: UsageError if there is neither.
    """
    kinds = presets_by_kind()
    if name in kinds["use"]:
        sections = set_of(name, "use")
        return {**sections, "select": expand_presets(sections["select"], name)}
    if name in kinds["preset"]:
        return {"select": expand_presets([{"preset": name}], name)}
    raise UsageError(f"no preset {name!r}{nearest(name, [*kinds['use'], *kinds['preset']])}")


def preset_text(name: str) -> str:
    """Return the same as YAML, one entry to a line, as a run file has it.

    Raises: UsageError if there is no such name.
    """
    lines: list[str] = []
    for section, value in preset_plain(name).items():
        if isinstance(value, list):
            lines += [f"{section}:", *(f"{_remark(entry)}  - {flow(entry)}" for entry in value)]
        else:
            lines.append(f"{section}: {flow(value)}")
    return "\n".join(lines)


def _remark(entry: Any) -> str:  # Any: parsed YAML
    """What a document is that fails a rule, as a comment before it; nothing for other entries."""
    meaning = meaning_of(entry["name"]) if isinstance(entry, dict) and "name" in entry else None
    return f"  # {t(meaning)}\n" if meaning else ""


def flow(value: Any) -> str:  # Any: plain data
    """Return plain data as YAML on one line, quoted so that it is valid inside brackets."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, allow_unicode=True, sort_keys=False, width=1 << 30
    )
    return text.strip()[1:-1]
