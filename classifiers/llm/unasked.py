"""A service stage without a model: asks nothing, so that a run file may have the stage before there is a server."""

from __future__ import annotations

import pyarrow as pa

from pipeline.service import Usage


class Unasked:
    """`annotate` whose columns are null in every row; see service.Served."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A row of nulls for each document."""
        columns = [pa.nulls(batch.num_rows, field.type) for field in self.schema]
        return pa.table(columns, schema=self.schema)

    def check(self) -> None:
        """See service.Served: there is no server to check."""

    def estimate(self, batch: pa.Table) -> Usage:
        """See service.Served: nothing would be asked."""
        return Usage()

    def keys(self, batch: pa.Table) -> list[str]:
        """See service.Served: there are no answers."""
        return []

    def n_open(self, table: pa.Table) -> int:
        """See service.Served: nothing is open, since another model is another recipe."""
        return 0
