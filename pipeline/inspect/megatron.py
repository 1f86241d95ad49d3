"""From a sample of Megatron's training order to documents of a mix, through the indices that Megatron caches.

A GPTDataset shuffles documents and samples: sample i is `shuffle_index[i]`, which begins at (position in
`document_index`, offset) of the same row of `sample_index` and ends at that of the next; `document_index` names
documents of the .idx file. A BlendedDataset first chooses the dataset and its sample.

Source: megatron/core/datasets/gpt_dataset.py and blended_dataset.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.feed.sources import Sequences

SPLIT = "train"


@dataclass(frozen=True)
class _Dataset:
    """Indices of one GPTDataset over one part. first: documents of the mix before the part."""

    document_index: np.ndarray
    sample_index: np.ndarray
    shuffle_index: np.ndarray
    first: int

    def documents(self, sample: int) -> list[int]:
        """Positions in the mix of a sample's documents, in the order of its tokens.

        Raises: UsageError if there is no such sample.
        """
        if not 0 <= sample < len(self.shuffle_index):
            raise UsageError(f"sample {sample:,}: Megatron's index has {len(self.shuffle_index):,}")
        row = int(self.shuffle_index[sample])
        low, high = int(self.sample_index[row, 0]), int(self.sample_index[row + 1, 0])
        return [self.first + int(document) for document in self.document_index[low : high + 1]]


class MegatronIndex:
    """The training split in a cache folder: one dataset, or a blend of several.

    Args: folder, what Megatron calls --data-cache-path; parts, the token files of the mix.
    Raises: UsageError if the folder has no indices of the mix's parts, or several that could be meant.
    """

    def __init__(self, folder: str, parts: Sequences) -> None:
        self.folder = Path(folder)
        firsts = np.cumsum([0, *(part["documents"] for part in parts.page["parts"])])
        self.first = dict(zip(parts.part_names, firsts.tolist(), strict=False))
        self.mix = parts.mix
        blends = list(self.folder.glob("*-BlendedDataset-*dataset_index.npy"))
        blends = [path for path in blends if self.is_ours(self.description(path, "dataset_index.npy"))]
        singles = [
            path for path in self.folder.glob(f"*-GPTDataset-{SPLIT}-shuffle_index.npy")
            if self.is_ours([self.description(path, "shuffle_index.npy")])
        ]  # fmt: skip
        self.datasets, self.dataset_index, self.dataset_sample_index = list[_Dataset](), None, None
        if len(blends) == 1:
            prefix = str(blends[0]).removesuffix("dataset_index.npy")
            self.dataset_index = np.load(blends[0], mmap_mode="r")
            self.dataset_sample_index = np.load(f"{prefix}dataset_sample_index.npy", mmap_mode="r")
            by_description = {
                json.dumps(self.description(path, "shuffle_index.npy")): path for path in singles
            }
            for description in self.description(blends[0], "dataset_index.npy"):
                self.datasets.append(self.load(by_description[json.dumps(description)]))
        elif not blends and len(singles) == 1:
            self.datasets.append(self.load(singles[0]))
        else:
            raise UsageError(
                f"{folder}: {len(blends)} blends and {len(singles)} datasets of the mix {self.mix}; expected one "
                "blend, or one dataset. Name the --data-cache-path of one training run"
            )

    def description(self, path: Path, ending: str) -> Any:
        """What Megatron wrote beside an index: of a blend the list of its datasets, training split only."""
        described = json.loads(Path(str(path).removesuffix(ending) + "description.txt").read_text("utf-8"))
        return described.get("datasets", described)

    def is_ours(self, datasets: list[dict[str, Any]]) -> bool:
        """Whether datasets are of the training split, and of parts of the mix."""
        return all(
            d["index_split"] == SPLIT and self.part_of(d["dataset_path"]) in self.first for d in datasets
        )

    def part_of(self, path: str) -> str:
        """Name of the part of a path below tokens/<mix>/, else an empty name."""
        return Path(path).name if Path(path).parent.name == self.mix else ""

    def load(self, path: Path) -> _Dataset:
        """Map the indices of one dataset."""
        prefix = str(path).removesuffix("shuffle_index.npy")
        names = ("document_index", "sample_index", "shuffle_index")
        documents, samples, shuffled = (np.load(f"{prefix}{name}.npy", mmap_mode="r") for name in names)
        described = self.description(path, "shuffle_index.npy")
        return _Dataset(documents, samples, shuffled, self.first[self.part_of(described["dataset_path"])])

    def documents(self, sample: int) -> list[int]:
        """Positions in the mix of the documents of a sample of the training order.

        Raises: UsageError if there is no such sample.
        """
        if self.dataset_index is None or self.dataset_sample_index is None:
            return self.datasets[0].documents(sample)
        if not 0 <= sample < len(self.dataset_index):
            raise UsageError(f"sample {sample:,}: Megatron's blend has {len(self.dataset_index):,}")
        return self.datasets[int(self.dataset_index[sample])].documents(
            int(self.dataset_sample_index[sample])
        )
