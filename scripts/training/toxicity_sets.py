"""Public labelled sets of toxic text and of self-harm, and passages of web text, for `train_toxicity.py`.

`--sets` is a folder of git checkouts, each under the name of its repository; the model card lists them with commits,
licences and who labelled. Sets without a licence are measured on and never trained on. Every reader gives its examples
in the order of its files.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from scripts.training.toxicity_examples import Example

PASSAGE = 56
"""Characters (zh) or words of a passage of web text: with its marks about as much as a window of the model."""
WINDOWS_PATH = Path(__file__).with_name("toxicity_windows.csv")
"""Passages of web_labels.parquet and web_pool.parquet that were read: id, number of the passage, 1 for contempt."""
HARM = re.compile(
    "自杀|不想活|想死|割腕|轻生|结束(?:自己的)?生命|自残|自伤|跳楼|活不下去|死了算|遗书|伤害自己|离开这个世界"
)
OTHERS = re.compile("[他她]|孩子|威胁|要挟|男友|女友|朋友|同学|别人|爸|妈|父|母|老公|老婆|有人|不是")
"""Words close to `HARM` that may say that somebody else is meant, or the contrary."""


def read_csv(path: Path, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Rows of a table with a header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, delimiter=delimiter)


def cold(data: Path, part: str) -> Iterator[Example]:
    """COLD, from quality_truth.parquet: posts on race, region and gender, labelled semi-automatically."""
    for row in pq.read_table(data / "quality_truth.parquet", columns=["text", "label", "source"]).to_pylist():
        if row["source"] == f"cold-{part}":
            yield Example(
                row["text"], "zh", f"COLD {part}", int(row["label"] == "offensive"), part != "train"
            )


def swsr(sets: Path) -> Iterator[Example]:
    """SWSR: comments of Weibo, sexist or not."""
    for row in read_csv(sets / "SWSR/SWSR/SexComment.csv"):
        yield Example(row["comment_text"], "zh", "SWSR", int(row["label"]), False)


def davidson(sets: Path) -> Iterator[Example]:
    """Davidson et al.: tweets, hate or neither; those that merely swear are left out."""
    for row in read_csv(sets / "hate-speech-and-offensive-language/data/labeled_data.csv"):
        if row["class"] != "1":
            yield Example(row["tweet"], "en", "Davidson", int(row["class"] == "0"), False)


def stormfront(sets: Path) -> Iterator[Example]:
    """De Gibert et al.: sentences of a white supremacist forum, hate or not."""
    folder = sets / "hate-speech-dataset"
    for row in read_csv(folder / "annotations_metadata.csv"):
        if row["label"] in ("hate", "noHate"):
            text = (folder / "all_files" / f"{row['file_id']}.txt").read_text("utf-8")
            yield Example(text, "en", "Stormfront", int(row["label"] == "hate"), False)


def surge(sets: Path) -> Iterator[Example]:
    """Comments of social media, toxic or not."""
    for row in read_csv(sets / "toxicity/toxicity_en.csv"):
        yield Example(row["text"], "en", "Surge", int(row["is_toxic"] == "Toxic"), False)


def smile(sets: Path) -> Iterator[Example]:
    """SMILE: dialogues of people who ask for support, rewritten by a language model; labels by a rule over them.

    A turn of the client that speaks of harming oneself is an example, unless somebody else may be meant; turns of the
    supporter and other turns of the client are not.
    """
    folder = sets / "smile/data"
    for path in sorted(folder.glob("*.json"), key=lambda path: int(path.stem)):
        for i, turn in enumerate(json.loads(path.read_text("utf-8"))):
            text, client = turn["content"], turn["role"] == "client"
            found = HARM.search(text)
            if found is None:
                if i == 0 and int(path.stem) % 10 == 0:
                    yield Example(text[:200], "zh", "SMILE", 0, False)
            elif not client:
                yield Example(text[max(found.start() - 60, 0) :][:120], "zh", "SMILE", 0, False)
            elif not OTHERS.search(text[max(found.start() - 14, 0) : found.end() + 6]):
                yield Example(text[max(found.start() - 60, 0) :][:120], "zh", "SMILE", 1, False)


def support_seekers(sets: Path) -> Iterator[Example]:
    """First turns of SMILE's clients, a third of them: quarrels, couples, families and self-reproach, no contempt."""
    for path in sorted((sets / "smile/data").glob("*.json"), key=lambda path: int(path.stem)):
        if int(path.stem) % 3 == 0:
            text = json.loads(path.read_text("utf-8"))[0]["content"]
            yield Example(text[:150], "zh", "SMILE", 0, False)


def measured_toxic(data: Path, sets: Path) -> Iterator[Example]:
    """Sets on contempt and abuse that are never trained on."""
    yield from cold(data, "dev")
    for row in read_csv(sets / "COLDataset/COLDataset/test.csv"):
        yield Example(row["TEXT"], "zh", "COLD test", int(row["label"]), True)
    for row in read_csv(sets / "ToxiCN/ToxiCN_1.0.csv"):
        yield Example(row["content"], "zh", "ToxiCN", int(row["toxic"]), True)
    cases = "multilingual-hatecheck/MHC Final Cases/hatecheck_cases_final_mandarin.csv"
    for path, language in ((cases, "zh"), ("hatecheck-data/test_suite_cases.csv", "en")):
        for row in read_csv(sets / path):
            plain = re.search("ident_neutral|ident_pos", row["functionality"])
            name = "HateCheck, groups named plainly" if plain else "HateCheck"
            yield Example(row["test_case"], language, name, int(row["label_gold"] == "hateful"), True)
    for line in (sets / "OLID/olid-training-v1.0.tsv").read_text("utf-8").splitlines()[1:]:
        _, text, offensive, *_ = line.split("\t")
        text = text.replace("@USER", "").replace("URL", "").strip()
        yield Example(text, "en", "OLID", int(offensive == "OFF"), True)
    yield from moderation(sets, ("H", "H2", "HR"))


def measured_harm(sets: Path) -> Iterator[Example]:
    """Sets on self-harm that are never trained on."""
    yield from moderation(sets, ("SH",))
    for row in read_csv(sets / "twitter-suicidal-intention-dataset/twitter-suicidal_data.csv"):
        yield Example(row["tweet"], "en", "tweets", int(row["intention"] == "1"), True)
    for row in read_csv(sets / "goodbye_world/data/data_for_model.csv"):
        text = f"{row['title']}\n{row['selftext']}"[:1500]
        yield Example(text, "en", "r/SuicideWatch, r/depression", int(row["is_suicide"] == "1"), True)
    for name, label in (("die*.txt", 1), ("normal*.txt", 0)):
        for path in sorted((sets / "suicide-detect-svm/data/source").glob(name)):
            for line in path.read_text("utf-8", "replace").splitlines():
                if line.strip():
                    yield Example(line.strip(), "zh", "Weibo posts", label, True)


def moderation(sets: Path, names: tuple[str, ...]) -> Iterator[Example]:
    """Markov et al.: prompts and web text; positive with one of these labels."""
    path = sets / "moderation-api-release/data/samples-1680.jsonl.gz"
    for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines():
        row = json.loads(line)
        label = int(any(row.get(name) == 1 for name in names))
        yield Example(row["prompt"], "en", "OpenAI moderation", label, True)


def passages(text: str, language: str) -> list[str]:
    """The text in passages of PASSAGE characters (zh) or words."""
    words = list(text) if language == "zh" else text.split(" ")
    joint = "" if language == "zh" else " "
    return [joint.join(words[at : at + PASSAGE]) for at in range(0, len(words), PASSAGE)]


def web(data: Path) -> Iterator[Example]:
    """Passages of web_labels.parquet, of documents that the reader did not flag as offensive."""
    rows = pq.read_table(data / "web_labels.parquet", columns=["text", "lang", "flags"]).to_pylist()
    for row in rows:
        if row["lang"] in ("zh", "en") and "offensive" not in (row["flags"] or ()):
            for text in passages(row["text"], row["lang"]):
                if len(text.strip()) > 15:
                    yield Example(text, row["lang"], "web", 0, False)


def read_windows(data: Path) -> Iterator[Example]:
    """The passages of `WINDOWS_PATH` with their labels."""
    texts = {}
    for name in ("web_labels", "web_pool"):
        for row in pq.read_table(data / f"{name}.parquet", columns=["id", "lang", "text"]).to_pylist():
            texts[row["id"]] = (row["lang"], passages(row["text"], row["lang"]))
    for row in read_csv(WINDOWS_PATH):
        language, parts = texts[row["id"]]
        yield Example(parts[int(row["passage"])], language, "read", int(row["contempt"]), False)
