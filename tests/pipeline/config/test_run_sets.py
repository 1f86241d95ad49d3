"""Run files that name a set: what is added and replaced, the text that a release keeps, and lines in messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.config.load import load_run
from pipeline.config.run_sets import set_of, with_set
from pipeline.config.spelling import preset_plain, preset_text
from pipeline.errors import ConfigError, UsageError
from pipeline.scaffold.draft import write_draft
from tests.helpers.inputs import EN, ZH, jsonl

PAGE = """corpus: mine
use: recommended
sources:
  - name: a
    reader: stages.readers.jsonl
    files: a.jsonl
annotate:
  - stages.pii
  - {use: stages.dedup.exact}
select:
  - {name: short, signals.n_chars: {min: 200}}
  - {preset: recommended, except: [eng_short_lines]}
release: {edits: {pii: [email]}, replace: {email: "<EMAIL>"}}
"""


def load(folder: Path, page: str) -> Any:
    """The run file of a page."""
    (folder / "run.yaml").write_text(page)
    return load_run(folder / "run.yaml")


def test_own_sections_are_added_to_those_of_the_set(tmp_path: Path) -> None:
    """Stages and rules are appended, or take the place of the set's; mappings are merged."""
    run = load(tmp_path, PAGE)
    base = [
        entry["use"] if isinstance(entry, dict) else entry for entry in set_of("recommended", "")["annotate"]
    ]
    assert [step.module for step in run.annotate] == [*base, "stages.pii"]
    names = [rule.name for rule in run.select]
    assert names[0] == "language" and names[-1] == "short" and "eng_short_lines" not in names
    assert [name for name, _ in run.release.edits.spans] == ["boilerplate.spans", "pii.spans"]
    assert run.keep_one is not None


def test_a_release_keeps_the_set_spelt_out(tmp_path: Path) -> None:
    """The text of a run names no set, loads to the same run, and ends in the file as written."""
    run = load(tmp_path, PAGE)
    assert "use" not in yaml.safe_load(run.text) and run.text.endswith("# " + PAGE.splitlines()[-1] + "\n")
    again = load(tmp_path, run.text)
    assert (again.annotate, again.globals, again.select) == (run.annotate, run.globals, run.select)
    assert with_set({"corpus": "x"}, "p") == ({"corpus": "x"}, {})


def test_init_writes_the_set_by_name_or_out(tmp_path: Path) -> None:
    """Both load to the same steps, rules and edits; the expanded file names no set and no preset."""
    files = [str(jsonl(tmp_path / "a.jsonl", [{"content": ZH}, {"content": EN}]))]
    short = load_run(write_draft(files, str(tmp_path / "short.yaml")).path)
    long_path = write_draft(files, str(tmp_path / "long.yaml"), expand=True).path
    long = load_run(long_path)
    assert (short.annotate, short.globals, short.select) == (long.annotate, long.globals, long.select)
    assert (short.keep_one, short.release) == (long.keep_one, long.release)
    page = yaml.safe_load(Path(long_path).read_text("utf-8"))
    assert "use" not in page and not any("preset" in rule for rule in page["select"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("use: recommended", "use: recomended", ":2: use: no set 'recomended'; did you mean 'recommended'?"),
        (
            "stages.readers.jsonl",
            "stages.readers.jsnl",
            ":4: sources[0]: no module 'stages.readers.jsnl'; did you mean 'stages.readers.jsonl'?",
        ),
        ("    files:", "    fies:", ":6: sources[0]: unknown key 'fies'; did you mean 'files'?"),
        ("stages.pii", "stages.pi", ":8: annotate[0]: no module 'stages.pi'; did you mean 'stages.pii'?"),
        ("signals.n_chars", "signals.n_char", ":11: select.short: no column 'signals.n_char'; did you mean"),
        ("{pii: [email]}", "{pii: 3}", ":13: release.edits.pii is 3; expected"),
        ("corpus:", "corps:", ":1: unknown key 'corps'; did you mean 'corpus'?"),
    ],
)
def test_messages_name_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    """An error begins with the file and the line of its setting, counted in the file as written."""
    with pytest.raises(ConfigError) as error:
        load(tmp_path, PAGE.replace(old, new))
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "run.yaml:"))


def test_presets_are_spelt_out() -> None:
    """Sets and lists of rules, as YAML that a run file may have; without a name, all names."""
    assert yaml.safe_load(preset_text("recommended")) == preset_plain("recommended")
    assert len(preset_plain("recommended")["select"]) > 50
    assert {rule["name"] for rule in preset_plain("gopher")["select"]} >= {"gopher_too_short"}
    with pytest.raises(UsageError, match="did you mean 'gopher'"):
        preset_plain("gofer")
    result = CliRunner().invoke(main, ["rules"])
    assert "use: recommended" in result.stdout and "fineweb" in result.stdout
