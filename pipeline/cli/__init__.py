"""The command `bicorpus`: parses arguments, calls the library and prints results to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys

import click

from pipeline import __version__
from pipeline.cli import (
    ablate,
    audit,
    erase,
    filing,
    index,
    jobs,
    label,
    models,
    releases,
    requests,
    run_files,
    stores,
    train,
)
from pipeline.cli import browse as browse_commands
from pipeline.cli import help as help_commands
from pipeline.cli import operate as operate_commands
from pipeline.cli import submit as submit_commands
from pipeline.cli.finished import finished_build
from pipeline.cli.group import Group, common_options, say
from pipeline.cli.options import (
    WORK_TO_DO,
    check_target,
    chosen_store_or_none,
    cost_options,
    dry_run_option,
    engine_options,
    is_folder,
    json_option,
    limit_of,
    limit_options,
    print_plan,
    print_record,
    quiet_option,
    raw_option,
    read_text,
    run_argument,
    servers_option,
    split_names,
    start_engine,
    store_option,
)
from pipeline.runtime.progress import Progress

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

where_option = click.option(
    "--where",
    "wheres",
    multiple=True,
    metavar="COLUMN>=VALUE",
    help="Comparison (= != > >= < <=); repeatable.",
)


@click.group(cls=Group, context_settings=CONTEXT, params=common_options())
@click.version_option(__version__, prog_name="bicorpus")
def main() -> None:
    """Build bilingual pretraining corpora: documents are measured once, every decision is explained."""


@main.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--out", "out_path", default="run.yaml", show_default=True, help="The run file to write.")
@click.option("--force", is_flag=True, help="Replace the run file if it exists.")
@click.option("--follow-links", is_flag=True, help="Read links to files outside the named folders.")
@click.option("--expand", is_flag=True, help="Write the recommended set out instead of its name.")
@json_option
@dry_run_option
def init(
    paths: tuple[str, ...],
    out_path: str,
    force: bool,
    follow_links: bool,
    expand: bool,
    as_json: bool,
    is_dry: bool,
) -> None:
    """Inspect files and folders and write a short run file that reads them.

    Says of each file what it is and what it takes as text, id, address and date, or why it is not used.

    Example: bicorpus init crawl/ books.parquet --out run.yaml
    """
    from pipeline.scaffold.draft import write_draft

    draft = write_draft(paths, out_path, force, follow_links, expand, is_dry)
    shown = draft.text.rstrip() if is_dry else draft.path
    click.echo(json.dumps(draft.plain(), ensure_ascii=False) if as_json else shown)
    for line in draft.notes():
        say(line, err=True)


@main.command()
@run_argument
@store_option
@servers_option
@engine_options
@limit_options
@cost_options
@click.option("--no-wait", is_flag=True, help="Exit with 75 at once if another run moves this release.")
@click.option("--on-finish", default="", metavar="COMMAND", help="Run a program once the run has succeeded.")
@click.option("--on-failure", default="", metavar="COMMAND", help="Run a program if the run has failed.")
@click.option("--metrics", default="", metavar="FILE", help="Write figures of the run as OpenMetrics.")
@click.option("--log", "log_path", metavar="FILE", help="Add what happens to a file, one JSON object a line.")
@click.option("--partitions", type=int, hidden=True, help="Partitions of every exchange, for tests.")
@click.option("--batch-rows", type=int, hidden=True, help="Rows of the largest batch of a stage, for tests.")
@json_option
@dry_run_option
@quiet_option
def run(
    run_path: str, store_url: str, servers_path: str | None, engine: str, workers: int | None, address: str | None,
    gpus: int | None, gpu_share: float, only_sources: tuple[str, ...], since: str | None, no_wait: bool,
    on_finish: str, on_failure: str, metrics: str, log_path: str | None, partitions: int | None,
    batch_rows: int | None, as_json: bool, is_dry: bool, quiet: bool, prices_path: str | None,
    cost_limits: tuple[str, ...],
) -> None:  # fmt: skip
    """Run RUN.yaml: ingest, annotate, select and write the release.

    Run it again after a change, a crash or Ctrl-C: only missing results are computed.

    Example: bicorpus run configs/quickstart.yaml --store ./quickstart-store
    """
    limit = limit_of(only_sources, since)
    if is_dry:
        print_plan(
            run_path,
            store_url,
            servers_path,
            as_json,
            limit=limit,
            prices_path=prices_path,
            cost_limits=cost_limits,
        )
        return
    from pipeline.build.build import run_build
    from pipeline.config.load import load_run
    from pipeline.operate.ending import Ending, exit_code, outcome
    from pipeline.operate.freshness import source_states
    from pipeline.operate.limit import limited
    from pipeline.planning.prices import read_prices
    from pipeline.planning.services import open_services
    from pipeline.planning.session import Session
    from pipeline.planning.state import State
    from pipeline.storage.store import open_store

    prices, limits = read_prices(prices_path, cost_limits)
    with Progress.to(log_path, quiet, as_json) as progress:
        ending = Ending(on_finish, on_failure, metrics)
        try:
            with ending.watched():
                store = open_store(store_url)
                whole = load_run(run_path, store=store)
                ending.fresh = lambda: source_states(whole, State(store))
                parsed = limited(whole, store, limit)
                services = open_services(store, servers_path)
                opened_engine = start_engine(parsed, engine, workers, address, progress, gpus, gpu_share)

                def open_session() -> Session:
                    session = Session(
                        parsed, store, opened_engine, progress, partitions, batch_rows, services, not no_wait,
                        prices, limits,
                    )  # fmt: skip
                    ending.records.append(session.record)
                    return session

                try:
                    record = run_build(open_session, store, progress)
                finally:
                    services.close()
                    opened_engine.close()
        except BaseException as error:
            progress.event("failed", exit=exit_code(error), error=str(error))
            if as_json:
                last = ending.records[-1] if ending.records else None
                click.echo(json.dumps(outcome(last, exit_code(error), str(error)), ensure_ascii=False))
            raise
        progress.event("finished", exit=0, release=record.release)
    print_record(record, store, as_json)


@main.command()
@run_argument
@store_option
@servers_option
@limit_options
@cost_options
@click.option(
    "--max-age", metavar="AGE", help="Exit with 5 if a source has no file younger than this, such as 36h."
)
@click.option("--exit-code", "tell", is_flag=True, help="Exit with 10 if a run would do something.")
@json_option
def plan(
    run_path: str, store_url: str, servers_path: str | None, only_sources: tuple[str, ...], since: str | None,
    max_age: str | None, tell: bool, as_json: bool, prices_path: str | None, cost_limits: tuple[str, ...],
) -> None:  # fmt: skip
    """List the tasks that `run` would compute, and why; compute nothing.

    Example: bicorpus plan configs/quickstart.yaml --store ./quickstart-store
    """
    limit = limit_of(only_sources, since)
    has_work = print_plan(
        run_path, store_url, servers_path, as_json, limit=limit, max_age=max_age, prices_path=prices_path,
        cost_limits=cost_limits,
    )  # fmt: skip
    if has_work and tell:
        sys.exit(WORK_TO_DO)


@main.command()
@store_option
@json_option
def status(store_url: str, as_json: bool) -> None:
    """List the contents of a store: sources, annotations, releases, the last runs.

    Example: bicorpus status --store ./quickstart-store
    """
    from pipeline.inspect.status import status_lines, status_of
    from pipeline.storage.store import open_store

    contents = status_of(open_store(store_url))
    click.echo(json.dumps(contents, ensure_ascii=False) if as_json else "\n".join(status_lines(contents)))


@main.command()
@run_argument
@store_option
@where_option
@click.option("--rule", help="Documents that this rule dropped.")
@click.option("--host", help="Documents of this host.")
@click.option("--grep", metavar="RE", help="Documents whose text matches.")
@click.option("--dropped", is_flag=True, help="Dropped documents only.")
@click.option("--columns", help="Further columns to print, comma-separated.")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Largest number of documents."
)
@raw_option
@json_option
def show(
    run_path: str,
    store_url: str,
    wheres: tuple[str, ...],
    rule: str | None,
    host: str | None,
    grep: str | None,
    dropped: bool,
    columns: str | None,
    limit: int,
    raw: bool,
    as_json: bool,
) -> None:
    """Print documents of a build, with the rule that dropped each.

    Example: bicorpus show run.yaml --store ./store --rule too_short --limit 5
    """
    from pipeline.inspect.query import compiled, show_lines

    wheres += tuple(f"{c}={v}" for c, v in (("rule", rule), ("host", host)) if v is not None)
    wheres += ("keep=false",) if dropped else ()
    if grep is not None:
        compiled(grep)  # before the build is opened
    n_lines = 0
    build = finished_build(run_path, store_url)
    build.raw = raw
    for line in show_lines(build, wheres, split_names(columns), grep, limit, as_json):
        click.echo(line)
        n_lines += 1
    if not n_lines:
        say("0 documents", err=as_json)


@main.command()
@click.argument("run_path", metavar="RUN.yaml|RELEASE", type=click.Path())
@click.option(
    "--store", "store_url", callback=chosen_store_or_none, envvar="BICORPUS_STORE", metavar="URL",
    help="The store of a run file.  [required, or BICORPUS_STORE, or bicorpus.toml]",
)  # fmt: skip
@click.argument("doc_id", required=False)
@click.option("--url", help="URL of the document.")
@click.option(
    "--text-file",
    type=click.Path(exists=True, dir_okay=False),
    help="File with the exact text of the document.",
)
@click.option(
    "--input",
    "input_record",
    metavar="FILE:RECORD",
    help="A record of an input file, from 0: line 18 of a .jsonl is record 17.",
)
@click.option("--all", "everything", is_flag=True, help="Also print every rule and annotation.")
@raw_option
@json_option
def explain(
    run_path: str,
    store_url: str,
    doc_id: str | None,
    url: str | None,
    text_file: str | None,
    input_record: str | None,
    everything: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Explain one document: why it is kept or dropped, with value, threshold and margin of each rule that it fails.

    Name the document by its id DOC_ID, --url, --text-file or --input. --json always prints everything. Of the folder of
    a release, its own files are read, without a store: verdict, rule, keeper, copies, places in mixes.

    Example: bicorpus explain run.yaml --store ./store --input docs.jsonl.gz:17
    """
    from pipeline.errors import UsageError
    from pipeline.inspect.explain import explain_document, find_document
    from pipeline.inspect.explain_text import explanation_text

    if sum(option is not None for option in (doc_id, url, text_file, input_record)) != 1:
        raise UsageError("name one document: DOC_ID, --url, --text-file or --input FILE:RECORD")
    if is_folder(run_path):
        if text_file or input_record or raw or everything:
            raise UsageError(
                f"{run_path}: a release is asked by DOC_ID or --url; name a run file for other options"
            )
        explain_in_release(run_path, doc_id, url, as_json)
        return
    where = None
    if input_record is not None:
        path, _, record = input_record.rpartition(":")
        if not path or not record.isdigit():
            raise UsageError(f"--input {input_record!r}: expected FILE:RECORD, such as docs.jsonl.gz:17")
        where = (path, int(record))
    text = read_text(text_file) if text_file else None
    finished = finished_build(run_path, store_url)
    finished.raw = raw
    explanation = explain_document(finished, *find_document(finished, doc_id, url, text, where))
    if as_json:
        click.echo(json.dumps(explanation, ensure_ascii=False, default=str))
    else:
        click.echo(explanation_text(explanation, everything))


def explain_in_release(url: str, doc_id: str | None, of_url: str | None, as_json: bool) -> None:
    """Print what a release states of a document."""
    import shutil

    from pipeline.inspect.explain_release import explain_released, released_text
    from pipeline.storage.store import open_store

    facts = explain_released(open_store(url), doc_id, of_url)
    width = shutil.get_terminal_size((120, 24)).columns
    click.echo(json.dumps(facts, ensure_ascii=False, default=str) if as_json else released_text(facts, width))


@main.command()
@run_argument
@store_option
@click.option("--benchmark", help="Hits of this benchmark.")
@click.option("--kept", is_flag=True, help="Hits in kept documents only.")
@click.option(
    "--limit", type=click.IntRange(0), default=20, show_default=True, help="Largest number of hits."
)
@raw_option
@json_option
def review(
    run_path: str, store_url: str, benchmark: str | None, kept: bool, limit: int, raw: bool, as_json: bool
) -> None:  # fmt: skip
    """List benchmark questions in documents: a table by benchmark, and the hits, the least covered first.

    Example: bicorpus review run.yaml --store ./store --benchmark gsm8k --kept
    """
    from pipeline.inspect.review import (
        benchmark_rows,
        chosen_hits,
        find_hits,
        hit_lines,
        plain_review,
        table_lines,
        with_passages,
    )

    finished = finished_build(run_path, store_url)
    finished.raw = raw
    hits = find_hits(finished)
    rows = benchmark_rows(hits)
    listed = list(with_passages(finished, chosen_hits(hits, benchmark, kept, limit)))
    if as_json:
        click.echo(json.dumps(plain_review(rows, listed), ensure_ascii=False))
        return
    for line in (*table_lines(rows), *(line for hit in listed for line in hit_lines(hit))):
        click.echo(line)


@main.command()
@run_argument
@store_option
@where_option
@click.option("--columns", help="Columns to write, comma-separated.  [default: doc_id,text,keep,rule]")
@click.option(
    "--to", "target", required=True, type=click.Path(dir_okay=False), help="A .jsonl or .parquet file."
)
@raw_option
@json_option
@dry_run_option
def export(
    run_path: str, store_url: str, wheres: tuple[str, ...], columns: str | None, target: str, raw: bool, as_json: bool,
    is_dry: bool,
) -> None:  # fmt: skip
    """Write rows of a build, with any columns, to a file.

    Texts have the replacements of the release, such as those of personal data, unless --raw is given.

    Example: bicorpus export run.yaml --store ./store --where keep=false --columns doc_id,rule,text --to dropped.jsonl
    """
    from pipeline.inspect.query import count_rows, export_rows

    check_target(target)
    names = split_names(columns) or ["doc_id", "text", "keep", "rule"]
    finished = finished_build(run_path, store_url)
    finished.raw = raw
    n_rows = count_rows(finished, wheres, names) if is_dry else export_rows(finished, wheres, names, target)
    if as_json:
        click.echo(json.dumps({"rows": n_rows, "to": target}))
    else:
        say(f"{n_rows:,} rows would go to {target}" if is_dry else f"{n_rows:,} rows to {target}")


@main.command("check-stage")
@click.argument("module")
@click.option(
    "--config", "settings", metavar="YAML", default="{}", help="Settings of the stage, such as `{least: 3}`."
)
@json_option
def check_stage(module: str, settings: str, as_json: bool) -> None:
    """Check the stage or global step of MODULE against the contract; exit 1 if a check fails.

    Prints one line per check: ok, or the fault, the shortest text that shows it, and what to do.

    Example: bicorpus check-stage stages.dedup.exact
    """
    from dataclasses import asdict

    import yaml

    from pipeline.checking.check_stage import check_stage as checks_of
    from pipeline.checking.in_memory import PACKAGES
    from pipeline.errors import UsageError
    from pipeline.recipe import config_of, load_step

    step = load_step(module, "STAGE", "check-stage", "GLOBAL")
    mapping = yaml.safe_load(settings) or {}
    if not isinstance(mapping, dict):
        raise UsageError(f"--config {settings!r}: expected a mapping, such as '{{least: 3}}'")
    config = config_of(step, mapping, "--config") if mapping else None
    failed = False
    for check in checks_of(step, None, config, (module.partition(".")[0], *PACKAGES)):
        click.echo(json.dumps(asdict(check), ensure_ascii=False) if as_json else check.line())
        failed |= not check.ok
    sys.exit(1 if failed else 0)


for command in (
    *run_files.COMMANDS, *jobs.COMMANDS, *releases.COMMANDS, *stores.COMMANDS, *label.COMMANDS, *audit.COMMANDS,
    *filing.COMMANDS, *index.COMMANDS, *train.COMMANDS, *ablate.COMMANDS, *models.COMMANDS, *erase.COMMANDS,
    *requests.COMMANDS, *help_commands.COMMANDS,
    *submit_commands.COMMANDS,
    *browse_commands.COMMANDS, *operate_commands.COMMANDS,
):  # fmt: skip
    main.add_command(command)


if __name__ == "__main__":
    sys.exit(main())
