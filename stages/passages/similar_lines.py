"""Similar lines: sentences that nearly repeat an earlier sentence of the same document.

Reads text; writes a kept sentence and the later ones similar to it as occurrences of one passage, in the format of
`stages.passages.substring`, so that `keep_one.passages` may name this stage: the earliest is kept. Sentences of
different documents are never compared.

Two sentences are similar if their edit distance in match text is at most `max_distance` of the longer one's length and
their digits are equal. A sentence is removed only in favour of an earlier, kept sentence that it is similar to itself;
similarity does not chain. `kernels.passages.similar` chooses the pairs that are compared.

Source: the similar lines of MAP-Neo's Chinese recipe (arXiv 2405.19327), which compares each sentence with all earlier
ones, counts differing digits like other characters, and removes short sentences that are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.kernels.dedup.forms import FORMS_PATH
from stages.kernels.dedup.minhash import match_text, permutations
from stages.kernels.passages.anchors import wide_table
from stages.kernels.passages.passages import Units, passage_ids, unit_texts
from stages.kernels.passages.similar import N_HASHES, cut_sentences, find_leaders
from stages.kernels.text.hashing import string_keys
from stages.kernels.text.text import TABLES_PATH, load_tables, utf8_buffers, view
from stages.languages import PUNCTUATION_PATH, load_roles
from stages.passages.paragraphs import MAX_CHARS
from stages.passages.substring import PASSAGE, WHOLE

KIND = "similar_line"
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """min_chars_han, min_chars_other: least length of a sentence that may be removed, in letters, digits and
    ideographs: Han characters, other characters, or a mixture in proportion. max_distance: edit distance, as a share of
    the longer sentence. max_chars: of match text; longer sentences are removed only if they are equal. same_digits:
    whether digits must be equal."""

    min_chars_han: int = 15
    min_chars_other: int = 60
    max_distance: float = 0.1
    max_chars: int = 1000
    same_digits: bool = True

    def __post_init__(self) -> None:
        for name in ("min_chars_han", "min_chars_other", "max_chars"):
            if not 1 <= getattr(self, name) <= MAX_CHARS:
                raise ConfigError(
                    f"similar_lines.{name} is {getattr(self, name)}; expected 1 to {MAX_CHARS:,}"
                )
        if not 0 <= self.max_distance < 1:
            raise ConfigError(
                f"similar_lines.max_distance is {self.max_distance}; expected 0 (equal sentences) or more, below 1"
            )


class SimilarLines:
    """`annotate` with its tables."""

    def __init__(self, config: Config) -> None:
        self.config, self.roles, self.drawn = config, load_roles(), permutations(N_HASHES, SEED)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Find the similar sentences within each document.

        Args: batch, with string columns `text` and `doc_id`, (n_docs,).
        Returns: a table of WHOLE, (n_docs,), null for documents without similar sentences.
        """
        text, config = batch["text"], self.config
        decoded = view(text)
        n_chars = np.diff(decoded.starts)
        data, offsets = utf8_buffers(text)
        least = (config.min_chars_han, config.min_chars_other)
        units = Units(*cut_sentences(*decoded, offsets, self.roles, wide_table(), *least))
        match = match_text(unit_texts(data, units))
        leaders = find_leaders(
            *match, units.docs, self.drawn, load_tables().classes, config.max_distance, config.max_chars,
            config.same_digits,
        )  # fmt: skip
        chosen = np.bincount(leaders, minlength=len(leaders))[leaders] > 1
        docs, starts, ends = units.docs[chosen], units.starts[chosen], units.ends[chosen]
        ids = passage_ids(string_keys(batch["doc_id"])[docs], units.starts[leaders[chosen]])
        return _to_columns(n_chars, docs, starts, ends, ids)


def _to_columns(
    n_chars: np.ndarray, docs: np.ndarray, starts: np.ndarray, ends: np.ndarray, ids: np.ndarray
) -> pa.Table:
    """Return occurrences, in order of document and start, as the columns of WHOLE."""
    bounds = [pa.array(values, pa.int32()) for values in (starts, ends)]
    occurrences = pa.StructArray.from_arrays(
        [*bounds, pa.repeat(KIND, len(docs)), pa.array(ids)], fields=list(PASSAGE)
    )
    offsets = np.searchsorted(docs, np.arange(len(n_chars) + 1))
    none = np.diff(offsets) == 0
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), occurrences, mask=pa.array(none))
    before = np.append(0, np.cumsum(ends - starts))
    share = np.round(np.diff(before[offsets]) / np.maximum(n_chars, 1), 3).astype(np.float32)
    columns = [lists, pa.array(n_chars, pa.int32(), mask=none), pa.array(share, mask=none)]
    return pa.table(columns, schema=WHOLE)


STAGE = Stage(
    name="similar_lines",
    version=4,
    config=Config,
    reads=("text", "doc_id"),
    writes=WHOLE,
    load=SimilarLines,
    data=(TABLES_PATH, FORMS_PATH, PUNCTUATION_PATH),
)
