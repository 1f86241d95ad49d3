"""The reader of conversations: shapes of other tools, the stated layout, roles, and rows that are none."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pipeline.stage import Record
from stages.readers import chat
from stages.turns.parse import find_turns
from tests.helpers.records import parquet_bytes, read_all

OPENAI = {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "你好"},
                       {"role": "assistant", "content": "你好！有什么可以帮您？"}], "id": 1}  # fmt: skip
SHAREGPT = {
    "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}],
    "id": "b",
}
ALPACA = {
    "instruction": "翻译成英文",
    "input": "你好",
    "output": "Hello",
    "system": "",
    "history": [["q", "a"]],
}


def rendered(*rows: dict[str, Any], **config: Any) -> list[Record]:
    """Records of rows of JSON Lines."""
    data = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    return read_all(chat.READER, data, **config)


def test_messages_become_text_with_roles() -> None:
    """Every turn begins with its role; roles, offsets and other fields are kept."""
    openai, sharegpt, alpaca = (record.fields or {} for record in rendered(OPENAI, SHAREGPT, ALPACA))
    assert openai["text"] == "System: Be kind.\n\nUser: 你好\n\nAssistant: 你好！有什么可以帮您？"
    assert openai["roles"] == ["system", "user", "assistant"]
    assert [openai["text"][start:][:4] for start in openai["turn_starts"]] == ["Syst", "User", "Assi"]
    assert openai.keys() == {"id", "text", "roles", "turn_starts"}
    assert sharegpt["text"] == "User: Hi\n\nAssistant: Hello!"
    assert alpaca["text"] == "User: q\n\nAssistant: a\n\nUser: 翻译成英文\n\n你好\n\nAssistant: Hello"
    found = find_turns(alpaca["text"])
    assert found is not None and len(found.turns) == 4


def test_the_layout_can_be_set() -> None:
    """Names of roles, the form of a turn and what divides turns."""
    (record,) = rendered(SHAREGPT, turn="<{role}>\n{content}", between="\n", names={"user": "用户"})
    assert record.fields is not None and record.fields["text"] == "<用户>\nHi\n<Assistant>\nHello!"
    for wrong in ({"turn": "{role}"}, {"between": ""}, {"encoding": "gbq"}):
        with pytest.raises(ConfigError):
            chat.Config(**wrong)  # type: ignore[arg-type]


def test_messages_with_more_than_text_are_kept() -> None:
    """Pictures, calls of tools and weights stay in the record as they are."""
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": "x"}]
    rows = [{"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "A cat."}]},
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [1]},
                          {"role": "tool", "content": "7"}]}]  # fmt: skip
    first, second = (record.fields or {} for record in rendered(*rows))
    assert (
        first["text"] == "User: What is it?\n\nAssistant: A cat." and first["messages"] == rows[0]["messages"]
    )
    assert second["roles"] == ["tool"] and second["messages"] == rows[1]["messages"]


def test_other_formats_are_read() -> None:
    """Rows of Parquet; a CSV column with messages as JSON; an array."""
    table = pa.Table.from_pylist([SHAREGPT, SHAREGPT])
    texts = [r.fields["text"] for r in read_all(chat.READER, parquet_bytes(table)) if r.fields]
    assert texts == ["User: Hi\n\nAssistant: Hello!"] * 2
    cell = json.dumps(OPENAI["messages"]).replace('"', '""')
    data = f'id,messages\n1,"{cell}"\n'.encode()
    (record,) = chat.READER.read(io.BytesIO(data), "a.csv", chat.Config())
    assert record.fields is not None and record.fields["roles"] == ["system", "user", "assistant"]
    array = read_all(chat.READER, json.dumps([ALPACA, SHAREGPT]).encode())
    assert [record.position for record in array] == [0, 1]


def test_rows_without_turns_are_broken() -> None:
    """No messages, empty ones, half a pair; the row is kept."""
    rows: list[dict[str, Any]] = [
        {"text": "x"},
        {"messages": []},
        {"instruction": "a", "output": ""},
        {"messages": [1]},
    ]
    records = rendered(*rows, {"messages": [{"role": "user", "content": "  "}]})
    assert [record.reason for record in records] == ["no_turns"] * 5
    assert records[0].raw == b'{"text": "x"}' and "the fields are text" in str(records[0].detail)
