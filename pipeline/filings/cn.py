"""Tables on training data in the practice of GB/T 45652-2025 and GB/T 45654-2025: sources, sampling plan, pass rates.

The limits are those of the standards: a source with more than 5 % of bad items is barred; of 4,000 items or more that
people read, at least 96 % pass; of 10 % or more that programs check, at least 98 %. The words are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.filings.eu import is_edited
from pipeline.filings.facts import Opened
from pipeline.filings.filing import Filing, Label, Section, Table, both
from pipeline.report.audit_numbers import AuditNumbers, AuditRate

MOST_BAD = 0.05
LEAST_READ, LEAST_PASS = 4000, 0.96
LEAST_MACHINE_PASS = 0.98

YES, NO = both("yes", "是"), both("no", "否")


def cn_tables(opened: Opened, facts: Mapping[str, Any]) -> Filing:
    """The tables of a release."""
    numbers = opened.numbers
    return Filing(
        name="cn-tables", title=both("Safety of pretraining data", "预训练数据安全自查表"),
        basis=both(
            "Practice of GB/T 45652-2025 and 45654-2025. From one release; blank fields are the provider's.",
            "参照 GB/T 45652-2025 与 GB/T 45654-2025。由一个发布自动填写；空白处由提供者填写。",
        ),
        release=numbers.name, recipe=numbers.recipe,
        sections=[general(opened), sources(opened, facts), people(opened), machine(opened), personal(opened)],
    )  # fmt: skip


def general(opened: Opened) -> Section:
    """Who files, and what."""
    counts = opened.numbers.counts
    return Section(
        title=both("1. General information", "一、基本情况"),
        fields=[
            ("provider", both("Provider", "服务提供者"), None),
            ("responsible", both("Person responsible for the data", "数据安全负责人"), None),
            ("purpose", both("Service and model", "服务与模型名称"), None),
            ("corpus", both("Corpus", "语料名称"), opened.numbers.corpus),
            ("documents", both("Documents", "语料条数"), counts.kept),
            ("tokens", both("Tokens", "token 数"), counts.kept_tokens or None),
            ("dropped", both("Documents removed", "清洗移除条数"), counts.dropped),
        ],
    )


def sources(opened: Opened, facts: Mapping[str, Any]) -> Section:
    """Sources with category, licences and bad share; those above the limit are barred."""
    numbers = opened.numbers
    audited = rates_of(numbers.audit, "source")
    rows: list[list[Any]] = []
    for s in numbers.sources:
        licences = sorted(row.license for row in numbers.licenses if s.source in row.sources and row.license)
        rate = audited.get(s.source)
        rows.append(
            [
                s.source, opened.category(s.source, facts), s.read, s.kept, s.kept_tokens,
                ", ".join(licences[:8]) or None, None if rate is None else f"{rate.rate:.2%}",
                None if rate is None else (YES if rate.rate > MOST_BAD else NO),
            ]
        )  # fmt: skip
    heads = [both("source", "来源"), both("category", "类别"), both("records", "采集条数"), both("kept", "保留条数"),
             both("tokens", "token"), both("licences or agreements", "许可或协议"), both("bad items", "不良占比"),
             both("barred (more than 5 % bad)", "是否禁用（不良超过 5%）")]  # fmt: skip
    return Section(
        title=both("2. Sources", "二、语料来源"),
        fields=[
            ("source_check", both("Check of each source before collection", "采集前的来源安全评估"), None)
        ],
        tables=[Table(both("Sources", "来源清单"), heads, rows)],
    )


def people(opened: Opened) -> Section:
    """Sampling plan and pass rates of the audit by people; blank without an audit."""
    audit = opened.numbers.audit
    title = both("3. Check by people", "三、人工抽检")
    if audit is None:
        label = both("Audit (bicorpus audit draw, score)", "抽检（bicorpus audit draw、score）")
        return Section(title=title, fields=[("audit", label, None)])
    kept = [row for row in audit.rates if row.wrong == "bad"]
    whole = next((row for row in kept if row.by == "all"), None)
    rate = None if whole is None else 1 - whole.rate
    method = both(
        "stratified by source, language, outcome and tier; at random within",
        "按来源、语言、去留与分档分层，层内随机",
    )
    fields: list[tuple[str, Label, Any]] = [
        ("current", both("Drawn from the decisions of this release", "抽样对应本发布的决定"), answer(audit.current)),
        ("method", both("Method", "方法"), method),
        ("readers", both("Readers", "抽检人数"), audit.readers),
        ("enough", both(f"{LEAST_READ:,} items or more", f"不少于 {LEAST_READ:,} 条"),
         None if whole is None else answer(whole.read >= LEAST_READ)),
        ("pass_rate", both("Pass rate (at least 96 %)", "合格率（不低于 96%）"),
         None if rate is None else f"{rate:.2%}"),
        ("passes", both("Passes", "是否达标"), None if rate is None else answer(rate >= LEAST_PASS)),
    ]  # fmt: skip
    return Section(title=title, fields=fields, tables=audit_tables(audit, kept))


def audit_tables(audit: AuditNumbers, kept: Sequence[AuditRate]) -> list[Table]:
    """Sampling plan, pass rates, and wrong removals. kept: rates of kept documents."""
    by, group = both("by", "分层"), both("group", "组")
    read, bad, interval = both("read", "抽检条数"), both("bad", "不合格条数"), both("interval", "区间")
    plan = [[row.by, row.group, row.population, row.read] for row in kept]
    passed = [
        [
            row.by,
            row.group,
            row.read,
            row.found,
            f"{1 - row.rate:.2%}",
            f"{1 - row.high:.2%} – {1 - row.low:.2%}",
        ]
        for row in kept
    ]
    removed = [
        [row.group, row.read, row.found, f"{row.rate:.2%}", f"{row.low:.2%} – {row.high:.2%}"]
        for row in audit.rates
        if row.by == "rule"
    ]
    heads = [both("rule", "规则"), read, both("wrong", "误删条数"), both("rate", "误删率"), interval]
    pass_rate = both("pass rate", "合格率")
    return [
        Table(both("Sampling plan", "抽样方案"), [by, group, both("documents", "总体条数"), read], plan),
        Table(both("Pass rates, with intervals of 95 %", "合格率及 95% 置信区间"),
              [by, group, read, bad, pass_rate, interval], passed),
        Table(both("Wrong removals by rule", "各规则误删率"), heads, removed),
    ]  # fmt: skip


def answer(holds: bool) -> Label:
    """Yes or no."""
    return YES if holds else NO


def rates_of(audit: AuditNumbers | None, by: str) -> dict[str, AuditRate]:
    """Rates of an audit by group; empty without one."""
    return {row.group: row for row in audit.rates if row.by == by} if audit else {}


def machine(opened: Opened) -> Section:
    """Kept documents that a program still flags, of all kept documents."""
    numbers = opened.numbers
    kept = max(numbers.counts.kept, 1)
    harm = set(opened.rules_on("toxic", "self_harm", "url_lists"))
    flags = [[name, n, f"{n / kept:.2%}"] for name, n in sorted(opened.flags.items())]
    looked = any(step.name in ("toxicity", "url_lists") for step in numbers.steps)
    flagged = sum(n for name, n in opened.flags.items() if name in harm)
    share = 1 - flagged / kept
    return Section(
        title=both("4. Check by programs", "四、技术抽检"),
        fields=[
            ("machine_checked", both("Documents checked", "检查条数"), numbers.counts.kept if looked else None),
            ("machine_rules", both("Rules on harmful text", "有害文本规则"), sorted(harm)),
            ("machine_pass_rate", both("Pass rate (at least 98 %)", "合格率（不低于 98%）"),
             f"{share:.2%}" if looked and harm else None),
            ("machine_passes", both("Passes", "是否达标"),
             (YES if share >= LEAST_MACHINE_PASS else NO) if looked and harm else None),
        ],
        tables=[Table(both("Flags of kept documents", "保留文档上的标记"),
                      [both("rule", "规则"), both("documents", "文档"), both("share", "占比")], flags)],
    )  # fmt: skip


def personal(opened: Opened) -> Section:
    """Personal data and rights."""
    numbers = opened.numbers
    spans = [
        [kind, kept, YES if is_edited(opened, column, kind) else NO]
        for column, kinds in numbers.spans.items() if column.partition(".")[0] == "pii"
        for kind, (_, kept, _) in sorted(kinds.items())
    ]  # fmt: skip
    rights = [[row.spdx or row.class_, row.documents, row.tokens] for row in numbers.rights]
    return Section(
        title=both("5. Personal data and intellectual property", "五、个人信息与知识产权"),
        fields=[
            ("consent", both("Ground for personal data", "个人信息处理依据"), None),
            ("ip_policy", both("Policy on intellectual property", "知识产权管理策略"), None),
            ("opt_outs_left", both("Kept documents with an opt-out", "仍保留的带退出声明的文档"), opened.opt_outs),
        ],
        tables=[
            Table(both("Personal data", "个人信息"),
                  [both("kind", "类别"), both("documents", "文档"), both("replaced", "已替换")], spans),
            Table(both("Licences", "许可"),
                  [both("licence", "许可"), both("documents", "文档"), both("tokens", "token")], rights),
        ],
    )  # fmt: skip
