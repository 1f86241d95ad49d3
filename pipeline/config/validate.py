"""Check a parsed run file for consistency: its columns exist and have suitable dtypes, and rules define null.

Every function raises ConfigError, which states the position in the run file, for the first fault.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.config.phases import before_derived
from pipeline.config.release_columns import release_layout
from pipeline.config.run_file import Derived, GlobalStep, RunFile, Step, derived_inputs
from pipeline.errors import ConfigError
from pipeline.mix.config import Mix
from pipeline.mix.holdout import Holdout
from pipeline.mix.strata import Case
from pipeline.names import brief, nearest
from pipeline.recipe import named_columns
from pipeline.rules.rules import Condition, Rule
from pipeline.schema import CANONICAL, OWNERS, REFERENCE, SPANS, VIRTUAL, split_column

NEVER_NULL = ("doc_id", "text", "source", "text_hash", "text_bytes", "input", "input_row", *VIRTUAL)
"""Columns of a document that always have a value."""


def check_run_file(run: RunFile) -> None:
    """Check that all columns of a run file exist and have a dtype that fits their use."""
    available = run.annotation_columns() | {*CANONICAL.names, *VIRTUAL}
    early = {column for column in available if not column.startswith(f"{OWNERS}.")}
    for column, _ in run.release.edits.spans:
        check_span_column(run, column, f"{run.path}: release.edits")
    if run.release.edits.convert:
        check_available(
            set(run.release.edits.convert.definition.reads), early, f"{run.path}: release.convert"
        )
    for step in (*run.annotate, *run.globals):
        check_available(step.reads(), early - {*VIRTUAL}, f"{run.path}: {step.name}")
        check_types(run, step.gate, f"{run.path}: {step.name}.gate")
        numbers = named_columns(step.config, getattr(step.definition, "numbers", ()))
        check_types(
            run, tuple(Condition(column=c, min=0) for c in numbers), f"{run.path}: {step.name}.config"
        )
        for column, _ in step.view.spans if step.view else ():
            check_span_column(run, column, f"{run.path}: {step.name}.view")
    for step in run.late:
        if step.definition.kind == "service":
            raise ConfigError(
                f"{run.path}: {step.name} asks a server, and reads the text without repeated passages, which is known "
                "only after rules and keepers; leave `view: release` out, or the passages out of release.edits"
            )
    for rule in run.select:
        where = f"{run.path}: select.{rule.name}"
        check_available(rule.columns(), available - {"text"}, where)
        check_types(run, (*rule.conditions, *rule.where), where)
        check_if_null(run, rule)
        check_order(rule, where)
        for column, _ in rule.trim:
            check_span_column(run, column, f"{where}.trim")
    for name, mix in run.mix.mixes.items():
        check_available({*mix.columns}, early, f"{run.path}: mix.mixes.{name}.by")
        check_strata(run, mix, f"{run.path}: mix.mixes.{name}")
        if mix.repeat:
            where = f"{run.path}: mix.mixes.{name}.repeat.column"
            check_available({mix.repeat.column}, early, where)
            check_types(run, (Condition(column=mix.repeat.column, min=0),), where)
        counts_tokens = mix.unit == "tokens" and (mix.by or mix.total or mix.curve)
        if counts_tokens and release_layout(run).columns["n_tokens"] is None:
            raise ConfigError(
                f"{run.path}: mix.mixes.{name} shares out tokens, which no stage counts; annotate with stages.tokens, "
                "or name the column that holds the counts in release.columns.n_tokens; or give `bytes` or `documents` "
                "instead of `tokens`"
            )
    if run.mix.holdout:
        check_holdout(run, run.mix.holdout, early)
    if run.keep_one:
        where = f"{run.path}: keep_one.prefer"
        prefer = sorted(column for column, _ in run.keep_one.prefer)
        check_available(set(prefer), early, where)
        check_types(run, tuple(Condition(column=column, min=0) for column in prefer), where)
        passage_columns = {
            f"{name}.{column}" for name in run.keep_one.passages for column in ("passages", "n_chars")
        }
        check_available(passage_columns, early, f"{run.path}: keep_one.passages")
    for derived in run.derived:
        check_derived_source(run, derived, early)
    check_references(run)
    check_expectations(run)


def check_expectations(run: RunFile) -> None:
    """Check that the run counts what expectations are about, and has the sources, rules and mixes that they name."""
    layout, where = release_layout(run), f"{run.path}: expect"
    named = {
        "sources": [name for name, _, _ in run.standings()], "mixes": [*run.mix.mixes],
        "rules": [*(rule.name for rule in run.select)],
    }  # fmt: skip
    for e in run.expect:
        if e.family in named and e.group not in ("*", *named[e.family]):
            raise ConfigError(
                f"{where}.{e.name}: {e.family} has no {e.group!r}{nearest(e.group, named[e.family])}"
            )
        if "tokens" in e.field and layout.columns["n_tokens"] is None:
            raise ConfigError(
                f"{where}.{e.name}: {e.figure} counts tokens, which no stage counts; annotate with stages.tokens, or "
                "use bytes_share or kept_bytes"
            )
        if e.family == "domains" and layout.columns["domain"] is None:
            raise ConfigError(f"{where}.{e.name}: no stage labels domains; annotate with classifiers.domain")


def check_strata(run: RunFile, mix: Mix, where: str) -> None:
    """Check that the columns of a mix have values to name strata by, and that ranges and curves are over numbers."""
    types = run.column_types()
    for column in mix.columns:
        dtype = types.get(column, pa.string())  # an imported score is named by its values, whatever it is
        if not (pa.types.is_string(dtype) or pa.types.is_integer(dtype) or pa.types.is_boolean(dtype)):
            raise ConfigError(
                f"{where}.by: {column} is {dtype}; expected text, whole numbers or truth values. Cut numbers into "
                "buckets or tiers with stages.cuts"
            )
    cases = (case for cases in mix.groups.values() for case in cases if isinstance(case, Case))
    ranged = {value.column for case in cases for value in case.values if value.among is None}
    for column in sorted(ranged | ({mix.curve.column} if mix.curve else set())):
        if not pa.types.is_integer(types.get(column, pa.int32())):
            raise ConfigError(f"{where}: {column} is {types[column]}; expected a column of whole numbers")


def check_holdout(run: RunFile, holdout: Holdout, available: set[str]) -> None:
    """Check that the columns of a hold-out are text, and that it does not follow its own release."""
    where, types = f"{run.path}: mix.holdout", run.column_types()
    check_available({*holdout.together}, available, f"{where}.together")
    for column in holdout.together:
        if not pa.types.is_string(types.get(column, pa.string())):
            raise ConfigError(f"{where}.together: {column} is {types[column]}; expected a column of text")
    if holdout.as_in == run.release.name:
        raise ConfigError(
            f"{where}.as_in: {holdout.as_in!r} is the release that this run writes; name an earlier one"
        )


def check_references(run: RunFile) -> None:
    """Check that duplicates of reference sources can be removed, and that no rule has a reserved name."""
    reserved = (release_layout(run).duplicate, release_layout(run).orphan, REFERENCE)
    for rule in run.select:
        if rule.name in reserved:
            raise ConfigError(
                f"{run.path}: select.{rule.name}: the name is reserved for duplicates, derived documents without a "
                "parent, or references in the ledger; choose another"
            )
    for source in run.sources:
        if source.reference and run.keep_one is None:
            raise ConfigError(
                f"{run.path}: sources.{source.name} is a reference, but without `keep_one` no duplicates are removed"
            )
    if all(source.reference for source in run.sources):
        raise ConfigError(f"{run.path}: every source is a reference; nothing would be released")


def check_derived_source(run: RunFile, derived: Derived, available: set[str]) -> None:
    """Check that a derived source depends on no global step, because its documents take part in all of them."""
    where = f"{run.path}: sources.{derived.name}"
    needed = derived_inputs(derived, run.release.edits.of_parents())
    check_available(needed, available, where)
    early = {step.name for wave in before_derived(run) for step in wave.steps}
    late = {step.name for step in (*run.annotate, *run.globals)} - early
    for column in sorted(needed):
        if column.partition(".")[0] in late:
            raise ConfigError(
                f"{where}: {column} comes from a global step, or depends on one; documents are derived before those, "
                "so a derived source cannot read that column or be edited by it"
            )


def check_available(columns: set[str], available: set[str], where: str) -> None:
    """Raise ConfigError for a column that no step writes."""
    for column in sorted(columns):
        if column not in available:
            raise ConfigError(f"{where}: no column {brief(column)}{nearest_column(column, available)}")


def nearest_column(column: str, available: set[str]) -> str:
    """Return the end of a message about a column that does not exist: the most similar one, or what is missing."""
    similar = nearest(column, available)
    stage = column.partition(".")[0]
    stages = {name.partition(".")[0] for name in available if "." in name}
    if "did you mean" in similar or "." not in column:
        return similar
    if stage in stages:
        return nearest(column, (name for name in available if name.startswith(f"{stage}.")))
    return f"; no step {stage!r} under `annotate` or `global`{nearest(stage, stages)}"


def check_types(run: RunFile, conditions: tuple[Condition, ...], where: str) -> None:
    """Check that bounds apply to numeric columns, and that listed values have the dtype of their column."""
    types = run.column_types()
    for condition in conditions:
        dtype = types.get(condition.column)
        if dtype is None:
            continue  # an imported score, whose dtype depends on the source
        ordered = (condition.min, condition.max, condition.quantile) != (None, None, None)
        if ordered and not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype)):
            raise ConfigError(f"{where}: {condition.column} is {dtype}; expected a column of numbers")
        for values in (condition.among or (), condition.not_among or ()):
            try:
                pa.array(values, None if values else dtype).cast(dtype)
            except (pa.ArrowException, OverflowError, TypeError) as error:
                raise ConfigError(
                    f"{where}: {condition.column} is {dtype}; found {brief(list(values))}"
                ) from error


def check_span_column(run: RunFile, column: str, where: str) -> None:
    """Raise ConfigError unless a column contains spans."""
    if run.column_types().get(column) == SPANS:
        return
    globals_ = {step.name for step in run.globals}
    if column.partition(".")[0] in globals_ or f"{column.partition('.')[0]}.passages" in run.column_types():
        raise ConfigError(
            f"{where}: {column} is no column of spans; which occurrence of a passage is removed is up to `{OWNERS}`: "
            f"write `{OWNERS}: all` here, and `passages: {column.partition('.')[0]}` in keep_one"
        )
    raise ConfigError(f"{where}: {column} is no column of spans; name a stage that writes spans")


def check_order(rule: Rule, where: str) -> None:
    """Raise ConfigError for a rule that reads columns which are computed only after it applies."""
    quantile = next((c for c in (*rule.conditions, *rule.where) if c.quantile), None)
    if rule.base and quantile:
        raise ConfigError(
            f"{where}: quantiles are drawn from what passes the base rules, so {quantile.column} cannot have one in a "
            "base rule; leave `base` out"
        )
    if rule.is_late and (rule.base or quantile or rule.action == "trim"):
        raise ConfigError(
            f"{where}: `{OWNERS}` is computed after other rules and keepers; a rule that reads it takes numbers, and "
            "neither `base`, `quantile` nor `trim`"
        )


def check_if_null(run: RunFile, rule: Rule) -> None:
    """Raise ConfigError for a rule without `if_null` that reads a column which may be null."""
    if rule.if_null is not None:
        return
    steps: dict[str, Step] = {step.name: step for step in (*run.annotate, *run.globals)}
    for column in sorted(rule.tested()):
        stage, _ = split_column(column)
        step = steps.get(stage or "")
        is_complete = step is not None and not (
            getattr(step.definition, "kind", "") == "service"  # a server may leave rows without an answer
            or step.gate
            or isinstance(step, GlobalStep)
            or step.max_failed_share
            or step.nullable
        )
        is_never_null = column in NEVER_NULL or is_complete
        if not is_never_null:
            raise ConfigError(
                f"{run.path}: select.{rule.name} reads {column}, which may be null; add `if_null: keep` or "
                "`if_null: drop`"
            )
