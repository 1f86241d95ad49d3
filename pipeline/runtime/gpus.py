"""GPUs of this machine, and the workers that run models on them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError

CPU, GPU = "cpu", "gpu"
"""Pools of workers. Tasks of the pool GPU run in the pool CPU where there is no GPU."""

_DRIVER = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Gpus:
    """GPUs to use. n: their number, None for all of the machine or cluster; share: of a GPU that one worker takes."""

    n: int | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 0:
            raise UsageError(f"--gpus is {self.n}; expected 0 or more")
        if not 0 < self.share <= 1:
            raise UsageError(f"--gpu-share is {self.share}; expected more than 0, at most 1")

    def workers(self, n_found: int) -> int:
        """Number of workers that run models on GPUs. n_found: GPUs of the machine or cluster."""
        return (n_found if self.n is None else self.n) * math.floor(1 / self.share + 1e-9)


def visible_gpus() -> list[str]:
    """Names of the GPUs that a process of this machine may use, as CUDA_VISIBLE_DEVICES has them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(i) for i in range(len(list(_DRIVER.iterdir())))] if _DRIVER.is_dir() else []


def device_for(worker: int, gpus: Gpus) -> str:
    """The GPU of a worker, by its number from 0: workers are spread over the GPUs."""
    names = visible_gpus()
    if gpus.n is not None:
        names = [*names, *map(str, range(len(names), gpus.n))][: gpus.n]
    return names[worker % len(names)] if names else ""
