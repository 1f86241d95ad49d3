"""Leases: one run at a time moves a name (a release, an index); one that was overtaken cannot.

A lease is a small object, `leases/<name>.json`, taken and renewed by compare-and-swap. Its token grows with
every holder; `commit` refuses to replace what a higher token wrote, so that a holder which slept through its
time does no harm (fencing: Kleppmann, Designing Data-Intensive Applications, chapter 8). Expiry compares the
clocks of two machines and takes them to agree within a small part of the ttl; the token relies on no clock.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.errors import ConflictError, LeaseError, StoreError
from pipeline.storage.base import Store

RENEWALS = 3
"""Renewals per ttl: two may fail before the lease is lost."""

N_TRIES = 16
"""Swaps that a commit may lose to other writers of the same token before it gives up."""

Record = dict[str, Any]
"""What a lease object holds: token, owner (host:pid:random), machine and started (to tell whether the process
lives), since, expires (s since 1970), released."""


class Lease:
    """A held lease, renewed by a thread until it is released, lost, or the process ends.

    token: higher than that of every earlier holder. owner: host:pid:random.
    """

    def __init__(self, store: Store, key: str, record: Record, tag: str | None, ttl: float) -> None:
        self.store, self.key, self.ttl = store, key, ttl
        self.token: int = record["token"]
        self.owner: str = record["owner"]
        self._record, self._tag = record, tag
        self._deadline = 0.0
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name=f"lease {key}", daemon=True)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def check(self) -> None:
        """Raise LeaseError if the lease is lost or may be: another run took it, or renewal failed."""
        if self._lost or time.monotonic() > self._deadline:
            raise LeaseError(f"{self.key}: lost, to another run or for want of renewal in time; run again")

    def release(self) -> None:
        """Let the next run take the name at once; the token stays, so that it goes on growing."""
        self._stop.set()
        self._thread.join()
        if not self._lost:
            with suppress(StoreError):  # then it expires by itself; an error here would hide the run's own
                self._write(released=True)

    def _write(self, released: bool = False) -> None:
        """Write the record with a new expiry; ConflictError if another holder's is there.

        When the reply to a write was lost, the tag is no longer known but the owner, which is unique, is.
        """
        asked = time.monotonic()
        data = _encode(self._record | {"expires": round(time.time() + self.ttl, 3), "released": released})
        try:
            self._tag = self.store.put_if(self.key, data, self._tag)
        except ConflictError:
            found = self.store.get_with_tag(self.key)
            if found is None or json.loads(found[0])["owner"] != self.owner:
                raise
            self._tag = self.store.put_if(self.key, data, found[1])
        self._deadline = asked + self.ttl

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self.ttl / RENEWALS):
            try:
                self._write()
            except ConflictError:
                self._lost = True
                return
            except StoreError:  # the store may come back before the deadline, which `check` watches
                continue


def hold(store: Store, name: str, ttl: float = 60.0) -> Lease:
    """Take the lease of a name and keep it renewed.

    One that is held but expired, or whose holder ran on this machine and is dead, is taken over with a higher
    token.

    Args: ttl, seconds after which a silent holder may be overtaken.
    Raises: LeaseError naming the holder, and since when, if another run holds it.
    """
    key = f"leases/{name}.json"
    found = store.get_with_tag(key)
    last: Record = json.loads(found[0]) if found else {"token": 0, "released": True}
    if not (last["released"] or last["expires"] < time.time() or _is_dead(last)):
        raise LeaseError(_held(key, last))
    record: Record = {
        "token": last["token"] + 1,
        "owner": f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        "machine": _machine(),
        "started": _started(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    lease = Lease(store, key, record, found[1] if found else None, ttl)
    try:
        lease._write()
    except ConflictError as error:
        raise LeaseError(_held(key, json.loads(store.get(key)))) from error
    lease._thread.start()
    return lease


def commit(store: Store, key: str, data: dict[str, Any], lease: Lease) -> None:
    """Replace a JSON object with `data` and the lease's token, unless a later holder has written it.

    Raises: LeaseError if the lease is lost or the object carries a higher token.
    """
    content = _encode(data | {"token": lease.token})
    for _ in range(N_TRIES):
        lease.check()
        found = store.get_with_tag(key)
        token = json.loads(found[0]).get("token", 0) if found else 0
        if token > lease.token:
            raise LeaseError(f"{key}: written by a later run (token {token}, ours {lease.token}); run again")
        with suppress(ConflictError):
            store.put_if(key, content, found[1] if found else None)
            return
    raise ConflictError(f"{store.url}/{key}: {N_TRIES} commits in a row lost to other writers; run again")


def _encode(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def _held(key: str, record: Record) -> str:
    expires = datetime.fromtimestamp(record["expires"], UTC).isoformat(timespec="seconds")
    return (
        f"{key}: held by {record['owner']} since {record['since']}; wait for that run to end, "
        f"or, if it is gone, until {expires}"
    )


def _machine() -> str:
    """What a process number is valid in: one boot of one kernel, one process namespace; "" where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Start time of a running process in clock ticks, which tells it from a later one of the same number.

    None if there is none, or it is dead and waits to be reaped. Source: proc(5), /proc/pid/stat fields 3, 22.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _is_dead(record: Record) -> bool:
    """Tell whether the holder ran on this machine and is gone; False where that cannot be known."""
    if not record["machine"] or record["machine"] != _machine():
        return False
    pid = int(record["owner"].rsplit(":", 2)[1])
    try:
        os.kill(pid, 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's, whose start time may be hidden
        return False
    return bool(_started(pid) != record["started"])
