"""The dataset card of a release: contents, funnel, sources, composition, usage and limits.

Takes the numbers of report.json and contains no others. It is written in the language of messages: README.md in
English, with the front matter of a dataset card of the Hugging Face hub, so that a release can be uploaded unchanged,
and README.zh-CN.md in Chinese.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.report.card_files import (
    checking_section,
    column_section,
    file_section,
    kept_languages,
    loading_section,
)
from pipeline.report.card_scripts import script_section
from pipeline.report.markdown import Markup, code, escaped, few, in_bytes, markdown, share
from pipeline.report.release_numbers import Mix, MixTraining, ReleaseNumbers, Repeat, Split, present
from pipeline.report.shown import license_rows, mix_rows
from pipeline.translation import labels, language, message, t

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
    """Return the text of a card, in the language of messages, without front matter.

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
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def introduction(report: ReleaseNumbers) -> list[str]:
    """Return lines that describe the release in a paragraph."""
    counts, languages = report.counts, report.profile.languages
    size = sum(row.kept_bytes for row in languages.values())
    largest = kept_languages(report)[:SHOWN_LANGUAGES]
    shares = [f"{escaped(name)} {share(languages[name].kept_bytes, size)}" for name in largest]
    by_bytes = ", ".join(shares) or t("nothing was kept")
    return [
        "[English](README.md)" if language() == "zh" else "[中文](README.zh-CN.md)",
        "",
        t(
            f"Text for pretraining language models: **{counts.kept:,} documents, {counts.kept_tokens:,} tokens**, "
            f"{in_bytes(size)} of text before edits, kept of {counts.ingested:,} documents of the corpus "
            f"{code(report.corpus)}. By bytes: {by_bytes}."
        ),
        "",
        t(
            f"Built with bicorpus {report.version} from `run.yaml`; recipe `{report.recipe}`. `lineage.json` names "
            "every input file by its digest; `report.html` shows the same numbers as pictures."
        ),
    ]


def funnel_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on all records, by language and rule, and the counts of rules that only flag."""
    counts = report.counts
    sums = t(
        f"rows read {counts.read:,} = ingested {counts.ingested:,} + quarantined {counts.quarantined:,} + "
        f"erased {counts.erased:,}; ingested = kept {counts.kept:,} + dropped {counts.dropped:,}."
    )
    if counts.derived:
        sums += " " + t(f"Of those read, {counts.derived:,} are made of others' documents.")
    lines = [
        "## " + t("Where every record went"),
        "",
        sums,
        "",
        t("Documents by the first rule that dropped them; the last column counts all that fail the rule."),
        "",
        *funnel_table(report.funnel, report.rules, report.failed),
        *copies_line(report),
    ]
    flags = [[name, n] for name, n in sorted(report.failed.items()) if name not in report.rules]
    if flags:
        lines += ["", t("Rules that flag or trim and drop nothing; the ledger names them in `flags`:"), ""]
        lines += markdown(labels("rule", "documents"), flags)
    reasons = [
        [source, reason, n]
        for source, counts_by_reason in sorted(report.quarantined.items())
        for reason, n in sorted(counts_by_reason.items())
    ]
    if reasons:
        lines += [
            "",
            t("Records that could not become a document:"),
            "",
            *markdown(labels("source", "reason", "records"), reasons),
        ]
    return lines


def expectation_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the bounds that the run file sets on figures of the release; empty without any."""
    rows = [
        [
            row.name, code(row.figure), "" if row.min is None else f"{row.min:,.6g}",
            "" if row.max is None else f"{row.max:,.6g}", "" if row.value is None else f"{row.value:,.4g}",
            t(f"outside ({row.level})") if row.outside else t("as expected"),
        ]
        for row in report.expectations
    ]  # fmt: skip
    if not rows:
        return []
    heads = labels("expectation", "figure", "at least", "at most", "found", "")
    return [
        "## " + t("Expectations"),
        "",
        t("Checked before the release was written:"),
        "",
        *markdown(heads, rows),
    ]


def audit_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the audit by people; empty without one."""
    audit = report.audit
    if audit is None:
        return []
    wrong = {"bad": t("should not be kept"), "good": t("removed wrongly")}
    rows = [
        [
            t(row.group) if row.by == "all" else f"{t(row.by)} {row.group}", wrong[row.wrong], row.population, row.read,
            row.found, f"{row.rate:.2%}", f"{row.low:.2%} – {row.high:.2%}",
        ]
        for row in audit.rates
    ]  # fmt: skip
    source = (
        t("this release") if audit.current else t("an earlier release of this name, with other decisions")
    )
    sentence = t(
        f"{audit.read:,} documents of {source} were read by {audit.readers:,} people. Rates are weighted by strata; "
        "intervals are Wilson's of 95 %."
    )
    lines = ["## " + t("Audit"), "", sentence, ""]
    if audit.unrepresented:
        n_documents = sum(audit.unrepresented.values())
        lines[-1:] = [t(f"No verdict represents {n_documents:,} further documents."), ""]
    return lines + markdown(labels("documents", "that", "represent", "read", "found", "rate", "95 %"), rows)


def benchmark_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on benchmark questions that were found; empty if none was, or none was looked for."""
    rows = [
        [name, documents, kept, hits]
        for column in BENCHMARK_HITS
        for name, (documents, kept, hits) in sorted(report.spans.get(column, {}).items())
    ]
    if not rows:
        return []
    sentence = t(
        "Documents in which a question of a benchmark occurs, how many of them are kept, and the number of occurrences."
    )
    heads = labels("benchmark", "documents", "kept", "hits")
    return ["## " + t("Benchmark questions"), "", sentence, "", *markdown(heads, rows)]


OBLIGATIONS = {
    "attribution": message("name the authors, or keep their notice"),
    "share_alike": message("share adapted text under the same licence"),
    "non_commercial": message("no commercial use"),
    "no_derivatives": message("no adapted text may be shared"),
}


def rights_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on what the licences oblige to; empty if the run did not look for licences."""
    total = sum(row.tokens for row in report.rights)
    if not report.rights:
        return []
    rows = [
        [
            row.spdx or f"({row.class_})", ", ".join(t(n.replace("_", " ")) for n in OBLIGATIONS if getattr(row, n)),
            row.documents, row.tokens, share(row.tokens, total), few(sorted(row.sources)),
        ]
        for row in report.rights
    ]  # fmt: skip
    sentence = t(
        "Licences as they came with documents or are named on their pages; a statement is evidence, not permission. "
        "`obligations.csv` has the same by source."
    )
    lines = ["## " + t("Obligations"), "", sentence, ""]
    lines += markdown(labels("licence", "obliges to", "documents", "tokens", "%", "sources"), rows)
    sums = [
        [t(name.replace("_", " ")), Markup(t(meaning)), sum(r.documents for r in report.rights if getattr(r, name)),
         sum(r.tokens for r in report.rights if getattr(r, name)),
         share(sum(r.tokens for r in report.rights if getattr(r, name)), total)]
        for name, meaning in OBLIGATIONS.items()
    ]  # fmt: skip
    return [*lines, "", *markdown(labels("obligation", "", "documents", "tokens", "%"), sums)]


def copies_line(report: ReleaseNumbers) -> list[str]:
    """Return a line on how duplicates are similar to their keepers; no line without duplicates."""
    kinds = report.duplicates.get("language", {}).values()
    raw, exact, near = (sum(row.get(kind, 0) for row in kinds) for kind in ("raw", "exact", "near"))
    if not raw + exact + near:
        return []
    return [
        "",
        t(
            f"Of the duplicates {raw:,} have the text of the document kept for them, {exact:,} the same but for "
            f"width, case, marks or Traditional forms, and {near:,} are near copies."
        ),
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
    heads = ["", *shown, *([t(f"{len(rest)} others")] if rest else []), *labels("all", "fail it")]
    outcomes_found = {outcome for row in funnel.values() for outcome in row}

    def line(name: str, outcomes: Iterable[str]) -> list[Any]:
        outcomes = list(outcomes)
        sums = [sum(funnel[n].get(o, 0) for n in names for o in outcomes) for names in columns]
        return [t(name) if name in ("ingested", "kept") else name, *sums, failed.get(name, "")]

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
    heads = labels("language", "documents", "kept", "kept %", "kept text", "kept tokens", "share of tokens")
    return ["## " + t("Languages"), "", *markdown(heads, rows)]


def source_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on what was read and what was kept of each source."""
    rows = []
    for source in report.sources:
        licenses = [row.license or t("none") for row in report.licenses if source.source in row.sources]
        provenances = [name or t("not said") for name, kept in sorted(source.provenances.items()) if kept]
        rows.append(
            [
                source.source, source.files, in_bytes(source.input_bytes), source.read, source.kept,
                share(source.kept, source.documents), source.kept_tokens, ", ".join(provenances) or "—",
                few(licenses),
            ]
        )  # fmt: skip
    heads = labels(
        "source", "files", "read from", "records", "kept", "kept %", "kept tokens", "provenance", "licences"
    )
    return ["## " + t("Sources"), "", *markdown(heads, rows)]


def license_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the licences of kept documents."""
    heads, rows = license_rows(report.licenses)
    rows = [[*row, few(sources)] for *row, sources in rows]
    return [
        "## " + t("Licences"),
        "",
        t("Each document carries its own in `license`."),
        "",
        *markdown(heads, rows),
    ]


def quality_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on the share of kept bytes in each tier and bucket; empty without them."""
    tiers, buckets = present(report.profile.tiers), present(report.profile.buckets)
    languages = [name for name in kept_languages(report) if name in {**tiers, **buckets}][:SHOWN_LANGUAGES]
    if not languages:
        return []
    lines = [
        "## " + t("Quality"),
        "",
        t(
            f"A bucket is a rank by quality within a language, cut in equal shares of {bucket_unit(report)} before "
            "copies were dropped; the table has the share of the language's kept bytes that each tier and bucket came "
            "to."
        ),
        "",
    ]
    rows = []
    for kind, table in (("tier", tiers), ("bucket", buckets)):
        names = {name for label in languages for name in table.get(label, {})}
        for name in sorted(names, key=lambda n: -int(n) if kind == "bucket" else ("high", "medium", "low").index(n)
                           if n in ("high", "medium", "low") else 3):  # fmt: skip
            row: list[Any] = [f"{t(kind)} {t(name)}"]
            for label in languages:
                groups = table.get(label, {})
                total = sum(group.kept_bytes for group in groups.values())
                row.append(share(groups.get(name, Split()).kept_bytes, total))
            rows.append(row)
    return lines + markdown(["", *languages], rows)


def bucket_unit(report: ReleaseNumbers) -> str:
    """Return what quality buckets hold equal shares of."""
    units = {row.unit for row in report.buckets.summary} if report.buckets else {"text_bytes"}
    return t("bytes") if units <= {"text_bytes"} else f"{t('tokens')} ({code(min(units))})"


def copies_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on clusters of duplicates and on documents removed in favour of another member."""
    clusters = present(report.profile.clusters)
    if not clusters:
        return []
    n_clusters, n_documents, n_copies = (sum(column) for column in zip(*clusters.values(), strict=True))
    return [
        "## " + t("Copies"),
        "",
        t(
            f"{n_documents:,} of {report.counts.ingested:,} documents are in {n_clusters:,} clusters of copies and "
            f"near copies. {n_copies:,} documents that pass every rule were dropped because another member was kept; "
            "the ledger names it in `keeper_id`."
        ),
    ]


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
    return [
        "## " + t("Domains"),
        "",
        *markdown(labels("domain", "documents", "kept", "kept %", "kept tokens"), rows),
    ]


def mixes(report: ReleaseNumbers) -> list[tuple[str, Mix, bool]]:
    """Return for every mix its name, its numbers and whether it is the default."""
    return [(name, mix, name == report.default_mix) for name, mix in sorted(report.mixes.items())]


def mix_section(named: tuple[str, Mix, bool]) -> list[str]:
    """Return the section on one mix: requested and realised shares."""
    name, mix, is_default = named
    lines = [
        "## " + (t(f"Mix {code(name)}, the default") if is_default else t(f"Mix {code(name)}")),
        "",
        t(
            f"{mix.documents:,} documents, {mix.tokens:,} tokens in training order; {mix.discarded_share:.1%} of the "
            "kept tokens are left out."
        ),
        "",
        *markdown(*mix_rows(mix)),
    ]
    lines += repeat_lines(mix.repeat) if isinstance(mix.repeat, Repeat) else []
    return lines + order_lines(mix) + mixed_lines(mix)


def order_lines(mix: Mix) -> list[str]:
    """Return lines on the training order: how far shares of windows are from the requested ones, and its phases."""
    lines = []
    if isinstance(mix.training, MixTraining) and mix.training.windows:
        window = t("1,000 documents") if mix.unit == "documents" else t(f"1,000 documents and 1 M {mix.unit}")
        lines += [
            "",
            t(
                f"In windows of {window} ({mix.training.windows:,} of them), shares differ from the requested ones by "
                f"at most {mix.training.window_error:.2%}."
            ),
        ]
    if mix.phases:
        rows = [[row.phase + 1, row.first, row.documents, row.units] for row in mix.phases]
        lines += ["", *markdown(labels("phase", "first row", "documents", mix.unit), rows)]
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
    heads = labels("language", "other languages above", "documents", "% of its documents", "% of its tokens")
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
            t("less") if row.least is None else row.least,
            row.times, row.documents, row.copies, row.tokens,
            *([f"{row.removed_share:.1%}"] if fitted else []),
        ]
        for row in repeat.classes
    ]  # fmt: skip
    heads = labels(
        "from", "times", "documents", "copies", "tokens", *(["removed by rules"] if fitted else [])
    )
    sentence = t(f"An epoch holds documents more than once, by {code(repeat.column)}:")
    if fitted:
        sentence = t(
            f"An epoch holds documents more than once, by {code(repeat.column)}; the weights follow from what rules "
            f"removed, {repeat.removed_share:.1%} of all:"
        )
    return ["", sentence, "", *markdown(heads, rows)]


def making_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on steps, with versions and recipes, and on edits of the text."""
    rows = [
        [
            code(s.module), s.version, t("across documents") if s.kind == "global" else t("each document"),
            code(s.recipe[:8]),
        ]
        for s in report.steps
    ]  # fmt: skip
    readers = sorted({source.reader for source in report.sources if source.reader})
    names = ", ".join(map(code, readers))
    lines = [
        "## " + t("How it was made"),
        "",
        t(f"Read by {names}; text is UTF-8."),
    ]
    for source in report.sources:
        if source.derived_by:
            lines += [
                "",
                t(f"Source {code(source.source)} is made of others' documents by {code(source.derived_by)}."),
            ]
    if rows:
        lines += ["", t("Measured by these steps, in this order:"), ""]
        lines += markdown(labels("step", "version", "looks at", "recipe"), rows)
    spans = [
        f"{code(column)} ({t('all kinds') if kinds is None else escaped(', '.join(kinds))})"
        for column, kinds in sorted(report.edits.spans.items())
    ]
    spans += [t(f"what rule {code(rule)} trims") for rule in report.edits.trims]
    cut = ", ".join(spans)
    edits = t(f"Cut out or replaced in the text: {cut}.") if spans else t("The text was not edited.")
    return [*lines, "", edits]


def limits_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on known limits; each line follows from the numbers or the steps."""
    steps, counts = {s.name for s in report.steps}, report.counts
    edited = {column.partition(".")[0] for column in report.edits.spans}
    without = sum(row.documents for row in report.licenses if not row.license)
    flagged = {name: n for name, n in report.failed.items() if name not in report.rules and n}
    lines = [
        message(
            "Labels, scores and verdicts are a program's; no person has checked the documents one by one."
        )
    ]
    if without:
        part = share(without, counts.kept)
        lines.append(message(f"{without:,} kept documents ({part}) came without a licence."))
    if flagged:
        names = ", ".join(f"{code(name)} ({n:,})" for name, n in sorted(flagged.items()))
        lines.append(
            message(f"Rules that only flag leave what they find in: {names}, dropped documents included.")
        )
    if edited.isdisjoint(PRIVACY):
        lines.append(message("Personal data was not looked for or not removed."))
    else:
        lines.append(
            message(
                "Personal data was removed where its form gives it away; names and free descriptions are left in."
            )
        )
    if steps.isdisjoint(BENCHMARKS):
        lines.append(message("It was not compared with benchmarks: it may hold test questions."))
    if steps.isdisjoint(HARM):
        lines.append(message("No step looked for toxic or harmful text."))
    if not report.profile.clusters:
        lines.append(message("Near copies were not looked for."))
    if counts.lost_passages:
        lines.append(
            message(
                f"{counts.lost_passages:,} repeated passages are gone from every document that held them."
            )
        )
    if not counts.kept_tokens:
        lines.append(message("Tokens were not counted."))
    lines.append(
        message(
            "No model was trained on it: what such rules do for one, and how sure that is, is in docs/evidence.md of "
            "bicorpus."
        )
    )
    return ["## " + t("Known limits"), "", *(f"- {t(line)}" for line in lines)]
