"""Read archives of other tools: pages in, documents out, beside warcio and trafilatura; prints Markdown.

FOLDER has .warc, .warc.gz, .warc.zst and .arc files in folders by tool, for example those of the repositories of
warcio, pywb and jwarc. PYTHON is an interpreter that has warcio and trafilatura; without one, their columns are empty.
A page is a record with status 200 of a page's content type, as warcio finds it.

Example: python -m scripts.bench.bench_archives archives --peers peers/bin/python
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import click

from pipeline.ingest.canonical import Rows, SourceInfo
from scripts.bench import archive_peers
from scripts.bench.archive_peers import archives
from stages.readers.warc import READER


def read_here(path: Path) -> dict[str, int | Counter[str]]:
    """Count documents, and quarantined and skipped records by reason."""
    rows = Rows(SourceInfo(name="s", input=path.name, fields=READER.fields))
    with open(path, "rb") as stream:
        for record in READER.read(stream, path.name, READER.config()):
            rows.add(record)
    documents, quarantined, _ = rows.take()
    reasons = Counter(quarantined["reason"].to_pylist())
    return {"documents": documents.num_rows, "quarantined": reasons, "skipped": rows.tally.skipped}


def peers(folder: Path, python: str | None) -> dict[str, dict[str, int | str]]:
    """Run `archive_peers` in another interpreter over all archives."""
    if python is None:
        return {}
    done = subprocess.run(
        [python, archive_peers.__file__, str(folder)], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def named(counts: Counter[str]) -> str:
    """Reasons with their counts, most frequent first."""
    return ", ".join(f"{reason} {n}" for reason, n in counts.most_common()) or "none"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--peers", "python", help="An interpreter that has warcio and trafilatura.")
def main(folder: Path, python: str | None) -> None:
    """Print one row per archive."""
    known = peers(folder, python)
    click.echo(
        "| archive | warcio: records | pages | trafilatura: texts | documents | quarantined | skipped |"
    )
    click.echo("|---|---:|---:|---:|---:|---|---|")
    for path in archives(folder):
        name, here = str(path.relative_to(folder)), read_here(path)
        peer = known.get(name, {})
        stopped = f", {peer['error']}" if peer.get("error") else ""
        click.echo(
            f"| {name} | {peer.get('records', '')}{stopped} | {peer.get('pages', '')} | {peer.get('texts', '')} | "
            f"{here['documents']} | {named(here['quarantined'])} | {named(here['skipped'])} |"  # type: ignore[arg-type]
        )


if __name__ == "__main__":
    main()
