"""Lines in many languages and scripts, and texts that mix them."""

from __future__ import annotations

from hypothesis import strategies as st

HANS = "市图书馆昨天宣布，从下个月起延长开放时间。工作日的闭馆时间推迟到晚上九点，周末则照旧。"
HANT = "山上的氣象站已經有六十年的歷史。每天清晨，值班員都要記錄溫度、濕度和風向，再把數字傳到城裡。"
YUE = "佢哋琴日喺街市買咗好多嘢，返到屋企先發現唔記得攞錢包。我話畀佢聽，下次要小心啲先得。"
LZH = "子曰：「學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？人不知而不慍，不亦君子乎？」"
JPN = "駅前の図書館は、毎週月曜日が休館日です。返却された本は、入口の横にある箱に入れてください。"
KOR = "역 앞 도서관은 매주 월요일에 쉽니다. 반납할 책은 입구 옆 상자에 넣어 주세요."
ENG = (
    "The old lighthouse stands on a rock that the sea covers twice a day. Nobody has lived there since the "
    "light was automated, but the garden still grows inside the wall."
)
CODE = "def mean(values):\n    total = 0\n    for v in values:\n        total += v\n    return total / len(values)\n"
LINES = [
    HANS,
    HANT,
    YUE,
    LZH,
    JPN,
    KOR,
    ENG,
    CODE,
    "",
    "東京都",
    "优の良品",
    "```",
    "~~~ py",
    "Привет, мир. Это тест.",
]
LINES += [
    "<p>one two <b>three</b> four five six</p> and",
    "数据 tidb_server_limit 和 /a/b/c.md 以及 utf8mb4 ok",
    "    return x",
    "// a note on code",
    "```",
    "a-b c_d e.f g(h i: j",
    "naïve e\u0301tude of the old days",
    "see 张伟 and the rest of the group here today",
]
TEXTS = st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=6).map("\n".join)
