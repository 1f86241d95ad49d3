"""Train the n-gram models of classifiers.fluency: modified Kneser-Ney, pruned and quantised.

Reads docs_zh_en-*.parquet (text, source, lang_hint, note) and web_labels.parquet (text, lang, score, fold) in --data,
and the repositories of `fluency_sources` in --repositories; without machine-translated documents, code blocks,
duplicates, web texts of a score below 3, the sources in HELD_OUT and the sources of fold 0. Writes fluency_zh.bin and
fluency_en.bin into --out, and prints the figures of the model cards: sizes, and an evaluation on the held-out sources.
Equal input gives equal files.

Example: python -m scripts.training.train_fluency --data data --repositories repositories --out classifiers/models
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classifiers.fluency import ngram
from classifiers.training.kneser_ney import Grams, Level, count_grams, estimate
from scripts.training.fluency_sources import Text, read_repositories
from stages.dedup import cluster_texts
from stages.kernels.text.ngrams import (
    N_TOKENS,
    TOTAL,
    UNKNOWN,
    WORD,
    hash_grams,
    read_tokens,
    score_documents,
)
from stages.kernels.text.text import load_tables, view

HELD_OUT = {
    "zh": ("drcd", "fcc-news-zh", "d2l-zh", "vue-docs-zh", "xquad"),
    "en": ("18f-blog", "openstax-psychology", "owasp-cheatsheets", "se-sherlock", "xquad"),
}
HELD_OUT_FOLD = 0  # of web_labels.parquet, whose folds are by source
HINTS = {"zh": r"^(zh|lzh)", "en": r"^en$"}
SOURCE_CHARS = 3_000_000  # maximum per source, so that no source dominates
MANUAL_CHARS = 1_000_000  # of each of MANUALS, which repeat themselves
MANUALS = frozenset(
    "leetcode-zh leetcode-en ms-office-dev-zh ms-office-dev-en ms-sfb-zh-cn ms-sfb-zh-tw pingcap-docs-cn tf-docs-l10n "
    "tf-docs-l10n-nb tf-docs-en peps eips oi-wiki".split()
)
LARGE = {"lctt": 8_000_000, "digital-gov": 8_000_000, "standard-ebooks": 8_000_000}
"""Prose by many authors."""
ORDER = {"zh": 5, "en": 3}
VOCABULARY = {"zh": 8_000, "en": 50_000}
MAX_TOKENS = 1 << 20  # whole documents
MIN_COUNT = 3  # a rarer token is <unk>
N_GRAMS = 1_850_000  # 9.9 MB, with 4 bytes per slot and a quarter of the slots free
PROB_LEVELS, BACKOFF_LEVELS = 128, 64  # quantised to at most 8,192 pairs, 64 KB

START_ID, UNK_ID, PAUSE_ID, NUM_ID, CLASS_ID = range(5)
"""Ids of <s> and of the special tokens; then the vocabulary."""
NAMES = ("<s>", "<unk>", "<pause>", "<num>")
OWN = {"zh": (UNKNOWN,), "en": (WORD,)}  # kinds of tokens that are distinguished
CLASS = {
    "zh": "<word>",
    "en": "<char>",
}  # what is not scored: words in a model of characters, characters in one of words


def read_documents(folder: Path) -> list[Text]:
    """Texts of docs_zh_en-*.parquet that are not machine-translated, without code blocks."""
    columns = ["text", "source", "lang_hint", "note"]
    table = pa.concat_tables(
        pq.read_table(path, columns=columns) for path in sorted(folder.glob("docs_zh_en-*.parquet"))
    )
    table = table.filter(pc.equal(pc.fill_null(table["note"], ""), ""))
    fences = re.compile(r"^```.*?^```|\$\$.*?\$\$", re.S | re.M)
    return [
        Text(row["source"], language, fences.sub("\n", row["text"]))
        for row in table.to_pylist()
        for language, hint in HINTS.items()
        if re.search(hint, row["lang_hint"])
    ]


def read_web(folder: Path) -> list[Text]:
    """Web texts that readers would keep."""
    table = pq.read_table(folder / "web_labels.parquet", columns=["text", "lang", "score", "fold"])
    return [
        Text(f"web-{row['fold']}", row["lang"], row["text"]) for row in table.to_pylist() if row["score"] >= 3
    ]


def distinct(texts: list[Text]) -> list[Text]:
    """The texts without near duplicates."""
    keepers = cluster_texts(pa.array([text.text for text in texts], pa.large_string()))["keeper"].to_pylist()
    return [text for i, text in enumerate(texts) if keepers[i] == i]


def select(texts: list[Text], language: str, held_out: bool) -> list[str]:
    """Texts of a language, from held-out sources or from all others, a limited number of characters per source."""
    names = {*HELD_OUT[language], f"web-{HELD_OUT_FOLD}"}
    chars: dict[str, int] = {}
    chosen = []
    for source, of, text in texts:
        limit = LARGE.get(source, MANUAL_CHARS if source in MANUALS else SOURCE_CHARS)
        if of == language and (source in names) == held_out and chars.get(source, 0) < limit:
            chars[source] = chars.get(source, 0) + len(text)
            chosen.append(text)
    return chosen


def read_keys(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of texts: keys, kinds (see `ngram.read_tokens`) and offsets of the texts, int64 (n_texts + 1,)."""
    text, fold = view(pa.array(texts, pa.large_string())), load_tables().fold
    size = len(text.codes)
    keys, kinds, sizes = np.empty(size, np.uint64), np.empty(size, np.uint8), np.empty(size, np.uint8)
    starts = [0]
    for start, end in zip(text.starts[:-1], text.starts[1:], strict=True):
        at = starts[-1]
        n = read_tokens(text.codes, text.classes, fold, start, end, end, keys[at:], kinds[at:], sizes[at:])
        starts.append(at + n)
    return keys[: starts[-1]], kinds[: starts[-1]], np.array(starts)


def number(
    keys: np.ndarray, kinds: np.ndarray, starts: np.ndarray, size: int, own: tuple[int, ...], class_name: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Number the tokens by descending count and insert <s> before each text.

    Args: size, of the vocabulary; own, kinds of tokens that are distinguished; class_name, what the others are if not
    all words and characters are own, else empty.
    Returns: int32 tokens; uint64 keys by id; number of distinct tokens mapped to <unk>.
    """
    is_own = np.isin(kinds, own)
    distinct, inverse, counts = np.unique(keys[is_own], return_inverse=True, return_counts=True)
    names = [ngram.token_key(name) for name in (*NAMES, class_name) if name]
    order = np.lexsort((distinct, -counts))[: size - len(names)]
    order = order[counts[order] >= MIN_COUNT]
    ids = np.full(len(distinct), UNK_ID)
    ids[order] = len(names) + np.arange(len(order))
    tokens = np.array([PAUSE_ID, NUM_ID, CLASS_ID, CLASS_ID])[kinds]
    tokens[is_own] = ids[inverse]
    stream = np.insert(tokens, starts[:-1], START_ID).astype(np.int32)
    return stream, np.concatenate([np.array(names, np.uint64), distinct[order]]), len(distinct) - len(order)


def prune(levels: list[Level], grams: list[Grams], budget: int) -> list[np.ndarray]:
    """Choose the n-grams to keep, about `budget` of them: those whose removal costs most log probability.

    The loss is the count times the decrease of the log probability on backing off (Seymore and Rosenfeld, 1996). All
    tokens are kept, and the prefix and suffix of every kept n-gram. Returns: bool masks by order.
    """
    losses = [np.full(len(levels[0].last), np.inf)]
    for n in range(1, len(levels)):
        level, below = levels[n], grams[n - 1]
        fall = grams[n].log_prob - below.log_prob[level.suffix] - below.log_backoff[level.prefix]
        losses.append(np.where(level.starts, -np.inf, level.counts * fall))
    low, high = 0.0, float(max(loss.max() for loss in losses[1:]))
    for _ in range(40):
        middle = (low + high) / 2
        kept = sum(int(mask.sum()) for mask in _closure(levels, losses, middle))
        low, high = (middle, high) if kept > budget else (low, middle)
    return _closure(levels, losses, high)


def _closure(levels: list[Level], losses: list[np.ndarray], least: float) -> list[np.ndarray]:
    masks = [loss >= least for loss in losses]
    for n in range(len(levels) - 1, 0, -1):
        masks[n - 1][levels[n].prefix[masks[n]]] = True
        masks[n - 1][levels[n].suffix[masks[n]]] = True
    return masks


def renormalise(levels: list[Level], grams: list[Grams], masks: list[np.ndarray]) -> None:
    """Set the backoff of each kept context to the probability not used by its kept n-grams, in place."""
    for n in range(1, len(levels)):
        level, mask = levels[n], masks[n]
        size = len(levels[n - 1].last)
        prefix = level.prefix[mask]
        taken = np.bincount(prefix, np.exp(grams[n].log_prob[mask]), size)
        lower = np.bincount(prefix, np.exp(grams[n - 1].log_prob[level.suffix[mask]]), size)
        left_over = np.maximum(1 - taken, 1e-9) / np.maximum(1 - lower, 1e-9)
        grams[n - 1].log_backoff[:] = np.where(taken > 0, np.log(left_over), 0.0)
    grams[-1].log_backoff[:] = 0.0


def quantise(values: np.ndarray, n_levels: int) -> np.ndarray:
    """Replace each value by the mean of its quantile, of n_levels quantiles; zeros are kept."""
    result = np.zeros(len(values))
    used = np.flatnonzero(values)
    order = used[np.argsort(values[used], kind="stable")]
    for part in np.array_split(order, min(n_levels, max(len(order), 1))):
        if len(part):
            result[part] = values[part].mean()
    return result


def to_model(
    levels: list[Level], grams: list[Grams], masks: list[np.ndarray], keys: np.ndarray, n_unknown: int
) -> ngram.Model:
    """Quantise the kept n-grams and pack them.

    <unk> represents n_unknown tokens, and its probability is divided equally among them: otherwise a text of unknown
    words only would be the most fluent of all.
    """
    hashes, log_prob, backoff = [], [], []
    words = keys[:, None]
    for level, gram, mask in zip(levels, grams, masks, strict=True):
        if level is not levels[0]:
            words = np.concatenate([words[level.prefix], keys[level.last][:, None]], 1)
        hashes.append(hash_grams(words[mask]))
        log_prob.append(
            np.where(level.last == UNK_ID, gram.log_prob - np.log(max(n_unknown, 1)), gram.log_prob)[mask]
        )
        backoff.append(gram.log_backoff[mask])
    return ngram.pack(
        np.concatenate(hashes),
        quantise(np.concatenate(log_prob), PROB_LEVELS),
        quantise(np.concatenate(backoff), BACKOFF_LEVELS),
        len(levels),
        "model in training",
        np.uint16,
    )


def train(texts: list[str], language: str) -> tuple[ngram.Model, dict[str, int]]:
    """Train one model; returns it and its sizes."""
    keys, kinds, starts = read_keys(texts)
    tokens, vocabulary, n_unknown = number(
        keys, kinds, starts, VOCABULARY[language], OWN[language], CLASS[language]
    )
    levels = count_grams(tokens, len(vocabulary), ORDER[language], START_ID)
    grams = estimate(levels)
    masks = prune(levels, grams, N_GRAMS)
    renormalise(levels, grams, masks)
    model = to_model(levels, grams, masks, vocabulary, n_unknown)
    sizes = {f"{n}-grams": int(mask.sum()) for n, mask in enumerate(masks, 1)}
    return model, {"documents": len(texts), "tokens": len(keys), "unknown": n_unknown, **sizes}


def losses(model: ngram.Model, texts: list[str]) -> np.ndarray:
    """Mean negative log probability per token of each text, float64 (n_texts,), NaN for texts without tokens."""
    sums = np.zeros((len(texts), 5))
    text = view(pa.array(texts, pa.large_string()))
    score_documents(text, np.arange(len(texts)), load_tables().fold, model, MAX_TOKENS, 1, sums)
    with np.errstate(invalid="ignore"):
        return -sums[:, TOTAL] / sums[:, N_TOKENS]


def sentences(texts: list[str], language: str) -> list[str]:
    """Sentences of 10 to 60 tokens that are scored, at most 20 per text and 5,000 in total."""
    chosen = []
    for text in texts:
        parts = re.split(r"(?<=[。！？])|\n" if language == "zh" else r"(?<=[.!?])\s+|\n\s*\n", text)
        chosen += [part for part in parts if part and 10 <= n_scored(part, language) <= 60][:20]
    return chosen[:5000]


def n_scored(text: str, language: str) -> int:
    """Number of tokens of a language's own kind."""
    tokens = [token for token in ngram.spell(text) if not token.startswith("<")]
    return sum((token[0] > "\u2e80") == (language == "zh") for token in tokens)


def shuffle(sentence: str, language: str, rng: random.Random) -> str:
    """The same tokens in random order."""
    tokens = [token for token in ngram.spell(sentence) if not token.startswith("<")]
    rng.shuffle(tokens)
    return (" " if language == "en" else "").join(tokens)


def swap(sentence: str, language: str, rng: random.Random) -> str:
    """The sentence with one pair of adjacent words, or Han characters, swapped."""
    parts = re.findall(r"[a-z]+|[^a-z]+", sentence, re.I) if language == "en" else list(sentence)
    step = 2 if language == "en" else 1
    is_word = [part.isalpha() and (language == "en" or part > "\u3400") for part in parts]
    positions = [
        i
        for i in range(len(parts) - step)
        if is_word[i] and is_word[i + step] and parts[i] != parts[i + step]
    ]
    if positions:
        i = rng.choice(positions)
        parts[i], parts[i + step] = parts[i + step], parts[i]
    return "".join(parts)


def auc(low: np.ndarray, high: np.ndarray) -> float:
    """Probability that a value of `low` is below a value of `high`, ties counted half."""
    low, high = low[~np.isnan(low)], np.sort(high[~np.isnan(high)])
    ranks = np.searchsorted(high, low, "left") + np.searchsorted(high, low, "right")
    return float(1 - ranks.mean() / (2 * len(high)))


def measure(model: ngram.Model, texts: list[str], language: str) -> dict[str, float]:
    """Evaluation on held-out texts: perplexity, and detection of shuffled and swapped sentences."""
    rng = random.Random(1)
    real = sentences(texts, language)
    loss = losses(model, real)
    shuffled = losses(model, [shuffle(sentence, language, rng) for sentence in real])
    swapped = losses(model, [swap(sentence, language, rng) for sentence in real])
    return {
        "perplexity": float(np.exp(np.nanmean(losses(model, texts)))),
        "sentences": len(real),
        "auc_shuffled": auc(loss, shuffled),
        "pairs_shuffled": float(np.mean((loss < shuffled) + 0.5 * (loss == shuffled))),
        "pairs_swapped": float(np.mean((loss < swapped) + 0.5 * (loss == swapped))),
    }


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of docs_zh_en-*.parquet, web_labels.parquet"
    )
    parser.add_argument(
        "--repositories", type=Path, required=True, help="folder of git directories, owner+name/repo"
    )
    parser.add_argument("--out", type=Path, default=Path("classifiers/models"))
    arguments = parser.parse_args()
    repositories = read_repositories(arguments.repositories)
    texts = [*distinct(read_documents(arguments.data)), *repositories, *read_web(arguments.data)]
    random.Random(0).shuffle(texts)  # what is left of a large source is a sample of it
    for language in HINTS:
        model, sizes = train(select(texts, language, False), language)
        path = arguments.out / f"fluency_{language}.bin"
        ngram.save(model, str(path))
        print(language, {**sizes, "bytes": path.stat().st_size}, flush=True)
        print(measure(model, select(texts, language, True), language), flush=True)


if __name__ == "__main__":
    main()
