"""Personal data and secrets: e-mail, telephone, hosts, identity documents, cards, accounts, devices, keys.

Reads canonical text; writes spans with their kind, which do not overlap. Which kinds are replaced, and by what, is
decided at release. A kernel finds the few windows of text that can contain a value; patterns and checks
(`stages.pii.rules`) run only on these. All rules apply to every document, because pages mix languages.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.names import nearest
from pipeline.schema import SPANS
from pipeline.stage import Stage
from stages.kernels.pii.candidates import candidate_text, find_candidates
from stages.kernels.pii.signs import AT_HEAD
from stages.kernels.text.text import TABLES_PATH, view
from stages.pii.neighbours import NEIGHBOURS_PATH
from stages.pii.people import PEOPLE_PATH
from stages.pii.phones import PHONES_PATH
from stages.pii.rule import Rule
from stages.pii.rules import IN_URLS, KINDS, OPTIONAL, RULES, heads_of
from stages.pii.secret_forms import SECRETS_PATH

SCHEMA = pa.schema({"spans": SPANS})
"""spans: personal data, with its kind."""

BEHIND = 24
"""Characters behind a value that patterns read; checks read more."""

Found = tuple[int, int, int, int]
"""A value: row of the document in the batch, start, end (characters), index of the rule in RULES."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """kinds: which kinds to detect; default all but names and postal addresses."""

    kinds: tuple[str, ...] = tuple(kind for kind in KINDS if kind not in OPTIONAL)

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError(f"pii.kinds: unknown kind {kind!r}{nearest(str(kind), KINDS)}")


class PersonalData:
    """`annotate` with the rules of the configured kinds."""

    def __init__(self, config: Config) -> None:
        self.rules = [(order, rule) for order, rule in enumerate(RULES) if rule.kind in config.kinds]
        self.signs = np.bitwise_or.reduce([0, *(rule.sign for _, rule in self.rules)])
        self.heads = heads_of(int(self.signs))
        self.of_signs: dict[int, list[tuple[int, Rule]]] = {}

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Find personal data in each document.

        Args: batch, with a string column `text`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,); empty lists where nothing is found.
        """
        codes, starts, _ = view(batch["text"])
        candidates = find_candidates(codes, starts, self.heads)
        candidates = candidates[candidates[:, 1] & self.signs != 0]
        window_codes, places, firsts = candidate_text(codes, starts, candidates)
        text, ends = window_codes.tobytes().decode("utf-32-le", "surrogatepass"), places[1:].tolist()
        origins = (firsts - starts[candidates[:, 0]]).tolist()
        bounds = (candidates[:, 2:] - firsts[:, None]).tolist()
        spans: set[Found] = set()
        for k, (doc, signs) in enumerate(candidates[:, :2].tolist()):
            window = text[ends[k - 1] if k else 0 : ends[k]]
            spans.update(
                (doc, origins[k] + start, origins[k] + end, order)
                for start, end, order in self.search(window, signs, *bounds[k])
            )
        return _to_columns(disjoint(spans), len(starts) - 1)

    def search(self, window: str, signs: int, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield start, end and rule index of every value within window[begin:end]; the rest of window is context."""
        rules = self.of_signs.get(signs)
        if rules is None:
            rules = self.of_signs[signs] = [(order, rule) for order, rule in self.rules if rule.sign & signs]
        for order, rule in rules:
            if rule.sign & AT_HEAD:  # all forms of these signs begin with the word that introduces them
                match = rule.pattern.match(window, begin)
                if match and match.end("v") <= end and rule.holds(match):
                    yield *match.span("v"), order
                continue
            for match in rule.pattern.finditer(window, begin, end + BEHIND):
                if match.end("v") <= end and rule.holds(match):
                    yield *match.span("v"), order


def disjoint(spans: Iterable[Found]) -> list[Found]:
    """Of overlapping spans keep the one that begins first; ties go to the longest, then to the first rule.

    Values in URLs take precedence over all others that overlap them.
    """
    spans = list(spans)
    inside = _first_of(span for span in spans if span[3] in IN_URLS)
    if not inside:
        return _first_of(spans)
    others = [span for span in spans if span[3] not in IN_URLS and not _overlaps(span, inside)]
    return sorted([*inside, *_first_of(others)])


def _overlaps(span: Found, kept: list[Found]) -> bool:
    """Return whether a span overlaps one of a sorted list."""
    at = bisect.bisect_left(kept, (span[0], span[2], 0, 0))
    return at > 0 and kept[at - 1][0] == span[0] and kept[at - 1][2] > span[1]


def _first_of(spans: Iterable[Found]) -> list[Found]:
    kept: list[Found] = []
    for span in sorted(spans, key=lambda span: (span[0], span[1], -span[2], span[3])):
        if not kept or span[0] != kept[-1][0] or span[1] >= kept[-1][2]:
            kept.append(span)
    return kept


def _to_columns(spans: list[Found], n_docs: int) -> pa.Table:
    """Return one list of spans per document, as a table of SCHEMA."""
    numbers = np.array([span[:3] for span in spans], np.int64).reshape(-1, 3)
    kinds = pa.array([RULES[span[3]].kind for span in spans], pa.string())
    values = pa.StructArray.from_arrays(
        [pa.array(numbers[:, 1].astype(np.int32)), pa.array(numbers[:, 2].astype(np.int32)), kinds],
        fields=list(SPANS.value_type),
    )
    offsets = np.searchsorted(numbers[:, 0], np.arange(n_docs + 1)).astype(np.int32)
    return pa.Table.from_arrays([pa.ListArray.from_arrays(pa.array(offsets), values)], schema=SCHEMA)


STAGE = Stage(
    name="pii",
    version=7,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=PersonalData,
    data=(TABLES_PATH, NEIGHBOURS_PATH, PHONES_PATH, SECRETS_PATH, PEOPLE_PATH),
)
