"""What each phase of a run costs, measured while it runs, and limits at which the run stops."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from pipeline.dataset.shard import Shard
from pipeline.errors import LimitError
from pipeline.planning.prices import NO_PRICES, Prices, Usage, amounts, exceeded
from pipeline.runtime.metered import Cost, peak_bytes, reset_peak
from pipeline.storage.meter import Counts, counts

DRIVER = "driver"
"""Name of what the driver does outside of all phases."""


def sizes_of(shards: Sequence[Shard]) -> dict[str, int]:
    """Shards, rows and bytes of text of some shards, on which costs depend."""
    return {
        "shards": len(shards),
        "rows": sum(shard.n_rows for shard in shards),
        "text_bytes": sum(shard.text_bytes for shard in shards),
    }


class UsageMeter:
    """Adds up costs by phase, into the record of a run.

    used: by phase, the counts of storage.meter, cpu_s, peak_bytes, and shards, rows and text_bytes that it went over;
    input_bytes: of the files that were ingested;
    `stopped` of a phase that ended in an error, which says nothing about the next one. limits: by name, see prices.
    """

    def __init__(
        self,
        used: dict[str, Usage],
        prices: Prices = NO_PRICES,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.used, self.prices, self.limits = used, prices, dict(limits or {})
        self.stack = [DRIVER]
        self.peak_bytes = 0
        self._counts, self._cpu_s = counts(), time.process_time()

    @contextmanager
    def phase(self, name: str, shards: Sequence[Shard] = ()) -> Iterator[None]:
        """Measure what happens inside as a phase, which may be inside of another. shards: that it goes over."""
        self.settle()
        reset_peak()
        self.stack.append(name)
        try:
            yield
        except BaseException:
            self.add(name, {"stopped": 1})
            raise
        finally:
            self.settle()
            self.stack.pop()
            self.add(name, sizes_of(shards))

    def settle(self) -> None:
        """Add what this process did since the last call to the current phase."""
        now, cpu_s = counts(), time.process_time()
        done, self._counts = now - self._counts, now
        spent, self._cpu_s = cpu_s - self._cpu_s, cpu_s
        self.note(Cost(done, spent, peak_bytes()))

    def note(self, cost: Cost) -> None:
        """Add the cost of a task to the current phase."""
        self.add(self.stack[-1], {**asdict(cost.counts), "cpu_s": cost.cpu_s, "peak_bytes": cost.peak_bytes})
        self.peak_bytes = max(self.peak_bytes, cost.peak_bytes)

    def add(self, name: str, costs: Mapping[str, float]) -> None:
        """Add figures to a phase; of memory, the largest."""
        used = self.used.setdefault(name, {})
        for key, value in costs.items():
            if key == "peak_bytes":
                used[key] = max(used.get(key, 0), value)
            else:
                used[key] = round(used.get(key, 0) + value, 6)

    def assign(self, name: str, shard: Shard, n_bytes: int, cpu_s: float) -> None:
        """Count a sidecar of a stage, which a task of the current phase wrote, for the stage alone."""
        costs = asdict(Counts(puts=1, files=1, disk_bytes=n_bytes)) | {"cpu_s": cpu_s}
        self.add(name, {**costs, **sizes_of([shard])})
        self.add(self.stack[-1], {key: -value for key, value in costs.items()})

    def check(self) -> None:
        """Stop if the run has used more than a limit allows.

        Raises: LimitError.
        """
        if not self.limits:
            return
        self.settle()
        if fault := exceeded(amounts(self.used.values(), self.prices), self.limits):
            raise LimitError(
                f"{self.stack[-1]}: stopped at {fault}; what is finished is kept: run again with a higher "
                "limit, and it goes on from here"
            )
