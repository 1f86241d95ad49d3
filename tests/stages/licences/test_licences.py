"""Licences by name, identifier and address; what they oblige to; copies, edits, and the layout of a release."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.errors import ConfigError
from stages import licences
from stages.licences import spdx
from stages.licences.clusters import GLOBAL
from stages.licences.spdx import CLASSES, licence_of
from tests.helpers.build import build, cli, ledger, tiny, write_run

FREE = ("LicenseRef-public-domain AND CC-BY-4.0", "MIT OR Apache-2.0")
"""Lists of the examples that restrict nothing."""


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ("CC BY-NC4.0", "CC-BY-NC-4.0"),
        ("CC BY NC-ND4.0", "CC-BY-NC-ND-4.0"),
        ("CC BY-NCSA", "CC-BY-NC-SA-4.0"),
        ("cc-by-sa3.0", "CC-BY-SA-3.0"),
        ("CC-BY-4.0-NC-ND", "CC-BY-NC-ND-4.0"),
        ("知识共享 署名—非商用", "CC-BY-NC-4.0"),
        ("知识共享 署名-不得演绎 4.0", "CC-BY-ND-4.0"),
        ("creative commons attribution noncomercial", "CC-BY-NC-4.0"),
        ("CC BY 4.0 - research only", None),
        ("creative commons attribution, commercial use prohibited", None),
        ("MIT (non-commercial)", "MIT AND LicenseRef-non-commercial"),
        ("MIT; CC-BY-NC-4.0", "MIT AND CC-BY-NC-4.0"),
        ("Apache 2.0 (research only)", "Apache-2.0 AND LicenseRef-non-commercial"),
        ("Public domain (non-commercial)", "LicenseRef-public-domain AND LicenseRef-non-commercial"),
        ("MIT WITH Commons-Clause", None),
        ("https://creativecommons.org/licenses/by/4.0/ 禁止商用", None),
        (
            "https://creativecommons.org/licenses/by/4.0/ https://creativecommons.org/licenses/by-nc/4.0/",
            None,
        ),
        ("CC BY 4.0, all rights reserved", "CC-BY-4.0 AND LicenseRef-all-rights-reserved"),
        ("© 2020 Foo. All rights reserved.", "LicenseRef-all-rights-reserved"),
        ("本文未经许可，不得转载", "LicenseRef-all-rights-reserved"),
        ("Apache-2.0 (repo; pages third-party)", None),
        ("知識共享 署名-非商業性-禁止衍生 4.0", "CC-BY-NC-ND-4.0"),
        ("CC-BY Not for commercial use", None),
        ("Apache-2.0-with-Commons-Clause", None),
        ("public domain (poems) + CC-BY-4.0", "LicenseRef-public-domain AND CC-BY-4.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("MIT/GPL-3.0-only", "MIT AND GPL-3.0-only"),
        ("CC: written by Tom", None),
        ("文章采用 署名-非商业性使用-禁止演绎 4.0 国际", "CC-BY-NC-ND-4.0"),
        ("https://share.example/?u=https://creativecommons.org/licenses/by/4.0", None),
    ],
)
def test_a_restriction_is_never_lost(value: str, expression: str | None) -> None:
    """A value that restricts has a licence with that restriction, or is not recognised."""
    found = licence_of(value)
    assert found.expression == expression
    assert found.terms.class_ not in ("public_domain", "attribution") or expression in FREE


@pytest.mark.parametrize(
    ("value", "expression", "class_"),
    [
        ("CC-BY-SA-4.0", "CC-BY-SA-4.0", "share_alike"),
        ("cc-by-sa-3.0", "CC-BY-SA-3.0", "share_alike"),
        ("CC BY-NC-ND 4.0 International", "CC-BY-NC-ND-4.0", "no_derivatives"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 3.0", "CC-BY-NC-SA-3.0", "non_commercial"),
        ("知识共享 署名-相同方式共享 4.0 国际许可协议", "CC-BY-SA-4.0", "share_alike"),
        ("创用 CC 姓名标示-非商业性 3.0 台湾", "CC-BY-NC-3.0", "non_commercial"),
        ("創用 CC 姓名標示-非商業性-禁止改作 3.0", "CC-BY-NC-ND-3.0", "no_derivatives"),
        ("https://creativecommons.org/licenses/by/2.5/cn/", "CC-BY-2.5-CN", "attribution"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0", "public_domain"),
        ("Public Domain", "LicenseRef-public-domain", "public_domain"),
        ("CC-BY-4.0 (a collection)", "CC-BY-4.0", "attribution"),
        ("Apache License, Version 2.0", "Apache-2.0", "attribution"),
        ("MIT License", "MIT", "attribution"),
        ("BSD 3-Clause License", "BSD-3-Clause", "attribution"),
        ("apache-2.0", "Apache-2.0", "attribution"),
        ("GPL-2.0-or-later", "GPL-2.0-or-later", "share_alike"),
        ("GPL-2.0+ WITH Classpath-exception-2.0", "GPL-2.0+ WITH Classpath-exception-2.0", "share_alike"),
        ("CC-BY-4.0 OR CC-BY-NC-4.0", "CC-BY-4.0 OR CC-BY-NC-4.0", "attribution"),
        ("CC-BY-4.0 and (MIT or cc-by-sa-4.0)", "CC-BY-4.0 AND (MIT OR CC-BY-SA-4.0)", "attribution"),
        ("CC-BY-4.0 AND CC-BY-NC-4.0", "CC-BY-4.0 AND CC-BY-NC-4.0", "non_commercial"),
        ("版权所有，未经许可不得转载", "LicenseRef-all-rights-reserved", "reserved"),
        ("All rights reserved.", "LicenseRef-all-rights-reserved", "reserved"),
        ("仅供研究使用", "LicenseRef-non-commercial", "non_commercial"),
        ("CC-BY-4.0 OR", None, "unknown"),
        ("CC-BY-4.0 OR the terms of the site", None, "unknown"),
        ("CC BY-ND-SA 4.0", None, "unknown"),
        ("CC-SA-1.0", None, "unknown"),
        ("see the site", None, "unknown"),
        ("https://example.org/terms", None, "unknown"),
    ],
)
def test_names_of_licences(value: str, expression: str | None, class_: str) -> None:
    """Names in both languages, addresses and expressions; what is not sure is unknown, never guessed."""
    found = licence_of(value)
    assert (found.expression, found.terms.class_) == (expression, class_)


def test_identifiers_are_those_of_spdx() -> None:
    """Every identifier without a version is known to the library of SPDX, if it is installed."""
    library = pytest.importorskip("license_expression", reason="license-expression is not installed")
    known = library.get_spdx_licensing()
    entries = yaml.safe_load(Path(spdx.LICENCES_PATH).read_text(encoding="utf-8"))
    ids = [i for entry in entries["licences"] for i in entry["ids"] if "*" not in i]
    ids += [i for i in entries["names"] if not i.startswith("LicenseRef")]
    unknown = [i for i in ids if not i.startswith("LicenseRef") and known.unknown_license_keys(i)]
    assert not unknown


def annotate(tmp_path: Path, **settings: object) -> list[dict[str, object]]:
    """The columns of four documents."""
    (tmp_path / "out.csv").write_text("host,date\nnews.example,2025-03-01\n", encoding="utf-8")
    meta = [
        '{"license_id": "CC-BY-SA-4.0", "license_place": "footer"}',
        '{"rel_license": "https://creativecommons.org/licenses/by-nc/4.0/"}',
        '{"robots": "noai"}',
        None,
    ]
    table = pa.table(
        {
            "license": ["CC-BY-4.0", None, None, None], "meta": meta, "date": [None, None, "2026-01-02", None],
            "host": ["a.example", "b.example", "c.example", "www.News.example"],
        }
    )  # fmt: skip
    config = licences.Config(register=(str(tmp_path / "out.csv"),), **settings)  # type: ignore[arg-type]
    return list(licences.STAGE.load(config)(table).to_pylist())


def test_evidence_conflicts_and_opt_outs(tmp_path: Path) -> None:
    """The more restrictive one of record and page is taken; the page's place is named; opt-outs have their date."""
    first, second, third, fourth = annotate(tmp_path)
    assert (first["spdx"], first["evidence"], first["conflict"]) == ("CC-BY-SA-4.0", "page:footer", True)
    assert annotate(tmp_path, strict=False)[0]["evidence"] == "record"
    assert (second["class"], second["evidence"]) == ("non_commercial", "page:rel")
    assert second["url"] == "https://creativecommons.org/licenses/by-nc/4.0/"
    assert (third["class"], third["rank"]) == ("none", None)
    assert (third["opt_out_by"], third["opt_out_date"]) == ("robots", "2026-01-02")
    assert (fourth["opt_out"], fourth["opt_out_by"], fourth["opt_out_date"]) == (
        True,
        "register",
        "2025-03-01",
    )


def test_a_register_needs_its_columns(tmp_path: Path) -> None:
    """Another table is an error."""
    path = tmp_path / "hosts.csv"
    path.write_text("site\na.example\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected host, date"):
        licences.STAGE.load(licences.Config(register=(str(path),)))


LONG = "从前有座山，山上有座庙，庙里有个老和尚在讲故事，讲的是：山下的村庄每年秋天都要晒谷子，晒谷场上铺满了金黄。"
DOCUMENTS = [
    {"id": "free", "text": "第一篇讲的是修桥：石匠把桥墩一块一块垒起来，再铺上木板。", "license": "CC0-1.0"},
    {
        "id": "sa",
        "text": "关于百科的第二篇，全文与其他各篇都不一样，讲的是湖泊与河流。",
        "license": "CC BY-SA 4.0",
    },
    {
        "id": "nc",
        "text": "关于论文的第三篇，讲的是实验的步骤与结果，写给读者看的。",
        "license": "cc-by-nc-4.0",
    },
    {
        "id": "nd",
        "text": "第四篇写给编辑 zhang.wei@example.com 的信，内容不许改动。",
        "license": "CC BY-ND 4.0",
    },
    {"id": "nd2", "text": "第五篇也不许改动，但是里面没有任何需要替换的内容。", "license": "CC BY-ND 4.0"},
    {"id": "copy1", "text": "转载：" + LONG * 3, "license": "CC-BY-4.0"},
    {"id": "copy2", "text": "转载：" + LONG * 3, "license": "版权所有"},
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose release has rules on licences."""
    folder = tmp_path_factory.mktemp("licences")
    page = tiny(
        folder,
        DOCUMENTS,
        annotate=[
            "stages.pii", "stages.licences", "stages.dedup.exact", "stages.minhash",
            {"use": "stages.licences.changed", "view": "release", "gate": {"licences.class": ["no_derivatives"]}},
        ],
        select=[
            {"name": "reserved", "cluster_licences.class": {"not_in": ["reserved", "unknown"]}, "if_null": "keep"},
            {"name": "nd_changed", "changed.changed": False, "if_null": "keep"},
        ],
        keep_one={"of": "dedup"},
        release={"edits": {"pii": "all"}, "replace": {"email": "<EMAIL>"}},
    )  # fmt: skip
    page["global"] = ["stages.dedup.candidates", "stages.dedup", "stages.licences.clusters"]
    build(write_run(folder, page), folder / "store")
    return folder / "store" / "releases" / "tiny"


def test_a_cluster_has_its_most_restrictive_licence(release: Path) -> None:
    """Of two copies one of which is reserved, none is kept; nor no-derivatives text that an edit would change."""
    rules = {row["source_id"]: row["rule"] for row in ledger(release.parents[1], "tiny")}
    assert rules == {
        "free": None, "sa": None, "nc": None, "nd": "nd_changed", "nd2": None, "copy1": "reserved", "copy2": "reserved"
    }  # fmt: skip


def test_obligations_have_parts_and_configs_of_their_own(release: Path) -> None:
    """No part of data/ mixes obligations; the card has a config and a table for them, obligations.csv the sources."""
    groups: dict[str, list[str]] = {}
    for path in sorted(release.glob("data/*/part-*.parquet")):
        table = pq.read_table(path)
        rights = table["rights"].to_pylist()
        groups[path.name] = [row["class"] for row in rights]
    assert list(groups.values()) == [
        ["public_domain", "no_derivatives"],
        ["share_alike"],
        ["non_commercial"],
    ] or list(groups.values()) == [["no_derivatives", "public_domain"], ["share_alike"], ["non_commercial"]]
    card = (release / "README.md").read_text(encoding="utf-8")
    configs = {c["config_name"]: c for c in yaml.safe_load(card.split("---")[1])["configs"]}
    assert configs["data-share_alike"]["data_files"][0]["path"] == ["data/und/part-00001.parquet"]
    assert {"data-other", "data-non_commercial"} <= set(configs)
    assert "| CC-BY-SA-4.0 | attribution, share alike | 1 |" in card
    rows = list(csv.DictReader((release / "obligations.csv").open(encoding="utf-8")))
    assert {row["spdx"]: row["no_derivatives"] for row in rows}["CC-BY-ND-4.0"] == "yes"
    numbers = json.loads((release / "report.json").read_text(encoding="utf-8"))
    assert sum(row["documents"] for row in numbers["rights"]) == numbers["counts"]["kept"] == 4
    assert cli("verify", release).code == 0


def test_clusters_of_one_process_and_of_partitions_agree() -> None:
    """Classes are ordered from the least restrictive; the step is checked with several partitions by the contract."""
    assert CLASSES.index("reserved") > CLASSES.index("no_derivatives") > CLASSES.index("public_domain")
    assert GLOBAL.writes.names[0] == "class"
