"""The layout of the repository: who may import whom, and that files have docstrings."""

from __future__ import annotations

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline
from tests.helpers.each_file import Check, each_of
from tests.helpers.paths import ROOT

PACKAGES = ("pipeline", "stages", "classifiers")
FOLDERS = (*PACKAGES, "scripts", "tests")
CONTRACT = {
    f"pipeline.{name}"
    for name in (
        "stage",
        "service",
        "schema",
        "errors",
        "spans",
        "excerpt",
        "names",
        "recipe",
        "rounds",
        "keysort",
        "keyed_hash",
        "model_files",
        "array_files",
        "data_files",
    )
}


def files(*folders: str) -> list[Path]:
    """Python files below these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def each(*folders: str) -> Callable[[Check], Callable[[], None]]:
    """Check every Python file below these folders."""
    return each_of(files(*folders))


@functools.cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text("utf-8"), str(path))


@functools.cache
def imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """Modules that a file imports, as dotted names, and whether at its top level or inside a function.

    `from package import name` counts as the module `package.name` where there is one. Type-checking blocks
    count as well: a type is a dependency too.
    """
    inside = {
        id(node)
        for function in ast.walk(tree(path))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree(path)):
        at_top = id(node) not in inside
        if isinstance(node, ast.Import):
            found += [(alias.name, at_top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            names = (f"{base}.{alias.name}" for alias in node.names)
            found += [(name if _is_module(name) else base, at_top) for name in names]
    return tuple(found)


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = list(path.relative_to(ROOT).parts[: -node.level])
    return ".".join([*package, *([node.module] if node.module else [])])


@functools.cache
def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def ours(path: Path) -> set[str]:
    """Modules of our packages that a file imports."""
    return {name for name, _ in imports(path) if name.split(".")[0] in FOLDERS}


@each("pipeline")
def test_the_engine_knows_no_stage(path: Path) -> None:
    """pipeline imports neither stages nor classifiers: it loads them by the names of the run file."""
    assert {name for name in ours(path) if name.split(".")[0] != "pipeline"} == set()


LAYERS = (
    "cli", "operate", "ablation", "browse", "jobs", "build", "erasure", "labelling", "filings", "inspect", "feed",
    "release", "report", "select", "planning", "checking", "mapreduce", "ingest", "annotate", "scaffold", "config",
    "dataset", "runtime", "rules", "mix", "storage", "",
)  # fmt: skip
"""Packages of pipeline from the top to its root, the empty name; each imports from those after it only."""


def package_of(module: str) -> str:
    """The package of pipeline that a module is in; empty for the modules at its root."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / "pipeline" / parts[1]).is_dir() else ""


def test_packages_of_the_engine_import_downward() -> None:
    """Packages of pipeline import from lower ones only, in type-checking blocks and functions as well."""
    upward = set()
    for path in files("pipeline"):
        module = _module_name(path)
        if path.name in ("__main__.py",) or module == "pipeline":
            continue
        for name in ours(path):
            own, other = package_of(module), package_of(name)
            if name.startswith("pipeline.") and own != other and LAYERS.index(other) <= LAYERS.index(own):
                upward.add((module, name))
    assert upward == set()


def test_every_package_of_the_engine_has_its_layer() -> None:
    """Every folder of pipeline is among the layers."""
    folders = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert folders == set(LAYERS) - {""}


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@each("stages")
def test_stages_import_the_contract_only(path: Path) -> None:
    """stages imports itself and the contract modules of pipeline, never classifiers."""
    assert {name for name in ours(path) if name.split(".")[0] != "stages"} <= CONTRACT


@each("classifiers")
def test_classifiers_import_kernels_languages_and_checks(path: Path) -> None:
    """classifiers imports itself, the contract modules of pipeline, and kernels, profiles and checks of stages.

    What a model wrote is judged by rules of stages for any text, and released as their worked solutions are.
    """
    others = {name for name in ours(path) if name.split(".")[0] != "classifiers"}
    shared: tuple[str, ...] = ("stages.kernels", "stages.languages", "stages.checks")
    if path.name == "paraphrases.py":  # benchmark items are read in one way
        shared += ("stages.benchmark_",)
    if any(path.is_relative_to(ROOT / "classifiers" / name) for name in ("llm", "cot_llm")):
        shared += ("stages.pii", "stages.cot")
    assert {name for name in others if not name.startswith(shared)} <= CONTRACT


TORCH_MODULE = "pipeline.feed.dataset"


@each(*PACKAGES)
def test_ray_and_torch_stay_in_their_places(path: Path) -> None:
    """ray is imported in pipeline/runtime, torch in classifiers, both inside functions only.

    The training feed is a PyTorch dataset: its module imports torch at the top, and no other module imports it there.
    """
    for name, at_top in imports(path):
        place = path.relative_to(ROOT).as_posix()
        if name.split(".")[0] == "ray":
            assert place in ("pipeline/runtime/engines.py", "pipeline/runtime/cluster.py") and not at_top, (
                name
            )
        assert name != TORCH_MODULE or not at_top
        if name.split(".")[0] == "torch" and _module_name(path) != TORCH_MODULE:
            assert place.startswith("classifiers/") and not at_top, name


@each(*PACKAGES)
def test_nothing_imports_scripts_or_tests(path: Path) -> None:
    """Installed code imports neither scripts nor tests."""
    assert not {name for name in ours(path) if name.split(".")[0] in ("scripts", "tests")}


@each("tests", "scripts")
def test_helpers_of_tests_are_in_one_place(path: Path) -> None:
    """No file imports a test file; test files and scripts import `tests.helpers`, helpers each other."""
    from_tests = {name for name in ours(path) if name.split(".")[0] == "tests"}
    assert {name for name in from_tests if not name.startswith("tests.helpers.")} == set()


@each("tests/helpers")
def test_helpers_hold_no_tests(path: Path) -> None:
    """A test function is in a file that pytest collects."""
    names = [node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)]
    assert not path.name.startswith("test_") and not [name for name in names if name.startswith("test_")]


@each(*FOLDERS)
def test_files_say_what_they_are(path: Path) -> None:
    """A file has a docstring."""
    assert ast.get_docstring(tree(path)), "no module docstring"


@each("tests")
def test_tests_say_what_they_test(path: Path) -> None:
    """A test function's docstring is one sentence of behaviour."""
    functions = (
        node for node in ast.walk(tree(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    silent = [
        node.name for node in functions if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


@each(*PACKAGES)
def test_packages_have_an_init(path: Path) -> None:
    """Every folder with code is a regular package, so that installing and scanning find it."""
    assert (path.parent / "__init__.py").exists()


HEAVY = ("ray", "torch", "numba", "polars", "numpy", "pyarrow", "obstore", "openai", "jsonschema")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ("import", "--help")])
def test_help_is_light(arguments: tuple[str, ...]) -> None:
    """A command that only prints help imports click and nothing that takes longer."""
    code = (
        "import runpy, sys\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "try: runpy.run_module('pipeline', run_name='__main__')\n"
        f"finally: print('heavy:', *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "bicorpus" in run.stdout and run.stdout.splitlines()[-1] == "heavy:"


def test_pipeline_is_this_repository() -> None:
    """The package under test is the one beside the tests, not an installed one of the same name."""
    assert pipeline.__file__ is not None
    assert Path(pipeline.__file__).resolve().is_relative_to(ROOT.resolve())


def test_the_kernel_cache_is_named_after_every_kernel_that_another_file_calls() -> None:
    """A kernel that calls one of another file calls one of a file that the digest of the cache covers."""
    from numba.core.registry import CPUDispatcher

    from stages.kernels import covered_files

    covered = {path.relative_to(ROOT).as_posix() for path in covered_files()}
    n_calls = 0
    for path in files(*PACKAGES):
        if "njit" not in path.read_text("utf-8"):
            continue
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        module = importlib.import_module(name)
        kernels = [kernel for kernel in vars(module).values() if isinstance(kernel, CPUDispatcher)]
        for kernel in (kernel for kernel in kernels if kernel.py_func.__module__ == name):
            for called in (module.__dict__.get(word) for word in kernel.py_func.__code__.co_names):
                if isinstance(called, CPUDispatcher) and called.py_func.__module__ != name:
                    n_calls += 1
                    file = called.py_func.__code__.co_filename
                    assert Path(file).relative_to(ROOT).as_posix() in covered, (kernel, called)
    assert n_calls > 100
