"""Results of bench_dedup.py as Markdown tables."""

from __future__ import annotations

from statistics import median
from typing import Any

from scripts.bench.dedup_corpora import FAR, NEAR, wilson

OURS = "bicorpus"

Record = dict[str, Any]
"""JSON; Any: its values."""

TITLES = {"keep": "text to keepers", "sign": "sign", "cluster": "cluster"}


def speed(result: Record, command: str) -> float | None:
    """MB/s of the best repeat; None if not measured, or if the tool does not choose keepers."""
    repeats = result.get(command, ())
    if not repeats or (command == "keep" and repeats[0].get("n_removed", 0) is None):
        return None
    return float(result["mb"] / max(min(repeat["wall_s"] for repeat in repeats), 1e-9))


def middle(result: Record, command: str, field: str = "wall_s") -> float:
    """Median of a figure over the repeats."""
    return median(repeat[field] for repeat in result[command])


def digits(value: float) -> str:
    """A number with about three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(ours: Record | None, result: Record, command: str) -> str:
    """Ratio of the speed of bicorpus to that of a peer on the same documents, by best repeats."""
    mine, other = speed(ours, command) if ours else None, speed(result, command)
    return "" if not mine or not other or ours is result else f"{digits(mine / other)}×"


def share(count: int, of: int) -> str:
    """A count, its share and the 95 % interval of the share."""
    low, high = wilson(count, of)
    return f"{count:,} of {of:,} ({count / of:.1%}; {low:.1%}–{high:.1%})" if of else "0 of 0"


def groups(results: list[Record]) -> list[list[Record]]:
    """Results grouped by corpus, in order of measurement."""
    by_corpus: dict[tuple[Any, ...], list[Record]] = {}
    for result in results:
        by_corpus.setdefault((result["language"], result["docs"], result["mb"]), []).append(result)
    return list(by_corpus.values())


def heading(group: list[Record], title: str) -> list[str]:
    """A title with the size of the corpus."""
    first = group[0]
    return [f"### {title}: {first['language']}, {first['docs']:,} documents, {first['mb']:.1f} MB", ""]


def own_row(group: list[Record]) -> Record | None:
    """The result of bicorpus in a group."""
    return next((result for result in group if result["tool"] == OURS), None)


def truth_tables(results: list[Record]) -> list[str]:
    """Tables of end-to-end runs in a fresh process and their agreement with the truth."""
    lines = []
    for group in groups(results):
        lines += heading(group, "Against an exact truth, one run in a fresh process")
        lines += [
            f"| tool | removed | pairs ≥ {NEAR} of which both stay | removed without a kept document ≥ {FAR} | s "
            "| MB/s | ours / peer | peak MiB (before) |",
            "|---|---:|---|---|---:|---:|---:|---:|",
        ]
        for result in group:
            agreement = result.get("agreement")
            if not agreement:
                why = result.get("error", "does not choose which document of a group to keep")
                lines.append(f"| {result['tool']} | {why} | | | | | | |")
                continue
            (keep,) = result["keep"]
            cells = [
                result["tool"],
                f"{agreement['n_removed']:,}",
                share(agreement["n_missed"], agreement["n_near"]),
                share(agreement["n_lost"], agreement["n_removed"]),
                digits(keep["wall_s"]),
                digits(result["mb"] / keep["wall_s"]),
                ratio(own_row(group), result, "keep"),
                f"{keep['peak_mib']:,.0f} ({keep['before_mib']:,.0f})",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return lines


def speed_tables(results: list[Record]) -> list[str]:
    """Tables of signing, clustering and end-to-end speed: best repeat, median in brackets, ratio to bicorpus."""
    lines = []
    for group in groups(results):
        lines += heading(group, "Speed")
        lines += [
            "| tool | sign MB/s | of it tokens in Python | ours / peer | cluster s | text to keepers MB/s "
            "| ours / peer | CPU-s (wall) | removed |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for result in group:
            if "error" in result or "cluster" not in result:
                lines.append(f"| {result['tool']} | {result.get('error', 'not measured')} | | | | | | | |")
                continue
            lines.append(f"| {' | '.join(speed_cells(result, own_row(group)))} |")
        lines.append("")
    return lines


def speed_cells(result: Record, ours: Record | None) -> list[str]:
    """A row of speed_tables."""
    figures = {}
    for command in ("sign", "keep"):
        best = speed(result, command)
        typical = result["mb"] / max(middle(result, command), 1e-9)
        figures[command] = "–" if best is None else f"{digits(best)} ({digits(typical)})"
    in_python = [sum(repeat["parts"].values()) / repeat["wall_s"] for repeat in result["sign"]]
    chooses = speed(result, "keep") is not None
    return [
        result["tool"],
        figures["sign"],
        f"{median(in_python):.0%}" if any(in_python) else "",
        ratio(ours, result, "sign"),
        f"{min(repeat['wall_s'] for repeat in result['cluster']):.3f}",
        figures["keep"],
        ratio(ours, result, "keep"),
        f"{digits(middle(result, 'keep', 'cpu_s'))} ({digits(middle(result, 'keep'))})" if chooses else "–",
        f"{result['keep'][0]['n_removed']:,}" if chooses else "–",
    ]


def all_tables(results: list[Record]) -> list[str]:
    """Tables of bicorpus on all files, with the fastest profile of the end-to-end run."""
    lines = []
    for result in results:
        lines += heading([result], "Ours on all files")
        if "error" in result:
            lines += [result["error"], ""]
            continue
        for command in ("sign", "keep"):
            best, typical = speed(result, command), result["mb"] / middle(result, command)
            lines.append(
                f"- {TITLES[command]}: {digits(best or 0.0)} MB/s per core (median {digits(typical)})"
            )
        first = result["keep"][0]
        memory = f"{first['before_mib']:,.0f} MiB before, {first['peak_mib']:,.0f} at most"
        lines.append(f"- {first['n_removed']:,} documents removed; memory {memory}")
        parts = min((repeat["parts"] for repeat in result["profile"]), key=lambda parts: parts["total"])
        total = parts["total"]
        lines += ["", "| part of text to keepers | s | share | ms per MB |", "|---|---:|---:|---:|"]
        for name, seconds in sorted(parts.items(), key=lambda item: (item[0] == "total", -item[1])):
            lines.append(
                f"| {name} | {seconds:.3f} | {seconds / total:.0%} | {1000 * seconds / result['mb']:.2f} |"
            )
        lines.append("")
    return lines


def markdown(record: Record) -> str:
    """All tables, with the machine, the versions and the requirements that could not be installed."""
    results = [*record["truth"], *record["speed"], *record["all"]]
    versions: dict[str, str] = {}
    for result in results:
        name = "ours" if result["tool"] == OURS else "peers"
        for package, number in result.get("versions", {}).items():
            versions[f"{package} ({name})" if package in ("numpy", "Python") else package] = number
    listed = ", ".join(f"{package} {number}" for package, number in sorted(versions.items()))
    load = f"{record['load_before']:.1f} before and {record['load_after']:.1f} after"
    lines = [
        f"{record['date']}; {record['machine']}; every tool on core {record['core']}; load average {load} "
        f"(1 is this benchmark alone); best of {record['repeats']} repeats in turns, median in brackets.",
        "",
        f"{listed}.",
        "",
    ]
    for requirement, why in record["not_installed"].items():
        lines.append(f"Not installed: `{requirement}`: {why}")
    lines += [*truth_tables(record["truth"]), *speed_tables(record["speed"]), *all_tables(record["all"])]
    return "\n".join(lines).rstrip()
