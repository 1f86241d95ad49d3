"""Signals in plain Python, read straight from their definitions: the oracle of the kernels."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

from stages.kernels import tables
from stages.kernels.tables import load_tables
from stages.languages import PUNCTUATION_PATH, Profile, load_yaml

LETTERS = {
    tables.OTHER: "o", tables.SPACE: "s", tables.NEWLINE: "n", tables.PUNCT: "p", tables.SYMBOL: "y",
    tables.MARK: "m", tables.DIGIT: "d", tables.LATIN: "L", tables.LETTER: "T", tables.HANGUL: "G",
    tables.HAN: "H", tables.KANA: "K", tables.UNSPACED: "U",
}  # fmt: skip
MARKS = {name: set(chars) for name, chars in load_yaml(PUNCTUATION_PATH).items()}


def spell(text: str) -> str:
    """The text with a letter for the class of each character, so that `re` can tell scripts apart."""
    return "".join(LETTERS[load_tables().classes[ord(char)]] for char in text)


def fold(text: str) -> str:
    """Match text."""
    return "".join(chr(code) for char in text if (code := load_tables().fold[ord(char)]))


def find_words(text: str) -> list[str]:
    """The words of a text: a run with apostrophes between letters, or a character of an unspaced script."""
    spelled = "".join("'" if char in "'’" else kind for char, kind in zip(text, spell(text), strict=True))
    word = r"[dLTG](?:[dLTGmo]|(?<=[LT])'(?=[LT]))*|[HKU][mo]*"
    return [text[found.start() : found.end()] for found in re.finditer(word, spelled)]


def find_lines(text: str) -> list[str]:
    """All lines, empty ones included, without blanks and invisible characters at their ends."""
    lines = re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", text)
    return [
        line[len(spell(line)) - len(spell(line).lstrip("so")) :][: len(spell(line).strip("so"))]
        for line in lines
    ]


def ends_prose(line: str) -> bool:
    """Whether a line ends in terminal punctuation."""
    while line and line[-1] not in MARKS["line_end"] and line[-1] in MARKS["closer"]:
        line = line[:-1]
    return line[-1:] in MARKS["line_end"] if line else False


def count_sentences(text: str) -> int:
    """Stretches with a letter up to a mark that ends them."""
    n, has_letter, spelled = 0, False, spell(text)
    skipped = MARKS["sentence"] | MARKS["sentence_before_blank"] | MARKS["closer"]
    for i, char in enumerate(text):
        if spelled[i] in "LTGHKU":
            has_letter = True
        ends = char in MARKS["sentence"]
        if char in MARKS["sentence_before_blank"]:
            after = i + 1
            while after < len(text) and text[after] in skipped:
                after += 1
            kind = spelled[after] if after < len(text) else "n"
            ends |= kind in "sn" or (kind in "HKU" and i > 0 and spelled[i - 1] in "HKU")
        if ends and has_letter:
            n, has_letter = n + 1, False
    return n


def repeats(words: list[str], n: int) -> tuple[int, int]:
    """Characters in the top n-gram and in n-grams seen before."""
    keys = [tuple(map(fold, words[i : i + n])) for i in range(len(words) - n + 1)]
    lengths = [sum(map(len, words[i : i + n])) for i in range(len(keys))]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    counts = Counter(keys)
    top = max(first, key=lambda key: (counts[key], lengths[first[key]], -first[key]), default=None)

    def chars(places: list[int]) -> int:
        return sum(len(words[k]) for k in {k for i in places for k in range(i, i + n)})

    is_top = [i for i, key in enumerate(keys) if key == top and counts[key] > 1]
    return chars(is_top), chars([i for i, key in enumerate(keys) if first[key] != i])


def measure(text: str, profile: Profile, window: int = 1000) -> dict[str, float]:
    """The oracle: every signal by its definition, in plain Python."""
    spelled, words, all_lines = spell(text), find_words(text), find_lines(text)
    lines = [line for line in all_lines if line]
    paragraphs = [
        block.strip("\0").split("\0") for block in re.split("\0{2,}", "\0".join(all_lines).strip("\0"))
    ]
    paragraphs = [block for block in paragraphs if block != [""]]
    seen = [char for char, kind in zip(text, spelled, strict=True) if kind not in "osn"]
    windows = [seen[i : i + window] for i in range(0, len(seen) - window + 1, window)] or [seen]
    stop = {fold(word) for word in profile.stop_words}
    spaced = [word for word in words if spell(word)[0] in "dLTG"]
    ellipses = re.findall("|".join(f"{re.escape(c)}+" for c in MARKS["ellipsis"]), text)
    ellipses += re.findall("|".join(f"{re.escape(c)}{{3,}}" for c in MARKS["ellipsis_by_three"]), text)
    cut = tuple(MARKS["ellipsis"]) + tuple(c * 3 for c in MARKS["ellipsis_by_three"])

    def later(items: list[Any], size: Any) -> tuple[int, int]:
        again = [item for i, item in enumerate(items) if item in items[:i]]
        return len(again), sum(map(size, again))

    def share(part: float, whole: float) -> float:
        return float(np.float32(np.round(part / max(whole, 1), 3)))

    line_chars, word_chars = sum(map(len, lines)), sum(map(len, words))
    n_dup_lines, dup_line_chars = later(lines, len)
    n_dup_blocks, dup_block_chars = later(paragraphs, lambda block: sum(map(len, block)))
    bullets = [
        line[0] in MARKS["bullet"] or (line[0] in MARKS["bullet_before_blank"] and spell(line)[1:2] == "s")
        for line in lines
    ]
    result: dict[str, float] = {
        "n_chars": len(text),
        "n_words": len(words),
        "n_lines": len(lines),
        "n_paragraphs": len(paragraphs),
        "n_sentences": count_sentences(text),
        "max_line_chars": max(map(len, lines), default=0),
        "stop_word_count": len(stop & set(map(fold, words))),
        "mean_word_chars": share(sum(map(len, spaced)), len(spaced)),
        "mean_line_chars": share(line_chars, len(lines)),
        "short_line_share": share(sum(len(line) <= profile.short_line_chars for line in lines), len(lines)),
        "terminal_line_share": share(sum(map(ends_prose, lines)), len(lines)),
        "bullet_line_share": share(sum(bullets), len(lines)),
        "ellipsis_line_share": share(sum(line.endswith(cut) for line in lines), len(lines)),
        "newline_word_ratio": share(len(all_lines) - 1, len(words)),
        "hash_word_ratio": share(text.count("#") + text.count("＃"), len(words)),
        "ellipsis_word_ratio": share(len(ellipses), len(words)),
        "punct_share": share(spelled.count("p"), len(seen)),
        "digit_share": share(spelled.count("d"), len(seen)),
        "symbol_share": share(spelled.count("y"), len(seen)),
        "letter_share": share(sum(kind in "mLTGHKU" for kind in spelled), len(seen)),
        "han_char_share": share(spelled.count("H"), len(seen)),
        "alpha_word_share": share(sum(bool(set(spell(word)) & set("LTGHKU")) for word in words), len(words)),
        "stop_word_share": share(sum(fold(word) in stop for word in words), len(words)),
        "unique_char_share": share(sum(len(set(part)) for part in windows), sum(map(len, windows))),
        "duplicate_line_share": share(n_dup_lines, len(lines)),
        "duplicate_line_char_share": share(dup_line_chars, line_chars),
        "duplicate_paragraph_share": share(n_dup_blocks, len(paragraphs)),
        "duplicate_paragraph_char_share": share(dup_block_chars, line_chars),
    }
    for n in (2, 3, 4):
        result[f"top_{n}_gram_char_share"] = share(repeats(words, n)[0], word_chars)
    for n in range(5, 11):
        result[f"duplicate_{n}_gram_char_share"] = share(repeats(words, n)[1], word_chars)
    return result
