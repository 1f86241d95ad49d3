"""Labels by a language model: the questions of a rubric, asked of a server about each document.

Reads canonical text and the language label, which decides whether the questions are in Chinese or English; personal
data is masked before a text is sent. Writes a column for each property of the rubric, and `reason` where a document has
no answer. The server is named by the model in a file of servers (`--servers`), so that its address, speed and key are
no part of a recipe. Which documents to keep is up to rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from classifiers.llm.asking import Asking
from classifiers.llm.client import Client
from classifiers.llm.masking import DATA, PersonalData
from classifiers.llm.open import client_of
from classifiers.llm.requests import INVALID, Request, is_open
from classifiers.llm.rubric import PEOPLE, PROMPTS, Questions, read_questions
from pipeline.excerpt import excerpt
from pipeline.service import Services, Usage
from pipeline.stage import Annotate, Stage

LABEL = "language.label"


@dataclass(frozen=True, kw_only=True)
class Config(Asking):
    """What is asked.

    model: its name, as the servers file has it.
    rubric: a YAML file of questions; None for the one of `bicorpus label`.
    properties: those of the rubric to ask for; all if empty.
    languages: language of the questions by the first part of a document's label. language: for other labels.
    max_chars: characters shown of a longer text, from its beginning, middle and end; 0 for all.
    max_tokens: largest answer.
    temperature, seed: 0 and any seed make most servers repeat themselves.
    again: how often an invalid answer is asked for anew, with the next seed.
    extra: further fields of the request, such as {chat_template_kwargs: {enable_thinking: false}} for Qwen3 on vLLM.
    """

    STAGE: ClassVar = "llm_label"
    LEAST: ClassVar = {"max_chars": 0, "max_tokens": 1, "again": 0}

    rubric: str | None = None
    properties: tuple[str, ...] = ()
    max_tokens: int = 256
    again: int = 1


def questions_of(config: Config) -> Questions:
    """The questions of a config. Raises: ConfigError if the rubric is none, or lacks a property."""
    return read_questions(config.rubric or PEOPLE).only(config.properties, "llm_label.properties")


def schema_of(questions: Questions) -> pa.Schema:
    """The columns of the answers."""
    return pa.schema([*((p.name, p.dtype) for p in questions.properties), ("reason", pa.string())])


def columns(config: Config) -> tuple[tuple[str, ...], pa.Schema]:
    """Columns read and written."""
    return ("text", LABEL), schema_of(questions_of(config))


SCHEMA = schema_of(read_questions(PEOPLE))
"""score, keep, kind, flags, domain: answers to the rubric of `bicorpus label`; a rubric of your own has others. reason:
why a document has no answer: `invalid: ...`, `refused: ...`, and for one that a later run asks again, `budget: ...` or
`failed: ...`; null for an answer."""


class Labels:
    """`annotate` with its questions and client; see service.Served."""

    def __init__(self, config: Config, client: Client) -> None:
        self.config, self.client = config, client
        self.questions = questions_of(config)
        self.personal = PersonalData()
        self.schema = schema_of(self.questions)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Ask about each document of a batch."""
        requests = self.requests(batch)
        answers = dict(zip(requests, self.client.ask(requests.values()), strict=True))
        rows: list[dict[str, Any]] = []
        for i, is_text in enumerate(batch["text"].is_valid().to_pylist()):
            answer = answers.get(i)
            if answer is None:
                rows.append({"reason": f"{INVALID}: no text"} if is_text else {})
            elif answer.ok:
                rows.append({p.name: p.value(answer.value[p.name]) for p in self.questions.properties})
            else:
                rows.append({"reason": answer.reason})
        return pa.Table.from_pylist(rows, schema=self.schema)

    def written(self, batch: pa.Table) -> list[tuple[str, int, int]]:
        """What the model wrote last about each document of a batch that was asked before: text, tokens in and out."""
        requests = self.requests(batch)
        found = []
        for i in range(batch.num_rows):
            answer = self.client.replayed(requests[i]) if i in requests else None
            found.append((answer.text, answer.input_tokens, answer.output_tokens) if answer else ("", 0, 0))
        return found

    def requests(self, batch: pa.Table) -> dict[int, Request]:
        """The request about each document of a batch that has text, by row; personal data in it is masked."""
        config = self.config
        texts = {i: text for i, text in enumerate(batch["text"].to_pylist()) if text and text.strip()}
        shown = self.personal.masked([excerpt(text, config.max_chars) for text in texts.values()])
        labels = batch[LABEL].to_pylist()
        return {
            i: Request(
                model=config.model, messages=self.questions.messages(text, config.language_of(labels[i])),
                schema=self.questions.schema, parameters=config.parameters(config.max_tokens), again=config.again,
            )
            for i, text in zip(texts, shown, strict=True)
        }  # fmt: skip

    def check(self) -> None:
        """See service.Served."""
        self.client.check()

    def estimate(self, batch: pa.Table) -> Usage:
        """See service.Served."""
        usage = self.client.estimate(self.requests(batch).values())
        usage.documents = batch.num_rows
        return usage

    def keys(self, batch: pa.Table) -> list[str]:
        """See service.Served."""
        return [v.key for request in self.requests(batch).values() for v in request.variants()]

    def n_open(self, table: pa.Table) -> int:
        """See service.Served."""
        return sum(map(is_open, table["reason"].to_pylist()))


def serve(config: Config, services: Services) -> Labels:
    """Labels by the server of the model.

    Raises: ConfigError if no server has it.
    """
    return Labels(config, client_of(config.model, services, "llm_label"))


def load(config: Config) -> Annotate:
    """Labels without a store; for notebooks, call `serve` with servers.

    Raises: ConfigError, since no server is known.
    """
    return serve(config, Services())


STAGE = Stage(
    name="llm_label",
    version=2,
    config=Config,
    reads=("text", LABEL),
    writes=SCHEMA,
    load=load,
    serve=serve,
    kind="service",
    files=("rubric",),
    data=(PEOPLE, PROMPTS, *DATA),
    columns=columns,
    optional=pa.schema({LABEL: pa.string()}),
)
