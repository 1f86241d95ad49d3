"""Tables of results in a file: Parquet, JSON Lines or CSV, by the ending of its name."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.jobs.forms import OutStream, cell, json_line, plain_values


class TableFile:
    """A file of results, written table by table; it appears under its name when it is complete."""

    def __init__(self, path: str) -> None:
        self.path, self.is_parquet = path, path.lower().endswith((".parquet", ".pq"))
        self.is_csv = path.lower().partition(".csv")[1] != "" or path.lower().endswith(".tsv")
        self.parquet: pq.ParquetWriter | None = None
        self.stream = None if self.is_parquet else OutStream(path)
        self.is_first = True

    def add(self, table: pa.Table) -> None:
        """Write the rows of a table; all tables have the same schema.

        Raises: UsageError if the file cannot be written.
        """
        if self.stream is None:
            if self.parquet is None:
                try:
                    self.parquet = pq.ParquetWriter(f"{self.path}.part", table.schema, compression="zstd")
                except OSError as error:
                    raise UsageError(f"{self.path}: {error.strerror or error}; name another file") from error
            self.parquet.write_table(table)
        elif self.is_csv:
            text = io.StringIO(newline="")
            writer = csv.writer(
                text, delimiter="\t" if ".tsv" in self.path.lower() else ",", lineterminator="\n"
            )
            if self.is_first:
                writer.writerow(table.column_names)
            writer.writerows([cell(value) for value in row.values()] for row in table.to_pylist())
            self.stream.write(text.getvalue().encode())
        else:
            for row in table.to_pylist():
                self.stream.write(json_line(plain_values(row)))
        self.is_first = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.stream is not None:
            self.stream.abort() if kind else self.stream.close()
        elif self.parquet is not None:
            self.parquet.close()
            if kind:
                Path(f"{self.path}.part").unlink(missing_ok=True)
            else:
                os.replace(f"{self.path}.part", self.path)
