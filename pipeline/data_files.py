"""Data files in YAML that are shipped beside a module: word lists, patterns and units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader of libyaml, ten times as fast as that in Python: every process that loads stages reads these files."""


def read_yaml(path: str | Path) -> Any:  # Any: parsed YAML
    """Read a data file.

    Raises: OSError; yaml.YAMLError.
    """
    return yaml.load(Path(path).read_text(encoding="utf-8"), LOADER)
