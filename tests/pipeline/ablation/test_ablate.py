"""bicorpus ablate from end to end: a planted skill is seen, a killed command goes on, pages say what was found."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.helpers.build import cli, start
from tests.helpers.pages import page_data
from tests.helpers.torch_models import torch_or_skip

torch_or_skip()
pytest.importorskip("scipy", reason="SciPy is of the extra ablate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ablation of text with and without a planted skill; its command is killed once, then finished."""
    root = tmp_path_factory.mktemp("ablate")
    draw = np.random.default_rng(1)
    words = "the river house walks green quickly over under seven bridges and morning light".split()
    rows = [json.dumps({"text": " ".join(draw.choice(words, 40)) + f" {i}."}) for i in range(900)]
    for name, part in (("train", rows[:800]), ("measured", rows[800:])):
        (root / f"{name}.jsonl").write_text("\n".join(part))
    page = {
        "corpora": {"plain": {"files": "train.jsonl"}, "planted": {"files": "train.jsonl", "plant": {"order": 0.5}}},
        "evaluate": {"en": {"files": "measured.jsonl", "bytes": 3000}},
        "skills": ["order"], "n_tasks": 60, "vocabulary": 400, "seeds": [1, 2, 3],
        "train": {"tokens": 24000, "batch": 8, "learning_rate": 0.003, "checkpoint_s": 0.0},
        "sizes": {"small": {"width": 32, "layers": 1, "heads": 2, "context": 32}},
    }  # fmt: skip
    (root / "ablation.yaml").write_text(yaml.safe_dump(page, sort_keys=False))
    process = start("ablate", root / "ablation.yaml", "--to", root / "runs", OMP_NUM_THREADS="1")
    while not list(root.glob("runs/runs/*.pt")) and process.poll() is None:
        pass
    process.kill()
    process.wait()
    return root


def test_it_goes_on_and_says_what_it_found(folder: Path) -> None:
    """The finished pages: the planted corpus needs fewer bits for nothing else, and is named as a smoke test."""
    left = [*folder.glob("runs/runs/*.json"), *folder.glob("runs/runs/*.pt")]
    assert 0 < len(left) < 6
    found = cli("ablate", folder / "ablation.yaml", "--to", folder / "runs", "-q")
    assert found.code == 0, found.err
    assert "This is a smoke test" in found.out and "planted, order right, size small" in found.out
    results = json.loads((folder / "runs" / "results.json").read_text())
    assert len(results["runs"]) == 6 and not list(folder.glob("runs/runs/*.pt"))
    assert {one["measure"] for one in results["differences"]} == {"en bits per byte", "order right"}
    page = page_data(folder / "runs" / "report.html")
    assert [len(one["rows"]) for one in page["intervals"]] == [1, 1] and len(page["curves"]) == 1
    assert page["texts"]["en"]["title"] == "planted beside plain"
    with (folder / "runs" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["plain", "planted"] and "order wrong" in rows[0]


def test_a_finished_ablation_trains_nothing(folder: Path) -> None:
    """A second command reads what is there, and an estimate says that nothing is left."""
    cli("ablate", folder / "ablation.yaml", "--to", folder / "runs", "-q")
    before = (folder / "runs" / "results.json").read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("runs/runs/*.json")}
    again = cli("ablate", folder / "ablation.yaml", "--to", folder / "runs", "--json")
    assert json.loads(again.out) == json.loads(before)
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.glob("runs/runs/*.json")}
    plan = cli("ablate", folder / "ablation.yaml", "--to", folder / "runs", "--plan", "--json")
    assert json.loads(plan.out)["runs"] == 0
