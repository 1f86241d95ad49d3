"""Texts of the corpora of an ablation, drawn evenly, without those that are measured on, as tokens on disk."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.ablation.config import Corpus, Texts
from pipeline.errors import ConfigError, InputError
from pipeline.jobs.inputs import open_inputs, read_batches
from pipeline.jobs.releases import find_release
from pipeline.names import nearest
from pipeline.storage.store import list_inputs, open_input

END = "<|end|>"
"""Token that ends every document and precedes every text that is measured."""

LINE_CHARS = 40
"""Lines of a measured text that are at least as long mark a training document that has one of them as seen."""

TOKENIZER_BYTES = 8_000_000
"""Bytes of each corpus that a tokenizer is trained on."""

DOCUMENT_BYTES = 16_384
"""Longer documents are cut here, so that a few of them are not most of a small draw."""

HAN_SHARE = 0.2
"""Share of Han characters from which on a document counts as Chinese when it is drawn."""

BYTES_PER_TOKEN = 6.0
"""Bytes read for each token that is needed, above what any tokenizer here gets, so that enough is drawn."""

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")


@dataclass(frozen=True)
class Drawn:
    """Documents drawn from a corpus. n_documents, n_bytes: of all of it; n_seen: drawn, but have a measured line."""

    texts: list[str]
    n_documents: int
    n_bytes: int
    n_seen: int


def texts_of(corpus: Corpus) -> Iterator[str]:
    """All texts of a corpus, file by file; a document that a mix repeats, as often as the mix does.

    Raises: InputError if there is no such release, mix or file.
    """
    if not corpus.release:
        yield from file_texts(corpus.files)
        return
    root = find_release(corpus.release)
    mixes = {name.split("/")[0] for name in _parquet_names(root, "mixes")}
    if corpus.mix in mixes or not (corpus.mix or corpus.order):
        folder = f"mixes/{corpus.mix}" if corpus.mix else "data"
        for batch in _batches(root, folder, ["text"]):
            yield from (text for text in batch["text"].to_pylist() if text)
        return
    orders = {name.removesuffix(".parquet") for name in _parquet_names(root, "orders")}
    if corpus.mix and corpus.mix not in orders:
        raise InputError(f"{corpus.release}: no mix {corpus.mix!r}{nearest(corpus.mix, orders | mixes)}")
    with open_input(corpus.order or f"{root}/orders/{corpus.mix}.parquet") as stream:
        taken = pq.read_table(pa.PythonFile(stream, mode="r"), columns=["doc_id"])["doc_id"].value_counts()
    ids, counts = taken.field("values"), taken.field("counts").to_numpy()
    for batch in _batches(root, "data", ["doc_id", "text"]):
        found = pc.index_in(batch["doc_id"], ids)
        kept = batch.filter(found.is_valid())
        for text, i in zip(kept["text"].to_pylist(), found.drop_null().to_pylist(), strict=True):
            yield from itertools.repeat(text, int(counts[i]))


def _parquet_names(root: str, folder: str) -> list[str]:
    """Parquet files of a folder of a release, relative to it; none if there is no such folder."""
    try:
        files = list_inputs(f"{root}/{folder}/**")
    except InputError:
        return []
    return [file.path.split(f"/{folder}/")[-1] for file in files if file.path.endswith(".parquet")]


def _batches(root: str, folder: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for name in _parquet_names(root, folder):
        with open_input(f"{root}/{folder}/{name}") as stream:
            yield from pq.ParquetFile(pa.PythonFile(stream, mode="r")).iter_batches(1024, columns=columns)


def file_texts(files: Sequence[str]) -> Iterator[str]:
    """All texts of files, read as the commands for everyday use read them."""
    with open_inputs(files) as found:
        for item in found.inputs:
            for batch in read_batches(item):
                yield from (text for text in batch.documents["text"].to_pylist() if text)


def lines_of(text: str) -> Iterator[int]:
    """Hashes of the long lines of a text."""
    for line in text.split("\n"):
        if len(line := line.strip()) >= LINE_CHARS:
            yield xxhash.xxh3_64_intdigest(line.encode())


def read_measured(texts: Texts, where: str) -> list[str]:
    """Documents to measure on: drawn evenly, of about as many bytes as asked for.

    Raises: InputError if there are none.
    """
    (drawn,) = draw(lambda: file_texts(texts.files), texts.bytes, frozenset(), (0,))
    if not drawn.texts:
        raise InputError(f"evaluate.{where}: no text in {', '.join(texts.files)}")
    return drawn.texts


def cut(text: str) -> str:
    """The beginning of a text, of at most DOCUMENT_BYTES in UTF-8."""
    data = text.encode()
    return text if len(data) <= DOCUMENT_BYTES else data[:DOCUMENT_BYTES].decode(errors="ignore")


def is_chinese(text: str) -> bool:
    """Whether a share of the characters of a text are Han characters."""
    return len(_HAN.findall(text)) >= HAN_SHARE * len(text)


def draw(
    read: Callable[[], Iterable[str]], n_bytes: float, measured: frozenset[int], seeds: Sequence[int],
    chinese_share: float | None = None,
) -> list[Drawn]:  # fmt: skip
    """Draw documents evenly from all of a corpus, anew for each seed; which ones depends on their texts and the seed.

    Chinese documents and others are drawn apart, in the ratio of their bytes in the corpus, since a small draw would
    have another ratio by chance, and any beginning of the result has it too. A repeated document is drawn with all its
    repeats, so that a small draw repeats as often as the whole (arXiv 2606.07597).

    Args: read, gives the texts, and is called twice; n_bytes, wanted; measured, hashes of lines that leave one out;
    chinese_share, of the bytes, in place of the ratio of the corpus.
    Returns: for each seed documents of about n_bytes or a little more, cut to DOCUMENT_BYTES; all if there are fewer.
    """
    n_documents = total = 0
    sizes = {False: 0, True: 0}
    for text in read():
        n_documents, total = n_documents + 1, total + len(text.encode())
        used = cut(text)
        sizes[is_chinese(used)] += len(used.encode())
    chinese = sizes[True] / max(sum(sizes.values()), 1) if chinese_share is None else chinese_share
    wanted = {False: n_bytes * (1 - chinese), True: n_bytes * chinese}
    limits = {kind: _limit(wanted[kind], sizes[kind], n_documents) for kind in sizes}
    limit = max(limits.values())
    found: list[dict[bool, list[tuple[int, str]]]] = [{False: [], True: []} for _ in seeds]
    n_seen = [0] * len(seeds)
    for text in read():
        for i, seed in enumerate(seeds):
            key = xxhash.xxh3_64_intdigest(text.encode(), seed)
            if key > limit:
                continue
            used = cut(text)
            if key > limits[kind := is_chinese(used)]:
                continue
            if measured and any(line in measured for line in lines_of(text)):
                n_seen[i] += 1
            else:
                found[i][kind].append((key, used))
    return [Drawn(_interleaved(found[i], wanted), n_documents, total, n_seen[i]) for i in range(len(seeds))]


def _limit(wanted: float, size: int, n_documents: int) -> int:
    """Highest hash that is drawn, for a fifth more than is wanted of `size` bytes."""
    share = min(1.0, 1.2 * wanted / max(size, 1) + 100 / max(n_documents, 1)) if wanted else 0.0
    return int(share * (2**64 - 1))


def _interleaved(found: dict[bool, list[tuple[int, str]]], wanted: dict[bool, float]) -> list[str]:
    """Texts in order of their keys until each kind has its bytes, mixed so that any beginning has their ratio."""
    placed = []
    for kind, items in found.items():
        items.sort()
        taken = 0
        for i, (key, text) in enumerate(items):
            if taken >= wanted[kind] and key != items[i - 1][0]:
                break
            size = len(text.encode())
            placed.append(((taken + size / 2) / max(wanted[kind], 1.0), key, text))
            taken += size
    placed.sort()
    return [text for _, _, text in placed]


def train_tokenizer(texts: Sequence[Sequence[str]], n_vocabulary: int) -> Tokenizer:
    """Train a byte-level BPE on equal parts of corpora, so that it serves none of them best."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    n_bytes = min([TOKENIZER_BYTES, *(sum(len(t.encode()) for t in part) for part in texts)])
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocabulary, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator((text for part in texts for text in _first(part, n_bytes)), trainer)
    return tokenizer


def _first(texts: Sequence[str], n_bytes: int) -> Iterator[str]:
    taken = 0
    for text in texts:
        if taken >= n_bytes:
            return
        yield text
        taken += len(text.encode())


def end_of(tokenizer: Tokenizer) -> int:
    """Id of the token that ends a document.

    Raises: ConfigError if the tokenizer has none of the usual ones.
    """
    for name in (END, "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"):
        if (found := tokenizer.token_to_id(name)) is not None:
            return int(found)
    raise ConfigError(f"tokenizer: no token {END} or <|endoftext|>; name one that ends documents")


def ids_of(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of texts, without special tokens."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def write_tokens(
    path: Path,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    planted: Sequence[str],
    share: float,
    n_tokens: int,
    where: str,
) -> dict[str, Any]:  # Any: JSON
    """Write n_tokens of documents, each with its end, as a NumPy file.

    Args: planted, documents of skills, which take the share of the tokens, evenly among the others.
    Returns: tokens, documents and bytes written, and the share of Chinese documents in the bytes of the texts.
    Raises: InputError if the corpus has too few tokens, with how many it has.
    """
    end = end_of(tokenizer)
    out = np.empty(n_tokens, np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32)
    taken = n_planted = n_documents = n_bytes = 0
    sizes = {False: 0, True: 0}
    extra = iter(zip(planted, ids_of(tokenizer, planted), strict=True))
    for start in range(0, len(texts), 256):
        group = texts[start : start + 256]
        for text, ids in zip(group, ids_of(tokenizer, group), strict=True):
            parts = [(text, ids)]
            sizes[is_chinese(text)] += len(text.encode())
            while share and n_planted < share * (taken + sum(len(p[1]) for p in parts)):
                document, planted_ids = next(extra)
                parts.append((document, planted_ids))
                n_planted += len(planted_ids) + 1
            for document, part in parts:
                piece = [*part, end][: n_tokens - taken]
                out[taken : taken + len(piece)] = piece
                taken += len(piece)
                n_documents += 1
                n_bytes += len(document.encode())
            if taken >= n_tokens:
                np.save(path, out)
                return {
                    "tokens": n_tokens,
                    "documents": n_documents,
                    "bytes": n_bytes,
                    "planted_tokens": n_planted,
                    "chinese_share": round(sizes[True] / max(sum(sizes.values()), 1), 4),
                }
    raise InputError(
        f"{where}: {taken:,} tokens, {n_tokens:,} are needed; lower train.tokens or raise epochs, of all corpora"
    )


def write_json(path: Path, values: Any) -> None:  # Any: JSON
    """Write a JSON file; the one before stays until this one is whole."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(new, path)
