"""Write the tables of docs/stages.md from schemas, config fields and docstrings; what is outside its markers is kept.

The meaning of a setting is the docstring or comment beside its field, or `name: meaning` in the docstring of Config;
that of a column is `name: meaning` in the docstring below its SCHEMA, or a comment beside it.

Example: python -m scripts.maintenance.stage_tables
Example: python -m scripts.maintenance.stage_tables --check
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import json
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipeline.schema import SPANS  # noqa: E402 - the script runs from anywhere
from pipeline.stage import Convert, Derive, Global, Reader, Stage  # noqa: E402

PAGE = ROOT / "docs/stages.md"
BEGIN, END = (
    "<!-- tables: begin, written by scripts/maintenance/stage_tables.py -->\n",
    "<!-- tables: end -->\n",
)
KINDS = {
    "STAGE": "annotate",
    "GLOBAL": "global",
    "DERIVE": "derive",
    "CONVERT": "convert",
    "READER": "reader",
}
TITLES = {
    "annotate": "Stages: `annotate`",
    "global": "Global steps: `global`",
    "derive": "Derived documents: `derive` of a source",
    "convert": "Conversions: `convert` of a release",
    "reader": "Readers: `reader` of a source",
}
PAGES = {
    "signals": "presets.md", "source_code": "presets.md",
    "parts": "language.md", "anchors": "substring.md", "shared_anchors": "substring.md",
    "equal_ranges": "substring.md", "repeated_windows": "substring.md", "repeated_paragraphs": "paragraphs.md",
    "similar_lines": "paragraphs.md", "owners": "substring.md", "candidates": "dedup.md", "keepers": "dedup.md",
    "minhash": "dedup.md", "exact": "dedup.md", "claims": "readers.md",
    "decontaminate": "decontamination.md", "paraphrases": "decontamination.md",
    "caps": "urls.md", "cuts": "quality.md", "language_cuts": "language.md", "datatrove": "moving.md",
    "llm_label": "llm.md", "conversion": "traditional.md", "documents": "cot.md", "dolma": "moving.md",
}  # fmt: skip
"""Pages about a step whose name is another; docs/NAME.md is linked in any case, and docs/readers.md for readers."""

Definition = Stage | Global | Derive | Convert | Reader


class MeaningError(SystemExit):
    """A setting or column has no meaning in the code."""


def definitions() -> Iterator[tuple[str, str, Definition]]:
    """Module, kind and definition of every step that a run file can name, in order of module."""
    for package in ("classifiers", "stages"):
        path = importlib.import_module(package).__path__
        for name in sorted(info.name for info in pkgutil.walk_packages(path, f"{package}.")):
            module = importlib.import_module(name)
            for attribute, kind in KINDS.items():
                if attribute in vars(module):
                    yield name, kind, vars(module)[attribute]


def page_tables() -> str:
    """All tables, by kind.

    Raises: MeaningError naming every setting and column without a meaning.
    """
    sections: dict[str, list[str]] = {title: [] for title in TITLES.values()}
    faults: list[str] = []
    for module, kind, step in definitions():
        sections[TITLES[kind]].append(section(module, step, faults))
    if faults:
        raise MeaningError("\n".join(faults))
    return "\n".join(f"## {title}\n\n" + "\n".join(parts) for title, parts in sections.items() if parts)


def section(module: str, step: Definition, faults: list[str]) -> str:
    """The heading, the facts and the tables of one step; names without a meaning are added to faults."""
    source = importlib.import_module(module)
    lines = [f"### {module}\n", f"{first_paragraph(source)}\n", f"{'. '.join(facts(step))}.\n"]
    writes = getattr(step, "writes", None)
    if writes is not None and len(writes):
        found, note = column_meanings(source, writes)
        lines += [f"{note}\n"] if note else []
        faults += [
            f"{module}: column {name} has no meaning; write `{name}: …` in the docstring below SCHEMA"
            for name in writes.names
            if name not in found
        ]
        rows = [(f"`{f.name}`", f"`{dtype_text(f.type)}`", found.get(f.name, "")) for f in writes]
        lines.append(table(("column", "dtype", "meaning"), rows))
    fields = dataclasses.fields(step.config)
    if fields:
        known = setting_meanings(step.config)
        faults += [
            f"{module}: setting {f.name} has no meaning; write `{f.name}: …` in the docstring of Config"
            for f in fields
            if f.name not in known
        ]
        rows = [(f"`{f.name}`", default_text(f), known.get(f.name, "")) for f in fields]
        lines.append(table(("setting", "default", "meaning"), rows))
    return "\n".join(lines)


def facts(step: Definition) -> list[str]:
    """Version, what the step reads and needs, its key, and pages about it."""
    found = [f"Version {step.version}"]
    reads = getattr(step, "reads", ())
    found += ["reads " + ", ".join(f"`{name}`" for name in reads)] if reads else []
    if isinstance(step, Stage):
        found += ["brings " + ", ".join(f"`{name}`" for name in step.needs)] if step.needs else []
        found += [f"runs on {step.kind}"] if step.kind != "cpu" else []
        found += ["needs the package " + ", ".join(step.requires)] if step.requires else []
    if isinstance(step, Global):
        found.append(f"key: {step.key}")
        found += ["kept in the [index](incremental.md)"] if step.indexed or step.memory else []
    if not dataclasses.fields(step.config):
        found.append("no settings")
    own = {f"{step.name}.md", PAGES.get(step.name, ""), "readers.md" if isinstance(step, Reader) else ""}
    pages = sorted(name for name in own if name and (ROOT / "docs" / name).exists())
    found += ["see " + ", ".join(f"[{name}]({name})" for name in pages)] if pages else []
    return ["; ".join(found)]


def first_paragraph(module: ModuleType) -> str:
    """What the module's docstring says first."""
    return " ".join(inspect.cleandoc(module.__doc__ or "").split("\n\n")[0].split())


def table(head: Iterable[str], rows: Iterable[tuple[str, str, str]]) -> str:
    """A Markdown table of three columns; rows that follow each other with the same meaning become one."""
    names = list(head)
    lines = [names, ["---"] * len(names)]
    for meaning, group in itertools.groupby(rows, key=lambda row: row[2]):
        left, middle = zip(*((name, value) for name, value, _ in group), strict=True)
        lines.append([", ".join(left), ", ".join(middle if len(set(middle)) > 1 else middle[:1]), meaning])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def cell(text: str) -> str:
    """Text of a table cell: one line, without a full stop at its end."""
    return " ".join(text.split()).replace("|", "\\|").rstrip(".;, ")


def dtype_text(dtype: pa.DataType) -> str:
    """An Arrow dtype in short; `spans` is schema.SPANS."""
    if dtype == SPANS:
        return "spans"
    text = re.sub(r"(?<=list<)(?:item|element): ", "", str(dtype).replace("double", "float64"))
    text = re.sub(r"(?<=[ <])float(?=[,>])|^float$", "float32", text)
    return text if len(text) <= 120 else re.sub(r"<.*>", "<…>", text)


def default_text(field: dataclasses.Field[Any]) -> str:
    """A default as a run file would have it."""
    made = field.default_factory is not dataclasses.MISSING
    value: Any = field.default_factory() if made else field.default  # type: ignore[operator]  # Any: of any field
    if value is dataclasses.MISSING:
        return "required"
    if isinstance(value, tuple) and value and all(str(item).startswith(str(ROOT)) for item in value):
        return f"{' and '.join(Path(item).name for item in value)}, shipped"
    if isinstance(value, str) and value.startswith(str(ROOT)):
        return f"{Path(value).name}, shipped"
    if isinstance(value, (tuple, list)) and len(value) > 8:
        return f"{len(value)} names"
    if "bytes" in field.name and isinstance(value, int) and value and value % (1 << 20) == 0:
        return f"{value >> 20} MiB"
    if value is None or value in ((), {}, ""):
        return "none"
    return f"`{cell(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))}`"


# Meanings


def setting_meanings(config: type) -> dict[str, str]:
    """Meanings of a config's fields, those of the classes that it extends included."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        names = [field.name for field in dataclasses.fields(cls)]
        found |= items(inspect.cleandoc(cls.__doc__ or ""), names)[0]
        source = inspect.getsource(cls)
        (node,) = ast.parse(inspect.cleandoc(source)).body
        assert isinstance(node, ast.ClassDef)
        found |= beside(inspect.cleandoc(source), node.body)
    return found


def beside(source: str, nodes: list[ast.stmt]) -> dict[str, str]:
    """Meanings of annotated fields: the docstring below each, or the comment at the end of its line."""
    lines, found = source.splitlines(), {}
    for node, after in zip(nodes, [*nodes[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        comment = re.search(r"  # (?!Any|fmt|noqa|type:)(.+)$", lines[(node.end_lineno or 1) - 1])
        if comment:
            found[node.target.id] = cell(comment[1])
        if text := docstring(after):
            found[node.target.id] = cell(text)
    return found


def docstring(node: ast.stmt | None) -> str:
    """The text of a statement that is a string, else nothing."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return inspect.cleandoc(str(node.value.value)) if is_text else ""  # type: ignore[union-attr]


def column_meanings(module: ModuleType, schema: pa.Schema) -> tuple[dict[str, str], str]:
    """Meanings of a schema's columns, and what its docstring says of all of them."""
    fields: list[str] = schema.names
    found = {
        f.name: f.metadata[b"meaning"].decode() for f in schema if f.metadata and b"meaning" in f.metadata
    }
    for owner in (module, *(m for name, m in sorted(sys.modules.items()) if name.startswith("stages."))):
        tree = ast.parse(inspect.getsource(owner)) if owner.__file__ else ast.Module([], [])
        for node, after in zip(tree.body, [*tree.body[1:], None], strict=False):
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(target, ast.Name) and vars(owner).get(target.id) is schema:
                named, note = items(docstring(after), fields)
                lines = inspect.getsource(owner).splitlines()[node.lineno - 1 : node.end_lineno]
                for line in lines:
                    if match := re.search(r'^\s*"(\w+)": .*  # (.+)$', line):
                        named.setdefault(match[1], cell(match[2]))
                return found | named, note
    return found, ""


def items(text: str, names: Iterable[str]) -> tuple[dict[str, str], str]:
    """Split `a, b: meaning. c: meaning. All null for …` into meanings by name and what is said of all of them."""
    word = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    if not word:
        return {}, ""
    text, note = " ".join(text.split()), ""
    if match := re.search(r"(?:^|(?<=\. ))(?:All null|Both null|Null)\b[^.]*\.", text):
        text, note = f"{text[: match.start()]}{text[match.end() :].strip()}".strip(), match[0]
    head = re.compile(rf"(?:^|(?<=[.;] ))((?:{word})(?:(?:, | and )(?:{word}))*): ")
    heads = list(head.finditer(text))
    found: dict[str, str] = {}
    for match, following in zip(heads, [*heads[1:], None], strict=False):
        meaning = cell(text[match.end() : following.start() if following else len(text)])
        found |= dict.fromkeys(re.split(r", | and ", match[1]), meaning)
    return found, note


def with_tables(page: str, tables: str) -> str:
    """The page with the text between the markers replaced.

    Raises: MeaningError if a marker is missing.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise MeaningError(f"{PAGE}: expected the lines {BEGIN.strip()} and {END.strip()}, each once")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str]) -> int:
    """Write the page, or check that it is up to date."""
    page = PAGE.read_text("utf-8")
    wanted = with_tables(page, page_tables())
    if "--check" not in arguments:
        PAGE.write_text(wanted, "utf-8")
    elif page != wanted:
        print(
            "docs/stages.md does not show the stages as they are; run: python -m scripts.maintenance.stage_tables"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
