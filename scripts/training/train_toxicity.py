"""Train the shipped toxicity model: linear models over hashed n-grams, from labelled sets, web text and phrases.

Reads docs_zh_en-*.parquet, quality_truth.parquet, web_labels.parquet and web_pool.parquet below --data, the git
checkouts of `toxicity_sets.py` below --sets, and below --packages the unpacked packages named in the model card and
`teacher.tsv` of `toxicity_teacher.py`. Writes the model and prints an evaluation on sets and sources that were not
trained on as Markdown. Equal input gives an equal file.

Example: python -m scripts.training.train_toxicity --data FOLDER --sets FOLDER --packages FOLDER
"""

from __future__ import annotations

import argparse
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import toxicity
from classifiers.linear.odds import WEIGHT_STEP
from classifiers.linear.train import Settings, auc, fit
from classifiers.toxicity.features import LEAST, N_CELLS, N_ROWS, list_features
from scripts.training import toxicity_examples as made
from scripts.training import toxicity_sets as sets
from scripts.training.toxicity_examples import Example, is_held
from stages.kernels.text.text import load_tables, view

HELD_OUT = frozenset("drcd xquad 18f-blog openstax-sociology openstax-us-history".split())
"""Sources used for evaluation only; half of the documents of all other sources are held out as well."""
LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}
CUTS = {"score": 0.7, "self_harm": 0.7}
"""Thresholds of the evaluation, those of the documentation."""
N_DOCUMENTS = 1500  # maximum number of passages per source and language
N_PHRASES, N_SUBSTITUTES, N_WORDS, N_REVIEWS, N_NEWS = 60_000, 12_000, 4_000, 16_000, 2_000
N_HARM, N_ADULT, N_GROUPS = 8_000, 5_000, 5_000
COPIES = {"COLD train": 3, "read": 5}
"""How often the examples of a set count: the only large set on contempt for groups, and passages that were read."""
ORDINARY = frozenset("documents web reviews news chat SMILE adult".split())
"""Kinds of examples among which hard negatives are found."""
N_MINED, N_COPIES = 4_000, 3
SHIFTS = (-0.65, 0.0)
"""Added to the log-odds of both scorers: half of a set is toxic, hardly any web page is."""
N_HARD = 1_500  # passages of each kind of ordinary text that the scorer against posts learns from


class Posts(NamedTuple):
    """How contempt is told from other posts in one language.

    counts: kinds of examples and how often each counts; a third: every third one. share: of the log-odds against any
    text that is added. shift: added to the log-odds. settings: of training.
    """

    counts: dict[str, float]
    share: float
    shift: float
    settings: Settings


POSTS = {
    "zh": Posts(
        {"COLD train": 20, "SWSR": 1 / 3, "read": 3, "abuse lists": 4, "documents": 8, "web": 3},
        0.25,
        -1.0,
        Settings(epochs=1, rate=0.2, decay=5e-3, dropout=0.3, root=True, least=LEAST),
    ),
    "en": Posts(
        {"Davidson": 1, "Stormfront": 1, "Surge": 1, "read": 1},
        0.5,
        -0.8,
        Settings(epochs=3, rate=0.2, decay=3e-3, dropout=0.4, root=True, least=LEAST),
    ),
}


def language_of(hint: str) -> str:
    """zh (all variants of Chinese), en or other."""
    if hint.startswith(("zh", "lzh", "yue")):
        return "zh"
    return hint if hint == "en" else "other"


def load_documents(folder: Path) -> list[dict[str, str]]:
    """Read the documents, in a fixed order; `held` marks those used for evaluation only."""
    rows = []
    for path in sorted(folder.glob("docs_zh_en-*.parquet")):
        rows += pq.read_table(path, columns=["id", "text", "source", "lang_hint"]).to_pylist()
    for row in rows:
        row["held"] = row["source"] in HELD_OUT or is_held(row["id"], 2)
    return [row for row in rows if language_of(row["lang_hint"]) in LABELS]


def from_documents(documents: list[dict[str, str]], rng: random.Random) -> Iterator[Example]:
    """Passages of ordinary documents."""
    by_source: dict[tuple[str, str], list[str]] = {}
    for row in documents:
        if not row["held"]:
            by_source.setdefault((row["source"], language_of(row["lang_hint"])), []).append(row["text"])
    for (_, language), texts in sorted(by_source.items()):
        for _ in range(min(N_DOCUMENTS, 6 * len(texts))):
            yield Example(made.cut(rng.choice(texts), language, rng), language, "documents", 0, False)


def ordinary_examples(
    documents: list[dict[str, str]], data: Path, packages: Path, seed: int
) -> list[Example]:
    """Passages of documents and web pages, reviews, news and dialogues."""
    rng = random.Random(seed)
    reviews = made.read_reviews(packages, read_words(documents, packages))
    chat = {
        name: made.read_dialogues(packages, name) for name in ("english", "chinese", "traditionalchinese")
    }
    return [
        *from_documents(documents, rng),
        *sets.web(data),
        *(Example(text, "zh", "reviews", 0, False) for text in rng.sample(reviews, N_REVIEWS)),
        *(
            Example(made.cut(text, "zh", rng), "zh", "news", 0, False)
            for text in rng.sample(made.read_news(packages), N_NEWS)
        ),
        *(Example(text, "zh", "chat", 0, False) for text in chat["chinese"] + chat["traditionalchinese"]),
        *(Example(text, "en", "chat", 0, False) for text in chat["english"]),
    ]


def read_words(documents: list[dict[str, str]], packages: Path) -> list[str]:
    """Listed Chinese words that do not occur in ordinary text."""
    modern = [row["text"][:2000] for row in documents if row["lang_hint"] == "zh-cn" and not row["held"]]
    return made.read_words(packages, "\n".join(made.read_news(packages) + modern))


def toxic_examples(
    ordinary: list[Example], words: list[str], data: Path, folder: Path, packages: Path, seed: int
) -> list[Example]:
    """Labelled sets and passages, lists of abuse and generated sentences, toxic or not."""
    rng = random.Random(seed)
    teacher = made.Teacher(packages / "teacher.tsv")
    carriers = {
        language: [e.text for e in ordinary if e.language == language and e.kind in kinds and e.text.split()]
        for language, kinds in (("zh", ("reviews", "chat")), ("en", ("chat", "documents", "web")))
    }
    plain = {
        language: [e.text for e in ordinary if e.language == language and e.kind != "chat" and e.text.split()]
        for language in LABELS
    }
    made_up = [
        *made.from_abuse_lists(packages),
        *made.from_adult_lists(packages, carriers["en"], N_ADULT, rng),
        *made.from_groups(plain, N_GROUPS, rng),
        *made.from_words(carriers["zh"], words, N_WORDS, rng),
        *made.from_phrases("zh", N_PHRASES, rng),
        *made.from_phrases("en", N_PHRASES, rng),
        *made.from_substitutes(carriers["en"], teacher, N_SUBSTITUTES, rng),
    ]
    labelled = [
        *sets.support_seekers(folder),
        *sets.cold(data, "train"),
        *sets.swsr(folder),
        *sets.davidson(folder),
        *sets.stormfront(folder),
        *sets.surge(folder),
        *sets.read_windows(data),
    ]
    return [
        e._replace(text=made.disguise(e.text, rng)) if e.label and rng.random() < 0.08 else e
        for e in labelled + [e for e in made_up if not e.held]
        for _ in range(COPIES.get(e.kind, 1))
    ]


def harm_examples(ordinary: list[Example], toxic: list[Example], folder: Path, seed: int) -> list[Example]:
    """People who speak of harming themselves, what is written about them, and abuse of others."""
    rng = random.Random(seed)
    phrases = [*made.from_self_harm("zh", N_HARM, rng), *made.from_self_harm("en", N_HARM, rng)]
    around = {
        language: [e.text for e in ordinary if e.language == language and e.kind in ("chat", "web")]
        for language in LABELS
    }
    return [
        *sets.smile(folder),
        *(surround(e, around[e.language], rng) for e in phrases),
        *(e._replace(label=0) for e in toxic if zlib.crc32(e.text.encode()) % 4 == 0),
    ]


def surround(example: Example, around: list[str], rng: random.Random) -> Example:
    """Two of three examples with ordinary text before and after; half of them as carelessly written as posts."""
    text = example.text
    if rng.random() < 0.5:
        text = text.lower().replace("'", "").replace(".", rng.choice((".", "", " ", "...")))
    if rng.random() < 0.67:
        before, after = (made.cut(rng.choice(around), example.language, rng) for _ in range(2))
        text = f"{before[: rng.randrange(150)]} {text} {after[: rng.randrange(150)]}"
    return example._replace(text=text)


def features_of(examples: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct features of each example; see `list_features`."""
    text = view(pa.array([e.text for e in examples], pa.large_string()))
    rows, starts = list_features(text.codes, text.classes, text.starts, load_tables().fold)
    return rows, starts


def train(examples: list[Example], shift: float, settings: Settings) -> tuple[np.ndarray, float]:
    """Fit one scorer, add the ordinary examples with the highest scores N_COPIES times, and fit again.

    Returns: int16 (N_ROWS,) weights and the bias.
    """
    rows, starts = features_of(examples)
    families = np.array([e.language != "zh" for e in examples], np.int64)
    labels = np.array([e.label for e in examples], np.int8)
    chosen = np.arange(len(examples))
    for last in (False, True):
        sizes, begins = np.diff(starts)[chosen], starts[chosen]
        places = np.concatenate([[0], np.cumsum(sizes)])
        taken = rows[np.repeat(begins - places[:-1], sizes) + np.arange(places[-1])]
        shapes = N_CELLS + families[chosen, None]
        weights, bias = fit(taken, places, shapes, labels[chosen], N_ROWS, settings)
        if not last:
            sums = np.concatenate([[0.0], np.cumsum(weights[rows])])
            odds = np.diff(sums[starts]) / np.sqrt(np.maximum(np.diff(starts), LEAST))
            odds += weights[N_CELLS + families]
            ordinary = np.array([e.label == 0 and e.kind in ORDINARY for e in examples])
            for family in (0, 1):
                found = np.flatnonzero(ordinary & (families == family))
                hard = found[np.argsort(-odds[found], kind="stable")[:N_MINED]]
                chosen = np.concatenate([chosen, np.repeat(hard, N_COPIES)])
    return np.clip(np.rint(weights / WEIGHT_STEP), -32767, 32767).astype(np.int16), bias + shift


def list_posts(data: Path, folder: Path, toxic: list[Example], ordinary: list[Example]) -> list[Example]:
    """Labelled sets, lists of abuse and `ordinary`, of which the hardest come first."""
    return [
        *sets.cold(data, "train"),
        *sets.swsr(folder),
        *sets.davidson(folder),
        *sets.stormfront(folder),
        *sets.surge(folder),
        *sets.read_windows(data),
        *(e for e in toxic if e.kind == "abuse lists"),
        *ordinary,
    ]


def hardest(ordinary: list[Example], weights: np.ndarray) -> list[Example]:
    """The Chinese documents and web passages with the highest scores against any text, N_HARD of each."""
    chosen = [e for e in ordinary if e.language == "zh" and e.kind in ("documents", "web")]
    rows, starts = features_of(chosen)
    sums = np.concatenate([[0.0], np.cumsum(weights[rows].astype(np.float64))])
    odds = np.diff(sums[starts]) / np.sqrt(np.maximum(np.diff(starts), LEAST))
    ranked = [chosen[i] for i in np.argsort(-odds, kind="stable")]
    return [e for kind in ("documents", "web") for e in [e for e in ranked if e.kind == kind][:N_HARD]]


def train_posts(examples: list[Example], toxic: tuple[np.ndarray, float]) -> tuple[np.ndarray, float]:
    """Fit contempt against other posts, each language alone, and add a share of the scorer against any text.

    Ordinary text is left out but for the hardest of it: beside it, the topics themselves look like contempt.

    Args: examples, of `list_posts`; toxic, weights and bias of the scorer against any text.
    Returns: int16 (N_ROWS,) weights and the bias.
    """
    total = np.zeros(N_ROWS)
    for family, (language, posts) in enumerate(POSTS.items()):
        chosen = []
        for kind, count in posts.counts.items():
            of_kind = [e for e in examples if e.kind == kind and e.language == language]
            chosen += of_kind[:: max(round(1 / count), 1)] * max(int(count), 1)
        rows, starts = features_of(chosen)
        shapes = np.full((len(chosen), 1), N_CELLS + family)
        labels = np.array([e.label for e in chosen], np.int8)
        weights, bias = fit(rows, starts, shapes, labels, N_ROWS, posts.settings)
        half, row = slice(family * N_CELLS // 2, (family + 1) * N_CELLS // 2), N_CELLS + family
        total[half] = weights[half] + posts.share * toxic[0][half] * WEIGHT_STEP
        total[row] = (
            weights[row] + bias + posts.share * (toxic[0][row] * WEIGHT_STEP + toxic[1]) + posts.shift
        )
    return np.clip(np.rint(total / WEIGHT_STEP), -32767, 32767).astype(np.int16), 0.0


def score(model: toxicity.Model, texts: list[str], labels: list[str]) -> dict[str, np.ndarray]:
    """Output columns of the stage, 0 for a text without any."""
    batch = pa.table({"text": pa.array(texts, pa.large_string()), "language.label": pa.array(labels)})
    found = toxicity.annotate(batch, model)
    return {name: np.nan_to_num(found[name].to_numpy(zero_copy_only=False)) for name in found.column_names}


def measure_sets(model: toxicity.Model, examples: list[Example], column: str) -> Iterator[str]:
    """Area under the ROC curve, recall and false positives at the cut, by set and language."""
    yield f"| set, `{column}` | language | positive | negative | AUC | recall | false positives |"
    yield "|---|---|---|---|---|---|---|"
    by_set: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        by_set.setdefault((example.kind, example.language), []).append(example)
    for (kind, language), chosen in by_set.items():
        values = score(model, [e.text for e in chosen], [LABELS[language]] * len(chosen))[column]
        labels = np.array([e.label for e in chosen]) == 1
        over = values >= CUTS[column]
        figures = [auc(values, labels), *(over[k].mean() if k.any() else np.nan for k in (labels, ~labels))]
        yield (
            f"| {kind} | {language} | {labels.sum()} | {(~labels).sum()} | "
            + " | ".join("" if np.isnan(figure) else f"{figure:.3f}" for figure in figures)
            + " |"
        )


def measure_planted(
    model: toxicity.Model, abuse: list[Example], documents: list[dict[str, str]]
) -> Iterator[str]:
    """Share of held-out documents at the cut with a held-out toxic text of some 100 characters in the middle."""
    yield "| host | language | documents | `score` without | `score` with | `max_window` with |"
    yield "|---|---|---|---|---|---|"
    for language, lengths in (("zh", (500, 2000, 8000)), ("en", (2000, 8000, 30000))):
        lines = [e.text for e in abuse if e.held and e.label and e.language == language]
        held = [row["text"] for row in documents if row["held"] and language_of(row["lang_hint"]) == language]
        for length in lengths:
            hosts = [text[:length] for text in held if len(text) >= length][::7]
            planted, at = [], 0
            for host in hosts:
                added = ""
                while len(added) < (100 if language == "zh" else 300):
                    added += lines[at % len(lines)] + "\n"
                    at += 7
                planted.append(f"{host[: length // 2]}\n{added}{host[length // 2 :]}")
            before, after = (
                score(model, texts, [LABELS[language]] * len(hosts)) for texts in (hosts, planted)
            )
            found = before["score"], after["score"], after["max_window"]
            shares = " | ".join(f"{np.mean(values >= CUTS['score']):.3f}" for values in found)
            yield f"| {length} characters | {language} | {len(hosts)} | {shares} |"


def measure_documents(model: toxicity.Model, documents: list[dict[str, str]]) -> Iterator[str]:
    """Share of whole held-out documents at the cuts, by source."""
    yield "| source | documents | `score` | `max_window` | `self_harm` |\n|---|---|---|---|---|"
    by_source: dict[tuple[str, str], list[str]] = {}
    for row in documents:
        if row["held"]:
            by_source.setdefault((row["source"], language_of(row["lang_hint"])), []).append(row["text"])
    for (source, language), texts in sorted(by_source.items()):
        found = score(model, texts, [LABELS[language]] * len(texts))
        shares = (
            np.mean(found[name] >= CUTS["self_harm" if name == "self_harm" else "score"])
            for name in ("score", "max_window", "self_harm")
        )
        yield f"| {source}, {language} | {len(texts)} | {' | '.join(f'{share:.4f}' for share in shares)} |"


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of docs_zh_en, quality_truth, web_labels"
    )
    parser.add_argument("--sets", type=Path, required=True, help="folder of git checkouts")
    parser.add_argument(
        "--packages", type=Path, required=True, help="folder of unpacked packages, teacher.tsv"
    )
    parser.add_argument("--out", type=Path, default=Path(toxicity.MODEL_PATH))
    arguments = parser.parse_args()
    settings = Settings(epochs=10, rate=0.2, decay=3e-3, dropout=0.4, root=True, least=LEAST)
    documents = load_documents(arguments.data)
    ordinary = ordinary_examples(documents, arguments.data, arguments.packages, settings.seed)
    words = read_words(documents, arguments.packages)
    toxic = toxic_examples(ordinary, words, arguments.data, arguments.sets, arguments.packages, settings.seed)
    harm = harm_examples(ordinary, toxic, arguments.sets, settings.seed)
    fitted = [
        train(examples + ordinary, shift, settings)
        for examples, shift in zip((toxic, harm), SHIFTS, strict=True)
    ]
    hard = hardest(ordinary, fitted[0][0])
    posts = list_posts(arguments.data, arguments.sets, toxic, hard)
    fitted.append(train_posts(posts, fitted[0]))
    weights, biases = zip(*fitted, strict=True)
    np.savez_compressed(arguments.out, weights=np.stack(weights, axis=1), biases=np.array(biases))
    model = toxicity.load_model(str(arguments.out))
    tables = (
        measure_sets(model, list(sets.measured_toxic(arguments.data, arguments.sets)), "score"),
        measure_sets(model, list(sets.measured_harm(arguments.sets)), "self_harm"),
        measure_planted(
            model,
            list(made.from_abuse_lists(arguments.packages))
            + [e for e in made.from_phrases("en", 600, random.Random(2)) if e.held],
            documents,
        ),
        measure_documents(model, documents),
    )
    for lines in tables:
        print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    main()
