"""Planted personal data: values have the check digits that they claim, and are where the row says."""

from __future__ import annotations

import random

import pytest

from scripts.bench.pii_planted import (
    FRAMES,
    MAKERS,
    WRONG_CHECK,
    bank_card,
    iban,
    id_cn,
    mine,
    plant,
    score,
    spoil,
)

ZH = "第一段讲湖边的老人。\n第二段讲春天的果园。\n版本 3.12.7.40 已发布，共 128812345 人。\n"
EN = (
    "The first paragraph.\nThe second one, about ducks.\nreleased at 11:22:33:44:55:16, ISBN 9787111213826.\n"
)


def test_check_digits_are_right() -> None:
    """Published examples of the standards pass the same sums, and a spoilt value does not."""
    rng = random.Random(1)
    for _ in range(50):
        card = bank_card(rng).replace(" ", "")
        pairs = [int(c) * (1 + i % 2) for i, c in enumerate(reversed(card))]
        assert sum(value - 9 * (value > 9) for value in pairs) % 10 == 0
        account = iban(rng).replace(" ", "")
        assert int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
        digits = [10 if c == "X" else int(c) for c in id_cn(rng)]
        assert sum(w * d for w, d in zip(weights, digits, strict=True)) % 11 == 1
        assert spoil(rng, card) != card and spoil(rng, card)[:-1] == card[:-1]


def test_values_are_where_the_row_says() -> None:
    """Every kind is planted in both languages, inside a sentence; kinds with a check digit are spoilt as well."""
    texts = [(ZH * 20, "zh", "a"), (EN * 20, "en", "b")]
    rows = plant(texts, 4, 3)
    assert set(MAKERS) == set(FRAMES) == {row.kind for row in rows if row.kind}
    assert {row.near for row in rows if row.near} == set(WRONG_CHECK)
    for row in rows:
        base = ZH if row.language == "zh" else EN
        assert base.split("\n")[0] in row.text and 0 < row.start < row.end <= len(row.text)
        assert not row.text[row.start].isspace() and row.text[row.start : row.end].strip()
    assert plant(texts, 4, 3) == rows != plant(texts, 4, 4)


def test_near_misses_are_mined_once() -> None:
    """Numbers beside words of something else, each value once."""
    near = {
        (row.near, row.text[row.start : row.end]) for row in mine([(ZH, "zh", "a"), (EN * 2, "en", "b")], 10)
    }
    assert near == {
        ("ip", "3.12.7.40"),
        ("qq", "128812345"),
        ("mac", "11:22:33:44:55:16"),
        ("bank_card", "9787111213826"),
    }


@pytest.mark.parametrize("kind", ["id_cn", "email", "permit"])
def test_the_stage_finds_what_is_planted(kind: str) -> None:
    """The table has recall and precision of 1 for these kinds, and no near miss is taken."""
    rows = [
        row
        for row in plant([(ZH * 20, "zh", "a"), (EN * 20, "en", "b")], 12, 5)
        if kind in (row.kind, row.near)
    ]
    line = next(line.split() for line in score(rows, 3) if line.startswith(kind))
    assert line[1:4] == ["12", "1.000", "1.000"] and line[5] == "0"
