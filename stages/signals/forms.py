"""The form of a text, such as table, code, verse or dialogue, so that rules for web pages are not applied to others.

Takes the counts of `stages.signals`, and the text itself where it looks like JSON or contains HTML tables; returns one
label per text. The first form whose conditions are met is taken, in this order:

- `json`: nothing but JSON objects and arrays, one or several, with or without tags such as <tool_call> around them;
  `broken_json`: begins like `json` and has keys, but does not parse;
- `subtitles`: time codes of SubRip, WebVTT or lyrics;
- `code`, `table`: at least half of the lines are code, or rows of tables;
- `technical`: prose with a share of code, tables and headings, as in manuals;
- `dialogue`: lines begin with the names of a few recurring speakers;
- `verse`: lines of three words to 48 characters (Chinese: four to 24), of even length, with function words, and neither
  lists nor numbers; the lines of hard-wrapped prose are longer;
- `post`: short, with words, and a hashtag, a mention or a pictograph;
- `page`: anything else.

All thresholds are our own, chosen on texts written for the tests and, for verse, narrowed on licence texts. The form
is no measure of quality.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

FORMS = (
    "page", "post", "verse", "dialogue", "technical", "table", "code", "subtitles", "json", "broken_json",
)  # fmt: skip
"""Labels, weakest first: a later one takes precedence."""

MIN_LINES = 3
"""Least lines of a table, code file, verse or dialogue."""

_CELL = "(?i)<t[dhr][ >]"
_TABLE_LINE = re.compile(
    r"^[ \t]*</?(?:table|caption|colgroup|col|thead|tbody|tfoot|tr|th|td)\b", re.M | re.I
)
"""Markup of HTML tables, which Markdown allows: anywhere, and at the start of a line."""

_KEY = re.compile(r'["\'][^"\'\n]{1,80}["\']\s*:')
_BETWEEN = re.compile(r"(?:\s|,|</?[A-Za-z_|]{1,32}>)*")
_OPENING = re.compile(rf"{_BETWEEN.pattern}(?:{{\s*[\"'}}]|\[\s*(?:[{{\[\"'\]\d-]|true|false|null))")


def name_forms(counts: dict[str, np.ndarray], texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return the form of each text.

    Args: counts, int64 (n_docs,) each, by the names of `stages.signals`; texts, string (n_docs,), read only where the
    counts allow JSON, or where a cell of an HTML table occurs.
    Returns: string (n_docs,), of FORMS.
    """
    c = {name: values.astype(np.float64) for name, values in counts.items()}
    lines, words, visible = (np.maximum(c[name], 1) for name in ("n_lines", "n_words", "n_visible"))
    long_enough = c["n_lines"] >= MIN_LINES
    digits, letters, stops = c["n_digits"] / visible, c["n_letters"] / visible, c["n_stop_words"] / words
    code, table = c["n_code_lines"] / lines, (c["n_table_lines"] + _n_html_lines(texts)) / lines
    structured = code + table + c["n_heading_lines"] / lines
    line_words = words / lines
    even = c["max_line_chars"] <= 3 * c["line_chars"] / lines + 4
    spaced = c["n_spaced_words"] >= 0.5 * c["n_words"]
    closed = c["n_closed_lines"] / lines >= 0.5
    bound = np.where(spaced, (stops >= 0.12) | (closed & (stops >= 0.06)), (stops >= 0.06) | closed)
    fits = {
        "post": (c["n_post_marks"] >= 1)
        & (c["n_words"] <= np.where(spaced, 100, 200))
        & (c["n_words"] >= np.where(spaced, 4, 8))
        & (letters >= 0.5)
        & (c["n_lines"] <= 12)
        & (c["n_distinct_words"] >= 0.5 * words),
        "verse": long_enough
        & (c["n_lines"] >= 4)
        & (line_words >= np.where(spaced, 3, 4))
        & (c["line_chars"] / lines <= np.where(spaced, 48, 24))
        & even
        & bound
        & (digits <= 0.02)
        & (letters >= 0.7)
        & (c["n_bullet_lines"] <= 0.1 * lines)
        & (c["n_distinct_words"] >= 0.2 * words),
        "dialogue": long_enough
        & (c["n_speaker_lines"] >= 3)
        & (c["n_speaker_lines"] >= 0.3 * lines)
        & (stops >= np.where(spaced, 0.1, 0.04))
        & (digits <= 0.1)
        & (letters >= 0.6),
        "technical": long_enough & (structured >= 0.15) & (letters >= 0.4),
        "table": long_enough & (table >= 0.5) & (letters >= 0.2),
        "code": long_enough & (code >= 0.5),
        "subtitles": (c["n_cue_lines"] >= 3) & (c["n_cue_lines"] >= 0.15 * lines) & (letters >= 0.2),
    }
    names = np.zeros(len(lines), np.int8)
    for name, fitting in fits.items():
        names[fitting] = FORMS.index(name)
    for row in np.flatnonzero(_may_be_json(c)).tolist():
        if (is_valid := is_json(texts[row].as_py())) is not None:
            names[row] = FORMS.index("json" if is_valid else "broken_json")
    return pa.DictionaryArray.from_arrays(pa.array(names), pa.array(FORMS)).cast(pa.string())


def _n_html_lines(texts: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Count lines that begin with the markup of an HTML table: float64 (n_docs,)."""
    n_lines = np.zeros(len(texts))
    for row in np.flatnonzero(pc.match_substring_regex(texts, _CELL)).tolist():
        n_lines[row] = len(_TABLE_LINE.findall(texts[row].as_py()))
    return n_lines


def _may_be_json(c: dict[str, np.ndarray]) -> np.ndarray:
    """Whether a text has braces and much punctuation, as every JSON object has: bool (n_docs,)."""
    return (c["n_braces"] >= 1) & (c["n_punct"] >= 0.04 * c["n_visible"])


def is_json(text: str) -> bool | None:
    """Return whether a text is nothing but JSON objects and arrays; None if it does not begin like one.

    Blanks, commas and tags are allowed between values. Nesting too deep for Python's parser counts as invalid.
    """
    if not _OPENING.match(text) or not _KEY.search(text, 0, 4096):
        return None
    at = _BETWEEN.match(text).end()  # type: ignore[union-attr]  # matches the empty string
    while at < len(text):
        if text[at] not in "{[":
            return False
        try:
            _, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return False
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=str, parse_float=str)
