"""Characters of Chinese whose conversion depends on words that OpenCC's dictionaries cannot list: names and authors.

Taiwan writes 著 for the aspect particle 着 and for `author of`; 乾 is 干 in Simplified text, but not in names; 发卡
is a hairpin, but in 发卡行 the issue of a card. `hold` marks those that a conversion would change wrongly, and `settle`
replaces the marks after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SURNAMES = (
    "趙錢孫李周吳鄭王馮陳褚衛蔣沈韓楊朱秦尤許何呂施張孔曹嚴華金魏陶姜戚謝鄒喻柏竇章蘇潘葛奚范彭郎魯韋昌馬苗鳳方俞任袁柳酆"
    "鮑史唐費廉岑薛雷賀倪滕殷羅畢郝鄔安常樂于傅皮卞齊康伍余元顧孟黃穆蕭尹姚邵汪祁毛禹狄貝明臧計伏成戴宋茅龐熊紀舒屈項祝董梁"
    "杜阮藍閔席季賈婁童郭林鍾徐邱駱高夏蔡田樊胡凌霍虞萬柯管盧莫房裘繆解應宗丁宣鄧郁單洪包諸左石崔吉鈕龔程邢裴陸榮翁荀甄曲封"
    "靳段富巫焦巴牧山谷車侯全班秋仲伊宮寧仇欒甘厲祖武符劉景詹龍葉司黎薄印白蒲卓蔺屠蒙池喬聞黨翟譚貢姬申冉桑桂牛邊燕浦尚溫莊"
    "晏柴瞿閻連茹習艾容向古易廖耿匡文寇廣歐沃利越師鞏聶晁敖冷辛闞簡饒曾沙關查荊游竺權蓋江顏梅盛刁徐駱蔔錢湯"
)
_NO_NAME = "梅包桑毛米江湯田池沙石金車花山谷水河海柳葉白牛皮古文方安明成解高"
"""Surnames before which 乾 is mostly `dry`: 梅乾, 牛乾, 湯乾了; and common words."""

_HAN = "\u3400-\u9fff"
_NAME = rf"(?:[{_SURNAMES}][{_HAN}]{{1,3}}|[{_HAN}]{{1,8}}[·．‧・][{_HAN}·．‧・]{{1,12}})"
_ENDS = r"$|[\s，。、；,;.）)譯編/／]"
_END = rf"(?={_ENDS})"
_TITLES = (
    "先生|女士|小姐|教授|老師|同學|博士|主任|醫師|說|表示|認為|指出|等人|[和與及、，。；：,;.（(）)！？\\s]|$"
)

_AUTHORS = re.compile(
    rf"""
      (?<=[{_HAN}A-Za-z.·》）)\]])[ \t\u3000]+著(?=$|[\s，。、；：,;.）)《〈「『/／譯編撰校])       # 高爾基 著
    | (?:作者|著者|撰文)[：:]\s*[{_HAN}·．‧・]{{2,12}}著{_END}                                     # 作者：張大春著
    | [》〉』」][，、,\s]*{_NAME}著{_END}                                                         # 《圍城》，錢鍾書著
    | [\[［〔【（(][{_HAN}]{{1,5}}[\]］〕】）)]\s*[{_HAN}·．‧・]{{2,14}}著(?={_ENDS}|[《〈「『])  # （清）曹雪芹著
    | (?<![{_HAN}]){_NAME}著(?=[《〈「『])                                                        # 魯迅著《吶喊》
    | (?<![{_HAN}]){_NAME}著(?=[，、,\s]+[^\s，。]{{0,12}}(?:出版|書局|書店|書社|印書館|譯))  # 魯迅著，人民文學出版社
    | (?<![靠接逼貼附])近著 | (?<![討談議爭辯評])論著 | (?<!翻)譯著 | (?<!杜)撰著 | (?<!改)編著(?!辮)
    | [原專拙遺土卓所新]著 | 見微知著 | 彰明較著
    | (?:^|(?<=[，。；,\s]))著有(?=[《〈「『])
    """,
    re.VERBOSE | re.MULTILINE,
)
_ASPECT = re.compile("(?<=[拿看讀帶抱捧背翻捏握提夾拎])著(?=書)")
"""The particle between a verb and its object; 著書 is `to write books` elsewhere."""

_NAMED_QIAN = re.compile(
    rf"(?:(?<![{_HAN}])|(?<=[叫是名由與和及給跟對請]))(?:(?![{_NO_NAME}])[{_SURNAMES}])"
    rf"乾(?:(?![淨燥杯脆旱草糧枯涸貨洗咳渴癟掉了的得透裂嘔笑瞪等股])[{_HAN}])?(?={_TITLES})",
    re.MULTILINE,
)
_CARD_ISSUE = re.compile("发(?=卡(?:行|机构|银行|组织|方|量))")

AUTHOR, QIAN, ISSUE = "\ufdd0", "\ufdd1", "\ufdd2"
"""Marks: noncharacters, which no dictionary contains."""

_SETTLED = str.maketrans({AUTHOR: "著", QIAN: "乾", ISSUE: "發"})


def hold(text: str, scheme: str) -> str:
    """Replace characters of a text that a scheme of OpenCC would convert wrongly by marks of one character each."""
    if scheme.startswith("tw2s") and "著" in text:
        text = _ASPECT.sub("着", text)
        text = _AUTHORS.sub(lambda found: found.group().replace("著", AUTHOR), text)
    if scheme[-2:] == "2s" or scheme[-3:] == "2sp":
        if "乾" in text:
            text = _NAMED_QIAN.sub(lambda found: found.group().replace("乾", QIAN), text)
    elif "发卡" in text:
        text = _CARD_ISSUE.sub(ISSUE, text)
    return text


def settle(text: str) -> str:
    """Replace the marks of `hold` in a converted text."""
    return text.translate(_SETTLED)


def convert_words(text: str, scheme: str, convert: Callable[[str], str]) -> str:
    """Convert a text by a scheme of OpenCC with names held; a text that contains a mark is only converted."""
    if any(mark in text for mark in (AUTHOR, QIAN, ISSUE)):
        return convert(text)
    return settle(convert(hold(text, scheme)))
