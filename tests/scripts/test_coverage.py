"""The comparison of coverage with its floors; measuring itself is left to the script."""

from __future__ import annotations

from scripts.maintenance.coverage import Lines, below, lines_by_package


def test_lines_are_added_up_by_package() -> None:
    """Files count for the package two levels deep, modules of a top-level package for that."""
    sums = lines_by_package(
        {
            "stages/dedup/exact.py": {"num_statements": 10, "covered_lines": 9},
            "stages/dedup/keepers.py": {"num_statements": 30, "covered_lines": 30},
            "stages/kernels/text/units.py": {"num_statements": 8, "covered_lines": 2},
            "stages/cuts.py": {"num_statements": 5, "covered_lines": 0},
        }
    )
    assert sums == {"stages": Lines(5, 0), "stages.dedup": Lines(40, 39), "stages.kernels": Lines(8, 2)}
    assert sums["stages.dedup"].percent == 97.5


def test_a_package_below_its_floor_is_named() -> None:
    """A package below its floor, without one, or only in the file of floors is reported; others are not."""
    sums = {"a": Lines(100, 90), "b": Lines(100, 90), "c": Lines()}
    assert below(sums, {"a": 90, "b": 90.5, "d": 1}) == [
        "c: 100.0 % has no floor",
        "b: 90.0 % of lines are run, below the floor of 90.5 %",
        "d: no such package; remove its floor",
    ]
