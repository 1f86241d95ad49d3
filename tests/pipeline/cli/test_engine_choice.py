"""Which engine `auto` starts, and that the command says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runtime.engines import RAY_BYTES, choose_engine
from tests.helpers.build import cli, tiny, write_run


def never() -> int:
    """A size that must not be asked for."""
    raise AssertionError


@pytest.mark.parametrize(
    ("kind", "address", "n_bytes", "chosen"),
    [
        ("auto", None, 0, "local"),
        ("auto", None, 4 * RAY_BYTES - 1, "local"),
        ("auto", None, 4 * RAY_BYTES, "ray"),
        ("auto", "node:6379", 0, "ray"),
        ("local", None, 4 * RAY_BYTES, "local"),
        ("ray", None, 0, "ray"),
    ],
)
def test_small_inputs_start_no_ray(kind: str, address: str | None, n_bytes: int, chosen: str) -> None:
    """`auto` is local below a size per worker, Ray for an address; another choice is kept and has no reason."""
    found, reason = choose_engine(
        kind, 4, address, (lambda: n_bytes) if kind == "auto" and not address else never
    )
    assert found == chosen and bool(reason) == (kind == "auto")


def test_a_run_says_which_engine_it_chose_and_ends_with_the_funnel(tmp_path: Path) -> None:
    """On stderr: the engine with the size of the input, and documents by language and reason; the URL on stdout."""
    run_path = write_run(tmp_path, tiny(tmp_path))
    done = cli("run", run_path, "--store", tmp_path / "store", "--workers", 1).ok()
    assert done.out.splitlines() == [f"{tmp_path / 'store'}/releases/tiny"]
    assert "engine local: " in done.err and " MB of input" in done.err
    assert "documents = " in done.err and "language  documents" in done.err and "mix natural: " in done.err


def test_an_address_without_ray_is_refused(tmp_path: Path) -> None:
    """--engine local takes no address."""
    run_path = write_run(tmp_path, tiny(tmp_path))
    refused = cli("run", run_path, "--store", tmp_path / "store", "--engine", "local", "--address", "a:1")
    assert refused.code == 2 and "leave one of them out" in refused.err
