"""Tables of a vocabulary: where tokens reach across characters, sets of texts, tokens that merges do not reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from stages.kernels.bpe.characters import N_CODES
from stages.kernels.bpe.encode import BITMAP_BITS, Joints, Wholes, bucket, joint_bit
from stages.kernels.bpe.merges import SHORT, Merges, merge_short, merge_window
from stages.kernels.bpe.splits import code_at

N_BUCKETS = 1 << 14
LEADS = (
    (0xC2, 0xDF), (0xE0, 0xE3), (0xE4, 0xE6), (0xE7, 0xE9), (0xEA, 0xEE), (0xEF, 0xEF), (0xF0, 0xF4),
)  # fmt: skip
"""Groups of first bytes of characters, so that a token that goes on with one script does not join all."""


def flatten(texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Texts one after another, uint8, and where each begins, int64 (n + 1,)."""
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return np.frombuffer(b"".join(texts) + b"\0", np.uint8), starts


def make_wholes(texts: Sequence[bytes], ids: Sequence[int]) -> Wholes:
    """A set of texts of two bytes or more, and their tokens."""
    data, starts = flatten(texts)
    places = [bucket(data, starts[i], starts[i + 1], N_BUCKETS) for i in range(len(texts))]
    order = sorted(range(len(texts)), key=lambda i: (places[i], -len(texts[i])))
    data, starts = flatten([texts[i] for i in order])
    table = np.searchsorted(np.array(sorted(places), np.int64), np.arange(N_BUCKETS + 1))
    return Wholes(table.astype(np.int64), starts, data, np.array([ids[i] for i in order], np.int64))


def make_joints(tokens: Sequence[bytes]) -> Joints:
    """Mark every border between two characters that some token reaches across."""
    groups = np.zeros(256, np.uint8)
    for bit, (first, last) in enumerate(LEADS):
        groups[first : last + 1] = 1 << bit
    groups[0x80:0xC0] = 1 << (np.arange(64) >> 3)
    joints = Joints(
        np.zeros((1 << BITMAP_BITS) // 64, np.uint64), np.zeros(N_CODES, np.uint8), np.zeros(N_CODES, np.uint8), groups
    )  # fmt: skip
    across = np.zeros(64, np.uint8)
    _mark(*flatten(tokens), joints, across)
    joints.into[0x80:] |= across[np.arange(0x80, N_CODES) & 0x3F]
    return joints


@njit(cache=True, nogil=True)
def _mark(data, starts, joints, across):  # type: ignore[no-untyped-def]  # numba infers types
    """Mark the borders inside each token. across: groups that follow a part of a character with this last byte."""
    for token in range(len(starts) - 1):
        i, end = starts[token], starts[token + 1]
        left = np.int64(-1)
        while i < end and 0x80 <= data[i] < 0xC0:
            i += 1
        inner = i > starts[token]
        while i < end:
            byte = data[i]
            need = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if i + need > end:
                if left >= 0:
                    joints.into[left] |= joints.groups[byte]
                elif inner:
                    across[data[i - 1] & 0x3F] |= joints.groups[byte]
                break
            right, _ = code_at(data, i)
            if right >= N_CODES:
                break
            if left >= 0:
                bit = joint_bit(left, right)
                joints.pairs[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
            elif inner:
                joints.out_of[right] |= joints.groups[data[i - 1]]
            left = right
            i += need


@njit(cache=True, nogil=True)
def reached(data, starts, ids, merges):  # type: ignore[no-untyped-def]
    """Whether the merges make one token, and this one, of each text: bool (n,)."""
    found = np.zeros(len(ids), np.bool_)
    short, ranks = np.empty(SHORT, np.int64), np.empty(SHORT, np.uint64)
    for i in range(len(ids)):
        length = starts[i + 1] - starts[i]
        if length <= SHORT:
            found[i] = (
                merge_short(data, starts[i], starts[i + 1], merges, short, ranks) == 1 and short[0] == ids[i]
            )
        else:
            long, ends = np.empty(length, np.int32), np.empty(length, np.int32)
            count = merge_window(data, starts[i], starts[i + 1], merges, long, ends)
            found[i] = count == 1 and long[0] == ids[i]
    return found


def unreached(tokens: Sequence[bytes], ids: Sequence[int], merges: Merges) -> Wholes:
    """Tokens that merging their bytes does not lead to."""
    missing = np.flatnonzero(~reached(*flatten(tokens), np.array(ids, np.int64), merges)).tolist()
    return make_wholes([tokens[i] for i in missing], [ids[i] for i in missing])
