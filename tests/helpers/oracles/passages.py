"""Repeated passages by brute force: the oracle of the steps from anchors to owners, and documents to compare on."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from pipeline.spans import apply_spans
from stages.kernels.passages.anchors import WIDE_RANGES
from stages.passages import anchors, equal_ranges, owners, repeated_windows, shared_anchors, substring
from tests.helpers.oracles.breaks import moved
from tests.helpers.run_global import extend, number_rows

STEPS = (shared_anchors.GLOBAL, equal_ranges.GLOBAL, repeated_windows.GLOBAL, substring.STAGE)
"""From anchors to passages."""
SMALL = anchors.Config(min_chars_han=3, min_chars_other=7)
Place = tuple[str, int]


def run(
    docs: Mapping[str, str | None],
    config: anchors.Config = SMALL,
    cuts: tuple[int, ...] = (),
    n_partitions: int = 1,
    gone: frozenset[str] = frozenset(),
    prefer: Mapping[str, float] | None = None,
    derived: frozenset[str] = frozenset(),
) -> dict[str, dict[str, Any]]:
    """Passages and spans of documents given by doc_id, in shards cut at these numbers of documents.

    gone: documents that do not stay; prefer: what the order compares, by document; derived: documents with a parent.
    """
    table = pa.table(
        {
            "doc_id": pa.array(docs, pa.string()),
            "text": pa.array(docs.values(), pa.large_string()),
            "parent_id": pa.array(["p" if doc in derived else None for doc in docs], pa.string()),
            "provenance": pa.nulls(len(docs), pa.string()),
            "eligible": pa.array([doc not in gone for doc in docs], pa.bool_()),
            "step": pa.array([0] * len(docs), pa.int32()),
            "order": pa.array([[prefer[doc]] if prefer else [] for doc in docs], pa.list_(pa.float64())),
        }
    )
    bounds = [0, *sorted(min(cut, len(docs)) for cut in cuts), len(docs)]
    shards = number_rows([table.slice(low, high - low) for low, high in pairwise(bounds)])
    shards = extend(anchors.STAGE, shards, config)
    for step in (*STEPS, owners.GLOBAL):
        shards = extend(step, shards, step.config(), n_partitions)
    names = [f"{step.name}.{name}" for step in (substring.STAGE, owners.GLOBAL) for name in step.writes.names]
    found = pa.concat_tables(shards).select(["doc_id", *names])
    return {row["doc_id"]: row for row in found.to_pylist()}


def is_wide(char: str) -> bool:
    """Whether a character counts as Han."""
    return any(low <= ord(char) < high for low, high in WIDE_RANGES)


def windows_of(text: str, config: anchors.Config) -> list[str]:
    """The shortest text of the least length at each character, as long as there is one."""
    han, other = config.least
    weights = [other if is_wide(char) else han for char in text]
    before = [0, *accumulate(weights)]
    ends = [bisect_left(before, low + han * other) for low in before]
    return [text[start:end] for start, end in enumerate(ends) if end <= len(text)]


def reference(
    docs: dict[str, str],
    config: anchors.Config,
    gone: frozenset[str] = frozenset(),
    prefer: Mapping[str, float] | None = None,
) -> dict[str, list[tuple[int, int, bool]]]:
    """Occurrences by document, as (start, end, kept), by the definitions in the docstrings of the modules."""
    places: dict[str, list[Place]] = defaultdict(list)
    windows = {doc: windows_of(text, config) for doc, text in docs.items()}
    for doc in sorted(docs):
        for start, window in enumerate(windows[doc]):
            places[window].append((doc, start))
    found: dict[str, list[tuple[int, int, bool]]] = {}
    for doc in docs:
        found[doc] = []
        before: list[Place] | None = None
        for start, window in enumerate(windows[doc]):
            here = places[window]
            if len(here) < 2:
                before = None
                continue
            staying = [place for place in here if place[0] not in gone]
            owner = min(staying, key=lambda p: (-prefer[p[0]] if prefer else 0, p), default=None)
            end, stays = start + len(window), owner == (doc, start)
            if before is not None and [(d, i + 1) for d, i in before] == here:
                found[doc][-1] = (found[doc][-1][0], end, stays)
            else:
                found[doc].append((start, end, stays))
            before = here
    return found


def cut_of(text: str, start: int, end: int, config: anchors.Config) -> tuple[int, int]:
    """Where an occurrence may be cut."""
    han, other = config.least
    return moved(text, start, end, han * other // 2, lambda char: other if is_wide(char) else han)


def cut_unions(removed: list[tuple[int, int, int, int]]) -> list[tuple[int, int]]:
    """Ranges to remove, from occurrences (start, end, cut_start, cut_end): merged, then cut at both ends."""
    unions: list[list[tuple[int, int, int, int]]] = []
    for one in sorted(removed):
        if unions and one[0] <= max(other[1] for other in unions[-1]):
            unions[-1].append(one)
        else:
            unions.append([one])
    ranges = []
    for union in unions:
        first, last = min(one[0] for one in union), max(one[1] for one in union)
        start = min(one[2] for one in union if one[0] == first)
        end = max(one[3] for one in union if one[1] == last)
        ranges += [(start, end)] if start < end else []
    return ranges


def check(docs: dict[str, str], config: anchors.Config = SMALL, **how: Any) -> dict[str, dict[str, Any]]:
    """Hold the steps to the reference; return what they found.

    Any: the arguments of run.
    """
    chosen = {name: how[name] for name in ("gone", "prefer") if name in how}
    found, expected = run(docs, config, **how), reference(docs, config, **chosen)
    gone = how.get("gone", frozenset())
    names: dict[int, str] = {}
    for doc, text in docs.items():
        passages, spans = found[doc]["substring.passages"], found[doc]["owners.spans"]
        assert [(p["start"], p["end"]) for p in passages or ()] == [p[:2] for p in expected[doc]]
        assert (passages is None) == (not expected[doc])
        assert (spans is None) == (passages is None or doc in gone)
        for p in passages or ():
            assert names.setdefault(p["passage"], text[p["start"] : p["end"]]) == text[p["start"] : p["end"]]
        repeated = {i for start, end, _ in expected[doc] for i in range(start, end)}
        share = np.float32(np.round(len(repeated) / len(text), 3)) if expected[doc] else None
        assert found[doc]["substring.repeated_share"] == share
        if doc in gone:
            continue
        cuts = [cut_of(text, start, end, config) for start, end, _ in expected[doc]]
        assert [(p["cut_start"], p["cut_end"]) for p in passages or ()] == cuts
        wanted = cut_unions([(*o[:2], *cut) for o, cut in zip(expected[doc], cuts, strict=True) if not o[2]])
        assert [(s["start"], s["end"]) for s in spans or ()] == wanted
        covered = {i for start, end in wanted for i in range(start, end)}
        share = np.float32(np.round(len(covered) / len(text), 3)) if expected[doc] else None
        assert found[doc]["owners.removed_share"] == share
        if expected[doc]:
            left = found[doc]["owners.n_removed"], found[doc]["owners.n_chars_left"]
            assert left == (len(covered), len(text) - len(covered))
        assert {item["kind"] for item in (*(passages or ()), *(spans or ()))} <= {"passage"}
    assert len(set(names.values())) == len(names)
    return found


def documents(alphabet: str) -> st.SearchStrategy[dict[str, str]]:
    """Documents of few letters, with pieces that come back."""
    piece = st.text(alphabet, min_size=0, max_size=14)
    texts = st.lists(piece, min_size=1, max_size=5).flatmap(
        lambda pieces: st.lists(st.lists(st.sampled_from(pieces), max_size=5).map("".join), max_size=6)
    )
    return texts.flatmap(
        lambda found: st.permutations([f"d{i}" for i in range(len(found))]).map(
            lambda names: dict(zip(names, found, strict=True))
        )
    )


def prose(seed: int, n_chars: int, low: int, high: int) -> str:
    """Random characters between two code points."""
    return "".join(map(chr, np.random.default_rng(seed).integers(low, high, n_chars)))


def han(seed: int, n_chars: int) -> str:
    """Random ideographs, some beyond the Basic Multilingual Plane."""
    return prose(seed, n_chars - n_chars // 5, 0x4E00, 0x9000) + prose(seed, n_chars // 5, 0x20000, 0x2A000)


def latin(seed: int, n_chars: int) -> str:
    """Random Latin letters."""
    return prose(seed, n_chars, 0x61, 0x7B)


def removed(docs: dict[str, str], config: anchors.Config, **how: Any) -> dict[str, str]:
    """Documents without their spans.

    Any: the arguments of run.
    """
    found = run(docs, config, **how)
    return {
        doc: apply_spans(text, [tuple(s.values()) for s in found[doc]["owners.spans"] or ()])
        for doc, text in docs.items()
    }
