"""Who may use a store at the same time: runs and changes of an index share it, erasures and `gc` need it alone.

Each takes its own lease before it looks for those of the others, so of two that begin at once at least one sees the
other. One that was stopped for longer than its lease may have been passed over: it checks its lease before each change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import LeaseError
from pipeline.storage.lease import Lease, delete_given_up, held, hold
from pipeline.storage.store import Store
from pipeline.translation import message

RUNS = "run-"
"""Prefix of the leases of runs; a name is used once."""

ERASURES, DELETIONS = "erase", "gc"
"""Leases of those that need a store alone."""


def hold_alone(store: Store, name: str) -> Lease:
    """Take the lease of an erasure or of `gc`.

    Leases of runs that expired are deleted, so that such a run finds that it lost its lease if it goes on.

    Raises: LeaseError if anything else holds a lease.
    """
    lease = hold(store, name)
    try:
        delete_given_up(store, RUNS)
        check_unused(store, lease.key)
    except BaseException:
        lease.release()
        raise
    return lease


def check_unused(store: Store, own: str = "") -> None:
    """Check that nothing holds a lease of a store. Args: own, key of a lease that does not count.

    Raises: LeaseError naming one that is held.
    """
    for key, owner in held(store):
        if key != own:
            raise LeaseError(
                message(
                    f"{key}: held by {owner}; this command needs the store to itself, and a run is in progress"
                )
            )


@contextmanager
def hold_shared(store: Store, name: str) -> Iterator[Lease]:
    """Hold the lease of a change that others than erasures and `gc` may run beside.

    Raises: LeaseError if another process has the lease, or one that needs the store alone is in progress.
    """
    with hold(store, name) as lease:
        check_not_alone(store)
        yield lease


def check_not_alone(store: Store) -> None:
    """Check that no erasure and no `gc` is in progress.

    Raises: LeaseError if one is.
    """
    for name in (ERASURES, DELETIONS):
        for key, owner in held(store, name):
            if key == f"leases/{name}.json":
                raise LeaseError(
                    message(
                        f"{key}: held by {owner}; documents are being erased from the store, or objects deleted"
                    )
                )
