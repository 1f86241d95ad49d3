"""The page of the explorer: static, without anything of a build, in English and Chinese."""

from __future__ import annotations

import functools
from pathlib import Path

from pipeline.report.html_page import fill_page, json_block, policy, read_asset, script_messages, translations
from pipeline.rules.meanings import MEANINGS
from pipeline.translation import message

FOLDER = Path(__file__).parent

NAMED = (
    message("contains"), message("null"), message("not null"), message("drop"), message("flag"), message("trim"),
    message("the same text"), message("a near duplicate"),
    message("the same text except for width, case, marks or script"),
)  # fmt: skip
"""Values that the page translates, besides the messages in its script."""


@functools.cache
def explorer_page() -> tuple[bytes, str]:
    """The page and its content security policy, which allows its own script by hash and requests to its own host."""
    script = read_asset("base.js") + (FOLDER / "browse.js").read_text("utf-8")
    style = read_asset("base.css") + (FOLDER / "browse.css").read_text("utf-8")
    words = translations([*script_messages(script), *NAMED, *MEANINGS.values()])
    parts = {"style": style, "script": script, "data": json_block({"words": words}, sort_keys=True)}
    page = fill_page((FOLDER / "browse.html").read_text("utf-8"), parts)
    more = "; connect-src 'self'; frame-ancestors 'none'"
    return page.encode(), policy([script], "'unsafe-inline'", more)
