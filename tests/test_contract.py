"""The contract of stages and global steps, held by every one that the packages define.

A step needs no entry here: the packages are scanned. No step has a case of its own.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.checking.check_global import GLOBAL_CHECKS, corpus_of
from pipeline.checking.check_stage import (
    STAGE_CHECKS,
    Subject,
    check_boundaries,
    check_config,
    check_declaration,
    check_neighbours,
)
from pipeline.checking.sample_texts import TEXTS
from pipeline.recipe import absent
from pipeline.stage import Global, Stage
from tests.helpers.golden import DOCUMENTS, Golden
from tests.helpers.paths import ROOT
from tests.helpers.steps import found, globals_, loaded, modules, producer, stages, values
from tests.helpers.strategies import documents, texts

EXAMPLES = settings(max_examples=25)


def every(steps: dict[str, Any]) -> pytest.MarkDecorator:
    """Run a test for each of these steps."""
    return pytest.mark.parametrize("step", steps.values(), ids=steps.keys())


@functools.cache
def subject(name: str) -> Subject:
    """The stage with this name, loaded once."""
    stage = producer(name)
    assert isinstance(stage, Stage)
    return Subject(stage)


def test_every_module_imports() -> None:
    """Each module below stages and classifiers can be imported without extras."""
    for name in modules():
        importlib.import_module(name)


def test_names_are_unique() -> None:
    """No two steps share the name that prefixes their columns."""
    names = [step.name for step in found().values()]
    assert sorted(names) == sorted(set(names))


@every(found())
def test_declarations_hold_together(step: Stage | Global) -> None:
    """Names are snake_case, what is read is canonical or another step's, columns carry plain names."""
    check_declaration(step)
    written = {f"{other.name}.{name}" for other in found().values() for name in other.writes.names}
    assert {name for name in step.reads if "." in name} <= written


@every(found())
def test_configs_survive_a_round_trip(step: Stage | Global) -> None:
    """A config is a frozen dataclass that its fields rebuild, that JSON can hold and that makes a recipe."""
    check_config(step)


@every(found())
def test_what_a_step_requires_is_installed(step: Stage | Global) -> None:
    """A step is left out of the tests that load it only where a package that it names is missing."""
    if missing := absent(step):
        pytest.skip(f"{step.name} needs {', '.join(missing)}; tests that load it are left out")


@every(stages())
@pytest.mark.parametrize("name", sorted(STAGE_CHECKS.keys() - {"hash seeds"}))
def test_stages_keep_to_the_contract(step: Stage, name: str) -> None:
    """Each check of `bicorpus check-stage` passes on known documents and on the texts that it comes with."""
    check, _ = STAGE_CHECKS[name]
    check(subject(step.name), [*DOCUMENTS, *TEXTS])


@every(stages())
@EXAMPLES
@given(docs=documents(), at=st.integers(0, 6))
def test_rows_depend_on_their_document_alone(step: Stage, docs: pa.Table, at: int) -> None:
    """Any Unicode text gets a row of the declared schema, whatever the batch boundaries and chunks are."""
    check_boundaries(subject(step.name), docs, at)


@every(stages())
@EXAMPLES
@given(text=texts())
def test_neighbours_do_not_matter(step: Stage, text: str) -> None:
    """A document alone gets the row that it gets among others, and the others keep theirs."""
    check_neighbours(subject(step.name), [text])


COMMENTED = (
    "x = f(values[1]);\n// a comment about the list of values\n// more on it\ny = g(x);\n\n# One\n# Two\n"
)


@every({name: stage for name, stage in stages().items() if stage.optional.names})
def test_optional_columns_may_be_absent(step: Stage) -> None:
    """A call without the optional columns gives what nulls in them give, and text gives values."""
    batch = pa.table({"text": pa.array(TEXTS, pa.large_string())})
    full = batch
    for column in step.optional:
        full = full.append_column(column, pa.nulls(len(batch), column.type))
    assert set(step.reads) == set(full.column_names)
    result = step.load(step.config())(batch)
    assert result.equals(step.load(step.config())(full))
    assert any(column.null_count < len(result) for column in result.columns)


def test_stages_that_share_a_batch_do_not_change_it_for_each_other() -> None:
    """After any other stage on the same batch, each stage has the output that it has on a batch of its own."""
    texts = [DOCUMENTS[0], COMMENTED, DOCUMENTS[3], f"{DOCUMENTS[2]}\n{COMMENTED}"]
    readers = [step for step in stages().values() if "text" in step.reads]
    tables = {step.name: subject(step.name).batch(texts) for step in readers}

    def on(text: pa.Array, step: Stage) -> str:
        table = tables[step.name]
        place = table.schema.get_field_index("text")
        return values(loaded(step.name)(table.set_column(place, "text", text)))

    alone = {step.name: on(pa.array(texts, pa.large_string()), step) for step in readers}
    for one, other in itertools.permutations(readers, 2):
        text = pa.array(texts, pa.large_string())  # new buffers, of which nothing is remembered
        on(text, one)
        assert on(text, other) == alone[other.name], f"{other.name} after {one.name}"


@every(stages() | globals_())
def test_known_documents_keep_their_known_values(step: Stage | Global, golden: Golden) -> None:
    """Output on the golden documents changes only together with the version."""
    golden.check(step, step.config())


@every(globals_())
@pytest.mark.parametrize("name", sorted(GLOBAL_CHECKS.keys() - {"hash seeds"}))
def test_global_steps_keep_to_the_contract(step: Global, name: str) -> None:
    """Each check of `bicorpus check-stage` passes on known documents, their copies and parts of them."""
    check, _ = GLOBAL_CHECKS[name]
    check(step, step.config(), corpus_of(DOCUMENTS).inputs(step))


def test_hash_seeds_do_not_matter() -> None:
    """Two processes with different PYTHONHASHSEED give the same output for every step."""
    code = "from tests.helpers.contract import all_output_digest; print(all_output_digest())"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for seed in ("1", "20240229")
    ]  # fmt: skip
    outputs = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert len({digest for digest, _ in outputs}) == 1
