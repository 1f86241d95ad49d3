"""Questions that no mark begins, and the text below them: headings, items and paragraphs that ask.

Takes a text in match characters and its layout; returns pairs of a question and the text below it, up to where
something else begins. Most headings that ask are questions for an explanation, so a pair counts only if the question
states a problem (an amount, a proof, a choice) and the text argues or computes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stages.cot.layout import NO_HEADING, Layout
from stages.cot.patterns import Patterns
from stages.cot.question import PARTS, SECTION_NUMBER, has_blank
from stages.cot.segment import Range, trim
from stages.kernels.patterns.furniture import match_lines
from stages.kernels.text.tables import load_tables

BOLD_TEXT = re.compile(r"(?:\*\*|__)(?=\S).{12,800}(?:\*\*|__)\W{0,3}$")
ITEM = re.compile(r"[-*+]?\s?[(（\[]?(\d{1,3})[.．、)）\]](?!\d)\s*")
ASKED = re.compile(r"[?？][\s\"”'’」』）)\]*_`~]{0,8}(?:\([^()\s]{8,200}\)[\s*_]{0,4})?$")
LINKED = re.compile(r"\[([^\[\]\n]{4,300})\]\([^()\n]{4,300}\)")
TERM = re.compile(
    r"什么是|是什么|有哪些|区别|什么关系|如何理解|怎么理解|介绍|优缺点|作用|原理|概念|特点|怎么办|哪些方面|"
    r"是(?:如何|怎么|怎样)|有[啥什]么?用|意义|怎么看|看待|"
    r"(?<![a-z])(?:difference|purpose of|who |where |advantages?|how (?:do|should|can) (?:i|you)|can i|should i)"
    r"(?![a-z])"
)  # what asks for an explanation
AMOUNT = re.compile(
    r"多少|几[个种次条步人天米元倍]|概率|求(?!助|职|救)|证明|最[大小多少短长高低快][^\n]{0,12}(?:数|值|和|路|解|距离|时间)?|计算(?!机)|"
    r"给定|给你|下列|之和|期望|"
    r"(?<![a-z])(?:how (?:many|much|long|far|fast|old)|probability|chances?|odds|prove|show that|"
    r"compute|given an?|suppose|minimum|maximum|expected|at least|at most|which of|evaluate|running time|such that)"
    r"(?![a-z])"
)  # what states a problem
NUMBERED = re.compile(
    r"\W*(?:\d{1,3}[.-]\d|(?:练习|习题|例题|题|exercise|problem|question)s?\s?\W{0,2}[\d一二三四五六七八九十])"
)
WANTS = re.compile(
    r"求|找出|返回|实现|输出|编写|写一|计算(?!机)|设计|(?<![a-z])(?:find|return|determine|count|write|implement|compute|check|print)(?![a-z])"
)
HAS_VALUE = re.compile(r"[\d$]")
TASK = re.compile(
    r"[^\u4e00-\u9fffa-z]{0,8}(?:请你?|试)?(?:给[定你出]|求(?!解|得|助|职|和)|证明|计算|编写|设计|实现|判断|找出|写出|写一|输入|已知|设|"
    r"有[\sn\d一两三]|假设有|现有|一个|在一|统计|定义|输出|任意|对于给定)|"
    r"(?:\W|\d){0,8}(?:please )?(?:given|you(?: are|['’]re) given|find|compute|prove|show|write|implement|design|"
    r"determine|consider|suppose|let|there (?:is|are)|for (?:a|any|each|every) |calculate|evaluate|solve|express|"
    r"imagine|you have|we have|construct|return|a |an |in an? )(?![a-z])"
)
DEFINES = re.compile(
    r"\*\*[^*\n（(]{2,30}[（(][^*\n]{2,60}\*\*\s?[：:]"
)  # a term with its name in another language
ADDRESS = re.compile(r"\([^()\s]{8,}\)|https?:\S+")
SENTENCE = re.compile(r"[^\n。.!?！？；;]+(?:[。!?！？；;]|\.(?=\s|$)|\n|$|\.)")
BREAK = re.compile(r"<(?:br|hr)\s?/?>|&nbsp;$")
MAX_BODY_CHARS = 4000
MIN_BODY_CHARS = 12
MIN_ASKED_CHARS = 20
MANY = 2  # signs of a problem, or equations, where one does not suffice
LISTED_SHARE = 0.7  # of lines, from which on a text is a list
LISTED = re.compile(r"[-*+•]\s|\d{1,2}[.、)]\s")
MAX_QUESTION_CHARS = 1500
MAX_TASK_CHARS = 600
KINDS = ("heading", "bold", "item", "quote", "link", "task")


def find_problems(codes: np.ndarray, starts: np.ndarray, asking: np.ndarray) -> dict[int, list[int]]:
    """Return the lines that may begin a question about a problem, by text, as offsets in it.

    No text is read for these lines alone if none of them states a task or an amount.

    Args: codes, uint32 (n_codes,); starts, int64 (n_docs + 1,); asking, int64 (n_asking, 4), of `scan.Lines`.
    """
    problems: dict[int, list[int]] = {}
    texts = match_lines(codes, load_tables().fold, asking[:, 1:]).tobytes().decode("utf-32-le")
    stops = np.cumsum(asking[:, 3] - asking[:, 2]).tolist()
    begins_at_line = (starts[asking[:, 0]] + asking[:, 1] == asking[:, 2]).tolist()
    columns = (asking[:, 0].tolist(), asking[:, 1].tolist(), begins_at_line, [0, *stops], stops)
    for doc, place, is_line, start, stop in zip(*columns, strict=False):
        if _may_state(texts[start:stop], is_line):
            problems.setdefault(doc, []).append(place)
    return problems


def _may_state(text: str, is_line: bool) -> bool:
    """Whether a heading, item, link or quotation may state a problem; is_line: no line before it is in the text."""
    if text.startswith("["):
        link = LINKED.match(text)
        if link and TASK.match(text, link.start(1)):
            return True
    elif TASK.match(text) or NUMBERED.match(text):
        return True
    if is_line and (text[0].isalpha() or (text[0] == "[" and not ITEM.match(text))):
        text = text.splitlines()[0]  # it is no item, so that no further line belongs to it
    return AMOUNT.search(text) is not None


class Section(NamedTuple):
    """A question and the text below it. kind: one of KINDS. level: of its heading; NO_HEADING without one."""

    kind: str
    question: Range
    body: Range
    level: int


class Reader:
    """Finds sections in one document."""

    def __init__(self, text: str, layout: Layout, patterns: Patterns) -> None:
        self.text, self.layout, self.patterns = text, layout, patterns
        self.known: dict[int, int] = {}
        self.quoted_to = 0  # the line after the last quotation that was read

    def level(self, k: int) -> int:
        """Return the level of a heading; NO_HEADING for another line and in code."""
        if k not in self.known:
            in_code = self.layout.code_at(self.layout.starts[k]) is not None
            self.known[k] = NO_HEADING if in_code else self.layout.level(k)
        return self.known[k]

    def read(self, places: Iterable[int]) -> Iterator[Section]:
        """Yield the sections whose questions begin with, or contain, one of the lines at offsets, in order."""
        seen = -1
        for place in places:
            k = self.layout.at(place)
            if k <= seen or k >= len(self.layout) or self.layout.code_at(place):
                continue
            seen = k
            yield from self.begun(k)

    def begun(self, k: int) -> Iterator[Section]:
        """Yield the section whose question begins with line k, or with the quotation that it is a part of."""
        start, end = self.layout.range(k)
        level, first = self.level(k), self.text[start]
        if level < 7:
            if ASKED.search(self.text, start, end):
                yield from self.asked("heading", k, k + 1, level, self.section_end(k + 1, level))
        elif first in "*_" and BOLD_TEXT.match(self.text, start, end):
            yield from self.asked("bold", k, k + 1, 7, self.bold_end(k))
        elif first == ">":
            if k < self.quoted_to:
                return
            while k and self.text[self.layout.starts[k - 1]] == ">":
                k -= 1
            yield from self.quoted(k)
        elif first == "[" and k and self.level(k - 1) < 7:
            level = self.level(k - 1)
            yield from self.linked(k, self.section_end(k, level), level)
        elif k and self.level(k - 1) < 7 and TASK.match(self.text, start):
            yield from self.stated(k)
        elif item := ITEM.match(self.text, start, end):
            yield from self.numbered(k, int(item.group(1)), item.end())

    def asked(self, kind: str, first: int, last: int, level: int, stop: int) -> Iterator[Section]:
        """Yield the section whose question is lines first to last, if these ask, and whose body ends before stop."""
        start, end = self.layout.starts[first], self.layout.ends[last - 1]
        words = SECTION_NUMBER.match(self.text, start, end)
        start = words.end() if words else start
        if start < end and ASKED.search(self.text, start, end):
            yield from self.section(kind, (start, end), last, stop, level)

    def section(self, kind: str, question: Range, first: int, stop: int, level: int) -> Iterator[Section]:
        """Yield a section unless a part of it is empty or too long."""
        layout = self.layout
        while first < stop and (layout.is_markup(first) or layout.is_rule(first)):
            first += 1
        last = first
        while last < stop and layout.is_checkbox(last):
            last += 1
        if any(layout.is_checkbox(k) for k in range(last, stop)):
            return  # choices between which something else stands are no solution
        if last > first:
            question, first = (question[0], layout.ends[last - 1]), last
        while stop > first and (layout.is_rule(stop - 1) or BREAK.match(self.text, *layout.range(stop - 1))):
            stop -= 1
        if first >= stop or question[1] - question[0] > MAX_QUESTION_CHARS:
            return
        body = trim(self.text, layout.starts[first], layout.ends[stop - 1])
        found = Section(kind, question, body, level)
        if MIN_BODY_CHARS <= body[1] - body[0] <= MAX_BODY_CHARS and self.counts(found):
            yield found

    def section_end(self, k: int, level: int) -> int:
        """Return the line from k on that begins another section of this level or a higher one, or is too far."""
        if k >= len(self.layout):
            return k
        last = self.layout.starts[k] + MAX_BODY_CHARS
        for n in range(bisect_left(self.breaks, k), len(self.breaks)):
            after = self.breaks[n]
            if self.layout.starts[after] > last:
                return after
            if self.level(after) <= min(level, 6) or (level >= 6 and self.layout.is_rule(after)):
                return after
        return len(self.layout)

    @cached_property
    def breaks(self) -> list[int]:
        """Return the lines that may be headings or rules, by their first character or that of the line after them."""
        text, starts = self.text, self.layout.starts
        first = [text[start] for start in starts]
        return [
            k
            for k, char in enumerate(first)
            if char in "#\\>-*_=" or (k + 1 < len(first) and first[k + 1] in "=-")
        ]

    def bold_end(self, k: int) -> int:
        """Return the line at which the answer to a question in bold type ends."""
        for after in range(k + 1, len(self.layout)):
            start, end = self.layout.range(after)
            if self.layout.code_at(start):
                continue
            if self.level(after) < 7 or self.layout.is_rule(after) or BREAK.match(self.text, start, end):
                return after
            if self.text[start] in "*_" and BOLD_TEXT.match(self.text, start, end):
                return after
        return len(self.layout)

    def numbered(self, k: int, number: int, begin: int) -> Iterator[Section]:
        """Yield the section of a numbered item whose first paragraph ends in a question mark."""
        layout = self.layout
        last = k + 1
        while (
            last < len(layout)
            and not layout.is_apart(last)
            and not ASKED.search(self.text, *layout.range(last - 1))
        ):
            if self.level(last) < NO_HEADING or layout.code_at(layout.starts[last]) or last - k > 8:
                return
            last += 1
        if not ASKED.search(self.text, begin, layout.ends[last - 1]):
            return
        stop = last
        while stop < len(layout):
            start, end = layout.range(stop)
            if start > layout.ends[last - 1] + MAX_BODY_CHARS:
                return
            if not layout.code_at(start):
                item = ITEM.match(self.text, start, end)
                is_next = item is not None and (
                    int(item.group(1)) == number + 1
                    or (int(item.group(1)) == number and layout.indent(stop) == layout.indent(k))
                )  # Markdown counts by itself, so that all items may have the number 1
                if self.level(stop) < 7 or layout.is_rule(stop) or is_next:
                    break
            stop += 1
        yield from self.section("item", (begin, layout.ends[last - 1]), last, stop, NO_HEADING)

    def stated(self, k: int) -> Iterator[Section]:
        """Yield the section below a heading whose first paragraph states a task, if its solution has code."""
        last = k + 1
        while last < len(self.layout) and not self.layout.is_apart(last) and self.level(last) == NO_HEADING:
            if self.layout.code_at(self.layout.starts[last]):
                break
            last += 1
        stop = self.section_end(last, 6)
        start, end = self.layout.starts[k], self.layout.ends[last - 1]
        if end - start <= MAX_TASK_CHARS and WANTS.search(self.text, start, end) and self.demands(start, end):
            lines = (self.layout.range(k) for k in range(last, stop))
            if not any(PARTS.match(self.text, *line) for line in lines):  # else the statement goes on
                yield from self.section("task", (start, end), last, stop, self.level(k - 1))

    def quoted(self, k: int) -> Iterator[Section]:
        """Yield the section of a quotation that asks: the text after it."""
        last = k
        while last < len(self.layout) and self.text[self.layout.starts[last]] == ">":
            last += 1
        stop = self.quoted_to = last
        while stop < len(self.layout) and self.level(stop) == NO_HEADING:
            if self.text[self.layout.starts[stop]] == ">" or self.layout.is_rule(stop):
                break
            stop += 1
        start, end = self.layout.starts[k], self.layout.ends[last - 1]
        while start < end and self.text[start] in "> ":
            start += 1
        if start < end and self.text[start] != "[" and self.demands(start, end):
            yield from self.section("quote", (start, end), last, stop, self.level(k - 1) if k else NO_HEADING)

    def linked(self, k: int, stop: int, level: int) -> Iterator[Section]:
        """Yield the section that begins with a task that is a link to its source."""
        if k >= stop:
            return
        start, end = self.layout.range(k)
        link = LINKED.match(self.text, start, end)
        if (
            link
            and TASK.match(self.text, link.start(1))
            and not any(map(str.isalnum, self.text[link.end() : end]))
        ):
            yield from self.section("link", link.span(1), k + 1, stop, level)

    def counts(self, section: Section) -> bool:
        """Return whether a section is a problem with its solution."""
        asked = self.text[slice(*section.question)]
        signs = len(set(AMOUNT.findall(asked)))
        if TERM.search(asked) or DEFINES.match(asked):
            return False
        lines = [(a, b) for _, a, b in self.layout.within(*section.body)]
        prose = [(a, b) for a, b in lines if not self.layout.code_at(a)]
        patterns = self.patterns
        n_arguing = sum(len(patterns.argues.findall(self.text, a, b)) for a, b in prose)
        n_computing = sum(len(patterns.computes.findall(self.text, a, b)) for a, b in prose)
        if section.kind in ("link", "task"):
            has_plan = (
                sum(len(set(patterns.plans.findall(self.text, a, b))) for a, b in prose) + n_arguing >= MANY
            )
            return has_plan and len(prose) < len(lines)
        if section.kind == "quote":
            is_exercise = section.level < NO_HEADING and bool(
                NUMBERED.match(self.line_before(section.question[0]))
            )
            if not is_exercise and not (
                signs and (TASK.match(asked) or ASKED.search(asked)) and HAS_VALUE.search(asked)
            ):
                return False
            n_planning = sum(len(set(patterns.plans.findall(self.text, a, b))) for a, b in prose)
            return n_arguing + n_computing + (n_planning if is_exercise else 0) >= MANY
        if not signs or (len(asked) < MIN_ASKED_CHARS and not HAS_VALUE.search(asked)):
            return False
        if signs < MANY and n_computing < MANY and not HAS_VALUE.search(asked):
            return False
        n_listed = sum(bool(LISTED.match(self.text, a)) for a, _ in prose)
        if not n_computing and n_listed > LISTED_SHARE * len(prose) and len(prose) > MANY:
            return False
        return n_arguing + n_computing > 0

    def line_before(self, place: int) -> str:
        """Return the line before an offset."""
        k = self.layout.at(place) - 1
        return self.text[slice(*self.layout.range(k))] if k >= 0 else ""

    def demands(self, start: int, end: int) -> bool:
        """Return whether a text ends in a question or states a task in plain words."""
        text = ADDRESS.sub("", self.text[start:end])
        if ASKED.search(text) or has_blank(text):
            return True
        return any(self.patterns.demand(sentence) for sentence in SENTENCE.findall(text))
