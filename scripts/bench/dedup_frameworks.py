"""Peers with their own pipeline, as tools of bench_dedup.py: datatrove, Daft and text-dedup."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_HASHES, THRESHOLD, SHINGLE = 168, 0.8, 5
"""Settings of every peer that allows them: number of hashes, similarity threshold, words per shingle."""


def versions_of(*packages: str) -> dict[str, str]:
    """Installed versions of these packages and of numpy."""
    return {name: version(name) for name in (*packages, "numpy")}


class Datatrove:
    """Stages 1 to 3 of MinHash deduplication over files in memory; words by its tokenizer of the language (spaCy)."""

    languages = {"zh": "cmn_Hani", "en": "eng"}  # noqa: RUF012 - a table

    def __init__(self, language: str, n_buckets: int, rows: int) -> None:
        from datatrove.data import Document
        from datatrove.pipeline.dedup import minhash
        from loguru import logger

        logger.remove()
        self.document, self.module, self.language = Document, minhash, self.languages[language]
        self.config = minhash.MinhashConfig(n_grams=SHINGLE, num_buckets=n_buckets, hashes_per_bucket=rows)
        self.folder = Path(tempfile.mkdtemp(prefix="datatrove-"))
        self.versions = versions_of("datatrove", "spacy", "jieba", "xxhash")

    def prepare(self, column: pa.ChunkedArray) -> list[Any]:
        """datatrove documents; Any: untyped library."""
        return [self.document(text=text, id=str(i)) for i, text in enumerate(column.to_pylist())]

    def sign(self, texts: list[Any]) -> str:
        """Stage 1: sorted signature files."""
        folder = tempfile.mkdtemp(prefix="signed-", dir=self.folder)
        step = self.module.MinhashDedupSignature(folder, config=self.config, language=self.language)
        step.run(iter(texts), rank=0, world_size=1)
        return folder

    def cluster_input(self, texts: list[Any]) -> str:
        """The folder of signatures."""
        return self.sign(texts)

    def removed(self, signed: str) -> np.ndarray:
        """Stages 2 and 3: pairs per bucket, then clusters, then the rows to remove."""
        work = tempfile.mkdtemp(prefix="clusters-", dir=self.folder)
        n_buckets = self.config.num_buckets
        for bucket in range(n_buckets):
            step = self.module.MinhashDedupBuckets(signed, f"{work}/pairs", config=self.config)
            step.run(None, rank=bucket, world_size=n_buckets)
        self.module.MinhashDedupCluster(f"{work}/pairs", f"{work}/remove", config=self.config).run(None, 0, 1)
        path = Path(work, "remove", "000000.remove")
        return np.fromfile(path, "<u4") if path.exists() else np.zeros(0, "<u4")

    def cluster(self, signed: str) -> int:
        """Rows to remove."""
        return len(self.removed(signed))

    def keep(self, texts: list[Any]) -> np.ndarray:
        """Stages 1 to 3; stage 4, which writes the kept documents, is not run."""
        return self.removed(self.sign(texts))


class Daft:
    """normalize and minhash expressions, bands by list chunks and group-by, as in its tutorial.

    Connected components come from scipy, which is faster than the iterated joins of the tutorial. `spaced` inserts a
    space on both sides of each ideograph, because Daft splits words at spaces; its tutorial does not.
    """

    def __init__(self, language: str, spaced: bool) -> None:
        import daft
        import daft.functions
        from datasketch import MinHashLSH

        self.daft, self.functions, self.spaced = daft, daft.functions, spaced
        index = MinHashLSH(threshold=THRESHOLD, num_perm=N_HASHES)  # the tutorial uses datasketch's rule
        self.bands, self.rows = index.b, index.r
        self.versions = versions_of("daft", "scipy")

    def prepare(self, column: pa.ChunkedArray) -> Any:
        """A data frame in memory; Any: untyped library."""
        table = pa.table({"node": pa.array(np.arange(len(column))), "text": column})
        return self.daft.from_arrow(table).collect()

    def sign(self, texts: Any) -> Any:
        """Data frame of node and signature."""
        col, functions = self.daft.col, self.functions
        text = col("text")
        if self.spaced:
            text = functions.regexp_replace(text, r"(\p{Han})", " $1 ")
        every = {"remove_punct": True, "lowercase": True, "nfd_unicode": True, "white_space": True}
        options = {"num_hashes": N_HASHES, "ngram_size": SHINGLE, "seed": 42, "hash_function": "xxhash"}
        hashes = functions.minhash(functions.normalize(text, **every), **options)
        return texts.select(col("node"), hashes.alias("hashes")).collect()

    def cluster_input(self, texts: Any) -> Any:
        """The signatures."""
        return self.sign(texts)

    def removed(self, signed: Any) -> np.ndarray:
        """All rows but the first of each connected component."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        col, functions, bands = self.daft.col, self.functions, self.bands
        numbers = self.daft.lit(list(range(bands)))
        band_lists = functions.slice(functions.chunk(col("hashes"), self.rows), 0, bands)
        grouped = (
            signed.select(col("node"), band_lists.alias("band"), numbers.alias("number"))
            .explode("band", "number")
            .groupby("number", "band")
            .agg(col("node").list_agg().alias("nodes"))
            .where(functions.list_count(col("nodes"), mode="all") > 1)
        )
        edges = (
            grouped.select(functions.list_min(col("nodes")).alias("u"), col("nodes").alias("v"))
            .explode("v")
            .where(col("u") != col("v"))
            .distinct()
            .to_pydict()
        )
        n_rows = signed.count_rows()
        ends = np.asarray(edges["u"], np.int64), np.asarray(edges["v"], np.int64)
        graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(n_rows, n_rows))
        labels = connected_components(graph, directed=False)[1]
        return np.setdiff1d(np.arange(n_rows), np.unique(labels, return_index=True)[1])

    def cluster(self, signed: Any) -> int:
        """Rows to remove."""
        return len(self.removed(signed))

    def keep(self, texts: Any) -> np.ndarray:
        """Rows to remove; the first row of each component is kept."""
        return self.removed(self.sign(texts))


def _require_python_312() -> None:
    if sys.version_info < (3, 12):
        raise RuntimeError("text-dedup needs Python 3.12 or later: make the environment with --peers-python")


class TextDedup:
    """text_dedup.minhash on a Parquet file with its own tokenizer; `checked` enables check_false_positive.

    Unchecked, its filter compares the number of a group with a row number, and nearly whole groups are removed. As in
    its own benchmarks, the saved groups are used instead, and the first row of each is kept.
    """

    def __init__(self, language: str, checked: bool) -> None:
        _require_python_312()
        self.folder = Path(tempfile.mkdtemp(prefix="text-dedup-"))
        os.environ |= {"HF_HOME": str(self.folder / "hub"), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        import datasets
        from datasketch import MinHashLSH
        from text_dedup import minhash
        from text_dedup.config.base import load_config_from_toml

        datasets.disable_caching()
        self.datasets, self.module, self.load_config, self.checked = (
            datasets, minhash, load_config_from_toml, checked,
        )  # fmt: skip
        index = MinHashLSH(
            threshold=THRESHOLD, num_perm=N_HASHES
        )  # the same rule as its own, which takes seconds
        self.bands, self.rows = index.b, index.r
        self.versions = versions_of("text-dedup", "datasets", "polars", "xxhash")

    def prepare(self, column: pa.ChunkedArray) -> tuple[Path, Any]:
        """A Parquet file and the data set loaded from it; Any: untyped library."""
        path = Path(tempfile.mkdtemp(prefix="in-", dir=self.folder), "documents.parquet")
        pq.write_table(pa.table({"text": column.cast(pa.large_string())}), path, compression="none")
        return path, self.module.load_and_preprocess(self.config(path))[0]

    def config(self, path: Path) -> Any:
        """Its configuration, loaded from a TOML file; Any: untyped library."""
        settings = f"""
[input]
input_type = "local_files"
file_type = "parquet"
read_arguments = {{ path = "parquet", data_files = "{path}", split = "train" }}
[algorithm]
algorithm_name = "minhash"
text_column = "text"
num_perm = {N_HASHES}
bands = {self.bands}
rows = {self.rows}
threshold = {THRESHOLD}
ngram_size = {SHINGLE}
num_proc = 1
check_false_positive = {str(self.checked).lower()}
[output]
output_dir = "{path.parent / "out"}"
save_clusters = true
keep_index_column = true
[debug]
enable_profiling = false
"""
        toml = path.with_suffix(".toml")
        toml.write_text(settings)
        return self.load_config(toml)

    def sign(self, texts: tuple[Path, Any]) -> tuple[Any, Any]:
        """Band values of every document."""
        config = self.config(texts[0])
        return config, self.module.fingerprint(config, texts[1])

    def cluster_input(self, texts: tuple[Path, Any]) -> tuple[Any, Any]:
        """The band values."""
        return self.sign(texts)

    def cluster(self, signed: tuple[Any, Any]) -> int:
        """Documents in a cluster."""
        return len(self.module.cluster(*signed))

    def keep(self, texts: tuple[Path, Any]) -> np.ndarray:
        """Rows to remove, by its complete command, including file output."""
        config = self.config(texts[0])
        self.module.main(config)
        index, folder = config.algorithm.internal_index_column, Path(config.output.output_dir)
        rows = np.arange(pq.read_metadata(texts[0]).num_rows)
        if self.checked:
            return np.setdiff1d(rows, self.datasets.load_from_disk(folder)[index])
        groups = pickle.loads((folder / "clusters.pickle").read_bytes())
        first: dict[int, int] = {}
        for row in sorted(groups):
            first.setdefault(groups[row], row)
        too_short = np.setdiff1d(rows, texts[1][index])
        return np.union1d(too_short, [row for row in groups if first[groups[row]] != row]).astype(np.int64)
