"""The run file in a release, as data."""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.errors import StoreError
from pipeline.storage.base import Store

RUN_FILE = "run.yaml"


def sections_of(release: Store) -> dict[str, Any]:
    """Return the sections of the run file of a release. Any: settings.

    Raises: StoreError if its bytes are no YAML mapping.
    """
    try:
        page = yaml.safe_load(release.get(RUN_FILE))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{release.url}/{RUN_FILE}: damaged, no YAML; restore it from a copy, or build the release again"
        ) from error
    return page if isinstance(page, dict) else {}
