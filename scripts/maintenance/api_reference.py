"""Write docs/api.md, the reference of the Python interfaces, from signatures and docstrings.

Modules are parsed, not imported. A docstring's lines `name: meaning` become a list, `Args:` and `Returns:` bold.

Example: python -m scripts.maintenance.api_reference
Example: python -m scripts.maintenance.api_reference --check
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Sequence

from scripts.maintenance.generated_page import ROOT, escape, write_or_check

HEAD = """\
# Python interfaces

Functions for notebooks and scripts ([everyday.md](everyday.md) shows their use), and interfaces for authors of
stages, global steps and readers ([adding-a-stage.md](adding-a-stage.md)). This page is written by
`python -m scripts.maintenance.api_reference`.
"""
MODULES: dict[str, tuple[str, ...]] = {
    "bicorpus": ("annotate", "filter", "dedup", "explain", "read_release"),
    "pipeline.stage": (
        "Stage", "each", "bind", "Annotate", "Measure", "Global", "Outcome", "Memory", "Reader", "Record", "Derive",
        "DERIVED", "Convert",
    ),
    "pipeline.service": (),
    "pipeline.schema": (),
    "pipeline.errors": (),
    "pipeline.spans": (),
    "pipeline.checking.check_stage": ("check_stage", "Check"),
    "classifiers.llm.client": ("Client",),
    "classifiers.llm.requests": ("Request", "Answer", "messages_of"),
    "classifiers.llm.settings": ("Settings", "Price", "Budget"),
    "stages.dedup": ("cluster_texts",),
    "pipeline.feed.dataset": ("Feed", "cu_seqlens"),
    "pipeline.feed.reader": ("Reader", "Share", "consumed"),
    "pipeline.feed.sources": ("open_source", "Texts", "Sequences", "PackedSequences"),
    "stages.readers": (),
}  # fmt: skip
"""Modules, each with the names to show in this order; all public names with a docstring if there are none."""

READERS = "stages/readers"
SECTIONS = ("Args", "Returns", "Raises", "Yields", "Source")
Definition = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


class NameMissingError(SystemExit):
    """A name to be shown is not in its module, or has no docstring."""


def reference() -> str:
    """The whole page.

    Raises: NameMissingError naming the module and the name.
    """
    parts = [HEAD]
    for module, names in MODULES.items():
        path = ROOT / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        source = file.read_text("utf-8")
        definitions = documented(source)
        if missing := [name for name in names if name not in definitions]:
            raise NameMissingError(f"{module}: {', '.join(missing)} not found with a docstring")
        parts.append(f"\n## {module}\n\n{prose(ast.get_docstring(ast.parse(source)) or '')}")
        parts += [
            f"\n### {module}.{name}\n\n{entry(source, *definitions[name])}" for name in names or definitions
        ]
    for file in sorted((ROOT / READERS).glob("[!_]*.py")):
        name = f"{READERS.replace('/', '.')}.{file.stem}"
        text = prose(ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "")
        settings = f"Settings: [stages.md](stages.md#{name.replace('.', '')})."
        parts.append(f"\n### {name}\n\n{text}\n{settings}\n")
    return "".join(parts)


def documented(source: str) -> dict[str, tuple[Definition, str]]:
    """Public definitions of a module that have a docstring, in order, each with its docstring."""
    body, found = ast.parse(source).body, {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            name, text = node.name, ast.get_docstring(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name, text = getattr(target, "id", "_"), string(following)
        else:
            continue
        if text and not name.startswith("_"):
            found[name] = (node, text)
    return found


def string(node: ast.stmt | None) -> str | None:
    """The text of a statement that is a string."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return inspect.cleandoc(str(node.value.value)) if is_text else None  # type: ignore[union-attr]


def entry(source: str, node: Definition, text: str) -> str:
    """The code of a definition without its body, its docstring, and its public methods."""
    parts = [f"```python\n{code(source.splitlines(), node)}\n```\n\n{prose(text, members(node))}"]
    for method in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            arguments = ast.unparse(method.args).removeprefix("self").removeprefix(", ")
            is_property = any(
                getattr(decorator, "id", "") == "property" for decorator in method.decorator_list
            )
            call = method.name if is_property else f"{method.name}({arguments})"
            parts.append(f"\n`{call}`\n\n{prose(ast.get_docstring(method) or '')}")
    return "".join(parts)


def members(node: Definition) -> list[str]:
    """Names that a docstring may explain: fields of a class, names in a schema or a tuple."""
    if isinstance(node, ast.ClassDef):
        return [getattr(part.target, "id", "_") for part in node.body if isinstance(part, ast.AnnAssign)]
    value = getattr(node, "value", None)
    if isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Dict):
        return [str(key.value) for key in value.args[0].keys if isinstance(key, ast.Constant)]
    elements = value.elts if isinstance(value, ast.Tuple) else []
    return [str(element.value) for element in elements if isinstance(element, ast.Constant)]


def code(lines: list[str], node: Definition) -> str:
    """Decorators, signature and fields as they are written; a value in full."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return "\n".join(lines[node.lineno - 1 : node.end_lineno])
    shown = [f"@{ast.unparse(decorator)}" for decorator in node.decorator_list]
    shown += [line.partition("  # noqa")[0] for line in lines[node.lineno - 1 : node.body[0].lineno - 1]]
    for part in node.body if isinstance(node, ast.ClassDef) else []:
        shown += lines[part.lineno - 1 : part.end_lineno] if isinstance(part, ast.AnnAssign) else []
    return "\n".join(shown)


def prose(text: str, names: Sequence[str] = ()) -> str:
    """A docstring as Markdown: paragraphs, drawings as code, `name: meaning` for the given names as a list."""
    word = "|".join(names) or "(?!)"
    head = re.compile(rf"(?:^|(?<=[.;] ))((?:{word})(?:\([\w, ]*\))?(?:, (?:{word}))*): ")
    label = "|".join(SECTIONS)
    blocks = []
    for block in re.sub(rf"\n(?=(?:{label}): )", r"\n\n", text).split("\n\n"):
        if re.search("[├└│]", block):
            blocks.append(f"```text\n{block}\n```\n")
            continue
        if block.startswith(">>> "):
            blocks.append(f"```python\n{block}\n```\n")
            continue
        line = " ".join(block.split())
        if match := re.match(rf"({label}): ", line):
            blocks.append(f"**{match[1]}:** {escape(line[match.end() :])}\n")
            continue
        before, *items = head.split(line)
        blocks += [f"{escape(before.strip())}\n"] if before.strip() else []
        rows = zip(items[::2], items[1::2], strict=True)
        blocks += (
            ["".join(f"- `{name}`: {escape(meaning.strip().rstrip(';'))}\n" for name, meaning in rows)]
            if items
            else []
        )
    return "\n".join(blocks)


if __name__ == "__main__":
    sys.exit(write_or_check("api.md", "scripts.maintenance.api_reference", reference, sys.argv[1:]))
