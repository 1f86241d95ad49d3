"""Chains of thought by a language model: segments, summaries, a chain from them, and the question that it answers.

Reads canonical text and its language; asks a server four questions about each document, in which personal data is
masked, and checks every answer. Writes the accepted chain with the segments that it is about, and every rejected answer
with its reason. `classifiers.cot_llm.documents` makes documents of the chains. See docs/cot_llm.md.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pyarrow as pa

from classifiers.cot_llm.checks import DATA, Checks
from classifiers.cot_llm.config import STEPS as STEPS
from classifiers.cot_llm.config import Config as Config
from classifiers.cot_llm.develop import Developer, Draft
from classifiers.cot_llm.expect import expected_requests
from classifiers.cot_llm.requests import PROMPTS
from classifiers.llm.client import Client
from classifiers.llm.masking import Masked, mask
from classifiers.llm.open import client_of
from classifiers.llm.requests import Answer, Request, is_open
from classifiers.llm.unasked import Unasked
from classifiers.llm.ways import keys_of, replay, run
from pipeline.schema import SPANS
from pipeline.service import Services, Usage
from pipeline.stage import Annotate, Stage

LABEL, PARENT = "language.label", "parent_id"
MAX_TEXT, MAX_DETAIL = 4000, 80
"""Characters kept of a rejected answer, and of what was at fault in it."""

REJECTS = pa.list_(
    pa.struct(
        {
            "step": pa.string(),
            "start": pa.int32(),
            "end": pa.int32(),
            "reason": pa.string(),
            "detail": pa.string(),
            "text": pa.string(),
        }
    )
)

SCHEMA = pa.schema(
    {
        "question": pa.large_string(),
        "steps": pa.list_(pa.large_string()),
        "answer": pa.large_string(),
        "summaries": pa.list_(pa.large_string()),
        "segments": SPANS,
        "step_segments": pa.list_(pa.int32()),
        "support": pa.float32(),
        "language": pa.string(),
        "model": pa.string(),
        "prompts": pa.string(),
        "seed": pa.int64(),
        "n_rejects": pa.int32(),
        "rejects": REJECTS,
        "reason": pa.string(),
    }
)
"""question, steps, answer: of the accepted chain, as the model wrote them; null without one. summaries: of the parts of
the document that the chain is about. segments: these parts, spans of canonical text of the kind `segment`.
step_segments: for each step the position of its segment among these. support: mean share of the words and characters of
a step that its segment has. language: of instructions and answers, `en` or `zh`. model, seed: what it was asked with.
prompts: versions of the four instructions. n_rejects: number of rejects. rejects: every fault of every answer that was
rejected, those that a second try repaired as well, with the question (`step`), the span that it was about, the reason,
what was at fault, and with the first fault of an answer its text, in which personal data is masked. reason: why a
document has no chain, which is the question and the first reason of its last try, or `short`; `budget: ...` and
`failed: ...` for one that a later run asks again; null for a document with a chain. All null for a document outside the
gate, for a derived one, and for every one if no model is named."""

Way = Generator[list[Request], list[Answer], Draft]


class Chains:
    """`annotate` with its questions, checks and client; see service.Served."""

    def __init__(self, config: Config, client: Client) -> None:
        self.config, self.client = config, client
        self.checks = Checks(config)
        self.developer = Developer(config, self.checks)
        self.n_places = client.settings.concurrency
        self._places = threading.Semaphore(self.n_places)  # of documents in progress, in all shards

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Ask about each document of a batch."""
        masked, languages = self._documents(batch)
        asked = [i for i, one in enumerate(masked) if one is not None]
        ways = [way for way in self._ways(masked, languages) if way is not None]
        drafts = run(ways, self.client.ask, self._places, self.n_places)
        rows: list[dict[str, Any]] = [{} for _ in masked]  # Any: values of SCHEMA
        for i, draft in zip(asked, drafts, strict=True):
            one = masked[i]
            assert one is not None
            rows[i] = self._row(one, draft)
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def _documents(self, batch: pa.Table) -> tuple[list[Masked | None], list[str]]:
        """Texts with personal data masked, and the languages to ask in; None for what is not asked about."""
        texts = batch["text"].to_pylist()
        is_asked = [
            text is not None and parent is None
            for text, parent in zip(texts, batch[PARENT].to_pylist(), strict=True)
        ]
        spans = iter(
            self.checks.personal.find([text for text, asked in zip(texts, is_asked, strict=True) if asked])
        )
        masked = [
            mask(text, next(spans)) if asked else None for text, asked in zip(texts, is_asked, strict=True)
        ]
        return masked, [self.config.language_of(label) for label in batch[LABEL].to_pylist()]

    def _ways(self, masked: list[Masked | None], languages: list[str]) -> list[Way | None]:
        return [
            None if one is None else self.developer.way(one, language)
            for one, language in zip(masked, languages, strict=True)
        ]

    def _row(self, masked: Masked, draft: Draft) -> dict[str, Any]:  # Any: values of SCHEMA
        rejects = []
        faults = [(one.fault, one.text) for one in draft.rejects]
        hidden = iter(
            self.checks.personal.masked([text for fault, raw in faults for text in (fault.detail, raw)])
        )
        for one in draft.rejects:
            start, end = _range(masked, one.segment.start, one.segment.end) if one.segment else (None, None)
            rejects.append(
                {"step": one.step, "start": start, "end": end, "reason": one.fault.reason,
                 "detail": next(hidden)[:MAX_DETAIL], "text": next(hidden)[:MAX_TEXT]}
            )  # fmt: skip
        (reason,) = self.checks.personal.masked([draft.reason])
        row: dict[str, Any] = {
            "language": draft.language, "model": self.config.model, "prompts": self.developer.requests.versions,
            "seed": self.config.seed, "n_rejects": len(rejects), "rejects": rejects, "reason": reason or None,
        }  # fmt: skip
        if draft.reason:
            return row
        spans = [_range(masked, segment.start, segment.end) for segment in draft.segments]
        return row | {
            "question": draft.question, "steps": [text for _, text in draft.steps], "answer": draft.answer,
            "summaries": draft.summaries, "step_segments": [number for number, _ in draft.steps],
            "segments": [{"start": start, "end": end, "kind": "segment"} for start, end in spans],
            "support": round(draft.support, 3),
        }  # fmt: skip

    def check(self) -> None:
        """See service.Served."""
        self.client.check()

    def estimate(self, batch: pa.Table) -> Usage:
        """See service.Served: requests in the cache, and those that follow, as far as the cache leads."""
        total = Usage(documents=batch.num_rows)
        for way, one, language in zip(self._ways(*(found := self._documents(batch))), *found, strict=True):
            if way is None or one is None:
                continue
            done, missing = replay(way, self.client.replayed)
            total.add(self.client.estimate(done + missing))
            if missing:
                follow = expected_requests(self.developer, one.text, language, missing)
                total.add(self.client.estimate(follow))
        return total

    def keys(self, batch: pa.Table) -> list[str]:
        """See service.Served: keys of the answers in the cache that are about documents of a batch."""
        return [
            key
            for way in self._ways(*self._documents(batch))
            if way is not None
            for key in keys_of(way, self.client.replayed)
        ]

    def n_open(self, table: pa.Table) -> int:
        """See service.Served."""
        return sum(map(is_open, table["reason"].to_pylist()))


def _range(masked: Masked, start: int, end: int) -> tuple[int, int]:
    """A range of the text as sent, in canonical text."""
    return masked.start_of(start), masked.end_of(end)


def serve(config: Config, services: Services) -> Chains | Unasked:
    """Chains by the server of the model; without a model nothing is asked.

    Raises: ConfigError if no server has it.
    """
    if not config.model:
        return Unasked(SCHEMA)
    return Chains(config, client_of(config.model, services, "cot_llm"))


def load(config: Config) -> Annotate:
    """Chains without a store; for notebooks, call `serve` with servers.

    Raises: ConfigError, since no server is known.
    """
    return serve(config, Services())


STAGE = Stage(
    name="cot_llm",
    version=1,
    config=Config,
    reads=("text", LABEL, PARENT),
    writes=SCHEMA,
    load=load,
    serve=serve,
    kind="service",
    files=("prompts",),
    data=(PROMPTS, *DATA),
    optional=pa.schema({LABEL: pa.string(), PARENT: pa.string()}),
)
