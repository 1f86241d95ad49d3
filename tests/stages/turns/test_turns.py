"""Turns of dialogues: what is found, what has no score, and the score against a second implementation."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data_files import read_yaml
from stages.languages import TURNS_PATH
from stages.turns import MIN_TURNS, measure
from stages.turns.order import MAX_TURNS, N_ORDERS, coherence, fit, fits_of_orders
from stages.turns.parse import find_turns
from tests.helpers.strategies import texts

HOTEL = [
    "Hello, I need a room in Boston from May 3 to May 5.",
    "Sure. I found two hotels in Boston, the Park and the Mill. Which part of town do you like?",
    "The Park sounds nice. How much is a room there?",
    "A room at the Park is 90 dollars a night. Shall I book it?",
    "Yes, please book it for two people. Is breakfast included?",
    "Breakfast is included, and for two people it is 95 dollars. The room is booked.",
    "Great, thank you for your help.",
    "You are welcome. Goodbye!",
]
PARK = [
    "你好，请问动物园几点开门？",
    "动物园早上八点开门，下午五点关门。您想哪天去？",
    "想星期六去，门票多少钱？",
    "星期六的门票是四十元，孩子半价。您带孩子吗？",
    "带一个孩子，那一共六十元，对吗？",
    "对，一共六十元，可以在网上买票。",
    "好的，谢谢您！",
    "不客气，祝您玩得开心，再见。",
]


def lines(turns: Sequence[str], names: Sequence[str] = ("A", "B"), colon: str = ": ") -> str:
    """A text with the turns of speakers who alternate."""
    return "\n".join(f"{names[i % len(names)]}{colon}{turn}" for i, turn in enumerate(turns))


ROLES = ("user", "assistant")
MARKED = {
    "chatml": "".join(f"<|im_start|>{ROLES[i % 2]}\n{t}<|im_end|>\n" for i, t in enumerate(HOTEL)),
    "llama3": "<|begin_of_text|>"
    + "".join(
        f"<|start_header_id|>{ROLES[i % 2]}<|end_header_id|>\n\n{t}<|eot_id|>" for i, t in enumerate(HOTEL)
    ),
    "zephyr": "".join(f"<|{ROLES[i % 2]}|>\n{t}</s>\n" for i, t in enumerate(HOTEL)),
    "llama2": "".join(
        f"<s>[INST] {a} [/INST] {b} </s>" for a, b in zip(HOTEL[::2], HOTEL[1::2], strict=True)
    ),
    "messages": json.dumps({"messages": [{"role": ROLES[i % 2], "content": t} for i, t in enumerate(HOTEL)]}),
    "sharegpt": json.dumps(
        {"conversations": [{"from": ("human", "gpt")[i % 2], "value": t} for i, t in enumerate(HOTEL)]}
    ),
    "list": json.dumps([{"text": t} for t in HOTEL]),
    "letters": lines(HOTEL),
    "wide colon": lines(HOTEL, ("甲", "乙"), "："),
    "bold": lines(HOTEL, ("**Host**", "**Guest**")),
    "numbered": lines(HOTEL, ("#Person1#", "#Person2#")),
    "headings": lines(HOTEL, ("### Human", "### Assistant"), ":\n"),
    "brackets": lines(HOTEL, ("【客服】", "【顾客】"), "："),
    "times": lines(HOTEL, ("Maria (00:12:09)", "Tom (00:13:10)"), ":\n"),
    "time first": lines(HOTEL, ("[10:02] maria", "[10:03] tom")),
    "names": "An interview\n\n" + lines(HOTEL, ("Maria Sanchez", "Dr. Lee")),
    "questions": "\n".join(f"{'QA'[i % 2]}{i // 2 + 1}: {t}" for i, t in enumerate(HOTEL)),
}


@pytest.mark.parametrize("name", MARKED)
def test_turns_are_found_however_they_are_marked(name: str) -> None:
    """Chat templates, JSON and lines give the same turns, and so the same score."""
    found = find_turns(MARKED[name])
    assert found is not None and list(found.turns) == HOTEL
    assert found.n_speakers == (0 if name == "list" else 2)
    assert measure(MARKED[name])["coherence"] == measure(lines(HOTEL))["coherence"]


def test_lines_of_a_turn_are_kept_together() -> None:
    """Lines without a speaker, and turns in a row by one, are one turn; a title is none, nor a system prompt."""
    found = find_turns("Lesson 1\nA: One?\nmore of it\nA: Again.\nB: Two. You?\nA: Three.\nB: Four, I think.")
    assert found is not None
    assert list(found.turns) == ["One?\nmore of it\nAgain.", "Two. You?", "Three.", "Four, I think."]
    found = find_turns("<|im_start|>system\nBe kind.<|im_end|>\n" + MARKED["chatml"])
    assert found is not None and list(found.turns) == HOTEL
    llama = MARKED["llama2"].replace("[INST] ", "[INST] <<SYS>>Be kind.<</SYS>> ", 1)
    assert (found := find_turns(llama)) is not None and list(found.turns) == HOTEL


NO_DIALOGUES = {
    "prose": "The ferry leaves twice a day.\nNobody lives on the island: the wind is too strong.",
    "records": "Name: Ann Lee\nMail: ann@example.org\n" + "Name: Bo Li\nMail: bo@example.org\n" * 4,
    "fields": "Author: Do you know Ann?\nScore: 3\n" * 6,
    "options": "A: one you like\nB: two you like\nC: three you like\nD: four you like\n" * 4,
    "terms": "特码大：五个球的号码大于或等于五。\n特码小：五个球的号码小于五。\n" * 5,
    "story": "子路曰：“你来吗？”\n孔子曰：“我不来。”\n" * 4,
    "comments": "".join(f"user_name{c}: I love you, do you?\n" for c in "abcdefghij") + "k: Me?\nk: You!\n",
    "code": 'url: "http://example.org"\nport: 80\nurl: "http://example.com"\nport: 81\n',
    "steps": "Step 1: Open your door, do you?\nStep 2: Close it, I say.\n" * 4,
    "json": '{"a": 1, "messages": [1, 2, 3, 4]}',
    "one speaker": "A: Are you there?\n" * 6,
}


@pytest.mark.parametrize("name", NO_DIALOGUES)
def test_other_texts_have_no_turns(name: str) -> None:
    """Records, options, definitions, stories and comments are no dialogues."""
    assert measure(NO_DIALOGUES[name]) == {"n_turns": 0, "n_speakers": 0, "no_score": "no_turns"}


def test_what_cannot_be_compared_has_a_reason() -> None:
    """Few turns, or turns that are all equal, have no score; from four turns there is one."""
    few = measure(lines(HOTEL[: MIN_TURNS - 1]))
    assert few == {"format": "lines", "n_turns": 3, "n_speakers": 2, "no_score": "few_turns"}
    assert measure(lines(["Yes?", "No."] * 4))["no_score"] == "equal_turns"
    assert "no_score" not in measure(lines(HOTEL[:MIN_TURNS]))


@pytest.mark.parametrize("turns", [HOTEL, PARK], ids=["en", "zh"])
def test_the_order_of_a_dialogue_fits_better_than_others(turns: list[str]) -> None:
    """The actual order exceeds nearly all; reversed and shuffled ones are far below."""
    assert coherence(turns) > 0.98
    assert coherence(turns[::-1]) < 0.8
    shuffled = [random.Random(seed).sample(turns, len(turns)) for seed in range(40)]
    assert 0.35 < math.fsum(map(coherence, shuffled)) / 40 < 0.65


KNOWN = {
    ("en", "five"): 0.979,
    ("en", "back"): 0.407,
    ("en", "mixed"): 0.713,
    ("zh", "five"): 0.996,
    ("zh", "back"): 0.085,
    ("zh", "mixed"): 0.573,
}


def test_known_values() -> None:
    """Scores that only a new version may change; the golden file has no dialogue."""
    orders = {"en": HOTEL, "zh": PARK}
    scores = {
        (language, name): measure(lines([turns[i] for i in order]))["coherence"]
        for language, turns in orders.items()
        for name, order in {
            "five": range(5),
            "back": range(7, -1, -1),
            "mixed": (3, 0, 6, 2, 5, 1, 7, 4),
        }.items()
    }
    assert scores == KNOWN


turn_lists = st.lists(st.one_of(texts(), st.sampled_from(HOTEL + PARK)), min_size=4, max_size=5)


@given(turn_lists)
def test_over_all_orders_the_mean_is_a_half(turns: list[str]) -> None:
    """A score is comparable at any length: random orders of any turns have mean 0.5."""
    scores = [coherence(list(order)) for order in itertools.permutations(turns)]
    assert math.isclose(math.fsum(scores) / len(scores), 0.5)


@given(turn_lists)
def test_the_score_equals_that_of_the_oracle(turns: list[str]) -> None:
    """Matrices and ranks equal sums over turns, written out."""
    assert coherence(turns) == oracle(turns)


def test_drawn_orders_represent_all() -> None:
    """Of eight turns 500 orders are compared; the score is within three standard errors of that of all 40,320."""
    turns = [HOTEL[i] for i in (1, 0, 2, 3, 6, 5, 4, 7)]
    assert len(fits_of_orders(fit(turns))) == N_ORDERS
    assert abs(coherence(turns) - oracle(turns)) < 3 * 0.5 / math.sqrt(N_ORDERS)


def test_turns_beyond_the_limit_are_counted_but_not_compared() -> None:
    """n_turns is that of the document, the score that of its first turns."""
    long = [f"{turn} {i}" for i, turn in enumerate(HOTEL * 8)]
    row = measure(lines(long))
    assert (row["n_turns"], row["coherence"]) == (64, measure(lines(long[:MAX_TURNS]))["coherence"])


@given(texts())
def test_any_text_is_measured(text: str) -> None:
    """Damaged and foreign text raises nothing, and has a score or a reason."""
    for marked in (
        text,
        lines([text] * 3 + HOTEL),
        f"<|im_start|>user\n{text}<|im_start|>x\n{text}",
        f"[INST]{text}[/INST]",
    ):
        row = measure(marked)
        assert ("coherence" in row) != ("no_score" in row)


HOSTILE = {
    "blanks": "A:" + " " * 300_000 + "x\nB: y\n",
    "marks": "A: " + "?" * 300_000 + "x\nB: y\nA: z?\nB: you\n",
    "labels": "A: you\nB: I?\n" * 60_000,
    "names": "".join(f"n{i:x}: you?\n" for i in range(60_000)),
    "open templates": "<|im_start|>user\n" * 40_000,
    "open headers": "<|start_header_id|>user<|end_header_id|>" * 20_000,
    "open roles": "<|user|>" * 60_000,
    "open instructions": "[INST]<<SYS>>" * 40_000 + "[/INST]",
    "closed instructions": "[/INST]" * 60_000,
    "deep json": "[" * 200_000,
    "cut json": MARKED["messages"][:-20],
    "long words": "A: " + "a'" * 200_000 + "\nB: you?\nA: I\nB: me?\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """Open marks, long runs and nesting take a fraction of a second."""
    start = time.process_time()
    measure(HOSTILE[name])
    assert time.process_time() - start < 5


def test_a_cut_dialogue_keeps_its_other_turns() -> None:
    """A template without its last mark, and lines cut in the middle, are read to their end."""
    for text in (MARKED["chatml"][:-40], MARKED["letters"][:-12], MARKED["zephyr"][:-10]):
        found = find_turns(text)
        assert found is not None and list(found.turns[:7]) == HOTEL[:7] and len(found.turns) in (7, 8)


LISTS = read_yaml(TURNS_PATH)


def oracle(turns: Sequence[str]) -> float:
    """The score by definition: the fit of each order of the turns as a sum over turns, and the rank of the first."""
    unit, n = 1_000_000, len(turns)
    lowered = [turn[:1000].lower().replace("’", "'") for turn in turns]
    asks = [asking(turn[-40:]) for turn in turns]
    leans = [has_word(t, LISTS["closers"]) - has_word(t, LISTS["openers"]) for t in lowered]
    replies = [begins(t, LISTS["replies"]) for t in lowered]
    shared = shared_terms(lowered)
    completes = [[completed(a, b) for b in lowered] for a in lowered]

    def fit_of(order: Sequence[int]) -> int:
        total = unit * (-14 * replies[order[0]] - 13 * asks[order[-1]])
        for position, i in enumerate(order):
            total += leans[i] * (2 * position - (n - 1)) * (13 * unit // (n - 1))
        for i, j in itertools.pairwise(order):
            total += 11 * shared[i][j] + unit * (-8 * asks[i] * asks[j] + 4 * completes[i][j])
        return total + sum(8 * shared[i][j] for i, j in zip(order, order[2:], strict=False))

    fits = [fit_of(order) for order in itertools.permutations(range(n))]
    return (sum(f < fits[0] for f in fits) + fits.count(fits[0]) / 2) / len(fits)


def shared_terms(turns: Sequence[str]) -> list[list[int]]:
    """Weights of the terms that two turns share, divided by their sizes, in standard deviations / sqrt(n)."""
    unit, n, terms = 1_000_000, len(turns), [terms_of(turn) for turn in turns]
    counts = Counter(term for turn in terms for term in turn)
    weights = {term: round(math.log((n + 1) / count) * unit) for term, count in counts.items()}
    sizes = [float(unit + sum(weights[term] for term in turn)) for turn in terms]
    values = [
        [
            0 if i == j else round(sum(weights[t] for t in a & b) / math.sqrt(sizes[i] * sizes[j]) * unit)
            for j, b in enumerate(terms)
        ]
        for i, a in enumerate(terms)
    ]
    pairs = [value for i, row in enumerate(values) for j, value in enumerate(row) if i != j]
    deviation = math.sqrt(max(sum(v * v for v in pairs) * len(pairs) - sum(pairs) ** 2, 0)) / len(pairs)
    scale = unit / (deviation * math.sqrt(n)) if deviation >= 1 else 0
    return [[round(value * scale) for value in row] for row in values]


def terms_of(turn: str) -> set[str]:
    """Words, and single characters and neighbours of scripts without blanks."""
    spaced = "".join(f" {c} " if is_wide(c) else c for c in turn)
    units = [
        unit
        for chunk in spaced.split()
        for unit in ([chunk] if is_wide(chunk) else re.findall(r"[^\W_]+(?:'[^\W_]+)?", chunk))
    ]
    return {*units, *(a + b for a, b in itertools.pairwise(units) if is_wide(a) and is_wide(b))}


def is_wide(text: str) -> bool:
    return len(text) == 1 and ("\u3040" <= text <= "\u30ff" or "\u3400" <= text <= "\u9fff")


def is_latin(word: str) -> bool:
    return word.isascii() and word[0].isalpha()


def has_word(turn: str, words: Sequence[str]) -> bool:
    """Words of Latin letters as runs of words, others anywhere."""
    tokens = re.findall(r"[a-z]+(?:'[a-z]+)*", turn)
    runs = {" ".join(tokens[i : i + k]) for k in (1, 2, 3) for i in range(len(tokens))}
    return any(w in runs if is_latin(w) else w in turn for w in words)


def begins(turn: str, words: Sequence[str]) -> bool:
    """Whether one of the words is at the beginning, marks left out."""
    first = next((i for i, c in enumerate(turn) if c.isalnum() or c == "_"), len(turn))
    rest = f"{turn[first:]} "
    return any(
        rest.startswith(w) and not (is_latin(w) and (rest[len(w)].isalnum() or rest[len(w)] == "_"))
        for w in words
    )


def asking(end: str) -> bool:
    """Whether a question mark, or a word that asks, is followed by nothing but marks."""
    last = max((i for i, c in enumerate(end) if c.isalnum() or c == "_"), default=-1)
    return end[last : last + 1] in LISTS["asking_ends"] or bool({"?", "？"} & set(end[last + 1 :]))


def completed(first: str, second: str) -> int:
    """Kinds of pairs of which the first turn has the one and the second the other."""
    return sum(
        has_word(first, p["first"]) and (has_word(second, p["next"]) or begins(second, p.get("begins", ())))
        for p in LISTS["pairs"]
    )
