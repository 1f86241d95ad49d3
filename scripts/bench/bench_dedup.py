"""Compare deduplication with datatrove, datasketch, rensa, Daft and text-dedup: same documents, one core, one run.

Measures signing (text to signatures), clustering (signatures to clusters) and end-to-end time (text to kept documents)
for Chinese and English separately, and compares the removed documents with the exact similarity of every pair. Tools
run as processes that take turns; see docs/bench-dedup.md for the method.

Example: python -m scripts.bench.bench_dedup docs-*.parquet --lang-column lang --docs truth.parquet \
    --pairs pairs.parquet --peers-env ~/peers --json bench.json
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipeline import __version__
from pipeline.errors import UsageError
from scripts.bench.bench_stages import machine
from scripts.bench.dedup_corpora import Corpus, agreement, draw, read, read_truth
from scripts.bench.dedup_peers import ONE_LANGUAGE, TOOLS
from scripts.bench.dedup_tables import markdown

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS_PATH = Path(__file__).with_name("requirements-peers.txt")
OURS = "bicorpus"
SLOW = ("datatrove", "text-dedup")
"""Tools that are measured on the smaller set of documents."""

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "RAYON")
LEAST_DOCS = 10

SHM = Path("/dev/shm")
MEMORY_FOLDER = SHM if os.access(SHM, os.W_OK) and shutil.disk_usage(SHM).free > 4e9 else None
"""Folder for temporary files of tools: in memory if there is room, so that disk speed is not measured."""

Record = dict[str, Any]
"""JSON; Any: its values."""


class ToolError(Exception):
    """A tool did not start or did not answer; the message is the reason."""


class Worker:
    """The process of one tool; see dedup_worker."""

    def __init__(
        self, tool: str, python: str, corpus: Path, language: str, core: int, timeout_s: float
    ) -> None:
        module = "scripts.bench.dedup_own" if tool == OURS else "scripts.bench.dedup_peers"
        env = os.environ | {f"{name}_NUM_THREADS": "1" for name in THREADS}
        env |= {"POLARS_MAX_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "DAFT_PROGRESS_BAR": "0"}
        env["PYTHONPATH"] = str(ROOT)
        self.folder = tempfile.TemporaryDirectory(prefix="bench-dedup-", dir=MEMORY_FOLDER)
        env["TMPDIR"] = self.folder.name
        self.timeout_s = timeout_s
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python, "-m", module, tool, corpus, language, str(core)], env=env, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
        )  # fmt: skip
        try:
            self.hello = self._read()
        except ToolError:
            self.close()
            raise

    def ask(self, command: str) -> Record:
        """Send a command and wait for its answer.

        Raises: ToolError.
        """
        assert self.process.stdin
        try:
            self.process.stdin.write(f"{command}\n")
        except BrokenPipeError as error:
            raise ToolError(self._last_words()) from error
        return self._read()

    def _read(self) -> Record:
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], self.timeout_s)[0]:
            self.process.kill()
            raise ToolError(f"no answer in {self.timeout_s:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise ToolError(self._last_words())
        message: Record = json.loads(line)
        if "error" in message:
            raise ToolError(message["error"])
        return message

    def _last_words(self) -> str:
        self.process.wait()
        self.log.seek(0)
        lines = [line for line in self.log.read().splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit status {self.process.returncode}"

    def close(self) -> None:
        """End the process."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        self.folder.cleanup()


def install(folder: Path, python: str) -> dict[str, str]:
    """Create the peers' environment if it does not exist; returns requirements that could not be installed -> reason.

    Installs all requirements at once; if that fails, one by one, so that one peer cannot block the others.
    """
    interpreter = folder / "bin" / "python"
    if interpreter.exists():
        return {}
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    click.echo(f"installing the peers into {folder}", err=True)
    if not subprocess.run([*pip, "-r", REQUIREMENTS_PATH], capture_output=True).returncode:
        return {}
    failed = {}
    lines = [
        line.split("  #")[0] for line in REQUIREMENTS_PATH.read_text().splitlines() if line[:1].isalpha()
    ]
    constraints = folder / "constraints.txt"  # constraints must not contain extras
    constraints.write_text("\n".join(re.sub(r"\[.*?\]", "", line) for line in lines))
    for line in lines:
        done = subprocess.run([*pip, "-c", constraints, line], capture_output=True, text=True)
        if done.returncode:
            errors = [e for e in done.stderr.splitlines() if e.startswith("ERROR")] or ["no reason given"]
            failed[line] = re.sub(r"\S*://\S*", "(a URL)", errors[-1])[:300]
    return failed


@contextmanager
def running(
    tools: list[str], corpus: Corpus, options: Record, results: list[Record]
) -> Iterator[dict[str, Worker]]:
    """Start the tools one after another on a corpus; appends a result per tool, with `error` if it failed."""
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory(prefix="bench-dedup-") as folder:
        path = Path(folder, "corpus.arrow")
        corpus.write(path)
        size = {"language": corpus.language, "docs": len(corpus.texts), "mb": corpus.n_bytes / 1e6}
        try:
            for tool in tools:
                click.echo(f"{corpus.language} {size['mb']:.1f} MB: {tool}", err=True)
                python = sys.executable if tool == OURS else str(options["python"])
                result: Record = {"tool": tool, **size}
                results.append(result)
                try:
                    workers[tool] = Worker(
                        tool, python, path, corpus.language, options["core"], options["timeout_s"]
                    )
                    result |= workers[tool].hello
                except (ToolError, OSError) as error:
                    result["error"] = str(error)
            yield workers
        finally:
            for worker in workers.values():
                worker.close()


def take_turns(
    tools: list[str], corpus: Corpus, commands: tuple[str, ...], repeats: int, options: Record
) -> list[Record]:
    """Run every command on every tool `repeats` times; the order of tools rotates between repeats."""
    results: list[Record] = []
    with running(tools, corpus, options, results) as workers:
        by_tool = {result["tool"]: result for result in results}
        for repeat in range(repeats):
            turn = repeat % len(tools)
            for tool in [*tools[turn:], *tools[:turn]]:
                for command in commands:
                    if "error" in by_tool[tool]:
                        continue
                    try:
                        by_tool[tool].setdefault(command, []).append(workers[tool].ask(command))
                    except ToolError as error:
                        by_tool[tool]["error"] = str(error)
    return results


def bench_truth(docs: str, pairs: str, tools: list[str], mb: float | None, options: Record) -> list[Record]:
    """End-to-end run in fresh processes, once, and its agreement with the truth."""
    results = []
    for language in ("zh", "en"):
        corpus, near = read_truth(docs, pairs, language, mb)
        if len(corpus.ids) < LEAST_DOCS:
            continue
        chosen = [tool for tool in tools if ONE_LANGUAGE.get(tool, language) == language]
        for tool in chosen:
            (result,) = take_turns([tool], corpus, ("keep",), 1, options)
            removed = result["keep"][0].pop("removed") if "error" not in result else None
            if removed is not None:
                result["agreement"] = agreement(corpus, near, removed)
            results.append(result)
    return results


def bench_speed(
    texts: Any, languages: Any, tools: list[str], mb: dict[str, float], repeats: int, options: Record
) -> list[Record]:
    """Signing, clustering and end-to-end runs on documents of each language; Any: see dedup_corpora.read."""
    results = []
    for language in ("zh", "en"):
        chosen = [tool for tool in tools if ONE_LANGUAGE.get(tool, language) == language]
        slow = [tool for tool in chosen if tool.startswith(SLOW)]
        for name, group in (("slow", slow), ("fast", [tool for tool in chosen if tool not in slow])):
            corpus = draw(texts, languages, language, mb[name])
            if len(corpus.texts) < LEAST_DOCS or (name == "slow" and not group):
                continue
            group = [OURS, *(tool for tool in group if tool != OURS)]
            results += take_turns(group, corpus, ("keep", "sign", "cluster"), repeats, options)
    for result in results:
        for repeat in result.get("keep", ()):
            removed = repeat.pop("removed")
            repeat["n_removed"] = None if removed is None else len(removed)
    return results


def bench_all(texts: Any, repeats: int, options: Record) -> list[Record]:
    """bicorpus on all documents, with a profile of the end-to-end run; Any: see dedup_corpora.read."""
    results = take_turns(
        [OURS], Corpus("all", texts), ("keep", "sign", "cluster", "profile"), repeats, options
    )
    for repeat in results[0].get("keep", ()):
        repeat["n_removed"] = len(repeat.pop("removed"))
    return results


def chosen_tools(peers: str, peers_env: str | None) -> list[str]:
    """bicorpus and the requested peers, given by name or by prefix.

    Raises: UsageError for an unknown name, or if peers are requested without an environment.
    """
    if peers == "none":
        return [OURS]
    if not peers_env:
        raise UsageError(
            "peers run in a separate environment; name one with --peers-env, or use --peers none"
        )
    wanted = tuple(TOOLS) if peers == "all" else tuple(part.strip() for part in peers.split(";"))
    unknown = [part for part in wanted if not any(tool.startswith(part) for tool in TOOLS)]
    if unknown:
        raise UsageError(f"no peer {unknown[0]!r}; there are {'; '.join(TOOLS)}")
    return [OURS, *(tool for tool in TOOLS if tool.startswith(wanted))]


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--text-column", default="text", show_default=True, help="Column of FILES with the text.")
@click.option("--lang-column", help="Column of FILES with a language label; default: stage language.")
@click.option("--docs", type=click.Path(exists=True, dir_okay=False), help="Truth: doc_id, text, lang.")
@click.option("--pairs", type=click.Path(exists=True, dir_okay=False), help="Truth: id_a, id_b, jaccard5.")
@click.option("--mb-truth", type=float, help="Use only the first MB of each language of the truth.")
@click.option("--peers", default="all", show_default=True, help="none, all, or names separated by ';'.")
@click.option(
    "--peers-env", type=click.Path(file_okay=False), help="Environment of the peers; created if missing."
)
@click.option(
    "--peers-python", default=sys.executable, help="Interpreter to create it with; text-dedup needs 3.12."
)
@click.option("--mb-slow", default=5.0, show_default=True, help=f"MB for {' and '.join(SLOW)}.")
@click.option("--mb-fast", default=30.0, show_default=True, help="MB for the others.")
@click.option("--repeats", default=3, show_default=True, help="Repeats on FILES.")
@click.option("--core", type=int, help="Core to run on; default: the last one allowed.")
@click.option(
    "--timeout", "timeout_s", default=1200.0, show_default=True, help="Timeout for one command, in seconds."
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False), help="Write all results to this file.")
@click.option(
    "--table",
    type=click.Path(exists=True, dir_okay=False),
    help="Measure nothing; print the tables of this JSON file.",
)
def bench(
    files: tuple[str, ...], text_column: str, lang_column: str | None, docs: str | None, pairs: str | None,
    mb_truth: float | None, peers: str, peers_env: str | None, peers_python: str, mb_slow: float, mb_fast: float,
    repeats: int, core: int | None, timeout_s: float, json_path: str | None, table: str | None,
) -> None:  # fmt: skip
    """Compare deduplication tools on FILES and on a truth set; prints Markdown.

    Example: python -m scripts.bench.bench_dedup docs-*.parquet --lang-column lang --peers-env ~/peers --json bench.json
    """
    if table:
        click.echo(markdown(json.loads(Path(table).read_text(encoding="utf-8"))))
        return
    if bool(docs) != bool(pairs) or not (files or docs):
        raise click.UsageError("give FILES, or --docs and --pairs together, or both")
    tools = chosen_tools(peers, peers_env)
    env = Path(peers_env).resolve() if peers_env else None
    core = max(os.sched_getaffinity(0)) if core is None else core
    options = {"python": env / "bin" / "python" if env else None, "core": core, "timeout_s": timeout_s}
    record: Record = {
        "bicorpus": __version__, "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "core": core,
        "load_before": os.getloadavg()[0], "repeats": repeats,
        "not_installed": install(env, peers_python) if env and len(tools) > 1 else {},
        "truth": [], "speed": [], "all": [],
    }  # fmt: skip
    if docs and pairs:
        record["truth"] = bench_truth(docs, pairs, tools, mb_truth, options)
    if files:
        texts, languages = read(files, text_column, lang_column)
        record["speed"] = bench_speed(
            texts, languages, tools, {"slow": mb_slow, "fast": mb_fast}, repeats, options
        )
        record["all"] = bench_all(texts, repeats, options)
    record["load_after"] = os.getloadavg()[0]
    if json_path:
        Path(json_path).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo(markdown(record))


if __name__ == "__main__":
    try:
        bench()
    except UsageError as error:
        sys.exit(f"error: {error}")
