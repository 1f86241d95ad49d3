"""Bring pipeline/locale/zh.po up to date with the messages that the code can print.

Messages are collected from the syntax trees of the packages: texts of errors, of `t(...)`, `message(...)` and
`say(...)`, warnings, help of commands and options. New ones are added without a translation, those that no code has
any more are removed, translations are kept. `--check` writes nothing, and fails if the file would change or a
translation is missing or has other fields than its message; `--missing` lists what is to be translated.

Example: python -m scripts.maintenance.messages
Example: python -m scripts.maintenance.messages --check
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.report.html_page import script_messages
from pipeline.translation import FIELD, catalogue_path, fields_of, read_po

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "stages", "classifiers")

PRINTED = {"t", "message", "marked", "say", "BadParameter"}
"""Functions whose first argument is a message."""

SECOND = {"expect", "Unread"}
"""Functions whose second argument is a message."""

LOGGED = {"warning", "error", "info", "exception"}
"""Methods of a logger; fields of their messages are %s."""

CLICK = (
    "Aborted!",
    "Usage:",
    "Usage: {usage}",
    "Options:",
    "Commands:",
    "Positional arguments:",
    "required",
    "default: {value}",
    "Show the version and exit.",
    "Show this message and exit.",
    "Try '{command}' for help.",
    "Error: {message}",
    "Missing command.",
    "Missing argument {name}.",
    "Missing option {name}.",
    "Missing argument {name}. Choose from:",
    "Missing option {name}. Choose from:",
    "Invalid value: {message}",
    "Invalid value for {name}: {message}",
    "No such option {name!r}.",
    "No such option {name!r}. Did you mean {possibility}?",
    "No such option {name!r}. (Did you mean one of: {possibilities}?)",
    "Option {name!r} does not take a value.",
    "Option {name!r} requires an argument.",
    "Option {name!r} requires {n} arguments.",
    "Got unexpected extra argument ({name}).",
    "Got unexpected extra arguments ({names}).",
    "{value!r} is not one of {choices}.",
    "{value!r} is not a valid {number_type}.",
    "{value} is not in the range {range}.",
    "{kind} {name!r} does not exist.",
    "{kind} {name!r} is a file.",
    "{kind} {name!r} is a directory.",
    "{kind} {name!r} is not readable.",
    "{kind} {name!r} is not writable.",
    "bicorpus, version {version}",
)
"""Messages of click, as it prints them."""

SYSTEM = (
    "No such file or directory",
    "Permission denied",
    "Is a directory",
    "Not a directory",
    "File exists",
    "Read-only file system",
    "No space left on device",
    "Too many open files",
    "File name too long",
    "Connection refused",
)
"""Causes that the operating system names, which errors quote."""

HEADER = """\
# Messages of bicorpus in Chinese.
#
# Keyed by the English text in the code; {name} is a field, whose format the translation leaves out.
# Written by `python -m scripts.maintenance.messages`, which keeps translations: fill in msgstr, run it again.
msgid ""
msgstr ""
"Project-Id-Version: bicorpus\\n"
"Language: zh_CN\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"""


def parsed_files() -> dict[str, ast.Module]:
    """The syntax trees of the packages by path."""
    paths = [
        *sorted(ROOT.glob("*.py")),
        *(p for name in PACKAGES for p in sorted((ROOT / name).rglob("*.py"))),
    ]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}


def error_names(trees: dict[str, ast.Module]) -> set[str]:
    """Names of the classes of pipeline/errors.py and of those derived from them."""
    names = {"BicorpusError", "ClickException", "UsageError"}
    classes = [node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)]
    while True:
        found = {c.name for c in classes if names & {getattr(base, "id", "") for base in c.bases}}
        if found <= names:
            return names
        names |= found


def collect() -> dict[str, list[str]]:
    """Files by the message that they have, in order of the code."""
    trees = parsed_files()
    errors = error_names(trees)
    found: dict[str, list[str]] = {text: ["click"] for text in CLICK}
    found |= {text: ["system"] for text in SYSTEM}
    for script in sorted((ROOT / "pipeline").rglob("*.js")):
        for text in script_messages(script.read_text("utf-8")):
            found.setdefault(text, []).append(script.relative_to(ROOT).as_posix())
    for path, tree in trees.items():
        for text in messages_of(tree, errors):
            if (
                re.search("[A-Za-z]{2}", FIELD.sub("", text)) or text == "; "
            ) and path not in found.setdefault(text, []):
                found[text].append(path)
    return found


def messages_of(tree: ast.Module, errors: set[str]) -> Iterator[str]:
    """Messages of a file, as templates."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            if name in SECOND and len(node.args) == 2:
                yield from templates(node.args[1])
            elif name == "labels":
                for argument in node.args:
                    yield from templates(argument)
            elif node.args and (name in errors or name in PRINTED):
                yield from templates(node.args[0])
            elif (
                node.args and name in LOGGED and getattr(getattr(node.func, "value", None), "id", "") == "LOG"
            ):
                for text in templates(node.args[0]):
                    counter = itertools.count(1)
                    yield re.sub(r"%[sdr]", lambda _, n=counter: f"{{value_{next(n)}}}", text)  # type: ignore[misc]
            elif name in ("option", "Option"):
                for keyword in node.keywords:
                    if keyword.arg == "help":
                        for text in templates(keyword.value):
                            yield from help_parts(text)
        elif isinstance(node, ast.FunctionDef) and is_command(node):
            for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(ast.get_docstring(node) or "")):
                yield " ".join(paragraph.split())


def is_command(function: ast.FunctionDef) -> bool:
    """Whether a function is a command or a group of click."""
    calls = [node for node in function.decorator_list if isinstance(node, ast.Call)]
    return any(getattr(call.func, "attr", "") in ("command", "group") for call in calls)


def help_parts(text: str) -> Iterator[str]:
    """The meaning of an option, and the facts in brackets after it."""
    meaning, _, facts = text.partition("  [")
    yield " ".join(meaning.split())
    yield from filter(None, facts.removesuffix("]").split("; "))


def templates(node: ast.expr) -> Iterator[str]:
    """Messages that an expression can be, and those that its fields can be."""
    if isinstance(node, ast.IfExp):
        yield from templates(node.body)
        yield from templates(node.orelse)
        return
    pieces = list(pieces_of(node))
    if not any(isinstance(piece, str) for piece in pieces):
        return
    names: dict[str, int] = {}
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece.replace("{", "{{").replace("}", "}}")
            continue
        name = name_of(piece.value)
        names[name] = names.get(name, 0) + 1
        number = f"_{names[name]}" if names[name] > 1 else ""
        text += "{" + name + number + format_of(piece) + "}"
        if isinstance(piece.value, ast.IfExp):
            yield from (part for part in templates(piece.value) if " " in part.strip())
    yield text


def pieces_of(node: ast.expr) -> Iterator[str | ast.FormattedValue]:
    """The texts and fields of a string, a formatted string or a sum of them, in order."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from [value] if isinstance(value, ast.FormattedValue) else pieces_of(value)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from pieces_of(node.left)
        yield from pieces_of(node.right)
    else:
        yield ast.FormattedValue(node, -1, None)


def format_of(field: ast.FormattedValue) -> str:
    """The conversion and the format of a field, as in its source; widths are left out, as they are of the code."""
    conversion = {114: "!r", 115: "!s", 97: "!a"}.get(field.conversion, "")
    if field.format_spec is None:
        return conversion
    form = "".join(piece for piece in pieces_of(field.format_spec) if isinstance(piece, str))
    number = re.search(r",?(?:\.\d+)?[df%]$|,$", form)
    return f"{conversion}:{number[0]}" if number else conversion


def name_of(value: ast.expr) -> str:
    """A name for a field: the last one in its expression, such as `path` of `self.path` and `size` of `row["size"]`."""
    if isinstance(value, ast.IfExp):
        return "remark"
    if isinstance(value, ast.Call):
        function = getattr(value.func, "id", None) or getattr(value.func, "attr", "")
        inner = [name_of(arg) for arg in value.args[:1]]
        if function == "len" and inner:
            return f"n_{inner[0]}"
        own = str(function or "value")
        if function in ("nearest", "quoted") or not inner:
            return own
        return inner[0] if inner[0] != "value" else own
    if isinstance(value, ast.Name):
        return value.id
    if isinstance(value, ast.Attribute):
        return value.attr
    if isinstance(value, ast.Subscript):
        if (
            isinstance(value.slice, ast.Constant)
            and isinstance(value.slice.value, str)
            and value.slice.value.isidentifier()
        ):
            return value.slice.value
        return name_of(value.value)
    return "value"


def rendered(found: dict[str, list[str]], translations: dict[str, str]) -> str:
    """The catalogue as text: messages by the first file that has them."""
    parts = [HEADER]
    for text, paths in sorted(found.items(), key=lambda item: (item[1][0], list(found).index(item[0]))):
        parts.append(
            f"#: {' '.join(paths[:3])}\n{quoted('msgid', text)}{quoted('msgstr', translations.get(text, ''))}"
        )
    return "\n".join(parts)


def quoted(key: str, text: str) -> str:
    """A line of a .po file, or several for a text of several lines."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    lines = escaped.split("\n")
    if len(lines) == 1:
        return f'{key} "{escaped}"\n'
    ends = [*(f"{line}\\n" for line in lines[:-1]), *filter(None, lines[-1:])]
    return f'{key} ""\n' + "".join(f'"{line}"\n' for line in ends)


def faults(found: dict[str, list[str]], translations: dict[str, str]) -> list[str]:
    """What keeps the catalogue from being complete: a line for each fault."""
    lines = [
        f"no translation: {text!r} ({paths[0]})"
        for text, paths in found.items()
        if not translations.get(text)
    ]
    lines += [f"no code has it any more: {text!r}" for text in translations if text not in found]
    for text, translation in translations.items():
        if translation and sorted(set(fields_of(text))) != sorted(set(fields_of(translation))):
            lines.append(f"other fields: {text!r} -> {translation!r}")
    return lines


def main(arguments: list[str]) -> int:
    """Check or write the catalogue; the exit code."""
    path = catalogue_path("zh")
    old = path.read_text("utf-8")
    found, translations = collect(), read_po(old)
    problems = faults(found, translations)
    if "--check" in arguments:
        print("\n".join(problems), end="\n" if problems else "")
        if not problems and old != rendered(found, translations):
            print(f"{path} is out of date; run python -m scripts.maintenance.messages")
            return 1
        return 1 if problems else 0
    path.write_text(rendered(found, translations), "utf-8")
    left = [line for line in problems if not line.startswith("no code")]
    print(f"{len(found):,} messages, {len(left):,} to mend")
    if "--missing" in arguments:
        print("\n".join(left))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
