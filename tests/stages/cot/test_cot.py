"""Worked solutions: which conventions are recognised, which texts are left alone, their spans and their rendering."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.schema import SPANS
from pipeline.stage import DERIVED
from stages import cot
from stages.cot import STAGE, Config
from stages.cot import documents as documents_module
from stages.cot.documents import ROWS, make_documents, make_rows
from stages.cot.patterns import load_patterns
from stages.cot.render import join, render
from stages.cot.segment import to_number
from stages.cot.support import plain_number, support
from stages.cot.template import KINDS, REASONS
from tests.helpers.paths import DEV_DATA
from tests.helpers.strategies import texts

FIND = STAGE.load(Config())


def rows(*docs: str | None, label: str = "und", config: Config | None = None) -> list[dict[str, Any]]:
    """What the stage writes for these documents."""
    table = pa.table({"text": pa.array(docs, pa.large_string()), "language.label": [label] * len(docs)})
    return (STAGE.load(config) if config else FIND)(table).to_pylist()


def bracket(text: str, template: dict[str, Any]) -> str:
    """The text with brackets around the roles named in a template, as in SOLVED."""
    question, answer, steps = template["question"], template["answer"], template["steps"]
    opens = [(question, "⟪⟫"), *((step, "⟨⟩") for step in steps), (answer, "⟦⟧")]
    places: list[tuple[int, float, str]] = [
        (span["start"], 2 + n, marks[0]) for n, (span, marks) in enumerate(opens)
    ]
    places += [(span["end"], 1 - n / 100, marks[1]) for n, (span, marks) in enumerate(opens)]
    for place, _, mark in sorted(places, reverse=True):
        text = text[:place] + mark + text[place:]
    return text


def plain(text: str) -> str:
    """A text without those brackets."""
    return re.sub("[⟪⟫⟨⟩⟦⟧]", "", text)


def solve(text: str) -> tuple[str, list[str]]:
    """The text with brackets around its only template, and the kinds."""
    (row,) = rows(text)
    (template,) = row["templates"]
    return bracket(text, template), template["kinds"]


SOLVED = {
    "解: answer equation-lines marker": "例1 ⟪已知x+3=5，求x的值。⟫\n解：⟨因为x+3=5，⟩\n⟨所以x=5-3=2。"
    "⟩\n答：⟦x=2。⟧",
    "解-half-width: answer marker": "题目: ⟪小红有3盒糖, 每盒4颗, 又买了5颗, 共有多少颗?⟫\n"
    "解: ⟨3×4=12(颗)⟩\n⟨12+5=17(颗)⟩\n答案: ⟦17颗⟧",
    "full-width: answer marker": "问题：⟪小明有５个苹果，又买了３个，一共有几个？⟫\n"
    "解答：⟨５＋３＝８（个）。⟩\n⟨因为没有吃掉，所以一共８个。⟩\n答：⟦８个。⟧",
    "unmarked-answer: marker": "例2．⟪小红有3盒糖，每盒4颗，又买了5颗，共有多少颗？⟫\n"
    "解：⟨3×4=12（颗）⟩\n⟨12+5=⟦17（颗）⟧⟩",
    "brackets: answer marker": "【题目】⟪甲有3个梨，乙有4个梨，一共几个？⟫【答案】⟦7个⟧【解析】"
    "⟨甲有3个，乙有4个。⟩⟨因为要求总数，用加法：3+4=7。⟩",
    "choice: answer marker": "练习3 ⟪下列哪个数是质数？\nA. 4 B. 7 C. 9 D. 10⟫\n"
    "解析：⟨4、9、10都能被别的数整除，不是质数；⟩⟨7只能被1和7整除，⟩⟨故选⟦B⟧。⟩",
    "steps: equation-lines numbered": "题目：⟪12个苹果分给4个同学，每人几个？⟫\n⟨第一步，"
    "一共有12个苹果。⟩\n⟨第二步，12÷4=3。⟩\n⟨第三步，检查：3×4=12。⟩\n⟦所以，每人3个。⟧",
    "steps-by-number: answer numbered": "问题：⟪妈妈买了5千克苹果，每千克6元，付了50元，"
    "应找回多少元？⟫\n⟨步骤1：先算价钱：5×6=30元⟩\n⟨步骤2：再算找回：50-30=20元⟩\n结论：⟦应找回20元⟧",
    "discourse: ": "问题：⟪苹果有5个，又买了3个，一共有几个？⟫⟨因为原来有5个，又买了3个，所以用加法。⟩"
    "⟨5+3=8。⟩⟦因此一共有8个。⟧",
    "one-sentence: equation-lines": "问：⟪一个数的3倍是12，这个数是多少？⟫\n答：⟨设这个数是x，⟩⟨则3x=12，⟩"
    "⟨解得x=4。⟩⟦所以这个数是4。⟧",
    "Hant-proof: marker": "題目：⟪已知三角形兩邊相等，求證兩底角相等。⟫\n"
    "證明：⟨設等腰三角形ABC中AB=AC。⟩\n⟨作頂角平分線AD。⟩\n⟨因為AB=AC，AD公共，所以兩三角形全等。⟩\n"
    "⟦故∠B=∠C。⟧證畢。",
    "Hant-answer: answer marker": "問題：⟪小明有12元，每枝筆3元，可以買幾枝？⟫\n解答：⟨每枝3元，"
    "總共12元。⟩\n⟨12÷3=4，所以可以買4枝。⟩\n答案：⟦4枝⟧",
    "zh-tags: tags": "⟪十以内有几个质数？⟫\n<思考>\n⟨逐个看：2、3、5、7。⟩\n⟨因为9=3×3，所以9不是质数。"
    "⟩\n</思考>\n⟦十以内有4个质数。⟧",
    "zh-unmarked-question: marker": "⟪我们来看鸡兔同笼：共8个头，26条腿，兔有几只？⟫\n\n"
    "解：⟨假设全是鸡，有8×2=16条腿。⟩\n⟨实际多26-16=10条腿。⟩\n⟦所以兔有10÷2=5只。⟧",
    "Solution: boxed marker": "## Problem 3\n\n⟪Find all x with x^2 = 9.⟫\n\n### Solution\n\n"
    "⟨Take roots of both sides.⟩ ⟨Since x^2 = 9, we have x = 3 or x = -3.⟩ "
    "⟨Therefore $\\boxed{⟦x=\\pm 3⟧}$.⟩\n\n## Next section\n\nNothing here.",
    "Step: answer numbered": "Question: ⟪A train travels 60 km in 40 minutes. How fast is it?⟫\n"
    "⟨Step 1: 40 minutes is 2/3 of an hour.⟩\n⟨Step 2: 60 / (2/3) = 90.⟩\nTherefore, "
    "the answer is ⟦90 km/h.⟧",
    "numbered: answer marker numbered": "Example 4: ⟪What is the sum of the angles of a pentagon?⟫\n"
    "**Solution.** ⟨We cut it into triangles.⟩\n⟨1. From one vertex we get 3 triangles.⟩\n⟨2. "
    "Each has 180 degrees, hence 3 * 180 = 540.⟩\n\nAnswer: ⟦540 degrees⟧",
    "step-by-step: answer": "Q: ⟪Tom has 5 apples and buys 3 more. "
    "How many does he have?⟫ A: Let's think step by step. ⟨Tom starts with 5 apples.⟩ ⟨He buys 3 more, "
    "so he has 5 + 3 = 8.⟩ The answer is ⟦8.⟧",
    "GSM8K: answer equation-lines": "⟪Ann sold 48 clips in April and half as many in May. "
    "How many clips did she sell altogether?⟫\n⟨In May she sold 48/2 = <<48/2=24>>24 clips.⟩\n"
    "⟨Altogether she sold 48+24 = <<48+24=72>>72 clips.⟩\n#### ⟦72⟧",
    "Proof: marker": "Theorem 2. ⟪The sum of two even integers is even.⟫\nProof. "
    "⟨Let a and b be even integers.⟩ ⟨Then a = 2m and b = 2n for some integers m and n.⟩ "
    "⟦Hence a + b = 2(m + n) is even.⟧ QED",
    "think: tags": "⟪How many primes are below 10?⟫\n<think>\n⟨List the numbers: 2, 3, 5, 7.⟩\n"
    "⟨Since 9 = 3*3 it is not prime.⟩\n</think>\n⟦There are 4 primes below 10.⟧\n\nMore text.",
    "First-Then: equation-lines": "Problem: ⟪A shirt costs $20 and is reduced by 25%. "
    "What does it cost now?⟫ ⟨First, 25% of 20 is 20 * 0.25 = 5.⟩ "
    "⟨Then we subtract it from the price: 20 - 5 = 15.⟩ ⟦Therefore it costs $15 now.⟧",
}
"""Convention: kinds -> text with ⟪⟫ around the question, ⟨⟩ around each step and ⟦⟧ around the answer."""

SOLUTION = plain(next(iter(SOLVED.values())))

LEFT_ALONE = {
    "zh-install": "安装步骤\n第一步，下载安装包。\n第二步，双击运行。\n第三步，重启电脑。\n完成。",
    "zh-faq": "问题：如何安装这个软件？\n解答：\n1. 下载安装包。\n2. 双击运行。\n3. 重启电脑。",
    "zh-recipe": "西红柿炒蛋\n1. 鸡蛋3个打散。\n2. 西红柿2个切块。\n3. 因为油会溅，所以锅要擦干。\n4. "
    "翻炒2分钟出锅。",
    "zh-heading": "## 分析\n\n本季度收入增长，因为出口增加。\n所以全年目标不变。\n\n## 结论\n\n继续观察。",
    "zh-news": "市政府昨天发布了解答市民疑问的手册。因为天气原因，活动推迟。所以请大家留意通知。",
    "zh-argument": "为什么要读书？因为读书使人明理。所以我们应当多读书。",
    "en-install": "How to install\n\nStep 1: Download the file.\nStep 2: Run setup.exe.\nStep 3: Restart.",
    "en-faq": "Q: How do I install it?\nA: 1. Download the file.\n2. Run it.\n3. "
    "Because of caching, restart.",
    "en-list": "Getting started\n\n1. Set x = 5 in the configuration.\n2. "
    "Restart the server, so it reads the file.\n3. Check the log.",
    "en-heading": "## Explanation\n\nThe cache is cold, so the first request is slow.\n\n## Solution\n\n"
    "Warm the cache.",
    "en-code": "Question: what does it do?\n```\nSolution:\nx = 1 + 1\ny = x + 2\nThe answer is 4\n```\n",
    "en-open-tag": "How many are there?\n<think>\nSince 2+2 = 4, there are 4.\nSo we have 4.",
    "hash-heading": "What is new?\n\nWe have 3 = 1 + 2 things.\nThus 4 = 2 + 2 more.\n\n#### 4 things to know\n"
    "\nText.",
}


@pytest.mark.parametrize("name", SOLVED)
def test_a_convention_is_read(name: str) -> None:
    """Each written convention gives its question, its steps in order and its answer."""
    found, kinds = solve(plain(SOLVED[name]))
    assert found == SOLVED[name]
    assert set(name.partition(": ")[2].split()) <= set(kinds)


@pytest.mark.parametrize("name", SOLVED)
def test_a_solution_is_found_inside_a_document(name: str) -> None:
    """Other paragraphs before and after a solution change nothing."""
    before = "今天的天气很好。\n\nThe weather is fine today.\n\n"
    after = "\n\n以上就是全部内容，感谢阅读。\n\nThanks for reading this page.\n\n还有别的文章。\n"
    text = SOLVED[name]
    assert solve(before + plain(text) + after)[0] == before + text + after


@pytest.mark.parametrize("text", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_lists_and_prose_are_left_alone(text: str) -> None:
    """Instructions, questions and answers without an argument, headings and code give no template."""
    assert rows(text)[0]["templates"] == []


def test_what_follows_a_solution_is_no_step() -> None:
    """A discussion, a review or a variant ends the solution, on the same line too."""
    english = (
        "Example 2: ⟪What is 2 + 3 + 4?⟫\n\nSolution\n\n⟨From the left.⟩\n\n⟨2 + 3 = 5.⟩\n\n⟦So 5 + 4 = 9.⟧"
    )
    chinese = "例1 ⟪求1+2+3的值。⟫\n解：⟨1+2=3。⟩\n⟨3+3=⟦6⟧。⟩"
    for text in (
        f"{english} Discussion\n\nBecause 9 = 3 * 3, it is a square.",
        f"{chinese}\n【点评】因为6=2×3，所以6是合数。",
    ):
        assert solve(plain(text))[0] == text


def test_rejects_keep_their_reasons() -> None:
    """A candidate that fails a check is kept with its place and the reason."""
    faq, tag = rows(LEFT_ALONE["zh-faq"], LEFT_ALONE["en-open-tag"])
    assert [reject["reason"] for reject in faq["rejects"]] == ["no_reasoning"]
    assert "unclosed" in [reject["reason"] for reject in tag["rejects"]]
    solved = SOLUTION
    for changed, reason in (
        ({"min_steps": 3}, "few_steps"),
        ({"max_steps": 1, "min_steps": 1}, "many_steps"),
        ({"min_question_chars": 100}, "no_template"),
        ({"max_answer_chars": 3}, "answer_length"),
        ({"min_support": 1.0, "min_reasoning_share": 0.0}, None),
    ):
        (row,) = rows(solved, config=Config(**changed))
        reasons = [reject["reason"] for reject in row["rejects"]]
        assert (reason in reasons) if reason in REASONS else True
        assert bool(row["templates"]) == (reason is None)


def test_several_solutions_of_a_page_stay_apart() -> None:
    """Each question keeps its own steps, in order of the page."""
    texts = [plain(SOLVED[name]) for name in list(SOLVED)[::6]]
    (row,) = rows("\n\n".join(texts))
    alone = [render(text, rows(text)[0]["templates"][0]) for text in texts]
    assert [render("\n\n".join(texts), template) for template in row["templates"]] == alone
    assert row["n_templates"] == len(texts)


def test_scripts_are_read_alike() -> None:
    """Simplified and Traditional forms of a page give the same spans."""
    hans = "题目：小明有12元，每支笔3元，可以买几支？\n解答：每支3元，总共12元。\n12÷3=4，所以可以买4支。\n答案：4支"
    hant = "題目：小明有12元，每支筆3元，可以買幾支？\n解答：每支3元，總共12元。\n12÷3=4，所以可以買4支。\n答案：4支"
    first, second = rows(hans, hant)
    assert first["templates"] and first == second


def check(text: str, row: dict[str, Any]) -> None:
    """Check every row: spans are inside the text and not empty, steps are disjoint and after the question."""
    assert row["n_templates"] == len(row["templates"])
    for template in row["templates"]:
        question, answer, steps = template["question"], template["answer"], template["steps"]
        for span in (question, answer, *steps):
            assert 0 <= span["start"] < span["end"] <= len(text)
        assert len(steps) >= Config().min_steps
        assert question["end"] <= min(steps[0]["start"], answer["start"])
        assert all(a["end"] <= b["start"] for a, b in itertools.pairwise(steps))
        before = answer["end"] <= steps[0]["start"]
        inside = any(s["start"] <= answer["start"] and answer["end"] <= s["end"] for s in steps)
        assert before or inside or answer["start"] >= steps[-1]["end"]
        assert 0 <= template["support"] <= 1
        assert template["kinds"] == [kind for kind in KINDS if kind in template["kinds"]]
    for reject in row["rejects"]:
        assert 0 <= reject["start"] <= reject["end"] <= len(text)
        assert reject["reason"] in REASONS


MARKS = "解： 答案： Solution Answer: <think> </think> ``` <pre> 因为 1. 2. Step1 题目： $$ <!-- --> --- # 【".split()
LINES = [line for text in SOLVED.values() for line in plain(text).split("\n")]
PARTS = st.sampled_from([*LINES, *LEFT_ALONE.values(), *MARKS, "\\boxed{", "}", "#### 7", "\u3000"])
PAGES = st.builds(
    lambda parts, glue: glue.join(parts),
    st.lists(PARTS | texts(), min_size=1, max_size=12),
    st.sampled_from(("\n", "\n\n", "", " ", "\r\n", "\u2028")),
)


FORMS = {
    "Question: A farmer has 12 cows and buys 8 more. How many cows does he have?\nAnswer: He has 12 + 8 = 20 cows.\n"
    "So 20 is the number.\n#### 20": "20",
    "<|im_start|>user\n求 3x-6=9 的解。<|im_end|>\n<|im_start|>assistant\n移项得 3x=15。\n两边除以 3，得 x=5。\n"
    "所以解是 x=5。<|im_end|>": "所以解是 x=5。",
    "### Instruction:\nA train goes 60 km in 2 hours. What is its speed?\n\n### Response:\nSpeed is distance by time.\n"
    "60 / 2 = 30, so it is 15 * 2 = 30.\nHence the speed is 30 km/h.": "Hence the speed is 30 km/h.",
    "12．下列说法正确的是（　　）\nA．速度越大，惯性越大\nB．质量越大，惯性越大\n【答案】B\n【解析】惯性只与质量有关，"
    "因为质量是惯性的量度，所以B正确。": "B",
    "3、已知集合A={1,2}，B={2,3}，则A∩B=____．\n【答案】{2}\n【详解】因为A={1,2}，B={2,3}，所以A∩B={2}.": "{2}",
    "第1题\n甲、乙相距36千米，甲每小时行5千米，乙每小时行4千米，几小时后相遇？\n\n答案与解析\n36÷(5+4)=4（小时）\n"
    "所以4小时后相遇。": "所以4小时后相遇。",
    "\\textbf{例题：} 求 $y=x^2$ 在 $x=1$ 处的导数。\n\n\\textbf{解：} 因为 $y'=2x$，所以 $y'(1)=2$。": "2",
    "\\begin{exercise}\nShow that the square of an odd number is odd.\n\\end{exercise}\n\\begin{solution}\n"
    "Let $n=2k+1$. Then $n^2=4k^2+4k+1$. Hence $n^2$ is odd.\n\\end{solution}": "Hence $n^2$ is odd.",
    "## 题目描述\n\n给定一个整数数组，返回最大值。\n\n## 解题思路\n\n我们遍历数组，因为只需比较一次，"
    "如果更大则更新。\n\n"
    "```python\ndef most(a):\n    return max(a)\n```": "```python\ndef most(a):\n    return max(a)\n```",
    "\\begin{例题}\n求 $2+3$ 的值。\n\\end{例题}\n\\begin{解}\n因为 $2+1=3$，\n所以 $2+3=5$。\n\\end{解}": "5",
    "\\begin{lemma}[Odd] If $n$ is odd then $n^2$ is odd.\\end{lemma}\n\\begin{proof} Since $n=2k+1$, we have "
    "$n^2=2(2k^2+2k)+1$. So it is odd.\\end{proof}": "So it is odd.",
    "EXAMPLE 1 Solve the equation 2x + 3 = 7.\n\nSOLUTION Subtract 3 from both sides, so that 2x = 4. "
    "Hence x = 2.": "Hence x = 2.",
    "> [!example] 例子\n> 求 $2+3$ 的值。\n\n> [!done]\n> 因为 $2+1=3$，\n> 所以 $2+3=5$。": "5",
    "Riding\n\nA cyclist rides 3 km west and 2 km east. State the displacement of the cyclist.\n\nStrategy\n\n"
    "We add the rides with their signs, since the path does not matter.\n\nSolution\n\n"
    "Because west is negative, the cyclist is first at -3 km.\n\nThe ride of 2 km east leads to -3 + 2 = -1 km.\n\n"
    "Therefore the displacement of the cyclist is -1 km.\n\nSignificance\n\n"
    "It is negative.": "Therefore the displacement of the cyclist is -1 km.",
}
"""Forms that exams, harnesses, chats and textbooks use -> the answer."""

REJECTED = {
    "题目：小明有3个苹果，又买了4个，一共有几个？\n解：一共有3+4=9（个）。\n因为没有吃掉，所以是9个。\n"
    "答：9个。": "wrong_arithmetic",
    "1. 1+1等于多少？（ ）\nA. 1\nB. 2\n【解析】因为1+1=2，故选B。\n【答案】A": "wrong_choice",
    "下列关于酶的叙述，正确的是\nA. 酶都是蛋白质\nB. 酶能降低活化能\nC. 酶只在细胞内起作用\n\n"
    "解析：少数酶是RNA，A错误；酶能降低反应的活化能，B正确；酶在细胞外也起作用，C错误。": "evasive",
    "题目：求1到100的和。\n解答：略，见教材，因为显然。\n答案：见附录": "evasive",
    "例1 求方程的解。\n解：因为 $x=1$，\n所以得 $x$ 满足方程。\n答案：$\\frac{1": "cut_formula",
}
"""Candidates -> the reason for which they are rejected."""


@pytest.mark.parametrize("text", FORMS)
def test_a_form_is_read(text: str) -> None:
    """The answer of a solution in each form, and a question without mark-up."""
    (row,) = rows(text)
    (template,) = row["templates"]
    rendered = render(text, template)
    assert rendered["answer"] == FORMS[text]
    assert not re.search(r"im_end|Response|解答|【|exercise|textbf", rendered["question"])


@pytest.mark.parametrize("text", REJECTED)
def test_a_wrong_solution_is_rejected(text: str) -> None:
    """False arithmetic, a choice that the solution contradicts, no answer and a cut formula."""
    (row,) = rows(text)
    assert not row["templates"]
    assert REJECTED[text] in [reject["reason"] for reject in row["rejects"]]


@given(st.lists(PAGES, max_size=3), st.integers(0, 3))
def test_spans_hold_in_any_text_and_batch(docs: list[str], cut: int) -> None:
    """Spans are valid in any text, and batch boundaries do not matter."""
    whole = rows(*docs)
    for text, row in zip(docs, whole, strict=True):
        check(text, row)
    assert rows(*docs[:cut]) + rows(*docs[cut:]) == whole


def test_a_hostile_document_ends_soon() -> None:
    """Many marks in one document cost no more than `max_candidates` looks."""
    text = "求多少？\n解：甲\n" * 3000
    assert len(rows(text, config=Config(max_candidates=50))[0]["rejects"]) == 50


def test_support_is_what_the_docs_say() -> None:
    """0.4 of grounded, linked and structure as documented, by hand."""
    text = "3 and 4 / 3+4=7 / so 9 apples / 7 pears"
    spans = [(0, 7), (10, 15), (18, 29), (32, 39)]
    # answer: number 7 is in a step, the word "pears" is not: 0.5; of two steps only the first is linked: 0.5.
    assert support(text, spans[0], spans[1:3], spans[3], 1.0, frozenset()) == pytest.approx(0.2 + 0.15 + 0.3)


@pytest.mark.parametrize(("text", "value"), [("1,250.50", "1250.5"), ("3.0", "3"), ("007", "7"), ("0", "0")])
def test_numbers_have_one_form(text: str, value: str) -> None:
    """Thousands separators and idle zeros make no other number."""
    assert plain_number(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("十", 10), ("十二", 12), ("二十", 20), ("三十一", 31), ("七", 7), ("③", 3), ("12", 12), ("第", -1)],
)
def test_step_numbers_are_read(text: str, value: int) -> None:
    """Steps are numbered in ASCII, Chinese or circled digits."""
    assert to_number(text) == value


def documents(edits: list[dict[str, Any]] | None = None) -> pa.Table:
    """One document with a template among others, as the engine hands it over."""
    columns = {
        "text": [SOLUTION, "没有题目。", None],
        "cot.templates": [rows(SOLUTION)[0]["templates"], [], None],
        "edits": [edits or [], [], []],
    }
    kinds = {"text": pa.large_string(), "cot.templates": cot.SCHEMA.field("templates").type, "edits": SPANS}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})


def test_a_template_becomes_a_document_and_a_row() -> None:
    """Question, steps and answer in the words of the page, with spans that point back into it."""
    made = make_documents(documents(), documents_module.Config(), {})
    (document,) = made.to_pylist()
    assert (document["parent"], document["number"]) == (0, 0)
    assert document["text"] == "已知x+3=5，求x的值。\n\n因为x+3=5，\n所以x=5-3=2。\nx=2。"
    given = {
        "doc_id": "d",
        "parent_id": "p",
        "language": "zho_Hans",
        "domain": "Science",
        "license": "CC0-1.0",
    }
    (row,) = make_rows(pa.Table.from_pylist([{**given, "meta": document["meta"]}])).to_pylist()
    assert {name: row[name] for name in given} == given
    pieces = [SOLUTION[span["start"] : span["end"]] for span in row["spans"]]
    assert pieces == [row["question"], *row["steps"], row["answer"]]
    assert [span["kind"] for span in row["spans"]] == ["question", "step", "step", "answer"]
    assert row["model"] is None and row["extractor"] == f"stages.{STAGE.name}"
    assert make_documents(documents().slice(0, 0), documents_module.Config(), {}).schema == DERIVED
    assert make_rows(pa.Table.from_pylist([], schema=pa.schema({"meta": pa.string()}))).schema == ROWS


def test_an_answer_inside_the_last_step_stands_once() -> None:
    """A boxed answer is part of its sentence and is not repeated; a marked one has its own line."""
    text = "Problem 2. What is 3+4?\nSolution: We add 3 and 4.\nTherefore 3+4 = \\boxed{7}."
    (template,) = rows(text)[0]["templates"]
    assert join(render(text, template)) == "What is 3+4?\n\nWe add 3 and 4.\nTherefore 3+4 = \\boxed{7}."


def test_edits_reach_what_is_rendered() -> None:
    """Spans that release edits are edited in question, steps and answer too; an emptied solution makes no document."""
    at = SOLUTION.index("x+3=5")
    edits = [{"start": at, "end": at + 5, "kind": "secret"}]
    (document,) = make_documents(documents(edits), documents_module.Config(), {"secret": "[X]"}).to_pylist()
    assert document["text"].startswith("已知[X]，求x的值。")
    (template,) = rows(SOLUTION)[0]["templates"]
    everything = [{**template["answer"], "kind": "secret"}]
    assert make_documents(documents(everything), documents_module.Config(), {}).num_rows == 0


def test_little_support_makes_no_document() -> None:
    """min_support leaves weak templates out, and is a share."""
    (template,) = rows(SOLUTION)[0]["templates"]
    config = documents_module.Config(min_support=min(template["support"] + 0.01, 1.0))
    expected = 0 if template["support"] < config.min_support else 1
    assert make_documents(documents(), config, {}).num_rows == expected
    with pytest.raises(ConfigError, match="min_support is 2"):
        documents_module.Config(min_support=2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"min_steps": 0}, "min_steps is 0"),
        ({"min_support": 2.0}, "min_support is 2"),
        ({"max_steps": 1, "min_steps": 2}, "above"),
    ],
)
def test_a_bad_setting_is_refused(changed: dict[str, Any], message: str) -> None:
    """Settings out of range are named before any work."""
    with pytest.raises(ConfigError, match=message):
        Config(**changed)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ("{role: verse, heads: [x], pattern: x}", "role 'verse'"),
        ("{role: answer, heads: [答案, 證], pattern: x}", "head '證'"),
        ("{role: answer, heads: [x], pattern: '('}", "pattern"),
    ],
)
def test_a_bad_pattern_file_is_refused(tmp_path: Path, marks: str, message: str) -> None:
    """An unknown role, a head that no text can contain and a broken pattern are named."""
    path = tmp_path / "x.cot.yaml"
    path.write_text(f"marks:\n  - {marks}\n", "utf-8")
    with pytest.raises(ConfigError, match=message):
        load_patterns((str(path),))


def test_a_null_text_has_no_solution() -> None:
    """A null text gives empty lists, an empty batch the declared schema."""
    assert rows(None)[0] == {"templates": [], "n_templates": 0, "rejects": []}
    empty = pa.table({"text": pa.array([], pa.large_string()), "language.label": pa.array([], pa.string())})
    assert FIND(empty).schema == cot.SCHEMA


def test_pages_with_planted_solutions() -> None:
    """Of real pages with and without a planted solution, none without and most with one are found."""
    path = DEV_DATA / "cot_docs.parquet"
    if not path.exists():
        pytest.skip(f"no {path}; set BICORPUS_DEV_DATA")
    table = pq.read_table(path, columns=["lang", "text", "has_cot"])
    found = FIND(pa.table({"text": table["text"].cast(pa.large_string()), "language.label": table["lang"]}))
    hits = [n > 0 for n in found["n_templates"].to_pylist()]
    truth = table["has_cot"].to_pylist()
    right = sum(hit and there for hit, there in zip(hits, truth, strict=True))
    assert right / max(sum(hits), 1) >= 0.95
    assert right / sum(truth) >= 0.5


WRITE_UP = """#### 3.2.2 题目大意

给定一个整数数组，返回其中最大的值。

#### 3.2.3 解题思路

因为每个数只需比较一次，所以我们遍历数组，如果更大则更新。

```python
def most(a):
    return max(a)
```

**复杂度分析**

- **时间复杂度**：$O(n)$。
- **空间复杂度**：$O(1)$。

### 3.3 下一节
"""

SWALLOWED = """Example 3

Find the value of 2 + 3 + 4.

Solution

From the left, 2 + 3 = 5.

Therefore 5 + 4 = 9.

Find the value of 8 + 1 + 7.

Solution

Since 8 + 1 = 9, we have 9 + 7 = 16.

Therefore the sum is 16.

Check Your Learning

What is 3 + 3 + 1?

Answer: 7
"""


def answers(text: str) -> list[str]:
    """The answers found in a text."""
    return [render(text, template)["answer"] for template in rows(text)[0]["templates"]]


def test_the_answer_of_a_write_up_is_its_code() -> None:
    """Lines on complexity are no answer, and the number of the next heading is no part of the question."""
    (template,) = rows(WRITE_UP)[0]["templates"]
    rendered = render(WRITE_UP, template)
    assert rendered["answer"].startswith("```python") and rendered["answer"].endswith("```")
    assert rendered["question"] == "给定一个整数数组，返回其中最大的值。"


def test_the_next_exercise_ends_a_solution() -> None:
    """A line that asks before the mark of a further solution begins another exercise; so does its heading."""
    found = rows(SWALLOWED)[0]["templates"]
    assert [render(SWALLOWED, one)["question"] for one in found] == [
        "Find the value of 2 + 3 + 4.",
        "Find the value of 8 + 1 + 7.",
    ]
    assert "9" in answers(SWALLOWED)[0] and "16" in answers(SWALLOWED)[1]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("例2 已知a=b，求证a+c=b+c。\n证明：因为a=b，\n所以两边同时加c，\n故a+c=b+c，得证。", "故a+c=b+c，得证。"),
        ("例3 求6除以14的值。\n解：因为分子分母同除以2，\n所以x=6/14=3/7≈0.43。", "3/7≈0.43"),
        (
            "例4 求2+3的值。\n解：因为2+1=3，\n所以2+3=5。\n"
            '??? note "参考代码"\n    ```cpp\n    --8<-- "a.cpp"\n    ```',
            "5",
        ),
    ],
)  # fmt: skip
def test_an_answer_is_whole(text: str, answer: str) -> None:
    """The verb of a claim, the value beside its approximation; code of another file is no answer."""
    assert answers(text) == [answer]


HINTED = (
    "Exercise 2: Find the value of 4 + 5 + 6.\n\nSolution: Since 4 + 5 = 9, we get 9 + 6 = 15.\n\nHint\n\n"
)


def test_a_hint_ends_a_solution_and_metadata_hold_none() -> None:
    """A hint after a solution is no step; answers in the metadata of a page are none; an opinion is no argument."""
    assert "Use" not in answers(HINTED + "Use 4 + 5 = 9 because it is a sum.\n")[0]
    assert answers(f"---\nfaq: 1\n{SOLUTION}\n---\n\nText.\n") == []
    assert answers("Q：遇到有人凶我怎么办？\n\nA：保持距离，坚持拍摄。\n\n总之一定要坚持。\n") == []


UNMARKED = {
    "a run of marks": (
        "1．已知一个正方形的边长为4，则它的面积是（　　）\nA．8\u3000B．16\u3000C．32\u3000D．64\n"
        "【答案】B\n【解析】解：因为边长为4，\n所以面积为4×4=16，故选B．\n",
        ["B"],
    ),
    "a list of answers": (
        "一、选择题\n1. 已知集合 M={1,2,3}，则其子集的个数为（  ）\nA. 3 B. 6 C. 8 D. 9\n"
        "2. 若 x+3=5，则 x 的值为（  ）\nA. 1 B. 2 C. 3 D. 4\n\n参考答案\n"
        "1. C 【解析】含有3个元素的集合，子集的个数为2^3=8，故选C。\n"
        "2. B 【解析】因为x+3=5，所以x=5-3=2，故选B。\n",
        ["C", "B"],
    ),
    "the choice first": (
        "题目：下列各数中，最大的是（  ）\nA. 2^3 B. 3^2 C. 7 D. 5\n"
        "解：$B$。因为 2^3=8，而 3^2=9，\n所以 3^2 大于 2^3、7 和 5。\n",
        ["B"],
    ),
    "a quotation below a numbered heading": (
        "## 3.1 Sums of squares\n\n> Write a procedure that takes three numbers and returns the sum of the squares of"
        " the two larger ones.\n\nBecause the smallest of the three is not needed, we can subtract its square from"
        " the sum of all squares.\n\nTherefore we first find the minimum with two comparisons.\n\n"
        "```scheme\n(define (f a b c) (- (+ (* a a) (* b b) (* c c)) (expt (min a b c) 2)))\n```\n",
        ["```scheme"],
    ),
    "a question in bold type": (
        "Some text about games.\n\n**How many ways are there to choose 2 cards of a deck of 52 cards?**\n\n"
        "The first card is one of 52 and the second one of 51, so there are 52 * 51 = 2652 ordered pairs. "
        "Since the order does not matter, we get 2652 / 2 = 1326 ways.\n\n## Other things\n\nMore text.\n",
        ["1326"],
    ),
}
"""Text of a form without mark-up of the question or the solution -> what its answers begin with or contain."""


@pytest.mark.parametrize("form", UNMARKED)
def test_a_problem_without_marks_is_found(form: str) -> None:
    """Runs of marks, answers by number, a choice named first, a quoted exercise and a question in bold type."""
    text, answers = UNMARKED[form]
    (row,) = rows(text)
    check(text, row)
    found = [render(text, template)["answer"] for template in row["templates"]]
    assert len(found) == len(answers), row["rejects"]
    assert all(answer in part for answer, part in zip(answers, found, strict=True))


EXPLANATIONS = [
    "## 什么是闭包？\n\n闭包是一个函数，因为它记住了外层的变量，所以可以在外层返回之后使用。\n因此它常用于回调。\n",
    "### 进程和线程的区别有哪些？\n\n1. 进程有独立的地址空间。\n2. 线程共享内存，因此通信更快，所以开销为 1/10。\n",
    "**What is the difference between a list and a tuple?**\n\nA list can change, so it has 2 more methods. "
    "Since a tuple cannot, it is hashable, thus usable as a key.\n",
    "### 4.1 匹配问题\n\n> **单模式匹配（Single Matching）**：给定文本 T 和模式 p，要求找出 p 的所有出现位置。\n\n"
    "如果从前向后读入，那么可以用前缀。因为它只需遍历一次，所以很快。\n",
]


@pytest.mark.parametrize("text", EXPLANATIONS)
def test_an_explanation_of_a_term_is_no_solution(text: str) -> None:
    """Headings, bold type and quotations that ask for concepts, with reasons below them."""
    (row,) = rows(text)
    assert not row["templates"]


NO_SOLUTIONS = {
    "siblings that all have the number 1": "## 练习\n\n1. 如果把通道的数量加倍，计算数量会增加多少？\n"
    "1. 如果卷积核的宽度是$k=1$，因为没有邻居，所以复杂度是多少？\n1. 两个变量是否完全相同？为什么？\n",
    "choices to tick": "#### Q1. How many elements will be selected, given 5 items and 2 of them hidden?\n\n"
    "- [ ] 5 - 2 = 3, because hidden ones do not count\n- [x] 5, since all match\n- [ ] 2\n",
    "a statement that goes on": "## 两数之和\n\n给定一个整数数组，请返回其中两个数的最大和。\n\n"
    "如果数组为空，因此没有两个数，则需要返回 0。可以考虑先遍历，然后只需比较。\n\n"
    "**示例 1：**\n\n```\n输入：[1, 2]\n输出：3\n```\n\n"
    "**提示：** 因为数不多，所以可以枚举。\n",
    "a formula open before the solution": "例1 $$已知a_1=2，求a_2$$\n\n$$解：因为a_{n+1}=a_n+1，$$\n\n"
    "$$所以a_2=2+1=3$$\n",
}  # fmt: skip


@pytest.mark.parametrize("form", NO_SOLUTIONS)
def test_what_looks_like_a_solution_is_none(form: str) -> None:
    """Lists of exercises, choices without an explanation, the rest of a statement, parts of formulas."""
    (row,) = rows(NO_SOLUTIONS[form])
    assert not row["templates"]


def test_titled_choices_belong_to_the_question() -> None:
    """A title of the choices, as in **选项：**, is no heading at which the question begins."""
    text = (
        "### 题目\n\n缓存的键应当代表什么？\n\n**选项：**\n- A. 时间\n- B. 一次构建的所有输入\n\n"
        "<details>\n<summary>查看答案</summary>\n\n### 正确答案：B\n\n### 解析\n\n"
        "缓存用一个键代表所有输入，因为键不完整时会取到错误的结果。\n因此要把版本纳入键中。\n\n</details>\n"
    )
    (row,) = rows(text)
    check(text, row)
    (found,) = (render(text, template) for template in row["templates"])
    assert found["question"].startswith("缓存的键") and "B. 一次构建" in found["question"]
    assert found["answer"] == "B"
