"""Language profiles: language-specific data for signals and default rules, as data files.

`<name>.yaml` contains the data for measurements (labels, stop words, line length); its digest enters the recipes of the
stages that load it. `<name>.rules.yaml` contains the default `select` rules, in a separate file, so that a new
threshold recomputes nothing; `presets/<name>.yaml` those of a published filter. `<name>.lines.yaml` contains patterns
of boilerplate lines, `<name>.cot.yaml` those of worked solutions; `<name>.run.yaml` the sections of a
run file that `use: <name>` stands for. `punctuation.yaml`, `endings.yaml`, `phrases.yaml`
and `turns.yaml` apply to all languages, because documents mix them. Labels without a profile use `und`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError

_FOLDER = Path(__file__).parent
GENERIC = "und"
PUNCTUATION_PATH = str(_FOLDER / "punctuation.yaml")
ENDINGS_PATH = str(_FOLDER / "endings.yaml")
ASKING_PATH = str(_FOLDER / "asking.yaml")
PHRASES_PATH = str(_FOLDER / "phrases.yaml")
TURNS_PATH = str(_FOLDER / "turns.yaml")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One language, or several that are measured in the same way.

    labels: the language labels it applies to. short_line_chars: longest short line, in characters.
    stop_words: at most 64 words in the units of signals (a Han character, or a run of letters).
    openers: stop words that no other stop word follows in a sentence.
    rules: the default `select` rules, in the grammar of the run file.

    Raises: ConfigError if there are more than 64 stop words.
    """

    name: str
    labels: tuple[str, ...]
    short_line_chars: int
    stop_words: tuple[str, ...]
    openers: tuple[str, ...]
    rules: tuple[dict[str, Any], ...]  # Any: a condition is a mapping, a name text, a base mark a bool

    def __post_init__(self) -> None:
        if len(self.stop_words) > 64:
            raise ConfigError(f"{self.name}.yaml: {len(self.stop_words)} stop words; expected at most 64")


def profile_names() -> list[str]:
    """Return the names of all profiles, sorted."""
    return sorted(path.name.removesuffix(".rules.yaml") for path in _FOLDER.glob("*.rules.yaml"))


def profile_paths() -> tuple[str, ...]:
    """Return the files that measurements depend on: one per profile, and the punctuation of all."""
    return (*(str(_FOLDER / f"{name}.yaml") for name in profile_names()), PUNCTUATION_PATH)


def line_paths() -> tuple[str, ...]:
    """Return the files with patterns of boilerplate lines, sorted."""
    return tuple(sorted(map(str, _FOLDER.glob("*.lines.yaml"))))


@cache
def load_profiles() -> tuple[Profile, ...]:
    """Load all profiles, in the order of `profile_names`."""
    profiles = []
    for name in profile_names():
        fields = read_yaml(_FOLDER / f"{name}.yaml")
        profiles.append(
            Profile(
                name=name,
                labels=tuple(fields["labels"]),
                short_line_chars=fields["short_line_chars"],
                stop_words=tuple(str(fields["stop_words"] or "").split()),
                openers=tuple(str(fields.get("openers") or "").split()),
                rules=tuple(read_yaml(_FOLDER / f"{name}.rules.yaml")["rules"]),
            )
        )
    return tuple(profiles)


@cache
def run_sets() -> dict[str, str]:
    """Return name -> text of the sets of sections that a run file may name with `use`."""
    paths = sorted(_FOLDER.glob("*.run.yaml"))
    return {path.name.removesuffix(".run.yaml"): path.read_text(encoding="utf-8") for path in paths}


def preset_paths() -> tuple[str, ...]:
    """Return the files of presets: published filters, and `recommended`; sorted by name."""
    return tuple(sorted(map(str, (_FOLDER / "presets").glob("*.yaml"))))


@cache
def presets() -> dict[str, tuple[dict[str, Any], ...]]:  # Any: YAML values of a rule
    """Return lists of rules that a run file may name: the defaults of each profile, published filters, `recommended`.

    Rules of a profile apply to its labels, those of `und` to labels that no other profile has. The `where` of a
    published filter applies to all its rules. A preset with `combines` has the rules of these profiles after its own;
    their names begin with that of the profile.
    """
    other_labels = [
        label for profile in load_profiles() if profile.name != GENERIC for label in profile.labels
    ]
    rules_by_name = {}
    for profile in load_profiles():
        labels = {"not_in": other_labels} if profile.name == GENERIC else list(profile.labels)
        rules_by_name[profile.name] = _ask_for({"language.label": labels}, profile.rules)
    for path in preset_paths():
        preset = read_yaml(path)
        rules = _ask_for(preset.get("where") or {}, preset["rules"])
        for name in preset.get("combines", ()):
            rules += tuple({**rule, "name": f"{name}_{rule['name']}"} for rule in rules_by_name[name])
        rules_by_name[Path(path).stem] = rules
    return rules_by_name


@cache
def combined_presets() -> frozenset[str]:
    """Return the names of the presets that combine others, whose rules already have a prefix."""
    return frozenset(Path(path).stem for path in preset_paths() if "combines" in read_yaml(path))


def _ask_for(where: dict[str, Any], rules: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {**rule, "where": found} if (found := {**where, **rule.get("where", {})}) else dict(rule)
        for rule in rules
    )


def load_profile(label: str | None) -> Profile:
    """Return the profile of a language label; `und` for an unknown label or None."""
    return load_profiles()[profile_index(label)]


def profile_index(label: str | None) -> int:
    """Return the index of a label's profile in `load_profiles`."""
    return _index_of_label().get(label or GENERIC, _index_of_label()[GENERIC])


ROLES = (
    "line_end",
    "sentence",
    "sentence_before_blank",
    "closer",
    "bullet",
    "bullet_before_blank",
    "ellipsis",
    "ellipsis_by_three",
)
"""Roles of punctuation; role k is bit k of `load_roles`, as read in `kernels.text.lines`."""


def load_roles() -> np.ndarray:
    """Return the roles of each character below U+10000, from `punctuation.yaml`: uint8 (0x10000,)."""
    marks = read_yaml(PUNCTUATION_PATH)
    roles = np.zeros(0x10000, np.uint8)
    for bit, name in enumerate(ROLES):
        for mark in marks[name]:
            roles[ord(mark)] |= 1 << bit
    return roles


def load_asking() -> tuple[str, ...]:
    """Return the words that ask, in all languages."""
    return tuple(word for words in read_yaml(ASKING_PATH)["asking"] for word in words)


def load_endings() -> tuple[str, ...]:
    """Return the endings of lines that invite to read on, in match characters."""
    return tuple(read_yaml(ENDINGS_PATH)["read_more"])


@cache
def _index_of_label() -> dict[str, int]:
    return {label: index for index, profile in enumerate(load_profiles()) for label in profile.labels}
