"""Submit a run to a Ray cluster as a job: the driver runs on the cluster, and outlives this machine.

The run file and the modules and word lists beside it are uploaded; data and store must be readable from the cluster.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import BicorpusError, UsageError
from pipeline.recipe import optional_module
from pipeline.runtime.cluster import answers, host_and_port, why
from pipeline.storage.credentials import check_url

ENDINGS = (".yaml", ".yml", ".py", ".txt", ".tsv", ".json")
MAX_FILE_BYTES = 1 << 20
"""Files beside a run file that are uploaded with it: modules and lists, not data."""

SHARED = ("NUMBA_CACHE_DIR", "BICORPUS_LANG")
"""Environment variables that the job gets. Ray keeps them in clear, so no secret is among them."""


@dataclass(frozen=True)
class Job:
    """A job to submit. words: of the command `bicorpus run`, without the run file."""

    run_path: str
    store: str
    words: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that the cluster runs. Variables are part of it: a driver may not change those of its job."""
        variables = [f"{name}={os.environ[name]}" for name in SHARED if name in os.environ]
        words = [
            "bicorpus",
            "run",
            os.path.basename(self.run_path),
            "--store",
            self.store,
            "--address",
            "auto",
        ]
        return shlex.join([*(["env", *variables] if variables else []), *words, *self.words])

    def check(self, files: Sequence[str]) -> None:
        """Check that the cluster can read what the run names.

        Raises: UsageError for a store or an input that is relative to this machine's working folder.
        """
        check_url(self.store)
        for what, path in (("--store", self.store), *(("sources", path) for path in files)):
            if "://" not in path and not os.path.isabs(path):
                raise UsageError(
                    f"{what}: {path} is relative to a folder of this machine; name a URL, or a path that all nodes have"
                )

    def gather(self, folder: str) -> None:
        """Copy the run file, and what its modules and lists are, into a folder."""
        here = Path(self.run_path).resolve().parent
        shutil.copy(self.run_path, folder)
        for path in sorted(here.iterdir()):
            if path.is_file() and path.suffix in ENDINGS and path.stat().st_size <= MAX_FILE_BYTES:
                shutil.copy(path, folder)


def job_client(address: str) -> Any:  # Any: of Ray, without types
    """The client of a cluster's job server.

    Raises: ConfigError without the extra `cluster`; UsageError if nothing answers; BicorpusError if it refuses.
    """
    logging.getLogger("ray").setLevel(logging.WARNING)  # it reports every upload and closed connection
    library = optional_module("ray.job_submission", "ray[default]", "cluster", "submit")
    address = address if "://" in address else f"http://{address}"
    if not address.startswith("http"):
        raise UsageError(
            f"--address {address}: expected the dashboard of a cluster, such as http://10.0.0.1:8265"
        )
    place = host_and_port(address.replace("https://", "http://"))
    if place and (reason := answers(place)):
        raise UsageError(
            f"--address {address}: no dashboard answers ({reason}); `ray start --head` prints its address where "
            "ray[default] is installed"
        )
    try:
        return library.JobSubmissionClient(address)
    except Exception as error:  # Ray has no class for what a server may reject
        raise BicorpusError(f"--address {address}: {why(error)}") from error


def submit(client: Any, job: Job, folder: str) -> str:  # Any: a client
    """Submit a job; returns its id. folder: of `Job.gather`, which is uploaded."""
    try:
        submitted: str = client.submit_job(entrypoint=job.command, runtime_env={"working_dir": folder})
    except Exception as error:  # as above
        raise BicorpusError(f"the cluster does not take the job: {why(error)}") from error
    return submitted


def follow(client: Any, job_id: str, write: Callable[[str], object]) -> int:  # Any: a client
    """Pass on what a job prints until it ends.

    Returns: the exit code of the command, 0 if it succeeded; 1 if it was stopped or its driver was lost.
    """

    async def pass_on() -> None:
        async for lines in client.tail_job_logs(job_id):
            write(lines)

    asyncio.run(pass_on())
    info: Mapping[str, Any] = vars(client.get_job_info(job_id))  # Any: of Ray
    if str(getattr(info["status"], "value", info["status"])) == "SUCCEEDED":
        return 0
    return int(info.get("driver_exit_code") or 1)
