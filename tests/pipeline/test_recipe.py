"""Recipes: the same for the same content, another for anything that changes the output, never a path."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pipeline.names import MOVED
from pipeline.recipe import canonical_json, config_of, digest, load_step, step_recipe, table_digest
from pipeline.stage import Stage, bind
from tests.helpers.paths import ROOT


@dataclass(frozen=True, kw_only=True)
class Config:
    """A config with a file."""

    model: str = ""
    n: int = 1


STAGE = Stage(
    name="s", version=1, config=Config, reads=("text",), writes=pa.schema({"n": pa.int32()}),
    load=bind(lambda table, config: table), files=("model",),
)  # fmt: skip


def test_a_recipe_takes_what_a_file_holds_and_not_where_it_is(tmp_path: Path) -> None:
    """Moving a model changes nothing; another byte in it does."""
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"one")
    (tmp_path / "c").write_bytes(b"two")
    a, b, c = (step_recipe(STAGE, Config(model=str(tmp_path / name)), []) for name in "abc")
    assert a == b != c


def test_everything_that_changes_output_changes_the_recipe(tmp_path: Path) -> None:
    """Version, config, upstream and gate each enter."""
    config = Config(model=str(tmp_path / "m"))
    Path(config.model).write_bytes(b"m")
    recipes = {
        step_recipe(STAGE, config, []),
        step_recipe(dataclasses.replace(STAGE, version=2), config, []),
        step_recipe(STAGE, dataclasses.replace(config, n=2), []),
        step_recipe(STAGE, config, ["upstream"]),
        step_recipe(STAGE, config, [], extra="gate"),
    }
    assert len(recipes) == 5


def test_only_plain_data_has_a_digest() -> None:
    """A callable or an object is refused by name instead of hashed by its address."""
    assert canonical_json({"b": (1, 2), "a": None}) == '{"a":null,"b":[1,2]}'
    assert digest({"x": {1, 2, 3}}) == digest({"x": frozenset({3, 2, 1})})
    with pytest.raises(ConfigError, match="a function has no canonical form"):
        digest(lambda: None)


def test_a_table_s_digest_ignores_how_it_lies_in_memory() -> None:
    """Chunks, offsets and slices do not matter; values and nulls do."""
    values = pa.array([["a"], None, ["b", "c"], []])
    whole = pa.table({"x": values})
    chunked = pa.table({"x": pa.chunked_array([values.slice(0, 1), values.slice(1)])})
    padded = pa.table({"x": pa.concat_arrays([pa.array([["zz"]]), values])}).slice(1)
    assert table_digest(whole) == table_digest(chunked) == table_digest(padded)
    assert table_digest(whole) != table_digest(pa.table({"x": pa.array([["a"], [], ["b", "c"], []])}))


def test_unknown_settings_and_modules_are_named() -> None:
    """A misspelt setting is refused with the nearest name; a missing module is named."""
    with pytest.raises(ConfigError, match=r"annotate\[0\]: unknown key 'modle'; did you mean 'model'"):
        config_of(STAGE, {"modle": "x"}, "annotate[0]")
    with pytest.raises(ConfigError, match=r"annotate\[1\]: no module 'stages.nothing'"):
        load_step("stages.nothing", "STAGE", "annotate[1]")


@pytest.mark.parametrize("old", MOVED)
def test_a_renamed_module_is_refused_with_its_new_name(old: str) -> None:
    """The error for the old name of a module gives the new one, which defines what the old one defined."""
    with pytest.raises(ConfigError, match=rf"^run\.yaml: annotate\[0\]: {old} has moved: use {MOVED[old]}$"):
        load_step(old, "STAGE", "run.yaml: annotate[0]")
    load_step(MOVED[old], "STAGE", "annotate[0]", "GLOBAL", "Config")


def test_a_package_that_hides_ours_is_named(tmp_path: Path) -> None:
    """Where a folder of PYTHONPATH has a package `stages`, the error for a module of ours gives its path."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    code = (
        "from pipeline.recipe import load_step; load_step('stages.readers.nothing', 'READER', 'sources[0]')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert (
        f"no module 'stages.readers.nothing': {tmp_path / 'stages'} hides the package of bicorpus"
        in run.stderr
    )
