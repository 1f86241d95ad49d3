"""Lines of one document and what each is: heading, code, rule, option, mark-up, quotation.

Takes a text in match characters and its lines, which `stages.cot.scan` found; a line is read when it is asked for.
All offsets are code points of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import numpy as np

from stages.cot.segment import Range, trim

NO_HEADING = 9

HEADING = re.compile(r"(?:>\s?)*(#{1,6})\s|(?:>\s?)*\\((?:sub){0,2}section|chapter|paragraph)\*?\{")
BOLD = re.compile(r"(?:\*\*|__)[^*_\n]{1,80}(?:\*\*|__)[:：]?$")
RULE = re.compile(r"#?(?:[-*_=]\s?){3,}#?$")
COMMENT = re.compile(r"<!--.*-->$")
OPTION = re.compile(
    r"(?:[-*+]\s+)?(?:[(（\[]?[a-h①-⑥][)）\]]?\s?[.．、:：)）]|[(（][a-h①-⑥x √✓]?[)）]\s|\[[ x]\]\s)|[-*+]\s+`|"
    r"[*_#\s]{0,5}(?:选项|options|choices)\s?[*_]{0,2}[:：]?[*_]{0,2}$",
    re.I,
)
CHECKBOX = re.compile(r"(?:>\s?)*[-*+]\s+\[[ x√✓]?\]\s")
TAG = re.compile(
    r"</?[a-z][^<>\n]*>|^:[a-z_]+:(?:`[^`]*`)?|<!--.*?-->|\{[%{<][^{}\n]*[%}>]\}|`r [a-z]+\(\)`|:{3,}.*|"
    r"!\[[^\]\n]*\]\([^)\n]*\)"
)
LABEL = re.compile(
    r".{0,12}(?:点击|展开|查看|显示|答案|解答|解析|提示|show|reveal|click|hint|solutions?|answers?|explanation).{0,12}$"
)
FENCES = ("```", "~~~", "<pre")
FRONT_LINES = 200  # at most, of metadata
MARKUP_CHARS = 400
TITLE_CHARS = 80
FOLD = re.compile(
    r"(?:>\s?)*(?:<(?:details|blockquote|summary)\b|\{%-?\s*(?:hint|fold|spoiler|details|cut)|"
    r":{3,}\s?\w|\?\?\?\+?\s|`r [a-z]*begin)"
)
CLOSING = re.compile(
    r"(?:>\s?)*(?:</(?:details|blockquote|div|section|article)>|\{%-?\s*end|:{3,}$|`r end[a-z]*\(\)|\\end\{document\})"
)
LEVELS = {"chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5}


class Layout:
    """The lines of a text; a line is named by its index."""

    def __init__(self, text: str, lines: np.ndarray, fences: Iterable[int]) -> None:
        """Args: lines, int32 (n_lines, 4), of `scan.Lines`; fences, lines that may open or close code, ascending."""
        self.text = text
        self.starts, self.ends, self.breaks = (lines[:, column].tolist() for column in range(3))
        self.code = _code_lines(text, self.starts, self.ends, fences)
        self.code_starts = [start for start, _ in self.code]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, place: int) -> int:
        """Return the index of the line at an offset, or of the first one after it."""
        k = bisect_right(self.starts, place) - 1
        return k if k >= 0 and place < self.ends[k] else k + 1

    def range(self, k: int) -> Range:
        """Return the range of a line."""
        return self.starts[k], self.ends[k]

    def starts_line(self, place: int) -> bool:
        """Return whether a line begins at an offset."""
        k = bisect_right(self.starts, place) - 1
        return k >= 0 and self.starts[k] == place

    def is_apart(self, k: int) -> bool:
        """Return whether an empty line precedes line k."""
        return self.breaks[k] > 1

    def code_at(self, place: int) -> Range | None:
        """Return the range of the code at an offset, with its fences, or None."""
        k = bisect_right(self.code_starts, place) - 1
        return self.code[k] if k >= 0 and place < self.code[k][1] else None

    def front_matter(self) -> int:
        """Return the end of the metadata between two lines of hyphens with which a text begins; 0 if it has none."""
        if not self.starts or self.starts[0] or not self.text.startswith("---"):
            return 0
        for k in range(1, min(len(self.starts), FRONT_LINES)):
            if self.text[self.starts[k] : self.ends[k]] == "---":
                return self.ends[k]
        return 0

    def level(self, k: int) -> int:
        """Return the level of a heading, 1 to 6, 7 for a line in bold type, NO_HEADING for another line."""
        start, end = self.range(k)
        first = self.text[start]
        if first in "#>\\":
            match = HEADING.match(self.text, start, end)
            if match:
                return len(match.group(1)) if match.group(1) else LEVELS[match.group(2)]
        elif (
            k + 1 < len(self.starts)
            and self.breaks[k + 1] == 1
            and self.text[self.starts[k + 1]] in "=-"
            and self.is_rule(k + 1)
        ):
            return 2 if end - start < TITLE_CHARS else NO_HEADING
        elif first in "*_" and BOLD.match(self.text, start, end):
            return 7
        return NO_HEADING

    def announces(self, k: int) -> bool:
        """Return whether a line ends in a colon, so that what follows belongs to it."""
        return k >= 0 and self.text[self.ends[k] - 1] in ":："

    def is_rule(self, k: int) -> bool:
        """Return whether a line is a horizontal rule."""
        return self.text[self.starts[k]] in "-*_=#" and bool(RULE.match(self.text, *self.range(k)))

    def is_option(self, k: int) -> bool:
        """Return whether a line is a choice of a multiple-choice question, or the title of its choices."""
        return bool(OPTION.match(self.text, *self.range(k)))

    def is_checkbox(self, k: int) -> bool:
        """Return whether a line is a choice with a box to tick."""
        return bool(CHECKBOX.match(self.text, *self.range(k)))

    def is_markup(self, k: int) -> bool:
        """Return whether a line has no words of its own: tags, macros, images, a label of a folded part."""
        start, end = self.range(k)
        if self.text[start] not in "<>{`:!?":
            return False
        if self.is_admonition(k):
            return True
        if self.text[start] == "?" or end - start > MARKUP_CHARS:
            return False
        words = TAG.sub(" ", self.text[start:end]).strip("> \t")
        return not words or (words != self.text[start:end] and bool(LABEL.match(words)))

    def indent(self, k: int) -> int:
        """Return the number of characters before the text of a line."""
        start = self.starts[k]
        return start - 1 - self.text.rfind("\n", 0, start)

    def is_admonition(self, k: int) -> bool:
        """Return whether a line begins an admonition of MkDocs, whose text is indented."""
        return self.text.startswith(("??? ", "???+", "!!! "), self.starts[k])

    def opens_fold(self, k: int) -> bool:
        """Return whether a folded or quoted part begins at a line."""
        return self.text[self.starts[k]] in "<>{:?`" and bool(FOLD.match(self.text, *self.range(k)))

    def closes(self, k: int) -> bool:
        """Return whether a line closes a folded part or an environment."""
        return self.text[self.starts[k]] in "<>{:`\\" and bool(CLOSING.match(self.text, *self.range(k)))

    def span(self, start: int, stop: int) -> Range:
        """Return the indices of the first line in a range and of the one after the last."""
        return self.at(start), bisect_left(self.starts, stop)

    def clipped(self, k: int, start: int, stop: int) -> Range:
        """Return the part of a line that is in a range, without blanks at its ends; it may be empty."""
        first, last = self.range(k)
        if first < start or last > stop:
            return trim(self.text, max(first, start), min(last, stop))
        return first, last

    def within(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield index, start and end of the lines in a range; lines that are only in part in it are clipped."""
        k = self.at(start)
        while k < len(self.starts) and self.starts[k] < stop:
            first, last = self.starts[k], self.ends[k]
            if first < start or last > stop:
                first, last = trim(self.text, max(first, start), min(last, stop))
            if first < last:
                yield k, first, last
            k += 1


def _code_lines(text: str, starts: list[int], ends: list[int], fences: Iterable[int]) -> list[Range]:
    """Ranges of fenced code and preformatted text, fences included; unclosed ones extend to the end."""
    ranges: list[Range] = []
    begin, fence = -1, ""
    for k in fences:
        start = starts[k]
        if begin >= 0:
            if fence == "<pre":
                stop = text.find("</pre>", begin)
                if stop < 0:
                    break
                ranges.append((begin, stop + 6))
                begin = -1
                if start < stop:
                    continue
            elif text.startswith(fence, start):
                ranges.append((begin, ends[k]))
                begin = -1
                continue
        if begin < 0 and text.startswith(FENCES, start):
            fence = next((mark for mark in FENCES if text.startswith(mark, start)), "")
            if fence and not (fence == "```" and text.find("```", start + 3, ends[k]) >= 0):
                begin = start
    if begin >= 0:
        stop = text.find("</pre>", begin) + 6 if fence == "<pre" else 0
        ranges.append((begin, stop if stop > begin else len(text)))
    return ranges


def position(starts: list[int], place: int) -> int:
    """Return the index of the first of sorted starts at or after an offset."""
    return bisect_left(starts, place)
