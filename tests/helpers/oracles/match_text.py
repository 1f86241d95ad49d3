"""Match text, its units and its shingles in plain Python: the oracle of the hashing kernels."""

from __future__ import annotations

import pyarrow as pa

from stages.kernels.code.lines import find_code
from stages.kernels.dedup.forms import load_match_fold
from stages.kernels.dedup.formulas import POWER, find_signs, load_code_symbols, load_kinds, load_signs
from stages.kernels.dedup.minhash import SYMBOLS_BELOW
from stages.kernels.text.tables import HANGUL, MARK, NEWLINE, OTHER, load_tables
from stages.kernels.text.text import view


def code_lines(text: str) -> list[bool]:
    """Which lines of a text are code, as the kernel judges them."""
    decoded = view(pa.array([text], pa.large_string()))
    return find_code(decoded).is_code.tolist()


def sign_positions(text: str, marks: bool) -> set[int]:
    """Positions of signs of mathematics in a text, as the kernel judges them."""
    codes, starts, classes = view(pa.array([text], pa.large_string()))
    found = find_signs(codes, classes, starts, load_kinds(), load_signs(), load_match_fold(), marks)
    return {int(position) for position in found}


def match_reference(text: str, marks: bool = True) -> str:
    """Match text of one document, character by character."""
    classes, fold = load_tables().classes, load_match_fold()
    match, after_word, gap = "", False, False
    is_code, signs, line = code_lines(text), sign_positions(text, marks), 0
    for place, char in enumerate(text):
        code, kind = int(fold[ord(char)]), classes[ord(char)]
        if place in signs and not is_code[line]:
            match += chr(load_signs()[ord(char)])
            after_word, gap = after_word or len(match) == 1, True
            if load_kinds()[ord(char)] != POWER:
                code = {"℃": ord("c"), "℉": ord("f")}.get(char, 0)
                if not code:
                    continue
        if not code:
            symbol = int(load_code_symbols()[ord(char)]) if ord(char) < 0x10000 else 0
            if kind == NEWLINE:
                line += 1
            elif is_code[line] and symbol:
                match += chr(symbol)
                after_word = after_word or len(match) == 1
            gap = gap or kind != OTHER
            continue
        kind = classes[code]
        is_word = kind < HANGUL and (kind != MARK or after_word)
        match += (" " if is_word and after_word and gap else "") + chr(code)
        after_word, gap = is_word, False
    return match


def is_symbol(char: str) -> bool:
    """Whether a character of match text is a symbol of code or a sign."""
    if char == " " or load_tables().classes[ord(char)] >= MARK:
        return False
    return char < "\x80" or ord(char) in set(load_signs().tolist())


def units_reference(text: str, by_character: bool = False) -> list[str]:
    """Units of one text: words, and single characters of scripts without blanks, or all single characters.

    Symbols of code belong to the unit before them in a short text, and are nothing in a long one.
    """
    classes, match = load_tables().classes, match_reference(text)
    short = sum(char != " " and not is_symbol(char) for char in match) < SYMBOLS_BELOW
    units: list[str] = []
    in_word = False
    for char in match:
        kind = classes[ord(char)]
        if char == " ":
            in_word = False
        elif is_symbol(char):
            if short and units:
                units[-1] += char
            elif short:
                units, in_word = [char], not by_character
        else:
            single = by_character or kind >= HANGUL or (kind == MARK and not in_word)
            if in_word and not single:
                units[-1] += char
            else:
                units.append(char)
            in_word = not single
    return units


def grams(units: list[str], size: int = 5) -> list[tuple[str, ...]]:
    """All runs of `size` units, or one shorter run."""
    return [tuple(units[i : i + size]) for i in range(max(len(units) - size + 1, min(len(units), 1)))]
