"""The recipes of the peers as their makers recommend them, run in the environment of one peer; see peers.py.

This file imports nothing of the repository: it runs where one peer is installed. Steps that need a model or a list from
the network are left out and listed. Each recipe gets the language of a document as it is known, as its own pipelines
take one language each.

Usage: python peers_tools.py TOOL INPUT.jsonl OUTPUT.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]  # JSON

ALPHA_CHINESE = {
    "dup_line_frac": 0.287, "new_line_ratio": 0.178, "line_punct_thr": 0.106, "max_non_alpha_words_ratio": 0.735,
    "dup_n_grams": ((5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.14), (10, 0.127)),
    "top_n_grams": ((2, 0.256), (3, 0.201), (4, 0.171)), "min_avg_word_length": 1, "max_avg_word_length": 5,
    "stop_words": list("的年在月是和日了於·為有被人中为他與後也而由"),
}  # fmt: skip
"""FineWeb-2's thresholds for Chinese, configs/cmn_Hani.yml of huggingface/fineweb-2."""


def datatrove(rows: Rows, language: str, folder: str) -> tuple[set[str], str]:
    """FineWeb for English, FineWeb-2 for other languages: Gopher, C4 and FineWeb filters, then MinHash (14 x 8)."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.typeshelper import Languages
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    if language == "en":
        code, steps = Languages.english, [
            GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
        ]  # fmt: skip
    else:
        t = ALPHA_CHINESE
        code = Languages.mandarin_chinese
        steps = [
            GopherRepetitionFilter(
                language=code, dup_para_frac=0, dup_line_char_frac=0, dup_para_char_frac=0,
                dup_line_frac=t["dup_line_frac"], top_n_grams=t["top_n_grams"], dup_n_grams=t["dup_n_grams"],
            ),
            FineWebQualityFilter(
                language=code, short_line_thr=999, char_duplicates_ratio=0.1, line_punct_thr=t["line_punct_thr"],
                new_line_ratio=t["new_line_ratio"],
            ),
            GopherQualityFilter(
                language=code, min_avg_word_length=t["min_avg_word_length"],
                max_avg_word_length=t["max_avg_word_length"], stop_words=t["stop_words"], min_stop_words=2,
                max_non_alpha_words_ratio=t["max_non_alpha_words_ratio"],
            ),
        ]  # fmt: skip
    Path(folder, "in").mkdir()
    write(rows, Path(folder, "in/docs.jsonl"))
    read = JsonlReader(f"{folder}/in")
    again = JsonlReader(f"{folder}/kept")
    run: list[Callable[[], list[Any]]] = [
        lambda: [read, *steps, JsonlWriter(f"{folder}/kept", compression=None)],
        lambda: [again, MinhashDedupSignature(f"{folder}/sigs", language=code)],
        lambda: [MinhashDedupBuckets(f"{folder}/sigs", f"{folder}/buckets")],
        lambda: [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove")],
        lambda: [
            again,
            MinhashDedupFilter(f"{folder}/remove"),
            JsonlWriter(f"{folder}/out", compression=None),
        ],
    ]
    for i, pipeline in enumerate(run):
        load_word_tokenizer.cache_clear()  # one that was used cannot be copied, and the executor copies
        tasks = 14 if i == 2 else 1
        LocalPipelineExecutor(pipeline(), tasks=tasks, workers=1, logging_dir=f"{folder}/logs{i}").run()
    return ids_below(Path(folder, "out")), "language identification (a model from the network), URL filter"


C4_ENGLISH = [
    {"clean_email_mapper": {}}, {"clean_links_mapper": {}}, {"fix_unicode_mapper": {}},
    {"punctuation_normalization_mapper": {}}, {"whitespace_normalization_mapper": {}},
    {"alphanumeric_filter": {"tokenization": False, "min_ratio": 0.65, "max_ratio": 0.9}},
    {"average_line_length_filter": {"max_len": 3000}},
    {"character_repetition_filter": {"rep_len": 10, "max_ratio": 0.3}},
    {"maximum_line_length_filter": {"max_len": 4000}},
    {"special_characters_filter": {"max_ratio": 0.4}},
    {"words_num_filter": {"tokenization": False, "min_num": 20, "max_num": 10000}},
    {"word_repetition_filter": {"lang": "en", "tokenization": False, "rep_len": 10, "max_ratio": 0.231}},
    {"document_simhash_deduplicator": {
        "tokenization": "space", "window_size": 6, "lowercase": True, "ignore_pattern": r"\p{P}", "num_blocks": 6,
        "hamming_distance": 4}},
]  # fmt: skip
"""Data-Juicer's recipe for C4 (redpajama-c4-refine.yaml), without the steps that need a model."""

CHINESE = [
    {"document_deduplicator": {"lowercase": True, "ignore_non_character": True}},
    {"alphanumeric_filter": {"tokenization": False, "min_ratio": 0.1}},
    {"character_repetition_filter": {"rep_len": 10, "max_ratio": 0.6}},
    {"text_length_filter": {"min_len": 10}},
    {"document_simhash_deduplicator": {
        "tokenization": "character", "window_size": 4, "lowercase": True, "ignore_pattern": r"\p{P}", "num_blocks": 10,
        "hamming_distance": 8}},
]  # fmt: skip
"""Its recipe for Chinese (alpaca-cot-zh-refine.yaml), likewise; it has none for Chinese web text."""


def data_juicer(rows: Rows, language: str, folder: str) -> tuple[set[str], str]:
    """Its refined recipes by `dj-process`."""
    write(rows, Path(folder, "docs.jsonl"))
    page = {
        "project_name": "peers", "dataset_path": f"{folder}/docs.jsonl", "export_path": f"{folder}/out/docs.jsonl",
        "np": 1, "open_tracer": False, "process": C4_ENGLISH if language == "en" else CHINESE,
    }  # fmt: skip
    Path(folder, "recipe.yaml").write_text(json.dumps(page))  # JSON is YAML
    program = Path(sys.executable).with_name("dj-process")
    subprocess.run([str(program), "--config", f"{folder}/recipe.yaml"], check=True, stdout=2)
    left = (
        "perplexity and language identification (models), tokenizers"
        if language == "en"
        else "flagged words (a list)"
    )
    return ids_below(Path(folder, "out")), left


def nemo_curator(rows: Rows, language: str, folder: str) -> tuple[set[str], str]:
    """The heuristic filters of its English pipeline file, stage by stage in this process; it deduplicates on GPUs only.

    Chinese documents are all kept: its other file is for languages with blanks between words, by its own words.
    """
    if language != "en":
        return {row["id"] for row in rows}, "all: it has no recipe for Chinese"
    import hydra
    import nemo_curator
    import pandas as pd
    import yaml
    from nemo_curator.tasks import DocumentBatch

    path = Path(nemo_curator.__file__).parent / "config/text/heuristic_filter_english_pipeline.yaml"
    page = yaml.safe_load(path.read_text().replace("${text_field}", "text"))
    batch = DocumentBatch(dataset_name="peers", data=pd.DataFrame(rows))
    for entry in page["stages"]:
        if "filter" in entry["_target_"]:
            stage = hydra.utils.instantiate(entry)
            if hasattr(stage, "setup"):
                stage.setup()
            batch = stage.process(batch)
    return set(batch.to_pandas()["id"]), "fuzzy and exact deduplication (GPU only)"


def text_dedup(rows: Rows, language: str, folder: str) -> tuple[set[str], str]:
    """MinHash at its defaults (threshold 0.7, 5 words); it has no filters."""
    write(rows, Path(folder, "docs.jsonl"))
    command = [
        sys.executable, "-m", "text_dedup.minhash", "--path", "json", "--data_files", f"{folder}/docs.jsonl", "--split",
        "train", "--column", "text", "--output", f"{folder}/out", "--cache_dir", f"{folder}/cache", "--num_proc", "1",
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=2)
    from datasets import load_from_disk

    return set(load_from_disk(f"{folder}/out")["id"]), "it has no filters"


TOOLS: dict[str, tuple[str, Callable[[Rows, str, str], tuple[set[str], str]]]] = {
    "datatrove": ("datatrove", datatrove),
    "data-juicer": ("py-data-juicer", data_juicer),
    "nemo-curator": ("nemo-curator", nemo_curator),
    "text-dedup": ("text-dedup", text_dedup),
}


def write(rows: Rows, path: Path) -> None:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def ids_below(folder: Path) -> set[str]:
    """Ids of the documents in the files of a folder; files of statistics have none."""
    lines = (
        line
        for path in folder.rglob("*.jsonl")
        for line in path.read_text(encoding="utf-8").strip().split("\n")
    )
    rows = (json.loads(line) for line in lines if line)
    return {row["id"] for row in rows if "id" in row}


def main() -> None:
    """Run one tool over both languages, and write the ids that it keeps."""
    tool, source, target = sys.argv[1:]
    package, run = TOOLS[tool]
    rows = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").strip().split("\n")]
    kept: set[str] = set()
    left_out = []
    for language in ("en", "zh"):
        with tempfile.TemporaryDirectory(dir=os.environ.get("PEERS_TMP")) as folder:
            own = [{"id": row["id"], "text": row["text"]} for row in rows if row["lang"] == language]
            found, left = run(own, language, folder)
        kept |= found
        left_out.append(f"{language}: {left}")
    page = {"kept": sorted(kept), "version": version(package), "left_out": left_out}
    Path(target).write_text(json.dumps(page))


if __name__ == "__main__":
    main()
