"""The command `audit`: people read a sample of what was kept and dropped, and their verdicts become rates."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli.group import Group, say
from pipeline.cli.options import check_target, json_option, run_argument, store_option
from pipeline.errors import UsageError


@click.group(cls=Group)
def audit() -> None:
    """Audit a build by reading: draw a sheet, score the verdicts, with rates per source and rule.

    Example: bicorpus audit draw run.yaml --store ./store --to audit.html
    """


@audit.command()
@run_argument
@store_option
@click.option(
    "--to", "target", required=True, type=click.Path(dir_okay=False),
    help="The sheet, an .html file; further files beside it have its name.",
)  # fmt: skip
@click.option(
    "--documents", type=click.IntRange(1, 20000), default=400, show_default=True, help="Documents to draw."
)
@click.option(
    "--kept", "kept_share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
    help="Share of kept documents; the others are drawn from what rules dropped.",
)  # fmt: skip
@click.option(
    "--chars", type=click.IntRange(0), default=8000, show_default=True,
    help="Characters shown of a longer text, from its beginning, middle and end; 0 for all.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed draws other documents."
)
@json_option
def draw(
    run_path: str, store_url: str, target: str, documents: int, kept_share: float, chars: int, seed: int, as_json: bool
) -> None:  # fmt: skip
    """Draw kept and dropped documents by source, language, rule and tier, and write a sheet: HTML and CSV.

    Texts have the replacements of the release; the sheet does not show which of them were kept.

    Example: bicorpus audit draw run.yaml --store ./store --to audit.html --documents 1000
    """
    import pyarrow.parquet as pq

    from pipeline.cli.finished import finished_build
    from pipeline.labelling.audit import described, draw_audit, left_out
    from pipeline.labelling.rubric import AUDIT, read_rubric
    from pipeline.labelling.sheet import documents_of, sheet_csv, sheet_html

    path = Path(target)
    if path.suffix != ".html":
        raise UsageError(f"--to {target}: expected a file name with the extension .html")
    check_target(target)
    finished = finished_build(run_path, store_url)
    drawn = draw_audit(finished, documents, kept_share, seed)
    shown = documents_of(drawn, chars)
    path.write_text(sheet_html(path.stem, read_rubric(AUDIT), shown), encoding="utf-8", newline="")
    path.with_suffix(".csv").write_text(sheet_csv(shown), encoding="utf-8", newline="")
    releasing = finished.releasing
    table = described(drawn, finished.run.release.name, releasing.decisions_recipe)
    pq.write_table(table, path.with_suffix(".drawn.parquet"))
    n_kept = drawn["outcome"].to_pylist().count("kept")
    missing = left_out(drawn)
    if as_json:
        facts = {"documents": drawn.num_rows, "kept": n_kept, "to": target, "unrepresented": missing}
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    say(f"{target}: {drawn.num_rows:,} documents, {n_kept:,} of them kept ones")
    if missing:
        n_missing = sum(missing.values())
        say(f"{n_missing:,} documents are of strata of which none was drawn; raise --documents to audit them")
    say(
        f"open it in a browser, or fill {path.with_suffix('.csv')}; then: "
        f"bicorpus audit score {path.with_suffix('.drawn.parquet')} ANSWERS.csv --store STORE"
    )


@audit.command()
@click.argument("drawn_path", metavar="DRAWN.parquet", type=click.Path(exists=True, dir_okay=False))
@click.argument("files", metavar="ANSWERS...", nargs=-1, required=True)
@click.option("--store", "store_url", help="The store of the build: its next release reports the audit.")
@json_option
def score(drawn_path: str, files: tuple[str, ...], store_url: str | None, as_json: bool) -> None:
    """Print rates of wrong documents with intervals of 95 %: bad ones per source, wrong removals per rule.

    With --store they are kept in the store, and the next `bicorpus run` or `release` puts them into report and card.

    Example: bicorpus audit score audit.drawn.parquet audit.ann.csv --store ./store
    """
    import msgspec
    import pyarrow.parquet as pq

    from pipeline.labelling.answers import read_answers
    from pipeline.labelling.audit import audit_numbers, rate_lines, store_audit
    from pipeline.labelling.rubric import AUDIT, read_rubric
    from pipeline.storage.store import open_store

    numbers = audit_numbers(pq.read_table(drawn_path), read_answers(files, read_rubric(AUDIT)))
    if store_url:
        store_audit(open_store(store_url), numbers)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(numbers), ensure_ascii=False))
        return
    say(f"{numbers.read:,} of {numbers.drawn:,} documents were read by {numbers.readers:,} readers")
    if numbers.unrepresented:
        n_missing = sum(numbers.unrepresented.values())
        say(
            f"no verdict represents {n_missing:,} documents of the build: none of their strata was drawn or read"
        )
    for line in rate_lines(numbers):
        click.echo(line)
    if store_url:
        say(f"stored; the next release {numbers.release} reports it")


COMMANDS = (audit,)
