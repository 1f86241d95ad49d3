"""Joining a Ray cluster: what fails is one line that says how to go on."""

from __future__ import annotations

import socket
import threading

import pytest

from pipeline.errors import BicorpusError, UsageError
from pipeline.runtime import cluster
from pipeline.runtime.cluster import (
    answers,
    check_worker,
    host_and_port,
    join,
    missing_package,
    watch_head,
    why,
)


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1:6379", ("10.0.0.1", 6379)),
        ("head", ("head", 6379)),
        ("ray://head:10002", ("head", 10002)),
        ("ray://head", ("head", 10001)),
        ("[::1]:6379", ("::1", 6379)),
        ("auto", None),
    ],
)
def test_addresses(address: str, expected: tuple[str, int] | None) -> None:
    """Host and port, with the default of the kind of address."""
    assert host_and_port(address) == expected


@pytest.mark.parametrize("address", ["user:secret@head:1", "head:port", "", "a b"])
def test_no_address(address: str) -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="expected HOST:PORT"):
        host_and_port(address)


def test_nothing_answers() -> None:
    """Said within seconds, before Ray is started."""
    with pytest.raises(UsageError, match=r"no Ray cluster answers .*refused.*ray start --head"):
        join({"address": f"127.0.0.1:{closed_port()}"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1\nThis process on node "
            "10.0.0.2 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n",
            "other versions than this process .Ray 2.9.0, Python 3.10.1, Ray 2.60.0, Python 3.11.7.",
        ),
        ("Authentication failed: missing token", "RAY_AUTH_MODE"),
        ("Could not find any running Ray instance. Please specify", "none runs on this machine"),
        ("something\nelse", "^something else$"),
    ],
)
def test_reasons(text: str, expected: str) -> None:
    """What Ray says over many lines becomes one."""
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(why(RuntimeError(text)))


def test_a_lost_head_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that stops answering ends the run; one that answers, or a run that is over, does not."""
    monkeypatch.setattr(cluster, "HEAD_LOST_S", 0.0)
    said, is_over, lost = list[str](), threading.Event(), threading.Event()
    monkeypatch.setattr(is_over, "wait", lambda seconds: threading.Event.wait(is_over, 0.01))

    def end(text: str) -> None:
        said.append(text)
        lost.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()[:2]
        assert answers(place) == ""
        thread = watch_head(place, is_over, end)
        assert not lost.wait(0.2)
    thread.join(10)
    assert lost.is_set() and len(said) == 1 and "run the same command" in said[0]
    is_over.set()
    over = watch_head(place, is_over, end)
    over.join(10)
    assert len(said) == 1


def test_workers_must_be_alike() -> None:
    """Another version, or no package at all, is named with the node and what to install."""
    with pytest.raises(BicorpusError, match=r"node n7 has bicorpus 0\.0\.1, .* on all nodes"):
        check_worker("0.0.1", "n7")
    assert (
        missing_package(RuntimeError("ModuleNotFoundError: No module named 'pyarrow.lib'")) == "pyarrow.lib"
    )
    assert missing_package(RuntimeError("killed")) == ""
