"""Quality of pairs without a reference: true pairs score above others, and each measure sees its fault."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from classifiers.pairs import SCHEMA, STAGE, Config, contained, names, numbers, shared
from pipeline.errors import ConfigError

TRUE = [
    ("央行提高了利率，股票市场下跌。", "The central bank raised interest rates and the stock market fell."),
    ("水在100度沸腾，在0度结冰。", "Water boils at 100 degrees and freezes at 0."),
    (
        "这座城市有350万人口，是该省最大的城市。",
        "The city has a population of 3,500,000 and is the largest of the province.",
    ),
    ("他用 iPhone 拍下了这只猫的照片。", "He took a photo of the cat with his iPhone."),
]


@pytest.fixture(scope="module")
def measure():  # type: ignore[no-untyped-def]
    """Rows of the stage for documents, each a list of pairs."""
    annotate = STAGE.load(Config())

    def rows(documents: list[list[tuple[str, str]]]) -> list[dict[str, float | None]]:
        texts = ["\n".join(f"{a}\n{b}" for a, b in pairs) for pairs in documents]
        metas = [json.dumps({"n_pairs": len(pairs)}) for pairs in documents]
        table = annotate(pa.table({"text": texts, "meta": metas}))
        assert table.schema == SCHEMA
        found: list[dict[str, float | None]] = table.to_pylist()
        return found

    return rows


def test_shuffled_pairs_score_below_true_ones(measure) -> None:  # type: ignore[no-untyped-def]
    """Each pair scores above the same source with any other target, in both orders of the sides."""
    true = [row["score"] for row in measure([[pair] for pair in TRUE])]
    for shift in (1, 2, 3):
        others = [(TRUE[i][0], TRUE[(i + shift) % 4][1]) for i in range(4)]
        assert all(
            a > b
            for a, b in zip(true, [r["score"] for r in measure([[pair] for pair in others])], strict=True)
        )
    assert [row["score"] for row in measure([[(b, a)] for a, b in TRUE])] == true


def test_each_measure_sees_its_fault(measure) -> None:  # type: ignore[no-untyped-def]
    """Another number, another name, a missing half and a copied side each lower the score."""
    zh, en = TRUE[1]
    (good,), (number,), (half,), (copy,) = (
        measure([[pair]]) for pair in ((zh, en), (zh, en.replace("100", "212")), (zh * 8, en), (en, en))
    )
    assert number["number_share"] < good["number_share"] == 1 and number["score"] < good["score"]
    assert half["length_ratio"] > 3 and half["score"] < good["score"]
    assert copy["score"] == 0
    named = measure([[TRUE[3]], [(TRUE[3][0], TRUE[3][1].replace("iPhone", "Nokia"))]])
    assert [row["name_share"] for row in named] == [1, 0] and named[0]["score"] > named[1]["score"]


def test_a_document_of_several_pairs_has_its_worst(measure) -> None:  # type: ignore[no-untyped-def]
    """score is the mean over the pairs, least_score the lowest of them; other documents get nulls."""
    (both,) = measure([[TRUE[0], (TRUE[1][0], TRUE[0][1])]])
    single = [row["score"] for row in measure([[TRUE[0]], [(TRUE[1][0], TRUE[0][1])]])]
    assert both["least_score"] == pytest.approx(min(single)) and both["n_pairs"] == 2
    assert both["score"] == pytest.approx(sum(single) / 2, abs=0.001)
    table = pa.table({"text": ["a\nb", "a", "a\nb\nc"], "meta": [None, '{"n_pairs": 1}', '{"n_pairs": "x"}']})
    assert STAGE.load(Config())(table).to_pylist() == [dict.fromkeys(SCHEMA.names)] * 3


def test_numbers_and_names_of_both_languages() -> None:
    """万 and 亿 are multiplied out, separators removed; names count only within Han text."""
    assert numbers("３５０万人，1,234.50 元，2亿") == numbers("3,500,000 people, 1234.5 yuan, 200000000")
    assert shared(numbers("12 和 13"), numbers("12 and 14")) == 0.5
    assert shared(numbers("无"), numbers("none")) is None
    assert contained(*names(("用 PyTorch 和 iOS", "with pytorch"))) == 0.5
    assert contained(*names(("plain", "simple"))) is None
    with pytest.raises(ConfigError):
        Config(max_length_ratio=0.5)
