"""Run files: mistakes are reported with their place, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.annotate.addresses import Recipes
from pipeline.config.document import read_document
from pipeline.config.load import load_run
from pipeline.config.phases import phases
from pipeline.config.quantities import parse_bytes
from pipeline.config.run_file import RunFile
from pipeline.dataset.shard import Shard
from pipeline.errors import ConfigError

PAGE: dict[str, Any] = {
    "corpus": "c",
    "sources": [{"name": "a", "reader": "stages.readers.jsonl", "files": "a.jsonl"}],
    "annotate": [
        "stages.dedup.exact",
        "stages.minhash",
        {"use": "stages.web.boilerplate"},
        {"use": "stages.tokens", "view": "release"},
    ],
    "global": ["stages.dedup.candidates", "stages.dedup"],
    "select": [{"name": "short", "tokens.n_tokens": {"min": 3}}],
    "keep_one": {"of": "dedup", "prefer": [{"rank": "low"}]},
    "release": {"edits": {"boilerplate": "all"}},
}


def load(tmp_path: Path, **changes: Any) -> RunFile:
    """Load PAGE with some sections changed."""
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({**PAGE, **changes}), encoding="utf-8")
    return load_run(path)


def test_steps_are_ordered_by_what_they_read(tmp_path: Path) -> None:
    """One wave for all stages, then the global steps in the order of their columns."""
    run = load(tmp_path, **{"global": ["stages.dedup", "stages.dedup.candidates"]})
    order = [(phase.kind, phase.label) for phase in phases(run)]
    assert order == [
        ("wave", "exact, minhash, boilerplate, tokens"),
        ("global", "candidates"),
        ("global", "dedup"),
    ]


def test_a_setting_changes_the_recipes_of_its_step_and_of_its_readers_only(tmp_path: Path) -> None:
    """minhash's bands reach candidates and dedup; exact and tokens are unchanged."""
    before = Recipes(load(tmp_path)).static
    annotate = [
        "stages.dedup.exact",
        {"use": "stages.minhash", "config": {"n_bands": 20}},
        *PAGE["annotate"][2:],
    ]
    after = Recipes(load(tmp_path, annotate=annotate)).static
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"minhash", "candidates", "dedup"}


def test_the_view_enters_the_recipe_and_thresholds_do_not(tmp_path: Path) -> None:
    """Token counts follow the edits of the release; no recipe follows a drop rule."""
    before = Recipes(load(tmp_path)).static
    edited = Recipes(load(tmp_path, release={"edits": {"boilerplate": ["cookie"]}})).static
    assert {name for name in before if before[name] != edited[name]} == {"tokens"}
    select = [{"name": "short", "tokens.n_tokens": {"min": 30}}]
    assert Recipes(load(tmp_path, select=select)).static == before


def test_a_trim_rule_enters_the_view(tmp_path: Path) -> None:
    """A trim rule changes the released text of the rows that fail it, so it changes the counts of tokens."""
    trim = {"name": "t", "action": "trim", "trim": {"boilerplate": ["share"]}}
    trim |= {"boilerplate.removed_share": {"max": 0.5}}
    before = Recipes(load(tmp_path, release={})).static
    after = Recipes(load(tmp_path, release={}, select=[*PAGE["select"], trim])).static
    assert {name for name in before if before[name] != after[name]} == {"tokens"}


def test_a_stage_s_recipe_is_the_same_on_every_shard_without_globals(tmp_path: Path) -> None:
    """A stage that reads no global result has its static recipe everywhere."""
    recipes = Recipes(load(tmp_path))
    assert recipes.full("minhash", Shard("a-1", "a", 1, 1)) == recipes.static["minhash"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sorces": []}, "unknown key 'sorces'; did you mean 'sources'"),
        ({"corpus": ""}, "corpus is ''; expected a name"),
        ({"sources": []}, "expected a list with at least one entry"),
        ({"sources": [{"name": "a"}]}, "reader is missing"),
        ({"sources": [{**PAGE["sources"][0], "columns": {"txt": "t"}}]}, "unknown key 'txt'; did you mean 'text'"),
        ({"sources": [PAGE["sources"][0]] * 2}, "two entries named 'a'"),
        ({"sources": [{**PAGE["sources"][0], "name": "a-b"}]}, "letters, digits and _"),
        ({"ingest": {"shard_bytes": "big"}}, "found 'big'; expected a number with an optional unit"),
        ({"ingest": {"max_quarantined_share": 2}}, "expected a share from 0 to 1"),
        ({"annotate": ["stages.dedup.exact", "stages.dedup.exact"]}, "'exact' is used twice"),
        ({"annotate": ["stages.nothing"]}, r"annotate\[0\]: no module 'stages.nothing'"),
        ({"annotate": [{"use": "stages.minhash", "config": {"bands": 3}}]}, "'bands'; did you mean 'n_bands'"),
        ({"annotate": [{"use": "stages.tokens", "config": {"tokenizer": "no.json"}}]}, "does not exist"),
        ({"select": [{"name": "x", "tokens.n_token": {"min": 1}}]}, "no column 'tokens.n_token'; did you mean"),
        ({"select": [{"name": "x", "url": {"in": ["u"]}}]}, "may be null; add `if_null"),
        ({"select": [{"name": "x", "tokens.n_tokens": {"in": ["many"]}}]}, "n_tokens is int32"),
        ({"select": [{"name": "x", "source": {"min": 3}}]}, "expected a column of numbers"),
        ({"keep_one": {"of": "dedupe"}}, "no global step 'dedupe'; did you mean 'dedup'"),
        ({"keep_one": {"of": "dedup", "prefer": ["rank"]}}, "expected entries such as"),
        ({"release": {"edits": {"exact.raw_hash": "all"}}}, "no column of spans"),
        (
            {
                "annotate": [*PAGE["annotate"][:3], "stages.passages.anchors", PAGE["annotate"][3]],
                "global": [*PAGE["global"], "stages.passages.shared_anchors", "stages.passages.substring"],
                "release": {"edits": {"substring": "all"}},
            },
            "write `owners: all` here",
        ),
        ({"release": {"name": "a/b"}}, "expected a letter or digit"),
        ({"mix": {"mixes": {"m": {"by": "language.label", "share": {"zh": 1}}}}}, "no column 'language.label'"),
        ({"mix": {"mixes": {"m": {"by": ["source", "meta"]}}}}, "by: meta is large_string; expected text"),
        (
            {"mix": {"mixes": {"m": {"curve": {"column": "source"}, "tokens": 1}}}},
            "source is string; expected a column of whole numbers",
        ),
        (
            {"mix": {"holdout": {"share": 0.1, "together": "tokens.n_tokens"}}},
            "together: tokens.n_tokens is int32; expected a column of text",
        ),
        (
            {"mix": {"holdout": {"share": 0.1, "as_in": "v1"}}, "release": {"name": "v1"}},
            "as_in: 'v1' is the release that this run writes",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """A run file that cannot work is refused with the place, the value found and the value expected."""
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, **changes)
    assert str(tmp_path / "run.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_former_module_names_still_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run file of an earlier version has the steps and recipes of one with present names, and says what to change."""
    old = ["stages.exact", {"use": "stages.boilerplate"}, *PAGE["annotate"][1:2], *PAGE["annotate"][3:]]
    new = ["stages.dedup.exact", {"use": "stages.web.boilerplate"}, *old[2:]]
    former = load(tmp_path, annotate=old, **{"global": ["stages.candidates", "stages.dedup"]})
    messages = [record.getMessage() for record in caplog.records]
    assert [m.partition("run.yaml: ")[2] for m in messages] == [
        "annotate[0]: stages.exact is now stages.dedup.exact; the former name still works",
        "annotate[1]: stages.boilerplate is now stages.web.boilerplate; the former name still works",
        "global[0]: stages.candidates is now stages.dedup.candidates; the former name still works",
    ]
    present = load(tmp_path, annotate=new)
    assert Recipes(former).static == Recipes(present).static
    assert [step.module for step in former.annotate] == [step.module for step in present.annotate]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """YAML would let the last one win in silence."""
    path = tmp_path / "run.yaml"
    path.write_text("corpus: a\ncorpus: b\n")
    with pytest.raises(ConfigError, match="'corpus' appears twice"):
        load_run(path)


def test_a_mapping_may_take_the_keys_of_another(tmp_path: Path) -> None:
    """Merge keys of YAML: what is set beside `<<` precedes, a key that appears twice beside it is still refused."""
    text = "a: &a {min: 1, max: 2}\nb: {<<: *a, max: 3}\nc: {<<: [*a, {other: 4}]}\n"
    path = tmp_path / "run.yaml"
    path.write_text(text)
    found = read_document(str(path))[1]
    assert found["b"] == {"min": 1, "max": 3} and found["c"] == {"min": 1, "max": 2, "other": 4}
    path.write_text(f"{text}d: {{<<: *a, x: 1, x: 2}}\n")
    with pytest.raises(ConfigError, match="'x' appears twice"):
        read_document(str(path))


@pytest.mark.parametrize(
    "named", [["stages.passages.substring"], ["stages.passages.shared_anchors", "stages.passages.substring"]]
)
def test_steps_that_a_stage_rests_on_come_with_it(tmp_path: Path, named: list[str]) -> None:
    """`stages.passages.substring` brings the steps that compare windows, in their order, whether or not they are named.

    A run file names it under `annotate`; one that names it under `global`, as was usual, means the same.
    """
    section = "global" if "stages.passages.shared_anchors" in named else "annotate"
    changes = {"annotate": [*PAGE["annotate"], "stages.passages.anchors"], "global": PAGE["global"]}
    run = load(tmp_path, **{**changes, section: [*changes[section], *named]})
    order = [phase.label for phase in phases(run)]
    assert order[-4:] == ["shared_anchors", "equal_ranges", "repeated_windows", "substring"]
    assert sum("substring" in label for label in order) == 1
    assert "substring" in {step.name for step in run.annotate}


@pytest.mark.parametrize(
    ("text", "n"), [("64MiB", 64 << 20), ("1.5GB", 1_500_000_000), (7, 7), ("200M", 200_000_000)]
)
def test_amounts(text: int | str, n: int) -> None:
    """Decimal and binary units are distinguished."""
    assert parse_bytes(text, "here") == n
