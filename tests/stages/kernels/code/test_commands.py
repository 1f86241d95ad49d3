"""Lines of programs without signs of code: commands, statements, configuration; and prose that begins like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.kernels.code.blocks import mark_code
from stages.kernels.code.commands import WORDS_PATH, find_key, is_command, load_signs, load_words
from stages.kernels.text.text import view

COMMANDS = (
    "$ ls", "$ ./configure", "pip install numpy", "sudo apt-get update", "git add .", "npm run build", "ls -l",
    "  tar -x -f backup.tar", "Get-Item -Path C:/data", "kubectl get pods -n test", "SELECT name FROM users;",
    "SELECT * FROM users", "ALTER TABLE t ADD INDEX idx_name;", "import os", "from os import path as p_", "fi", "done",
    "Dim total As Integer", "use strict;", "return", "end if", "curl 'https://a.example/问题'", "echo $HOME",
    "cmake --build out", "Set-Location -Path x", "mysql --host 127.0.0.1 --port 4000", "#include <stdio.h>",
)  # fmt: skip

PROSE = (
    "", " ", "a", "$5", "The index is rebuilt every night by a job on the server", "git is a tool that people use.",
    "Select the files that you want to keep", "import duties on steel were raised again last year",
    "Set the table, then call the children", "a well-known author - and a critic", "The ending -ing makes a noun",
    "He paid -- or so he said -- in cash", "echo of a distant past", "for those who wait", "Use of it is free",
    "从源代码编译 -O2 选项", "运行 pip install numpy", "Update: the bridge is open again", "return to the harbour",
    "What is a class?", "SHOW BUSINESS NEWS", "FROM OUR CORRESPONDENT", "End of the line",
)  # fmt: skip


def asked(line: str) -> bool:
    """Whether the kernel takes a line for a command."""
    codes, _, classes = view(pa.array([line], pa.large_string()))
    return bool(is_command(codes, classes, 0, len(codes), load_words(), load_signs()))


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_statements_are_known(line: str) -> None:
    """By a prompt, by options, by their first word; blanks around change nothing."""
    assert asked(line) and asked(f"\t{line}  ")


@pytest.mark.parametrize("line", PROSE)
def test_prose_that_begins_alike_is_none(line: str) -> None:
    """Sentences, headings and dashes are no commands; letters other than Latin ones occur in quotes only."""
    assert not asked(line)


@given(st.text(alphabet="ab -$;\"'中.:\t", max_size=20))
def test_any_line_has_an_answer_that_blanks_do_not_change(line: str) -> None:
    """No line is read beyond its end, and blanks around it do not change the verdict."""
    assert asked(line) == asked(f"  {line}\t ")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("name: value", 1), ("name:", 2), ("  name: value", 2), ("- name: value", 2), ("a.b/c-d_1: x", 1),
        ("name : value", 0), ("name:value", 0), (": value", 0), ("two words: value", 0), ("", 0), ("姓名: 张", 0),
        ("http://a.example/", 0),
    ],
)  # fmt: skip
def test_keys(line: str, kind: int) -> None:
    """A key is one word, a colon, and a blank or the end of the line."""
    codes, _, classes = view(pa.array([line], pa.large_string()))
    assert find_key(codes, classes, 0, len(codes)) == kind


def marks(text: str) -> list[int]:
    """What the lines of a text are: 0 prose, 1 code, 2 code in a fence."""
    found: np.ndarray = mark_code(view(pa.array([text], pa.large_string())), 5)
    return found.tolist()


def test_configuration_is_code_and_a_dialogue_is_not() -> None:
    """Three keys, one of them indented or without a value; blank lines between them do not count."""
    assert marks("kind: Service\nspec:\n  ports: 3\n\n  type: plain") == [1, 1, 1, 0, 1]
    assert (
        marks(
            "Ann: Hello, are you there yet?\nBob: Yes, I have been here for an hour.\nAnn: Good, then let us go."
        )
        == [0] * 3
    )
    assert marks("spec:\n  ports: 3") == [0, 0]


def test_the_words_are_found_in_their_table() -> None:
    """Every word of the list is in the table, free slots are left, and its kind is kept."""
    table = load_words()
    used = table[table > 0]
    listed = [line.split() for line in Path(WORDS_PATH).read_text(encoding="utf-8").splitlines()]
    words = [word for kind, *of in listed if kind != "#" for word in of]
    assert len(np.unique(used)) == len(used) == len(set(words)) == len(words) < len(table) // 2
    assert asked("Dim a b c d e f") and not asked("Sub a b c d e f")
