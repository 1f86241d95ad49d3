"""Script runs: the kernel against a plain reference, and parts of documents copied as text."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.language.tables import load_flags, load_scripts
from stages.kernels.code.blocks import mark_code
from stages.kernels.scripts import scripts
from stages.kernels.text import text as kernels
from stages.kernels.text.tables import load_tables
from tests.helpers.language_texts import TEXTS

SCRIPTS, FLAGS = load_scripts(), load_flags()
TAG = re.compile(r"<[A-Za-z/!][^<>]*>")


def cut_line(body: str, kind: list[int]) -> list[tuple[str, int, int]]:
    """Words, tags and single characters of a line with where they begin and end, and its end."""
    tokens, i = [], 0
    while i < len(body):
        start, tag = i, TAG.match(body, i)
        if tag:
            i = tag.end()
        elif kind[i] == kernels.LATIN:
            while i < len(body) and (
                kind[i] in (kernels.LATIN, kernels.MARK)
                or (body[i] == "-" and kind[i + 1 : i + 2] == [kernels.LATIN])
            ):
                i += 1
        else:
            i += 1
        tokens.append(("tag" if tag else "word" if kind[start] == kernels.LATIN else "char", start, i))
    return [*tokens, ("end", i, i)]


def find_words(
    body: str, kind: list[int], flags: np.ndarray, min_words: int
) -> dict[int, list[tuple[int, int]]]:
    """Latin text of a line by what it is: runs that are prose as LATN; words of shorter runs as TERM_LETTERS and
    NAME_LETTERS.
    """
    kinds = (scripts.LATN, scripts.TERM_LETTERS, scripts.NAME_LETTERS)
    found: dict[int, list[tuple[int, int]]] = {kind: [] for kind in kinds}
    run: list[tuple[int, int, bool | None]] = []
    address = False
    glue = scripts.BREAK_FLAG | scripts.JOIN_FLAG

    def flag(i: int) -> int:
        return int(flags[ord(body[i])]) if i < len(body) else scripts.BREAK_FLAG

    def is_name(start: int, end: int, what: str) -> bool:
        if start and (
            kind[start - 1] == kernels.DIGIT or (flag(start - 1) & glue and body[start - 1] not in "(>")
        ):
            return True
        if what in ("end", "tag"):
            return False
        joined = flag(end) & scripts.JOIN_FLAG and end + 1 < len(body) and kind[end + 1] != kernels.SPACE
        return bool(kind[end] == kernels.DIGIT or flag(end) & scripts.BREAK_FLAG or joined)

    tokens = cut_line(body, kind)
    for at, (what, start, _) in enumerate(tokens):
        word = tokens[at - 1] if at and tokens[at - 1][0] == "word" else None
        if what == "word" or (what == "tag" and not word):
            continue
        if word:
            kept = not address and body[start : start + 1] != "/"
            run.append((word[1], word[2], is_name(word[1], word[2], what) if kept else None))
        next_kind = kind[start + 1] if start + 1 < len(body) else kernels.SPACE
        glued = word and next_kind != kernels.SPACE
        wide = what == "char" and kind[start] >= kernels.LETTER
        if (
            wide
            or (flag(start) & scripts.BREAK_FLAG and what != "tag")
            or (flag(start) & scripts.JOIN_FLAG and glued)
        ):
            if sum(i == 0 or kind[s - 1] != kernels.DIGIT for i, (s, _, _) in enumerate(run)) >= min_words:
                found[scripts.LATN].append((run[0][0], run[-1][1]))
            else:
                for s, e, name in run:
                    if name is not None:
                        found[scripts.NAME_LETTERS if name else scripts.TERM_LETTERS].append((s, e))
            run = []
        if what == "char" and body[start] in "/\\@":
            address = True
        elif what == "tag" or (what == "char" and (kind[start] == kernels.SPACE or wide)):
            address = False
        elif what == "char" and kind[start] == kernels.PUNCT and flag(start) == 0:
            address = False
    return found


def reference(
    text: str, is_code: list[int], min_words: int, min_kana: float
) -> tuple[list[int], dict[int, int], list[int]]:
    """What `kernels.scripts.survey` does, for one document, written for reading: groups, units and counts."""
    classes, flags, table = load_tables().classes, FLAGS, SCRIPTS
    groups: list[int] = []
    units: dict[int, int] = {}
    totals, short = [0] * scripts.N_COUNTS, []
    lines = [""]
    for char in text:
        lines[-1] += char
        if classes[ord(char)] == kernels.NEWLINE:
            lines.append("")

    def add(group: int, amount: int) -> None:
        units[group] = units.get(group, 0) + amount

    def amount(kind: int) -> int:
        special = {kernels.HAN: scripts.UNITS_HAN, kernels.KANA: scripts.UNITS_KANA}
        return {**special, kernels.HANGUL: scripts.UNITS_HANGUL}.get(kind, scripts.UNITS_LETTER)

    def kinds(chars: str) -> list[int]:
        return [sum(bool(flags[ord(char)] & 1 << bit) for char in chars) for bit in range(scripts.N_KINDS)]

    def count_chinese(han: str) -> None:
        totals[scripts.CHINESE_HAN] += len(han)
        for bit, count in enumerate(kinds(han)):
            totals[scripts.HANS + bit] += count

    for line, code in zip(lines, is_code, strict=True):
        body = line[:-1] if line and classes[ord(line[-1])] == kernels.NEWLINE else line
        kind = [int(classes[ord(char)]) for char in body]
        rest = [scripts.NONE] * (len(line) - len(body))
        if code:
            letters = [k for k in kind if k == kernels.LATIN or k >= kernels.LETTER]
            totals[scripts.LETTERS] += len(letters)
            totals[scripts.HAN_LETTERS] += letters.count(kernels.HAN)
            totals[scripts.CODE_UNITS] += sum(map(amount, letters))
            totals[scripts.BARE_UNITS] += sum(map(amount, letters)) if code == 1 else 0
            groups += [scripts.CODE] * len(body) + rest
            continue
        tags = {i for what, start, end in cut_line(body, kind) if what == "tag" for i in range(start, end)}
        seen = [(i, k) for i, k in enumerate(kind) if i not in tags]
        here, group = [scripts.NONE] * len(body), scripts.NONE
        for i, k in seen:
            if k == kernels.LATIN:
                group = scripts.NONE
            elif k >= kernels.LETTER:
                wide = {kernels.HAN: scripts.HANI, kernels.KANA: scripts.HANI, kernels.HANGUL: scripts.HANG}
                group = wide.get(k, int(table[ord(body[i])]))
                if group != scripts.HANI:
                    add(group, amount(k))
            in_word = k in (kernels.MARK, kernels.LATIN) or body[i] == "-"
            here[i] = scripts.NONE if in_word and group == scripts.NONE else group
        prose = 0
        for what, places in find_words(body, kind, flags, min_words).items():
            for start, end in places:
                here[start:end] = [scripts.LATN if what == scripts.LATN else scripts.TERM] * (end - start)
                if what == scripts.LATN:
                    n_letters = sum(start <= i < end and k == kernels.LATIN for i, k in seen)
                    prose += scripts.UNITS_LETTER * n_letters
                else:
                    totals[what] += end - start
        add(scripts.LATN, prose)
        letters = [k for _, k in seen if k == kernels.LATIN or k >= kernels.LETTER]
        han = "".join(body[i] for i, k in seen if k == kernels.HAN)
        n_kana = letters.count(kernels.KANA)
        totals[scripts.VISIBLE] += sum(k > kernels.SPACE for _, k in seen)
        totals[scripts.LETTERS] += len(letters)
        totals[scripts.HAN_LETTERS] += len(han)
        totals[scripts.PLAIN_LETTERS] += len(letters)
        totals[scripts.PLAIN_UNITS] += sum(map(amount, letters))
        totals[scripts.LATIN_LETTERS] += letters.count(kernels.LATIN)
        totals[scripts.SYMBOLS] += sum(bool(flags[ord(body[i])] & scripts.SYMBOL_FLAG) for i, _ in seen)
        runs = "".join(body[i] if k == kernels.HAN else " " for i, k in seen).split()
        foreign = 4 * kinds(han)[scripts.NOT_JPN - scripts.HANS]
        target = scripts.HANI
        if han and not n_kana and max(map(len, runs)) <= 6 and scripts.UNITS_HAN * len(han) < prose:
            target = scripts.NONE
        elif n_kana > foreign and n_kana >= min_kana * (len(han) + n_kana):
            target = scripts.JPAN
            add(target, scripts.UNITS_HAN * len(han) + scripts.UNITS_KANA * n_kana)
        elif n_kana or len(han) >= 20:
            add(target, scripts.UNITS_HAN * len(han) + scripts.UNITS_KANA * n_kana)
            count_chinese(han)
        elif han:
            target = scripts.SHORT
            short.append(han)
        groups += [target if g == scripts.HANI else g for g in here] + rest
    shorts = "".join(short)
    not_japanese = 10 * kinds(shorts)[scripts.NOT_JPN - scripts.HANS] > len(shorts)
    japanese = units.get(scripts.JPAN, 0) > units.get(scripts.HANI, 0) and not not_japanese
    winner = scripts.JPAN if japanese else scripts.HANI
    add(winner, scripts.UNITS_HAN * len(shorts))
    if winner == scripts.HANI:
        count_chinese(shorts)
    return groups, {g: n for g, n in units.items() if n}, totals


@given(TEXTS, st.integers(1, 6))
@settings(max_examples=150)
def test_survey_equals_its_reference(text: str, min_words: int) -> None:
    """The kernel's groups and counts equal those of the plain reference."""
    n_groups, view = int(SCRIPTS.max()) + 1, kernels.view(pa.array([text]))
    found = scripts.survey(view, SCRIPTS, FLAGS, n_groups, min_words, 0.1)
    groups, units, totals = reference(text, mark_code(view, min_words).tolist(), min_words, 0.1)
    assert found.groups.tolist() == groups
    assert {g: n for g, n in enumerate(found.units[0].tolist()) if n} == units
    assert found.counts[0].tolist() == totals
