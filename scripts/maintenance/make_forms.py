"""Write the groups of ideographs that match text does not distinguish, from OpenCC's dictionaries.

Reads the folder `data/dictionary` of OpenCC's source (https://github.com/BYVoid/OpenCC, Apache-2.0; it is in the source
distribution of the package `opencc`); writes `stages/kernels/dedup/han_forms.txt`. Two characters are in one group if
any dictionary of characters, variants or phrases has one for the other, in either direction, and `Tables.fold` does not
map both to one character. Groups are larger than those of a conversion have to be: they decide whether two texts are
the same, not how one is written.

Example: python -m scripts.maintenance.make_forms OpenCC/data/dictionary
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from stages.kernels.dedup.forms import FORMS_PATH
from stages.kernels.text.tables import load_tables

DICTIONARIES = (
    "STCharacters", "TSCharacters", "TWVariants", "HKVariants", "STPhrases", "TSPhrases", "TWVariantsPhrases",
    "TWVariantsRevPhrases", "HKVariantsPhrases", "HKVariantsRevPhrases",
)  # fmt: skip
HEAD = """\
# Groups of characters that match text does not distinguish, the first for all. Derived from the dictionaries
# {names}
# of OpenCC (https://github.com/BYVoid/OpenCC), Apache-2.0, by scripts/maintenance/make_forms.py.
"""


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Characters that one dictionary has for each other, as match text has them."""
    fold = load_tables().fold
    for line in path.read_text("utf-8").splitlines():
        key, _, values = line.partition("\t")
        for value in () if line.startswith("#") else values.split(" "):
            if len(key) == len(value):
                yield from ((chr(fold[ord(a)]), chr(fold[ord(b)])) for a, b in zip(key, value, strict=True))


def groups(folder: Path) -> list[str]:
    """Characters of each group of two and more, sorted, and the groups sorted."""
    group_of: dict[str, set[str]] = {}
    for name in DICTIONARIES:
        for a, b in read_pairs(folder / f"{name}.txt"):
            if a != b:
                merged = group_of.get(a, {a}) | group_of.get(b, {b})
                group_of |= dict.fromkeys(merged, merged)
    return sorted({"".join(sorted(group)) for group in group_of.values()})


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Derive the groups from OpenCC's dictionaries in FOLDER."""
    found = groups(folder)
    names = ", ".join(DICTIONARIES)
    Path(FORMS_PATH).write_text(HEAD.format(names=names) + "".join(f"{group}\n" for group in found), "utf-8")
    click.echo(f"{len(found)} groups in {FORMS_PATH}", err=True)


if __name__ == "__main__":
    main()
