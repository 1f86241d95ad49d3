"""Fetch models for machines without a network: pinned, weights as safetensors alone, with a digest of each file.

huggingface_hub downloads: it resumes files that were cut off and skips those that are there. HF_ENDPOINT names a
mirror, HF_TOKEN opens models behind a licence; neither is stored. `modelscope` downloads from ModelScope instead, if
the package is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, InputError, UsageError
from pipeline.model_files import MANIFEST, PATTERNS, find_model, model_files
from pipeline.recipe import model_digest, optional_module

_COMMIT = re.compile(r"[0-9a-f]{40}")
IGNORED = ["model.fp16*"]
"""Weights that some models have twice."""


@dataclass(frozen=True)
class Fetched:
    """A model on this machine. reference: how a run file names it; digest: of its files, as recipes have it; files:
    name -> size and SHA-256."""

    reference: str
    folder: str
    revision: str
    digest: str
    files: Mapping[str, Mapping[str, Any]]  # Any: a size or a digest


def fetch_model(reference: str, to: str | None = None, hub: str = "huggingface") -> Fetched:
    """Download the files of a model that are loaded, and digest them.

    Args: reference, `org/name@revision`; without a revision the newest commit is taken and returned; to, a folder for
    the files, with a manifest; None for the cache of huggingface_hub.
    Raises: InputError if the hub cannot be reached or has no such model, ConfigError if it has no safetensors,
    UsageError for a folder that has another model.
    """
    model_id, _, revision = reference.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model_id):
        raise UsageError(f"{reference}: expected org/name@revision, such as org/name@<40 hex digits>")
    if to is not None:
        _check_folder(Path(to), model_id, revision)
    if hub == "modelscope":
        if to is None:
            raise UsageError("--from modelscope: name the folder with --to; run files then name the folder")
        folder, commit = _from_modelscope(model_id, revision or "master", to)
    else:
        folder, commit = _from_hub(model_id, revision or None, to)
    files = {name: _facts(path) for name, path in model_files(folder)}
    digest = model_digest(str(find_model(str(folder))))
    named = to if to is not None else f"{model_id}@{commit}"
    fetched = Fetched(named, str(folder), commit, digest, files)
    if to is not None:
        document = {"model": model_id, "hub": hub} | {
            k: v for k, v in asdict(fetched).items() if k not in ("reference", "folder")
        }
        (folder / MANIFEST).write_text(
            json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    return fetched


def _from_hub(model_id: str, revision: str | None, to: str | None) -> tuple[Path, str]:
    """Folder and commit of a model that huggingface_hub has downloaded."""
    library = optional_module("huggingface_hub", "huggingface_hub", "models", "models fetch")
    try:
        if revision is None or not _COMMIT.fullmatch(revision):  # pinned before anything is downloaded
            revision = str(library.HfApi().model_info(model_id, revision=revision).sha)
        folder = library.snapshot_download(
            model_id,
            revision=revision,
            allow_patterns=list(PATTERNS),
            ignore_patterns=IGNORED,
            local_dir=to,
        )
    except Exception as error:  # its own errors and those of its HTTP client, which differ between versions
        raise _unreachable(model_id, revision, error) from error
    return Path(folder), revision


def list_model(reference: str) -> Fetched:
    """What `fetch_model` would download from Hugging Face: the commit, and the size of each file; without digests.

    Raises: InputError if the hub cannot be reached or has no such model.
    """
    model_id, _, revision = reference.partition("@")
    library = optional_module("huggingface_hub", "huggingface_hub", "models", "models fetch")
    try:
        api = library.HfApi()
        commit = str(api.model_info(model_id, revision=revision or None).sha)
        tree = list(api.list_repo_tree(model_id, recursive=True, revision=commit))
    except Exception as error:  # as in _from_hub
        raise _unreachable(model_id, revision, error) from error
    sizes = {item.path: item.size for item in tree if hasattr(item, "size")}  # folders have none
    wanted = library.utils.filter_repo_objects(sizes, allow_patterns=list(PATTERNS), ignore_patterns=IGNORED)
    files = {name: {"bytes": sizes[name]} for name in sorted(wanted)}
    return Fetched(f"{model_id}@{commit}", "", commit, "", files)


def _unreachable(model_id: str, revision: str | None, error: Exception) -> InputError:
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return InputError(
        f"{model_id}@{revision or 'main'}: {line.strip()}; check name, network, HF_ENDPOINT (mirror) and HF_TOKEN"
    )


def _from_modelscope(model_id: str, revision: str, to: str) -> tuple[Path, str]:
    """Folder and revision of a model that ModelScope's library has downloaded."""
    library = optional_module("modelscope", "modelscope", "models", "models fetch --from modelscope")
    try:
        folder = library.snapshot_download(
            model_id, revision=revision, allow_patterns=list(PATTERNS), local_dir=to
        )
    except (
        Exception
    ) as error:  # the library raises errors of many kinds, some of its own, some of its HTTP client
        raise InputError(f"{model_id}@{revision}: {error}; check name, revision and network") from error
    return Path(folder), revision


def _check_folder(folder: Path, model_id: str, revision: str) -> None:
    """Refuse a folder in which another model was fetched: files of both would be mixed."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return
    known = json.loads(manifest.read_text(encoding="utf-8"))
    if known["model"] != model_id or revision not in ("", known["revision"]):
        raise UsageError(f"--to {folder}: has {known['model']}@{known['revision']}; name another folder")


def _facts(path: Path) -> dict[str, Any]:  # Any: a size or a digest
    with path.open("rb") as stream:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def check_manifest(folder: Path) -> None:
    """Check the files of a fetched folder against its manifest, if it has one.

    Raises: ConfigError for a file that is missing or has other bytes.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return
    files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    found = dict(model_files(folder))
    for name, facts in files.items():
        if name not in found or _facts(found[name]) != facts:
            raise ConfigError(f"{folder}: {name} is not the file that was fetched; fetch the model again")
