"""Families of linear models: texts counted in characters (Chinese, Japanese) and texts counted in words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from stages.kernels.text.tables import HAN, HANGUL, LATIN
from stages.kernels.text.text import TextView

CHARACTER_SCRIPTS = ("Hans", "Hant", "Hani", "Jpan", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr")
"""Scripts (ISO 15924) written without spaces between words."""


def find_families(text: TextView, labels: pa.ChunkedArray) -> np.ndarray:
    """Family of each document, by the script of its language label or else by its units; int64 (n_docs,)."""
    encoded = labels.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    scripts = [name.partition("_")[2] for name in names]
    by_name = [
        -1 if not script else CHARACTERS if script in CHARACTER_SCRIPTS else WORDS for script in scripts
    ]
    families = np.array([*by_name, -1], np.int64)[encoded.indices.fill_null(len(names)).to_numpy()]
    unknown = np.flatnonzero(families < 0)
    families[unknown] = families_by_units(text.classes, text.starts, unknown)
    return families


CHARACTERS, WORDS = 0, 1
"""Families: the model that scores a document."""


@njit(cache=True, nogil=True)
def families_by_units(classes, starts, docs):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """CHARACTERS for documents with at least as many single characters as words, WORDS for others."""
    families = np.full(len(docs), WORDS)
    for i in range(len(docs)):
        n_single = n_words = 0
        for at in range(starts[docs[i]], starts[docs[i] + 1]):
            kind = classes[at]
            n_single += kind >= HAN
            n_words += LATIN <= kind <= HANGUL and (at == starts[docs[i]] or classes[at - 1] < LATIN)
        if n_single > 0 and n_single >= n_words:
            families[i] = CHARACTERS
    return families
