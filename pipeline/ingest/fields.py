"""Fields of a record, of any type its format has: find them; write them as text, numbers or JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

RAW_BYTES = 1 << 16
"""How much of a quarantined record is kept."""

ENCODER = msgspec.json.Encoder(order="sorted", enc_hook=str, decimal_format="string")

Value = Any
"""A field's value: whatever the input format holds."""


def find_field(fields: Mapping[str, Value], names: tuple[str, ...], used: set[str]) -> Value:
    """Return the first value that is not null, and note its field as used; None if there is none."""
    for name in names:
        value = fields.get(name)
        if value is not None:
            used.add(name)
            return value
        if "." in name:
            value = fields
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None:  # its top-level object keeps its place in meta
                return value
    return None


def as_string(value: Value) -> str | None:
    """Write an identifier, address or date as text; an empty one and NaN are null."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") or None
    if isinstance(value, (int, float, Decimal)):  # an int of 400 digits has no float to test
        return str(value) if isinstance(value, int) or math.isfinite(value) else None
    return encode_json(value).decode()


def as_number(value: Value) -> float | None:
    """Read a score; anything but a finite number is null, also a truth value and a number in a string."""
    if not isinstance(value, (int, float, Decimal)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def encode_json(value: Value) -> bytes:
    """Encode as compact JSON with sorted keys; bytes become base64, times ISO 8601, NaN and infinity null."""
    try:
        return ENCODER.encode(value)
    except (TypeError, ValueError):  # keys that are no strings, lone surrogates
        return ENCODER.encode(_plain(value))


def _plain(value: Value) -> Value:
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, Mapping):
        return {_without_surrogates(str(name)): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def to_raw(fields: Mapping[str, Value]) -> bytes | None:
    """Encode a record for the quarantine, long strings cut; None if it cannot be encoded."""
    try:
        short = {k: v[:RAW_BYTES] if isinstance(v, (str, bytes)) else v for k, v in fields.items()}
        return encode_json(short)[:RAW_BYTES]
    except RecursionError:
        return None


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def string_array(values: list[str | None]) -> pa.StringArray:
    """Build a string column; a lone surrogate, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([value and _without_surrogates(value) for value in values], pa.string())
