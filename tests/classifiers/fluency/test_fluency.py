"""Fluency: perplexity by language, windows, order of real and broken text, and the training of the models."""

from __future__ import annotations

import importlib
import math
import random
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.fluency import SCHEMA, STAGE, Config, ngram
from classifiers.training import kneser_ney as kneser_ney_module
from pipeline.errors import ConfigError
from stages.kernels.text.ngrams import UNKNOWN, WORD
from tests.helpers.oracles.ngram import CORPUS, kneser_ney, reference, scores, write_arpa
from tests.helpers.paths import DEV_DATA, ROOT

ANNOTATE = STAGE.load(Config())

ZH = (
    "因为天气突然变冷，学校决定把运动会推迟到下个星期举行。",
    "这家公司去年推出了一种新的软件，可以帮助用户管理自己的时间。",
    "如果你想了解更多的信息，请打开设置页面，然后选择需要的语言。",
    "他从小就喜欢读书，后来成为一名有名的历史学家。",
    "法律规定，任何人都不得在没有得到允许的情况下使用他人的作品。",
)
HANT = (
    "因為天氣突然變冷，學校決定把運動會推遲到下個星期舉行。",
    "這家公司去年推出了一種新的軟件，可以幫助用戶管理自己的時間。",
    "如果你想了解更多的信息，請打開設置頁面，然後選擇需要的語言。",
    "他從小就喜歡讀書，後來成為一名有名的歷史學家。",
    "法律規定，任何人都不得在沒有得到允許的情況下使用他人的作品。",
)
EN = (
    "The committee decided to wait until the end of the year before it made any changes to the rules.",
    "If you want to learn more about this topic, you can read the next chapter of the book.",
    "Many people in the city were not able to find a job during the first years of the war.",
    "When the value of the function is less than zero, the program returns an error to the user.",
    "She walked slowly to the window and looked out at the garden, where the children were playing.",
)


def annotate(docs: list[str | None], labels: list[str | None], config: Config | None = None) -> pa.Table:
    """The stage on plain lists."""
    table = pa.table(
        {"text": pa.array(docs, pa.large_string()), "language.label": pa.array(labels, pa.string())}
    )
    return (STAGE.load(config) if config else ANNOTATE)(table)


def perplexity(docs: list[str], label: str) -> list[float]:
    """Perplexities of documents of one language."""
    return annotate([*docs], [label] * len(docs))["perplexity"].to_pylist()


def shuffled(text: str, label: str) -> str:
    """The words or characters of a sentence in random order, punctuation left where it is not."""
    parts = text.split(" ") if label == "eng_Latn" else list(text)
    random.Random(7).shuffle(parts)
    return (" " if label == "eng_Latn" else "").join(parts)


def loss(grams: ngram.Grams, text: str) -> float:
    """Mean negative log probability by the reference, rounded as the stage rounds it."""
    logs = reference(grams, ngram.spell(text))
    return round(-sum(logs) / len(logs), 3)


@pytest.mark.parametrize(("docs", "label"), [(ZH, "zho_Hans"), (HANT, "zho_Hant"), (EN, "eng_Latn")])
def test_order_matters(docs: tuple[str, ...], label: str) -> None:
    """A sentence is more fluent than the same characters or words in random order."""
    mixed = perplexity([shuffled(doc, label) for doc in docs], label)
    assert all(2 * real < other for real, other in zip(perplexity([*docs], label), mixed, strict=True))


def test_gibberish_is_the_least_fluent() -> None:
    """Unknown words have a higher perplexity than known words in random order."""
    gibberish = "qwrtz plokm zzxcv hgfdw ytrqw mnbvx lkjhp poiuz asdfq wertz yxcvb"
    assert perplexity([gibberish], "eng_Latn")[0] > max(
        perplexity([shuffled(d, "eng_Latn") for d in EN], "eng_Latn")
    )


def test_traditional_text_is_as_fluent_as_simplified() -> None:
    """The same sentences in both scripts differ by less than a twentieth."""
    for hans, hant in zip(perplexity([*ZH], "zho_Hans"), perplexity([*HANT], "zho_Hant"), strict=True):
        assert hant == pytest.approx(hans, rel=0.05)


def test_digits_and_width_do_not_matter() -> None:
    """Other numbers, full-width letters and capitals give the same perplexity."""
    a, b = perplexity(["在2019年，ＩＢＭ有3台机器。", "在1845年,ibm有70台机器."], "zho_Hans")
    assert a == b
    a, b = perplexity(["In 2019 The Man had 3 cats.", "IN 45 the man had 1000 cats!"], "eng_Latn")
    assert a == b


def test_only_languages_with_a_model_are_scored() -> None:
    """Other labels, and none, give nulls; a text without tokens has 0 tokens and no perplexity."""
    labels = ["jpn_Jpan", None, "mul", "eng_Latn", "zho_Hans", "lzh_Hani", "yue_Hant"]
    docs: list[str | None] = ["some text", "text", "text", "——", None, "學而時習之", "佢哋喺度"]
    none = dict.fromkeys(SCHEMA.names)
    assert annotate(docs, labels).to_pylist()[:5] == [none] * 3 + [none | {"n_tokens": 0}] * 2
    assert annotate(docs, labels)["n_tokens"].to_pylist()[5:] == [5, 4]
    assert annotate([], []).equals(SCHEMA.empty_table())


def test_perplexity_is_exp_of_the_mean_rounded(tmp_path: Path) -> None:
    """With a small model, perplexity equals the oracle's, with the mean loss rounded to three decimals."""
    grams = kneser_ney(CORPUS, 3)
    config = Config(models=(write_arpa(grams, tmp_path / "own.arpa.gz"),), labels=(("fra_Latn", "eng_Latn"),))
    docs = [CORPUS[3], "the river sat by the children", "a zebra"]
    found = annotate([*docs, CORPUS[0]], ["fra_Latn", "eng_Latn", "eng_Latn", "zho_Hans"], config)
    assert found["perplexity"].to_pylist()[:3] == pytest.approx(
        [math.exp(loss(grams, doc)) for doc in docs], rel=1e-6
    )
    n_tokens = len(reference(grams, ngram.spell(docs[0])))
    assert found["n_tokens"].to_pylist() == [n_tokens, 6, 2, None]
    assert n_tokens == len([token for token in ngram.spell(docs[0]) if token != "<num>"])


def test_columns_follow_from_the_log_probabilities(tmp_path: Path) -> None:
    """Per character, gain over the words alone, and unknown words, by the oracle."""
    grams = kneser_ney(CORPUS, 3)
    config = Config(models=(write_arpa(grams, tmp_path / "own.arpa"),), labels=(("eng_Latn",),))
    docs = ["the old man sat by the river", "a zebra sat", "the zzz"]
    found = annotate([*docs], ["eng_Latn"] * 3, config).to_pylist()
    for doc, row in zip(docs, found, strict=True):
        tokens = ngram.spell(doc)
        logs = reference(grams, tokens)
        n_chars = sum(map(len, tokens))
        assert math.log(row["char_perplexity"]) == pytest.approx(-sum(logs) / n_chars, abs=1e-3)
        known = [(token,) in grams[0] for token in tokens]
        alone = [
            math.log(10) * grams[0][token,][0] if k else x
            for token, k, x in zip(tokens, known, logs, strict=True)
        ]
        assert row["context_gain"] == pytest.approx((sum(logs) - sum(alone)) / len(tokens), abs=1e-3)
        assert row["unknown_share"] == pytest.approx(1 - sum(known) / len(tokens), abs=1e-3)


def test_what_is_of_no_script_of_the_model_does_not_count() -> None:
    """Code, Latin words and numbers between the sentences of a Chinese text change neither peak nor count by much."""
    plain = "".join(ZH)
    mixed = " git commit -m 2024 README.md ".join(ZH)
    (a, b) = annotate([plain, mixed], ["zho_Hans"] * 2).to_pylist()
    assert b["n_tokens"] == a["n_tokens"]
    assert b["perplexity"] == pytest.approx(a["perplexity"], rel=0.5)
    assert annotate(["git commit README.md 2024"], ["zho_Hans"])["n_tokens"].to_pylist() == [0]
    assert annotate(["孩子们放风筝"], ["eng_Latn"])["n_tokens"].to_pylist() == [0]


def test_batches_do_not_matter() -> None:
    """Documents one at a time get the rows of a whole batch, with windows too."""
    docs, labels = [*ZH, *EN, "".join(ZH) * 9], ["zho_Hans"] * 5 + ["eng_Latn"] * 5 + ["zho_Hant"]
    config = Config(max_tokens=300, windows=3)
    whole = annotate([*docs], [*labels], config)
    parts = [annotate([doc], [label], config) for doc, label in zip(docs, labels, strict=True)]
    assert pa.concat_tables(parts).equals(whole)


def test_windows_are_evenly_spaced_with_context(tmp_path: Path) -> None:
    """A long text's windows begin at even shares of its characters, never inside a word, and leave out 4 tokens."""
    grams = kneser_ney(CORPUS, 3)
    path = write_arpa(grams, tmp_path / "own.arpa")
    rng = random.Random(3)
    words = ["the", "old", "man", "river", "kites", "zebra", "小", "河", "flew, by"]
    text = " ".join(rng.choice(words) for _ in range(1000))
    logs, n = [], 0
    for k in range(4):
        start, bound = len(text) * k // 4, len(text) * (k + 1) // 4
        while k and re.match(r"\w\w", text[start - 1 : start + 1], re.A):
            start += 1
        while re.match(r"\w\w", text[bound - 1 : bound + 1], re.A):
            bound += 1
        window = ngram.spell(text[start:bound])[:125]
        skipped = len(reference(grams, window[:4]))
        logs += reference(grams, window)[skipped:]
        n += len(reference(grams, window)) - skipped
    found = annotate(
        [text], ["eng_Latn"], Config(models=(path,), labels=(("eng_Latn",),), max_tokens=600, windows=4)
    )
    assert found["n_tokens"].to_pylist() == [n] == [484]
    assert math.log(found["perplexity"][0].as_py()) == pytest.approx(round(-sum(logs) / n, 3), abs=1e-4)


def test_max_tokens_is_the_last_length_read_whole() -> None:
    """As many tokens as max_tokens are all scored, one more is read in windows."""
    config = Config(max_tokens=200, windows=1)
    assert annotate(["好" * 200, "好" * 201], ["zho_Hans"] * 2, config)["n_tokens"].to_pylist() == [200, 121]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": (("eng_Latn",),)}, "1 lists for 2 models"),
        ({"labels": (("eng_Latn",), ("eng_Latn",))}, "twice"),
        ({"windows": 0}, "1 or more"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    """The error names the setting that cannot work."""
    with pytest.raises(ConfigError, match=message):
        Config(**settings)  # type: ignore[arg-type]  # settings that must fail


@pytest.fixture(scope="module")
def trainer() -> ModuleType:
    """scripts/training/train_fluency.py."""
    return importlib.import_module("scripts.training.train_fluency")


def test_training_without_pruning_is_kneser_ney(trainer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for all n-grams, the trained model gives the probabilities of the plain Python definition."""
    corpus = [text for text in CORPUS for _ in range(1)]
    monkeypatch.setattr(trainer, "MIN_COUNT", 1)
    monkeypatch.setattr(kneser_ney_module, "discounts", lambda count, fallback: np.array([0, 0.6, 0.6, 0.6]))
    keys, kinds, starts = trainer.read_keys(corpus)
    tokens, vocabulary, n_unknown = trainer.number(keys, kinds, starts, 1000, (WORD, UNKNOWN), "")
    levels = trainer.count_grams(tokens, len(vocabulary), 3, trainer.START_ID)
    grams = trainer.estimate(levels)
    monkeypatch.setattr(trainer, "quantise", lambda values, n_levels: values)
    masks = [np.ones(len(level.last), bool) for level in levels]
    model = trainer.to_model(levels, grams, masks, vocabulary, n_unknown)
    expected = kneser_ney(CORPUS, 3)
    size = len(expected[0])
    for text in CORPUS:
        found, wanted = scores(model, text), reference(expected, ngram.spell(text))
        assert found == pytest.approx(wanted, abs=2e-2), size
    for context in range(1, len(vocabulary), 7):  # what no context leaves over, all words together take
        known = (levels[1].prefix == context) & (levels[1].last != trainer.START_ID)
        if known.any():
            kept, low = np.exp(grams[1].log_prob[known]), np.exp(grams[0].log_prob[levels[1].suffix[known]])
            rest = 1 - np.exp(grams[0].log_prob[trainer.START_ID]) - low.sum()
            assert kept.sum() + np.exp(grams[0].log_backoff[context]) * rest == pytest.approx(1, abs=0.02)


def test_pruned_models_are_distributions(trainer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a third of the n-grams the probabilities after a context still add up to 1, and prefixes are kept."""
    monkeypatch.setattr(trainer, "MIN_COUNT", 1)
    tokens, vocabulary, _ = trainer.number(*trainer.read_keys([*CORPUS]), 1000, (WORD, UNKNOWN), "")
    levels = trainer.count_grams(tokens, len(vocabulary), 3, trainer.START_ID)
    grams = trainer.estimate(levels)
    budget = len(vocabulary) + 60
    masks = trainer.prune(levels, grams, budget)
    assert len(vocabulary) < sum(mask.sum() for mask in masks) <= budget
    trainer.renormalise(levels, grams, masks)
    for n in (1, 2):
        level, mask = levels[n], masks[n]
        assert masks[n - 1][level.prefix[mask]].all() and masks[n - 1][level.suffix[mask]].all()
    for context in np.unique(levels[1].prefix[masks[1]]):
        kept = masks[1] & (levels[1].prefix == context)
        low = np.exp(grams[0].log_prob)
        total = np.exp(grams[1].log_prob[kept]).sum()
        total += np.exp(grams[0].log_backoff[context]) * (low.sum() - low[levels[1].suffix[kept]].sum())
        assert total == pytest.approx(low.sum(), abs=0.02)


def test_held_out_sentences_are_told_from_shuffled_ones(trainer: ModuleType) -> None:
    """On sources that the models have not seen, AUC of real against shuffled is above 0.95 (zh) and 0.85 (en)."""
    path = DEV_DATA / "docs_zh_en-00.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there; set BICORPUS_DEV_DATA to the folder of development data")
    table = pq.read_table(path, columns=["text", "source", "lang_hint"]).to_pylist()
    for language, least in (("zh", 0.99), ("en", 0.95)):
        model = ngram.load(str(ROOT / f"classifiers/models/fluency_{language}.bin"))
        texts = [
            trainer.Text(row["source"], language, row["text"])
            for row in table
            if row["lang_hint"][:2] == language
        ]
        held_out = trainer.select(texts, language, True)[:200]
        found = trainer.measure(model, held_out, language)
        assert found["auc_shuffled"] > least and found["pairs_shuffled"] > 0.95, found


def test_golden(golden) -> None:  # type: ignore[no-untyped-def]  # a fixture
    """Known documents keep their known values."""
    golden.check(STAGE, Config())
