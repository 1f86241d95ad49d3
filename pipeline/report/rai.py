"""Responsible-AI fields of a Croissant description: collection, processing, personal data, limits; from counts alone.

Source: Croissant RAI vocabulary, version 1.0, MLCommons 2024. What the numbers of a release do not contain is left out.
"""

from __future__ import annotations

from pipeline.report.release_numbers import ReleaseNumbers

CONFORMS_TO = "http://mlcommons.org/croissant/RAI/1.0"

MACHINE = ("llm", "machine-translated", "post-edited")
"""Provenances of text that a program wrote, in part at least."""


def rai_fields(report: ReleaseNumbers) -> dict[str, str | list[str]]:
    """Fields `rai:…` of the data set."""
    fields: dict[str, str | list[str]] = {
        "rai:dataCollection": collection(report),
        "rai:dataCollectionRawData": ", ".join(
            f"{source.source}: {source.files:,} files, {source.input_bytes:,} bytes, {source.read:,} records"
            for source in report.sources
            if not source.derived_by
        ),
        "rai:dataPreprocessingProtocol": [f"{s.module} (version {s.version})" for s in report.steps],
        "rai:dataManipulationProtocol": manipulation(report),
        "rai:personalSensitiveInformation": personal(report),
        "rai:dataBiases": balance(report),
        "rai:dataLimitations": limits(report),
    }
    if report.audit is not None:
        kept = next((row for row in report.audit.rates if (row.by, row.group) == ("all", "kept")), None)
        rate = f"; {kept.low:.2%} to {kept.high:.2%} of kept documents should not be kept" if kept else ""
        fields["rai:dataAnnotationProtocol"] = (
            f"{report.audit.read:,} documents, drawn by source, language, outcome and tier, were read by "
            f"{report.audit.readers:,} people{rate}."
        )
    return {name: value for name, value in fields.items() if value}


def collection(report: ReleaseNumbers) -> str:
    """How the text was collected."""
    counts = report.counts
    readers = sorted({source.reader for source in report.sources if source.reader})
    derived = f", {counts.derived:,} of them made of other documents" if counts.derived else ""
    return (
        f"{counts.read:,} records of {len(report.sources):,} sources were read{derived}, by {', '.join(readers)}; "
        f"{counts.quarantined:,} could not become documents, {counts.erased:,} were erased."
    )


def manipulation(report: ReleaseNumbers) -> list[str]:
    """What was removed, and what was changed in texts."""
    totals: dict[str, int] = {}
    for row in report.funnel.values():
        for outcome, n in row.items():
            totals[outcome] = totals.get(outcome, 0) + n
    lines = [f"{name}: {n:,} documents removed" for name, n in sorted(totals.items()) if name != "kept" and n]
    for column, kinds in sorted(report.edits.spans.items()):
        lines.append(
            f"{column}: spans removed or replaced ({'all kinds' if kinds is None else ', '.join(kinds)})"
        )
    return lines


def personal(report: ReleaseNumbers) -> list[str]:
    """Kinds of personal data that were found in kept documents, and whether they were replaced."""
    lines = []
    for column, kinds in sorted(report.spans.items()):
        if column.partition(".")[0] == "pii":
            edited = report.edits.spans.get(column, [])
            for kind, (_, kept, _) in sorted(kinds.items()):
                state = "replaced or removed" if edited is None or kind in edited else "left in the text"
                lines.append(f"{kind}: in {kept:,} kept documents, {state}")
    return lines


def balance(report: ReleaseNumbers) -> str:
    """Shares of languages and of text by programs."""
    tallies = report.profile.languages
    size = sum(row.kept_bytes for row in tallies.values())
    largest = sorted(tallies.items(), key=lambda item: -item[1].kept_bytes)[:5]
    shares = [f"{name} {row.kept_bytes / size:.1%}" for name, row in largest if size and row.kept_bytes]
    made = sum(n for s in report.sources for name, n in s.provenances.items() if name.lower() in MACHINE)
    machine = f" {made:,} documents were written or edited by programs." if made else ""
    return f"By bytes: {', '.join(shares)}.{machine}" if shares else ""


def limits(report: ReleaseNumbers) -> list[str]:
    """What was not looked for."""
    steps = {step.name for step in report.steps}
    missing = {
        "pii": "Personal data was not looked for.", "toxicity": "No step looked for harmful text.",
        "decontaminate": "It was not compared with benchmarks.", "dedup": "Near duplicates were not looked for.",
        "licences": "Licences were not brought into one form.",
    }  # fmt: skip
    return [line for name, line in missing.items() if name not in steps]
