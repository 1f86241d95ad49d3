"""Every stage and global step of the repository, found by scanning, and the inputs to run one.

A step that reads columns of others gets them from the others, run first on the same documents.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Sequence

import pyarrow as pa

from pipeline.checking import in_memory
from pipeline.checking.in_memory import values
from pipeline.recipe import absent
from pipeline.stage import Annotate, Global, Stage

__all__ = ["Corpus", "found", "globals_", "loaded", "modules", "producer", "stages", "values"]

PACKAGES = ("stages", "classifiers")


@functools.cache
def modules() -> tuple[str, ...]:
    """Dotted names of all modules below the scanned packages, readers apart."""
    names: list[str] = []
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        names += [module.name for module in pkgutil.walk_packages(path, f"{package}.")]
    return tuple(sorted(name for name in names if not name.startswith("stages.readers")))


@functools.cache
def found() -> dict[str, Stage | Global]:
    """Module -> its STAGE or GLOBAL; a module that cannot be imported fails a test of its own."""
    steps: dict[str, Stage | Global] = {}
    for name in modules():
        try:
            module = importlib.import_module(name)
        except Exception:
            continue
        step = getattr(module, "STAGE", None) or getattr(module, "GLOBAL", None)
        if isinstance(step, (Stage, Global)) and step not in steps.values():
            steps[name] = step
    return steps


@functools.cache
def stages() -> dict[str, Stage]:
    """Module -> stage that can be loaded here and whose output is the same everywhere, unlike torch's."""
    cpu = {name: step for name, step in found().items() if isinstance(step, Stage) and step.kind == "cpu"}
    return {name: step for name, step in cpu.items() if not absent(step)}


@functools.cache
def globals_() -> dict[str, Global]:
    """Module -> global step."""
    return {name: step for name, step in found().items() if isinstance(step, Global)}


def loaded(name: str) -> Annotate:
    """The annotate function of the stage with this name, with its default config."""
    stage = producer(name)
    assert isinstance(stage, Stage)
    return in_memory.loaded(stage)


def producer(name: str) -> Stage | Global:
    """The step that writes columns `name.*`.

    Raises: LookupError if there is none.
    """
    for step in found().values():
        if step.name == name:
            return step
    raise LookupError(f"no stage or global step is named {name!r}")


class Corpus(in_memory.Corpus):
    """Documents in shards, and all columns of the repository's steps on them."""

    def __init__(self, shards: Sequence[pa.Table]) -> None:
        super().__init__(shards, producer)
