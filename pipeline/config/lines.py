"""Lines of a run file at which its settings stand, for messages of errors."""

from __future__ import annotations

import re

import yaml

from pipeline.config.run_sets import Origins
from pipeline.translation import message as marked

PLACE = re.compile(r"[A-Za-z_]\w*(?:\[\d+\]|\.[\w-]+)*")
PART = re.compile(r"\[(\d+)\]|\.?([\w-]+)")
UNKNOWN_KEY = re.compile(r": unknown key '([^']*)'")


def with_line(message: str, path: str, text: str, origins: Origins) -> str:
    """Return a message that begins with the path of a run file and a setting, with the line of the setting.

    `run.yaml: sources[1].files is …` becomes `run.yaml:7: sources[1].files is …`. An entry that comes from the set of
    `use` has no line.

    Args: text, of the run file; origins, see `run_sets.with_set`.
    """
    if not message.startswith(f"{path}: "):
        return message
    rest = message[len(path) + 2 :]
    match = PLACE.match(rest)
    if match is None:
        return message
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return message
    parts: list[str | int] = [int(i) if i else name for i, name in PART.findall(match[0])]
    if len(parts) > 1 and parts[0] in origins and isinstance(parts[1], int):
        own = origins[str(parts[0])][parts[1]] if parts[1] < len(origins[str(parts[0])]) else None
        if own is None:
            where, what = rest[: match.end()], rest[match.end() :]
            return marked(f"{path}: {where} (of the set that `use` names){what}")
        rest = f"{parts[0]}[{own}]{rest[len(f'{parts[0]}[{parts[1]}]') :]}"
        parts[1] = own
    unknown = UNKNOWN_KEY.match(rest, match.end()) if ": unknown key" in rest else None
    unknown = unknown or UNKNOWN_KEY.search(rest)
    if unknown and unknown.start() <= match.end() + 1:
        parts.append(unknown[1])
    elif rest.startswith("unknown key"):
        parts = [named[1]] if (named := re.match(r"unknown key '([^']*)'", rest)) else []
    line = _line(node, parts)
    return message if line is None else f"{path}:{line}: {rest}"


def _line(node: yaml.Node | None, parts: list[str | int]) -> int | None:
    """Return the line, from 1, of the setting that the parts name, or of the last part that there is."""
    line: int | None = None
    for part in parts:
        found: tuple[yaml.Node, int] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next(
                ((value, key.start_mark.line) for key, value in node.value if key.value == str(part)), None
            )
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part], node.value[part].start_mark.line
        elif isinstance(node, yaml.SequenceNode):
            found = next(((item, item.start_mark.line) for item in node.value if _is_named(item, part)), None)
        if found is None:
            break
        node, line = found[0], found[1] + 1
    return line


def _is_named(node: yaml.Node, name: str | int) -> bool:
    """Whether an entry of a list has this name, as rules and stages with `as` have."""
    return isinstance(node, yaml.MappingNode) and any(
        key.value in ("name", "as") and value.value == name for key, value in node.value
    )
