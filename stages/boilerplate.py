"""Lines of web pages that are furniture, not text: cookie notices, share bars, page navigation, copyright.

Reads canonical text; writes spans over whole lines, their line break included, and the share of characters
that they cover. Release decides which kinds it removes. Patterns are data (`languages/*.lines.yaml`), and all
apply to every document, because pages mix languages: English notices stand on Chinese pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.schema import SPANS
from pipeline.stage import NoConfig, Stage
from stages.kernels.furniture import find_lines, match_lines, trigger_table
from stages.kernels.text import TABLES_PATH, load_tables, view
from stages.languages import line_paths, load_yaml

SCHEMA = pa.schema({"spans": SPANS, "removed_share": pa.float32()})
"""spans: lines of page furniture, of kind `byline`, `comment`, `cookie`, `copyright`, `footer`, `javascript`,
`navigation`, `pagination`, `share` or `subscribe`. removed_share: characters in spans."""


@dataclass(frozen=True)
class LineRule:
    """One pattern: a line of at most max_chars characters that it matches whole is of this kind.

    triggers: how the words begin that every match holds, in match characters, two or more. Line breaks in the
    pattern text are for the reader and are left out.
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
        """Find the furniture lines of every document of a batch."""
        codes, starts, classes = view(batch["text"])
        fold = load_tables().fold
        found = find_lines(codes, starts, classes, fold, *self.triggers)
        lines = match_lines(codes, fold, found).tobytes().decode("utf-32-le")
        ends = np.cumsum(found[:, 2] - found[:, 1]).tolist()
        kinds = [self.kind_of(lines[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
        hits = np.array([kind is not None for kind in kinds], bool)
        return _to_columns(found[hits], [kind for kind in kinds if kind], starts)

    def kind_of(self, line: str) -> str | None:
        """Name the kind of a line in match characters; None for text."""
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
    for entry in load_yaml(path)["lines"]:
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
    """Lay out the spans of hit lines; int64 (n_hits, 5) as `find_lines` gives them."""
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
