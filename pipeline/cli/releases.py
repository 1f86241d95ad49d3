"""Commands that look at finished releases: check one, report on one, compare two, find what was trained on."""

from __future__ import annotations

import json

import click

from pipeline.cli.options import json_option


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option(
    "--store", "store_url", metavar="URL", help="Also derive decisions again from raw bytes; needs --run."
)
@click.option("--run", "run_path", metavar="RUN.yaml", type=click.Path(), help="The run file of the release.")
@click.option("--sample", type=int, default=1000, show_default=True, help="Decisions to derive again.")
@json_option
def verify(release_url: str, store_url: str | None, run_path: str | None, sample: int, as_json: bool) -> None:
    """Check a release: files, conservation, ledger, mixes; with --store also a sample of its decisions.

    Exits 5 if anything is wrong.

    Example: bicorpus verify store/releases/v1 --store ./store --run run.yaml
    """
    from dataclasses import asdict

    from pipeline.errors import ExpectationError, UsageError
    from pipeline.inspect.verify import verify_files
    from pipeline.storage.store import open_store

    if (store_url is None) != (run_path is None):
        raise UsageError("--store and --run go together")
    release = open_store(release_url)
    reports = [verify_files(release)]
    if store_url and run_path:
        from pipeline.config.load import load_run
        from pipeline.inspect.opened import open_build
        from pipeline.inspect.rederive import verify_store

        store = open_store(store_url)
        run = load_run(run_path, store=store)
        mix = json.loads(release.get("lineage.json")).get("default_mix")
        if mix != run.mix.default and mix in run.mix.mixes:  # chosen with `release --mix`
            run = load_run(run_path, {"mix": {"default": mix}}, store)
        finished = open_build(run, store)
        reports.append(verify_store(release, finished, sample))
    if as_json:
        click.echo(json.dumps([asdict(report) for report in reports], ensure_ascii=False))
    else:
        click.echo("\n".join(line for report in reports for line in report.lines()))
    if not all(report.passed for report in reports):
        raise ExpectationError(f"{release_url}: the release does not hold; see the faults above")


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option("--to", "target", type=click.Path(dir_okay=False), help="The HTML page to write.")
@json_option
def report(release_url: str, target: str | None, as_json: bool) -> None:
    """Write the report of a release as one HTML page, or print its numbers as JSON.

    Example: bicorpus report store/releases/v1 --to report.html
    """
    from pathlib import Path

    from pipeline.errors import UsageError
    from pipeline.report.page import page
    from pipeline.storage.store import open_store

    if (target is None) != as_json:
        raise UsageError("say --to report.html, or --json for the numbers")
    release = open_store(release_url)
    if not release.exists("report.json"):
        raise UsageError(
            f"{release.url}: no report.json; not a release. Give the folder of one, such as store/releases/v1"
        )
    numbers = release.get("report.json").decode()
    if target is None:
        click.echo(numbers.rstrip())
    else:
        Path(target).write_text(page(json.loads(numbers)), encoding="utf-8")
        click.echo(target)


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option("--mix", required=True, help="The mix that was trained on.")
@click.option(
    "--at",
    "place",
    required=True,
    metavar="N[:M]",
    help="Position, or range of positions, in training order.",
)
@click.option(
    "--sequence-length", "length", type=click.IntRange(1), default=1, show_default=True,
    help="Tokens of one training sequence; positions then count sequences.",
)  # fmt: skip
@json_option
def locate(release_url: str, mix: str, place: str, length: int, as_json: bool) -> None:
    """Find the documents at a place of the training order.

    Example: bicorpus locate store/releases/v1 --mix zh50 --at 1200:1208 --sequence-length 4096
    """
    from pipeline.inspect.locate import document_lines, locate_documents, parse_range
    from pipeline.storage.store import open_store

    found = locate_documents(open_store(release_url), mix, *parse_range(place, length))
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(document_lines(found)))


@click.command()
@click.argument("old_url", metavar="OLD")
@click.argument("new_url", metavar="NEW")
@json_option
def diff(old_url: str, new_url: str, as_json: bool) -> None:
    """Compare two releases: documents that came, went or changed their verdict.

    Example: bicorpus diff store/releases/v1 store/releases/v2
    """
    from pipeline.inspect.diff import compare_releases, diff_lines
    from pipeline.storage.store import open_store

    found = compare_releases(open_store(old_url), open_store(new_url))
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(diff_lines(found)))


COMMANDS = (verify, report, locate, diff)
