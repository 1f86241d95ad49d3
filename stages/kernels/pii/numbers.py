"""Numbers: groups of digits with joints, by the shape of telephone, identity and card numbers."""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.pii.characters import CAPITAL, DIGIT, JOINT, has_role, lower, plain
from stages.kernels.pii.signs import AFTER_CHARS, BEFORE_CHARS, LABELLED, LETTERED, LONG, NUMBER, PLUS, QUAD

PHONE_SIGNS = (0x1F4DE, 0x1F4F1, 0x1F4F2, 0x260E, 0x260F, 0x2706)
"""Pictures of telephones before a number."""


@njit(cache=True, nogil=True)
def _is_labelled(codes, i, start, labels):  # type: ignore[no-untyped-def]
    """Whether a word or sign of contact may begin within BEFORE_CHARS before i; blanks may be between its
    characters."""
    second, rest = np.uint32(0), np.uint32(0)
    for k in range(i - 1, max(start, i - BEFORE_CHARS) - 1, -1):
        code = lower(codes[k])
        if code == 0x20:
            continue
        if code == 0x40 or code in PHONE_SIGNS:
            return True
        pair = (code & np.uint32(0x7F)) << np.uint32(7) | (second & np.uint32(0x7F))
        if (
            labels[0, pair]
            and labels[1, (second & np.uint32(0x7F)) << np.uint32(7) | (rest & np.uint32(0x7F))]
        ):
            return True
        second, rest = code, second
    return False


@njit(cache=True, nogil=True)
def _is_before_mail(codes, i, end):  # type: ignore[no-untyped-def]
    """Whether an at sign or a hidden address in brackets is in the context behind i."""
    for k in range(i, min(i + AFTER_CHARS, end)):
        if plain(codes[k]) == 0x40:
            return True
        if plain(codes[k]) == 0x5B and k + 1 < end and lower(codes[k + 1]) == 0x65:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_before_label(codes, i, end, labels):  # type: ignore[no-untyped-def]
    """Whether a bracket behind i may contain a word of contact."""
    bracket = i
    if bracket < end and plain(codes[bracket]) == 0x20:
        bracket += 1
    if bracket >= end or plain(codes[bracket]) != 0x28:
        return False
    first, second = np.uint32(0), np.uint32(0)
    for k in range(bracket + 1, min(bracket + 12, end)):
        code = lower(codes[k])
        if code == 0x29 or code == 0x0A:
            return False
        if labels[0, (first & np.uint32(0x7F)) << np.uint32(7) | (second & np.uint32(0x7F))]:
            if labels[1, (second & np.uint32(0x7F)) << np.uint32(7) | (code & np.uint32(0x7F))]:
                return True
        first, second = second, code
    return False


@njit(cache=True, nogil=True)
def _is_joined(codes, i, start):  # type: ignore[no-untyped-def]
    """Whether a number ends before i, with one of `/ 、 , ， ; 或 和`, blanks, line breaks or a note in brackets
    between."""
    k = i - 1
    while k > start and i - k < 16 and plain(codes[k]) in (0x20, 0x0A, 0x09):
        k -= 1
    if k > start and plain(codes[k]) in (0x2F, 0x3001, 0x2C, 0xFF0C, 0x3B, 0x6216, 0x548C):
        k -= 1
    while k > start and i - k < 20 and plain(codes[k]) == 0x20:
        k -= 1
    if k > start and plain(codes[k]) == 0x29:
        bracket = k
        while k > start and bracket - k < 10 and plain(codes[k]) != 0x28:
            k -= 1
        k -= 1
        while k > start and bracket - k < 12 and plain(codes[k]) == 0x20:
            k -= 1
    return k >= start and k < i - 1 and has_role(codes[k], DIGIT)


@njit(cache=True, nogil=True)
def number_at(codes, i, start, end, labels):  # type: ignore[no-untyped-def]
    """Read groups of digits from i on, with at most three joints between groups.

    Returns: start, including a bracket, a plus or capitals before it; end; the signs: LONG, QUAD, PLUS, LABELLED by the
    number of digits and what is before them, LETTERED for six digits and a bracket, or nine, behind a capital,
    NUMBER for a
    shape of telephone, identity and card numbers: a long group, a group after an area code or another number,
    3-3-4, 3-2-4
    or 3-4-4, 4-6-5 of a card, 400 and seven digits.
    """
    first = i
    has_plus = False
    for k in range(i - 1, max(start, i - 4) - 1, -1):
        code = plain(codes[k])
        if code in (0x28, 0x2B, 0x5B):  # ( + [
            first = k
            has_plus |= code == 0x2B
        elif code != 0x20:
            break
    last_size, second_last_size, n_dots, n_digits = 0, 0, 0, 0
    after_dot, shaped, is_service = False, False, False
    signs, begin = 0, i
    while True:
        group = i
        while i < end and has_role(codes[i], DIGIT):
            i += 1
        group_size = i - group
        n_digits += group_size
        if group == begin:
            if 7 <= group_size <= 8:
                shaped |= _is_joined(codes, group, start)
            is_service = group_size >= 3 and plain(codes[group]) in (0x34, 0x38)
            is_service &= plain(codes[group + 1]) == 0x30 and plain(codes[group + 2]) == 0x30
            if group_size == 3 and plain(codes[group]) == 0x38:  # 852, 853, 886
                is_service |= plain(codes[group + 1]) == 0x35 or plain(codes[group + 1]) == 0x38
            if 6 <= group_size <= 9 and group > start and has_role(codes[group - 1], CAPITAL):
                is_card = i < end and (plain(codes[i]) == 0x28 or plain(codes[i]) == 0x20)
                if group_size == 9 or (group_size == 6 and is_card):
                    first, signs = max(start, group - 2), LETTERED
            if group_size == 7 and i + 2 < end and plain(codes[i]) == 0x28 and plain(codes[i + 2]) == 0x29:
                signs |= LETTERED
        if not after_dot:  # digits after a decimal point identify nobody
            shaped |= group_size == 9 or 11 <= group_size <= 19 or (group_size >= 6 and last_size >= 2)
        shaped |= group_size == 4 and 2 <= last_size <= 4 and second_last_size >= 3
        shaped |= group_size == 4 and 3 <= last_size <= 4 and second_last_size == 2
        shaped |= group_size >= 4 and second_last_size + last_size + group_size >= 13
        shaped |= group_size >= 3 and last_size >= 3 and second_last_size == 4
        n_dots = n_dots + 1 if after_dot and group_size <= 3 else 0
        if n_dots >= 3:
            signs |= QUAD
        last_size, second_last_size = group_size, last_size
        joint = i
        while joint < end and joint < i + 3 and has_role(codes[joint], JOINT):
            joint += 1
        if joint == i or joint == end or not has_role(codes[joint], DIGIT):
            break
        after_dot = joint == i + 1 and plain(codes[i]) == 0x2E
        i = joint
    if i < end and plain(codes[i]) in (0x58, 0x78):  # the check character X of an identity number
        i += 1
    if shaped or (is_service and n_digits >= 10):
        signs |= NUMBER
    if n_digits >= 11 and shaped:
        signs |= LONG
    if has_plus and n_digits >= 8:
        signs |= PLUS
    if n_digits >= 7 and (
        _is_labelled(codes, begin, start, labels)
        or _is_before_mail(codes, i, end)
        or _is_before_label(codes, i, end, labels)
    ):
        signs |= LABELLED
    return first, i, signs


@njit(cache=True, nogil=True)
def short_number_at(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return the end of the digits from i on if they and their joints are too short for any sign; else i.

    Every sign takes seven characters of digits and joints, or six digits and a bracket.
    """
    last = i
    for k in range(i, min(i + 6, end)):
        if not has_role(codes[k], DIGIT | JOINT):
            break
        last = k + 1
    if last == i + 6:
        return i
    while not has_role(codes[last - 1], DIGIT):
        last -= 1
    if last < end and plain(codes[last]) in (0x58, 0x78):
        last += 1
    return last
