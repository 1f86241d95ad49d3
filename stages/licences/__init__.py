"""Licences and reservations of rights: SPDX expression, evidence, obligations; opt-outs with their date.

Reads what came with the record (`license`, `host`, `date`) and what its page claims (`meta`, see docs/readers.md);
writes the licence as an SPDX expression, where it was stated, what it obliges to, and whether the holder reserved the
text from training. A statement is evidence, not permission; which documents are dropped is decided in the run file.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.extraction.claim_values import license_id
from stages.licences.spdx import CLASSES, FLAGS, LICENCES_PATH, NONE, UNKNOWN, Terms, licence_of, licence_url
from stages.web import claims

SCHEMA = pa.schema(
    {
        "spdx": pa.string(),
        "class": pa.string(),
        "rank": pa.int8(),
        "attribution": pa.bool_(),
        "share_alike": pa.bool_(),
        "non_commercial": pa.bool_(),
        "no_derivatives": pa.bool_(),
        "evidence": pa.string(),
        "url": pa.string(),
        "conflict": pa.bool_(),
        "opt_out": pa.bool_(),
        "opt_out_by": pa.string(),
        "opt_out_date": pa.string(),
    }
)
"""spdx: expression, null for none or for one that is not recognised. class: the most restrictive obligation,
`public_domain attribution share_alike non_commercial no_derivatives unknown reserved`, or `none` for no statement.
rank: of the class, from 0; null for none. attribution: authors must be named, or their notice kept. share_alike:
adapted text must be under the same licence. non_commercial: no commercial use. no_derivatives: no adapted text may be
shared. evidence: `record`, or `page:` and the place in it that names the licence (head, footer, main, body, rel).
url: the address that was given, else the licence's own page. conflict: record and page name licences of different
classes. opt_out: of training on the text. opt_out_by: `register`, `tdm` (TDM Reservation Protocol) or `robots` (noai,
or noindex for a crawler that collects text for training). opt_out_date: of the register, else of the document."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """register: CSV files with the columns `host` and `date`, of hosts (with those below them) that opted out. agents:
    see stages.web.claims. strict: of the licences of record and page, take the more restrictive one; else that of the
    record."""

    register: tuple[str, ...] = ()
    agents: tuple[str, ...] = claims.AI_AGENTS
    strict: bool = True


class Meta(msgspec.Struct):
    """The fields of `meta` that are read; Any: a file may contain any value under these names."""

    license_id: Any = None
    license_place: Any = None
    rel_license: Any = None


DECODER = msgspec.json.Decoder(Meta)

NO_TERMS = Terms(class_=NONE)


def read_register(paths: tuple[str, ...]) -> dict[str, str]:
    """Hosts that opted out, with the date.

    Raises: ConfigError for a file without the columns `host` and `date`.
    """
    hosts: dict[str, str] = {}
    for path in paths:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not {"host", "date"} <= set(rows.fieldnames or ()):
                raise ConfigError(
                    f"licences.register: {path} has the columns {rows.fieldnames}; expected host, date"
                )
            for row in rows:
                host = (row["host"] or "").strip().lower().rstrip(".")
                if host:
                    hosts[host] = min(
                        filter(None, (hosts.get(host), (row["date"] or "").strip())), default=""
                    )
    return hosts


def registered(host: str | None, register: Mapping[str, str]) -> str | None:
    """Date at which a host, or one above it, opted out; None if none did."""
    name = (host or "").lower()
    while name:
        if name in register:
            return register[name]
        name = name.partition(".")[2]
    return None


def page_licence(meta: str | None) -> tuple[str | None, str | None]:
    """The licence that a page names, and where: (identifier or address, place)."""
    try:
        claimed = DECODER.decode(meta) if meta else Meta()
    except msgspec.DecodeError:  # not an object
        return None, None
    rel = claimed.rel_license
    if (
        isinstance(rel, str)
        and rel
        and not rel.startswith("#")
        and (license_id(rel) or not claimed.license_id)
    ):
        return claimed.rel_license, "rel"
    if isinstance(claimed.license_id, str) and claimed.license_id:
        return claimed.license_id, str(claimed.license_place or "body")
    return None, None


def measure(
    row: Mapping[str, str | None], config: Config, register: Mapping[str, str]
) -> dict[str, Any]:  # Any: values of SCHEMA
    """Return the columns of one document. Args: row, with license, meta, host and date."""
    stated = [
        (value, where) for value, where in ((row["license"], "record"), page_licence(row["meta"])) if value
    ]
    found = [(licence_of(str(value)), value, where) for value, where in stated]
    conflict = len({licence.terms.class_ for licence, _, _ in found} - {UNKNOWN}) > 1
    if config.strict:
        found.sort(key=lambda item: (item[0].terms.class_ == UNKNOWN, -item[0].terms.rank))
    licence, value, where = found[0] if found else (None, None, None)
    terms = licence.terms if licence else NO_TERMS
    expression = licence.expression if licence else None
    by, date = opt_out(row, config, register)
    return {
        "spdx": expression, "class": terms.class_, "rank": terms.rank if licence else None,
        **{name: getattr(terms, name) for name in FLAGS},
        "evidence": where if where in (None, "record") else f"page:{where}",
        "url": value if value and "://" in value else licence_url(expression),
        "conflict": conflict, "opt_out": by is not None, "opt_out_by": by, "opt_out_date": date,
    }  # fmt: skip


def opt_out(
    row: Mapping[str, str | None], config: Config, register: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """By what the holder opted out, and the date; (None, None) if not."""
    date = registered(row["host"], register) if register else None
    if date is not None:
        return "register", date or None
    claimed = claims.measure(row["meta"], claims.Config(agents=config.agents))
    if not claimed["opted_out"]:
        return None, None
    return "tdm" if claimed["tdm_reserved"] else "robots", row["date"]


class Licences:
    """`annotate` with the register of opt-outs."""

    def __init__(self, config: Config) -> None:
        self.config, self.register = config, read_register(config.register)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Find licence and opt-out of each document: columns `license meta host date`, to a table of SCHEMA."""
        columns = [batch[name].to_pylist() for name in READS]
        rows = (dict(zip(READS, values, strict=True)) for values in zip(*columns, strict=True))
        return pa.Table.from_pylist([measure(row, self.config, self.register) for row in rows], schema=SCHEMA)


READS = ("license", "meta", "host", "date")

__all__ = ["CLASSES", "STAGE", "Config", "Licences", "measure"]

STAGE = Stage(
    name="licences",
    version=1,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    load=Licences,
    files=("register",),
    data=(LICENCES_PATH,),
)
