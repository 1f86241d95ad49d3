"""What `bicorpus doctor` looks at: machine, versions, caches, languages and disks, and the known problems among them.

Nothing is started and no network is used; heavy libraries are asked for their version without being imported.
"""

from __future__ import annotations

import locale
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from pipeline import __version__
from pipeline.translation import VARIABLE, language, message

LIBRARIES = (
    "numpy",
    "pyarrow",
    "numba",
    "ray",
    "click",
    "tokenizers",
    "datatrove",
    "obstore",
    "opencc",
    "resiliparse",
)
"""Libraries of the core whose versions matter most in a report of a fault."""

EXTRAS = {
    "models": ("torch", "transformers"), "llm": ("openai", "jsonschema"), "kenlm": ("ufal-kenlm", "sentencepiece"),
    "train": ("fasttext-community", "lightgbm", "scikit-learn"), "sentencepiece": ("sentencepiece",),
    "pdf": ("pypdfium2",), "pinyin": ("pypinyin",),
}  # fmt: skip
"""Distributions of each extra."""

PACKAGES = ("pipeline", "stages", "classifiers")

WORKER_BYTES = 1_500_000_000
"""Memory of one worker (docs/design.md, section 8)."""

LEAST_FREE = 10_000_000_000
"""Free bytes of a disk below which a build of a few gigabytes may fail."""

LEAST_FILES = 4096
"""Open files that a build with many partitions needs."""

LEAST_SHARED = 1_000_000_000
"""Bytes of /dev/shm below which Ray keeps its objects on disk, and says so."""


@dataclass(frozen=True)
class Finding:
    """One fact about the machine, and the problem in it, if there is one.

    group, name, value: what was looked at and what was found; problem: why that matters, empty if it does not; advice:
    what to do; fails: whether bicorpus cannot work so, rather than slowly or partly.
    """

    group: str
    name: str
    value: str
    problem: str = ""
    advice: str = ""
    fails: bool = False


def examine(environment: Mapping[str, str], folders: Mapping[str, str]) -> list[Finding]:
    """Look at the machine. folders: what each is for -> a folder that is written to, which may not exist yet."""
    return [
        *machine(), *versions(), *packages(), *caches(environment), *languages(environment), *ray(environment),
        *disks(folders),
    ]  # fmt: skip


def machine() -> Iterator[Finding]:
    """System, cores, memory and open files."""
    group = message("machine")
    system, kind = platform.system(), platform.machine()
    supported = (system, kind) == ("Linux", "x86_64")
    yield Finding(
        group, message("system"), f"{platform.platform(terse=True)} {kind}",
        "" if supported else message("not tried on this system"),
        "" if supported else message("see docs/supported.md; compare a release with one made on Linux x86-64"),
    )  # fmt: skip
    cores, quota, memory = len(os.sched_getaffinity(0)), cpu_quota(), memory_bytes()
    limited = quota is not None and quota + 0.5 < cores
    yield Finding(
        group, message("cores"), f"{cores}" if quota is None else f"{cores} ({quota:g})",
        message(f"the container may use {quota:g} of {cores} cores; workers would wait") if limited else "",
        message(f"use --workers {max(int(quota or 1), 1)}") if limited else "",
    )  # fmt: skip
    needed = cores * WORKER_BYTES
    yield Finding(
        group, message("memory"), f"{memory / 1e9:.1f} GB",
        message(f"{cores} workers may need {needed / 1e9:.1f} GB") if memory < needed else "",
        message(f"use --workers {max(int(memory / WORKER_BYTES), 1)}") if memory < needed else "",
    )  # fmt: skip
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Finding(
        group, message("open files"), f"{soft}",
        message("a build with many partitions opens more files") if soft < LEAST_FILES else "",
        message(f"ulimit -n {min(hard, 65536) if hard > 0 else 65536}") if soft < LEAST_FILES else "",
    )  # fmt: skip


def memory_bytes() -> int:
    """Memory that this process may use: of the machine, or of its control group if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _read(path)
        if limit.isdigit():
            total = min(total, int(limit))
    return total


def cpu_quota() -> float | None:
    """Cores' worth of time that the control group of this process may use; None without a limit."""
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def versions() -> Iterator[Finding]:
    """Versions of bicorpus, Python and libraries, and which extras are installed."""
    group = message("versions")
    yield Finding(group, "bicorpus", __version__)
    old = sys.version_info < (3, 11)
    yield Finding(
        group, "Python", f"{platform.python_version()}  {sys.executable}",
        message("bicorpus needs Python 3.11 or later") if old else "",
        message("make an environment with a newer Python") if old else "", old,
    )  # fmt: skip
    for name in LIBRARIES:
        found = version_of(name)
        yield Finding(
            group, name, found or "-",
            "" if found else message("a library of the core is missing"),
            "" if found else message(f"pip install {name}, or install bicorpus again"), not found,
        )  # fmt: skip
    for extra, names in EXTRAS.items():
        found_all = {name: version_of(name) for name in names}
        missing = [name for name, version in found_all.items() if not version]
        value = ", ".join(f"{name} {version}" for name, version in found_all.items() if version)
        partly = bool(value) and bool(missing)
        yield Finding(
            group, f"[{extra}]", value or "-",
            message(f"the extra is installed in part: {', '.join(missing)} missing") if partly else "",
            message(f"pip install 'bicorpus[{extra}]'") if partly else "",
        )  # fmt: skip
    if version_of("fasttext") and not version_of("fasttext-community"):
        yield Finding(
            group, "fasttext", version_of("fasttext") or "",
            message("its predict fails with NumPy 2"), message("pip install fasttext-community instead"),
        )  # fmt: skip


def version_of(name: str) -> str | None:
    """Version of an installed distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def packages() -> Iterator[Finding]:
    """Where the packages of bicorpus are imported from; another of the same name hides ours."""
    own = Path(__file__).resolve().parents[2]
    for name in PACKAGES:
        spec = util.find_spec(name)
        place = str(Path(spec.origin).resolve().parent) if spec and spec.origin else "-"
        hidden = place != str(own / name)
        yield Finding(
            message("packages"), name, place,
            message(f"hides {own / name}, the package of bicorpus") if hidden else "",
            message("rename that folder, or remove its parent from PYTHONPATH") if hidden else "", hidden,
        )  # fmt: skip


def caches(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Compiled kernels, and models of hubs."""
    group = message("caches")
    home = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    kernels = Path(environment.get("NUMBA_CACHE_DIR") or os.path.join(home, "bicorpus", "numba"))
    n_files, n_bytes = size_of(kernels)
    problem = advice = ""
    if not is_writable(kernels):
        problem = message("not writable: kernels are compiled again in every process")
        advice = message("set NUMBA_CACHE_DIR to a folder that can be written")
    elif not n_files:
        problem = message("empty: the first run compiles for one to three minutes")
        advice = message("nothing to do; later runs start at once")
    yield Finding(group, message("compiled kernels"), _amount(kernels, n_files, n_bytes), problem, advice)
    if environment.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        yield Finding(
            group, "NUMBA_DISABLE_JIT", environment["NUMBA_DISABLE_JIT"],
            message("kernels run uncompiled, a hundred times slower"), message("unset NUMBA_DISABLE_JIT"),
        )  # fmt: skip
    hub = Path(
        environment.get("HF_HUB_CACHE")
        or os.path.join(environment.get("HF_HOME") or os.path.join(home, "huggingface"), "hub")
    )
    yield Finding(group, message("models of hubs"), _amount(hub, *size_of(hub)))


def size_of(folder: Path) -> tuple[int, int]:
    """Number of files below a folder, and their bytes; nothing for one that does not exist."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return len(sizes), sum(sizes)


def _amount(folder: Path, n_files: int, n_bytes: int) -> str:
    return message(f"{folder}  {n_files:,} files, {n_bytes / 1e6:,.1f} MB")


def is_writable(folder: Path) -> bool:
    """Whether files can be made below a folder, or it can be made itself."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def languages(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Language of messages, and the encodings of output and of file names."""
    group = message("language")
    names = [VARIABLE, "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"]
    given = ", ".join(f"{name}={environment[name]}" for name in names if environment.get(name))
    yield Finding(group, message("messages"), f"{language()}  {given}".rstrip())
    for name, encoding in (
        (message("output"), getattr(sys.stdout, "encoding", None) or "-"),
        (message("file names"), sys.getfilesystemencoding()),
        (message("text files"), locale.getpreferredencoding(False)),
    ):
        narrow = encoding.lower().replace("-", "") not in ("utf8", "gb18030")
        yield Finding(
            group, name, encoding,
            message("cannot write every character, such as rare ideographs") if narrow else "",
            message("export LANG=C.UTF-8 or zh_CN.UTF-8, or PYTHONUTF8=1") if narrow else "",
        )  # fmt: skip


def ray(environment: Mapping[str, str]) -> Iterator[Finding]:
    """What Ray finds: an address, shared memory."""
    group = "Ray"
    yield Finding(group, message("version"), version_of("ray") or "-")
    yield Finding(group, "RAY_ADDRESS", environment.get("RAY_ADDRESS") or "-")
    if os.path.isdir("/dev/shm"):
        size = shutil.disk_usage("/dev/shm").total
        small = size < LEAST_SHARED
        yield Finding(
            group, "/dev/shm", f"{size / 1e9:.1f} GB",
            message("too small for Ray, which then keeps its objects on disk") if small else "",
            message("start the container with --shm-size=2g, or use --engine local") if small else "",
        )  # fmt: skip


def disks(folders: Mapping[str, str]) -> Iterator[Finding]:
    """Free space where files are written."""
    for name, folder in {**folders, message("temporary files"): tempfile.gettempdir()}.items():
        path = Path(folder)
        while not path.exists() and path != path.parent:
            path = path.parent
        free = shutil.disk_usage(path).free
        problem = advice = ""
        if not os.access(path, os.W_OK):
            problem, advice = (
                message("cannot be written"),
                message("name another folder, or change its permissions"),
            )
        elif free < LEAST_FREE:
            problem = message("a store takes two to three times the size of its inputs")
            advice = message("free some space, or name another disk with --store or TMPDIR")
        yield Finding(message("disk"), name, f"{folder}  {free / 1e9:,.1f} GB", problem, advice)
