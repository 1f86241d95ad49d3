"""A client of a language model behind a server: requests in, answers in order out, each an answer or a reason.

    client = Client(Settings(base_url="http://127.0.0.1:8000/v1"), cache)
    answers = client.ask([Request(model="Qwen/Qwen3-8B", messages=messages_of("Be brief.", text), schema=schema)])

An answer is kept in the cache as soon as it has arrived, as the server sent it, invalid ones too; so a rerun asks only
what has no answer, a run that is replayed asks nothing, and a killed one loses the requests in flight. Requests are
sent concurrently within the limits of the settings, repeated after a fault, and checked against their schema.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from classifiers.llm.answers import InvalidAnswerError, read_json
from classifiers.llm.limits import Ledger, Pace
from classifiers.llm.requests import BUDGET, FAILED, INVALID, NOT_SURE, REFUSED, Answer, Request
from classifiers.llm.settings import Settings
from classifiers.llm.transport import MODE, MODES, RATE, RETRY, STOP, Fault, Transport
from pipeline.service import MemoryCache, RequestCache, ServiceError, Usage

Result = TypeVar("Result")

MAX_GIVEN_UP = 5
"""Requests given up in a row from which the server counts as lost and the run stops."""
MAX_REFUSED = 8
"""Requests refused, with none answered, from which the settings count as wrong and the run stops."""
N_WRITERS = 32
"""Threads that write to the cache; in a bucket they share one write."""
MIN_KNOWN = 10
"""Answers in the cache from which an estimate uses their numbers of tokens."""


class Client:
    """One server, one cache; `ask` may be called from several threads, which share limits and budget.

    usage: what was asked since it was opened.
    """

    def __init__(self, settings: Settings, cache: RequestCache | None = None) -> None:
        self.settings = settings
        self.cache: RequestCache = MemoryCache() if cache is None else cache
        self.usage = Usage()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: Transport | None = None
        self._writers = ThreadPoolExecutor(N_WRITERS, thread_name_prefix="request cache")
        self._pace, self._ledger = Pace(settings), Ledger(settings)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._mode = MODES[0] if settings.structured == "auto" else settings.structured
        self._given_up = self._n_refused = 0
        self._stopped = ""
        self._has_answered = False
        self._known: dict[str, list[int]] = {}  # by instructions, see _learn

    def check(self) -> None:
        """Raise ConfigError unless the packages and the key are there; asks nothing."""
        with self._lock:
            if self._transport is None:
                self._transport = Transport(self.settings)

    def ask(self, requests: Iterable[Request]) -> list[Answer]:
        """Answer requests, from the cache or by the server; equal ones are asked once.

        Returns: for each request, in order, an answer or a reason.
        Raises: ServiceError if the server is lost or rejects every request; ConfigError without key or package. What
        was answered is in the cache in each case.
        """
        wanted, answers = list(requests), dict[str, Answer]()
        for request in wanted:
            answer = self.replayed(request)
            if answer is not None:
                answers[request.key] = answer
                self._count(answer)
        asked = {request.key: request for request in wanted if request.key not in answers}
        if asked:
            self._raise_if_stopped()
            self.check()
            answers |= self._run(self._ask_all(list(asked.values())))
        return [answers[request.key] for request in wanted]

    def replayed(self, request: Request) -> Answer | None:
        """The answer from the cache; None if a server has to be asked. Counts nothing."""
        answer = None
        for variant in request.variants():
            data = self.cache.get(variant.key)
            raw = _parsed(data)
            if raw is None:
                return None
            answer = read_answer(raw, variant, is_cached=True)
            self._learn(raw, variant)
            if not answer.reason.startswith(INVALID):
                return answer
        return answer

    def estimate(self, requests: Iterable[Request]) -> Usage:
        """What these requests would use: those without an answer in the cache, once each.

        Tokens are estimated from characters, and an answer is as long as it may be, until the cache has answers to the
        same instructions, from which both are corrected.
        """
        usage, open_ = Usage(), dict[str, Request]()
        for request in requests:
            if self.replayed(request) is not None:
                usage.cached += 1
            else:
                open_[request.key] = request
        for request in open_.values():
            usage.requests += 1
            n, n_input, n_estimated, n_output = self._known.get(request.instructions, (0, 0, 0, 0))
            is_known = n >= MIN_KNOWN and n_estimated > 0
            usage.input_tokens += (
                round(request.n_tokens * n_input / n_estimated) if is_known else request.n_tokens
            )
            usage.output_tokens += round(n_output / n) if is_known else request.max_tokens
        usage.cost = self._ledger.cost_of(usage.input_tokens, usage.output_tokens)
        return usage

    def close(self) -> None:
        """Close the connections and the cache."""
        self._stopped = self._stopped or "closed"
        if self._loop is not None:
            self._run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None
        self._writers.shutdown()
        self.cache.close()

    async def _end(self) -> None:
        """Abort what is in flight, for a run that is interrupted, and close the connections."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()

    # Cache

    def _learn(self, raw: dict[str, Any], request: Request) -> None:  # Any: JSON
        """Add a cached answer to those of its instructions: number, tokens in and estimate of these, tokens out."""
        usage = raw.get("usage") or {}
        if usage.get("input") and usage.get("output"):
            with self._lock:
                values = (1, usage["input"], request.n_tokens, usage["output"])
                known = self._known.get(request.instructions, [0, 0, 0, 0])
                self._known[request.instructions] = [a + b for a, b in zip(known, values, strict=True)]

    async def _keep(self, request: Request, raw: dict[str, Any]) -> None:  # Any: JSON
        data = json.dumps(raw, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()
        await asyncio.get_running_loop().run_in_executor(self._writers, self.cache.put, request.key, data)

    # Asking

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the client's event loop, which has a thread of its own; notebooks have one already."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="llm client", daemon=True).start()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _ask_all(self, requests: list[Request]) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        waiting = iter(requests)

        async def work() -> None:
            for request in waiting:
                async with self._slots:
                    answer = answers[request.key] = await self._resolve(request)
                if not answer.reason.endswith(NOT_SURE):
                    self._count(answer)

        tasks = [asyncio.ensure_future(work()) for _ in range(min(self.settings.concurrency, len(requests)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for request in requests:
            answer = answers[request.key]
            if not answer.reason.endswith(NOT_SURE):
                continue
            if self._has_answered:
                reason = answer.reason.removesuffix(NOT_SURE).strip()
                await self._keep(request, {"refused": reason})
                answer = answers[request.key] = Answer(reason=reason)
            self._count(answer)
        return answers

    async def _resolve(self, request: Request) -> Answer:
        """Ask for a request until an answer is valid, at most `again` more times."""
        answer = Answer()
        for variant in request.variants():
            raw = _parsed(self.cache.get(variant.key))
            if raw is None:
                fetched = await self._fetch(variant)
                if isinstance(fetched, Answer):
                    return fetched
                raw = fetched
            answer = read_answer(raw, variant, is_cached=False)
            if not answer.reason.startswith(INVALID):
                break
        return answer

    async def _fetch(self, request: Request) -> dict[str, Any] | Answer:  # Any: JSON
        """The server's answer to a request, kept in the cache; or an answer with the reason why there is none."""
        n_tries, n_rejected, begin, is_retry = 0, 0, time.monotonic(), False
        while True:
            number = await self._ledger.reserve(request.most_tokens, request.max_tokens)
            if number is None:
                return Answer(reason=f"{BUDGET}: {self._ledger.spent()}", is_open=True)
            used = (0, 0)
            try:
                await self._pace.turn(request.n_tokens + request.max_tokens)
                self._raise_if_stopped()
                self.usage.requests += 1
                self.usage.retries += is_retry
                is_retry, mode = True, self._mode
                assert self._transport is not None
                raw = await self._transport.send(request, mode)
                used = self._used(request, raw)
                await self._keep(request, raw)
                self._given_up, self._has_answered = 0, True
                return raw
            except Fault as fault:
                if fault.kind == MODE:
                    if self._mode == mode and self.settings.structured == "auto":
                        self._mode = MODES[MODES.index(mode) + 1]
                    if self._mode != mode:
                        continue
                n_tries, n_rejected = n_tries + (fault.kind == RETRY), n_rejected + (fault.kind == RATE)
                if (answer := self._given_up_answer(fault, n_tries, begin)) is not None:
                    return answer
                await self._wait(fault, n_tries + n_rejected)
            finally:
                self._pace.correct(sum(used) - request.n_tokens - request.max_tokens)
                await self._ledger.settle(number, *used)

    def _given_up_answer(self, fault: Fault, n_tries: int, begin: float) -> Answer | None:
        """The answer with the reason for a request that is not tried again; None for one that is.

        Raises: ServiceError if no other request would be answered either.
        """
        if fault.kind == STOP:
            self._stop(fault.message)
        if fault.kind in (MODE, REFUSED):
            self._given_up = 0
            self._n_refused += 1
            if not self._has_answered and self._n_refused >= MAX_REFUSED:
                self._stop(f"it rejects every request ({fault.message})")
            return Answer(reason=f"{REFUSED}: {fault.message} {NOT_SURE}", is_open=True)
        waited = time.monotonic() - begin + (fault.wait_s or 0.0)
        if n_tries < self.settings.max_tries and waited < self.settings.give_up_s:
            return None
        self._given_up += 1
        if not self._has_answered or self._given_up >= MAX_GIVEN_UP:
            self._stop(f"no answer ({fault.message})")
        return Answer(reason=f"{FAILED}: {fault.message}", is_open=True)

    async def _wait(self, fault: Fault, n: int) -> None:
        """Wait before the next try; where the server asks for a pause, all requests wait."""
        if fault.wait_s is not None:
            self._pace.pause(fault.wait_s)
            return
        limit = min(self.settings.backoff_s * 2 ** min(n - 1, 30), self.settings.max_backoff_s)
        await asyncio.sleep(limit * random.uniform(0.5, 1.0))

    def _used(self, request: Request, raw: dict[str, Any]) -> tuple[int, int]:  # Any: JSON
        """Tokens in and out of an answer, estimated where the server does not count, added to `usage`."""
        counted = raw["usage"]
        n_input = request.n_tokens if counted["input"] is None else counted["input"]
        n_output = (
            min(request.max_tokens, len(raw["text"])) if counted["output"] is None else counted["output"]
        )
        self.usage.input_tokens += n_input
        self.usage.output_tokens += n_output
        self.usage.cost += self._ledger.cost_of(n_input, n_output)
        return n_input, n_output

    def _stop(self, message: str) -> None:
        self._stopped = f"{self.settings.base_url}: {message}; answers so far are kept, run again to go on"
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise ServiceError(self._stopped)

    def _count(self, answer: Answer) -> None:
        word = answer.reason.partition(":")[0]
        name = "unanswered" if answer.is_open else {"": "answered", INVALID: "invalid"}.get(word, "refused")
        with self._lock:
            self.usage.cached += answer.is_cached
            setattr(self.usage, name, getattr(self.usage, name) + 1)


def _parsed(data: bytes | None) -> dict[str, Any] | None:  # Any: JSON
    """A cached answer; None if there is none, or it is none of this form."""
    if data is None:
        return None
    try:
        raw = json.loads(data)
    except ValueError:
        return None
    return raw if isinstance(raw, dict) and ("text" in raw or "refused" in raw) else None


def read_answer(raw: dict[str, Any], request: Request, is_cached: bool) -> Answer:  # Any: JSON
    """The answer in what a server sent, checked against the schema of the request."""
    if "refused" in raw:
        return Answer(reason=raw["refused"], is_cached=is_cached)
    text, usage = raw["text"], raw.get("usage") or {}
    value, reason = None, ""
    if request.schema is not None:
        try:
            value = read_json(text, request.schema)
        except InvalidAnswerError as error:
            reason = str(error)
    elif not text.strip():
        reason = "empty"
    if raw.get("finish") == "length" and (reason or request.schema is None):
        reason = f"cut off after {request.max_tokens:,} tokens"
    elif raw.get("finish") == "content_filter" and reason:
        reason = "filtered by the server"
    return Answer(
        text=text, value=value, reason=f"{INVALID}: {reason}" if reason else "", is_cached=is_cached,
        input_tokens=usage.get("input") or 0, output_tokens=usage.get("output") or 0,
    )  # fmt: skip
