"""Several questions about each document, where what is asked next depends on the answers so far.

The way of one document is a generator: it yields the requests that it has now, gets their answers, and returns its
result. `run` takes documents through their ways, as many at once as there are places, and finishes one before it begins
another: a budget that is spent leaves few of them unfinished. Answers are cached by request, so that a changed question
asks for itself and for what follows from it alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from classifiers.llm.requests import REFUSED, Answer, Request

Result = TypeVar("Result")

Way = Generator[list[Request], list[Answer], Result]
"""The way of one document: yields requests, gets an answer for each, in order; returns the document's result."""


class OpenAnswerError(Exception):
    """A request has no answer yet: the budget is spent or the server failed, and a later run asks again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def run(
    ways: Sequence[Way[Result]],
    ask: Callable[[list[Request]], list[Answer]],
    places: threading.Semaphore,
    n_threads: int,
) -> list[Result]:
    """Take documents through their ways; returns their results in order.

    Args: places, of documents in progress, which calls in several threads share; n_threads, of this call.
    """

    def follow(way: Way[Result]) -> Result:
        with places:
            try:
                requests = next(way)
                while True:
                    requests = way.send(ask(requests))
            except StopIteration as stop:
                result: Result = stop.value
                return result

    with ThreadPoolExecutor(n_threads, thread_name_prefix="document") as pool:
        try:
            return list(pool.map(follow, ways))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def replay(
    way: Way[Any], replayed: Callable[[Request], Answer | None]
) -> tuple[list[Request], list[Request]]:  # Any: the result is not used
    """Follow a way as far as the cache has answers.

    Returns: the requests that it has answers for, and those that it would ask next, none of a finished way.
    """
    done: list[Request] = []
    answers: list[Answer] | None = None
    while True:
        try:
            requests = next(way) if answers is None else way.send(answers)
        except StopIteration:
            return done, []
        found = [(request, replayed(request)) for request in requests]
        done += [request for request, answer in found if answer is not None]
        missing = [request for request, answer in found if answer is None]
        if missing:
            way.close()
            return done, missing
        answers = [answer for _, answer in found if answer is not None]


@dataclass(frozen=True)
class Fault:
    """Why an answer is rejected. reason: a word, or a word, a colon and more. detail: what is at fault, some characters
    of it. at: number of the part at fault, where a value has parts."""

    reason: str
    detail: str = ""
    at: int | None = None


@dataclass(frozen=True)
class Rejected:
    """A fault of an answer. number: of the request among those asked with it; attempt: from 0; text: of the answer,
    with its first fault."""

    number: int
    attempt: int
    fault: Fault
    text: str


@dataclass
class Checked:
    """Answers that were checked. values: by request, None where no try gave one that can be used. rejected: every
    fault of every answer, in order; those of answers that a later try replaced as well."""

    values: list[Any]  # Any: JSON
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """The first reason of the last attempt."""
        last = max((one.attempt for one in self.rejected), default=0)
        return next((one.fault.reason for one in self.rejected if one.attempt == last), "")


@dataclass(frozen=True)
class Repairs:
    """How rejected answers are asked for anew: at most so often, with the next seed and at least this temperature.

    At temperature 0 most servers would repeat what was rejected.
    """

    most: int = 1
    temperature: float = 0.7

    def varied(self, request: Request, n: int) -> Request:
        """The n-th repetition of a request; itself for 0."""
        if n == 0:
            return request
        own = request.parameters
        changed = {
            "seed": int(own.get("seed", 0)) + n,
            "temperature": max(float(own.get("temperature", 0)), self.temperature),
        }
        return replace(request, parameters={**own, **changed})


Check = Callable[[int, Any], list[Fault]]  # Any: JSON that fits the schema of the request
"""Number of a request and the value of its answer -> its faults."""


def ask_checked(
    requests: Sequence[Request], check: Check, repairs: Repairs, usable: Callable[[Any], int] | None = None
) -> Generator[list[Request], list[Answer], Checked]:  # Any: JSON
    """Ask requests, and those again whose answers have faults.

    usable: how much of a value with faults can be used; of the tries that all have faults, the first of the best is
    taken if that is above 0. None: such a value cannot be used.
    Raises: OpenAnswerError if a request has no answer yet.
    """
    checked, best = Checked([None] * len(requests)), [0] * len(requests)
    open_ = list(range(len(requests)))
    for attempt in range(repairs.most + 1):
        answers = yield [repairs.varied(requests[i], attempt) for i in open_]
        failed = []
        for i, answer in zip(open_, answers, strict=True):
            if answer.is_open:
                raise OpenAnswerError(answer.reason)
            faults = check(i, answer.value) if answer.ok else [Fault(answer.reason)]
            checked.rejected += [
                Rejected(i, attempt, fault, answer.text if k == 0 else "") for k, fault in enumerate(faults)
            ]
            if not faults:
                checked.values[i] = answer.value
                continue
            worth = usable(answer.value) if answer.ok and usable else 0
            if worth > best[i]:
                checked.values[i], best[i] = answer.value, worth
            if not answer.reason.startswith(REFUSED):
                failed.append(i)
        open_ = failed
        if not open_:
            break
    return checked


def keys_of(way: Way[Any], replayed: Callable[[Request], Answer | None]) -> Iterator[str]:  # Any: not used
    """Keys of the answers in the cache on a way."""
    done, _ = replay(way, replayed)
    for request in done:
        yield from (variant.key for variant in request.variants())
