"""Commands that compare corpora and mixtures by training small models: ablate, mix swarm, mix fit."""

from __future__ import annotations

import json
from typing import Any

import click

from pipeline.cli.group import Group, say
from pipeline.cli.options import dry_run_option, json_option, quiet_option, split_names
from pipeline.errors import UsageError
from pipeline.runtime.progress import Progress, clock
from pipeline.translation import t


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False), metavar="ABLATION.yaml")
@click.option(
    "--to", "folder", required=True, type=click.Path(file_okay=False), help="Folder of runs and pages."
)
@click.option(
    "--plan",
    "--dry-run",
    "is_plan",
    is_flag=True,
    help="Train a few steps, and say how long all runs would take.",
)
@quiet_option
@json_option
def ablate(file: str, folder: str, is_plan: bool, quiet: bool, as_json: bool) -> None:
    """Train small models on several corpora, and say which one teaches them more.

    Same tokens, shape, optimiser and seeds for all; differences with intervals over seeds are in the folder's README.md
    and report.html. The same command goes on where it was stopped. Needs the extra `ablate`. See docs/ablate.md.

    Example: bicorpus ablate ablation.yaml --to runs
    """
    from pipeline.ablation.config import load_ablation
    from pipeline.ablation.page import sentences, write_pages
    from pipeline.ablation.run import Harness, plain

    harness = Harness(load_ablation(file), folder, Progress(quiet=quiet or as_json))
    if is_plan:
        _print_plan(harness.estimate(harness.prepare()), as_json)
        return
    results = harness.run()
    write_pages(results, folder)
    if as_json:
        click.echo(json.dumps(plain(results), ensure_ascii=False))
        return
    for line in sentences(results):
        click.echo(line)
    say(f"pages: {folder}/README.md, {folder}/report.html")


def _print_plan(plan: dict[str, Any], as_json: bool) -> None:  # Any: JSON
    if as_json:
        click.echo(json.dumps(plan))
        return
    speeds = ", ".join(f"{size} {speed:,.0f}" for size, speed in plan["tokens_per_s"].items())
    say(f"{plan['runs']} runs to train, about {clock(plan['seconds'])}; tokens a second by size: {t(speeds)}")


@click.group(cls=Group)
def mix() -> None:
    """Find a mixture by training small models on many: draw a swarm, then fit what they measured.

    Between the two is `bicorpus ablate`. See docs/ablate.md.

    Example: bicorpus mix swarm store/releases/v1 --by language,domain --tokens 20000000000 --to swarm
    """


@mix.command()
@click.argument("release", metavar="RELEASE")
@click.option(
    "--by", required=True, help="Columns of data/ whose values are the groups, such as language,domain."
)
@click.option(
    "--tokens", required=True, type=click.IntRange(1), help="Tokens of the run that the mixture is for."
)
@click.option("--mixtures", type=click.IntRange(2), default=32, show_default=True, help="Number of mixtures.")
@click.option(
    "--max-epochs", type=float, default=4.0, show_default=True, help="Largest number of passes over a group."
)
@click.option(
    "--spread", type=float, default=1.0, show_default=True, help="Of ratios around the natural ones."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of all draws.")
@click.option(
    "--to", "folder", required=True, type=click.Path(file_okay=False), help="Folder of ratios and orders."
)
@dry_run_option
def swarm(
    release: str,
    by: str,
    tokens: int,
    mixtures: int,
    max_epochs: float,
    spread: float,
    seed: int,
    folder: str,
    is_dry: bool,
) -> None:
    """Draw mixtures of the groups of a release around the natural one, and write each as an order without text."""
    from pipeline.ablation.swarm import SwarmSettings, read_pool, write_swarm

    if min(max_epochs, spread) <= 0:
        raise UsageError("--max-epochs and --spread: expected numbers above 0")
    settings = SwarmSettings(
        mixtures=mixtures, tokens=tokens, max_epochs=max_epochs, spread=spread, seed=seed
    )
    pool = read_pool(release, split_names(by))
    if is_dry:
        say(f"{mixtures} mixtures of {len(pool.groups):,} groups would be written to {folder}")
        return
    names = write_swarm(pool, settings, folder)
    say(f"{len(names)} mixtures: {folder}/ratios.csv, orders/, ablation.yaml")


@mix.command()
@click.argument("ratios", type=click.Path(exists=True, dir_okay=False), metavar="RATIOS.csv")
@click.argument("metrics", type=click.Path(exists=True, dir_okay=False), metavar="METRICS.csv")
@click.option("--swarm", "swarm_path", type=click.Path(exists=True, dir_okay=False),
              help="The swarm.json of the runs: prior, tokens, cap on repetition.")  # fmt: skip
@click.option("--release", help="A later release, to see which groups are what they were.")
@click.option("--penalty", type=click.FloatRange(0), default=0.1, show_default=True,
              help="Of the divergence from the prior; the larger, the closer to it.")  # fmt: skip
@json_option
def fit(
    ratios: str, metrics: str, swarm_path: str | None, release: str | None, penalty: float, as_json: bool
) -> None:
    """Fit measures of proxies over mixtures, and propose one, with its predicted gains and the measure that loses most.

    The files are those of a swarm and its ablation, or of Olmix. Without a swarm the prior is the mean of the ratios.
    """
    from pipeline.ablation.advice import advice_lines, advice_of, plain_advice

    advice, groups = advice_of(ratios, metrics, swarm_path, release, penalty)
    if as_json:
        click.echo(json.dumps(plain_advice(advice, groups), ensure_ascii=False))
        return
    for line in advice_lines(advice, groups):
        click.echo(line)


COMMANDS = (ablate, mix)
