"""Results of an ablation, as if it had been run."""

from __future__ import annotations

from pipeline.ablation.compare import BETTER, Difference
from pipeline.ablation.config import Ablation, Corpus, Texts
from pipeline.ablation.run import Results

SEEDS = (1, 2, 3)


def ablation_results() -> Results:
    """Two corpora under three seeds, and what looks like a tag."""
    ablation = Ablation(
        corpora={"plain": Corpus(files=("a.jsonl",)), "other": Corpus(files=("b.jsonl",))},
        evaluate={"en": Texts(files=("m.jsonl",))}, seeds=SEEDS, sizes={"small": {}},
    )  # fmt: skip
    runs = {
        ("small", name, seed): {
            "parameters": 1000, "tokens_per_s": 5.0, "device": "cpu", "curve": [[10, 3 + seed], [20, 2 + seed + i]],
            "measures": {"en bits per byte": {"value": 1.0, "parts": [1.0 + i, 2.0], "weights": [1.0, 2.0]}},
        }
        for i, name in enumerate(ablation.corpora) for seed in SEEDS
    }  # fmt: skip
    difference = Difference("small", "other", "en bits per byte", 1.0, 1.3, 0.3, 0.1, 0.4, 0.01, BETTER)
    corpora = {
        name: dict.fromkeys((
            "corpus_documents", "corpus_bytes", "documents", "bytes", "tokens", "left_out_as_measured",
            "planted_tokens",
        ), 7) | {"chinese_share": share}
        for name, share in zip(ablation.corpora, (0.4, 0.5), strict=True)
    }  # fmt: skip
    return Results(ablation, corpora, runs, [difference], smoke=["</script><b>small"])
