"""Tables behind `classifiers.language`: labels by script, groups and flags by code point; read once per process."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from stages.kernels import scripts
from stages.kernels.scripts import HANG, HANI, JPAN, LATN, OTHERS

LANGUAGES_PATH = package_file(__file__, "models", "languages.tsv")
SCRIPTS_PATH = package_file(__file__, "models", "scripts.tsv")
VARIANTS_PATH = package_file(__file__, "models", "variants.tsv")
MARKERS_PATH = package_file(__file__, "models", "markers.tsv")

UND, ZXX, MUL = 0, 1, 2
"""Labels that name no language; indices into LabelTables.names."""

_N_CODES = 0x110000
_CODE_SYMBOLS = "{};=<>_\\+^~`"
"""Frequent in code, markup and formulas; brackets, slashes, bars and currency signs stand in prose and menus too."""
_RUN_BREAKS = "=+<>|^~$#@&\\/{}[]"
_RUN_JOINTS = "._(:%"


@dataclass(frozen=True)
class LabelTables:
    """What the labels of a model mean.

    names: labels to write, UND, ZXX and MUL first. by_group: int32 (n_groups, n_model_labels), the index in names
    of a model's label in a script, -1 where the language is not written in it. indices: of each name.
    """

    names: tuple[str, ...]
    by_group: np.ndarray
    indices: dict[str, int]


def load_labels(model_labels: Sequence[str], path: str) -> LabelTables:
    """Read the names of a model's labels.

    Raises: ConfigError if a label of the model at `path` is not in languages.tsv.
    """
    languages = {row["lid"]: (row["code"], row["scripts"].split()) for row in _rows(LANGUAGES_PATH)}
    groups = {"Hani": HANI, "Jpan": JPAN, "Hang": HANG, "Latn": LATN}
    groups |= {script: OTHERS + i for i, script in enumerate(_script_names())}
    names = ["und", "zxx", "mul", "lzh_Hani", "jpn_Jpan"]
    names += [f"{code}_{script}" for code in ("zho", "yue", "wuu") for script in ("Hans", "Hant")]
    by_group = np.full((len(groups) + 1, len(model_labels)), -1, np.int32)
    for i, label in enumerate(model_labels):
        if label not in languages:
            raise ConfigError(
                f"{path}: label {label!r} is not in {LANGUAGES_PATH}; use a model with its labels"
            )
        code, written = languages[label]
        for script in written:
            name = f"{code}_Hans" if script == "Hani" else f"{code}_{script}"
            if name not in names:
                names.append(name)
            by_group[groups[script], i] = names.index(name)
    return LabelTables(tuple(names), by_group, {name: i for i, name in enumerate(names)})


def load_scripts() -> np.ndarray:
    """Group of every code point that is a letter of a script other than Latin, Han, kana and Hangul; uint8.

    Letters of scripts that no language of the model uses get the last group, OTHERS + number of scripts.
    """
    table = np.full(_N_CODES, OTHERS + len(_script_names()), np.uint8)
    for i, row in enumerate(_rows(SCRIPTS_PATH)):
        for block in row["blocks"].split():
            first, last = (int(code, 16) for code in block.split("-"))
            table[first : last + 1] = OTHERS + i
    return table


def load_flags() -> np.ndarray:
    """Flags of every code point, uint8 (0x110000,); see `kernels.scripts`."""
    kinds = {row["kind"]: row["characters"] for path in (VARIANTS_PATH, MARKERS_PATH) for row in _rows(path)}
    sets = {
        scripts.HANS_FLAG: kinds["hans"],
        scripts.HANT_FLAG: kinds["hant"],
        scripts.YUE_FLAG: kinds["yue"],
        scripts.LZH_FLAG: kinds["lzh"],
        scripts.MODERN_FLAG: kinds["modern"],
        scripts.SYMBOL_FLAG: _CODE_SYMBOLS,
        scripts.BREAK_FLAG: _RUN_BREAKS,
        scripts.JOIN_FLAG: _RUN_JOINTS,
    }
    table = np.zeros(_N_CODES, np.uint8)
    for flag, characters in sets.items():
        table[[ord(char) for char in characters]] |= flag
    return table


def _script_names() -> list[str]:
    return [row["script"] for row in _rows(SCRIPTS_PATH)]


def _rows(path: str) -> Iterator[dict[str, str]]:
    """Rows of a tab-separated table with a header line, comments left out."""
    with open(path, encoding="utf-8", newline="") as stream:
        lines = (line for line in stream if not line.startswith("#"))
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
