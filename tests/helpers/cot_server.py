"""Documents about ferry lines, and a script that answers the four questions about them, right or with a planted fault.

The number of a document is in each of its sentences, so that every request and every answer shows whom it is about. Its
fault is chosen by that number: see FAULTS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tests.helpers.llm_server import Reply, error

FAULTS = {
    "": "", "number": "summary: number", "entity": "chain: entity", "unit": "chain: number",
    "arithmetic": "chain: arithmetic",
    "markers": "segment: start_missing", "order": "chain: number", "language": "summary: language",
    "cut": "summary: invalid: cut off after 256 tokens", "prose": "question: invalid: no JSON", "429": "", "500": "",
    "stall": "", "pii": "chain: pii", "leak": "question: leaks", "unanswerable": "question: entity",
    "empty": "segment: no_segments", "short_chain": "chain: few_steps", "source": "chain: speaks_of_source",
    "repeats": "chain: repeats", "refused": "chain: refused: 400 this request is too long", "segment": "chain: number",
    "toxic": "chain: toxic",
}  # fmt: skip
"""What goes wrong with the answers about a document, by its number modulo their number, and why it then has no chain;
"" if it has one nevertheless."""
EMAIL, PHONE = "mei.lin@example-mail.org", "13912345678"
"""Personal data: in documents, and in answers with the fault `pii`."""
PLANTED = "ling.zhou@planted-mail.org"

EN = (
    "Ferry line {i} takes {p} passengers on each crossing, and a ticket costs 7 dollars. Ask {email} about groups.\n\n"
    "In summer, ferry line {i} sails {k} times a day, because many visitors want to reach the island before noon."
)
ZH = (
    "第 {i} 号渡轮每次载客 {p} 人，每张船票 7 元，团体订票请打电话 {phone} 联系售票处。\n\n"
    "夏天第 {i} 号渡轮每天开 {k} 班，因为很多游客想在中午以前上岛，码头上常常排起长队。"
)


def document(i: int) -> str:
    """The text of a document: English for even numbers, Chinese for odd ones."""
    return (ZH if i % 2 else EN).format(i=i, p=100 + 3 * i, k=2 + i % 5, email=EMAIL, phone=PHONE)


def number_of(body: dict[str, Any]) -> int:
    """The number of the document that a request is about."""
    match = re.search(r"line (\d+)|第 (\d+) 号", body["messages"][-1]["content"])
    assert match is not None, body["messages"][-1]["content"]
    return int(match[1] or match[2])


def step_of(body: dict[str, Any]) -> str:
    """Which of the four questions a request asks."""
    starts = {
        "You divide": "segment", "请把一篇": "segment", "You summarise": "summary", "请用一到": "summary",
        "You get numbered": "chain", "下面是编": "chain", "You get the steps": "question", "下面是一": "question",
    }  # fmt: skip
    system = body["messages"][0]["content"]
    return next(name for start, name in starts.items() if system.startswith(start))


class Script:
    """Answers requests. faults: of documents in turn. failed: requests that failed once already."""

    def __init__(self, faults: Sequence[str] = tuple(FAULTS)) -> None:
        self.faults, self.failed = faults, set[str]()

    def fault(self, i: int) -> str:
        """The fault of a document."""
        return self.faults[i % len(self.faults)]

    def __call__(self, n: int, body: dict[str, Any]) -> Reply:
        """The reply to a request."""
        del n
        i, step = number_of(body), step_of(body)
        fault = self.fault(i)
        key = json.dumps(body["messages"])
        is_broken = fault in ("429", "500") or (fault == "stall" and step == "segment")
        if is_broken and key not in self.failed:
            self.failed.add(key)
            return {
                "429": error(429, "slow down", retry_after="0.05"),
                "500": error(500, "oops"),
                "stall": Reply(stall_s=2.5),
            }[fault]
        if fault == "refused" and step == "chain":
            return error(400, "this request is too long")
        content = json.dumps(answer(i, step, fault, body), ensure_ascii=False)
        if fault == "cut" and step == "summary":
            return Reply(content[:-6], finish="length")
        if fault == "prose" and step == "question":
            return Reply("I would rather not.")
        return Reply(f"```json\n{content}\n```" if i % 3 == 0 else content)


def answer(i: int, step: str, fault: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question about a document, as JSON."""
    make = {"segment": _segment, "summary": _summary, "chain": _chain, "question": _question}[step]
    return make(i, fault, body)


def _segment(i: int, fault: str, body: dict[str, Any]) -> dict[str, Any]:
    del body
    zh = bool(i % 2)
    first = (f"第 {i} 号渡轮每次载客", "团体订票请打") if zh else (f"Ferry line {i} takes", "about groups.")
    second = (
        (f"夏天第 {i} 号渡轮", "常常排起长队")
        if zh
        else (f'"In summer, ferry line {i}', "the island before noon")
    )
    segments = [first, second]
    if fault == "markers":
        segments = [
            ("This beginning is not there", "nor is this end of it"),
            ("nothing of it here", "nor of that there"),
        ]
    if fault == "order":
        segments = [second, first]
    if fault == "empty":
        segments = []
    if fault == "segment":
        segments = [first, ("这里没有这样的开头" if zh else "no such beginning is here", second[1])]
    return {"segments": [{"start": start, "end": end} for start, end in segments]}


def _summary(i: int, fault: str, body: dict[str, Any]) -> dict[str, Any]:
    zh, is_first = bool(i % 2), ("7 元" if i % 2 else "7 dollars") in body["messages"][-1]["content"]
    p, k = 100 + 3 * i, 2 + i % 5
    if fault == "language":
        zh = not zh
    if fault == "unit" and is_first:
        return {
            "summary": f"第 {i} 号渡轮每次载客 {p} 公斤。"
            if zh
            else f"Ferry line {i} takes {p} kilograms on each crossing."
        }
    if fault == "number":
        p, k = p + 1000, k + 1000
    text = (
        f"第 {i} 号渡轮每次载客 {p} 人。" if zh else f"Ferry line {i} takes {p} passengers on each crossing."
    )
    if not is_first:
        text = (
            f"夏天第 {i} 号渡轮每天开 {k} 班。" if zh else f"In summer, ferry line {i} sails {k} times a day."
        )
    return {"summary": text}


def _chain(i: int, fault: str, body: dict[str, Any]) -> dict[str, Any]:
    zh, p, k = bool(i % 2), 100 + 3 * i, 2 + i % 5
    n_notes = 2 if ("笔记 2" if zh else "Note 2") in body["messages"][-1]["content"] else 1
    total = p * k + (fault == "arithmetic")
    if zh:
        steps = [(1, f"第 {i} 号渡轮每次可以载客 {p} 人。"), (2, f"夏天它每天要开 {k} 班，因为游客很多。"),
                 (2, f"因此第 {i} 号渡轮夏天每天可以载客 {p} × {k} = {total} 人。")]  # fmt: skip
        final = f"第 {i} 号渡轮夏天每天可以载客 {total} 人。"
    else:
        steps = [(1, f"Ferry line {i} can take {p} passengers on each crossing."),
                 (2, f"In summer it sails {k} times a day, because many visitors come."),
                 (2, f"So ferry line {i} can take {p} × {k} = {total} passengers a day in summer.")]  # fmt: skip
        final = f"Ferry line {i} can take {total} passengers a day in summer."
    if n_notes == 1:
        steps = [(1, text) for _, text in steps]
    if fault == "entity":
        steps[1] = (
            2,
            "夏天它由上海航运集团有限公司经营，游客很多。"
            if zh
            else "In summer it is run by Hamburg Shipping Group, because many visitors come.",
        )
    if fault == "pii":
        steps[1] = (steps[1][0], f"{steps[1][1]} {PLANTED}")
    if fault == "toxic":
        insult = (
            "你们这些傻逼都是废物垃圾，滚去死吧。"
            if zh
            else "You stupid fucking idiots are worthless trash, go and die."
        )
        steps[1] = (steps[1][0], f"{steps[1][1]} {insult}")
    if fault == "short_chain":
        steps = steps[:1]
    if fault == "source":
        steps[0] = (1, f"{'文中提到，' if zh else 'According to note 1, '}{steps[0][1]}")
    if fault == "repeats":
        steps[1] = steps[0]
    return {"steps": [{"note": note, "text": text} for note, text in steps], "answer": final}


def _question(i: int, fault: str, body: dict[str, Any]) -> dict[str, Any]:
    del body
    zh, p, k = bool(i % 2), 100 + 3 * i, 2 + i % 5
    if fault == "leak":
        text = (f"第 {i} 号渡轮夏天每天载客多少人？答案是 {p * k} 人。" if zh
                else f"How many passengers can ferry line {i} take a day? The answer is {p * k}.")  # fmt: skip
        return {"question": text}
    if fault == "unanswerable":
        return {
            "question": "法国的首都巴黎有多少座博物馆？"
            if zh
            else "How many museums does the city of Paris in France have?"
        }
    text = (f"第 {i} 号渡轮每次载客 {p} 人，夏天每天开 {k} 班，它夏天每天可以载客多少人？" if zh else
            f"Ferry line {i} takes {p} passengers on each crossing and sails {k} times a day in summer. "
            "How many passengers can it take a day?")  # fmt: skip
    return {"question": text}
