"""Hypothesis strategies: texts and documents as a crawl brings them, and as it hopefully does not."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import strategies as st

from pipeline.checking.in_memory import table_of

__all__ = ["PIECES", "SEPARATORS", "documents", "table_of", "texts"]

PIECES = (
    "今天下午，图书馆的自习室里坐满了人。",
    "圖書館的開放時間是上午九點至下午五點，歡迎讀者前來借閱。",
    "子曰：學而時習之，不亦說乎？",
    "我哋聽日去飲茶，你嚟唔嚟呀？",
    "The library closes at five, but nobody seems to know why.",
    "We tested the new API 接口 and found 三个 bugs in it.",
    "駅前の図書館は五時に閉まります。",
    "도서관은 다섯 시에 문을 닫습니다.",
    "المكتبة مغلقة اليوم، عودوا غدا.",
    "הספרייה סגורה היום.",
    "    全角空格开头的一段话。",
    "👩‍👩‍👧‍👦🇨🇳👍🏽😀",
    "e\u0301a\u0308o\u0302 Z\u0351\u036b\u0343a\u0306l\u0321g\u0335o",
    "ａｂｃ１２３，．！？",
    "for (int i = 0; i < n; i++) { total += a[i]; }",
    "3.14159 2,718 42% ¥100 $5",
    "write to alice@example.com or call 555-0100",
    "- 首页\n- 新闻\n- 联系我们",
    "\ufeff\u200b\u200d\u2060",
    "\U0002070e\U00030edd𠮷野家",
    "\x00\x01\x7f\x85\u2028\u2029",
)
SEPARATORS = ("", " ", "\n", "\n\n", "\n\n\n", "\r\n", "\t", "\u3000", "。", ". ")


def texts() -> st.SearchStrategy[str]:
    """Any valid, non-empty text, with a leaning to the kinds that break measurements."""
    piece = st.sampled_from(PIECES)
    prose = st.builds(
        lambda separator, pieces: separator.join(pieces),
        st.sampled_from(SEPARATORS),
        st.lists(piece, min_size=1, max_size=8),
    )
    repetition = st.builds(
        lambda text, n: text * n, st.sampled_from((*PIECES, "哈", "ab ", "\n")), st.integers(2, 200)
    )
    padded = st.builds(
        lambda left, text, right: left + text + right,
        st.sampled_from(SEPARATORS),
        prose,
        st.sampled_from(SEPARATORS),
    )
    return st.one_of(
        prose, padded, repetition, st.text(min_size=1, max_size=1), st.text(min_size=1, max_size=60)
    )


def documents(min_size: int = 0, max_size: int = 6) -> st.SearchStrategy[pa.Table]:
    """Tables of canonical documents; texts may occur twice."""
    return st.lists(texts(), min_size=min_size, max_size=max_size).map(table_of)
