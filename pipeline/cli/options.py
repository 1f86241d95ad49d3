"""Options, arguments and output shared by several commands."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.group import say
from pipeline.errors import UsageError
from pipeline.names import check_keys
from pipeline.translation import t

if TYPE_CHECKING:
    from pipeline.config.run_file import RunFile
    from pipeline.operate.limit import Limit
    from pipeline.planning.session import RunRecord
    from pipeline.runtime.engines import Engine
    from pipeline.runtime.progress import Progress
    from pipeline.storage.store import Store

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
raw_option = click.option(
    "--raw", is_flag=True, help="Show texts without the replacements of the release, such as <EMAIL>."
)
SETTINGS_FILE = "bicorpus.toml"


def store_of_settings() -> str | None:
    """Return the store that bicorpus.toml names, in the working folder or the nearest folder above it that has one.

    A relative path in it is relative to the file.

    Raises: UsageError if the file is not valid, or has another key.
    """
    for folder in (Path.cwd(), *Path.cwd().parents):
        path = folder / SETTINGS_FILE
        if path.is_file():
            break
    else:
        return None
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f'{path}: {error}; expected a line such as store = "./store"') from error
    check_keys(settings, ("store",), str(path))
    store = settings.get("store")
    if store is not None and not (isinstance(store, str) and store):
        raise UsageError(f"{path}: store is {store!r}; expected the path or URL of a store in quotes")
    return store if store is None or "://" in store else os.path.normpath(folder / store)


def chosen_store(ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return the store of the command line or the environment, else that of the settings.

    Raises: UsageError if there is none at all.
    """
    store = value or (None if ctx.resilient_parsing else store_of_settings())
    if store is None and not ctx.resilient_parsing:
        raise UsageError(
            f"no store is named; use --store FOLDER, the variable BICORPUS_STORE, or a file {SETTINGS_FILE} "
            'here or above with a line such as store = "./store"'
        )
    return store


def chosen_store_or_none(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """As chosen_store; None if the run file of the command line is the folder of a release."""
    run_path = ctx.params.get("run_path") or ""
    return value if is_folder(run_path) else chosen_store(ctx, option, value)


def is_folder(path: str) -> bool:
    """Whether a path is no run file, but the folder or URL of a release."""
    return os.path.isdir(path) or ("://" in path and not path.endswith((".yaml", ".yml")))


store_option = click.option(
    "--store",
    "store_url",
    callback=chosen_store,
    envvar="BICORPUS_STORE",
    metavar="URL",
    help="Local folder or object store (s3://bucket/prefix).  [required, or BICORPUS_STORE, or bicorpus.toml]",
)
servers_option = click.option(
    "--servers",
    "servers_path",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Servers of language models in YAML: model -> address, limits, budget.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Do not show progress.")
dry_run_option = click.option(
    "--dry-run", "is_dry", is_flag=True, help="Print what would be written, and write nothing."
)
run_argument = click.argument("run_path", metavar="RUN.yaml", type=click.Path())


def read_text(path: str) -> str:
    """Return the text of a file, with its line ends.

    Raises: UsageError if it is not UTF-8, or cannot be read.
    """
    try:
        return Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a file that can be read") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 ({error}); convert it first, for example with iconv") from error


def check_target(path: str) -> None:
    """Check that a file can be written, before anything is computed for it.

    Raises: UsageError if its folder does not exist, or it is not writable.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"--to {path}: no folder {folder!r}; make it first, or name another file")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise UsageError(f"--to {path}: no permission to write; name another file")


def split_names(columns: str | None) -> list[str]:
    """Return the names of a comma-separated list; blanks around them are no part of them."""
    return [name.strip() for name in (columns or "").split(",") if name.strip()]


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click commands
    """Add the options that determine where a run is executed; none of them changes its result."""
    for option in (
        click.option("--engine", type=click.Choice(["auto", "local", "ray"]), default="auto", show_default=True,
                     help="A process pool on this machine, or Ray; auto: Ray with --address, or from 2 GB of input per "
                     "worker."),
        click.option("--workers", type=int, help="Number of processes.  [default: all cores]"),
        click.option("--address", help="Address of a running Ray cluster.  [default: start Ray on this machine]"),
        click.option("--gpus", type=int, help="GPUs for stages that run models; 0: on the CPU.  [default: all]"),
        click.option("--gpu-share", type=float, default=1.0, show_default=True,
                     help="Share of a GPU that one of their workers takes; 0.5 puts two on each."),
    ):  # fmt: skip
        command = option(command)
    return command


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click commands
    """Add the options that limit which input files are taken in."""
    for option in (
        click.option("--only-source", "only_sources", metavar="NAME", multiple=True,
                     help="Take in files of this source alone; repeatable. Others stay as the store has them."),
        click.option("--since", metavar="TIME", help="Take in files changed since a date, or an age such as 36h."),
    ):  # fmt: skip
        command = option(command)
    return command


def cost_options(command: Callable[..., Any]) -> Callable[..., Any]:  # Any: click commands
    """Add the options of prices, and of limits of what a run may use."""
    for option in (
        click.option("--prices", "prices_path", metavar="FILE", type=click.Path(dir_okay=False),
                     help="Prices and limits in YAML, see configs/prices/example.yaml."),
        click.option("--limit", "cost_limits", metavar="NAME=VALUE", multiple=True,
                     help="Largest cpu_hours, requests, gets, puts, lists, files, disk_bytes, peak_bytes or money of "
                     "one run; repeatable."),
    ):  # fmt: skip
        command = option(command)
    return command


def limit_of(only_sources: Sequence[str], since: str | None) -> Limit:
    """Return the limit that options ask for. Raises: UsageError if `since` is no moment."""
    import time

    from pipeline.operate.limit import Limit, parse_moment

    return Limit(tuple(only_sources), None if since is None else parse_moment(since, time.time()))


def start_engine(
    run: RunFile, kind: str, workers: int | None, address: str | None, progress: Progress,
    gpus: int | None = None, gpu_share: float = 1.0,
) -> Engine:  # fmt: skip
    """Return the engine of a run, and report which one `auto` chose.

    Raises: InputError if the inputs cannot be listed; UsageError for an address of an engine that takes none.
    """
    from pipeline.runtime.engines import choose_engine, open_engine
    from pipeline.runtime.gpus import Gpus
    from pipeline.storage.store import list_inputs

    chosen = Gpus(gpus, gpu_share)
    if kind == "local" and address is not None:
        raise UsageError("--address is of a Ray cluster, and --engine is local; leave one of them out")

    def n_bytes() -> int:
        files = (f for s in run.sources for pattern in s.files for f in list_inputs(pattern, s.follow_links))
        return sum(file.size for file in files)

    kind, reason = choose_engine(kind, workers, address, n_bytes)
    if reason:
        progress.say(reason)
        progress.event("engine", engine=kind, reason=reason)
    return open_engine(kind, workers, address, chosen)


def print_record(record: RunRecord, store: Store, as_json: bool) -> None:
    """Print the result of a run or a release: its URL to stdout, the funnel, counts and time to stderr."""
    if as_json:
        click.echo(json.dumps(asdict(record), ensure_ascii=False))
        return
    from pipeline.report.summary import summary

    click.echo(summary(json.loads(store.get(f"{record.release}/lineage.json"))) + "\n", err=True)
    from pipeline.planning.services import usage_line

    for model, usage in record.services.items():
        click.echo(usage_line(model, usage), err=True)
    for name, n_open in record.open.items():
        say(
            f"warning: {name}: {n_open:,} documents have no answer yet, see {name}.reason; run again to go on",
            err=True,
        )
    if record.mb_per_s:
        rates = ", ".join(f"{name} {rate:.1f}" for name, rate in record.mb_per_s.items())
        say(f"MB of text per CPU-second, by stage: {rates}", err=True)
    tasks = ", ".join(f"{count:,} {t(name)}" for name, count in record.tasks.items())
    n_quarantined = sum(count for reasons in record.quarantined.values() for count in reasons.values())
    say(f"{store.url}/{record.release}")
    say(
        f"{record.kept:,} of {record.ingested:,} documents kept, {n_quarantined:,} records in quarantine, "
        f"{record.seconds['total']:.1f} s; tasks: {tasks}; "
        f"{record.text_tasks:,} of them read text before the release",
        err=True,
    )


WORK_TO_DO = 10
"""Exit code of `plan --exit-code` if a run would do something."""


def print_plan(
    run_path: str,
    store_url: str,
    servers_path: str | None,
    as_json: bool,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    limit: Limit | None = None,
    max_age: str | None = None,
    prices_path: str | None = None,
    cost_limits: Sequence[str] = (),
) -> bool:
    """Print what a run would compute. overrides: settings that replace those of the run file; Any: YAML.

    Args: limit, of the inputs; max_age, such as 36h, beyond which the newest file of a source is too old; prices_path
    and cost_limits, see planning.prices.
    Returns: whether a run would do something.
    Raises: ExpectationError if a source has no file younger than max_age; UsageError, after the plan is printed, if the
    run would be over a limit.
    """
    import time

    from pipeline.config.load import load_run
    from pipeline.errors import ExpectationError, UsageError
    from pipeline.inspect.opened import plan_release
    from pipeline.operate.freshness import new_core_s, source_states, stale, state_lines
    from pipeline.operate.limit import limited, parse_moment
    from pipeline.planning.cost import check_limits, cost_fields, cost_lines, expected_costs
    from pipeline.planning.plan import last_records, make_plan, plan_lines
    from pipeline.planning.prices import read_prices
    from pipeline.planning.services import open_services
    from pipeline.planning.state import State
    from pipeline.storage.store import open_store

    prices, limits = read_prices(prices_path, cost_limits)
    now = time.time()
    oldest = parse_moment(max_age, now) if max_age else None
    store = open_store(store_url)
    whole = load_run(run_path, overrides, store)
    run = limited(whole, store, limit) if limit else whole
    services = open_services(store, servers_path)
    state = State(store)
    run_plan = make_plan(run, state, services)
    services.close()
    plan_release(run_plan, run, store)
    states = source_states(whole, state)
    records = last_records(store)
    new_s = new_core_s(run, state, run_plan.ingest, records) if run_plan.ingest else 0.0
    costs = expected_costs(run_plan, run, records, store.local_path("") is None)
    if as_json:
        fields = {
            **asdict(run_plan), "empty": run_plan.is_empty, "text_tasks": run_plan.text_tasks, "new_core_s": new_s,
            "sources": [one.plain(now) for one in states], **cost_fields(costs, prices),
        }  # fmt: skip
        click.echo(json.dumps(fields, ensure_ascii=False))
    else:
        click.echo("\n".join([*state_lines(states), *plan_lines(run_plan)]))
        if new_s:
            say(
                f"cost     about {new_s:,.1f} CPU-seconds for the stages on new inputs, at the rates of the last runs"
            )
        for line in cost_lines(costs, prices):
            click.echo(line)
    if fault := check_limits(costs, prices, limits):
        raise UsageError(f"the run would be over a limit at {fault}; raise it with --limit, or plan a part")
    if oldest is not None and (late := stale(states, now, now - oldest)):
        raise ExpectationError(f"{', '.join(late)}: no file is younger than {max_age}")
    return not run_plan.is_empty
