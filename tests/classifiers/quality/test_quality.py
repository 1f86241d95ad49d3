"""Quality scores: the kernel against a plain reading of the model, and the scores of the shipped model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.linear.families import CHARACTERS, WORDS
from classifiers.linear.train import Settings, auc, fit
from classifiers.quality import (
    INTACT_PATH,
    LABELLED,
    SCORERS,
    STAGE,
    VALUE_PATH,
    Config,
    Model,
    load_model,
)
from classifiers.quality.features import LENGTHS, N_CELLS, N_STEPS, ORDERS, PER_MILLE
from pipeline.errors import ConfigError
from stages.kernels.text.tables import load_tables
from tests.helpers.ngrams import CLASS_LETTERS, MASK, ODD_A, TOKEN, mix, unit_key
from tests.helpers.paths import DEV_DATA
from tests.helpers.strategies import texts

ZH = (
    "光合作用是植物、藻类和某些细菌利用光能，把二氧化碳和水转化为有机物并释放氧气的过程。这一过程发生在叶绿体中，"
    "分为光反应和暗反应两个阶段。光反应在类囊体膜上进行，产生的能量供暗反应固定二氧化碳。"
)
EN = (
    "Photosynthesis is the process by which plants, algae and some bacteria use light to turn carbon dioxide and water "
    "into sugars, releasing oxygen. It takes place in the chloroplasts and has two stages. The first depends on light "
    "and supplies the energy that the second stage needs to fix carbon dioxide."
)


def annotate(docs: Sequence[str | None], labels: Sequence[str | None]) -> list[dict[str, Any]]:
    """Scores of the shipped model; Any: a number or None."""
    batch = pa.table(
        {"text": pa.array(docs, pa.large_string()), "language.label": pa.array(labels, pa.string())}
    )
    return STAGE.load(Config())(batch).to_pylist()


def measure(text: str, family: int, model: Model) -> list[float] | None:
    """Scores by the definition, from a spelling of the text with one letter for each character's class."""
    classes, fold = load_tables().classes, load_tables().fold
    spelled = "".join("'" if c in "'\u2019" else CLASS_LETTERS[classes[ord(c)]] for c in text)
    keys, totals = [], [0] * 6
    for match in TOKEN.finditer(spelled):
        codes, letters = [ord(c) for c in text[match.start() : match.end()]], match.group()
        if match["unit"]:
            number = letters[0] == "0"
            keys.append(1 if number else unit_key(codes))
            totals[0] += number
            totals[5] += not number and (letters[0] in "HKU") != (family == CHARACTERS)
            totals[4] += letters[0] == "L" and fold[codes[0]] != codes[0]
        elif match["mark"]:
            keys.append(mix(codes[0] ^ 1 << 32))
            totals[2] += 1
            totals[3] += letters == "y"
        else:
            keys.append(2 if match["line"] else 3)
            totals[1] += match["line"] is not None
            totals[3] += match["stray"] is not None
    if not keys:
        return None
    slots = 256
    while slots < min(1 << 14, len(text)):
        slots *= 2
    seen: dict[int, int] = {}
    repeats, grams = 0, []
    previous: list[int] = []  # hashes of the n-grams that end at the token before, shortest first
    for key in keys:
        found = [key, *(mix((shorter * ODD_A + key) & MASK) for shorter in previous)][: ORDERS[family]]
        grams += [mix(found[0]), *found[1:]]
        repeats += seen.get(found[-1] % slots) == found[-1]
        seen[found[-1] % slots] = found[-1]
        previous = found
    length = sum(len(keys) >= bound for bound in LENGTHS)
    rows = [N_CELLS + length * N_STEPS + step_of(repeats, len(keys))]
    rows += [N_CELLS + (5 + i) * N_STEPS + step_of(total, len(keys)) for i, total in enumerate(totals)]
    times = Counter(gram >> 46 for gram in grams)
    logs = {cell: round(256 * math.log1p(n)) for cell, n in times.items()}
    norm = math.sqrt(sum(log * log for log in logs.values()))
    scores = []
    for k, name in enumerate(SCORERS):
        weights = model.weights[family, :, k]
        if name == "intact":
            mean = sum(int(weights[cell]) * n for cell, n in times.items()) / len(grams)
            total = mean + sum(int(weights[row]) for row in rows)
        else:
            total = sum(int(weights[cell]) * log for cell, log in logs.items()) / norm
        odds = total * float(model.steps[family, k]) + float(model.bias[family, k])
        odds = round(max(-8.0, min(8.0, odds)), 3)
        scores.append(1 / (1 + math.exp(-odds)))
    return scores


def step_of(part: int, whole: int) -> int:
    """How many bounds a share reaches."""
    return sum(1000 * part >= bound * whole for bound in PER_MILLE)


@given(st.lists(texts(), min_size=1, max_size=4), st.sampled_from(["zho_Hans", "eng_Latn"]))
def test_scores_equal_the_plain_measure(docs: list[str], label: str) -> None:
    """The kernel gives the scores that the definition gives, to the rounding step of log-odds."""
    model, family = load_model(VALUE_PATH, INTACT_PATH), CHARACTERS if label == "zho_Hans" else WORDS
    for text, row in zip(docs, annotate(docs, [label] * len(docs)), strict=True):
        expected = measure(text, family, model)
        if expected is None:
            assert set(row.values()) == {None}
            continue
        for name, value in zip(SCORERS, expected, strict=True):
            found = row[name]
            assert found is not None
            assert abs(math.log(found / (1 - found)) - math.log(value / (1 - value))) < 0.0015


@pytest.mark.parametrize("text,label", [(ZH, "zho_Hans"), (EN, "eng_Latn")])
def test_prose_scores_above_what_was_done_to_it(text: str, label: str) -> None:
    """Encyclopedic prose is intact and above the recommended cut; its words stuffed or wrongly decoded are neither."""
    words = text.split() if label == "eng_Latn" else [text[i : i + 2] for i in range(0, len(text), 2)]
    salad = (" " if label == "eng_Latn" else "").join(sorted(words))
    wrong = text.encode("utf-16-le").decode("gbk", "replace")
    stuffed = ", ".join([words[0], words[3]] * 40)
    good, *bad = annotate([text, salad, wrong, stuffed], [label] * 4)
    assert good["value"] > 0.39 and good["intact"] > 0.4
    for row in bad:
        assert row["intact"] < 0.5 and row["intact"] < good["intact"] and row["value"] < good["value"]


@pytest.mark.parametrize(
    "text,label",
    [
        (
            "首页 | 登录 | 注册 | 关于我们 | 联系我们\n上一篇：暂无\n下一篇：暂无\n版权所有 返回顶部",
            "zho_Hans",
        ),
        ("哈哈哈哈\n楼主好人\n顶\n真的假的？？\n+1\n同问", "zho_Hans"),
        ("澳门新葡京娱乐场官网 送彩金 百家乐 时时彩平台 注册送88元 真人荷官在线 彩票开户", "zho_Hans"),
        ("Home | Login | Register | About us\nPrevious | Next\nAdd to cart\nAll rights reserved", "eng_Latn"),
        ("FREE prize!!! Call 09061701461 now to claim your 1000 cash reward, txt WIN to 80086", "eng_Latn"),
    ],
)
def test_menus_chat_and_adverts_are_of_little_value(text: str, label: str) -> None:
    """Menus, small talk, betting and advertisements would not be kept; the recommended cuts are above them."""
    (row,) = annotate([text], [label])
    assert row["value"] < (0.4 if label == "zho_Hans" else 0.35) and row["keep"] < 0.5


def test_kinds_of_junk_are_told_apart() -> None:
    """Betting spam is spam rather than furniture, and a menu is furniture rather than spam."""
    betting = "澳门新葡京娱乐场官网 送彩金 百家乐 时时彩平台 注册送88元 真人荷官在线 彩票开户"
    menu = "首页 | 登录 | 注册 | 关于我们 | 联系我们\n网站地图\n友情链接\n返回顶部\n上一页 下一页"
    spam, furniture = annotate([betting, menu], ["zho_Hans"] * 2)
    assert spam["spam"] > furniture["spam"] and furniture["furniture"] > spam["furniture"]


def test_scripts_choose_the_model() -> None:
    """A language of ideographs or kana gets one model, any other the other, and without a script the units decide."""
    text = f"{ZH} {EN[:60]}"
    by_label = [annotate([text], [label])[0] for label in ("zho_Hans", "lzh_Hani", "jpn_Jpan", "mul", None)]
    assert all(row == by_label[0] for row in by_label)
    words = [annotate([text], [label])[0] for label in ("eng_Latn", "fra_Latn", "kor_Hang")]
    assert words[0] == words[1] == words[2] != by_label[0]
    assert annotate([EN], ["und"]) == annotate([EN], ["eng_Latn"])


def test_traditional_and_simplified_score_alike() -> None:
    """The same text in Traditional characters has the same scores: n-grams are of match text."""
    hant = "這個過程發生在葉綠體中，分為兩個階段。"
    hans = "这个过程发生在叶绿体中，分为两个阶段。"
    assert annotate([hant], ["zho_Hant"]) == annotate([hans], ["zho_Hans"])


def test_texts_without_a_token_have_no_score() -> None:
    """Null, blank and empty texts get null, not a middling score."""
    rows = annotate([None, "", " \t ", ZH], ["zho_Hans"] * 4)
    assert [row["intact"] is None for row in rows] == [True, True, True, False]


def test_a_foreign_model_is_refused(tmp_path: Path) -> None:
    """A missing file, a file of another kind and a model of another shape each stop with a sentence."""
    other, shape = tmp_path / "other.npz", tmp_path / "shape.npz"
    other.write_bytes(b"PK nothing of the kind")
    arrays = {"steps": np.zeros((2, 5)), "bias": np.zeros((2, 5)), "scorers": np.array(LABELLED)}
    np.savez(shape, weights=np.zeros((2, 5, 5), np.int16), **arrays)  # type: ignore[arg-type]  # arrays, by name
    for path in (tmp_path / "missing.npz", other, shape):
        with pytest.raises(ConfigError, match="expected"):
            load_model(str(path), INTACT_PATH)
        with pytest.raises(ConfigError, match="expected"):
            load_model(VALUE_PATH, str(path))


def test_training_finds_what_separates() -> None:
    """Logistic regression separates examples by the one feature that differs, the same on every run."""
    random = np.random.default_rng(0)
    labels = np.array([1, 0] * 50 + [-1] * 10, np.int8)
    rows = random.integers(10, 100, (110, 20)).astype(np.int32)
    rows[:, 0] = np.where(labels == 1, 3, 4)
    starts, shapes = np.arange(0, 2201, 20), np.full((110, 1), 5)
    settings = Settings(dropout=0.0, epochs=20)
    weights, bias = fit(rows.ravel(), starts, shapes, labels, 100, settings)
    scores = weights[rows].mean(axis=1) + weights[5] + bias
    assert weights[3] > 1 and weights[4] < -1
    assert auc(scores[:100], labels[:100] == 1) > 0.99
    again, _ = fit(rows.ravel(), starts, shapes, labels, 100, settings)
    assert (again == weights).all()


def test_auc_counts_ties_half() -> None:
    """The area under the curve is the share of pairs in order, ties half."""
    assert auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False])) == 3.5 / 4


def test_damage_is_told_apart_on_foreign_examples() -> None:
    """On damage that other code made of real documents, intact texts score above damaged ones nine times in ten."""
    path = DEV_DATA / "quality_truth.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there; BICORPUS_DEV_DATA names the folder")
    table = pq.read_table(path, filters=[("task", "==", "document quality")]).to_pylist()
    labels = [{"zh": "zho_Hans", "en": "eng_Latn"}[row["lang"]] for row in table]
    scores = np.array([row["intact"] for row in annotate([row["text"] for row in table], labels)], float)
    good, chinese = (
        np.array([row[name] == value for row in table]) for name, value in (("label", "good"), ("lang", "zh"))
    )
    assert auc(scores[chinese], good[chinese]) > 0.9
    assert auc(scores[~chinese], good[~chinese]) > 0.9
