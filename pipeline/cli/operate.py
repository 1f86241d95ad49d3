"""Commands around builds: upload a release, delete what no run file uses."""

from __future__ import annotations

import json

import click

from pipeline.cli.group import say
from pipeline.cli.options import dry_run_option, json_option, quiet_option, store_option


@click.command()
@click.argument("release_url", metavar="RELEASE")
@click.option("--repo", required=True, metavar="ORG/NAME", help="Dataset repository; made if there is none.")
@click.option("--revision", default="main", show_default=True, help="Branch to commit to.")
@click.option("--public", is_flag=True, help="Make a new repository public.  [default: private]")
@click.option("--message", "title", help="Title of the commit.  [default: the name of the release]")
@quiet_option
@json_option
@dry_run_option
def push(
    release_url: str, repo: str, revision: str, public: bool, title: str | None, quiet: bool, as_json: bool,
    is_dry: bool,
) -> None:  # fmt: skip
    """Upload a release to a dataset repository of the Hugging Face hub, as one commit.

    Files that the repository has are not sent again. The token is that of HF_TOKEN or `hf auth login`; another hub is
    named by HF_ENDPOINT. Needs the extra `hub`.

    Example: bicorpus push store/releases/v1 --repo lab/corpus
    """
    from pipeline.operate.push import push as upload
    from pipeline.storage.store import open_store

    def tell(text: str) -> None:
        if not quiet and not as_json:
            say(text, err=True)

    done = upload(open_store(release_url), repo, revision, not public, title or "", is_dry, tell)
    if as_json:
        click.echo(json.dumps(done.plain()))
        return
    sent, of = sum(done.changed.values()), len(done.changed)
    if is_dry:
        say(
            f"{of:,} of {done.files:,} files ({sent / 1e6:,.1f} MB) would go to {repo}, and {len(done.removed):,} "
            "be removed"
        )
    elif not done.commit:
        say(f"{repo} has this release already")
    else:
        say(f"{done.url}")
        say(
            f"{of:,} of {done.files:,} files ({sent / 1e6:,.1f} MB) sent, {len(done.removed):,} removed",
            err=True,
        )


@click.command()
@click.argument("run_paths", metavar="RUN.yaml...", nargs=-1, required=True, type=click.Path())
@store_option
@click.option(
    "--releases", default="", metavar="PATTERN", help="Drop releases of these names, such as 'nightly-*'."
)
@click.option(
    "--keep", type=click.IntRange(0), default=7, show_default=True, help="Of them, keep the last by name."
)
@click.option(
    "--keep-runs", type=click.IntRange(0), help="Keep the records of the last runs.  [default: all]"
)
@click.option("--delete", is_flag=True, help="Delete what is listed.  [default: list it]")
@json_option
def gc(
    run_paths: tuple[str, ...], store_url: str, releases: str, keep: int, keep_runs: int | None, delete: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """List what a store holds and none of RUN.yaml... uses, with its size; delete it with --delete.

    Name every run file of the store, each finished. Releases are kept unless --releases matches them; imported tables
    and answers of language models always are. Exits with 75 while a run is in progress.

    Example: bicorpus gc nightly.yaml weekly.yaml --store ./store --releases 'nightly-*' --keep 7
    """
    from pipeline.config.load import load_run
    from pipeline.operate.collect import Retention, collect
    from pipeline.storage.store import open_store

    store = open_store(store_url)
    runs = [load_run(path, store=store) for path in run_paths]
    garbage = collect(store, runs, Retention(releases, keep, keep_runs), delete)
    if as_json:
        click.echo(json.dumps({**garbage.plain(), "deleted": delete}, ensure_ascii=False))
        return
    click.echo("\n".join(garbage.lines()))
    if garbage.sizes and not delete:
        say("nothing was deleted; --delete does", err=True)


COMMANDS = (push, gc)
