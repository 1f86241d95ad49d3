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
from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables
from pipeline.stage import Global, Outcome, outcome_of
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


def count_scores(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """First round: documents of each language and score of a group; the rows wait for the second round."""
    counts = inbox[RESULTS].group_by(["language", "score"], use_threads=False).aggregate([([], "count_all")])
    return Sent(counted={"scores": counts.rename_columns(["language", "score", "documents"])})


def find_thresholds(counted: Tables, shared: Tables, config: Config) -> Tables:
    """Compute or look up the threshold of each language: a table of CUTS.

    Raises: ConfigError if a table of `config.cuts` cannot be read.
    """
    pinned, cuts = read_cuts(config.cuts), []
    found = counted["scores"]
    language, scores = found["language"], found["score"].to_numpy()
    documents = found["documents"].to_numpy()
    for name in sorted(pc.unique(language).to_pylist()):
        of_language = np.asarray(pc.equal(language, name).combine_chunks())
        counts = np.bincount(scores[of_language], documents[of_language], _STEPS + 1).astype(np.int64)
        threshold, median, deviation = fit(counts, config)
        threshold = pinned.get(name, threshold)
        below = int(counts[: max(round(threshold * _STEPS), 0)].sum())
        values = (
            name, float(threshold), name not in pinned, int(counts.sum()), below, median, round(deviation, 6),
        )  # fmt: skip
        cuts.append(dict(zip(CUTS.names, values, strict=True)))
    return {"cuts": pa.Table.from_pylist(cuts, schema=CUTS)}


def write_margins(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """Last round: threshold and margin of every row."""
    table, cuts = inbox[RESULTS], shared["cuts"]
    index = pc.index_in(table["language"], cuts["language"].combine_chunks())
    thresholds = cuts["threshold"].to_numpy()[index.to_numpy()]
    margin = (table["score"].to_numpy().astype(np.int64) - np.rint(thresholds * _STEPS)) / _STEPS
    columns = [table["row"], pa.array(thresholds.astype(np.float32)), pa.array(margin.astype(np.float32))]
    return Sent(values=pa.table(columns, schema=pa.schema([pa.field("row", pa.uint64()), *SCHEMA])))


def close(shared: Tables, config: Config) -> dict[str, pa.Table]:
    """The artefact `cuts` (CUTS)."""
    return {"cuts": shared["cuts"]}


def finish(table: pa.Table, config: Config) -> Outcome:
    """Count each language's scores, compute or look up its threshold, and compute the margin of every row.

    The rounds in one process. table: of ROWS without `key`, of all partitions.
    """
    return outcome_of(GLOBAL, table, config)


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
    rounds=(
        Round(name="count scores", run=count_scores, reads=(RESULTS,), add=find_thresholds),
        Round(name="write", run=write_margins, takes=(RESULTS,)),
    ),
    close=close,
    files=("cuts",),
)
