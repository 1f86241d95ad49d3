"""Numba kernels over Arrow buffers: no Python object per document.

Numba notices a change of the file that a kernel stands in, not of kernels that it calls from other files: after an
upgrade, old machine code would go on running. So the folder of compiled kernels is named after all their sources.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba


def cache_folder() -> str:
    """Folder of compiled kernels: below NUMBA_CACHE_DIR, or the user's cache, by a digest of the sources."""
    root = Path(__file__).parents[2]
    digest = hashlib.blake2b(digest_size=6)
    for package in ("stages", "classifiers"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    base = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(cache, "bicorpus", "numba")
    return os.path.join(base, digest.hexdigest())


numba.config.CACHE_DIR = cache_folder()  # type: ignore[attr-defined]  # numba sets its names at run time
