"""Models of strangers: whatever a file holds, loading it is one error that names it."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers import embedding, fluency, like, toxicity
from classifiers.embedding.features import N_DIMENSIONS
from classifiers.fasttext import STAGE as FASTTEXT
from classifiers.head import STAGE as HEAD
from pipeline.array_files import read_arrays
from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages import tokens
from tests.helpers.fasttext_model import model_bytes


def npz(**arrays: Any) -> bytes:
    """A file of arrays."""
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)
    return sink.getvalue()


def bomb(name: str) -> bytes:
    """An array of 4 GiB, of which the file has 16 MiB of zeros."""
    sink, head = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<i2", "fortran_order": False, "shape": (1 << 31,)})
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", head.getvalue() + bytes(16 << 20))
    return sink.getvalue()


WEIGHTS = np.zeros(N_DIMENSIONS, np.int16)
LIKE = npz(weights=WEIGHTS, scale=np.float64(1), offset=np.float64(0))
PACKED = Path(fluency.__file__).parents[1] / "models" / "fluency_zh.bin"

STAGES: dict[str, tuple[Stage, Callable[[str], Any], Callable[[], bytes]]] = {
    "like": (like.STAGE, lambda path: like.Config(models={"a": path}), lambda: LIKE),
    "toxicity": (
        toxicity.STAGE, lambda path: toxicity.Config(model=path), lambda: Path(toxicity.Config().model).read_bytes()
    ),
    "centroids": (
        embedding.STAGE, lambda path: embedding.Config(centroids=path),
        lambda: Path(embedding.Config().centroids).read_bytes(),
    ),
    "fluency": (fluency.STAGE, lambda path: fluency.Config(models=(path,), labels=(("zh",),)), PACKED.read_bytes),
    "fasttext": (
        FASTTEXT, lambda path: FASTTEXT.config(models={"a": path}), lambda: model_bytes(loss=3, minn=2, maxn=3)
    ),
    "tokenizer": (
        tokens.STAGE, lambda path: tokens.Config(tokenizer=path), lambda: b'{"version": "1.0", "model": {}}'
    ),
    "head": (HEAD, lambda path: HEAD.config(models={"a": path}), lambda: npz(tree_format=1)),
}  # fmt: skip


def damaged(data: bytes) -> dict[str, bytes]:
    """Forms in which no file of any kind is sound."""
    flipped, rng = bytearray(data), random.Random(5)
    for _ in range(8):
        flipped[rng.randrange(min(len(data), 60))] ^= 1 << rng.randrange(8)
    return {
        "empty": b"", "half": data[: len(data) // 2], "start": data[:40], "flipped": bytes(flipped),
        "pickled": pickle.dumps({"weights": 1}), "noise": rng.randbytes(3000), "bomb": bomb("weights"),
        "deep": b"[" * 100_000, "counts": data[:8] + b"\xff\xff\xff\x7f" * 20 + data[88:],
    }  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_a_damaged_model_is_one_error_with_its_name(name: str, tmp_path: Path) -> None:
    """Never a traceback of a library, never memory in the size of what the file claims."""
    stage, config, make = STAGES[name]
    for form, data in damaged(make()).items():
        path = tmp_path / f"{form}.npz"
        path.write_bytes(data)
        with pytest.raises(ConfigError) as raised:
            stage.load(config(str(path)))
        assert str(path) in str(raised.value), form


@pytest.mark.parametrize(
    "arrays",
    [
        {"weights": WEIGHTS, "scale": np.float64(np.nan), "offset": np.float64(0)},
        {"weights": WEIGHTS, "scale": np.zeros(3), "offset": np.float64(0)},
        {"weights": WEIGHTS.reshape(2, -1), "scale": np.float64(1), "offset": np.float64(0)},
        {"weights": np.array([{}, None]), "scale": np.float64(1), "offset": np.float64(0)},
        {"weights": WEIGHTS, "scale": np.float64(1)},
    ],
    ids=["NaN", "three numbers", "shape", "objects", "missing"],
)
def test_wrong_arrays_are_refused(arrays: dict[str, Any], tmp_path: Path) -> None:
    """Also where the file itself is sound."""
    path = tmp_path / "m.npz"
    path.write_bytes(npz(**arrays))
    with pytest.raises(ConfigError, match=r"m\.npz"):
        like.load_model(str(path))


def test_sound_arrays_are_read_as_numpy_reads_them(tmp_path: Path) -> None:
    """Dtypes, shapes, orders and values."""
    arrays: dict[str, Any] = {
        "a": np.arange(12, dtype=np.int16).reshape(3, 4), "f": np.asfortranarray(np.eye(3)), "s": np.array(["中", "b"]),
        "n": np.float32(2.5), "e": np.zeros((0, 4)),
    }  # fmt: skip
    path = tmp_path / "m.npz"
    path.write_bytes(npz(**arrays))
    found = read_arrays(path, "", "a model")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
