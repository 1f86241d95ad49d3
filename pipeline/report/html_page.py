"""HTML pages that work without network: a template with style, scripts and data put in, under a policy by their hashes.

Texts are in a block of JSON that no parser reads as HTML, and scripts set them as plain text.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.translation import catalogue_path, labels, language, read_po

FOLDER = Path(__file__).parent


def fill_page(template: str, parts: Mapping[str, str]) -> str:
    """Put parts into the places `{{name}}` of a template, in one pass: what is put in is not searched for places."""
    first, *pieces = template.split("{{")
    filled = [first]
    for piece in pieces:
        key, _, rest = piece.partition("}}")
        filled += [parts[key], rest]
    return "".join(filled)


def json_block(value: object, sort_keys: bool = False) -> str:
    """JSON for a script element: no character in it can end the element or begin a comment or entity."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


@functools.lru_cache(maxsize=16)
def script_hash(text: str) -> str:
    """The source expression by which a content security policy allows a script or a style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def policy(scripts: Sequence[str], styles: str, more: str = "") -> str:
    """A content security policy that allows these scripts and nothing else. styles: source expressions of styles."""
    allowed = " ".join(f"'{script_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {styles}; img-src data: blob:; base-uri 'none'; "
        f"form-action 'none'{more}"
    )


@functools.cache
def read_asset(name: str) -> str:
    """Text of a file of this package."""
    return (FOLDER / name).read_text(encoding="utf-8")


@functools.cache
def plotly_script() -> str:
    """The script of the plotting library, from its wheel; the library itself is not imported.

    Raises: UsageError if the package is not installed.
    """
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise UsageError(
            "the package plotly is not installed, which draws reports; install bicorpus again with pip"
        )
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def charts_page(title: str, script: str, data: Mapping[str, object], noscript: str, facts: str = "") -> str:
    """A page of charts: its head, with switches of language and theme, places for contents and sections, and scripts.

    Args: script, which draws it, `base.js` first; data, what it draws, with `words`, see `translations`; noscript, what
    is shown without scripts; facts, beside the title.
    """
    (skip,) = labels("Skip to the content")
    parts = {
        "lang": language(), "title": html.escape(title), "facts": html.escape(facts), "skip": skip,
        "noscript": html.escape(noscript), "style": read_asset("base.css") + read_asset("charts.css"),
        "script": script, "plotly": plotly_script(), "data": json_block(data, sort_keys=True),
        "policy": policy([plotly_script(), script], "'unsafe-inline'"),
    }  # fmt: skip
    return fill_page(read_asset("charts.html"), parts)


def script_messages(script: str) -> list[str]:
    """The messages of a script: what it passes to `t("...")`."""
    return [json.loads(f'"{text}"') for text in re.findall(r"""\bt\("((?:[^"\\]|\\.)*)\"""", script)]


@functools.cache
def _chinese() -> dict[str, str]:
    return read_po(catalogue_path("zh").read_text("utf-8"))


def translations(messages: Iterable[str]) -> dict[str, str]:
    """Messages with their Chinese, for a page that shows either; those without a translation are left out."""
    known = _chinese()
    return {text: known[text] for text in sorted(set(messages)) if known.get(text)}
