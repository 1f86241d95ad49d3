"""`import bicorpus`: tables of any library in and out, the same kind out as in; its examples are executed here."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bicorpus
from pipeline.config.load import load_run
from pipeline.errors import ConfigError, UsageError
from pipeline.recipe import full_name, load_step, step_modules
from pipeline.stage import each
from stages.dedup import cluster_texts
from tests.helpers.build import reference, write_run
from tests.helpers.paths import ROOT

TEXTS = ["今天天气很好，我们一起去公园散步吧。", "The quick brown fox jumps over the lazy dog.", None, " "]


def shout_share(text: str) -> float | None:
    """Share of exclamation marks; null without text."""
    return text.count("!") / len(text) if text else None


def test_examples() -> None:
    """The examples of the module and its functions print what they show."""
    assert doctest.testmod(bicorpus).failed == 0


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of docs/everyday.md runs as it is written: its filter decides, its calls return tables."""
    monkeypatch.chdir(tmp_path)
    own, calls = re.findall(r"```python\n(.*?)```", (ROOT / "docs/everyday.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "my_filter.py").write_text(own, "utf-8")
    texts = [f"{text} {i}" for i in range(3) for text in (TEXTS[0], TEXTS[1], "这里有广告。")]
    pl.DataFrame({"text": texts}).write_parquet("docs.parquet")
    exec(calls, {})
    kept = bicorpus.filter(texts, "my_filter.py")
    assert [row["text"] for row in kept] == [text for text in texts if "广告" not in text]
    page = {
        "corpus": "own",
        "sources": [{"name": "docs", "reader": "parquet", "files": "docs.parquet"}],
        "annotate": ["my_filter"],
        "select": [{"name": "mine", "my_filter.keep": True}],
    }
    run = load_run(write_run(tmp_path, page))
    assert [(step.name, step.definition.writes.names) for step in run.annotate] == [("my_filter", ["keep"])]


def test_import_and_help_load_nothing_heavy() -> None:
    """Neither `import bicorpus` nor `bicorpus --help` imports Arrow, numba or torch."""
    code = (
        "import sys, bicorpus; from pipeline.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('pyarrow', 'numba', 'torch', 'ray') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n" and "dedup" in done.stdout


@pytest.mark.parametrize(
    "make",
    [pa.table, pl.DataFrame, pd.DataFrame, lambda columns: pa.record_batch(columns)],
    ids=["arrow", "polars", "pandas", "batch"],
)
def test_the_same_kind_comes_out(make: Any) -> None:
    """Rows, order and other columns stay; rows without text have nulls, and no filter keeps them."""
    data = make({"n": [1, 2, 3, 4], "body": TEXTS})
    labelled = bicorpus.annotate(data, ["language"])
    assert type(labelled) is type(data)
    table = labelled if isinstance(labelled, (pa.Table, pa.RecordBatch)) else pa.table(labelled)
    assert table.select(["n", "body"]).to_pydict() == {"n": [1, 2, 3, 4], "body": TEXTS}
    assert table["language.label"].to_pylist() == ["zho_Hans", "eng_Latn", None, None]
    kept = bicorpus.filter(data, "signals.n_chars>=20")
    assert type(kept) is type(data) and len(kept) == 1
    unique = bicorpus.dedup(data)
    assert type(unique) is type(data) and len(unique) == 4


def test_an_index_of_pandas_stays() -> None:
    """A data frame keeps the labels of its rows."""
    frame = pd.DataFrame({"text": ["first text", "second text", "first text"]}, index=["a", "b", "c"])
    assert list(bicorpus.dedup(frame, exact=True).index) == ["a", "b"]


def test_lists_of_mappings_and_columns_that_are_there_already() -> None:
    """A stage takes the columns of others from the table; it says which stage to add if it has to."""
    rows = bicorpus.annotate([{"text": TEXTS[1], "k": 1}], ["language"])
    assert rows[0]["k"] == 1
    more = bicorpus.annotate(rows, ["fluency"])
    both = bicorpus.annotate([{"text": TEXTS[1], "k": 1}], ["fluency", "language"])
    assert more[0]["fluency.perplexity"] == both[0]["fluency.perplexity"] and set(more[0]) == set(both[0])
    with pytest.raises(
        ConfigError, match=r"fluency reads language\.label, which is not there; add 'language'"
    ):
        bicorpus.annotate([TEXTS[1]], ["fluency"])
    assert (
        bicorpus.annotate([TEXTS[1]], ["signals"])[0]["signals.n_words"] == 9
    )  # may be null: no label needed


def test_a_function_is_a_stage() -> None:
    """Its column has the type that it returns; null is null; without a type, it says what to write."""
    (row, empty) = bicorpus.annotate(["Stop!", "no"], [each(shout_share)])
    assert row["shout_share.shout_share"] == 0.2 and empty["shout_share.shout_share"] == 0.0
    with pytest.raises(ConfigError, match="def keep"):
        bicorpus.annotate(["a"], [lambda text: True])

    def untyped(text):  # type: ignore[no-untyped-def]
        return True

    def unknown(words: str) -> bool:
        return True

    with pytest.raises(ConfigError, match="has no return type"):
        bicorpus.filter(["a"], untyped)
    with pytest.raises(ConfigError, match="takes words"):
        bicorpus.filter(["a"], unknown)
    with pytest.raises(UsageError, match="write what is kept"):
        bicorpus.filter(["a"], shout_share)


def test_marks_name_the_row_that_is_kept() -> None:
    """`dedup` agrees with `cluster_texts`; `prefer` changes which copy is kept."""
    base = "".join(chr(0x4E00 + (i * i * 31 + 7 * i) % 5000) for i in range(600))
    texts = [base, base[:-8], "其他的一段文字，与上面的没有关系。", base, None]
    marked = bicorpus.dedup(texts, mark=True)
    expected = cluster_texts(pa.array(texts, pa.large_string()))["keeper"].to_pylist()
    assert [row["bicorpus.keeper"] for row in marked] == expected == [0, 0, 2, 0, 4]
    assert [row["bicorpus.kind"] for row in marked] == [None, "near", None, "raw", None]
    assert [row["bicorpus.keeper"] for row in bicorpus.dedup(texts, mark=True, prefer="last")] == [
        3,
        3,
        2,
        3,
        4,
    ]
    assert len(bicorpus.dedup(texts, exact=True)) == 4


def test_explain_shows_measurements_and_rules() -> None:
    """The recommended rules drop a fragment, and keep nothing without text."""
    found = bicorpus.explain("点击这里")
    assert not found.keep and found.rule == "zho_too_short" and found.columns["signals.n_chars"] == 4
    assert "signals.n_chars 4 (min 100, margin -96)" in str(found)
    assert bicorpus.explain(" ").rule == "empty_text"


def test_a_release_is_one_table() -> None:
    """By the folder of a release or its store, whole or in part, for each library."""
    store = reference().store
    table = bicorpus.read_release(str(store), columns=["doc_id", "text"])
    frame = bicorpus.read_release(f"{store}/releases/v1", part="ledger", to="polars")
    assert table.num_rows == reference().record["kept"] == frame["keep"].sum()
    with pytest.raises(UsageError, match="did you mean 'ledger'"):
        bicorpus.read_release(str(store), part="leger")


def test_short_names_and_modules_that_are_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of the packages has its short name; the message for another says where it was looked for."""
    named = {
        (attribute, name): module
        for (attribute, name), module in step_modules().items()
        if attribute == "STAGE"
    }
    for (attribute, name), module in named.items():
        assert vars(importlib.import_module(module))[attribute].name == name
        assert full_name(name, ["STAGE"]) == module
    assert full_name("datatrove", ["STAGE"]) == "stages.datatrove"  # not the package of that name
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "has_no_stage.py").write_text("x = 1")
    with pytest.raises(
        ConfigError, match=f"no module 'qualty'; did you mean 'quality'.*looked in .*{tmp_path}"
    ):
        load_step("qualty", "STAGE", "test")
    with pytest.raises(ConfigError, match=r"has_no_stage has no STAGE; expected a module that defines one$"):
        load_step("has_no_stage", "STAGE", "test")
    (tmp_path / "a_function.py").write_text("def keep(text: str) -> bool:\n    return True\n")
    with pytest.raises(ConfigError, match=r"such as `STAGE = each\(keep\)`"):
        load_step("a_function", "STAGE", "test")
