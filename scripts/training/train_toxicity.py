"""Train the shipped toxicity model: a linear model over hashed n-grams, from open documents, lines and phrases.

Reads docs_zh_en-*.parquet (columns id, text, source, lang_hint) below --data, and below --packages the unpacked
packages named in the model card and `teacher.tsv` of `toxicity_teacher.py`. Writes the model and prints an evaluation
on held-out text as Markdown. Equal input gives an equal file.

Example: python -m scripts.training.train_toxicity --data FOLDER --packages FOLDER
"""

from __future__ import annotations

import argparse
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import toxicity
from classifiers.linear.odds import WEIGHT_STEP
from classifiers.linear.train import Settings, auc, fit
from classifiers.toxicity.features import N_CELLS, N_ROWS, list_features
from scripts.training import toxicity_examples as made
from scripts.training.toxicity_examples import Example, is_held
from stages.kernels.text.text import load_tables, view

HELD_OUT = frozenset("drcd xquad 18f-blog openstax-sociology openstax-us-history".split())
"""Sources used for evaluation only; half of the documents of all other sources are held out as well."""
SENTENCE = re.compile(r"[^。！？!?\n]{8,120}?(?:[。！？!?\n]|\. )")
POOL_PERCENT = {"zh": 40, "en": 40}
N_ROUNDS, N_MINED = 1, 2_000
LEAST = (0.5, 0.7, 0.8)
LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}
N_DOCUMENTS = 1500  # maximum number of passages per source and language
N_PHRASES, N_SUBSTITUTES, N_WORDS, N_REVIEWS, N_NEWS = 30_000, 16_000, 6_000, 16_000, 5_000


def language_of(hint: str) -> str:
    """zh (all variants of Chinese), en, ja or other."""
    if hint.startswith(("zh", "lzh", "yue")):
        return "zh"
    return hint if hint in ("en", "ja") else "other"


def load_documents(folder: Path) -> list[dict[str, str]]:
    """Read the documents, in a fixed order; `held` marks those used for evaluation only."""
    rows = []
    for path in sorted(folder.glob("docs_zh_en-*.parquet")):
        rows += pq.read_table(path, columns=["id", "text", "source", "lang_hint"]).to_pylist()
    for row in rows:
        row["held"] = row["source"] in HELD_OUT or is_held(row["id"], 2)
    return rows


def from_documents(documents: list[dict[str, str]], rng: random.Random) -> Iterator[Example]:
    """Passages of ordinary documents."""
    by_source: dict[tuple[str, str], list[str]] = {}
    for row in documents:
        if not row["held"]:
            by_source.setdefault((row["source"], language_of(row["lang_hint"])), []).append(row["text"])
    for (_, language), texts in sorted(by_source.items()):
        for _ in range(min(N_DOCUMENTS, 6 * len(texts))):
            yield Example(made.cut(rng.choice(texts), language, rng), language, "documents", 0, False)


def make_pool(
    documents: list[dict[str, str]], lines: dict[str, list[str]], words: list[str]
) -> list[Example]:
    """Sentences of ordinary text without listed words, in a fixed order: the pool for `mine`."""
    listed = re.compile("|".join(map(re.escape, words)))
    for row in documents:
        if not row["held"]:
            lines.setdefault(language_of(row["lang_hint"]), []).extend(SENTENCE.findall(row["text"]))
    return [
        Example(text, language, "mined", 0, False)
        for language in ("zh", "en")
        for text in sorted({text.strip() for text in lines[language]})
        if not listed.search(text) and zlib.crc32(text.encode()) % 100 < POOL_PERCENT[language]
    ]


def mine(model: toxicity.Model, pool: list[Example], n: int) -> list[Example]:
    """Hard negatives: the n sentences of the pool with the highest scores, per language."""
    mined = []
    for language in ("zh", "en"):
        chosen = [e for e in pool if e.language == language]
        scores = score(model, [e.text for e in chosen], [LABELS[language]] * len(chosen))["score"]
        order = np.argsort(-np.nan_to_num(scores.to_numpy(zero_copy_only=False)), kind="stable")
        mined += [chosen[i] for i in order[:n]]
    return mined


def make_examples(
    documents: list[dict[str, str]], packages: Path, seed: int
) -> tuple[list[Example], list[Example]]:
    """All examples, for training and held out; and the pool for `mine`."""
    rng, teacher = random.Random(seed), made.Teacher(packages / "teacher.tsv")
    news = made.read_news(packages)
    modern = [row["text"][:2000] for row in documents if row["lang_hint"] == "zh-cn" and not row["held"]]
    words = made.read_words(packages, "\n".join(news + modern))
    reviews = made.read_reviews(packages, words)
    chat = {
        name: made.read_dialogues(packages, name) for name in ("english", "chinese", "traditionalchinese")
    }
    ordinary = list(from_documents(documents, rng))
    examples = [
        *made.from_abuse_lists(packages),
        *made.from_words([*reviews, *chat["chinese"]], words, N_WORDS, rng),
        *made.from_phrases("zh", N_PHRASES, rng),
        *made.from_phrases("en", N_PHRASES, rng),
        *made.from_fortunes(packages, teacher),
    ]
    prose = [e.text for e in ordinary if e.language == "en"]
    carriers = [
        *chat["english"],
        *(e.text for e in examples if e.kind == "fortunes" and not e.label),
        *prose[::20],
    ]
    examples += made.from_substitutes([c for c in carriers if c.split()], teacher, N_SUBSTITUTES, rng)
    for word in teacher.strong:
        examples.append(
            Example(rng.choice(("{}", "you {}", "{}s", "what a {}")).format(word), "en", "words", 1, False)
        )
    for text in rng.sample(reviews, N_REVIEWS):
        examples.append(Example(text, "zh", "reviews", 0, is_held(text)))
    for text in rng.sample(news, N_NEWS):
        examples.append(Example(made.cut(text, "zh", rng), "zh", "news", 0, is_held(text)))
    examples += [
        Example(t, "zh", "chat", 0, is_held(t)) for t in chat["chinese"] + chat["traditionalchinese"]
    ]
    examples += [Example(t, "en", "chat", 0, is_held(t)) for t in chat["english"] if teacher.margin(t) < 0.3]
    lines = {
        name: [e.text for e in examples if e.language == name and not (e.label or e.held)] for name in LABELS
    }
    lines["zh"] += [text for text in news if not is_held(text)]
    return ordinary + [vary(e, ordinary, rng) for e in examples], make_pool(documents, lines, words)


def vary(example: Example, ordinary: list[Example], rng: random.Random) -> Example:
    """Augment an example: some get an ordinary sentence before or after, some toxic ones are disguised."""
    text = example.text
    if example.label and rng.random() < 0.12:
        text = made.disguise(text, rng)
    if rng.random() < 0.35:
        while (beside := rng.choice(ordinary)).language != example.language:
            pass
        extra = beside.text[: rng.randint(5, 50) * (1 if example.language == "zh" else 5)]
        text = rng.choice((f"{extra}\n{text}", f"{text}\n{extra}"))
    return example._replace(text=text)


def train(examples: list[Example], settings: Settings) -> dict[str, np.ndarray]:
    """Fit the model; returns the arrays of the model file."""
    text = view(pa.array([e.text for e in examples], pa.large_string()))
    rows, starts = list_features(text.codes, text.classes, text.starts, load_tables().fold)
    shapes = np.array([[N_CELLS + (e.language not in ("zh", "ja"))] for e in examples])
    labels = np.array([e.label for e in examples], np.int8)
    weights, bias = fit(rows, starts, shapes, labels, N_ROWS, settings)
    steps = np.clip(np.rint(weights / WEIGHT_STEP), -32767, 32767)
    return {"weights": steps.astype(np.int16), "bias": np.array(bias)}


def fit_in_rounds(examples: list[Example], pool: list[Example], settings: Settings) -> dict[str, np.ndarray]:
    """Fit, add hard negatives, and fit again, N_ROUNDS times; returns the arrays of the model file."""
    chosen = [e for e in examples if not e.held]
    arrays = train(chosen, settings)
    for _ in range(N_ROUNDS):
        chosen += mine(toxicity.Model(arrays["weights"], float(arrays["bias"])), pool, N_MINED)
        arrays = train(chosen, settings)
    return arrays


def score(model: toxicity.Model, texts: list[str], labels: list[str]) -> pa.Table:
    """Output columns of the stage."""
    batch = pa.table({"text": pa.array(texts, pa.large_string()), "language.label": pa.array(labels)})
    return toxicity.annotate(batch, model)


def measure_examples(model: toxicity.Model, examples: list[Example]) -> Iterator[str]:
    """Area under the ROC curve by kind of positive example, against all held-out ordinary examples of the language."""
    yield "| text | language | examples | AUC | at 0.5 | at 0.7 | at 0.8 |\n|---|---|---|---|---|---|---|"
    for language in ("zh", "en"):
        held = [e for e in examples if e.held and e.language == language]
        scores = score(model, [e.text for e in held], [LABELS[language]] * len(held))["score"]
        values = np.nan_to_num(scores.to_numpy(zero_copy_only=False))
        labels = np.array([e.label for e in held])
        kinds = np.array([e.kind for e in held])
        for kind in ("all", *sorted(set(kinds[labels == 1]))):
            chosen = (labels == 0) | (kind == "all") | (kinds == kind)
            positive = values[chosen & (labels == 1)]
            area = auc(values[chosen], labels[chosen] == 1)
            shares = " | ".join(f"{np.mean(positive >= least):.3f}" for least in LEAST)
            yield f"| {kind} | {language} | {len(positive)} | {area:.3f} | {shares} |"
        for kind in sorted(set(kinds[labels == 0])):
            negative = values[(labels == 0) & (kinds == kind)]
            shares = " | ".join(f"{np.mean(negative >= least):.3f}" for least in LEAST)
            yield f"| none: {kind} | {language} | {len(negative)} | | {shares} |"


def measure_planted(
    model: toxicity.Model, examples: list[Example], documents: list[dict[str, str]]
) -> Iterator[str]:
    """Detection rate for held-out documents with a held-out toxic text of 100 characters or more in the middle."""
    yield "| host | language | documents | without, at 0.7 | at 0.5 | at 0.7 | at 0.8 | max_window at 0.8 |"
    yield "|---|---|---|---|---|---|---|---|"
    for language, lengths in (("zh", (500, 2000, 8000)), ("en", (2000, 8000, 30000))):
        lines = [e.text for e in examples if e.held and e.label and e.language == language]
        held = [row["text"] for row in documents if row["held"] and language_of(row["lang_hint"]) == language]
        for length in lengths:
            hosts = [text[:length] for text in held if len(text) >= length][::7]
            planted, at = [], 0
            for host in hosts:
                abuse = ""
                while len(abuse) < (100 if language == "zh" else 300):
                    abuse += lines[at % len(lines)] + "\n"
                    at += 7
                planted.append(f"{host[: length // 2]}\n{abuse}{host[length // 2 :]}")
            before = _columns(score(model, hosts, [LABELS[language]] * len(hosts)))[0]
            after, worst = _columns(score(model, planted, [LABELS[language]] * len(hosts)))
            shares = [np.mean(before >= 0.7), *(np.mean(after >= least) for least in LEAST)]
            shares.append(np.mean(worst >= LEAST[-1]))
            yield (
                f"| {length} characters | {language} | {len(hosts)} | "
                + " | ".join(f"{s:.3f}" for s in shares)
                + " |"
            )


def _columns(found: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    score, worst = (np.nan_to_num(found[n].to_numpy(zero_copy_only=False)) for n in ("score", "max_window"))
    return score, worst


def measure_documents(model: toxicity.Model, documents: list[dict[str, str]]) -> Iterator[str]:
    """Share of whole held-out documents, by source, with a score at or above each threshold."""
    yield "| source | documents | at 0.5 | at 0.7 | at 0.8 | max_window at 0.8 |\n|---|---|---|---|---|---|"
    by_source: dict[tuple[str, str], list[str]] = {}
    for row in documents:
        if row["held"]:
            by_source.setdefault((row["source"], language_of(row["lang_hint"])), []).append(row["text"])
    for (source, language), texts in sorted(by_source.items()):
        columns = score(
            model,
            texts,
            [LABELS.get(language, "fra_Latn" if language == "other" else "jpn_Jpan")] * len(texts),
        )
        values, worst = _columns(columns)
        shares = [np.mean(values >= least) for least in LEAST] + [np.mean(worst >= LEAST[-1])]
        yield f"| {source}, {language} | {len(texts)} | {' | '.join(f'{share:.4f}' for share in shares)} |"


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of docs_zh_en-*.parquet")
    parser.add_argument(
        "--packages", type=Path, required=True, help="folder of unpacked packages, teacher.tsv"
    )
    parser.add_argument("--out", type=Path, default=Path(toxicity.MODEL_PATH))
    arguments = parser.parse_args()
    settings = Settings(epochs=10, rate=0.2, decay=3e-3, dropout=0.5, root=True)
    documents = load_documents(arguments.data)
    examples, pool = make_examples(documents, arguments.packages, settings.seed)
    stored = fit_in_rounds(examples, pool, settings)
    np.savez_compressed(arguments.out, **stored)  # type: ignore[arg-type]  # arrays, by name
    model = toxicity.load_model(str(arguments.out))
    tables = measure_examples(model, examples), measure_planted(model, examples, documents)
    for lines in (*tables, measure_documents(model, documents)):
        print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    main()
