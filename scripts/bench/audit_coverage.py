"""How often the interval of an audit contains the truth, on corpora with planted bad documents.

    python -m scripts.bench.audit_coverage [--audits 1000] [--bad 0.03] [--drawn 400]

Sources have sizes from 50 % to 1 % of the corpus, and rates of bad documents from half to four times the mean; audits
are drawn and scored by the code of `bicorpus audit`, with readers who make no mistakes.
"""

from __future__ import annotations

import argparse

import numpy as np
import pyarrow as pa

from pipeline.labelling.answers import Answer, Read
from pipeline.labelling.audit import choose, rates, verdicts_of

SOURCES = {
    "crawl": (0.5, 0.7),
    "forum": (0.25, 1.6),
    "news": (0.15, 0.5),
    "books": (0.09, 0.5),
    "notes": (0.01, 4.0),
}
"""Source -> share of the documents, and its rate of bad documents divided by that of the corpus."""


def corpus(n_documents: int, bad_share: float, seed: int) -> tuple[pa.Table, np.ndarray]:
    """Facts of kept documents, and which are bad: bool (n_documents,)."""
    random = np.random.default_rng(seed)
    names = list(SOURCES)
    source = random.choice(len(names), n_documents, p=[SOURCES[name][0] for name in names])
    mean = sum(share * rate for share, rate in SOURCES.values())
    odds = np.array([SOURCES[name][1] for name in names])[source] * bad_share / mean
    is_bad = random.random(n_documents) < odds
    table = pa.table(
        {
            "doc_id": [f"{seed:06d}{i:020d}" for i in range(n_documents)], "source": [names[k] for k in source],
            "language": np.where(random.random(n_documents) < 0.5, "zho_Hans", "eng_Latn"),
            "outcome": ["kept"] * n_documents, "tier": random.choice(["high", "medium", "low"], n_documents),
        }
    )  # fmt: skip
    return table, is_bad


def coverage(n_documents: int, n_drawn: int, bad_share: float, n_audits: int, seed: int) -> float:
    """Share of audits whose interval of all kept documents contains the true rate."""
    table, is_bad = corpus(n_documents, bad_share, seed)
    truth = float(is_bad.mean())
    bad = set(np.array(table["doc_id"].to_pylist())[is_bad].tolist())
    n_covered = 0
    for k in range(n_audits):
        drawn = choose(table, n_drawn, 1.0, seed * 100_003 + k)
        read = Read()
        read.answers["reader"] = {
            i: Answer(i, "reader", None, i not in bad, None, (), None, "")
            for i in drawn["doc_id"].to_pylist()
        }
        rate = next(r for r in rates(verdicts_of(drawn, read)) if (r.by, r.group) == ("all", "kept"))
        n_covered += rate.low <= truth <= rate.high
    return n_covered / n_audits


def main() -> None:
    """Print the coverage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--bad", type=float, default=0.03)
    parser.add_argument("--drawn", type=int, default=400)
    parser.add_argument("--documents", type=int, default=20_000)
    arguments = parser.parse_args()
    found = coverage(arguments.documents, arguments.drawn, arguments.bad, arguments.audits, 1)
    print(f"{found:.3f} of {arguments.audits:,} audits of {arguments.drawn:,} documents cover the truth")


if __name__ == "__main__":
    main()
