"""Joining a Ray cluster that runs already: each way in which that fails is one line that says how to go on.

A driver that loses the head of its cluster is ended by Ray itself, after a minute and with its own report. The head is
watched instead, so that the run ends earlier, in one line; what is finished is in the store.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline import __version__
from pipeline.errors import BicorpusError, UsageError
from pipeline.translation import message, t

CONNECT_S = 5.0
"""Seconds until a port of a cluster answers."""

HEAD_LOST_S = 30.0
"""Seconds without an answer of the head after which it counts as lost; Ray ends the process after 60."""

PORTS = {"ray://": 10001, "http://": 8265, "": 6379}
"""Default ports of a cluster by the beginning of an address: clients, jobs, and others."""


def host_and_port(address: str) -> tuple[str, int] | None:
    """Host and port of an address of a cluster; None for `auto` and `local`, which name none.

    Raises: UsageError for an address that has another form.
    """
    if address in ("auto", "local"):
        return None
    scheme = next(scheme for scheme in PORTS if address.startswith(scheme))
    found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:/\s@]+)(?::(\d{1,5}))?/?", address.removeprefix(scheme))
    if found is None:
        raise UsageError(
            f"--address {address}: expected HOST:PORT of a Ray cluster, such as 10.0.0.1:6379, or auto"
        )
    return found[1].strip("[]"), int(found[2] or PORTS[scheme])


def answers(place: tuple[str, int], seconds: float = CONNECT_S) -> str:
    """Try to connect; returns why that failed, empty if it did not."""
    try:
        socket.create_connection(place, seconds).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def join(options: Mapping[str, Any]) -> None:  # Any: arguments of ray.init
    """Connect this process to the cluster that `address` of the options names.

    Raises: UsageError if nothing answers there; BicorpusError if the cluster does not take this process: another
    version of Ray or Python, a missing token.
    """
    import ray

    address = str(options["address"])
    place = host_and_port(address)
    if place and (reason := answers(place)):
        raise UsageError(
            f"--address {address}: no Ray cluster answers ({reason}); start one with `ray start --head`, or name the "
            "address that it printed"
        )
    try:
        ray.init(**options)
    except BicorpusError:
        raise
    except Exception as error:  # Ray has no class for what a cluster may reject
        raise BicorpusError(f"--address {address}: the cluster cannot be joined: {why(error)}") from error


def why(error: BaseException) -> str:
    """What Ray says about a cluster that cannot be joined, on one line, with what to do where that is known."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        found = re.findall(r"(Ray|Python): ?([\w.+-]+)", text)
        shown = ", ".join(f"{name} {version}" for name, version in dict.fromkeys(found)) or text[:200]
        return message(
            f"it has other versions than this process ({shown}); install those of the cluster here"
        )
    if re.search(r"auth|token|UNAUTHENTICATED|Failed to connect", text, re.IGNORECASE):
        return message(
            "it answers, but takes only processes with its token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to "
            "the file with the token if that is not ~/.ray/auth_token"
        )
    if "auto" in text or "any running Ray" in text:
        return message("none runs on this machine; start one with `ray start --head`, or leave --address out")
    return text[:300] or type(error).__name__


def watch_head(
    place: tuple[str, int], is_over: threading.Event, end: Callable[[str], None]
) -> threading.Thread:
    """Call `end` with a message once the head has not answered for HEAD_LOST_S; stops when `is_over` is set."""

    def watch() -> None:
        last = time.monotonic()
        while not is_over.wait(2.0):
            if not answers(place, 2.0):
                last = time.monotonic()
            elif time.monotonic() - last > HEAD_LOST_S:
                host = f"{place[0]}:{place[1]}"
                end(
                    message(
                        f"the head of the Ray cluster at {host} is lost: no answer for {HEAD_LOST_S:.0f} s; finished "
                        "work is kept: start the cluster again, and run the same command"
                    )
                )
                return

    thread = threading.Thread(target=watch, name="head of the Ray cluster", daemon=True)
    thread.start()
    return thread


def end_process(text: str) -> None:
    """Print an error and exit at once: Ray's own threads may hang, and would abort the process later."""
    print(f"bicorpus: {t(text)}", file=sys.stderr, flush=True)
    os._exit(BicorpusError.exit_code)


def check_worker(found: str, node: str) -> None:
    """Check the version of bicorpus that a worker has.

    Raises: BicorpusError if it is another than this process has: a build must not mix them.
    """
    if found != __version__:
        raise BicorpusError(
            f"node {node} has bicorpus {found}, this process {__version__}; install bicorpus {__version__} on all nodes"
        )


def missing_package(error: BaseException) -> str:
    """The package that a worker lacks, if that is why it did not start; empty otherwise."""
    found = re.search(r"No module named '([\w.]+)'", str(error))
    return found[1] if found else ""
