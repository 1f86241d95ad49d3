"""`bicorpus check-stage`: what it finds in stages that break the contract, and how it says so."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from pipeline.checking.check_stage import Check, check_stage
from pipeline.checking.in_memory import sample_values
from pipeline.cli import main
from pipeline.stage import NoConfig, Stage, bind, each

SCHEMA = pa.schema({"n": pa.float32()})
SERIAL = itertools.count()


def good(text: str) -> dict[str, float]:
    """A share of the text."""
    return {"n": round(text.count("a") / max(len(text), 1), 3)}


def beside(text: str, label: str | None, other: str | None) -> dict[str, float]:
    """What depends on columns of stages, one of which is not installed."""
    return {"n": float(len(label or "") + len(other or ""))}


def emoji(text: str) -> dict[str, float]:
    """Breaks on one character."""
    if "🙂" in text:
        raise ValueError("no emoji please")
    return good(text)


def serial(text: str) -> dict[str, float]:
    """Carries something over from one document to the next."""
    return {"n": float(next(SERIAL))}


def exact_share(text: str) -> dict[str, float]:
    """Does not round."""
    return {"n": text.count("a") / max(len(text), 1)}


def misnamed(text: str) -> dict[str, float]:
    """Writes a column that the schema does not have."""
    return {"m": 1.0} if "中" in text else {"n": 1.0}


def other_type(batch: pa.Table) -> pa.Table:
    """Writes another dtype."""
    return pa.table({"n": pa.array([1] * batch.num_rows, pa.int32())})


def one_short(batch: pa.Table) -> pa.Table:
    """Skips documents without text."""
    rows = [good(text) for text in batch["text"].to_pylist() if text]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def ranks(batch: pa.Table) -> pa.Table:
    """Looks at the neighbours."""
    return pa.table([pa.array(range(batch.num_rows), pa.float32())], schema=SCHEMA)


def hashed(text: str) -> dict[str, float]:
    """Another number in each process."""
    return {"n": float(hash(text) % 1000)}


def stage_of(function: Any, loader: Any = each, **changes: Any) -> Stage:
    """A stage of this function."""
    facts = {"name": "own", "version": 1, "reads": ("text",), "writes": SCHEMA, "load": loader(function)}
    return Stage(**facts | changes)


def faults(stage: Stage, **changes: Any) -> dict[str, Check]:
    """Failed checks by name."""
    return {check.name: check for check in check_stage(stage, **changes) if not check.ok}


def test_a_good_stage_passes() -> None:
    """Every check of a stage that keeps to the contract passes, and none is skipped."""
    found = list(check_stage(stage_of(good)))
    assert [check.line() for check in found if check.line().split()[-1] != "ok"] == []
    assert {"schema", "batch boundaries", "neighbours", "nulls", "pickling", "hash seeds"} <= {
        c.name for c in found
    }


def test_columns_of_stages_that_are_not_installed_are_made_up() -> None:
    """A stage that reads them is checked with sample values of a guessed dtype."""
    assert not faults(stage_of(beside, reads=("text", "language.label", "elsewhere.word")))
    assert (
        sample_values("upper_share", 3).type == pa.float32()
        and sample_values("n_words", 3).type == pa.int32()
    )


@pytest.mark.parametrize(
    ("stage", "check", "message"),
    [
        (stage_of(emoji), "schema", "raised ValueError: no emoji please. Text: '🙂'."),
        (stage_of(misnamed), "schema", "own.m: measure returned 1.0"),
        (stage_of(serial), "batch boundaries", "in a smaller batch"),
        (stage_of(serial), "shared batch", "when the batch is annotated again"),
        (stage_of(exact_share), "rounding", "expected at most 4 decimals"),
        (stage_of(other_type, bind), "schema", "wrote n: int32; declares n: float. Text: ''. Write a row"),
        (stage_of(one_short, bind), "schema", "wrote 0 rows for 1 documents. Text: ''."),
        (stage_of(ranks, bind), "neighbours", "without its neighbours"),
        (stage_of(hashed), "hash seeds", "other rows with another PYTHONHASHSEED"),
        (stage_of(lambda text: good(text)), "pickling", "no lambdas"),
        (stage_of(good, name="Own"), "declaration", "name is 'Own'; expected snake_case"),
        (stage_of(good, reads=("texts",)), "declaration", "reads has 'texts'; expected one of doc_id, text"),
        (stage_of(beside, reads=("text", "language.lable", "url")), "declaration", "reads has 'language.lable'"),
        (stage_of(good, config=dict), "config", "expected @dataclass(frozen=True)"),
    ],
)  # fmt: skip
def test_faults_are_found(stage: Stage, check: str, message: str) -> None:
    """A fault fails its check, with the shortest text that shows it."""
    found = faults(stage)
    assert check in found
    assert message in found[check].line()


def test_the_command_prints_a_line_for_each_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It exits 0 for a good stage, 1 for a failed check and 2 for a module that defines no step."""
    monkeypatch.syspath_prepend(str(tmp_path))
    head = "import pyarrow as pa\nfrom pipeline.stage import Stage, each\n"
    facts = "name='it', version=1, reads=('text',), writes=pa.schema({'n': pa.int32()}), load=each(measure)"
    stage = f"STAGE = Stage({facts})\n"
    (tmp_path / "good_one.py").write_text(head + "def measure(text):\n    return {'n': len(text)}\n" + stage)
    (tmp_path / "bad_one.py").write_text(
        head + "def measure(text):\n    return {'n': 1 // len(text)}\n" + stage
    )
    (tmp_path / "no_one.py").write_text("")
    result = CliRunner().invoke(main, ["check-stage", "good_one"])
    assert result.exit_code == 0, result.output
    assert result.output.count(" ok\n") == 12
    result = CliRunner().invoke(main, ["check-stage", "bad_one"])
    assert result.exit_code == 1
    assert (
        "schema             FAILED: raised ZeroDivisionError: " in result.output
        and "Text: ''." in result.output
    )
    assert CliRunner().invoke(main, ["check-stage", "no_one"]).exit_code == 2
    assert (
        CliRunner().invoke(main, ["check-stage", "stages.dedup.exact", "--config", "{a: 1}"]).exit_code == 2
    )


def test_settings_are_passed_on() -> None:
    """A step is checked with the config that is handed over."""
    assert not faults(stage_of(good), config=NoConfig(), texts=["a", "b"])
