"""What a model wrote, read as JSON and checked against the schema of its request.

A server may support schemas, ignore them or know none; and a model may think aloud, or put its answer into a block of
Markdown. So every answer is read and checked here. A reason names where the answer breaks which part of the schema; it
does not quote the answer, which may quote the document.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.recipe import canonical_json, optional_module

_THOUGHT = re.compile(r"<think>.*?</think>|^.*?</think>", re.DOTALL)
_BLOCK = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


class InvalidAnswerError(ValueError):
    """An answer that is not what its request asked for; the text is the reason."""


def read_json(text: str, schema: Mapping[str, Any]) -> Any:  # Any: JSON
    """The JSON value in an answer.

    Thoughts (`<think>`) are left out. What remains is one value, or has one in a block of Markdown, or has text around
    one object.
    Raises: InvalidAnswerError, if there is none or it breaks the schema.
    """
    text = _THOUGHT.sub("", text).strip()
    block = _BLOCK.search(text)
    value = _load(block[1] if block else text)
    for error in _validator(canonical_json(dict(schema))).iter_errors(value):
        path = ".".join(str(part) for part in error.absolute_path) or "the answer"
        rule = canonical_json(error.validator_value)
        raise InvalidAnswerError(
            f"{path} breaks {error.validator} {rule[:60]}{'…' if len(rule) > 60 else ''}"
        )
    return value


def _load(text: str) -> Any:  # Any: JSON
    if not text:
        raise InvalidAnswerError("empty")
    for start in dict.fromkeys((0, text.find("{"))):
        if start < 0:
            continue
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if start or not text[end:].strip():
            return value
    raise InvalidAnswerError("no JSON")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


@functools.lru_cache(maxsize=256)
def _validator(schema: str) -> Any:  # Any: the package publishes no types
    package = optional_module("jsonschema", "the package jsonschema", "llm", "a schema of answers")
    return package.Draft202012Validator(json.loads(schema))
