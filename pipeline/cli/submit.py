"""The command that submits a run to a Ray cluster as a job."""

from __future__ import annotations

import json
import sys

import click

from pipeline.cli.group import say
from pipeline.cli.options import json_option, run_argument, store_option


@click.command(context_settings={"ignore_unknown_options": True})
@run_argument
@store_option
@click.option("--address", required=True, help="Dashboard of the cluster, such as http://10.0.0.1:8265.")
@click.option("--no-wait", is_flag=True, help="Print the id of the job, and do not wait for it.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@json_option
def submit(
    run_path: str, store_url: str, address: str, no_wait: bool, options: tuple[str, ...], as_json: bool
) -> None:
    """Submit RUN.yaml to a Ray cluster as a job, and print what it prints until it ends.

    The run file and the modules and lists beside it are uploaded; inputs and store are URLs, or paths that all nodes
    have. OPTIONS are those of `run`. Needs the extra `cluster` here and on the cluster.

    Example: bicorpus submit run.yaml --store s3://bucket/corpus --address http://head:8265
    """
    from pipeline.config.document import read_document
    from pipeline.config.load import load_run
    from pipeline.runtime import submit as jobs
    from pipeline.storage.scratch import scratch

    load_run(run_path)
    _, value = read_document(run_path)
    entries = [entry.get("files", []) for entry in value["sources"]]
    files = [path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)]
    job = jobs.Job(run_path, store_url, (*options, *(["--json"] if as_json else [])))
    job.check(files)
    client = jobs.job_client(address)
    with scratch() as folder:
        job.gather(folder)
        job_id = jobs.submit(client, job, folder)
    if no_wait:
        click.echo(json.dumps({"job": job_id}) if as_json else job_id)
        return
    if not as_json:
        say(
            f"job {job_id}; stopping this command does not stop it: `ray job stop {job_id} --address {address}` does"
        )
    sys.exit(jobs.follow(client, job_id, lambda text: click.echo(text, nl=False)))


COMMANDS = (submit,)
