"""How a server is reached and how fast it may be asked: one entry of a servers file, checked.

None of it enters a recipe or the key of a cached answer. A key of an account is in an environment variable, which the
entry names; no setting takes the key itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import check_keys

STRUCTURED = ("auto", "json_schema", "json_object", "none")
ANY_MODEL = "*"
"""Name of the entry for models without their own."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """Price of 10^6 tokens, in any one currency."""

    input: float = 0.0
    output: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one run may use; None for no limit. requests: sent, repeated ones included; tokens: in and out; cost: in the
    currency of the prices."""

    requests: int | None = None
    tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One server.

    base_url: address of an OpenAI-compatible interface, as http://127.0.0.1:8000/v1.
    name: of the model on this server, where it differs from the name in run files.
    key_variable: environment variable with the key; "" for a server without keys.
    concurrency: requests in flight. requests_per_minute, tokens_per_minute: None for no limit; requests are spaced
        evenly, without bursts.
    connect_s: seconds until a connection stands; read_s: without a byte of the answer; total_s: for one request.
    max_tries: of a request whose answer is an error, a broken connection or none in time. give_up_s: seconds until a
        request is given up that the server keeps rejecting because of its rate limit.
    backoff_s, max_backoff_s: seconds before the second try, doubled for each further one, and their limit. Between a
        half and all of it is waited, by chance. A server's Retry-After is waited for instead, by all requests.
    structured: how an answer is made to fit its schema: `json_schema`, `json_object` (any JSON), `none`, or `auto`,
        which takes the first of these that the server accepts. Answers are checked in each case.
    limit_field: the server's name of the largest number of tokens of an answer: max_tokens or max_completion_tokens.
    price, budget: see Price and Budget.
    """

    base_url: str
    name: str = ""
    key_variable: str = ""
    concurrency: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    connect_s: float = 10.0
    read_s: float = 120.0
    total_s: float = 600.0
    max_tries: int = 8
    give_up_s: float = 1800.0
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    structured: str = "auto"
    limit_field: str = "max_tokens"
    price: Price = field(default_factory=Price)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[^\s@?]+", self.base_url):
            raise ConfigError(
                "base_url is no address; expected one such as http://127.0.0.1:8000/v1, without a user, key or query"
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*|", self.key_variable):
            raise ConfigError(  # the value may be a key: it is not shown
                "key_variable is no name of an environment variable; put the key into a variable and name it here"
            )
        for name, known in (
            ("structured", STRUCTURED),
            ("limit_field", ("max_tokens", "max_completion_tokens")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}")
        for name in ("concurrency", "max_tries"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected at least 1")
        seconds = ("connect_s", "read_s", "total_s", "give_up_s", "backoff_s", "max_backoff_s")
        for name in (*seconds, "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} is {value}; expected a number above 0")
        for name, value in (*vars(self.price).items(), *vars(self.budget).items()):
            if value is not None and value < 0:
                raise ConfigError(f"{name} is {value}; expected 0 or more")

    def key(self) -> str | None:
        """The key; None for a server without keys.

        Raises: ConfigError if the variable is not set.
        """
        if not self.key_variable:
            return None
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise ConfigError(
                f"the environment variable {self.key_variable} is not set; set it to the key of {self.base_url}"
            )
        return key


_NUMBERS = {"concurrency": int, "max_tries": int, "requests": int, "tokens": int}


def settings_of(
    model: str, servers: Mapping[str, Mapping[str, Any]], where: str
) -> Settings:  # Any: of a file
    """The settings of the server of a model.

    Args: where, what needs the server, for errors.
    Raises: ConfigError if no entry serves the model, or an entry has an unknown setting or a wrong value.
    """
    if not model:
        raise ConfigError(f"{where}: no model; name the one that the servers file has")
    entry = servers.get(model, servers.get(ANY_MODEL))
    if entry is None:
        known = f"it has {', '.join(sorted(servers))}" if servers else "none was given"
        raise ConfigError(
            f"{where}: no server of {model}; name a file of servers with --servers ({known}), see docs/llm.md"
        )
    return parse_settings(entry, f"servers: {model}")


def parse_settings(entry: Mapping[str, Any], where: str) -> Settings:  # Any: values of a file
    """Settings from one entry of a file.

    Raises: ConfigError, which shows no value of an unknown setting, since that may be a key.
    """
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: expected a mapping with base_url")
    for name in entry:
        if (
            re.search("key|token$|secret|password|authorization", str(name), re.IGNORECASE)
            and name != "key_variable"
        ):
            raise ConfigError(
                f"{where}: {name} is no setting: keys are read from the environment; name the variable in key_variable"
            )
    values = _numbers(entry, {item.name for item in fields(Settings)}, where)
    for name, kind in (("price", Price), ("budget", Budget)):
        if name in values:
            if not isinstance(values[name], Mapping):
                raise ConfigError(
                    f"{where}.{name}: expected a mapping of {', '.join(f.name for f in fields(kind))}"
                )
            values[name] = kind(
                **_numbers(values[name], {item.name for item in fields(kind)}, f"{where}.{name}")
            )
    if "base_url" not in values:
        raise ConfigError(
            f"{where}: base_url is missing; expected an address such as http://127.0.0.1:8000/v1"
        )
    try:
        return Settings(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


_WORDS = ("base_url", "name", "key_variable", "structured", "limit_field", "price", "budget")


def _numbers(entry: Mapping[str, Any], known: set[str], where: str) -> dict[str, Any]:
    """The values of an entry, numbers converted. Raises: ConfigError for an unknown name or a value that is none."""
    check_keys(entry, known, where)
    values = {}
    for name, value in entry.items():
        if name in _WORDS:
            if name not in ("price", "budget") and not isinstance(value, str):
                raise ConfigError(f"{where}: {name} is no text; expected text in quotes")
            values[name] = value
        elif isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
            raise ConfigError(f"{where}: {name} is {type(value).__name__}; expected a number")
        else:
            values[name] = value if value is None else _NUMBERS.get(name, float)(value)
    return values
