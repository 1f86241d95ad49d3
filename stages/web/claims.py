"""Claims of a web page about itself, as columns for rules: date of publication, licence, opt-outs.

Reads the `meta` that the readers of web pages write (see docs/readers.md); documents from other readers have no claims.
A claim is evidence, not permission. Which documents are dropped is decided in the run file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Stage, bind

SCHEMA = pa.schema(
    {
        "published": pa.string(),
        "license": pa.string(),
        "license_place": pa.string(),
        "noindex": pa.bool_(),
        "noai": pa.bool_(),
        "tdm_reserved": pa.bool_(),
        "opted_out": pa.bool_(),
        "repaired": pa.string(),
    }
)
"""published: ISO 8601. license, license_place: an SPDX identifier and where it stands, see `page_claims`. noindex:
said to every crawler. noai: said to every crawler, or `noindex` to one that collects text for training.
tdm_reserved: by the TDM Reservation Protocol. opted_out: noai or tdm_reserved; these four are false where nothing
is said. repaired: which accident of encodings the reader undid, see `mojibake`."""

AI_AGENTS = (
    "ai2bot", "anthropic-ai", "applebot-extended", "bytespider", "ccbot", "claude-web", "claudebot", "cohere-ai",
    "cohere-training-data-crawler", "diffbot", "google-cloudvertexbot", "google-extended", "gptbot",
    "meta-externalagent", "omgilibot", "pangubot", "timpibot", "webzio-extended",
)  # fmt: skip
"""User agents of crawlers whose operators state that they collect text to train models."""

VALUED = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after", "unavailable-after")
"""Directives with a value after a colon, to be distinguished from crawlers. Source: Google's robots meta tag page."""

NO_AI = frozenset(("noai", "noml", "notrain"))
NO_INDEX = frozenset(("noindex", "none"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """agents: crawlers for which `noindex` is taken as an opt-out from training, in lower case."""

    agents: tuple[str, ...] = AI_AGENTS

    def __post_init__(self) -> None:
        if any(agent != agent.strip().lower() or not agent for agent in self.agents):
            raise ConfigError(f"claims.agents is {list(self.agents)}; expected names in lower case")


class Meta(msgspec.Struct):
    """The fields of `meta` that are read; Any: a file may contain any value under these names."""

    published: Any = None
    license_id: Any = None
    license_place: Any = None
    robots: Any = None
    tdm_reservation: Any = None
    repaired: Any = None


DECODER = msgspec.json.Decoder(Meta)


def measure(meta: str | None, config: Config) -> dict[str, Any]:
    """Return the columns of one document."""
    try:
        claimed = DECODER.decode(meta) if meta else Meta()
    except msgspec.DecodeError:  # not an object: from a test or another tool
        claimed = Meta()
    noindex = noai = False
    for agent, directives in statements(claimed.robots if isinstance(claimed.robots, str) else ""):
        if agent in ("", "*", "robots"):
            noindex = noindex or not NO_INDEX.isdisjoint(directives)
            noai = noai or not NO_AI.isdisjoint(directives)
        elif agent in config.agents:
            noai = noai or not (NO_INDEX | NO_AI).isdisjoint(directives)
    reserved = str(claimed.tdm_reservation).strip() == "1"
    return {
        "published": _text(claimed.published),
        "license": _text(claimed.license_id),
        "license_place": _text(claimed.license_place),
        "noindex": noindex,
        "noai": noai,
        "tdm_reserved": reserved,
        "opted_out": noai or reserved,
        "repaired": _text(claimed.repaired),
    }


def statements(robots: str) -> Iterable[tuple[str, set[str]]]:
    """Split a `robots` value into statements: the crawler addressed ("" for all), and its directives.

    Statements are separated by `;`. A crawler's name with a colon applies to the directives after it, as in headers.
    """
    for statement in robots.lower().split(";"):
        agent, directives = "", set[str]()
        for item in statement.split(","):
            name, colon, rest = item.partition(":")
            if colon and name.strip() not in VALUED:
                if directives:
                    yield agent, directives
                agent, directives, item = name.strip(), set(), rest
            directives |= set(item.split())
        if directives:
            yield agent, directives


def annotate(batch: pa.Table, config: Config) -> pa.Table:
    """Read the claims of each document: a string column `meta`, (n_docs,), to a table of SCHEMA, (n_docs,)."""
    return pa.Table.from_pylist([measure(meta, config) for meta in batch["meta"].to_pylist()], schema=SCHEMA)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


STAGE = Stage(name="claims", version=1, config=Config, reads=("meta",), writes=SCHEMA, load=bind(annotate))
