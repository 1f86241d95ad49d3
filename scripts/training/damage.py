"""Bad examples generated from good text: known types of damage, and menus.

Every function takes real text and a random.Random; equal seeds give equal examples.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

PIECE = re.compile(r"[A-Za-zÀ-ɏͰ-ӿ0-9]+(?:['’][a-z]+)?|[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af]|\S")
HAN = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]")
SENTENCE = re.compile(r"[^。！？.!?\n]+[。！？.!?]?")

MENU_ZH = (
    "首页 登录 注册 搜索 更多 返回顶部 上一页 下一页 关于我们 联系我们 网站地图 免责声明 友情链接 收藏本站 热门推荐 "
    "相关阅读 最新文章 分类目录 标签云 下载 论坛 购物车 我的订单 客服中心 手机版 English 排行榜 图片 视频 专题 点赞 "
    "评论 转发 分享到微信 扫一扫 版权所有 举报 展开全文 阅读全文 编辑 历史 设为首页 加入收藏 会员中心 帮助 招聘信息"
).split()
MENU_EN = (
    "Home|Login|Sign up|Search|More|Back to top|Previous|Next|About us|Contact|Sitemap|Terms of use|Privacy policy|"
    "Links|Bookmark|Popular|Related posts|Latest news|Categories|Tags|Download|Forum|Cart|My account|Support|Share|"
    "Tweet|Like|Comments (0)|Reply|Print|Email|Subscribe|RSS|Read more|Click here|View all|FAQ|Careers|Store|Help|"
    "Follow us|Newsletter|Advertise|Gallery|Videos|Archives|Register|Forgot password?|All rights reserved"
).split("|")


def is_han(text: str) -> bool:
    """Whether more than a third of the characters are Han or kana, i.e. words are not separated by spaces."""
    return 3 * len(HAN.findall(text)) > len(text)


def pieces_of(text: str, rng: random.Random) -> list[str]:
    """Words; in Chinese, runs of one to three characters instead of words."""
    if not is_han(text):
        return text.split()
    pieces, i, single = [], 0, PIECE.findall(text)
    while i < len(single):
        n = rng.choice((1, 2, 2, 3))
        pieces.append("".join(single[i : i + n]))
        i += n
    return pieces


def joiner(text: str) -> str:
    """The separator between words."""
    return "" if is_han(text) else " "


def fragment(text: str, rng: random.Random, longest: int = 4) -> str:
    """Up to `longest` consecutive words of a text, without punctuation."""
    words = [p for p in pieces_of(text, rng) if re.match(r"\w", p)]
    if not words:
        return "x"
    at = rng.randrange(len(words))
    return joiner(text).join(re.sub(r"\W", "", w) for w in words[at : at + rng.randint(1, longest)])


def shuffle_words(text: str, rng: random.Random) -> str:
    """Word salad: all words in random order."""
    pieces = pieces_of(text, rng)
    rng.shuffle(pieces)
    return joiner(text).join(pieces)


def shuffle_lines(text: str, rng: random.Random) -> str:
    """Words in random order within each sentence; final punctuation is kept in place."""
    parts = []
    for sentence in SENTENCE.findall(text):
        body, mark = sentence.rstrip("。！？.!?"), sentence[len(sentence.rstrip("。！？.!?")) :]
        parts.append(shuffle_words(body, rng) + mark)
    return joiner(text).join(parts)


def markov(text: str, rng: random.Random) -> str:
    """A random walk on the Markov chain of the words, or of one or two characters, of this text."""
    units = PIECE.findall(text) if is_han(text) else text.split()
    order = rng.choice((1, 2)) if is_han(text) else 1
    following: dict[tuple[str, ...], list[str]] = {}
    for i in range(len(units) - order):
        following.setdefault(tuple(units[i : i + order]), []).append(units[i + order])
    out: list[str] = []
    while len(out) < len(units):
        options = following.get(tuple(out[-order:])) if len(out) >= order else None
        out.append(rng.choice(options) if options else rng.choice(units))
    return joiner(text).join(out)


def repeat(text: str, rng: random.Random) -> str:
    """A phrase, a sentence or a passage, repeated."""
    sentences = [s.strip() for s in SENTENCE.findall(text) if len(s.strip()) > 3] or [text]
    kind = rng.randrange(3)
    if kind == 0:
        unit = fragment(text, rng)
    else:
        at = rng.randrange(len(sentences))
        unit = joiner(text).join(sentences[at : at + (1 if kind == 1 else rng.randint(2, 5))])
    n = max(3, min(200, rng.randint(200, 2000) // max(len(unit), 1)))
    return rng.choice((joiner(text), " ", "\n")).join([unit] * n)


def mojibake(text: str, rng: random.Random) -> str:
    """Text decoded with a wrong encoding, or with a share of characters replaced by U+FFFD."""
    if rng.random() < 0.2:
        share = rng.uniform(0.03, 0.3)
        return "".join("\ufffd" if rng.random() < share else char for char in text)
    han = (
        ("utf-8", "gbk"), ("utf-8", "cp1252"), ("gbk", "latin-1"), ("gbk", "big5"), ("big5", "gbk"),
        ("utf-8", "latin-1"), ("utf-8", "big5"), ("gbk", "shift-jis"), ("utf-8", "cp1251"),
    )  # fmt: skip
    other = (("utf-16-le", "gbk"), ("utf-16-le", "big5"), ("cp500", "latin-1"), ("utf-16-be", "utf-16-le"))
    written, read = rng.choice(han if is_han(text) else other)
    wrong = text.encode(written, "ignore").decode(read, rng.choice(("replace", "ignore")))
    if is_han(text) or rng.random() < 0.5:
        return wrong
    marks = ("â€™", "â€œ", "â€\x9d", "Ã©", "Â ", "ï¿½", "â€“", "Ã¢â‚¬â„¢", "Ã¼")
    return " ".join(w + rng.choice(marks) + w[:2] if rng.random() < 0.3 else w for w in text.split())


def keywords(text: str, rng: random.Random) -> str:
    """A few phrases of the text, repeated in random order."""
    words = [fragment(text, rng, 3) for _ in range(rng.randint(3, 25))]
    mark = rng.choice((" ", ", ", "，", "、", " | ", "\n", "_", "/"))
    return mark.join(rng.choice(words) for _ in range(rng.randint(30, 200)))


def digits(text: str, rng: random.Random) -> str:
    """The text with many characters replaced by digits, or rows of numbers."""
    if rng.random() < 0.5:
        share = rng.uniform(0.3, 0.8)
        return "".join(rng.choice("0123456789") if c.isalnum() and rng.random() < share else c for c in text)
    numbers = [rng.uniform(0, 10 ** rng.randint(1, 6)) for _ in range(rng.randint(30, 240))]
    cells = [f"{number:.{rng.randint(0, 3)}f}" for number in numbers]
    return "\n".join(" ".join(cells[i : i + 6]) for i in range(0, len(cells), 6))


def truncate(text: str, rng: random.Random) -> str:
    """Truncated sentences, one per line."""
    tail = rng.choice(("...", "…", "……", "", " [...]"))
    cuts = (s[: rng.randint(4, 30)] + tail for s in SENTENCE.findall(text) if len(s) > 6)
    return "\n".join(cuts) or text[:20] + tail


def garble(text: str, rng: random.Random) -> str:
    """A share of the characters replaced by others of the same text or removed, as in bad OCR."""
    share, alphabet = rng.uniform(0.15, 0.4), [c for c in text if not c.isspace()] or ["x"]
    return "".join(
        (rng.choice(alphabet) if rng.random() < 0.7 else "")
        if not c.isspace() and rng.random() < share
        else c
        for c in text
    )


def menu(text: str, rng: random.Random) -> str:
    """A navigation block: menu entries, and titles made of words of the text."""
    entries = MENU_ZH if is_han(text) else MENU_EN
    items = [
        rng.choice(entries) if rng.random() < 0.5 else fragment(text, rng) for _ in range(rng.randint(10, 80))
    ]
    return rng.choice(("\n", " | ", " ", "\n- ", " > ", "\n\n", " · ")).join(items)


Maker = Callable[[str, random.Random], str]
DAMAGE: tuple[Maker, ...] = (
    shuffle_words, shuffle_lines, markov, repeat, mojibake, keywords, digits, truncate, garble, menu,
)  # fmt: skip
