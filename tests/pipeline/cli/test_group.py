"""How commands present themselves: help and errors in two languages, colour, completion, doctor."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from pipeline.cells import wide
from pipeline.cli import main
from pipeline.cli.group import wants_color
from pipeline.translation import language
from tests.helpers.build import cli

HAN = re.compile("[一-鿿]")


def commands(group: click.Group = main, *above: str) -> Iterator[tuple[str, ...]]:
    """The words of every command line that has a help."""
    yield above
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield (*above, name)


@pytest.mark.parametrize("chosen", ["en", "zh"])
def test_help_fits_80_cells(chosen: str) -> None:
    """No line of any help is wider than 80 cells; in Chinese no sentence of it is left in English."""
    for words in commands():
        shown = cli(*words, "--help", *(["--lang", chosen] if words != ("train", "kenlm") else [])).ok().out
        assert [line for line in shown.splitlines() if wide(line) > 80] == [], words
        if chosen == "zh" and words != ("train", "kenlm"):
            plain = re.sub(r"(示例：|bash：).*?(\n\n|\Z)", "\n\n", shown, flags=re.S)
            assert re.findall(r"(?:\b[a-z]{2,} ){4,}", plain) == [], words
            assert HAN.search(plain), words


def test_the_language_may_stand_anywhere() -> None:
    """`--lang` before or after the command, and the variable, choose the language of one call alone."""
    wrong = ("status", "--store", "/no/such/store")
    english = cli(*wrong)
    assert english.code == 1 and "expected the folder of a store" in english.err
    for words in (("--lang", "zh", *wrong), (*wrong, "--lang", "zh"), (*wrong, "--lang=zh")):
        assert "应为存储的文件夹" in cli(*words).err
    assert language() == "en"
    shown = CliRunner().invoke(main, ["status", "--help"], env={"BICORPUS_LANG": "zh"})
    assert shown.output.startswith("用法：main status [OPTIONS]\n\n  列出存储的内容")
    assert (
        cli("status", "--help", "--lang", "fr").out == cli("status", "--help").out
    )  # refused once it is parsed
    assert cli("status", "--store", "x", "--lang", "fr").code == 2


def test_an_option_of_another_meaning_is_left_alone() -> None:
    """`train kenlm --lang zh` chooses documents, not the language of messages."""
    assert cli("train", "kenlm", "--lang", "zh", "--help").out.startswith("Usage:")


def test_mistyped_commands_and_options_are_corrected() -> None:
    """An unknown command or option ends with exit code 2 and the most similar name."""
    assert cli("rnu").code == 2 and "did you mean 'run'?" in cli("rnu").err
    assert "是不是 'query'？" in cli("index", "qurey", "--lang", "zh").err
    assert "--store" in cli("run", "x.yaml", "--stroe", "y").err


@pytest.mark.parametrize(
    ("environment", "colored"),
    [
        ({}, None),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, None),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour_follows_the_environment(environment: dict[str, str], colored: bool | None) -> None:
    """NO_COLOR wins over FORCE_COLOR; an empty variable is none."""
    assert wants_color(environment) is colored


def test_colour_is_written_only_where_it_is_wanted() -> None:
    """Output that goes to no terminal is plain unless FORCE_COLOR is set."""
    words = ["status", "--store", "/no/such/store"]
    plain = CliRunner().invoke(main, words, env={"FORCE_COLOR": None, "NO_COLOR": None})
    forced = CliRunner().invoke(main, words, env={"FORCE_COLOR": "1", "NO_COLOR": None})
    assert "\x1b[" not in plain.stderr and forced.stderr.startswith("\x1b[31mbicorpus:\x1b[0m /no/such/store")


def test_verbose_adds_the_traceback() -> None:
    """With -v an error is printed with its traceback, and as one line at the end; without, as one line."""
    words = ("run", "missing.yaml", "--store", "s")
    short, long = cli(*words), cli(*words, "-v")
    assert short.err.count("\n") == 1 and long.err.startswith("Traceback")
    assert long.err.endswith(short.err) and long.code == short.code == 2


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    """The script asks this program, by the variable that it reads."""
    assert "_BICORPUS_COMPLETE" in cli("completion", shell).ok().out


def test_completion_names_commands_with_their_help() -> None:
    """Commands and options are completed, with help in the language of the reader."""
    environment = {"_BICORPUS_COMPLETE": "zsh_complete", "COMP_WORDS": "bicorpus ver", "COMP_CWORD": "1"}
    found = CliRunner().invoke(main, [], prog_name="bicorpus", env=environment | {"BICORPUS_LANG": "zh"})
    assert found.output.splitlines()[:2] == ["plain", "verify"] and HAN.search(found.output.splitlines()[2])


def test_doctor_names_problems_and_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts by group, a remedy for each problem, the same JSON in both languages, and no wide line."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("COLUMNS", "80")
    english, chinese = cli("doctor"), cli("doctor", "--lang", "zh")
    assert re.search(r"unset\s+NUMBA_DISABLE_JIT", english.out)
    assert re.search(r"请取消\s+NUMBA_DISABLE_JIT", chinese.out)
    assert all(wide(line) <= 80 for line in (english.out + chinese.out).splitlines() if os.sep not in line)
    facts = cli("doctor", "--json").json
    names = [(fact["group"], fact["name"]) for fact in cli("doctor", "--json", "--lang", "zh").json]
    assert names == [(fact["group"], fact["name"]) for fact in facts]
    assert {"machine", "versions", "packages", "caches", "language", "Ray", "disk"} == {
        f["group"] for f in facts
    }
    assert all(bool(fact["problem"]) == bool(fact["advice"]) for fact in facts)
    assert json.dumps(facts)
