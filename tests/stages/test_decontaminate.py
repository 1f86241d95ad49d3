"""Benchmark items in documents: which copies are found, their spans and coverage, and which texts are no copies."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import opencc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.recipe import step_recipe
from pipeline.stage import Annotate
from stages import decontaminate
from stages.choices import question_end
from stages.decontaminate import STAGE, Benchmarks, Config
from stages.kernels.text.tables import load_tables
from tests.helpers.golden import DOCUMENTS
from tests.helpers.strategies import texts

QUESTIONS = {
    "zh": (
        "果园里有苹果树和梨树一共三百六十棵，其中苹果树的棵数是梨树的两倍还多三十棵。园主打算在春天再种一批桃树，使桃树"
        "的棵数等于苹果树与梨树棵数之差的一半，请问园主需要准备多少棵桃树苗？"
    ),
    "en": (
        "A bakery sells muffins in boxes of six and croissants in bags of four. On Saturday morning Elena bought the "
        "same number of muffins and croissants for a school breakfast, and she carried home fewer than forty pieces "
        "altogether. What is the largest number of boxes and bags that she could have bought?"
    ),
    "mixed": (
        "用 Python 写一个函数 merge_sorted，把两个已经排序的 list 合并成一个新的 sorted list，"
        "不允许调用内置的 sort 函数。"
    ),
}
CLEAN = [
    *DOCUMENTS,
    "果园里有很多苹果树和梨树，春天开花的时候很好看。",
    "The bakery sells muffins and croissants.",
]


def write(folder: Path, items: Sequence[tuple[str, Any, str | None]], name: str = "q.parquet") -> str:
    """A benchmark file of (benchmark, id, question); Any: ids are texts or numbers."""
    benchmark, ids, questions = (list(column) for column in zip(*items, strict=True))
    path = str(folder / name)
    pq.write_table(pa.table({"benchmark": benchmark, "id": ids, "question": questions}), path)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the three questions."""
    items = [(f"bench-{name}", name, question) for name, question in QUESTIONS.items()]
    return write(tmp_path_factory.mktemp("items"), items)


@pytest.fixture(scope="module")
def annotate(path: str) -> Annotate:
    """The stage with these questions and default settings."""
    return STAGE.load(Config(benchmarks=(path,)))


def find(annotate: Annotate, *docs: str | None) -> list[list[dict[str, Any]]]:
    """The hits of these documents; Any: values of a struct."""
    return annotate(pa.table({"text": pa.array(docs, pa.large_string())}))["hits"].to_pylist()


def around(text: str) -> tuple[str, int]:
    """A document with a text in the middle, and where it begins."""
    head, tail = DOCUMENTS[0] + "\n", "\n" + DOCUMENTS[3]
    return head + text + tail, len(head)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_verbatim_copy_is_found(annotate: Annotate, name: str) -> None:
    """A question inside a document is one hit over its units with full coverage."""
    question = QUESTIONS[name]
    text, start = around(question)
    (hits,) = find(annotate, text)
    end = start + len(question.rstrip("。？?."))
    assert hits == [
        {
            "benchmark": f"bench-{name}", "item": name, "start": start, "end": end, "coverage": 1.0, "weighted": 1.0,
            "role": "question", "answer": None, "passage": None,
        }
    ]  # fmt: skip


def wrap(text: str, width: int) -> str:
    """Break a text into quoted lines."""
    return "\n> ".join(text[i : i + width] for i in range(0, len(text), width) if text[i : i + width])


def edit(text: str, share: float, seed: int) -> str:
    """Replace this share of words or ideographs, drawn at random."""
    spaced = " " in text and text.isascii()
    parts = text.split(" ") if spaced else list(text)
    for i in random.Random(seed).sample(range(len(parts)), round(len(parts) * share)):
        parts[i] = "something" if spaced else "某"
    return (" " if spaced else "").join(parts)


CHANGES = {
    "case": str.upper,
    "punctuation": lambda text: (
        text.replace("，", " , ").replace("。", ".").replace(",", " —").replace("_", "\\_")
    ),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "line breaks": lambda text: text.replace("，", "，\n").replace(", ", ",\n> "),
    "first 70 %": lambda text: text[: len(text) * 7 // 10],
    "last 70 %": lambda text: text[len(text) * 3 // 10 :],
    "markdown": lambda text: "**" + text.replace("，", "**，\n- **") + "**",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_changed_copy_is_found(annotate: Annotate, name: str, change: str) -> None:
    """Case, width, punctuation, line breaks, mark-up and a missing third do not hide a question."""
    changed = CHANGES[change](QUESTIONS[name])
    text, start = around(changed)
    (hits,) = find(annotate, text)
    assert [hit["item"] for hit in hits] == [name]
    assert start <= hits[0]["start"] < start + 12 and hits[0]["end"] <= start + len(changed)
    assert hits[0]["coverage"] >= 0.6


def test_wrapped_chinese_is_found(annotate: Annotate) -> None:
    """A line break between two ideographs is nothing."""
    (hits,) = find(annotate, around(wrap(QUESTIONS["zh"], 9))[0])
    assert [hit["coverage"] for hit in hits] == [1.0]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["zh", "en"])
def test_an_edited_copy_is_found(annotate: Annotate, name: str, seed: int) -> None:
    """A copy in which every tenth word is another one is found, with less than full coverage."""
    (hits,) = find(annotate, around(edit(QUESTIONS[name], 0.1, seed))[0])
    assert [hit["item"] for hit in hits] == [name]
    assert 0.5 <= hits[0]["coverage"] < 1


@pytest.mark.parametrize("name", ["zh", "en"])
def test_a_rewritten_copy_is_not_found(annotate: Annotate, name: str) -> None:
    """With every third word changed it is another text."""
    assert find(annotate, edit(QUESTIONS[name], 0.34, 1)) == [[]]


def test_traditional_copies_of_simplified_questions_are_found(annotate: Annotate, tmp_path: Path) -> None:
    """A question and its copy may differ in script either way."""
    traditional = opencc.OpenCC("s2t").convert(QUESTIONS["zh"])
    assert traditional != QUESTIONS["zh"]
    (hits,) = find(annotate, around(traditional)[0])
    assert [(hit["item"], hit["coverage"]) for hit in hits] == [("zh", 1.0)]
    reverse = STAGE.load(Config(benchmarks=(write(tmp_path, [("b", "hant", traditional)]),)))
    assert [hit["item"] for hit in find(reverse, QUESTIONS["zh"])[0]] == ["hant"]


def test_hits_are_counted_for_rules(annotate: Annotate) -> None:
    """n_hits counts them, coverage is the largest; a document without any has 0 and 0."""
    texts = [around(QUESTIONS["zh"])[0], "一篇什么题目也没有的短文，讲的是春天的天气。", None]
    table = annotate(pa.table({"text": pa.array(texts, pa.large_string())}))
    assert table["n_hits"].to_pylist() == [1, 0, 0]
    assert table["coverage"].to_pylist() == [1.0, 0.0, 0.0]


def test_clean_documents_have_no_hits(annotate: Annotate) -> None:
    """Documents on the same subjects, and fragments too short to identify an item, are no copies."""
    parts = [question[:14] for question in QUESTIONS.values()]
    assert find(annotate, *CLEAN, *parts, None, "") == [[]] * (len(CLEAN) + len(parts) + 2)


def test_scattered_parts_are_no_copy(annotate: Annotate) -> None:
    """Phrases of a question count together only where they occur close together."""
    question = QUESTIONS["zh"]
    parts = [question[i : i + 9] for i in range(0, len(question) - 9, 11)]
    assert find(annotate, ("。" + DOCUMENTS[2] * 3).join(parts)) == [[]]
    assert len(find(annotate, "某".join(parts))[0]) == 1


def test_every_copy_in_a_document_is_found(annotate: Annotate) -> None:
    """Two questions, one of them three times and twice without a gap, are four hits in their order."""
    zh, en = QUESTIONS["zh"], QUESTIONS["en"]
    text = zh + zh + "\n" + en + "\n" + DOCUMENTS[0] + zh
    (hits,) = find(annotate, text)
    assert [(hit["item"], hit["start"]) for hit in hits] == [
        ("zh", 0), ("zh", len(zh)), ("en", 2 * len(zh) + 1), ("zh", len(text) - len(zh)),
    ]  # fmt: skip
    assert {hit["coverage"] for hit in hits} == {1.0}


def test_a_shared_text_names_every_item(tmp_path: Path) -> None:
    """Copies of one question in several benchmarks are all named; a row that occurs twice is one item."""
    zh = QUESTIONS["zh"]
    first = write(tmp_path, [("b", "2", zh), ("a", "1", zh + "！"), ("b", "2", zh)])
    second = write(tmp_path, [("c", 7, zh.replace("，", ","))], "more.parquet")
    (hits,) = find(STAGE.load(Config(benchmarks=(first, second))), zh)
    assert [(hit["benchmark"], hit["item"]) for hit in hits] == [("a", "1"), ("b", "2"), ("c", "7")]


def test_the_form_of_a_benchmark_is_no_hit(tmp_path: Path) -> None:
    """What most items of a benchmark share does not count, in hits or in coverage, and costs nothing."""
    form = "Answer the following multiple choice question and explain each step of your reasoning in detail: "
    topics = np.random.default_rng(1).permutation(2000)
    items = [
        ("b", str(i), form + f"why is topic {topics[i]} of chapter {i} harder than {i + 7}?")
        for i in range(100)
    ]
    stage = Benchmarks(Config(benchmarks=(write(tmp_path, items),)))
    assert find(stage, form, form * 50) == [[], []]
    assert [hit["item"] for hit in find(stage, items[3][2])[0]] == ["3"]
    assert [hit["coverage"] for hit in find(stage, items[3][2][len(form) - 25 :])[0]] == [1.0]


def test_counting_is_no_hit(tmp_path: Path) -> None:
    """Numbers alone never make a copy: everybody counts."""
    items = [
        ("b", "1", "Find the sum of the list 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18.")
    ]
    stage = STAGE.load(Config(benchmarks=(write(tmp_path, items),)))
    assert find(stage, "range: " + ", ".join(map(str, range(1, 40)))) == [[]]
    assert len(find(stage, items[0][2])[0]) == 1


EQUATION = r"$\frac{x^{2}}{a^{2}}-\frac{y^{2}}{b^{2}}=1(a>0, b>0)$"
CURVE = f"已知双曲线 {EQUATION} 的离心率为 2, 求渐近线的方程。"


@pytest.mark.parametrize(
    ("text", "is_hit"),
    [
        (CURVE, True),
        (CURVE.replace("为 2", "为 7"), True),
        (f"设双曲线 {EQUATION} 的左焦点为 $F$, 过点 $F$ 作直线与它相交于两点。", False),
    ],
)
def test_a_common_equation_is_no_hit(tmp_path: Path, text: str, is_hit: bool) -> None:
    """Of an item that is mostly formulas the words must occur too; other numbers do not matter."""
    annotate = STAGE.load(Config(benchmarks=(write(tmp_path, [("curves", "1", CURVE)]),)))
    assert (
        bool(annotate(pa.table({"text": pa.array([text], pa.large_string())}))["n_hits"][0].as_py()) == is_hit
    )


def test_short_items_must_be_whole(tmp_path: Path) -> None:
    """An item shorter than a window or than min_units is found only whole; one below min_item_bytes never."""
    items = [
        ("b", "en", "What is the capital of France?"),
        ("b", "zh", "中国的首都是哪座城市"),
        ("b", "long words", "Photosynthesis notwithstanding chlorophyll"),
        ("b", "generic", "Which is true?"),
        ("b", "generic zh", "下列正确的是"),
        ("b", "none", "?!"),
        ("b", "null", None),
    ]
    stage = Benchmarks(Config(benchmarks=(write(tmp_path, items),)))
    assert stage.n_skipped == 4
    for i, item in enumerate(("en", "zh", "long words")):
        question = str(items[i][2])
        assert [hit["item"] for hit in find(stage, f"A. {question} B.")[0]] == [item]
        assert find(stage, question[: len(question) * 2 // 3], question[len(question) // 3 :]) == [[], []]
    assert find(stage, "Which is true? 下列正确的是", "?!") == [[], []]


WAVES = (
    "When a wave moves from shallow water into deep water and keeps its direction of travel, which of these is true?",
    "the frequency decreases, the wavelength increases, and the speed increases",
    "the frequency does not change, the wavelength increases, and the speed increases",
    "the frequency does not change, the wavelength decreases, and the speed decreases",
    "the frequency does not change, the wavelength increases, and the speed decreases",
)
PERMIT = (
    "关于申请采伐许可证的程序，下列哪些说法是正确的？",
    "采伐申请应当采用格式文本，并写明林地的位置与面积",
    "申请书格式文本中不得包含与采伐没有直接关系的内容",
    "发证机关提供申请书格式文本，可以收取合理的成本费用",
    "申请人可以委托代理人提出采伐申请，但不得转让许可证",
)
PERIOD = (
    "采伐许可证的持有人在有效期届满之前申请延期，且林地的界址与面积没有变更的，发证机关应当在多长时间内予以答复？",
    "五日", "十日", "十五日", "三十日",
)  # fmt: skip
STATUTE = (
    "第九条 采伐申请应当采用格式文本，并写明林地的位置与面积。\n申请书格式文本中不得包含与采伐没有直接关系的内容。\n"
    "第十条 申请人可以委托代理人提出采伐申请，但不得转让许可证。\n第十一条 持有人在有效期届满之前申请延期，"
    "且林地的界址与面积没有变更的，发证机关应当在十五日内书面答复，并说明理由。"
)
TEXTBOOK = (
    "In shallow water the frequency does not change, the wavelength decreases, and the speed decreases. Beyond the bar "
    "the wavelength increases, and the speed increases; behind it the wavelength decreases, and the speed decreases."
)


def lettered(item: Sequence[str], form: str = "({})") -> str:
    """A question and its choices with letters."""
    return "\n".join([item[0], *(f"{form.format('ABCD'[i])} {choice}" for i, choice in enumerate(item[1:]))])


FORMS = {
    "(A)": lettered,
    "A.": lambda item: lettered(item, "{}."),
    "A、": lambda item: lettered(item, "{}、"),
    "lines": "\n".join,
    "heading": lambda item: "\n".join([item[0], "Options:", *(f"- {choice}" for choice in item[1:])]),
}


@pytest.mark.parametrize("form", FORMS)
def test_choices_alone_are_their_source(tmp_path: Path, form: str) -> None:
    """A statute or textbook that choices quote, or whose words a question takes, is clean; the items are found."""
    items = [FORMS[form](item) for item in (WAVES, PERMIT, PERIOD)]
    stage = STAGE.load(Config(benchmarks=(write(tmp_path, [("b", str(i), q) for i, q in enumerate(items)]),)))
    assert find(stage, STATUTE, TEXTBOOK, *("\n".join(item[1:]) for item in (WAVES, PERMIT))) == [[]] * 4
    for i, item in enumerate(items):
        for text in (item, item.upper(), item[: len(item) * 7 // 10], item.replace("，", " ")):
            assert [hit["item"] for hit in find(stage, around(text)[0])[0]] == [str(i)], text


@pytest.mark.parametrize("form", FORMS)
def test_a_question_without_its_choices_is_found(tmp_path: Path, form: str) -> None:
    """The question alone, with other choices or in running text, is one hit on the question."""
    items = [FORMS[form](item) for item in (WAVES, PERMIT, PERIOD)]
    stage = STAGE.load(Config(benchmarks=(write(tmp_path, [("b", str(i), q) for i, q in enumerate(items)]),)))
    for i, item in enumerate((WAVES, PERMIT, PERIOD)):
        for text in (item[0], f"{item[0]}\nA. 都不对\nB. 都对", edit(item[0], 0.05, 3)):
            text, start = around(text)
            (hits,) = find(stage, text)
            assert [hit["item"] for hit in hits] == [str(i)]
            assert abs(hits[0]["start"] - start) < 12


def test_choices_in_another_order_are_the_same_item(tmp_path: Path) -> None:
    """Shuffled choices, other letters and none do not hide an item."""
    stage = STAGE.load(Config(benchmarks=(write(tmp_path, [("b", "0", lettered(PERMIT))]),)))
    for text in (
        lettered([PERMIT[0], *PERMIT[:0:-1]]),
        lettered(PERMIT, "{}、"),
        "\n".join(PERMIT),
        PERMIT[0] + "".join(f"①{choice}；" for choice in PERMIT[1:]),
    ):
        assert [hit["item"] for hit in find(stage, around(text)[0])[0]] == ["0"]


def test_a_question_that_asks_nothing_of_its_own_is_no_item(tmp_path: Path) -> None:
    """A question that many items share is found with choices only."""
    form = "Which of the following statements about the history of the town of Lowell is not true?"
    items = [("b", str(i), lettered([form, *(f"{w} {i} was built in the year {1800 + i}" for w in ("Mill", "Dam"))]))
             for i in range(9)]  # fmt: skip
    stage = STAGE.load(Config(benchmarks=(write(tmp_path, items),)))
    assert find(stage, form) == [[]]


@pytest.mark.parametrize(
    ("item", "question"),
    [
        ("What is it?\n(A) one\n(B) two", "What is it?\n"),
        ("What is it? A. one B. two C. three", "What is it? "),
        ("这是什么？A．一 B．二", "这是什么？"),
        ("这是什么？\nＡ、一\nＢ、二", "这是什么？\n"),
        ("Pick one:\na) one\nb) two", "Pick one:\n"),
        ("Which letter comes after A. in a list?\n(A) b\n(B) c", "Which letter comes after A. in a list?\n"),
        ("It is\none\ntwo\nthree\nfour", "It is"),
        ("Is it so?\nOptions:\n- yes\n- no", "Is it so?\n"),
        ("A robe takes 2 bolts. How many in total?", None),
        ("Vitamin A. is found in carrots. Why?", None),
        ("(A) one\n(B) two", None),
        ("one\ntwo\nthree\nfour", None),
        ("", None),
    ],
)
def test_where_choices_begin(item: str, question: str | None) -> None:
    """Letters in any form, a heading, or four last lines; nothing else is a choice."""
    end = question_end(item)
    assert (None if end is None else item[:end]) == question


def test_settings_change_what_counts(path: str) -> None:
    """A larger share or window refuses a copy that the default finds; a smaller share finds half a question."""
    edited, half = edit(QUESTIONS["en"], 0.1, 2), QUESTIONS["en"][: len(QUESTIONS["en"]) * 2 // 5]
    assert find(STAGE.load(Config(benchmarks=(path,), min_coverage=0.95)), edited) == [[]]
    assert find(STAGE.load(Config(benchmarks=(path,), window=25)), edited) == [[]]
    assert find(STAGE.load(Config(benchmarks=(path,))), half) == [[]]
    assert len(find(STAGE.load(Config(benchmarks=(path,), min_coverage=0.3)), half)[0]) == 1


def test_the_files_enter_the_recipe(tmp_path: Path, path: str) -> None:
    """The recipe depends on the content of the files, not on their paths."""
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(Path(path).read_bytes())
    other = write(tmp_path, [("b", "1", "好")])
    recipes = [step_recipe(STAGE, Config(benchmarks=(p,)), ()) for p in (path, str(copy), other)]
    assert recipes[0] == recipes[1] != recipes[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 1}, "window is 1; expected 2 or more"),
        ({"min_coverage": 0.0}, "min_coverage is 0.0"),
        ({"min_coverage": 1.5}, "min_coverage is 1.5"),
        ({"min_question": 0.0}, "min_question is 0.0"),
        ({"max_shared": 0}, "max_shared is 0"),
        ({"min_weighted": -0.1}, "min_weighted is -0.1; expected 0 to 1"),
        ({"min_information": -1.0}, "min_information is -1.0"),
        ({"registry": "r.yaml"}, "expected a list"),
        ({"benchmarks": "q.parquet"}, "expected a list"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """A setting out of range is named before any work."""
    with pytest.raises(ConfigError, match=message):
        Config(**settings)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    """A missing file, one that is no Parquet and one without the columns are named."""
    text = tmp_path / "q.jsonl"
    text.write_text("{}")
    table = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"benchmark": ["b"], "question": ["q"]}), table)
    for name, message in ((str(tmp_path / "no"), "no"), (str(text), "q.jsonl"), (table, "no column 'id'")):
        with pytest.raises(ConfigError, match=message):
            STAGE.load(Config(benchmarks=(name,)))


def units_of(text: str) -> list[str]:
    """Units in match text, told apart by the tables: letters and digits run together, ideographs stand alone."""
    tables, units, glued = load_tables(), [], False
    for char in text:
        kind, folded = tables.classes[ord(char)], chr(tables.fold[ord(char)])
        if kind >= 6:
            if not (glued and kind < 10):
                units.append("")
            units[-1] += folded
        glued = 6 <= kind < 10
    return units


def oracle(text: str, question: str, config: Config) -> float:
    """Coverage of the best stretch by brute force: every stretch of twice the question's units."""
    item, doc, n = units_of(question), units_of(text), config.window
    grams: dict[tuple[str, ...], list[int]] = {}
    for i in range(len(item) - n + 1):
        if not all(unit[0].isdigit() for unit in item[i : i + n]):
            grams.setdefault(tuple(item[i : i + n]), []).append(i)
    telling = {u for places in grams.values() for i in places for u in range(i, i + n)}
    best = 0
    for start in range(len(doc)):
        covered: set[int] = set()
        for i in range(start, min(len(doc), start + 2 * len(item)) - n + 1):
            for place in grams.get(tuple(doc[i : i + n]), ()):
                covered.update(range(place, place + n))
        best = max(best, len(covered))
    enough = best >= max(config.min_coverage * len(telling), min(len(telling), config.min_units))
    return round(best / len(telling), 3) if telling and enough else 0.0


@given(st.data())
def test_coverage_equals_brute_force(annotate: Annotate, path: str, data: st.DataObject) -> None:
    """The best coverage of a question in any jumble of its parts equals that of brute force over all stretches."""
    question = QUESTIONS[data.draw(st.sampled_from(["zh", "en"]))].replace("'", "")
    pieces = st.tuples(st.integers(0, 120), st.integers(8, 150)).map(lambda p: question[p[0] : p[0] + p[1]])
    parts = data.draw(
        st.lists(pieces | st.sampled_from(["某", " x ", "苹果树", "1 2"]), min_size=1, max_size=5)
    )
    text = data.draw(st.sampled_from(["", " ", "。"])).join(parts)
    name = "zh" if question[0] == "果" else "en"
    found = [hit["coverage"] for hit in find(annotate, text)[0] if hit["item"] == name]
    assert max(found, default=0.0) == pytest.approx(
        oracle(text, question, Config(benchmarks=(path,))), abs=1e-6
    )


DOCS = st.lists(
    st.builds(
        lambda parts: "\n".join(parts),
        st.lists(st.sampled_from(list(QUESTIONS.values())) | texts(), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=5,
)


@given(DOCS, st.integers(0, 5))
def test_batch_boundaries_do_not_matter(annotate: Annotate, docs: list[str], cut: int) -> None:
    """Annotating two parts gives the same rows as annotating the whole."""
    assert find(annotate, *docs[:cut]) + find(annotate, *docs[cut:]) == find(annotate, *docs)


@given(DOCS)
def test_hits_lie_inside_in_order(annotate: Annotate, docs: list[str]) -> None:
    """Hits are sorted, inside their text, and have a coverage above the threshold."""
    for text, hits in zip(docs, find(annotate, *docs), strict=True):
        assert [hit["start"] for hit in hits] == sorted(hit["start"] for hit in hits)
        assert all(0 <= hit["start"] < hit["end"] <= len(text) for hit in hits)
        assert all(0.5 <= hit["coverage"] <= 1 for hit in hits)


def test_a_dump_of_a_benchmark_takes_linear_time(annotate: Annotate) -> None:
    """A question a thousand times over gives a thousand hits, at once."""
    (hits,) = find(annotate, "\n".join([QUESTIONS["en"]] * 1000))
    assert len(hits) == 1000


def test_no_benchmarks_no_hits() -> None:
    """Without files every document has an empty list, a missing one too."""
    annotate = STAGE.load(Config())
    assert find(annotate, *QUESTIONS.values(), None) == [[]] * 4
    assert annotate(pa.table({"text": pa.array([], pa.large_string())})).schema == decontaminate.SCHEMA
