"""Samples of a release by position in training order: texts of a mix, token sequences, packed sequences.

A source is opened by each process for itself and pickled as its settings. Local files are mapped into memory; those
of a bucket are read by ranges.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from pipeline.errors import InputError, UsageError
from pipeline.names import nearest
from pipeline.storage.store import Store, open_store

IGNORED = -100
"""The label that PyTorch's cross entropy leaves out."""

Sample = dict[str, Any]  # Any: an int, a string, or an array


class Source(Protocol):
    """Samples by position, 0 <= position < len(source)."""

    identity: dict[str, Any]

    def __len__(self) -> int: ...

    def read(self, positions: Iterable[int]) -> Iterator[Sample]:
        """Yield the samples at ascending positions; each has its `position`."""

    def documents(self, position: int) -> np.ndarray:
        """Positions in the order of the mix of the documents that a sample contains tokens of, ascending."""


class _Opened:
    """What all sources share: the release, its recipe, and the check that the mix is there."""

    def __init__(self, release: str, mix: str | None) -> None:
        self.url = str(release)
        try:
            lineage = json.loads(self.store.get("lineage.json"))
        except Exception as error:
            raise InputError(f"{release}: no lineage.json; name the folder of a release") from error
        self.mix = mix or lineage["default_mix"]
        if self.mix not in lineage["mixes"]:
            raise UsageError(f"no mix {self.mix!r} in this release{nearest(self.mix, lineage['mixes'])}")
        self.identity: dict[str, Any] = {"recipe": lineage["recipe"], "mix": self.mix}

    @cached_property
    def store(self) -> Store:
        """The folder of the release."""
        return open_store(self.url)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("store", "arrays", "files")
        }

    def parts(self, folder: str, ending: str) -> list[str]:
        """Keys of the parts in a folder with this ending, in order."""
        keys = sorted(key for key, _ in self.store.list(folder))
        return [key for key in keys if key.rpartition("/")[2].startswith("part-") and key.endswith(ending)]


class _Rows(_Opened):
    """Rows of Parquet parts by position; a row group is read once for ascending positions."""

    def __init__(self, release: str, mix: str | None, folder: str, columns: Sequence[str]) -> None:
        super().__init__(release, mix)
        self.columns = list(columns)
        self.keys = self.parts(f"{folder}/{self.mix}", ".parquet")
        sizes, self.groups = [0], []
        for i, key in enumerate(self.keys):
            with self.store.open(key) as stream:
                metadata = pq.read_metadata(stream)
            for group in range(metadata.num_row_groups):
                self.groups.append((i, group))
                sizes.append(metadata.row_group(group).num_rows)
        self.starts = np.cumsum(sizes)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def rows(self, positions: Iterable[int], columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (position, row) for ascending positions."""
        current, table = -1, None
        for position in positions:
            group = int(np.searchsorted(self.starts, position, side="right")) - 1
            if group != current:
                part, number = self.groups[group]
                with self.store.open(self.keys[part]) as stream:
                    table = pq.ParquetFile(stream).read_row_group(number, columns=list(columns))
                current = group
            assert table is not None
            row = position - int(self.starts[group])
            yield position, {name: table[name][row] for name in columns}


class Texts(_Rows):
    """Documents of a mix with their text. columns: of the mix's files, beside `position`."""

    def __init__(
        self, release: str, mix: str | None = None, columns: Sequence[str] = ("doc_id", "text", "language")
    ) -> None:
        super().__init__(release, mix, "mixes", columns)
        if not self.keys:
            raise UsageError(
                f"{release}: mix {self.mix} has no files with text; build it with `materialise: true`, or "
                "feed its tokens"
            )
        self.identity |= {"samples": "texts"}

    def read(self, positions: Iterable[int]) -> Iterator[Sample]:
        """Yield documents: `position` and the columns, a missing value as an empty string."""
        for position, row in self.rows(positions, self.columns):
            values = {name: value.as_py() for name, value in row.items()}
            yield {"position": position, **{n: "" if v is None else v for n, v in values.items()}}

    def documents(self, position: int) -> np.ndarray:
        """The document itself."""
        return np.array([position])


class _Tokens(_Opened):
    """The page of a mix's token files."""

    def __init__(self, release: str, mix: str | None, tokenizer_sha256: str | None) -> None:
        super().__init__(release, mix)
        self.folder = f"tokens/{self.mix}"
        if not self.store.exists(f"{self.folder}/tokens.json"):
            raise UsageError(
                f"{release}: mix {self.mix} has no token files; name it under `tokens.mixes` of the run file"
            )
        self.page: dict[str, Any] = json.loads(self.store.get(f"{self.folder}/tokens.json"))
        found = self.page["tokenizer_sha256"]
        if tokenizer_sha256 is not None and tokenizer_sha256 != found:
            raise UsageError(
                f"{release}: the tokens are of a tokenizer with SHA-256 {found[:16]}…, the model's is "
                f"{tokenizer_sha256[:16]}…; write token files with the model's tokenizer"
            )
        self.identity |= {"tokenizer_sha256": found}

    @property
    def part_names(self) -> list[str]:
        """Names of the parts in training order."""
        return [part["part"] for part in self.page["parts"]]


class Sequences(_Tokens):
    """Sequences of fixed length of the mix's token stream: documents in training order, each with its end token.

    Sample n has the tokens [n * length, (n + 1) * length) as `input_ids`, and as `labels` the tokens one further, int64
    (length,) each. With masks also `documents`, the position in the mix of each token's document, and `position_ids`,
    which count from 0 in each document; the label of an end token is then IGNORED, since what follows is another
    document. What is left after the last whole sequence is not read. Of Megatron's files, or datatrove's.
    """

    def __init__(
        self,
        release: str,
        mix: str | None,
        length: int,
        *,
        masks: bool = False,
        tokenizer_sha256: str | None = None,
    ) -> None:
        super().__init__(release, mix, tokenizer_sha256)
        if length < 1:
            raise UsageError(f"sequence_length is {length}; expected 1 or more")
        self.length, self.masks = length, masks
        formats = self.page["formats"]
        if "megatron" not in formats and "ds" not in formats:
            raise UsageError(
                f"{release}: mix {self.mix} has token files in {', '.join(formats)} only; sequences are cut from those "
                "of megatron or ds. Add one to `tokens.config.formats`, or read packed sequences"
            )
        self.ending = "bin" if "megatron" in formats else "ds"
        sizes = [part["tokens"] for part in self.page["parts"]]
        self.starts = np.cumsum([0, *sizes])
        self.identity |= {"samples": "sequences", "sequence_length": length}

    def __len__(self) -> int:
        return max(int(self.starts[-1]) - 1, 0) // self.length

    @cached_property
    def arrays(self) -> list[Any]:
        """The ids of each part."""
        dtype = np.dtype("<u2" if self.page["token_bytes"] == 2 else "<i4")
        return [_array(self.store, f"{self.folder}/{name}.{self.ending}", dtype) for name in self.part_names]

    @cached_property
    def bounds(self) -> np.ndarray:
        """Positions in the token stream at which documents begin, and the end of the last: int64 (n_documents + 1,)."""
        ends = [np.zeros(1, np.int64)]
        for name, start in zip(self.part_names, self.starts[:-1], strict=True):
            ends.append(self.ends(name) + start)
        return np.concatenate(ends)

    def ends(self, name: str) -> np.ndarray:
        """Positions after each document of a part, int64."""
        if self.ending == "ds":
            return np.frombuffer(self.store.get(f"{self.folder}/{name}.ds.index"), "<u8").astype(np.int64)
        data = self.store.get(f"{self.folder}/{name}.idx")
        magic, version, _, n, _ = struct.unpack_from("<9sQBQQ", data)
        if magic != b"MMIDIDX\x00\x00" or version != 1:
            raise InputError(
                f"{self.folder}/{name}.idx: not an index of Megatron's version 1; build the release again"
            )
        return np.cumsum(np.frombuffer(data, "<i4", n, 34), dtype=np.int64)

    def tokens(self, first: int, last: int) -> np.ndarray:
        """The tokens [first, last) of the stream, int64."""
        pieces = []
        part = int(np.searchsorted(self.starts, first, side="right")) - 1
        while first < last:
            begin, end = int(self.starts[part]), min(last, int(self.starts[part + 1]))
            pieces.append(self.arrays[part][first - begin : end - begin])
            first, part = end, part + 1
        return np.concatenate(pieces).astype(np.int64)

    def read(self, positions: Iterable[int]) -> Iterator[Sample]:
        """Yield sequences, see the class."""
        for position in positions:
            first = position * self.length
            ids = self.tokens(first, first + self.length + 1)
            sample = {"position": position, "input_ids": ids[:-1], "labels": ids[1:]}
            yield sample | self.document_columns(sample, first) if self.masks else sample

    def document_columns(self, sample: Sample, first: int) -> Sample:
        """`documents`, `position_ids` and the `labels` within documents of a sequence that begins at a position."""
        places = np.arange(first, first + self.length)
        documents = np.searchsorted(self.bounds, places, side="right") - 1
        is_last = self.bounds[documents + 1] == places + 1
        return {
            "labels": np.where(is_last, IGNORED, sample["labels"]),
            "documents": documents,
            "position_ids": places - self.bounds[documents],
        }

    def documents(self, position: int) -> np.ndarray:
        """Documents with a token among the inputs of a sequence."""
        first = position * self.length
        low, high = np.searchsorted(self.bounds, [first, first + self.length - 1], side="right") - 1
        return np.arange(low, high + 1)


class PackedSequences(_Rows):
    """Packed sequences of the mix's Parquet files: `input_ids` and `labels`, int64 (length,).

    Labels of padding and of the last token are IGNORED. With masks, the columns of Sequences; `documents` is -1 for
    padding.
    """

    def __init__(
        self, release: str, mix: str | None, *, masks: bool = False, tokenizer_sha256: str | None = None
    ) -> None:
        page = _Tokens(release, mix, tokenizer_sha256)
        if not page.page["pack"] or "parquet" not in page.page["formats"]:
            raise UsageError(
                f"{release}: mix {page.mix} has no packed sequences in Parquet; set `pack` in `tokens.config`"
            )
        self.has_documents = page.page["document_masks"]
        if masks and not self.has_documents:
            raise UsageError(
                f"{release}: its packed sequences lack document boundaries; set `document_masks: true`"
            )
        columns = ["input_ids", "n_tokens", *(["cu_seqlens", "documents"] if masks else [])]
        super().__init__(release, mix, "tokens", columns)
        self.masks = masks
        self.first_documents = np.cumsum([0, *(part["documents"] for part in page.page["parts"])])
        self.identity = {
            **page.identity,
            "samples": "packed",
            "sequence_length": page.page["sequence_length"],
        }

    def read(self, positions: Iterable[int]) -> Iterator[Sample]:
        """Yield sequences, see the class."""
        for position, row in self.rows(positions, self.columns):
            ids = row["input_ids"].values.to_numpy().astype(np.int64)
            labels = np.append(ids[1:], IGNORED)
            labels[row["n_tokens"].as_py() - 1 :] = IGNORED
            sample = {"position": position, "input_ids": ids, "labels": labels}
            yield sample | self.document_columns(sample, row) if self.masks else sample

    def document_columns(self, sample: Sample, row: dict[str, Any]) -> Sample:
        """`documents`, `position_ids` and the `labels` within documents."""
        bounds = row["cu_seqlens"].values.to_numpy()
        length = len(sample["input_ids"])
        lengths = np.diff(bounds)
        rows = self.part_documents(sample["position"]) + row["documents"].values.to_numpy()
        places = np.concatenate([np.arange(n) for n in lengths])
        n_padding = length - len(places)
        labels = sample["labels"].copy()
        labels[bounds[1:] - 1] = IGNORED
        return {
            "labels": labels,
            "documents": np.append(np.repeat(rows, lengths), np.full(n_padding, -1)),
            "position_ids": np.append(places, np.arange(n_padding)),
        }

    def part_documents(self, position: int) -> int:
        """Number of documents of the mix before the part that a row is in."""
        group = int(np.searchsorted(self.starts, position, side="right")) - 1
        return int(self.first_documents[self.groups[group][0]])

    def documents(self, position: int) -> np.ndarray:
        """Documents of a packed sequence.

        Raises: UsageError if the files lack them.
        """
        if not self.has_documents:
            raise UsageError(
                f"{self.url}: its packed sequences lack document boundaries; set `document_masks: true`"
            )
        ((_, row),) = self.rows([position], ["documents"])
        return np.unique(self.part_documents(position) + row["documents"].values.to_numpy())


class _Ranges:
    """An array in an object of a bucket, read by slices."""

    def __init__(self, store: Store, key: str, dtype: np.dtype[Any]) -> None:
        self.stream, self.dtype = store.open(key), dtype

    def __getitem__(self, item: slice) -> np.ndarray:
        self.stream.seek(item.start * self.dtype.itemsize)
        return np.frombuffer(self.stream.read((item.stop - item.start) * self.dtype.itemsize), self.dtype)


def _array(store: Store, key: str, dtype: np.dtype[Any]) -> Any:
    """An array in a file: mapped, or read by ranges from a bucket."""
    path = store.local_path(key)
    if path is None:
        return _Ranges(store, key, dtype)
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)


def open_source(
    release: str,
    mix: str | None = None,
    *,
    sequence_length: int | None = None,
    packed: bool = False,
    masks: bool = False,
    columns: Sequence[str] = ("doc_id", "text", "language"),
    tokenizer_sha256: str | None = None,
) -> Source:
    """Open the samples of a mix: packed sequences, sequences of a length, or texts.

    Raises: InputError if there is no release; UsageError if the release lacks the mix or the files, or if its
    tokenizer is not the one named by its digest.
    """
    if packed:
        return PackedSequences(release, mix, masks=masks, tokenizer_sha256=tokenizer_sha256)
    if sequence_length is not None:
        return Sequences(release, mix, sequence_length, masks=masks, tokenizer_sha256=tokenizer_sha256)
    return Texts(release, mix, columns)
