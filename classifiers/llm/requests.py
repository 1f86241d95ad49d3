"""Requests to a language model and their answers: what identifies a request, and how many tokens it takes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.recipe import digest

MAX_TOKENS = 1024
"""Largest answer in tokens of a request that states none."""

CHARS_PER_TOKEN, TOKENS_PER_WIDE_CHAR = 4.0, 0.8
"""ASCII characters of a token, and tokens of any other character: rough means over the tokenizers of 2024 to 2026. An
estimate is corrected by what the server counted, once there are answers."""

_PER_MESSAGE = 8
"""Tokens that a chat template adds to a message, roughly."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question to a model.

    model: its name, which is part of the key of the answer. messages: (role, content). schema: JSON schema of the
    answer; None for text. parameters: fields of the request beside these, such as temperature, seed, max_tokens and
    those that only some servers have. again: how often an answer that is invalid is asked for anew, with the next seed.
    """

    model: str
    messages: tuple[tuple[str, str], ...]
    schema: Mapping[str, Any] | None = None  # Any: JSON
    parameters: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    again: int = 0

    @functools.cached_property
    def key(self) -> str:
        """Hash of model, messages, parameters and schema, 32 hex digits; the server is not part of it."""
        return digest([self.model, self.messages, dict(self.parameters), self.schema and dict(self.schema)])

    @property
    def instructions(self) -> str:
        """The first of several messages, which requests about other documents share; "" if there is none."""
        return self.messages[0][1] if len(self.messages) > 1 else ""

    @property
    def max_tokens(self) -> int:
        """Largest number of tokens of the answer."""
        return int(self.parameters.get("max_tokens", MAX_TOKENS))

    @property
    def n_tokens(self) -> int:
        """Estimate of the tokens of the messages."""
        return sum(tokens_of(content) + _PER_MESSAGE for _, content in self.messages)

    @property
    def most_tokens(self) -> int:
        """Tokens that the messages have at most: a token has a byte or more."""
        return sum(len(content.encode()) + 8 * _PER_MESSAGE for _, content in self.messages)

    def variants(self) -> Iterator[Request]:
        """The request, then those that are sent in turn while answers are invalid."""
        yield self
        for n in range(1, self.again + 1):
            seed = int(self.parameters.get("seed", 0)) + n
            yield replace(self, parameters={**self.parameters, "seed": seed}, again=0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer, or the reason why there is none.

    text: as the model wrote it. value: JSON that fits the schema; None without schema or with a reason. reason: "", or
    a word of REASONS, a colon and more. is_open: a later run should ask again. is_cached: no server was asked.
    """

    text: str = ""
    value: Any = None  # Any: JSON
    reason: str = ""
    is_open: bool = False
    is_cached: bool = False
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def ok(self) -> bool:
        """Whether the request was answered."""
        return not self.reason


INVALID, REFUSED, BUDGET, FAILED = "invalid", "refused", "budget", "failed"
REASONS = (INVALID, REFUSED, BUDGET, FAILED)
"""invalid: the answer is cut off, no JSON, or breaks the schema. refused: the server rejects this request, for example
because it is too long. budget: it was not sent, because the budget was spent. failed: the server gave no answer in any
try. The last two are open: a later run asks again."""
OPEN = (BUDGET, FAILED)


def is_open(reason: str | None) -> bool:
    """Whether a reason is one for which a later run asks again."""
    return reason is not None and (reason.partition(":")[0] in OPEN or reason.endswith(NOT_SURE))


NOT_SURE = "(no request was answered yet)"
"""End of the reason of a refused request while nothing shows that the server answers any."""


def tokens_of(text: str) -> int:
    """Estimate of the tokens of a text."""
    n_ascii = len(text.encode("ascii", "ignore"))
    return round(n_ascii / CHARS_PER_TOKEN + (len(text) - n_ascii) * TOKENS_PER_WIDE_CHAR)


def messages_of(system: str, user: str) -> tuple[tuple[str, str], ...]:
    """A system message and a user message."""
    return (("system", system), ("user", user))


def as_dicts(messages: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Messages in the form of the interface."""
    return [{"role": role, "content": content} for role, content in messages]
