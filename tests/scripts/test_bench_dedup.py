"""The deduplication benchmark: its own part on the sample, and its truth against brute force."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.paths import ROOT

BOOKS = ROOT / "sample" / "books_zh.parquet"
HAN = [chr(code) for code in range(0x4E00, 0x5800)]


@pytest.fixture
def corpora() -> ModuleType:
    """scripts/bench/dedup_corpora.py."""
    return importlib.import_module("scripts.bench.dedup_corpora")


@pytest.fixture
def peers() -> ModuleType:
    """scripts/bench/dedup_peers.py, which imports no peer until one is made."""
    return importlib.import_module("scripts.bench.dedup_peers")


def families(seed: int) -> list[str]:
    """Ten texts of ideographs, each with copies of more and more changes."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(10):
        chars = list(rng.choice(HAN, 300))
        for n_changes in (0, 0, 2, 8, 20, 60):
            changed = list(chars)
            for place in rng.integers(0, 300, n_changes):
                changed[place] = rng.choice(HAN)
            texts.append("".join(changed))
    return texts


def similarities(texts: list[str]) -> dict[tuple[int, int], float]:
    """Jaccard index of runs of five characters, every pair."""
    sets = [{text[i : i + 5] for i in range(len(text) - 4)} for text in texts]
    return {
        (a, b): len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in combinations(range(len(sets)), 2)
    }


def write_truth(folder: Path, texts: list[str]) -> list[str]:
    """Files of documents and of pairs at 0.2 or above, and the options that name them."""
    near = {pair: value for pair, value in similarities(texts).items() if value >= 0.2}
    docs = {"doc_id": [f"d{i}" for i in range(len(texts))], "text": texts, "lang": ["zh"] * len(texts)}
    ends = zip(*near, strict=True)
    pairs = {name: [f"d{i}" for i in end] for name, end in zip(("id_a", "id_b"), ends, strict=True)}
    pq.write_table(pa.table(docs), folder / "docs.parquet")
    pq.write_table(pa.table({**pairs, "jaccard5": list(near.values())}), folder / "pairs.parquet")
    return ["--docs", str(folder / "docs.parquet"), "--pairs", str(folder / "pairs.parquet")]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "scripts.bench.bench_dedup", *arguments],
        env=env,
        text=True,
        capture_output=True,
    )


@pytest.mark.parametrize("seed", range(5))
def test_agreement_is_what_brute_force_finds(corpora: ModuleType, tmp_path: Path, seed: int) -> None:
    """Missed and lost documents are those that a walk over all pairs finds."""
    texts = families(seed)
    options = write_truth(tmp_path, texts)
    corpus, pairs = corpora.read_truth(options[1], options[3], "zh", None)
    removed = np.random.default_rng(seed).permutation(len(texts))[: 10 * seed + 15].tolist()
    similar, kept = similarities(texts), set(range(len(texts))) - set(removed)
    near = [pair for pair, value in similar.items() if value >= 0.8]
    lost = [
        row for row in removed if not any(similar[min(row, other), max(row, other)] >= 0.5 for other in kept)
    ]
    assert near and lost
    assert corpora.agreement(corpus, pairs, removed) == {
        "n_near": len(near),
        "n_missed": sum(a in kept and b in kept for a, b in near),
        "n_removed": len(removed),
        "n_lost": len(lost),
    }


def test_a_part_of_the_truth_has_the_pairs_inside_it(corpora: ModuleType, tmp_path: Path) -> None:
    """Documents beyond the requested size are in no pair."""
    texts = families(0)
    options = write_truth(tmp_path, texts)
    corpus, pairs = corpora.read_truth(options[1], options[3], "zh", 20 * 900 / 1e6)
    assert corpus.ids == tuple(f"d{i}" for i in range(20))
    assert pairs.num_rows == sum(value >= 0.2 and b < 20 for (_, b), value in similarities(texts).items())


def test_intervals_are_those_of_wilson(corpora: ModuleType) -> None:
    """Known values; the interval of no observations is [0, 1]."""
    assert corpora.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert corpora.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert corpora.wilson(0, 0) == (0.0, 1.0)


def test_a_smaller_set_is_the_start_of_a_larger(corpora: ModuleType) -> None:
    """Documents are drawn of one language, in one order, up to a size."""
    texts = pa.chunked_array([pa.array([f"{i:04}" for i in range(100)], pa.large_string())])
    languages = corpora.language_of(pa.chunked_array([["zh-tw", "zho_Hans", "en", None, "zhx"] * 20]))
    assert languages[:5].tolist() == ["zh", "zh", "en", "", ""]
    small, large = (corpora.draw(texts, languages, "zh", n * 4 / 1e6).texts.to_pylist() for n in (7, 30))
    assert len(small) == 7 and small == large[:7] and len(set(large)) == 30
    assert all(int(text) % 5 < 2 for text in large)


def test_libraries_get_the_shingles_of_the_truth(peers: ModuleType) -> None:
    """Width, case and punctuation are folded; five characters of Chinese, five words of English."""
    assert peers.five_grams("ＡＢ，天气很好。", "zh") == ["ab天气很", "b天气很好"]
    assert peers.five_grams("The cat, the DOG_and us", "en") == ["the cat the dog and", "cat the dog and us"]
    assert peers.five_grams("天气", "zh") == ["天气"] and peers.five_grams("one two", "en") == ["one two"]


def test_the_script_measures_ours_on_the_sample(tmp_path: Path) -> None:
    """Every table has its figures, nothing near is missed, nothing removed is lost; JSON gives the same page."""
    texts = families(1)
    near = sum(value >= 0.8 for value in similarities(texts).values())
    options = ["--peers", "none", "--repeats", "1", "--mb-fast", "1", "--json", str(tmp_path / "bench.json")]
    done = run(BOOKS, *write_truth(tmp_path, texts), *options)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    (truth,), (speed,), (everything,) = record["truth"], record["speed"], record["all"]
    found = truth["agreement"]
    assert (found["n_near"], found["n_missed"], found["n_lost"]) == (near, 0, 0)
    assert 0 < found["n_removed"] < len(texts) - 10
    assert speed["language"] == "zh" and 0.9 < speed["mb"] <= 1
    assert everything["docs"] == pq.read_metadata(BOOKS).num_rows
    parts = everything["profile"][0]["parts"]
    assert sum(parts.values()) == pytest.approx(2 * parts["total"])
    for name in ("decode and fold", "units and shingles", "sign", "bands", "exact", "candidates", "keepers"):
        assert parts[name] > 0
    for result in (speed, everything):
        for command in ("keep", "sign", "cluster"):
            assert result[command][0]["wall_s"] > 0
            assert result[command][0]["peak_mib"] >= result[command][0]["before_mib"] > 0
    assert run("--table", tmp_path / "bench.json").stdout == done.stdout
    assert f"| 0 of {near} (0.0%; " in done.stdout


def test_a_peer_that_cannot_run_is_reported(tmp_path: Path) -> None:
    """Its row gives the reason, and the other libraries are measured."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -c "import sys; sys.exit(\'no such peer\')"\n')
    python.chmod(0o755)
    done = run(*write_truth(tmp_path, families(2)), "--peers", "rensa R", "--peers-env", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| rensa R, words | no such peer |" in done.stdout
    assert "| bicorpus | " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "none"], "give FILES, or --docs and --pairs together"),
        ([BOOKS], "name one with --peers-env"),
        ([BOOKS, "--peers", "rens;fuzzy", "--peers-env", "."], "no peer 'fuzzy'; there are datatrove 14x8; "),
        (
            [BOOKS, "--peers", "none", "--lang-column", "lang"],
            "no column 'lang'; name one with --text-column",
        ),
        (
            ["--docs", BOOKS, "--pairs", BOOKS, "--peers", "none"],
            "no column 'id_a'; expected id_a, id_b, jaccard5",
        ),
    ],
)
def test_bad_input_is_told_in_a_line(arguments: list[str | Path], message: str) -> None:
    """The message is one line with advice, without a traceback."""
    done = run(*arguments)
    assert done.returncode and message in done.stderr and "Traceback" not in done.stderr
