"""Signs of code: the characters left out before a line is judged change no verdict."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.kernels.code.lines import _find_code, find_code
from stages.kernels.code.signs import load_heard, load_line_bits, load_symbols
from stages.kernels.text.text import view
from tests.helpers.strategies import texts

_SYMBOLS = [chr(code) for code in np.flatnonzero(load_symbols())]
_WORDS = [
    "a",
    "Foo",
    "foo_bar",
    "word ",
    "中",
    "文字",
    "한",
    "Ж",
    "e\u0301",
    "\u0301",
    "ก",
    "😀",
    "\u00ad",
    "\0",
]
_BLANKS = [" ", "  ", "    ", "\t", "\u3000", "\n", "\n\n", "\r\n", "\u2028"]
_PARTS = [
    "http://a.b/c",
    "](",
    "](u v)",
    "<a>",
    "<b",
    "</p>>",
    "//",
    "# ",
    "->",
    "::",
    "**",
    "==",
    "===",
    "++",
    "```",
]
_MORE = ["~~~", "$$", "\\frac", "s)", "es)", "f(", "): ", ";\n", '":', " = ", ". ", "?"]
PIECES = st.sampled_from((*_SYMBOLS, *_WORDS, *_BLANKS, *_PARTS, *_MORE))
CODE = st.lists(PIECES, max_size=40).map("".join)


@given(st.lists(CODE | texts(), min_size=1, max_size=6))
def test_symbols_that_are_not_heard_mean_nothing(docs: list[str]) -> None:
    """Every line gets the verdict that it gets when no symbol is left out, wherever it stands in a batch."""
    decoded = view(pa.array(docs, pa.large_string()))
    heard = load_heard().copy()
    heard[load_symbols() > 0] |= (1 << 17) - 1  # between any neighbours, and inside of runs
    heard.setflags(write=False)  # as the original, for which the kernel is compiled
    for found, expected in zip(
        find_code(decoded), _find_code(*decoded, load_symbols(), load_line_bits(), heard), strict=True
    ):
        assert np.array_equal(found, expected)


@given(st.lists(CODE | texts(), min_size=1, max_size=6))
def test_documents_of_a_batch_are_judged_apart(docs: list[str]) -> None:
    """The documents before and after a document in its batch do not affect its lines."""
    found = find_code(view(pa.array(docs, pa.large_string())))
    for doc, text in enumerate(docs):
        alone = find_code(view(pa.array([text], pa.large_string())))
        assert np.array_equal(found.is_code[found.starts[doc] : found.starts[doc + 1]], alone.is_code)


@pytest.mark.parametrize(
    ("line", "is_code"),
    [
        ("x = 1", True),
        ("x = 1  # and a long remark that says in many words why it is one", True),
        ("if x:", False),
        ("def f(a_b):  ", True),
        ("foo(a)[b] - c;", True),
        ('  "key": 1,', True),
        ("Note: the word = sign is read by everybody as being equal to something.", False),
        ('<a href="x = y">some plain words</a>', False),
        ("see [this](http://a.b/c?d=e&f=g) or http://a.b/c?d=e", False),
        ("author(s) and class(es)", False),
        ("| a = b | c = d |", False),
        ("# x = f(y)", False),
        ("从 a = b 可知", False),
        ("", False),
    ],
)
def test_known_lines(line: str, is_code: bool) -> None:
    """Similar lines of code and of prose keep their verdicts."""
    assert find_code(view(pa.array([line], pa.large_string()))).is_code.tolist() == [is_code]
