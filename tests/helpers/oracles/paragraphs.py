"""Repeated paragraphs and lines by comparing match texts: the oracle of the paragraph steps."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.spans import apply_spans
from stages.kernels.dedup.minhash import match_text
from stages.kernels.text.tables import MARK, PUNCT, load_tables
from stages.passages import owners, paragraphs, repeated_paragraphs
from tests.helpers.oracles.passages import is_wide
from tests.helpers.run_global import align, number_rows, run_global

PARAGRAPHS = paragraphs.Config()
BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
LINE = re.compile(f"[^{BREAKS}]*(?:\r\n|[{BREAKS}])|[^{BREAKS}]+")
ALL = ("doc_id", "text", "parent_id", "provenance", "eligible", "order", "step")


def table_of(
    docs: Mapping[str, str | None],
    config: paragraphs.Config,
    gone: frozenset[str] = frozenset(),
    derived: frozenset[str] = frozenset(),
    prefer: Mapping[str, float] | None = None,
) -> pa.Table:
    """Documents with the columns of `paragraphs` and those that the engine adds for `owners`."""
    table = pa.table(
        [
            pa.array(docs, pa.string()),
            pa.array(docs.values(), pa.large_string()),
            pa.array(["p" if doc in derived else None for doc in docs], pa.string()),
            pa.nulls(len(docs), pa.string()),
            pa.array([doc not in gone for doc in docs], pa.bool_()),
            pa.array([[prefer[doc]] if prefer else [] for doc in docs], pa.list_(pa.float64())),
            pa.array([0] * len(docs), pa.int32()),
        ],
        names=ALL,
    )
    columns = paragraphs.STAGE.load(config)(table)
    for name in columns.column_names:
        table = table.append_column(f"paragraphs.{name}", columns[name])
    return table


def run(
    docs: Mapping[str, str | None],
    config: paragraphs.Config = PARAGRAPHS,
    cuts: tuple[int, ...] = (),
    n_partitions: int = 1,
    min_copies: int = 2,
    **how: Any,
) -> dict[str, dict[str, Any]]:
    """Passages and spans by document, in shards cut at these numbers of documents. Any: the arguments of table_of."""
    table = table_of(docs, config, **how)
    bounds = [0, *sorted(min(cut, len(docs)) for cut in cuts), len(docs)]
    shards = number_rows([table.slice(low, high - low) for low, high in pairwise(bounds)])
    step, settings_ = repeated_paragraphs.GLOBAL, repeated_paragraphs.Config(min_copies=min_copies)
    shards = align(run_global(step, shards, settings_, n_partitions), shards, step)
    named = {f"repeated_paragraphs.{name}": f"substring.{name}" for name in step.writes.names}
    shards = [s.rename_columns([named.get(name, name) for name in s.column_names]) for s in shards]
    shards = align(
        run_global(owners.GLOBAL, shards, owners.GLOBAL.config(), n_partitions), shards, owners.GLOBAL
    )
    found = pa.concat_tables(shards)
    found = found.select(
        [name for name in found.column_names if name.startswith(("doc_id", "substring", "owners"))]
    )
    return {row["doc_id"]: row for row in found.to_pylist()}


def removed(docs: Mapping[str, str], config: paragraphs.Config = PARAGRAPHS, **how: Any) -> dict[str, str]:
    """Documents without their spans. Any: the arguments of run."""
    found = run(docs, config, **how)
    return {
        doc: apply_spans(text, [tuple(s.values()) for s in found[doc]["owners.spans"] or ()])
        for doc, text in docs.items()
    }


def units_of(text: str, config: paragraphs.Config) -> list[tuple[int, int]]:
    """Places of the units that are long enough, by the definitions in the docstrings."""
    classes, units, after_blank = load_tables().classes, [[0, 0]], False
    seen = False
    for found in LINE.finditer(text):
        visible = any(classes[ord(char)] >= PUNCT for char in found[0])
        if visible and seen and (config.unit == "line" or after_blank):
            units.append([found.start(), 0])
        units[-1][1] = found.end()
        seen, after_blank = seen or visible, not visible
    enough = config.min_chars_han * config.min_chars_other
    weights = [
        sum(
            config.min_chars_other if is_wide(char) else config.min_chars_han
            for char in text[start:end]
            if classes[ord(char)] >= MARK
        )
        for start, end in units
    ]
    return [(start, end) for (start, end), weight in zip(units, weights, strict=True) if weight >= enough]


def match_of(text: str) -> str:
    """Match text of a single text."""
    return "".join(map(chr, match_text(pa.array([text], pa.large_string())).codes))


def check(
    docs: Mapping[str, str], config: paragraphs.Config, derived: frozenset[str] = frozenset(), **how: Any
) -> dict[str, dict[str, Any]]:
    """Compare the steps with equality of match texts of all units; return their output. Any: the arguments of run."""
    found, places = run(docs, config, derived=derived, **how), defaultdict(list)
    for doc in sorted(docs):
        for start, end in units_of(docs[doc], config):
            places[doc in derived, match_of(docs[doc][start:end])].append((doc, start, end))
    repeated = [group for group in places.values() if len(group) >= how.get("min_copies", 2)]
    by_doc = defaultdict(list)
    for group in repeated:
        for doc, start, end in group:
            by_doc[doc].append((start, end, group[0]))
    ids: dict[int, tuple[str, int, int]] = {}
    for doc, text in docs.items():
        expected = sorted(by_doc[doc])
        passages, spans = found[doc]["substring.passages"], found[doc]["owners.spans"]
        assert [(p["start"], p["end"]) for p in passages or ()] == [p[:2] for p in expected]
        assert (passages is None) == (spans is None) == (not expected)
        for p, (_, _, first) in zip(passages or (), expected, strict=True):
            assert ids.setdefault(p["passage"], first) == first and p["kind"] == config.unit
        gone = {i for start, end, first in expected if first != (doc, start, end) for i in range(start, end)}
        assert [i for s in spans or () for i in range(s["start"], s["end"])] == sorted(gone)
        if expected:
            assert found[doc]["substring.n_chars"] == len(text)
            share = np.float32(np.round(sum(end - start for start, end, _ in expected) / len(text), 3))
            assert found[doc]["substring.repeated_share"] == share
            assert found[doc]["owners.n_chars_left"] == len(text) - len(gone)
    assert len(set(ids.values())) == len(ids) == len(repeated)
    return found
