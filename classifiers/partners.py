"""Partners that a global step found, brought back to the rows of a shard."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def rows_of_partners(mapped: pa.Table, answers: pa.Table) -> pa.Table:
    """Give each row of a map its answer, and leave out those without an `id`.

    Args: mapped, with `key` and `row`, as the map gave them; answers, in order of (key, position in the map).
    Returns: `row` and the columns of answers, in order of the keys.
    """
    order = np.argsort(mapped["key"].to_numpy(), kind="stable")
    paired = pa.table([mapped["row"].take(order), *answers.columns], names=["row", *answers.column_names])
    return paired.filter(pc.is_valid(paired["id"]))
