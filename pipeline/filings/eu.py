"""The public summary of training content that Article 53(1)(d) of Regulation (EU) 2024/1689 asks for.

Sections and fields follow the template of the Commission, C(2025) 8311 final of 5 December 2025, in words of our own.
It is the summary of one corpus: a provider joins those of all corpora of a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipeline.filings.facts import (
    CRAWLED,
    LICENSED,
    OTHER,
    PRIVATE,
    PUBLIC_DATA,
    SYNTHETIC,
    USER,
    Opened,
)
from pipeline.filings.filing import Filing, Label, Section, Table, both

SIZES = ((10**9, both("less than 1 billion tokens", "少于 10 亿 token")),
         (10**13, both("1 billion to 10 trillion tokens", "10 亿至 10 万亿 token")))  # fmt: skip
LARGEST = both("more than 10 trillion tokens", "多于 10 万亿 token")

LARGE_SHARE = 0.03
"""Share of all public data sets, by size, above which one is listed by name."""

YES, NO, TEXT = both("yes", "是"), both("no", "否"), both("text", "文本")

TOP_SHARE = 0.1
"""Share of the domains, the largest, that the summary names; small and medium-sized providers name 5 % or 1,000."""

NAMES = {
    PUBLIC_DATA: both("2.1 Publicly available data sets", "2.1 公开数据集"),
    LICENSED: both("2.2.1 Data licensed from right holders", "2.2.1 向权利人取得许可的数据"),
    PRIVATE: both("2.2.2 Other private data of third parties", "2.2.2 其他第三方非公开数据"),
    CRAWLED: both("2.3 Data crawled and scraped", "2.3 抓取的数据"),
    USER: both("2.4 User data", "2.4 用户数据"),
    SYNTHETIC: both("2.5 Synthetic data", "2.5 合成数据"),
    OTHER: both("2.6 Other sources", "2.6 其他来源"),
    None: both("Sources whose category is not stated", "类别未注明的来源"),
}


def eu_summary(opened: Opened, facts: Mapping[str, Any]) -> Filing:
    """The summary of a release. facts: see filing.read_facts."""
    numbers = opened.numbers
    return Filing(
        name="eu-summary", title=both("Public summary of training content", "训练内容公开摘要"),
        basis=both(
            "Template: Commission, C(2025) 8311 final. Filled in from one release; blank fields are the provider's.",
            "依据：欧盟委员会模板 C(2025) 8311。由一个发布自动填写；空白处由提供者填写。",
        ),
        release=numbers.name, recipe=numbers.recipe,
        sections=[general(opened), *sources(opened, facts), processing(opened)],
    )  # fmt: skip


def general(opened: Opened) -> Section:
    """Section 1: provider, model, size, languages."""
    numbers = opened.numbers
    tokens = numbers.counts.kept_tokens
    size = next((name for limit, name in SIZES if tokens < limit), LARGEST) if tokens else None
    tallies = sorted(numbers.profile.languages.items(), key=lambda item: -item[1].kept_bytes)
    total = sum(row.kept_bytes for _, row in tallies)
    languages = [
        [name, row.kept, row.kept_tokens, f"{row.kept_bytes / total:.2%}"]
        for name, row in tallies
        if row.kept
    ]
    dates = sorted(name for name in numbers.profile.snapshots or {} if name)
    return Section(
        title=both("1. General information", "1. 一般信息"),
        fields=[
            ("version", both("Version of the summary", "摘要版本"), None),
            ("last_update", both("Last update", "最近更新日期"), None),
            ("provider", both("Provider, contact, authorised representative", "提供者、联系方式、授权代表"), None),
            ("model", both("Model and versions, models it depends on", "模型及版本、所依赖的模型"), None),
            ("placed_on_market", both("Date of placing on the Union market", "投放欧盟市场日期"), None),
            ("modality", both("Modality", "模态"), TEXT),
            ("size", both("Size of the training text", "训练文本规模"), size),
            ("tokens", both("Tokens of this corpus", "本语料的 token 数"), tokens or None),
            ("content_types", both("Types of content", "内容类型"), None),
            ("latest_acquisition", both("Latest date of acquisition", "最近采集日期"), None),
            ("snapshots", both("Crawls and dumps", "抓取批次"), dates or None),
            ("linguistic", both("Linguistic characteristics", "语言特征"),
             [f"{name}: {share}" for name, _, _, share in languages] or None),
            ("characteristics", both("Other characteristics", "其他特征"), None),
        ],
        tables=[
            Table(
                both("Languages", "语言"),
                [both("language", "语言"), both("documents", "文档"), both("tokens", "token"),
                 both("% of bytes", "字节占比")],
                languages,
            )
        ],
    )  # fmt: skip


def sources(opened: Opened, facts: Mapping[str, Any]) -> list[Section]:
    """Section 2: sources by category, and the domains of crawled ones."""
    numbers, found = opened.numbers, []
    of_category: dict[str | None, list[list[Any]]] = {}
    is_complete = all(opened.category(s.source, facts) is not None for s in numbers.sources)
    for s in numbers.sources:
        licences = sorted(row.license for row in numbers.licenses if s.source in row.sources and row.license)
        row = [
            s.source,
            s.read,
            s.kept,
            s.kept_tokens,
            ", ".join(licences[:8]) or None,
            s.derived_by or s.reader,
        ]
        of_category.setdefault(opened.category(s.source, facts), []).append(row)
    heads = [both("source", "来源"), both("records", "记录"), both("kept documents", "保留文档"),
             both("tokens", "token"), both("licences", "许可"), both("read or made by", "读取或生成方式")]  # fmt: skip
    for category, title in NAMES.items():
        rows = of_category.get(category, [])
        if category is None and not rows:
            continue
        section = Section(title=title, tables=[Table(both("Sources", "来源"), heads, rows)] if rows else [])
        used = YES if rows else NO if is_complete else None
        section.fields = category_fields(category, used, rows)
        if category == CRAWLED:
            section.tables.append(domain_table(opened))
        if not rows:
            section.notes = [both("No source of this release is of this category.", "本发布没有此类来源。")]
        found.append(section)
    return found


def category_fields(
    category: str | None, used: Label | None, rows: list[list[Any]]
) -> list[tuple[str, Label, Any]]:
    """Fields of a part of section 2. used: whether the release has such sources, None if not all state a category."""
    modality = TEXT if rows else None
    total = sum(row[3] or 0 for row in rows)
    large = [row[0] for row in rows if (row[3] or 0) > LARGE_SHARE * total]
    unused = NO if used == NO else None
    small = [row[0] for row in rows if row[0] not in large]
    fields: dict[str | None, list[tuple[str, Label, Any]]] = {
        PUBLIC_DATA: [
            ("public_used", both("Publicly available data sets were used", "是否使用公开数据集"), used),
            ("public_modality", both("Modality of public data sets", "公开数据集的模态"), modality),
            ("public_large", both("Large ones (above 3 % of them)", "大型数据集（占比超过 3 %）"), large or None),
            ("public_other", both("Description of the others", "其余数据集的说明"), small or None),
        ],
        LICENSED: [
            ("licensed_used", both("Licences were agreed with right holders", "是否与权利人订立商业许可"), used),
            ("licensed_modality", both("Modality of licensed data", "许可数据的模态"), modality),
        ],
        PRIVATE: [
            ("private_used", both("Other private data sets were obtained", "是否取得其他非公开数据集"), used),
            ("private_modality", both("Modality of private data", "非公开数据的模态"), modality),
            ("private_known", both("Publicly known ones", "为公众所知者"), None),
            ("private_other", both("Description of those not publicly known", "不为公众所知者的说明"), None),
        ],
        CRAWLED: crawl_fields(used, modality),
        USER: [
            ("model_user_data", both("Data from use of the model", "是否使用模型交互数据"), unused),
            ("service_user_data", both("Data from other services", "是否使用其他服务的用户数据"), unused),
            ("user_services", both("Services that collected it", "收集数据的服务"), None),
            ("user_modality", both("Modality of user data", "用户数据的模态"), modality),
        ],
        SYNTHETIC: [
            ("synthetic_used", both("Synthetic data was made", "是否生成合成数据"), used),
            ("synthetic_modality", both("Modality of synthetic data", "合成数据的模态"), modality),
            ("generators", both("Models on the market that generated it", "生成所用的已上市模型"), None),
            ("other_generators", both("Other models that generated it", "生成所用的其他模型"), None),
        ],
        OTHER: [
            ("other_used", both("Other sources were used", "是否使用其他来源"), used),
            ("other_description", both("Description of other sources", "其他来源的说明"), None),
        ],
    }  # fmt: skip
    return fields.get(category, [])


def crawl_fields(used: Label | None, modality: Label | None) -> list[tuple[str, Label, Any]]:
    """Fields of section 2.3 on crawlers."""
    return [
        ("crawlers_used", both("Crawled data was used", "是否使用抓取数据"), used),
        ("crawlers", both("Crawlers and their operators", "爬虫及其运营者"), None),
        ("crawler_purposes", both("Purposes of the crawlers", "爬虫用途"), None),
        ("crawl_behaviour", both("Behaviour (robots.txt, paywalls)", "抓取行为（robots.txt、付费墙等）"), None),
        ("crawl_period", both("Period of collection", "采集时间"), None),
        ("crawled_content", both("Types of content and sources crawled", "抓取的内容与来源类型"), None),
        ("crawled_modality", both("Modality of crawled data", "抓取数据的模态"), modality),
    ]  # fmt: skip


def domain_table(opened: Opened) -> Table:
    """The largest domains, by size of text."""
    n = math.ceil(len(opened.domains) * TOP_SHARE)
    total = sum(row[2] for row in opened.domains)
    top = sum(row[2] for row in opened.domains[:n])
    share = f"{top / total:.1%}" if total else "0 %"
    return Table(
        both(
            f"The largest {n:,} of {len(opened.domains):,} domains, with {share} of the text with an address",
            f"最大的 {n:,} 个域名（共 {len(opened.domains):,} 个），占有网址文本的 {share}",
        ),
        [both("domain", "域名"), both("documents", "文档"), both("bytes", "字节"), both("tokens", "token")],
        [list(row) for row in opened.domains[:n]],
    )


def processing(opened: Opened) -> Section:
    """Section 3: reservations of rights, removal of illegal content, personal data."""
    numbers = opened.numbers
    opt_out = opened.rules_on("opt_out", "opted_out", "tdm", "noai")
    harm = opened.rules_on("toxic", "self_harm", "url_lists")
    spans = [
        [kind, kept, both("replaced", "已替换") if is_edited(opened, column, kind) else both("left", "保留")]
        for column, kinds in numbers.spans.items() if column.partition(".")[0] == "pii"
        for kind, (_, kept, _) in sorted(kinds.items())
    ]  # fmt: skip
    steps = [[s.module, s.version] for s in numbers.steps]
    fields: list[tuple[str, Label, Any]] = [
        ("code_of_practice", both("Signatory of the Code of Practice", "是否签署行为守则"), None),
        ("copyright_policy", both("Measures to respect reservations of rights", "尊重权利保留的措施"), None),
        ("opt_out_rules", both("Rules on opt-outs, and documents that they removed", "退出规则及其移除的文档数"),
         [f"{name}: {n:,}" for name, n in opt_out.items()]),
        ("opt_outs_left", both("Kept documents with an opt-out", "仍保留的带退出声明的文档"), opened.opt_outs),
        ("illegal_content", both("Measures against illegal content", "针对违法内容的措施"), None),
        ("harm_rules", both("Rules on harmful text, and documents that they removed", "有害文本规则及其移除的文档数"),
         [f"{name}: {n:,}" for name, n in harm.items()]),
        ("other_information", both("Other information on processing", "数据处理的其他说明"), None),
    ]  # fmt: skip
    return Section(
        title=both("3. Processing of the data", "3. 数据处理"), fields=fields,
        tables=[
            Table(both("Personal data in kept documents", "保留文档中的个人信息"),
                  [both("kind", "类别"), both("documents", "文档"), both("in the text", "文本中")], spans),
            Table(both("Steps", "处理步骤"), [both("module", "模块"), both("version", "版本")], steps),
        ],
    )  # fmt: skip


def is_edited(opened: Opened, column: str, kind: str) -> bool:
    """Whether the release removes or replaces spans of a kind."""
    kinds = opened.numbers.edits.spans.get(column, [])
    return kinds is None or kind in kinds
