"""Texts of the corpora of an ablation, drawn evenly, without those that are measured on, as tokens on disk."""

from __future__ import annotations

import itertools
import json
import os
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

BYTES_PER_TOKEN = 6.0
"""Bytes read for each token that is needed, above what any tokenizer here gets, so that enough is drawn."""


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
    drawn = draw(lambda: file_texts(texts.files), texts.bytes, frozenset(), 0)
    if not drawn.texts:
        raise InputError(f"evaluate.{where}: no text in {', '.join(texts.files)}")
    return drawn.texts


def draw(read: Callable[[], Iterable[str]], n_bytes: float, measured: frozenset[int], seed: int) -> Drawn:
    """Draw documents evenly from all of a corpus; which ones depends on their texts and the seed only.

    A repeated document is drawn with all its repeats, so that a small draw repeats as often as the whole (arXiv
    2606.07597).

    Args: read, gives the texts, and is called twice; n_bytes, wanted; measured, hashes of lines that leave one out.
    Returns: documents of about n_bytes or a little more, in the order of their keys; all if there are fewer.
    """
    sizes = np.fromiter((len(text.encode()) for text in read()), np.int64)
    total = int(sizes.sum())
    share = min(1.0, 1.2 * n_bytes / max(total, 1) + 50 / max(len(sizes), 1))
    limit = int(share * (2**64 - 1))
    found, n_seen = [], 0
    for text in read():
        key = xxhash.xxh3_64_intdigest(text.encode(), seed)
        if key > limit:
            continue
        if measured and any(line in measured for line in lines_of(text)):
            n_seen += 1
        else:
            found.append((key, text))
    found.sort()
    taken, texts = 0, []
    for i, (key, text) in enumerate(found):
        if taken >= n_bytes and key != found[i - 1][0]:
            break
        texts.append(text)
        taken += len(text.encode())
    return Drawn(texts, len(sizes), total, n_seen)


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
    Returns: tokens, documents and bytes written.
    Raises: InputError if the corpus has too few tokens, with how many it has.
    """
    end = end_of(tokenizer)
    out = np.empty(n_tokens, np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32)
    taken = n_planted = n_documents = n_bytes = 0
    extra = iter(zip(planted, ids_of(tokenizer, planted), strict=True))
    for start in range(0, len(texts), 256):
        group = texts[start : start + 256]
        for text, ids in zip(group, ids_of(tokenizer, group), strict=True):
            parts = [(text, ids, False)]
            while share and n_planted < share * (taken + sum(len(p[1]) for p in parts)):
                document, planted_ids = next(extra)
                parts.append((document, planted_ids, True))
                n_planted += len(planted_ids) + 1
            for document, part, _ in parts:
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
                }
    raise InputError(
        f"{where}: {taken:,} tokens, {n_tokens:,} are needed; lower train.tokens or raise epochs, of all corpora"
    )


def write_json(path: Path, values: Any) -> None:  # Any: JSON
    """Write a JSON file; the one before stays until this one is whole."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(new, path)
