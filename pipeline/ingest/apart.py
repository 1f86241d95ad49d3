"""Ingests a group in a process of its own, after a worker died on it: the file that ends the process is given up.

The process names each file before it reads it, so that its parent knows which one it died on. That file gets a
quarantined row with the reason, and the group is read again without it.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import replace

from pipeline.errors import BicorpusError
from pipeline.ingest.ingest import IngestReport, IngestTask, ingest_files
from pipeline.runtime.limits import CRASHED, MEMORY, TIME, fault
from pipeline.stage import Record
from pipeline.storage.credentials import load_credentials


def ingest_apart(task: IngestTask) -> IngestReport:
    """Ingest a group in processes of its own until one comes to the end.

    Raises: BicorpusError as `ingest_group` does, and if a process cannot start.
    """
    lost = dict(task.lost)
    while True:
        path, result, status = _try(replace(task, apart=False, lost=tuple(lost.items())))
        if isinstance(result, IngestReport):
            return result
        if isinstance(result, BaseException):
            raise result
        if not path or path in lost:
            raise BicorpusError(f"{task.group.label}: the process that reads it ended with {_name(status)}")
        lost[path] = verdict(status)


def _try(task: IngestTask) -> tuple[str, object, int]:
    """Run a process; returns the last file that it named, its report or error (None if it died), and its status."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline.ingest.apart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None  # for mypy: both are pipes
        path, result = "", None
        try:
            pickle.dump(task, process.stdin)
            process.stdin.flush()  # it stays open: the process ends when this one does
            while True:
                kind, value = pickle.load(process.stdout)
                if kind == "reads":
                    path = value
                else:
                    result = value
                    break
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            pass
        except BaseException:
            process.kill()
            raise
        try:
            process.stdin.close()
        except BrokenPipeError:  # it ended before it had read the task
            pass
        return path, result, process.wait()


def verdict(status: int) -> Record:
    """Return the record of a file on which a process ended with this status."""
    if -status in (signal.SIGXCPU, signal.SIGPROF):
        return fault(
            TIME, "the kernel ended the process that read it: too much processor time (file_seconds)"
        )
    if -status == signal.SIGKILL:
        return fault(MEMORY, "the process that read it was killed, as the kernel does when memory is short")
    return fault(CRASHED, f"the process that read it ended with {_name(status)}")


def _name(status: int) -> str:
    return signal.Signals(-status).name if -status in set(signal.Signals) else f"exit status {status}"


def _serve() -> None:
    load_credentials()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not be mixed with answers

    def tell(kind: str, value: object) -> None:
        pickle.dump((kind, value), answers)
        answers.flush()

    task: IngestTask = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    try:
        tell("done", ingest_files(task, lambda path: tell("reads", path)))
    except BicorpusError as error:
        tell("failed", error)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    _serve()
