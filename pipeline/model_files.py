"""Models that are folders, as hubs publish them: which files are loaded, where a named one is stored, their digest.

A run file names a folder, or a model of the hub with a pinned revision, `org/name@<40 hex digits>`. A run reads models
from disk alone, never from the network: `bicorpus models fetch` stores them first, in the cache of huggingface_hub or
in a folder. The digest of a model covers names and bytes of the files that are loaded, so that the same model has the
same recipes from a hub, a mirror or a folder. Weights are safetensors: pickled ones, which can run code, are ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

PATTERNS = (
    "config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "*.model",
    "modules.json", "sentence_bert_config.json", "[0-9]_*/config.json", "[0-9]_*/model.safetensors",
)  # fmt: skip
"""Files of a model that are fetched and digested: weights, settings and tokenizer; numbered folders are the modules
that sentence-transformers puts on top of an encoder. Code, pickled weights and other formats are not among them."""

MAX_SETTINGS_BYTES = 64 << 20
"""Largest settings file: config.json has kilobytes, or megabytes where it lists labels."""

MANIFEST = "bicorpus.json"
"""File of a fetched folder: where it is from, and size and SHA-256 of each file."""

_NAMED = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
_UNPINNED = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def named_model(reference: str) -> tuple[str, str] | None:
    """Return id and revision of a model of a hub; None if the reference is no such name."""
    match = _NAMED.fullmatch(reference)
    return (match["id"], match["revision"]) if match else None


def cache_folder(model_id: str, revision: str) -> Path:
    """Return the folder of a model in the cache of huggingface_hub, by its environment variables; it may not exist."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    cache = os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expanduser(cache), f"models--{model_id.replace('/', '--')}", "snapshots", revision)


def find_model(reference: str) -> Path:
    """Return the folder of a model.

    Args: reference, a folder, or `org/name@revision` of the hub.
    Raises: ConfigError if it is not on this machine, has no config.json, or no safetensors.
    """
    named = named_model(reference)
    folder = cache_folder(*named) if named and not os.path.isdir(reference) else Path(reference)
    if not folder.is_dir():
        if named:
            raise ConfigError(
                f"{reference} is not in {folder.parent}; fetch it: bicorpus models fetch {reference}"
            )
        if _UNPINNED.fullmatch(reference):
            raise ConfigError(
                f"{reference}: no such folder; a model of a hub is named with its commit, as org/name@<40 hex digits> "
                f"(bicorpus models fetch {reference.partition('@')[0]} prints it)"
            )
        raise ConfigError(
            f"{reference}: no such folder; name a folder with config.json and model.safetensors"
        )
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{reference}: {folder} has no config.json; name the folder of a transformers model"
        )
    if not any(folder.glob("model*.safetensors")):
        others = ", ".join(
            sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".gguf"))
        )
        raise ConfigError(
            f"{reference}: {folder} has no model.safetensors{f', only {others}' if others else ''}; pickled weights "
            "can run code and are not loaded: convert them on a machine where that does no harm (docs/models.md)"
        )
    return folder


def model_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each file of a model that is loaded, by name."""
    found = {p.relative_to(folder).as_posix(): p for p in (*folder.iterdir(), *folder.glob("[0-9]_*/*"))}
    for name in sorted(found):
        if found[name].is_file() and any(fnmatchcase(name, pattern) for pattern in PATTERNS):
            yield name, found[name]


def model_settings(reference: str, name: str = "config.json") -> Any:  # Any: JSON
    """Return a JSON file of a model; an empty mapping if it has none of this name.

    Raises: ConfigError if the model is not on this machine, or the file is no JSON.
    """
    path = find_model(reference) / name
    if not path.is_file():
        return {}
    try:
        if (size := path.stat().st_size) > MAX_SETTINGS_BYTES:
            raise ValueError(f"{size:,} bytes; allowed are {MAX_SETTINGS_BYTES:,}")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict if name == "config.json" else (dict, list)):
            raise ValueError(f"a JSON {type(found).__name__}")
    except (ValueError, RecursionError, OSError) as error:
        raise ConfigError(f"{path}: {error}; expected JSON with settings of a model") from error
    return found


def named_references(value: object) -> dict[str, str]:
    """References of a setting, text or a mapping of names, by name; that of a single one is empty."""
    if isinstance(value, Mapping):
        return {str(name): str(reference) for name, reference in value.items()}
    return {"": str(value)} if value else {}
