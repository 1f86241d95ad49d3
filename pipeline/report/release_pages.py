"""Pages of a release that describe its files: the dataset card and the Croissant metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from pipeline.report.card import card
from pipeline.report.card_files import front_matter
from pipeline.report.croissant import croissant
from pipeline.report.release_numbers import ReleaseNumbers
from pipeline.translation import in_language, message

MEANINGS: Mapping[str, str] = {
    "doc_id": message("Id of the document: a hash of its source, input file and record number."),
    "text": message("The text as released, after edits."),
    "language": message(
        "Language and script, ISO 639-3 and ISO 15924; `mul` is mixed, `zxx` no language, `und` unknown."
    ),
    "language_score": message("How sure the language label is, 0 to 1."),
    "source": message("Source of the document, as the run file names it."),
    "source_id": message("Id that came with the document; null where none did."),
    "domain": message("Subject label."),
    "url": message("Address the document was read from."),
    "date": message("Date that came with the document, as it was written there."),
    "snapshot": message("Crawl or dump that the document came from; null where nothing says."),
    "license": message(
        "Licence that came with the document, or that of its source; null where neither says."
    ),
    "rights": message(
        "Licence of the document and what it obliges to; null where the run did not look for licences."
    ),
    "rights.spdx": message("SPDX expression; null for none, and for one that is not recognised."),
    "rights.class": message(
        "The most restrictive obligation, `unknown`, `reserved`, or `none` for no statement."
    ),
    "rights.evidence": message("Where the licence was stated: record, or page with the place in it."),
    "rights.url": message("Page of the licence."),
    "rights.opt_out": message("Whether the holder reserved the text from training."),
    "rights.opt_out_date": message("Date of the opt-out, as far as it is known."),
    "provenance": message(
        "Who wrote the text: human, post-edited, machine-translated or LLM; null where nothing says."
    ),
    "quality_bucket": message(
        "Rank among documents of its language by quality, in equal shares of tokens or bytes; highest is best."
    ),
    "quality": message("Scores of the quality classifiers."),
    "perplexity": message("Perplexity under the language model of its language; lower is more fluent."),
    "cluster": message("Cluster of near copies that the document belongs to; null for none."),
    "cluster_size": message("Documents in its cluster of near copies, itself included; 1 for none."),
    "size": message("Documents in the cluster, kept or not."),
    "n_eligible": message("Documents in the cluster that no rule drops: those that one was kept among."),
    "n_kept": message(
        "Documents in the cluster that are in `data/`: most often one, none where rules drop them all."
    ),
    "keepers": message("Ids of the documents of the cluster that are in `data/`, sorted."),
    "snapshots": message("Documents of the cluster, and kept ones, by snapshot."),
    "sources": message("Documents of the cluster, and kept ones, by source."),
    "n_tokens": message("Tokens, by the tokenizer that the run counts with."),
    "parent_id": message("Document that this one was made from."),
    "lineage": message(
        "Where the document was read: input file, record number, hash of the text before edits."
    ),
    "lineage.input": message("Input file, below the root of its source."),
    "lineage.row": message("Number of the record in that file, from 0."),
    "lineage.text_hash": message("XXH3-128 of the text before edits, in hex."),
    "shard": message("Shard of the store that holds the document."),
    "row": message("Row of the document: in its shard for the ledger, in its part for an order."),
    "keep": message("Whether the document is in `data/`."),
    "rule": message(
        "First rule that dropped the document, `duplicate` where another copy is kept; null exactly when kept."
    ),
    "flags": message("Rules that it fails and that only flag or trim."),
    "keeper_id": message("The document kept instead of this copy."),
    "duplicate": message(
        "How a copy is like the document kept instead: raw (the same text), exact (the same but for width, case, "
        "marks, Traditional forms) or near."
    ),
    "similarity": message("Similarity with the document kept instead, 0 to 1."),
    "copies": message("How often the document is in the default mix; 0 when kept and left out by its ratio."),
    "text_digest": message(
        "XXH3-64 of the released text, as a signed integer; null where the document is not kept."
    ),
    "row_digest": message("Digest of the other columns of the document in data/; null where it is not kept."),
    "digest": message("Digest of the other columns of this row, which `bicorpus verify` checks."),
    "part": message(
        "Number of the part that holds the document: of the mix, or of `data/<language>/` when the mix has none."
    ),
    "epoch": message("0 for the first time that a document comes in the mix, 1 for the second, and so on."),
    "question": message("The question of a worked solution."),
    "steps": message("The steps of a worked solution, in order."),
    "answer": message("The answer of a worked solution."),
    "kinds": message("What showed that it is a worked solution."),
    "step_kinds": message(
        "What each step does: goal, given, decompose, recall, derive, compute, case, check, reflect or conclude."
    ),
    "template": message("The kinds of the steps in order, without repetitions."),
    "task": message("What the question asks for: choice, proof, code, why, compute or explain."),
    "spans": message("Where question, steps and answer stand in the text of `parent_id` before edits."),
    "support": message("How much of the solution its document bears out, 0 to 1."),
    "extractor": message("What found the solution."),
    "model": message("Model that wrote or checked it, if one did."),
    "prompt_version": message("Version of the prompt that the model was given."),
    "seed": message("Seed of whatever was drawn at random."),
    "parallel_id": message("The same solution in the other language."),
}
"""Meaning of each column of a release's files, for its card; `struct.field` for fields of a struct."""


CARDS = {"README.md": "en", "README.zh-CN.md": "zh"}
"""Language of each card, by its file name."""

PAGES = (*CARDS, "croissant.json")
"""Names of the files that are written from the numbers of a release and the list of its other files."""


def pages(
    report: ReleaseNumbers,
    files: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, pa.Schema],
) -> dict[str, str]:
    """Return the files that describe a release, text by file name: its card in both languages, and Croissant's.

    Args: report, contents of report.json; files, path, rows, bytes and sha256 of every other file; schemas, of the
    Parquet files below each folder.
    Raises: TypeError if a column has a type that Croissant cannot express.
    """
    head = yaml.safe_dump(front_matter(report, schemas), sort_keys=False, allow_unicode=True, width=1000)
    found = {}
    for name, language in CARDS.items():
        with in_language(language):
            found[name] = card(report, files, schemas, MEANINGS)
    found["README.md"] = f"---\n{head}---\n\n{found['README.md']}"
    return found | {"croissant.json": croissant(report, files, schemas, MEANINGS)}
