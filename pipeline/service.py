"""What a stage of kind `service` shares with the engine: servers, caches of requests, counts of what was asked.

Such a stage asks a server about each document. Where the server is and how fast it may be asked never enters a recipe;
the answers are frozen in the stage's sidecars, and each is kept in a cache, so that nothing is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import pyarrow as pa

from pipeline.errors import BicorpusError


class ServiceError(BicorpusError):
    """A server cannot be reached or rejects every request; what it answered before is kept."""


class RequestCache(Protocol):
    """Answers by the hash of their request. Both methods may be called from several threads."""

    def get(self, key: str) -> bytes | None:
        """Return the answer of a request; None if there is none, or if it is damaged."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Keep an answer: bytes without a line end. It survives the process once this has returned."""
        ...

    def close(self) -> None:
        """Flush what was kept."""
        ...


class MemoryCache:
    """A cache that lasts as long as its process, for notebooks and tests."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """See RequestCache.get."""
        return self.answers.get(key)

    def put(self, key: str, data: bytes) -> None:
        """See RequestCache.put."""
        self.answers[key] = data

    def close(self) -> None:
        """See RequestCache.close: nothing to flush."""


@dataclass
class Usage:
    """What was asked, or would be: additive counts.

    documents: rows; cached: requests that the cache answered; requests: sent to a server, repeated ones included;
    retries: of these, sent again after a failure. answered, invalid, refused, unanswered: requests by outcome.
    input_tokens, output_tokens: as the server counts them, else estimated. cost: in the currency of the prices.
    """

    documents: int = 0
    cached: int = 0
    requests: int = 0
    retries: int = 0
    answered: int = 0
    invalid: int = 0
    refused: int = 0
    unanswered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def add(self, other: Usage, factor: float = 1.0) -> None:
        """Add the counts of another, multiplied by a factor."""
        for item in fields(self):
            value = getattr(self, item.name) + getattr(other, item.name) * factor
            setattr(self, item.name, value if item.name == "cost" else round(value))

    def plain(self) -> dict[str, int | float]:
        """The counts as plain data, the cost rounded to six decimals."""
        return {item.name: round(getattr(self, item.name), 6) for item in fields(self)}


def _memory(name: str) -> RequestCache:
    del name
    return MemoryCache()


class Shared(Protocol):
    """A client of a server. usage: what it asked since it was opened."""

    usage: Usage

    def close(self) -> None:
        """Close connections and cache."""
        ...


@dataclass(frozen=True)
class Services:
    """Servers by the name of the model that they serve, and the caches of a store.

    servers: settings as a file states them; `*` is the server of models without their own. cache(name): the cache in
    a folder of this name. shared: clients by model, which stages of a run share.
    """

    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # Any: values of a file
    cache: Callable[[str], RequestCache] = _memory
    shared: dict[str, Shared] = field(default_factory=dict)

    def usage(self) -> dict[str, dict[str, int | float]]:
        """What was asked so far, by model."""
        return {model: client.usage.plain() for model, client in sorted(self.shared.items())}

    def close(self) -> None:
        """Close all clients."""
        for client in self.shared.values():
            client.close()
        self.shared.clear()


class Served(Protocol):
    """The function of a batch that `Stage.serve` returns, with what the engine asks of it beside."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Annotate one batch; a row that could not be answered is null, with its reason in a column."""
        ...

    def check(self) -> None:
        """Raise ConfigError unless the server can be asked: settings, package and key are there."""
        ...

    def estimate(self, batch: pa.Table) -> Usage:
        """What this batch would ask; asks nothing."""
        ...

    def keys(self, batch: pa.Table) -> list[str]:
        """Keys of the answers in the cache that are about documents of this batch; asks nothing."""
        ...

    def n_open(self, table: pa.Table) -> int:
        """Rows of a result that a later run has to ask again, because a budget was spent or the server failed."""
        ...
