"""Which samples a rank reads, and which of them each of its workers; a function of numbers alone."""

from __future__ import annotations

from collections.abc import Iterator


def of_rank(n_samples: int, start: int, rank: int, world_size: int, drop_last: bool) -> range:
    """Positions of one rank: every world_size-th one from `start + rank` on.

    Args: drop_last, leave out up to world_size - 1 samples at the end, so that all ranks have equally many.
    """
    end = start + (n_samples - start) // world_size * world_size if drop_last else n_samples
    return range(start + rank, max(end, start), world_size)


def of_worker(positions: range, batch_size: int, worker: int, n_workers: int, skip: int = 0) -> Iterator[int]:
    """The positions that one worker of a DataLoader reads: every n_workers-th batch of the rank.

    A DataLoader takes batches from its workers in turn, so the rank gets its positions in ascending order.

    Args: skip, leave out the first of them.
    """
    block, inside = divmod(skip, batch_size)
    for begin in range((worker + block * n_workers) * batch_size, len(positions), n_workers * batch_size):
        yield from positions[begin + inside : begin + batch_size]
        inside = 0


def count_of_worker(n_positions: int, batch_size: int, worker: int, n_workers: int) -> int:
    """How many positions of_worker yields."""
    n_batches, rest = divmod(n_positions, batch_size)
    own, last = divmod(n_batches, n_workers)
    return own * batch_size + (batch_size if worker < last else rest if worker == last else 0)
