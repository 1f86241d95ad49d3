"""Steps with repeated passages, as `keep_one.passages` names them, and what they say about a shard, step by step."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.dataset.sidecars import Shard
from pipeline.errors import ConfigError
from pipeline.names import nearest
from pipeline.schema import ROW
from pipeline.select.verdicts import Copies, Decision
from pipeline.storage.store import Store

COLUMNS = ("passages", "n_chars")
"""What the step that chooses owners reads of each step, under the name of `substring`."""


def parse_passages(value: Any, steps: Collection[str], where: str) -> tuple[str, ...]:
    """Names of steps from `keep_one.passages`: none, one or a list. Any: whatever the YAML page holds there.

    Raises: ConfigError for anything else, a name that is no step, and one that stands twice.
    """
    where = f"{where}.passages"
    names = [] if value is None else value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{where} is {value!r}; expected a step or a list of steps, as [substring]")
        if name not in steps:
            raise ConfigError(f"{where}: no step {name!r}{nearest(name, steps)}")
        if names.count(name) > 1:
            raise ConfigError(f"{where}: {name!r} stands twice; name each step once")
    return tuple(names)


@dataclass(frozen=True)
class Passages:
    """Feeds the step that chooses owners: one table of the whole shard for each step with passages.

    Each has the columns of the step, its number as `step`, and what decide.Copies says of the documents.
    """

    decision: Decision
    steps: tuple[str, ...]

    @property
    def shard(self) -> Shard:
        """See feed.Feed."""
        return self.decision.shard

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See feed.Feed."""
        own = tuple(name for name in reads if name != "step")
        for number, step in enumerate(self.steps):
            columns = {f"substring.{name}": f"{step}.{name}" for name in COLUMNS}
            for table in Copies(self.decision, columns).batches(store, own, first_row):
                numbers = pa.repeat(pa.scalar(number, pa.int32()), table.num_rows)
                yield table.append_column("step", numbers).select([*reads, ROW])
