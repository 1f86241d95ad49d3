"""Commands that read finished releases: verify and report on one, compare two, locate documents of training order."""

from __future__ import annotations

import json

import click

from pipeline.cli.options import check_target, json_option


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option(
    "--store", "store_url", metavar="URL", help="Also recompute decisions from the raw inputs; needs --run."
)
@click.option("--run", "run_path", metavar="RUN.yaml", type=click.Path(), help="The run file of the release.")
@click.option("--sample", type=int, default=1000, show_default=True, help="Decisions to recompute.")
@json_option
def verify(release_url: str, store_url: str | None, run_path: str | None, sample: int, as_json: bool) -> None:
    """Check a release: files, conservation, ledger, mixes; with --store also a sample of its decisions.

    Exits with 5 if a check fails.

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
        raise ExpectationError(f"{release_url}: the release is faulty; see the faults above")


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
    from pipeline.report.release_numbers import read_numbers
    from pipeline.storage.store import open_store

    if (target is None) != as_json:
        raise UsageError("expected either --to report.html, or --json for the numbers")
    if target is not None:
        check_target(target)
    release = open_store(release_url)
    if not release.exists("report.json"):
        raise UsageError(
            f"{release.url}: no report.json, so not a release; expected the folder of one, such as store/releases/v1"
        )
    data = release.get("report.json")
    if target is None:
        click.echo(data.decode().rstrip())
    else:
        Path(target).write_text(page(read_numbers(data)), encoding="utf-8")
        click.echo(target)


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option("--mix", required=True, help="Name of the mix.")
@click.option(
    "--at",
    "position",
    required=True,
    metavar="N[:M]",
    help="Position, or range of positions, in training order.",
)
@click.option(
    "--sequence-length", "length", type=click.IntRange(1), default=1, show_default=True,
    help="Tokens of one training sequence; positions then count sequences.",
)  # fmt: skip
@json_option
def locate(release_url: str, mix: str, position: str, length: int, as_json: bool) -> None:
    """Find the documents at a position of the training order.

    Example: bicorpus locate store/releases/v1 --mix zh50 --at 1200:1208 --sequence-length 4096
    """
    from pipeline.inspect.locate import document_lines, locate_documents, parse_range
    from pipeline.storage.store import open_store

    documents = locate_documents(open_store(release_url), mix, *parse_range(position, length))
    click.echo(json.dumps(documents, ensure_ascii=False) if as_json else "\n".join(document_lines(documents)))


@click.command()
@click.argument("old_url", metavar="OLD")
@click.argument("new_url", metavar="NEW")
@json_option
def diff(old_url: str, new_url: str, as_json: bool) -> None:
    """Compare two releases: documents that were added, removed or got another verdict.

    Example: bicorpus diff store/releases/v1 store/releases/v2
    """
    from pipeline.inspect.diff import compare_releases, diff_lines
    from pipeline.storage.store import open_store

    changes = compare_releases(open_store(old_url), open_store(new_url))
    click.echo(json.dumps(changes, ensure_ascii=False) if as_json else "\n".join(diff_lines(changes)))


COMMANDS = (verify, report, locate, diff)
