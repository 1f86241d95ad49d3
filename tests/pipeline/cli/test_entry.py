"""The command as a process: its exit code, what libraries do at exit, and no teardown of the interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

CODE = """
import atexit, sys, threading

class Held:
    def __del__(self):
        print("torn down")

sys.argv = ["bicorpus", *{arguments!r}]
atexit.register(print, "registered before")
from pipeline.cli import entry, main

@main.command()
def probe():
    atexit.register(print, "at exit")
    threading.Timer(0.05, print, ["thread"]).start()
    sys.modules["held"] = Held()

@main.command()
def failing():
    raise RuntimeError("unforeseen")

entry.command()
"""


@pytest.mark.parametrize(
    ("arguments", "code"), [(["probe"], 0), (["--version"], 0), (["nosuch"], 2), (["failing"], 1)]
)
def test_a_command_ends_after_exit_functions_and_before_the_interpreter(
    arguments: list[str], code: int
) -> None:
    """Threads and exit functions of libraries end first, output is whole, and no object is torn down by a shutdown."""
    command = [sys.executable, "-c", CODE.format(arguments=arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    assert ("RuntimeError: unforeseen" in run.stderr) == (arguments == ["failing"])
    if arguments == ["probe"]:
        assert run.stdout.split("\n") == ["thread", "at exit", ""]


def test_the_installed_command_is_this_one() -> None:
    """The script of the project and `python -m pipeline` are the same function."""
    assert 'bicorpus = "pipeline.cli.entry:command"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert "from pipeline.cli.entry import command" in (ROOT / "pipeline/__main__.py").read_text("utf-8")
