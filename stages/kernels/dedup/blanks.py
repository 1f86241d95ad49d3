"""Steps over blanks, for kernels that read the characters of a text one by one."""

from __future__ import annotations

import numba as nb

from stages.kernels.text.tables import SPACE


@nb.njit(cache=True, nogil=True)
def skip_blanks(classes, i, high):  # type: ignore[no-untyped-def]  # numba infers types
    """Return the first position from i on that has no blank or invisible character, `high` if there is none.

    Args: classes, uint8, of a TextView; i and high, a range of positions within a document.
    """
    while i < high and classes[i] <= SPACE:
        i += 1
    return i


@nb.njit(cache=True, nogil=True)
def skip_blanks_back(classes, low, i):  # type: ignore[no-untyped-def]
    """Return the last position up to i that has no blank or invisible character, low - 1 if there is none."""
    while i >= low and classes[i] <= SPACE:
        i -= 1
    return i
