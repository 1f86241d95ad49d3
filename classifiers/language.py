"""Language of whole documents, with script, shares of each language and Simplified against Traditional Chinese.

Reads canonical text; writes a label (ISO 639-3 with ISO 15924), its probability, the share of each language, and the
shares of Han and of Traditional characters. A document is split by script: Chinese and Japanese lines, Hangul,
runs of Latin words, other scripts. lid.176 names the language of each part among those written in its script;
characters that only one of them uses tell Simplified, Traditional, Cantonese and classical Chinese apart. Terms,
names and code inside Chinese text are no language of their own. Keeping or dropping is up to the run file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from classifiers.language_parts import Model, Named, merge, name_parts, plan, predict
from classifiers.language_tables import (
    LANGUAGES_PATH,
    MARKERS_PATH,
    MUL,
    SCRIPTS_PATH,
    UND,
    VARIANTS_PATH,
    ZXX,
    load_flags,
    load_labels,
    load_scripts,
)
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from pipeline.stage import Annotate, Stage
from stages.kernels import fasttext, scripts
from stages.kernels.text import TABLES_PATH, view

MODEL_PATH = package_file(__file__, "models", "lid.176.ftz")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Model, and where one language ends and another begins.

    model: a fastText model with labels of languages.tsv.
    mixed_share, mixed_score: a second language with this share of the text and this probability makes `mul`.
    min_share: languages below it are left out of `shares`.
    min_score: a lower probability is `und`, but for Han, kana and Hangul, which name their language.
    min_letter_share: no more letters than this among visible characters are `zxx`.
    code_symbol_share, code_text_share, code_text_letters: `zxx` too are documents with more symbols than this
        among visible characters and less text in languages, as a share of all letters and in Latin letters.
    min_run_words: a run of so many Latin words is prose, a shorter one a term or a name.
    kana_share: of Han and kana, makes a line Japanese.
    yue_share, lzh_share: of Han characters that are Cantonese words or classical particles, for these labels; the
        particles of modern Chinese must be fewer than a quarter of the classical ones.
    """

    model: str = MODEL_PATH
    mixed_share: float = 0.2
    mixed_score: float = 0.5
    min_share: float = 0.02
    min_score: float = 0.2
    min_letter_share: float = 0.25
    code_symbol_share: float = 0.03
    code_text_share: float = 0.15
    code_text_letters: int = 100
    min_run_words: int = 5
    kana_share: float = 0.1
    yue_share: float = 0.02
    lzh_share: float = 0.03

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith(("_share", "_score")) and not 0 <= value <= 1:
                raise ConfigError(f"language.{name} is {value}; expected a number from 0 to 1")
        if self.min_run_words < 1:
            raise ConfigError(f"language.min_run_words is {self.min_run_words}; expected at least 1")


SHARES = pa.list_(pa.struct({"label": pa.string(), "share": pa.float32()}))
SCHEMA = pa.schema(
    {
        "label": pa.string(),
        "score": pa.float32(),
        "shares": SHARES,
        "han_share": pa.float32(),
        "hant_share": pa.float32(),
    }
)


def load(config: Config) -> Annotate:
    """Read the model and its tables.

    Raises: ConfigError if the model cannot be read or has a label that languages.tsv does not name.
    """
    model = fasttext.load(config.model)
    labels = load_labels(model.labels, config.model)
    return partial(annotate, model=Model(model, labels, load_scripts(), load_flags()), config=config)


def annotate(batch: pa.Table, model: Model, config: Config) -> pa.Table:
    """Label the documents of one batch."""
    text, n_groups = view(batch["text"]), len(model.labels.by_group)
    found = scripts.survey(
        text, model.scripts, model.flags, n_groups, config.min_run_words, config.kana_share
    )
    parts, other_share = plan(found, config)
    labels, probabilities = predict(batch["text"], text, found, parts, model.fasttext)
    label, score = name_parts(labels, probabilities, parts, found.counts, model, config)
    named = merge(parts, label, score)
    return to_table(named, other_share, found.counts, model.labels.names, config)


def to_table(
    named: Named, other_share: np.ndarray, counts: np.ndarray, names: tuple[str, ...], config: Config
) -> pa.Table:
    """One row per document: the first language, `mul` for two strong ones, or `zxx`.

    Args: named, all languages by document and falling share; other_share, float64 (n_docs,), the share that is no
    text in a language, -1 where there is such text; names, of label indices. A `mul` is scored by the mean over
    the document's strong languages, a `zxx` by other_share.
    """
    n_docs = len(counts)
    label = np.where(other_share < 0, UND, ZXX)
    score = np.maximum(other_share, 0.0)
    first = np.flatnonzero(np.diff(named.doc, prepend=-1))
    label[named.doc[first]], score[named.doc[first]] = named.label[first], named.score[first]
    strong = (named.share >= config.mixed_share) & (named.score >= config.mixed_score)
    share = np.bincount(named.doc, np.where(strong, named.share, 0.0), n_docs)
    weighted = np.bincount(named.doc, np.where(strong, named.share * named.score, 0.0), n_docs)
    mixed = np.bincount(named.doc[strong], minlength=n_docs) > 1
    label[mixed], score[mixed] = MUL, weighted[mixed] / share[mixed]
    dictionary = pa.array(names, pa.string())
    items = pa.StructArray.from_arrays(
        [dictionary.take(pa.array(named.label)), _rounded(named.share)], fields=list(SHARES.value_type)
    )
    offsets = np.searchsorted(named.doc, np.arange(n_docs + 1)).astype(np.int32)
    hans, hant = counts[:, scripts.HANS], counts[:, scripts.HANT]
    columns = [
        dictionary.take(pa.array(label)),
        _rounded(score),
        pa.ListArray.from_arrays(pa.array(offsets), items),
        _rounded(counts[:, scripts.HAN_LETTERS] / np.maximum(counts[:, scripts.LETTERS], 1)),
        _rounded(hant / np.maximum(hans + hant, 1)),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _rounded(values: np.ndarray) -> pa.Array:
    """Three decimals, at most 1: the model's probabilities may exceed it by 1e-5 a step."""
    return pa.array(np.minimum(np.round(values, 3), 1.0).astype(np.float32))


STAGE = Stage(
    name="language",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=load,
    files=("model",),
    data=(LANGUAGES_PATH, SCRIPTS_PATH, VARIANTS_PATH, MARKERS_PATH, TABLES_PATH),
)
