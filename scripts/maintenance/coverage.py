"""Measure which lines of each package the tests run, and compare with the floors in coverage_floors.toml.

Runs pytest under coverage.py, child processes and worker processes included; arguments after `--` go to pytest, and
without any it runs all tests. That takes about twice as long as the tests alone. Several runs can be added up with
`--append`, such as one for each folder of tests. numba kernels are not counted (they run as machine code); see
`[tool.coverage]` in pyproject.toml.

Example: python -m scripts.maintenance.coverage --check -- -n 2 --dist loadfile --no-loadscope-reorder
Example: python -m scripts.maintenance.coverage --append -- tests/stages
Example: python -m scripts.maintenance.coverage --report --check
"""

from __future__ import annotations

import argparse
import io
import json
import math
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = Path(__file__).with_name("coverage_floors.toml")
SLACK = 1.0
"""Percentage points between the measured share and the floor that `--write-floors` sets."""


@dataclass(frozen=True)
class Lines:
    """Lines of a package: all that can run, and those that ran."""

    total: int = 0
    run: int = 0

    @property
    def percent(self) -> float:
        """Share of lines that ran, in percent; 100 for a package without any."""
        return 100 * self.run / self.total if self.total else 100.0


def package_of(path: str) -> str:
    """The package that a file counts for: two levels, such as `pipeline.rules`; modules of the root for the root."""
    parts = path.replace("\\", "/").split("/")
    return ".".join(parts[:2]) if len(parts) > 2 else parts[0]


def lines_by_package(files: Mapping[str, Mapping[str, int]]) -> dict[str, Lines]:
    """Add up files. Args: files, path -> `num_statements` and `covered_lines`. Returns: package -> lines, by name."""
    sums: dict[str, Lines] = {}
    for path, numbers in files.items():
        package = package_of(path)
        old = sums.get(package, Lines())
        sums[package] = Lines(old.total + numbers["num_statements"], old.run + numbers["covered_lines"])
    return dict(sorted(sums.items()))


def measured() -> dict[str, Lines]:
    """Lines by package, from the data files of the last runs."""
    from coverage import Coverage

    coverage = Coverage(config_file=str(ROOT / "pyproject.toml"))
    coverage.combine(keep=False) if list(ROOT.glob(".coverage.*")) else coverage.load()
    coverage.save()
    report = ROOT / ".coverage.json"
    with redirect_stdout(io.StringIO()):
        coverage.json_report(outfile=str(report))
    files = json.loads(report.read_text("utf-8"))["files"]
    report.unlink()
    return lines_by_package({path: file["summary"] for path, file in files.items()})


def below(sums: Mapping[str, Lines], floors: Mapping[str, float]) -> list[str]:
    """One message per package that has no floor, is below it, or does not exist."""
    faults = [
        f"{name}: {lines.percent:.1f} % has no floor" for name, lines in sums.items() if name not in floors
    ]
    for name, floor in floors.items():
        if name not in sums:
            faults.append(f"{name}: no such package; remove its floor")
        elif sums[name].percent < floor:
            faults.append(
                f"{name}: {sums[name].percent:.1f} % of lines are run, below the floor of {floor} %"
            )
    return faults


def table(sums: Mapping[str, Lines]) -> str:
    """The lines by package as a Markdown table, with a total."""
    total = Lines(sum(s.total for s in sums.values()), sum(s.run for s in sums.values()))
    rows = [("package", "lines", "run, %"), ("---", "---:", "---:")]
    rows += [(f"`{name}`", f"{s.total:,}", f"{s.percent:.1f}") for name, s in sums.items()]
    rows.append(("all", f"{total.total:,}", f"{total.percent:.1f}"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Read the command line, measure, print, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit 1 if a package is below its floor")
    parser.add_argument("--append", action="store_true", help="add to the data of earlier runs")
    parser.add_argument("--report", action="store_true", help="run nothing, use the data of earlier runs")
    parser.add_argument(
        "--write-floors", action="store_true", help=f"set floors {SLACK:g} below this measurement"
    )
    parser.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="arguments of pytest, after --")
    arguments = parser.parse_args()
    status = 0
    if not arguments.report:
        if not arguments.append:
            for path in (*ROOT.glob(".coverage.*"), *ROOT.glob(".coverage")):
                path.unlink()
        command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *arguments.pytest]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
    sums = measured()
    print(table(sums))
    if arguments.write_floors:
        least = {name: max(math.floor(s.percent - SLACK), 0) for name, s in sums.items()}
        head = "# Least share of lines, in percent, that the tests run in each package; see coverage.py.\n"
        FLOORS.write_text(head + "".join(f'"{name}" = {floor}\n' for name, floor in least.items()), "utf-8")
    floors = tomllib.loads(FLOORS.read_text("utf-8")) if FLOORS.exists() else {}
    faults = below(sums, floors) if arguments.check else []
    print("\n".join(faults), end="\n" if faults else "")
    sys.exit(status or (1 if faults else 0))


if __name__ == "__main__":
    main()
