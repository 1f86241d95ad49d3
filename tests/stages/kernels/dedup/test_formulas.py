"""Signs of mathematics: which symbols of prose are content, and which are punctuation."""

from __future__ import annotations

import pyarrow as pa
import pytest

from stages.dedup import Config, cluster_texts
from stages.dedup.exact import STAGE
from stages.kernels.dedup.formulas import SHORT
from stages.kernels.dedup.minhash import match_text

ANNOTATE = STAGE.load(STAGE.config())
FILLER_ZH = "".join(chr(0x4E00 + 37 * i % 5000) for i in range(SHORT + 20))
FILLER_EN = " ".join(
    f"{a}{b}{c}" for a in "bdfgk" for b in ("an", "il", "uro") for c in ("do", "ne", "sti", "mor", "pel")
)


def are_copies(left: str, right: str) -> bool:
    """Whether two texts have one match hash."""
    first, second = ANNOTATE(pa.table({"text": pa.array([left, right], pa.large_string())}))["match_hash"]
    return bool(first == second)


def are_near(left: str, right: str, **config: bool) -> bool:
    """Whether two texts are near duplicates."""
    first, second = cluster_texts([left, right], Config(**config))["cluster"].to_pylist()
    return bool(first == second)


FORMULAS = [
    ("解方程：2x+3=7，写出每一步的计算过程。", "解方程：2x-3=7，写出每一步的计算过程。"),
    (
        "计算定积分的值：∫(-x)dx，积分区间为从0到2。解：原函数为负的二分之一x的平方。",
        "计算定积分的值：∫(x)dx，积分区间为从0到2。解：原函数为负的二分之一x的平方。",
    ),
    ("设 $a_n=2n+1$，求前 $n$ 项和的表达式。", "设 $a_n=2n-1$，求前 $n$ 项和的表达式。"),
    ("求 5! 的值，并写出推导过程。", "求 5 的值，并写出推导过程。"),
    ("今日最低气温-5℃，明日-3℃。", "今日最低气温5℃，明日3℃。"),
    ("化简：(a+b)(a-b)的结果。", "化简：(a+b)(a+b)的结果。"),
    ("Solve x - 5 = 12 for x.", "Solve x + 5 = 12 for x."),
    ("若x≥3，则结论成立。", "若x>3，则结论成立。"),
    ("增长率为5%，请说明。", "增长率为5，请说明。"),
    ("旋转30°后的图形", "旋转30后的图形"),
    ("Compute 3*(4+5).", "Compute 3*4+5."),
    ("Find the sum √2 + 1", "Find the sum 2 + 1"),
    ("求10²的值", "求102的值"),
    ("f(x)=|x|+1 的最小值", "f(x)=x+1 的最小值"),
    ("区间[0,1)上的函数", "区间(0,1)上的函数"),
    ("化简[a+b](c+d)的结果", "化简a+b(c+d)的结果"),
    ("化简[a/b](c/d)的结果", "化简a/b c/d 的结果"),
    ("求 |x-1| 的最小值。", "求 x-1 的最小值。"),
    ("已知 P(A|B)=0.5，求 P(B)。", "已知 P(A,B)=0.5，求 P(B)。"),
    ("化简 |a|+|b| 的结果", "化简 |a|-|b| 的结果"),
    ("|a-b|≤|a|+|b| 恒成立", "|a-b|≤a+b 恒成立"),
]


@pytest.mark.parametrize(("left", "right"), FORMULAS)
def test_a_sign_of_mathematics_decides(left: str, right: str) -> None:
    """Formulas that differ in a sign, a relation, a bracket or a unit are two, as texts and as near duplicates;
    huggingface/datatrove#218."""
    assert not are_copies(left, right)
    assert not are_near(left, right)


@pytest.mark.parametrize(("left", "right"), [pair for pair in FORMULAS if "[0" not in pair[0]])
def test_a_formula_in_a_long_text_decides_too(left: str, right: str) -> None:
    """The rule reads only the characters around a symbol, so it is the same in a long text; such texts are near
    duplicates. The brackets of intervals are signs of lines that count as code only."""
    assert not are_copies(FILLER_ZH + left, FILLER_ZH + right)
    assert are_near(FILLER_ZH + left, FILLER_ZH + right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("你明天来吗？", "你明天来吗。"),
        ("Is it done?", "Is it done!"),
        ("他走了！", "他走了"),
    ],
)
def test_question_and_exclamation_marks_decide_in_short_texts(left: str, right: str) -> None:
    """A sentence and a question are two texts; around a long text the mark is punctuation, and in passages always."""
    assert not are_copies(left, right)
    assert not are_near(left, right)
    assert are_copies(f"{FILLER_ZH}。{left}", f"{FILLER_ZH}。{right}")
    column = pa.array([left, right], pa.large_string())
    codes, starts = match_text(column)
    assert codes[: starts[1]].tolist() == codes[starts[1] :].tolist()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("今天，天气很好——我们出去玩。", "今天,天气很好,我们出去玩."),
        ("He said “no” — then left.", 'He said "no" - then left.'),
        ("气温为25℃", "气温为25 °C"),
        ("- 第一项\n- 第二项", "* 第一项\n* 第二项"),
        ("解：2x＋3＝7", "解：2x+3=7"),
        ("解：2x − 3 = 7", "解：2x-3=7"),
        ("今天（周五）闭馆", "今天(周五)闭馆"),
        ("这是**重点**内容", "这是重点内容"),
        ("up-to-date, state-of-the-art tools", "up to date state of the art tools"),
        ("2019-03-05 发布", "2019/03/05 发布"),
        ("真的吗？？？", "真的吗？"),
        ("面积为5km²", "面积为5km2"),
        ("> 引用 5 行", "引用 5 行"),
        ("参看[6.4](06.4.md)一节", "参看 6.4 06.4.md 一节"),
        ("首页|第1页|联系", "首页 第1页 联系"),
        ("|1|2|\n|3|4|", "| 1 | 2 |\n| 3 | 4 |"),
        ("见[第 15 章](https://example.org/a-1/b_2?x=1)", "见第 15 章 https example org a 1 b 2 x 1"),
    ],
)
def test_punctuation_of_prose_decides_nothing(left: str, right: str) -> None:
    """Dashes, bullets, quotation marks, emphasis, separators of dates and width differ between copies of one text."""
    assert are_copies(left, right)


def test_near_duplicates_of_one_exercise_stay_near_duplicates() -> None:
    """A sentence more or less, or another typography, is no other sign."""
    text = (
        "设函数 y = 3x^2 - 12x + 5，求函数的对称轴、顶点坐标以及与坐标轴的交点，"
        "并画出函数的大致图像，写出每一步的计算过程和所用的定理。"
    )
    assert are_near(text, text.replace(" ", "") + "附答案。")
    assert not are_near(text, text.replace("- 12x", "+ 12x"))
    assert are_near(text, text.replace("- 12x", "+ 12x"), other_signs=True)
