"""Infers the text field, the fields of canonical columns and the languages of records from their values.

Pure and approximate: field names that the reader defines take precedence over values; languages are guessed from
scripts, without a model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

LOOK_CHARS = 2000
"""Characters at the start of a text that are used to detect prose and scripts."""

MAX_DEPTH = 3
"""Levels of nested objects that are searched for fields, as in `meta.source.url`."""

PROSE = re.compile(r"[^\W\d_]\s+[^\W\d_]|[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
"""Two words, or one character of a script without spaces; identifiers, addresses and hashes contain neither."""

MARKUP = re.compile(r"\s*(<|\{\s*\"|\[\s*[{\"])")
WEB_ADDRESS = re.compile(r"https?://\S+$")
DATE = re.compile(r"(19|20)\d\d([-/.年]\d{1,2}|\d{4}$)")
IMAGE = re.compile(r"im(g|age)|pic|photo|thumb|avatar|logo|icon|video", re.IGNORECASE)
NAMES = {
    "source_id": re.compile(r"(id|key|编号)$", re.IGNORECASE),
    "date": re.compile(r"date|time|日期|时间", re.IGNORECASE),
    "license": re.compile(r"licen[cs]e|许可", re.IGNORECASE),
    "snapshot": re.compile(r"(^|\.)(snapshot|dump|crawl)$"),
}
"""Patterns of field names that no reader defines; values of ids must also be unique, and those of dates be dates."""

SCRIPTS = (
    ("Latin", 0x41, 0x5A), ("Latin", 0x61, 0x7A), ("Latin", 0xC0, 0x24F), ("other", 0x370, 0x10FF),
    ("Hangul", 0x1100, 0x11FF), ("other", 0x1200, 0x1DFF), ("Latin", 0x1E00, 0x1EFF),
    ("other", 0x1F00, 0x1FFF), ("Han", 0x3005, 0x3007), ("Kana", 0x3041, 0x30FF), ("Hangul", 0x3131, 0x318E),
    ("Kana", 0x31F0, 0x31FF), ("Han", 0x3400, 0x4DBF), ("Han", 0x4E00, 0x9FFF), ("other", 0xA000, 0xABFF),
    ("Hangul", 0xAC00, 0xD7A3), ("Han", 0xF900, 0xFAFF), ("Latin", 0xFF21, 0xFF3A), ("Latin", 0xFF41, 0xFF5A),
    ("Kana", 0xFF66, 0xFF9D), ("Han", 0x20000, 0x3FFFF),
)  # fmt: skip
"""Script, first and last code point, in ascending order: blocks of the Unicode Standard, precise enough for shares."""

_FIRST = np.array([first for _, first, _ in SCRIPTS], np.uint32)
_LAST = np.array([last for _, _, last in SCRIPTS], np.uint32)

CHINESE, LATIN = "Chinese", "Latin script"


@dataclass
class Field:
    """Counts of the values of one field; text_chars: characters of its distinct values that are prose."""

    n_values: int = 0
    n_distinct: int = 0
    n_urls: int = 0
    n_dates: int = 0
    text_chars: int = 0
    n_numbers: int = 0

    def __add__(self, other: Field) -> Field:
        return Field(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def flatten(fields: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) for every value that is not null; a name within an object has dots, as in `meta.url`."""
    for name, value in fields.items():
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from flatten(value, f"{prefix}{name}.", depth + 1)
        elif value is not None:
            yield f"{prefix}{name}", value


def text_value(value: Any) -> str:  # Any: a field's value
    """Return a value as text if it can be the text of a document, else an empty string."""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            return ""
    return value if isinstance(value, str) and not value.isspace() else ""


def prose_chars(text: str) -> int:
    """Return the length of a text that has words and is not markup or JSON, else 0."""
    return len(text) if PROSE.search(text, 0, LOOK_CHARS) and not MARKUP.match(text) else 0


def count_fields(rows: list[dict[str, Any]]) -> dict[str, Field]:
    """Return counts of the values of each field of flat records."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return {name: _count_values(field_values) for name, field_values in values.items()}


def _count_values(values: list[Any]) -> Field:
    texts = [text_value(value) for value in values]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    scalars = {value for value in values if isinstance(value, (str, int)) and not isinstance(value, bool)}
    return Field(
        n_values=len(values),
        n_distinct=len(scalars),
        n_urls=sum(bool(WEB_ADDRESS.match(text)) for text in texts),
        n_dates=sum(isinstance(v, date) or bool(DATE.match(t)) for v, t in zip(values, texts, strict=True)),
        text_chars=sum(map(prose_chars, set(texts))),
        n_numbers=len(numbers),
    )


def choose_text(fields: Mapping[str, Field], known: tuple[str, ...]) -> str | None:
    """Return the name of the text field.

    It is the first field in `known` with at least half as much prose as any other field, else the field with the most
    prose.

    Args: known, names of the text field that the reader defines.
    Returns: None if no field contains prose.
    """
    most = max((f.text_chars for f in fields.values()), default=0)
    if not most:
        return None
    named = [name for name in known if name in fields and 2 * fields[name].text_chars >= most]
    return named[0] if named else min(name for name, f in fields.items() if f.text_chars == most)


def choose_columns(
    fields: Mapping[str, Field], text_field: str, known: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """Return canonical column -> field, by the names that the reader defines, else by the values.

    Args: known, canonical column -> field names that the reader defines.
    """
    columns = {"text": text_field}
    for column in ("source_id", "url", "date", "snapshot", "license"):
        left = {name: f for name, f in fields.items() if name not in columns.values()}
        named = [name for name in known.get(column, ()) if name in left]
        likely = [name for name, f in left.items() if _is_likely(column, name, f)]
        if named or likely:
            columns[column] = named[0] if named else min(likely, key=lambda n: (-left[n].n_values, n))
    return columns


def _is_likely(column: str, name: str, field: Field) -> bool:
    least = 0.9 * field.n_values
    if column == "url":
        return field.n_urls >= least and not IMAGE.search(name)
    n_fitting = {"source_id": field.n_distinct, "date": field.n_dates}
    return bool(NAMES[column].search(name)) and n_fitting.get(column, field.n_values) >= least


def count_letters(text: str) -> Counter[str]:
    """Return the number of letters of a text by script: Latin, Han, Kana, Hangul, other."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    block = np.searchsorted(_FIRST, codes, side="right") - 1
    inside = (block >= 0) & (codes <= _LAST[block])
    totals = np.bincount(block[inside], minlength=len(SCRIPTS)).tolist()
    counts: Counter[str] = Counter()
    for (script, _, _), n in zip(SCRIPTS, totals, strict=True):
        counts[script] += n
    return +counts


def guess_language(text: str) -> str:
    """Guess a document's language from the scripts of its first LOOK_CHARS characters.

    One Han character carries as much text as several Latin letters, so a fifth of Han is enough for Chinese; Japanese
    is detected from a tenth of kana.
    """
    counts = count_letters(text[:LOOK_CHARS])
    share = {script: n / counts.total() for script, n in counts.items()}
    for script, least, language in (
        ("Kana", 0.1, "Japanese"), ("Hangul", 0.2, "Korean"), ("Han", 0.2, CHINESE), ("Latin", 0.5, LATIN),
    ):  # fmt: skip
        if share.get(script, 0) >= least:
            return language
    return "other script" if counts else "no letters"
