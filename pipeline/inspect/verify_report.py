"""Results of `verify`: checks by name, and the faults that they found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from pipeline.cells import pad
from pipeline.errors import BicorpusError
from pipeline.translation import message, t

EXAMPLES = 5
READABLE = message("files can be read")


@dataclass
class VerifyReport:
    """Results of checks by name: the number of items checked, and the faults. skipped: checks that were not made."""

    checks: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def check(self, name: str, n_checked: int, faults: list[str]) -> None:
        """Record one check; faults of a name add up."""
        self.checks[name] = max(self.checks.get(name, 0), n_checked)
        if faults:
            self.faults.setdefault(name, []).extend(faults)

    def skip(self, name: str, why: str) -> None:
        """Record a check that could not be made."""
        self.skipped[name] = why

    @property
    def passed(self) -> bool:
        """Whether there are no faults."""
        return not self.faults

    def lines(self) -> list[str]:
        """One line per check, with the first few faults."""
        lines = []
        for name, n_checked in self.checks.items():
            faults = self.faults.get(name, [])
            state = t(f"{len(faults):,} FAULTS") if faults else t("ok")
            lines.append(f"{pad(t(name), 50)} {n_checked:>12,}  {state}")
            lines += [f"    {t(fault)}" for fault in faults[:EXAMPLES]]
        lines += [
            f"{pad(t(name), 50)} {t(message('not checked'))}: {t(why)}" for name, why in self.skipped.items()
        ]
        return lines


@contextmanager
def reading(report: VerifyReport, name: str) -> Iterator[None]:
    """Turn what is wrong with the content of a file into a fault that names it.

    Damaged bytes raise anything: errors of Arrow, of decoders, of code that finds other columns or types than it
    expects.
    """
    try:
        yield
    except (
        pa.ArrowException, msgspec.MsgspecError, BicorpusError, OSError, EOFError, ValueError, TypeError, LookupError,
        AttributeError, OverflowError, ArithmeticError,
    ) as error:  # fmt: skip
        line = str(error).partition("\n")[0][:200]
        report.check(READABLE, 0, [message(f"{name}: {type(error).__name__}: {line}")])


def compare(
    report: VerifyReport, name: str, pairs: list[tuple[str, Any, Any]], describe: Callable[[Any], str] = str
) -> None:
    """Record one check of (name of the item, value found, value expected) triples. Any: values of any column."""
    faults = [
        message(f"{what}: {describe(found)}, recomputed {describe(expected)}")
        for what, found, expected in pairs
        if found != expected
    ]
    report.check(name, len(pairs), faults)
