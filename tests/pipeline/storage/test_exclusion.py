"""Runs and changes of an index share a store; erasures and `gc` need it alone."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import LeaseError
from pipeline.storage.exclusion import DELETIONS, ERASURES, RUNS, check_unused, hold_alone, hold_shared
from pipeline.storage.lease import hold
from pipeline.storage.store import Store

pytest_plugins = ["tests.helpers.stores"]


@pytest.mark.parametrize(
    "name", [f"{RUNS}1", "index-candidates-ab12", "release-v1", "global-dedup-ab12", "scrub"]
)
def test_a_store_in_use_is_not_given_away(store: Store, name: str) -> None:
    """Whatever holds a lease keeps erasures and `gc` out; both can have the store afterwards, one after the other."""
    with hold(store, name):
        for alone in (ERASURES, DELETIONS):
            with pytest.raises(LeaseError, match=f"leases/{name}.json: held by .*in progress") as caught:
                hold_alone(store, alone)
            assert caught.value.exit_code == 75
        with pytest.raises(LeaseError):
            check_unused(store)
    with hold_alone(store, ERASURES), pytest.raises(LeaseError):
        hold_alone(store, DELETIONS)
    hold_alone(store, DELETIONS).release()
    check_unused(store)


@pytest.mark.parametrize("alone", [ERASURES, DELETIONS])
def test_a_change_of_an_index_waits_for_who_needs_the_store_alone(store: Store, alone: str) -> None:
    """It is refused and leaves its lease free; beside a run and a lease with a similar name it is admitted."""
    with (
        hold_alone(store, alone),
        pytest.raises(LeaseError, match="being erased"),
        hold_shared(store, "index-a"),
    ):
        pass
    with hold(store, f"{RUNS}1"), hold(store, f"{alone}-other"), hold_shared(store, "index-a") as lease:
        lease.check()


def test_a_run_that_was_passed_over_notices(store: Store) -> None:
    """A run whose lease expired is no obstacle; when it goes on, renewing does not bring its lease back."""
    late = hold(store, f"{RUNS}late", ttl=3)
    store.put(late.key, json.dumps(json.loads(store.get(late.key)) | {"expires": 0}).encode())
    hold_alone(store, ERASURES).release()
    late._thread.join(timeout=20)  # ends at the first renewal, which finds that the lease is gone
    with pytest.raises(LeaseError, match="lost"):
        late.check()
    late.release()
    assert not store.exists(late.key)
