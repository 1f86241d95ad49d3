"""The numbers of an audit in report.json: rates of wrong documents among those that people read."""

from __future__ import annotations

import json

import msgspec


class AuditRate(msgspec.Struct, frozen=True, kw_only=True):
    """Wrong documents of a group: `bad`, kept ones that should not be; `good`, dropped ones that should be kept.

    by: `all`, `source`, `language`, `tier` or `rule`. population: documents of the build that those read represent.
    rate, low, high: weighted by strata, with the interval of 95 %.
    """

    by: str
    group: str
    wrong: str
    population: int
    read: int
    found: int
    rate: float
    low: float
    high: float


class AuditNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """An audit of a release; recipe: of the decisions that it was drawn from. unrepresented: outcome (`kept`, or the
    rule that dropped) -> documents of strata without a verdict, of which the rates tell nothing."""

    release: str
    recipe: str
    drawn: int
    read: int
    readers: int
    rates: list[AuditRate]
    current: bool = True
    unrepresented: dict[str, int] = msgspec.field(default_factory=dict)


def audit_key(release: str) -> str:
    """Key of the audit of a release in its store."""
    return f"audits/{release}.json"


def to_bytes(numbers: AuditNumbers) -> bytes:
    """The stored form: sorted and indented JSON."""
    return (json.dumps(msgspec.to_builtins(numbers), indent=1, sort_keys=True) + "\n").encode()


def from_bytes(data: bytes) -> AuditNumbers:
    """Read the stored form. Raises: msgspec.MsgspecError for other data."""
    return msgspec.json.decode(data, type=AuditNumbers)
