"""Commands for everyday use: score, dedup, filter, lid and mask files, without a run file or a store."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.group import say
from pipeline.cli.options import dry_run_option, json_option, quiet_option, split_names
from pipeline.errors import UsageError
from pipeline.runtime.progress import Progress
from pipeline.translation import message, t

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.config.run_file import StageStep
    from pipeline.jobs.files import Job, JobReport
    from pipeline.jobs.inputs import Found

SCORES = ("language", "signals", "quality", "fluency", "domain", "toxicity", "pii")
"""Stages that `score` runs by default: those that the recommended rules and their reports read; no token counts."""

SHOWN = 20
"""Documents that `score` prints on a terminal."""

OUTPUTS = (
    message("kept"),
    message("dropped"),
    message("duplicates"),
    message("quarantine"),
    message("scores"),
)
"""What a job writes, as its report names it."""

EXIT_QUARANTINED = 3
"""Exit code when more records were quarantined than a build allows by default, as of `run`."""

files_argument = click.argument("files", metavar="INPUT...", nargs=-1, required=True)
to_option = click.option(
    "--to", "target", metavar="OUT", help="The file to write, a folder that ends in `/`, or `-`."
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of processes.  [default: one per 64 MB, at most all cores]",
)


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click commands
    """Add the options that say how inputs are read, and what becomes of broken records."""
    for option in (
        dry_run_option,
        click.option("--quarantine", metavar="FILE", help="Broken records, with the reason.  [default: beside OUT]"),
        click.option("--lines", "is_lines", is_flag=True, help="Plain text: one document a line, not one a file."),
        click.option(
            "--format", "form", metavar="NAME",
            help="jsonl, parquet, csv, text, lines, html, warc or wet.  [default: recognised]",
        ),
        click.option("--text-field", metavar="NAME", help="Field with the text.  [default: recognised as by `init`]"),
    ):  # fmt: skip
        command = option(command)
    return command


def _run(
    name: str,
    work: Callable[[Job], JobReport],
    files: tuple[str, ...],
    text_field: str | None,
    form: str | None,
    is_lines: bool,
    as_json: bool,
    quiet: bool,
    target: str = "-",
    beside: dict[str, str | None] | None = None,
    workers: int | None = None,
    dry: Dry | None = None,
) -> None:
    """Recognise the inputs, run a job over them, and report it; exits with EXIT_QUARANTINED.

    dry: print what would be read and written instead.
    """
    from pipeline.jobs.files import Job
    from pipeline.jobs.inputs import open_inputs

    progress = Progress(quiet=quiet or as_json)
    try:
        with open_inputs(files, text_field, "lines" if is_lines else form) as found:
            _note_unread(found, progress)
            job = Job(name, found, target, beside or {}, workers, progress)
            if dry is not None:
                _print_outline(job.outline(dry.outputs) | dry.facts, as_json)
                return
            report = work(job)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(message("interrupted; no file was written")) from None
    _print_report(report, as_json, to_stdout=target == "-")
    if report.too_many_broken:
        sys.exit(EXIT_QUARANTINED)


@dataclass(frozen=True)
class Dry:
    """What a job would do. outputs: content -> file, or None for the file that the job chooses; facts: to print too."""

    outputs: dict[str, str | None]
    facts: dict[str, Any]  # Any: plain JSON


def _print_outline(outline: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outline, ensure_ascii=False))
        return
    for item in outline["inputs"]:
        say(f"{item['input']}: read as {item['format']}, text = {' | '.join(item['text'])}")
    if "stages" in outline:
        say(f"stages: {', '.join(outline['stages'])}")
    if "rules" in outline:
        say(f"rules: {outline['rules']:,}")
    for content, path in outline["outputs"].items():
        say(f"would write {t(content)}: {path}")


def _note_unread(found: Found, progress: Progress) -> None:
    for item in found.unread:
        progress.say(f"not read: {item.path}: {item.reason}")


def _print_report(report: JobReport, as_json: bool, to_stdout: bool) -> None:
    """Print the summary: as JSON to stdout, or to stderr if records are there; else in a few lines to stderr."""
    if as_json:
        click.echo(json.dumps(report.plain(), ensure_ascii=False), err=to_stdout)
        return
    what = {
        "filter": message(f"{report.kept:,} of {report.documents:,} documents kept"),
        "dedup": message(f"{report.kept:,} of {report.documents:,} documents kept"),
    }.get(report.job, message(f"{report.documents:,} documents"))
    say(f"{what}, {report.quarantined.total():,} records in quarantine, {report.seconds:.1f} s", err=True)
    for label, counts in (
        (t("dropped"), report.rules),
        ("", report.kinds),
        (t("quarantined"), report.quarantined),
    ):
        if counts:
            parts = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(8))
            click.echo(f"  {label + ': ' if label else ''}{parts}", err=True)
    for example in report.examples if "quarantine" not in report.outputs else ():
        click.echo(f"  {example}", err=True)
    for content, path in report.outputs.items() if report.outputs.get("kept") != "-" else ():
        click.echo(f"  {t(content)}: {path}", err=True)


@click.command()
@files_argument
@click.option(
    "--stages",
    metavar="NAMES",
    help=f"Stages to run, comma-separated, by name or module.  [default: {','.join(SCORES)}]",
)
@click.option("--tokens", is_flag=True, help="Also count tokens of the default tokenizer.")
@click.option("--to", "target", metavar="OUT", help="A .parquet, .jsonl or .csv file.  [default: print]")
@input_options
@workers_option
@json_option
@quiet_option
def score(
    files: tuple[str, ...], stages: str | None, tokens: bool, target: str | None, text_field: str | None,
    form: str | None, is_lines: bool, quarantine: str | None, is_dry: bool, workers: int | None, as_json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Measure each text of INPUT: language, signals, quality, fluency, topic, toxicity, personal data.

    Prints the first documents side by side; --json prints all, one object a line, and --to writes a table.

    Example: bicorpus score page.txt
    """
    from pipeline.jobs.files import score_files
    from pipeline.jobs.steps import make_step, order_steps, with_needed
    from pipeline.jobs.tables import TableFile
    from pipeline.recipe import add_module_folder

    add_module_folder(os.getcwd())
    names = split_names(stages) or [*SCORES, *(["tokens"] if tokens else [])]
    steps = order_steps([make_step(name, "--stages") for name in with_needed(names)])

    def work(job: Job) -> JobReport:
        if target is not None:
            with TableFile(target) as file:
                report = score_files(job, steps, file.add)
            report.outputs["scores"] = target
            return report
        if as_json:
            with TableFile("-") as file:
                return score_files(job, steps, file.add)
        from pipeline.jobs.side_by_side import side_by_side

        rows: list[dict[str, Any]] = []

        def keep(table: pa.Table) -> bool:
            rows.extend(table.slice(0, SHOWN - len(rows)).to_pylist())
            return len(rows) < SHOWN

        report = score_files(job, steps, keep)
        for line in side_by_side(rows, shutil.get_terminal_size((80, 24)).columns):
            click.echo(line)
        return report

    _run("score", work, files, text_field, form, is_lines, as_json and (is_dry or target is not None),
         quiet or target is None,
         target or "-", workers=workers,
         dry=Dry({"scores": target} if target else {}, _stages(steps)) if is_dry else None)  # fmt: skip


def _stages(steps: Sequence[StageStep]) -> dict[str, Any]:
    return {"stages": [step.name for step in steps]}


@click.command("filter")
@files_argument
@click.option(
    "--use", "uses", multiple=True, required=True, metavar="RULES",
    help="A preset (recommended, gopher, fineweb2_zh, ...), a run file, a .py file or module with a stage of your own, "
    "or a comparison such as `signals.n_chars>=200`; repeatable.",
)  # fmt: skip
@click.option("--except", "excluded", multiple=True, metavar="RULE", help="A rule to leave out; repeatable.")
@to_option
@click.option(
    "--dropped", metavar="FILE", help="Dropped records, with rule and reason.  [default: beside OUT]"
)
@input_options
@workers_option
@json_option
@quiet_option
def filter_(
    files: tuple[str, ...], uses: tuple[str, ...], excluded: tuple[str, ...], target: str | None,
    dropped: str | None, text_field: str | None, form: str | None, is_lines: bool, quarantine: str | None,
    is_dry: bool, workers: int | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write the records of INPUT that pass rules, as they are, and beside them the dropped ones with the reason.

    Example: bicorpus filter docs.jsonl --use recommended --to kept.jsonl
    """
    from pipeline.jobs.files import filter_files
    from pipeline.jobs.judging import make_judge

    judge = make_judge(uses, excluded)
    beside = {"dropped": dropped, "quarantine": quarantine}
    facts = _stages(judge.steps) | {"rules": len(judge.rules)}
    dry = Dry(dict.fromkeys(("kept", "dropped", "quarantine")), facts) if is_dry else None
    _run("filter", lambda job: filter_files(job, judge), files, text_field, form, is_lines, as_json, quiet,
         _required(target), beside, workers, dry)  # fmt: skip


def _required(target: str | None) -> str:
    """Raises: UsageError without a target."""
    if target is None:
        raise UsageError("--to is missing; name the file to write, or `-` for standard output")
    return target


@click.command()
@files_argument
@to_option
@click.option("--exact", "exact_only", is_flag=True, help="Only copies of the same text, no near duplicates.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1, min_open=True), default=0.8, show_default=True,
    help="Least Jaccard similarity of near duplicates.",
)  # fmt: skip
@click.option(
    "--prefer", default="longest", show_default=True, metavar="WHICH",
    help="The copy that is kept: longest, shortest, first or last; of equally long ones, the first.",
)  # fmt: skip
@click.option(
    "--duplicates", metavar="FILE", help="Removed documents with their keepers.  [default: beside OUT]"
)
@input_options
@workers_option
@json_option
@quiet_option
def dedup(
    files: tuple[str, ...], target: str | None, exact_only: bool, threshold: float, prefer: str,
    duplicates: str | None, text_field: str | None, form: str | None, is_lines: bool, quarantine: str | None,
    is_dry: bool, workers: int | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write the records of INPUT without exact and near duplicates, and beside them which copy was kept and why.

    Example: bicorpus dedup docs.parquet --to unique.parquet
    """
    from pipeline.jobs.copies import DedupSettings
    from pipeline.jobs.files import dedup_files

    settings = DedupSettings(threshold=threshold, exact_only=exact_only, prefer=prefer)
    beside = {"duplicates": duplicates, "quarantine": quarantine}
    dry = Dry(dict.fromkeys(("kept", "duplicates", "quarantine")), {}) if is_dry else None
    _run("dedup", lambda job: dedup_files(job, settings), files, text_field, form, is_lines, as_json, quiet,
         _required(target), beside, workers, dry)  # fmt: skip


@click.command()
@files_argument
@to_option
@input_options
@workers_option
@json_option
@quiet_option
def lid(
    files: tuple[str, ...], target: str | None, text_field: str | None, form: str | None, is_lines: bool,
    quarantine: str | None, is_dry: bool, workers: int | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Add the language of each text of INPUT: `language.label` and `language.score`.

    Plain text becomes a table: label, score, then the line or the path. Without --to, records are printed.

    Example: bicorpus lid docs.csv --to labelled.csv
    """
    from pipeline.jobs.files import label_files
    from pipeline.jobs.steps import make_step

    steps, names = [make_step("language")], ["language.label", "language.score"]
    dry = Dry(dict.fromkeys(("kept", "quarantine")), _stages(steps)) if is_dry else None
    _run("lid", lambda job: label_files(job, steps, names), files, text_field, form, is_lines, as_json, quiet,
         target or "-", {"quarantine": quarantine}, workers, dry)  # fmt: skip


@click.command()
@files_argument
@to_option
@click.option("--kinds", help="Kinds to replace, comma-separated, such as email,phone_cn.  [default: all]")
@input_options
@workers_option
@json_option
@quiet_option
def mask(
    files: tuple[str, ...], target: str | None, kinds: str | None, text_field: str | None, form: str | None,
    is_lines: bool, quarantine: str | None, is_dry: bool, workers: int | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Replace personal data and secrets in the texts of INPUT by <EMAIL>, <PHONE>, <ID>, ...

    Without --to, records are printed.

    Example: bicorpus mask chats.jsonl --to masked.jsonl
    """
    from pipeline.jobs.files import MASKS, mask_files
    from pipeline.jobs.steps import make_step
    from pipeline.names import check_keys

    check_keys(split_names(kinds), MASKS, "--kinds")
    steps = [make_step({"use": "stages.pii", "config": {"kinds": split_names(kinds)}} if kinds else "pii")]
    _run("mask", lambda job: mask_files(job, steps, "pii.spans", split_names(kinds)), files, text_field, form,
         is_lines, as_json, quiet, target or "-", {"quarantine": quarantine}, workers,
         Dry(dict.fromkeys(("kept", "quarantine")), _stages(steps)) if is_dry else None)  # fmt: skip


COMMANDS = (score, filter_, dedup, lid, mask)
