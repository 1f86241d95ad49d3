"""What is in a page of the project: its data, as its script reads them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def page_data(page: Path | str) -> dict[str, Any]:  # Any: JSON
    """The data of a report, of its file or its text."""
    text = page if isinstance(page, str) else page.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found
    return dict(json.loads(found[1]))
