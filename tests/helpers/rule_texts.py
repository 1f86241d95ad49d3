"""Texts that rules keep and drop, in Chinese and English: good ones of each form, and one for each fault.

All of them are written for the tests. A fault is made from the good page of its language, so that few other rules
notice.
"""

from __future__ import annotations

from pathlib import Path

import yaml

GOOD: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
"""Form -> language -> text; those of PAGES are pages: with few sentences, short lines, Traditional characters."""

PAGES = ("page", "notice", "letter", "traditional")

_COLUMNS = {
    "zho": "|  | 首页 | 关于我们 | 联系我们 |\n|---|---|---|---|\n|  | 登录 | 注册 | 帮助 |\n"
    "|  | 充值 | 提现 | 客服 |\n|  | 下载 | 优惠 | 代理 |\n|  | 公告 | 规则 | 返回 |\n",
    "eng": "|  | Home | About us | Contact |\n|---|---|---|---|\n|  | Login | Register | Help |\n"
    "|  | Cart | Checkout | Search |\n|  | Privacy | Terms | Sitemap |\n|  | Page 1 | Page 2 | Next |\n",
}
_MENU = {
    "zho": "首页\n新闻中心\n产品展示\n在线留言\n联系我们\n",
    "eng": "Home\nOur news\nProducts\nShop with us\nContact\n",
}
_WORDS = {
    "zho": "山水田园风花雪月春夏秋冬东南西北",
    "eng": "hill lake farm wood wind snow moon leaf road gate barn mill stone".split(),
}


def _lines(text: str) -> list[str]:
    return text.strip().split("\n")


def _join(lang: str, units: list[str]) -> str:
    return "".join(units) if lang == "zho" else " ".join(units)


def faults(lang: str) -> dict[str, str]:
    """Texts with one fault each, by what is wrong."""
    page, words = GOOD["page"][lang], _WORDS[lang]
    lines = _lines(page)
    mark, stop = ("。", "的") if lang == "zho" else (".", "the")
    sentence = f"{_join(lang, list(words[:9]))}{mark}\n"
    many = "\n".join(
        f"{_join(lang, [words[(i * k) % len(words)] for k in (1, 2, 3, 5, 7)])}{i}" for i in range(400)
    )
    return {
        "empty of words": "……",
        "short": lines[0][:24] + mark,
        "short verse": "Rain on the stones,\nWind in the trees,\nAll that we owned\nGone to the seas.",
        "short post": {"zho": "#早安# 大家今天好呀", "eng": "so good today #hi"}[lang],
        "one sentence": page.translate(str.maketrans("。.：?；!", "，,，,，,")),
        "long": "".join(page.replace("三" if lang == "zho" else "three", str(i)) for i in range(60)),
        "very long": page * (60 if lang == "zho" else 600),
        "endless sentences": "".join(
            f"{_join(lang, [words[i % 7], stop, words[i % 11]])}{mark}\n" for i in range(7600)
        ),
        "digits": page[:200] + " 3141592653 2718281828" * 40,
        "numbers": "\n".join(" ".join(str((i * k * 7919) % 9973) for k in range(1, 12)) for i in range(1, 40)),
        "number table": "\n".join(
            f"{words[i % 9]}|{i * 7919}|{i * 104729}|{i * 1299709}|{i * 15485863}" for i in range(9, 60)
        ),
        "number code": "\n".join(f"x[{i}] = {i * 15485863} + {i * 32452843} + {i * 49979687}" for i in range(9, 60)),
        "number cues": "\n".join(
            f"00:00:{i}.000 --> 00:00:{i}.500\n{i * 7919} {stop} {i * 104729}" for i in range(10, 50)
        ),
        "signs of code": "\n".join(f"{{[]}} += ({i} && !{i}); <{{{i}}}> ^= [{i}] == {i};" for i in range(9, 60)),
        "long lines of code": "\n".join(f"x[{i}] = f(a[{i}], b[{i}]); " * 9 for i in range(20)),
        "hash marks": "# # # # # # # # " * 12 + lines[0].replace("。", "，"),
        "hash lines": "\n".join(f"# # # # {words[i % 9]} {words[i % 7]} {stop} {stop}" for i in range(40)),
        "ellipses": page.replace("，", "……，").replace(" ", "... ")
        if lang == "eng" else "".join(f"{char}…" for char in page[:200]),
        "cut lines": "\n".join(f"{line}…" for line in lines * 3),
        "read more": "\n".join(f"{line[:60]} {'展开' if lang == 'zho' else 'read more'}" for line in lines * 2),
        "bullets": "\n".join(f"- {line[:30]}" for line in _lines(page + GOOD["dialogue"][lang])),
        "menu": _MENU[lang] + many.replace("0", ""),
        "menu in columns": _COLUMNS[lang] * 2,
        "advertising in short lines": "\n\n".join(
            f"the cheapest of the {w},\na discount on {w},\nsign up to our {w},\nand order the best {w},"
            for w in ("casino bonus", "poker online", "loans today", "pills for sale")
        ),
        "menu of sentences": _MENU[lang] * 3 + "\n".join(f"{w} {i}" for i, w in enumerate(words)),
        "headlines": "\n".join(f"{line[:16]}" for line in page.replace("，", "\n").replace(", ", "\n").split("\n")),
        "teasers": "\n".join(line[:180].rstrip(".。") for line in lines) if lang == "eng" else "",
        "links": "# Guide\n## In this section\n" + "\n".join(
            f"- [The {word} (custom web app)](the-{word}-custom-web-app.md)" for word in words[:8]
        ) if lang == "eng" else "",
        "symbols": page[:120] + " → ★ ¥ § ± × ÷ ≈ ≠ ≤" * 40,
        "punctuation of none": "".join(char for char in page if char.isalnum() or char in " \n"),
        "foreign words": "qzx vlk " * 120 if lang == "eng" else "Internationalization " * 30 + "中文的" * 3,
        "no stop words": _join(lang, list(words) * 8),
        "one stop word": _join(lang, [*(list(words) * 20), stop]),
        "no words of prose": "\n".join(f"f{i} = {words[i % 9]}[{i % 7}](x{i})" for i in range(60)),
        "letters": _join("eng", ["a", "i", "to", "of", "be"] * 30),
        "long words": " ".join(["antidisestablishmentarianism" * 2, stop, "to", "of"] * 20),
        "capitals": page.upper(),
        "few characters": _join(lang, list(words[:3]) * 200),
        "few words": _join(lang, [*words[:2], stop, "to" if lang == "eng" else "在"] * 40),
        "brackets": page[:300] + "【" + lines[1][:80] + "】" + "【" + lines[2][:80] + "】",
        "braces": page + "{}" * 60,
        "lorem ipsum": page + "Lorem ipsum dolor sit amet.",
        "duplicate lines": "\n".join(lines[:2] * 4),
        "short duplicate lines": page + f"{words[0]}{stop}\n" * 40,
        "duplicate paragraphs": "\n\n".join(lines * 2),
        "small duplicate paragraphs": "\n\n".join([*lines, *(["***"] * 9)]),
        "duplicate verse": GOOD["verse"][lang] * 3,
        "duplicate dialogue": GOOD["dialogue"][lang] * 8,
        "duplicate code": GOOD["code"][lang] * 9,
        "duplicate short code": GOOD["code"][lang] * 2,
        "top words": "".join(
            f"{_join(lang, list(words[:k]))}{mark} {line}\n" for line in lines for k in (2, 3, 4) for _ in range(9)
        ),
        "sentence again": page + sentence * 30,
        "shuffled": f"{stop} the of hill the to lake and farm " * 24,
        "broken characters": page.replace("，", "\ufffd").replace(" a", "\ufffd").replace(" t", "\ufffd"),
        "broken traditional": "圖書館窗戶讀報" * 60,
        "broken table": GOOD["table"]["zho"].encode().decode("gb18030", "replace")
        if lang == "zho"
        else GOOD["table"]["eng"].translate({ord("e"): "â€™", ord("a"): "Ã©", ord("o"): "\ufffd"}),
        "broken json": GOOD["json"][lang].replace("}", "", 1),
        "low score": page,
    }  # fmt: skip
