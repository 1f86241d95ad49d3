"""Fields of a record, of any type of its format: lookup and conversion to text, numbers or JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

RAW_BYTES = 1 << 16
"""Largest number of bytes of a quarantined record that are stored."""

ENCODER = msgspec.json.Encoder(order="sorted", enc_hook=str, decimal_format="string")

Value = Any
"""The value of a field, of any type of the input format."""


def find_field(fields: Mapping[str, Value], names: tuple[str, ...], used: set[str]) -> Value:
    """Return the first value among the named fields that is neither null nor an empty string; None if there is none.

    Args: names, field names to try in order; a dot refers to a nested object unless a field has exactly that name.
    used: the name of a field at top level is added to it.
    """
    for name in names:
        value = fields.get(name)
        if not (value is None or value == ""):
            used.add(name)
            return value
        if "." in name:
            value = fields
            for key in name.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            if not (value is None or value == ""):  # its top-level object is kept in meta
                return value
    return None


def find_text(fields: Mapping[str, Value], names: tuple[str, ...], used: set[str]) -> Value:
    """Return the first of the named fields that has visible text, else the first that is not null, else None."""
    first: Value = None
    for name in names:
        found: set[str] = set()
        value = find_field(fields, (name,), found)
        if value is None and fields.get(name) == "":
            value = ""
        if isinstance(value, (str, bytes)) and value.strip():
            used |= found
            return value
        if first is None and value is not None:
            first = value
            used |= found
    return first


def as_string(value: Value) -> str | None:
    """Return an identifier, address or date as text; None for an empty string and for a number that is not finite.

    A UUID, a time or a duration is the text that JSON has for it, without quotation marks; binary that is not UTF-8 is
    hexadecimal, so that different ones stay different.
    """
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8") or None
        except UnicodeDecodeError:
            return value.hex()
    if isinstance(value, (int, float, Decimal)):  # an int of 400 digits cannot be converted to a float
        return str(value) if isinstance(value, int) or math.isfinite(value) else None
    encoded = encode_json(value)
    return msgspec.json.decode(encoded, type=str) if encoded.startswith(b'"') else encoded.decode()


def as_number(value: Value) -> float | None:
    """Return a score as a float; None for any value but a finite number, including booleans and numbers in strings."""
    if not isinstance(value, (int, float, Decimal)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def encode_json(value: Value) -> bytes:
    """Return compact JSON with sorted keys; bytes become base64, times ISO 8601, NaN and infinity null."""
    try:
        return ENCODER.encode(value)
    except (TypeError, ValueError):  # keys that are not strings, lone surrogates
        return ENCODER.encode(_plain(value))


def _plain(value: Value) -> Value:
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, Mapping):
        return {_without_surrogates(str(name)): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def to_raw(fields: Mapping[str, Value]) -> bytes | None:
    """Return a record as JSON for the quarantine, truncated to RAW_BYTES; None if it is nested too deeply."""
    try:
        short = {k: v[:RAW_BYTES] if isinstance(v, (str, bytes)) else v for k, v in fields.items()}
        return encode_json(short)[:RAW_BYTES]
    except RecursionError:
        return None


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def string_array(values: list[str | None]) -> pa.StringArray:
    """Return a string column; lone surrogates, which UTF-8 cannot represent, become U+FFFD."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([value and _without_surrogates(value) for value in values], pa.string())
