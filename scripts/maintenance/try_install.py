"""Install the wheel without extras into fresh environments, and build a cut of the sample with it.

For each Python: a virtual environment in a temporary folder, the core dependencies in the versions of
requirements.lock (`--newest`: in their newest versions), `bicorpus --help`, `init`, `run` of configs/quickstart.yaml
and `verify`, with no folder of the repository on the path. With `--tests`, the dev extra follows, and pytest with the
arguments given. Prints one line per step; exits 1 if a step fails. Takes one to three minutes per Python, most of it
for installing packages and compiling kernels.

Example: python -m scripts.maintenance.try_install --python python3.12 --python python3.13
Example: python -m scripts.maintenance.try_install --python python3.13 --tests tests/pipeline tests/stages
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import yaml
import zstandard

ROOT = Path(__file__).resolve().parents[2]
LINES = 60
"""Documents per source of the cut sample."""


class StepError(Exception):
    """A command failed; the message ends with the end of its output."""


def cut_sample(folder: Path) -> None:
    """Write the first documents of each source of the sample, and the run file that reads them, below `folder`."""
    sample = folder / "sample"
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in ("notes", "pages", "crawl"):
        shutil.copytree(ROOT / "sample" / name, sample / name)
    for name in ("benchmarks.parquet", "web_mixed-00.warc.wet.gz"):
        shutil.copy(ROOT / "sample" / name, sample / name)
    for path in (ROOT / "sample").glob("*-00.jsonl.*"):
        compressed = path.read_bytes()
        if path.suffix == ".gz":
            lines = gzip.decompress(compressed).splitlines(keepends=True)
            (sample / path.name).write_bytes(gzip.compress(b"".join(lines[:LINES])))
        else:
            text = zstandard.ZstdDecompressor().decompressobj().decompress(compressed)
            lines = text.splitlines(keepends=True)
            (sample / path.name).write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines[:LINES])))
    shutil.copy(ROOT / "sample/forum_spam.jsonl.gz", sample / "forum_spam.jsonl.gz")
    pq.write_table(
        pq.read_table(ROOT / "sample/books_zh.parquet").slice(0, LINES), sample / "books_zh.parquet"
    )
    run = yaml.safe_load((folder / "configs/quickstart.yaml").read_text("utf-8"))
    run["mix"]["max_discard"] = 1  # the cut has other shares of languages
    (folder / "configs/quickstart.yaml").write_text(yaml.safe_dump(run, allow_unicode=True, sort_keys=False))


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the files that git lists, so that no build folder is left here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "pipeline", "stages",
         "classifiers", "pyproject.toml", "README.md", "LICENSE"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    call(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, folder / "source"],
        folder,
        folder,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def call(command: Sequence[str | Path], where: Path, folder: Path, **variables: str) -> str:
    """Run a command in `where` with caches below `folder`, without PYTHONPATH unless given; returns stdout.

    Raises: StepError with the end of the output if it fails.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    caches = {"NUMBA_CACHE_DIR": str(folder / "numba_cache"), "MPLCONFIGDIR": str(folder / "matplotlib")}
    run = subprocess.run(
        [str(word) for word in command], cwd=where, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, env={**environment, **caches, **variables},
    )  # fmt: skip
    if run.returncode:
        tail = "\n".join((run.stdout + run.stderr).splitlines()[-30:])
        raise StepError(f"exit code {run.returncode}: {' '.join(str(word) for word in command)}\n{tail}")
    return run.stdout


def try_python(python: str, wheel: Path, folder: Path, newest: bool, tests: list[str] | None) -> None:
    """Install, build and check with one Python, printing each step and its seconds.

    Raises: StepError if a step fails.
    """
    bin_ = folder / "venv/bin"
    lock: list[str | Path] = [] if newest else ["--constraint", ROOT / "requirements.lock"]
    started = time.monotonic()

    def step(name: str, command: Sequence[str | Path], where: Path = folder, **variables: str) -> str:
        nonlocal started
        output = call(command, where, folder, **variables)
        now = time.monotonic()
        print(f"  {name}: {now - started:.1f} s", flush=True)
        started = now
        return output

    step("create the environment", [python, "-m", "venv", folder / "venv"])
    step(
        "install without extras",
        [bin_ / "python", "-m", "pip", "install", "--only-binary", ":all:", *lock, wheel],
    )
    frozen = call([bin_ / "python", "-m", "pip", "freeze"], folder, folder)
    shown = [line for line in frozen.splitlines() if re.match(r"(numba|numpy|pyarrow|ray|obstore)==", line)]
    print(f"  versions: {', '.join(shown)}")
    cut_sample(folder)
    bicorpus = bin_ / "bicorpus"
    step("bicorpus --help", [bicorpus, "--help"])
    step(
        "bicorpus init", [bicorpus, "init", "sample/notes", "sample/pages", "--out", folder / "drafted.yaml"]
    )
    run = folder / "configs/quickstart.yaml"
    step("bicorpus run", [bicorpus, "run", run, "--store", "store", "--engine", "local", "--workers", "1"])
    release = folder / "store/releases/quickstart"
    step("bicorpus verify", [bicorpus, "verify", release, "--store", "store", "--run", run])
    if tests is not None:
        extra = f"{wheel}[dev]"
        step("install the dev extra", [bin_ / "python", "-m", "pip", "install", *lock, extra])
        pytest: list[str | Path] = [
            bin_ / "python",
            "-m",
            "pytest",
            "--color=no",
            "-p",
            "no:cacheprovider",
            *tests,
        ]
        print("  " + step("tests", pytest, ROOT, PYTHONPATH=str(ROOT)).splitlines()[-1])


def main() -> None:
    """Read the command line and try each Python."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", action="append", help="a Python to try; repeatable  [default: this one]")
    parser.add_argument("--newest", action="store_true", help="newest versions instead of requirements.lock")
    parser.add_argument("--tests", nargs="*", metavar="ARGUMENT", help="also run pytest with these arguments")
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="bicorpus-install-") as name:
        wheel = build_wheel(Path(name))
        for i, python in enumerate(arguments.python or [sys.executable]):
            folder = Path(name, str(i))
            folder.mkdir()
            version = call(
                [python, "-c", "import platform; print(platform.python_version())"], folder, folder
            ).strip()
            print(f"Python {version} ({python})", flush=True)
            try:
                try_python(python, wheel, folder, arguments.newest, arguments.tests)
            except StepError as error:
                failed = True
                print(f"  failed: {error}")
            shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
