"""A short history of random operations on a store keeps what the model demands."""

from __future__ import annotations

from scripts.maintenance.store_machine import play


def test_a_store_survives_random_operations() -> None:
    """Builds, kills, erasures, two writers and deleted results; the script plays longer histories."""
    play(examples=1, steps=8, seed=22)
