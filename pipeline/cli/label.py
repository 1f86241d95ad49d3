"""The command `label`: sheets for people or models to read and label documents, and their answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pipeline.cli.group import Group, say
from pipeline.cli.options import (
    check_target,
    dry_run_option,
    json_option,
    quiet_option,
    raw_option,
    run_argument,
    servers_option,
    store_option,
)
from pipeline.errors import UsageError
from pipeline.runtime.progress import Progress
from pipeline.translation import t

rubric_option = click.option(
    "--rubric", "rubric_path", type=click.Path(exists=True, dir_okay=False),
    help="Questions and choices in YAML.  [default: those of bicorpus]",
)  # fmt: skip
answers_argument = click.argument("files", metavar="ANSWERS...", nargs=-1, required=True)


@click.group(cls=Group)
def label() -> None:
    """Label documents by reading: draw a sheet, ask a model, import the answers, compare labellers.

    Example: bicorpus label sheet run.yaml --store ./store --to labels.html
    """


@label.command()
@run_argument
@store_option
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(dir_okay=False),
    help="The sheet, an .html file; further files beside it have its name.",
)
@click.option(
    "--documents", type=click.IntRange(1, 5000), default=100, show_default=True, help="Documents to draw."
)
@click.option("--score", help="Column whose quantiles are drawn from equally.  [default: the quality bucket]")
@click.option(
    "--quantiles", type=click.IntRange(1, 100), default=5, show_default=True, help="Number of quantiles."
)
@click.option(
    "--language", "languages", multiple=True, help="Label to draw from; repeatable.  [default: all]"
)
@click.option(
    "--where",
    "wheres",
    multiple=True,
    metavar="COLUMN>=VALUE",
    help="Comparison that documents must match; repeatable.",
)
@click.option(
    "--chars",
    type=click.IntRange(0),
    default=8000,
    show_default=True,
    help="Characters shown of a longer text, from its beginning, middle and end; 0 for all.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed draws other documents."
)
@rubric_option
@raw_option
@dry_run_option
@json_option
def sheet(
    run_path: str, store_url: str, target: str, documents: int, score: str | None, quantiles: int,
    languages: tuple[str, ...], wheres: tuple[str, ...], chars: int, seed: int, rubric_path: str | None, raw: bool,
    is_dry: bool, as_json: bool,
) -> None:  # fmt: skip
    """Draw documents of a build and write a sheet to label them: HTML, CSV, and what was drawn.

    Example: bicorpus label sheet run.yaml --store ./store --to labels.html --documents 200
    """
    import pyarrow.parquet as pq

    from pipeline.cli.finished import finished_build
    from pipeline.labelling.draw import draw_documents, settings_of
    from pipeline.labelling.rubric import DEFAULT, read_rubric
    from pipeline.labelling.sheet import documents_of, sheet_csv, sheet_html

    path = Path(target)
    if path.suffix != ".html":
        raise UsageError(f"--to {target}: expected a file name with the extension .html")
    check_target(target)
    rubric = read_rubric(rubric_path or DEFAULT)
    finished = finished_build(run_path, store_url)
    finished.raw = raw
    settings = settings_of(finished, documents, score, quantiles, languages, wheres, seed)
    drawn = draw_documents(finished, settings)
    if not is_dry:
        shown = documents_of(drawn, chars)
        path.write_text(sheet_html(path.stem, rubric, shown), encoding="utf-8", newline="")
        path.with_suffix(".csv").write_text(sheet_csv(shown), encoding="utf-8", newline="")
        pq.write_table(drawn.drop_columns(["text"]), path.with_suffix(".drawn.parquet"))
    by_language = {row["values"]: row["counts"] for row in drawn["language"].value_counts().to_pylist()}
    if as_json:
        result = {
            "documents": drawn.num_rows,
            "languages": by_language,
            "score": settings.score,
            "to": target,
        }
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    counts = ", ".join(f"{n:,} {name}" for name, n in sorted(by_language.items()))
    say(
        f"{target}: {drawn.num_rows:,} documents ({counts}), drawn by {settings.score or 'length and domain'}"
    )
    if is_dry:
        say(f"would write {target}, {path.with_suffix('.csv')}, {path.with_suffix('.drawn.parquet')}")
        return
    say(
        f"open it in a browser, or fill {path.with_suffix('.csv')}; then: bicorpus label import NAME ANSWERS.csv"
    )


@label.command()
@click.argument("sheet_path", metavar="SHEET.csv", type=click.Path(exists=True, dir_okay=False))
@store_option
@servers_option
@click.option("--model", required=True, help="The model to ask, as the file of servers names it.")
@click.option(
    "--to", "target", required=True, type=click.Path(dir_okay=False),
    help="The answers, a .csv file; further files beside it have its name.",
)  # fmt: skip
@click.option("--labeller", help="Name of the labeller in the answers.  [default: the name of --to]")
@rubric_option
@click.option(
    "--prompt", type=click.Choice(["auto", "en", "zh"]), default="auto", show_default=True,
    help="Language of the questions; auto: Chinese about Chinese texts, else English.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Seed that the server is given.")
@click.option(
    "--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0: the likeliest answer."
)
@click.option("--max-tokens", type=click.IntRange(1), default=256, show_default=True, help="Largest answer.")
@click.option(
    "--again",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="How often an invalid answer is asked anew.",
)
@click.option("--extra", metavar="JSON", default="{}", help="Further fields of the request.")
@click.option(
    "--plan", "--dry-run", "is_plan", is_flag=True, help="Print requests, tokens and cost, and ask nothing."
)
@quiet_option
@json_option
def ask(
    sheet_path: str, store_url: str, servers_path: str | None, model: str, target: str, labeller: str | None,
    rubric_path: str | None, prompt: str, seed: int, temperature: float, max_tokens: int, again: int, extra: str,
    is_plan: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Have a language model fill a sheet: the same documents, questions and files of answers as for people.

    Answers are kept in the store as they arrive: the same command goes on where it was stopped, and asks nothing twice.

    Example: bicorpus label ask labels.csv --store ./store --servers servers.yaml --model qwen3 --to labels.qwen3.csv
    """
    from pipeline.labelling.ask import answers_of, read_sheet, settings_of_sheet, write_labels
    from pipeline.labelling.ask import plan as plan_of
    from pipeline.labelling.rubric import DEFAULT, read_rubric
    from pipeline.planning.services import open_services, usage_line
    from pipeline.storage.store import open_store

    path = Path(target)
    if path.suffix != ".csv":
        raise UsageError(f"--to {target}: expected a file name with the extension .csv")
    check_target(target)
    rubric_file = str(rubric_path or DEFAULT)
    rubric = read_rubric(rubric_file)
    documents = read_sheet(sheet_path)
    settings = settings_of_sheet(model, rubric_path, prompt, seed, temperature, max_tokens, again, extra)
    services = open_services(open_store(store_url), servers_path)
    try:
        if is_plan:
            usage = plan_of(documents, settings, services).plain()
            click.echo(json.dumps(usage) if as_json else usage_line(model, usage))
            return
        labels = answers_of(documents, settings, services, Progress(quiet=quiet, as_json=as_json))
        usage = services.usage()[model]
    finally:
        services.close()
    record = {"settings": {key: value for key, value in settings.items() if key != "rubric"}, "usage": usage}
    name = labeller or path.stem
    write_labels(path, labels, name, rubric_file, rubric, record)
    if as_json:
        n = len(labels.without)
        click.echo(
            json.dumps({"documents": len(labels.rows), "without": n, "open": labels.n_open, "usage": usage})
        )
        return
    say(
        f"{target}: {len(labels.rows) - len(labels.without):,} of {len(labels.rows):,} documents labelled by {name}"
    )
    if labels.without:
        say(f"{path.with_suffix('.without.jsonl')}: {len(labels.without):,} documents without a valid answer")
    if labels.n_open:
        say(f"{labels.n_open:,} of these have no answer yet; the same command asks for them again")
    click.echo(usage_line(model, usage))


@label.command("import")
@click.argument("name")
@answers_argument
@store_option
@rubric_option
@click.option("--workers", type=int, help="Number of processes.  [default: all cores]")
@quiet_option
@dry_run_option
@json_option
def import_(
    name: str, files: tuple[str, ...], store_url: str, rubric_path: str | None, workers: int | None, quiet: bool,
    is_dry: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check answers against the rubric, merge labellers, and import them as columns NAME.score, NAME.keep and so on.

    A run file uses them with `{import: NAME}` in `annotate`, as after `bicorpus import`.

    Example: bicorpus label import people labels.*.csv --store ./store
    """
    from pipeline.dataset.imported_table import describe_import
    from pipeline.ingest.import_tables import describe_files, import_lines, import_table
    from pipeline.labelling.answers import merge, read_answers, with_file
    from pipeline.labelling.rubric import DEFAULT, read_rubric
    from pipeline.runtime.engines import SerialEngine, open_engine
    from pipeline.storage.store import open_store

    read = read_answers(files, read_rubric(rubric_path or DEFAULT))
    table, store = merge(read), open_store(store_url)
    if is_dry:
        facts = with_file(table, lambda path: describe_files(name, [path], "doc_id", None))
        click.echo(json.dumps(facts, ensure_ascii=False) if as_json else describe_import(name, facts))
        return
    engine = SerialEngine() if workers == 1 else open_engine("local", workers)
    try:
        progress = Progress(quiet=quiet, as_json=as_json)
        result = with_file(
            table, lambda path: import_table(store, name, [path], "doc_id", None, engine, progress)
        )
    finally:
        engine.close()
    labellers = {labeller: len(answers) for labeller, answers in sorted(read.answers.items())}
    if as_json:
        click.echo(json.dumps({**result, "labellers": labellers, "open": read.n_open}, ensure_ascii=False))
        return
    counts = ", ".join(f"{labeller} {n:,}" for labeller, n in labellers.items())
    say(f"{table.num_rows:,} documents labelled ({counts}); {read.n_open:,} rows without an answer")
    click.echo("\n".join(import_lines(result)))


@label.command()
@answers_argument
@rubric_option
@click.option(
    "--least",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Difference of scores from which a document is listed.",
)
@click.option(
    "--sheet",
    "sheet_path",
    type=click.Path(exists=True, dir_okay=False),
    help="The CSV of the sheet, to show the texts of listed documents.",
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Documents listed for each pair; --json lists all.",
)
@json_option
def compare(
    files: tuple[str, ...],
    rubric_path: str | None,
    least: int,
    sheet_path: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Compare labellers: kappa, rank correlation, and the documents on which they disagree.

    Example: bicorpus label compare labels.ann.csv labels.bo.csv --sheet labels.csv
    """
    from pipeline.cells import clip, visible
    from pipeline.labelling.answers import compare as compare_answers
    from pipeline.labelling.answers import read_answers
    from pipeline.labelling.rubric import DEFAULT, read_rubric

    read = read_answers(files, read_rubric(rubric_path or DEFAULT))
    if len(read.answers) < 2:
        raise UsageError(
            f"all answers are of {next(iter(read.answers))}; name files of two labellers or more"
        )
    pairs = compare_answers(read, least)
    if as_json:
        click.echo(json.dumps(pairs, ensure_ascii=False))
        return
    texts = _texts(sheet_path)
    for pair in pairs:
        for line in _lines(pair, limit):
            click.echo(line)
        for row in pair["disagreements"][:limit]:
            parts = [f"{name} {row[name][0]} / {row[name][1]}" for name in ("score", "keep", "kind")]
            text = visible(texts.get(row["doc_id"], "")[:400])
            say(f"  {row['doc_id']}  {', '.join(parts)}" + (f"  {clip(text, 80)}" if text else ""))


def _lines(pair: dict[str, Any], limit: int) -> list[str]:  # Any: plain JSON
    """The figures of a pair of labellers, for a terminal."""

    def figure(name: str) -> str:
        value = pair[name]
        return t("none") if value is None else f"{value:.3f}"

    n = len(pair["disagreements"])
    shown = t(f", {limit:,} of them listed") if n > limit else ""
    return [
        t(f"{t(' and ').join(pair['labellers'])}: {pair['documents']:,} documents"),
        t(
            f"  score: Spearman {figure('spearman')}, quadratic kappa {figure('quadratic_kappa')}, within one point "
            f"{figure('within_one')}"
        ),
        *(
            t(f"  {name}: kappa {figure(f'{name}_kappa')}, equal {figure(f'{name}_agreement')}")
            for name in ("keep", "kind", "domain")
        ),
        t(f"  flags: equal {figure('flags_agreement')}"),
        t(f"  disagreements: {n:,}{shown}"),
    ]


def _texts(path: str | None) -> dict[str, str]:
    """Texts of a sheet by document; empty without one."""
    from pipeline.ingest.import_files import read_tables

    if path is None:
        return {}
    table = read_tables([path], "doc_id", ["text"])
    return {row["doc_id"]: row["text"] or "" for row in table.to_pylist()}


COMMANDS = (label,)
