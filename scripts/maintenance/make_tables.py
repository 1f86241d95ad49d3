"""Write stages/kernels/text/unicode_tables.npz from the running Unicode version and the installed OpenCC.

A changed file changes the recipes of the stages that load it.

Example: python -m scripts.maintenance.make_tables
"""

from __future__ import annotations

import argparse

import numpy as np
import opencc

from stages.kernels.text.tables import TABLES_PATH, build_tables


def main() -> None:
    """Build the tables and write them."""
    argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]).parse_args()
    np.savez_compressed(TABLES_PATH, **build_tables(opencc.OpenCC("t2s").convert))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
