"""From script runs to languages: choose the language parts of a document, predict them, and name their languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.language import chinese
from classifiers.language.tables import UND, LabelTables
from stages.kernels.fasttext import predict as fasttext
from stages.kernels.scripts import scripts
from stages.kernels.scripts.han_grams import count_marks, sum_weights
from stages.kernels.scripts.han_words import N_KINDS, count_words
from stages.kernels.scripts.plain_copy import copy_parts, find_forms
from stages.kernels.scripts.romanised import (
    RARE_LETTERS,
    SYLLABLES,
    TONE_DIGITS,
    TONE_LETTERS,
    WORDS,
    count_romanised,
)
from stages.kernels.scripts.scripts import HANG, HANI, JPAN, LATN, UNITS_LETTER, Survey
from stages.kernels.text.text import TextView, utf8_buffers

if TYPE_CHECKING:
    from classifiers.language.config import Config

_TOP = 5
"""Number of labels predicted per part, so that the best label written in the script of the part is among them."""
_PURE_SHARE = 0.98
"""Minimum share of one script for predicting a document as a whole, including stray letters of other scripts."""
_SURE = 0.5
"""Minimum probability of Wu by the model for the label of Wu."""
_SURE_TERMS, _MIN_TERMS = 0.9, 60
"""Minimum probability and number of letters for labelling terms in another script as anything but English."""
_SHORT_YUE, _SHORT_LZH = 4, 10
"""Minimum number of Han characters for Cantonese by a final particle alone, and for classical Chinese."""
_MIN_YUE, _YUE_SHARE = 2, 0.03
"""Minimum number of exclusively Cantonese words, and minimum share of Han characters, for the label Cantonese even if
the character model disagrees: for some subjects (law) it was trained on modern Chinese only. In Cantonese about one
character in 12 is such a word; none of 18,119 documents in standard or classical Chinese reaches one in 100, and four
of their 660,816 paragraphs reach both thresholds."""
_WU_SHARE = 0.012
"""Minimum share of words of Wu, at least two of them exclusive to Wu, for the label Wu: none of the 18,119 documents
and four of their paragraphs reach it. With one exclusive word, the threshold is that of Cantonese."""
_JPN_SHARE = 0.04
"""Minimum share of exclusively Japanese characters for labelling Han text without kana as Japanese."""

_MIN_ROMANISED, _TONED_SHARE, _ZHUANG_SHARE, _RARE_SHARE, _SYLLABIC_SHARE = 5, 0.5, 0.3, 0.05, 0.9
"""Minimum number of Latin words, and minimum shares of words with a tone digit, with a tone letter of Zhuang and with a
rare one, and of words of Chinese syllables, for text in a Chinese language that the model does not know."""


class Model(NamedTuple):
    """Models and tables of the stage.

    scripts, flags (see `kernels.scripts.scripts`), wu_marks and yue_marks are indexed by code point; yue_pairs are
    words of two characters (see `kernels.scripts.han_words`); romanised, from `load_romanised`; confusable, from
    `group_labels`.
    """

    fasttext: fasttext.FastText
    chinese: chinese.ChineseModel
    labels: LabelTables
    scripts: np.ndarray
    flags: np.ndarray
    wu_marks: np.ndarray
    yue_marks: np.ndarray
    yue_pairs: np.ndarray
    romanised: tuple[np.ndarray, np.ndarray, np.ndarray]
    confusable: np.ndarray


class Parts(NamedTuple):
    """Language parts of documents to predict, ordered by document.

    doc, group: int64. prose, share: float64, share of the prose of the document, and of its text in languages including
    terms. whole: bool, whether the whole document is predicted instead of the code points of the group. terms: bool,
    whether single words are included.
    """

    doc: np.ndarray
    group: np.ndarray
    prose: np.ndarray
    share: np.ndarray
    whole: np.ndarray
    terms: np.ndarray


class Named(NamedTuple):
    """Languages of documents, ordered by document, then descending share, then label.

    doc, label: int64. prose, share, score: float64.
    """

    doc: np.ndarray
    label: np.ndarray
    prose: np.ndarray
    share: np.ndarray
    score: np.ndarray


def plan(found: Survey, config: Config) -> tuple[Parts, np.ndarray]:
    """Choose the language parts of each document.

    Latin words outside prose runs are terms in the surrounding language: they count in the shares, but do not influence
    the label. If a document contains hardly anything else and does not resemble code, they are treated as its text.
    Lines of code are not text, and neither is a document that is almost entirely code.

    Returns: parts; float64 (n_docs,), share of a document that is not text in a language, or -1 if it has a language.
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
    few_texts |= mostly_code  # source code, including docstrings and messages
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
    """Predict the best labels of each part in plain form, and their probabilities.

    Returns: int32 and float32 (n_parts, _TOP).
    """
    data, offsets = utf8_buffers(column)
    forms = find_forms(text)
    as_is = parts.whole & (forms[parts.doc] == 0)
    whole, sliced = np.flatnonzero(as_is), np.flatnonzero(~as_is)
    labels = np.empty((len(parts.doc), _TOP), np.int32)
    probabilities = np.empty((len(parts.doc), _TOP), np.float32)
    doc = parts.doc[whole]
    labels[whole], probabilities[whole] = fasttext.predict_utf8(
        model, data, offsets[doc], offsets[doc + 1], _TOP
    )
    data, offsets = copy_parts(
        text,
        found,
        parts.doc[sliced],
        parts.group[sliced],
        parts.terms[sliced],
        parts.whole[sliced],
        forms,
        np.diff(offsets),
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
    """Label each part with the best label written in its script; Chinese parts by their characters.

    Kana, Hangul and Han determine the language regardless of the score; in other scripts a score below min_score gives
    UND. Terms in a text of another script are labelled English unless another language is very probable.

    Returns: int64 and float64 (n_parts,), label and score.
    """
    rows, index = np.arange(len(labels)), model.labels.indices
    by_group = model.labels.by_group[parts.group[:, None], labels]
    fits = (labels >= 0) & (by_group >= 0)
    best = fits.argmax(axis=1)
    numbers = model.confusable[by_group]
    with_best = fits & (numbers == numbers[rows, best][:, None])
    score = np.where(fits[rows, best], np.where(with_best, probabilities, 0.0).sum(axis=1), 0.0)
    label = np.where(score >= config.min_score, by_group[rows, best], UND).astype(np.int64)
    n_letters = found.counts[parts.doc][:, [scripts.TERM_LETTERS, scripts.NAME_LETTERS]].sum(axis=1)
    unsure = (score < _SURE_TERMS) | (n_letters < _MIN_TERMS)
    english = (parts.group == LATN) & (parts.prose == 0) & unsure
    label = np.where(english, index["eng_Latn"], label)
    unknown = _are_romanised(text, parts, score, model)
    label, score = np.where(unknown, UND, label), np.where(unknown, 0.0, score)
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
            _count_yue(text, parts.doc[of], kinds, model, config),
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
    yue_words: np.ndarray,
    tables: LabelTables,
    config: Config,
) -> tuple[np.ndarray, np.ndarray]:
    """Label parts of Han characters without kana.

    The score is the probability of any Chinese, times the probability of modern, Cantonese or classical Chinese by the
    model of Han characters; for zho and wuu, also times the share of script-specific characters in the chosen script
    (0.5 if there are none). Text with only Japanese characters, some in no Chinese standard, is Japanese.

    Args: kinds, float64 (n, 3), from `chinese.probabilities`; n_cells, int64 (n,), from `sum_weights`, two per
    character, without immediate repeats, which are not informative (啊啊啊); wu_words, int64 (n, 2), from
    `count_marks`; yue_words, int64 (n, N_KINDS), from `count_words`, zero where the model excludes Cantonese.
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
        """Sum of the model's probabilities of some labels: float64 (n,)."""
        return np.where(np.isin(labels, [index[name] for name in names]), probabilities, 0.0).sum(axis=1)

    wu = probability("wuu_Hans")
    any_chinese = probability("zho_Hans", "yue_Hans", "wuu_Hans", "lzh_Hani")
    traditional = hant > hans
    sided = np.where(hans + hant > 0, np.maximum(hans, hant) / np.maximum(hans + hant, 1), 0.5)
    label = np.where(traditional, index["zho_Hant"], index["zho_Hans"])
    own_yue, final, standard = yue_words[:, 1] + yue, yue_words[:, 2], yue_words[:, 3]
    is_yue = (own_yue > 0) | ((final > 0) & (standard == 0) & (n_telling >= _SHORT_YUE))
    is_yue &= kinds[:, 1] >= config.yue_score
    score = any_chinese * sided * (kinds[:, 0] + np.where(is_yue, 0.0, kinds[:, 1]))
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
    by_words = (yue >= _MIN_YUE) & (yue >= _YUE_SHARE * n_han)
    label = np.where(is_yue | by_words, np.where(hans > hant, index["yue_Hans"], index["yue_Hant"]), label)
    score = np.where(by_words, any_chinese, score)
    return label, np.where(is_yue, any_chinese * kinds[:, 1], score)


def _are_romanised(text: TextView, parts: Parts, score: np.ndarray, model: Model) -> np.ndarray:
    """Whether a Latin part is a Chinese language in Latin letters, which the model does not know: bool (n_parts,)."""
    result = np.zeros(len(score), np.bool_)
    maybe = np.flatnonzero((parts.group == LATN) & (parts.prose > 0) & (score < _SURE_TERMS))
    if len(maybe):
        counts = count_romanised(text, parts.doc[maybe], *model.romanised)
        n_words = counts[:, WORDS]
        zhuang = (counts[:, TONE_LETTERS] >= _ZHUANG_SHARE * n_words) & (
            counts[:, RARE_LETTERS] >= _RARE_SHARE * n_words
        )
        toned = counts[:, TONE_DIGITS] >= _TONED_SHARE * n_words
        syllabic = counts[:, SYLLABLES] >= _SYLLABIC_SHARE * n_words
        result[maybe] = (n_words >= _MIN_ROMANISED) & (toned | zhuang | syllabic)
    return result


def _count_yue(
    text: TextView, docs: np.ndarray, kinds: np.ndarray, model: Model, config: Config
) -> np.ndarray:
    """Count the words that decide on Cantonese in documents that the model of characters labels so: (n, N_KINDS)."""
    counts = np.zeros((len(docs), N_KINDS), np.int64)
    maybe = np.flatnonzero(kinds[:, 1] >= config.yue_score)
    counts[maybe] = count_words(text, docs[maybe], model.yue_marks, model.yue_pairs)
    return counts


def merge(parts: Parts, label: np.ndarray, score: np.ndarray) -> Named:
    """Merge the parts of a document that have the same language; the score is the mean weighted by share."""
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
