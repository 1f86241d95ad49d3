"""Traditional and Simplified Chinese: which text is converted, and which is never changed."""

from __future__ import annotations

import time

import opencc
import pyarrow as pa
import pytest
from hypothesis import given

from pipeline.errors import ConfigError
from pipeline.recipe import file_digest
from stages import conversion
from stages.conversion import Config, convert_rows, dictionaries, make_documents
from stages.kernels.scripts.chinese import CHINESE, CHINESE_CHARS, JAPANESE, load_evidence
from tests.helpers.convert import convert
from tests.helpers.strategies import texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("這個圖書館很好。", "这个图书馆很好。"),
        ("圖書館", "图书馆"),
        ("皇后在後面，乾坤與乾燥。", "皇后在后面，乾坤与干燥。"),
        ("我們用 Python 寫了一個工具。", "我们用 Python 写了一个工具。"),
        ("", ""),
        ("no Chinese at all", "no Chinese at all"),
    ],
)
def test_chinese_is_converted(text: str, expected: str) -> None:
    """Words decide where characters alone cannot; text that is not Chinese is kept."""
    assert convert(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "駅前の図書館は、毎週月曜日が休館日です。國立國會圖書館に聞いてください。",
        "東京駅圖書館",
        "これは日本の本です。\n國語、數學、理科、社會、音樂、圖畫工作、家庭、體育、道徳、外國語活動、總合學習",
        "도서관은 圖書館이라고 쓰고 學校는 學校라고 쓴다.",
        "```python\n# 這是註解\nname = '臺灣'\n```",
        "~~~~\n圖書館\n~~~\n圖書館\n~~~~~",
        "def load(path):\n    # 讀取檔案\n    return open(path)  # 開啟",
        "// 計算總數\nint total = 0;\nfor (int i = 0; i < n; i++) { total += a[i]; }",
    ],
)
def test_other_text_is_left_alone(text: str) -> None:
    """Japanese with and without kana, Korean, fenced blocks, code with its comments: not a character changes."""
    assert convert(text) == text
    assert opencc.OpenCC("t2s").convert(text) != text  # the whole text would have been harmed


@pytest.mark.parametrize(
    ("kept", "template"),
    [
        ("`變數名稱`", "請看 {} 的說明"),
        ("``寫法 ` 變數``", "請看 {} 的說明"),
        ("https://zh.wikipedia.org/wiki/臺灣歷史,概要?a=圖&b=1#歷史", "詳見 {}，謝謝"),
        ("http://使用者@例子.台灣/圖書", "詳見{}。"),
        ("www.例子.台灣/圖書館/關於", "詳見{}。"),
        ("zh.wikipedia.org/wiki/圖書館", "詳見{}、謝謝"),
        ("http://example.com", "詳見{}這裡有說明"),
        ("](/wiki/臺灣", "請看[圖書{} \"標題\")的說明"),
        ("張三豐@例子.臺灣", "寄到「{}」給我們"),
        ("service@例子.臺灣", "請聯絡{}，謝謝"),
        ('<a href="/圖書/說明">', "請看{}圖書</a>的說明"),
        ("《となりのトトロ》", "這是說{}的電影，還有別的電影嗎"),
    ],
)  # fmt: skip
def test_what_stands_in_chinese_lines_is_left_alone(kept: str, template: str) -> None:
    """Code, addresses, link targets, tags and Japanese titles are kept; the line around them is converted."""
    simplify = opencc.OpenCC("t2s").convert
    assert convert(template.format(kept)) == kept.join(map(simplify, template.split("{}")))
    assert simplify(template) != template


@pytest.mark.parametrize(
    ("scheme", "text", "expected"),
    [
        ("tw2s", "高爾基 著，他睡著了。", "高尔基 著，他睡着了。"),
        ("tw2s", "魯迅著，人民文學出版社。", "鲁迅著，人民文学出版社。"),
        ("tw2s", "《圍城》，錢鍾書 著", "《围城》，钱锺书 著"),
        ("tw2s", "原著：金庸；編著：李明", "原著：金庸；编著：李明"),
        ("tw2sp", "作者：張大春著", "作者：张大春著"),
        ("tw2s", "（清）曹雪芹著《紅樓夢》", "（清）曹雪芹著《红楼梦》"),
        ("tw2s", "約翰·史密斯著，王明譯", "约翰·史密斯著，王明译"),
        ("tw2s", "當地土著所著的小說", "当地土著所著的小说"),
        ("tw2s", "他拿著書走著，高興著，張望著。", "他拿着书走着，高兴着，张望着。"),
        ("tw2s", "討論著、翻譯著、靠近著", "讨论着、翻译着、靠近着"),
        ("tw2s", "王小明 著急了，看著《論語》", "王小明 着急了，看着《论语》"),
        ("t2s", "張乾，男；他叫李乾。", "张乾，男；他叫李乾。"),
        ("t2s", "陳乾生教授與王乾 先生", "陈乾生教授与王乾 先生"),
        ("hk2s", "餅乾、豆乾、葡萄乾，衣服乾了，湯乾了。", "饼干、豆干、葡萄干，衣服干了，汤干了。"),
        ("s2t", "信用卡发卡行；她的发卡", "信用卡發卡行；她的髮卡"),
        ("s2tw", "理发师发现了一根白发，出发去发廊。", "理髮師發現了一根白髮，出發去髮廊。"),
    ],
)
def test_names_and_authors_are_converted_by_their_context(scheme: str, text: str, expected: str) -> None:
    """著 after an author and 乾 in a name are kept, the particle and `dry` are converted; 发卡行 has no hair."""
    assert conversion.convert_texts(pa.array([text], pa.large_string()), scheme) == [expected]


def test_a_text_with_marks_of_its_own_is_converted_as_opencc_does() -> None:
    """Noncharacters in a text are kept; names are then not recognised."""
    assert conversion.converter("t2s")("\ufdd1張乾，") == "\ufdd1张干，"


def test_a_document_in_two_languages() -> None:
    """In a mostly Japanese document Chinese lines change and Japanese ones without kana do not."""
    japanese = ["駅前の図書館は、毎週月曜日が休館日です。", "國立國會圖書館", "返却された本は、入口へ。"]
    chinese = "他們說：這個圖書館很好，你們可以來看看。"
    assert convert("\n".join([*japanese, chinese])) == "\n".join(
        [*japanese, opencc.OpenCC("t2s").convert(chinese)]
    )
    assert convert(f"{japanese[1]}\n{chinese}") == opencc.OpenCC("t2s").convert(f"{japanese[1]}\n{chinese}")


def test_old_forms_in_chinese_are_no_japanese() -> None:
    """Characters that only Japanese still writes occur in old Chinese texts."""
    poem = "彈劒作歌奏苦聲，曳裾王門不稱情。\n" + "說來話長，溫柔鄉裡黃昏後。\n" * 10
    assert convert(poem) == opencc.OpenCC("t2s").convert(poem)


def test_a_fence_that_is_never_closed_protects_nothing() -> None:
    """A lost fence does not turn the rest of a text into code."""
    assert convert("```\n圖書館的說明\n") == "```\n图书馆的说明\n"


def test_evidence_is_of_one_language() -> None:
    """No character speaks for both; new Japanese forms and Chinese particles are there, shared ones are not."""
    evidence = load_evidence()
    assert {evidence[ord(c)] for c in "駅図気働込"} == {JAPANESE}
    assert {evidence[ord(c)] for c in CHINESE_CHARS + "說溫黃"} == {CHINESE}
    assert not any(evidence[ord(c)] for c in "國語學校爲裏圖書館的是人")


@pytest.mark.parametrize(
    "unit", ["a.", "`", "<a", "](a", "a@", "臺@", "a/", "http://", "a+", "www.", "http://a:", "#"]
)
def test_no_text_takes_long(unit: str) -> None:
    """The search for addresses and code is linear in the text: a megabyte of any repeated unit takes moments."""
    start = time.process_time()
    convert("圖" + unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 20


@given(texts())
def test_only_characters_of_chinese_change(text: str) -> None:
    """In any text all but Han characters are kept in order, and a second conversion changes nothing."""
    once = convert(text)
    assert [c for c in once if not "\u3400" <= c <= "\U0003ffff"] == [
        c for c in text if not "\u3400" <= c <= "\U0003ffff"
    ]
    assert convert(once) == once


@pytest.mark.parametrize("scheme", [*conversion.TO_SIMPLIFIED, *conversion.TO_TRADITIONAL])
def test_every_scheme_works(scheme: str) -> None:
    """Each scheme is known to OpenCC, has its dictionaries installed, and makes its known changes."""
    text = "軟體與內存" if scheme in conversion.TO_SIMPLIFIED else "软件与内存，这里"
    assert convert(text, scheme) != text
    files = dictionaries(Config(scheme=scheme))
    assert files[0].endswith(f"/{scheme}.json") and len(files) > 2
    assert all(len(file_digest(path)) == 32 for path in files)


def test_round_trips_keep_their_counts() -> None:
    """Traditional to Simplified and back: the same number of characters, and nearly all the same ones."""
    there = "山上的氣象站已經有六十年的歷史。每天清晨，值班員都要記錄溫度、濕度和風向，再把數字傳到城裡。"
    back = convert(convert(there), "s2tw")
    assert len(back) == len(there)
    assert [(a, b) for a, b in zip(there, back, strict=True) if a != b] == [
        ("濕", "溼")
    ]  # the form of Taiwan


def test_only_documents_of_the_language_are_converted() -> None:
    """Documents of other labels, without a label or without text are kept as they are."""
    labels = ["zho_Hant", "jpn_Jpan", None, "zho_Hant", "yue_Hant"]
    table = pa.table(
        {
            "text": pa.array(["圖書", "圖書", "圖書", None, "圖書"], pa.large_string()),
            "language.label": labels,
        }
    )
    assert convert_rows(table, Config()).to_pylist() == ["图书", "圖書", "圖書", None, "圖書"]
    both = Config(labels=("zho_Hant", "yue_Hant"))
    assert convert_rows(table, both).to_pylist() == ["图书", "圖書", "圖書", None, "图书"]
    assert conversion.new_labels(both) == {"zho_Hant": "zho_Hans", "yue_Hant": "yue_Hans"}
    assert convert_rows(table.slice(0, 0), both).to_pylist() == []


def test_derived_documents_have_the_edits_of_the_release() -> None:
    """Edits are applied before the conversion; a text that the conversion leaves unchanged makes no document."""
    spans = [[{"start": 2, "end": 4, "kind": "email"}], [], []]
    table = pa.table(
        {
            "text": pa.array(["圖書張三說明", "山水", "圖書"], pa.large_string()),
            "language.label": ["zho_Hant", "zho_Hant", "zho_Hans"],
            "edits": pa.array(
                spans, pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "kind": pa.string()}))
            ),
        }
    )
    assert make_documents(table, Config(), {"email": "<郵件>"}).to_pylist() == [
        {"parent": 0, "number": 0, "text": "图书<邮件>说明", "meta": '{"conversion": "t2s"}'}
    ]


def test_an_unknown_scheme_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(ConfigError, match="expected one of t2s"):
        Config(scheme="t2x")
