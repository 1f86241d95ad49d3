"""A threshold for the scores of each language, drawn from these scores: how sure a label must be to be believed.

Reads the label and its score; writes the threshold of the label and how far the score is above it. FineWeb-2 sets it to
the median of the language's scores less one standard deviation, not below 0.3 and not above 0.9: a language that the
model knows well is held to more than one that it confuses. Thresholds can be taken from an earlier run instead.

Exact: scores are counted in thousandths, as they are written. Source: FineWeb-2, arXiv 2506.20920, and its code.
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
from stages.kernels.hashing import ODD_A

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
"""fitted: whether the threshold comes from these documents. below: documents under it. median, deviation: of scores."""
_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Config:
    """How thresholds are drawn, or where they come from.

    deviations: a threshold is the median of the language's scores less so many standard deviations. lowest, highest:
    what it is kept between. min_documents: a language with fewer has the threshold `lowest`. cuts: tables of earlier
    runs (columns language and threshold) that hold for the languages they name; a later table counts more.
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
            raise ConfigError("language_cuts.cuts is one text; expected a list of Parquet files")


def map_scores(table: pa.Table, config: Config) -> pa.Table:
    """Rows with a label and a score, in whole thousandths."""
    table = table.filter(pc.and_(pc.is_valid(table["language.label"]), pc.is_valid(table["language.score"])))
    score = np.rint(table["language.score"].to_numpy().astype(np.float64) * _STEPS).astype(np.int16)
    key = table["row"].to_numpy() * ODD_A  # spreads rows over partitions
    return pa.table([key, table["row"], table["language.label"], pa.array(score)], schema=ROWS)


def drop_key(table: pa.Table, config: Config) -> pa.Table:
    """Rows as they are: all is counted at the end."""
    return table.drop_columns("key")


def fit(counts: np.ndarray, config: Config) -> tuple[float, float, float]:
    """Threshold, median and standard deviation of scores.

    Args: counts, int64 (1001,), documents of each score in thousandths. Returns: all three in units of the score, the
    threshold rounded to three decimals. The median is the lower one of two.
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
    """Thresholds by language of one or more tables.

    Raises: ConfigError if a file is no Parquet table with the columns language and threshold.
    """
    found: dict[str, float] = {}
    for path in paths:
        try:
            table = pq.read_table(path, columns=["language", "threshold"])
            found |= {name: float(value) for name, value in zip(*table.to_pydict().values(), strict=True)}
        except (OSError, pa.ArrowInvalid, TypeError) as error:
            raise ConfigError(
                f"{path}: {error}; expected a table with the columns language and threshold"
            ) from error
    return found


def finish(table: pa.Table, config: Config) -> Outcome:
    """Count each language's scores, draw or look up its threshold, and place every row."""
    pinned = read_cuts(config.cuts)
    encoded = table["language"].combine_chunks().dictionary_encode()
    names, of = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    scores = table["score"].to_numpy().astype(np.int64)
    thresholds, cuts = np.zeros(len(names)), []
    for i in sorted(range(len(names)), key=names.__getitem__):
        own = scores[of == i]
        threshold, median, deviation = fit(np.bincount(own, minlength=_STEPS + 1), config)
        thresholds[i] = pinned.get(names[i], threshold)
        below = int(np.count_nonzero(own < round(thresholds[i] * _STEPS)))
        values = (
            names[i], float(thresholds[i]), names[i] not in pinned, len(own), below, median, round(deviation, 6),
        )  # fmt: skip
        cuts.append(dict(zip(CUTS.names, values, strict=True)))
    of_row = thresholds[of]
    margin = (scores - np.rint(of_row * _STEPS)) / _STEPS
    columns = [table["row"], pa.array(of_row.astype(np.float32)), pa.array(margin.astype(np.float32))]
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
