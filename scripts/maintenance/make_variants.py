"""Write the table of characters that distinguish Simplified from Traditional Chinese, from OpenCC's dictionaries.

Reads the folder `data/dictionary` of OpenCC's source (https://github.com/BYVoid/OpenCC, Apache-2.0; it is in the source
distribution of the package `opencc`); writes `classifiers/models/variants.tsv`. A character is listed for one
script if every conversion changes it and if the other script does not use it, neither as another character nor as a
regional standard: 后, 里 and 台 occur in both scripts and are not listed. The digest of the file is part of recipes, so
its header keeps the former path of this script.

Example: python -m scripts.maintenance.make_variants OpenCC/data/dictionary
"""

from __future__ import annotations

from pathlib import Path

import click

TARGET = Path(__file__).resolve().parents[2] / "classifiers" / "models" / "variants.tsv"
HEAD = """\
# Characters written in Simplified (hans) or Traditional (hant) Chinese only. Derived from the dictionaries
# STCharacters, TSCharacters, TWVariants and HKVariants of OpenCC (https://github.com/BYVoid/OpenCC),
# Apache-2.0, by scripts/make_variants.py.
kind\tcharacters
"""


def read_dictionary(path: Path) -> dict[str, set[str]]:
    """Character -> characters that it is converted to; phrases are ignored."""
    lines = (line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    pairs = (line.split("\t") for line in lines)
    return {key: set(values.split(" ")) for key, values in pairs if len(key) == 1}


def only_one_side(folder: Path) -> tuple[set[str], set[str]]:
    """Characters that occur in Simplified text only, and in Traditional text only."""
    to_hant, to_hans = (
        read_dictionary(folder / "STCharacters.txt"),
        read_dictionary(folder / "TSCharacters.txt"),
    )
    regional = [read_dictionary(folder / name) for name in ("TWVariants.txt", "HKVariants.txt")]
    standard = {char for table in regional for values in table.values() for char in values}
    hans = {char for char, values in to_hant.items() if char not in values}
    hant = {char for char, values in to_hans.items() if char not in values}
    return hans - hant - standard, hant - hans


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Derive the table from OpenCC's dictionaries in FOLDER."""
    hans, hant = only_one_side(folder)
    rows = [f"{kind}\t{''.join(sorted(chars))}\n" for kind, chars in (("hans", hans), ("hant", hant))]
    TARGET.write_text(HEAD + "".join(rows), "utf-8")
    click.echo(f"{len(hans)} Simplified and {len(hant)} Traditional characters in {TARGET}", err=True)


if __name__ == "__main__":
    main()
