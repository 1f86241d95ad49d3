"""Documents for bench_dedup.py, and agreement of removed documents with the exact similarity of all pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UsageError

LANGUAGES = {"zh": ("zh", "lzh", "yue", "cmn", "zho"), "en": ("en", "eng")}
"""Language -> accepted labels, up to the first hyphen or underscore."""

NEAR, FAR = 0.8, 0.5
"""One document of a pair with at least NEAR similarity must be removed; a removed document must have at least FAR
similarity to a kept document."""

BATCH_ROWS = 256


@dataclass(frozen=True)
class Corpus:
    """Documents of one language. ids: document ids of the truth, empty without a truth."""

    language: str
    texts: pa.ChunkedArray
    ids: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of text."""
        return int(pc.sum(pc.binary_length(self.texts)).as_py() or 0)

    def write(self, path: Path) -> None:
        """Write an Arrow IPC file with one record batch, column `text`."""
        table = pa.table({"text": self.texts}).combine_chunks()
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def language_of(labels: pa.ChunkedArray) -> np.ndarray:
    """zh, en or an empty string for each label, such as zh-tw, zho_Hant or en."""
    stems = [(label or "").lower().replace("_", "-").split("-")[0] for label in labels.to_pylist()]
    return np.array([next((k for k, stem_of in LANGUAGES.items() if s in stem_of), "") for s in stems])


def read(
    files: tuple[str, ...], text_column: str, lang_column: str | None
) -> tuple[pa.ChunkedArray, np.ndarray]:
    """Texts of Parquet files and their languages, from a column or from the language stage of bicorpus.

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
    """Documents of a language in a fixed random order, up to `mb` megabytes: a smaller set is a prefix of a larger."""
    rows = np.random.default_rng(0).permutation(len(texts))
    rows = rows[languages[rows] == language]
    sizes = pc.binary_length(texts).to_numpy()[rows]
    return Corpus(language, texts.take(pa.array(rows[np.cumsum(sizes) <= mb * 1e6])))


def read_truth(docs_path: str, pairs_path: str, language: str, mb: float | None) -> tuple[Corpus, pa.Table]:
    """Documents of a truth set in one language, up to `mb` megabytes, and all pairs among them.

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
    inside = [pc.is_in(pairs[name], value_set=docs["doc_id"].combine_chunks()) for name in ("id_a", "id_b")]
    texts = docs["text"].cast(pa.large_string())
    return Corpus(language, texts, tuple(docs["doc_id"].to_pylist())), pairs.filter(pc.and_(*inside))


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """95 % confidence interval of a share; (0, 1) for an empty sample.

    Source: Wilson, JASA 22(158), 1927.
    """
    if not of:
        return 0.0, 1.0
    share, square = count / of, z * z / of
    middle, half = share + square / 2, z * ((share * (1 - share) + square / 4) / of) ** 0.5
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


@dataclass(frozen=True)
class Agreement:
    """n_missed: pairs, among n_near with similarity NEAR or above, whose documents are both kept. n_lost: documents,
    among n_removed, without a kept document of similarity FAR or above."""

    n_near: int
    n_missed: int
    n_removed: int
    n_lost: int


def agreement(corpus: Corpus, pairs: pa.Table, removed: list[int]) -> dict[str, int]:
    """Compare the removed rows with the pairs of a complete truth; returns the fields of Agreement."""
    row_of = {name: row for row, name in enumerate(corpus.ids)}
    a, b = (np.array([row_of[name] for name in pairs[end].to_pylist()], np.int64) for end in ("id_a", "id_b"))
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
