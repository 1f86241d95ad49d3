"""The cost of a change: only its dependents are computed again, and `plan` lists them beforehand."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.recipe import digest, source_digest
from tests.helpers.build import build, cli, digests, reference, small_page, tiny, to_line, write_run

Page = dict[str, Any]


def planned(run_path: Path, store: Path) -> dict[str, Any]:
    """The output of `plan --json`."""
    return dict(cli("plan", run_path, "--store", store, "--json").ok().json)


def tasks_of(plan: dict[str, Any]) -> dict[str, int]:
    """The plan's tasks by the kinds of a run record; how many a release takes is known once it is placed."""
    waves = [phase for phase in plan["phases"] if phase["kind"] == "wave"]
    globals_ = [phase for phase in plan["phases"] if phase["kind"] == "global"]
    return {
        "ingest": len(plan["ingest"]),
        "derive": len(plan["derive"]),
        "annotate": sum(phase["n_tasks"] for phase in waves),
        "global": sum(phase["n_tasks"] for phase in globals_),
    }


def steps_of(plan: dict[str, Any]) -> set[str]:
    """Names of the steps that the plan would run."""
    return {name for phase in plan["phases"] for name, n in phase["steps"].items() if n}


def without_release(record: dict[str, Any]) -> dict[str, int]:
    """A run record's tasks but for those of the release."""
    return {kind: n for kind, n in record["tasks"].items() if kind != "release"}


def threshold(page: Page) -> None:
    """Move a threshold."""
    page["select"][0]["tokens.n_tokens"]["min"] = 100


def new_rule(page: Page) -> None:
    """Add a rule."""
    page["select"].append({"name": "very_short", "tokens.n_tokens": {"min": 80}, "action": "flag"})


def keeper_order(page: Page) -> None:
    """Prefer the longest copy to the best source."""
    page["keep_one"]["prefer"].reverse()


def mix(page: Page) -> None:
    """Ask for another ratio."""
    page["mix"]["mixes"]["half"]["share"] = {"zh": 0.6, "en": 0.4}


def source_rank(page: Page) -> None:
    """Rank a source differently."""
    page["sources"][0]["rank"] = 3


@pytest.mark.parametrize(
    ("change", "n_global"),
    [(threshold, 1), (new_rule, 0), (keeper_order, 1), (mix, 0), (source_rank, 1)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_decisions_read_no_text(change: Callable[[Page], None], n_global: int, tmp_path: Path) -> None:
    """A threshold, rule, keeper order, rank or ratio costs no text: keepers at most, and the release."""
    done, page = reference(), copy.deepcopy(small_page())
    change(page)
    run_path, store = done.variant(page), done.copy(tmp_path)
    plan = planned(run_path, store)
    record = build(run_path, store)
    assert record["text_tasks"] == plan["text_tasks"] == 0
    assert (
        without_release(record)
        == tasks_of(plan)
        == {"ingest": 0, "derive": 0, "annotate": 0, "global": n_global}
    )
    assert plan["release"] != "up to date" and record["tasks"]["release"] > 0
    assert digests(store) != done.digests
    assert planned(run_path, store)["empty"]


def test_back_and_forth_is_free(tmp_path: Path) -> None:
    """Going back to an earlier setting finds its keepers too; only the release is written again."""
    done, page = reference(), copy.deepcopy(small_page())
    threshold(page)
    store = done.copy(tmp_path)
    build(done.variant(page), store)
    record = build(done.run_path, store)
    assert without_release(record) == {"ingest": 0, "derive": 0, "annotate": 0, "global": 0}
    assert digests(store) == done.digests


def test_stage_config_costs_the_stage_and_its_dependents(tmp_path: Path) -> None:
    """Another MinHash seed reruns MinHash, then candidates, dedup and keepers, and nothing else."""
    done, page = reference(), copy.deepcopy(small_page())
    page["annotate"][1]["config"]["seed"] = 2
    run_path, store = done.variant(page), done.copy(tmp_path)
    plan = planned(run_path, store)
    n_shards = plan["shards"]
    assert steps_of(plan) == {"minhash", "candidates", "dedup", "keepers"}
    record = build(run_path, store)
    assert (
        without_release(record)
        == tasks_of(plan)
        == {"ingest": 0, "derive": 0, "annotate": n_shards, "global": 3}
    )
    assert record["text_tasks"] == plan["text_tasks"]
    assert set(record["stage_bytes"]) == set(record["mb_per_s"]) == {"minhash"}
    assert record["mb_per_s"]["minhash"] > 0


def test_global_config_costs_no_stage(tmp_path: Path) -> None:
    """Another similarity threshold reruns dedup and keepers alone."""
    done, page = reference(), copy.deepcopy(small_page())
    page["global"][2] = {"use": "stages.dedup", "config": {"threshold": 0.9}}
    run_path, store = done.variant(page), done.copy(tmp_path)
    plan = planned(run_path, store)
    assert steps_of(plan) == {"dedup", "keepers"}
    record = build(run_path, store)
    assert without_release(record) == tasks_of(plan) == {"ingest": 0, "derive": 0, "annotate": 0, "global": 2}
    assert record["text_tasks"] == plan["text_tasks"]


def test_another_stage_costs_that_stage(tmp_path: Path) -> None:
    """A stage added to the run file runs alone; taken out again, nothing runs but the release."""
    done, page = reference(), copy.deepcopy(small_page())
    page["annotate"].append({"use": "stages.tokens", "as": "raw_tokens"})
    run_path, store = done.variant(page), done.copy(tmp_path)
    plan = planned(run_path, store)
    assert steps_of(plan) == {"raw_tokens"}
    record = build(run_path, store)
    assert (
        without_release(record)
        == tasks_of(plan)
        == {"ingest": 0, "derive": 0, "annotate": plan["shards"], "global": 0}
    )
    assert record["text_tasks"] == plan["text_tasks"] == plan["shards"]


def test_one_more_file_costs_its_shards_and_the_global_steps(tmp_path: Path) -> None:
    """A new file is ingested and annotated; no other shard is, and the steps across documents run again."""
    done = reference()
    inputs, store = tmp_path / "inputs", done.copy(tmp_path)
    shutil.copytree(done.inputs, inputs)
    rows = [{"id": f"new-{i}", "text": f"第 {i} 篇新文档。" * (i + 5)} for i in range(20)]
    (inputs / "zh" / "99.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")
    page = copy.deepcopy(small_page())
    page["sources"][0]["files"] = ["zh/*.jsonl.gz", "zh/*.jsonl"]
    run_path = write_run(inputs, page)
    plan = planned(run_path, store)
    assert [item["group"] for item in plan["ingest"]] == ["zh: 99.jsonl"]
    assert tasks_of(plan) == {"ingest": 1, "derive": 0, "annotate": 0, "global": 4}
    before = {path.name for path in (store / "shards").glob("*.parquet")}
    record = build(run_path, store)
    new = {path.name for path in (store / "shards").glob("*.parquet")} - before
    assert len(new) == 1
    assert without_release(record) == {"ingest": 1, "derive": 0, "annotate": 1, "global": 4}
    assert planned(run_path, store)["empty"]


def test_plan_changes_nothing(tmp_path: Path) -> None:
    """`plan` writes no file, not even for a store that is not there yet."""
    done = reference()
    store = tmp_path / "none"
    plan = planned(done.run_path, store)
    assert len(plan["ingest"]) == 13 and not plan["empty"] and not store.exists()
    copied = done.copy(tmp_path)
    page = copy.deepcopy(small_page())
    threshold(page)
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    planned(done.variant(page), copied)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_changed_code_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage whose source changed without its version is named by `plan`, and its results are kept."""
    done = reference()
    found = cli("plan", done.run_path, "--store", done.store).ok()
    assert "its code changed" not in found.out
    monkeypatch.setattr("pipeline.planning.plan.source_digest", lambda module: "other")
    found = cli("plan", done.run_path, "--store", done.store).ok()
    assert "minhash: its code changed but its version is still" in found.out
    assert "nothing to do" in found.out


def test_the_code_of_a_step_is_all_that_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed helper changes the digest of a step, imported in whatever form; other modules do not."""
    names = ("direct", "named", "late", "relative", "aliased", "several", "unrelated")
    package = tmp_path / "t_package"
    package.mkdir()
    for name in ("__init__", *names):
        (package / f"{name}.py").write_text("VALUE = 1\n")
    (package / "step.py").write_text(
        "import t_package.direct\nfrom t_package.named import VALUE\nfrom . import relative\n"
        "from t_package import (\n    aliased as other,  # a remark\n    several,\n)\n"
        "def f():\n    from t_package.late import VALUE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = source_digest("t_package.step")
    for name in names:
        path = package / f"{name}.py"
        path.write_text("VALUE = 22\n")
        assert (source_digest("t_package.step") != before) == (name != "unrelated"), name
        path.write_text("VALUE = 1\n")
        os.utime(path, ns=(1, 1))  # digests are remembered by size and time
        assert source_digest("t_package.step") == before


def test_the_code_of_a_stage_includes_its_kernels() -> None:
    """`plan` warns for a change of any file that the signals are computed by, and of none that they are not."""
    found: dict[str, str] = {}

    def note(value: object) -> str:
        found.update(value if isinstance(value, dict) else {})
        return digest(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.recipe.digest", note)
        source_digest("stages.signals")
    assert {"stages.signals", "stages.languages"} <= found.keys()
    assert sum(name.startswith("stages.kernels.") for name in found) > 8
    assert not any("cot" in name or name.startswith("classifiers") for name in found)


def test_a_reader_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader, a conversion and a derived source in other modules of the same names and versions: nothing to do."""
    moved = {
        "t_reader": "stages.readers.jsonl",
        "t_convert": "stages.conversion",
        "t_derive": "stages.cot.documents",
    }
    for module, origin in moved.items():
        (tmp_path / f"{module}.py").write_text(f"from {origin} import *\nfrom {origin} import Config\n")
    monkeypatch.syspath_prepend(tmp_path)
    page = tiny(tmp_path, annotate=["classifiers.language", "stages.cot"])
    page["release"] = {"name": "v1", "convert": {"use": "stages.conversion"}}
    page["sources"].append({"name": "derived", "derive": "stages.cot.documents", "of": ["docs"]})
    build(write_run(tmp_path, page), tmp_path / "store")
    page["sources"][0]["reader"] = "t_reader"
    page["sources"][1]["derive"] = "t_derive"
    page["release"]["convert"]["use"] = "t_convert"
    plan = planned(write_run(tmp_path, page), tmp_path / "store")
    assert plan["empty"] and not plan["ingest"] and not plan["derive"]


def test_plan_prints_the_curve_of_the_bands() -> None:
    """The share of near duplicates that become candidates is printed before a run: 1 - (1 - s^r)^b."""
    done = reference()
    plan = cli("plan", done.run_path, "--store", done.store).ok().out
    assert "minhash: 28 bands of 6 rows (168 hashes) catch 35.66% at 0.5" in plan
    assert "99.98% at 0.8" in plan
