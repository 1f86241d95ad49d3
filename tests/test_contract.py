"""The contract of stages and global steps, held by every one that the packages define.

A step needs no entry here: the packages are scanned. No step has a case of its own.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
import itertools
import os
import pickle
import re
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.recipe import absent, canonical_json, config_of, step_recipe
from pipeline.schema import CANONICAL, HANDED
from pipeline.stage import Global, Stage
from tests.helpers.contract import a_corpus, check, outcome_values
from tests.helpers.golden import DOCUMENTS, Golden
from tests.helpers.paths import ROOT
from tests.helpers.run_global import run_global
from tests.helpers.steps import Corpus, cut, found, globals_, loaded, modules, stages, values
from tests.helpers.strategies import documents, table_of, texts

EXAMPLES = settings(max_examples=25)


def every(steps: dict[str, Any]) -> pytest.MarkDecorator:
    """Run a test for each of these steps."""
    return pytest.mark.parametrize("step", steps.values(), ids=steps.keys())


def inputs(stage: Stage, docs: pa.Table) -> pa.Table:
    """What a stage reads of these documents."""
    (table,) = corpus_of(tuple(docs["text"].to_pylist())).inputs(stage)
    return table


@functools.lru_cache(maxsize=128)
def corpus_of(texts: tuple[str | None, ...]) -> Corpus:
    """These documents in one shard; kept, since the stages of a test get the same examples in turn."""
    return Corpus([table_of(texts)])


@pytest.mark.parametrize("name", modules())
def test_every_module_imports(name: str) -> None:
    """Each module below stages and classifiers can be imported without extras."""
    importlib.import_module(name)


def test_names_are_unique() -> None:
    """No two steps share the name that prefixes their columns."""
    names = [step.name for step in found().values()]
    assert sorted(names) == sorted(set(names))


@every(found())
def test_declarations_hold_together(step: Stage | Global) -> None:
    """Names are snake_case, columns read are canonical or another step's, and columns written have plain names."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", step.name)
    assert step.version >= 1
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) for name in step.writes.names), step.writes.names
    written = {f"{other.name}.{name}" for other in found().values() for name in other.writes.names}
    handed = set(HANDED) if isinstance(step, Global) else set()
    assert set(step.reads) <= written | set(CANONICAL.names) | handed
    if isinstance(step, Global) and step.sparse is not None:
        assert step.sparse in step.reads


@every(found())
def test_configs_survive_a_round_trip(step: Stage | Global) -> None:
    """A config is a frozen dataclass that can be rebuilt from its fields, written as JSON and made into a recipe."""
    assert dataclasses.is_dataclass(step.config)
    config: Any = step.config()  # Any: each step has its own config class
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.anything = 1
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    assert step.config(**fields) == config
    assert step.config(**dataclasses.asdict(config)) == config
    assert config_of(step, {}, "test") == config
    assert canonical_json(config) == canonical_json(copy.deepcopy(config))
    assert re.fullmatch(r"[0-9a-f]{32}", step_recipe(step, config, ()))


@every(found())
def test_what_a_step_requires_is_installed(step: Stage | Global) -> None:
    """A step is left out of the tests that load it only where a package that it names is missing."""
    if missing := absent(step):
        pytest.skip(f"{step.name} needs {', '.join(missing)}; tests that load it are left out")


@every(stages())
@EXAMPLES
@given(docs=documents(), at=st.integers(0, 6))
def test_rows_depend_on_their_document_alone(step: Stage, docs: pa.Table, at: int) -> None:
    """Any Unicode text gets a row of the declared schema, for any batch boundaries and chunks."""
    annotate, table = loaded(step.name), inputs(step, docs)
    whole = check(step, annotate, table)
    parts = [table.slice(0, at), table.slice(at)]
    assert values(pa.concat_tables([annotate(part) for part in parts])) == whole
    chunked = pa.concat_tables([part for part in parts if part.num_rows] or parts[:1])
    assert check(step, annotate, chunked) == whole


@every(stages())
@EXAMPLES
@given(text=texts())
def test_neighbours_do_not_matter(step: Stage, text: str) -> None:
    """A document alone gets the row that it gets among others, and the others keep theirs."""
    annotate, table = loaded(step.name), inputs(step, table_of([DOCUMENTS[0], text, DOCUMENTS[3]]))
    whole = annotate(table)
    assert values(annotate(table.slice(1, 1))) == values(whole.slice(1, 1))
    assert values(annotate(table.take([2, 0]))) == values(whole.take([2, 0]))


COMMENTED = (
    "x = f(values[1]);\n// a comment about the list of values\n// more on it\ny = g(x);\n\n# One\n# Two\n"
)


def test_stages_that_share_a_batch_do_not_change_it_for_each_other() -> None:
    """After any other stage on the same batch, each stage has the output that it has on a batch of its own."""
    texts = [DOCUMENTS[0], COMMENTED, DOCUMENTS[3], f"{DOCUMENTS[2]}\n{COMMENTED}"]
    readers = [step for step in stages().values() if "text" in step.reads]
    tables = {step.name: inputs(step, table_of(texts)) for step in readers}

    def on(text: pa.Array, step: Stage) -> str:
        table = tables[step.name]
        place = table.schema.get_field_index("text")
        return values(loaded(step.name)(table.set_column(place, "text", text)))

    alone = {step.name: on(pa.array(texts, pa.large_string()), step) for step in readers}
    for one, other in itertools.permutations(readers, 2):
        text = pa.array(texts, pa.large_string())  # new buffers, of which nothing is remembered
        on(text, one)
        assert on(text, other) == alone[other.name], f"{other.name} after {one.name}"


@every(stages())
def test_an_empty_batch_has_no_rows(step: Stage) -> None:
    """A batch of no documents gives no rows and the declared schema."""
    check(step, loaded(step.name), inputs(step, table_of([])))


@every(stages())
def test_erased_documents_do_no_harm(step: Stage) -> None:
    """A document whose text is null raises nothing and changes no other row."""
    annotate = loaded(step.name)
    whole = annotate(inputs(step, table_of(DOCUMENTS)))
    holes = [None if i % 3 == 1 else text for i, text in enumerate(DOCUMENTS)]
    table = inputs(step, table_of(holes))
    check(step, annotate, table)
    kept = [i for i, text in enumerate(holes) if text is not None]
    assert values(annotate(table).take(kept)) == values(whole.take(kept))


@every(stages())
def test_a_loaded_stage_pickles(step: Stage) -> None:
    """What load returns can travel to a worker and does the same there."""
    table, annotate = inputs(step, table_of(DOCUMENTS)), loaded(step.name)
    assert values(pickle.loads(pickle.dumps(annotate))(table)) == values(annotate(table))


@every(globals_())
def test_global_functions_pickle(step: Global) -> None:
    """Map, reduce, finish and answer can travel to a worker."""
    for function in (step.map, step.reduce, step.finish, step.answer):
        assert pickle.loads(pickle.dumps(function)) is function


@every(stages() | globals_())
def test_known_documents_keep_their_known_values(step: Stage | Global, golden: Golden) -> None:
    """Output on the golden documents changes only together with the version."""
    golden.check(step, step.config())


@every(globals_())
def test_partitions_and_batches_change_no_outcome(step: Global) -> None:
    """1, 4 and 7 partitions and any cut of the shards into map batches leave the same rows and artefacts."""
    shards = a_corpus().inputs(step)
    config = step.config()
    whole = outcome_values(step, run_global(step, shards, config, 1))
    for n_partitions, sizes in ((4, []), (7, [1, 0, 2, 5]), (1, [3] * 20), (7, [1] * 40)):
        batches = [batch for shard in shards for batch in cut(shard, sizes)]
        assert outcome_values(step, run_global(step, batches, config, n_partitions)) == whole


@every(globals_())
def test_a_global_step_survives_empty_shards(step: Global) -> None:
    """No documents at all, and shards without documents beside others, are fine."""
    empty = Corpus([table_of([]), table_of([])]).inputs(step)
    outcome = run_global(step, empty, step.config(), 3)
    assert outcome.rows is None or outcome.rows.num_rows == 0
    outcome_values(step, outcome)
    shards = a_corpus().inputs(step)
    holes = [shards[0], shards[0].slice(0, 0), shards[1], shards[2]]
    config = step.config()
    with_holes = outcome_values(step, run_global(step, holes, config, 4))
    assert with_holes == outcome_values(step, run_global(step, shards, config, 4))


@every({name: step for name, step in globals_().items() if step.sparse})
def test_rows_that_sparse_skips_do_not_matter(step: Global) -> None:
    """Leaving out the rows whose sparse column is null changes nothing."""
    shards = a_corpus().inputs(step)
    assert step.sparse is not None
    dense = [shard.filter(pc.is_valid(shard[step.sparse])) for shard in shards]
    config = step.config()
    assert outcome_values(step, run_global(step, dense, config)) == outcome_values(
        step, run_global(step, shards, config)
    )


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
