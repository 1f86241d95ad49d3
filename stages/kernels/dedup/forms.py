"""Forms of ideographs that match text does not distinguish, beyond Traditional and Simplified ones.

Taiwan writes 著, 裡 and 簷 where others write 着, 裏 and 檐, Hong Kong 枱 and 衞; words like 答覆 and 藉口 have other
characters in Simplified text than their own. `scripts/maintenance/make_forms.py` derives the groups from the
dictionaries of OpenCC (https://github.com/BYVoid/OpenCC, Apache-2.0).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from stages.kernels.text.tables import load_tables

FORMS_PATH = str(Path(__file__).with_name("han_forms.txt"))


@cache
def load_match_fold() -> np.ndarray:
    """Load the code point of each character in match text: uint32 (0x110000,), 0 for characters that it leaves out."""
    one_form = np.arange(0x110000, dtype=np.uint32)
    for line in Path(FORMS_PATH).read_text("utf-8").splitlines():
        if not line.startswith("#"):
            first, *others = (ord(char) for char in line)
            one_form[others] = first
    fold = one_form[load_tables().fold]
    fold.setflags(write=False)
    return fold
