"""Hooks of MkDocs, which let it read the same pages as a code host.

Navigation comes from docs/README.md. Links to files outside of docs/ lead to the repository if mkdocs.yml has
`repo_url`, and become plain text otherwise. Lists may follow a paragraph without a blank line and are nested by two
spaces; anchors are named as on code hosts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

PREFIX = "I want to "
"""Beginning of the headings of docs/README.md, left out in the navigation."""

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *(```|~~~)")
ITEM = re.compile(r"^(?:[-*]|1\.) ")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set navigation and anchors."""
    docs = Path(config.docs_dir)
    config.nav = [{"Documentation": "README.md"}, *sections(docs)]
    config.mdx_configs["toc"] = {"slugify": anchor}
    return config


def sections(docs: Path) -> list[dict[str, Any]]:  # Any: MkDocs' form of a navigation
    """Pages below each heading of docs/README.md; those of decisions/ in a section of their own."""
    parts = re.split(r"^## (.+)$", (docs / "README.md").read_text("utf-8"), flags=re.M)[1:]
    nav: list[dict[str, Any]] = []
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        pages = [target for _, target in LINK.findall(text) if target.endswith(".md")]
        name = title.removeprefix(PREFIX)
        nav.append({name[:1].upper() + name[1:]: [page for page in pages if "/" not in page]})
        for page in (page for page in pages if "/" in page):
            folder = Path(page).parent
            others = sorted((docs / folder).glob("[!R]*.md"))
            nav.append({folder.name.capitalize(): [page, *(f"{folder}/{other.name}" for other in others)]})
    return nav


def anchor(title: str, separator: str) -> str:
    """Name of a heading's anchor, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", separator)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: object) -> str:
    """Adapt a page's links and lists; code is left as it is."""
    folder = os.path.dirname(page.file.src_uri)
    lines: list[str] = []
    is_code = False
    for line in markdown.splitlines():
        if FENCE.match(line):
            is_code = not is_code
        elif not is_code:
            before = lines[-1] if lines else ""
            if ITEM.match(line) and before and not before.startswith(" ") and not is_item(before):
                lines.append("")
            line = " " * (len(line) - len(line.lstrip())) + line  # Markdown nests lists by four spaces
            line = LINK.sub(lambda match: linked(match, folder, config.repo_url), line)
        lines.append(line)
    return "\n".join(lines)


def is_item(line: str) -> bool:
    """Whether a line begins an item of a list."""
    return bool(re.match(r"(?:[-*]|\d+\.) ", line))


def linked(match: re.Match[str], folder: str, repository: str | None) -> str:
    """A link of a page in a folder of docs/; one out of docs/ leads to the repository or becomes its text."""
    text, target = match.groups()
    path = os.path.normpath(os.path.join("docs", folder, target))
    if "://" in target or target.startswith("#") or path.startswith("docs/"):
        return match[0]
    return f"[{text}]({repository.rstrip('/')}/blob/main/{path})" if repository else text
