"""A confidence threshold for each language label, computed from the distribution of the language's scores.

Reads the label and its score; writes the threshold of the label and the score's margin above it. As in FineWeb-2, the
threshold is the median of the language's scores minus one standard deviation, clipped to 0.3 to 0.9, so that it is
higher for languages that the model identifies reliably. Thresholds can be taken from an earlier run instead.

The computation is exact, because scores are counted in thousandths, as they are written.
Source: FineWeb-2, arXiv 2506.20920, and its code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError
from pipeline.stage import Global, Outcome
from stages.kernels.text.hashing import ODD_A

SCHEMA = pa.schema({"threshold": pa.float32(), "margin": pa.float32()})
"""margin: score less threshold. Both null for a document without a label or a score. threshold: least score of a label
of this language that counts as sure."""
ROWS = pa.schema({"key": pa.uint64(), "row": pa.uint64(), "language": pa.string(), "score": pa.int16()})
CUTS = pa.schema(
    {
        "language": pa.string(), "threshold": pa.float64(), "fitted": pa.bool_(), "documents": pa.int64(),
        "below": pa.int64(), "median": pa.float64(), "deviation": pa.float64(),
    }
)  # fmt: skip
"""fitted: whether the threshold was computed from these documents. below: documents with a score below it. median,
deviation (standard): of the scores."""
_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Config:
    """How thresholds are computed, or where they are read from.

    deviations: standard deviations below the median of the language's scores. lowest, highest: limits of a threshold.
    min_documents: a language with fewer has the threshold `lowest`. cuts: tables of earlier runs (columns language and
    threshold), used for the languages that they contain; later tables override earlier ones.
    """

    deviations: float = 1.0
    lowest: float = 0.3
    highest: float = 0.9
    min_documents: int = 100
    cuts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.lowest <= self.highest <= 1:
            raise ConfigError(
                f"language_cuts.lowest is {self.lowest} and language_cuts.highest {self.highest}; expected "
                "0 <= lowest <= highest <= 1"
            )
        if not (math.isfinite(self.deviations) and self.deviations >= 0):
            raise ConfigError(f"language_cuts.deviations is {self.deviations}; expected 0 or more")
        if self.min_documents < 1:
            raise ConfigError(f"language_cuts.min_documents is {self.min_documents}; expected 1 or more")
        if isinstance(self.cuts, str):
            raise ConfigError("language_cuts.cuts is a string; expected a list of Parquet files")


def map_scores(table: pa.Table, config: Config) -> pa.Table:
    """Return the rows with a label and a score, in whole thousandths: a table of ROWS."""
    table = table.filter(pc.and_(pc.is_valid(table["language.label"]), pc.is_valid(table["language.score"])))
    score = np.rint(table["language.score"].to_numpy().astype(np.float64) * _STEPS).astype(np.int16)
    key = table["row"].to_numpy() * ODD_A  # spreads rows over partitions
    return pa.table([key, table["row"], table["language.label"], pa.array(score)], schema=ROWS)


def drop_key(table: pa.Table, config: Config) -> pa.Table:
    """Return the rows without their key: a table of ROWS without `key`; `finish` counts them."""
    return table.drop_columns("key")


def fit(counts: np.ndarray, config: Config) -> tuple[float, float, float]:
    """Return threshold, median and standard deviation of the scores of one language.

    Args: counts, int64 (1001,), documents of each score in thousandths.
    Returns: all three in units of the score, the threshold rounded to three decimals; of two medians the lower one.
    """
    n, values = int(counts.sum()), np.arange(len(counts))
    if n == 0:
        return config.lowest, math.nan, math.nan
    median = int(np.searchsorted(np.cumsum(counts), (n + 1) // 2)) / _STEPS
    total, squares = int(counts @ values), int(counts @ values**2)
    deviation = math.sqrt(n * squares - total * total) / n / _STEPS
    threshold = min(max(median - config.deviations * deviation, config.lowest), config.highest)
    return (round(threshold, 3) if n >= config.min_documents else config.lowest), median, deviation


def read_cuts(paths: tuple[str, ...]) -> dict[str, float]:
    """Return the thresholds by language from tables of earlier runs.

    Raises: ConfigError if a file is not a Parquet table with the columns language and threshold.
    """
    thresholds: dict[str, float] = {}
    for path in paths:
        try:
            table = pq.read_table(path, columns=["language", "threshold"])
            thresholds |= {
                name: float(value) for name, value in zip(*table.to_pydict().values(), strict=True)
            }
        except (OSError, pa.ArrowInvalid, TypeError) as error:
            raise ConfigError(
                f"{path}: {error}; expected a table with the columns language and threshold"
            ) from error
    return thresholds


def finish(table: pa.Table, config: Config) -> Outcome:
    """Count each language's scores, compute or look up its threshold, and compute the margin of every row.

    Args: table, of ROWS without `key`, of all partitions.
    Returns: rows of `row` and SCHEMA; the artefact `cuts` (CUTS).
    Raises: ConfigError if a table of `config.cuts` cannot be read.
    """
    pinned = read_cuts(config.cuts)
    encoded = table["language"].combine_chunks().dictionary_encode()
    names, label_index = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    scores = table["score"].to_numpy().astype(np.int64)
    thresholds, cuts = np.zeros(len(names)), []
    for i in sorted(range(len(names)), key=names.__getitem__):
        language_scores = scores[label_index == i]
        threshold, median, deviation = fit(np.bincount(language_scores, minlength=_STEPS + 1), config)
        thresholds[i] = pinned.get(names[i], threshold)
        below = int(np.count_nonzero(language_scores < round(thresholds[i] * _STEPS)))
        values = (
            names[i], float(thresholds[i]), names[i] not in pinned, len(language_scores), below, median,
            round(deviation, 6),
        )  # fmt: skip
        cuts.append(dict(zip(CUTS.names, values, strict=True)))
    row_thresholds = thresholds[label_index]
    margin = (scores - np.rint(row_thresholds * _STEPS)) / _STEPS
    columns = [table["row"], pa.array(row_thresholds.astype(np.float32)), pa.array(margin.astype(np.float32))]
    rows = pa.table(columns, schema=pa.schema([pa.field("row", pa.uint64()), *SCHEMA]))
    return Outcome(rows=rows, artefacts={"cuts": pa.Table.from_pylist(cuts, schema=CUTS)})


GLOBAL = Global(
    name="language_cuts",
    version=1,
    config=Config,
    reads=("language.label", "language.score"),
    writes=SCHEMA,
    key="the row",
    map=map_scores,
    reduce=drop_key,
    finish=finish,
    files=("cuts",),
)
