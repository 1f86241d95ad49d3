"""`each`: a stage made of a function of one document."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from pipeline.annotate.wave import bisect
from pipeline.config.run_file import StageStep
from pipeline.errors import ConfigError, StageError
from pipeline.runtime.progress import Progress
from pipeline.stage import NoConfig, Stage, bind, each

SCHEMA = pa.schema({"n_chars": pa.int32(), "upper_share": pa.float32(), "first": pa.string()})


@dataclass(frozen=True, kw_only=True)
class Config:
    """least: shorter texts have no `first`."""

    least: int = 2


def measure(text: str) -> dict[str, Any]:
    """Lengths of one text."""
    if text == "none":
        raise ValueError(text)
    return {"n_chars": len(text), "upper_share": 0.5, "first": text[0]}


def with_config(text: str, config: Config) -> dict[str, Any] | None:
    """Nothing of a text without letters, and no `first` of a short one."""
    if not text.strip():
        return None
    return {"n_chars": len(text)} | ({"first": text[0]} if len(text) >= config.least else {})


def with_label(text: str, label: str | None, config: Config) -> dict[str, Any]:
    """The label beside the length."""
    return {"n_chars": len(text) + config.least, "first": label}


def stage_of(function: Any, **changes: Any) -> Stage:
    """A stage of this function."""
    facts = {"name": "own", "version": 1, "reads": ("text",), "writes": SCHEMA, "load": each(function)}
    return Stage(**facts | changes)


def table_of(*texts: str | None, **columns: list[Any]) -> pa.Table:
    """A batch of these texts and further columns."""
    return pa.table({"text": pa.array(texts, pa.large_string()), **columns})


def test_a_stage_is_made_of_a_function_of_one_text() -> None:
    """Each text is measured, null texts get nulls, and the columns have the declared dtypes."""
    annotate = stage_of(measure).load(NoConfig())
    result = annotate(table_of("Ab", None, "春天来了"))
    assert result.schema == SCHEMA
    assert result["n_chars"].to_pylist() == [2, None, 4]
    assert result["first"].to_pylist() == ["A", None, "春"]
    assert annotate(table_of()).schema == SCHEMA
    assert pickle.loads(pickle.dumps(annotate))(table_of("Ab")) == annotate(table_of("Ab"))


def test_what_a_measurement_lacks_is_null() -> None:
    """Missing columns are null, and all of them where nothing is returned; settings come by name."""
    annotate = stage_of(with_config, config=Config).load(Config(least=3))
    assert annotate(table_of("ab", "abc", " ")).to_pylist() == [
        {"n_chars": 2, "upper_share": None, "first": None},
        {"n_chars": 3, "upper_share": None, "first": "a"},
        {"n_chars": None, "upper_share": None, "first": None},
    ]


def test_further_columns_are_further_parameters() -> None:
    """A function gets the columns of `reads` in their order; null ones but the first are None."""
    stage = stage_of(with_label, config=Config, reads=("text", "language.label"))
    batch = table_of("ab", "c", None, **{"language.label": ["eng_Latn", None, None]})
    assert stage.load(Config())(batch)["n_chars"].to_pylist() == [4, 3, None]
    assert stage.load(Config())(batch)["first"].to_pylist() == ["eng_Latn", None, None]


@pytest.mark.parametrize(
    ("function", "reads"), [(with_label, ("text",)), (measure, ("text", "url")), (lambda: {}, ("text",))]
)
def test_a_function_of_other_parameters_is_refused(function: Any, reads: tuple[str, ...]) -> None:
    """A function must take a parameter for each column that the stage reads."""
    with pytest.raises(ConfigError, match=r"own: measure takes .*; expected a parameter for each column"):
        stage_of(function, reads=reads)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"n_char": 3}, r"own\.n_char: measure returned 3 for document 1 .*'Zwei'; SCHEMA has no such column, only"),
        ({"n_chars": "3"}, r"own\.n_chars: measure returned '3' for document 1 .*'Zwei'; expected int32"),
        ({"n_chars": 0.5}, r"own\.n_chars: measure returned 0\.5 .*expected int32"),
        ({"n_chars": 1 << 40}, r"own\.n_chars: measure returned 1099511627776 .*expected int32"),
        ({"first": 3}, r"own\.first: measure returned 3 .*expected string"),
        (0.5, r"own\.measure: measure returned 0\.5 .*expected a dict of columns"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(row: Any, message: str) -> None:
    """The error names stage, column, value and document, of a function that breaks its schema."""
    annotate = stage_of(lambda text: row if text == "Zwei" else {"n_chars": 1}).load(NoConfig())
    with pytest.raises(StageError, match=message) as caught:
        annotate(table_of("Eins", "Zwei", "Drei"))
    assert caught.value.row == 1
    assert pickle.loads(pickle.dumps(caught.value)).row == 1


def test_the_row_of_an_error_counts_from_the_start_of_the_batch() -> None:
    """Also where another document raises first, and the batch is halved to find it."""

    def frail(text: str) -> dict[str, Any]:
        return measure(text) | ({"n_char": 1} if text == "wrong" else {})

    step = StageStep(name="own", module="tests.frail", definition=stage_of(frail), config=NoConfig())
    result, bad = bisect(step, table_of("a", "b", "none", "c", "none"))
    assert sorted(bad) == [2, 4] and result["n_chars"].to_pylist() == [1, 1, None, 1, None]
    step = StageStep(name="own", module="tests.wrong", definition=stage_of(frail), config=NoConfig())
    with pytest.raises(StageError, match=r"own\.n_char") as caught:
        bisect(step, table_of("a", "none", "b", "c", "wrong"))
    assert caught.value.row == 4


def test_a_batch_function_without_settings_takes_the_batch_alone() -> None:
    """`bind` passes the config to a function of two parameters only."""
    assert bind(len)(NoConfig()) is len
    assert bind(lambda batch, config: config)(3)(None) == 3


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Whether lines are redrawn."""
        return True


def test_an_error_has_a_line_of_its_own() -> None:
    """The line of a phase that is stopped by an error ends; a phase without tasks prints none."""
    stream = Terminal()
    progress = Progress(stream)
    with progress.phase("nothing", 0):
        pass
    assert stream.getvalue() == ""
    with pytest.raises(StageError), progress.phase("signals", 2) as phase:
        phase.step()
        raise StageError("own: raised")
    assert stream.getvalue().endswith("\n")
    assert " in 0.0 s" not in stream.getvalue()
