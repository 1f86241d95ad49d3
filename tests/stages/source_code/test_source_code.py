"""Signals of source files: known values of lines, marks, encoded data, comments and strings."""

from __future__ import annotations

import base64

import pytest

from stages.source_code import extension_of, measure
from stages.source_code.comments import FAMILIES, family_of, split

PYTHON = '"""Adds."""\n\n\ndef add(a, b):  # TODO: floats\n    assert a != "#none"\n    return a + b\n'


def test_lines_are_those_of_the_file() -> None:
    """Indentation and empty lines count, the line break at the end opens no further line."""
    row = measure("ab\n\n    cd\n", None)
    assert (row["n_lines"], row["max_line_chars"], row["mean_line_chars"]) == (3, 6, 2.667)
    assert (row["alpha_share"], row["blank_share"]) == (round(4 / 11, 3), round(7 / 11, 3))


@pytest.mark.parametrize(
    ("url", "extension"),
    [
        ("https://github.com/a/b/blob/main/src/x.CPP", "cpp"),
        ("src/x.tar.gz", "gz"),
        ("https://example.org/x.py?raw=1", "py"),
        ("https://example.org", ""),
        ("https://example.org/a/Makefile", ""),
        ("a/.gitignore", ""),
        (None, ""),
    ],
)
def test_the_extension_is_that_of_the_path(url: str | None, extension: str) -> None:
    """Of an address without its query, of a path; a host and a hidden file have none."""
    assert extension_of(url) == extension


def test_comments_strings_and_code_are_separated() -> None:
    """A mark in a string opens no comment; docstrings are comments, as in OpenCoder."""
    row = measure(PYTHON, "a/b.py")
    comments = len('"""Adds."""') + len("# TODO: floats")
    assert row["comment_char_share"] == round(comments / len(PYTHON), 3)
    assert row["prompt_line_share"] == round(1 / 6, 3)
    assert row["assert_line_share"] == round(1 / 3, 3)
    assert split('x = "// no"; // yes', "c") == ('x = "// no"; ', ["// yes"], ["// no"])


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("// one\nint a;\n/* two */", "c"), ("# one\na=1\n# two", "hash"), ("-- one\nSELECT 1", "dashes"),
        ("% one\n\\alpha", "percent"), ("; one\n(car x)", "semicolon"), ("<p>\n<b>one</b>", "markup"), ("x", "c"),
    ],
)  # fmt: skip
def test_without_an_extension_lines_decide(text: str, family: str) -> None:
    """The family as which most lines begin; every family is one of FAMILIES."""
    assert family_of("", text) == family and family in FAMILIES


def test_generated_files_and_encoded_data_are_marked() -> None:
    """Phrases in the head count, the same phrase further down does not; base64, bytes and escapes are encoded."""
    assert measure("// This file is generated\nint a;", None)["generated_mark"]
    assert not measure("int a;\n" * 60 + "// automatically generated", None)["generated_mark"]
    assert measure("/* DO NOT EDIT */", None)["generated_head"]
    assert measure('<?xml version="1.0"?><a/>', "a/b.xml")["xml_declaration"]
    data = base64.b64encode(bytes(range(256)) * 4).decode()
    assert measure(f'x = "{data}"', "a/b.py")["max_encoded_chars"] == len(data)
    assert measure("0x1f, " * 200, "a/b.h")["hex_word_share"] == pytest.approx(2 / 3, abs=1e-3)
    assert measure("\\u4e2d" * 300, "a/b.properties")["encoded_share"] == 1.0


def test_visible_text_of_markup_leaves_out_tags_scripts_and_styles() -> None:
    """Only what a reader sees counts, without blanks."""
    page = "<html><style>p {}</style><script>let a = '<p>';</script><!-- no --><p>Good day</p></html>"
    assert measure(page, "a/b.html")["n_visible_chars"] == len("Goodday")


def test_repeated_lines_count_every_occurrence() -> None:
    """The first one too, as in OpenCoder; lone brackets and `},` never."""
    assert measure("a = 1\na = 1\nb = 2\n}\n}\n},\n},", "a/b.js")["repeated_line_share"] == round(2 / 7, 3)
