"""The client against a scripted server: faults, limits, budget, cache, secrets."""

from __future__ import annotations

import email.utils
import io
import json
import logging
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifiers.llm.client import Client
from classifiers.llm.requests import Request, is_open
from classifiers.llm.settings import Budget, Price, Settings, settings_of
from pipeline.errors import ConfigError
from pipeline.service import MemoryCache, ServiceError
from pipeline.storage.journal import Journal
from pipeline.storage.store import open_store
from tests.helpers.llm_server import Reply, Server, error, serve
from tests.helpers.paths import ROOT

pytest.importorskip("openai", reason="the extra llm is not installed")

SCHEMA = {
    "type": "object", "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 5}}, "required": ["score"],
    "additionalProperties": False,
}  # fmt: skip


def settings(server: Server, **values: Any) -> Settings:
    """Settings for a test server: short waits."""
    return Settings(
        base_url=server.url, **{"backoff_s": 0.01, "max_backoff_s": 0.05, "read_s": 5.0, **values}
    )


def requests(n: int, schema: dict[str, Any] | None = SCHEMA, **values: Any) -> list[Request]:
    """Different requests."""
    return [
        Request(model="m", messages=(("user", f"document {i}"),), schema=schema, **values) for i in range(n)
    ]


def score(n: int, body: dict[str, Any]) -> Reply:
    """A valid answer that depends on the document."""
    del n
    return Reply(json.dumps({"score": int(body["messages"][-1]["content"].split()[-1]) % 6}))


def once_faulty(faults: list[Reply]) -> Any:
    """A script that gives document i the fault i modulo their number when it first arrives, then a valid answer."""
    seen: Counter[str] = Counter()

    def script(n: int, body: dict[str, Any]) -> Reply:
        name = body["messages"][-1]["content"]
        seen[name] += 1
        i = int(name.split()[-1])
        return faults[i % len(faults)] if seen[name] == 1 else score(n, body)

    return script


def test_answers_are_in_order_and_equal_requests_are_asked_once() -> None:
    """Answers have the order of their requests, whatever the order of arrival."""

    def script(n: int, body: dict[str, Any]) -> Reply:
        return replace(score(n, body), stall_s=0.05 * (n % 3))

    with serve(script) as server:
        client = Client(settings(server, concurrency=4))
        asked = requests(20)
        answers = client.ask([*asked, *asked[:5]])
        assert [a.value["score"] for a in answers] == [i % 6 for i in [*range(20), *range(5)]]
        assert len(server.asked) == 20 and 2 <= server.most_in_flight <= 4
        assert client.usage.input_tokens == 2000 and client.usage.output_tokens == 200
        client.close()


FAULTS = [
    error(429, "slow down", Retry_After="0.05"),
    error(429, "slow down", retry_after_ms="40"),
    error(429, "slow down"),
    error(500, "oops"),
    error(503, "loading", Retry_After="0.02"),
    error(408, "late"),
    Reply('{"score": 1}', cut=20),
    Reply(body=b'{"id": "x", "choi'),
    Reply(body=b"<html>gateway</html>", headers={"Content-Type": "text/html"}),
    Reply(body=b"{}"),
    Reply(body=b'{"choices": []}'),
    Reply(body=b'{"choices": [{"message": {"content": 5}}]}'),
    Reply('{"score": 1}', stall_s=1.5),
]


def test_no_fault_loses_an_answer() -> None:
    """Every fault of a server or the network leads to another try, and every request to its answer."""
    with serve(once_faulty(FAULTS)) as server:
        client = Client(settings(server, read_s=0.5, concurrency=8))
        answers = client.ask(requests(4 * len(FAULTS)))
        assert [a.value for a in answers] == [{"score": i % 6} for i in range(4 * len(FAULTS))]
        assert len(server.asked) == 8 * len(FAULTS) == client.usage.requests
        assert client.usage.retries == 4 * len(FAULTS) and client.usage.answered == 4 * len(FAULTS)
        client.close()


def test_all_requests_wait_when_the_server_asks_for_it() -> None:
    """After a 429 with Retry-After no request is sent until it is over; a date is understood as well."""
    from classifiers.llm.transport import retry_after

    def script(n: int, body: dict[str, Any]) -> Reply:
        return error(429, "slow down", Retry_After="1") if n == 0 else score(n, body)

    with serve(script) as server:
        client = Client(settings(server, concurrency=4, requests_per_minute=1200))
        assert all(a.ok for a in client.ask(requests(8)))
        first = server.asked[0].at
        assert not [a for a in server.asked if first + 0.2 < a.at < first + 0.95]
        client.close()
    in_ten = email.utils.formatdate(time.time() + 10, usegmt=True)
    assert 8 <= (retry_after({"retry-after": in_ten}) or 0) <= 10
    assert retry_after({"retry-after": "soon"}) is None and retry_after({}) is None


def test_the_rate_is_bounded() -> None:
    """No second has more requests than the limit allows, with retries and several callers; tokens likewise."""
    with serve(once_faulty([error(500, "oops"), Reply('{"score": 0}')])) as server:
        client = Client(settings(server, requests_per_minute=1200, concurrency=32))
        threads = [threading.Thread(target=client.ask, args=(requests(30)[i::3],)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times = sorted(a.at for a in server.asked)
        assert len(times) == 45
        assert all(
            sum(t <= other < t + 1 for other in times) <= 24 for t in times
        )  # 20, and what jitter brings
        client.close()
    with serve(score) as server:
        client = Client(settings(server, tokens_per_minute=60_000, concurrency=32))
        begin = time.monotonic()
        client.ask(requests(20, parameters={"max_tokens": 90}))  # 110 tokens each, 1,000 in a second
        assert time.monotonic() - begin > 1.8
        client.close()


def test_a_request_that_never_succeeds_is_left_open() -> None:
    """One request that a server cannot answer costs max_tries, and the others are answered."""

    def script(n: int, body: dict[str, Any]) -> Reply:
        return error(500, "crash") if body["messages"][-1]["content"] == "document 3" else score(n, body)

    with serve(script) as server:
        client = Client(settings(server, max_tries=3, concurrency=2))
        answers = client.ask(requests(10))
        assert [i for i, a in enumerate(answers) if not a.ok] == [3]
        assert answers[3].reason == "failed: 500 crash" and is_open(answers[3].reason) and answers[3].is_open
        assert len(server.asked) == 12 and client.usage.unanswered == 1
        client.close()


@pytest.mark.parametrize(
    ("reply", "text"),
    [(error(401, "bad key"), "401"), (error(404, "no model m"), "no model"), (error(500, "down"), "500 down"),
     (error(429, "You exceeded your quota", code="insufficient_quota"), "quota"),
     (error(400, "unknown parameter"), "rejects every request")],
)  # fmt: skip
def test_a_server_that_answers_nothing_stops_the_run(reply: Reply, text: str) -> None:
    """Wrong key, wrong model, wrong settings and a lost server are one error, soon."""
    with serve(lambda n, body: reply) as server:
        client = Client(settings(server, max_tries=2, concurrency=2))
        with pytest.raises(ServiceError, match=text):
            client.ask(requests(30))
        assert len(server.asked) <= 12
        client.close()


def test_a_server_that_is_not_there_is_one_error() -> None:
    """Nothing listens at the address."""
    with serve(score) as server:
        pass
    client = Client(settings(server, max_tries=2))
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1.*no answer"):
        client.ask(requests(3))
    client.close()


INVALID = {
    "": "empty", "maybe 3": "no JSON", '{"score": 7}': "score breaks maximum 5", '{"score": "3"}': "score breaks type",
    '{"mark": 3}': "the answer breaks", "[3]": "the answer breaks type", '{"score": 3': "no JSON",
    '{"score": NaN}': "no JSON", '{"score": 3} or {"score": 4}': "no JSON",
}  # fmt: skip
VALID = (
    '{"score": 3}', ' {"score": 3}\n', '```json\n{"score": 3}\n```', '<think>5 or 3?</think>\n{"score": 3}',
    'Here it is: {"score": 3}', 'Sure.\n```\n{"score": 3}\n```\nAnything else?', "</think>{\"score\": 3}",
)  # fmt: skip


@pytest.mark.parametrize("content", INVALID)
def test_invalid_answers_have_a_reason_and_are_not_asked_again(content: str) -> None:
    """What is no JSON or breaks the schema is invalid, kept as it is and replayed; the reason does not quote it."""
    cache: Any = MemoryCache()
    with serve(lambda n, body: Reply(content)) as server:
        client = Client(settings(server), cache)
        (answer,) = client.ask(requests(1))
        assert (
            answer.reason.startswith(f"invalid: {INVALID[content]}")
            and answer.value is None
            and not answer.is_open
        )
        assert Client(settings(server), cache).ask(requests(1))[0].reason == answer.reason
        assert len(server.asked) == 1
        client.close()


@pytest.mark.parametrize("content", VALID)
def test_answers_in_other_wrapping_are_read(content: str) -> None:
    """Thoughts, blocks of Markdown and words before the object do no harm."""
    with serve(lambda n, body: Reply(content)) as server:
        client = Client(settings(server))
        assert client.ask(requests(1))[0].value == {"score": 3}
        client.close()


def test_an_answer_that_is_cut_off_is_invalid() -> None:
    """An answer as long as allowed is invalid as text, and as JSON unless it is whole."""
    with serve(lambda n, body: Reply('{"score": 1', finish="length")) as server:
        client = Client(settings(server))
        assert client.ask(requests(1))[0].reason == "invalid: cut off after 1,024 tokens"
        assert client.ask(requests(1, schema=None))[0].reason == "invalid: cut off after 1,024 tokens"
        client.close()


def test_an_invalid_answer_is_asked_anew_with_the_next_seed() -> None:
    """`again` sends the next seed; both answers are kept, so that a replay ends the same way."""
    cache: Any = MemoryCache()
    with serve(lambda n, body: Reply("?" if body["seed"] == 1 else '{"score": 2}')) as server:
        asked = requests(3, parameters={"seed": 1}, again=2)
        for _ in range(2):
            client = Client(settings(server), cache)
            assert [a.value for a in client.ask(asked)] == [{"score": 2}] * 3
            client.close()
        assert sorted(a.body["seed"] for a in server.asked) == [1, 1, 1, 2, 2, 2]


def test_a_refused_request_is_kept_once_the_server_answers_others() -> None:
    """A request that is too long is refused for good; before any answer it is open, since settings may be wrong."""
    cache: Any = MemoryCache()

    def script(n: int, body: dict[str, Any]) -> Reply:
        too_long = body["messages"][-1]["content"] == "document 0"
        return error(400, "maximum context length is 4096") if too_long else score(n, body)

    with serve(script) as server:
        client = Client(settings(server), cache)
        (alone,) = client.ask(requests(1))
        assert alone.is_open and is_open(alone.reason)
        answers = client.ask(requests(5))
        assert answers[0].reason == "refused: 400 maximum context length is 4096" and not answers[0].is_open
        assert len(server.asked) == 6
        assert (
            not is_open(Client(settings(server), cache).ask(requests(5))[0].reason) and len(server.asked) == 6
        )
        client.close()


@pytest.mark.parametrize("known", ["json_schema", "json_object", "none"])
def test_the_server_s_form_of_schema_is_found(known: str) -> None:
    """A server that rejects a form of response_format gets the next one; the answer is checked in each case."""

    def script(n: int, body: dict[str, Any]) -> Reply:
        form = body.get("response_format", {"type": "none"})["type"]
        return score(n, body) if form == known else error(400, f"response_format {form} is not supported")

    with serve(script) as server:
        client = Client(settings(server, concurrency=3))
        assert [a.value["score"] for a in client.ask(requests(9))] == [i % 6 for i in range(9)]
        assert len(server.asked) <= 9 + 2 * 3
        client.close()


def test_the_budget_is_respected_and_a_later_run_goes_on() -> None:
    """Requests, tokens and cost end at their limit; what is left is open, and the next run answers it."""
    for budget in (Budget(requests=7), Budget(tokens=7 * 110), Budget(cost=7 * 0.13)):
        cache: Any = MemoryCache()
        with serve(score) as server:
            values = {"budget": budget, "price": Price(input=1000, output=3000), "concurrency": 4}
            client = Client(settings(server, **values), cache)
            answers = client.ask(requests(30, parameters={"max_tokens": 10}))
            n = sum(a.ok for a in answers)
            assert n == len(server.asked) and 5 <= n <= 7, budget
            assert {a.reason.partition(":")[0] for a in answers if not a.ok} == {"budget"}
            assert all(a.is_open for a in answers if not a.ok)
            assert client.usage.cost == pytest.approx(0.13 * n)
            client.close()
            client = Client(settings(server), cache)
            assert all(a.ok for a in client.ask(requests(30, parameters={"max_tokens": 10})))
            assert len(server.asked) == 30
            client.close()


def test_the_budget_counts_tries() -> None:
    """A failing server does not use more requests than the budget has."""
    with serve(once_faulty([error(500, "oops")])) as server:
        client = Client(settings(server, budget=Budget(requests=9), concurrency=2))
        client.ask(requests(20))
        assert len(server.asked) == 9
        client.close()


def test_a_killed_run_loses_what_was_in_flight_only(tmp_path: Path) -> None:
    """Answers are in the store when they arrive; another client asks for the others alone."""
    store = open_store(tmp_path / "store")
    with serve(score) as server:
        client = Client(
            settings(server, concurrency=4, budget=Budget(requests=12)), Journal(store, "requests/m")
        )
        client.ask(requests(40))
        assert len(server.asked) == 12  # no close: the process is gone
        client = Client(settings(server), Journal(store, "requests/m"))
        assert all(a.ok for a in client.ask(requests(40)))
        assert len(server.asked) == 40 and len({a.user for a in server.asked}) == 40
        client.close()


def test_a_replay_needs_neither_server_nor_key(tmp_path: Path) -> None:
    """Answers of the cache need no server, key or package."""
    store = open_store(tmp_path / "store")
    with serve(score) as server:
        journal = Journal(store, "requests/m")
        client = Client(settings(server), journal)
        first = client.ask(requests(10))
        journal.close()
    elsewhere = Settings(base_url="http://127.0.0.1:9/v1", key_variable="NO_SUCH_KEY")
    second = Client(elsewhere, Journal(store, "requests/m")).ask(requests(10))
    assert [a.value for a in second] == [a.value for a in first] and all(a.is_cached for a in second)


def test_an_estimate_counts_what_is_not_in_the_cache() -> None:
    """Before any answer it is from characters and the longest answer, afterwards from what was counted."""
    with serve(score) as server:
        client = Client(settings(server, price=Price(input=1000, output=1000)))
        before = client.estimate(requests(30, parameters={"max_tokens": 40}))
        assert (before.requests, before.cached, before.output_tokens) == (30, 0, 1200) and before.cost > 1
        client.ask(requests(12, parameters={"max_tokens": 40}))
        after = client.estimate(requests(30, parameters={"max_tokens": 40}))
        assert (after.requests, after.cached, after.output_tokens) == (18, 12, 180)
        assert after.input_tokens == pytest.approx(1800, rel=0.1)
        client.close()


KEY = "sk-planted-4f9d2c7788aa"


def test_the_key_is_sent_and_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that repeats the key in its errors brings it into no message, traceback, log, cache or file."""
    monkeypatch.setenv("PLANTED", KEY)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    store = open_store(tmp_path / "store")
    shown = []
    try:
        replies = [
            error(500, f"bad {KEY}"),
            error(400, f"refused {KEY}"),
            error(401, f"Incorrect key: {KEY}"),
        ]
        for reply in replies:

            def script(n: int, body: dict[str, Any], reply: Reply = reply) -> Reply:
                return score(n, body) if n == 0 else reply

            with serve(script) as server:
                journal = Journal(store, "requests/m")
                client = Client(settings(server, key_variable="PLANTED", max_tries=2, concurrency=1), journal)
                shown.append(repr(client.settings) + str(vars(client.settings)))
                try:
                    shown += [repr(a) for a in client.ask(requests(3, parameters={"seed": len(shown)}))]
                except ServiceError as failure:
                    shown += traceback.format_exception(failure)
                client.close()
                journal.close()
                assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    finally:
        logging.getLogger().removeHandler(handler)
    assert any("***" in text for text in shown)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    out = capfd.readouterr()
    assert files and not any(KEY.encode() in data for data in files)
    assert KEY not in "".join(shown) + out.out + out.err + log.getvalue()


@pytest.mark.parametrize(
    ("entry", "text"),
    [({"api_key": KEY}, "environment"), ({"key_variable": KEY}, "environment variable"),
     ({"base_url": f"https://u:{KEY}@host/v1"}, "base_url"), ({"base_url": f"https://host/v1?k={KEY}"}, "base_url"),
     ({"concurency": 3}, "concurrency"), ({"concurrency": 0}, "concurrency"), ({"budget": {"euros": 3}}, "euros"),
     ({"structured": "xml"}, "structured"), ({"price": 3}, "price"), ({"concurrency": "many"}, "concurrency")],
)  # fmt: skip
def test_wrong_settings_are_one_line_without_a_key(entry: dict[str, Any], text: str) -> None:
    """Keys among the settings are refused, and not shown; other faults name the setting."""
    with pytest.raises(ConfigError, match=text) as caught:
        settings_of("m", {"m": {"base_url": "http://host/v1", **entry}}, "test")
    assert KEY not in str(caught.value)


def test_what_is_missing_is_named() -> None:
    """No server of a model, no variable with a key."""
    with pytest.raises(ConfigError, match="--servers"):
        settings_of("m", {}, "llm_label")
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        Client(Settings(base_url="http://host/v1", key_variable="NO_SUCH_KEY")).check()


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library, the message says what to install, before anything is asked."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"pip install 'bicorpus\[llm\]'") as caught:
        Client(Settings(base_url="http://host/v1")).check()
    assert "\n" not in str(caught.value)


def test_stages_import_no_library_before_they_ask() -> None:
    """The stage and its package can be loaded, and a run file with it checked, without the extra."""
    code = (
        "import sys, classifiers.llm_label, classifiers.llm.client\n"
        "print(sorted({'openai', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
