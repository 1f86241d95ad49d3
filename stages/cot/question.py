"""The question of a worked solution: after its mark, or the paragraphs or the section before the solution.

Takes the layout of a document, its marks and patterns; returns ranges. A question asks or states a task; one without a
mark must do so in plain words.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from stages.cot.choices import labels
from stages.cot.detect import Mark
from stages.cot.layout import NO_HEADING, Layout
from stages.cot.patterns import Patterns
from stages.cot.segment import Range, sentences, trim

LOOK_BACK_CHARS = 1500  # of an unmarked question
AFTER_CHARS = 400  # at most, between the sentence that asks and the solution
LOOK_BACK = 3  # paragraphs before an unmarked question's solution
ITEM = re.compile(
    r"(?:\*\*|#{1,6}\s)?[(（\[]?(?:\d{1,3}|[一二三四五六七八九十]{1,3})(?:[.．、)）\]]|\s?[:：])(?!\d)"
)
SECTION_NUMBER = re.compile(r"(?:#{1,6}\s|\*\*|\s|[\d.]+[.、)]?|[一二三四五六七八九十]{1,3}、)+")
HANGING = re.compile(r"#{1,6}[\s\d.、)）]*$")  # the part of a heading before the mark in it
TITLE = re.compile(
    r"(?:[^*\n]{1,40}\*\*)?\s?(?:[（(][^（）()\n]{1,30}[）)]\s?){1,2}\n|[^*\n]{1,40}\*\*[ \t]*\n"
)  # what follows a mark of a question in its line: its title in bold type, its source
CALLOUT = re.compile(r"\n(?:>\s?)+\[![a-z]+\]")  # a quotation with a title
BLANKS = re.compile(
    r"[(（](?:[ \u3000~$]|\\q?quad){1,12}[)）]|（[)）]|(?<=[\u4e00-\u9fff])\(\)|"
    r"\u3000[ \u3000]+\u3000|_{3,}|\\(?:uline|underline)\{"
)
MAY_BLANK = re.compile(
    r"\([ \u3000~$\\)]|（[ \u3000~$\\)）]|\u3000[ \u3000]|___|\\u"
)  # found fast, begins each
CLOZE = re.compile(
    r"(?:[是为=＝]|等于|(?<![a-z])(?:is|are|equals|has|have|be))\s?\$?\s*[.．]?\s*$"
)  # a sentence without its end
PROVES = re.compile(r"证明|求证|prove|show that")
CLAIMS = re.compile(r"\W*(?:设|若|如果|任意|对任|对于任|if |let |for (?:all|any|every)|suppose|every )")
PARTS = re.compile(
    r"[\s#*_\d.、【\[]*(?:题目|输入|输出|样例|示例|例子|提示|数据|说明|约束|限制|背景|描述|前置知识|公司|标签|难度|时空|来源|"
    r"(?:input|output|sample|example|constraint|note|hint|follow|limit|description|difficult|tag|compan|prerequisite|"
    r"statement|format|topic|source)s?(?![a-z]{3}))"
)  # headings of what belongs to the question of a programming exercise
EXERCISE = re.compile(r"题目|题意|例题|典例|习题|试题|真题|考题|exercise|challenge|riddle|puzzle")
CHAT = re.compile(r"im_start|start|inst|user|human|prompt|用户|指令")
QUERY = re.compile(r"q(?![a-z])|question\s?[*_]*[:：]|问[:：]|提问|请问")
EXAMPLE = re.compile(r"(?:\w+ )?(?:example|sample)(?!s? problem)|note|abstract")


def has_blank(text: str, start: int = 0, end: int = sys.maxsize) -> bool:
    """Return whether a range leaves a blank to be filled in."""
    return bool(MAY_BLANK.search(text, start, end) and BLANKS.search(text, start, end))


class Question(NamedTuple):
    """A question, and what its mark, if it has one, is.

    is_numbered: it has a number. is_headed: it is a heading. is_claim: of a theorem. is_example: it may begin an
    example of anything, so that the question must ask. is_exercise: it is used for exercises only. is_turn: of a turn
    of a chat. is_query: of a question that may be of an exercise, a chat or a page of frequent questions.
    """

    start: int
    end: int
    is_marked: bool
    is_numbered: bool = False
    is_headed: bool = False
    is_claim: bool = False
    is_example: bool = False
    is_exercise: bool = False
    is_turn: bool = False
    is_query: bool = False

    @property
    def range(self) -> Range:
        """Return the range of its text."""
        return self.start, self.end


class Asker:
    """Finds questions in one document."""

    def __init__(self, text: str, layout: Layout, patterns: Patterns, max_chars: int) -> None:
        self.text, self.layout, self.patterns, self.max_chars = text, layout, patterns, max_chars
        self.known: dict[tuple[int, int, int], bool] = {}

    def asks(self, start: int, end: int) -> bool:
        """Return whether a text that its author marked as a question asks something or states a task."""
        text = self.text
        return bool(
            self.patterns.ask(text, start, end)
            or has_blank(text, start, end)
            or CLOZE.search(text[max(start, end - 16) : end])
            or labels(text, start, end)
        )

    def demands(self, start: int, end: int, n_last: int = 2) -> bool:
        """Return whether one of the last sentences of prose, or the first one, asks something in plain words."""
        key = (start, end, n_last)
        if key not in self.known:
            self.known[key] = self.find_demand(*key)
        return self.known[key]

    def find_demand(self, start: int, end: int, n_last: int) -> bool:
        """Return what `demands` returns, which keeps it."""
        if not self.patterns.hints.search(self.text, start, end):
            return False
        pieces = [piece for piece in sentences(self.text, start, end) if not self.layout.code_at(piece[0])]
        asked = [*pieces[:1], *pieces[1:][-n_last:]]
        return any(self.patterns.demand(self.text[a:b]) for a, b in asked)

    def defines(self, start: int, end: int) -> bool:
        """Return whether a text begins with the definition of a term, as articles do."""
        return bool(self.patterns.defines.match(self.text[start:end]))

    def clean(self, start: int, end: int) -> Range:
        """Return a range without rules, mark-up, headings and list signs at its ends."""
        first, last = self.layout.span(start, end)
        begin = start
        while first < last:
            begin, stop = self.layout.clipped(first, start, end)
            if begin < stop and not (self.layout.starts[first] == begin and self.is_furniture(first)):
                break
            first += 1
        while last - first > 1:
            part = self.layout.clipped(last - 1, start, end)
            if part[0] < part[1] and not self.is_idle(last - 1, *part):
                break
            last -= 1
        if first >= last:
            return end, end
        start, end = begin, self.layout.clipped(last - 1, start, end)[1]
        while start < end and self.text[start] in ">|":
            start, end = trim(self.text, start + 1, end)
        for sign in ("**", "__"):
            if self.text.endswith(sign, start, end) and self.text.count(sign, start, end) % 2:
                start, end = trim(self.text, start, end - 2)
        return start, end

    def is_idle(self, k: int, start: int, end: int) -> bool:
        """Return whether a line, or the part of it in a range, may be left out at the end of a question."""
        if self.layout.code_at(start) or self.text[start] == "$":
            return False
        if HANGING.match(self.text, start, end):
            return True
        if self.layout.level(k) < 7 and not self.patterns.demand(self.text[start:end]):
            return True
        is_short = end - start < 9 and not any(map(str.isalnum, self.text[start:end]))
        return is_short or self.is_furniture(k)

    def is_furniture(self, k: int) -> bool:
        """Return whether a line is a rule or mark-up without words."""
        return self.layout.is_rule(k) or self.layout.is_markup(k)

    def marked(self, mark: Mark, stop: int) -> Question:
        """Return the question after its mark, up to an offset."""
        callout = CALLOUT.search(self.text, mark.end, stop)
        start, end = self.clean(mark.end, callout.start() if callout else stop)
        title = TITLE.match(self.text, start, end)
        if title and trim(self.text, title.end(), end)[0] < end:
            start, end = self.clean(title.end(), end)
        word = self.text[mark.start : mark.end]
        number = any(map(str.isdecimal, word)) or any(
            char in "一二三四五六七八九十①②③④⑤" for char in word[1:4]
        )
        k = self.layout.at(mark.begin)
        headed = (
            k < len(self.layout) and self.layout.starts[k] == mark.begin and self.layout.level(k) < NO_HEADING
        )
        return Question(
            start,
            end,
            True,
            number,
            headed,
            mark.role == "claim",
            bool(EXAMPLE.match(word)),
            bool(EXERCISE.match(word)),
            bool(CHAT.match(word)),
            bool(QUERY.match(word)),
        )

    def before(
        self, limit: int, floor: int, is_claim: bool = False, has_plan: bool = False, is_exam: bool = False
    ) -> Question | None:
        """Return the unmarked question that ends at an offset, or None: a numbered item, a section, or a paragraph.

        Args: has_plan, whether a plan and a solution follow it, so that words that may ask suffice; is_exam,
        whether a mark in brackets, as in exams, follows it, so that a passage to be read may be a part of it.
        """
        low = max(floor, limit - LOOK_BACK_CHARS)
        layout = self.layout
        last = layout.at(limit) - (0 if self.starts_inside(limit) else 1)
        while (
            last >= 0
            and layout.starts[last] >= low
            and self.is_furniture(last)
            and layout.ends[last] <= limit
        ):
            last -= 1
        if last < 0 or layout.ends[last] <= low:
            return None
        if is_claim:
            return self.claim(last, limit, low)
        first, n_apart, n_after = last, 0, 0
        best: int | None = None
        inner: Question | None = None  # a part of an item, (1), which may begin further above
        for k in range(last, -1, -1):
            start, end = layout.range(k)
            if inner and (start < low or layout.is_apart(k + 1)):
                return inner
            if start < low:
                if end > floor and floor > start:
                    return self.checked(floor, limit, best)
                break
            code = layout.code_at(start)
            if code is None:
                if layout.is_rule(k):
                    break
                if layout.level(k) < NO_HEADING and not layout.is_option(k):
                    return self.section(k, first, limit, best)
                if not layout.is_option(k) and ITEM.match(self.text, start, end):
                    found = self.checked(start, limit, None)
                    if found and self.text[start] not in "(（":
                        return found
                    inner = found or inner
                is_stem = k < last and layout.is_option(k + 1) and not layout.is_option(k)
                if best is None and (
                    is_stem
                    or self.demands(start, min(end, limit), 1)
                    or (has_plan and self.asks(start, min(end, limit)))
                ):
                    best = start
                if best is None and inner is None and not layout.is_option(k):
                    n_after += end - start
                    if n_after > (LOOK_BACK_CHARS if is_exam else AFTER_CHARS):
                        return None
            first = k
            if best is not None and (layout.is_apart(k) or k == 0):
                return self.checked(start, limit, best if has_plan else None)
            if layout.is_apart(k) and not code and not layout.is_option(k):
                n_apart += 1
                if n_apart >= LOOK_BACK:
                    break
        return inner or (self.checked(best, limit, None) if best is not None else None)

    def claim(self, last: int, limit: int, low: int) -> Question | None:
        """Return the paragraph that ends in a line as a claim, if it is worded like one or is a numbered item."""
        first = last
        while first > 0 and not self.layout.is_apart(first) and self.layout.starts[first - 1] >= low:
            first -= 1
        begin = self.layout.starts[first]
        if self.layout.level(first) < NO_HEADING or self.layout.code_at(begin) or begin < low:
            return None
        start, end = self.clean(begin, limit)
        number = ITEM.match(self.text, start, end)
        if number is None and not (PROVES.search(self.text, start, end) or CLAIMS.match(self.text, start)):
            return None
        return Question(*trim(self.text, number.end() if number else start, end), False, number is not None)

    def starts_inside(self, limit: int) -> bool:
        """Return whether an offset is inside a line."""
        k = self.layout.at(limit)
        return k < len(self.layout) and self.layout.starts[k] < limit

    def section(self, k: int, first: int, limit: int, best: int | None) -> Question | None:
        """Return the section under heading k as a question if it asks, with the heading if that asks."""
        start, end = self.layout.range(k)
        words = SECTION_NUMBER.match(self.text, start, end)
        title = (words.end() if words else start), end
        heading_asks = title[0] < title[1] and bool(self.patterns.demand(self.text[title[0] : title[1]]))
        if heading_asks:
            return self.checked(title[0], limit, title[0])
        begin = self.layout.starts[first] if first > k else limit
        if begin >= limit or best is None:
            return None
        return self.checked(begin, limit, best)

    def checked(self, start: int, limit: int, asked: int | None) -> Question | None:
        """Return a range as an unmarked question if it asks and does not define; asked: an offset known to ask."""
        start, end = self.clean(start, limit)
        number = ITEM.match(self.text, start, end)
        if number:
            start, end = trim(self.text, number.end(), end)
        if start >= end or end - start > self.max_chars:
            return None
        if asked is None and not (
            self.demands(start, end)
            or labels(self.text, start, end)
            or (number and CLOZE.search(self.text, start, end))
        ):
            return None
        if self.defines(start, end) and not self.text[start:end].rstrip("*_ ").endswith(("?", "？")):
            return None
        return Question(start, end, False, number is not None)
