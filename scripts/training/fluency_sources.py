"""Texts of public repositories for the training of the n-gram models: which files, under which licence, read how.

A repository is read from a git directory, owner+name/repo in the folder of --repositories, at its HEAD; the model
cards name the commits of the shipped models.
"""

from __future__ import annotations

import fnmatch
import io
import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """Files of a repository. pattern: of paths in the repository; read: file -> texts."""

    name: str
    language: str
    repository: str
    licence: str
    pattern: str
    read: Callable[[bytes], list[str]]


class Text(NamedTuple):
    """One text of a source."""

    source: str
    language: str
    text: str


def read_lines(data: bytes) -> list[str]:
    """Sentences, one per line, in texts of 50."""
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return ["\n".join(lines[i : i + 50]) for i in range(0, len(lines), 50)]


def read_markdown(data: bytes) -> list[str]:
    """A page without front matter, comments, code, tags, addresses of links and lines of only ASCII marks."""
    text = data.decode("utf-8", "replace")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    text = re.sub(r"^```.*?^```|<!--.*?-->|\{\{.*?\}\}|`[^`\n]*`|<[^>\n]+>", " ", text, flags=re.S | re.M)
    text = re.sub(r"!?\[([^\]\n]*)\](\([^)\n]*\)|\[[^\]\n]*\])", r"\1", text)
    text = re.sub(r"^(\[\w+\]:|via:|作者：|译者：|校对：|\[#\]:).*$|https?://\S+", "", text, flags=re.M)
    return [text]


def read_xhtml(data: bytes) -> list[str]:
    """The paragraphs of a chapter."""
    paragraphs = re.findall(r"<p\b[^>]*>(.*?)</p>", data.decode("utf-8", "replace"), re.S)
    plain = [" ".join(unescape(re.sub(r"<[^>]+>", "", part)).split()) for part in paragraphs]
    return ["\n".join(plain)] if plain else []


def read_conllu(data: bytes) -> list[str]:
    """The sentences of a treebank, in texts of 50."""
    sentences = re.findall(r"^# text = (.*)$", data.decode("utf-8", "replace"), re.M)
    return ["\n".join(sentences[i : i + 50]) for i in range(0, len(sentences), 50)]


def read_contexts(data: bytes) -> list[str]:
    """The paragraphs of a set for reading comprehension: values of `context` or `context_text`, blanks left out."""
    texts: dict[str, None] = {}

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("context", "context_text") and isinstance(inner, str):
                    texts[re.sub(r"\[BLANK\d+\]", "，", inner)] = None
                else:
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads(data))
    return list(texts)


def read_cloze(data: bytes) -> list[str]:
    """Segmented stories with numbered lines, joined; lines with the blank of the question are left out."""
    stories: list[list[str]] = []
    for line in data.decode("utf-8", "replace").splitlines():
        number, _, sentence = line.partition(" ||| ")
        if number.strip() == "1":
            stories.append([])
        if stories and "XXXXX" not in sentence and "|||" not in sentence:
            stories[-1].append(sentence.replace(" ", ""))
    return ["\n".join(story) for story in stories]


def read_zipped_cloze(data: bytes) -> list[str]:
    """Stories as in `read_cloze`, from the files of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
        return [text for name in sorted(names) for text in read_cloze(archive.read(name))]


def read_second_column(data: bytes) -> list[str]:
    """The second column of a table with tabs."""
    rows = [line.split("\t") for line in data.decode("utf-8", "replace").splitlines()]
    return list(dict.fromkeys(row[1] for row in rows if len(row) > 1))


def read_dialogues(data: bytes) -> list[str]:
    """The turns of dialogues, `content` of `messages`, from JSON files of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        tables = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")]
    return [
        "\n".join(turn["content"] for turn in dialogue["messages"])
        for table in tables
        for dialogue in table.values()
    ]


STANDARD_EBOOKS = (
    "jane-austen_pride-and-prejudice bertrand-russell_the-problems-of-philosophy g-k-chesterton_orthodoxy "
    "john-maynard-keynes_the-economic-consequences-of-the-peace f-scott-fitzgerald_the-great-gatsby "
    "henry-david-thoreau_walden agatha-christie_the-mysterious-affair-at-styles virginia-woolf_mrs-dalloway "
    "w-e-b-du-bois_the-souls-of-black-folk"
).split()

SOURCES = (
    Source("lctt", "zh", "LCTT/TranslateProject", "Apache-2.0", "published/*.md", read_markdown),
    Source("javaguide", "zh", "Snailclimb/JavaGuide", "Apache-2.0", "docs/*.md", read_markdown),
    Source("howtocook", "zh", "Anduin2017/HowToCook", "Unlicense", "*.md", read_markdown),
    Source("common-voice-zh", "zh", "mozilla/voice-web", "CC0-1.0", "server/data/zh-*/*.txt", read_lines),
    Source("common-voice-en", "en", "mozilla/voice-web", "CC0-1.0", "server/data/en/*.txt", read_lines),
    Source("cmrc2017", "zh", "ymcui/cmrc2017", "CC-BY-SA-4.0", "*.doc_query", read_cloze),
    Source("fairy-tales", "zh", "ymcui/Chinese-RC-Dataset", "CC-BY-SA-4.0", "*cft.zip", read_zipped_cloze),
    Source("cmrc2019", "zh", "ymcui/cmrc2019", "CC-BY-SA-4.0", "data/*.json", read_contexts),
    Source("cmrc2018-dev", "zh", "ymcui/cmrc2018", "CC-BY-SA-4.0", "data/*.json", read_contexts),
    Source("gsd", "zh", "UniversalDependencies/UD_Chinese-GSDSimp", "CC-BY-SA-4.0", "*.conllu", read_conllu),
    Source(
        "ewt", "en", "UniversalDependencies/UD_English-EWT", "CC-BY-SA-4.0", "*/sources/*.conllu", read_conllu
    ),
    Source("csl", "zh", "ydli-ai/CSL", "Apache-2.0", "benchmark/ts/*.tsv", read_second_column),
    Source("crosswoz", "zh", "thu-coai/CrossWOZ", "Apache-2.0", "data/crosswoz/*.json.zip", read_dialogues),
    Source("digital-gov", "en", "GSA/digitalgov.gov", "public domain (US)", "content/*.md", read_markdown),
    *(
        Source(
            "standard-ebooks", "en", f"standardebooks/{name}", "CC0-1.0", "src/epub/text/*.xhtml", read_xhtml
        )
        for name in STANDARD_EBOOKS
    ),
)


def git_directory(folder: Path, repository: str) -> Path:
    """The git directory of a repository below `folder`."""
    path = folder / repository.replace("/", "+") / "repo"
    return path / ".git" if (path / ".git").exists() else path


def read_source(folder: Path, source: Source) -> Iterator[Text]:
    """The texts of a source, in order of paths."""
    git = ["git", "-c", "core.quotePath=false", "-C", str(git_directory(folder, source.repository))]
    listing = subprocess.run([*git, "ls-tree", "-r", "-z", "HEAD"], capture_output=True, check=True).stdout
    entries = [
        entry.split("\t", 1) for entry in listing.decode("utf-8", "replace").split("\0") if "\t" in entry
    ]
    wanted = [(meta.split()[2], path) for meta, path in entries if fnmatch.fnmatch(path, source.pattern)]
    for blob, _ in wanted:
        result = subprocess.run([*git, "cat-file", "blob", blob], capture_output=True, check=False)
        if result.returncode == 0:  # a snapshot may lack its largest files
            for text in source.read(result.stdout):
                yield Text(source.name, source.language, text)


def read_repositories(folder: Path) -> list[Text]:
    """The texts of all sources."""
    return [text for source in SOURCES for text in read_source(folder, source)]
