"""Tables of `classifiers.language`: labels by script, groups and flags by code point; read once per process."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from pipeline.names import nearest
from pipeline.recipe import package_file
from stages.kernels.scripts import scripts
from stages.kernels.scripts.romanised import syllable_table
from stages.kernels.scripts.scripts import HANG, HANI, JPAN, LATN, OTHERS
from stages.kernels.text.tables import load_tables

LANGUAGES_PATH = package_file(__file__, "..", "models", "languages.tsv")
SCRIPTS_PATH = package_file(__file__, "..", "models", "scripts.tsv")
VARIANTS_PATH = package_file(__file__, "..", "models", "variants.tsv")
MARKERS_PATH = package_file(__file__, "..", "models", "markers.tsv")
ROMANISED_PATH = package_file(__file__, "..", "models", "romanised.yaml")

UND, ZXX, MUL = 0, 1, 2
"""Labels that are not languages; indices into LabelTables.names."""

_LABEL = re.compile("([a-z]{2,3})_([A-Z][a-z]{3})")
_SAME_CODE = {
    "cmn": "zho",
    "arb": "ara",
    "pes": "fas",
    "zsm": "msa",
    "ekk": "est",
    "lvs": "lav",
    "npi": "nep",
    "swh": "swa",
}
"""Individual languages used by other models -> macrolanguage in languages.tsv."""
_SAME_SCRIPT = {"Hans": "Hani", "Hant": "Hani", "Hira": "Jpan", "Kana": "Jpan", "Kore": "Hang"}

_N_CODES = 0x110000
_CODE_SYMBOLS = "{};=<>_\\+^~`"
"""Frequent in code, markup and formulas; brackets, slashes, bars and currency signs also occur in prose and menus."""
_IDEOGRAPHS = range(0x4E00, 0xA000)
_RUN_BREAKS = "=+<>|^~$#@&\\/{}[]"
_RUN_JOINTS = "._(:%"


@dataclass(frozen=True)
class LabelTables:
    """Mapping from the labels of a model to output labels.

    names: output labels, UND, ZXX and MUL first. by_group: int32 (n_groups, n_model_labels), index in names of a model
    label in a script, -1 if the language is not written in that script. indices: name -> index.
    """

    names: tuple[str, ...]
    by_group: np.ndarray
    indices: dict[str, int]


def load_labels(model_labels: Sequence[str], path: str) -> LabelTables:
    """Map the labels of a model to output labels.

    A label is one of languages.tsv (`zh`, `zho`), or a language with its script as in GlotLID, OpenLID and NLLB
    (`cmn_Hani`, `zho_Hant`, `eng_Latn`). Labels that are not languages (`zxx_Zxxx`, `und_Zsye`) are never chosen.

    Raises: ConfigError if a label of the model at `path` is neither.
    """
    languages: dict[str, tuple[str, list[str]]] = {}
    for row in _rows(LANGUAGES_PATH):
        entry = row["code"], row["scripts"].split()
        languages |= {row["code"]: languages.get(row["code"], entry), row["lid"]: entry}
    groups = {"Hani": HANI, "Jpan": JPAN, "Hang": HANG, "Latn": LATN}
    groups |= {script: OTHERS + i for i, script in enumerate(_script_names())}
    names = ["und", "zxx", "mul", "lzh_Hani", "jpn_Jpan", "kor_Hang", "eng_Latn"]
    names += [f"{code}_{script}" for code in ("zho", "yue", "wuu") for script in ("Hans", "Hant")]
    by_group = np.full((len(groups) + 1, len(model_labels)), -1, np.int32)
    for i, label in enumerate(model_labels):
        parts = _LABEL.fullmatch(label)
        if label in languages:
            code, written = languages[label]
        elif parts:
            code, written = _SAME_CODE.get(parts[1], parts[1]), [_SAME_SCRIPT.get(parts[2], parts[2])]
        else:
            raise ConfigError(
                f"{path}: label {label!r} is neither in {LANGUAGES_PATH} nor a language with its script, such as "
                "eng_Latn; use a model with such labels"
            )
            code, written = _SAME_CODE.get(parts[1], parts[1]), [_SAME_SCRIPT.get(parts[2], parts[2])]
        if code in ("und", "zxx", "mul"):
            continue
        for script in written:
            name = f"{code}_{script}"
            if script == "Hani" and code != "lzh":
                name = f"{code}_Hans"
            if name not in names:
                names.append(name)
            by_group[groups.get(script, -1), i] = names.index(name)
    return LabelTables(tuple(names), by_group, {name: i for i, name in enumerate(names)})


def group_labels(tables: LabelTables, groups: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Number the groups of confusable languages: int64 (n_names + 1,), by output label; a label in no group is its own.

    The last entry is for -1, no label.

    Raises: ConfigError if a label is unknown or in two groups.
    """
    numbers = np.arange(len(tables.names) + 1)
    for name, labels in groups.items():
        for label in labels:
            if label not in tables.indices:
                raise ConfigError(
                    f"language.groups.{name}: unknown label {label!r}{nearest(label, tables.names)}"
                )
            if numbers[tables.indices[label]] != tables.indices[label]:
                raise ConfigError(f"language.groups: {label} is in two groups; name it in one")
            numbers[tables.indices[label]] = len(tables.names) + 1 + list(groups).index(name)
    return numbers


def load_scripts() -> np.ndarray:
    """Group of every letter of a script other than Latin, Han, kana and Hangul: uint8 (0x110000,).

    Letters of scripts without a language in the model are in the last group, OTHERS + number of scripts.
    """
    table = np.full(_N_CODES, OTHERS + len(_script_names()), np.uint8)
    for i, row in enumerate(_rows(SCRIPTS_PATH)):
        for block in row["blocks"].split():
            first, last = (int(code, 16) for code in block.split("-"))
            table[first : last + 1] = OTHERS + i
    return table


def load_flags() -> np.ndarray:
    """Flags of every code point, uint8 (0x110000,); see `kernels.scripts.scripts`."""
    kinds = {row["kind"]: row["characters"] for path in (VARIANTS_PATH, MARKERS_PATH) for row in _rows(path)}
    japanese = _characters("euc_jp")
    sets = {
        scripts.HANS_FLAG: kinds["hans"],
        scripts.HANT_FLAG: kinds["hant"],
        scripts.YUE_FLAG: kinds["yue"],
        scripts.JPN_FLAG: japanese
        - _characters("gb2312")
        - _characters("big5")
        - {*kinds["hans"], *kinds["hant"]},
        scripts.NOT_JPN_FLAG: set(map(chr, _IDEOGRAPHS)) - japanese,
        scripts.SYMBOL_FLAG: _CODE_SYMBOLS,
        scripts.BREAK_FLAG: _RUN_BREAKS,
        scripts.JOIN_FLAG: _RUN_JOINTS,
    }
    table = np.zeros(_N_CODES, np.uint8)
    for flag, characters in sets.items():
        table[[ord(char) for char in characters]] |= flag
    return table


def load_wu_marks() -> np.ndarray:
    """Characters that are words of Wu: uint8 (0x110000,), 1 if exclusive to Wu, 2 if also used in other languages."""
    kinds = {row["kind"]: row["characters"] for row in _rows(MARKERS_PATH)}
    table = np.zeros(_N_CODES, np.uint8)
    for column, kind in enumerate(("wuu", "wuu_too"), start=1):
        table[[ord(char) for char in kinds[kind]]] = column
    return table


def load_yue_words() -> tuple[np.ndarray, np.ndarray]:
    """Words that decide on Cantonese, for `kernels.scripts.han_words`.

    Returns: uint8 (0x110000,), 1 for a Cantonese word, 2 for a particle that standard Chinese has too, 3 for a word of
    standard Chinese alone; uint64 (n_pairs,), sorted, Cantonese words of two characters, in both scripts.
    """
    kinds = {row["kind"]: row["characters"] for row in _rows(MARKERS_PATH)}
    marks = np.zeros(_N_CODES, np.uint8)
    for value, names in enumerate((("yue", "yue_too"), ("yue_final",), ("not_yue",)), start=1):
        marks[[ord(char) for name in names for char in kinds[name]]] = value
    codes = np.array([ord(char) for char in kinds["yue_pairs"]], np.uint64).reshape(-1, 2)
    simplified = load_tables().fold[codes].astype(np.uint64)
    simplified = simplified[(codes != ord("係")).all(axis=1)]  # 都係, but not 都系 (of 系在)
    both = np.concatenate([codes, simplified])
    return marks, np.unique(both[:, 0] << np.uint64(32) | both[:, 1])


_TONE_MARKS = {"\u0300", "\u0301", "\u0304", "\u030c", "\u0308"}


def load_romanised() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Letters and syllables for `kernels.scripts.romanised`: letters, syllables of pinyin, syllables of Jyutping."""
    tables = read_yaml(ROMANISED_PATH)
    pinyin = [initial + final for initial, finals in tables["pinyin"].items() for final in finals.split()]
    initials, finals = (tables["jyutping"][name].split() for name in ("initials", "finals"))
    letters = np.full(0x250, 27, np.uint8)
    for code in range(len(letters)):
        base, *signs = list(unicodedata.normalize("NFD", chr(code).lower()))
        if "a" <= base <= "z" and set(signs) <= _TONE_MARKS:
            letters[code] = ord(base) - ord("a") + 1
    jyutping = [initial + final for initial in initials for final in finals]
    return letters, syllable_table(pinyin), syllable_table(jyutping)


def _characters(encoding: str, end: int = 0xFF) -> set[str]:
    """Two-byte ideographs of JIS X 0208 (euc_jp; the common ones end at 0xD0), GB 2312 or Big5."""
    pairs = (bytes((a, b)).decode(encoding, "ignore") for a in range(0xA1, end) for b in range(0x40, 0xFF))
    return {char for char in pairs if len(char) == 1 and ord(char) in _IDEOGRAPHS}


def _script_names() -> list[str]:
    return [row["script"] for row in _rows(SCRIPTS_PATH)]


def _rows(path: str) -> Iterator[dict[str, str]]:
    """Rows of a tab-separated table with a header line, without comments."""
    with open(path, encoding="utf-8", newline="") as stream:
        lines = (line for line in stream if not line.startswith("#"))
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
