"""How well similarity, length and numbers tell a translation from another text, on documents that people translated.

    python -m scripts.bench.bench_translation ../shared/data --n 200

Pairs are documents of one repository in Chinese and English, under one path (doocs/leetcode, cncf/glossary, Microsoft's
pages). Each is compared with its translation, with that of another document, and with the first third of it.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from classifiers.rephrase import Config
from classifiers.rephrase.checks import DocumentChecks, kept_numbers

MAX_CHARS = 4000
_LANGUAGE = re.compile(r"/(?:content/)?(?:en|zh-cn|zh)/|README(?:_EN)?\.md|\.zh-CN")


def read_pairs(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Return pairs (Chinese, English) by source."""
    by_key: dict[tuple[str, str], dict[str, str]] = {}
    for path in sorted(folder.glob("docs_zh_en-*.parquet")):
        for row in pq.read_table(path, columns=["text", "source", "lang_hint", "url"]).to_pylist():
            language = "zh" if row["lang_hint"].startswith("zh-cn") else row["lang_hint"]
            source = re.sub(r"-(?:en|zh)$", "", row["source"])
            if (
                language in ("zh", "en")
                and len(row["text"]) > 200
                and source in ("leetcode", "cncf-glossary", "ms-office-dev")
            ):
                key = _LANGUAGE.sub("/", row["url"].partition("/blob/")[2] or row["url"]).partition("/")[2]
                by_key.setdefault((source, key), {})[language] = row["text"][:MAX_CHARS]
    pairs: dict[str, list[tuple[str, str]]] = {}
    for (source, _), texts in by_key.items():
        if len(texts) == 2:
            pairs.setdefault(source, []).append((texts["zh"], texts["en"]))
    return pairs


def main() -> None:
    """Print quantiles of the measures, and what the default bounds take."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=200)
    arguments = parser.parse_args()
    checks, rng = DocumentChecks(Config()), random.Random(3)
    low, high = checks.config.ratios["translation"]
    for source, pairs in sorted(read_pairs(arguments.folder).items()):
        chosen = rng.sample(pairs, min(arguments.n, len(pairs)))
        others = chosen[1:] + chosen[:1]
        kinds = {
            "true": [(zh, en) for zh, en in chosen],
            "other": [(zh, en) for (zh, _), (_, en) in zip(chosen, others, strict=True)],
            "third": [(zh, en[: len(en) // 3]) for zh, en in chosen],
        }
        for kind, texts in kinds.items():
            rows = [(checks.measure(en, zh), kept_numbers(en, zh)) for zh, en in texts]
            similar = np.array([m.similarity for m, _ in rows])
            taken = np.mean(
                [
                    m.similarity >= checks.config.min_translation_similarity
                    and low <= m.ratio <= high
                    and kept >= checks.config.min_numbers
                    for m, kept in rows
                ]
            )
            print(f"{source} {kind}: {len(rows)} pairs, similarity {np.quantile(similar, [0.05, 0.5, 0.95]).round(2)}, "
                  f"ratio {np.quantile([m.ratio for m, _ in rows], [0.05, 0.5, 0.95]).round(2)}, "
                  f"numbers kept {np.mean([kept for _, kept in rows]):.2f}, taken {taken:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
