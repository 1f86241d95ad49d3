"""Where tests find files of the repository."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
GOLDEN = TESTS / "golden"
SAMPLE = ROOT / "sample"
DEV_DATA = Path(os.environ.get("BICORPUS_DEV_DATA", ROOT.parent / "shared" / "data"))
"""Development data, which is no part of the repository; tests that need it are skipped without it."""
