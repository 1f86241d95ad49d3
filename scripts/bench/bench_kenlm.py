"""Compare `train kenlm`'s own estimator with KenLM's lmplz: n-grams, probabilities, backoffs, seconds.

Example: python -m scripts.bench.bench_kenlm web_labels.parquet --lmplz /path/to/lmplz
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classifiers.training.kenlm import Model, fit

SETTINGS = ((3, (0,)), (5, (0,)), (5, (0, 0, 1)), (5, (0, 1, 1, 2, 2)))
TOKENS = {"zh": "characters", "en": "words"}


def read_arpa(path: Path) -> dict[str, tuple[float, float]]:
    """Log10 probability and backoff by n-gram."""
    found = {}
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            row = line.rstrip("\n").split("\t")
            if len(row) > 1:
                found[row[1]] = float(row[0]), float(row[2]) if len(row) > 2 else 0.0
    return found


@click.command()
@click.argument("texts")
@click.option("--lmplz", required=True, help="The program of KenLM.")
def main(texts: str, lmplz: str) -> None:
    """TEXTS: Parquet with the columns text and lang."""
    table = pq.read_table(texts, columns=["text", "lang"])
    click.echo("| language | order | left out | n-grams | same | largest difference | lmplz, s | ours, s |")
    click.echo("|---|---|---|---|---|---|---|---|")
    for language, tokens in TOKENS.items():
        own = table.filter(pc.equal(table["lang"], language))["text"]
        for order, prune in SETTINGS:
            model = Model(order=order, prune=prune, tokens=tokens, normalize="none")
            with tempfile.TemporaryDirectory() as folder:
                seconds = []
                for name, program in (("theirs", lmplz), ("ours", None)):
                    start = time.perf_counter()
                    fit(own, str(Path(folder, name)), replace(model, lmplz=program))
                    seconds.append(time.perf_counter() - start)
                theirs, ours = (read_arpa(Path(folder, name)) for name in ("theirs", "ours"))
            same = theirs.keys() & ours.keys()
            largest = max(float(np.abs(np.subtract(theirs[gram], ours[gram])).max()) for gram in same)
            click.echo(
                f"| {language} | {order} | {', '.join(map(str, prune))} | {len(theirs):,} | {len(same):,} "
                f"| {largest:.1e} | {seconds[0]:.1f} | {seconds[1]:.1f} |"
            )


if __name__ == "__main__":
    main()
