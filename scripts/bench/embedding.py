"""Measure the embedding: translations, neighbours, clusters against labels, near duplicates, time.

All on sources that the shipped model was not trained on: translations of the sources `HELD_OUT` in
`scripts/training/embedding_teacher.py`, and of hello-algo if its folder is given; labelled web pages of `TEST_FOLD`.
Near duplicates are those of `dedup_pairs.parquet`; sources of the same name were seen in training, except tf-zh and
opensource-guide-en, which are listed apart.

Example: python -m scripts.bench.embedding --data FOLDER --hello-algo FOLDER_OF_hello-algo
"""

from __future__ import annotations

import argparse
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from classifiers import embedding
from classifiers.embedding.features import list_features
from scripts.training.embedding_teacher import HELD_OUT, TEST_FOLD
from stages.kernels.text.text import load_tables, view

CHINESE = ("zh", "zh-cn", "zh-tw", "zh-hans", "zh-hant")
N_SEEDS = 5
N_LISTED = 50
Pair = tuple[str, str, str]
"""Source, Chinese text, English text."""


def embed(texts: list[str], stage: Callable[[pa.Table], pa.Table]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors, float32 (n_texts, 128), and clusters; zeros and -1 where there is none."""
    found = stage(pa.table({"text": pa.array(texts, pa.large_string())}))
    vectors = np.array([v or [0] * 128 for v in found["vector"].to_pylist()], np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1), found["cluster"].fill_null(-1).to_numpy()


def translations(data: Path, hello_algo: Path | None) -> Iterator[Pair]:
    """Documents with their translation, matched by path or title."""
    documents = pa.concat_tables([pq.read_table(path) for path in sorted(data.glob("docs_zh_en-*.parquet"))])
    chosen = documents.filter(pc.is_in(documents["source"], pa.array(HELD_OUT))).to_pylist()
    sides: dict[tuple[str, str], dict[bool, str]] = {}
    for row in chosen:
        language = row["lang_hint"].lower()
        if language != "en" and language not in CHINESE:
            continue
        path = row["url"].split("/", 2)[2]
        text = row["text"]
        if row["source"] == "xquad":  # one file a language; the first line is the English title in both
            path, _, text = text.strip().partition("\n")
        path = re.sub(r"/(zh-\w+|en(-snapshot)?)/", "/", path, flags=re.IGNORECASE)
        path = re.sub(r"-zh-\w+(?=\.md)", "", path, flags=re.IGNORECASE)
        family = re.sub(r"^(tf|d2l)-.*", r"\1", row["source"])
        sides.setdefault((family, path.split("#")[0]), {}).setdefault(language == "en", text)
    for (source, _), side in sorted(sides.items()):
        if len(side) == 2:
            yield source, side[False], side[True]
    if hello_algo:
        for path in sorted((hello_algo / "en" / "docs").rglob("*.md")):
            other = hello_algo / path.relative_to(hello_algo / "en")
            if other.exists():
                yield "hello-algo", other.read_text("utf-8"), path.read_text("utf-8")


def report_translations(pairs: list[Pair], stage: Callable[[pa.Table], pa.Table]) -> None:
    """Share of random documents that are farther than the translation; nearest of all; same cluster."""
    chinese, zh_clusters = embed([zh for _, zh, _ in pairs], stage)
    english, en_clusters = embed([en for _, _, en in pairs], stage)
    sources = np.array([source for source, _, _ in pairs])
    print(
        "\n| source | pairs | nearer than a random one of the source | of any | nearest of any | of 10 | same cluster |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    near = chinese @ english.T
    own = np.diagonal(near)
    rank = (near > own[:, None]).sum(axis=1)
    for source in [*sorted(set(sources)), "all"]:
        rows = np.flatnonzero((sources == source) | (source == "all"))
        inside = near[np.ix_(rows, rows)]
        n = max(len(rows) - 1, 1)
        within = ((inside < own[rows][:, None]).sum(axis=1) / n).mean()
        of_any = ((near[rows] < own[rows][:, None]).sum(axis=1) / (len(pairs) - 1)).mean()
        same = (zh_clusters[rows] == en_clusters[rows]).mean()
        print(
            f"| {source} | {len(rows)} | {within:.3f} | {of_any:.3f} | {(rank[rows] == 0).mean():.3f} | "
            f"{(rank[rows] < 10).mean():.3f} | {same:.3f} |"
        )


def tf_idf(texts: list[str]) -> sparse.csr_matrix:
    """Rows of length one, over the features of the embedding without its matrix."""
    text = view(pa.array(texts, pa.large_string()))
    features, begins = list_features(text.codes, text.classes, text.starts, load_tables().fold)
    _, columns = np.unique(features, return_inverse=True)
    counts = sparse.csr_matrix((np.ones(len(columns)), columns, begins))
    counts.sum_duplicates()
    found = np.bincount(counts.indices, minlength=counts.shape[1])
    counts.data = np.log1p(counts.data) * np.log(len(texts) / found)[counts.indices]
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1))).ravel()
    return (sparse.diags(1 / np.maximum(lengths, 1e-9)) @ counts).tocsr()


def k_means(points: Any, k: int, seed: int) -> np.ndarray:
    """Labels of spherical k-means from k random documents, int64 (n,). Any: dense or sparse rows."""
    rng = np.random.default_rng(seed)
    start = points[rng.choice(points.shape[0], k, replace=False)]
    centroids = start.toarray() if sparse.issparse(start) else start
    for _ in range(40):
        labels = np.asarray(points @ centroids.T).argmax(axis=1)
        members = sparse.csr_matrix(
            (np.ones(len(labels)), (labels, np.arange(len(labels)))), (k, len(labels))
        )
        sums = members @ points
        sums = sums.toarray() if sparse.issparse(sums) else sums
        centroids = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return labels


def mutual_information(one: np.ndarray, other: np.ndarray) -> float:
    """Mutual information of two labellings, divided by the mean of their entropies."""
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1 / len(one))
    rows, columns = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)

    def entropy(p: np.ndarray) -> float:
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    mutual = entropy(rows) + entropy(columns) - entropy(table)
    return 2 * mutual / (entropy(rows) + entropy(columns))


def report_clusters(data: Path, stage: Callable[[pa.Table], pa.Table]) -> None:
    """Agreement of clusters with the domains of labelled pages, beside tf-idf; and of nearest neighbours."""
    rows = pq.read_table(data / "web_labels.parquet")
    rows = rows.filter(pc.and_(pc.equal(rows["fold"], TEST_FOLD), pc.not_equal(rows["domain"], "none")))
    texts, languages = rows["text"].to_pylist(), np.asarray(rows["lang"])
    domains = np.unique(np.asarray(rows["domain"]), return_inverse=True)[1]
    sources = np.asarray(rows["source"])
    vectors, _ = embed(texts, stage)
    print(
        "\n| language | documents | domains | NMI | NMI of tf-idf | neighbour of the domain | with tf-idf |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for language in ("zh", "en", "both"):
        chosen = np.flatnonzero((languages == language) | (language == "both"))
        truth = np.unique(domains[chosen], return_inverse=True)[1]
        k, figures = truth.max() + 1, []
        other = sources[chosen][:, None] != sources[chosen][None, :]
        for points in (vectors[chosen], tf_idf([texts[i] for i in chosen])):
            scores = [mutual_information(truth, k_means(points, k, seed)) for seed in range(N_SEEDS)]
            near = points @ points.T
            near = np.where(other, near.toarray() if sparse.issparse(near) else near, -2.0)
            figures.append((np.mean(scores), (truth[near.argmax(axis=1)] == truth).mean()))
        (nmi, same), (nmi_words, same_words) = figures
        print(
            f"| {language} | {len(chosen)} | {k} | {nmi:.3f} | {nmi_words:.3f} | {same:.3f} | {same_words:.3f} |"
        )


def report_duplicates(data: Path, stage: Callable[[pa.Table], pa.Table]) -> None:
    """Of the pairs by Jaccard similarity: the share whose other document is among the nearest 1 and 10."""
    documents = pq.read_table(data / "dedup_docs.parquet")
    pairs = pq.read_table(data / "dedup_pairs.parquet").to_pylist()
    ids = {name: i for i, name in enumerate(documents["doc_id"].to_pylist())}
    sources = documents["source"].to_pylist()
    vectors, _ = embed(documents["text"].to_pylist(), stage)
    partners: dict[int, set[int]] = {}
    for pair in pairs:
        a, b = ids[pair["id_a"]], ids[pair["id_b"]]
        partners.setdefault(a, set()).add(b)
        partners.setdefault(b, set()).add(a)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    unseen = {"tf-zh", "opensource-guide-en"}
    print(
        "\n| Jaccard | sources | pairs | nearest, or a nearer duplicate | of 10, likewise | median cosine "
        "| lowest tenth |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    for low, high in itertools.pairwise((0.2, 0.4, 0.6, 0.8, 1.01)):
        for name, test in (("all", lambda s: True), ("not seen", lambda s: s in unseen)):
            chosen = [
                (ids[p["id_a"]], ids[p["id_b"]])
                for p in pairs
                if low <= p["jaccard5"] < high and test(sources[ids[p["id_a"]]])
            ]
            if not chosen:
                continue
            ahead = [
                sum(int(j) not in partners[a] for j in np.flatnonzero(near[a] > near[a, b]))
                for a, b in chosen
            ]
            cosines = [near[a, b] for a, b in chosen]
            first, ten = (np.mean([n < k for n in ahead]) for k in (1, 10))
            print(
                f"| {low} to {min(high, 1.0)} | {name} | {len(chosen)} | {first:.3f} | {ten:.3f} | "
                f"{np.median(cosines):.2f} | {np.quantile(cosines, 0.1):.2f} |"
            )


def list_neighbours(data: Path, stage: Callable[[pa.Table], pa.Table]) -> None:
    """Print the nearest document of another source and the nearest in the other language, for N_LISTED documents.

    The documents are of TEST_FOLD, their neighbours of all labelled pages and the pool.
    """
    columns = ["text", "lang", "source"]
    labelled = pq.read_table(data / "web_labels.parquet", columns=[*columns, "fold"])
    test = np.flatnonzero(np.asarray(labelled["fold"]) == TEST_FOLD)
    pool = pa.concat_tables(
        [labelled.select(columns), pq.read_table(data / "web_pool.parquet", columns=columns)]
    )
    texts = pool["text"].to_pylist()
    vectors, clusters = embed(texts, stage)
    languages, sources = np.asarray(pool["lang"]), np.asarray(pool["source"])
    for i in np.sort(np.random.default_rng(1).choice(test, N_LISTED, replace=False)):
        print(f"\n{i} cluster {clusters[i]} {shown(texts[i])}")
        near = vectors @ vectors[i]
        for name, allowed in (
            ("other source", sources != sources[i]),
            ("other language", languages != languages[i]),
        ):
            j = int(np.where(allowed, near, -2).argmax())
            print(f"  {name} {near[j]:.2f} cluster {clusters[j]} {shown(texts[j])}")


def shown(text: str) -> str:
    """The beginning of a text in one line."""
    return re.sub(r"\s+", " ", text)[:150]


def report_time(data: Path) -> None:
    """CPU time of the stage, the best of six; the view of the text is decoded before."""
    rows = pq.read_table(data / "docs_zh_en-00.parquet", columns=["text", "lang_hint"])
    for language in ("zh", "en"):
        text = rows.filter(pc.starts_with(rows["lang_hint"], language))["text"].combine_chunks()
        batch = pa.table({"text": text.cast(pa.large_string())})
        stage = embedding.STAGE.load(embedding.Config())
        view(batch["text"])
        times = []
        for _ in range(7):
            start = time.process_time()
            stage(batch)
            times.append(time.process_time() - start)
        print(f"{language}: {text.nbytes / 1e6:.1f} MB, {text.nbytes / 1e6 / min(times[1:]):.0f} MB/s")


def main() -> None:
    """Read the command line and print the reports asked for, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation data")
    parser.add_argument("--hello-algo", type=Path, help="checkout of github.com/krahets/hello-algo")
    parser.add_argument("--model", default=embedding.MODEL_PATH)
    parser.add_argument("--centroids", default=embedding.CENTROIDS_PATH)
    parser.add_argument("--neighbours", action="store_true", help="list neighbours and nothing else")
    parser.add_argument("--time", action="store_true", help="measure time and nothing else")
    arguments = parser.parse_args()
    stage = embedding.load(embedding.Config(model=arguments.model, centroids=arguments.centroids))
    if arguments.neighbours:
        list_neighbours(arguments.data, stage)
    elif arguments.time:
        report_time(arguments.data)
    else:
        report_translations(list(translations(arguments.data, arguments.hello_algo)), stage)
        report_clusters(arguments.data, stage)
        report_duplicates(arguments.data, stage)


if __name__ == "__main__":
    main()
