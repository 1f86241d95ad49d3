"""What a plan expects a run to cost, and limits: the numbers of a plan are those of the run that follows."""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from pipeline.errors import ConfigError, UsageError
from pipeline.planning.cost import FIGURES, phase_cost
from pipeline.planning.prices import LIMITS, Prices, amounts, read_prices
from tests.helpers.build import build, cli, to_line, write_inputs, write_run
from tests.helpers.paths import ROOT

EXAMPLE = ROOT / "configs/prices/example.yaml"
CHECKED = ("gets", "puts", "files", "disk_bytes", "work_bytes")
REQUESTS = ("gets", "puts", "lists")

Page = dict[str, Any]


def page_of(corpus: str, files: str) -> Page:
    """A run file with a stage, a global step, keepers and a release."""
    return {
        "corpus": corpus,
        "sources": [{"name": corpus, "reader": "stages.readers.jsonl", "files": files}],
        "ingest": {"pack_bytes": 0},
        "annotate": ["stages.dedup.exact", "stages.minhash"],
        "global": ["stages.dedup.candidates", "stages.dedup"],
        "keep_one": {"of": "dedup", "prefer": [{"rank": "low"}]},
        "release": {"name": corpus},
    }


@dataclass(frozen=True)
class Whole:
    """A corpus of which a part was built, then all was planned and built: that plan and the record of that run."""

    run_path: Path
    store: Path
    plan: dict[str, Any]
    record: dict[str, Any]

    def used(self, figure: str) -> float:
        """A figure of the run, all phases together."""
        return float(sum(used.get(figure, 0) for used in self.record["usage"].values()))

    def expected(self, figure: str) -> float:
        """A figure of the plan, all phases together."""
        return float(sum(cost[figure] for cost in self.plan["costs"]))


def on_disk(store: Path) -> int:
    """Number of files of a store, without locks."""
    return sum(path.is_file() and ".locks" not in path.parts for path in store.rglob("*"))


def whole(folder: Path, corpus: str, texts: list[list[str]], n_first: int) -> Whole:
    """Build the first files of a corpus, then plan and build all in another store, which has the record alone."""
    folder.mkdir()
    for i, listed in enumerate(texts):
        rows = [{"id": f"{i}-{n}", "text": text} for n, text in enumerate(listed)]
        (folder / f"{i:02d}.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")
    run_path = write_run(folder, page_of(corpus, "*.jsonl"))
    build(write_run(folder, page_of(corpus, f"0[0-{n_first - 1}].jsonl"), "part.yaml"), folder / "part")
    store = folder / "store"
    shutil.copytree(folder / "part/runs", store / "runs")
    plan = cli("plan", run_path, "--store", store, "--json", "--prices", EXAMPLE).ok().json
    record = build(run_path, store)
    made = Whole(run_path, store, dict(plan), record)
    assert made.used("files") == on_disk(store) - 2  # the two records are written outside of what is measured
    return made


def texts_of(folder: Path, field: str) -> list[str]:
    """Texts of files of the sample's documents."""
    opened = [gzip.decompress(p.read_bytes()) for p in sorted(folder.glob("*.gz"))]
    opened += [
        zstandard.ZstdDecompressor().stream_reader(p.read_bytes()).read() for p in folder.glob("*.zst")
    ]
    return [json.loads(line)[field] for data in opened for line in data.splitlines()]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    """Two corpora: Chinese pages in ten small files, and long English texts in four."""
    folder = tmp_path_factory.mktemp("cost")
    write_inputs(folder / "in")
    short, english = texts_of(folder / "in/zh", "content"), texts_of(folder / "in/en", "text")
    long = ["\n".join(english[i : i + 2]) for i in range(0, 80, 2)]
    return {
        "short": whole(folder / "short", "short", [short[i::10] for i in range(10)], 5),
        "long": whole(folder / "long", "long", [long[i::4] for i in range(4)], 2),
    }


@pytest.mark.parametrize("name", ["short", "long"])
def test_a_plan_tells_what_the_run_costs(corpora: dict[str, Whole], name: str) -> None:
    """Requests, files, bytes that stay and intermediate ones are within a tenth, by runs of the same store."""
    made = corpora[name]
    for figure in CHECKED:
        assert made.expected(figure) == pytest.approx(made.used(figure), rel=0.1), figure
    requests = sum(made.used(figure) for figure in REQUESTS)
    assert made.plan["cost"]["requests"] == pytest.approx(requests, rel=0.1)
    assert {cost["basis"] for cost in made.plan["costs"]} == {"runs"}
    assert made.plan["cost"]["money"] > 0


def test_limits_refuse_a_plan_and_stop_a_run_that_goes_on_later(
    corpora: dict[str, Whole], tmp_path: Path
) -> None:
    """A plan over a limit exits with 2 and names the phase; a run stops with 4, and the next one finishes it."""
    made = corpora["long"]
    limit = ("--limit", "requests=60")
    store = tmp_path / "store"
    shutil.copytree(made.store / "runs", store / "runs")
    planned = cli("plan", made.run_path, "--store", store, *limit)
    assert planned.code == 2 and "requests" in planned.err and "cost     together" in planned.out
    sums = itertools.accumulate(sum(cost[f] for f in REQUESTS) for cost in made.plan["costs"])
    first = next(cost["phase"] for cost, n in zip(made.plan["costs"], sums, strict=True) if n > 60)
    assert f"over a limit at {first}: requests" in planned.err
    ended = cli("run", made.run_path, "--store", store, "--engine", "local", *limit)
    assert ended.code == 4 and "run again" in ended.err
    (stopped,) = [
        r for p in (store / "runs").iterdir() if "LimitError" in (r := json.loads(p.read_text()))["status"]
    ]
    assert sum(u.get(f, 0) for u in stopped["usage"].values() for f in REQUESTS) > 60
    assert stopped["release"] is None and [
        name for name, used in stopped["usage"].items() if "stopped" in used
    ]
    record = build(made.run_path, store)
    assert record["tasks"]["ingest"] == 0 and record["kept"] == made.record["kept"]
    checksums = "releases/long/checksums.sha256"
    assert (store / checksums).read_bytes() == (made.store / checksums).read_bytes()
    assert cli("plan", made.run_path, "--store", store, "--limit", "requests=0").code == 0  # nothing to do


def test_prices_and_limits_of_a_file(tmp_path: Path) -> None:
    """Amounts are charged at the prices of a file; an option replaces a limit of the file."""
    prices, limits = read_prices(str(EXAMPLE), ["money=5", "cpu_hours=2"])
    assert limits == {"money": 5, "disk_bytes": 5e12, "cpu_hours": 2}
    options = ["disk_bytes=500GB", "peak_bytes=1.5GiB", "requests=2M", "cpu_hours=0.5", "money=1e3"]
    assert read_prices(str(EXAMPLE), options)[1] == {
        "disk_bytes": 5e11, "peak_bytes": 1.5 * (1 << 30), "requests": 2e6, "cpu_hours": 0.5, "money": 1e3,
    }  # fmt: skip
    used = {
        "cpu_s": 7_200.0,
        "gets": 10_000.0,
        "puts": 2_000.0,
        "lists": 0.0,
        "disk_bytes": 2e9,
        "work_bytes": 1e9,
    }
    total = amounts([used, {"work_bytes": 5e9, "peak_bytes": 7.0}], prices)
    assert total["money"] == pytest.approx(2 * 0.04 + 10 * 0.0004 + 2 * 0.005 + 2 * 0.023)
    assert (total["disk_bytes"], total["requests"], total["peak_bytes"]) == (7e9, 12_000, 7)
    assert set(total) == set(LIMITS)


@pytest.mark.parametrize(
    ("page", "options", "named"),
    [
        ("core_hours: 1", [], "did you mean|core_hour"),
        ("core_hour: much", [], "core_hour"),
        ("core_hour: -1", [], "core_hour"),
        ("- 1", [], "mapping"),
        ("limits: {cpu: 3}", [], "cpu_hours"),
        ("core_hour: 1", ["disk=3"], "disk_bytes"),
        ("core_hour: 1", ["disk_bytes=5 parsecs"], "500GB"),
        ("core_hour: 1", ["cpu_hours=inf"], "cpu_hours"),
        ("core_hour: true", [], "core_hour"),
        ("core_hour: 1", ["money"], "money"),
        ("currency: EUR", ["money=3"], "--prices"),
    ],
)
def test_faults_of_prices_are_named(tmp_path: Path, page: str, options: list[str], named: str) -> None:
    """An unknown name, a value that is no number, and a limit of money without prices end with exit 2."""
    path = tmp_path / "prices.yaml"
    path.write_text(page, encoding="utf-8")
    with pytest.raises(UsageError, match=named):
        read_prices(str(path), options)
    with pytest.raises(ConfigError, match="name a file"):
        read_prices(str(tmp_path / "none.yaml"))


def test_a_record_sets_the_level_and_a_stopped_phase_does_not() -> None:
    """A phase costs as much as it did over the same sizes; one that ended in an error says nothing."""
    sizes = {"shards": 5, "rows": 100, "text_bytes": 10_000}
    used = {figure: 77.0 for figure in FIGURES} | {"peak_bytes": 9.0}
    record = {"usage": {"minhash": {**sizes, **used}}}
    assert phase_cost("minhash", "stage", sizes, [record]).used == pytest.approx(used)
    stopped = {"usage": {"minhash": {**sizes, **dict.fromkeys(FIGURES, 1.0), "stopped": 1}}}
    assert phase_cost("minhash", "stage", sizes, [record, stopped]).used == pytest.approx(used)
    assert phase_cost("minhash", "stage", sizes, [stopped]).basis == "defaults"
    assert Prices().money(used) == 0
