"""Conversion of a single text between Traditional and Simplified Chinese."""

from __future__ import annotations

import pyarrow as pa

from stages.conversion import convert_texts


def convert(text: str, scheme: str = "t2s") -> str:
    """One text in the other script."""
    return convert_texts(pa.array([text], pa.large_string()), scheme)[0]
