"""Numba kernels over Arrow buffers: no Python object per document.

Numba notices a change of the file that a kernel stands in, not of kernels that it calls from other files: after an
upgrade, old machine code would go on running. Only kernels of this package are called from other files, so the
folder of compiled kernels is named after its sources.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba


def cache_folder() -> str:
    """Folder of compiled kernels: below NUMBA_CACHE_DIR, or the user's cache, by a digest of this package."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    base = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(cache, "bicorpus", "numba")
    return os.path.join(base, digest.hexdigest())


numba.config.CACHE_DIR = cache_folder()  # type: ignore[attr-defined]  # numba sets its names at run time
