"""Identity of a document: 128-bit hashes of its match text and of its canonical text.

Reads text; writes the two hashes. Texts with equal match hashes differ at most in width, case, blanks, punctuation
outside code and formulas, and forms of ideographs. Texts of fewer than 300 code points differ in question and
exclamation marks too. Which of them is kept is decided by `stages.dedup.keepers`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Stage, bind
from stages.kernels.dedup.forms import FORMS_PATH
from stages.kernels.dedup.minhash import match_text
from stages.kernels.text.hashing import hash128_codes
from stages.kernels.text.text import TABLES_PATH, view

HASH = pa.binary(16)
SCHEMA = pa.schema({"match_hash": HASH, "raw_hash": HASH})
"""match_hash: of the match text; equal for copies that differ in width, case, punctuation, blanks or the forms of
ideographs (Traditional, Simplified, Taiwan's, Hong Kong's) at most. raw_hash: of the canonical text."""


def annotate(batch: pa.Table) -> pa.Table:
    """Hash each text.

    A text without any letter, digit or ideograph has an empty match text; its match hash is its raw hash, so that
    such texts are not all copies of each other.

    Args: batch, with a string column `text`, (n_docs,).
    Returns: a table of SCHEMA, fixed_size_binary(16) (n_docs,) each, null for null texts.
    """
    text = batch["text"]
    decoded, match = view(text), match_text(text, marks=True)
    raw, folded = hash128_codes(decoded.codes, decoded.starts), hash128_codes(*match)
    empty = np.diff(match.starts) == 0
    folded[empty] = raw[empty]
    valid = pc.is_valid(text).to_numpy()
    return pa.table([_binary(folded, valid), _binary(raw, valid)], schema=SCHEMA)


def _binary(hashes: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Turn uint64 (n, 2) into fixed_size_binary(16), null where not valid."""
    values = pa.FixedSizeBinaryArray.from_buffers(HASH, len(hashes), [None, pa.py_buffer(hashes)])
    return values if valid.all() else pc.if_else(pa.array(valid), values, pa.scalar(None, HASH))


STAGE = Stage(
    name="exact",
    version=6,
    reads=("text",),
    writes=SCHEMA,
    load=bind(annotate),
    data=(TABLES_PATH, FORMS_PATH),
)
