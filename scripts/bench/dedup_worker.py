"""Run one deduplication tool in a process that measures itself: read a corpus, warm up, then execute commands.

Commands are read from standard input, one per line: `keep` (text to removed documents), `sign` (text to signatures),
`cluster` (signatures to clusters), `profile`. The result of each is one line of JSON on standard output, which the
tool itself cannot write to. The process is pinned to one core and idle between commands, so that tools can take turns.

This module runs in the environment of bicorpus and in that of the peers, and imports neither.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

WARM_DOCS, WARM_BYTES = 40, 200_000
"""Upper bounds of the warm-up corpus, in which each document occurs twice (compiles kernels, loads models)."""


class Tool(Protocol):
    """Interface of a measured tool. Any: texts and signatures in the form that the tool uses."""

    versions: dict[str, str]

    def prepare(self, column: pa.ChunkedArray) -> Any:
        """Texts in the input form of the tool; not timed."""

    def keep(self, texts: Any) -> Iterable[int] | None:
        """Row numbers of the documents to remove; None if the tool does not choose keepers."""

    def sign(self, texts: Any) -> Any:
        """Signatures of all texts."""

    def cluster_input(self, texts: Any) -> Any:
        """Input of `cluster`; not timed."""

    def cluster(self, signed: Any) -> int:
        """Number of documents that share a group with another document."""


def pin(core: int) -> None:
    """Pin the process to one core and Arrow to one thread; must be called before a tool is imported."""
    os.sched_setaffinity(0, {core})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def memory_mib(field: str) -> float:
    """Resident memory of this process in MiB: VmRSS, or VmHWM, the peak since reset_peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def cpu_s() -> float:
    """CPU seconds of this process and its finished children."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def reset_peak() -> None:
    """Reset the peak memory, to exclude imports and compilation."""
    Path("/proc/self/clear_refs").write_text("5")


def warm_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first documents of a corpus, followed by a near duplicate of each."""
    bytes_so_far = pc.cumulative_sum(pc.binary_length(column).cast(pa.int64())).to_numpy()
    n_docs = max(1, min(WARM_DOCS, int((bytes_so_far <= WARM_BYTES).sum())))
    texts = column.slice(0, n_docs).to_pylist()
    return pa.chunked_array([pa.array(texts + [f"{text} 。" for text in texts], pa.large_string())])


def measure(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Result of `work`, with its wall and CPU seconds and resident memory before and at the peak. Any: as Tool."""
    gc.collect()
    reset_peak()
    before = memory_mib("VmRSS")
    start, used = time.perf_counter(), cpu_s()
    result = work()
    wall, cpu = time.perf_counter() - start, cpu_s() - used
    peak = max(memory_mib("VmHWM"), before)  # the kernel adds pages of threads to its counters now and then
    return result, {"wall_s": wall, "cpu_s": cpu, "before_mib": before, "peak_mib": peak}


def answer(tool: Tool, command: str, texts: Any, ready: dict[str, Any]) -> dict[str, Any]:
    """Execute one command; `ready` caches the input of `cluster`. Any: as Tool, and JSON values."""
    if command == "profile":
        return {"parts": tool.profile(texts)}  # type: ignore[attr-defined]  # only bicorpus has one
    if command == "cluster":
        if "signed" not in ready:
            ready["signed"] = tool.cluster_input(texts)
        n_grouped, figures = measure(lambda: tool.cluster(ready["signed"]))
        return figures | {"grouped": int(n_grouped)}
    if command == "sign":
        _, figures = measure(lambda: tool.sign(texts))
        return figures | {"parts": dict(getattr(tool, "parts", {}))}
    removed, figures = measure(lambda: tool.keep(texts))
    return figures | {"removed": None if removed is None else sorted(int(row) for row in removed)}


def serve(make: Callable[[], Tool], corpus_path: str) -> None:
    """Load the tool, warm up, and execute commands until standard input ends."""
    reply = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # hides what the tool prints

    def send(message: dict[str, Any]) -> None:
        reply.write(json.dumps(message) + "\n")
        reply.flush()

    try:
        tool = make()
        with pa.OSFile(corpus_path) as file:
            column = pa.ipc.open_file(file).read_all()["text"]
        for few in (
            warm_texts(column),
            column.slice(0, WARM_DOCS),
        ):  # with duplicates and, most likely, without
            warm = tool.prepare(few)
            tool.keep(warm)
            tool.sign(warm)
            tool.cluster(tool.cluster_input(warm))
        texts = tool.prepare(column)
        ready: dict[str, Any] = {}
        python = ".".join(map(str, sys.version_info[:3]))
        send({"versions": tool.versions | {"Python": python}})
        for line in sys.stdin:
            send(answer(tool, line.strip(), texts, ready))
    except Exception as error:
        send({"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]})
        raise
