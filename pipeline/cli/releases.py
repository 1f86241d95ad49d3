"""Commands that read finished releases: verify, report, locate documents, compare two, write a mix as one text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import msgspec

from pipeline.cli.group import say
from pipeline.cli.options import check_target, dry_run_option, json_option

if TYPE_CHECKING:
    from pipeline.report.held import HeldNumbers
    from pipeline.storage.store import Store


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option(
    "--store", "store_url", metavar="URL", help="Also recompute decisions from the raw inputs; needs --run."
)
@click.option(
    "--run",
    "run_path",
    metavar="RUN.yaml",
    type=click.Path(),
    help="The run file of the release: for --store, and for a tokenizer of your own.",
)
@click.option("--sample", type=int, default=1000, show_default=True, help="Decisions to recompute.")
@click.option("--deep", is_flag=True, help="Tokenise every document of the token files again.")
@json_option
def verify(
    release_url: str, store_url: str | None, run_path: str | None, sample: int, deep: bool, as_json: bool
) -> None:
    """Check a release: files, conservation, ledger, mixes; with --store also a sample of its decisions.

    Exits with 5 if a check fails.

    Example: bicorpus verify store/releases/v1 --store ./store --run run.yaml
    """
    from dataclasses import asdict

    from pipeline.config.load import load_run
    from pipeline.errors import ExpectationError, UsageError
    from pipeline.inspect.verify import verify_files
    from pipeline.storage.store import open_store

    if store_url is not None and run_path is None:
        raise UsageError("--store needs --run as well")
    release = open_store(release_url)
    store = open_store(store_url) if store_url else None
    run = load_run(run_path, store=store) if run_path else None
    config = run.tokens.config if run and run.tokens else None
    tokenizer = getattr(config, "tokenizer", None)
    tokenizers = [tokenizer] if tokenizer else []
    reports = [verify_files(release, deep, tokenizers)]
    if store is not None and run is not None and run_path:
        from pipeline.inspect.opened import open_build
        from pipeline.inspect.rederive import verify_store

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
@click.option(
    "--held", "held_path", metavar="FILE",
    help="Texts of known language (Parquet, JSON Lines or CSV with the columns text and lang): show what the language "
    "stage of the release makes of them.",
)  # fmt: skip
@click.option(
    "--run", "run_path", metavar="RUN.yaml", type=click.Path(),
    help="With --held: the run file of the language stage.  [default: that of the release]",
)  # fmt: skip
@click.option(
    "--store",
    "times_url",
    metavar="URL",
    help="Add the date, and times and speed of each stage, from this store's records.",
)
@dry_run_option
@json_option
def report(
    release_url: str, target: str | None, held_path: str | None, run_path: str | None, times_url: str | None,
    is_dry: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write the report of a release as one HTML page, or print its numbers as JSON.

    With --held alone, print the figures of the held sample.

    Example: bicorpus report store/releases/v1 --to report.html
    """
    from pathlib import Path

    from pipeline.errors import UsageError
    from pipeline.report.held import held_lines
    from pipeline.report.page import page
    from pipeline.report.release_numbers import read_numbers
    from pipeline.report.run_times import run_times
    from pipeline.storage.store import open_store

    if (target is None) != as_json and (target is not None or not held_path):
        raise UsageError("expected either --to report.html, or --json for the numbers")
    if run_path and not held_path:
        raise UsageError(
            "--run is the run file of the language stage for --held; expected --held FILE as well"
        )
    if target is not None:
        check_target(target)
    release = open_store(release_url)
    if not release.exists("report.json"):
        raise UsageError(
            f"{release.url}: no report.json, so not a release; expected the folder of one, such as store/releases/v1"
        )
    if is_dry and target is not None:
        say(f"would write {target}")
        return
    data = release.get("report.json")
    held = measure_sample(release, held_path, run_path) if held_path else None
    if target is not None:
        numbers = read_numbers(data)
        times = run_times(open_store(times_url), numbers.name) if times_url else None
        Path(target).write_text(page(numbers, held, times), encoding="utf-8", newline="")
        click.echo(target)
    elif held is None:
        click.echo(data.decode().rstrip())
    elif as_json:
        plain = {**json.loads(data), "held": msgspec.to_builtins(held)}
        click.echo(json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False))
    else:
        click.echo(held_lines(held))


def measure_sample(release: Store, held_path: str, run_path: str | None) -> HeldNumbers:
    """Label a held sample with the language stage of a release.

    Raises: UsageError, ConfigError or InputError if the stage or the sample cannot be read; see measure_held.
    """
    import tempfile
    from pathlib import Path

    from pipeline.errors import ConfigError
    from pipeline.report.held import measure_held

    if run_path:
        return measure_held(held_path, run_path)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.yaml")
        path.write_bytes(release.get("run.yaml"))
        try:
            return measure_held(held_path, str(path))
        except ConfigError as error:  # such as a model, whose path is relative to the run file
            message = str(error).replace(folder, release.url)
            raise ConfigError(f"{message}; name the run file of the release with --run") from error


SAMPLES = ("tokens", "packed", "documents")


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option("--mix", required=True, help="Name of the mix.")
@click.option("--at", "position", metavar="N[:M]", help="Position, or range of positions, in training order.")
@click.option(
    "--step", metavar="N[:M]", help="Instead of --at: steps of the feed, which needs --batch-size.",
)  # fmt: skip
@click.option(
    "--sequence-length", "length", type=click.IntRange(1), default=1, show_default=True,
    help="Tokens of one training sequence; positions then count sequences.",
)  # fmt: skip
@click.option("--samples", type=click.Choice(SAMPLES), default="tokens", show_default=True,
              help="What a position counts: sequences of tokens, packed sequences, documents.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), help="Samples of each rank in a step.")
@click.option("--world-size", type=click.IntRange(1), default=1, show_default=True, help="Number of ranks.")
@click.option("--rank", type=click.IntRange(0), help="Only the samples of this rank.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True,
              help="Samples consumed before step 0.")  # fmt: skip
@click.option("--megatron", metavar="FOLDER", type=click.Path(exists=True, file_okay=False),
              help="Cache of Megatron's indices: positions are samples in the order that it shuffled.")  # fmt: skip
@json_option
def locate(
    release_url: str, mix: str, position: str | None, step: str | None, length: int, samples: str,
    batch_size: int | None, world_size: int, rank: int | None, start: int, megatron: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Find the documents at a position of the training order, or of a training step.

    Example: bicorpus locate store/releases/v1 --mix zh50 --at 1200:1208 --sequence-length 4096

    Example: bicorpus locate store/releases/v1 --mix zh50 --step 310 --batch-size 8 --sequence-length 4096
    """
    from pipeline.errors import UsageError
    from pipeline.inspect.locate import document_lines, locate_positions
    from pipeline.storage.store import open_store

    if (position is None) == (step is None):
        raise UsageError("expected one of --at and --step")
    if step is not None and batch_size is None:
        raise UsageError("--step needs --batch-size, the samples of each rank in a step")
    if rank is not None and (step is None or rank >= world_size):
        raise UsageError(f"--rank {rank}: expected with --step, from 0 to {world_size - 1:,}")
    documents = locate_positions(
        open_store(release_url), mix, position, step, length=length, samples=samples, batch_size=batch_size or 1,
        world_size=world_size, rank=rank, start=start, megatron=megatron,
    )  # fmt: skip
    click.echo(json.dumps(documents, ensure_ascii=False) if as_json else "\n".join(document_lines(documents)))


@click.command()
@click.argument("old_url", metavar="OLD")
@click.argument("new_url", metavar="NEW")
@click.option(
    "--to", "target", type=click.Path(dir_okay=False),
    help="Also write an HTML page, with plots of columns that drifted.",
)  # fmt: skip
@dry_run_option
@json_option
def diff(old_url: str, new_url: str, target: str | None, is_dry: bool, as_json: bool) -> None:
    """Compare two releases: documents that were added, removed or got another verdict.

    Example: bicorpus diff store/releases/v1 store/releases/v2 --to diff.html
    """
    from pathlib import Path

    from pipeline.inspect.diff import compare_releases, diff_lines
    from pipeline.inspect.diff_page import diff_page
    from pipeline.storage.store import open_store

    if target is not None:
        check_target(target)
    old, new = open_store(old_url), open_store(new_url)
    changes = compare_releases(old, new)
    if target is not None and not is_dry:
        Path(target).write_text(diff_page(changes, old, new), encoding="utf-8", newline="")
    click.echo(json.dumps(changes, ensure_ascii=False) if as_json else "\n".join(diff_lines(changes)))
    if is_dry and target is not None and not as_json:
        say(f"would write {target}")


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option("--mix", required=True, help="Name of the mix.")
@click.option(
    "--format", "name", default="xglm", show_default=True,
    help="`xglm`: a paragraph is a line, a document ends with a blank line. `blank-lines`: paragraphs are separated by "
    "a blank line, documents by two.",
)  # fmt: skip
@click.option("--to", "target", required=True, type=click.Path(dir_okay=False), help="The file to write.")
@dry_run_option
@json_option
def text(release_url: str, mix: str, name: str, target: str, is_dry: bool, as_json: bool) -> None:
    """Write a mix as one plain text, in training order.

    Example: bicorpus text store/releases/v1 --mix zh50 --format xglm --to zh50.txt
    """
    from pipeline.inspect.stream import write_stream
    from pipeline.storage.store import open_store

    n_documents = write_stream(open_store(release_url), mix, name, None if is_dry else target)
    if as_json:
        click.echo(json.dumps({"documents": n_documents, "to": None if is_dry else target}))
    else:
        say(
            f"{n_documents:,} documents would go to {target}"
            if is_dry
            else f"{n_documents:,} documents to {target}"
        )


COMMANDS = (verify, report, locate, diff, text)
