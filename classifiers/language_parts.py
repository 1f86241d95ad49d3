"""From script runs to languages: which parts of a document are predicted, and what their predictions mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from classifiers import chinese
from classifiers.language_tables import UND, LabelTables
from stages.kernels import fasttext, scripts
from stages.kernels.han_grams import count_marks, sum_weights
from stages.kernels.scripts import HANG, HANI, JPAN, LATN, UNITS_LETTER, Survey, copy_parts
from stages.kernels.text import TextView, utf8_buffers

if TYPE_CHECKING:
    from classifiers.language import Config

_TOP = 5
"""Labels asked of the model for each part, so that the best one written in the part's script is among them."""
_PURE_SHARE = 0.98
"""From this share of one script on, a document is predicted as it is, whatever stray letters are in it."""
_SURE = 0.5
"""Probability from which the model is believed that Chinese is Wu."""
_SURE_TERMS, _MIN_TERMS = 0.9, 60
"""Probability, and number of letters, from which it is believed that terms in another script are not English."""
_SHORT_YUE, _SHORT_LZH = 4, 10
"""Fewer Han characters are Cantonese only with a word that no other Chinese has; and never classical."""
_MIN_YUE, _YUE_SHARE = 2, 0.03
"""Words that no other Chinese has, and their share of the Han characters, from which a text is Cantonese whatever the
model of Han characters makes of its matter, because of law, say, it has read in modern Chinese only. About one in 12
is such a word in Cantonese; one in 100 in no document in standard or classical Chinese of 18,119, and of their 660,816
paragraphs in four with these two numbers."""
_WU_SHARE = 0.012
"""Words of Wu, two of them its own, from which a text is Wu: none of the 18,119 documents has as many, four of their
paragraphs have. Of one word of its own, the share is that of Cantonese."""
_JPN_SHARE = 0.04
"""Of Han characters that Japanese alone has, for Han text without kana to be Japanese."""


class Model(NamedTuple):
    """What the stage loads; scripts, flags (see `kernels.scripts`) and wu_marks are tables over code points."""

    fasttext: fasttext.FastText
    chinese: chinese.ChineseModel
    labels: LabelTables
    scripts: np.ndarray
    flags: np.ndarray
    wu_marks: np.ndarray


class Parts(NamedTuple):
    """Parts of documents to predict, ordered by document.

    doc, group: int64. prose, share: float64, of the document's prose, and of its text in languages, terms included.
    whole: bool, the document is predicted as it is instead of the group's code points. terms: bool, with single
    words.
    """

    doc: np.ndarray
    group: np.ndarray
    prose: np.ndarray
    share: np.ndarray
    whole: np.ndarray
    terms: np.ndarray


class Named(NamedTuple):
    """Languages of documents, ordered by document, then falling share, then label.

    doc, label: int64. prose, share, score: float64.
    """

    doc: np.ndarray
    label: np.ndarray
    prose: np.ndarray
    share: np.ndarray
    score: np.ndarray


def plan(found: Survey, config: Config) -> tuple[Parts, np.ndarray]:
    """Choose the parts of each document.

    Latin words outside of prose runs are terms in the language around them: they have a share, but do not decide.
    Where there is next to nothing else, and the document does not look like code, they are its text after all.
    Lines of code are no text; a document that is nearly all code is none either.

    Returns: parts; float64 (n_docs,), share of a document that is no text in a language, or -1 where it has one.
    """
    counts, units = found.counts, found.units.copy()
    n_visible, plain, code = (
        counts[:, c] for c in (scripts.VISIBLE, scripts.PLAIN_UNITS, scripts.CODE_UNITS)
    )
    prose, terms = units[:, LATN].copy(), UNITS_LETTER * counts[:, scripts.TERM_LETTERS]
    others = units.sum(axis=1) - prose
    like_code = counts[:, scripts.SYMBOLS] > config.code_symbol_share * n_visible
    mostly_code = counts[:, scripts.BARE_UNITS] > config.code_share * (plain + code)
    like_code |= mostly_code
    all_latin = (others < config.mixed_share * (others + prose + terms)) & ~like_code
    latin = UNITS_LETTER * counts[:, scripts.LATIN_LETTERS]
    units[:, LATN] = np.where(all_latin, latin, prose)
    terms = np.where(all_latin, 0, terms + UNITS_LETTER * counts[:, scripts.NAME_LETTERS])
    texts, everything = units.sum(axis=1), np.maximum(plain + code, 1)
    n_signs = np.maximum(n_visible - counts[:, scripts.PLAIN_LETTERS], 0)
    letters = plain / UNITS_LETTER
    few_letters = letters <= config.min_letter_share * (letters + n_signs)
    few_texts = (texts < config.code_text_share * everything) & (
        units[:, LATN] < UNITS_LETTER * config.code_text_letters
    )
    few_texts |= mostly_code  # source code, docstrings and messages in it
    few_texts &= others < UNITS_LETTER * config.code_other_letters
    other_share = np.where(few_texts, np.maximum(1 - texts / everything, 0), -1.0)
    other_share = np.where(few_letters, 1 - letters / np.maximum(letters + n_signs, 1), other_share)
    by_prose = units / np.maximum(texts, 1)[:, None]
    units[:, LATN] += terms
    by_text = units / np.maximum(texts + terms, 1)[:, None]
    by_prose[by_prose < config.min_share] = 0.0
    doc, group = np.nonzero((by_text >= config.min_share) & (other_share < 0)[:, None])
    pure = (units[doc, group] >= _PURE_SHARE * (plain + terms)[doc]) & (
        code[doc] < (1 - _PURE_SHARE) * everything[doc]
    )
    whole = np.where(group == LATN, all_latin[doc] & (code[doc] == 0), pure)
    with_terms = (group == LATN) & (all_latin[doc] | (by_prose[doc, group] == 0))
    return Parts(doc, group, by_prose[doc, group], by_text[doc, group], whole, with_terms), other_share


def predict(
    column: pa.ChunkedArray, text: TextView, found: Survey, parts: Parts, model: fasttext.FastText
) -> tuple[np.ndarray, np.ndarray]:
    """Predict the best labels of each part: int32 and float32 (n_parts, _TOP)."""
    data, offsets = utf8_buffers(column)
    whole, sliced = np.flatnonzero(parts.whole), np.flatnonzero(~parts.whole)
    labels = np.empty((len(parts.doc), _TOP), np.int32)
    probabilities = np.empty((len(parts.doc), _TOP), np.float32)
    doc = parts.doc[whole]
    labels[whole], probabilities[whole] = fasttext.predict_utf8(
        model, data, offsets[doc], offsets[doc + 1], _TOP
    )
    data, offsets = copy_parts(
        text, found, parts.doc[sliced], parts.group[sliced], parts.terms[sliced], np.diff(offsets)
    )
    labels[sliced], probabilities[sliced] = fasttext.predict_utf8(
        model, data, offsets[:-1], offsets[1:], _TOP
    )
    return labels, probabilities


def name_parts(
    labels: np.ndarray,
    probabilities: np.ndarray,
    parts: Parts,
    text: TextView,
    found: Survey,
    model: Model,
    config: Config,
) -> tuple[np.ndarray, np.ndarray]:
    """Name each part by the best label written in its script; Chinese by what its characters say.

    Returns: int64 and float64 (n_parts,), label and score. Kana, Hangul and Han name their language whatever the
    score; elsewhere a score below min_score is UND. Terms in a text of another script are English unless the
    model is sure of something else.
    """
    rows, index = np.arange(len(labels)), model.labels.indices
    by_group = model.labels.by_group[parts.group[:, None], labels]
    fits = (labels >= 0) & (by_group >= 0)
    best = fits.argmax(axis=1)
    score = np.where(fits[rows, best], probabilities[rows, best], 0.0)
    label = np.where(score >= config.min_score, by_group[rows, best], UND).astype(np.int64)
    n_letters = found.counts[parts.doc][:, [scripts.TERM_LETTERS, scripts.NAME_LETTERS]].sum(axis=1)
    unsure = (score < _SURE_TERMS) | (n_letters < _MIN_TERMS)
    english = (parts.group == LATN) & (parts.prose == 0) & unsure
    label = np.where(english, index["eng_Latn"], label)
    label = np.where(parts.group == JPAN, index["jpn_Jpan"], label)
    label = np.where(parts.group == HANG, index["kor_Hang"], label)
    of = np.flatnonzero(parts.group == HANI)
    if len(of):
        sums, n_cells = (values[parts.doc[of]] for values in sum_weights(text, found, model.chinese.weights))
        kinds = chinese.probabilities(model.chinese, sums, n_cells)
        names = np.where(fits, by_group, UND)[of]
        label[of], score[of] = _name_chinese(
            names,
            probabilities[of],
            found.counts[parts.doc[of]],
            kinds,
            n_cells,
            count_marks(text, parts.doc[of], model.wu_marks),
            model.labels,
            config,
        )
    return label, score


def _name_chinese(
    labels: np.ndarray,
    probabilities: np.ndarray,
    counts: np.ndarray,
    kinds: np.ndarray,
    n_cells: np.ndarray,
    wu_words: np.ndarray,
    tables: LabelTables,
    config: Config,
) -> tuple[np.ndarray, np.ndarray]:
    """Name parts of Han characters without kana.

    The score is the model's probability of any Chinese, times that of modern, Cantonese or classical Chinese by the
    model of Han characters; for zho and wuu, also times the share of the characters that speak for the chosen script,
    one half if there are none. Text of Japanese characters only, some of which no Chinese standard has, is Japanese.

    Args: kinds, float64 (n, 3), from `chinese.probabilities`; n_cells, int64 (n,), from `sum_weights`, two for each
    character but repeats of the one before, which say nothing (啊啊啊). wu_words, int64 (n, 2), from `count_marks`.
    """
    index = tables.indices
    n_han, hans, hant, yue, jpn, not_jpn = (
        counts[:, column]
        for column in (
            scripts.CHINESE_HAN, scripts.HANS, scripts.HANT, scripts.YUE, scripts.JPN, scripts.NOT_JPN,
        )
    )  # fmt: skip

    n_telling = np.minimum(n_han, n_cells // 2)

    def probability(*names: str) -> np.ndarray:
        return np.where(np.isin(labels, [index[name] for name in names]), probabilities, 0.0).sum(axis=1)

    wu = probability("wuu_Hans")
    any_chinese = probability("zho_Hans", "yue_Hans", "wuu_Hans", "lzh_Hani")
    traditional = hant > hans
    sided = np.where(hans + hant > 0, np.maximum(hans, hant) / np.maximum(hans + hant, 1), 0.5)
    label = np.where(traditional, index["zho_Hant"], index["zho_Hans"])
    score = any_chinese * sided * kinds[:, 0]
    own, any_wu = wu_words[:, 0], wu_words.sum(axis=1)
    is_wu = (wu >= _SURE) | ((own >= 2) & (any_wu >= _WU_SHARE * n_han))
    is_wu |= (own >= 1) & (any_wu >= 2) & (any_wu >= _YUE_SHARE * n_han)
    label = np.where(is_wu, np.where(traditional, index["wuu_Hant"], index["wuu_Hans"]), label)
    score = np.where(is_wu, any_chinese * sided, score)
    is_classical = (kinds[:, 2] >= config.lzh_score) & (n_telling >= _SHORT_LZH)
    label = np.where(is_classical, index["lzh_Hani"], label)
    score = np.where(is_classical, any_chinese * kinds[:, 2], score)
    is_jpn = (jpn > 0) & (jpn >= _JPN_SHARE * n_han) & (10 * not_jpn <= jpn)
    label, score = np.where(is_jpn, index["jpn_Jpan"], label), np.where(is_jpn, 1 - any_chinese, score)
    is_yue = (kinds[:, 1] >= config.yue_score) & ((n_telling >= _SHORT_YUE) | (yue > 0))
    by_words = (yue >= _MIN_YUE) & (yue >= _YUE_SHARE * n_han)
    label = np.where(is_yue | by_words, np.where(hans > hant, index["yue_Hans"], index["yue_Hant"]), label)
    score = np.where(by_words, any_chinese, score)
    return label, np.where(is_yue, any_chinese * kinds[:, 1], score)


def merge(parts: Parts, label: np.ndarray, score: np.ndarray) -> Named:
    """Join parts of one document that turned out to be in one language; their score is the mean by share."""
    order = np.lexsort((label, parts.doc))
    doc, label = parts.doc[order], label[order]
    first = np.flatnonzero((np.diff(doc, prepend=-1) != 0) | (np.diff(label, prepend=-1) != 0))
    if len(first) == 0:
        return Named(doc, label, parts.prose, parts.share, score)
    prose, share, weighted = (
        np.add.reduceat(values[order], first) for values in (parts.prose, parts.share, parts.share * score)
    )
    doc, label, score = doc[first], label[first], weighted / share
    order = np.lexsort((label, -share, doc))
    return Named(doc[order], label[order], prose[order], share[order], score[order])
