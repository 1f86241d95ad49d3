"""`bicorpus models fetch` against a server in the shape of the hub, with the hub's own library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipeline.model_files import MANIFEST, find_model
from pipeline.recipe import model_digest
from tests.helpers.build import Ended, command, tiny, write_run
from tests.helpers.hub_server import COMMIT, MODEL, Hub, serve_hub


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Files of a model, with some that must not be fetched; no weights are computed with."""
    folder = tmp_path / "hub"
    (folder / "onnx").mkdir(parents=True)
    for name, content in {
        "config.json": '{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}',
        "model.safetensors": "weights " * 3_200_000, "pytorch_model.bin": "pickled", "modeling_own.py": "code",
        "tokenizer.json": "{}", "README.md": "a card", "onnx/model.onnx": "onnx",
    }.items():  # fmt: skip
        (folder / name).write_text(content)
    return folder


def fetch(hub: Hub, home: Path, *arguments: object) -> Ended:
    """Run the command with the server as the mirror."""
    return command(
        "models", "fetch", *arguments, HF_ENDPOINT=hub.endpoint, HF_HOME=str(home), HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1", HF_TOKEN="hf_secret_of_a_test",
    )  # fmt: skip


def test_a_folder_with_digests(model: Path, tmp_path: Path) -> None:
    """Without a commit the newest is pinned; weights, settings and tokenizer are fetched, code and pickles are not."""
    with serve_hub(model) as hub:
        plan = fetch(hub, tmp_path / "home", MODEL, "--dry-run", "--json").ok().json
        assert not [path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path]
        found = fetch(hub, tmp_path / "home", MODEL, "--to", tmp_path / "edu", "--json").ok().json
        assert plan["revision"] == COMMIT
        assert plan["files"] == {name: {"bytes": facts["bytes"]} for name, facts in found["files"].items()}
        assert found["revision"] == COMMIT and sorted(found["files"]) == [
            "config.json",
            "model.safetensors",
            "tokenizer.json",
        ]
        manifest = json.loads((tmp_path / "edu" / MANIFEST).read_text())
        assert manifest["files"] == found["files"] and "hf_secret_of_a_test" not in str(manifest)
        hub.requests.clear()
        fetch(hub, tmp_path / "home", f"{MODEL}@{COMMIT}", "--to", tmp_path / "edu").ok()
        assert not [path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path]
    assert found["digest"] == model_digest(str(tmp_path / "edu"))
    other = command("models", "fetch", "org/other", "--to", tmp_path / "edu")
    assert other.code == 2 and f"has {MODEL}@{COMMIT}" in other.err


def test_a_download_that_was_cut_off_is_resumed(model: Path, tmp_path: Path) -> None:
    """The blocks of 10 MB that arrived are kept, and the rest is asked for by range."""
    with serve_hub(model) as hub:
        hub.cut.add("model.safetensors")
        found = fetch(hub, tmp_path / "home", f"{MODEL}@{COMMIT}", "--json")
        if found.code:  # the library may leave another try to the user
            found = fetch(hub, tmp_path / "home", f"{MODEL}@{COMMIT}", "--json")
        folder = Path(found.ok().json["folder"])
        assert (folder / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
        ranges = [r for method, path, r in hub.requests if method == "GET" and path.endswith("safetensors")]
        assert any(ranges) and hub.sent["model.safetensors"] < (
            model / "model.safetensors"
        ).stat().st_size + (10 << 20)


def test_the_models_of_a_run_file(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run file that names a model of the hub stops before any work until it is fetched, then reads it offline."""
    pytest.importorskip("torch", reason="needs the extra models: pip install 'bicorpus[models]'")
    entry = {"use": "classifiers.transformer", "config": {"models": {"edu": f"{MODEL}@{COMMIT}"}}}
    path = write_run(tmp_path, tiny(tmp_path, annotate=[entry]))
    with serve_hub(model) as hub:
        before = command("plan", path, "--store", tmp_path / "s", HF_HOME=str(tmp_path / "home"))
        assert before.code == 2 and f"bicorpus models fetch {MODEL}@{COMMIT}" in before.err
        fetch(hub, tmp_path / "home", path).ok()
    command("plan", path, "--store", tmp_path / "s", HF_HOME=str(tmp_path / "home")).ok()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert model_digest(f"{MODEL}@{COMMIT}") == model_digest(str(find_model(f"{MODEL}@{COMMIT}")))
    assert yaml.safe_load(path.read_text())["annotate"][-1] == entry


def test_models_that_cannot_be_fetched(model: Path, tmp_path: Path) -> None:
    """Unknown names, a hub that cannot be reached, and run files without models end with one line."""
    with serve_hub(model) as hub:
        unknown = fetch(hub, tmp_path / "home", "org/none", "--to", tmp_path / "x")
    assert unknown.code == 2 and unknown.err.count("\n") == 1 and "HF_ENDPOINT" in unknown.err
    gone = fetch(hub, tmp_path / "home", MODEL)
    assert gone.code == 2 and gone.err.count("\n") == 1
    none = command(
        "models", "fetch", write_run(tmp_path, tiny(tmp_path, annotate=[{"use": "stages.tokens"}]))
    )
    assert none.code == 2 and "no stage names a model of a hub" in none.err
