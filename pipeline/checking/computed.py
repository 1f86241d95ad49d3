"""Columns of stages for texts in memory, with default settings: what a model over columns learns from."""

from __future__ import annotations

import pyarrow as pa

from pipeline.checking.in_memory import Corpus, find_step, table_of
from pipeline.errors import UsageError
from pipeline.names import nearest
from pipeline.stage import Stage


def with_columns(table: pa.Table, wanted: list[str]) -> tuple[pa.Table, list[str]]:
    """Append columns of stages that a table of texts lacks.

    Args: table, with a column text; wanted, columns of the table or of stages (`fluency.perplexity`), or names of
    stages, which stand for all their numbers.
    Returns: the table with the columns, and the names of the wanted ones.
    Raises: UsageError for a name that is neither, or a column that is no number.
    """
    names: list[str] = []
    corpus: Corpus | None = None
    for name in wanted:
        for column in [name] if name in table.column_names else _columns(name, table.column_names):
            if column not in table.column_names:
                if "text" not in table.column_names:
                    raise UsageError(
                        f"--columns {column}: the files have neither this column nor text to measure"
                    )
                corpus = corpus or Corpus([_documents(table)])
                (values,) = corpus.column(column)
                table = table.append_column(column, values)
            if not _is_number(table[column].type):
                raise UsageError(f"--columns {column}: {table[column].type}; expected numbers or booleans")
            names.append(column)
    return table, list(dict.fromkeys(names))


def _documents(table: pa.Table) -> pa.Table:
    """Canonical documents with the texts and addresses of a table; what it does not state is null."""
    documents = table_of(table["text"].to_pylist())
    for name in ("url", "host", "date", "snapshot", "license", "provenance", "meta"):
        field = documents.schema.field(name)
        known = name == "url" and name in table.column_names
        values = table[name].cast(field.type) if known else pa.nulls(table.num_rows, field.type)
        documents = documents.set_column(documents.column_names.index(name), field, values)
    return documents


def _columns(name: str, known: list[str]) -> list[str]:
    """The column of a stage with this name, or all columns of numbers of the stage."""
    stage, dot, column = name.partition(".")
    own = [known_name for known_name in known if known_name.startswith(f"{stage}.") and not dot]
    if own:  # computed by somebody else, such as exported from a store
        return own
    try:
        step = find_step(stage)
    except LookupError as error:
        raise UsageError(f"--columns {name}: no such column or stage{nearest(name, known)}") from error
    if not isinstance(step, Stage):
        raise UsageError(f"--columns {name}: a global step; export it from a store, then name the file")
    if dot and column not in step.writes.names:
        raise UsageError(f"--columns {name}{nearest(column, step.writes.names)}")
    return [name] if dot else [f"{stage}.{field.name}" for field in step.writes if _is_number(field.type)]


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_boolean(dtype))
