"""Where a network runs and in which numbers; PyTorch is imported here, inside functions.

A worker sees the GPUs that the engine gave it (CUDA_VISIBLE_DEVICES); without one it computes on the CPU, with as many
threads as OMP_NUM_THREADS states, one in the engine's workers. TF32 is off, so that float32 means float32.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

from pipeline.errors import ConfigError
from pipeline.recipe import optional_module

DTYPES = ("auto", "float32", "bfloat16")
"""auto: float32 on CPU, bfloat16 on a GPU that has it."""

Torch = Any  # modules, tensors and models of libraries that are imported late


def check_installed(where: str) -> None:
    """Check that PyTorch and transformers are installed, without importing them.

    Raises: ConfigError if one is not, with the command that installs both.
    """
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"{where} needs {name!r}, which is not installed: pip install 'bicorpus[models]'"
            )


def torch_module(where: str) -> Torch:
    """Return PyTorch.

    Raises: ConfigError if it is not installed, with the command that installs it.
    """
    return optional_module("torch", "PyTorch", "models", where)


def transformers_module(where: str) -> Torch:
    """Return transformers, without its progress bars and advice.

    Raises: ConfigError if it is not installed, with the command that installs it.
    """
    library = optional_module("transformers", "transformers", "models", where)
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library


@functools.cache
def device_of(where: str) -> str:
    """Return `cuda` if this process sees a GPU, else `cpu`."""
    torch = torch_module(where)
    if not torch.cuda.is_available():
        return "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def device_name(device: str) -> str:
    """Return the name of the hardware, for records."""
    return torch_module("").cuda.get_device_name() if device == "cuda" else "CPU"


def dtype_of(setting: str, device: str, where: str) -> Torch:
    """Return the dtype of the weights; see DTYPES."""
    torch = torch_module(where)
    if setting == "auto":
        has_bfloat16 = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        setting = "bfloat16" if has_bfloat16 else "float32"
    return getattr(torch, setting)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a batch was too large: of a GPU, or of PyTorch's allocator on the CPU."""
    torch = torch_module("")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )


def free_memory() -> None:
    """Give the GPU memory that PyTorch keeps in reserve back."""
    torch = torch_module("")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
