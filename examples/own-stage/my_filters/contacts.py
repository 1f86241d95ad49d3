"""Contacts: how often a document asks its reader to call, text or add somebody, as advertisements do.

Reads canonical text; writes a count and a share. Deciding how many are too many is up to the run file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Stage, each

ACCOUNT = re.compile(r"(?:微信|加微|企鹅|扣扣|QQ|qq)(?:号|群)?\s*[::]?\s*[\w-]{5,20}")
"""An account of a messenger after its name."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What counts as a telephone number."""

    min_digits: int = 9  # of a number, with single blanks and hyphens inside

    def __post_init__(self) -> None:
        if self.min_digits < 3:
            raise ConfigError(f"contacts.min_digits is {self.min_digits}; expected 3 or more")


SCHEMA = pa.schema({"n_contacts": pa.int32(), "contact_char_share": pa.float32()})
"""n_contacts: telephone numbers and accounts of messengers. contact_char_share: their share of the characters."""


def measure(text: str, config: Config) -> dict[str, float]:
    """Count the contacts of one text."""
    number = re.compile(rf"(?<![\d.])[0-9](?:[ -]?[0-9]){{{config.min_digits - 1},13}}(?![\d.])")
    found = [match[0] for pattern in (number, ACCOUNT) for match in pattern.finditer(text)]
    n_chars = sum(map(len, found))
    return {"n_contacts": len(found), "contact_char_share": round(n_chars / max(len(text), 1), 3)}


STAGE = Stage(name="contacts", version=1, config=Config, reads=("text",), writes=SCHEMA, load=each(measure))
