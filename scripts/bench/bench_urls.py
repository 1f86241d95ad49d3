"""Measure stages.web.urls: time and memory to load a list of millions of domains, and URLs looked up per second.

Generates random domains (as many as UT1's list `adult`) and URLs, some of them listed; nothing is read from the
network. Times are CPU seconds on one core, best of three.

Example: python -m scripts.bench.bench_urls --domains 4600000 --urls 500000
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from stages.web import urls

TLDS = ("com", "net", "org", "cn", "com.cn", "co.uk", "de", "ru", "xyz", "github.io")
PATHS = (
    "/", "/index.html", "/news/2024/05/{}.html", "/wiki/%E5%9B%BE%E4%B9%A6%E9%A6%86", "/a/b/c?id={}&p=2", "/{}/{}.jpg",
)  # fmt: skip


def domains(n: int, seed: int) -> list[str]:
    """Random domains, 16 characters long on average."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(97, 123, (n, 18), np.uint8)
    sizes, tlds = rng.integers(6, 18, n), rng.integers(0, len(TLDS), n)
    return [
        f"{row[:size].tobytes().decode()}.{TLDS[t]}"
        for row, size, t in zip(letters, sizes, tlds, strict=True)
    ]


def best(fn: Callable[[], object], n: int = 3) -> float:
    """CPU seconds of the fastest of n calls."""
    times = []
    for _ in range(n):
        start = time.process_time()
        fn()
        times.append(time.process_time() - start)
    return min(times)


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@click.command()
@click.option("--domains", "n_domains", default=4_600_000, show_default=True)
@click.option("--urls", "n_urls", default=200_000, show_default=True)
@click.option(
    "--blocked-share", default=0.02, show_default=True, help="Share of URLs whose domain is listed."
)
def main(n_domains: int, n_urls: int, blocked_share: float) -> None:
    """Generate the lists, load them, look URLs up."""
    urls.load(urls.Config())  # compile first
    bad, good = domains(n_domains, 1), domains(n_urls, 2)
    rng = np.random.default_rng(3)
    names = [bad[i] if hit else good[j] for j, (i, hit) in enumerate(
        zip(rng.integers(0, n_domains, n_urls), rng.random(n_urls) < blocked_share, strict=True))]  # fmt: skip
    addresses = [
        f"https://{'www.' if i % 2 else ''}{name}{PATHS[i % len(PATHS)].format(i, i)}"
        for i, name in enumerate(names)
    ]
    table = pa.table({"url": pa.array(addresses, pa.large_string())})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "domains"
        path.write_text("\n".join(bad) + "\n", "ascii")
        listed = {name for name in bad}
        expected = sum(name in listed for name in names)
        del bad, listed
        before = peak_mb()
        config = urls.Config(block_suffixes={"adult": str(path)}, own_words=False)
        start = time.process_time()
        stage = urls.load(config)
        seconds = time.process_time() - start
        n_bytes = sum(array.nbytes for array in stage.below[:3])
        click.echo(f"load {n_domains:,} domains ({path.stat().st_size / 1e6:.0f} MB): {seconds:.2f} s CPU, "
                   f"{n_bytes / 1e6:.0f} MB in arrays, peak {peak_mb() - before:+.0f} MB")  # fmt: skip
    stage(table.slice(0, 100))
    result = stage(table)
    n_found = sum(name == "adult" for name in result["list"].to_pylist())
    rate = n_urls / best(lambda: stage(table))
    click.echo(f"look-up: {rate:,.0f} URLs/s; {n_found:,} of {expected:,} listed ones found")
    own = urls.load(urls.Config())
    click.echo(f"without the list: {n_urls / best(lambda: own(table)):,.0f} URLs/s")


if __name__ == "__main__":
    main()
