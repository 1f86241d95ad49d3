"""The explanation of a document as text for a terminal: the reason, what failed and the keeper first, then the rest."""

from __future__ import annotations

import shutil
from typing import Any  # values of an explanation, as of any column

from pipeline.cells import clip, pad, visible, wide
from pipeline.inspect.explain import N_COPIES
from pipeline.inspect.query import similarity_text
from pipeline.report.text_diff import columns
from pipeline.rules.meanings import meaning_of
from pipeline.translation import message, t

N_FAILED = 6
"""Further rules that a document fails and that the short form lists."""

N_PLACES = 5
"""Differences to the keeper that the short form lists."""

MAX_BESIDE = 12
"""Columns that a step may have for the short form to print them beside the rule that dropped the document."""

N_VALUES = 4
"""Values of a list that the short form prints."""

WIDTH = 120
"""Columns of text that goes to no terminal."""

KINDS = {
    "raw": message("the same text"),
    "exact": message("the same text except for width, case, marks or script"),
    "near": message("a near duplicate"),
}

LIMITS = (
    message("min"), message("max"), message("in"), message("not_in"), message("quantile"), message("margin"),
)  # fmt: skip
"""Facts of a condition, in the order in which they are printed."""

ACTIONS = (message("flag"), message("trim"))
"""What a rule does that does not drop."""

Explanation = dict[str, Any]


def explanation_text(explanation: Explanation, everything: bool = False) -> str:
    """The explanation as text.

    Without `everything` it fits on one screen: verdict, where the document is from, the rules that it fails with value
    and threshold, and the keeper. With it, every rule and annotation follows, in full.
    """
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    lines = [
        *_head(explanation, width),
        *_failed(explanation, everything),
        *_keeper(explanation, everything, width),
        *_neighbours(explanation.get("neighbours", []), width),
    ]
    if not everything:
        lines.append(_counts(explanation["rules"]))
        return "\n".join(clip(line, max(width, 60)) for line in lines)
    return "\n".join([*lines, *_rules(explanation["rules"]), *_annotations(explanation["annotations"])])


def _head(explanation: Explanation, width: int) -> list[str]:
    document = explanation["document"]
    verdict = t("kept") if explanation["keep"] else t(f"dropped by {explanation['rule']}")
    return [
        f"{explanation['doc_id']}  {verdict}",
        f"  {document['source']}/{document['input']}:{document['input_row']}  "
        + t(f"shard {explanation['shard']} row {explanation['row']}"),
        *([f"  {t('url')} {document['url']}"] if document["url"] else []),
        f"  {t('text')} {clip(visible(explanation['excerpt']), max(width - 7, 40))}",
    ]


def _failed(explanation: Explanation, everything: bool) -> list[str]:
    """The rules that the document fails, the one that dropped it first; flags and trims are named as such."""
    failed = [rule for rule in explanation["rules"] if rule["fails"]]
    failed.sort(key=lambda rule: (rule["name"] != explanation["rule"], rule["action"] != "drop"))
    shown = failed if everything else failed[: N_FAILED + 1]
    width = max((wide(rule["name"]) for rule in shown), default=0)
    lines = []
    for rule in shown:
        effect = t("FAILS") if rule["action"] == "drop" else t(rule["action"])
        lines.append(f"  {pad(effect, 5)} {pad(rule['name'], width)}  {rule_text(rule, everything)}")
        if rule["name"] == explanation["rule"] and (meaning := meaning_of(rule["name"])):
            lines.append(f"        {t(meaning)}")
        if rule["name"] == explanation["rule"] and not everything:
            lines += _beside(rule, explanation["annotations"])
    if len(failed) > len(shown):
        lines.append(t(f"  and {len(failed) - len(shown):,} more that it fails"))
    return lines


def _beside(rule: Explanation, annotations: dict[str, Any]) -> list[str]:
    """Other columns of the steps whose columns a rule tests, such as the entry of a block list; not of large steps."""
    tested = {condition["column"] for condition in rule["conditions"]}
    lines = []
    for step in sorted({column.partition(".")[0] for column in tested}):
        values = {name: value for name, value in annotations.items() if name.startswith(f"{step}.")}
        others = {
            name: value for name, value in values.items() if name not in tested and value not in (None, [])
        }
        lines += (
            [f"        {name} {value!r}" for name, value in others.items()]
            if len(values) <= MAX_BESIDE
            else []
        )
    return lines


def _neighbours(listed: list[Explanation], width: int) -> list[str]:
    """The documents nearest in meaning: relation, cosine, id, source and beginning of each."""
    return [
        clip(
            f"  {found['relation']:<14} {found['cosine']:.3f}  {found['doc_id']}  {found['source']}  "
            f"{visible(found['excerpt'])}",
            max(width, 60),
        )
        for found in listed
    ]


def _counts(rules: list[Explanation]) -> str:
    n_failed = sum(rule["fails"] for rule in rules)
    n_passed = sum(rule["applies"] and not rule["fails"] for rule in rules)
    n_other = len(rules) - n_failed - n_passed
    return t(
        f"rules: fails {n_failed:,}, passes {n_passed:,}; {n_other:,} do not apply (--all: each, and every annotation)"
    )


def _rules(rules: list[Explanation]) -> list[str]:
    width = max((wide(rule["name"]) for rule in rules), default=0)
    lines = [t("rules")]
    for rule in rules:
        mark = t("FAILS") if rule["fails"] else t("ok") if rule["applies"] else "-"
        lines.append(f"  {pad(mark, 5)} {pad(rule['name'], width)}  {rule_text(rule, True)}")
    return lines


def _annotations(annotations: dict[str, Any]) -> list[str]:
    width = max(map(len, annotations), default=0)
    return [t("annotations"), *(f"  {name:<{width}}  {value!r}" for name, value in annotations.items())]


def rule_text(rule: Explanation, everything: bool) -> str:
    """The conditions of a rule with their values, and for a rule that does not apply, those that say so."""
    part = t(f"(the {rule['part']} part)") + "  " if "part" in rule else ""
    where = t(" and ").join(condition_text(condition, everything) for condition in rule["where"])
    if not rule["applies"]:
        return part + t(f"does not apply: where {where}")
    tests = "; ".join(condition_text(condition, everything) for condition in rule["conditions"])
    return f"{part}{tests}" + (f"  {t(f'where {where}')}" if where and everything else "")


def condition_text(condition: Explanation, everything: bool) -> str:
    """`signals.n_chars 37 (min 100, margin -63)`."""
    facts = [f"{t(name)} {_value(condition[name], everything)}" for name in LIMITS if name in condition]
    return f"{condition['column']} {_value(condition['value'], everything)} ({', '.join(facts)})"


def _value(value: Any, everything: bool) -> str:
    if isinstance(value, (list, tuple)) and len(value) > N_VALUES and not everything:
        return t(f"{', '.join(map(str, value[:N_VALUES]))} and {len(value) - N_VALUES:,} more")
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) and not everything else repr(value)


def _keeper(explanation: Explanation, everything: bool, width: int) -> list[str]:
    """The keeper of a duplicate, with excerpts where the two differ, or the duplicates of a keeper."""
    keeper, copies = explanation["keeper"], explanation["kept_for"]
    if copies and copies["copies"]:
        some = (
            f"{c['doc_id']} ({t(KINDS[c['kind']])}, {similarity_text(c['similarity'])})"
            for c in copies["some"]
        )
        more = [t(f"  and {copies['copies'] - N_COPIES:,} more")] if copies["copies"] > N_COPIES else []
        return [t(f"keeper of {copies['copies']:,} duplicates"), *(f"  {line}" for line in some), *more]
    if keeper is None:
        return []
    lines = [
        t(f"keeper {keeper['doc_id']}") + f"  {keeper['source']}  {keeper['url'] or ''}".rstrip(),
        f"  {_similarity(keeper)}" + t(f"; cluster of {explanation['cluster_size']}"),
    ]
    excerpts = keeper["differences"]
    shown = excerpts if everything else excerpts[:N_PLACES]
    lines += (
        [f"  {line}" for line in columns(shown, width - 2, (t("removed"), t("kept")))] if excerpts else []
    )
    if len(excerpts) > len(shown):
        lines.append(t(f"  and {len(excerpts) - len(shown):,} more differences"))
    return lines


def _similarity(keeper: Explanation) -> str:
    bound = "" if keeper["compared"] else t(" or more, from their similarities to a third document")
    threshold, margin = keeper["threshold"], keeper["margin"]
    limit = t(f" (threshold {threshold}, margin {margin:+.3f})") if threshold else ""
    same = t(", the same shingles") if keeper["kind"] == "near" and keeper["similarity"] == 1 else ""
    kind, value = t(KINDS[keeper["kind"]]), similarity_text(keeper["similarity"])
    return t(f"{kind}: similarity {value}") + f"{same}{bound}{limit}"
