"""Width of text in a terminal: padding, clipping and wrapping by cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cells import NOT_FIRST, NOT_LAST, clip, pad, pad_left, wide, wrap

TEXTS = st.text(alphabet="ab 中文，。（）、", max_size=60)


@given(TEXTS, st.integers(8, 30))
def test_wrapped_lines_fit(text: str, cells: int) -> None:
    """No line is wider than asked for unless one word is, and nothing but blanks is lost."""
    lines = wrap(text, cells)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(wide(line) <= cells or " " not in line.strip() for line in lines)


def test_chinese_is_broken_between_characters_but_not_before_marks() -> None:
    """A full stop does not begin a line, an opening bracket does not end one, and words are whole."""
    lines = wrap("文档只测量一次（见 docs/design.md），每个决定都有解释。", 14)
    assert lines == ["文档只测量一次", "（见", "docs/design.md），", "每个决定都有解", "释。"]
    assert not any(line[0] in NOT_FIRST or line[-1] in NOT_LAST for line in lines)


def test_padding_counts_cells() -> None:
    """An ideograph takes two cells on either side."""
    assert pad("中文", 6) == "中文  " and pad_left("中文", 6) == "  中文" and pad("longer", 3) == "longer"
    assert clip("中文字符", 5) == "中文…"
