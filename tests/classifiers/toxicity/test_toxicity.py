"""Toxicity: the kernel against a plain reading of the model, and what the shipped model says.

Abuse stands here where a test needs it, and no more of it than that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.linear.train import Settings, auc, fit
from classifiers.toxicity import (
    DOUBTFUL,
    LIFT,
    MODEL_PATH,
    RECOUNT_ABOVE,
    STAGE,
    SURE,
    WINDOWS_PER_WORST,
    Config,
    Model,
    load_model,
)
from classifiers.toxicity.features import BLOCK, HASH_BITS, LEAST, MAX_LETTERS, N_CELLS, N_ROWS, N_SCORERS
from pipeline.errors import ConfigError
from stages.kernels.text.tables import load_tables
from tests.helpers.strategies import texts

MASK = (1 << 64) - 1
ODD_A = 0x9E3779B97F4A7C15
CLASS_LETTERS = "osnpym0LlhHKU"  # one letter for each class, in the order of kernels.text.tables
MASKS = "*._-~|/\\+=#@&^$%"
STANDS_FOR = dict(zip("013457@$!*#", "oieastasi**", strict=True))

ZH = (
    "图书馆从下个月起延长开放时间，工作日的闭馆时间推迟到晚上九点。"
    "很多读者下班以后才有空看书，馆里因此增加了六名员工。"
)
EN = (
    "The library will stay open until nine on weekdays from next month. Many readers only have time to read "
    "after work, so it has hired six more people and put the new hours on the door. "
)
ABUSE_ZH = "你这个傻逼，去死吧，你妈就是个婊子，你全家都是畜生，滚回去吃屎，老子砍死你这个狗杂种。"
ABUSE_EN = "You stupid fucking bitch, shut up and kill yourself, you worthless piece of shit, I will cut your throat. "


def annotate(docs: Sequence[str | None], labels: str | Sequence[str | None]) -> list[dict[str, Any]]:
    """Rows of the shipped model; Any: a number or None."""
    names = [labels] * len(docs) if isinstance(labels, str) else labels
    batch = pa.table(
        {"text": pa.array(docs, pa.large_string()), "language.label": pa.array(names, pa.string())}
    )
    return STAGE.load(Config())(batch).to_pylist()


def score(text: str, label: str) -> float:
    """Score of one document that has one."""
    return float(annotate([text], label)[0]["score"])


def mix(value: int) -> int:
    """SplitMix64's finaliser on Python integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def hash_letters(letters: Sequence[int], salt: int) -> int:
    """Hash of part of a word."""
    state = salt
    for letter in letters:
        state = ((state ^ letter) * ODD_A) & MASK
        state ^= state >> 32
    return mix(state) | 1


def word_at(text: str, shape: str, i: int) -> tuple[int, list[int]]:
    """Where the word at i ends, and its letters without disguise."""
    at = [
        k for k in range(i, len(text), 2) if shape[k] == "L" and shape[k + 1 : k + 2] not in list("0LlhHKU")
    ]
    run = list(itertools.takewhile(lambda k: k in at, range(i, len(text), 2)))
    apart = text[i + 1 : i + 2]
    run = [k for k in run if all(text[j] == apart for j in range(i + 1, k, 2))]
    if len(run) > 2 and apart.isascii() and (apart in MASKS or shape[i + 1] == "s"):
        return run[-1] + 1, squeeze([fold(text[k]) for k in run])
    letters, k = [], i
    while k < len(text):
        inside = k > i and shape[k - 1] == "L" and shape[k + 1 : k + 2] == "L"
        if shape[k] in "0Llh":
            digit = shape[k] == "0" and inside and text[k] in STANDS_FOR
            letters.append(ord(STANDS_FOR[text[k]]) if digit else fold(text[k]))
        elif not (shape[k] in "mo" or (text[k] in "'\u2019" and inside)):
            after = len(text) - len(text[k:].lstrip(text[k]))
            if text[k] not in STANDS_FOR or not any(letters) or shape[after : after + 1] != "L":
                break
            letters.append(ord(STANDS_FOR[text[k]]))
        k += 1
    return k, squeeze(letters)


def fold(char: str) -> int:
    """Match text of a character, 0 where it has none."""
    return int(load_tables().fold[ord(char)])


def squeeze(letters: list[int]) -> list[int]:
    """Letters that come three times or more once; at most MAX_LETTERS."""
    groups = [(key, len(list(group))) for key, group in itertools.groupby(c for c in letters if c)]
    kept = ([key] * (1 if n > 2 and key >= ord("a") else n) for key, n in groups)
    return list(itertools.chain.from_iterable(kept))[:MAX_LETTERS]


def tokens(text: str) -> Iterator[tuple[int, list[int] | None] | None]:
    """Key and letters of each token, no letters but None for one ideograph; None for what ends an n-gram."""
    shape = "".join(CLASS_LETTERS[load_tables().classes[ord(c)]] for c in text)
    i = 0
    while i < len(text):
        if shape[i] in "HKU" or (shape[i] == "y" and ord(text[i]) >= 0x1F000):
            yield mix((fold(text[i]) or ord(text[i])) ^ ODD_A), None if shape[i] in "HKU" else []
        elif shape[i] in "0Llh":
            number = shape[i] == "0"
            i, letters = word_at(text, shape, i)
            if letters and not (number and len(letters) > 4):
                yield hash_letters(letters, 7), letters
            continue
        elif shape[i] not in "smo" and (text[i] not in MASKS or shape[i + 1 : i + 2] in ("", "s")):
            yield None
        i += 1


def measure_cells(text: str) -> list[list[int]]:
    """Cells of the features of each block."""
    blocks: list[list[int]] = []
    context: list[int] = []
    n = 0
    for token in tokens(text):
        if token is None:
            context = []
            continue
        key, letters = token
        if n % BLOCK == 0:
            blocks.append([])
        n += 1
        grams = [key, *(mix((before * ODD_A + key) & MASK) for before in context)]
        context = grams[:2]
        grams = grams[: 3 if letters is None else 2]
        for size in (4, 5):
            if letters and len(letters) >= size:
                grams += [hash_letters(letters[:size], 13), hash_letters(letters[-size:], 17)]
        first = N_CELLS // 2 if letters else 0
        blocks[-1] += [first + (gram >> (64 - HASH_BITS)) for gram in grams]
    return blocks


def measure(text: str, family: int, model: Model) -> list[list[float]]:
    """Log-odds of the windows by the definition: of each scorer, for each window."""
    blocks = measure_cells(text)
    windows = [a + b for a, b in itertools.pairwise(blocks)] if len(blocks) > 1 else blocks
    odds = [add_up(window, family, model) for window in windows]
    return [
        add_up(list(set(window)), family, model) if max(values[:2]) > RECOUNT_ABOVE else values
        for window, values in zip(windows, odds, strict=True)
    ]


def add_up(cells: list[int], family: int, model: Model) -> list[float]:
    """Log-odds of the three scorers for these features."""
    sums = model.weights[cells].astype(int).sum(axis=0) / math.sqrt(max(len(cells), LEAST))
    odds = sums / 64 + model.biases + model.weights[N_CELLS + family] / 64
    return [float(value) for value in odds]


def join(values: list[float]) -> float:
    """Log-odds of a window from those of the scorers."""
    most = values[0] + LIFT
    return min(most if values[0] >= SURE else min(most, DOUBTFUL), values[2])


def aggregate(odds: list[float]) -> float:
    """Mean of the worst windows."""
    worst = sorted(round(max(-8.0, min(8.0, value)), 3) for value in odds)[
        -(1 + len(odds) // WINDOWS_PER_WORST) :
    ]
    return sum(worst) / len(worst)


DISGUISED = st.lists(
    st.sampled_from(
        [*"abk妈の好 *.-_!$@#'135\n😀é，", "aaa", "f*ck", "sh1t", "b a d", "a.b.c", "ＡＢ", "12345", "한"]
    ),
    max_size=120,
).map("".join)


@given(st.lists(texts() | DISGUISED, min_size=1, max_size=4), st.sampled_from(["zho_Hans", "eng_Latn"]))
def test_scores_equal_the_plain_measure(docs: list[str], label: str) -> None:
    """The kernel gives the windows that the definition gives, and the document their worst, mean worst and share."""
    model = load_model(MODEL_PATH)
    for text, row in zip(docs, annotate(docs, label), strict=True):
        odds = measure(text, int(label == "eng_Latn"), model)
        if not odds:
            assert set(row.values()) == {None}
            continue
        if any(abs(max(values[:2]) - RECOUNT_ABOVE) < 0.002 for values in odds):
            continue  # rounding may decide whether the window is counted again
        if any(abs(values[0] - SURE) < 0.002 for values in odds):
            continue
        toxic = [join(values) for values in odds]
        harm = [values[1] for values in odds]
        expected = {"score": aggregate(toxic), "max_window": min(max(toxic), 8), "self_harm": aggregate(harm)}
        for name, value in expected.items():
            assert abs(math.log(row[name] / (1 - row[name])) - max(value, -8)) < 0.0025
        if all(abs(value) > 0.002 for value in toxic):
            assert abs(row["toxic_share"] - sum(value > 0 for value in toxic) / len(toxic)) < 0.00051


@pytest.mark.parametrize("line,label", [("狗 猪 狗 猪 ", "zho_Hans"), ("stupid dog stupid pig ", "eng_Latn")])
def test_repeats_add_nothing(line: str, label: str) -> None:
    """A cheer or a table that repeats a few words scores as one window of them does, and lower than their sum would."""
    model = load_model(MODEL_PATH)
    once, often = annotate([line * (2 * BLOCK // 4), line * 200], label)
    assert once == often
    cells = [cell for part in measure_cells(line * 16) for cell in part]
    family = int(label == "eng_Latn")
    assert join(add_up(cells, family, model)) > math.log(once["score"] / (1 - once["score"])) + 0.5


@pytest.mark.parametrize(
    "text,label",
    [
        (ABUSE_ZH, "zho_Hans"),
        ("你他妈有病吧，脑残", "zho_Hans"),
        ("這個賤人真噁心，去死吧", "zho_Hant"),
        ("幹你娘，婊子養的廢物", "zho_Hant"),
        ("再不闭嘴老子就捅死你", "zho_Hans"),
        ("这群黑鬼又懒又脏，就该滚回非洲", "zho_Hans"),
        ("女人没一个好东西，全是贱货", "zho_Hans"),
        (ABUSE_EN, "eng_Latn"),
        ("all muslims are terrorists and should be deported", "eng_Latn"),
        ("women are stupid whores who belong in the kitchen", "eng_Latn"),
        ("I'm going to kill you and your whole family", "eng_Latn"),
        ("shut up you dumb b*tch", "eng_Latn"),
    ],
)
def test_abuse_scores_high(text: str, label: str) -> None:
    """Insults, hate, threats and sexual abuse in Hans, Hant and English are more likely toxic than not, by far."""
    assert score(text, label) > 0.7


@pytest.mark.parametrize(
    "text,label",
    [
        (ZH, "zho_Hans"),
        ("法院以故意杀人罪判处被告人死刑，缓期二年执行。警方在现场发现一具女尸。", "zho_Hans"),
        ("強姦罪是指違背婦女意志，以暴力、脅迫手段強行與婦女發生性關係的行為。", "zho_Hant"),
        ("阴道炎是常见的妇科疾病；阴茎由海绵体和尿道组成。", "zho_Hans"),
        ("她是一名黑人女性，在大学教授历史，也研究种族歧视的由来。", "zho_Hans"),
        ("日本的干部在操场上看公鸡，妈妈在操作电脑。", "zho_Hans"),
        ("子曰：「學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？」", "lzh_Hani"),
        (EN, "eng_Latn"),
        (
            "The class will assess the Scunthorpe assignment; the analyst passed it to the cockpit.",
            "eng_Latn",
        ),
        ("The penis contains erectile tissue, and the vagina is a muscular canal.", "eng_Latn"),
        (
            "Police said the man was stabbed to death and the suspect charged with murder and rape.",
            "eng_Latn",
        ),
        (
            "Jews were murdered in the Holocaust; Muslims pray five times a day; gay couples may marry.",
            "eng_Latn",
        ),
        ("Kill the parent process and its children with signal 9, then dump the core.", "eng_Latn"),
    ],
)
def test_ordinary_text_scores_low(text: str, label: str) -> None:
    """Prose, crime news, law, anatomy, classical Chinese, groups named and innocent syllables are not flagged."""
    assert score(text, label) < 0.7


@pytest.mark.parametrize(
    "plain,disguised",
    [
        ("傻逼东西", "傻*逼东西"),
        ("傻逼东西", "傻 逼 东 西"),
        ("贱人去死", "賤人去死"),
        ("shit happens", "sh1t happens"),
        ("shit happens", "ＳＨＩＴ happens"),
        ("what an asshole", "what an a$$hole"),
        ("fuck you", "fuuuuuck you"),
        ("fuck you", "f.u.c.k you"),
        ("fuck off now", "f u c k off now"),
    ],
)
def test_disguises_change_nothing(plain: str, disguised: str) -> None:
    """Marks and blanks inside a word, digits for letters, drawn-out letters, width and script leave the score."""
    assert annotate([plain], "und") == annotate([disguised], "und")


@pytest.mark.parametrize("text,abuse,label", [(ZH, ABUSE_ZH, "zho_Hans"), (EN, ABUSE_EN, "eng_Latn")])
def test_a_paragraph_shows_and_a_word_does_not(text: str, abuse: str, label: str) -> None:
    """A paragraph of abuse raises the score of a long page, a swear word in prose does not."""
    page, word = text * 40, {"zho_Hans": "混蛋", "eng_Latn": " damn "}[label]
    clean, sworn, abused = annotate(
        [page, text * 20 + word + text * 20, text * 20 + abuse + text * 20], label
    )
    assert clean["score"] < 0.2 and sworn["score"] < 0.5 and sworn["toxic_share"] < 0.05
    assert abused["score"] > clean["score"] + 0.2 and abused["max_window"] > 0.8
    assert 0 < abused["toxic_share"] < 0.2
    assert annotate([abuse * 10], label)[0]["toxic_share"] == 1.0


def test_traditional_and_simplified_score_alike() -> None:
    """The same text in Traditional characters has the same scores: n-grams are of match text."""
    assert annotate(["這個賤人真噁心"], "zho_Hant") == annotate(["这个贱人真恶心"], "zho_Hans")


def test_abuse_in_the_other_language_shows() -> None:
    """One table serves both languages, so that a page is not excused by its label."""
    assert score(ZH[:30] + ABUSE_EN, "zho_Hans") > 0.7
    assert score(EN[:60] + ABUSE_ZH, "eng_Latn") > 0.7


def test_texts_without_a_token_have_no_score() -> None:
    """Null, blank and empty texts and bare marks get null, not a middling score."""
    rows = annotate([None, "", " \t ", "…… !!! ***", ZH], "zho_Hans")
    assert [row["score"] is None for row in rows] == [True, True, True, True, False]


def test_a_foreign_model_is_refused(tmp_path: Path) -> None:
    """A missing file, a file of another kind, another shape and a bias that is no number each stop with a sentence."""
    paths = [tmp_path / f"{name}.npz" for name in ("missing", "other", "shape", "bias")]
    paths[1].write_bytes(b"PK nothing of the kind")
    np.savez(paths[2], weights=np.zeros((5, N_SCORERS), np.int16), biases=np.zeros(N_SCORERS))
    np.savez(paths[3], weights=np.zeros((N_ROWS, N_SCORERS), np.int16), biases=np.full(N_SCORERS, math.nan))
    for path in paths:
        with pytest.raises(ConfigError, match="expected"):
            load_model(str(path))


@pytest.mark.parametrize(
    "text,label",
    [
        ("我真的撑不下去了，不想活了，遗书已经写好，今晚就从楼上跳下去", "zho_Hans"),
        ("每天都想自杀，又割腕了，活着没有意思", "zho_Hans"),
        ("I can't take it anymore, I want to kill myself tonight. Nobody would miss me.", "eng_Latn"),
        ("i keep cutting myself and i just want to die", "eng_Latn"),
    ],
)
def test_a_person_who_speaks_of_harming_themselves_scores_high(text: str, label: str) -> None:
    """First-person intent shows in its own column."""
    assert annotate([text], label)[0]["self_harm"] > 0.7


@pytest.mark.parametrize(
    "text,label",
    [
        ("如果你或身边的人有自杀的念头，请拨打心理援助热线，专业人员会倾听。", "zho_Hans"),
        ("研究显示，抑郁症患者的自杀风险高于一般人群，用药期间应密切观察。", "zho_Hans"),
        ("诗人于1933年自杀，年仅二十九岁，其作品影响深远。", "zho_Hans"),
        (
            "If you are thinking about suicide, call the lifeline; a trained counselor will listen.",
            "eng_Latn",
        ),
        ("Police said the man died by suicide after a standoff; an inquiry was opened.", "eng_Latn"),
        ("The trial measured suicidal ideation in adolescents treated with antidepressants.", "eng_Latn"),
        (ABUSE_EN, "eng_Latn"),
    ],
)
def test_text_about_suicide_is_not_self_harm(text: str, label: str) -> None:
    """Help pages, clinical text, biographies and news on suicide score low, and so does abuse of others."""
    assert annotate([text], label)[0]["self_harm"] < 0.5


def test_training_over_the_root_finds_a_single_word() -> None:
    """Fitted over the root of their number, one telling n-gram among sixty is found, the same on every run."""
    random = np.random.default_rng(0)
    labels = np.array([1, 0] * 60, np.int8)
    rows = random.integers(10, 400, (120, 60)).astype(np.int32)
    rows[:, 0] = np.where(labels == 1, 3, 4)
    starts, shapes = np.arange(0, 7201, 60), np.full((120, 1), 5)
    settings = Settings(dropout=0.0, epochs=10, root=True)
    weights, bias = fit(rows.ravel(), starts, shapes, labels, 400, settings)
    scores = weights[rows].sum(axis=1) / math.sqrt(60) + weights[5] + bias
    assert auc(scores, labels == 1) > 0.99 and weights[3] > 1 and weights[4] < -1
    assert (fit(rows.ravel(), starts, shapes, labels, 400, settings)[0] == weights).all()
