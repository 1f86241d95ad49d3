"""The dataset card of a release, README.md: contents, funnel, sources, composition, usage and limits.

Takes the numbers of report.json and contains no others. Its front matter is that of a dataset card of the Hugging Face
hub, so that a release can be uploaded unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from pipeline.report.card_files import (
    checking_section,
    column_section,
    file_section,
    front_matter,
    kept_languages,
    loading_section,
)
from pipeline.report.card_scripts import script_section
from pipeline.report.markdown import Markup, code, escaped, few, in_bytes, markdown, share
from pipeline.report.release_numbers import Mix, MixTraining, ReleaseNumbers, Repeat, Split, present
from pipeline.report.shown import license_rows, mix_rows

SHOWN_LANGUAGES = 6
"""Number of languages, the largest, with a column or row of their own; report.json has all."""

PRIVACY = ("pii",)
HARM = ("toxicity",)
BENCHMARKS = ("decontaminate",)
"""Names of the steps that detect personal data, harmful text and benchmark questions."""

BENCHMARK_HITS = ("decontaminate.hits", "paraphrases.hits")
"""Columns of benchmark questions found in documents; of the latter, by meaning."""


def card(
    report: ReleaseNumbers,
    files: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, pa.Schema],
    meanings: Mapping[str, str],
) -> str:
    """Return the text of README.md.

    Args: report, files and schemas, as in `pipeline.report.release_pages.pages`; meanings, of each column.
    """
    sections = [
        [f"# {escaped(report.name)}", "", *introduction(report)], funnel_section(report), language_section(report),
        script_section(report), source_section(report), expectation_section(report), audit_section(report),
        benchmark_section(report),
        license_section(report), rights_section(report), quality_section(report), copies_section(report),
        domain_section(report), *map(mix_section, mixes(report)), making_section(report), limits_section(report),
        file_section(files), column_section(schemas, meanings), loading_section(report, schemas), checking_section(),
    ]  # fmt: skip
    head = yaml.safe_dump(front_matter(report, schemas), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{head}---\n\n" + "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def introduction(report: ReleaseNumbers) -> list[str]:
    """Return lines that describe the release in a paragraph."""
    counts, languages = report.counts, report.profile.languages
    size = sum(row.kept_bytes for row in languages.values())
    largest = kept_languages(report)[:SHOWN_LANGUAGES]
    shares = [f"{escaped(name)} {share(languages[name].kept_bytes, size)}" for name in largest]
    return [
        f"Text for pretraining language models: **{counts.kept:,} documents, {counts.kept_tokens:,} tokens**, "
        f"{in_bytes(size)} of text before edits, kept of {counts.ingested:,} documents of the corpus "
        f"{code(report.corpus)}. By bytes: {', '.join(shares) or 'nothing was kept'}.",
        "",
        f"Built with bicorpus {report.version} from `run.yaml`; recipe `{report.recipe}`. `lineage.json` names "
        "every input file by its digest; `report.html` shows the same numbers as pictures.",
    ]  # fmt: skip


def funnel_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on all records, by language and rule, and the counts of rules that only flag."""
    counts = report.counts
    lines = [
        "## Where every record went",
        "",
        f"rows read {counts.read:,} = ingested {counts.ingested:,} + quarantined {counts.quarantined:,} + "
        f"erased {counts.erased:,}; ingested = kept {counts.kept:,} + dropped {counts.dropped:,}."
        + (f" Of those read, {counts.derived:,} are made of others' documents." if counts.derived else ""),
        "",
        "Documents by the first rule that dropped them; the last column counts all that fail the rule.",
        "",
        *funnel_table(report.funnel, report.rules, report.failed),
        *copies_line(report),
    ]
    flags = [[name, n] for name, n in sorted(report.failed.items()) if name not in report.rules]
    if flags:
        lines += ["", "Rules that flag or trim and drop nothing; the ledger names them in `flags`:", ""]
        lines += markdown(["rule", "documents"], flags)
    reasons = [
        [source, reason, n]
        for source, counts_by_reason in sorted(report.quarantined.items())
        for reason, n in sorted(counts_by_reason.items())
    ]
    if reasons:
        lines += [
            "",
            "Records that could not become a document:",
            "",
            *markdown(["source", "reason", "records"], reasons),
        ]
    return lines


def expectation_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the bounds that the run file sets on figures of the release; empty without any."""
    rows = [
        [
            row.name, code(row.figure), "" if row.min is None else f"{row.min:,.6g}",
            "" if row.max is None else f"{row.max:,.6g}", "" if row.value is None else f"{row.value:,.4g}",
            "as expected" if not row.outside else f"outside ({row.level})",
        ]
        for row in report.expectations
    ]  # fmt: skip
    if not rows:
        return []
    heads = ["expectation", "figure", "at least", "at most", "found", ""]
    return ["## Expectations", "", "Checked before the release was written:", "", *markdown(heads, rows)]


def audit_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the audit by people; empty without one."""
    audit = report.audit
    if audit is None:
        return []
    wrong = {"bad": "should not be kept", "good": "removed wrongly"}
    rows = [
        [
            row.group if row.by == "all" else f"{row.by} {row.group}", wrong[row.wrong], row.population, row.read,
            row.found, f"{row.rate:.2%}", f"{row.low:.2%} to {row.high:.2%}",
        ]
        for row in audit.rates
    ]  # fmt: skip
    source = "this release" if audit.current else "an earlier release of this name, with other decisions"
    lines = ["## Audit", "", f"{audit.read:,} documents of {source} were read by {audit.readers:,} people. Rates are "
             "weighted by strata; intervals are Wilson's of 95 %.", ""]  # fmt: skip
    if audit.unrepresented:
        lines[-1:] = [f"No verdict represents {sum(audit.unrepresented.values()):,} further documents.", ""]
    return lines + markdown(["documents", "that", "represent", "read", "found", "rate", "95 %"], rows)


def benchmark_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on benchmark questions that were found; empty if none was, or none was looked for."""
    rows = [
        [name, documents, kept, hits]
        for column in BENCHMARK_HITS
        for name, (documents, kept, hits) in sorted(report.spans.get(column, {}).items())
    ]
    if not rows:
        return []
    lines = ["## Benchmark questions", "", "Documents in which a question of a benchmark occurs, how many of them are "
             "kept, and the number of occurrences.", ""]  # fmt: skip
    return lines + markdown(["benchmark", "documents", "kept", "hits"], rows)


OBLIGATIONS = {
    "attribution": "name the authors, or keep their notice",
    "share_alike": "share adapted text under the same licence",
    "non_commercial": "no commercial use",
    "no_derivatives": "no adapted text may be shared",
}


def rights_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on what the licences oblige to; empty if the run did not look for licences."""
    total = sum(row.tokens for row in report.rights)
    if not report.rights:
        return []
    rows = [
        [
            row.spdx or f"({row.class_})", ", ".join(n.replace("_", " ") for n in OBLIGATIONS if getattr(row, n)),
            row.documents, row.tokens, share(row.tokens, total), few(sorted(row.sources)),
        ]
        for row in report.rights
    ]  # fmt: skip
    lines = ["## Obligations", "", "Licences as they came with documents or are named on their pages; a statement is "
             "evidence, not permission. `obligations.csv` has the same by source.", ""]  # fmt: skip
    lines += markdown(["licence", "obliges to", "documents", "tokens", "%", "sources"], rows)
    sums = [
        [name.replace("_", " "), Markup(meaning), sum(r.documents for r in report.rights if getattr(r, name)),
         sum(r.tokens for r in report.rights if getattr(r, name)),
         share(sum(r.tokens for r in report.rights if getattr(r, name)), total)]
        for name, meaning in OBLIGATIONS.items()
    ]  # fmt: skip
    return [*lines, "", *markdown(["obligation", "", "documents", "tokens", "%"], sums)]


def copies_line(report: ReleaseNumbers) -> list[str]:
    """Return a line on how duplicates are similar to their keepers; no line without duplicates."""
    kinds = report.duplicates.get("language", {}).values()
    raw, exact, near = (sum(row.get(kind, 0) for row in kinds) for kind in ("raw", "exact", "near"))
    if not raw + exact + near:
        return []
    return [
        "",
        f"Of the duplicates {raw:,} have the text of the document kept for them, {exact:,} the same but for width, "
        f"case, marks or Traditional forms, and {near:,} are near copies.",
    ]


def funnel_table(
    funnel: Mapping[str, Mapping[str, int]], rules: Sequence[str], failed: Mapping[str, int]
) -> list[str]:
    """Return a table of documents: one row per outcome, the largest languages in columns.

    Args: funnel, language -> outcome -> documents; rules, names of the drop rules in the order of application; failed,
    documents that fail each rule, regardless of the rule that dropped them.
    """
    languages = sorted(funnel, key=lambda name: (-sum(funnel[name].values()), name))
    shown, rest = languages[:SHOWN_LANGUAGES], languages[SHOWN_LANGUAGES:]
    columns = [[name] for name in shown] + ([rest] if rest else []) + [languages]
    heads = ["", *shown, *([f"{len(rest)} others"] if rest else []), "all", "fail it"]
    outcomes_found = {outcome for row in funnel.values() for outcome in row}

    def line(name: str, outcomes: Iterable[str]) -> list[Any]:
        outcomes = list(outcomes)
        sums = [sum(funnel[n].get(o, 0) for n in names for o in outcomes) for names in columns]
        return [name, *sums, failed.get(name, "")]

    dropped = [
        *(rule for rule in dict.fromkeys(rules) if rule in outcomes_found),
        *sorted(outcomes_found - {"kept", *rules}),
    ]
    rows = [
        line("ingested", outcomes_found),
        *(line(name, [name]) for name in dropped),
        line("kept", ["kept"]),
    ]
    return markdown(heads, rows)


def language_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on documents, bytes and tokens of each language that has a kept document."""
    tallies = report.profile.languages
    total = sum(row.kept_tokens for row in tallies.values())
    rows = [
        [
            name, row.documents, row.kept, share(row.kept, row.documents),
            in_bytes(row.kept_bytes), row.kept_tokens, share(row.kept_tokens, total),
        ]
        for name in kept_languages(report)
        for row in [tallies[name]]
    ]  # fmt: skip
    heads = ["language", "documents", "kept", "kept %", "kept text", "kept tokens", "share of tokens"]
    return ["## Languages", "", *markdown(heads, rows)]


def source_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on what was read and what was kept of each source."""
    rows = []
    for source in report.sources:
        licenses = [row.license or "none" for row in report.licenses if source.source in row.sources]
        provenances = [name or "not said" for name, kept in sorted(source.provenances.items()) if kept]
        rows.append(
            [
                source.source, source.files, in_bytes(source.input_bytes), source.read, source.kept,
                share(source.kept, source.documents), source.kept_tokens, ", ".join(provenances) or "—",
                few(licenses),
            ]
        )  # fmt: skip
    heads = [
        "source",
        "files",
        "read from",
        "records",
        "kept",
        "kept %",
        "kept tokens",
        "provenance",
        "licences",
    ]
    return ["## Sources", "", *markdown(heads, rows)]


def license_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the licences of kept documents."""
    heads, rows = license_rows(report.licenses)
    rows = [[*row, few(sources)] for *row, sources in rows]
    return ["## Licences", "", "Each document carries its own in `license`.", "", *markdown(heads, rows)]


def quality_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the share of kept bytes in each tier and bucket; empty without them."""
    tiers, buckets = present(report.profile.tiers), present(report.profile.buckets)
    languages = [name for name in kept_languages(report) if name in {**tiers, **buckets}][:SHOWN_LANGUAGES]
    if not languages:
        return []
    lines = [
        "## Quality", "",
        f"A bucket is a rank by quality within a language, cut in equal shares of {bucket_unit(report)} before copies "
        "were dropped; the table has the share of the language's kept bytes that each tier and bucket came to.", "",
    ]  # fmt: skip
    rows = []
    for kind, table in (("tier", tiers), ("bucket", buckets)):
        names = {name for language in languages for name in table.get(language, {})}
        for name in sorted(names, key=lambda n: -int(n) if kind == "bucket" else ("high", "medium", "low").index(n)
                           if n in ("high", "medium", "low") else 3):  # fmt: skip
            row: list[Any] = [f"{kind} {name}"]
            for language in languages:
                groups = table.get(language, {})
                total = sum(group.kept_bytes for group in groups.values())
                row.append(share(groups.get(name, Split()).kept_bytes, total))
            rows.append(row)
    return lines + markdown(["", *languages], rows)


def bucket_unit(report: ReleaseNumbers) -> str:
    """Return what quality buckets hold equal shares of."""
    units = {row.unit for row in report.buckets.summary} if report.buckets else {"text_bytes"}
    return "bytes" if units <= {"text_bytes"} else f"tokens ({code(min(units))})"


def copies_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on clusters of duplicates and on documents removed in favour of another member."""
    clusters = present(report.profile.clusters)
    if not clusters:
        return []
    n_clusters, n_documents, n_copies = (sum(column) for column in zip(*clusters.values(), strict=True))
    return [
        "## Copies", "",
        f"{n_documents:,} of {report.counts.ingested:,} documents are in {n_clusters:,} clusters of copies and "
        f"near copies. {n_copies:,} documents that pass every rule were dropped because another member was kept; the "
        "ledger names it in `keeper_id`.",
    ]  # fmt: skip


def domain_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on documents by domain; empty if the run does not label domains."""
    domains = present(report.profile.domains)
    if not domains:
        return []
    rows = [
        [name, row.documents, row.kept, share(row.kept, row.documents),
         row.kept_tokens]
        for name, row in sorted(domains.items(), key=lambda item: (-item[1].documents, item[0]))
    ]  # fmt: skip
    return ["## Domains", "", *markdown(["domain", "documents", "kept", "kept %", "kept tokens"], rows)]


def mixes(report: ReleaseNumbers) -> list[tuple[str, Mix, bool]]:
    """Return for every mix its name, its numbers and whether it is the default."""
    return [(name, mix, name == report.default_mix) for name, mix in sorted(report.mixes.items())]


def mix_section(named: tuple[str, Mix, bool]) -> list[str]:
    """Return the section on one mix: requested and realised shares."""
    name, mix, is_default = named
    lines = [
        f"## Mix {code(name)}" + (", the default" if is_default else ""), "",
        f"{mix.documents:,} documents, {mix.tokens:,} tokens in training order; {mix.discarded_share:.1%} of "
        "the kept tokens are left out.", "",
        *markdown(*mix_rows(mix)),
    ]  # fmt: skip
    lines += repeat_lines(mix.repeat) if isinstance(mix.repeat, Repeat) else []
    return lines + order_lines(mix) + mixed_lines(mix)


def order_lines(mix: Mix) -> list[str]:
    """Return lines on the training order: how far shares of windows are from the requested ones, and its phases."""
    lines = []
    if isinstance(mix.training, MixTraining) and mix.training.windows:
        lines += [
            "",
            f"In windows of 1,000 documents{'' if mix.unit == 'documents' else f' and 1 M {mix.unit}'} "
            f"({mix.training.windows:,} of them), shares differ from the requested ones by at most "
            f"{mix.training.window_error:.2%}.",
        ]
    if mix.phases:
        rows = [[row.phase + 1, row.first, row.documents, row.units] for row in mix.phases]
        lines += ["", *markdown(["phase", "first row", "documents", mix.unit], rows)]
    return lines


def mixed_lines(mix: Mix) -> list[str]:
    """Return lines on documents with text in another language than their own."""
    rows = [
        [
            row.language,
            f"{row.above:.0%}",
            row.documents,
            f"{row.documents_share:.2%}",
            f"{row.tokens_share:.2%}",
        ]
        for row in mix.mixed
        if row.documents
    ]
    if not rows:
        return []
    heads = ["language", "other languages above", "documents", "% of its documents", "% of its tokens"]
    return [
        "",
        "Documents with text in other languages than their own, copies counted:",
        "",
        *markdown(heads, rows),
    ]


def repeat_lines(repeat: Repeat) -> list[str]:
    """Return lines on how often documents of each class are taken in one epoch and, if fitted, their removal rates."""
    fitted = repeat.fit is not None
    rows = [
        [
            "less" if row.least is None else row.least,
            row.times, row.documents, row.copies, row.tokens,
            *([f"{row.removed_share:.1%}"] if fitted else []),
        ]
        for row in repeat.classes
    ]  # fmt: skip
    heads = ["from", "times", "documents", "copies", "tokens", *(["removed by rules"] if fitted else [])]
    why = f"; the weights follow from what rules removed, {repeat.removed_share:.1%} of all" if fitted else ""
    sentence = f"An epoch holds documents more than once, by {code(repeat.column)}{why}:"
    return ["", sentence, "", *markdown(heads, rows)]


def making_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on steps, with versions and recipes, and on edits of the text."""
    rows = [
        [
            code(s.module), s.version, "across documents" if s.kind == "global" else "each document",
            code(s.recipe[:8]),
        ]
        for s in report.steps
    ]  # fmt: skip
    readers = sorted({source.reader for source in report.sources if source.reader})
    lines = [
        "## How it was made",
        "",
        f"Read by {', '.join(code(name) for name in readers)}; text is UTF-8.",
    ]
    for source in report.sources:
        if source.derived_by:
            lines += [
                "",
                f"Source {code(source.source)} is made of others' documents by {code(source.derived_by)}.",
            ]
    if rows:
        lines += ["", "Measured by these steps, in this order:", ""]
        lines += markdown(["step", "version", "looks at", "recipe"], rows)
    spans = [
        f"{code(column)} ({'all kinds' if kinds is None else escaped(', '.join(kinds))})"
        for column, kinds in sorted(report.edits.spans.items())
    ]
    spans += [f"what rule {code(rule)} trims" for rule in report.edits.trims]
    edits = f"Cut out or replaced in the text: {', '.join(spans)}." if spans else "The text was not edited."
    return [*lines, "", edits]


def limits_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on known limits; each line follows from the numbers or the steps."""
    steps, counts = {s.name for s in report.steps}, report.counts
    edited = {column.partition(".")[0] for column in report.edits.spans}
    without = sum(row.documents for row in report.licenses if not row.license)
    flagged = {name: n for name, n in report.failed.items() if name not in report.rules and n}
    lines = ["Labels, scores and verdicts are a program's; no person has checked the documents one by one."]
    if without:
        lines.append(f"{without:,} kept documents ({share(without, counts.kept)}) came without a licence.")
    if flagged:
        names = ", ".join(f"{code(name)} ({n:,})" for name, n in sorted(flagged.items()))
        lines.append(f"Rules that only flag leave what they find in: {names}, dropped documents included.")
    if edited.isdisjoint(PRIVACY):
        lines.append("Personal data was not looked for or not removed.")
    else:
        lines.append(
            "Personal data was removed where its form gives it away; names and free descriptions are left in."
        )
    if steps.isdisjoint(BENCHMARKS):
        lines.append("It was not compared with benchmarks: it may hold test questions.")
    if steps.isdisjoint(HARM):
        lines.append("No step looked for toxic or harmful text.")
    if not report.profile.clusters:
        lines.append("Near copies were not looked for.")
    if counts.lost_passages:
        lines.append(
            f"{counts.lost_passages:,} repeated passages are gone from every document that held them."
        )
    if not counts.kept_tokens:
        lines.append("Tokens were not counted.")
    return ["## Known limits", "", *(f"- {line}" for line in lines)]
