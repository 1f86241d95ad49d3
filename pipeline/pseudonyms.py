"""Keyed pseudonyms: a replacement that is the same for the same value, and tells nothing without the key.

A replacement with `{pseudonym}` (`<EMAIL_{pseudonym}>`) gets the first digits of a keyed BLAKE2b hash of the value, in
small letters and without blanks and hyphens. The key is read from the environment variable BICORPUS_PSEUDONYM_KEY.
Files
and recipes contain its fingerprint alone, so that releases with the same key can be linked, and others cannot.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable

from pipeline.errors import ConfigError

VARIABLE = "BICORPUS_PSEUDONYM_KEY"
"""Environment variable with the key: 16 characters or more."""

MARK = "{pseudonym}"
_MIN_KEY_CHARS = 16
_DIGITS = 12


def wants_key(replacements: Iterable[str]) -> bool:
    """Return whether one of these replacements has a pseudonym."""
    return any(MARK in text for text in replacements)


def key() -> bytes:
    """Return the key of this process.

    Raises: ConfigError if it is missing or too short; the message does not show it.
    """
    value = os.environ.get(VARIABLE, "")
    if len(value) < _MIN_KEY_CHARS:
        raise ConfigError(
            f"release.replace has {MARK}, which needs a key of {_MIN_KEY_CHARS} characters or more in the environment "
            f"variable {VARIABLE}"
        )
    return hashlib.blake2b(value.encode(), digest_size=32).digest()


def fingerprint() -> str:
    """Return 16 hex digits that identify the key and do not disclose it."""
    return hashlib.blake2b(b"fingerprint", key=key(), digest_size=8).hexdigest()


def pseudonym(value: str) -> str:
    """Return the pseudonym of a value: 12 hex digits; two of n values collide with probability n**2 / 2**49."""
    plain = re.sub(r"[\s()-]", "", unicodedata.normalize("NFKC", value)).lower()
    return hashlib.blake2b(plain.encode(), key=key(), digest_size=32).hexdigest()[:_DIGITS]
