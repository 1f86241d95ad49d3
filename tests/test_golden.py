"""The contract tests can fail: golden files and checks against a tiny stage, sound and broken."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.checking.check_stage import Subject
from pipeline.errors import StageError
from pipeline.schema import SPANS
from pipeline.stage import Stage, bind
from tests.helpers import golden as golden_module
from tests.helpers.golden import DOCUMENTS, Golden, plain
from tests.helpers.strategies import table_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """unit: what a character counts."""

    unit: int = 1


SCHEMA = pa.schema({"n_chars": pa.int64()})


def annotate(batch: pa.Table, config: Config) -> pa.Table:
    """Count characters."""
    return pa.table({"n_chars": pc.multiply(pc.utf8_length(batch["text"]), config.unit)})


STAGE = Stage(name="tiny", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of golden files."""
    monkeypatch.setattr(golden_module, "FOLDER", tmp_path)
    return tmp_path


def test_a_missing_golden_file_is_written_on_request_only(folder: Path) -> None:
    """Without --update-golden a new stage fails; with it the file appears and holds every document."""
    with pytest.raises(pytest.fail.Exception, match=r"found none, .* run pytest --update-golden"):
        Golden(update=False).check(STAGE, Config())
    Golden(update=True).check(STAGE, Config())
    Golden(update=False).check(STAGE, Config())
    written = json.loads((folder / "tiny.json").read_text("utf-8"))
    assert written["rows"] == [[len(text)] for text in DOCUMENTS]


@pytest.mark.parametrize("update", [False, True])
def test_output_may_not_change_without_a_version(folder: Path, update: bool) -> None:
    """Other output under the same version fails, with --update-golden as well, and names the value."""
    Golden(update=True).check(STAGE, Config())
    changed = dataclasses.replace(STAGE, load=bind(lambda batch, config: annotate(batch, Config(unit=2))))
    with pytest.raises(pytest.fail.Exception, match=r"still 1; raise it.* n_chars: 9. became 1"):
        Golden(update=update).check(changed, Config())


def test_a_raised_version_or_another_config_asks_for_an_update(folder: Path) -> None:
    """A new version or config fails until the file is written again."""
    Golden(update=True).check(STAGE, Config())
    for stage, config in ((dataclasses.replace(STAGE, version=2), Config()), (STAGE, Config(unit=3))):
        with pytest.raises(
            pytest.fail.Exception, match=r"found one of version .* run pytest --update-golden"
        ):
            Golden(update=False).check(stage, config)
        Golden(update=True).check(stage, config)
        Golden(update=False).check(stage, config)


def test_values_are_written_in_one_plain_form() -> None:
    """float32 in its shortest digits, bytes as hex, NaN by name, lists and structs inside out."""
    kind = pa.list_(pa.struct({"a": pa.float32(), "b": pa.binary()}))
    value = [{"a": 0.10000000149011612, "b": b"\x01\xff"}, {"a": None, "b": None}]
    assert plain(value, kind) == [{"a": 0.1, "b": "01ff"}, {"a": None, "b": None}]
    assert [plain(x, pa.float64()) for x in (0.1, float("nan"), float("-inf"))] == [0.1, "nan", "-inf"]


def test_broken_answers_are_caught() -> None:
    """A wrong type, a lost row and a span beyond the text are each refused."""
    docs = table_of(DOCUMENTS[:2]).select(["text"])

    def run(stage: Stage, function: Any) -> pa.Table:
        return Subject(dataclasses.replace(stage, load=bind(function))).run(docs)

    with pytest.raises(StageError, match="declares"):
        run(STAGE, lambda batch: pa.table({"n_chars": pa.array([1, 2], pa.int32())}))
    with pytest.raises(StageError, match="wrote 1 rows for 2 documents"):
        run(STAGE, lambda batch: annotate(batch.slice(1), Config()))
    edits = dataclasses.replace(STAGE, writes=pa.schema({"spans": SPANS}))
    span = {"start": 0, "end": len(DOCUMENTS[0]) + 1, "kind": "x"}
    with pytest.raises(StageError, match="row 0 has span"):
        run(edits, lambda batch: pa.table({"spans": pa.array([[span], []], SPANS)}))
