"""Reads answers to a labelling sheet, checks them against the rubric, merges labellers and compares them."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.ingest.import_files import read_tables
from pipeline.labelling.agreement import kappa, quadratic_kappa, spearman
from pipeline.labelling.rubric import Rubric, names_of

TRUE, FALSE = ("true", "yes", "y", "1", "是", "保留"), ("false", "no", "n", "0", "否", "不保留")
"""How a spreadsheet may answer `keep`, in lower case."""

MERGED = pa.schema(
    {
        "doc_id": pa.string(),
        "score": pa.float64(),
        "keep": pa.bool_(),
        "kind": pa.string(),
        "flags": pa.list_(pa.string()),
        "domain": pa.string(),
        "n_labels": pa.int32(),
    }
)
"""One row per document. score: mean of the labellers. keep: what most of them answered, null for a tie; kind and domain
likewise. flags: those that at least half of them set, sorted. n_labels: labellers with an answer."""


@dataclass(frozen=True)
class Answer:
    """What one labeller answered about one document; None for what was left open."""

    doc_id: str
    labeller: str
    score: int | None
    keep: bool | None
    kind: str | None
    flags: tuple[str, ...]
    domain: str | None
    note: str

    @property
    def is_open(self) -> bool:
        """Whether nothing was answered."""
        return self.score is None and self.keep is None and not (self.kind or self.domain or self.flags)


@dataclass
class Read:
    """Answers by labeller, then document; n_open: rows without any answer."""

    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    n_open: int = 0


def read_answers(paths: Sequence[str], rubric: Rubric) -> Read:
    """Read files of answers (CSV, JSON Lines or Parquet); a file without labellers is one labeller, after its name.

    Raises: InputError naming file and document for an answer that the rubric does not have, or for two different
    answers of one labeller about a document.
    """
    read = Read()
    for path in paths:
        table = read_tables([path], "doc_id", None)
        for row in table.to_pylist():
            if not row["doc_id"]:
                continue
            answer = parse_answer(row, Path(path).stem, rubric, path)
            if answer.is_open:
                read.n_open += 1
                continue
            known = read.answers.setdefault(answer.labeller, {}).setdefault(answer.doc_id, answer)
            if known != answer:
                raise InputError(
                    f"{path}: {answer.labeller} has two different answers about {answer.doc_id}; keep one row"
                )
    if not read.answers:
        raise InputError(f"{', '.join(paths)}: no answers; expected at least one row with a score")
    return read


def parse_answer(
    row: Mapping[str, Any], labeller: str, rubric: Rubric, path: str
) -> Answer:  # Any: values of a file
    """The answer in one row. labeller: for rows without one. Raises: InputError for a value that the rubric lacks."""

    def wrong(name: str, expected: str) -> InputError:
        return InputError(f"{path}: {name} of {row['doc_id']} is {row[name]!r}; expected {expected}")

    def text(name: str) -> str:
        value = row.get(name)
        return "" if value is None else str(value).strip()

    def choice(name: str) -> str | None:
        value, names = text(name), names_of(rubric, name)
        if value and value not in names:
            raise wrong(name, f"one of {', '.join(names)}")
        return value or None

    levels = [level["name"] for level in rubric["score"]["levels"]]
    score = text("score").removesuffix(".0")  # a spreadsheet may have made it a fraction
    if score and score not in map(str, levels):
        raise wrong("score", f"one of {', '.join(map(str, levels))}")
    keep = text("keep").lower().removesuffix(".0")
    if keep and keep not in TRUE + FALSE:
        raise wrong("keep", "true or false")
    value = row.get("flags")
    flags = value if isinstance(value, list) else [part.strip() for part in text("flags").split("|")]
    known = names_of(rubric, "flags")
    for flag in flags:
        if flag and flag not in known:
            raise wrong("flags", f"some of {'|'.join(known)}")
    note = text("note")
    if note.startswith("'") and note[1:].lstrip()[:1] in tuple("=+-@"):  # see release.numbers.csv_text
        note = note[1:]
    return Answer(
        row["doc_id"], text("labeller") or labeller, int(score) if score else None, keep in TRUE if keep else None,
        choice("kind"), tuple(sorted({flag for flag in flags if flag})), choice("domain"), note,
    )  # fmt: skip


def merge(read: Read) -> pa.Table:
    """One row per document, from all labellers: a table of MERGED, in order of doc_id."""
    by_document: dict[str, list[Answer]] = {}
    for labeller in sorted(read.answers):
        for answer in read.answers[labeller].values():
            by_document.setdefault(answer.doc_id, []).append(answer)
    rows = []
    for doc_id in sorted(by_document):
        answers = by_document[doc_id]
        scores = [answer.score for answer in answers if answer.score is not None]
        flags = Counter(flag for answer in answers for flag in answer.flags)
        rows.append(
            {
                "doc_id": doc_id, "score": sum(scores) / len(scores) if scores else None,
                "keep": _most([answer.keep for answer in answers]), "kind": _most([answer.kind for answer in answers]),
                "flags": sorted(flag for flag, n in flags.items() if 2 * n >= len(answers)),
                "domain": _most([answer.domain for answer in answers]), "n_labels": len(answers),
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=MERGED)


def _most(values: Sequence[Any]) -> Any:
    """The value given most often; None for a tie. Any: of one question."""
    counts = Counter(value for value in values if value is not None).most_common(2)
    return None if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]) else counts[0][0]


def with_file(table: pa.Table, use: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Call `use` with the path of a temporary Parquet file of a table; returns its result."""
    with tempfile.TemporaryDirectory(prefix="bicorpus-labels-") as folder:
        path = str(Path(folder) / "labels.parquet")
        pq.write_table(table, path)
        return use(path)


def compare(read: Read, least: int = 2) -> list[dict[str, Any]]:  # Any: plain JSON
    """Compare each pair of labellers over the documents that both answered.

    Args: least, difference of scores from which a document is listed, as is one that only one of them would keep.
    Returns: for each pair the labellers, documents, spearman and quadratic_kappa of the score, the share of documents
    within one point, kappa of keep, kind and domain, the share of equal flags, and the disagreements, largest first.
    """
    return [
        _compare_two(first, second, read.answers[first], read.answers[second], least)
        for first, second in itertools.combinations(sorted(read.answers), 2)
    ]


def _compare_two(
    first: str, second: str, ours: Mapping[str, Answer], theirs: Mapping[str, Answer], least: int
) -> dict[str, Any]:
    pairs = [(ours[doc_id], theirs[doc_id]) for doc_id in sorted(set(ours) & set(theirs))]
    scores = [(a.score, b.score) for a, b in pairs if a.score is not None and b.score is not None]
    left, right = [a for a, _ in scores], [b for _, b in scores]
    found: dict[str, Any] = {
        "labellers": [first, second], "documents": len(pairs), "spearman": _rounded(spearman(left, right)),
        "quadratic_kappa": _rounded(quadratic_kappa(left, right)),
        "within_one": _rounded(_share([abs(a - b) <= 1 for a, b in scores])),
    }  # fmt: skip
    for name in ("keep", "kind", "domain"):
        both = [(getattr(a, name), getattr(b, name)) for a, b in pairs]
        both = [(a, b) for a, b in both if a is not None and b is not None]
        found[f"{name}_kappa"] = _rounded(kappa([a for a, _ in both], [b for _, b in both]))
        found[f"{name}_agreement"] = _rounded(_share([a == b for a, b in both]))
    found["flags_agreement"] = _rounded(_share([a.flags == b.flags for a, b in pairs]))
    differing = [(_distance(a, b), a, b) for a, b in pairs]
    listed = [
        (d, a, b)
        for d, a, b in differing
        if d >= least or (a.keep is not b.keep and None not in (a.keep, b.keep))
    ]
    listed.sort(key=lambda item: (-item[0], item[1].doc_id))
    found["disagreements"] = [
        {"doc_id": a.doc_id}
        | {name: [getattr(a, name), getattr(b, name)] for name in ("score", "keep", "kind", "domain", "note")}
        | {"flags": [list(a.flags), list(b.flags)]}
        for _, a, b in listed
    ]
    return found


def _distance(a: Answer, b: Answer) -> int:
    return abs(a.score - b.score) if a.score is not None and b.score is not None else 0


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
