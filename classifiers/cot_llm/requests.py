"""The four requests about a document: instructions, what they are about, and the schema of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.cot_llm.config import STEPS, Config
from classifiers.llm.instructions import in_document, read_instructions, read_yaml, versions
from classifiers.llm.requests import Request, messages_of
from pipeline.recipe import package_file

PROMPTS = package_file(__file__, "prompts.yaml")

_TEXT = {"type": "string", "minLength": 1}


def _object(**properties: Any) -> dict[str, Any]:  # Any: JSON schema
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


class Requests:
    """Makes the requests of a config. versions: of its instructions, in one word."""

    def __init__(self, config: Config) -> None:
        self.config = config
        path = config.prompts or PROMPTS
        self.instructions = read_instructions(path, STEPS)
        self.words: Mapping[str, Mapping[str, str]] = (
            read_yaml(path).get("words") or read_yaml(PROMPTS)["words"]
        )
        self.versions = versions(self.instructions)

    def segment(self, text: str, language: str) -> Request:
        """Ask for the markers of the segments of a text."""
        marker = {"type": "string", "minLength": 1, "maxLength": 200}
        items = {
            "type": "array",
            "items": _object(start=marker, end=marker),
            "maxItems": self.config.max_segments,
        }
        return self._request("segment", language, in_document(text), _object(segments=items))

    def summary(self, text: str, language: str) -> Request:
        """Ask for the summary of one segment."""
        return self._request("summary", language, in_document(text), _object(summary=_TEXT))

    def chain(self, summaries: Sequence[str], language: str) -> Request:
        """Ask for a chain from summaries."""
        note = {"type": "integer", "minimum": 1, "maximum": max(len(summaries), 1)}
        steps = {"type": "array", "items": _object(note=note, text=_TEXT), "maxItems": self.config.max_steps}
        schema = _object(steps=steps, answer={"type": "string"})
        line = self.words[language]["note"]
        notes = [_fill(line, number=i + 1, text=text) for i, text in enumerate(summaries)]
        return self._request("chain", language, "\n\n".join(notes), schema)

    def question(self, steps: Sequence[str], answer: str, language: str) -> Request:
        """Ask for the question that a chain answers."""
        words = self.words[language]
        lines = [_fill(words["step"], number=i + 1, text=text) for i, text in enumerate(steps)]
        lines += ["", _fill(words["answer"], text=answer)]
        return self._request("question", language, "\n".join(lines), _object(question=_TEXT))

    def _request(
        self, step: str, language: str, user: str, schema: Mapping[str, Any]
    ) -> Request:  # Any: JSON
        config = self.config
        values = {name: getattr(config, name) for name in ("max_segments", "min_steps", "max_steps")}
        return Request(
            model=config.model, messages=messages_of(self.instructions[step].text(language, values), user),
            schema=schema, parameters=config.parameters(config.tokens_of(step)),
        )  # fmt: skip


def _fill(line: str, **values: object) -> str:
    for name, value in values.items():
        line = line.replace(f"{{{name}}}", str(value))
    return line
