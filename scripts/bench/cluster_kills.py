"""Kill parts of a Ray cluster of three nodes at random while it builds into an S3-compatible store; compare the bytes.

The nodes are started by `ray start` on this machine, each with processes of its own; the store is a bucket of a server
on the loopback interface. While `bicorpus run --address` builds, one of these is killed with SIGKILL every few seconds:
a worker, a node (another one joins after some seconds), the driver, the head with all that it knows. The command is run
again until it ends with 0, then the release is compared with that of an undisturbed local build, and the next build
begins in an empty store.

Needs the dev extra. Example: python -m scripts.bench.cluster_kills --minutes 10
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click
import psutil

from tests.helpers.build import command, digests, kill, start
from tests.helpers.s3server import BUCKET, serve

ROOT = Path(__file__).parents[2]
RAY = str(Path(sys.executable).with_name("ray"))
MEMORY = 150_000_000
"""Bytes of the object store of a node."""
STARTED_S = 60
"""Longest time for a node to join."""
TRIES = 60
"""Runs after which a build is given up."""


class Cluster:
    """A head without processors for tasks, and two nodes with one each. nodes: processes of `ray start --block`."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder, self.variables = folder, os.environ | variables
        self.head: subprocess.Popen[bytes] | None = None
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.port = 0

    @property
    def address(self) -> str:
        """Where drivers and nodes join."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start head and nodes."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.head = self._ray(
            "--head", "--port", str(self.port), "--num-cpus", "0", "--include-dashboard", "false"
        )
        self._wait(lambda: _answers(self.port))
        for _ in range(2):
            self.add_node()

    def add_node(self) -> None:
        """Let a node join."""
        self.nodes.append(self._ray("--address", self.address, "--num-cpus", "1"))

    def stop(self) -> None:
        """Kill all processes."""
        for process in [*self.nodes, *([self.head] if self.head else [])]:
            _kill_tree(process)
        self.head, self.nodes = None, []

    def workers(self) -> list[psutil.Process]:
        """Processes of the nodes that run tasks."""
        found = []
        for node in self.nodes:
            with suppress(psutil.NoSuchProcess):
                children = psutil.Process(node.pid).children(recursive=True)
                found += [child for child in children if _name(child).startswith("ray::")]
        return found

    def _ray(self, *options: str) -> subprocess.Popen[bytes]:
        arguments = [RAY, "start", *options, "--block", "--disable-usage-stats", "--node-ip-address", "127.0.0.1",
                     "--object-store-memory", str(MEMORY)]  # fmt: skip
        if "--head" in options:
            arguments += ["--temp-dir", str(self.folder)]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            arguments,
            env=self.variables,
            stdout=nothing,
            stderr=nothing,
            stdin=nothing,
            start_new_session=True,
        )

    def _wait(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STARTED_S
        while not is_there():
            if time.monotonic() > deadline:
                raise RuntimeError(f"no Ray head on port {self.port} after {STARTED_S} s")
            time.sleep(0.2)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, at once."""
    family = []
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(process.pid)
        family = [*root.children(recursive=True), root]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()
    psutil.wait_procs(family, timeout=20)


class Chaos:
    """Kills by chance. counts: what was killed, and how the runs ended."""

    def __init__(self, cluster: Cluster, seed: int, mean_s: float) -> None:
        self.cluster, self.random, self.mean_s = cluster, random.Random(seed), mean_s
        self.counts: Counter[str] = Counter()

    def build(self, run_path: str, store: str, variables: dict[str, str]) -> None:
        """Run the build until it ends with 0, and kill meanwhile.

        Raises: RuntimeError if it never ends so.
        """
        for _ in range(TRIES):
            if self.cluster.head is None:
                self.cluster.start()
            driver = start(
                "run", run_path, "--store", store, "--address", self.cluster.address, "--quiet", **variables
            )
            while driver.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    driver.wait(self.random.expovariate(1 / self.mean_s))
                    break
                self.strike(driver)
            out, err = driver.communicate()
            if driver.returncode == 0:
                return
            self.counts[f"driver ended with {driver.returncode}"] += 1
            said = (err or out).strip().splitlines()
            if driver.returncode > 0:
                print(f"    {said[-1][:160] if said else 'nothing said'}", flush=True)
            if any("Traceback" in line for line in said):
                self.counts["tracebacks"] += 1
        raise RuntimeError(f"{store}: not built after {TRIES} runs")

    def strike(self, driver: subprocess.Popen[str]) -> None:
        """Kill one part."""
        what = self.random.choices(["worker", "node", "driver", "head"], [6, 3, 2, 1])[0]
        if what == "worker":
            workers = self.cluster.workers()
            if not workers:
                return
            with suppress(psutil.NoSuchProcess):
                self.random.choice(workers).kill()
        elif what == "node":
            _kill_tree(self.cluster.nodes.pop(self.random.randrange(len(self.cluster.nodes))))
            time.sleep(self.random.uniform(0, 5))
            self.cluster.add_node()
        elif what == "driver":
            kill(driver, whole_group=True)
        else:
            self.cluster.stop()
            with suppress(subprocess.TimeoutExpired):
                driver.wait(120)
        self.counts[what] += 1


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="Begin no further build after this time.")
@click.option("--mean", "mean_s", default=8.0, show_default=True, help="Mean seconds between two kills.")
@click.option("--seed", default=0, show_default=True, help="Seed of what is killed, and when.")
@click.option("--run", "run_path", default=str(ROOT / "configs/quickstart.yaml"), help="The run file.")
def main(minutes: float, mean_s: float, seed: int, run_path: str) -> None:
    """Build again and again under kills; exit 1 if a release differs from the local one."""
    folder = Path(tempfile.mkdtemp(prefix="bicorpus-kills-"))
    with serve() as server:
        variables = server | {"RAY_AUTH_MODE": "disabled"}
        cluster = Cluster(folder / "ray", variables)
        chaos = Chaos(cluster, seed, mean_s)
        try:
            record = (
                command("run", run_path, "--store", folder / "whole", "--engine", "local", "--json").ok().json
            )
            release = record["release"].removeprefix("releases/")
            expected, n_builds, n_same = digests(folder / "whole", release), 0, 0
            begin = time.monotonic()
            while time.monotonic() - begin < 60 * minutes:
                store, began = f"s3://{BUCKET}/{n_builds}", time.monotonic()
                chaos.build(run_path, store, variables)
                n_builds += 1
                os.environ.update(server)
                is_same = digests(store, release) == expected
                n_same += is_same
                done = ", ".join(f"{name} {n}" for name, n in sorted(chaos.counts.items()))
                state = "same" if is_same else "DIFFERENT"
                print(f"build {n_builds}: {time.monotonic() - began:.0f} s, {state}; {done}", flush=True)
        finally:
            cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{n_same} of {n_builds} releases have the bytes of the local build, {len(expected)} files each")
    sys.exit(0 if n_same == n_builds else 1)


if __name__ == "__main__":
    main()
