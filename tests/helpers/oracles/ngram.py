"""N-gram models in plain Python: Kneser-Ney estimation and backoff, the oracle of the scoring kernel."""

from __future__ import annotations

import gzip
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from classifiers.fluency import ngram
from stages.kernels.text.ngrams import N_TOKENS, TOTAL, read_tokens, score_tokens
from stages.kernels.text.text import load_tables, view

Gram = tuple[str, ...]
CORPUS = (
    "春天来了，小河边的柳树发出了新芽，孩子们在草地上放风筝。",
    "老人坐在长椅上晒太阳，孩子们在小河边放风筝，谈论着去年冬天的大雪。",
    "去年冬天，小河边的草地上有 30 厘米厚的雪，孩子们都不来了。",
    "The old man sat by the river, and the children flew kites by the old river.",
    "In 1998 the river froze; the children sat by the old man and the old man flew kites.",
)


def count_raw(sentences: list[list[str]], order: int) -> list[Counter[Gram]]:
    """Occurrences of n-grams by order."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for tokens in sentences:
        for n in range(1, order + 1):
            counts[n - 1].update(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    return counts


def kneser_ney(corpus: tuple[str, ...], order: int, discount: float = 0.6) -> ngram.Grams:
    """Interpolated Kneser-Ney with one discount, as log10, of texts that each follow an <s>."""
    return kneser_ney_of([["<s>", *ngram.spell(text)] for text in corpus], order, discount)


def kneser_ney_of(sentences: list[list[str]], order: int, discount: float = 0.6) -> ngram.Grams:
    """The same of sentences in tokens; written for reading."""
    raw = count_raw(sentences, order)
    counts: list[dict[Gram, float]] = []
    for n in range(1, order + 1):
        left: defaultdict[Gram, set[str]] = defaultdict(set)
        for gram in raw[n] if n < order else ():
            left[gram[1:]].add(gram[0])
        kept = {
            g: float(c) if n == order or g[0] == "<s>" else float(len(left[g])) for g, c in raw[n - 1].items()
        }
        counts.append(kept)
    counts[0] |= {("<unk>",): 0.0, ("<s>",): 0.0}
    probs: list[dict[Gram, float]] = []
    backoffs: list[dict[Gram, float]] = [{} for _ in range(order)]
    for n, level in enumerate(counts, 1):
        total: defaultdict[Gram, float] = defaultdict(float)
        kinds: Counter[Gram] = Counter()
        for gram, count in level.items():
            total[gram[:-1]] += count
            kinds[gram[:-1]] += count > 0
        probs.append({})
        for gram, count in level.items():
            context = gram[:-1]
            free = discount * kinds[context] / total[context]
            lower = probs[n - 2][gram[1:]] if n > 1 else 1 / len(level)
            probs[-1][gram] = max(count - discount, 0) / total[context] + free * lower
            if n > 1:
                backoffs[n - 2][context] = free
    return [
        {gram: (math.log10(p), math.log10(backoff.get(gram, 1.0))) for gram, p in level.items()}
        for level, backoff in zip(probs, backoffs, strict=True)
    ]


def write_arpa(grams: ngram.Grams, path: Path) -> str:
    """Write an ARPA file with all digits."""
    lines = ["\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(grams, 1)), ""]
    for n, level in enumerate(grams, 1):
        lines.append(f"\\{n}-grams:")
        last = n == len(grams)
        lines += [f"{p!r}\t{' '.join(g)}" + ("" if last else f"\t{b!r}") for g, (p, b) in level.items()]
        lines.append("")
    data = "\n".join([*lines, "\\end\\", ""]).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def scored(grams: ngram.Grams, tokens: list[str]) -> list[bool]:
    """Whether each token is scored: words that are of no class of the model, and punctuation behind them."""
    flags: list[bool] = []
    for token in tokens:
        is_char = len(token) == 1 and not token.isascii()
        name = "<char>" if is_char else "<word>"
        if token == "<pause>":
            flags.append(bool(flags) and flags[-1])
        else:
            flags.append(token != "<num>" and ((token,) in grams[0] or (name,) not in grams[0]))
    return flags


def reference(grams: ngram.Grams, tokens: list[str]) -> list[float]:
    """Natural log probability of each scored token by the definition of backoff."""
    order, scores = len(grams), []
    if ("<pause>",) not in grams[0]:
        tokens = [token for token in tokens if token != "<pause>"]
    known = []
    for token in tokens:
        name = "<char>" if len(token) == 1 and not token.isascii() else "<word>"
        is_class = (name,) in grams[0] and not token.startswith("<")
        known.append(token if (token,) in grams[0] else name if is_class else "<unk>")
    for i, is_scored in enumerate(scored(grams, tokens)):
        if is_scored:
            log_prob = ngram.backed_off(grams, tuple(known[max(0, i - order + 1) : i + 1]))
            scores.append(math.log(10) * log_prob)
    return scores


def scores(model: ngram.Model, text: str) -> list[float]:
    """Natural log probability of each scored token by the kernel: differences of sums."""
    keys, kinds, sizes, n = read(text)
    found = []
    previous = np.zeros(5)
    for i in range(n + 1):
        sums = np.zeros(5)
        score_tokens(keys, kinds, sizes, i, 0, model, sums)
        if sums[N_TOKENS] > previous[N_TOKENS]:
            found.append(float(sums[TOTAL] - previous[TOTAL]))
        previous = sums
    return found


def read(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Keys, kinds, sizes and number of the tokens of a text."""
    codes, starts, classes = view(pa.array([text], pa.large_string()))
    size, end = len(codes) + 1, starts[1]
    keys, kinds, sizes = np.zeros(size, np.uint64), np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    return (
        keys,
        kinds,
        sizes,
        read_tokens(codes, classes, load_tables().fold, 0, end, end, keys, kinds, sizes),
    )
