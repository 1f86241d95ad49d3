"""How far a solution extends: line by line, to its answer, or to a line at which something else begins.

Takes the layout of a document, its marks and patterns; returns offsets. Under a heading the author says where a
solution ends; without one it ends when paragraphs no longer argue or compute.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from stages.cot.answer import last_value
from stages.cot.detect import Mark
from stages.cot.layout import NO_HEADING, Layout
from stages.cot.patterns import Patterns
from stages.cot.question import SECTION_NUMBER, Question
from stages.cot.segment import sentences
from stages.cot.template import Config

NEXT_PART_CHARS = 1500  # at most, between two parts of a solution that have marks
ENDINGS = ("question", "hint", "end", "open", "close")  # roles of marks at which something else begins
SOLVES = ("solution", "explanation", "answer")  # roles of marks before which an exercise may stand
LOOK_AHEAD = 2  # consecutive plain lines that a solution may contain
LATER_ANSWER_CHARS = 120  # between a sentence that names the answer and the line that states it
NUMBER = re.compile(r"(#{1,6}\s|\*\*|)([(（\[]?)(\d{1,3})([.．、)）\]]|\s?[:：])(?!\d)")
BARE_NUMBER = re.compile(r"(?:#{1,6}\s|[*_]{2})?[(（]?\d{1,3}[.．、)）]?[*_]{0,2}$")
ENDS = re.compile(r"[。．.！!?？）)\]$}]\W{0,3}$")
LINKS = re.compile(
    r"又|再|同理|类似|另|若|当|则|即|其次|接着|然后|最后|考虑|得|有|由|代入|下面|接下来|then|now|next|similarly|finally|also|but|if|when|case|"
    r"for |the (?:solution|answer|result)|"
    r"(?:divide|multiply|subtract|add|substitut|solv|simplif|combin|factor|tak|evaluat|apply|replac|set|plug|convert)\w*\s|"
    r"(?:us|find|check|writ)\w*\s"
)
CONCLUDING = re.compile(r"所以|因此|故|综上|答案|therefore|hence|thus|(?<![a-z])answer(?![a-z])")


class Extent(NamedTuple):
    """end: of the text of the solution. stop: offset at which parsing continues. answer: the mark of its answer."""

    end: int
    stop: int
    answer: Mark | None


class Walker:
    """Walks through solutions of one document."""

    def __init__(
        self, text: str, layout: Layout, marks: Sequence[Mark], patterns: Patterns, config: Config
    ) -> None:
        self.text, self.layout, self.marks, self.patterns, self.config = text, layout, marks, patterns, config
        self.mark_at = {mark.begin: mark for mark in marks}

    def walk(self, begin: int, i: int, level: int, question: Question, has_answer: bool) -> Extent:
        """Return the extent of the solution from an offset.

        Args: i, the mark that begins it; level, of its heading; has_answer, whether its answer stands before it.
        """
        ahead, ending, stop = self.marks_ahead(begin, i)
        answers = (
            []
            if has_answer
            else [m for m in ahead if m.role in ("answer", "result") and begin < m.begin < stop]
        )
        number, end, n_plain, n_lines = self.number(question), begin, 0, 0
        own = self.layout.at(self.marks[i].begin)
        indent = self.layout.indent(own) if own < len(self.layout) and self.layout.is_admonition(own) else -1
        level = 1 if indent >= 0 else level
        counted = 0
        bound = self.bound(self.marks[i], ahead, begin, ending)
        skip_to = begin
        for k, first, last in self.layout.within(begin, stop):
            if first < skip_to:
                continue
            code = self.layout.code_at(first)
            if indent >= 0 and first == self.layout.starts[k] and k > own and self.layout.indent(k) <= indent:
                break
            if code:
                skip_to = code[1]
                if self.marks[i].role == "proof" and n_lines:
                    break
                if n_lines == 0 and level == NO_HEADING and not self.goes_on(code[1], stop):
                    break
                end = min(max(end, code[1]), len(self.text))
                n_plain = 0
                continue
            if (n_lines or end > begin) and self.ends_at(k, first, level, end > begin):
                break
            if not n_lines and (self.layout.is_rule(k) or self.layout.is_markup(k)):
                continue
            item = NUMBER.match(self.text, first, last)
            if item:
                value = int(item.group(3))
                counted = max(counted, value) if value in (1, counted + 1) else counted
                if number and counted < value == number[1] + 1 and (item.group(1, 2, 4) == number[0]):
                    break
            named = [m for m in answers if first <= m.begin < last or (m.begin == first)]
            chosen = self.chosen(named, answers, k, first)
            if chosen and level < 7 and not self.layout.starts_line(chosen.begin):
                chosen = None
            if chosen:
                line_end = (
                    self.layout.ends[self.layout.at(chosen.end)] if chosen.role != "result" else chosen.end
                )
                if (chosen.begin > begin and n_lines) or chosen.begin > first:
                    return Extent(
                        self.before(begin, chosen.begin),
                        min(line_end, stop) if stop > chosen.end else chosen.end,
                        chosen,
                    )
            tells = (
                level < 7
                or first < bound
                or (n_lines > 0 and end == self.layout.ends[k - 1] and self.layout.announces(k - 1))
                or (self.tells(k, first, last, n_lines > 0) and self.continues(k, first, end, n_lines > 0))
            )
            n_plain = 0 if tells else n_plain + 1
            if n_lines and n_plain > LOOK_AHEAD:
                break
            n_lines += 1
            if self.completes(first, end) or ((tells or n_lines == 1) and not self.layout.is_markup(k)):
                end = last
            if self.marks[i].role == "proof" and self.patterns.finishes.search(
                self.text, max(first, last - 12), last
            ):
                break
        return Extent(end, end, None)

    def marks_ahead(self, begin: int, i: int) -> tuple[list[Mark], Mark | None, int]:
        """Return the marks after mark i that a solution from an offset may have, the one that ends it, and its end."""
        stop = min(len(self.text), begin + self.config.max_solution_chars)
        ahead: list[Mark] = []
        ending = None
        for k in range(i + 1, len(self.marks)):
            mark = self.marks[k]
            if mark.begin >= stop:
                break
            ahead.append(mark)
            if mark.begin >= begin and mark.role in ENDINGS:
                ending, stop = mark, mark.begin
                break
            is_next = mark.role == self.marks[i].role == "proof" and self.layout.starts_line(mark.begin)
            if mark.begin > begin and is_next:
                ending, stop = mark, mark.begin
                break
            if mark.begin > begin and mark.role in SOLVES and (task := self.task_before(mark, begin, i, k)):
                ending, stop = mark, task
                break
        return ahead, ending, stop

    def bound(self, asked: Mark, ahead: Sequence[Mark], begin: int, ending: Mark | None) -> int:
        """Return the offset up to which the marks say that all text is of the solution; begin if they do not."""
        if ending is not None and ending.role in ("end", "close"):
            return ending.begin
        if ending is not None and ending.role == asked.role == "question":
            words = (self.text[mark.start : mark.end].strip("*_ :：") for mark in (asked, ending))
            if len(set(words)) == 1:  # a list of questions with their answers
                return ending.begin
        last = begin
        for mark in ahead:
            if mark.begin - last > NEXT_PART_CHARS or (ending is not None and mark.begin >= ending.begin):
                break
            last = mark.begin if mark.role in ("solution", "proof", "step") and mark.begin > begin else last
        return last

    def task_before(self, mark: Mark, begin: int, i: int, k: int) -> int | None:
        """Return where the next exercise begins if mark k begins its solution: the line before the mark asks."""
        if not self.layout.starts_line(mark.begin) or (self.marks[i].role == "explanation" and k == i + 1):
            return None
        last = self.layout.at(mark.begin) - 1
        while last >= 0 and self.layout.starts[last] > begin and self.layout.is_option(last):
            last -= 1
        if last < 0 or self.layout.starts[last] <= begin or self.layout.code_at(self.layout.starts[last]):
            return None
        line = self.text[slice(*self.layout.range(last))]
        asks = self.patterns.demand(line)
        if asks is None or (asks.start() and not line.endswith(("?", "？"))):
            return None
        before = self.layout.starts[last - 1] if last else begin
        bare = before > begin and BARE_NUMBER.match(self.text, *self.layout.range(last - 1))
        return before if bare else self.layout.starts[last]

    def before(self, start: int, place: int) -> int:
        """Return the offset before a mark and its decorations."""
        while place > start and (self.text[place - 1].isspace() or self.text[place - 1] in "*_#>`【[（("):
            place -= 1
        return place

    def goes_on(self, place: int, stop: int) -> bool:
        """Return whether text follows code soon."""
        k = self.layout.at(place)
        return k < len(self.layout) and self.layout.starts[k] < stop

    def chosen(self, named: Sequence[Mark], answers: Sequence[Mark], k: int, first: int) -> Mark | None:
        """Return the mark in line k that states the answer: it begins the line, or nothing of the solution follows."""
        if not named:
            return None
        mark = named[-1]
        later = [m for m in answers if m.begin > mark.begin and m.begin - mark.end < LATER_ANSWER_CHARS]
        if any(self.layout.starts_line(m.begin) for m in later):
            return None
        if mark.role == "result" or self.layout.starts_line(mark.begin):
            return mark
        is_last = k + 1 >= len(self.layout) or self.layout.is_apart(k + 1) or self.is_boundary(k + 1)
        return mark if is_last else None

    def is_boundary(self, k: int) -> bool:
        """Return whether something else begins at line k."""
        mark = self.mark_at.get(self.layout.starts[k])
        return (
            (mark is not None and mark.role in ("question", "claim", "end", "answer"))
            or self.layout.is_rule(k)
            or self.layout.level(k) < 7
            or self.layout.closes(k)
        )

    def ends_at(self, k: int, first: int, level: int, has_text: bool) -> bool:
        """Return whether line k ends a solution under a heading of this level, or without one."""
        if first != self.layout.starts[k]:
            return False
        if self.layout.is_rule(k):
            return has_text
        if self.layout.closes(k):
            return has_text
        mark = self.mark_at.get(first)
        if mark is not None and mark.role in ("claim", "end"):
            return True
        own = self.layout.level(k)
        if own == NO_HEADING or (own == 7 and level < 7):
            return False
        if mark is not None and mark.role not in ("question", "claim", "end"):
            return False
        if own > level and level < NO_HEADING:
            return False
        start, end = self.layout.range(k)
        words = SECTION_NUMBER.match(self.text, start, end)
        title = words.end() if words else start
        if own == level or level == NO_HEADING:
            return not (has_text and self.patterns.resumes.match(self.text, title, end))
        return True

    def tells(self, k: int, first: int, last: int, inside: bool) -> bool:
        """Return whether a line belongs to a solution: it argues or computes, or occurs in a paragraph that does."""
        patterns = self.patterns
        if patterns.argues.search(self.text, first, last) or patterns.computes.search(self.text, first, last):
            return True
        if any(number.match(self.text, first, last) for number in patterns.numbers):
            return True
        if not inside or not self.layout.is_apart(k):
            return True
        return self.text[first] in "$\\" or (
            bool(patterns.finishes.search(self.text, first, last)) and last - first < 20
        )

    def continues(self, k: int, first: int, end: int, inside: bool) -> bool:
        """Return whether a paragraph goes on with the argument before it, which may have come to its end."""
        if not inside or not self.layout.is_apart(k):
            return True
        before = self.text[max(0, end - 9) : end]
        if self.settled(end):
            return False
        if not ENDS.search(before) or not self.concluded(end):
            return True
        if self.patterns.concludes.match(self.text, first) or self.patterns.starts.match(self.text, first):
            return True
        return (
            self.text[first] in "$\\(（①②③④⑤"
            or bool(NUMBER.match(self.text, first))
            or bool(LINKS.match(self.text, first))
        )

    def completes(self, first: int, end: int) -> bool:
        """Return whether a line is a picture of a formula after a sentence that has no end."""
        return self.text.startswith("![", first) and not ENDS.search(self.text[max(0, end - 9) : end])

    def settled(self, end: int) -> bool:
        """Return whether the line that ends at an offset names the answer."""
        return bool(
            self.patterns.settles.search(
                self.text, max(self.layout.starts[self.layout.at(end - 1)], end - 60), end
            )
        )

    def concluded(self, end: int) -> bool:
        """Return whether the line that ends at an offset draws a conclusion or ends in a value."""
        start = self.layout.starts[self.layout.at(end - 1)]
        last = sentences(self.text, start, end)[-1]
        return bool(
            CONCLUDING.search(self.text, *last)
            or self.patterns.settles.search(self.text, *last)
            or last_value(self.text, *last)
        )

    def number(self, question: Question) -> tuple[tuple[str, ...], int] | None:
        """Return style and number of the item that a question is, or None."""
        k = self.layout.at(question.start)
        if k >= len(self.layout):
            return None
        match = NUMBER.match(self.text, *self.layout.range(k))
        if match is None and k and not self.layout.is_apart(k):
            match = NUMBER.match(self.text, *self.layout.range(k - 1))
        return (match.group(1, 2, 4), int(match.group(3))) if match else None
