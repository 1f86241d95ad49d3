"""Golden files: the output of each step on fixed documents, so that output changes only with its version.

A file holds a step's name, version, config (files by digest), the recipes of the steps it reads, and its
output on DOCUMENTS. `pytest --update-golden` writes files that are missing or of which one of the former
changed; it refuses to hide a change of output alone.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.recipe import file_digest, named_files, step_recipe
from pipeline.schema import ROW
from pipeline.stage import Global, Stage
from tests.helpers.paths import GOLDEN
from tests.helpers.run_global import run_global
from tests.helpers.steps import Corpus, producer
from tests.helpers.strategies import table_of

FOLDER = GOLDEN

DOCUMENTS = (
    "市图书馆昨天宣布，从下个月起延长开放时间。\n工作日的闭馆时间推迟到晚上九点，周末则照旧。"
    "馆长说，很多读者下班以后才有空看书，馆里因此增加了六名员工。\n"
    "新的时间表已经贴在门口，也可以在网站上查到。",
    "山上的氣象站已經有六十年的歷史。每天清晨，值班員都要記錄溫度、濕度和風向，再把數字傳到城裡。\n"
    "雖然現在大部分儀器是自動的，但是他們仍然堅持親手抄寫一份。",
    "子曰：「學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？人不知而不慍，不亦君子乎？」\n"
    "有子曰：「其為人也孝弟，而好犯上者，鮮矣；不好犯上，而好作亂者，未之有也。」",
    "The old lighthouse stands on a rock that the sea covers twice a day. Nobody has lived there since the "
    "light was automated, but the keeper's garden still grows inside the wall.\n\nOn clear evenings you can "
    "walk out to it, if you are back before the tide turns. The path is marked with white stones.",
    "Home | News | Contact\n- Spring sale...\n- Summer sale...\n- Autumn sale...\n- Winter sale...\n"
    "Read more »\nClick here to subscribe to our newsletter\nAll rights reserved. Terms of use.",
    "首页 > 新闻 > 正文\n上一篇：暂无\n下一篇：春季运动会通知\n点击查看更多\n关注我们的微信公众号\n"
    "版权所有 未经许可不得转载\n沪ICP备00000000号",
    "我们用 Python 写了一个小工具，先 parse 日志，再把每个 request 的 latency 画成图。\n"
    "If the p99 goes up, 就说明后端的 cache 又失效了。这个 bug 我们 fix 了三次。",
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n\nassert mean([1, 2, 3]) == 2",
    "题目：小明有12个苹果，分给4个同学，每人分到几个？\n解：第一步，一共有12个苹果。\n第二步，12÷4=3。\n"
    "第三步，检查：3×4=12。\n所以，每人分到3个。\n\n"
    "Question: A train travels 60 km in 40 minutes. How fast is it?\nStep 1: 40 minutes is 2/3 of an hour.\n"
    "Step 2: 60 / (2/3) = 90.\nTherefore, the answer is 90 km/h.",
    "联系人：王老师，电话 13800138000，邮箱 wang@example.com。\nFor questions write to alice@example.org or "
    "call +1 202-555-0143; our server is at 192.0.2.17.",
    "好吃好吃好吃好吃好吃好吃好吃好吃好吃好吃好吃好吃\nbuy now buy now buy now buy now buy now buy now\n"
    "buy now buy now buy now buy now buy now buy now\nbuy now buy now buy now buy now buy now buy now",
    "駅前の図書館は、毎週月曜日が休館日です。返却された本は、入口のポストに入れてください。",
    "\u3000\u3000ＡＢＣ公司２０２４年第１季度收入为１２．５亿元，同比增长８％。\n"
    "\u3000\u3000其中，海外市场占３成。e\u0301 👩‍👩‍👧‍👦 42,000.00 ¥8",
    "好",
)
"""Own words and a passage of the Analects: Hans, Hant, classical, English, lists, mixed, code, sums."""


def plain(value: Any, kind: pa.DataType) -> Any:
    """JSON form of an Arrow value: float32 in its shortest digits, bytes as hex, NaN and infinities by name.

    Any: whatever `as_py` returns for the type, and its JSON form.
    """
    if value is None:
        return None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [plain(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {field.name: plain(value[field.name], field.type) for field in kind}
    if pa.types.is_floating(kind):
        short = float(str(np.float32(value))) if kind == pa.float32() else float(value)
        return short if np.isfinite(short) else str(short)
    return value.hex() if isinstance(value, bytes) else value


def lines(table: pa.Table) -> list[list[Any]]:
    """Rows of a table as lists of plain values."""
    columns = [[plain(v.as_py(), field.type) for v in table[field.name]] for field in table.schema]
    return [list(row) for row in zip(*columns, strict=True)]


def settings(step: Stage | Global, config: Any) -> dict[str, Any]:
    """Config as the recipe sees it: files by digest, never by path."""
    fields = dataclasses.asdict(config)
    for name, paths in named_files(step, config).items():
        fields[name] = [file_digest(path) for path in paths]
    return json.loads(json.dumps(fields))


def upstream(step: Stage | Global) -> dict[str, str]:
    """Recipes of the steps whose columns a step reads, by name."""
    names = dict.fromkeys(read.partition(".")[0] for read in step.reads if "." in read)
    return {name: recipe(producer(name)) for name in names}


def recipe(step: Stage | Global) -> str:
    """Recipe of a step with the default configs everywhere."""
    return step_recipe(step, step.config(), upstream(step).values())


@functools.cache
def corpus_of(*shards: tuple[str, ...]) -> Corpus:
    """Texts in shards, numbered through; kept, so that steps read by several others run once."""
    starts = [sum(map(len, shards[:i])) for i in range(len(shards))]
    return Corpus([table_of(texts, start) for texts, start in zip(shards, starts, strict=True)])


def observe(step: Stage | Global, config: Any) -> dict[str, Any]:
    """The content of a step's golden file."""
    seen: dict[str, Any] = {"name": step.name, "version": step.version, "config": settings(step, config)}
    seen["upstream"] = upstream(step)
    if isinstance(step, Stage):
        (table,) = corpus_of(DOCUMENTS).inputs(step)
        return {**seen, "columns": step.writes.names, "rows": lines(step.load(config)(table))}
    repeated = (*DOCUMENTS[:4], DOCUMENTS[0] + "（完）", DOCUMENTS[3].upper())
    outcome = run_global(step, corpus_of(DOCUMENTS, repeated).inputs(step), config)
    if outcome.rows is not None:
        rows = outcome.rows.sort_by(ROW).select([ROW, *step.writes.names])
        seen |= {"columns": rows.column_names, "rows": lines(rows)}
    artefacts = {name: {"columns": t.column_names, "rows": lines(t)} for name, t in outcome.artefacts.items()}
    return {**seen, "artefacts": dict(sorted(artefacts.items()))}


def render(seen: dict[str, Any]) -> str:
    """JSON with one row to a line, so that a change shows where it is."""
    parts = []
    for key, value in seen.items():
        text = json.dumps(value, ensure_ascii=False)
        if key == "rows":
            text = "[\n" + ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value) + "\n ]"
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


class Golden:
    """Compares steps with their golden files, or writes the files."""

    def __init__(self, update: bool) -> None:
        self.update = update

    def check(self, step: Stage | Global, config: Any) -> None:
        """Fail if a step's output on the golden documents differs from its golden file."""
        path = FOLDER / f"{step.name}.json"
        seen = json.loads(render(observe(step, config)))
        known = json.loads(path.read_text("utf-8")) if path.exists() else None
        if known is not None and seen | {"upstream": 0} == known | {"upstream": 0}:
            return  # whatever changed in the steps it reads did not change its output
        if known is not None and all(seen[key] == known[key] for key in ("version", "config", "upstream")):
            pytest.fail(
                f"{step.name}: output changed but its version is still {step.version}; raise it, then run "
                f"pytest --update-golden. {difference(known, seen)}"
            )
        if not self.update:
            there = "none" if known is None else f"one of version {known['version']}"
            pytest.fail(
                f"{step.name}: found {there}, expected a golden file of version {step.version}, the default "
                "config and today's upstream; run pytest --update-golden"
            )
        path.write_text(render(seen), "utf-8")


def difference(known: dict[str, Any], seen: dict[str, Any]) -> str:
    """The first place where two golden records differ."""
    if known.get("columns") != seen.get("columns"):
        return f"columns: {known.get('columns')} became {seen.get('columns')}"
    for i, (before, after) in enumerate(zip(known.get("rows", []), seen.get("rows", []), strict=False)):
        for name, old, new in zip(seen["columns"], before, after, strict=True):
            if old != new:
                return f"Row {i}, {name}: {old} became {new}"
    return "Rows were added or removed, or an artefact changed"
