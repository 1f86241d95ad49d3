"""Rules of a job: presets, run files, comparisons and functions of one's own, as rules of a run file.

Rules are parsed, and documents judged, by the code of a build. A job judges each document on its own; rules that
compare documents (quality buckets, quantiles, repeated passages) need a build.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.load import load_run
from pipeline.config.phases import read_steps
from pipeline.config.run_file import GlobalStep, Ingest, Release, RunFile, StageStep
from pipeline.config.validate import check_available, check_if_null, check_types
from pipeline.errors import ConfigError, UsageError
from pipeline.inspect.explain import explain_rule, find_part
from pipeline.inspect.explain_text import rule_text
from pipeline.inspect.query import shortest
from pipeline.jobs.steps import make_step, order_steps, with_needed
from pipeline.mix.config import parse_mix
from pipeline.names import nearest
from pipeline.recipe import add_module_folder, full_name, load_step, step_modules
from pipeline.rules.language_parts import part_fields
from pipeline.rules.parse import parse_rules
from pipeline.rules.presets import PRESETS, expand_presets
from pipeline.rules.rules import Rule, judge_rules
from pipeline.schema import CANONICAL, VIRTUAL, split_column
from pipeline.stage import Stage, as_step, each, stage_of_function
from pipeline.translation import in_language

Use = str | Mapping[str, Any] | Stage | each | Callable[..., Any]
"""What decides: the name of a preset, a run file, a module or .py file with a stage of one truth value, a comparison
such as `signals.n_chars>=200`, a rule as in a run file, or a function of a document that returns whether it is kept."""

COMPARISON = re.compile(r"([\w.]+)\s*(>=|<=|!=|==|=)\s*(.+)", re.DOTALL)
TESTS = {">=": "min", "<=": "max", "!=": "not_in", "==": "is", "=": "is"}

WITH_PARTS = ("language", "signals")
"""Stages whose columns rules by language read; `init` names `parts` beside them, and so does a job."""


@dataclass(frozen=True)
class Judge:
    """Stages in the order of dependency, and the rules that read their columns."""

    steps: tuple[StageStep, ...]
    rules: tuple[Rule, ...]

    def failing(self, documents: pa.Table, columns: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Judge documents.

        Args: documents, CANONICAL, and columns of stages that are there already; columns, of `steps`.
        Returns: int16 (n_docs,), the first rule that drops each document, -1 for a kept one; bool (n_rules, n_docs),
        whether it fails each rule.
        """
        if not documents.num_rows:
            return np.empty(0, np.int16), np.empty((len(self.rules), 0), bool)
        verdicts = judge_rules(self.rules, self.columns(documents, columns))
        return verdicts.rule, verdicts.failed

    def columns(self, documents: pa.Table, columns: pa.Table) -> dict[str, pa.ChunkedArray]:
        """All columns that rules may read, by name; `rank` and `profile` as of a source without them."""
        n_docs = documents.num_rows
        table = {name: documents[name] for name in documents.column_names if name != "text"}
        table |= {name: columns[name] for name in columns.column_names}
        virtual = {"rank": pa.repeat(pa.scalar(0, pa.int32()), n_docs), "profile": pa.repeat("", n_docs)}
        return table | {name: pa.chunked_array([virtual[name]]) for name in VIRTUAL}

    def explain(
        self, rule: int, row: int, failed: bool, table: Mapping[str, pa.ChunkedArray]
    ) -> dict[str, Any]:
        """One rule and one document, as `bicorpus explain` has it; table, see `columns`."""
        parsed = self.rules[rule]
        names = parsed.columns() & set(table)
        has_parts = parsed.parts is not None and bool(table[parsed.parts][row].as_py())
        own = {name: pa.chunked_array([table[name].slice(row, 1)]) for name in names} if has_parts else {}
        part = find_part(parsed, own) if has_parts else None
        values = {name: shortest(table[name][row].as_py(), table[name].type) for name in names}
        return explain_rule(parsed, values, failed, None, part)

    def reasons(self, failing: np.ndarray, table: Mapping[str, pa.ChunkedArray]) -> list[str]:
        """The conditions of the rule that dropped each document, with its values, in the order of dropped documents.

        Args: failing, int16 (n_docs,), see `failing`; table, see `columns`.
        """
        dropped = np.flatnonzero(failing >= 0)
        reasons = np.empty(len(dropped), object)
        for rule in np.unique(failing[dropped]):
            places = np.flatnonzero(failing[dropped] == rule)
            names = self.rules[rule].columns() & set(table)
            rows = {name: table[name].take(pa.array(dropped[places])).combine_chunks() for name in names}
            with in_language("en"):  # they are written into files
                for row, place in enumerate(places):
                    reasons[place] = rule_text(self.explain(int(rule), row, True, rows), False)
        return reasons.tolist()


def make_judge(uses: Sequence[Use], excluded: Sequence[str] = (), given: Iterable[str] = ()) -> Judge:
    """Return the stages and rules of what decides.

    Args: excluded, names of rules to leave out; given, columns of stages that the documents have already.
    Raises: ConfigError or UsageError for something that is none of `Use`, or a rule that compares documents.
    """
    add_module_folder(os.getcwd())
    run_files = [use for use in uses if isinstance(use, str) and use.endswith((".yaml", ".yml"))]
    if run_files:
        if len(uses) > 1:
            raise UsageError(
                f"{run_files[0]}: a run file has all its rules; add others to it, or name it alone"
            )
        return _of_run_file(run_files[0], excluded)
    entries, own, presets = list[Any](), list[StageStep](), list[str]()
    for use in uses:
        entry, step = _entry(use)
        entries.append(entry)
        own += [step] if step else []
        presets += [entry["preset"]] if isinstance(entry, Mapping) and "preset" in entry else []
    rules = parse_rules(expand_presets(entries, "use"), "use")
    _check_excluded(excluded, rules)
    rules = tuple(rule for rule in rules if rule.name not in excluded)
    _check_alone(rules, set())
    every = {column for rule in rules for column in rule.columns()}
    columns = every - set(given)
    stages = {stage for stage, _ in map(split_column, columns) if stage} - {step.name for step in own}
    names = with_needed(sorted(stages), given)
    if set(WITH_PARTS) <= {*names, *(split_column(column)[0] for column in every)}:
        names += [name for name in with_needed(["parts"], given) if name not in names]
    steps = [*(make_step(_with_preset(name, presets)) for name in names), *own]
    parts = {
        f"{step.name}.{column.name}": fields
        for step in steps
        for column in step.definition.writes
        if (fields := part_fields(column.type))
    }
    judge = Judge(tuple(order_steps(steps, given)), tuple(rule.by_part(parts) for rule in rules))
    _check_rules(judge, set(given))
    return judge


def _check_rules(judge: Judge, given: set[str]) -> None:
    """Check names of columns, dtypes and nulls of rules, as for a run file."""
    run = RunFile(
        path="use", text="", corpus="job", sources=(), ingest=Ingest(), annotate=judge.steps, globals=(),
        select=judge.rules, keep_one=None, mix=parse_mix({}, "use"), release=Release(name="job"), tokens=None,
    )  # fmt: skip
    available = run.annotation_columns() | {*CANONICAL.names, *VIRTUAL} | given
    for rule in judge.rules:
        where = f"use: {rule.name}"
        check_available(rule.columns(), available - {"text"}, where)
        check_types(run, (*rule.conditions, *rule.where), where)
        if not rule.tested() & given:
            check_if_null(run, rule)


def _with_preset(name: str, presets: Sequence[str]) -> Any:
    """An entry of `annotate`; a stage with a setting `preset` takes that of the rules, if it has it."""
    step = make_step(name)
    for preset in presets if "preset" in getattr(step.config, "__dataclass_fields__", {}) else ():
        try:
            make_step({"use": step.module, "config": {"preset": preset}})
        except ConfigError:
            continue
        return {"use": step.module, "config": {"preset": preset}}
    return step.module


def _entry(use: Use) -> tuple[Any, StageStep | None]:
    """An entry of `select`, and the stage of one's own whose column it tests, if any."""
    if isinstance(use, Mapping):
        return use, None
    if not isinstance(use, str):
        step = make_step(use) if isinstance(use, Stage) else _function_step(use)
        return _truth_rule(step), step
    if use in load_step(PRESETS, "presets", "use")():
        return {"preset": use}, None
    if match := COMPARISON.fullmatch(use):
        column, sign, value = match.groups()
        parsed = _value(value)
        if sign in (">=", "<=") and (isinstance(parsed, bool) or not isinstance(parsed, (int, float))):
            raise UsageError(
                f"--use {use!r}: {value!r} is no number; expected one, as in signals.n_chars>=200"
            )
        test = {TESTS[sign]: [parsed] if sign == "!=" else parsed}
        return {"name": use.replace(" ", ""), column: test, "if_null": "drop"}, None
    if use.endswith(".py"):
        if not os.path.exists(use):
            raise UsageError(f"--use {use}: no such file; name a Python file with a stage, or a preset")
        add_module_folder(Path(use).resolve().parent)
        use = Path(use).stem
    module = full_name(use, ("STAGE",))
    if module == use and "." not in use and not _exists(use):
        names = [*load_step(PRESETS, "presets", "use")(), *(n for a, n in step_modules() if a == "STAGE")]
        raise UsageError(
            f"--use {use!r}: no preset, run file or module of that name{nearest(use, names)}; a comparison is written "
            "as in signals.n_chars>=200"
        )
    step = make_step(module, "use")
    return _truth_rule(step), step


def _exists(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def _function_step(function: Any) -> StageStep:
    definition = as_step(function) if not callable(function) or hasattr(function, "measure") else None
    definition = definition or stage_of_function(function)
    return make_step(definition)


def _truth_rule(step: StageStep) -> dict[str, Any]:
    """The rule that keeps documents for which the only truth value of a stage is true.

    Raises: UsageError if the stage does not have exactly one.
    """
    writes = step.definition.writes
    truths = [column.name for column in writes if pa.types.is_boolean(column.type)]
    if len(truths) != 1:
        first = f"{step.name}.{writes.names[0]}" if writes.names else step.name
        raise UsageError(
            f"{step.name} has {len(truths)} columns of truth values, and one is needed to keep or drop; write what is "
            f"kept, as in `--use {first}>=0.5`"
        )
    column = f"{step.name}.{truths[0]}"
    return {"name": column if step.name != truths[0] else step.name, column: True, "if_null": "drop"}


def _value(text: str) -> Any:  # Any: a number, a truth value or text
    import yaml

    value = yaml.safe_load(text)
    return value if isinstance(value, (bool, int, float)) else text.strip("\"'")


def _of_run_file(path: str, excluded: Sequence[str]) -> Judge:
    """The rules of a run file, and the stages that they read."""
    run = load_run(path)
    _check_excluded(excluded, run.select)
    rules = tuple(rule for rule in run.select if rule.name not in excluded)
    _check_alone(rules, {step.name for step in run.globals if isinstance(step, GlobalStep)})
    by_name = {step.name: step for step in run.annotate}
    needed, waiting = set[str](), [split_column(c)[0] for rule in rules for c in rule.columns()]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in needed:
            needed.add(str(name))
            waiting += read_steps(by_name[str(name)])
    return Judge(tuple(order_steps([step for step in run.annotate if step.name in needed])), rules)


def _check_excluded(excluded: Sequence[str], rules: Sequence[Rule]) -> None:
    for name in excluded:
        if name not in (names := [rule.name for rule in rules]):
            raise UsageError(f"--except {name}: no such rule{nearest(name, names)}")


def _check_alone(rules: Sequence[Rule], steps: set[str]) -> None:
    """Raise UsageError if rules compare documents.

    steps: names of global steps of a run file.
    """
    steps = steps | {name for attribute, name in step_modules() if attribute == "GLOBAL"}
    comparing = [
        rule.name
        for rule in rules
        if any(split_column(column)[0] in steps for column in rule.columns())
        or any(condition.quantile for condition in (*rule.conditions, *rule.where))
    ]
    if comparing:
        raise UsageError(
            f"{', '.join(comparing)}: these rules compare documents, which needs a build (`bicorpus run`); leave them "
            f"out with {' '.join(f'--except {name}' for name in comparing)}"
        )


def check_given(columns: Iterable[str]) -> list[str]:
    """Return those of a table's columns that are columns of stages, such as `language.label`."""
    return [name for name in columns if "." in name and name not in CANONICAL.names]
