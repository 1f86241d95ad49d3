"""One document removed by each part of the recipe, and the output of `explain`: value, threshold, margin."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inspect.query import shortest
from tests.helpers.build import build, cli, tiny, write_run
from tests.helpers.passage_texts import FERRY, WELL, prose

SOLVED = (
    "题目：小明有12个苹果，分给4个同学，每人分到几个？\n解：第一步，一共有12个苹果。\n第二步，12÷4=3。\n第三步，检查：3×4=12。\n"
    "所以，每人分到3个。\n答：3个。"
)
QUESTION = (
    "一辆货车上午九点从仓库出发，每小时行驶六十千米，中途休息半小时，下午一点到达车站，仓库离车站多少千米？"
)
DOCUMENTS = {
    "kept": WELL,
    "french": "La bibliothèque municipale ferme ses portes à dix-huit heures, sauf le jeudi, où elle reste ouverte. "
    "Les lecteurs peuvent rendre leurs livres dans la boîte placée à côté de l'entrée principale.",
    "digits": "2024 1187 3391 0042 7719 5530 " * 12 + WELL[:40],
    "salad": "".join(random.Random(3).sample(WELL * 3, 300)),
    "rare": "".join(random.Random(4).sample([chr(c) for c in range(0x4E00, 0x9FA5)], 200)),
    "law": "中华人民共和国行政处罚法第一条规定，为了规范行政处罚的设定和实施，保障和监督行政机关有效实施行政管理，"
    "维护公共利益和社会秩序，保护公民、法人或者其他组织的合法权益，根据宪法，制定本法。人民法院、人民检察院和司法行政机关应当依照法律规定行使职权。",
    "insult": "你这个傻逼，脑子进水了吧，滚远点，恶心的垃圾，去死吧，没人想看你这种废物在这里乱叫。" * 2,
    "menu": f"{WELL[:30]}\n首页\n上一篇：暂无\n下一篇：通知\n点击查看更多\n关注我们的微信公众号\n分享到微信\n"
    "版权所有 未经许可不得转载",
    "exam": f"{WELL[:60]}\n{QUESTION}",
    "twice-1": FERRY + " The timetable hangs beside the door.",
    "twice-2": FERRY + " The timetable hangs beside the door",
    "whole": f"{prose(1, 260)}\n{prose(2, 150)}",
    "hollow": f"{prose(1, 260)[60:]}",
    "page": f"{prose(5, 150)}\n\n{SOLVED}",
    "few": "Short note.",
}  # fmt: skip
"""Own words; each is there for one rule."""

RULES: list[dict[str, Any]] = [
    {"name": "language", "language.label": {"not_in": ["fra_Latn"]}, "base": True},
    {"name": "few_tokens", "tokens.n_tokens": {"min": 8}},
    {"name": "many_digits", "signals.digit_share": {"max": 0.3}},
    {"name": "abusive", "toxicity.score": {"max": 0.7}, "if_null": "keep"},
    {"name": "not_law", "domain.label": {"not_in": ["Law & Government"]}, "if_null": "keep"},
    {"name": "odd_words", "fluency.perplexity": {"max": 4000}, "if_null": "keep"},
    {"name": "furniture", "boilerplate.removed_share": {"max": 0.4}},
    {
        "name": "salad",
        "quality.intact": {"min": 0.3},
        "where": {"fluency.perplexity": {"min": 1000}},
        "if_null": "keep",
    },
    {"name": "contaminated", "decontaminate.n_hits": {"max": 0}},
    {"name": "solutions", "cot.n_templates": {"max": 0}, "where": {"source": "docs"}},
    {"name": "hollow", "owners.n_chars_left": {"min": 100}, "if_null": "keep"},
]

REMOVED = {
    "french": ("language", "language.label"),
    "digits": ("many_digits", "signals.digit_share"),
    "salad": ("salad", "quality.intact"),
    "rare": ("odd_words", "fluency.perplexity"),
    "law": ("not_law", "domain.label"),
    "insult": ("abusive", "toxicity.score"),
    "menu": ("furniture", "boilerplate.removed_share"),
    "exam": ("contaminated", "decontaminate.n_hits"),
    "hollow": ("hollow", "owners.n_chars_left"),
    "page": ("solutions", "cot.n_templates"),
    "few": ("few_tokens", "tokens.n_tokens"),
}
"""Document -> the rule that removes it, and the column that it reads."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run file with a rule for each stage, and the store that it was built in."""
    folder = tmp_path_factory.mktemp("explained")
    questions = pa.table({"benchmark": ["own"], "id": ["q1"], "question": [QUESTION]})
    pq.write_table(questions, folder / "questions.parquet")
    models = [f"classifiers.{name}" for name in ("language", "quality", "fluency", "domain", "toxicity")]
    stages = [
        "stages.signals",
        "stages.web.boilerplate",
        "stages.cot",
        "stages.dedup.exact",
        "stages.minhash",
        "stages.passages.anchors",
        "stages.tokens",
    ]
    looking = {"use": "stages.decontaminate", "config": {"benchmarks": ["questions.parquet"]}}
    page = tiny(
        folder, [{"id": name, "text": text} for name, text in DOCUMENTS.items()], select=RULES,
        annotate=[*models, *stages, looking],
        keep_one={"of": "dedup", "passages": "substring", "prefer": [{"signals.n_chars": "high"}]},
        release={"edits": {"owners": "all"}},
    )  # fmt: skip
    page["global"] = [
        "stages.dedup.candidates",
        "stages.dedup",
        "stages.passages.shared_anchors",
        "stages.passages.substring",
    ]
    page["sources"].append({"name": "solved", "derive": "stages.cot.documents"})
    run = write_run(folder, page)
    build(run, folder / "store")
    return run, folder / "store"


def explained(built: tuple[Path, Path], name: str) -> dict[str, Any]:
    """The output of `explain --json` for a document. Any: JSON values."""
    run, store = built
    place = f"docs.jsonl:{list(DOCUMENTS).index(name)}"
    return dict(cli("explain", run, "--store", store, "--input", place, "--json").ok().json)


@pytest.mark.parametrize(("name", "rule", "column"), [(name, *rest) for name, rest in REMOVED.items()])
def test_each_stage_removes_a_document_and_says_why(
    built: tuple[Path, Path], name: str, rule: str, column: str
) -> None:
    """The rule is the reason, and its condition shows the value and, for numbers, threshold and margin below zero."""
    found = explained(built, name)
    assert (found["keep"], found["rule"]) == (False, rule)
    (condition,) = next(entry for entry in found["rules"] if entry["name"] == rule)["conditions"]
    assert condition["column"] == column and condition["value"] is not None
    if isinstance(condition["value"], (int, float)):
        bound = condition["max"] if "max" in condition else condition["min"]
        assert condition["margin"] < 0
        assert abs(condition["margin"]) == pytest.approx(abs(condition["value"] - bound), abs=1e-5)
    run, store = built
    text = cli("explain", run, found["doc_id"], "--store", store).ok().out
    assert f"dropped by {rule}" in text and f"FAILS {rule}" in text


def test_a_copy_names_its_keeper_and_how_alike_they_are(built: tuple[Path, Path]) -> None:
    """A duplicate shows which document it went for, and the similarity."""
    pair = [explained(built, name) for name in ("twice-1", "twice-2")]
    (lost,) = [found for found in pair if not found["keep"]]
    (keeper,) = [found for found in pair if found["keep"]]
    assert lost["rule"] == "duplicate" and lost["keeper_id"] == keeper["doc_id"] and lost["similarity"] == 1.0


def test_a_solution_goes_with_its_page(built: tuple[Path, Path]) -> None:
    """A derived document whose page a rule removed is dropped for that reason."""
    run, store = built
    shown = cli("show", run, "--store", store, "--rule", "parent_dropped", "--json").ok().out.splitlines()
    assert len(shown) == 1 and "苹果" in shown[0]


def test_what_no_rule_fails_is_kept(built: tuple[Path, Path]) -> None:
    """Ordinary prose passes every rule, with a margin of its own in each."""
    found = explained(built, "kept")
    assert found["keep"] and not any(rule["fails"] for rule in found["rules"] if rule["action"] == "drop")


def test_float32_is_printed_in_its_shortest_form() -> None:
    """`show` and `explain` print the number that was written, also inside lists and structs."""
    dtype = pa.list_(pa.struct({"share": pa.float32(), "n": pa.int32()}))
    value = pa.array([[{"share": 0.292, "n": 3}, None]], dtype)[0]
    assert value.as_py()[0]["share"] != 0.292
    assert shortest(value.as_py(), dtype) == [{"share": 0.292, "n": 3}, None]
    assert shortest(pa.scalar(0.292, pa.float32()).as_py(), pa.float32()) == 0.292
