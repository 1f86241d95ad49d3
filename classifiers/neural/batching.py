"""Batches of token sequences: sorted by length, limited by tokens with padding, halved when memory runs out.

Results come back in the order of the sequences. Padding and the size of a batch change float32 results in their last
bits, so callers round what they write.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from classifiers.neural.device import Torch, free_memory, is_out_of_memory, torch_module

CPU_TOKENS = 4096
GPU_TOKENS = 1 << 17
"""Tokens of the first batches, padding included; a GPU that has no room for as many halves them and goes on."""

Item = TypeVar("Item")


class Batcher:
    """Runs a network over sequences. `n_tokens`, the size of a batch, is halved when memory runs out, and stays so."""

    def __init__(self, device: str, pad_id: int, n_tokens: int | None = None) -> None:
        self.device, self.pad_id = device, pad_id
        self.n_tokens = n_tokens or (GPU_TOKENS if device == "cuda" else CPU_TOKENS)
        self.n_halved = 0

    def run(
        self, sequences: Sequence[np.ndarray], forward: Callable[[Torch, Torch], Torch]
    ) -> list[np.ndarray]:
        """Return the rows that `forward` computes, in the order of the sequences.

        Args: sequences, int arrays of token ids, not empty; forward, ids and attention mask, int64 (n, length) padded
        on the right -> tensor (n, ...).
        Raises: the error of PyTorch if a single sequence needs more memory than there is.
        """
        torch = torch_module("")
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        order = np.argsort(
            -lengths, kind="stable"
        )  # the longest first, so that memory runs out early or never
        rows: list[np.ndarray | None] = [None] * len(sequences)
        waiting: list[tuple[np.ndarray, Torch]] = []
        start = 0
        while start < len(order):
            n = max(self.n_tokens // int(lengths[order[start]]), 1)
            chosen = order[start : start + n]
            try:
                with torch.inference_mode():
                    batch = pad([sequences[i] for i in chosen], self.pad_id, self.device)
                    waiting.append((chosen, forward(*batch)))
                    if len(waiting) > 1:  # the GPU computes the next batch while the last one is copied
                        _collect(waiting.pop(0), rows)
            except Exception as error:
                if len(chosen) == 1 or not is_out_of_memory(error):
                    raise
                self.n_tokens = max(len(chosen) // 2, 1) * int(lengths[order[start]])
                self.n_halved += 1
                free_memory()
                continue
            start += n
        for batch in waiting:
            _collect(batch, rows)
        return [row for row in rows if row is not None]


def pad(sequences: Sequence[np.ndarray], pad_id: int, device: str) -> tuple[Torch, Torch]:
    """Token ids and attention mask, int64 (n, length of the longest), on the device."""
    torch = torch_module("")
    length = max(len(sequence) for sequence in sequences)
    ids = np.full((len(sequences), length), pad_id, np.int64)
    mask = np.zeros((len(sequences), length), np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    tensors = [torch.from_numpy(array) for array in (ids, mask)]
    if device == "cuda":
        tensors = [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
    return tensors[0], tensors[1]


def _collect(batch: tuple[np.ndarray, Torch], rows: list[np.ndarray | None]) -> None:
    for i, row in zip(batch[0], batch[1].float().cpu().numpy(), strict=True):
        rows[i] = row


def prefetched(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """Yield items that a thread makes ahead, at most `depth` of them: text is tokenised while the GPU computes.

    Raises: what the iterator raises.
    """
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: tuple[Item | None, BaseException | None]) -> None:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put((None, None))
        except BaseException as error:  # raised again where the items are used
            put((None, error))

    thread = threading.Thread(target=make, name="tokenise ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
