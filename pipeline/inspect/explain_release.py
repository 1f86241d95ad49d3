"""One document of a release, from the files of the release alone: its verdict, rule, duplicates and places in mixes.

What a build knows besides, such as the value that failed a rule, is in the store: `bicorpus explain RUN.yaml --store`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any  # values of any column

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.cells import clip, visible
from pipeline.dataset.release_schema import order_path
from pipeline.errors import UsageError
from pipeline.inspect.explain_text import KINDS
from pipeline.inspect.query import shortest, similarity_text
from pipeline.inspect.release_files import read_checksums
from pipeline.inspect.run_page import sections_of
from pipeline.rules.meanings import meaning_of
from pipeline.storage.store import Store
from pipeline.translation import t

EXCERPT = 200
N_COPIES = 5

Facts = dict[str, Any]


def explain_released(release: Store, doc_id: str | None = None, url: str | None = None) -> Facts:
    """What a release states of a document, as plain data.

    Args: doc_id, or the url of a kept document.
    Returns: ledger, its row there; document, its row of the data files without the text, and excerpt, None of a
    dropped one; rule, as the run file of the release has it; keeper, ledger and document of the one kept in its place;
    kept_for, ids of documents removed in favour of it, the first ones, and n_kept_for; mixes, its copies in each, and
    position, that of the first in training order.
    Raises: UsageError if the release has no such document, or is none.
    """
    if not release.exists("checksums.sha256"):
        raise UsageError(
            f"{release.url}: no checksums.sha256, so not a release; expected the folder of one, or a run file"
        )
    names = sorted(read_checksums(release))
    if doc_id is None:
        found = _first(_rows(release, names, "data/", "url", url))
        if found is None:
            raise UsageError(f"{release.url}: no kept document has the url {url!r}")
        doc_id = found["doc_id"]
    facts = _document(release, names, str(doc_id))
    ledger, known = facts["ledger"], json.loads(release.get("lineage.json")).get("mixes", {})
    keeper = ledger.get("keeper_id")
    facts["keeper"] = _document(release, names, keeper) if keeper and keeper != doc_id else None
    removed = list(_rows(release, names, "ledger/", "keeper_id", doc_id)) if ledger["keep"] else []
    ids = [row["doc_id"] for row in removed if row["doc_id"] != doc_id]
    facts |= {"kept_for": ids[:N_COPIES], "n_kept_for": len(ids), "rule": _rule(release, ledger.get("rule"))}
    facts["mixes"] = {mix: _places(release, mix, str(doc_id)) for mix in known if order_path(mix) in names}
    return facts


def _document(release: Store, names: list[str], doc_id: str) -> Facts:
    """Rows of a document in the ledger and in the data files, and the beginning of its text."""
    ledger = _first(_rows(release, names, "ledger/", "doc_id", doc_id))
    if ledger is None:
        raise UsageError(
            f"{release.url}: no document {doc_id!r}; ids are those of the ledger and the data files"
        )
    document = _first(_rows(release, names, "data/", "doc_id", doc_id)) if ledger["keep"] else None
    text = (document or {}).pop("text", None)
    return {"ledger": ledger, "document": document, "excerpt": text[:EXCERPT] if text else None}


def _rows(release: Store, names: list[str], folder: str, column: str, value: str | None) -> Iterator[Facts]:
    """Rows of the files of a folder of a release with a value in a column; of others that column alone is read."""
    for name in names:
        if not name.startswith(folder) or not name.endswith(".parquet"):
            continue
        with release.open(name) as stream:
            file = pq.ParquetFile(stream)
            for group in range(file.num_row_groups):
                found = pc.equal(file.read_row_group(group, columns=[column])[column], value)
                if not pc.any(found).as_py():
                    continue
                for row in file.read_row_group(group).filter(found).to_pylist():
                    yield {
                        key: shortest(item, file.schema_arrow.field(key).type) for key, item in row.items()
                    }


def _first(rows: Iterator[Facts]) -> Facts | None:
    return next(rows, None)


def _rule(release: Store, name: str | None) -> Facts | None:
    """A rule as the run file of the release has it, if it is spelt out there."""
    if name is None or not release.exists("run.yaml"):
        return None
    entries = sections_of(release).get("select") or []
    return next((entry for entry in entries if isinstance(entry, dict) and entry.get("name") == name), None)


def _places(release: Store, mix: str, doc_id: str) -> Facts:
    """Copies of a document in a mix, and the position of the first, None without any."""
    with release.open(order_path(mix)) as stream:
        ids = pq.read_table(stream, columns=["doc_id"])["doc_id"]
    places = pc.indices_nonzero(pc.equal(ids, pa.scalar(doc_id, ids.type)))
    return {"copies": len(places), "position": places[0].as_py() if len(places) else None, "of": len(ids)}


def released_text(facts: Facts, width: int) -> str:
    """The facts of a document as text for a terminal."""
    ledger = facts["ledger"]
    verdict = t("kept") if ledger["keep"] else t(f"dropped by {ledger['rule']}")
    lines = [f"{ledger['doc_id']}  {verdict}", *_facts(facts, width)]
    if facts["rule"]:
        conditions = {k: v for k, v in facts["rule"].items() if k not in ("name", "action", "if_null")}
        lines.append(f"  {t('rule')} {json.dumps(conditions, ensure_ascii=False)}")
    if meaning := meaning_of(ledger.get("rule") or ""):
        lines.append(f"        {t(meaning)}")
    if facts["keeper"]:
        kind = t(KINDS[ledger["duplicate"]]) if ledger.get("duplicate") in KINDS else ""
        similarity = similarity_text(ledger["similarity"]) if ledger.get("similarity") is not None else ""
        lines.append(f"  {t('keeper')} {facts['keeper']['ledger']['doc_id']}  {kind} {similarity}".rstrip())
        lines += [f"    {line.lstrip()}" for line in _facts(facts["keeper"], width)]
    if facts["n_kept_for"]:
        lines.append(
            t(f"  {facts['n_kept_for']:,} documents removed in favour of it: {', '.join(facts['kept_for'])}")
        )
    for mix, place in facts["mixes"].items():
        n, first, of = place["copies"], place["position"], place["of"]
        lines += [t(f"  mix {mix}: {n:,} times, first at {first:,} of {of:,} documents")] if n else []
    return "\n".join(clip(line, max(width, 60)) for line in lines)


def _facts(facts: Facts, width: int) -> list[str]:
    """Where a document is from, and what is known of it."""
    ledger, document = facts["ledger"], facts["document"] or {}
    shown = {
        k: ledger.get(k)
        for k in ("language", "snapshot", "cluster_size", "quality_bucket", "perplexity", "flags")
    }
    shown |= {k: document.get(k) for k in ("url", "date", "license", "quality", "n_tokens", "parent_id")}
    origin = ledger["source"] + (f"/{ledger['source_id']}" if ledger.get("source_id") else "")
    if isinstance(lineage := document.get("lineage"), dict):
        origin += f"  {lineage.get('input')}:{lineage.get('row')}"
    lines = [f"  {origin}"]
    lines += [f"  {name} {_plain(value)}" for name, value in shown.items() if value not in (None, [], "")]
    if facts["excerpt"]:
        lines.append(f"  {t('text')} {clip(visible(facts['excerpt']), max(width - 7, 40))}")
    return lines


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
