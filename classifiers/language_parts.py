"""From script runs to languages: which parts of a document are predicted, and what their predictions mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.language_tables import UND, LabelTables
from stages.kernels import fasttext, scripts
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
_MIN_CLASSICAL = 3
"""Classical particles that it takes at least: 其 and 者 are modern Chinese too."""


class Model(NamedTuple):
    """What the stage loads; scripts and flags are tables over code points, see `kernels.scripts`."""

    fasttext: fasttext.FastText
    labels: LabelTables
    scripts: np.ndarray
    flags: np.ndarray


class Parts(NamedTuple):
    """Parts of documents to predict, ordered by document.

    doc, group: int64. share: float64, of the document's text in languages. whole: bool, the document is predicted
    as it is instead of the group's code points.
    """

    doc: np.ndarray
    group: np.ndarray
    share: np.ndarray
    whole: np.ndarray


class Named(NamedTuple):
    """Languages of documents, ordered by document, then falling share, then label.

    doc, label: int64. share, score: float64.
    """

    doc: np.ndarray
    label: np.ndarray
    share: np.ndarray
    score: np.ndarray


def plan(found: Survey, config: Config) -> tuple[Parts, np.ndarray]:
    """Choose the parts of each document.

    Latin words outside of prose runs are terms, names or code and belong to the language around them. Where there
    is next to nothing else, and the document does not look like code, they are its text after all.

    Returns: parts; float64 (n_docs,), share of a document that is no text in a language, or -1 where it has one.
    """
    counts, units = found.counts, found.units.copy()
    n_visible, n_letters = counts[:, scripts.VISIBLE], counts[:, scripts.LETTERS]
    latin = UNITS_LETTER * counts[:, scripts.LATIN_LETTERS]
    others = units.sum(axis=1) - units[:, LATN]
    everything = np.maximum(others + latin, 1)
    like_code = counts[:, scripts.SYMBOLS] > config.code_symbol_share * n_visible
    all_latin = (others < config.mixed_share * everything) & ~like_code
    units[:, LATN] = np.where(all_latin, latin, units[:, LATN])
    texts = units.sum(axis=1)
    few_letters = n_letters <= config.min_letter_share * n_visible
    few_texts = (texts < config.code_text_share * everything) & (
        texts < UNITS_LETTER * config.code_text_letters
    )
    other_share = np.where(like_code & few_texts, 1 - texts / everything, -1.0)
    other_share = np.where(few_letters, 1 - n_letters / np.maximum(n_visible, 1), other_share)
    share = units / np.maximum(texts, 1)[:, None]
    doc, group = np.nonzero((share >= config.min_share) & (units > 0) & (other_share < 0)[:, None])
    pure = units[doc, group] >= _PURE_SHARE * everything[doc]
    whole = np.where(group == LATN, all_latin[doc], pure)
    return Parts(doc, group, share[doc, group], whole), other_share


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
    data, offsets = copy_parts(text, found, parts.doc[sliced], parts.group[sliced], np.diff(offsets))
    labels[sliced], probabilities[sliced] = fasttext.predict_utf8(
        model, data, offsets[:-1], offsets[1:], _TOP
    )
    return labels, probabilities


def name_parts(
    labels: np.ndarray,
    probabilities: np.ndarray,
    parts: Parts,
    counts: np.ndarray,
    model: Model,
    config: Config,
) -> tuple[np.ndarray, np.ndarray]:
    """Name each part by the best label written in its script; Chinese by what its characters say.

    Returns: int64 and float64 (n_parts,), label and score. Kana, Hangul and Han name their language whatever the
    score; elsewhere a score below min_score is UND.
    """
    rows, index = np.arange(len(labels)), model.labels.indices
    by_group = model.labels.by_group[parts.group[:, None], labels]
    fits = (labels >= 0) & (by_group >= 0)
    best = fits.argmax(axis=1)
    score = np.where(fits[rows, best], probabilities[rows, best], 0.0)
    label = np.where(score >= config.min_score, by_group[rows, best], UND).astype(np.int64)
    label = np.where(parts.group == JPAN, index["jpn_Jpan"], label)
    label = np.where(parts.group == HANG, index["kor_Hang"], label)
    of = np.flatnonzero(parts.group == HANI)
    names = np.where(fits, by_group, UND)[of]
    label[of], score[of] = _name_chinese(
        names, probabilities[of], counts[parts.doc[of]], model.labels, config
    )
    return label, score


def _name_chinese(
    labels: np.ndarray, probabilities: np.ndarray, counts: np.ndarray, tables: LabelTables, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Name parts of Han characters; Japanese has shown itself by kana before.

    The score is the model's probability of any Chinese; for zho and wuu, times the share of the characters that
    speak for the chosen script, one half if there are none. The model finds a third of Cantonese sentences, so its
    words decide; of classical Chinese it knows nothing: prose of NiuTrans/Classical-Modern has a median of 0.064
    classical particles and 0.003 modern ones among its Han characters, modern prose 0.01 and 0.06.
    """
    index = tables.indices
    n_han, hans, hant, yue, lzh, modern = (
        counts[:, column]
        for column in (
            scripts.CHINESE_HAN, scripts.HANS, scripts.HANT, scripts.YUE, scripts.LZH, scripts.MODERN,
        )
    )  # fmt: skip

    def probability(name: str) -> np.ndarray:
        return np.where(labels == index[name], probabilities, 0.0).sum(axis=1)

    cantonese, wu = probability("yue_Hans"), probability("wuu_Hans")
    chinese = probability("zho_Hans") + cantonese + wu
    sided = np.where(hans + hant > 0, np.maximum(hans, hant) / np.maximum(hans + hant, 1), 0.5)
    traditional = hant > hans
    label = np.where(traditional, index["zho_Hant"], index["zho_Hans"])
    score = chinese * sided
    is_wu = wu >= _SURE
    label = np.where(is_wu, np.where(traditional, index["wuu_Hant"], index["wuu_Hans"]), label)
    is_classical = (lzh >= _MIN_CLASSICAL) & (lzh >= config.lzh_share * n_han) & (4 * modern < lzh)
    label, score = np.where(is_classical, index["lzh_Hani"], label), np.where(is_classical, chinese, score)
    is_yue = (yue > 0) & ((yue >= config.yue_share * n_han) | (cantonese > chinese - cantonese))
    yue_label = np.where(hans > hant, index["yue_Hans"], index["yue_Hant"])
    return np.where(is_yue, yue_label, label), np.where(is_yue, chinese, score)


def merge(parts: Parts, label: np.ndarray, score: np.ndarray) -> Named:
    """Join parts of one document that turned out to be in one language; their score is the mean by share."""
    order = np.lexsort((label, parts.doc))
    doc, label = parts.doc[order], label[order]
    first = np.flatnonzero((np.diff(doc, prepend=-1) != 0) | (np.diff(label, prepend=-1) != 0))
    if len(first) == 0:
        return Named(doc, label, parts.share, score)
    share = np.add.reduceat(parts.share[order], first)
    score = np.add.reduceat((parts.share * score)[order], first) / share
    doc, label = doc[first], label[first]
    order = np.lexsort((label, -share, doc))
    return Named(doc[order], label[order], share[order], score[order])
