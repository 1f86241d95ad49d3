"""Check the training order, the parts and the token files of a mix against the ledger and data/."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.dataset.release_schema import order_path
from pipeline.dataset.row_digest import ordered_total, row_digests, text_digests
from pipeline.inspect.run_page import sections_of
from pipeline.inspect.verify_data import batches, parts_below
from pipeline.inspect.verify_ledger import Ledger, ids
from pipeline.inspect.verify_report import VerifyReport, reading
from pipeline.recipe import config_of, load_step
from pipeline.release.files import TokenWriter, token_writer
from pipeline.stage import Stage
from pipeline.storage.scratch import scratch
from pipeline.storage.store import Store
from pipeline.translation import message

EXAMPLES = 20
"""Documents of a kind of fault that are named one by one."""

COMPARED = ("megatron", "ds")
"""Formats of token files whose documents are compared one by one; those of others have their checksums alone."""

MEGATRON = b"MMIDIDX\x00\x00"


class Order:
    """The training order of a mix: row of each document in the ledger, int32 (n,), with part and row of its file."""

    def __init__(self, rows: np.ndarray, part: np.ndarray, line: np.ndarray) -> None:
        self.rows, self.part, self.line = rows, part, line

    def __len__(self) -> int:
        return len(self.rows)


def read_order(
    release: Store, mix: str, lineage: dict[str, Any], ledger: Ledger, report: VerifyReport
) -> tuple[Order, list[str]]:
    """Read the order of a mix; returns it with the faults found by itself: documents, epochs, digest."""
    name = order_path(mix) if release.exists(order_path(mix)) else f"mixes/{mix}/order.parquet"
    columns: list[list[np.ndarray]] = [[], [], []]
    faults, n_rows, digest = list[str](), 0, 0
    copies = np.zeros(len(ledger) + 1, np.int32)
    with reading(report, name):
        for table in batches(release, name):
            found = ledger.find(ids(table["doc_id"]))
            epoch = np.asarray(table["epoch"].combine_chunks())
            expected = copies[found] + _rank(found)
            np.add.at(copies, found, 1)
            kept = np.append(ledger.keep, False)[found]
            for what, wrong in (
                (message("in the mix but not in data/"), ~kept),
                (message("another epoch than its copy"), epoch != expected),
            ):
                faults += [
                    message(f"{table['doc_id'][i].as_py()}: {what}")
                    for i in np.flatnonzero(wrong)[:EXAMPLES].tolist()
                ]
            digest = (digest + ordered_total(row_digests(table), n_rows)) % 2**64
            n_rows += table.num_rows
            for values, column in zip(columns, (found, table["part"], table["row"]), strict=True):
                values.append(
                    np.asarray(column if isinstance(column, np.ndarray) else column.combine_chunks()).astype(
                        np.int32
                    )
                )
    joined = [np.concatenate([np.zeros(0, np.int32), *values]) for values in columns]
    expected_digest = (lineage.get("digests") or {}).get("orders", {}).get(mix)
    if expected_digest is not None and f"{digest:016x}" != expected_digest:
        faults.append(message(f"{name}: not the order that was written"))
    if mix == lineage["default_mix"]:
        wrong = np.flatnonzero(ledger.copies != copies[:-1])
        for doc_id, row in zip(ledger.names(release, wrong[:EXAMPLES]), wrong[:EXAMPLES], strict=True):
            faults.append(
                message(
                    f"{doc_id}: {int(ledger.copies[row]):,} copies in the ledger, {int(copies[row]):,} in the mix"
                )
            )
    return Order(*joined), faults


def _rank(values: np.ndarray) -> np.ndarray:
    """How often each value occurred before its own position: int64 (n,)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
    return ranks


def check_mix(
    release: Store,
    listed: Sequence[str],
    mix: str,
    lineage: dict[str, Any],
    ledger: Ledger,
    report: VerifyReport,
) -> Order:
    """Order, files, epochs and token sums of a mix agree with each other, with data/ and with the ledger."""
    order, faults = read_order(release, mix, lineage, ledger, report)
    parts = parts_below(listed, f"mixes/{mix}/")
    if parts:
        faults += part_faults(release, parts, order, ledger, report)
    else:
        known = order.rows >= 0
        rows = order.rows[known]
        moved = (order.part[known] != ledger.part[rows]) | (order.line[known] != ledger.line[rows])
        names = ledger.names(release, rows[moved][:EXAMPLES])
        faults += [message(f"{name}: the order names another row of data/") for name in names]
    page = lineage["mixes"][mix]
    repeat = page.get("repeat")
    if repeat and (n := sum(row["copies"] for row in repeat["classes"])) != len(order):
        faults.append(message(f"{len(order):,} documents, the classes of its repeats have {n:,}"))
    if len(order) != page["documents"]:
        faults.append(message(f"{len(order):,} documents, the lineage has {page['documents']:,}"))
    tokens = int(ledger.n_tokens[order.rows[order.rows >= 0]].sum(dtype=np.int64))
    for what, expected in (
        (mix, page["tokens"]),
        (message("its groups"), sum(g["tokens"] for g in page["groups"])),
    ):
        if tokens != expected:
            faults.append(message(f"{tokens:,} tokens, the lineage has {expected:,} for {what}"))
    report.check(message(f"mix {mix}: order, parts, copies"), len(order), faults)
    return order


def part_faults(
    release: Store, parts: Sequence[str], order: Order, ledger: Ledger, report: VerifyReport
) -> list[str]:
    """What is wrong with the files of a mix: their documents are those of the order, as they are in data/."""
    faults, start = list[str](), 0
    in_order = True
    for name in parts:
        number, line = int(name.rpartition("part-")[2].partition(".")[0]), 0
        with reading(report, name):
            for table in batches(release, name):
                found = ledger.find(ids(table["doc_id"]))
                chosen = slice(start, start + len(found))
                in_order &= np.array_equal(found, order.rows[chosen])
                in_order &= bool((order.part[chosen] == number).all())
                in_order &= np.array_equal(order.line[chosen], np.arange(line, line + len(found)))
                start, line = start + len(found), line + len(found)
                known = found >= 0
                rows = found[known]
                texts = text_digests(table["text"])[known] != ledger.data_text[rows]
                others = row_digests(table.drop_columns(["text"]))[known] != ledger.data_row[rows]
                for what, wrong in (
                    (message("other text than in data/"), texts),
                    (message("other columns than in data/"), others),
                ):
                    places = np.flatnonzero(known)[wrong][:EXAMPLES].tolist()
                    faults += [message(f"{table['doc_id'][i].as_py()}: {what}") for i in places]
    if not in_order or start != len(order):
        faults.append(message("the files of the mix are not in its training order"))
    return faults


# Token files


def check_tokens(
    release: Store, listed: Sequence[str], mix: str, lineage: dict[str, Any], ledger: Ledger, order: Order,
    report: VerifyReport, deep: bool, tokenizers: Sequence[str] = (),
) -> None:  # fmt: skip
    """Token files contain the documents of a mix in order, each with its number of tokens and one end token.

    The first and the last document of each file are tokenised again, all of them with `deep`.
    """
    index = json.loads(release.get(f"tokens/{mix}/tokens.json"))
    expected, faults = lineage["mixes"][mix], list[str]()
    n_docs = sum(part["documents"] for part in index["parts"])
    n_tokens = sum(part["tokens"] for part in index["parts"])
    if n_docs != expected["documents"]:
        faults.append(message(f"{n_docs:,} documents, the mix has {expected['documents']:,}"))
    if n_tokens != expected["tokens"] + n_docs:
        faults.append(
            message(f"{n_tokens:,} tokens; the mix has {expected['tokens']:,}, plus {n_docs:,} end tokens")
        )
    writer = tokenizer_of(release, index, tokenizers)
    name = message(f"token files of {mix}: decoded")
    if writer is None:
        report.skip(
            name, message("no tokenizer with the digest in tokens.json; name the run file with --run")
        )
    places, n_again, pending = part_slices(order, listed, mix), 0, list[Again]()
    for number, part in enumerate(index["parts"]):
        with reading(report, f"tokens/{mix}/{part['part']}"):
            rows = order.rows[places[number]] if number < len(places) else np.zeros(0, np.int32)
            if len(rows) != part["documents"]:
                faults.append(
                    message(f"{part['part']}: {part['documents']:,} documents, the order has {len(rows):,}")
                )
            lengths = ledger.n_tokens[rows].astype(np.int64) + 1
            files = token_bytes_of(release, f"tokens/{mix}/{part['part']}", index)
            for key, tokens in files.items():
                faults += token_faults(key, tokens, part, index, lengths)
            faults += index_faults(release, f"tokens/{mix}/{part['part']}", index, lengths)
            if writer is not None and files and not token_size_differs(files, lengths):
                texts = texts_of(release, parts_below(listed, f"mixes/{mix}/")[number], len(rows), deep)
                pending.append(Again(files, lengths, texts))
        if writer is not None and pending and (deep or number == len(index["parts"]) - 1):
            faults += decoded_faults(pending, *writer)
            n_again += sum(len(part.texts) for part in pending)
            pending.clear()
    if writer is not None:
        report.check(name, n_again, [])
    report.check(message(f"token files of {mix}: documents, tokens, bytes"), n_tokens, faults)


def part_slices(order: Order, listed: Sequence[str], mix: str) -> list[slice]:
    """Ranges of an order that belong to the parts of a mix; token files have the parts that the mix would have."""
    if not parts_below(listed, f"mixes/{mix}/"):
        return []
    starts = np.flatnonzero(np.append(True, order.part[1:] != order.part[:-1])[: len(order)])
    return [slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(order)], strict=True)]


def token_bytes_of(release: Store, prefix: str, index: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tokens of one part by file: unsigned integers (n_tokens,), mapped if the release is local."""
    dtype, files = f"<u{index['token_bytes']}", {}
    for ending, name in (("bin", "megatron"), ("ds", "ds")):
        if name in index["formats"]:
            key = f"{prefix}.{ending}"
            path = release.local_path(key)
            if release.size(key) % index["token_bytes"]:
                raise ValueError(f"{key} ends inside a token")
            is_filled = path is not None and os.path.getsize(path) > 0
            files[key] = (
                np.memmap(path, dtype, "r") if path and is_filled else np.frombuffer(release.get(key), dtype)
            )
    return files


def token_faults(
    key: str, tokens: np.ndarray, part: dict[str, Any], index: dict[str, Any], lengths: np.ndarray
) -> list[str]:
    """What is wrong with a file of tokens: its size, and where documents end. lengths: tokens of each document."""
    size = index["token_bytes"]
    if len(tokens) != part["tokens"]:
        return [message(f"{key} has {len(tokens) * size:,} bytes, expected {part['tokens'] * size:,}")]
    ends = np.cumsum(lengths) - 1
    if not len(ends) or ends[-1] + 1 != len(tokens):
        return [message(f"{key}: {len(tokens):,} tokens, its documents have {int(lengths.sum()):,}")]
    faults = []
    if int(tokens.max()) > index["largest_id"]:
        faults.append(
            message(f"{key}: token {int(tokens.max()):,}, the largest id is {index['largest_id']:,}")
        )
    lost = np.flatnonzero(tokens[ends] != index["end_token_id"])
    if len(lost):
        faults.append(
            message(
                f"{key}: document {int(lost[0]):,} does not end with the end token ({len(lost):,} do not)"
            )
        )
    n_ends = int(np.count_nonzero(tokens == index["end_token_id"]))
    if n_ends != len(ends):
        faults.append(message(f"{key}: {n_ends:,} end tokens, expected {len(ends):,}"))
    return faults


def index_faults(release: Store, prefix: str, index: dict[str, Any], lengths: np.ndarray) -> list[str]:
    """What is wrong with the index of one part: the lengths of documents in it are those of the order.

    Source: Megatron-LM, megatron/core/datasets/indexed_dataset.py; datatrove, tokens/tokenizer.py: the end of each
    document.
    """
    faults = []
    if "megatron" in index["formats"]:
        data = release.get(f"{prefix}.idx")
        n_docs = int.from_bytes(data[18:26], "little") if data.startswith(MEGATRON) else -1
        sizes = np.frombuffer(data, "<i4", n_docs, 34) if n_docs >= 0 else np.zeros(0, "<i4")
        pointers = np.frombuffer(data, "<i8", n_docs, 34 + 4 * n_docs) if n_docs >= 0 else np.zeros(0, "<i8")
        starts = (np.cumsum(lengths) - lengths) * index["token_bytes"]
        if not (np.array_equal(sizes, lengths) and np.array_equal(pointers, starts)):
            faults.append(message(f"{prefix}.idx: not the lengths of its documents"))
    if "ds" in index["formats"] and release.exists(f"{prefix}.ds.index"):
        ends = np.frombuffer(release.get(f"{prefix}.ds.index"), "<u8")
        if not np.array_equal(ends, np.cumsum(lengths)):
            faults.append(message(f"{prefix}.ds.index: not the ends of its documents"))
    return faults


def tokenizer_of(
    release: Store, index: dict[str, Any], tokenizers: Sequence[str]
) -> tuple[TokenWriter, Any] | None:  # Any: its own config class
    """The module that wrote token files, with a config of the same tokenizer; None if that is not here."""
    section = sections_of(release).get("tokens") or {}
    writer = token_writer(section.get("use", "stages.tokens.files"))
    for path in (*tokenizers, own_tokenizer()):
        with open(path, "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() == index["tokenizer_sha256"]:
                formats = tuple(name for name in index["formats"] if name in COMPARED)
                config: Any = writer.Config(tokenizer=path, end_token=index["end_token"], formats=formats)  # type: ignore[attr-defined]
                return writer, config
    return None


def own_tokenizer() -> str:
    """Path of the tokenizer that comes with the package."""
    stage: Stage = load_step("stages.tokens", "STAGE", "tokens")
    return str(config_of(stage, {}, "tokens").tokenizer)


def texts_of(release: Store, name: str, n_docs: int, deep: bool) -> dict[int, str]:
    """Texts of a part of a mix by position: the first and the last, or all."""
    texts: dict[int, str] = {}
    line = 0
    for table in batches(release, name, ["text"]):
        for i in range(table.num_rows):
            if deep or line + i in (0, n_docs - 1):
                texts[line + i] = table["text"][i].as_py()
        line += table.num_rows
    return texts


@dataclass(frozen=True)
class Again:
    """A part to be tokenised again. files: its tokens by file; lengths: of its documents; texts: some, by position."""

    files: dict[str, np.ndarray]
    lengths: np.ndarray
    texts: dict[int, str]


def token_size_differs(files: dict[str, np.ndarray], lengths: np.ndarray) -> bool:
    """Whether documents cannot be found in a file of tokens, because it has another size."""
    return any(len(tokens) != int(lengths.sum()) for tokens in files.values())


def decoded_faults(parts: Sequence[Again], writer: TokenWriter, config: Any) -> list[str]:
    """Compare the tokens of documents with those that the writer makes of their texts. Any: its own config class."""
    texts = [text for part in parts for _, text in sorted(part.texts.items())]
    faults = []
    with scratch() as folder:
        rows = {"text": pa.array(texts, pa.large_string()), "language": pa.nulls(len(texts), pa.string())}
        writer.write_part(pa.table(rows), folder, "again", config)
        for ending in sorted({key.rpartition(".")[2] for part in parts for key in part.files}):
            path, start = os.path.join(folder, f"again.{ending}"), 0
            for part in parts:
                key, tokens = next((k, t) for k, t in part.files.items() if k.endswith(f".{ending}"))
                again = np.fromfile(path, tokens.dtype)
                ends = np.cumsum(part.lengths)
                for i in sorted(part.texts):
                    found = tokens[int(ends[i] - part.lengths[i]) : int(ends[i])]
                    if not np.array_equal(found, again[start : start + len(found)]):
                        faults.append(message(f"{key}: document {i:,} is not tokenised from its text"))
                    start += len(found)
    return faults
