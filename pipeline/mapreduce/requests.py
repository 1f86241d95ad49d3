"""Number of exchange files that a global step reads and writes, noted while it runs and planned before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.mapreduce.exchange import count_reads, count_writes
from pipeline.rounds import RESULTS, Round

TURNS = 8
"""Turns that a repeated round is planned to take. The synthetic corpora of `scripts.bench.scale_candidates` took 4
and 5 in three groups, 10**6 random pairs 11 in seven."""


@dataclass
class Requests:
    """Reads of exchange files, one range each, and exchange files written."""

    reads: int = 0
    writes: int = 0

    def add(self, n_sources: int, n_partitions: int) -> None:
        """Add an exchange: files of n_sources, read by n_partitions, merging included."""
        self.reads += count_reads(n_sources, n_partitions)
        self.writes += count_writes(n_sources, n_partitions)


def plan_requests(
    n_maps: Sequence[int], n_parts: Sequence[int], n_partitions: int, n_groups: int, rounds: Sequence[Round], answers:
    bool ) -> Requests:  # fmt: skip
    """Requests of a step.

    Exact for a step that ends in one task, and for one that answers; of more than one group the turns and the tables of
    each are estimated.

    Args: n_maps and n_parts, shards to map and partitions, of each exchange of maps (one, or one for each run of an
    index); n_partitions, of reduce; n_groups, of shards; answers, whether the step has `answer`.
    """
    found = Requests()
    if answers:
        found.add(sum(n_maps), n_partitions)
        found.add(n_partitions, sum(n_maps))
        return found
    for sources, parts in zip(n_maps, n_parts, strict=True):
        found.add(sources, parts)
    if n_groups == 1:
        return Requests(found.reads + n_partitions, found.writes + n_partitions)
    found.add(n_partitions, n_groups)
    for one in rounds:
        for _ in range(TURNS if one.again is not None else 1):
            for name in one.needs:
                if name != RESULTS:
                    found.add(n_groups, n_groups)
            found.reads += n_groups  # what the rounds share
            found.writes += n_groups  # reports
    return found
