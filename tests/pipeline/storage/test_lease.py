"""Leases and fenced commits on a local folder and on a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import ConflictError, LeaseError, StoreError
from pipeline.storage.lease import Lease, commit, delete_given_up, held, hold
from pipeline.storage.seal import parse_sealed
from pipeline.storage.store import Store

if TYPE_CHECKING:
    from tests.helpers.stores import Start

pytest_plugins = ["tests.helpers.stores"]

KEY = "leases/release-发布.json"
NAME = "release-发布"

HOLD = """
import sys
from pipeline.errors import LeaseError
from pipeline.storage.lease import commit, hold
from pipeline.storage.store import open_store
store = open_store(sys.argv[1])
lease = hold(store, sys.argv[2], float(sys.argv[3]))
print(lease.token, flush=True)
for line in sys.stdin:
    try:
        commit(store, "manifest.json", {"by": "child"}, lease)
        print("committed", flush=True)
    except LeaseError as error:
        print(error, flush=True)
"""


def age(store: Store, **changes: Any) -> None:
    """Rewrite the lease object as if by another holder."""
    store.put(KEY, json.dumps(json.loads(store.get(KEY)) | changes).encode())


def test_one_holder_at_a_time(store: Store) -> None:
    """A held lease is refused, naming the holder and since when; a released one is free at once."""
    with hold(store, NAME) as lease:
        lease.check()
        with pytest.raises(LeaseError, match=rf"held by {lease.owner} since 20\d\d-") as caught:
            hold(store, NAME)
        assert caught.value.exit_code == 75
        with hold(store, "another-name") as other:
            assert other.token > lease.token
    with hold(store, NAME) as later:
        assert later.token == lease.token + 1


def test_released_after_an_error(store: Store) -> None:
    """A run that fails inside the lease gives it back and its own error rises."""
    with pytest.raises(ZeroDivisionError), hold(store, NAME):
        _ = 1 / 0
    hold(store, NAME).release()


def test_an_expired_lease_is_taken_over(store: Store) -> None:
    """Past its time, not before, the lease of another machine is given away, with a higher token."""
    with hold(store, NAME) as lost:
        age(store, owner="elsewhere:1:abcd", machine="another", expires=time.time() + 30)
        with pytest.raises(LeaseError, match="elsewhere:1:abcd"):
            hold(store, NAME)
        age(store, expires=time.time() - 1)
        with hold(store, NAME) as taken:
            assert taken.token == lost.token + 1
            taken.check()


def test_renewal_keeps_it(store: Store) -> None:
    """A holder that runs longer than the ttl keeps its lease."""
    with hold(store, NAME, ttl=1.5) as lease:
        for _ in range(4):
            time.sleep(0.5)
            lease.check()
            with pytest.raises(LeaseError):
                hold(store, NAME)


def test_a_lost_lease_is_noticed(store: Store) -> None:
    """Once another holder is in place, `check` raises and release leaves the other alone."""
    lease = hold(store, NAME, ttl=0.3)
    age(store, owner="elsewhere:1:abcd", machine="another", token=7, expires=time.time() + 30)
    time.sleep(0.4)
    with pytest.raises(LeaseError, match="lost"):
        lease.check()
    lease.release()
    assert json.loads(store.get(KEY))["owner"] == "elsewhere:1:abcd"
    assert not json.loads(store.get(KEY))["released"]


def test_a_killed_holder_is_replaced_at_once(store: Store, start: Start) -> None:
    """After kill -9 on this machine a rerun takes the lease without waiting for the ttl."""
    holder = start(HOLD, store.url, NAME, 600)
    assert holder.stdout
    token = int(holder.stdout.readline())
    with pytest.raises(LeaseError):
        hold(store, NAME)
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, but still to be reaped: a zombie
    with hold(store, NAME) as lease:
        assert lease.token == token + 1
    holder.wait()


def test_a_reused_process_number_is_not_the_holder(store: Store) -> None:
    """A dead holder whose number another process has by now is still dead."""
    with hold(store, NAME) as lease:
        age(store, started="1")
        with hold(store, NAME) as taken:
            assert taken.token == lease.token + 1


def test_a_sleeper_is_overtaken_and_fenced(store: Store, start: Start) -> None:
    """A stopped holder keeps the lease until it expires; when it wakes, it can no longer commit."""
    holder = start(HOLD, store.url, NAME, 2.0)
    assert holder.stdin and holder.stdout
    token = int(holder.stdout.readline())
    print("go", file=holder.stdin, flush=True)
    assert holder.stdout.readline() == "committed\n"
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(LeaseError):
        hold(store, NAME)
    time.sleep(2.1)
    with hold(store, NAME) as lease:
        commit(store, "manifest.json", {"by": "parent"}, lease)
        holder.send_signal(signal.SIGCONT)
        print("go", file=holder.stdin, flush=True)
        assert "lost" in holder.stdout.readline()
        assert parse_sealed(store.get("manifest.json"), "manifest.json", "") == {
            "by": "parent",
            "token": token + 1,
        }


def test_commit_refuses_a_lower_token(store: Store) -> None:
    """Data written by a later holder is kept, even if the earlier one still believes in its lease."""
    with hold(store, NAME) as lease:
        commit(store, "m.json", {"n": 1}, lease)
        commit(store, "m.json", {"n": 2}, lease)
        assert parse_sealed(store.get("m.json"), "m.json", "m.json") == {"n": 2, "token": lease.token}
        store.put("m.json", json.dumps({"n": 3, "token": lease.token + 1}).encode())
        with pytest.raises(LeaseError, match="later run"):
            commit(store, "m.json", {"n": 4}, lease)
        assert parse_sealed(store.get("m.json"), "m.json", "m.json")["n"] == 3


@pytest.mark.parametrize(
    "reply", [StoreError("the line broke"), ConflictError("retried after its own write")]
)
def test_a_lost_reply_does_not_lose_the_lease(
    store: Store, monkeypatch: pytest.MonkeyPatch, reply: StoreError
) -> None:
    """A renewal that was written but not confirmed is recognised as one's own."""
    put_if: Callable[..., str] = type(store).put_if
    replies = [reply]

    def unreliable(self: Store, key: str, data: bytes, tag: str | None) -> str:
        written = put_if(self, key, data, tag)
        if tag is not None and replies:
            raise replies.pop()
        return written

    monkeypatch.setattr(type(store), "put_if", unreliable)
    with hold(store, NAME, ttl=1.5) as lease:
        time.sleep(1.8)
        assert not replies
        lease.check()


def test_without_renewal_it_is_given_up_in_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that cannot reach the store gives up no later than others may take over."""
    lease = hold(store, NAME, ttl=1.0)

    def unreachable(*_: object) -> str:
        raise StoreError("no route")

    monkeypatch.setattr(type(store), "put_if", unreachable)
    lease.check()
    time.sleep(1.1)
    with pytest.raises(LeaseError):
        lease.check()
    lease.release()


TAKE = """
import sys, time
from pipeline.errors import LeaseError
from pipeline.storage.lease import hold
from pipeline.storage.store import open_store
store, n = open_store(sys.argv[1]), 0
while n < 5:
    try:
        with hold(store, sys.argv[2]) as lease:
            time.sleep(0.01)
            print(lease.token, flush=True)
            n += 1
    except LeaseError:
        time.sleep(0.005)
"""


def test_every_holder_has_its_own_token(store: Store, start: Start) -> None:
    """Processes that take turns get tokens that never repeat and leave no gap."""
    processes = [start(TAKE, store.url, NAME) for _ in range(3)]
    tokens = [int(line) for process in processes for line in process.communicate(timeout=60)[0].split()]
    assert sorted(tokens) == list(range(min(tokens), min(tokens) + 15))


def test_tokens_rise_over_a_deletion(store: Store) -> None:
    """After its object was deleted, a lease is given with higher tokens than ever, so that its holder can commit and
    holders from before cannot."""
    with hold(store, NAME) as first:
        commit(store, "m.json", {"n": 1}, first)
    early = hold(store, NAME)
    store.delete(KEY)
    with hold(store, NAME) as lease:
        assert lease.token > early.token > first.token
        commit(store, "m.json", {"n": 2}, lease)
        with pytest.raises(LeaseError):
            commit(store, "m.json", {"n": 3}, early)
    early.release()
    assert parse_sealed(store.get("m.json"), "m.json", "m.json")["n"] == 2


def test_a_lease_is_one_object(store: Store) -> None:
    """A lease leaves one small object whose token keeps counting."""
    leases: list[Lease] = []
    for _ in range(3):
        with hold(store, NAME) as lease:
            leases.append(lease)
    assert [key for key, _ in store.list("leases")] == [KEY]
    assert [lease.token - leases[0].token for lease in leases] == [0, 1, 2]


def test_who_holds_leases_of_a_kind(store: Store) -> None:
    """Holders by prefix; leases that were given up are deleted, those of others and held ones stay."""
    with hold(store, "run-a") as lease, hold(store, "other"):
        hold(store, "run-b").release()
        assert held(store, "run-") == [(lease.key, lease.owner)] and held(store, "erase") == []
        assert [key for key, _ in held(store)] == ["leases/other.json", "leases/run-a.json"]
        delete_given_up(store, "run-")
        assert [key for key, _ in store.list("leases")] == ["leases/other.json", "leases/run-a.json"]
    delete_given_up(store, "run-")
    assert [key for key, _ in store.list("leases")] == ["leases/other.json"]
