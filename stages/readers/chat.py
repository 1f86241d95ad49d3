r"""Conversations and instructions, rendered to text: rows of JSON Lines, JSON arrays, Parquet, Arrow or CSV.

Recognised are a list of messages (`role` and `content`, as OpenAI has them, or `from` and `value`, as ShareGPT has
them) and rows with an instruction or question and an output (Alpaca), with `input`, `system` and `history` where they
exist. Every turn becomes `turn` with its role and content, `User: …`, and turns are divided by `between`, an empty
line. Roles are kept: `roles` has those of the turns, `turn_starts` the offset of each turn in code points. Messages
that hold more than role and text (calls of tools, pictures, names) stay in the record as they are. Position is that of
the format's own reader. Reasons of broken records: no_turns (the row has neither messages nor instruction and output),
and those of the format's reader.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pipeline.errors import ConfigError
from pipeline.stage import Reader, Record
from stages.decoding.streams import RAW_BYTES, Bounds
from stages.readers import FIELDS, arrow, csv, jsonl, parquet

MESSAGES = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat")
"""Fields with a list of messages, in the order of preference."""

ROLE, CONTENT = ("role", "from", "speaker"), ("content", "value", "text")
ASKED = ("instruction", "prompt", "question", "query")
ANSWERED = ("output", "response", "answer", "completion")
"""Fields of a message, and of rows with one question and its answer. Source: the data cards of OpenAI's fine-tuning
API, ShareGPT, Alpaca, and LLaMA-Factory, which reads both."""

ALIASES = {
    "human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant",
    "chatgpt": "assistant", "bing": "assistant", "function": "tool", "observation": "tool",
}  # fmt: skip
"""Role as written -> role here; other roles stay as they are."""

NAMES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}


@dataclass(frozen=True, kw_only=True)
class Config(Bounds):
    """How turns are written. turn: with {role} and {content}; between: between turns; names: role -> name in the text.

    messages: the field with the list of messages, looked for if empty. max_line_bytes, encoding: as in jsonl.
    """

    turn: str = "{role}: {content}"
    between: str = "\n\n"
    names: Mapping[str, str] = field(default_factory=dict)
    messages: str = ""
    max_line_bytes: int = 64 << 20
    encoding: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.turn.count("{content}") != 1 or not self.between:
            raise ConfigError(
                f"turn is {self.turn!r}, between {self.between!r}; expected {{content}} once, and text"
            )
        jsonl.Config(max_line_bytes=self.max_line_bytes, encoding=self.encoding)


@dataclass(frozen=True)
class Turn:
    """One turn: role as here, text, and whether the message holds nothing else."""

    role: str
    text: str
    is_plain: bool = True


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield one record per row, in order; see `Reader`."""
    for record in _rows(stream, path, config):
        yield record if record.fields is None else rendered(record, config)


def _rows(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Read the rows by the reader of the format, which the first bytes show."""
    start = stream.read(8)
    stream.seek(0)
    # Any: settings of several types.
    bounds: dict[str, Any] = {name: getattr(config, name) for name in Bounds.__dataclass_fields__}
    if start.startswith(b"PAR1"):
        return parquet.read(stream, path, parquet.Config(**bounds))
    if arrow.is_arrow(start):
        return arrow.read(stream, path, arrow.Config(**bounds))
    limits: dict[str, Any] = {"max_line_bytes": config.max_line_bytes, "encoding": config.encoding}
    if csv.NAME.search(path):
        return csv.read(stream, path, csv.Config(**bounds, encoding=config.encoding))
    return jsonl.read(stream, path, jsonl.Config(**bounds, **limits))


def rendered(record: Record, config: Config) -> Record:
    """Return a row as a document of its turns, or as a broken record if it has none."""
    assert record.fields is not None  # for mypy: callers pass complete records
    turns, used = turns_of(record.fields, config.messages)
    shown = [turn for turn in turns if turn.text.strip()]
    if not shown:
        names = ", ".join(record.fields) or "(none)"
        detail = f"no messages, and no instruction with an output; the fields are {names[:200]}"
        raw = json.dumps(record.fields, ensure_ascii=False, default=str).encode("utf-8", "replace")[
            :RAW_BYTES
        ]
        return Record(record.position, None, "no_turns", detail, raw, n_bytes=record.n_bytes)
    spoken = NAMES | dict(config.names)
    texts = [
        config.turn.replace("{role}", spoken.get(t.role, t.role)).replace("{content}", t.text) for t in shown
    ]
    starts, at = [], 0
    for text in texts:
        starts.append(at)
        at += len(text) + len(config.between)
    rest = {name: value for name, value in record.fields.items() if name not in used}
    rest |= {
        "text": config.between.join(texts),
        "roles": [turn.role for turn in shown],
        "turn_starts": starts,
    }
    return Record(record.position, rest, n_bytes=record.n_bytes)


def turns_of(
    fields: Mapping[str, Any], messages: str = ""
) -> tuple[list[Turn], set[str]]:  # Any: values of the format
    """Return the turns of a row, and the names of the fields that they represent wholly.

    Args: messages, the field with the list of messages; looked for if empty.
    """
    for name in (messages,) if messages else MESSAGES:
        found = _decoded(fields.get(name))
        if is_messages(found):
            turns = [_turn(message) for message in found]
            used = {name} if all(turn.is_plain for turn in turns) else set()
            if system := _text(fields.get("system")):
                turns.insert(0, Turn("system", system))
                used.add("system")
            return turns, used
    asked = next((name for name in ASKED if _text(fields.get(name))), None)
    answered = next((name for name in ANSWERED if _text(fields.get(name))), None)
    if messages or asked is None or answered is None:
        return [], set()
    history = fields.get("history")
    pairs = history if isinstance(history, list) and all(_is_pair(pair) for pair in history) else []
    question = "\n\n".join(text for name in (asked, "input") if (text := _text(fields.get(name))))
    turns = [Turn("system", text)] if (text := _text(fields.get("system"))) else []
    turns += [
        Turn(role, _text(text))
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    turns += [Turn("user", question), Turn("assistant", _text(fields[answered]))]
    return turns, {asked, answered, "input", "system", *(("history",) if pairs or not history else ())}


def is_messages(value: Any) -> bool:  # Any: a value of the format
    """Whether a value is a list of messages: objects, each with a role and a content, one at least of which is text."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(item, Mapping) and any(isinstance(item.get(key), str) for key in ROLE)
            for item in value
        )
        and any(any(_content(item.get(key))[0] for key in CONTENT) for item in value)
    )


def _decoded(value: Any) -> Any:
    """A list of messages that is stored as JSON in text, as in columns of CSV."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _turn(message: Mapping[str, Any]) -> Turn:
    role_key = next(key for key in ROLE if isinstance(message.get(key), str))
    role = message[role_key].strip()
    role = ALIASES.get(role.lower(), role.lower() if role.lower() in NAMES else role)
    text, is_plain, key = "", True, ""
    for key in CONTENT:
        text, is_plain = _content(message.get(key))
        if text:
            break
    others = [
        k for k, value in message.items() if k not in (role_key, key) and value not in (None, "", [], {})
    ]
    return Turn(role, text, is_plain and not others)


def _content(value: Any) -> tuple[str, bool]:
    """The text of a content, and whether it is all of it; a list of parts has pictures and others beside text."""
    if isinstance(value, str):
        return _text(value), True
    if not isinstance(value, list):
        return "", value is None
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
    texts = [part for part in parts if isinstance(part, str)]
    return _text("\n".join(texts)), len(texts) == len(value)


def _text(value: Any) -> str:
    return value.replace("\r\n", "\n").replace("\r", "\n").strip("\n") if isinstance(value, str) else ""


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(item, str) for item in value)
    )


READER = Reader(name="chat", version=2, config=Config, read=read, fields={**FIELDS, "text": ("text",)})
