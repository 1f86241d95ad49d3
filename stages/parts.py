"""Signals by language part: for a document in several languages, the signals of the text in each language.

Reads canonical text and the spans of the language stage; writes, for a document with two or more language parts, one
row of values per part, named like the columns of `stages.signals`. A rule with `parts: parts.signals` is applied to
these rows instead of the document.

A language part is all text of a document in one language, or in an unknown one (`und`): the spans with that label,
and any spans of code or of minor languages that follow them, up to the next part. Its stretches are joined by line
breaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages import signals
from stages.kernels.code.lines import judge_code
from stages.kernels.text.tables import HANGUL, LATIN
from stages.kernels.text.text import decode, view

LABEL = "language.label"
MEASURED = [field for field in signals.SCHEMA if field.name != signals.FORM]
"""Signals that are measured by part; the form, such as table or verse, describes the whole document."""

PART = pa.struct([pa.field(LABEL, pa.string()), *(f.with_name(f"signals.{f.name}") for f in MEASURED)])
PARTS = pa.list_(PART)
SCHEMA = pa.schema({"signals": PARTS})
"""signals: for each language part of a document in several languages its label and all columns of
`stages.signals`; null for other documents."""

CODE = "zxx"
"""Label of text without language, such as code: its spans are no part, and its documents have none."""

HAN_LETTERS = 3
"""Weight in letters of a Han character, kana or Hangul syllable, as in the language stage."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Least size of a language part, in letters; a Han character counts as three.

    min_share: share of the document's letters. min_letters: 400 are 130 Chinese characters or some eighty English
    words, more than CCI4.0 and Gopher require of a whole document, so that no part fails a rule on length. Both count
    only spans of min_span_letters or more: links, names and table cells in another language are not a text in it.
    window_chars: as in `stages.signals`; a run that sets it there must set it here too.
    """

    min_share: float = 0.2
    min_letters: int = 400
    min_span_letters: int = 150  # least letters of a span that counts
    window_chars: int = signals.Config.window_chars

    def __post_init__(self) -> None:
        if not 0 < self.min_share <= 0.5:
            raise ConfigError(f"parts.min_share is {self.min_share}; expected a number above 0, at most 0.5")
        for name in ("min_letters", "min_span_letters", "window_chars"):
            if getattr(self, name) < 1:
                raise ConfigError(f"parts.{name} is {getattr(self, name)}; expected 1 or more")


class Parts:
    """`annotate` with the tables of signals."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.signals = signals.Signals(signals.Config(window_chars=config.window_chars))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Measure the language parts of each document; most documents have none.

        Args: batch, with `text`, `language.label` and `language.spans`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,); an empty list for a document without parts.
        """
        docs, labels, texts = split(batch, self.config)
        if not docs:
            return pa.table([pa.array([[]] * len(batch), PARTS)], schema=SCHEMA)
        strings, names = pa.array(texts, pa.large_string()), pa.array(labels, pa.string())
        decoded = decode(strings)
        measured = self.signals.measure(strings, names, decoded, judge_code(decoded))
        rows = pa.StructArray.from_arrays(
            [names, *(measured[field.name].combine_chunks() for field in MEASURED)], fields=list(PART)
        )
        offsets = np.searchsorted(docs, np.arange(len(batch) + 1)).astype(np.int32)
        return pa.table([pa.ListArray.from_arrays(pa.array(offsets), rows)], schema=SCHEMA)


def split(batch: pa.Table, config: Config) -> tuple[list[int], list[str], list[str]]:
    """Split documents that have two or more language parts; a document labelled as code has none.

    Args: batch, with the columns that the stage reads.
    Returns: three lists, one entry per part: row of its document in the batch, ascending; its language; its text.
    Languages of a document are in the order of their first occurrence.
    """
    text, lists = batch["text"], batch["language.spans"].combine_chunks()
    rows = np.asarray(pc.list_parent_indices(lists))
    flat = pc.list_flatten(lists)
    encoded = flat.field("label").dictionary_encode()
    names, label = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
    begins, ends = flat.field("start").to_numpy(), flat.field("end").to_numpy()
    is_text = label != (names.index(CODE) if CODE in names else -1)
    pairs = np.unique(np.stack([rows[is_text], label[is_text]]), axis=1)  # (2, languages by document)
    candidates = np.bincount(pairs[0], minlength=len(lists)) > 1
    candidates &= np.asarray(pc.not_equal(batch[LABEL], CODE).fill_null(True).combine_chunks())
    if not candidates.any():
        return [], [], []
    decoded = view(text)
    letters = np.zeros(len(rows), np.int64)
    asked = candidates[rows]
    letters[asked] = _count_letters(decoded.classes, decoded.starts[rows[asked]], begins[asked], ends[asked])
    parts: tuple[list[int], list[str], list[str]] = ([], [], [])
    for row in np.flatnonzero(candidates).tolist():
        low, high = np.searchsorted(rows, [row, row + 1])
        counts = is_text[low:high] & (letters[low:high] >= config.min_span_letters)
        totals = np.bincount(label[low:high], letters[low:high] * counts, len(names))
        least = max(config.min_letters, config.min_share * letters[low:high].sum())
        strong = totals >= least
        if np.count_nonzero(strong) > 1:
            pieces = _join(text[row].as_py(), begins[low:high], ends[low:high], label[low:high], strong)
            parts[0].extend([row] * len(pieces))
            parts[1].extend(names[i] for i in pieces)
            parts[2].extend(pieces.values())
    return parts


def _join(
    text: str, begins: np.ndarray, ends: np.ndarray, labels: np.ndarray, strong: np.ndarray
) -> dict[int, str]:
    """Text of each label that is a part; other spans are added to the part before them, leading ones to the first."""
    owner = int(labels[strong[labels]][0])
    pieces: dict[int, list[str]] = {}
    last = -1
    for begin, end, label in zip(begins.tolist(), ends.tolist(), labels.tolist(), strict=True):
        owner = label if strong[label] else owner
        part = pieces.setdefault(owner, [])
        if part and owner != last and not part[-1].endswith("\n"):
            part.append("\n")
        part.append(text[begin:end])
        last = owner
    return {label: "".join(part) for label, part in pieces.items()}


@njit(cache=True, nogil=True)
def _count_letters(classes, starts, begins, ends):  # type: ignore[no-untyped-def]  # numba infers types
    """Letters of spans, given the offset of each one's document in `classes`: int64 (n_spans,)."""
    letters = np.zeros(len(begins), np.int64)
    for span in range(len(begins)):
        for kind in classes[starts[span] + begins[span] : starts[span] + ends[span]]:
            letters[span] += HAN_LETTERS if kind >= HANGUL else np.int64(kind >= LATIN)
    return letters


STAGE = Stage(
    name="parts",
    version=1,
    config=Config,
    reads=("text", LABEL, "language.spans"),
    writes=SCHEMA,
    load=Parts,
    data=signals.STAGE.data,
)
