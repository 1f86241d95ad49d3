"""`bicorpus check`, and where the store comes from when no option names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from tests.helpers.inputs import EN, ZH, jsonl


def run(*args: object, env: dict[str, str] | None = None) -> Result:
    """Run a command."""
    return CliRunner(env=env).invoke(main, [str(arg) for arg in args])


def page(folder: Path, columns: str) -> Path:
    """A run file with one source of two files."""
    jsonl(folder / "in" / "a.jsonl", [{"content": ZH, "id": "a"}, {"content": ""}])
    jsonl(folder / "in" / "b.jsonl", [{"content": EN, "link": "https://a.org/"}])
    source = f"{{name: a, reader: stages.readers.jsonl, files: in/*.jsonl, columns: {columns}}}"
    text = f"corpus: x\nuse: recommended\nsources:\n  - {source}\n"
    (folder / "run.yaml").write_text(text)
    return folder / "run.yaml"


def test_one_record_of_each_source_is_shown(tmp_path: Path) -> None:
    """Address, text, mapped columns, quarantined records; later files are looked at for fields that the first lack."""
    result = run("check", page(tmp_path, "{text: content, url: link}"))
    assert result.exit_code == 0
    assert "record a.jsonl:0" in result.stdout and ZH[:10] in result.stdout
    assert "quarantined: empty_text 1" in result.stdout
    found = json.loads(run("check", tmp_path / "run.yaml", "--json").stdout)
    assert (found[0]["n_files"], found[0]["faults"]) == (2, [])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("{text: contents}", "did you mean 'content'?"),
        ("{text: content, url: lnk}", "columns.url: no record has the field 'lnk'; did you mean 'link'?"),
    ],
)
def test_a_field_that_no_record_has_is_a_fault(tmp_path: Path, columns: str, message: str) -> None:
    """Exit code 2, with the most similar field."""
    result = run("check", page(tmp_path, columns))
    assert result.exit_code == 2
    assert message in result.stdout


def test_the_store_may_be_set_outside_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment, or by bicorpus.toml in the folder or above; the option comes first."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.delenv("BICORPUS_STORE", raising=False)
    assert "BICORPUS_STORE" in run("status").stderr and run("status").exit_code == 2
    (tmp_path / "bicorpus.toml").write_text('store = "./corpus"\n')
    assert f"{tmp_path}/corpus" in run("status", "--json").output
    assert "/elsewhere" in run("status", "--json", env={"BICORPUS_STORE": str(tmp_path / "elsewhere")}).output
    assert "/named" in run("status", "--json", "--store", tmp_path / "named").output
    (tmp_path / "bicorpus.toml").write_text('stor = "./corpus"\n')
    assert "did you mean 'store'?" in run("status").stderr
