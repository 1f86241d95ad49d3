"""The feed as a PyTorch dataset. The only module of the engine that imports torch; no other module imports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.feed.reader import Reader, Share, default_rank
from pipeline.feed.sources import Sample, open_source


class Feed(IterableDataset[Sample]):
    """Samples of a mix of a release in training order, over ranks and workers, resumable to the sample.

    Without a sequence length the samples are documents (`doc_id`, `text`, `language`); with one, sequences of tokens
    (`input_ids`, `labels`, int64 tensors of this length); with `packed`, the packed sequences of the release. Each
    has its `position` in the mix. All ranks together read every sample once. The DataLoader's batch size must be
    `batch_size`, and its order that of the feed (`shuffle` unset).

    Args: release, folder or URL; mix, the release's default if None; sequence_length, tokens of a sample; packed, see
    `tokens.config.pack` of the run file; document_masks, also yield `documents` and `position_ids` and ignore labels
    across documents; columns, of documents; batch_size, samples of a rank in one step; rank and world_size, those of
    torch.distributed or its launcher if None; start, samples that all ranks together consumed before; drop_last,
    leave out the last world_size - 1 samples at most, so that all ranks take as many steps; prefetch, samples that a
    thread reads ahead; tokenizer, path of a tokenizer.json that must be the one of the tokens.
    Raises: InputError if there is no release; UsageError if it lacks the mix or its files, or for another tokenizer.
    """

    def __init__(
        self,
        release: str,
        mix: str | None = None,
        *,
        sequence_length: int | None = None,
        packed: bool = False,
        document_masks: bool = False,
        columns: Sequence[str] = ("doc_id", "text", "language"),
        batch_size: int = 1,
        rank: int | None = None,
        world_size: int | None = None,
        start: int = 0,
        drop_last: bool = False,
        prefetch: int = 256,
        tokenizer: str | None = None,
    ) -> None:
        super().__init__()
        source = open_source(
            str(release), mix, sequence_length=sequence_length, packed=packed, masks=document_masks, columns=columns,
            tokenizer_sha256=None if tokenizer is None else _digest(tokenizer),
        )  # fmt: skip
        found = _distributed()
        share = Share(
            found[0] if rank is None else rank, found[1] if world_size is None else world_size, start, batch_size,
            drop_last,
        )  # fmt: skip
        self.reader = Reader(source, share, prefetch)

    def __len__(self) -> int:
        """Samples of this rank."""
        return len(self.reader)

    def __iter__(self) -> Iterator[Sample]:
        for sample in self.reader.iterate(*_worker()):
            yield {
                name: torch.from_numpy(value) if hasattr(value, "dtype") else value
                for name, value in sample.items()
            }

    def state_dict(self) -> dict[str, Any]:
        """What this process, a rank or a worker of it, has handed out; StatefulDataLoader collects those of workers."""
        return self.reader.state_dict(*_worker())

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue after the samples that a state counts.

        Raises: UsageError if it is of another feed, see Reader.load_state_dict.
        """
        self.reader.load_state_dict(state_dict, *_worker())


def cu_seqlens(position_ids: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Boundaries of the documents of a batch laid end to end, int32 (n_documents + 1,), and the longest one's length.

    For kernels of attention over sequences of varying length. A document that began before its sequence counts from the
    beginning of the sequence.

    Args: position_ids, (batch, length), of a feed with document_masks.
    """
    begins = torch.ones_like(position_ids, dtype=torch.bool)
    begins[:, 1:] = position_ids[:, 1:] != position_ids[:, :-1] + 1
    ends = torch.tensor([position_ids.numel()], device=position_ids.device)
    bounds = torch.cat([begins.flatten().nonzero().flatten(), ends]).to(torch.int32)
    return bounds, int(bounds.diff().max())


def _worker() -> tuple[int, int]:
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def _distributed() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return default_rank()


def _digest(path: str) -> str:
    import hashlib
    from pathlib import Path

    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
