"""Limits of a client: the pace of requests and tokens, pauses that a server asks for, and a budget.

All of it runs in one event loop, so that nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import time

from classifiers.llm.settings import Settings


class Pace:
    """Spaces requests evenly, so that no minute has more requests or tokens than allowed, at its beginning either.

    A request waits for its turn: the time since the last one is at least a minute divided by the requests per minute,
    and the tokens of the last one divided by the tokens per minute.
    """

    def __init__(self, settings: Settings) -> None:
        self.s_per_request = 60.0 / settings.requests_per_minute if settings.requests_per_minute else 0.0
        self.s_per_token = 60.0 / settings.tokens_per_minute if settings.tokens_per_minute else 0.0
        self._free_at = 0.0
        self._tokens_free_at = 0.0
        self._paused_until = 0.0

    async def turn(self, n_tokens: int) -> None:
        """Wait until a request of this many tokens, in and out, may be sent."""
        while True:
            now = time.monotonic()
            at = max(now, self._paused_until, self._free_at, self._tokens_free_at)
            self._free_at = at + self.s_per_request
            self._tokens_free_at = at + n_tokens * self.s_per_token
            await asyncio.sleep(at - now)
            if self._paused_until <= time.monotonic():
                return
            self.correct(
                -n_tokens
            )  # the server asked for a pause meanwhile: all that waited take turns again

    def correct(self, n_tokens: int) -> None:
        """Count tokens that a request used beyond, or below 0, short of, what its turn was given for."""
        self._tokens_free_at += n_tokens * self.s_per_token

    def pause(self, seconds: float) -> None:
        """Let no request be sent for some seconds: the server asked for it."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)


class Ledger:
    """A budget. Each request reserves the most that it can use before it is sent, so that the budget is not exceeded.

    Where a reservation does not fit, the request waits for those in flight, which use less than they reserved; without
    any, the budget is spent.
    """

    def __init__(self, settings: Settings) -> None:
        self.budget, self.price = settings.budget, settings.price
        self.requests, self.tokens, self.cost = 0, 0, 0.0
        self._reserved: dict[int, tuple[int, float]] = {}
        self._changed = asyncio.Condition()
        self._number = 0

    def cost_of(self, n_input: int, n_output: int) -> float:
        """Price of tokens in and out."""
        return (n_input * self.price.input + n_output * self.price.output) / 1e6

    async def reserve(self, n_input: int, n_output: int) -> int | None:
        """Reserve a request with these tokens at most; returns its number, or None if the budget is spent."""
        tokens, cost = n_input + n_output, self.cost_of(n_input, n_output)
        async with self._changed:
            while not self._fits(tokens, cost):
                is_spent = self.budget.requests is not None and self.requests >= self.budget.requests
                if is_spent or not self._reserved:
                    return None
                await self._changed.wait()
            self.requests += 1
            self._number += 1
            self._reserved[self._number] = (tokens, cost)
            return self._number

    def _fits(self, tokens: int, cost: float) -> bool:
        budget, held = self.budget, self._reserved.values()
        if budget.requests is not None and self.requests + 1 > budget.requests:
            return False
        if budget.tokens is not None and self.tokens + sum(t for t, _ in held) + tokens > budget.tokens:
            return False
        return budget.cost is None or self.cost + sum(c for _, c in held) + cost <= budget.cost + 1e-12

    async def settle(self, number: int, n_input: int, n_output: int) -> None:
        """Replace a reservation by what was used."""
        async with self._changed:
            self._reserved.pop(number, None)
            self.tokens += n_input + n_output
            self.cost += self.cost_of(n_input, n_output)
            self._changed.notify_all()

    def spent(self) -> str:
        """What a message says of a spent budget."""
        limits = {"requests": self.budget.requests, "tokens": self.budget.tokens, "cost": self.budget.cost}
        return ", ".join(f"{value:,} {name}" for name, value in limits.items() if value is not None)
