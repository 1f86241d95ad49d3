"""Print a summary of a release for a terminal: the funnel per language and each mix, as `bicorpus run` ends with.

Reads the lineage.json of the release.

Example: python -m scripts.summary quickstart-store/releases/quickstart
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipeline.report.summary import summary


def main() -> None:
    """Read the command line and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("release", metavar="RELEASE", type=Path, help="folder of the release")
    path = parser.parse_args().release / "lineage.json"
    print(summary(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
