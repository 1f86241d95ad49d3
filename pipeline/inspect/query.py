"""Select rows of a build by annotations and decisions: `show` prints some, `export` writes all."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.cells import clip, pad, visible, wide
from pipeline.errors import UsageError
from pipeline.inspect.opened import Finished, Judged
from pipeline.names import nearest
from pipeline.schema import CANONICAL
from pipeline.translation import t

DECIDED = ("keep", "rule", "keeper_id", "similarity", "duplicate")
"""Columns with the decisions."""

SHOWN_CHARS = 80
"""Largest number of terminal cells of a text."""

OPERATORS = {
    ">=": pc.greater_equal, "<=": pc.less_equal, "!=": pc.not_equal, "=": pc.equal, ">": pc.greater, "<": pc.less,
}  # fmt: skip


@dataclass(frozen=True)
class Where:
    """One comparison: column, operator, and value as text."""

    column: str
    operator: str
    value: str

    def rows(self, table: pa.Table) -> np.ndarray:
        """Which rows match: bool (n_rows,); null never does.

        Raises: UsageError if the value cannot be cast to the dtype of the column.
        """
        column = table[self.column]
        if pa.types.is_nested(column.type) or pa.types.is_null(column.type):
            raise UsageError(f"--where {self.column}: a {column.type}; expected a column of text or numbers")
        try:
            value = pa.scalar(self.value).cast(column.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UsageError(
                f"--where {self.column}: {self.value!r} is no value of dtype {column.type}"
            ) from error
        matches = pc.fill_null(OPERATORS[self.operator](column, value), False)
        return np.asarray(matches.combine_chunks()).astype(bool)


def parse_where(text: str, available: set[str]) -> Where:
    """Parse `column>=value`; operators are = != > >= < <=.

    Raises: UsageError for another form, or a column that is not in `available`.
    """
    match = re.fullmatch(r"\s*([\w.]+)\s*(>=|<=|!=|=|>|<)\s*(.*)", text)
    if not match:
        raise UsageError(
            f"--where {text!r}: expected a comparison such as language.label=zho_Hans or signals.n_chars>=100"
        )
    if match[1] not in available:
        raise UsageError(f"--where: no column {match[1]!r}{nearest(match[1], available)}")
    return Where(match[1], match[2], match[3].strip())


def shortest(value: Any, dtype: pa.DataType) -> Any:  # Any: as returned by as_py
    """A value for display: float32 with the fewest digits that identify it, 0.292 for 0.2919999957."""
    if value is None or not (pa.types.is_nested(dtype) or dtype == pa.float32()):
        return value
    if pa.types.is_struct(dtype):
        return {field.name: shortest(value[field.name], field.type) for field in dtype}
    if pa.types.is_nested(dtype):
        return [shortest(item, dtype.value_type) for item in value]
    return float(str(np.float32(value)))


def shortest_bound(value: float | None) -> float | None:
    """A threshold for display: one that is a float32 with the fewest digits that identify it as such."""
    return (
        float(str(np.float32(value)))
        if isinstance(value, float) and float(np.float32(value)) == value
        else value
    )


def similarity_text(similarity: float) -> str:
    """A similarity with three decimals, rounded down: only texts of similarity 1 print 1.000."""
    return f"{math.floor(similarity * 1000 + 1e-6) / 1000:.3f}"


def columns_of(finished: Finished) -> set[str]:
    """Columns that rows can be selected by or exported with, besides `text`."""
    return finished.run.annotation_columns() | (set(CANONICAL.names) - {"text"}) | set(DECIDED)


def judged_table(finished: Finished, judged: Judged) -> pa.Table:
    """Columns of a judged shard, and DECIDED."""
    table = pa.table(
        {name: column for name, column in judged.columns.items() if name not in ("rank", "profile")}
    )
    table = table.append_column("keep", pa.array(judged.kept.keep))
    table = table.append_column("rule", pa.array(judged.outcomes(finished.releasing.layout), pa.string()))
    table = table.append_column("keeper_id", judged.kept.keeper_id)
    table = table.append_column("similarity", judged.kept.similarity)
    return table.append_column("duplicate", judged.kept.duplicate)


def select_rows(
    finished: Finished,
    wheres: list[Where],
    columns: set[str],
    grep: str | None,
    limit: int | None,
    masked: bool = False,
) -> Iterator[pa.Table]:
    """Yield a table of matching rows for each shard that has some, with those of `columns` that the build has.

    Args: grep, a regular expression that the text must contain; limit, maximum number of rows; masked, whether to
    return
    texts with the replacements of the release (`Finished.shown_text`).
    """
    pattern = compiled(grep) if grep else None
    n_left = limit
    for decision in finished.decisions():
        wanted = {where.column for where in wheres} | columns
        judged = finished.judge_shard(decision, wanted - set(DECIDED) - {"text"})
        table = judged_table(finished, judged)
        rows = np.ones(table.num_rows, bool)
        for where in wheres:
            rows &= where.rows(table)
        indices = np.flatnonzero(rows)
        if n_left is not None and pattern is None:
            indices = indices[:n_left]
        table = table.take(pa.array(indices))
        if "text" in columns or pattern:
            plain = not masked or pattern is not None
            texts = [text for _, text in finished.text(decision.shard, indices)] if plain else []
            shown = [text for _, text in finished.shown_text(decision, indices)] if masked else texts
            table = table.append_column("text", pa.array(shown, pa.large_string()))
            if pattern:
                table = table.filter(pa.array([bool(pattern.search(text)) for text in texts], pa.bool_()))
        if n_left is not None:
            table = table.slice(0, n_left)
            n_left -= table.num_rows
        if table.num_rows:
            yield table.select(sorted(columns & set(table.column_names)))
        if n_left == 0:
            return


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises: UsageError if it is none.
    """
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"--grep {pattern!r}: no regular expression ({error}); a backslash before a special character takes it as "
            "it is"
        ) from error


def check_rules(finished: Finished, wheres: list[Where]) -> None:
    """Check that rules whose documents are asked for exist.

    Raises: UsageError with the most similar rule.
    """
    layout = finished.releasing.layout
    dropping = [rule.name for rule in finished.run.select if rule.action == "drop"]
    names = {*dropping, layout.duplicate, layout.orphan}
    others = {rule.name: rule.action for rule in finished.run.select if rule.name not in names}
    for where in wheres:
        if where.column != "rule" or where.operator != "=" or where.value in names:
            continue
        if where.value in others:
            raise UsageError(
                f"the rule {where.value!r} has action {others[where.value]}: it drops no document"
            )
        raise UsageError(f"no rule {where.value!r} in {finished.run.path}{nearest(where.value, names)}")


def check_values(finished: Finished, wheres: list[Where]) -> None:
    """Explain an empty answer.

    Raises: UsageError for a text that no document has in its column, with the most similar one.
    """
    for where in wheres:
        if where.operator != "=" or where.column in DECIDED:
            continue
        values: set[str] = set()
        for decision in finished.decisions():
            column = finished.judge_shard(decision, {where.column}).columns[where.column]
            if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
                break
            values.update(value for value in pc.unique(column).to_pylist() if value is not None)
        if values and where.value not in values:
            similar = nearest(where.value, values) if len(values) <= MAX_VALUES else ""
            raise UsageError(f"no document has {where.column} {where.value!r}{similar}")


MAX_VALUES = 100_000
"""Largest number of values among which a similar one is looked for."""


def export_tables(tables: Iterator[pa.Table], path: str) -> int:
    """Write rows to a .jsonl or .parquet file; returns their number.

    Raises: UsageError for another file extension.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise UsageError(
            f"--to {path}: no folder {str(target.parent)!r}; make it first, or name another file"
        )
    if target.suffix == ".parquet":
        return _export_parquet(tables, target)
    if target.suffix == ".jsonl":
        n_rows = 0
        with target.open("w", encoding="utf-8") as stream:
            for table in tables:
                for plain in table.to_pylist():
                    row = {field.name: shortest(plain[field.name], field.type) for field in table.schema}
                    stream.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")
                n_rows += table.num_rows
        return n_rows
    raise UsageError(f"--to {path}: expected a file name with the extension .jsonl or .parquet")


def show_lines(
    finished: Finished, wheres: tuple[str, ...], extra: list[str], grep: str | None, limit: int, as_json: bool
) -> Iterator[str]:
    """Lines that `show` prints: id, rule or `kept`, further columns, start of the text; nothing if no document matches.

    Raises: UsageError for an unknown column, rule or value, or a wrong comparison.
    """
    available = columns_of(finished)
    check_columns(extra, available)
    parsed = [parse_where(where, available) for where in wheres]
    check_rules(finished, parsed)
    columns = {"doc_id", "rule", "text", *extra}
    rows: list[list[str]] = []
    n_rows = 0
    for table in select_rows(finished, parsed, columns, grep, limit, masked=True):
        n_rows += table.num_rows
        for plain in table.to_pylist():
            row = {field.name: shortest(plain[field.name], field.type) for field in table.schema}
            if as_json:
                yield json.dumps(row, ensure_ascii=False, default=_plain)
            else:
                values = (f"{name}={visible(repr(row[name]))}" for name in extra)
                rows.append(
                    [
                        row["doc_id"],
                        row["rule"] or t("kept"),
                        *values,
                        visible(row["text"][: 4 * SHOWN_CHARS]),
                    ]
                )
    if not n_rows:
        check_values(finished, parsed)
    yield from _aligned(rows)


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    """Rows with columns of equal width in terminal cells, the last one cut to the width of the terminal."""
    terminal = shutil.get_terminal_size((0, 24)).columns
    widths = [max(map(wide, column)) for column in zip(*rows, strict=True)][:-1]
    last = max(min(terminal - sum(widths) - 2 * len(widths), SHOWN_CHARS), 20) if terminal else SHOWN_CHARS
    for *cells, text in rows:
        yield "  ".join(
            [*(pad(cell, width) for cell, width in zip(cells, widths, strict=True)), clip(text, last)]
        )


def export_rows(finished: Finished, wheres: tuple[str, ...], columns: list[str], target: str) -> int:
    """Write columns of all matching rows to a file; returns the number of rows.

    Texts have the replacements of the release, unless `Finished.raw` is set.

    Raises: UsageError for an unknown column, a wrong comparison or another file extension.
    """
    available = columns_of(finished)
    check_columns(columns, available)
    return export_tables(
        select_rows(
            finished, [parse_where(where, available) for where in wheres], set(columns), None, None, True
        ),
        target,
    )


def count_rows(finished: Finished, wheres: tuple[str, ...], columns: list[str]) -> int:
    """Number of rows that `export_rows` would write.

    Raises: UsageError for an unknown column or a wrong comparison.
    """
    available = columns_of(finished)
    check_columns(columns, available)
    parsed = [parse_where(where, available) for where in wheres]
    return sum(table.num_rows for table in select_rows(finished, parsed, {"doc_id"}, None, None))


def check_columns(names: list[str], available: set[str]) -> None:
    """Raise UsageError for a column that the build does not have."""
    for name in names:
        if name != "text" and name not in available:
            raise UsageError(f"no column {name!r}{nearest(name, available)}")


def _export_parquet(tables: Iterator[pa.Table], target: Path) -> int:
    writer, n_rows = None, 0
    for table in tables:
        writer = writer or pq.ParquetWriter(target, table.schema, compression="zstd")
        writer.write_table(table)
        n_rows += table.num_rows
    if writer:
        writer.close()
    else:
        pq.write_table(pa.table({}), target)
    return n_rows


def _plain(value: Any) -> str:  # Any: a value that JSON cannot represent
    return value.hex() if isinstance(value, bytes) else str(value)
