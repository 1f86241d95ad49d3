"""Servers of a run: the file that describes them, the caches of their answers, and what a plan expects to ask."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipeline.annotate.addresses import Recipes
from pipeline.annotate.views import view_text
from pipeline.annotate.wave import gate_rows
from pipeline.cells import pad
from pipeline.config.run_file import RunFile, StageStep
from pipeline.dataset.shard import Columns, Shard, read_batches
from pipeline.dataset.sidecars import read_columns
from pipeline.errors import ConfigError
from pipeline.planning.state import State
from pipeline.schema import CANONICAL
from pipeline.service import Served, Services, Usage
from pipeline.storage.credentials import check_text
from pipeline.storage.journal import Journal
from pipeline.storage.store import Store
from pipeline.translation import t

CACHE = "requests"
"""Folder of the store with one folder of answers per model."""
MAX_ESTIMATED = 20_000
"""Documents whose requests a plan makes; of more it takes the first of each shard, and multiplies."""


@dataclass(frozen=True)
class Expected:
    """What a stage would ask. usage: None without servers. is_most: some documents may turn out to be outside the gate.
    documents: of the pending shards."""

    documents: int
    usage: Usage | None
    is_most: bool


def read_servers(path: str) -> dict[str, Mapping[str, Any]]:  # Any: settings of the classes that read them
    """Read a file of servers: model -> settings.

    Raises: ConfigError if it is none, or a URL in it has a password or a key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}; expected a file of servers in YAML") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)  # the text at fault may be a key: it is not shown
        raise ConfigError(f"{path}: no YAML{f' in line {mark.line + 1}' if mark else ''}") from None
    check_text(text, path)
    if not isinstance(found, dict) or not found or not all(isinstance(v, dict) for v in found.values()):
        raise ConfigError(
            f"{path}: expected a mapping of models to settings, such as base_url; see docs/llm.md"
        )
    return {str(name): entry for name, entry in found.items()}


def open_services(store: Store, servers_path: str | None) -> Services:
    """The servers of a file, none without one, with the caches of a store."""
    servers = read_servers(servers_path) if servers_path else {}
    return Services(servers, lambda name: Journal(store, f"{CACHE}/{name}"))


def service_steps(run: RunFile) -> list[StageStep]:
    """The stages of a run that ask a server."""
    return [step for step in run.annotate if step.definition.kind == "service"]


def serve(step: StageStep, services: Services) -> Served:
    """A stage with its server. Raises: ConfigError if no server has its model."""
    assert step.definition.serve is not None, step.name
    return step.definition.serve(step.config, services)


def expectations(
    run: RunFile, recipes: Recipes, state: State, shards: Sequence[Shard], services: Services | None
) -> dict[str, Expected]:
    """What each stage of kind service would ask about the pending shards, by stage."""
    found = {}
    for step in service_steps(run):
        pending = [shard for shard in shards if not state.done(recipes, step, shard)]
        n_rows = sum(shard.n_rows for shard in pending)
        if services is None or not services.servers:
            found[step.name] = Expected(n_rows, None, bool(step.gate))
        elif pending:
            found[step.name] = expected(step, serve(step, services), pending, recipes, state)
    return found


def expected(
    step: StageStep, served: Served, shards: Sequence[Shard], recipes: Recipes, state: State
) -> Expected:
    """What a stage would ask about these shards, from their first documents where they are many."""
    n_rows, total, is_most = sum(shard.n_rows for shard in shards), Usage(), False
    share = min(1.0, MAX_ESTIMATED / max(n_rows, 1))
    for shard in shards:
        usage, n_read = Usage(), math.ceil(shard.n_rows * share)
        for batch, is_exact in inputs(step, shard, recipes, state, n_read):
            usage.add(served.estimate(batch))
            is_most |= not is_exact
        total.add(usage, shard.n_rows / max(n_read, 1))
    return Expected(n_rows, total, is_most)


def inputs(
    step: StageStep,
    shard: Shard,
    recipes: Recipes,
    state: State,
    n_rows: int,
    doc_ids: frozenset[str] | None = None,
) -> Iterator[tuple[pa.Table, bool]]:
    """The first rows of a shard as a stage reads them; columns that are not computed yet are null.

    doc_ids: of these documents alone; None for all.
    Yields: tables, and whether gate and view were applied; without their columns, all rows are taken as they are.
    """
    reads = step.reads()
    canonical = sorted((reads & set(CANONICAL.names)) | {"doc_id", "text"})
    names = {column.partition(".")[0] for column in reads if "." in column}
    ready = {n for n in names if n in recipes.imported or state.done(recipes, recipes.steps[n], shard)}
    stored = {column for column in reads if column.partition(".")[0] in ready}
    sidecars = read_columns(state.store, shard, recipes.refs(stored, shard), stored)
    start = 0
    for whole in read_batches(state.store, shard, canonical):
        batch = whole.slice(0, max(n_rows - start, 0))
        columns: Columns = {name: batch[name] for name in canonical}
        columns |= {name: column.slice(start, batch.num_rows) for name, column in sidecars.items()}
        if doc_ids is not None:
            chosen = pc.is_in(columns["doc_id"], pa.array(sorted(doc_ids)))
            columns = {name: column.filter(chosen) for name, column in columns.items()}
        needed = {c for condition in step.gate for c in condition.columns()} | (
            step.view.columns() if step.view else set()
        )
        is_exact = needed <= columns.keys()
        if is_exact and step.view is not None:
            columns["text"] = view_text(step.view, columns)
        table = pa.table({c: columns[c] for c in step.definition.reads if c in columns})
        for column in step.definition.optional:
            if column.name not in columns:
                table = table.append_column(column, pa.nulls(table.num_rows, column.type))
        if is_exact and step.gate:
            table = table.filter(pa.array(gate_rows(step.gate, columns)))
        yield table, is_exact
        start += batch.num_rows
        if start >= n_rows:
            return


def expected_lines(found: Mapping[str, Expected]) -> list[str]:
    """What would be asked, for a terminal."""
    lines = []
    for name, one in found.items():
        if one.usage is None:
            if one.documents:
                lines.append(
                    t(
                        f"ask      {pad(name, 24)} {one.documents:,} documents; --servers estimates tokens and cost"
                    )
                )
            continue
        most = t("at most ") if one.is_most else ""
        use = one.usage
        lines.append(
            t(
                f"ask      {pad(name, 24)} {most}{use.requests:,} requests ({use.cached:,} more answered by the "
                f"cache), about {use.input_tokens:,} tokens in, {use.output_tokens:,} out, cost {use.cost:,.2f}"
            )
        )
    return lines


def usage_line(model: str, usage: Mapping[str, int | float]) -> str:
    """What was asked of a model, for a terminal."""
    parts = [t(f"{usage['answered']:,} answered"), t(f"{usage['cached']:,} of all from the cache")]
    parts += [
        t(f"{usage[name]:,} {name}")
        for name in ("invalid", "refused", "unanswered", "retries")
        if usage[name]
    ]
    return t(
        f"{model}: {', '.join(parts)}; {usage['requests']:,} requests, {usage['input_tokens']:,} tokens in, "
        f"{usage['output_tokens']:,} out, cost {usage['cost']:,.2f}"
    )
