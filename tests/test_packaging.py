"""What is installed: the dependencies that the code imports, the types, and every data file."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.each_file import each_of
from tests.helpers.paths import ROOT

PACKAGES = ("pipeline", "stages", "classifiers")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
OPTIONAL: dict[str, tuple[str, ...]] = {
    "datatrove": ("regex",),
    "kenlm": ("kenlm",),
    "models": ("torch", "transformers"),
    "pdf": ("pypdfium2",),
}
"""Extra of pyproject.toml -> modules that a step names in `requires`: it, or a library that it calls, imports them."""
DISTRIBUTIONS = {"kenlm": "ufal-kenlm"}
"""Module -> distribution of another name."""


def name_of(requirement: str) -> str:
    """The distribution of a requirement, in lower case."""
    match = re.match(r"[\w.-]+", requirement)
    assert match
    return match[0].lower()


@functools.cache
def modules_of() -> dict[str, set[str]]:
    """Distribution in lower case -> its top-level modules, for what is installed."""
    names: dict[str, set[str]] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        for distribution in distributions:
            names.setdefault(distribution.lower(), set()).add(module)
    return names


READ = {"plotly"}
"""Dependencies of which a file is read, the script that draws charts in a page: no installed file imports them."""

CORE = {name_of(requirement) for requirement in PROJECT["project"]["dependencies"]}


@functools.cache
def imported(path: Path) -> set[str]:
    """Top-level modules of other projects that a file imports, also inside functions and type-checking blocks."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, *PACKAGES}


def files() -> list[Path]:
    """Python files that are installed."""
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@each_of(files())
def test_installed_code_imports_core_dependencies_only(path: Path) -> None:
    """A file imports no package that only the dev extra or another extra installs, late imports included.

    Except the PyTorch dataset of the feed, a module that only those import who train.
    """
    allowed = {module for name in CORE for module in modules_of()[name]}
    is_dataset = path == ROOT / "pipeline/feed/dataset.py"
    assert imported(path) - ({"torch"} if is_dataset else set()) <= allowed


def test_every_core_dependency_is_imported() -> None:
    """A dependency that no installed file imports is removed from pyproject.toml."""
    used = {module for path in files() for module in imported(path)}
    assert [name for name in sorted(CORE - READ) if not used & modules_of()[name]] == []


def test_optional_packages_are_in_an_extra() -> None:
    """A package that a step names in `requires` is installed by the core or by an extra of its own."""
    named = set()
    for path in files():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "requires" and isinstance(node.value, ast.Tuple):
                named |= {element.value for element in node.value.elts if isinstance(element, ast.Constant)}
    core = {module for name in CORE for module in modules_of()[name]}
    assert named - core == {module for modules in OPTIONAL.values() for module in modules}
    for extra, modules in OPTIONAL.items():
        requirements = PROJECT["project"]["optional-dependencies"][extra]
        distributions = {DISTRIBUTIONS.get(module, module) for module in modules}
        assert distributions <= {name_of(requirement) for requirement in requirements}


@pytest.mark.parametrize("package", PACKAGES)
def test_types_and_data_are_installed(package: str) -> None:
    """The package declares its types, and each of its data files is matched by package-data."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"][package]
    matched = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    data = {
        path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert ROOT / package / "py.typed" in matched
    assert {path for path in data if path.suffix != ".py"} - matched == set()


def test_supported_versions_are_documented() -> None:
    """docs/supported.md has a row for each Python in the classifiers; the least one is in `requires-python`."""
    project = PROJECT["project"]
    versions = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert project["requires-python"] == f">={versions[0]}"
    page = (ROOT / "docs/supported.md").read_text("utf-8")
    supported = re.findall(r"^\| Python (3\.\d+) \| supported \|", page, re.M)
    assert supported == versions
