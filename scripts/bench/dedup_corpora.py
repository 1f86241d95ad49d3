"""The documents of bench_dedup.py, and how far what a tool removes agrees with an exact truth about pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UsageError

LANGUAGES = {"zh": ("zh", "lzh", "yue", "cmn", "zho"), "en": ("en", "eng")}
"""How labels of a language begin, before the first hyphen or underscore."""

NEAR, FAR = 0.8, 0.5
"""Of a pair this similar one must go; what goes must be at least this similar to a document that stays."""

BATCH_ROWS = 256


@dataclass(frozen=True)
class Corpus:
    """Documents of one language. ids: names in the truth, empty where there is none."""

    language: str
    texts: pa.ChunkedArray
    ids: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of text."""
        return int(pc.sum(pc.binary_length(self.texts)).as_py() or 0)

    def write(self, path: Path) -> None:
        """Write an Arrow file with one chunk of `text`."""
        table = pa.table({"text": self.texts}).combine_chunks()
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def language_of(labels: pa.ChunkedArray) -> np.ndarray:
    """zh, en or nothing for each label, as zh-tw, zho_Hant or en."""
    stems = [(label or "").lower().replace("_", "-").split("-")[0] for label in labels.to_pylist()]
    return np.array([next((k for k, stem_of in LANGUAGES.items() if s in stem_of), "") for s in stems])


def read(
    files: tuple[str, ...], text_column: str, lang_column: str | None
) -> tuple[pa.ChunkedArray, np.ndarray]:
    """Texts of Parquet files and the language of each, by a column or by bicorpus's own language stage.

    Raises: UsageError if a file lacks a column.
    """
    columns = [text_column, *([lang_column] if lang_column else [])]
    tables = []
    for path in files:
        lacking = set(columns) - set(pq.read_schema(path).names)
        if lacking:
            raise UsageError(
                f"{path} has no column {min(lacking)!r}; name one with --text-column or --lang-column"
            )
        tables.append(pq.read_table(path, columns=columns))
    table = pa.concat_tables(tables, promote_options="permissive")
    texts = pc.fill_null(table[text_column].cast(pa.large_string()), "")
    return texts, language_of(table[lang_column] if lang_column else _named(texts))


def _named(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Labels by the language stage."""
    from classifiers.language import STAGE

    annotate = STAGE.load(STAGE.config())
    slices = (texts.slice(start, BATCH_ROWS) for start in range(0, max(len(texts), 1), BATCH_ROWS))
    return pa.concat_tables(annotate(pa.table({"text": batch})) for batch in slices)["label"]


def draw(texts: pa.ChunkedArray, languages: np.ndarray, language: str, mb: float) -> Corpus:
    """Documents of a language in an order drawn once and for all, as many as fit: a smaller set is the start of a
    larger one."""
    rows = np.random.default_rng(0).permutation(len(texts))
    rows = rows[languages[rows] == language]
    sizes = pc.binary_length(texts).to_numpy()[rows]
    return Corpus(language, texts.take(pa.array(rows[np.cumsum(sizes) <= mb * 1e6])))


def read_truth(docs_path: str, pairs_path: str, language: str, mb: float | None) -> tuple[Corpus, pa.Table]:
    """Documents of a truth set in one language, the first that fit, and every pair among them.

    Raises: UsageError if a file lacks a column.
    """
    wanted = {docs_path: ("doc_id", "text", "lang"), pairs_path: ("id_a", "id_b", "jaccard5")}
    for path, columns in wanted.items():
        lacking = set(columns) - set(pq.read_schema(path).names)
        if lacking:
            raise UsageError(f"{path} has no column {min(lacking)!r}; expected {', '.join(columns)}")
    docs = pq.read_table(docs_path, columns=list(wanted[docs_path]))
    docs = docs.filter(pa.array(language_of(docs["lang"]) == language))
    sizes = pc.binary_length(docs["text"]).to_numpy()
    docs = docs.slice(0, len(sizes) if mb is None else int((np.cumsum(sizes) <= mb * 1e6).sum()))
    pairs = pq.read_table(pairs_path, columns=list(wanted[pairs_path]))
    here = [pc.is_in(pairs[name], value_set=docs["doc_id"].combine_chunks()) for name in ("id_a", "id_b")]
    texts = docs["text"].cast(pa.large_string())
    return Corpus(language, texts, tuple(docs["doc_id"].to_pylist())), pairs.filter(pc.and_(*here))


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson, JASA 22(158), 1927); 0 to 1 of nothing."""
    if not of:
        return 0.0, 1.0
    share, square = count / of, z * z / of
    middle, half = share + square / 2, z * ((share * (1 - share) + square / 4) / of) ** 0.5
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


@dataclass(frozen=True)
class Agreement:
    """n_missed: of n_near pairs at NEAR or above, those of which both stay. n_lost: of n_removed documents, those
    with no document that stays at FAR or above."""

    n_near: int
    n_missed: int
    n_removed: int
    n_lost: int


def agreement(corpus: Corpus, pairs: pa.Table, removed: list[int]) -> dict[str, int]:
    """How far the removed rows agree with the pairs of a complete truth, as fields of Agreement."""
    place = {name: row for row, name in enumerate(corpus.ids)}
    a, b = (np.array([place[name] for name in pairs[end].to_pylist()], np.int64) for end in ("id_a", "id_b"))
    jaccard = pairs["jaccard5"].to_numpy()
    kept = np.ones(len(corpus.ids), bool)
    kept[removed] = False
    nearest = np.zeros(len(kept))
    np.maximum.at(nearest, a, np.where(kept[b], jaccard, 0.0))
    np.maximum.at(nearest, b, np.where(kept[a], jaccard, 0.0))
    near = jaccard >= NEAR
    n_missed = int(np.count_nonzero(near & kept[a] & kept[b]))
    n_lost = int(np.count_nonzero(~kept & (nearest < FAR)))
    return asdict(Agreement(int(np.count_nonzero(near)), n_missed, len(set(removed)), n_lost))
