"""Inputs of other projects' tests: literals are evaluated without running the file, outcomes are compared with ours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.bench.peer_fixtures import NotLiteralError, main, mapper_checks, masked_as, value

PREPROCESS = """
from text_dedup.utils.preprocess import normalize

def test_case():
    assert normalize("HELLO, world") == "hello world"
    assert normalize("over" + " there") == "somewhere else"
    assert normalize("In 1995") == "in 0000"
"""

MAPPER = """
REPL = "<HOST>"

class Mapper:
    def test_masked(self):
        samples = [
            {"text": "the host is 8.8." + "4.4", "target": f"the host is {REPL}"},
            {"text": "the version is 1.2.3", "target": "no such text"},
        ]
        self.run(CleanIpMapper(repl=REPL), samples)
"""


def test_expressions_of_literals_are_evaluated() -> None:
    """Concatenation, repetition, f-strings and bound names, and nothing that would call a function."""
    names = {"word": "go "}
    expression = ast.parse("[word * 2 + 'on', f'{word}!', -1, {'a': (1, 2)}]", mode="eval").body
    assert value(expression, names) == ["go go on", "go !", -1, {"a": [1, 2]}]
    with pytest.raises(NotLiteralError, match="open"):
        value(ast.parse("open('x')", mode="eval").body, {})


def test_samples_of_a_mapper(tmp_path: Path) -> None:
    """Each sample is a check, with the replacement that the test passes to its mapper."""
    path = tmp_path / "test_mapper.py"
    path.write_text(MAPPER)
    checks = list(mapper_checks(path, "IP", masked_as("ip", "CleanIpMapper")))
    assert [(c.right, c.found) for c in checks] == [
        ("the host is <HOST>", "the host is <HOST>"),
        ("no such text", "the version is 1.2.3"),
    ]


def test_the_table_counts_and_disagreements_are_listed(tmp_path: Path) -> None:
    """Texts with digits are left out, because their normalised form has other digits."""
    path = tmp_path / "tests/test_utils/test_preprocess.py"
    path.parent.mkdir(parents=True)
    path.write_text(PREPROCESS)
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert "| text-dedup normalisation | 1 | 2 |" in result.stdout
    assert "'over there'" in result.stdout and "HELLO" not in result.stdout


def test_a_folder_that_is_no_checkout(tmp_path: Path) -> None:
    """The error names the projects."""
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 2
    assert "is no checkout of datatrove, Data-Juicer, NeMo Curator, text-dedup" in " ".join(
        result.stderr.split()
    )
