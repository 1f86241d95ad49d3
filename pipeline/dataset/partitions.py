"""Columns in the names of folders, as Hive, Spark, Arrow and DuckDB write them: `dump=CC-MAIN-2024-10/language=zh/`.

Source: the layout of partitions in Apache Hive; values are percent-encoded, and a null has a name of its own.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

FOLDER = re.compile(r"([A-Za-z_][\w.-]{0,99})=(.+)", re.ASCII)
NULL = "__HIVE_DEFAULT_PARTITION__"


def dataset_folder(folder: str) -> str:
    """Return a folder without the partitions at its end: where the data set that they divide begins."""
    while FOLDER.fullmatch(folder.rpartition("/")[2]):
        folder = folder.rpartition("/")[0]
    return folder


def partitions_of(path: str, relative: str) -> dict[str, str]:
    """Return column -> value of the folders of a file.

    Args: path, of the file; relative, its end below the source root. Above the root only the folders next to it count,
    as far as they are partitions, so that a root inside a data set gives the same columns.
    """
    folders = path.split("/")[:-1]
    n_below = relative.count("/")
    below = folders[len(folders) - n_below :] if n_below else []
    above: list[str] = []
    for folder in reversed(folders[: len(folders) - n_below]):
        if not FOLDER.fullmatch(folder):
            break
        above.insert(0, folder)
    found = [match for folder in (*above, *below) if (match := FOLDER.fullmatch(folder))]
    return {match[1]: unquote(match[2]) for match in found if match[2] != NULL}
