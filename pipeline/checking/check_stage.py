"""Checks of the contract of stages and global steps, for authors of own steps, like scikit-learn's `check_estimator`.

`check_stage(STAGE)` yields one named check after another; `bicorpus check-stage my.module` prints them. The project's
own tests call the same functions, with more texts.
"""

from __future__ import annotations

import dataclasses
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cells import pad
from pipeline.checking.check_global import (
    GLOBAL_CHECKS,
    FaultError,
    SkipError,
    Texts,
    corpus_of,
    expect,
    flat,
    same_in_processes,
)
from pipeline.checking.in_memory import PACKAGES, Corpus, find_step, loaded, split_batches, table_of, values
from pipeline.checking.sample_texts import TEXTS
from pipeline.errors import StageError
from pipeline.recipe import canonical_json, config_of, reading_named, step_recipe
from pipeline.schema import CANONICAL, HANDED, SPANS
from pipeline.spans import check_spans
from pipeline.stage import Global, Stage, shortened
from pipeline.translation import message, t

SHRINK_TRIES = 300
"""Maximum number of calls of a check to find the shortest text that fails it."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    fault: what was found, empty if the check passed; advice: what to do; text: the shortest one that fails the check,
    None if texts do not matter; skipped: why it was not run.
    """

    name: str
    fault: str = ""
    advice: str = ""
    text: str | None = None
    skipped: str = ""

    @property
    def ok(self) -> bool:
        """Whether the check passed or was skipped."""
        return not self.fault

    def line(self) -> str:
        """The check in one line."""
        if self.skipped:
            return pad(t(self.name), 19) + t(f"skipped: {t(self.skipped)}")
        shown = "" if self.text is None else t(f" Text: {shortened(self.text, 120)}.")
        state = t(f"FAILED: {t(self.fault)}.") + f"{shown} {t(self.advice)}" if self.fault else t("ok")
        return pad(t(self.name), 19) + state


class Subject:
    """A loaded stage, and the batches that it reads.

    packages: searched for the steps whose columns the stage reads.
    """

    def __init__(self, stage: Stage, config: Any = None, packages: Sequence[str] = PACKAGES) -> None:
        self.config = stage.config() if config is None else config
        shaped = stage if config is None else reading_named(stage, config)
        assert isinstance(shaped, Stage)  # a stage keeps its class
        self.stage = shaped
        self.find: Callable[[str], Stage | Global] = lambda name: find_step(name, packages)
        self.annotate = loaded(stage) if config is None else stage.load(config)

    def batch(self, texts: Texts) -> pa.Table:
        """The columns that the stage reads, for documents with these texts."""
        return self.batch_of(table_of(texts))

    def batch_of(self, documents: pa.Table) -> pa.Table:
        """The columns that the stage reads, for canonical documents."""
        (table,) = Corpus([documents], self.find).inputs(self.stage)
        return table

    def run(self, table: pa.Table) -> pa.Table:
        """Annotate a batch and check the schema, number of rows and spans of the result.

        Raises: FaultError or StageError if the result violates the contract.
        """
        result, stage = self.annotate(table), self.stage
        expect(isinstance(result, pa.Table), f"load gave a function that returns {type(result).__name__}")
        expect(
            result.schema.equals(stage.writes),
            f"wrote {flat(result.schema)}; declares {flat(stage.writes)}",
        )
        expect(
            result.num_rows == table.num_rows, f"wrote {result.num_rows} rows for {table.num_rows} documents"
        )
        result.validate(full=True)
        for field in stage.writes:
            if field.type == SPANS and "text" in stage.reads:
                spans = result[field.name].combine_chunks()
                check_spans(spans, table["text"].combine_chunks(), field.name)
                kinds = pc.struct_field(pc.list_flatten(spans), "kind").to_pylist()
                expect(all(kinds), f"{field.name} has a span without a kind")
        return result


def expect_same(found: pa.Table, expected: pa.Table, what: str) -> None:
    """Raise FaultError with the first column and value that differ; what: the circumstance, for the message."""
    if values(found) == values(expected):
        return
    for name in expected.column_names:
        for row, (a, b) in enumerate(zip(found[name].to_pylist(), expected[name].to_pylist(), strict=False)):
            expect(
                repr(a) == repr(b), f"{name} of document {row} is {shortened(a)} {what}, else {shortened(b)}"
            )
    raise FaultError(f"rows or schema differ {what}")


# Checks of any step


def check_declaration(step: Stage | Global, packages: Sequence[str] = PACKAGES) -> None:
    """Names are snake_case, columns that are read are canonical or written by a step, and column names are plain."""
    expect(bool(re.fullmatch(r"[a-z][a-z0-9_]*", step.name)), f"name is {step.name!r}; expected snake_case")
    expect(step.version >= 1, f"version is {step.version}; expected 1 or more")
    for name in step.writes.names:
        expect(bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name)), f"column {name!r} is no plain name")
    for name in step.reads:
        prefix, dot, column = name.partition(".")
        if not dot:
            plain = name in CANONICAL.names or (isinstance(step, Global) and name in HANDED)
            expect(
                plain, f"reads has {name!r}; expected one of {', '.join(CANONICAL.names)}, or `stage.column`"
            )
            continue
        try:
            written = find_step(prefix, packages).writes.names
        except LookupError:  # a step that is not installed here; sample values take its place
            continue
        expect(column in written, f"reads has {name!r}; {prefix} writes {', '.join(written)}")
    if isinstance(step, Global) and step.sparse is not None:
        expect(step.sparse in step.reads, f"sparse is {step.sparse!r}, which reads does not name")


def check_config(step: Stage | Global) -> None:
    """A config is a frozen dataclass that can be rebuilt from its fields, written as JSON and hashed to a recipe."""
    expect(dataclasses.is_dataclass(step.config), "config is no dataclass; expected @dataclass(frozen=True)")
    config = step.config()
    try:
        config.anything = 1
    except dataclasses.FrozenInstanceError:
        pass
    else:
        raise FaultError("config is not frozen; expected @dataclass(frozen=True, kw_only=True)")
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    expect(step.config(**fields) == config, "a config built from the fields of another is not equal to it")
    expect(
        step.config(**dataclasses.asdict(config)) == config, "dataclasses.asdict does not rebuild the config"
    )
    expect(config_of(step, {}, step.name) == config, "an empty `config:` of a run file is not the default")
    canonical_json(config)
    expect(
        bool(re.fullmatch(r"[0-9a-f]{32}", step_recipe(step, config, ()))),
        "the config cannot be hashed to a recipe",
    )


# Checks of stages: each takes texts and raises FaultError or StageError if the stage fails on them


def check_schema(subject: Subject, texts: Texts) -> None:
    """The result has the declared columns, dtypes and spans, and a row for each document."""
    subject.run(subject.batch(texts))


def check_boundaries(subject: Subject, texts: Texts, at: int | None = None) -> None:
    """Any split of a batch, after `at` or after each document, gives the same rows, and so do several chunks.

    texts: texts, or a table of canonical documents.
    """
    table = subject.batch_of(texts) if isinstance(texts, pa.Table) else subject.batch(texts)
    whole, n_rows = subject.run(table), table.num_rows
    splits = [[at], [1] * n_rows, [n_rows // 3]] if at is not None else [[1] * n_rows, [n_rows // 2]]
    for sizes in splits:
        batches = split_batches(table, sizes)
        expect_same(
            pa.concat_tables([subject.annotate(batch) for batch in batches]), whole, "in a smaller batch"
        )
        expect_same(subject.run(pa.concat_tables(batches)), whole, "in a batch of several chunks")


def check_neighbours(subject: Subject, texts: Texts) -> None:
    """The row of a document does not depend on the other documents of the batch, or their order."""
    table = subject.batch([TEXTS[0], *texts, TEXTS[3]])
    whole, n_rows = subject.run(table), table.num_rows
    expect_same(subject.run(table.slice(1, len(texts))), whole.slice(1, len(texts)), "without its neighbours")
    backwards = list(range(n_rows))[::-1]
    expect_same(subject.run(table.take(backwards)), whole.take(backwards), "in another order")


def check_empty(subject: Subject, texts: Texts = ()) -> None:
    """An empty batch gives no rows and the declared schema."""
    subject.run(subject.batch([]))


def check_nulls(subject: Subject, texts: Texts) -> None:
    """A document whose text is null raises no error and changes no other row."""
    with_nulls = [None if i % 2 else texts[i // 2] for i in range(2 * len(texts))]
    table = subject.batch(with_nulls)
    result, kept = subject.run(table), list(range(0, len(with_nulls), 2))
    expect_same(result.take(kept), subject.run(table.take(kept)), "beside a document whose text is null")
    subject.run(table.take([1]) if len(with_nulls) > 1 else table)


def check_repeats(subject: Subject, texts: Texts) -> None:
    """Annotating a batch twice gives the same rows, and does not change it, because other stages read it too."""
    table, copy = subject.batch(texts), subject.batch(texts)
    result = subject.run(table)
    expect_same(table, copy, "in the batch after annotate")
    expect_same(subject.run(table), result, "when the batch is annotated again")


def check_pickling(subject: Subject, texts: Texts) -> None:
    """The function that `load` returns can be pickled, and the copy gives the same rows."""
    table = subject.batch(texts)
    copy = pickle.loads(pickle.dumps(subject.annotate))
    expect_same(copy(table), subject.annotate(table), "from a pickled copy")


def check_rounding(subject: Subject, texts: Texts) -> None:
    """Floats are finite, and rounded as they are, as logarithms (perplexity) or as log-odds (scores), or exact."""
    result = subject.run(subject.batch(texts))
    for field in result.schema:
        if not pa.types.is_floating(field.type):
            continue
        numbers = np.array([v for v in result[field.name].to_pylist() if v is not None], np.float64)
        for number in numbers[~np.isfinite(numbers)][:1]:
            raise FaultError(f"{field.name} is {number}; expected a finite number or null")
        if subject.stage.exact:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = np.log(numbers / (1 - numbers))
            slack = 1e-6 + 1e-6 * np.abs(numbers)  # precision of float32
            near_one = 1e-5 + 1.2e-7 / np.abs(1 - numbers)
            forms = ((numbers, 4, slack), (np.log(numbers), 3, slack), (odds, 3, near_one))
        if not any(_is_rounded(*form) for form in forms):
            worst = max(numbers, key=lambda number: len(str(np.float32(number))))
            raise FaultError(f"{field.name} is {np.float32(worst)}; expected at most 4 decimals")


def _is_rounded(numbers: np.ndarray, n_decimals: int, slack: np.ndarray) -> bool:
    """Whether numbers have at most n_decimals decimals, within slack; infinities count as rounded. float64 (n,)
    each."""
    is_finite = np.isfinite(numbers)
    return bool(
        np.all(np.abs(numbers[is_finite] - np.round(numbers[is_finite], n_decimals)) <= slack[is_finite])
    )


def check_seeds(subject: Subject, texts: Texts) -> None:
    """Processes with different PYTHONHASHSEEDs give the same rows."""
    same_in_processes(subject.stage, subject.config, [subject.batch(texts)])


STAGE_CHECKS: dict[str, tuple[Callable[[Subject, Texts], None], str]] = {
    message("schema"): (
        check_schema,
        message("Write a row for each document, in order, with the columns and dtypes of SCHEMA."),
    ),
    message("empty batch"): (check_empty, message("Return a table of no rows with SCHEMA.")),
    message("batch boundaries"): (
        check_boundaries,
        message("Measure each document on its own: carry nothing over between documents."),
    ),
    message("neighbours"): (
        check_neighbours,
        message("Measure each document on its own, and keep the order of rows."),
    ),
    message("nulls"): (
        check_nulls,
        message("Give a document whose text is null a row of nulls (`each` does)."),
    ),
    message("shared batch"): (
        check_repeats,
        message("Neither write into the batch or its buffers nor keep state between calls."),
    ),
    message("pickling"): (
        check_pickling,
        message("Use module-level functions and classes: no lambdas, open files or locks."),
    ),
    message("rounding"): (
        check_rounding,
        message("Round to three decimals, so that results are equal on all machines."),
    ),
    message("hash seeds"): (check_seeds, message("Sort what comes out of sets, and do not use hash().")),
}
"""Checks of stages by name: (function, what to do when it fails)."""


def check_stage(
    step: Stage | Global, texts: Texts | None = None, config: Any = None, packages: Sequence[str] = PACKAGES
) -> Iterator[Check]:
    """Check a stage or global step against the contract, one named check at a time.

    Args: texts, to check the step with, those of `sample_texts` if None; config, the default one if None; packages,
    searched for the steps whose columns it reads: columns of steps that are not found get sample values of a guessed
    dtype.
    """
    texts = TEXTS if texts is None else texts
    outcome = _attempt(
        message("declaration"),
        lambda: check_declaration(step, packages),
        message("Correct the definition of the step."),
    )
    yield outcome
    yield _attempt(
        message("config"),
        lambda: check_config(step),
        message("Make the config a frozen dataclass of plain values."),
    )
    if not outcome.ok:
        return
    if isinstance(step, Global):
        config = step.config() if config is None else config
        named = reading_named(step, config)
        assert isinstance(named, Global)
        step = named
        shards = corpus_of(texts, packages).inputs(step)
        for name, (check_global, advice) in GLOBAL_CHECKS.items():
            yield _attempt(name, lambda check=check_global: check(step, config, shards), advice)  # type: ignore[misc]
        return
    subjects: list[Subject] = []
    outcome = _attempt(
        "load", lambda: subjects.append(Subject(step, config, packages)), "Let load work with this config."
    )
    yield outcome
    for name, (check, advice) in STAGE_CHECKS.items() if outcome.ok else ():
        yield _shrunk(name, check, subjects[0], texts, advice)


def _attempt(name: str, call: Callable[[], object], advice: str, text: str | None = None) -> Check:
    try:
        call()
    except SkipError as reason:
        return Check(name, skipped=str(reason))
    except FaultError as fault:
        return Check(name, str(fault), advice, text)
    except Exception as error:  # any error of the step is a fault
        shown = str(error) if isinstance(error, StageError) else f"raised {type(error).__name__}: {error}"
        return Check(name, shown, advice, text)
    return Check(name)


def _shrunk(
    name: str, check: Callable[[Subject, Texts], None], subject: Subject, texts: Texts, advice: str
) -> Check:
    """Run a check; if it fails, find the shortest text that fails it alone, if there is one."""
    outcome = _attempt(name, lambda: check(subject, texts), advice)
    if outcome.ok or check in (check_empty, check_seeds):
        return outcome
    tries = iter(range(SHRINK_TRIES))

    def fault_of(text: str) -> Check | None:
        if next(tries, None) is None:
            return None
        alone = _attempt(name, lambda: check(subject, [text]), advice, text)
        return None if alone.ok else alone

    for text in sorted((text for text in texts if text is not None), key=len):
        if failed := fault_of(text):
            return _shortest(failed, fault_of)
    return outcome


def _shortest(failed: Check, fault_of: Callable[[str], Check | None]) -> Check:
    """Remove pieces of the text, first halves, then smaller ones, as long as the check still fails."""
    size = len(failed.text or "") // 2
    while size:
        text, start = failed.text or "", 0
        while start < len(text):
            if shorter := fault_of(text[:start] + text[start + size :]):
                failed, text = shorter, shorter.text or ""
            else:
                start += size
        size //= 2
    return failed
