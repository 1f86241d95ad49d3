"""Pages of a release that describe its files: the dataset card and the Croissant metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.report.card import card
from pipeline.report.croissant import croissant
from pipeline.report.release_numbers import ReleaseNumbers

MEANINGS: Mapping[str, str] = {
    "doc_id": "Id of the document: a hash of its source, input file and record number.",
    "text": "The text as released, after edits.",
    "language": "Language and script, ISO 639-3 and ISO 15924; `mul` is mixed, `zxx` no language, `und` unknown.",
    "language_score": "How sure the language label is, 0 to 1.",
    "source": "Source of the document, as the run file names it.",
    "source_id": "Id that came with the document; null where none did.",
    "domain": "Subject label.",
    "url": "Address the document was read from.",
    "date": "Date that came with the document, as it was written there.",
    "snapshot": "Crawl or dump that the document came from; null where nothing says.",
    "license": "Licence that came with the document, or that of its source; null where neither says.",
    "rights": "Licence of the document and what it obliges to; null where the run did not look for licences.",
    "rights.spdx": "SPDX expression; null for none, and for one that is not recognised.",
    "rights.class": "The most restrictive obligation, `unknown`, `reserved`, or `none` for no statement.",
    "rights.evidence": "Where the licence was stated: record, or page with the place in it.",
    "rights.url": "Page of the licence.",
    "rights.opt_out": "Whether the holder reserved the text from training.",
    "rights.opt_out_date": "Date of the opt-out, as far as it is known.",
    "provenance": "Who wrote the text: human, post-edited, machine-translated or LLM; null where nothing says.",
    "quality_bucket": "Rank among documents of its language by quality, in equal shares of tokens or bytes; highest is "
    "best.",
    "quality": "Scores of the quality classifiers.",
    "perplexity": "Perplexity under the language model of its language; lower is more fluent.",
    "cluster": "Cluster of near copies that the document belongs to; null for none.",
    "cluster_size": "Documents in its cluster of near copies, itself included; 1 for none.",
    "size": "Documents in the cluster, kept or not.",
    "n_eligible": "Documents in the cluster that no rule drops: those that one was kept among.",
    "n_kept": "Documents in the cluster that are in `data/`: most often one, none where rules drop them all.",
    "keepers": "Ids of the documents of the cluster that are in `data/`, sorted.",
    "snapshots": "Documents of the cluster, and kept ones, by snapshot.",
    "sources": "Documents of the cluster, and kept ones, by source.",
    "n_tokens": "Tokens, by the tokenizer that the run counts with.",
    "parent_id": "Document that this one was made from.",
    "lineage": "Where the document was read: input file, record number, hash of the text before edits.",
    "lineage.input": "Input file, below the root of its source.",
    "lineage.row": "Number of the record in that file, from 0.",
    "lineage.text_hash": "XXH3-128 of the text before edits, in hex.",
    "shard": "Shard of the store that holds the document.",
    "row": "Row of the document: in its shard for the ledger, in its part for an order.",
    "keep": "Whether the document is in `data/`.",
    "rule": "First rule that dropped the document, `duplicate` where another copy is kept; null exactly when kept.",
    "flags": "Rules that it fails and that only flag or trim.",
    "keeper_id": "The document kept instead of this copy.",
    "duplicate": "How a copy is like the document kept instead: raw (the same text), exact (the same but for width, "
    "case, marks, Traditional forms) or near.",
    "similarity": "Similarity with the document kept instead, 0 to 1.",
    "copies": "How often the document is in the default mix; 0 when kept and left out by its ratio.",
    "text_digest": "XXH3-64 of the released text, as a signed integer; null where the document is not kept.",
    "row_digest": "Digest of the other columns of the document in data/; null where it is not kept.",
    "digest": "Digest of the other columns of this row, which `bicorpus verify` checks.",
    "part": "Number of the part that holds the document: of the mix, or of `data/<language>/` when the mix has none.",
    "epoch": "0 for the first time that a document comes in the mix, 1 for the second, and so on.",
    "question": "The question of a worked solution.",
    "steps": "The steps of a worked solution, in order.",
    "answer": "The answer of a worked solution.",
    "kinds": "What showed that it is a worked solution.",
    "step_kinds": "What each step does: goal, given, decompose, recall, derive, compute, case, check, reflect or "
    "conclude.",
    "template": "The kinds of the steps in order, without repetitions.",
    "task": "What the question asks for: choice, proof, code, why, compute or explain.",
    "spans": "Where question, steps and answer stand in the text of `parent_id` before edits.",
    "support": "How much of the solution its document bears out, 0 to 1.",
    "extractor": "What found the solution.",
    "model": "Model that wrote or checked it, if one did.",
    "prompt_version": "Version of the prompt that the model was given.",
    "seed": "Seed of whatever was drawn at random.",
    "parallel_id": "The same solution in the other language.",
}
"""Meaning of each column of a release's files, for its card; `struct.field` for fields of a struct."""


def pages(
    report: ReleaseNumbers,
    files: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, pa.Schema],
) -> dict[str, str]:
    """Return the files that describe a release, text by file name: its card and its Croissant description.

    Args: report, contents of report.json; files, path, rows, bytes and sha256 of every other file; schemas, of the
    Parquet files below each folder.
    Raises: TypeError if a column has a type that Croissant cannot express.
    """
    return {
        "README.md": card(report, files, schemas, MEANINGS),
        "croissant.json": croissant(report, files, schemas, MEANINGS),
    }
