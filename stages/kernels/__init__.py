"""Numba kernels over Arrow buffers: no Python object per document.

Numba notices a change of the file that a kernel is defined in, but not of kernels that it calls from other files: after
an upgrade, old machine code would go on running. The folder of compiled kernels is therefore named after a digest of
every file whose kernels are called from another file. A test holds that the digest covers all of them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba

ROOT = Path(__file__).parents[2]
"""The folder that holds the packages `pipeline`, `stages` and `classifiers`."""


def covered_files() -> list[Path]:
    """Files whose kernels may be called from other files: this package, the key sort, the features of classifiers."""
    features = (ROOT / "classifiers").rglob("*features.py")
    return sorted([*Path(__file__).parent.rglob("*.py"), ROOT / "pipeline" / "keysort.py", *features])


def cache_folder() -> str:
    """Folder of compiled kernels: below NUMBA_CACHE_DIR, or the user's cache, by a digest of the covered files."""
    digest = hashlib.blake2b(digest_size=6)
    for path in covered_files():
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    base = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(cache, "bicorpus", "numba")
    return os.path.join(base, digest.hexdigest())


numba.config.CACHE_DIR = cache_folder()  # type: ignore[attr-defined]  # numba sets its names at run time
