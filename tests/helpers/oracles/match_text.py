"""Match text, its units and its shingles in plain Python: the oracle of the hashing kernels."""

from __future__ import annotations

import pyarrow as pa

from stages.kernels.code.lines import find_code
from stages.kernels.code.signs import load_symbols
from stages.kernels.dedup.minhash import SYMBOLS_BELOW
from stages.kernels.text.tables import HANGUL, MARK, NEWLINE, OTHER, load_tables
from stages.kernels.text.text import view


def code_lines(text: str) -> list[bool]:
    """Which lines of a text are code, as the kernel judges them."""
    decoded = view(pa.array([text], pa.large_string()))
    return find_code(decoded).is_code.tolist()


def match_reference(text: str) -> str:
    """Match text of one document, character by character."""
    tables, match, after_word, gap = load_tables(), "", False, False
    is_code, line = code_lines(text), 0
    for char in text:
        code = int(tables.fold[ord(char)])
        if not code:
            kind = tables.classes[ord(char)]
            symbol = int(load_symbols()[ord(char)]) if ord(char) < 0x10000 else 0
            if kind == NEWLINE:
                line += 1
            elif is_code[line] and symbol:
                match += chr(symbol)
                after_word = after_word or len(match) == 1
            gap = gap or kind != OTHER
            continue
        kind = tables.classes[code]
        is_word = kind < HANGUL and (kind != MARK or after_word)
        match += (" " if is_word and after_word and gap else "") + chr(code)
        after_word, gap = is_word, False
    return match


def is_symbol(char: str) -> bool:
    """Whether a character of match text is a symbol of code."""
    return char < "\x80" and char != " " and load_tables().classes[ord(char)] < MARK


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
