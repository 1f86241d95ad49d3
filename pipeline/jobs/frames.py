"""Tables of other libraries in and out: Arrow, Polars, pandas, lists of texts and of records; what comes in goes out.

Rows are read by the code that reads files, so a text becomes canonical in the same way. Rows without a text that can be
measured (null, blank) stay, with nulls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.run_file import Source
from pipeline.errors import UsageError
from pipeline.jobs.inputs import SOURCE, Batch, record_batches
from pipeline.names import brief, nearest
from pipeline.recipe import load_step
from pipeline.scaffold.infer import choose_text, count_fields
from pipeline.scaffold.sniff import PARQUET
from pipeline.stage import Record

LABEL = "table"
LOOK_ROWS = 200
"""Rows from which the text column is guessed, as many as of a file."""


@dataclass(frozen=True)
class Frame:
    """A table in memory. table: its rows as Arrow; back: Arrow table -> the library that it came from."""

    table: pa.Table
    text: str
    back: Callable[[pa.Table], Any]

    @property
    def source(self) -> Source:
        """The source of its documents: canonical columns are those with the usual names."""
        reader = load_step(PARQUET, "READER", LABEL)
        return Source(
            name=SOURCE, reader_name=PARQUET, reader=reader, reader_config=reader.config(), files=(LABEL,),
            columns={"text": self.text},
        )  # fmt: skip

    def batches(self) -> Iterator[Batch]:
        """The rows as batches of documents, with the rows themselves."""
        return record_batches(self._records(), self.source, LABEL, self.table)

    def _records(self) -> Iterator[Record]:
        known = {name for names in self.source.reader.fields.values() for name in names} | {self.text}
        table = self.table.select([name for name in self.table.column_names if name in known])
        position = 0
        for batch in table.to_batches(max_chunksize=1024):
            for fields in batch.to_pylist():
                yield Record(position, fields)
                position += 1


def as_frame(
    data: Any, text: str | None = None
) -> Frame:  # Any: tables of libraries that need not be installed
    """Return a table, a data frame or a list as a Frame.

    Args: data, an Arrow table or record batch, a Polars or pandas data frame, a list of texts or of mappings; text, the
    column of the texts, recognised as `init` recognises it if None.
    Raises: UsageError for anything else, and if the column does not exist or is not recognised.
    """
    table, back = _arrow(data)
    if len(set(table.column_names)) < table.num_columns:
        raise UsageError("two columns have one name; rename one of them")
    if text is None:
        text = _guess_text(table)
    elif text not in table.column_names:
        raise UsageError(f"no column {text!r}{nearest(text, table.column_names)}")
    return Frame(table, text, back)


def _guess_text(table: pa.Table) -> str:
    fields = count_fields(
        [{k: v for k, v in r.items() if v is not None} for r in table.slice(0, LOOK_ROWS).to_pylist()]
    )
    known = load_step(PARQUET, "READER", LABEL).fields["text"]
    found = choose_text(fields, known) or next((name for name in known if name in table.column_names), None)
    if found is None:
        columns = ", ".join(table.column_names) or "none"
        raise UsageError(f"no column contains text (columns: {columns}); name it with text=")
    return found


def _arrow(data: Any) -> tuple[pa.Table, Callable[[pa.Table], Any]]:
    """The rows as an Arrow table, and the way back. Libraries are asked for only if the program has loaded them."""
    if isinstance(data, pa.Table):
        return data, lambda table: table
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data]), _one_batch
    polars, pandas = sys.modules.get("polars"), sys.modules.get("pandas")
    if polars is not None and isinstance(data, polars.DataFrame):
        return data.to_arrow(), polars.from_arrow
    if polars is not None and isinstance(data, polars.Series):
        return pa.table({"text": data.to_arrow()}), polars.from_arrow
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return pa.Table.from_pandas(data), lambda table: table.to_pandas()
    if pandas is not None and isinstance(data, pandas.Series):
        return pa.table({"text": pa.array(data)}), lambda table: table.to_pandas()
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        return pa.table({"text": data}), lambda table: table
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _listed(data)
    raise UsageError(
        f"{brief(data)}: a {type(data).__name__} is no table; expected an Arrow table, a Polars or pandas data frame, "
        "or a list of texts or of mappings"
    )


def _listed(data: Sequence[Any]) -> tuple[pa.Table, Callable[[pa.Table], Any]]:
    if all(isinstance(item, str) or item is None for item in data):
        return pa.table({"text": pa.array(data, pa.large_string())}), lambda table: table.to_pylist()
    if all(isinstance(item, Mapping) for item in data):
        names = list(dict.fromkeys(name for item in data for name in item))
        try:
            columns = {name: pa.array([item.get(name) for item in data]) for name in names}
        except pa.ArrowException as error:
            raise UsageError(f"the records have values of several types in one field ({error})") from error
        return pa.table(columns), lambda table: table.to_pylist()
    raise UsageError("the list has other items than texts or mappings; expected one of these throughout")


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def spread(batch: Batch, columns: pa.Table) -> pa.Table:
    """Return columns of the documents of a batch for all of its rows; null where a row is no document."""
    position = np.full(len(batch.records), -1)
    position[batch.index] = np.arange(len(batch.index))
    return columns.take(pa.array(position, mask=position < 0))
