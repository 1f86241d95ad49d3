"""The file of an ablation: corpora, what they are measured on, and how the proxies are trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError
from pipeline.names import check_keys, is_plain_name, nearest
from pipeline.settings import check_settings

SMOKE_PARAMETERS, SMOKE_BYTES = 15_000_000, 300_000_000
"""Below these an ablation says nothing about large models and is called a smoke test: rankings by proxies with fewer
than 15 million parameters are unreliable (Olmix, arXiv 2602.12237)."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts to train on: a mix or the data of a release, or files.

    order: a file with the doc_id of each document to take, as of `mix swarm`, instead of a mix. plant: skill -> share
    of the tokens that are documents of the skill.
    """

    release: str = ""
    mix: str = ""
    order: str = ""
    files: tuple[str, ...] = ()
    plant: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.release) == bool(self.files):
            raise ConfigError("expected either release, the folder of a release, or files, a list of paths")
        if (self.mix or self.order) and not self.release:
            raise ConfigError("mix and order are of a release; name the release too")
        if self.mix and self.order:
            raise ConfigError("expected mix or order, not both")
        for skill, share in self.plant.items():
            if not 0 < share < 1:
                raise ConfigError(
                    f"plant.{skill} is {share}; expected a share of the tokens above 0 and below 1"
                )


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Clean texts that no corpus may contain. bytes: as many are measured, of whole documents."""

    files: tuple[str, ...]
    bytes: int = 300_000


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """An ablation.

    corpora: name -> what to train on. baseline: the one that others are compared with; the first if empty.
    evaluate: name -> texts to measure on, such as zh and en. skills: tasks with known answers to measure on.
    n_tasks: tasks of each skill. seeds: of weights and order; at least 3 for an interval. sizes: name -> shape of the
    proxies. train: settings of training. epochs: how often each document is seen: the same for all corpora, since one
    that repeats less teaches more (arXiv 2606.07597). vocabulary: entries of the tokenizer that is trained on equal
    parts of all corpora; tokenizer: a tokenizer.json instead. chinese_share: of the bytes that are drawn from every
    corpus, so that corpora of different ratios are compared in what is left; None: the ratio of each. confidence: of
    the intervals.
    """

    corpora: Mapping[str, Corpus]
    baseline: str = ""
    evaluate: Mapping[str, Texts] = field(default_factory=dict)
    skills: tuple[str, ...] = ()
    n_tasks: int = 300
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"default": {}})  # Any: numbers
    train: Mapping[str, Any] = field(default_factory=dict)  # Any: numbers
    epochs: int = 1
    vocabulary: int = 4096
    tokenizer: str = ""
    chinese_share: float | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if len(self.corpora) < 2:
            raise ConfigError("corpora: expected two or more to compare")
        for where in ("corpora", "evaluate", "sizes"):
            for name in getattr(self, where):
                if not is_plain_name(name):
                    raise ConfigError(f"{where}: {name!r} is no name; use letters, digits and _")
        if self.base not in self.corpora:
            raise ConfigError(f"baseline {self.base!r}{nearest(self.base, self.corpora)}")
        if not self.evaluate and not self.skills:
            raise ConfigError("evaluate: name texts to measure on, such as zh and en, or skills")
        if len(set(self.seeds)) < max(2, len(self.seeds)):
            raise ConfigError("seeds: expected two or more different numbers; an interval needs repeats")
        for name, least in (("epochs", 1), ("vocabulary", 300), ("n_tasks", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if self.chinese_share is not None and not 0 <= self.chinese_share <= 1:
            raise ConfigError(f"chinese_share is {self.chinese_share}; expected a share from 0 to 1")
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(f"confidence is {self.confidence}; expected 0.5 or more and below 1")

    @property
    def base(self) -> str:
        """Name of the corpus that others are compared with."""
        return self.baseline or next(iter(self.corpora))

    @property
    def runs(self) -> list[tuple[str, str, int]]:
        """Runs as (size, corpus, seed), seeds in the outer loop, so that all corpora have as many at any time."""
        return [(size, name, seed) for seed in self.seeds for size in self.sizes for name in self.corpora]


def load_ablation(path: str) -> Ablation:
    """Read the file of an ablation; paths in it are relative to it.

    Raises: ConfigError for what is wrong in it, with its place.
    """
    try:
        values = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping with corpora and evaluate; see docs/ablate.md")
    folder = os.path.dirname(os.path.abspath(path))
    for where, kind in (("corpora", Corpus), ("evaluate", Texts)):
        entries = values.get(where, {})
        if not isinstance(entries, dict):
            raise ConfigError(f"{path}: {where}: expected a mapping of names")
        values[where] = {
            name: _made(kind, entry, f"{path}: {where}.{name}", folder) for name, entry in entries.items()
        }
    if values.get("tokenizer"):
        values["tokenizer"] = os.path.join(folder, values["tokenizer"])
    made: Ablation = _made(Ablation, values, path, None)
    return made


def _made(kind: type, entry: Any, where: str, folder: str | None) -> Any:  # Any: YAML, the kind made
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: expected a mapping of {', '.join(item.name for item in fields(kind))}")
    check_keys(entry, [item.name for item in fields(kind)], where)
    values = dict(entry)
    if isinstance(values.get("files"), str):
        values["files"] = [values["files"]]
    try:
        if folder is not None:
            check_settings(kind, values)
            if "files" in values:
                values["files"] = tuple(_resolved(item, folder) for item in values["files"])
            for name in ("release", "order"):
                if values.get(name):
                    values[name] = _resolved(values[name], folder)
        for name in ("seeds", "skills"):
            if name in values:
                values[name] = tuple(values[name])
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _resolved(path: str, folder: str) -> str:
    return path if "://" in path else os.path.join(folder, path)
