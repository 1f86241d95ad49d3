"""Checks of the contract of global steps, and helpers for checks of any step; see `pipeline.checking.check_stage`."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.checking.in_memory import (
    PACKAGES,
    Corpus,
    find_step,
    run_global,
    split_batches,
    table_of,
    values,
)
from pipeline.errors import StageError
from pipeline.schema import ROW, widened
from pipeline.stage import Global, Outcome, Stage
from pipeline.translation import message

Texts = Sequence[str | None]


class FaultError(StageError):
    """A step violates the contract."""


def expect(condition: bool, fault: str) -> None:
    """Raise FaultError unless the condition holds."""
    if not condition:
        raise FaultError(fault)


def flat(schema: pa.Schema) -> str:
    """Names and dtypes of a schema in one line."""
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def corpus_of(texts: Texts, packages: Sequence[str] = PACKAGES) -> Corpus:
    """Three shards that contain documents, identical copies, near duplicates and prefixes of them."""
    nonempty = [text for text in texts if text]
    second = [text.upper() for text in nonempty[::2]] + [nonempty[0] + "\n" + nonempty[-1], *nonempty[:5]]
    third = [text[: len(text) * 9 // 10] or text for text in nonempty]
    shards = [table_of([*nonempty, nonempty[0] * 3]), table_of(second, 100), table_of(third, 200)]
    return Corpus(shards, lambda name: find_step(name, packages))


def outcome_values(step: Global, outcome: Outcome) -> str:
    """Rows in row order and artefacts by name, as text.

    Raises: FaultError if the rows differ from the declared schema, or a row number is repeated.
    """
    rows = "none"
    if outcome.rows is not None:
        written = outcome.rows.drop_columns([ROW]).schema
        declared = [(field.type, widened(field.type)) for field in step.writes]
        fits = written.names == step.writes.names and all(
            dtype in dtypes for dtype, dtypes in zip(written.types, declared, strict=True)
        )
        expect(fits, f"wrote {flat(written)}; declares {flat(step.writes)}")
        expect(outcome.rows.schema.field(ROW).type == pa.uint64(), "row is not uint64")
        expect(len(pc.unique(outcome.rows[ROW])) == outcome.rows.num_rows, "a row number is repeated")
        rows = values(outcome.rows.sort_by(ROW))
    return "\n".join([rows, *(f"{name}\n{values(t)}" for name, t in sorted(outcome.artefacts.items()))])


def check_partitions(step: Global, config: Any, shards: list[pa.Table]) -> None:
    """1, 4 and 7 partitions, and any split of the shards into map batches, give the same rows and artefacts."""
    expected = outcome_values(step, run_global(step, shards, config, 1))
    for n_partitions, sizes in ((4, []), (7, [1, 0, 2, 5]), (1, [3] * 20), (7, [1] * 40)):
        batches = [batch for shard in shards for batch in split_batches(shard, sizes)]
        result = outcome_values(step, run_global(step, batches, config, n_partitions))
        setup = f"map batches of {sizes[:4]} rows" if sizes else "whole shards"
        expect(result == expected, f"other rows or artefacts with {n_partitions} partitions and {setup}")


def check_empty_shards(step: Global, config: Any, shards: list[pa.Table]) -> None:
    """A corpus without documents works, and empty shards do not change the rows of others."""
    no_documents = run_global(step, [shards[0].slice(0, 0), shards[1].slice(0, 0)], config, 3)
    expect(
        no_documents.rows is None or no_documents.rows.num_rows == 0, "rows for a corpus without documents"
    )
    outcome_values(step, no_documents)
    holes = [shards[0], shards[0].slice(0, 0), *shards[1:]]
    outcome = outcome_values(step, run_global(step, holes, config, 4))
    expect(
        outcome == outcome_values(step, run_global(step, shards, config, 4)), "an empty shard changes rows"
    )


def check_sparse(step: Global, config: Any, shards: list[pa.Table]) -> None:
    """Omitting the rows whose sparse column is null gives the same result."""
    if step.sparse is None:
        return
    dense = [shard.filter(pc.is_valid(shard[step.sparse])) for shard in shards]
    outcome = outcome_values(step, run_global(step, dense, config))
    expect(
        outcome == outcome_values(step, run_global(step, shards, config)),
        "rows depend on ones that `sparse` skips",
    )


def check_functions_pickle(step: Global, config: Any = None, shards: Sequence[pa.Table] = ()) -> None:
    """The functions of a step can be pickled by name, for workers."""
    rounds = [function for one in step.rounds for function in (one.run, one.add, one.again, one.combine)]
    for function in (step.map, step.reduce, step.finish, step.answer, step.combine, step.close, *rounds):
        expect(pickle.loads(pickle.dumps(function)) is function, f"{function} does not pickle by its name")


def check_global_seeds(step: Global, config: Any, shards: list[pa.Table]) -> None:
    """Processes with different PYTHONHASHSEEDs give the same rows and artefacts."""
    same_in_processes(step, config, shards)


class SkipError(Exception):
    """A check that cannot be run here."""


def same_in_processes(step: Stage | Global, config: Any, tables: list[pa.Table]) -> None:
    """Run a step in two processes with different hash seeds.

    Raises: FaultError if they differ; SkipError for a step that another process cannot import.
    """
    task = pickle.dumps((step, config, tables))
    if b"__main__" in task:
        raise SkipError("defined in a notebook or script; other processes need a module that they can import")
    code = "from pipeline.checking.check_global import print_values; print_values()"
    outputs = set()
    for seed in ("1", "20240229"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        run = subprocess.run(
            [sys.executable, "-c", code], input=task, env=environment, capture_output=True, check=False
        )
        expect(
            run.returncode == 0, f"raised in another process: {run.stderr.decode(errors='replace')[-300:]}"
        )
        outputs.add(run.stdout)
    expect(len(outputs) == 1, "other rows with another PYTHONHASHSEED")


def print_values() -> None:
    """Write the results of the pickled step and tables on stdin to stdout; for `same_in_processes`."""
    step, config, tables = pickle.load(sys.stdin.buffer)
    if isinstance(step, Global):
        text = outcome_values(step, run_global(step, tables, config, 4))
    else:
        text = "\n".join(values(step.load(config)(table)) for table in tables)
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))


GLOBAL_CHECKS: dict[str, tuple[Callable[[Global, Any, list[pa.Table]], None], str]] = {
    message("partitions"): (
        check_partitions,
        message("Treat each key on its own in reduce, and give each row the same key in map."),
    ),
    message("empty shards"): (check_empty_shards, message("Return tables of the same schema for no rows.")),
    message("sparse"): (
        check_sparse,
        message("Return no row from map where the column of `sparse` is null."),
    ),
    message("pickling"): (check_functions_pickle, message("Use module-level functions: no lambdas.")),
    message("hash seeds"): (
        check_global_seeds,
        message("Sort what comes out of sets, and do not use hash()."),
    ),
}
"""Checks of global steps by name: (function, what to do when it fails)."""
