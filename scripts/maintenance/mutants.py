"""Mutants: small changes of the code that the tests of its module should notice.

    python -m scripts.maintenance.mutants stages.dedup --mutants 100 --seed 1
    python -m scripts.maintenance.mutants pipeline.select.verdicts --list

A mutant changes one comparison, operator, constant, condition or argument in a function. The tests of the module that
it is in run in a process of their own, which imports the changed code: `tests/<path>/test_<module>.py` if there is one,
otherwise all tests of its folder; --tests names others. A mutant that no test fails under survived, and is printed with
its line. Compiled kernels are left out: numba's cache would serve the code before the change.

Exit code 1 if fewer than --bar of the mutants were noticed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
BAR = 0.85
LONGEST_S = 300
"""Seconds after which tests count as having noticed the mutant: it hangs."""

MOST_BYTES = 4 << 30
"""Memory above which a mutant has an error: a wrong count may ask for any amount."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}


@dataclass(frozen=True)
class Mutant:
    """One change: module, line, number of the change in the module, and what it does."""

    module: str
    line: int
    number: int
    change: str


class Changer(ast.NodeTransformer):
    """Counts the places of a module that can be changed, and changes one. wanted: its number, -1 for none."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted, self.found = wanted, list[tuple[int, str]]()
        self._inside = 0

    def change(self, node: ast.AST, what: str, do: Callable[[], ast.AST]) -> ast.AST:
        """Note a place; make the change if it is the wanted one."""
        number = len(self.found)
        self.found.append((getattr(node, "lineno", 0), what))
        return do() if number == self.wanted else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Change the bodies of functions alone, not their decorators and annotations, and no compiled ones."""
        if any("njit" in ast.dump(decorator) for decorator in node.decorator_list):
            return node
        self._inside += 1
        node.args.defaults = [self.visit(value) for value in node.args.defaults]
        node.body = [self.visit(statement) for statement in node.body]
        self._inside -= 1
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Leave the texts of errors alone."""
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Leave docstrings alone."""
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Leave messages alone; exchange min and max, any and all."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("message", "say", "t", "field"):
            return node
        self.generic_visit(node)
        if not self._inside or name not in NAMES:
            return node

        def exchange() -> ast.AST:
            changed = copy.deepcopy(node)
            if isinstance(changed.func, ast.Attribute):
                changed.func.attr = NAMES[name]
            else:
                changed.func = ast.Name(NAMES[name], ast.Load())
            return changed

        return self.change(node, f"{name} -> {NAMES[name]}", exchange)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Exchange < and <=, == and !=, in and not in."""
        self.generic_visit(node)
        other = COMPARISONS.get(type(node.ops[0]))
        if not self._inside or other is None:
            return node
        what = f"{type(node.ops[0]).__name__} -> {other.__name__}"
        return self.change(
            node, what, lambda: ast.Compare(node.left, [other(), *node.ops[1:]], node.comparators)
        )

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Exchange + and -, * and //, & and |."""
        self.generic_visit(node)
        other = OPERATORS.get(type(node.op))
        if not self._inside or other is None or isinstance(node.left, (ast.JoinedStr, ast.List, ast.Dict)):
            return node
        what = f"{type(node.op).__name__} -> {other.__name__}"
        return self.change(node, what, lambda: ast.BinOp(node.left, other(), node.right))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """The same for += and the like."""
        self.generic_visit(node)
        other = OPERATORS.get(type(node.op))
        if not self._inside or other is None:
            return node
        what = f"{type(node.op).__name__}= -> {other.__name__}="
        return self.change(node, what, lambda: ast.AugAssign(node.target, other(), node.value))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Exchange `and` and `or`."""
        self.generic_visit(node)
        if not self._inside:
            return node
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        return self.change(
            node, f"{type(node.op).__name__} -> {other.__name__}", lambda: ast.BoolOp(other(), node.values)
        )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """Leave `not`, `~` and `-` out."""
        self.generic_visit(node)
        if not self._inside or isinstance(node.op, ast.UAdd):
            return node
        return self.change(node, f"{type(node.op).__name__} left out", lambda: node.operand)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Turn truth values, and raise whole numbers by one."""
        if not self._inside or not isinstance(node.value, (bool, int)):
            return node
        other = not node.value if isinstance(node.value, bool) else node.value + 1
        return self.change(node, f"{node.value} -> {other}", lambda: ast.Constant(other))

    def visit_If(self, node: ast.If) -> ast.AST:
        """Turn conditions."""
        self.generic_visit(node)
        if not self._inside or isinstance(node.test, (ast.Compare, ast.UnaryOp)):
            return node
        turned = ast.UnaryOp(ast.Not(), node.test)
        return self.change(node, "condition turned", lambda: ast.If(turned, node.body, node.orelse))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Leave formatted texts alone."""
        return node


def modules_of(name: str) -> list[str]:
    """Return a module, or all modules of a package."""
    path = ROOT.joinpath(*name.split("."))
    if path.with_suffix(".py").exists():
        return [name]
    if not path.is_dir():
        raise SystemExit(f"{name}: no such module or package")
    found = (p.relative_to(ROOT).with_suffix("").parts for p in sorted(path.rglob("*.py")))
    return [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in found]


def source_path(module: str) -> Path:
    """Return the file of a module."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def mutants_of(module: str) -> list[Mutant]:
    """Return every mutant of a module."""
    changer = Changer()
    changer.visit(ast.parse(source_path(module).read_text("utf-8")))
    return [Mutant(module, line, i, what) for i, (line, what) in enumerate(changer.found)]


def changed_tree(mutant: Mutant) -> ast.Module:
    """Return the module of a mutant with its change."""
    tree = Changer(mutant.number).visit(ast.parse(source_path(mutant.module).read_text("utf-8")))
    changed: ast.Module = ast.fix_missing_locations(tree)
    return changed


def tests_of(module: str) -> list[str]:
    """Return the tests of a module: the file of its name, else its folder, else the file that its package has."""
    *folders, name = module.split(".")
    folder = ROOT.joinpath("tests", *folders)
    for path in (folder / f"test_{name}.py", folder / name, folder):
        if path.is_file() or (path.is_dir() and any(path.glob("test_*.py"))):
            return [str(path)]
    return [str(path) for path in sorted(folder.parent.glob(f"test_{folders[-1]}*.py"))]


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a tree instead of its file."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of the module, None for all others."""
        if name != self.mutant.module:
            return None
        source = source_path(name)
        places = [str(source.parent)] if source.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, source, loader=self, submodule_search_locations=places
        )

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed code."""
        exec(
            compile(changed_tree(self.mutant), str(source_path(self.mutant.module)), "exec"), module.__dict__
        )


def dependents(module: str) -> set[str]:
    """Return the loaded modules of this repository that import a module, directly or not, and itself."""
    loaded = {name: getattr(found, "__file__", None) or "" for name, found in list(sys.modules.items())}
    files = {name: Path(path) for name, path in loaded.items() if path and Path(path).is_relative_to(ROOT)}
    imported = {name: imports_of(path) for name, path in files.items() if path.suffix == ".py"}
    found = {module, *(name for name, path in files.items() if path.is_relative_to(ROOT / "tests"))}
    while more := {name for name, names in imported.items() if name not in found and names & found}:
        found |= more
    return found


def forget(name: str) -> None:
    """Unload a module, also from its package, where `from package import module` would find the one before."""
    module = sys.modules.pop(name, None)
    package, _, leaf = name.rpartition(".")
    names = vars(sys.modules[package]) if package in sys.modules else {}
    if module is not None and names.get(leaf) is module:
        del names[leaf]


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, and what may be one."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


OPTIONS = ("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header")


def is_sound(tests: Sequence[str], log: str) -> bool:
    """Run tests in this process, which loads and compiles all that they need; return whether they pass."""
    import pytest

    with open(log, "w") as output, redirect_stdout(output):
        return pytest.main([*OPTIONS, *tests]) == 0


def survives(mutant: Mutant, tests: Sequence[str], log: str) -> bool:
    """Run tests in a forked process with a mutant; return whether they pass. log: their output."""
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with open(log, "w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        for name in dependents(mutant.module):
            forget(name)
        sys.meta_path.insert(0, Finder(mutant))
        import pytest

        os._exit(int(pytest.main([*OPTIONS, *tests])))
    begin = time.monotonic()
    ended = 0
    try:
        while not ended and time.monotonic() - begin < LONGEST_S:
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.05)
    finally:
        if not ended:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return bool(ended) and os.waitstatus_to_exitcode(status) == 0


def drawn(modules: Sequence[str], n: int, seed: int) -> list[Mutant]:
    """Draw mutants from modules, in the order of module and line."""
    everything = [mutant for module in modules for mutant in mutants_of(module)]
    chosen = random.Random(seed).sample(everything, min(n, len(everything)))
    return sorted(chosen, key=lambda mutant: (mutant.module, mutant.number))


def run(mutants: Sequence[Mutant], tests: Sequence[str], log: str) -> Iterator[tuple[Mutant, bool]]:
    """Yield each mutant and whether it survived; modules whose tests fail without a change are left out."""
    sound: dict[str, bool] = {}
    for mutant in mutants:
        mine = list(tests) or tests_of(mutant.module)
        if not mine:
            yield mutant, True
            continue
        if mutant.module not in sound:
            sound[mutant.module] = is_sound(mine, log)
            if not sound[mutant.module]:
                print(f"{mutant.module}: its tests fail without a change; see {log}", file=sys.stderr)
        if sound[mutant.module]:
            yield mutant, survives(mutant, mine, log)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="mutants", description="Change code and see whether tests notice.")
    parser.add_argument("name", help="module or package")
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", nargs="*", default=[], help="tests to run instead of those of the module")
    parser.add_argument("--bar", type=float, default=BAR)
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--log", default=os.devnull, help="file for the output of the last tests")
    options = parser.parse_args(arguments)
    mutants = drawn(modules_of(options.name), options.mutants, options.seed)
    if options.list:
        for mutant in mutants:
            print(f"{source_path(mutant.module).relative_to(ROOT)}:{mutant.line}: {mutant.change}")
        return 0
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process with a mutant is left
    survivors, n_run = [], 0
    for mutant, survived in run(mutants, options.tests, options.log):
        n_run += 1
        survivors += [mutant] if survived else []
        mark = "SURVIVED" if survived else "noticed"
        where = f"{source_path(mutant.module).relative_to(ROOT)}:{mutant.line}"
        print(f"{mark:8} {where}: {mutant.change}", file=sys.stderr, flush=True)
    score = 1 - len(survivors) / max(n_run, 1)
    if options.json:
        print(
            json.dumps({"run": n_run, "score": round(score, 3), "survivors": [asdict(m) for m in survivors]})
        )
    else:
        print(f"{options.name}: {n_run - len(survivors)} of {n_run} noticed ({score:.2f})")
    return 0 if score >= options.bar else 1


if __name__ == "__main__":
    sys.exit(main())
