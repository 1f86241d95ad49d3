"""A mix of a release as PyTorch datasets, in training order, over ranks and workers, from any position.

Example: python datasets.py store/releases/v1 zh50
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

from reading import Texts, Tokens, of_worker, share
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class InOrder(IterableDataset):
    """Items in training order from position `start`: those of one rank, and of these the ones of each worker.

    batch_size: that of the DataLoader, 1 if it has none. start: how many items all ranks together have consumed.
    """

    def __init__(
        self, items: Texts | Tokens, batch_size: int, rank: int = 0, world_size: int = 1, start: int = 0
    ) -> None:
        self.items, self.batch_size = items, batch_size
        self.positions = share(len(items), start, rank, world_size)

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, n_workers = (info.id, info.num_workers) if info else (0, 1)
        yield from self.items.read(of_worker(self.positions, self.batch_size, worker, n_workers))


BATCH_SIZE, N_STEPS = 4, 3


def positions(items: Texts | Tokens, world_size: int, n_workers: int, start: int = 0) -> list[list[int]]:
    """Positions that each rank reads in its first steps; in training each rank is a process with its own loader."""
    read = []
    for rank in range(world_size):
        dataset = InOrder(items, BATCH_SIZE, rank, world_size, start)
        batches = itertools.islice(DataLoader(dataset, BATCH_SIZE, num_workers=n_workers), N_STEPS)
        read.append([n for batch in batches for n in batch["position"].tolist()])
    return read


def main(release: str, mix: str) -> None:
    """Read as two ranks of two workers, stop, and resume as three ranks of one worker."""
    for items in (Texts(release, mix), Tokens(release, mix, length=512)):
        print(f"{type(items).__name__}: {len(items)} items")
        for rank, read in enumerate(positions(items, world_size=2, n_workers=2)):
            print(f"  rank {rank} of 2 reads {read}")
        start = N_STEPS * BATCH_SIZE * 2
        for rank, read in enumerate(positions(items, world_size=3, n_workers=1, start=start)):
            print(f"  rank {rank} of 3, resumed at {start}, reads {read}")
    batch = next(iter(DataLoader(InOrder(items, BATCH_SIZE), BATCH_SIZE)))
    print(", ".join(f"{name}: {tuple(values.shape)}" for name, values in batch.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
