"""One request over the wire: what is sent, and what kind of fault an error is. The only module that imports openai."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from classifiers.llm.requests import MAX_TOKENS, Request, as_dicts
from classifiers.llm.settings import Settings
from pipeline.recipe import optional_module

MODES = ("json_schema", "json_object", "none")
_ABOUT_MODE = re.compile(
    r"response_format|json_?_?schema|json_object|grammar|structured|guided", re.IGNORECASE
)
_NO_KEY = "none"  # the library wants a key; servers without keys ignore it

RETRY, RATE, REFUSED, MODE, STOP = "retry", "rate", "refused", "mode", "stop"
"""Kinds of faults. retry: try again, a limited number of times. rate: the server's rate limit, try again. refused: this
request is rejected. mode: the server does not know the form of `response_format`. stop: every request would fail."""


class Fault(Exception):  # noqa: N818 - it is an outcome, not an error for the user
    """Why a request was not answered. wait_s: seconds that the server asks to wait."""

    def __init__(self, kind: str, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.wait_s = kind, message, wait_s


class Transport:
    """Sends requests to one server. key: masked in every message."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.openai = optional_module("openai", "the package openai", "llm", settings.base_url)
        optional_module("jsonschema", "the package jsonschema", "llm", settings.base_url)
        self._key = settings.key()
        self._client: Any = None  # Any: the package is optional, and so are its types

    async def send(self, request: Request, mode: str) -> dict[str, Any]:  # Any: JSON
        """Send a request once; returns text, finish, model and usage of the answer.

        Raises: Fault.
        """
        if self._client is None:
            self._client = self._open()
        try:
            async with asyncio.timeout(self.settings.total_s):
                response = await self._client.chat.completions.create(
                    model=self.settings.name or request.model, messages=as_dicts(request.messages),
                    extra_body=self._body(request, mode),
                )  # fmt: skip
            return _answer_of(response)
        except Fault:
            raise
        except Exception as error:  # a broken answer raises errors of any library below
            raise self.fault_of(error, mode if request.schema else "none") from None

    def _open(self) -> Any:  # Any: see _client
        settings, openai = self.settings, self.openai
        return openai.AsyncOpenAI(
            base_url=settings.base_url, api_key=self._key or _NO_KEY, max_retries=0,
            timeout=openai.Timeout(settings.read_s, connect=settings.connect_s, pool=None),
        )  # fmt: skip

    def _body(self, request: Request, mode: str) -> dict[str, Any]:  # Any: JSON
        body: dict[str, Any] = {"max_tokens": MAX_TOKENS, **request.parameters}
        if self.settings.limit_field != "max_tokens":
            body[self.settings.limit_field] = body.pop("max_tokens")
        if request.schema is not None and mode == "json_schema":
            schema = {"name": "answer", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema is not None and mode == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def fault_of(self, error: Exception, mode: str) -> Fault:
        """The fault that an error of the library is."""
        status = getattr(error, "status_code", None)
        message = self.masked(_message_of(error))
        if isinstance(error, (TimeoutError, self.openai.APITimeoutError)):
            return Fault(RETRY, "no answer in time")
        if status is None or not isinstance(error, self.openai.APIStatusError):
            return Fault(RETRY, message)
        message = f"{status} {message}"
        wait_s = retry_after(error.response.headers)
        if status == 429:
            return Fault(STOP if "insufficient_quota" in str(error.body) else RATE, message, wait_s)
        if status in (408, 409, 425) or status >= 500:
            return Fault(RETRY, message, wait_s)
        if status in (401, 403, 404):
            return Fault(STOP, message)
        if mode != "none" and _ABOUT_MODE.search(message):
            return Fault(MODE, message)
        return Fault(REFUSED, message)

    def masked(self, text: str) -> str:
        """The beginning of a text on one line, without the key."""
        text = " ".join(text.split())
        return (text.replace(self._key, "***") if self._key else text)[:160]

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None


def _message_of(error: Exception) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, Mapping) and body.get("message"):
        return str(body["message"])
    cause = error.__cause__ if str(error) in ("", "Connection error.") else None
    return f"{type(cause or error).__name__}: {cause or error}"


def _answer_of(response: Any) -> dict[str, Any]:  # Any: what a server may send
    choices = getattr(response, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        raise Fault(RETRY, "an answer without choices")
    content = getattr(choices[0].message, "content", None)
    if content is not None and not isinstance(content, str):
        raise Fault(RETRY, "an answer whose content is no text")
    usage = getattr(response, "usage", None)
    counts = {
        name: value if isinstance(value := getattr(usage, field, None), int) else None
        for name, field in (("input", "prompt_tokens"), ("output", "completion_tokens"))
    }
    finish, model = getattr(choices[0], "finish_reason", None), getattr(response, "model", None)
    return {"text": content or "", "finish": str(finish), "model": str(model), "usage": counts}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait that a response asks for, as a number or a date; None if it asks for none.

    Source: RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(float(value) * scale, 0.0)
        except ValueError:
            pass
        try:
            return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
        except (TypeError, ValueError):
            continue
    return None
