"""A benchmark of curation: the same documents through bicorpus, datatrove, Data-Juicer, NeMo Curator and text-dedup.

Each tool runs its own recommended recipe, in an environment of its own, on one core. The input is English web pages
that people voted on (DCLM, arXiv 2406.11794), Chinese web text with labels by a language model, and texts of which
every pair of near copies is known. Our scores learnt from the Chinese labels: that column is no evidence for us;
docs/quality.md has figures of models that had not seen the source. Counted are documents kept, labelled junk that is
kept and good documents that are lost, and pairs of near copies of which both are kept; CPU-seconds, peak memory and
lines of configuration. A tool that cannot be installed or run is reported with the reason.

Labelled documents that a tool removes as copies of a kept one count as kept: junk and good measure the filters.

Example: python -m scripts.bench.peers --data $BICORPUS_DEV_DATA --envs /tmp/peers
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import xxhash

from scripts.bench import peers_tools

Rows = list[dict[str, Any]]  # JSON

ENVIRONMENTS = {
    "datatrove": ("datatrove[io,processing]==0.10.1", "jieba", "orjson", "spacy"),
    "data-juicer": ("py-data-juicer==1.6.1", "aiohttp", "scipy", "simhash-pybind"),
    "nemo-curator": ("nemo-curator==1.4.0",),
    "text-dedup": ("text-dedup==0.4.0",),
}
"""Packages of each environment."""

OURS = """corpus: peers
sources: [{name: docs, reader: stages.readers.jsonl, files: docs.jsonl}]
use: recommended
"""
"""Our recipe, as `bicorpus init` writes it."""

RECIPES = {
    "bicorpus": OURS,
    "datatrove": inspect.getsource(peers_tools.datatrove),
    "data-juicer": json.dumps([*peers_tools.C4_ENGLISH, *peers_tools.CHINESE], indent=0),
}
"""What a user writes, whose lines are counted; NeMo Curator's are in its package, text-dedup has a command line."""

LONGEST_S = 3_600
SIMILAR = 0.8
"""Jaccard index from which a pair is one of copies."""


def read_input(data: Path, n_copies: int, every: int) -> tuple[Rows, list[tuple[str, str]]]:
    """The documents, with id, text and lang, each `every`-th labelled one with `keep`; and pairs of copies.

    English labels are votes of people (DCLM), which no model here learnt from; Chinese ones are of `web_labels`, which
    ours did. Texts with known pairs are drawn by family, so that no pair is torn.
    """
    chinese = pq.read_table(data / "web_labels.parquet", columns=["id", "text", "lang", "keep"]).to_pylist()
    rows = [{**row, "id": f"web-{row['id']}"} for row in chinese if row["lang"] == "zh"][::every]
    truth = pq.read_table(data / "quality_truth.parquet", columns=["id", "text", "lang", "label", "source"])
    rows += [
        {"id": f"vote-{row['id']}", "text": row["text"], "lang": "en", "keep": row["label"] == "good"}
        for row in truth.to_pylist()
        if row["source"] == "dclm-human"
    ][::every]
    documents = pq.read_table(
        data / "dedup_docs.parquet", columns=["doc_id", "text", "lang", "key"]
    ).to_pylist()
    documents.sort(key=lambda row: (xxhash.xxh3_64_intdigest(str(row["key"]).encode()), row["doc_id"]))
    drawn = [{"id": row["doc_id"], "text": row["text"], "lang": row["lang"]} for row in documents[:n_copies]]
    ids = {row["id"] for row in drawn}
    table = pq.read_table(data / "dedup_pairs.parquet", columns=["id_a", "id_b", "jaccard5"]).to_pylist()
    pairs = [(p["id_a"], p["id_b"]) for p in table if p["jaccard5"] >= SIMILAR]
    return rows + drawn, [pair for pair in pairs if ids.issuperset(pair)]


def install(tool: str, envs: Path) -> Path:
    """The Python of a tool's environment, which is made and filled if it is not there.

    Raises: RuntimeError with the last line of pip.
    """
    python = envs / tool / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(envs / tool)], check=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", *ENVIRONMENTS[tool]], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return python


def run_measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Run a command on one core; CPU-seconds and peak MB of it and its children, and its last line if it failed."""
    environment = {**os.environ, "PEERS_TMP": str(folder), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    environment |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
    core = min(os.sched_getaffinity(0))
    code = (  # orphans become children of this process, so that all processor time is counted
        "import ctypes,os,resource,subprocess,sys,json\n"
        "ctypes.CDLL(None).prctl(36,1,0,0,0)\n"
        f"os.sched_setaffinity(0,[{core}])\n"
        "done=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.STDOUT,text=True,errors='replace')\n"
        "try:\n"
        "    while True: os.wait()\n"
        "except ChildProcessError: pass\n"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([u.ru_utime+u.ru_stime,u.ru_maxrss/1000,done.returncode,done.stdout[-2000:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    cpu_s, peak_mb, failed, output = json.loads(done.stdout.strip().splitlines()[-1])
    return cpu_s, peak_mb, output.strip().splitlines()[-1] if failed and output.strip() else ""


def own(rows: Rows, folder: Path) -> tuple[dict[str, Any], float, float]:
    """Run bicorpus; the ids that it keeps by rules and in all."""
    from pipeline import __version__

    (folder / "run.yaml").write_text(OURS)
    (folder / "docs.jsonl").write_text(
        "".join(json.dumps({"id": r["id"], "text": r["text"]}, ensure_ascii=False) + "\n" for r in rows),
        "utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        str(folder / "run.yaml"),
        "--store",
        str(folder / "store"),
    ]
    cpu_s, peak_mb, fault = run_measured([*command, "--engine", "local", "--workers", "1", "-q"], folder)
    if fault:
        raise RuntimeError(fault)
    ledger = pq.read_table(
        folder / "store/releases/peers/ledger", columns=["source_id", "keep", "rule"]
    ).to_pylist()
    kept = [row["source_id"] for row in ledger if row["keep"]]
    copies = [row["source_id"] for row in ledger if row["rule"] == "duplicate"]
    return {"kept": kept, "copies": copies, "version": __version__, "left_out": []}, cpu_s, peak_mb


def counts(rows: Rows, pairs: list[tuple[str, str]], found: dict[str, Any]) -> dict[str, Any]:
    """The columns of the table that follow from what a tool kept."""
    kept = set(found["kept"])
    texts: dict[str, str] = {}
    for row in rows:
        if row["id"] in kept:
            texts.setdefault(row["text"], row["id"])
    stays = kept | set(found.get("copies", ())) | {row["id"] for row in rows if row["text"] in texts}
    labelled = [row for row in rows if "keep" in row]
    result: dict[str, Any] = {"kept": len(kept), "of": len(rows)}
    for language in ("zh", "en"):
        good = [row["id"] for row in labelled if row["keep"] and row["lang"] == language]
        junk = [row["id"] for row in labelled if not row["keep"] and row["lang"] == language]
        result[f"junk kept {language}"] = sum(i in stays for i in junk) / max(len(junk), 1)
        result[f"good lost {language}"] = sum(i not in stays for i in good) / max(len(good), 1)
    result["copies left"] = sum(a in kept and b in kept for a, b in pairs) / max(len(pairs), 1)
    return result


def table(results: list[dict[str, Any]], n_pairs: int) -> str:
    """The results as a Markdown table, then what each tool left out."""
    heads = ["tool", "kept", "junk kept zh", "junk kept en", "good lost zh", "good lost en", "copies left", "CPU s",
             "peak MB", "lines"]  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for row in results:
        name = f"{row['tool']} {row.get('version', '')}".strip()
        if "fault" in row:
            lines.append(f"| {name} | {row['fault']} |" + " |" * (len(heads) - 2))
            continue
        shares = [f"{row[h]:.1%}" for h in heads[2:7]]
        cells = [
            name,
            f"{row['kept']:,} of {row['of']:,}",
            *shares,
            f"{row['cpu_s']:,.0f}",
            f"{row['peak_mb']:,.0f}",
        ]
        lines.append("| " + " | ".join([*cells, str(row["lines"] or "-")]) + " |")
    lines += [
        "",
        f"Copies left: of {n_pairs:,} pairs of Jaccard index {SIMILAR} or above, those of which both are kept.",
        "",
    ]
    lines += [
        f"- {row['tool']}, left out: {'; '.join(row['left_out'])}" for row in results if row.get("left_out")
    ]
    return "\n".join(lines)


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--envs",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Environments of the tools.",
)
@click.option("--copies", default=1_200, show_default=True, help="Documents with known near copies.")
@click.option("--every", default=1, show_default=True, help="Take each n-th labelled document.")
@click.option("--only", multiple=True, help="Tools to run.  [default: all]")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the results.")
def main(
    data: Path, envs: Path, copies: int, every: int, only: tuple[str, ...], json_path: Path | None
) -> None:
    """Run the benchmark and print its table."""
    rows, pairs = read_input(data, copies, every)
    results: list[dict[str, Any]] = []
    for tool in only or ("bicorpus", *ENVIRONMENTS):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            try:
                if tool == "bicorpus":
                    found, cpu_s, peak_mb = own(rows, folder)
                else:
                    found, cpu_s, peak_mb = run_tool(tool, install(tool, envs), rows, folder)
            except (RuntimeError, subprocess.SubprocessError, OSError) as error:
                results.append({"tool": tool, "fault": str(error)[:200]})
                continue
        lines = RECIPES.get(tool, "").count("\n")
        facts = {
            "tool": tool,
            "version": found["version"],
            "cpu_s": cpu_s,
            "peak_mb": peak_mb,
            "lines": lines,
        }
        results.append({**facts, "left_out": found["left_out"], **counts(rows, pairs, found)})
        click.echo(f"{tool}: {time.monotonic() - begun:,.0f} s", err=True)
    if json_path:
        json_path.write_text(json.dumps(results, indent=1))
    click.echo(table(results, len(pairs)))


def run_tool(tool: str, python: Path, rows: Rows, folder: Path) -> tuple[dict[str, Any], float, float]:
    """Run a peer. Raises: RuntimeError with its last line if it fails."""
    plain = [{"id": row["id"], "text": row["text"], "lang": row["lang"]} for row in rows]
    peers_tools.write(plain, folder / "input.jsonl")
    command = [
        str(python),
        peers_tools.__file__,
        tool,
        str(folder / "input.jsonl"),
        str(folder / "output.json"),
    ]
    cpu_s, peak_mb, fault = run_measured(command, folder)
    if fault or not (folder / "output.json").exists():
        raise RuntimeError(fault or "no result")
    return json.loads((folder / "output.json").read_text()), cpu_s, peak_mb


if __name__ == "__main__":
    main()
