"""Figures of a run as an OpenMetrics text file, for the textfile collector of a node exporter or any scraper of files.

Source: OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/), text format.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.operate.freshness import SourceState
from pipeline.planning.session import RunRecord

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""

PREFIX = "bicorpus_run"


def write_metrics(
    path: str, record: RunRecord | None, code: int, ended: float, sources: Sequence[SourceState] = ()
) -> None:
    """Write the file, whole or not at all. Args: code, exit code; ended, seconds since 1970; sources, for freshness."""
    text = metrics_text(record, code, ended, sources)
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        file.write(text)
    os.chmod(file.name, 0o644)  # the scraper is another user; no label holds text or an address
    Path(file.name).replace(path)


def metrics_text(
    record: RunRecord | None, code: int, ended: float, sources: Sequence[SourceState] = ()
) -> str:
    """Return the text. record: None for a run that ended before it had one."""
    lines = [
        *family("exit_code", "gauge", "Exit code of the run.", [({}, code)]),
        *family(
            "ended_timestamp_seconds", "gauge", "When the run ended.", [({}, round(ended, 3))], "seconds"
        ),
    ]
    if record is not None:
        lines += record_lines(record, code, ended)
    newest = [({"source": s.source}, round(s.newest, 3)) for s in sources if s.newest is not None]
    waiting = [({"source": s.source}, s.new + s.changed) for s in sources]
    lines += family(
        "source_newest_timestamp_seconds",
        "gauge",
        "When the newest input file was changed.",
        newest,
        "seconds",
    )
    lines += family(
        "source_waiting_files", "gauge", "Input files that are not ingested as they are now.", waiting
    )
    return "\n".join([*lines, "# EOF"]) + "\n"


def record_lines(record: RunRecord, code: int, ended: float) -> list[str]:
    """The families that come from the record of a run."""
    done: list[Sample] = [({}, round(ended, 3))] if code == 0 else []
    facts = {
        "run": record.id, "corpus": record.corpus, "version": record.version,
        "release": (record.release or "").removeprefix("releases/"),
    }  # fmt: skip
    quarantined = [
        ({"source": source, "reason": reason}, n)
        for source, reasons in sorted(record.quarantined.items())
        for reason, n in sorted(reasons.items())
    ]
    services = [
        ({"model": model, "what": name}, value)
        for model, usage in sorted(record.services.items())
        for name, value in sorted(usage.items())
    ]
    documents = [({"outcome": "ingested"}, record.ingested), ({"outcome": "kept"}, record.kept)]
    parts = [
        family("", "info", "The run and its release.", [(facts, 1)]),
        family("succeeded_timestamp_seconds", "gauge", "When the last run without an error ended.", done, "seconds"),
        family("phase_seconds", "gauge", "Wall time by phase.", by("phase", record.seconds), "seconds"),
        family("tasks", "gauge", "Tasks by kind of phase.", by("kind", record.tasks)),
        family("stage_cpu_seconds", "gauge", "CPU time by stage.", by("stage", record.cpu_s), "seconds"),
        family("stage_text_bytes", "gauge", "Text read by stage.", by("stage", record.stage_bytes), "bytes"),
        family("stage_open_documents", "gauge", "Documents without an answer yet.", by("stage", record.open)),
        family("documents", "gauge", "Documents of the release.", documents if record.release else []),
        family("quarantined_records", "gauge", "Records in quarantine by source and reason.", quarantined),
        family("service", "gauge", "Requests, tokens and cost of language models.", services),
        family("peak_memory_bytes", "gauge", "Peak resident memory of a process.", [({}, record.peak_rss)], "bytes"),
        family("repaired_objects", "gauge", "Damaged objects that were made again.", [({}, len(record.healed))]),
    ]  # fmt: skip
    return [line for part in parts for line in part]


def by(label: str, values: Mapping[str, float]) -> list[Sample]:
    """Samples with one label."""
    return [({label: name}, value) for name, value in sorted(values.items())]


def family(name: str, kind: str, meaning: str, samples: Iterable[Sample], unit: str = "") -> list[str]:
    """The lines of a metric family; none without samples."""
    samples = list(samples)
    if not samples:
        return []
    full = f"{PREFIX}_{name}" if name else PREFIX
    lines = [
        f"# TYPE {full} {kind}",
        *([f"# UNIT {full} {unit}"] if unit else []),
        f"# HELP {full} {escaped(meaning)}",
    ]
    suffix = "_info" if kind == "info" else ""
    for labels, value in samples:
        listed = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
        lines.append(f"{full}{suffix}{'{' + listed + '}' if listed else ''} {value}")
    return lines


def escaped(text: str) -> str:
    """A text as the value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
