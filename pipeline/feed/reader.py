"""Samples of one rank or worker in training order, with a state that is exact to the sample; no PyTorch.

The sample after step s of ranks that read b samples each is `start + s * b * world_size`, whoever reads: this one
number resumes training with any number of ranks and workers. A state resumes it with the same ones, also in the
middle of a step.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.feed.share import count_of_worker, of_rank, of_worker
from pipeline.feed.sources import Sample, Source

STATE = 1
"""Version of the states."""


@dataclass(frozen=True)
class Share:
    """Which samples are read.

    start: samples that all ranks together have consumed before. batch_size: of each rank's loader, by which its workers
    take turns. drop_last: leave out the last world_size - 1 samples at most, so that all ranks take the same number.
    """

    rank: int = 0
    world_size: int = 1
    start: int = 0
    batch_size: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.world_size < 1 or not 0 <= self.rank < self.world_size:
            raise UsageError(
                f"rank {self.rank} of {self.world_size}; expected a rank from 0 to world_size - 1"
            )
        if self.start < 0 or self.batch_size < 1:
            raise UsageError(f"start {self.start}, batch_size {self.batch_size}; expected at least 0 and 1")


class Reader:
    """Iterates over the samples of a share; iterating again begins anew.

    `state_dict` counts the samples that iteration has handed out, not those that were read ahead; `load_state_dict`
    makes the next iteration continue after them. prefetch: samples that a thread reads ahead, 0 for none.
    """

    def __init__(self, source: Source, share: Share, prefetch: int = 0) -> None:
        if share.start > len(source):
            raise UsageError(f"start is {share.start:,}; the mix has {len(source):,} samples")
        self.source, self.share, self.prefetch = source, share, prefetch
        self.taken, self.resumed = 0, False

    def positions(self) -> range:
        """Positions of the rank."""
        share = self.share
        return of_rank(len(self.source), share.start, share.rank, share.world_size, share.drop_last)

    def __len__(self) -> int:
        return len(self.positions())

    def iterate(self, worker: int = 0, n_workers: int = 1) -> Generator[Sample, None, None]:
        """Yield the samples of a worker that are left."""
        if not self.resumed:
            self.taken = 0
        self.resumed = False
        positions = of_worker(self.positions(), self.share.batch_size, worker, n_workers, self.taken)
        samples = self.source.read(positions)
        for sample in read_ahead(samples, self.prefetch) if self.prefetch else samples:
            self.taken += 1
            yield sample

    def __iter__(self) -> Generator[Sample, None, None]:
        return self.iterate()

    def state_dict(self, worker: int = 0, n_workers: int = 1) -> dict[str, Any]:
        """The share, and how many of its samples were handed out, as plain data."""
        share = self.share
        return {
            "version": STATE, **self.source.identity, "start": share.start, "world_size": share.world_size,
            "batch_size": share.batch_size, "worker": worker, "n_workers": n_workers, "taken": self.taken,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any], worker: int = 0, n_workers: int = 1) -> None:
        """Continue after the samples that a state counts. The state may be that of another rank at the same step.

        Raises: UsageError if it is of another release, mix, tokenizer or sequence length, or of other numbers of ranks,
        workers or samples in a batch.
        """
        expected = self.state_dict(worker, n_workers)
        differing = [f"{name} {state.get(name)!r}, here {expected[name]!r}" for name in expected if name != "taken"
                     and state.get(name) != expected[name]]  # fmt: skip
        if differing:
            raise UsageError(
                f"the state is of another feed ({'; '.join(differing)}); with other ranks or workers resume by "
                "`start`, the number of samples that all ranks together have consumed"
            )
        n = count_of_worker(len(self.positions()), self.share.batch_size, worker, n_workers)
        if not 0 <= int(state["taken"]) <= n:
            raise UsageError(f"the state counts {state['taken']:,} samples; this worker has {n:,}")
        self.taken, self.resumed = int(state["taken"]), True


def consumed(n_steps: int, batch_size: int, world_size: int, start: int = 0) -> int:
    """Samples that all ranks together have consumed after some steps: the `start` to resume with."""
    return start + n_steps * batch_size * world_size


def default_rank() -> tuple[int, int]:
    """Rank and number of ranks that the launcher set (RANK and WORLD_SIZE, as torchrun does), else 0 of 1."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


BLOCK = 16
"""Samples that the reading thread hands over at a time, so that the queue costs little."""


def read_ahead(samples: Iterator[Sample], n_samples: int) -> Iterator[Sample]:
    """Yield the samples, read by a thread that is about n_samples ahead. An error of it is raised at its place."""
    blocks: queue.Queue[tuple[list[Sample], BaseException | None] | None] = queue.Queue(
        max(n_samples // BLOCK, 1)
    )
    stopped = threading.Event()

    def put(item: tuple[list[Sample], BaseException | None] | None) -> None:
        while not stopped.is_set():
            try:
                return blocks.put(item, timeout=0.1)
            except queue.Full:
                continue

    def read() -> None:
        block: list[Sample] = []
        try:
            for sample in samples:
                block.append(sample)
                if len(block) == BLOCK:
                    put((block, None))
                    block = []
                if stopped.is_set():
                    return
        except BaseException as error:  # raised again where the samples are taken
            put((block, error))
        else:
            put((block, None))
            put(None)

    thread = threading.Thread(target=read, name="bicorpus feed", daemon=True)
    thread.start()
    try:
        while (item := blocks.get()) is not None:
            block, error = item
            yield from block
            if error is not None:
                raise error
    finally:
        stopped.set()
        thread.join()
