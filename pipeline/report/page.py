"""The report of a release: one self-contained HTML page with figures, and the same numbers as JSON."""

from __future__ import annotations

import html
from functools import partial

import numpy as np
import pyarrow as pa

from pipeline.report.bucket_tables import drift_table, largest_buckets, overlap_table, sample_details
from pipeline.report.held import HeldNumbers, group_rows, held_rows
from pipeline.report.markdown import share
from pipeline.report.profile import MAX_GROUPS
from pipeline.report.release_numbers import ReleaseNumbers, present
from pipeline.report.shown import diversity_rows, license_rows, mix_rows, value_rows
from pipeline.report.tables import (
    kinds_table,
    language_table,
    largest_of,
    megabytes,
    quarantine_table,
    sample_table,
    script_table,
    table,
    tier_table,
)
from pipeline.translation import labels, language, t

SHOWN_LANGUAGES = 5
SHOWN_GROUPS = 8
SHOWN_DOMAINS = 20
"""Number of languages with a line of their own, and of bars in one figure; report.json has all."""

SHOWN_TRUE, SHOWN_FOREIGN = 24, 6
"""Number of languages of a held sample in the matrix, the largest, and of labels that are none of them."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child, .text { text-align: left }
h2 + p { margin-top: -.4rem; color: #555 }
.numbers { display: flex; gap: 2.5rem; flex-wrap: wrap } .numbers b { display: block; font-size: 1.5rem }
svg { max-width: 100%; height: auto }
details { margin: .3rem 0 } summary { cursor: pointer } details table { font-size: .85rem }
details td:last-child { overflow-wrap: anywhere; white-space: normal }
.heat td { min-width: 4.5rem } caption { text-align: left; font-weight: 600; padding: .8rem 0 .2rem }
"""


def lengths_of(facts: pa.Table) -> dict[str, list[int]]:
    """Kept documents per power-of-two bin of tokens, for the largest languages.

    Args: facts, language and n_tokens of every kept document.
    """
    if not facts.num_rows:
        return {}
    tokens = facts["n_tokens"].fill_null(0).to_numpy().astype(np.int64)
    languages = facts["language"].to_numpy(zero_copy_only=False).astype(object)
    names, counts = np.unique(languages.astype(str), return_counts=True)
    largest = sorted(zip(names, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))[:SHOWN_LANGUAGES]
    return {
        str(name): np.bincount(np.frexp(np.maximum(tokens[languages == name], 1))[1] - 1).tolist()
        for name, _ in largest
    }


def page(numbers: ReleaseNumbers, held: HeldNumbers | None = None) -> str:
    """Return the HTML page; sections without numbers are left out. held: numbers of a sample of known language."""
    sections = [
        *head(numbers), *funnel_parts(numbers), *language_parts(numbers), *held_parts(held), *source_parts(numbers),
        *quality_parts(numbers), *scorer_parts(numbers), *copies_parts(numbers), *threshold_parts(numbers),
        *domain_parts(numbers), *derived_parts(numbers), *mix_parts(numbers), *license_parts(numbers),
        *making_parts(numbers),
    ]  # fmt: skip
    body, title = "\n".join(sections), html.escape(numbers.name)
    return (
        f'<!doctype html>\n<html lang="{language()}"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def section(title: str, *parts: str, note: str = "") -> list[str]:
    """A heading, a line of explanation, and the figures and tables."""
    return [f"<h2>{html.escape(title)}</h2>", *([f"<p>{html.escape(note)}</p>"] if note else []), *parts]


def head(numbers: ReleaseNumbers) -> list[str]:
    """The name of the release and its largest numbers."""
    counts = numbers.counts
    heads = [
        (counts.read, t("records read")), (counts.ingested, t("documents")), (counts.kept, t("kept")),
        (counts.kept_tokens, t("tokens kept")), (counts.quarantined, t("in quarantine")),
    ]  # fmt: skip
    return [
        f"<h1>{html.escape(numbers.name)}</h1>",
        f"<p>{html.escape(t(f'bicorpus {numbers.version}, corpus {numbers.corpus}'))}</p>",
        *(f"<p><b>{t('Look at this:')}</b> {html.escape(t(warning))}</p>" for warning in numbers.warnings),
        '<div class="numbers">' + "".join(f"<div><b>{n:,}</b>{name}</div>" for n, name in heads) + "</div>",
    ]


def funnel_parts(numbers: ReleaseNumbers) -> list[str]:
    """Documents by outcome, and documents dropped by each rule."""
    from pipeline.report.figures import draw_funnel, draw_rules, svg

    parts = section(t("Funnel"), svg(lambda axes: draw_funnel(axes, numbers.funnel), 8.5, 4.2))
    n_rules = sum(1 for rule in numbers.rules if numbers.failed.get(rule))
    if n_rules:
        draw = svg(
            lambda axes: draw_rules(axes, numbers.funnel, numbers.failed, numbers.rules),
            8,
            0.4 * n_rules + 1.2,
        )
        parts += section(t("Rules"), draw)
    flags = [[rule, n] for rule, n in sorted(numbers.failed.items()) if n and rule not in numbers.rules]
    if flags:
        note = t("Rules that only flag or trim; they drop nothing, and the ledger names them.")
        parts += section(t("Flags"), table(labels("rule", "documents"), flags), note=note)
    return parts


def language_parts(numbers: ReleaseNumbers) -> list[str]:
    """Languages, and the lengths of kept documents."""
    from pipeline.report.figures import draw_lengths, svg

    parts = section(t("Languages"), language_table(numbers))
    if scripts := numbers.scripts:
        parts += section(
            t("Chinese by script"),
            script_table(scripts),
            note=t("Of kept documents, by their released text."),
        )
    if numbers.lengths:
        parts += section(t("Lengths"), svg(lambda axes: draw_lengths(axes, numbers.lengths), 7.5, 3.4))
    return parts


def held_parts(held: HeldNumbers | None) -> list[str]:
    """What the language stage makes of a held sample: confusion matrix, figures of each language, confusable ones."""
    from pipeline.report.confusion import confusion, draw_confusion
    from pipeline.report.figures import svg

    if held is None:
        return []
    note = t(
        f"{held.correct:,} of {held.texts:,} texts of known language have their label "
        f"({share(held.correct, held.texts)}), by {held.module}, version {held.version}. A row of the matrix adds up "
        "to the texts of a language."
    )
    drawn = held.languages[:SHOWN_TRUE]
    rows, columns, counts = confusion({row.language: row.labels for row in drawn}, SHOWN_FOREIGN)
    figure = svg(
        lambda axes: draw_confusion(axes, rows, columns, counts),
        1.6 + 0.56 * len(columns), 1.4 + 0.38 * len(rows),
    )  # fmt: skip
    parts = section(t("Languages of a held sample"), figure, table(*held_rows(held)), note=note)
    if held.groups:
        note = t(
            "Languages that are taken for each other, with the recall of their own labels and of any label of the "
            "group. The setting `groups` of the language stage gives such languages one score."
        )
        parts += section(t("Confusable languages"), table(*group_rows(held)), note=note)
    return parts


def source_parts(numbers: ReleaseNumbers) -> list[str]:
    """Records read and documents kept of each source, and quarantined records."""
    parts = []
    if sources := numbers.sources:
        rows = [
            [
                s.source, s.files, megabytes(s.input_bytes), s.read, s.documents, s.kept,
                share(s.kept, s.documents), s.copies, s.kept_tokens,
                ", ".join(name or t("not said") for name, n in sorted(s.provenances.items()) if n),
            ]
            for s in sources
        ]  # fmt: skip
        heads = labels(
            "source",
            "files",
            "MB",
            "records",
            "documents",
            "kept",
            "kept %",
            "copies",
            "kept tokens",
            "provenance",
        )
        parts += section(t("Sources"), table(heads, rows))
    if any(numbers.quarantined.values()):
        parts += section(t("Quarantine"), quarantine_table(numbers.quarantined))
    return parts


def quality_parts(numbers: ReleaseNumbers) -> list[str]:
    """Buckets and tiers, scores and perplexity."""
    from pipeline.report.distributions import draw_buckets, draw_perplexity, draw_scores
    from pipeline.report.figures import svg

    profile, cuts = numbers.profile, numbers.thresholds
    parts: list[str] = []
    buckets = present(profile.buckets)
    places = [int(bucket) for groups in buckets.values() for bucket in groups]
    if (
        places and min(places) >= 0 and max(places) < MAX_GROUPS
    ):  # numbers of another kind have no such picture
        n = 1 + max(places)
        names, limits = largest_of(buckets), cuts.get("quality_bucket", [])
        draws = [
            partial(
                draw_buckets,
                language=name,
                groups=buckets[name],
                n_buckets=n,
                cuts=limits,
                legend=name == names[0],
            )
            for name in names
        ]
        note = t(
            "Where documents stand by quality among all of their language; dashed, an equal share for each bucket."
        )
        parts += section(t("Quality buckets"), svg(draws, *grid(len(draws)), 2), note=note)
    if tiers := present(profile.tiers):
        parts += section(t("Quality tiers"), tier_table(tiers))
    if scores := present(profile.scores):
        draws = [
            partial(
                draw_scores,
                scorer=name,
                languages=groups,
                shown=largest_of(groups),
                cuts=cuts.get(f"quality.{name}", []),
            )
            for name, groups in sorted(scores.items())
            if groups
        ]
        note = t("Each line adds up to 100 %; dotted, where rules cut.")
        parts += section(t("Scores"), svg(draws, *grid(len(draws), 4.0), 2), note=note) if draws else []
    if perplexity := present(profile.perplexity):
        limits = cuts.get("perplexity", [])
        draws = [
            partial(draw_perplexity, language=name, groups=perplexity[name], cuts=limits)
            for name in largest_of(perplexity)
            if any(int(code) > 0 for code in perplexity[name])
        ]
        note = t("Kept and dropped documents, each adding up to 100 %; dotted, where rules cut.")
        parts += section(t("Perplexity"), svg(draws, *grid(len(draws)), 2), note=note) if draws else []
    return parts


def scorer_parts(numbers: ReleaseNumbers) -> list[str]:
    """Overlap of the scorers' top buckets, drift of given edges, and sample documents of each bucket."""
    found = numbers.buckets
    if found is None:
        return []
    languages = largest_buckets(found)
    unit = found.summary[0].unit if found.summary else ""
    note = t(
        "Share of the top bucket of the scorer in a row that is also in the top bucket of the one in a column, by "
        f"{t('bytes') if unit == 'text_bytes' else unit}. Population only: documents that pass the base rules, one of "
        "each cluster."
    ) if unit else ""  # fmt: skip
    parts = section(t("Scorers"), *(overlap_table(found, name) for name in languages), note=note)
    if found.drift is not None:
        note = t(
            "Against the documents that the given bucket edges were made from. The population stability index (psi) is "
            "small below 0.1 and large above 0.25; by chance alone, one of a thousand samples of this size exceeds the "
            "next number. Moved is the share of the population in other buckets than expected."
        )
        parts += section(t("Drift"), drift_table(found.drift), note=note)
    if found.samples:
        note = t("Documents drawn from each bucket, the best first. Would you put them there?")
        parts += section(t("Samples by bucket"), *sample_details(found), note=note)
    return parts


def copies_parts(numbers: ReleaseNumbers) -> list[str]:
    """Sizes of clusters of duplicates, and where duplicates were removed."""
    from pipeline.report.distributions import draw_cluster_sizes, draw_copies
    from pipeline.report.figures import svg

    profile = numbers.profile
    clusters = present(profile.clusters)
    if not any(row.clusters for row in clusters.values()):
        return []
    draws = [
        partial(draw_cluster_sizes, clusters=clusters),
        partial(draw_copies, tallies=profile.languages, what="language", shown=SHOWN_GROUPS),
        partial(draw_copies, tallies=profile.sources, what="source", shown=SHOWN_GROUPS),
    ]
    n_clusters, n_documents, n_copies = (sum(column) for column in zip(*clusters.values(), strict=True))
    note = t(
        f"{n_documents:,} documents in {n_clusters:,} clusters; {n_copies:,} that pass every rule were dropped because "
        "another member is kept."
    )
    parts = section(t("Copies"), svg(draws, 10, 6.2, 2), note=note)
    for by, kinds in sorted(numbers.duplicates.items()):
        parts.append(kinds_table(by, kinds, profile.sources if by == "source" else profile.languages))
    return parts


def threshold_parts(numbers: ReleaseNumbers) -> list[str]:
    """Similarities of compared pairs, and pairs just below and above the threshold side by side."""
    from pipeline.report.distributions import draw_similarities
    from pipeline.report.figures import svg

    found = numbers.near_duplicates
    if not found or not found.histogram:
        return []
    draw = partial(draw_similarities, rows=found.histogram, threshold=found.threshold)
    parts = section(t("Similarity"), svg(draw, 8, 3.2))
    if found.samples:
        note = t(
            "Pairs closest to the threshold on both sides: what differs is in brackets. Would you call them copies?"
        )
        parts += section(t("Around the threshold"), sample_table(found.samples), note=note)
    return parts


def domain_parts(numbers: ReleaseNumbers) -> list[str]:
    """Documents and kept documents by domain."""
    from pipeline.report.distributions import draw_domains
    from pipeline.report.figures import svg

    domains = present(numbers.profile.domains)
    if not domains:
        return []
    n = min(len(domains), SHOWN_DOMAINS)
    note = t(f"The largest {n} of {len(domains)}.") if len(domains) > n else ""
    return section(
        t("Domains"), svg(lambda axes: draw_domains(axes, domains, n), 8, 0.32 * n + 1.2), note=note
    )


def derived_parts(numbers: ReleaseNumbers) -> list[str]:
    """Diversity of derived documents by language, domain and class, and their most frequent values."""
    parts = []
    for part in numbers.parts:
        note = (
            f"Effective: how many equally frequent {part.column}s would be as diverse. A mix can limit the share of "
            "those that are too frequent."
        )
        parts += section(
            f"{part.part}/: diversity", table(*diversity_rows(part)), table(*value_rows(part)), note=note
        )
    return parts


def mix_parts(numbers: ReleaseNumbers) -> list[str]:
    """Requested and realised shares of each mix."""
    from pipeline.report.figures import draw_mix, svg

    parts = []
    for name, mix in sorted(numbers.mixes.items()):
        parts += section(t(f"Mix {name}"), table(*mix_rows(mix)))
        if len(mix.groups) > 1:
            parts.append(svg(partial(draw_mix, name=name, mix=mix), 4.5, 3.2))
    return parts


def license_parts(numbers: ReleaseNumbers) -> list[str]:
    """Kept documents and tokens by licence."""
    if not numbers.licenses:
        return []
    heads, rows = license_rows(numbers.licenses)
    rows = [[*row, ", ".join(sources)] for *row, sources in rows]
    return section(
        t("Licences"), table(heads, rows), note=t("Of kept documents, as each of them carries it.")
    )


def making_parts(numbers: ReleaseNumbers) -> list[str]:
    """Steps with their versions and recipes."""
    rows = [[s.module, s.version, s.recipe[:8]] for s in numbers.steps]
    return section(t("Steps"), table(labels("step", "version", "recipe"), rows)) if rows else []


def grid(n_draws: int, height: float = 3.1) -> tuple[float, float]:
    """Width and height in inches of a figure with this many drawings, two per row."""
    return 10.0, height * -(-n_draws // 2)
