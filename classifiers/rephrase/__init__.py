"""Documents that a language model writes anew in other forms: questions and answers, table, lesson, article,
translation.

Reads canonical text and its language; asks a server once for each form, with personal data masked, and checks every
answer. Writes the accepted texts, and every rejected answer with its reason. `classifiers.rephrase.documents` makes
documents of the texts. See docs/rephrase.md.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from classifiers.cot_llm.checks import PHRASES as FIELD_PHRASES
from classifiers.cot_llm.develop import shown
from classifiers.llm.client import Client
from classifiers.llm.instructions import in_document, read_instructions
from classifiers.llm.masking import PersonalData, mask
from classifiers.llm.open import client_of
from classifiers.llm.requests import Answer, Request, is_open, messages_of
from classifiers.llm.ways import (
    Checked,
    OpenAnswerError,
    Rejected,
    Repairs,
    ask_checked,
    keys_of,
    replay,
    run,
)
from classifiers.rephrase.checks import PHRASES, DocumentChecks, Measures, clean
from classifiers.rephrase.config import STYLES as STYLES
from classifiers.rephrase.config import Config as Config
from classifiers.rephrase.config import target_of
from pipeline.recipe import package_file
from pipeline.service import Services, Usage
from pipeline.stage import Annotate, Stage

PROMPTS = package_file(__file__, "prompts.yaml")
LABEL, PARENT = "language.label", "parent_id"
MAX_TEXT, MAX_DETAIL = 4000, 80
"""Characters kept of a rejected answer, and of what was at fault in it."""

TEXT = pa.struct(
    {
        "style": pa.string(),
        "language": pa.string(),
        "text": pa.large_string(),
        "support": pa.float32(),
        "similarity": pa.float32(),
        "ratio": pa.float32(),
        "prompt": pa.string(),
    }
)
REJECT = pa.struct(
    {"style": pa.string(), "reason": pa.string(), "detail": pa.string(), "text": pa.large_string()}
)
SCHEMA = pa.schema(
    {
        "texts": pa.list_(TEXT),
        "n_texts": pa.int32(),
        "rejects": pa.list_(REJECT),
        "n_rejects": pa.int32(),
        "model": pa.string(),
        "seed": pa.int64(),
        "reason": pa.string(),
    }
)
"""texts: accepted ones, one per form at most, in the order of STYLES: form, language (`en` or `zh`), text, share of its
words and characters that the document has as well, cosine of the vectors of both, tokens for one of the document's,
name and version of the instruction. n_texts: their number. rejects: every fault of every answer that was
rejected, those that a second try replaced as well: form, reason, what was at fault, and with the first fault
of an answer its text, in which personal data is masked. n_rejects: their number. model, seed: what it was
asked with. reason: why nothing was asked, `short`, or is to be asked again, `budget: ...` and `failed: ...`;
null for an answered document. All null for a document outside the gate and for a derived one."""


@dataclass
class Draft:
    """What is known about one document. accepted: form -> text and measures; reason: why there is none."""

    language: str
    accepted: dict[str, tuple[str, Measures]] = field(default_factory=dict)
    rejected: list[tuple[str, Rejected]] = field(default_factory=list)
    reason: str = ""


Way = Generator[list[Request], list[Answer], Draft]


class Rewriter:
    """`annotate` with its instructions, checks and client; see service.Served."""

    def __init__(self, config: Config, client: Client) -> None:
        self.config, self.client = config, client
        self.checks = DocumentChecks(config)
        self.personal = PersonalData()
        self.styles = [style for style in STYLES if style in config.styles]
        self.instructions = read_instructions(config.prompts or PROMPTS, tuple(self.styles))
        self.repairs = Repairs(config.repairs, config.repair_temperature)
        self.n_places = client.settings.concurrency
        self._places = threading.Semaphore(self.n_places)  # of documents in progress, in all shards

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Ask about each document of a batch."""
        ways = self._ways(batch)
        drafts = iter(
            run([way for way in ways if way is not None], self.client.ask, self._places, self.n_places)
        )
        rows = [{} if way is None else self._row(next(drafts)) for way in ways]
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def _ways(self, batch: pa.Table) -> list[Way | None]:
        """The ways of the documents of a batch, their personal data masked; None for what is not asked about."""
        texts, labels = batch["text"].to_pylist(), batch[LABEL].to_pylist()
        parents = batch[PARENT].to_pylist()
        asked = [text if parent is None else None for text, parent in zip(texts, parents, strict=True)]
        spans = iter(self.personal.find([text for text in asked if text is not None]))
        return [
            None if text is None else self.way(mask(text, next(spans)).text, self.config.language_of(label))
            for text, label in zip(asked, labels, strict=True)
        ]

    def way(self, text: str, language: str) -> Way:
        """Ask for all forms of a text, in which personal data is masked; see ways.Way."""
        draft, source = Draft(language), shown(text, self.config.max_chars)
        if len(source.strip()) < max(self.config.min_chars, 1):
            draft.reason = "short"
            return draft

        def check(number: int, value: str) -> list[Any]:  # Any: Fault
            style = self.styles[number]
            return self.checks.faults(clean(value), source, style, target_of(style, language))

        requests = [self.request(source, style, language) for style in self.styles]
        try:
            checked = yield from _as_text(ask_checked(requests, check, self.repairs))
        except OpenAnswerError as error:
            draft.reason = error.reason
            return draft
        draft.rejected = [(self.styles[one.number], one) for one in checked.rejected]
        for style, value in zip(self.styles, checked.values, strict=True):
            if value is not None:
                draft.accepted[style] = clean(value), self.checks.measure(clean(value), source)
        return draft

    def request(self, text: str, style: str, language: str) -> Request:
        """The request for one form of a text."""
        config = self.config
        return Request(
            model=config.model, messages=messages_of(self.instructions[style].text(language, {}), in_document(text)),
            parameters=config.parameters(config.max_tokens),
        )  # fmt: skip

    def _row(self, draft: Draft) -> dict[str, Any]:  # Any: values of SCHEMA
        written = [text for _, one in draft.rejected for text in (one.fault.detail, one.text)]
        hidden = iter(self.personal.masked([*written, draft.reason]))
        rejects = [
            {
                "style": style,
                "reason": one.fault.reason,
                "detail": next(hidden)[:MAX_DETAIL],
                "text": next(hidden)[:MAX_TEXT],
            }
            for style, one in draft.rejected
        ]
        texts = [
            {"style": style, "language": target_of(style, draft.language), "text": text, **measures._asdict(),
             "prompt": f"{style}{self.instructions[style].version}"}
            for style, (text, measures) in draft.accepted.items()
        ]  # fmt: skip
        return {
            "texts": texts, "n_texts": len(texts), "rejects": rejects, "n_rejects": len(rejects),
            "model": self.config.model, "seed": self.config.seed, "reason": next(hidden) or None,
        }  # fmt: skip

    def check(self) -> None:
        """See service.Served."""
        self.client.check()

    def estimate(self, batch: pa.Table) -> Usage:
        """See service.Served."""
        total = Usage(documents=batch.num_rows)
        for way in self._ways(batch):
            if way is not None:
                done, missing = replay(way, self.client.replayed)
                total.add(self.client.estimate(done + missing))
        return total

    def keys(self, batch: pa.Table) -> list[str]:
        """See service.Served."""
        ways = (way for way in self._ways(batch) if way is not None)
        return [key for way in ways for key in keys_of(way, self.client.replayed)]

    def n_open(self, table: pa.Table) -> int:
        """See service.Served."""
        return sum(map(is_open, table["reason"].to_pylist()))


def _as_text(
    way: Generator[list[Request], list[Answer], Checked],
) -> Generator[list[Request], list[Answer], Checked]:
    """Give a way the texts of its answers as their values, for requests without a schema."""
    try:
        requests = next(way)
        while True:
            answers = yield requests
            requests = way.send([replace(answer, value=answer.text) for answer in answers])
    except StopIteration as stop:
        checked: Checked = stop.value
        return checked


def serve(config: Config, services: Services) -> Rewriter:
    """Texts by the server of the model.

    Raises: ConfigError if no server has it.
    """
    return Rewriter(config, client_of(config.model, services, "rephrase"))


def load(config: Config) -> Annotate:
    """Texts without a store; for notebooks, call `serve` with servers.

    Raises: ConfigError, since no server is known.
    """
    return serve(config, Services())


STAGE = Stage(
    name="rephrase",
    version=1,
    config=Config,
    reads=("text", LABEL, PARENT),
    writes=SCHEMA,
    load=load,
    serve=serve,
    kind="service",
    files=("prompts",),
    data=(PROMPTS, PHRASES, FIELD_PHRASES),
    optional=pa.schema({LABEL: pa.string(), PARENT: pa.string()}),
)
