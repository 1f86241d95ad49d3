"""Language of whole documents, with script, shares and spans of each language, and Simplified or Traditional Chinese.

Reads canonical text; writes a label (ISO 639-3 with ISO 15924), its probability, the share of each language,
single-language spans, and the shares of Han and of Traditional characters. Lines of code are separated first. The rest
is split by script into language parts: Chinese and Japanese lines, Hangul, runs of Latin words, other scripts. lid.176
predicts the language of each part among those written in its script; a model of Han characters distinguishes
Cantonese, classical and modern Chinese, and characters used in one script only distinguish Simplified from Traditional.
Foreign terms in Chinese text count in the shares, but do not make a document mixed. Keeping or dropping documents is up
to the run file.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from classifiers.language import chinese
from classifiers.language.config import Config as Config
from classifiers.language.parts import Model, Named, Parts, merge, name_parts, plan, predict
from classifiers.language.tables import (
    LANGUAGES_PATH,
    MARKERS_PATH,
    MUL,
    ROMANISED_PATH,
    SCRIPTS_PATH,
    UND,
    VARIANTS_PATH,
    ZXX,
    group_labels,
    load_flags,
    load_labels,
    load_romanised,
    load_scripts,
    load_wu_marks,
    load_yue_words,
)
from pipeline.stage import Annotate, Stage
from stages.kernels.code.commands import WORDS_PATH
from stages.kernels.fasttext import predict as fasttext
from stages.kernels.scripts import scripts
from stages.kernels.scripts.script_spans import list_spans
from stages.kernels.text.text import TABLES_PATH, TextView, view

SHARES = pa.list_(pa.struct({"label": pa.string(), "share": pa.float32()}))
SPANS = pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "label": pa.string()}))
SCHEMA = pa.schema(
    {
        "label": pa.string(),
        "score": pa.float32(),
        "shares": SHARES,
        "han_share": pa.float32(),
        "hant_share": pa.float32(),
        "code_share": pa.float32(),
        "spans": SPANS,
    }
)
"""label: language of ISO 639-3 and script, as `zho_Hans`, or `mul`, `zxx`, `und`. score: probability of the label.
shares: languages with their share of the text, the largest first. han_share: Han characters, as a share of the
letters. hant_share: Traditional characters, as a share of those that differ between Traditional and Simplified.
code_share: letters in lines of code. spans: stretches of each language with its label; code is `zxx`."""


def load(config: Config) -> Annotate:
    """Read the model and its tables.

    Raises: ConfigError if the model cannot be read or has a label that is not in languages.tsv.
    """
    model = fasttext.load(config.model)
    labels = load_labels(model.labels, config.model)
    marks = load_wu_marks(), *load_yue_words(), load_romanised(), group_labels(labels, config.groups)
    loaded = Model(model, chinese.load(), labels, load_scripts(), load_flags(), *marks)
    return partial(annotate, model=loaded, config=config)


def label_names(config: Config) -> tuple[str, ...]:
    """Labels that the stage can assign with this config, those that are no language among them.

    Raises: ConfigError as in `load`.
    """
    return load_labels(fasttext.load(config.model).labels, config.model).names


def annotate(batch: pa.Table, model: Model, config: Config) -> pa.Table:
    """Label the documents of one batch."""
    text, n_groups = view(batch["text"]), len(model.labels.by_group)
    survey = scripts.survey(
        text, model.scripts, model.flags, n_groups, config.min_run_words, config.kana_share
    )
    parts, other_share = plan(survey, config)
    labels, probabilities = predict(batch["text"], text, survey, parts, model.fasttext)
    label, score = name_parts(labels, probabilities, parts, text, survey, model, config)
    named = merge(parts, label, score)
    first, doc_label, doc_score = name_documents(named, other_share, config)
    names = pa.array(model.labels.names, pa.string())
    columns = [
        names.take(pa.array(doc_label)),
        _rounded(doc_score),
        _list_shares(named, len(first), names),
        *_measure(survey.counts),
        _list_spans(text, survey, parts, label, first, names),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def name_documents(
    named: Named, other_share: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label each document: its language with the most prose, `mul` for two strong ones, or `zxx`.

    The score of `mul` is the mean over the strong languages of the document, that of `zxx` is other_share.

    Args: named, all languages by document; other_share, float64 (n_docs,), share of a document that is not text in a
    language, or -1 for documents with such text.
    Returns: int64 (n_docs,), the language with the most prose, UND or ZXX; int64 and float64 (n_docs,), label and
    score.
    """
    n_docs = len(other_share)
    label = np.where(other_share < 0, UND, ZXX)
    score = np.maximum(other_share, 0.0)
    order = np.lexsort((named.label, -named.prose, named.doc))
    first = order[np.flatnonzero(np.diff(named.doc[order], prepend=-1))]
    label[named.doc[first]], score[named.doc[first]] = named.label[first], named.score[first]
    main = label.copy()
    strong = (named.prose >= config.mixed_share) & (named.score >= config.mixed_score)
    share = np.bincount(named.doc, np.where(strong, named.prose, 0.0), n_docs)
    weighted = np.bincount(named.doc, np.where(strong, named.prose * named.score, 0.0), n_docs)
    mixed = np.bincount(named.doc[strong], minlength=n_docs) > 1
    label[mixed], score[mixed] = MUL, weighted[mixed] / share[mixed]
    return main, label, score


def _list_shares(named: Named, n_docs: int, names: pa.Array) -> pa.Array:
    items = [names.take(pa.array(named.label)), _rounded(named.share)]
    offsets = np.searchsorted(named.doc, np.arange(n_docs + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.StructArray.from_arrays(items, fields=list(SHARES.value_type))
    )


def _measure(counts: np.ndarray) -> list[pa.Array]:
    """Shares of Han among letters, of Traditional among script-specific characters, and of text in code."""
    hans, hant = counts[:, scripts.HANS], counts[:, scripts.HANT]
    code, plain = counts[:, scripts.CODE_UNITS], counts[:, scripts.PLAIN_UNITS]
    return [
        _rounded(counts[:, scripts.HAN_LETTERS] / np.maximum(counts[:, scripts.LETTERS], 1)),
        _rounded(hant / np.maximum(hans + hant, 1)),
        _rounded(code / np.maximum(code + plain, 1)),
    ]


def _list_spans(
    text: TextView, survey: scripts.Survey, parts: Parts, label: np.ndarray, main: np.ndarray, names: pa.Array
) -> pa.Array:
    """Spans of the languages with prose, and of code as `zxx`."""
    by_group = np.full((len(main), survey.units.shape[1]), -1, np.int64)
    prose = parts.prose > 0
    by_group[parts.doc[prose], parts.group[prose]] = label[prose]
    starts, ends, labels, offsets = list_spans(text, survey, by_group, main, ZXX)
    items = [pa.array(starts), pa.array(ends), names.take(pa.array(labels))]
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), pa.StructArray.from_arrays(items, fields=list(SPANS.value_type))
    )


def _rounded(values: np.ndarray) -> pa.Array:
    """Round to three decimals, at most 1: probabilities of the model may exceed 1 by 1e-5."""
    return pa.array(np.minimum(np.round(values, 3), 1.0).astype(np.float32))


STAGE = Stage(
    name="language",
    version=3,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    files=("model",),
    data=(
        chinese.MODEL_PATH,
        LANGUAGES_PATH,
        SCRIPTS_PATH,
        VARIANTS_PATH,
        MARKERS_PATH,
        ROMANISED_PATH,
        TABLES_PATH,
        WORDS_PATH,
    ),
)
