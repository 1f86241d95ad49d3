"""Spans of one language each, from the groups of code points and the language label of each group of a document.

Reads a text view and its survey; writes half-open ranges of code points that cover each document, in order. Text
without a group (blanks, digits, terms) belongs to the span before it, or at the beginning of a document to the first
span. If the first text of a line with a label changes the language, the new span begins with the line.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.scripts.scripts import CODE, NONE, SHORT, TERM, Survey
from stages.kernels.text.tables import NEWLINE
from stages.kernels.text.text import TextView


def list_spans(
    text: TextView, found: Survey, names: np.ndarray, default: np.ndarray, code: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split every document into spans of one language.

    Args: names, int64 (n_docs, n_groups), label of each group in each document, -1 for a group without a label;
    default, int64 (n_docs,), label of a document without labelled groups; code, label of lines of code.
    Returns: int32 (n_spans,) twice, starts and ends within the document, in code points; int64 (n_spans,), labels;
    int64 (n_docs + 1,), where the spans of each document begin. Neighbouring spans have different labels.
    """
    offsets = np.zeros(len(default) + 1, np.int64)
    args = (text.codes, text.starts, text.classes, found.groups, found.short_group, names, default, code)
    empty = np.empty(0, np.int32)
    _list_spans(*args, False, empty, empty, np.empty(0, np.int64), offsets)
    starts, ends = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int32)
    labels = np.empty(offsets[-1], np.int64)
    _list_spans(*args, True, starts, ends, labels, offsets)
    return starts, ends, labels, offsets


@njit(cache=True, nogil=True)
def _list_spans(  # type: ignore[no-untyped-def]  # numba infers types
    codes,
    starts,
    classes,
    groups,
    short_group,
    names,
    default,
    code,
    write,
    out_starts,
    out_ends,
    out_labels,
    offsets,
):
    n = 0
    for doc in range(len(starts) - 1):
        begin, end = starts[doc], starts[doc + 1]
        opened, label = begin, np.int64(-1)  # of the open span
        line, last = begin, NONE  # start of the line, and the previous group
        fresh = True  # no text of this line has a label yet
        for i in range(begin, end):
            group = groups[i]
            if classes[i] == NEWLINE:
                line, last, fresh = i + 1, NONE, True
                continue
            if group == last or group == NONE or group == TERM:
                continue
            last = group
            if group == SHORT:
                group = short_group[doc]
            group_label = code if group == CODE else names[doc, group]
            if group_label < 0:
                continue
            if group_label != label:
                if label >= 0:
                    span_start = line if fresh else i
                    if write:
                        out_starts[n], out_ends[n], out_labels[n] = opened - begin, span_start - begin, label
                    n += 1
                    opened = span_start
                label = group_label
            fresh = False
        if end > begin:
            if write:
                out_starts[n], out_ends[n] = opened - begin, end - begin
                out_labels[n] = label if label >= 0 else default[doc]
            n += 1
        offsets[doc + 1] = n
