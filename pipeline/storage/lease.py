"""Leases: at most one run at a time publishes under a name (a release, an index); a run whose lease expired cannot.

A lease is a small object, `leases/<name>.json`, taken and renewed by compare-and-swap. Its token increases with every
holder; `commit` does not replace an object written under a higher token, so a holder that was suspended beyond its
expiry does no harm (fencing: Kleppmann, Designing Data-Intensive Applications, chapter 8). Expiry compares the clocks
of two machines and assumes that they agree within a small fraction of the ttl. A token is one more than the last; only
where there is no lease object, because it is new or was deleted, is the token the time in microseconds, which is more
than all tokens of a deleted one, since no two holders follow each other that fast.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.errors import ConflictError, LeaseError, StoreError
from pipeline.storage.base import Store
from pipeline.storage.seal import parse_sealed, sealed_json
from pipeline.translation import message

RENEWALS = 3
"""Renewals per ttl; two may fail before the lease is lost."""

N_TRIES = 16
"""Swaps that a commit may lose to other writers of the same token before it fails."""

LeaseRecord = dict[str, Any]
"""The fields of a lease object: token, owner (host:pid:random), machine and started (to detect whether the process is
alive), since, expires (s since 1970), released."""


class Lease:
    """A held lease, renewed by a thread until it is released or lost or the process ends.

    token: higher than the token of every earlier holder. owner: host:pid:random. ttl: seconds until it expires
    without renewal.
    """

    def __init__(self, store: Store, key: str, record: LeaseRecord, tag: str | None, ttl: float) -> None:
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
        """Check that the lease is still held.

        Raises: LeaseError if another run took it or it was not renewed in time.
        """
        if self._lost or time.monotonic() > self._deadline:
            raise LeaseError(f"{self.key}: lost to another run, or not renewed in time; run again")

    def release(self) -> None:
        """Release the lease for the next run; the token is kept in the object, so that the next one is higher."""
        self._stop.set()
        self._thread.join()
        if not self._lost:
            with suppress(
                StoreError
            ):  # it then expires by itself; an error here would hide the error of the run
                self._write(released=True)

    def _write(self, released: bool = False) -> None:
        """Write the record with a new expiry.

        If the response to an earlier write was lost, the tag is out of date, and the record is recognised by its
        unique owner.

        Raises: ConflictError if the record is that of another holder.
        """
        start = time.monotonic()
        data = _encode(self._record | {"expires": round(time.time() + self.ttl, 3), "released": released})
        try:
            self._tag = self.store.put_if(self.key, data, self._tag)
        except ConflictError:
            tagged = self.store.get_with_tag(self.key)
            if tagged is None or json.loads(tagged[0])["owner"] != self.owner:
                raise
            self._tag = self.store.put_if(self.key, data, tagged[1])
        self._deadline = start + self.ttl

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self.ttl / RENEWALS):
            try:
                self._write()
            except ConflictError:
                self._lost = True
                return
            except StoreError:  # the store may recover before the deadline, which `check` compares
                continue


def hold(store: Store, name: str, ttl: float = 60.0) -> Lease:
    """Take the lease of a name and keep it renewed.

    A lease that has expired, or whose holder ran on this machine and is dead, is taken over with a higher token.

    Args: ttl, seconds without renewal after which another run may take the lease over.
    Raises: LeaseError, naming the holder and since when, if another run holds it.
    """
    key = f"leases/{name}.json"
    tagged = store.get_with_tag(key)
    previous = check_record(tagged[0], key) if tagged else None
    if previous is not None and is_held(previous):
        raise LeaseError(_held(key, previous))
    record: LeaseRecord = {
        "token": time.time_ns() // 1000 if previous is None else previous["token"] + 1,
        "owner": f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        "machine": _machine(),
        "started": _started(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    lease = Lease(store, key, record, tagged[1] if tagged else None, ttl)
    try:
        lease._write()
    except ConflictError as error:
        raise LeaseError(_held(key, json.loads(store.get(key)))) from error
    lease._thread.start()
    return lease


def is_held(record: LeaseRecord) -> bool:
    """Whether a lease is held: not released, not expired, and its holder not known to be dead."""
    return not (record["released"] or record["expires"] < time.time() or _is_dead(record))


def held(store: Store, prefix: str = "") -> list[tuple[str, str]]:
    """Return the leases that are held and whose names begin with a prefix: key and owner, host:pid:random, of each."""
    return [(key, owner) for key, owner, is_taken in _leases(store, prefix) if is_taken]


def delete_given_up(store: Store, prefix: str) -> None:
    """Delete the leases with a prefix that nobody holds; a holder that was only suspended then finds its own lost."""
    for key, _, is_taken in _leases(store, prefix):
        if not is_taken:
            store.delete(key)


def _leases(store: Store, prefix: str) -> Iterator[tuple[str, str, bool]]:
    """Yield key and owner of the leases with a prefix, and whether each is held."""
    for key, _ in list(store.list("leases")):
        tagged = store.get_with_tag(key) if key.startswith(f"leases/{prefix}") else None
        if tagged is not None:
            record = check_record(tagged[0], key)
            yield key, str(record["owner"]), is_held(record)


def commit(store: Store, key: str, data: dict[str, Any], lease: Lease) -> None:
    """Replace a JSON object with `data`, the lease's token and a digest, unless a later holder has written it.

    Raises: LeaseError if the lease is lost or the object has a higher token; ConflictError if other writers were
    first N_TRIES times in a row.
    """
    content = sealed_json(_encode(data | {"token": lease.token}), key)
    for _ in range(N_TRIES):
        lease.check()
        tagged = store.get_with_tag(key)
        token = parse_sealed(tagged[0], key, f"{store.url}/{key}").get("token", 0) if tagged else 0
        if token > lease.token:
            raise LeaseError(f"{key}: written by a later run (token {token}, ours {lease.token}); run again")
        with suppress(ConflictError):
            store.put_if(key, content, tagged[1] if tagged else None)
            return
    raise ConflictError(f"{store.url}/{key}: {N_TRIES} commits in a row lost to other writers; run again")


def _encode(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def check_record(data: bytes, key: str) -> LeaseRecord:
    """Return the record of a lease.

    Raises: StoreError if the object is damaged; its holder is then unknown.
    """
    try:
        record: LeaseRecord = json.loads(data)
        if not {"token", "released", "expires", "owner", "machine"} <= record.keys():
            raise ValueError(f"its members are {', '.join(sorted(record))}")
    except (ValueError, AttributeError) as error:
        raise StoreError(f"{key}: not a lease ({error}); delete it if no run uses the store") from error
    return record


def _held(key: str, record: LeaseRecord) -> str:
    expires = datetime.fromtimestamp(record["expires"], UTC).isoformat(timespec="seconds")
    return message(
        f"{key}: held by {record['owner']} since {record['since']}; wait for that run to end "
        f"or, if it is dead, until {expires}"
    )


def _machine() -> str:
    """Return the scope in which a process id is unique: boot id and process namespace; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return the start time of a running process in clock ticks, to distinguish processes that reuse an id.

    Returns: None if there is no such process or it is a zombie.
    Source: proc(5), /proc/pid/stat fields 3 and 22.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _is_dead(record: LeaseRecord) -> bool:
    """Return whether the holder ran on this machine and is dead; False if that is unknown."""
    if not record["machine"] or record["machine"] != _machine():
        return False
    pid = int(record["owner"].rsplit(":", 2)[1])
    try:
        os.kill(pid, 0)  # signal 0 only tests whether the process exists
    except ProcessLookupError:
        return True
    except PermissionError:  # a process of another user, whose start time may be hidden
        return False
    return bool(_started(pid) != record["started"])
