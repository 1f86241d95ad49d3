"""Copyright banners of source files: comments that state who owns the code and under which licence.

Reads canonical text and the address, for the extension of the file's name; writes spans over the comments, with their
marks and line breaks. A banner is a run of comments that begin their lines, anywhere in the file. Of a comment that
also describes the code, only the paragraphs from the first to the last one about rights are a span; a first line such
as #!/bin/sh or an encoding is never in one. Removing the spans is up to the release. Gate the stage by the form or the
source of code: in prose, a line that begins with # may be a heading.

CCI4.0 (arXiv 2506.07463, section 3.1) removes "copyright declarations and related textual information" from code, by
means that it does not publish. RedPajama and Data-Juicer (`clean_copyright_mapper`) remove the first block comment that
contains `copyright`, or else all line comments at the top, regardless of their topic. Phrases are our own, from the
texts of the licences of SPDX that occur in code.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pyarrow as pa

from pipeline.schema import SPANS
from pipeline.stage import Stage, each
from stages.source_code import extension_of
from stages.source_code.comments import FAMILIES, family_of

KIND = "copyright_banner"

SCHEMA = pa.schema({"spans": SPANS, "share": pa.float32()})
"""spans: banners, of the kind `copyright_banner`, in order and without overlap. share: of the characters of the file
that are in spans, to three decimals."""

MAX_CHARS = 1 << 20
"""Longer files are not searched beyond this, in characters."""

RIGHTS = re.compile(
    r"""copyright[ \t]*(?:\(c\)|©|:|,|by\b|holders?\b|owner|notice|\d{4}|[-–]\ ?\d)
    |(?:\(c\)|©)[ \t]*(?:copyright|\d{4}|by\b) | \ball[ ]rights[ ]reserved
    |spdx-(?:license-identifier|filecopyrighttext) | @(?:licen[sc]e|copyright)\b
    |licen[sc]ed[ ](?:(?:to|under)\b|materials) | under[ ]the[ ](?:terms|conditions)[ ]of
    |see[ ]the[ ](?:accompanying[ ]|file[ ]|included[ ])?["'`]?(?:licen[sc]e|copying)\b
    |(?:found|contained|described|available)[ ]in[ ]the[ ]["'`]?(?:licen[sc]e|copying)\b
    |may[ ]not[ ]use[ ]this[ ]file | obtain[ ]a[ ]copy[ ]of[ ]the[ ]licen[sc]e | received?[ ]a[ ]copy[ ]of[ ]the
    |governed[ ]by[ ]a[ ][\w-]+(?:[ -]style)?[ ]licen[sc]e
    |permission[ ](?:is[ ]hereby[ ]granted|to[ ]use,[ ]copy) | general[ ]public[ ]licen[sc]e
    |redistributions?[ ](?:and[ ]use|of[ ]source|in[ ]binary|must)
    |as[ ]is["”'*]*,?[ ](?:basis|without) | ["“']as[ ]is["”'] | without[ ](?:any[ ])?warrant(?:y|ies)
    |in[ ]no[ ]event[ ]shall | neither[ ]the[ ]names?[ ]of
    |(?:^|\W)(?:apache|mit|bsd|mozilla[ ]public|gpl|lgpl|agpl|boost[ ]software|isc)(?:[ -][\w.]+)?[ ]licen[sc]e\b
    |full[ ]copyright[ ]and[ ]licen[sc]e | \blicen[sc]e[ ]*[:：] | \blicen[sc]e\.(?:md|txt)\b
    |(?:版权|版權|著作权|著作權)(?:所有|归|歸|声明|聲明|©|[ ]*[:：]) | 保留(?:所有|一切)(?:权利|權利)
    |(?:根据|依据|依照|遵循|遵守|基于|使用|采用)[^。]{0,40}(?:许可证|许可协议|开源协议|授权协议)""",
    re.I | re.X | re.M,
)
"""What a paragraph about rights contains; white space and marks of comments are single blanks where it is applied."""

_KEPT_LINE = re.compile(
    r"\s*(?:#!|(?:#|//|--|%|;+)\W*(?:vim?:|coding[:=]|-\*-|frozen_string_literal|go:build|\+build))"
)
"""Lines at the top of a file that programs read."""

_MARKS = re.compile(
    r"^[ \t]*(?:/\*+!?|\*+/?|//+!?|#+|--+|%+|;+|\"\"\"|'''|<!--)?|(?:\*+/|-->|\"\"\"|\'\'\')[ \t]*$"
)
_LETTER = re.compile(r"[^\W\d_]")
_RULE = re.compile(r"[\W_]*")


class Block(NamedTuple):
    """A run of adjacent comments that begin their lines: positions in the text. is_top: nothing but comments before."""

    start: int
    end: int
    is_top: bool


class Line(NamedTuple):
    """A line of a block: positions without its line break, and its words."""

    start: int
    end: int
    words: str


def find_blocks(text: str, family: str) -> list[Block]:
    """Find the runs of comments of a text; strings in three quotes count at its top alone.

    Args: family, of `stages.source_code.comments.FAMILIES`.
    """
    blocks: list[Block] = []
    at, is_top = 0, True
    for found in FAMILIES[family].finditer(text):
        if found.lastgroup not in ("comment", "doc"):
            continue
        line_start = text.rfind("\n", 0, found.start()) + 1
        line_end = _line_end(text, found.end())
        is_top = is_top and not text[at : found.start()].strip()
        at = found.end()
        kept = _KEPT_LINE.match(text, line_start) is not None
        begins = not text[line_start : found.start()].strip("\ufeff \t")
        if text[found.end() : line_end].strip():  # of minified code, all is in one line
            line_end = found.end() if is_top else -1
        if not begins or kept or line_end < 0 or (found.lastgroup == "doc" and not is_top):
            is_top = is_top and kept
            continue
        if blocks and text[blocks[-1].end : line_start] == "\n" and _is_line(found[0]):
            blocks[-1] = blocks[-1]._replace(end=line_end)
        else:
            blocks.append(Block(line_start, line_end, is_top))
    return blocks


def _is_line(comment: str) -> bool:
    """Whether a comment is one that ends with its line."""
    return not comment.startswith(("/*", "<!--", '"""', "'''", "{-"))


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def lines_of(text: str, block: Block) -> list[Line]:
    """The lines of a block with their words: without the marks of comments, white space as single blanks."""
    lines, at = [], block.start
    for raw in text[block.start : block.end].split("\n"):
        lines.append(Line(at, at + len(raw), " ".join(_MARKS.sub("", raw).split())))
        at += len(raw) + 1
    return lines


def banner_lines(lines: list[Line]) -> tuple[int, int] | None:
    """The range of lines from the first to the last paragraph about rights, None without any.

    Paragraphs are separated by lines without letters or digits. A sentence about rights may be broken over lines, so
    phrases are searched in a paragraph as one text.
    """
    first = last = None
    for start, end in _paragraphs(lines):
        if RIGHTS.search(" ".join(line.words for line in lines[start:end])):
            first = start if first is None else first
            last = end
    return None if first is None or last is None else (first, last)


def _paragraphs(lines: list[Line]) -> list[tuple[int, int]]:
    found, start = [], None
    for i, line in enumerate([*lines, Line(0, 0, "")]):
        is_empty = _RULE.fullmatch(line.words) is not None
        if start is None and not is_empty:
            start = i
        elif start is not None and is_empty:
            found.append((start, i))
            start = None
    return found


def find_banners(text: str, family: str) -> list[tuple[int, int]]:
    """Find the banners of a source file: ranges of characters, in order, with the line break after each."""
    spans = []
    for block in find_blocks(text[:MAX_CHARS], family):
        lines = lines_of(text, block)
        found = banner_lines(lines)
        if found is None:
            continue
        first, last = found
        rest = [line.words for line in (*lines[:first], *lines[last:])]
        if not any(map(_LETTER.search, rest)):
            spans.append((block.start, block.end + text.startswith("\n", block.end)))
            continue
        inner = _inner(text, lines[first:last])
        if inner is not None:
            spans.append(inner)
    return spans


def _inner(text: str, lines: list[Line]) -> tuple[int, int] | None:
    """The range of whole lines of a comment; marks that open or close a block comment stay outside of it."""
    start, end = lines[0].start, min(lines[-1].end + 1, len(text))
    opening = re.match(r"[ \t]*(?:/\*+!?|<!--|\"\"\"|''')", text[start : lines[0].end])
    closing = re.search(r"(?:\*+/|-->|\"\"\"|''')[ \t]*$", text[lines[-1].start : lines[-1].end])
    start += opening.end() if opening else 0
    end = lines[-1].start + closing.start() if closing else end
    return (start, end) if start < end else None


def measure(text: str, url: str | None) -> dict[str, object]:
    """Find the banners of one file.

    Args: text, of the file; url, its address or path, whose extension decides how comments are written; without one
    the way that most of its lines use is taken.
    Returns: a row of SCHEMA.
    """
    spans = find_banners(text, family_of(extension_of(url), text))
    return {
        "spans": [{"start": start, "end": end, "kind": KIND} for start, end in spans],
        "share": round(sum(end - start for start, end in spans) / max(len(text), 1), 3),
    }


STAGE = Stage(name="banners", version=1, reads=("text", "url"), writes=SCHEMA, load=each(measure))
