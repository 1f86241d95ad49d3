"""Expectations: a release that is not as the run file expects is not written, and the one before it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.expect import parse_expectations
from pipeline.errors import ConfigError, ExpectationError
from pipeline.release.expect import check_all, outside_of
from pipeline.report.release_numbers import Tally
from tests.helpers.build import Ended, cli, digests, tiny, write_run

ENGINE = ("--engine", "local", "--workers", 1)


def documents() -> list[dict[str, Any]]:
    """A hundred documents of 50 hosts, of which one has 30 % of the bytes."""
    own = [
        {"id": f"o{i}", "url": f"https://site{i % 49}.example/{i}", "text": f"第{i:02}篇，各不相同。" * 2}
        for i in range(70)
    ]
    return own + [
        {"id": f"m{i}", "url": f"https://mirror.example/{i}", "text": f"镜像{i:02}，各不相同。" * 2}
        for i in range(30)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs, and a store with a release that has no expectations."""
    folder = tmp_path_factory.mktemp("expect")
    run(folder).ok()
    return folder


def run(folder: Path, *expect: dict[str, Any], **changes: Any) -> Ended:
    """Build with expectations."""
    page = tiny(folder, documents(), expect=list(expect), **changes)
    return cli("run", write_run(folder, page), "--store", folder / "store", *ENGINE)


def test_a_host_with_a_third_of_the_text_stops_the_release(folder: Path) -> None:
    """Exit 5 names the host, its share and 20 of its documents; the release of before is not touched."""
    before = digests(folder / "store", "tiny")
    stopped = run(
        folder,
        {"name": "one_host", "hosts.*.bytes_share": {"max": 0.2}},
        {"name": "many", "counts.kept": {"min": 50}},
    )
    assert stopped.code == 5
    assert "expect.one_host: hosts.mirror.example.bytes_share is 0.3" in stopped.err
    assert "many" not in stopped.err and "the release of this name is as it was" in stopped.err
    ids = stopped.err.split("documents: ")[1].split("\n")[0].split()
    assert len(ids) == len(set(ids)) == 20
    assert "mirror.example" in cli("explain", folder / "run.yaml", ids[19], "--store", folder / "store").out
    assert digests(folder / "store", "tiny") == before
    assert cli("verify", folder / "store" / "releases" / "tiny").code == 0


def test_a_warning_is_printed_and_reported(folder: Path) -> None:
    """The release is written; report and card have the figure beside its bounds."""
    ended = run(
        folder,
        {"name": "one_host", "hosts.*.documents": {"max": 20}, "level": "warn"},
        {"name": "same_host", "hosts.mirror.example.kept": {"min": 30, "max": 30}},
        {"name": "chosen", "hosts.*.kept_share": {"min": 1}, "from": 2},
        {"name": "no_loss", "sources.*.kept": {"min_change": -0.5}},
    ).ok()
    assert "warning: expect.one_host: hosts.mirror.example.documents is 30; expected at most 20" in ended.err
    release = folder / "store" / "releases" / "tiny"
    rows = {row["name"]: row for row in json.loads((release / "report.json").read_text())["expectations"]}
    assert (rows["one_host"]["value"], rows["one_host"]["group"], rows["one_host"]["outside"]) == (
        30.0,
        "mirror.example",
        1,
    )
    assert rows["same_host"]["value"] == 30.0 and rows["chosen"]["value"] == 1.0
    assert "| one_host | `hosts.*.documents` |" in (release / "README.md").read_text()
    assert cli("verify", release).code == 0


def test_a_change_from_the_last_release_stops_the_next(folder: Path) -> None:
    """A rule that drops a third of a source, which may shrink by a tenth, is an error; what it drops is named."""
    rule = {"name": "no_mirror", "host": {"not_in": ["mirror.example"]}, "if_null": "keep"}
    few = {"name": "steady", "sources.docs.kept": {"min_change": -0.1}}
    dropped = {"name": "gentle", "rules.*.failed_share": {"max": 0.25}}
    stopped = run(folder, few, dropped, select=[rule])
    assert stopped.code == 5
    assert (
        "sources.docs.kept is 70, -30.0% of the last release; expected a change of at least -10.0%"
        in stopped.err
    )
    assert "expect.gentle: rules.no_mirror.failed_share is 0.3" in stopped.err
    first, second = (
        line.split("documents: ")[1].split() for line in stopped.err.split("\n") if "documents: " in line
    )
    assert len(first) == len(second) == 20 and first == second


def test_a_group_that_is_gone_fell_by_all() -> None:
    """A source of the last release without a document now is outside of any bound on its fall; a new one is not."""
    (steady,) = parse_expectations([{"name": "steady", "languages.*.kept": {"min_change": -0.2}}], "run.yaml")
    now = {"en": {"kept": 90.0, "documents": 90.0}, "ja": {"kept": 5.0, "documents": 5.0}}
    then = {"en": {"kept": 100.0, "documents": 100.0}, "zh": {"kept": 90.0, "documents": 90.0}}
    assert [(fault.group, fault.change) for fault in outside_of(steady, now, then)] == [("zh", -1.0)]


def test_what_the_last_release_did_not_count_has_no_change() -> None:
    """A family that a new step counts for the first time is compared with nothing, and one that nobody counts is an
    error."""
    expected = parse_expectations([{"name": "domains", "domains.*.kept": {"min_change": -0.2}}], "run.yaml")
    counted = {"profile": {"languages": {}, "domains": {"news": [1] * len(Tally._fields)}}}
    faults, (row,) = check_all(expected, counted, {"profile": {"languages": {}}}, [])
    assert faults == [] and row.outside == 0
    with pytest.raises(ExpectationError, match="not counted"):
        check_all(expected, {"profile": {"languages": {}}}, counted, [])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "a", "host.*.kept": {"min": 1}}, "did you mean 'hosts'"),
        ({"name": "a", "hosts.*.token_share": {"max": 1}}, "did you mean 'tokens_share'"),
        ({"name": "a", "counts.*.kept": {"min": 1}}, "write counts.kept"),
        ({"name": "a", "languages.kept": {"min": 1}}, "write languages.*.kept"),
        ({"name": "a", "counts.kept": {}}, "has no bound"),
        ({"name": "a", "counts.kept": {"min": 2, "max": 1}}, "min 2 is above max 1"),
        ({"name": "a", "counts.kept": {"min": "many"}}, "expected a number"),
        ({"name": "a", "counts.kept": {"min": 1}, "level": "fatal"}, "expected error or warn"),
        ({"name": "a"}, "names 0 figures"),
        ({"counts.kept": {"min": 1}}, "name is None"),
    ],
)
def test_a_wrong_expectation_is_refused(entry: dict[str, Any], said: str) -> None:
    """The message names the entry and what is expected there."""
    with pytest.raises(ConfigError, match=r"expect\[0\]") as error:
        parse_expectations([entry], "run.yaml: expect")
    assert said in str(error.value)


def test_sources_and_rules_are_checked_before_the_run(tmp_path: Path) -> None:
    """An unknown source, and tokens that nothing counts, are errors of the run file."""
    for figure, said in (
        ("sources.doc.kept", "did you mean 'docs'"),
        ("counts.kept_tokens", "no stage counts"),
    ):
        ended = run(tmp_path, {"name": "a", figure: {"min": 1}})
        assert ended.code == 2 and said in ended.err
