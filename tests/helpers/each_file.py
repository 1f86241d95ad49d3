"""One test over all files: a check of each of them, whose failures are listed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tests.helpers.paths import ROOT

Check = Callable[[Path], None]


def each_of(paths: Iterable[Path]) -> Callable[[Check], Callable[[], None]]:
    """Make a test of a check of one file: it fails with the files for which the check fails, and why."""
    found = list(paths)

    def over_all(check: Check) -> Callable[[], None]:
        def test() -> None:
            failed = {}
            for path in found:
                try:
                    check(path)
                except AssertionError as error:
                    failed[path.relative_to(ROOT).as_posix()] = str(error)
            assert found
            assert failed == {}

        test.__name__, test.__doc__, test.__module__ = check.__name__, check.__doc__, check.__module__
        return test

    return over_all
