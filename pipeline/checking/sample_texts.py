"""Texts that reveal most faults of a stage: prose in Chinese and English, and unusual texts of web crawls."""

from __future__ import annotations

TEXTS = (
    "市图书馆昨天宣布，从下个月起延长开放时间。\n工作日的闭馆时间推迟到晚上九点，周末则照旧。\n新的时间表已经贴在门口。",
    "圖書館的開放時間是上午九點至下午五點，歡迎讀者前來借閱。",
    "子曰：「學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？」",
    "The ferry to the island leaves twice a day in summer. Nobody lives there, but the garden is open.\n\n"
    "On clear evenings you can see the mainland from the pier. Take a coat with you.",
    "We tested the new API 接口 and found 三个 bugs in it.",
    "BUY NOW!!! BUY NOW!!! BUY NOW!!! Click here...",
    "首页 > 新闻 > 正文\n上一篇：暂无\n- 关注我们\n- 点击查看更多\n版权所有",
    "联系人：王老师，电话 13800138000，邮箱 wang@example.com。",
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total\n",
    "| a | b |\n|---|---|\n| 1 | 2.50 |\n| 3 | 4,000 % |",
    "駅前の図書館は五時に閉まります。도서관은 다섯 시에 문을 닫습니다.",
    "المكتبة مغلقة اليوم، عودوا غدا. הספרייה סגורה היום.",
    "A line.\r\nAnother line.\r\n\r\nA paragraph.\r\n",
    "长" * 30_000,
    "a very long line without a break " * 900,
    "哈哈哈哈" * 40 + "\n" + "same line\n" * 40,
    "",
    " ",
    "\n",
    " \t\n\u3000\u00a0\u2028\n ",
    "a",
    "中",
    "7",
    "。",
    "\u0301",
    "e\u0301a\u0308 Z\u0351\u036b\u0343a\u0306l\u0321g\u0335o",
    "🙂",
    "👩‍👩‍👧‍👦🇨🇳👍🏽😀 text after emoji 在表情之后",
    "\ufeff\u200b\u200d\u2060",
    "a\x00b\x00",
    "\x00\x01\x7f\x85",
    "\ufffd\ufffd bro\ufffdken",
    "\U0002070e\U00030edd𠮷野家",
    "ａｂｃ１２３，．！？",
)
"""Empty and white space, one character of each class, lone combining marks, emoji, invisible characters, null bytes,
right-to-left text, code, a table, CRLF, characters beyond 16 bits, very long lines."""
