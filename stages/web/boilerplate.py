"""Boilerplate lines of web pages: cookie notices, share bars, page navigation, copyright.

Reads canonical text; writes spans over whole lines, including their line break, and the share of characters
that they cover. Which kinds are removed is decided at release. Patterns are data (`languages/*.lines.yaml`), and all
apply to every document, because pages mix languages: English notices occur on Chinese pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from pipeline.schema import SPANS
from pipeline.stage import NoConfig, Stage
from stages.kernels.patterns.furniture import find_lines, match_lines, trigger_table
from stages.kernels.text.text import TABLES_PATH, load_tables, view
from stages.languages import line_paths

SCHEMA = pa.schema({"spans": SPANS, "removed_share": pa.float32()})
"""spans: lines of page furniture, of kind `byline`, `comment`, `cookie`, `copyright`, `footer`, `javascript`,
`navigation`, `pagination`, `share` or `subscribe`. removed_share: characters in spans."""


@dataclass(frozen=True)
class LineRule:
    """One pattern: a line of at most max_chars characters that matches it completely is of this kind.

    triggers: beginnings of words, in match characters, two or more characters each; every match contains at least one.
    Line breaks in the text of a pattern are for the reader and are removed.
    """

    kind: str
    max_chars: int
    triggers: tuple[str, ...]
    pattern: re.Pattern[str]


class Boilerplate:
    """`annotate` with its patterns."""

    def __init__(self, config: NoConfig) -> None:
        self.rules = [rule for path in line_paths() for rule in load_rules(path)]
        self.triggers = trigger_table((text, rule.max_chars) for rule in self.rules for text in rule.triggers)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Find the boilerplate lines of each document.

        Args: batch, with a string column `text`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,).
        """
        codes, starts, classes = view(batch["text"])
        fold = load_tables().fold
        candidates = find_lines(codes, starts, classes, fold, *self.triggers)
        lines = match_lines(codes, fold, candidates).tobytes().decode("utf-32-le")
        ends = np.cumsum(candidates[:, 2] - candidates[:, 1]).tolist()
        kinds = [self.kind_of(lines[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
        hits = np.array([kind is not None for kind in kinds], bool)
        return _to_columns(candidates[hits], [kind for kind in kinds if kind], starts)

    def kind_of(self, line: str) -> str | None:
        """Return the kind of a line in match characters; None if it is not boilerplate."""
        for rule in self.rules:
            if len(line) <= rule.max_chars and rule.pattern.fullmatch(line):
                return rule.kind
        return None


def load_rules(path: str) -> list[LineRule]:
    """Read a file of line patterns.

    Raises: ConfigError if a pattern does not compile or a trigger is too short or not in match characters.
    """
    rules = []
    fold = load_tables().fold
    for entry in read_yaml(path)["lines"]:
        for text in entry["triggers"]:
            if text != "©" and (len(text) < 2 or any(fold[ord(char)] not in (0, ord(char)) for char in text)):
                raise ConfigError(
                    f"{path}: trigger {text!r}; expected two characters or more in match characters"
                )
        try:
            pattern = re.compile(entry["pattern"].replace("\n", ""))
        except re.error as error:
            raise ConfigError(
                f"{path}: pattern of {entry['kind']!r}: {error}; expected a regular expression"
            ) from error
        rules.append(LineRule(entry["kind"], entry["max_chars"], tuple(entry["triggers"]), pattern))
    return rules


def _to_columns(hits: np.ndarray, kinds: list[str], starts: np.ndarray) -> pa.Table:
    """Return the spans of matching lines as a table of SCHEMA; hits, int64 (n_hits, 5), rows of `find_lines`."""
    n_docs = len(starts) - 1
    begin = starts[hits[:, 0]]
    span = pa.StructArray.from_arrays(
        [
            pa.array((hits[:, 3] - begin).astype(np.int32)),
            pa.array((hits[:, 4] - begin).astype(np.int32)),
            pa.array(kinds, pa.string()),
        ],
        fields=list(SPANS.value_type),
    )
    offsets = np.searchsorted(hits[:, 0], np.arange(n_docs + 1)).astype(np.int32)
    removed = np.bincount(hits[:, 0], hits[:, 4] - hits[:, 3], n_docs)
    share = np.round(removed / np.maximum(np.diff(starts), 1), 3).astype(np.float32)
    return pa.Table.from_arrays(
        [pa.ListArray.from_arrays(pa.array(offsets), span), pa.array(share)], schema=SCHEMA
    )


STAGE = Stage(
    name="boilerplate",
    version=1,
    reads=("text",),
    writes=SCHEMA,
    load=Boilerplate,
    data=(TABLES_PATH, *line_paths()),
)
