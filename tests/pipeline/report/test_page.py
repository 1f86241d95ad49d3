"""The report: one page without anything from outside, the same for the same numbers."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ablation.page import page_script
from pipeline.dataset.release_schema import DUPLICATE, NO_LANGUAGE
from pipeline.dataset.shard import Shard
from pipeline.inspect.diff_page import diff_script
from pipeline.release.kept import length_counts, merge_lengths
from pipeline.report.html_page import plotly_script, script_hash, script_messages, translations
from pipeline.report.page import lengths_of, page, report_script
from pipeline.report.profile import (
    LEAST,
    MAX_GROUPS,
    MOST,
    add_up,
    bin_of,
    binned,
    count_clusters,
    edges_of,
    limited,
    merge,
    thresholds,
)
from pipeline.report.release_numbers import Counts, check_numbers, plain_numbers, read_numbers
from pipeline.rules.parse import parse_rules
from pipeline.rules.rules import Cuts
from pipeline.select.verdicts import Decision
from tests.helpers.build import build, cli, ledger, reference, tiny, write_run
from tests.helpers.pages import page_data


def test_the_page_stands_alone_and_tells_the_numbers(tmp_path: Path) -> None:
    """Nothing is fetched; the page has all numbers of report.json, and its policy allows its own scripts alone."""
    release = Path(reference().store, reference().record["release"])
    numbers = json.loads((release / "report.json").read_text(encoding="utf-8"))
    text = (release / "report.html").read_text(encoding="utf-8")
    own = text.replace(plotly_script(), "")
    assert not re.search(r"<(link|img|iframe)|@import|url\(|<script[^>]*src|https?://", own)
    assert page_data(text)["numbers"] == numbers and page_data(text)["times"] is None
    scripts = re.findall(r"<script>(.*?)</script>", own, re.S)
    assert len(scripts) == 2 and not scripts[0] and script_hash(scripts[1]) in text
    assert script_hash(plotly_script()) in text and text.count(plotly_script()) == 1
    assert page(check_numbers(numbers)) == text
    cli("report", release, "--to", tmp_path / "report.html").ok()
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    cli("report", release, "--to", tmp_path / "dated.html", "--store", reference().store).ok()
    times = page_data(tmp_path / "dated.html")["times"]
    assert times["date"] == reference().record["started"]
    speed = {row["stage"]: row for row in times["stages"]}
    assert speed["minhash"]["cpu_s"] == pytest.approx(reference().record["cpu_s"]["minhash"], abs=1e-3)
    assert speed["minhash"]["bytes"] == reference().record["stage_bytes"]["minhash"]


def test_names_from_a_run_file_are_text_and_not_markup() -> None:
    """A corpus or source named like a tag is text in the title, and data that cannot end its element."""
    numbers = {
        "name": "<b>", "corpus": "c", "version": "0", "mixes": {}, "rules": [], "failed": {}, "lengths": {},
        "counts": dict.fromkeys(Counts.__struct_fields__, 1), "recipe": "", "default_mix": "",
        "funnel": {"eng_Latn": {"kept": 1}}, "quarantined": {"</script><i>{{data}}": {"empty_text": 1}},
    }  # fmt: skip
    text = page(check_numbers(numbers))
    assert '<h1 id="title">&lt;b&gt;</h1>' in text and "</script><i>" not in text
    assert list(page_data(text)["numbers"]["quarantined"]) == ["</script><i>{{data}}"]


@pytest.mark.parametrize(("script", "n_least"), [(report_script, 150), (diff_script, 60), (page_script, 12)])
def test_every_message_of_the_scripts_has_a_translation(script: Callable[[], str], n_least: int) -> None:
    """What the scripts of pages show is in the catalogue, with the same fields."""
    messages = script_messages(script())
    known = translations(messages)
    assert len(messages) > n_least and [text for text in messages if text not in known] == []
    fields = re.compile(r"\{(\w+)")
    assert [text for text, zh in known.items() if set(fields.findall(text)) != set(fields.findall(zh))] == []


def test_lengths_fall_into_powers_of_two() -> None:
    """1 is in the first bin, 2 and 3 in the second, 4 in the third; the largest languages only."""
    facts = pa.table({"language": ["a"] * 4, "n_tokens": [1, 2, 3, 4]})
    assert lengths_of(merge_lengths([length_counts(facts), {"b": [1]}])) == {"a": [1, 2, 1], "b": [1]}


def test_numbers_are_written_and_read_through_one_schema() -> None:
    """Every number of report.json has a field, and a release that lacks those of later versions can be read."""
    data = Path(reference().store, reference().record["release"], "report.json").read_bytes()
    numbers = json.loads(data)
    assert json.loads(json.dumps(plain_numbers(read_numbers(data)))) == numbers
    early = {name: numbers[name] for name in ("name", "corpus", "version", "recipe", "counts", "funnel", "failed",
                                              "rules", "mixes", "default_mix", "quarantined")}  # fmt: skip
    assert page_data(page(check_numbers(early)))["numbers"]["rule_counts"] == []
    with pytest.raises(msgspec.ValidationError, match="kept"):
        check_numbers({**early, "counts": {**numbers["counts"], "kept": "many"}})


def released() -> dict[str, Any]:
    """The numbers of the small release."""
    path = Path(reference().store, reference().record["release"], "report.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_distributions_and_rules_count_every_document() -> None:
    """Histograms, rules and samples of the report add up to the ledger, and name documents on their side."""
    numbers, rows = released(), ledger(reference().store)
    n_kept = sum(row["keep"] for row in rows)
    for column in ("tokens.n_tokens", "text_bytes"):
        found = numbers["signals"][column].values()
        assert sum(sum(h["kept"]) for h in found) == n_kept
        assert sum(sum(h["dropped"]) for h in found) == len(rows) - n_kept
    sizes = numbers["signals"]["dedup.cluster_size"].values()  # null for a document in no cluster
    assert sum(sum(h["kept"]) for h in sizes) == sum(
        row["keep"] and row["cluster"] is not None for row in rows
    )
    (rule,) = [row for row in numbers["rule_counts"] if row["rule"] == "too_short"]
    assert rule["failed"] == numbers["failed"]["too_short"] == sum(n for n, _ in rule["sources"].values())
    assert rule["decided"] == rule["alone"] == sum(row["rule"] == "too_short" for row in rows) > 0
    (bound,) = [row for row in numbers["bounds"] if row["rule"] == "too_short"]
    assert (bound["column"], bound["side"], bound["value"]) == ("tokens.n_tokens", "min", 60)
    assert (sum(bound["kept"]), sum(bound["alone"])) == (n_kept, rule["alone"])
    at = int(bin_of(np.array([60.0]))[0])
    assert all(code <= at for code, n in zip(bound["bins"], bound["alone"], strict=True) if n)
    assert all(code >= at for code, n in zip(bound["bins"], bound["kept"], strict=True) if n)
    samples = [row for row in numbers["rule_samples"] if row["rule"] == "too_short"]
    n_failed = rule["failed"]
    for side, is_kept, n in (
        ("taken", False, min(n_failed, 3)),
        ("outside", False, min(n_failed, 2)),
        ("inside", True, 2),
    ):
        mine = [row for row in samples if row["side"] == side]
        assert len(mine) == n and all(row["keep"] == is_kept and row["text"] for row in mine)
        assert all((row["value"] >= 60) == is_kept for row in mine)


def test_report_of_what_is_no_release(tmp_path: Path) -> None:
    """A folder without report.json is a wrong argument, with advice in the message."""
    ended = cli("report", tmp_path, "--json")
    assert ended.code == 2 and "no report.json" in ended.err and "store/releases/v1" in ended.err


def test_the_report_counts_what_the_ledger_holds() -> None:
    """Sources, copies and languages of the profile add up to the rows of the ledger."""
    numbers, rows = released(), ledger(reference().store)
    assert json.loads(cli("report", reference().store / "releases" / "v1", "--json").ok().out) == numbers
    for source in numbers["sources"]:
        mine = [row for row in rows if row["source"] == source["source"]]
        assert source["documents"] == len(mine) == source["read"] - source["quarantined"]
        assert source["kept"] == sum(row["keep"] for row in mine)
        assert source["copies"] == sum(row["rule"] == DUPLICATE for row in mine)
    clusters = Counter(row["cluster"] for row in rows if row["cluster"])
    found = numbers["profile"]["clusters"]
    assert sum(row[0] for row in found.values()) == len(clusters) > 50
    assert sum(row[1] for row in found.values()) == sum(clusters.values())
    assert found["2"][0] == sum(n == 2 for n in clusters.values())
    assert sum(row["documents"] for row in numbers["licenses"]) == numbers["counts"]["kept"]
    assert sum(row["tokens"] for row in numbers["licenses"]) == numbers["counts"]["kept_tokens"]


def test_shards_do_not_matter(tmp_path: Path) -> None:
    """The same documents in one shard and in many have the same profile, scores, domains and cuts included."""
    rows: list[dict[str, Any]] = [  # Any: values of fields
        {"id": str(i), "text": f"文章 {i}", "lang": ("a", "b", None)[i % 3], "score": i / 60, "ppl": 1.5**(i % 20),
         "domain": f"d{i % 7}"}
        for i in range(60)
    ]  # fmt: skip
    found = []
    for shard_bytes in ("1MB", "40"):
        page = tiny(tmp_path / shard_bytes, rows, ingest={"shard_bytes": shard_bytes})
        names = {
            "lang.label": "lang:string",
            "edu.score": "score",
            "lm.ppl": "ppl",
            "top.domain": "domain:string",
        }
        page["sources"][0] |= {"columns": names}
        quantile = {"quantile": {"max": 0.9, "by": "lang.label"}}
        page["select"] = [{"name": "rare", "lm.ppl": quantile, "if_null": "keep"}]
        columns = {"language": "lang.label", "quality": {"edu": "edu.score"}, "perplexity": "lm.ppl",
                   "domain": "top.domain"}  # fmt: skip
        page["release"] = {"name": "v1", "columns": columns}
        store = tmp_path / shard_bytes / "store"
        build(write_run(tmp_path / shard_bytes, page), store)
        numbers = json.loads((store / "releases/v1/report.json").read_text(encoding="utf-8"))
        counts = [numbers[name] for name in ("signals", "rule_counts", "bounds", "domain_perplexity")]
        samples = sorted(map(str, numbers["rule_samples"]))
        found.append(
            [
                numbers["profile"],
                numbers["thresholds"],
                numbers["sources"][0] | {"files": 0},
                *counts,
                samples,
            ]
        )
        assert len(list((store / "shards").glob("*.parquet"))) == (1 if shard_bytes == "1MB" else 15)
    assert found[0] == found[1]
    profile, cuts = found[0][:2]
    assert set(profile["perplexity"]) == {"a", "b", NO_LANGUAGE} and set(profile["domains"]) == {
        f"d{i}" for i in range(7)
    }
    assert sum(profile["domains"]["d0"][:1]) == 9
    assert all(
        sum(row[1] for row in groups.values()) for groups in profile["perplexity"].values()
    )  # some drop
    for language in ("a", "b"):
        (cut,) = [cut for cut in cuts["perplexity"] if cut["languages"] == [language]]
        values = sorted(row["ppl"] for row in rows if row["lang"] == language)
        assert math.isclose(cut["value"], values[math.ceil(0.9 * len(values)) - 1], rel_tol=1e-5)


@given(st.floats(-(2.0**MOST), 2.0**MOST).filter(lambda v: v == 0 or abs(v) > 2.0 ** (LEAST - 1)))
def test_a_value_lies_in_its_bin(value: float) -> None:
    """Above the lower edge, not above the upper one; below zero the mirror image; bins are narrow."""
    code = int(bin_of(np.array([value]))[0])
    low, high = edges_of(code)
    assert code == -int(bin_of(np.array([-value]))[0])
    if value > 0:
        assert low < value <= high <= low * 17 / 16
    elif value < 0:
        assert low <= value < high
    else:
        assert (low, high) == (0.0, 0.0)


def test_values_too_small_or_large_share_the_end_bins() -> None:
    """Histograms have a fixed size: values outside fall into the bins at their ends, null and inf into none."""
    codes = bin_of(np.array([1e-300, 2.0 ** (LEAST - 1), 2.0**MOST, 2.0**MOST * 1.01, 1e300]))
    assert codes[0] == codes[1] == 1 and codes[2] + 1 == codes[3] == codes[4]
    assert binned(pa.chunked_array([[1.0, None, math.inf, math.nan]])).is_null().to_pylist() == [
        False,
        True,
        True,
        True,
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30), st.integers(0, 30))
def test_parts_add_up_to_the_whole(rows: list[tuple[str, int]], cut: int) -> None:
    """The profile of two shards is that of all their documents together, in either order."""

    def counted(rows: list[tuple[str, int]]) -> dict[str, Any]:
        keys = [
            pa.array([row[0] for row in rows], pa.string()),
            pa.array([row[1] for row in rows], pa.int64()),
        ]
        one = [np.ones(len(rows), np.int64)]
        return {"buckets": add_up(keys, one), "languages": add_up(keys[:1], one)}

    parts = [counted(rows[:cut]), counted(rows[cut:])]
    assert merge(parts) == merge(parts[::-1]) == merge([counted(rows)])


def test_too_many_groups_are_left_out_whatever_the_order() -> None:
    """A column with more than MAX_GROUPS values has no table, whether one shard has them or only all together."""
    many = {str(i): [1] for i in range(MAX_GROUPS)}
    assert limited(many) == many and limited({**many, "x": [1]}) is None
    parts: list[dict[str, Any]] = [{"domains": dict(many)}, {"domains": {"x": [1]}}, {"domains": {"0": [1]}}]
    assert merge(parts)["domains"] is None and merge(parts[::-1])["domains"] is None
    assert merge([{"domains": dict(many)}, {"domains": {"0": [1]}}])["domains"]["0"] == [2]
    assert merge([{"domains": None}, {"domains": {"0": [1]}}])["domains"] is None


def test_clusters_are_counted_once() -> None:
    """The member that a cluster is named after stands for it; sizes round up to a power of two."""
    names, copies = ["a", "a", "a", None, "e", "e"], np.array([0, 1, 1, 0, 0, 0])
    ids, sizes = pa.chunked_array([list("abcdef")]), pa.chunked_array([[3, 3, 3, None, 2, 2]])
    found = count_clusters(pa.chunked_array([names]), sizes, ids, copies)
    assert found == {"4": [1, 3, 2], "2": [1, 2, 0]}


def test_cuts_know_their_languages() -> None:
    """A bound is for all languages, or for those of `where`; a quantile is where it came out in each language."""
    rules = parse_rules(
        [
            {"name": "all", "lm.ppl": {"max": 9}},
            {"name": "zh", "lm.ppl": {"min": 2}, "where": {"language.label": ["zho_Hans"]}},
            {"name": "rare", "lm.ppl": {"quantile": {"max": 0.5, "by": "language.label"}}},
            {"name": "other", "lm.ppl": {"quantile": {"max": 0.5, "by": "source"}}},
            {"name": "long", "signals.n_chars": {"max": 9}},
        ],
        "select",
    )
    cuts = Cuts()
    cuts.add("lm.ppl", ("language.label",), "eng_Latn", {1.0: 2, 3.0: 5})
    cuts.add("lm.ppl", ("source",), "web", {7.0: 1})
    columns = {"language": "language.label", "perplexity": "lm.ppl", "quality_bucket": None}
    plan: Any = SimpleNamespace(columns=columns, scores={})  # Any: the two fields of a Layout that are read
    decision = Decision(Shard("s", "docs", 1, 1), rules, {}, {}, 0, "", cuts=cuts)
    found = {
        cut["rule"]: (cut["side"], cut["value"], cut["languages"])
        for cut in thresholds(decision, plan)["perplexity"]
    }
    assert found == {
        "all": ("max", 9.0, None), "zh": ("min", 2.0, ["zho_Hans"]), "rare": ("max", 3.0, ["eng_Latn"]),
    }  # fmt: skip
